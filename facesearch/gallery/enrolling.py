"""Photos of people -> enrolled faces, each stored on the disk before it is reported."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from operator import itemgetter
from pathlib import Path
from time import monotonic

import numpy as np

from facesearch.alignment import sharpness
from facesearch.boxes import same_place
from facesearch.candidates import mean_template
from facesearch.errors import FaceError, FacesearchError, PhotoError
from facesearch.face_choice import Choice, agreement, choose_faces, choose_wholes
from facesearch.gallery.live_index import View
from facesearch.gallery.session import Session
from facesearch.identification import Seen, compare, look
from facesearch.names import new_person_name, person_name
from facesearch.openset import posterior
from facesearch.parallel import in_order
from facesearch.photo import read_photo
from facesearch.storage.rows import FaceRow
from facesearch.vectors import Floats

COMMIT_S = 2.0  # seconds after which what was enrolled so far is stored
COMMIT_PHOTOS = 64  # photos of an enrollment that are stored in one transaction
BLURRED = 8.0  # sharpness below which a photo is called blurred
SMALL_FACE_PX = 28  # height below which a face is called small
LOOK_ALIKE_FPIR = 0.01  # enrolled people who look this alike are reported at enrollment
MIN_JUDGED = 4  # photos of a person from which on it is judged whether they show one person

# name, photos that show whoever recurs most often, photos with a clear face -> enroll them anyway?
Doubt = Callable[[str, int, int], bool]
Job = tuple[str, Path, Seen | FacesearchError | None]  # None: enrolled already


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What became of one photo that was to be enrolled."""

    photo: str
    person: str
    status: str  # "enrolled", "already" (the same picture), "skipped" (see remark), "unreadable"
    remark: str | None = None
    look_alikes: tuple[tuple[str, float], ...] = ()  # (other person, probability of being the same)


class Enroller:
    """One call of `Gallery.enroll`."""

    def __init__(self, session: Session, doubt: Doubt | None = None) -> None:
        self._session = session
        self._store = session.store
        self._model = session.model
        self._doubt = doubt
        self._is_one_person: dict[str, bool] = {}  # judged by the first photos
        self._run: list[int] = []  # the decisions of this call so far

    def enroll(
        self, photos: Iterable[tuple[str, str | os.PathLike[str]]], workers: int
    ) -> Iterator[Enrollment]:
        """Yield what became of each (name, photo file) once it is on the disk."""
        with self._store.transaction():  # fails here, not after the first photos, if it must
            enrolled = self._store.faces.enrolled_photos()
        jobs = ((self._spelled(name), Path(path)) for name, path in photos)
        chunk: list[Job] = []
        started = monotonic()
        for (name, path), seen in in_order(lambda job: self._look(*job, enrolled), jobs, workers):
            chunk.append((name, path, seen))
            if len(chunk) >= COMMIT_PHOTOS or monotonic() - started > COMMIT_S:
                ready = self._ready(chunk)
                yield from self._store_chunk(chunk[:ready])
                chunk, started = chunk[ready:], monotonic()
        yield from self._store_chunk(chunk)

    def _ready(self, chunk: list[Job]) -> int:
        """Return how many of `chunk` can be stored: too few of the last person wait for more."""
        name = chunk[-1][0]
        of_last = sum(1 for _ in takewhile(lambda job: job[0] == name, reversed(chunk)))
        waits = self._doubt is not None and name not in self._is_one_person
        return len(chunk) - of_last if waits and of_last < MIN_JUDGED else len(chunk)

    def _undoubted(self, chunk: list[Job]) -> list[Job]:
        """Return `chunk` without what the photos show of those whom `_doubt` turns down."""
        if self._doubt is None or self._session.what != "face":
            return chunk
        for name, group in groupby(chunk, key=itemgetter(0)):
            photos = [(s.faces, s.embeddings) for _, _, s in group if isinstance(s, Seen)]
            if len(photos) >= MIN_JUDGED and name not in self._is_one_person:
                alike, clear = agreement(photos)
                mixed = clear >= MIN_JUDGED and alike * 2 < clear
                self._is_one_person[name] = not mixed or self._doubt(name, alike, clear)
        refused = FaceError("most photos of this person show different people")
        return [
            (name, path, seen)
            if self._is_one_person.get(name, True) or not isinstance(seen, Seen)
            else (name, path, refused)
            for name, path, seen in chunk
        ]

    def _spelled(self, name: str) -> str:
        """Return `name` as it is stored; raises ValueError as `new_person_name` does."""
        wanted = person_name(name)
        return wanted if self._store.people.id_of(wanted) is not None else new_person_name(wanted)

    def _look(
        self, name: str, path: Path, enrolled: set[tuple[str, str]]
    ) -> Seen | FacesearchError | None:
        """Return what the photo shows, why it cannot be read, or None if it is enrolled."""
        try:
            photo = read_photo(path)
            if (name, self._session.kept(photo.picture, path).key) in enrolled:
                return None
            return look(photo, self._model, as_reference=True)
        except PhotoError as error:
            return error

    def _store_chunk(self, chunk: list[Job]) -> list[Enrollment]:
        """Store what `chunk` shows in one transaction; return what became of each photo."""
        results: list[Enrollment] = []
        chunk = self._undoubted(chunk)  # before the transaction: it may wait for an answer
        with self._session.live.reading(refit=False):
            pass  # what takes long happens before other writers have to wait
        with self._store.transaction():
            if self._run and self._session.log.newest_number() != self._run[-1]:
                self._run.clear()  # somebody decided something else: each in its turn is undone
            for name, group in groupby(chunk, key=itemgetter(0)):
                photos = [(path, seen) for _, path, seen in group]
                results += self._store_person(name, photos)
        return results

    def _store_person(
        self, name: str, photos: list[tuple[Path, Seen | FacesearchError | None]]
    ) -> list[Enrollment]:
        """Store the faces of one person; call inside a transaction."""
        person = self._store.people.id_of(name)
        news = []
        merged = self._session.log.merge_of(name) if person is None else None
        if merged is not None:
            number, person = merged
            former, name = name, self._session.name(person)
            news = [f"{former} was merged into {name} in decision {number}"]
        mine = self._store.templates.of_people([] if person is None else [person])[1]
        admissible = [(path, self._without_contradicted(person, seen)) for path, seen in photos]
        choices = iter(self._choices([s for _, s in admissible if isinstance(s, Seen)], mine))
        results, added = [], []
        for path, photo in admissible:
            if not isinstance(photo, Seen):
                results.append(_unusable(path, name, photo))
                continue
            choice = next(choices)
            if choice.face is None:
                results.append(Enrollment(str(path), name, "skipped", choice.remark))
                continue
            obstacle = self._obstacle(path, name, photo, choice.face)
            if obstacle is not None:
                results.append(obstacle)
                continue
            person = self._store.people.add(name) if person is None else person
            sharp = self._store_face(person, path, photo, choice.face)
            added.append(photo.embeddings[choice.face])
            remarks, news = [*news, *(r for r in (photo.remark, choice.remark) if r)], []
            if self._session.what == "face":
                remarks += ["blurred"] if sharp < BLURRED else []
                small = photo.faces[choice.face].height_px < SMALL_FACE_PX
                remarks += ["small face"] if small else []
            results.append(Enrollment(str(path), name, "enrolled", "; ".join(remarks) or None))
        if added:
            look_alikes = self._look_alikes(person, mean_template(np.stack([*mine, *added])))
            first = next(i for i, result in enumerate(results) if result.status == "enrolled")
            results[first] = replace(results[first], look_alikes=look_alikes)
        return results

    def _obstacle(self, path: Path, name: str, photo: Seen, place: int) -> Enrollment | None:
        """Return why the chosen face is not to be stored, None if it is."""
        kept = self._store.pictures.kept(photo.picture)
        known = self._store.verdicts.of_photo(kept.key).enrolled
        if any(other.person == name for other in known):
            return Enrollment(str(path), name, "already")
        box = kept.box(photo.faces[place].box)
        owner = next((k.person for k in known if same_place(k.box, box)), None)
        if owner is None:
            return None
        what = self._session.what
        remark = f"this {what} is enrolled as {owner}; move it or forget them first"
        return Enrollment(str(path), name, "skipped", remark)

    def _store_face(self, person: int, path: Path, photo: Seen, place: int) -> float:
        """Store one face and the decision to enroll it; return the face's sharpness."""
        face, sharp = photo.faces[place], sharpness(photo.crops[place])
        kept = self._store.pictures.kept(photo.picture)
        landmarks = kept.points(face.landmarks)
        # The changes are not noted in the log: faces are many, and undoing finds the rows by face.
        face_id = self._store.faces.insert(
            self._store.journal(),
            person,
            (kept, str(path.absolute())),
            FaceRow(kept.box(face.box), landmarks, face.score, sharp),
            photo.embeddings[place],
            self._model.fingerprint,
            "human",
        )
        first = self._run[0] if self._run else None
        row = self._session.log.append("enroll", person_id=person, face_id=face_id, run=first)
        self._run.append(row.id)
        return sharp

    def _without_contradicted(
        self, person: int | None, photo: Seen | FacesearchError | None
    ) -> Seen | FacesearchError | None:
        """Return `photo` without faces that a human rejected as this person, or dismissed."""
        if not isinstance(photo, Seen):
            return photo
        kept = self._store.pictures.kept(photo.picture)
        said = self._store.verdicts.of_photo(kept.key)
        boxes = [kept.box(face.box) for face in photo.faces]
        left = [
            place
            for place, box in enumerate(boxes)
            if person not in said.rejected_at(box) and said.dismissed_at(box) is None
        ]
        if len(left) == len(photo.faces):
            return photo
        if not left:
            return FaceError(f"a human said that this {self._session.what} is not them")
        return photo.only(*left)

    def _choices(self, photos: list[Seen], mine: Floats) -> list[Choice]:
        """Return which face of each of `photos` is the person of the templates `mine` (n, dim)."""
        what = self._session.what
        if what != "face":
            return choose_wholes([seen.faces for seen in photos], what)
        reference = mean_template(mine) if len(mine) else None
        return choose_faces([(seen.faces, seen.embeddings) for seen in photos], reference)

    def _look_alikes(self, person: int | None, reference: Floats) -> tuple[tuple[str, float], ...]:
        """Return who else of the gallery may be this person, with the probability of it.

        Call inside a transaction.
        """
        view: View = self._session.live.current(refit=False)
        (candidates,) = view.candidates(reference[None])
        candidates = {other: mean for other, mean in candidates.items() if other != person}
        if not candidates:
            return ()
        _, z = compare(reference, list(candidates.values()), view.strangers, self._model)
        probabilities, _ = posterior(self._model.evidence.llr(z), view.strangers.people, 0.5)
        names = self._store.people.names_of(candidates)
        limit = view.strangers.threshold(LOOK_ALIKE_FPIR)
        return tuple(
            (names[other], float(probability))
            for other, probability, score in zip(candidates, probabilities, z, strict=True)
            if score >= limit
        )


def _unusable(path: Path, name: str, why: FacesearchError | None) -> Enrollment:
    """Return the result of a photo that is enrolled already (None) or cannot be used."""
    if why is None:
        return Enrollment(str(path), name, "already")
    status = "skipped" if isinstance(why, FaceError) else "unreadable"
    return Enrollment(str(path), name, status, str(why))
