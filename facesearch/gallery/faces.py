"""What humans say of faces: whose one is, whose it is not, or that nobody is to be named.

Every verb takes places in photos or enrolled faces, is one transaction and one entry of the
history, and can be undone. Why, and what undo refuses: docs/decisions/0009-curation.md.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from facesearch.alignment import sharpness
from facesearch.boxes import Box, FacePlace, same_place
from facesearch.errors import FaceError, Refused
from facesearch.gallery.decisions import MAX_LISTED, Decision, Decisions, nothing_stored
from facesearch.gallery.files import photo_folder
from facesearch.gallery.lookup import (
    FaceInPhoto,
    PhotoFace,
    PhotoFile,
    enrolled_faces_in,
    nth_face,
    only_photo,
)
from facesearch.gallery.person_rows import drop_rejections, new_person
from facesearch.gallery.session import Session
from facesearch.identification import look, referenced
from facesearch.names import new_person_name, person_name
from facesearch.openset import evenly
from facesearch.photo import read_photo
from facesearch.pictures import Picture
from facesearch.storage.decisions import DecisionRow
from facesearch.storage.journal import Journal
from facesearch.storage.photo_copies import copy_path, keep_copy
from facesearch.storage.rows import FaceRow, KnownFace, box_columns
from facesearch.storage.sqlite import reported

if TYPE_CHECKING:
    from facesearch.face_map import EnrolledFaces

VERDICTS = ("stranger", "no face")  # what a face can be dismissed as
Who = Literal["enrolled", "enrolled or new", "enrolled, merged or new"]
AnyFace = TypeVar("AnyFace", bound=FaceInPhoto)


class Faces:
    """The faces of a gallery; `Gallery.faces` is one.

    Names that nobody bears raise UnknownPerson, or ValueError if they cannot be names. What must
    not be raises Refused; then nothing is changed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._store = session.store
        self._decisions = Decisions(session)

    # Enrolled faces

    def get(self, face_id: int) -> tuple[str | None, KnownFace] | None:
        """Return an enrolled face and the path of its photo; None if it is gone."""
        with self._store.snapshot():
            face = self._store.faces.get(face_id)
            path = self._store.photos.path_of(face.content_hash) if face else None
        if face is None:
            return None
        if path is not None and not Path(path).is_file():
            # if the gallery was moved together with its copies of photos
            copy = photo_folder(self._session.path) / Path(path).name
            path = str(copy) if Path(path).stem == face.content_hash else path
        return path, face

    def as_stored(self, face: FaceInPhoto) -> FacePlace:
        """Return where a face is by its picture's identity, in the picture as it is stored.

        A face of a photo that no one has seen since a former version stays where that kept it.
        """
        return self._store.pictures.as_stored(FacePlace(face.content_hash, face.box))

    def sample(self, most: int) -> "EnrolledFaces":
        """Return all enrolled faces; of every k-th person if there are more than `most`."""
        from facesearch.face_map import EnrolledFaces

        with self._store.snapshot():
            counts = self._store.templates.count_by_person()
            people, n_faces = list(counts), sum(counts.values())
            chosen, n_chosen = people, len(people)
            while sum(counts[person] for person in chosen) > most and n_chosen > 1:
                n_chosen -= max(1, n_chosen // 20)
                chosen = [people[place] for place in evenly(len(people), n_chosen)]
            faces, owners, rows = self._store.templates.of_people_by_face(chosen)
        some = evenly(len(faces), min(most, len(faces)))  # fewer if one person has too many
        return EnrolledFaces(faces[some], owners[some], rows[some], n_faces, len(people))

    def keep_photo(self, photo: Path, picture: Picture) -> Path:
        """Return the path to enroll `photo` from, where its own file will not last.

        That is where the gallery knows this `picture` from, else a copy beside the gallery file.
        `forget` deletes the copy with the last person in it. Call this once more after enrolling
        the path: a `forget` of another program may have deleted the copy in between. Raises
        GalleryError if the copy cannot be made.
        """
        folder = photo_folder(self._session.path)
        key = self._session.kept(picture).key
        known = self._store.photos.path_of(key)
        if known is not None and known != str(copy_path(folder, photo, key)):
            return Path(known) if Path(known).is_file() else photo
        with reported(self._session.path):
            return keep_copy(folder, photo, key, picture.file_hash)

    # Places in photos

    def look_at(self, photo: PhotoFile, number: int | None = None) -> PhotoFace:
        """Return face `number` of `photo`, looked at closely enough to be enrolled.

        `number` counts faces as `identify` lists them, from 1; None is the only one. Raises
        PhotoError, FaceError.
        """
        seen = look(read_photo(photo), self._session.model)
        place = nth_face(self._session, photo, len(seen.faces), number)
        seen = seen.only(place)
        reference = referenced(seen, 0, self._session.model)
        kept = self._session.kept(seen.picture)
        return PhotoFace(kept.key, kept.box(seen.faces[0].box), photo, reference)

    def locate(
        self, photo: PhotoFile, number: int | None = None, enrolled_as: str | None = None
    ) -> PhotoFace:
        """Return where face `number` of `photo` is, without an embedding of it.

        `number` as in `look_at`. If the file is gone, None is the one enrolled from it as
        `enrolled_as`. Raises PhotoError, FaceError.
        """
        if number is None and enrolled_as is not None and not Path(photo).exists():
            with self._store.snapshot(), suppress(FaceError):
                person = self._session.person(enrolled_as)
                faces = enrolled_faces_in(self._session, person, [photo])
                known = {
                    face.id: (path, face) for path, face in self._store.faces.of_person(person)
                }
                if len(faces) == 1:
                    path, face = known[faces[0]]
                    return PhotoFace(face.content_hash, face.box, path or photo)
        read = read_photo(photo)
        detected = self._session.model.detector.detect(read)
        box = detected[nth_face(self._session, photo, len(detected), number)].box
        kept = self._session.kept(read.picture)
        return PhotoFace(kept.key, kept.box(box), photo)

    # Confirm

    def confirm(
        self,
        faces: Iterable[PhotoFace | KnownFace],
        name: str,
        *,
        who: Who = "enrolled",
        as_group: bool = False,
        unless_decided: bool = False,
        same_person_twice: bool = False,
    ) -> Decision:
        """Say that `faces`, each of which a human looked at, are `name`: they are enrolled so.

        A face of somebody else becomes theirs, and rejections or dismissals of it go. `who` says
        whose name it may be: somebody "enrolled", "or new", or also somebody "merged" into another,
        whose face it then becomes. An enrolled face has to be enrolled as `name` still, or
        FaceError is raised.

        `as_group`: nobody looked at each of them, so what a human said before outranks this. Such
        faces are in `Decision.left_out`; Refused if no face is left. `unless_decided`: leave out
        faces that a human has decided about meanwhile; Refused if no face is left.
        `same_person_twice`: a photo is a mirror or a collage, else NamedTwice is raised, and of a
        group one face is left out.
        """
        with self._decisions.deciding(same_person_twice=same_person_twice) as journal:
            chosen = self._chosen(faces, unless_decided)
            person = self._person(journal, name, who)
            if as_group:
                group = [face for face in chosen if isinstance(face, PhotoFace)]
                return self._confirm_group(journal, person, group, twice=same_person_twice)
            chosen = list(dict.fromkeys(chosen))
            enrolled = [face for face in chosen if isinstance(face, KnownFace)]
            if enrolled:
                enrolled_faces_in(self._session, person, enrolled)
            return self._confirm_each(journal, person, chosen)

    def _confirm_each(
        self, journal: Journal, person: int, faces: Sequence[PhotoFace | KnownFace]
    ) -> Decision:
        """Confirm faces one by one: a run of decisions, told as one."""
        run: list[DecisionRow] = []
        for face in faces:
            known = self._store.verdicts.of_photo(face.content_hash).enrolled_at(face.box)
            summary = f"said that a {self._session.what} is {self._session.name(person)}"
            others: list[int] = []
            if isinstance(face, KnownFace):
                journal.update("face", face.id, person_id=person, assigned_by="human")
            elif known is None:
                self._enroll(journal, person, face)
            elif not self._is_confirmed_as(known, person):
                journal.update("face", known.id, person_id=person, assigned_by="human")
            if known is not None and known.person_id != person:
                others = [known.person_id]
                summary += f" and not {known.person}"
            drop_rejections(self._store, journal, person)
            self._drop_dismissals(journal, face.content_hash, face.box)
            where = face.where if isinstance(face, PhotoFace) else None
            if journal.changes:
                row = self._decisions.append(
                    "confirm", journal, person, others, summary=summary, photo=where, run=run
                )
                run.append(row)
                journal = self._store.journal()
        if not run:  # all of them are confirmed already
            return nothing_stored("confirm", summary, where)
        return self._decisions.entry(run)

    def _confirm_group(
        self, journal: Journal, person: int, faces: Sequence[PhotoFace], *, twice: bool
    ) -> Decision:
        """Enroll faces that only were grouped, but those that a human said something else of."""
        left_out: list[tuple[str, str]] = []
        enrolled: list[PhotoFace] = []
        for face in faces:
            why = self._why_not(person, face, twice=twice)
            if why is not None:
                left_out.append((str(face.photo), why))
                continue
            self._enroll(journal, person, face)
            enrolled.append(face)
        if not enrolled:
            raise Refused("; ".join(f"{photo}: {why}" for photo, why in left_out[:MAX_LISTED]))
        summary = f"said that {self._are(len(enrolled))} {self._session.name(person)}"
        decision = self._decisions.decide(
            "confirm", summary, journal, person, photo=only_photo(enrolled)
        )
        return replace(decision, left_out=tuple(left_out))

    def _person(self, journal: Journal, name: str, who: Who) -> int:
        """Return the id of the person called `name`, making one if `who` allows that."""
        if who == "enrolled":
            return self._session.person(name)
        wanted = person_name(name)
        known = self._store.people.id_of(wanted)
        if known is not None:
            return known
        merged = self._session.log.merge_of(wanted) if who == "enrolled, merged or new" else None
        return merged[1] if merged else new_person(self._store, journal, new_person_name(wanted))

    def _is_confirmed_as(self, face: KnownFace, person: int) -> bool:
        """Return whether a human last said of this enrolled face alone that it is `person`."""
        if (face.person_id, face.assigned_by) != (person, "human"):
            return False
        log = self._session.log
        undone = log.undone()
        said = [row for row in log.that_changed("face", face.id) if row.id not in undone]
        return bool(said) and said[0].confirms_one_face

    def _why_not(self, person: int, face: PhotoFace, *, twice: bool) -> str | None:
        """Return why a grouped face is not to be taken for `person`, None if it may be."""
        said, what = self._store.verdicts.of_photo(face.content_hash), self._session.what
        known = said.enrolled_at(face.box)
        if known is not None:
            return f"this {what} is enrolled as {known.person}"
        if person in said.rejected_at(face.box):
            return f"a human said that this {what} is not {self._session.name(person)}"
        verdict = said.dismissed_at(face.box)
        if verdict is not None:
            return f"a human said that {self._dismissed(1, verdict)}"
        if not twice and any(other.person_id == person for other in said.enrolled):
            return f"another {what} of this photo is {self._session.name(person)}"
        return None

    def _enroll(self, journal: Journal, person: int, face: PhotoFace) -> None:
        """Store a face that was looked at as a person's, said by a human."""
        seen = face.seen
        if seen is None:
            raise ValueError("a face has to be looked at to be enrolled")
        found, kept = seen.faces[0], self._store.pictures.kept(seen.picture)
        landmarks = kept.points(found.landmarks)
        self._store.faces.insert(
            journal,
            person,
            (kept, str(Path(face.photo).absolute())),
            FaceRow(face.box, landmarks, found.score, sharpness(seen.crops[0])),
            seen.embeddings[0],
            self._session.model.fingerprint,
            "human",
        )

    def _drop_dismissals(self, journal: Journal, content_hash: str, box: Box) -> None:
        """Delete the dismissals of a face that a human has just contradicted."""
        for dismissal in self._store.verdicts.of_photo(content_hash).dismissals:
            if same_place(dismissal.box, box):
                journal.delete("dismissal", dismissal.id)

    # Reject

    def reject(
        self,
        faces: Iterable[PhotoFace | KnownFace],
        name: str,
        *,
        unless_decided: bool = False,
    ) -> Decision:
        """Say that `faces` are not `name`, permanently; those enrolled as `name` are taken out.

        An enrolled face has to be enrolled as `name` still, or FaceError is raised.
        `unless_decided` as in `confirm`.
        """
        with self._decisions.deciding() as journal:
            person = self._session.person(name)
            chosen = self._chosen(faces, unless_decided)
            enrolled = [face for face in chosen if isinstance(face, KnownFace)]
            if enrolled:
                return self._reject_enrolled(person, enrolled)
            places = [face for face in chosen if isinstance(face, PhotoFace)]
            said = [self._reject(journal, person, face.content_hash, face.box) for face in places]
            (summary, *more) = said
            if more:
                summary = f"said that {self._are(len(places))} not {self._session.name(person)}"
            return self._decisions.decide(
                "reject", summary, journal, person, photo=only_photo(places)
            )

    def _reject_enrolled(self, person: int, faces: Sequence[KnownFace]) -> Decision:
        """Reject enrolled faces one by one: a run of decisions, told as one."""
        run: list[DecisionRow] = []
        theirs = {face.id: (path, face) for path, face in self._store.faces.of_person(person)}
        for face_id in enrolled_faces_in(self._session, person, faces):
            path, face = theirs[face_id]
            journal = self._store.journal()
            summary = self._reject(journal, person, face.content_hash, face.box)
            photo = (face.content_hash, path) if path is not None else None
            row = self._decisions.append(
                "reject", journal, person, [], summary=summary, photo=photo, run=run
            )
            run.append(row)
        return self._decisions.entry(run)

    def _reject(self, journal: Journal, person: int, content_hash: str, box: Box) -> str:
        """Note that the face at `box` is not `person`, take it out if it is; return the summary."""
        said = self._store.verdicts.of_photo(content_hash)
        known = said.enrolled_at(box)
        taken_out = known is not None and known.person_id == person
        if known is not None and taken_out:
            self._store.faces.remove(journal, known.id)
        if person not in said.rejected_at(box):
            place = {"content_hash": content_hash, **box_columns(box)}
            journal.insert("rejection", {**place, "person_id": person})
        summary = f"said that a {self._session.what} is not {self._session.name(person)}"
        return summary + (" and took it out" if taken_out else "")

    # Dismiss

    def dismiss(
        self, faces: Iterable[PhotoFace], verdict: str, *, unless_decided: bool = False
    ) -> Decision:
        """Say that nobody is to be named: each of `faces` is a "stranger", or "no face".

        One that is enrolled is taken out. Until it is confirmed to be somebody it gets no name, and
        no template of it is stored: only its place is known. `unless_decided` as in `confirm`.
        Raises ValueError for another verdict.
        """
        with self._decisions.deciding() as journal:
            chosen = self._chosen(faces, unless_decided)
            owners = [
                self._dismiss(journal, verdict, face.content_hash, face.box) for face in chosen
            ]
            people = [person for person in owners if person is not None]
            summary = f"said that {self._dismissed(len(chosen), verdict)}"
            person = None
            if len(chosen) == 1 and people:
                (person,), people = people, []
                summary += " and took it out"
            return self._decisions.decide(
                "dismiss", summary, journal, person, people, photo=only_photo(chosen)
            )

    def _dismiss(self, journal: Journal, verdict: str, content_hash: str, box: Box) -> int | None:
        """Note that nobody is to be named at `box`; return who was enrolled from there."""
        if verdict not in VERDICTS:
            raise ValueError(f"a {self._session.what} is dismissed as {' or '.join(VERDICTS)}")
        said = self._store.verdicts.of_photo(content_hash)
        known = said.enrolled_at(box)
        if known is not None:
            self._store.faces.remove(journal, known.id)
        there = [d for d in said.dismissals if same_place(d.box, box)]
        if [d.verdict for d in there] != [verdict]:
            for other in there:
                journal.delete("dismissal", other.id)
            place = {"content_hash": content_hash, **box_columns(box)}
            journal.insert("dismissal", {**place, "verdict": verdict})
        return known.person_id if known is not None else None

    # What was said before

    def said_of(self, content_hash: str, box: Box) -> str | None:
        """Return what a human said of a face: whose it is, or why nobody's; None if nothing."""
        said = self._store.verdicts.of_photo(content_hash)
        known = said.enrolled_at(box)
        if known is not None and known.assigned_by == "human":
            return f"this {self._session.what} is enrolled as {known.person}"
        verdict = said.dismissed_at(box)
        return None if verdict is None else f"a human said that {self._dismissed(1, verdict)}"

    def _chosen(self, faces: Iterable[AnyFace], unless_decided: bool) -> list[AnyFace]:
        """Return the faces that a verb is about; raises FaceError if there are none."""
        chosen = list(faces)
        if not chosen:
            raise FaceError(f"no {self._session.what} was named")
        return self.undecided(chosen) if unless_decided else chosen

    def undecided(self, faces: Sequence[AnyFace]) -> list[AnyFace]:
        """Return those of `faces` that no human decided about; raises Refused if none is left."""
        said = [self.said_of(face.content_hash, face.box) for face in faces]
        left = [face for face, verdict in zip(faces, said, strict=True) if verdict is None]
        if not left:
            raise Refused(f"that was decided meanwhile: {said[0]}")
        return left

    def _are(self, n_faces: int) -> str:
        one = f"a {self._session.what} is"
        return one if n_faces == 1 else f"{self._session.counted(n_faces)} are"

    def _dismissed(self, n_faces: int, verdict: str) -> str:
        """Return what is said of faces that are dismissed."""
        counted = self._session.counted(n_faces)
        some = f"a {self._session.what}" if n_faces == 1 else counted
        if verdict == "no face":
            return f"what was taken for {some} is none"
        return f"{some} {'is' if n_faces == 1 else 'are'} a stranger's"
