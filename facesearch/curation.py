"""What humans decide about the people of a gallery, each decision journalled and undoable.

merge, split, move, confirm, reject, dismiss, not-same, rename: every verb is one transaction that
changes rows through a journal and appends one decision with these changes. Undoing is a decision
whose changes are the inverse. Why, and what undo refuses: docs/decisions/0009-curation.md.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from facesearch.alignment import sharpness
from facesearch.detection import Face
from facesearch.errors import FaceError, Refused, UnknownPerson
from facesearch.identification import Seen, look, referenced
from facesearch.manifest import subject
from facesearch.model import Model
from facesearch.photo import file_hash, read_photo
from facesearch.storage.decisions import DecisionLog, DecisionRow
from facesearch.storage.journal import Change, Journal, NameTaken, NotAsLeft
from facesearch.storage.store import (
    BOX_COLUMNS,
    Box,
    Dismissal,
    FaceRow,
    KnownFace,
    Store,
    now,
    readable,
    same_place,
)

if TYPE_CHECKING:
    from facesearch.review.groups import UnnamedFace

PhotoFile = str | os.PathLike[str]
VERDICTS = ("stranger", "no face")  # what a face can be dismissed as
EnrolledOn = PhotoFile | KnownFace  # a photo, or just one enrolled face of it
SAID_IN_FULL = 3  # decisions of a run, people of an enrollment; of more their number is told


@dataclass(frozen=True, slots=True)
class Decision:
    """An entry of the gallery's history, or what a verb did or would do.

    What one `enroll` stored is one entry, and so are merges that were made at once.
    """

    id: int | None  # None: nothing was stored, since it was only tried or was so already
    made_at: str
    made_by: str  # "human" or "machine"
    kind: str  # enroll, merge, split, move, confirm, reject, dismiss, rename, undo, ...
    summary: str  # what was decided, in the past tense
    photo: str | None  # the photo that it is about, if it is about one, unless that is forgotten
    undoes: int | None
    undone_by: int | None
    changed: dict[str, int]  # table -> rows that it inserted, changed or deleted


class Curation:
    """The decisions about the people of one gallery; `Gallery.curation` is one.

    Names that nobody bears raise UnknownPerson, ValueError if they cannot be names; what must not
    be raises Refused. Then, and with `dry_run`, nothing is changed.
    """

    def __init__(self, store: Store, model: Model) -> None:
        self._store = store
        self._model = model
        self._log = DecisionLog(store)

    def merge(self, names: Iterable[str], into: str, *, dry_run: bool = False) -> Decision:
        """Make the people called `names` one with `into`: their faces, and what was said of them.

        Refused if a human said that two of them are not one person, or that a face is not who it
        would be.
        """
        return self.merge_all([(names, into)], dry_run=dry_run)

    def merge_all(
        self, groups: Iterable[tuple[Iterable[str], str]], *, dry_run: bool = False
    ) -> Decision:
        """Make several merges, (names, into), one decision: all are made and undone, or none is.

        See `merge`. Refused if there is none to make.
        """
        run: list[DecisionRow] = []
        with self._deciding(dry_run):
            for names, into in groups:
                run += self._merge(names, into, run)
            if not run:
                raise Refused("there is nobody to merge")
            decision = self._entry(run)
        return replace(decision, id=None) if dry_run else decision

    def _merge(
        self, names: Iterable[str], into: str, run: Sequence[DecisionRow]
    ) -> list[DecisionRow]:
        journal = self._store.journal()
        target = self._person(into)
        sources = [p for p in dict.fromkeys(map(self._person, names)) if p != target]
        if not sources:
            raise Refused(f"there is nobody else to merge into {into}")
        called = self._store.names([target, *sources])
        self._allow_to_be_one(journal, {target, *sources})
        n_faces = 0
        for source in sources:
            n_faces += self._hand_over(journal, source, target)
            journal.delete("person", source)
        self._check_rejections(target)
        others = ", ".join(called[source] for source in sources)
        summary = f"merged {others} into {called[target]} ({self._counted(n_faces)})"
        return [self._append("merge", journal, target, sources, summary=summary, run=run)]

    def _allow_to_be_one(self, journal: Journal, people: set[int]) -> None:
        """Raise Refused if a human said that two of `people` are not one.

        What only a split implied gives way to a merge that is asked for.
        """
        for row, a, b in self._store.not_same():
            if not {a, b} <= people:
                continue
            if self._is_implied(row):
                journal.delete("not_same", row)
                continue
            said = self._log.on("not_same", row)[-1:]
            names = self._store.names([a, b])
            raise Refused(f"{names[a]} and {names[b]} are two people, a human said{undo_of(said)}")

    def _is_implied(self, pair: int) -> bool:
        """Return whether nobody said of a pair that it is not one person, but it was split."""
        return [said.kind for said in self._log.on("not_same", pair)[-1:]] == ["split"]

    def _hand_over(self, journal: Journal, source: int, target: int) -> int:
        """Give all that is stored of `source` to `target`; return the number of faces."""
        faces = [face for _, face in self._store.faces_of(source)]
        for face in faces:
            journal.update("face", face.id, person_id=target)
        for rejection in self._store.rejections_of(source):
            journal.update("rejection", rejection.id, person_id=target)
        pairs = self._store.not_same()
        for row, a, b in pairs:
            if source in (a, b):
                first, second = sorted((a if b == source else b, target))
                if any((first, second) == (x, y) for _, x, y in pairs):
                    journal.delete("not_same", row)
                else:
                    journal.update("not_same", row, person_a=first, person_b=second)
        return len(faces)

    def _check_rejections(self, person: int) -> None:
        """Raise Refused if a face is enrolled as this person of which a human said it is not."""
        for rejection in self._store.rejections_of(person):
            for face in self._store.known_faces(rejection.content_hash):
                if face.person_id == person and same_place(face.box, rejection.box):
                    said = self._log.on("rejection", rejection.id)[-1:]
                    raise Refused(
                        "a face of the one was rejected as the other, so they are two people"
                        f"{undo_of(said)}"
                    )

    def split(
        self, name: str, photos: Iterable[EnrolledOn], new_name: str, *, dry_run: bool = False
    ) -> Decision:
        """Make the faces of `name` on `photos` a new person, who is not `name` from now on.

        One of `photos` may be an enrolled face, too: then that one alone is meant, not what else
        of `name` its photo shows. Refused if there is a `new_name` already, or nothing would be
        left of `name`. Raises FaceError for a photo from which `name` is not enrolled.
        """
        new_name = person_name(new_name)
        with self._deciding(dry_run) as journal:
            person = self._person(name)
            faces = self._faces_on(person, photos)
            if len(faces) == len(self._store.faces_of(person)):
                raise Refused(f"nothing would be left of {name}; rename them instead")
            new = self._new_person(journal, new_name)
            journal.insert("not_same", {"person_a": person, "person_b": new})
            for face in faces:
                journal.update("face", face, person_id=new, assigned_by="human")
            summary = f"split {self._counted(len(faces))} off {self._name(person)} as {new_name}"
            return self._decide("split", summary, journal, person, [new], dry_run=dry_run)

    def move(
        self, photos: Iterable[EnrolledOn], name: str, to: str, *, dry_run: bool = False
    ) -> Decision:
        """Make the faces of `name` on `photos` faces of `to`; `photos` as in `split`.

        A person whose last face goes stays: what was said of them, and their name, remain theirs.
        Raises FaceError for a photo from which `name` is not enrolled.
        """
        with self._deciding(dry_run) as journal:
            person, target = self._person(name), self._person(to)
            if person == target:
                raise Refused(f"{name} and {to} are one person already")
            faces = self._faces_on(person, photos)
            for face in faces:
                journal.update("face", face, person_id=target, assigned_by="human")
            self._drop_rejections(journal, target)
            moved, names = self._counted(len(faces)), self._store.names([person, target])
            summary = f"moved {moved} from {names[person]} to {names[target]}"
            return self._decide("move", summary, journal, target, [person], dry_run=dry_run)

    def give(self, photos: Iterable[EnrolledOn], name: str, to: str) -> Decision:
        """Make the faces of `name` on `photos` those of `to`, whom somebody bears or nobody yet.

        See `move` and `split`.
        """
        if self._store.person_id(person_name(to)) is None:
            return self.split(name, photos, to)
        return self.move(photos, name, to)

    def take_out(self, photos: Iterable[EnrolledOn], name: str) -> Decision:
        """Take the faces of `name` on `photos` out of the gallery; `photos` as in `split`.

        Nothing is said of whose they are, as of a copy that nobody needs: `reject` says that.
        A person whose last face goes stays. Raises FaceError as `split` does.
        """
        with self._deciding() as journal:
            person = self._person(name)
            faces = self._faces_on(person, photos)
            for face in faces:
                self._store.remove_face(journal, face)
            summary = f"took {self._counted(len(faces))} of {self._name(person)} out"
            return self._decide("take-out", summary, journal, person)

    def confirm_faces(self, faces: Iterable[KnownFace], name: str) -> Decision:
        """Say of enrolled faces of `name`, each of which was looked at, that they are `name`.

        It is one decision. Raises FaceError if one of them is not enrolled as `name` any more.
        """
        run: list[DecisionRow] = []
        with self._deciding():
            person = self._person(name)
            summary = f"said that a {self._what} is {self._name(person)}"
            for face in self._faces_on(person, faces):
                journal = self._store.journal()
                journal.update("face", face, person_id=person, assigned_by="human")
                run.append(self._append("confirm", journal, person, [], summary=summary, run=run))
            return self._entry(run)

    def _drop_rejections(self, journal: Journal, person: int) -> None:
        """Delete the rejections that a human has just contradicted: the last word counts."""
        for rejection in self._store.rejections_of(person):
            faces = self._store.known_faces(rejection.content_hash)
            if any(f.person_id == person and same_place(f.box, rejection.box) for f in faces):
                journal.delete("rejection", rejection.id)

    def _drop_dismissals(self, journal: Journal, content_hash: str, box: Box) -> None:
        """Delete the dismissals of a face that a human has just contradicted."""
        for dismissal in self._store.dismissals(content_hash):
            if same_place(dismissal.box, box):
                journal.delete("dismissal", dismissal.id)

    def confirm(
        self, photo: PhotoFile, name: str, number: int | None = None, *, new: bool = False
    ) -> Decision:
        """Say that a face of `photo` is `name`: it is enrolled as theirs, whatever it was before.

        If it is theirs already, that is confirmed: nobody else is under their name there. `number`
        counts the faces as `identify` lists them, from 1; None is the only one. With `new` the name
        may be one that nobody bears. Raises PhotoError, FaceError.
        """
        seen = look(read_photo(photo), self._model)
        place = self._place(photo, seen.faces, number)
        seen = referenced(seen, place, self._model)
        with self._deciding() as journal:
            person = self._known_or_new(journal, name) if new else self._person(name)
            return self._confirm(journal, photo, seen, place, person)

    def _confirm(
        self, journal: Journal, photo: PhotoFile, seen: Seen, place: int, person: int
    ) -> Decision:
        face = seen.faces[place]
        others = []
        known = self._enrolled(seen.content_hash, face.box)
        if known is None:
            self._enroll(journal, person, photo, seen, place)
        elif not (
            (known.person_id, known.assigned_by) == (person, "human")
            and self._is_confirmed(known.id)
        ):
            others = [known.person_id] if known.person_id != person else []
            journal.update("face", known.id, person_id=person, assigned_by="human")
        self._drop_rejections(journal, person)
        self._drop_dismissals(journal, seen.content_hash, face.box)
        summary = f"said that a {self._what} is {self._name(person)}"
        if known is not None and others:
            summary += f" and not {known.person}"
        where = (seen.content_hash, photo)
        return self._decide("confirm", summary, journal, person, others, photo=where)

    def confirm_all(
        self, faces: Iterable[tuple[PhotoFile, Seen]], name: str, *, known: bool = False
    ) -> tuple[Decision, list[tuple[PhotoFile, str]]]:
        """Say that faces of nobody enrolled are all `name`, whom somebody bears or nobody yet.

        With `known` somebody has to bear it. Else who was merged into another is that person, as
        when they are enrolled.
        Each of `faces` is a photo and what is seen of it: one face. All are one decision. Also
        returned is which were left out and why: what a human said of one of them, or of another
        face of its photo, outranks what is said of all. Refused if none is left.
        """
        left_out: list[tuple[PhotoFile, str]] = []
        with self._deciding() as journal:
            person = self._person(name) if known else self._somebody(journal, name)
            n_faces, where = 0, None
            for photo, seen in faces:
                why = self._why_not(person, seen)
                if why is not None:
                    left_out.append((photo, why))
                    continue
                self._enroll(journal, person, photo, seen, 0)
                n_faces, where = n_faces + 1, (seen.content_hash, photo)
            if not n_faces:
                raise Refused(
                    "; ".join(f"{photo}: {why}" for photo, why in left_out[:SAID_IN_FULL])
                )
            one = f"a {self._what} is" if n_faces == 1 else f"{self._counted(n_faces)} are"
            summary = f"said that {one} {self._name(person)}"
            where = where if n_faces == 1 else None
            return self._decide("confirm", summary, journal, person, photo=where), left_out

    def _is_confirmed(self, face: int) -> bool:
        """Return whether the last that was said of an enrolled face alone is who it is."""
        undone = self._log.undone()
        said = [row for row in self._log.on("face", face) if row.id not in undone]
        return bool(said) and said[0].confirms_one_face

    def _why_not(self, person: int, seen: Seen) -> str | None:
        """Return why the one face of `seen` is not to be taken for `person`, None if it may be."""
        (face,) = seen.faces
        known = self._enrolled(seen.content_hash, face.box)
        if known is not None:
            return f"this {self._what} is enrolled as {known.person}"
        said = self._store.rejections(seen.content_hash)
        if any(r.person_id == person and same_place(r.box, face.box) for r in said):
            return f"a human said that this {self._what} is not {self._name(person)}"
        for dismissal in self._store.dismissals(seen.content_hash):
            if same_place(dismissal.box, face.box):
                return f"a human said that {self._dismissed(1, dismissal.verdict)}"
        if any(k.person_id == person for k in self._store.known_faces(seen.content_hash)):
            return f"another {self._what} of this photo is {self._name(person)}"
        return None

    def _enroll(
        self, journal: Journal, person: int, photo: PhotoFile, seen: Seen, place: int
    ) -> None:
        """Store a face of `seen`, the one at `place`, as a person's, said by a human."""
        face = seen.faces[place]
        self._store.insert_face(
            journal,
            person,
            (seen.content_hash, str(Path(photo).absolute()), seen.width, seen.height),
            FaceRow(face.box, face.landmarks, face.score, sharpness(seen.crops[place])),
            seen.embeddings[place],
            self._model.fingerprint,
            "human",
        )

    def reject(self, photo: PhotoFile, name: str, number: int | None = None) -> Decision:
        """Say that a face of `photo` is not `name`, for ever; if it is enrolled so, take it out.

        `number` as in `confirm`; of a photo that is gone, None is the one enrolled as `name`.
        Raises PhotoError, FaceError.
        """
        content_hash, box, path = self._pointed_at(photo, name, number)
        with self._deciding() as journal:
            person = self._person(name)
            summary = self._reject(journal, person, content_hash, box)
            shown = (content_hash, path)
            return self._decide("reject", summary, journal, person, photo=shown)

    def reject_faces(self, faces: Iterable[KnownFace], name: str) -> Decision:
        """Say of enrolled faces of `name` that they are not them, and take them out; see `reject`.

        It is one decision. Raises FaceError if one of them is not enrolled as `name` any more.
        """
        run: list[DecisionRow] = []
        with self._deciding():
            person = self._person(name)
            theirs = {face.id: (path, face) for path, face in self._store.faces_of(person)}
            for face_id in self._faces_on(person, faces):
                path, face = theirs[face_id]
                journal = self._store.journal()
                summary = self._reject(journal, person, face.content_hash, face.box)
                photo = (face.content_hash, path) if path is not None else None
                run.append(
                    self._append(
                        *("reject", journal, person, []), summary=summary, photo=photo, run=run
                    )
                )
            return self._entry(run)

    def _reject(self, journal: Journal, person: int, content_hash: str, box: Box) -> str:
        """Note that the face at `box` is not `person`, take it out if it is; return the summary."""
        known = self._enrolled(content_hash, box)
        taken_out = known is not None and known.person_id == person
        if known is not None and taken_out:
            self._store.remove_face(journal, known.id)
        self._note_rejection(journal, person, content_hash, box)
        summary = f"said that a {self._what} is not {self._name(person)}"
        return summary + (" and took it out" if taken_out else "")

    def _note_rejection(self, journal: Journal, person: int, content_hash: str, box: Box) -> None:
        """Note that the face at `box` is not a person, if that is not noted yet."""
        said = self._store.rejections(content_hash)
        if not any(r.person_id == person and same_place(r.box, box) for r in said):
            where = dict(zip(BOX_COLUMNS, box, strict=True))
            journal.insert(
                "rejection", {"content_hash": content_hash, **where, "person_id": person}
            )

    def dismiss(self, photo: PhotoFile, verdict: str, number: int | None = None) -> Decision:
        """Say of a face of `photo` that nobody is to be named: it is a "stranger", or "no face".

        If it is enrolled, it is taken out. Until it is confirmed to be somebody it gets no name,
        and no template of it is stored: all that is known of it is its place. `number` as in
        `confirm`. Raises PhotoError, FaceError.
        """
        read = read_photo(photo)
        detected = self._model.detector.detect(read)
        box = detected[self._place(photo, detected, number)].box
        with self._deciding() as journal:
            person = self._dismiss(journal, verdict, read.content_hash, box)
            summary = f"said that {self._dismissed(1, verdict)}"
            summary += "" if person is None else " and took it out"
            where = (read.content_hash, photo)
            return self._decide("dismiss", summary, journal, person, photo=where)

    def _dismiss(self, journal: Journal, verdict: str, content_hash: str, box: Box) -> int | None:
        """Note that nobody is to be named at `box`; return who was enrolled from there."""
        if verdict not in VERDICTS:
            raise ValueError(f"a {self._what} is dismissed as {' or '.join(VERDICTS)}")
        known = self._enrolled(content_hash, box)
        if known is not None:
            self._store.remove_face(journal, known.id)
        there = [d for d in self._store.dismissals(content_hash) if same_place(d.box, box)]
        if [d.verdict for d in there] != [verdict]:
            for other in there:
                journal.delete("dismissal", other.id)
            where = dict(zip(BOX_COLUMNS, box, strict=True))
            journal.insert("dismissal", {"content_hash": content_hash, **where, "verdict": verdict})
        return known.person_id if known is not None else None

    def _dismissed(self, n_faces: int, verdict: str) -> str:
        """Return what is said of faces that are dismissed."""
        some = f"a {self._what}" if n_faces == 1 else self._counted(n_faces)
        if verdict == "no face":
            return f"what was taken for {some} is none"
        return f"{some} {'is' if n_faces == 1 else 'are'} a stranger's"

    def _pointed_at(
        self, photo: PhotoFile, name: str, number: int | None
    ) -> tuple[str, Box, PhotoFile]:
        """Return content hash, box and path of the face that `reject` is about."""
        if number is None and not Path(photo).exists():
            with self._store.snapshot(), suppress(FaceError):
                person = self._person(name)
                faces = self._faces_on(person, [photo])
                paths = {face.id: (path, face) for path, face in self._store.faces_of(person)}
                if len(faces) == 1:
                    path, known = paths[faces[0]]
                    return known.content_hash, known.box, path or photo
        read = read_photo(photo)
        detected = self._model.detector.detect(read)
        return read.content_hash, detected[self._place(photo, detected, number)].box, photo

    # Of faces that wait for a decision, wherever that is made first

    def said_of(self, face: "UnnamedFace") -> str | None:
        """Return what a human said of a face: whose it is, or why nobody's; None if nothing."""
        known = self._enrolled(face.content_hash, face.box)
        if known is not None and known.assigned_by == "human":
            return f"this {self._what} is enrolled as {known.person}"
        for dismissal in self._store.dismissals(face.content_hash):
            if same_place(dismissal.box, face.box):
                return f"a human said that {self._dismissed(1, dismissal.verdict)}"
        return None

    def undecided(self, faces: Sequence["UnnamedFace"]) -> list["UnnamedFace"]:
        """Return those of `faces` about which no human decided; raises Refused if none is left."""
        said = {face: self.said_of(face) for face in faces}
        left = [face for face in faces if said[face] is None]
        if not left:
            raise Refused(f"that was decided meanwhile: {said[faces[0]]}")
        return left

    def confirm_waiting(
        self, face: "UnnamedFace", seen: Seen, name: str, *, known: bool = False
    ) -> Decision:
        """Say that a face is `name`, whom somebody bears or nobody yet; as `confirm` does.

        `seen` is that one face; `known` as in `confirm_all`. Refused if a human decided about it
        meanwhile.
        """
        with self._deciding() as journal:
            self.undecided([face])
            person = self._person(name) if known else self._somebody(journal, name)
            return self._confirm(journal, face.photo, seen, 0, person)

    def reject_waiting(self, faces: Sequence["UnnamedFace"], name: str) -> Decision:
        """Say that faces are not `name`, for ever: as one decision, see `reject`.

        Those are left out about which a human decided meanwhile; Refused if none is left.
        """
        with self._deciding() as journal:
            person = self._person(name)
            left = self.undecided(faces)
            for face in left:
                self._reject(journal, person, face.content_hash, face.box)
            some = f"a {self._what} is" if len(left) == 1 else f"{self._counted(len(left))} are"
            summary = f"said that {some} not {self._name(person)}"
            return self._decide("reject", summary, journal, person, photo=the_photo(left))

    def dismiss_waiting(self, faces: Sequence["UnnamedFace"], verdict: str) -> Decision:
        """Say of faces that nobody is to be named: as one decision, see `dismiss`.

        Those are left out about which a human decided meanwhile; Refused if none is left.
        """
        with self._deciding() as journal:
            left = self.undecided(faces)
            taken_out = [
                self._dismiss(journal, verdict, face.content_hash, face.box) for face in left
            ]
            people = [person for person in taken_out if person is not None]
            summary = f"said that {self._dismissed(len(left), verdict)}"
            return self._decide("dismiss", summary, journal, None, people, photo=the_photo(left))

    def not_same(self, name: str, other: str) -> Decision:
        """Say that two people are not one, for ever: nothing proposes or allows to merge them."""
        with self._deciding() as journal:
            first, second = sorted((self._person(name), self._person(other)))
            if first == second:
                raise Refused(f"{name} and {other} are one person in this gallery; split them")
            rows = {(a, b): row for row, a, b in self._store.not_same()}
            row = rows.get((first, second))
            if row is not None and self._is_implied(row):
                journal.delete("not_same", row)  # and said anew, so that a merge will not do
                row = None
            if row is None:
                journal.insert("not_same", {"person_a": first, "person_b": second})
            names = self._store.names([first, second])
            summary = f"said that {names[first]} and {names[second]} are two people"
            return self._decide("not-same", summary, journal, first, [second])

    def not_same_photos(self, pairs: Iterable[tuple[str, str]]) -> Decision:
        """Say of pairs of photos, by their content hashes, that they are not one picture."""
        with self._deciding() as journal:
            new = {(min(pair), max(pair)) for pair in pairs} - self._store.not_same_photos()
            for first, second in sorted(new):
                if first == second:
                    raise Refused("a picture is the same as itself")
                journal.insert("not_same_photo", {"hash_a": first, "hash_b": second})
            pairs_of = "a pair" if len(new) == 1 else f"{len(new):,} pairs"
            summary = f"said of {pairs_of} of photos that they are not one picture"
            return self._decide("not-same-photo", summary, journal, None)

    def different_photos(self) -> set[frozenset[str]]:
        """Return the pairs of content hashes that a human said are not one picture."""
        return {frozenset(pair) for pair in self._store.not_same_photos()}

    def rename(self, name: str, new_name: str) -> Decision:
        """Give a person another name; Refused if somebody else bears it."""
        new_name = person_name(new_name)
        with self._deciding() as journal:
            person = self._person(name)
            if self._store.person_id(new_name) not in (None, person):
                raise Refused(f"there is a person called {new_name} already")
            name = self._name(person)
            if name != new_name:
                journal.update("person", person, name=new_name)
            return self._decide("rename", f"renamed {name} to {new_name}", journal, person)

    # History

    def history(self, name: str | None = None, limit: int | None = None) -> list[Decision]:
        """Return the decisions, newest first: all, or those about the person called `name`.

        Those about people who were merged into them are among them.
        """
        with self._store.snapshot():
            person = None if name is None else self._person(name)
            undone = self._log.undone()
            return [self._entry(run, undone) for run in self._log.newest(person, limit=limit)]

    def gone_person(self, name: str) -> int | None:
        """Return the id of who was called `name` if nothing but decisions is left of them."""
        wanted = person_name(name)
        there = self._store.person_id(wanted) is not None
        return None if there else self._log.gone_person(wanted)

    def _entry(
        self, run: Sequence[DecisionRow], undone: Mapping[int, int] | None = None
    ) -> Decision:
        """Return decisions that were made at once as they are told, as one."""
        first = run[0]
        photo = first.payload.get("photo")
        path = photo[1] if photo else None
        if first.kind == "enroll":
            summary, n_enrolled = self._enrollment(first.run)
        else:
            summary, n_enrolled = self._summary(run), 0
        if n_enrolled == 1:
            ((_, _, path),) = self._log.enrollments([first.id]).values()
        rows = {(change.table, change.id) for row in run for change in row.changes}
        changed = Counter(table for table, _ in sorted(rows))
        if n_enrolled:  # which notes no changes
            changed.update(face=n_enrolled, template=n_enrolled)
        return Decision(
            *(first.run, first.made_at, first.made_by, first.kind, summary, path),
            undoes=self._log.to_tell(first.undoes)[0].run if first.undoes else None,
            undone_by=(undone or {}).get(first.id),
            changed=dict(changed),
        )

    def _summary(self, run: Sequence[DecisionRow]) -> str:
        """Return what decisions that were made at once decided, in the past tense."""
        first = run[0]
        if first.kind == "forget":
            return "forgot somebody"
        if first.kind == "enroll":
            return self._enrollment(first.run)[0]
        if first.undoes is not None:
            undone = self._log.to_tell(first.undoes)
            return f"undid {undone[0].run}: {self._summary(undone)}"
        summaries = [row.payload["summary"] for row in run]
        more = len(run) - SAID_IN_FULL
        return "; ".join(
            summaries[:SAID_IN_FULL] + ([f"and {more:,} more like these"] if more > 0 else [])
        )

    def _enrollment(self, run: int) -> tuple[str, int]:
        """Return what a run of enrollments is called, and how many faces it stored.

        The people have their names of now, or of when they went.
        """
        n_faces, n_people, some = self._log.enrolled(run, SAID_IN_FULL)
        names = self._store.names(some)
        called = [names.get(person) or self._log.last_name(person) for person in some]
        words = [name or "somebody who is not there any more" for name in called]
        if n_people > len(some):
            words[-1:] = [f"{n_people - len(some) + 1:,} others"]
        people = " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
        return f"enrolled {self._counted(n_faces)} of {people}", n_faces

    def undo(self, number: int | None = None) -> Decision:
        """Undo a decision, without a number the last that is not undone; undoings too, by number.

        Refused if it is undone already, if what it was about is not any more as it left it (the
        sentence names the decision to undo before it), or if it was a forgetting.
        """
        with self._deciding():
            undone = self._to_undo(number)
            undoing: list[DecisionRow] = []
            for row in reversed(undone):
                undoing.append(self._undo(row, undone, undoing))
            return self._entry(undoing)

    def _undo(
        self, row: DecisionRow, run: Sequence[DecisionRow], undoing: Sequence[DecisionRow]
    ) -> DecisionRow:
        """Undo one decision of `run` and append that to `undoing`; raises Refused."""
        journal = self._store.journal()
        try:
            if row.kind == "enroll":
                self._withdraw(journal, row)
            else:
                journal.revert(row.changes)
            self._check_places(journal.changes)
        except NotAsLeft as error:
            raise Refused(self._what_is_later(run, error)) from error
        except NameTaken as error:
            raise Refused(
                f"{row.run} cannot be undone: somebody else is called {error} now; "
                "rename them first"
            ) from error
        return self._append(
            *("undo", journal, row.person_id, self._log.others_of(row.id)),
            photo=row.payload.get("photo"),
            undoes=row.id,
            run=undoing,
        )

    def _to_undo(self, number: int | None) -> list[DecisionRow]:
        """Return what has that number, or the last that can be undone; raises Refused."""
        if number is None:
            number = self._log.last()
            if number is None:
                raise Refused("there is nothing to undo")
        run = self._log.run_of(number)
        if not run:
            raise Refused(f"there is no decision {number}; facesearch history lists them")
        if run[0].kind == "forget":
            raise Refused("forgetting cannot be undone: nothing is left of who was forgotten")
        by = self._log.undone().get(run[0].id)
        if by is not None:
            raise Refused(f"{run[0].run} is undone already, by {by}")
        return run

    def _withdraw(self, journal: Journal, row: DecisionRow) -> None:
        """Undo an enrollment, the changes of which are not noted: they follow from the face."""
        face, person = row.face_id, row.person_id
        if face is None or person is None:
            raise Refused(f"{row.id} is an enrollment that says too little to be undone")
        found = self._store.face(face)
        if found is None or found.person_id != person:
            raise NotAsLeft("face", face)
        self._store.remove_face(journal, face)
        came_by_it = self._log.first_about(person) == row.id
        if came_by_it and not journal.is_used("person", person):
            journal.delete("person", person)

    def _check_places(self, changes: Sequence[Change]) -> None:
        """Raise NotAsLeft if a face that came back is another's by now, or was rejected as theirs.

        So are rejections that came back.
        """
        for table, row, _, after in changes:
            if after is None:
                continue
            if table == "face":
                face = self._store.face(row)
                if face is None:  # it went again
                    continue
                for other in self._store.known_faces(face.content_hash):
                    if other.id != row and same_place(other.box, face.box):
                        raise NotAsLeft("face", other.id)
                for rejection in self._store.rejections(face.content_hash):
                    same_person = rejection.person_id == face.person_id
                    if same_person and same_place(rejection.box, face.box):
                        raise NotAsLeft("rejection", rejection.id)
                for dismissal in self._store.dismissals(face.content_hash):
                    if same_place(dismissal.box, face.box):
                        raise NotAsLeft("dismissal", dismissal.id)
            elif table == "rejection":
                (rejection,) = self._store.rejection(row)
                known = self._enrolled(rejection.content_hash, rejection.box)
                if known is not None and known.person_id == rejection.person_id:
                    raise NotAsLeft("face", known.id)
            elif table == "dismissal":
                for dismissal in self._store.dismissal(row):  # none if it went again
                    self._check_dismissal(dismissal)

    def _check_dismissal(self, dismissal: Dismissal) -> None:
        """Raise NotAsLeft if a face is enrolled there, or another is dismissed, since."""
        known = self._enrolled(dismissal.content_hash, dismissal.box)
        if known is not None:
            raise NotAsLeft("face", known.id)
        for other in self._store.dismissals(dismissal.content_hash):
            if other.id != dismissal.id and same_place(other.box, dismissal.box):
                raise NotAsLeft("dismissal", other.id)

    def _what_is_later(self, run: Sequence[DecisionRow], error: NotAsLeft) -> str:
        """Return the sentence that says why `run` cannot be undone."""
        number, undone = run[0].run, self._log.undone()
        for later in self._log.on(error.table, error.row):
            if later.run > number and later.id not in undone:
                told = self._summary(self._log.to_tell(later.run))
                return f"{number} cannot be undone before {later.run} is, which came later ({told})"
        return f"{number} cannot be undone any more: what it was about was forgotten"

    # What the verbs share

    @contextmanager
    def _deciding(self, dry_run: bool = False) -> Iterator[Journal]:
        """Let everything inside be one step, which is rolled back if it is only tried."""
        try:
            with self._store.transaction():
                yield self._store.journal()
                if dry_run:
                    raise _OnlyTried
        except _OnlyTried:
            pass

    def _decide(
        self,
        kind: str,
        summary: str,
        journal: Journal,
        person: int | None,
        others: Iterable[int] = (),
        *,
        photo: tuple[str, PhotoFile] | None = None,
        dry_run: bool = False,
    ) -> Decision:
        """Append the decision that made the changes in `journal`, if it made any; return it."""
        where = None
        if photo is not None:
            content_hash, file = photo
            where = (content_hash, readable(str(Path(file).absolute())))
        if not journal.changes:
            path = where[1] if where else None
            return Decision(None, now(), "human", kind, summary, path, None, None, {})
        row = self._append(kind, journal, person, others, summary=summary, photo=where)
        decision = self._entry([row])
        return replace(decision, id=None) if dry_run else decision

    def _append(
        self,
        kind: str,
        journal: Journal,
        person: int | None,
        others: Iterable[int],
        *,
        summary: str | None = None,
        photo: tuple[str, str] | None = None,
        undoes: int | None = None,
        run: Sequence[DecisionRow] = (),
    ) -> DecisionRow:
        """Append the decision that made the changes in `journal` to the log, after those of `run`.

        An undoing needs no summary: it is told by what it undid.
        """
        said = {"summary": summary, "photo": photo}
        payload = {key: value for key, value in said.items() if value is not None}
        return self._log.append(
            kind,
            person_id=person,
            others=others,
            payload={**payload, "changes": journal.changes},
            undoes=undoes,
            run=run[0].id if run else None,
        )

    def _person(self, name: str) -> int:
        return person_id(self._store, self._log, name)

    def _name(self, person: int) -> str:
        return self._store.names([person])[person]

    def _known_or_new(self, journal: Journal, name: str) -> int:
        known = self._store.person_id(person_name(name))
        return self._new_person(journal, person_name(name)) if known is None else known

    def _somebody(self, journal: Journal, name: str) -> int:
        """Return who is called `name`, or was until they were merged; else somebody new."""
        known = self._store.person_id(person_name(name))
        if known is not None:
            return known
        merged = self._log.merged(person_name(name))
        return merged[1] if merged else self._new_person(journal, person_name(name))

    def _new_person(self, journal: Journal, name: str) -> int:
        if self._store.person_id(name) is not None:
            raise Refused(f"there is a person called {name} already")
        return journal.insert("person", {"name": name, "created_at": now()})

    @property
    def _what(self) -> str:
        return subject(self._model.manifest)

    def _counted(self, n_faces: int) -> str:
        return f"{n_faces:,} {self._what}{'' if n_faces == 1 else 's'}"

    def _place(self, photo: PhotoFile, faces: Sequence[Face], number: int | None) -> int:
        """Return the place of face `number` among the `faces` of `photo`; raises FaceError."""
        if not faces:
            raise FaceError(f"{photo}: no {self._what} found")
        shown = f"{photo} shows {self._counted(len(faces))}"
        if number is None and len(faces) > 1:
            raise FaceError(f"{shown}: say which one, from 1 to {len(faces)} as identify counts")
        if number is not None and not 1 <= number <= len(faces):
            raise FaceError(f"{shown}, so there is no {self._what} {number}")
        return (number or 1) - 1

    def _enrolled(self, content_hash: str, box: Box) -> KnownFace | None:
        """Return the enrolled face at `box` of the photo with these bytes, None if none is."""
        known = self._store.known_faces(content_hash)
        return next((face for face in known if same_place(face.box, box)), None)

    def _faces_on(self, person: int, photos: Iterable[EnrolledOn]) -> list[int]:
        """Return the ids of a person's faces on `photos`; raises FaceError if one shows none.

        A photo is known by its bytes, by their hash, or, when the file is gone, by where it was.
        """
        by_hash: dict[str, list[int]] = {}
        hash_at: dict[str, str] = {}
        theirs = self._store.faces_of(person)
        for path, face in theirs:
            by_hash.setdefault(face.content_hash, []).append(face.id)
            if path is not None:
                hash_at[os.path.realpath(path)] = face.content_hash
        faces: dict[int, None] = {}
        for photo in photos:
            if isinstance(photo, KnownFace):
                if all(photo.id != face.id for _, face in theirs):
                    raise FaceError(f"this {self._what} is not enrolled as {self._name(person)}")
                faces[photo.id] = None
                continue
            was = hash_at.get(os.path.realpath(readable(os.fspath(photo))))
            now_there = file_hash(photo)
            found = by_hash.get(now_there or was or os.fspath(photo).lower())
            if not found and now_there and was:
                raise FaceError(
                    f"{photo} is another picture than {self._name(person)} was enrolled from; "
                    f"name that one by its hash, {was}"
                )
            if not found:
                raise FaceError(f"{self._name(person)} is not enrolled from {photo}")
            faces.update(dict.fromkeys(found))
        if not faces:
            raise FaceError("no photo was named")
        return list(faces)


def the_photo(faces: Sequence["UnnamedFace"]) -> tuple[str, PhotoFile] | None:
    """Return content hash and path of the photo that a decision is about, if it is about one."""
    return (faces[0].content_hash, faces[0].photo) if len(faces) == 1 else None


class _OnlyTried(Exception):
    """Ends a transaction that is not to be stored."""


def undo_of(said: Sequence[DecisionRow]) -> str:
    """Return the end of a sentence that a decision forbids something: how to allow it."""
    return f" in decision {said[0].id}; undo that first" if said else ""


def person_name(name: str) -> str:
    """Return `name` as it is stored: composed (NFC), without spaces around it.

    Raises ValueError if nothing is left, or it holds control characters or bytes that are no text.
    """
    composed = unicodedata.normalize("NFC", name).strip()
    if not composed or any(unicodedata.category(c) in ("Cc", "Cs") for c in composed):
        raise ValueError(f"{name!r} is no name for a person")
    return composed


def person_id(store: Store, log: DecisionLog, name: str) -> int:
    """Return the id of the person called `name`; raises UnknownPerson, ValueError.

    Somebody who was merged into another has no id any more; the sentence says into whom.
    """
    wanted = person_name(name)
    found = store.person_id(wanted)
    if found is not None:
        return found
    near = [other for other in store.every_name() if folded(other) == folded(wanted)]
    hint = f"; is it {near[0]}?" if near else ""
    merged = log.merged(wanted)
    if merged is not None:
        number, into = merged
        (who,) = store.names([into]).values()
        hint = f": {name} was merged into {who} in decision {number}"
    raise UnknownPerson(f"nobody called {name} is enrolled in {store.path}{hint}")


def folded(name: str) -> str:
    """Return what is left of `name` without case, accents and spaces: equal for likely typos."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    if not letters.isascii():  # a search folds every name, while one types
        letters = "".join(c for c in letters if not unicodedata.combining(c))
    return "".join(letters.split())
