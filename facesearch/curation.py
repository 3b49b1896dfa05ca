"""What humans decide about the people of a gallery, each decision journalled and undoable.

merge, split, move, confirm, reject, not-same, rename: every verb is one transaction that changes
rows through a journal and appends one decision with these changes. Undoing is a decision whose
changes are the inverse. Why, and what undo refuses: docs/decisions/0009-curation.md.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from facesearch.alignment import sharpness
from facesearch.detection import Face
from facesearch.errors import FaceError, GalleryError, UnknownPerson
from facesearch.identification import look
from facesearch.model import Model, subject
from facesearch.photo import read_photo
from facesearch.storage.journal import Change, Journal, NameTaken, NotAsLeft
from facesearch.storage.store import (
    BOX_COLUMNS,
    Box,
    DecisionRow,
    FaceRow,
    KnownFace,
    Store,
    now,
    readable,
    same_place,
)

PhotoFile = str | os.PathLike[str]


class Refused(GalleryError):
    """What an earlier decision or the state of the gallery forbids; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An entry of the gallery's history, or what a verb did or would do."""

    id: int | None  # None: nothing was stored, since it was only tried or was so already
    made_at: str
    made_by: str  # "human" or "machine"
    kind: str  # enroll, merge, split, move, confirm, reject, not-same, rename, undo, forget, ...
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

    def merge(self, names: Iterable[str], into: str, *, dry_run: bool = False) -> Decision:
        """Make the people called `names` one with `into`: their faces, and what was said of them.

        Refused if a human said that two of them are not one person, or that a face is not who it
        would be.
        """
        with self._deciding(dry_run) as journal:
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
            return self._decide("merge", summary, journal, target, sources, dry_run=dry_run)

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
            said = self._store.decisions_on("not_same", row)[-1:]
            names = self._store.names([a, b])
            raise Refused(f"{names[a]} and {names[b]} are two people, a human said{undo_of(said)}")

    def _is_implied(self, pair: int) -> bool:
        """Return whether nobody said of a pair that it is not one person, but it was split."""
        return [said.kind for said in self._store.decisions_on("not_same", pair)[-1:]] == ["split"]

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
                    said = self._store.decisions_on("rejection", rejection.id)[-1:]
                    raise Refused(
                        "a face of the one was rejected as the other, so they are two people"
                        f"{undo_of(said)}"
                    )

    def split(
        self, name: str, photos: Iterable[PhotoFile], new_name: str, *, dry_run: bool = False
    ) -> Decision:
        """Make the faces of `name` on `photos` a new person, who is not `name` from now on.

        Refused if there is a `new_name` already, or nothing would be left of `name`. Raises
        FaceError for a photo from which `name` is not enrolled.
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
        self, photos: Iterable[PhotoFile], name: str, to: str, *, dry_run: bool = False
    ) -> Decision:
        """Make the faces of `name` on `photos` faces of `to`.

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

    def _drop_rejections(self, journal: Journal, person: int) -> None:
        """Delete the rejections that a human has just contradicted: the last word counts."""
        for rejection in self._store.rejections_of(person):
            faces = self._store.known_faces(rejection.content_hash)
            if any(f.person_id == person and same_place(f.box, rejection.box) for f in faces):
                journal.delete("rejection", rejection.id)

    def confirm(
        self, photo: PhotoFile, name: str, number: int | None = None, *, new: bool = False
    ) -> Decision:
        """Say that a face of `photo` is `name`: it is enrolled as theirs, whatever it was before.

        `number` counts the faces as `identify` lists them, from 1; None is the only one. With
        `new` the name may be one that nobody bears. Raises PhotoError, FaceError.
        """
        seen = look(read_photo(photo), self._model, mirrored=True)
        place = self._place(photo, seen.faces, number)
        face = seen.faces[place]
        with self._deciding() as journal:
            person = self._store.person_id(person_name(name)) if new else self._person(name)
            if person is None:
                person = self._new_person(journal, person_name(name))
            others = []
            known = self._enrolled(seen.content_hash, face.box)
            if known is None:
                self._store.insert_face(
                    journal,
                    person,
                    (seen.content_hash, str(Path(photo).absolute()), seen.width, seen.height),
                    FaceRow(face.box, face.landmarks, face.score, sharpness(seen.crops[place])),
                    seen.embeddings[place],
                    self._model.fingerprint,
                    "human",
                )
            elif (known.person_id, known.assigned_by) != (person, "human"):
                others = [known.person_id] if known.person_id != person else []
                journal.update("face", known.id, person_id=person, assigned_by="human")
            self._drop_rejections(journal, person)
            summary = f"said that a {self._what} is {self._name(person)}"
            if known is not None and others:
                summary += f" and not {known.person}"
            where = (seen.content_hash, photo)
            return self._decide("confirm", summary, journal, person, others, photo=where)

    def reject(self, photo: PhotoFile, name: str, number: int | None = None) -> Decision:
        """Say that a face of `photo` is not `name`, for ever; if it is enrolled so, take it out.

        `number` as in `confirm`. Raises PhotoError, FaceError.
        """
        read = read_photo(photo)
        faces = self._model.detector.detect(read)
        box = faces[self._place(photo, faces, number)].box
        with self._deciding() as journal:
            person = self._person(name)
            known = self._enrolled(read.content_hash, box)
            taken_out = known is not None and known.person_id == person
            if known is not None and taken_out:
                self._store.remove_face(journal, known.id)
            said = self._store.rejections(read.content_hash)
            if not any(r.person_id == person and same_place(r.box, box) for r in said):
                where = dict(zip(BOX_COLUMNS, box, strict=True))
                journal.insert(
                    "rejection",
                    {"content_hash": read.content_hash, **where, "person_id": person},
                )
            summary = f"said that a {self._what} is not {self._name(person)}"
            summary += " and took it out" if taken_out else ""
            photo_of_it = (read.content_hash, photo)
            return self._decide("reject", summary, journal, person, photo=photo_of_it)

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
            rows = self._store.decisions(person, limit=limit)
            enrolled = self._store.enrollments([row.id for row in rows if row.kind == "enroll"])
            undone = self._store.undone()
        return [
            self._entry(row, undone.get(row.id), enrolled.get(row.id, (None, None))) for row in rows
        ]

    def is_gone(self, name: str) -> bool:
        """Return whether nothing but decisions is left of who was called `name`."""
        wanted = person_name(name)
        return self._store.person_id(wanted) is None and self._store.gone_person(wanted) is not None

    def _entry(
        self,
        row: DecisionRow,
        undone_by: int | None,
        enrolled: tuple[str | None, str | None] = (None, None),
    ) -> Decision:
        """Return `row` as it is told; `enrolled` is whom and from where if it is an enrollment."""
        summary = row.payload.get("summary", "")
        photo = row.payload.get("photo")
        path = photo[1] if photo else None
        if row.kind == "enroll":
            name, path = enrolled
            summary = f"enrolled a {self._what} of {name or 'somebody who is not there any more'}"
        elif row.kind == "forget":
            summary = "forgot somebody"
        changed: dict[str, int] = {}
        for table, _ in {(change.table, change.id) for change in row.changes}:
            changed[table] = changed.get(table, 0) + 1
        return Decision(
            *(row.id, row.made_at, row.made_by, row.kind, summary, path),
            undoes=row.undoes,
            undone_by=undone_by,
            changed=changed,
        )

    def undo(self, number: int | None = None) -> Decision:
        """Undo a decision, without a number the last that is not undone; undoings too, by number.

        Refused if it is undone already, if what it was about is not any more as it left it (the
        sentence names the decision to undo before it), or if it was a forgetting.
        """
        with self._deciding() as journal:
            row = self._to_undo(number)
            summary = f"undid {row.id}: {self._summary(row)}"
            try:
                if row.kind == "enroll":
                    self._withdraw(journal, row)
                else:
                    journal.revert(row.changes)
                self._check_places(journal.changes)
            except NotAsLeft as error:
                raise Refused(self._what_is_later(row, error)) from error
            except NameTaken as error:
                raise Refused(
                    f"{row.id} cannot be undone: somebody else is called {error} now; "
                    "rename them first"
                ) from error
            others = self._store.others_of(row.id)
            photo = row.payload.get("photo")
            return self._decide(
                "undo", summary, journal, row.person_id, others, photo=photo, undoes=row.id
            )

    def _to_undo(self, number: int | None) -> DecisionRow:
        """Return the decision with that number, or the last that can be; raises Refused."""
        undone = self._store.undone()
        if number is None:
            number = self._store.last_decision()
            if number is None:
                raise Refused("there is nothing to undo")
        row = self._store.decision(number)
        if row is None:
            raise Refused(f"there is no decision {number}; facesearch history lists them")
        if row.kind == "forget":
            raise Refused("forgetting cannot be undone: nothing is left of who was forgotten")
        if number in undone:
            raise Refused(f"{number} is undone already, by {undone[number]}")
        return row

    def _withdraw(self, journal: Journal, row: DecisionRow) -> None:
        """Undo an enrollment, the changes of which are not noted: they follow from the face."""
        face, person = row.face_id, row.person_id
        if face is None or person is None:
            raise Refused(f"{row.id} is an enrollment that says too little to be undone")
        found = self._store.face(face)
        if found is None or found[1].person_id != person:
            raise NotAsLeft("face", face)
        self._store.remove_face(journal, face)
        came_by_it = self._store.first_decision_about(person) == row.id
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
                found = self._store.face(row)
                if found is None:  # it went again
                    continue
                content_hash, face = found
                for other in self._store.known_faces(content_hash):
                    if other.id != row and same_place(other.box, face.box):
                        raise NotAsLeft("face", other.id)
                for rejection in self._store.rejections(content_hash):
                    same_person = rejection.person_id == face.person_id
                    if same_person and same_place(rejection.box, face.box):
                        raise NotAsLeft("rejection", rejection.id)
            elif table == "rejection":
                (rejection,) = self._store.rejection(row)
                known = self._enrolled(rejection.content_hash, rejection.box)
                if known is not None and known.person_id == rejection.person_id:
                    raise NotAsLeft("face", known.id)

    def _what_is_later(self, row: DecisionRow, error: NotAsLeft) -> str:
        """Return the sentence that says why `row` cannot be undone."""
        undone = self._store.undone()
        for later in self._store.decisions_on(error.table, error.row):
            if later.id > row.id and later.id not in undone:
                return (
                    f"{row.id} cannot be undone before {later.id} is, which came later "
                    f"({self._summary(later)})"
                )
        return f"{row.id} cannot be undone any more: what it was about was forgotten"

    def _summary(self, row: DecisionRow) -> str:
        enrolled = self._store.enrollments([row.id])
        return self._entry(row, None, enrolled[row.id]).summary

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
        undoes: int | None = None,
        dry_run: bool = False,
    ) -> Decision:
        """Append the decision that made the changes in `journal`; return it.

        Nothing is appended if it changed nothing; an undoing always is.
        """
        payload = {"summary": summary, "changes": journal.changes}
        if photo is not None:
            content_hash, path = photo
            payload["photo"] = (content_hash, readable(str(Path(path).absolute())))
        if not (journal.changes or undoes):
            row = DecisionRow(0, now(), "human", kind, person, None, payload, None)
            return replace(self._entry(row, None), id=None)
        number = self._store.decide(
            kind, person_id=person, others=others, payload=payload, undoes=undoes
        )
        (row,) = self._store.decisions(limit=1)
        decision = self._entry(row, None)
        return replace(decision, id=None if dry_run else number)

    def _person(self, name: str) -> int:
        return person_id(self._store, name)

    def _name(self, person: int) -> str:
        return self._store.names([person])[person]

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

    def _faces_on(self, person: int, photos: Iterable[PhotoFile]) -> list[int]:
        """Return the ids of a person's faces on `photos`; raises FaceError if one shows none.

        A photo is known by its bytes, or by where it was when it was enrolled.
        """
        by_photo: dict[str, list[int]] = {}
        for face, content_hash, path in self._store.photos_of(person):
            for handle in {content_hash, path or content_hash}:
                by_photo.setdefault(handle, []).append(face)
        faces: dict[int, None] = {}
        for photo in photos:
            found = by_photo.get(hash_of(photo)) or by_photo.get(
                readable(str(Path(photo).absolute()))
            )
            if not found:
                raise FaceError(f"{self._name(person)} is not enrolled from {photo}")
            faces.update(dict.fromkeys(found))
        if not faces:
            raise FaceError("no photo was named")
        return list(faces)


class _OnlyTried(Exception):
    """Ends a transaction that is not to be stored."""


def undo_of(said: Sequence[DecisionRow]) -> str:
    """Return the end of a sentence that a decision forbids something: how to allow it."""
    return f" in decision {said[0].id}; undo that first" if said else ""


def hash_of(photo: PhotoFile) -> str:
    """Return the content hash of a file, nothing if it cannot be read."""
    try:
        with Path(photo).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def person_name(name: str) -> str:
    """Return `name` as it is stored: composed (NFC), without spaces around it.

    Raises ValueError if nothing is left, or it holds control characters or bytes that are no text.
    """
    composed = unicodedata.normalize("NFC", name).strip()
    if not composed or any(unicodedata.category(c) in ("Cc", "Cs") for c in composed):
        raise ValueError(f"{name!r} is no name for a person")
    return composed


def person_id(store: Store, name: str, *, gone: bool = False) -> int:
    """Return the id of the person called `name`; raises UnknownPerson, ValueError.

    With `gone` also of somebody of whom only decisions are left.
    """
    wanted = person_name(name)
    found = store.person_id(wanted)
    if found is None and gone:
        found = store.gone_person(wanted)
    if found is None:
        near = [other for other in store.every_name() if folded(other) == folded(wanted)]
        hint = f"; is it {near[0]}?" if near else ""
        raise UnknownPerson(f"nobody called {name} is enrolled in {store.path}{hint}")
    return found


def folded(name: str) -> str:
    """Return what is left of `name` without case, accents and spaces: equal for likely typos."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    kept = (c for c in letters if not unicodedata.combining(c) and not c.isspace())
    return "".join(kept)
