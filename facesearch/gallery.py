"""The gallery: enroll, identify, verify, search, people, forget, rebuild, check.

The facade over everything: the command line and the web page call it and nothing below it. The
SQLite file is the truth. The index is a cache of it: it proposes template ids, and what is said of
them (whose they are, how alike) is read from the file again, so that no index, however wrong, can
give a wrong name; at worst it misses one until it is rebuilt.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facesearch.alignment import sharpness
from facesearch.curation import Curation, Decision, folded, person_id
from facesearch.curation import person_name as person_name  # for who calls the gallery
from facesearch.detection import Face
from facesearch.errors import (
    EmbeddingMismatch,
    FaceError,
    FacesearchError,
    GalleryError,
    PhotoError,
    Refused,
)
from facesearch.face_choice import Choice, choose_faces, choose_wholes
from facesearch.identification import (
    NO_CROPS,
    IdentifiedFace,
    Seen,
    look,
    look_again,
    name_faces,
    referenced,
)
from facesearch.manifest import shipped_model, subject
from facesearch.model import Model
from facesearch.openset import Strangers, evenly, fit_strangers, posterior
from facesearch.parallel import in_order
from facesearch.photo import read_photo
from facesearch.storage.decisions import DecisionLog
from facesearch.storage.forgetting import forget_person
from facesearch.storage.photo_copies import keep, kept_at, sweep
from facesearch.storage.store import (
    FaceRow,
    KnownFace,
    PersonRow,
    Store,
    reported,
    same_place,
)
from facesearch.vectors import Floats, unit

if TYPE_CHECKING:
    from facesearch.duplicates.enrolled import (
        EnrolledTwice,
        EnrolledTwiceFinder,
        FaceTwice,
        LookAlike,
        PerhapsTwo,
    )
    from facesearch.duplicates.photo_cache import FileState
    from facesearch.duplicates.same_person import Judge
    from facesearch.face_map import EnrolledFaces
    from facesearch.review.groups import Unnamed, UnnamedFace, UnnamedGroup
    from facesearch.review.queue import Review, Waiting
    from facesearch_indexes.faiss_index import FaissIndex

CANDIDATES = 10  # people whom the head looks at again; 50 change nothing
CANDIDATES_OF_OWN_ORDER = 50  # the same of a head that does not follow the search's cosine
NEAREST = 32  # templates asked of the index at first; more while they are all of a few people
STATISTICS_PEOPLE = 20_000  # enough for a mean and a variance; a gallery may hold more
INDEX_FILE_FROM = 100_000  # templates; below, rebuilding is quicker than checking a file
GROWTH = 0.1  # share of new templates after which statistics and index file are made anew
STALE = 0.001  # the same of statistics that somebody is identified by: a second at 100,000
COMMIT_S = 2.0  # seconds after which what was enrolled so far is stored
COMMIT_PHOTOS = 64  # photos of an enrollment that are stored in one transaction
BLURRED = 8.0  # sharpness below which a photo is called blurred
SMALL_FACE_PX = 28  # height below which a face is called small
LOOK_ALIKE_FPIR = 0.01  # enrolled people this alike are told at enrollment

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What became of one photo that was to be enrolled."""

    photo: str
    person: str
    status: str  # "enrolled", "already" (the same bytes), "skipped" (see remark), "unreadable"
    remark: str | None = None
    look_alikes: tuple[tuple[str, float], ...] = ()  # (other person, probability of being the same)


@dataclass(frozen=True, slots=True)
class IdentifiedPhoto:
    """Who is in a photo; `error` says why if it could not be read."""

    photo: str
    width: int
    height: int
    faces: tuple[IdentifiedFace, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether two photos show one person, or one class."""

    same: bool
    probability: float  # at the prior of the model's calibration, 1/2
    llr: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An enrolled face near a probe's, with no name decided."""

    person: str
    photo: str | None
    score: float  # cosine of the search codes: 1 for the same; strangers', the model decides


@dataclass(slots=True, eq=False)
class _View:
    """What is kept in memory of the gallery as it was after change number `seq`."""

    stamp: str  # tells that change from one that got its number after a restore
    seq: int
    index: "FaissIndex"
    strangers: Strangers
    fitted_seq: int = -1  # the change number that `strangers` belongs to; -1: not fitted
    filed_seq: int = -1  # the change number that the index file belongs to; -1: there is none
    references: dict[int, Floats] = field(default_factory=dict)  # person id -> mean template
    judge: "Judge | None" = None  # of who may be one person; made when it is first asked
    judged_seq: int = -1  # the change number that `judge` belongs to


class Gallery:
    """One gallery file with its model; usable as a context manager.

    `path` is the gallery's SQLite file; a folder stands for `gallery.db` in it.
    """

    def __init__(
        self, path: str | os.PathLike[str], model: Model | str = "default", *, create: bool = True
    ) -> None:
        """Open the gallery at `path`, making it unless `create` is false.

        With "default" a gallery that is there is opened with its own model, see `model_for`. One
        that cannot be written can still be searched. Raises GalleryError if it cannot be opened,
        EmbeddingMismatch if another model made it.
        """
        self.path = gallery_file(path)
        self.model = Model.load(model_for(path, model)) if isinstance(model, str) else model
        self._store = Store.open(
            self.path, model=self.model.name, fingerprint=self.model.fingerprint, create=create
        )
        try:
            check_model(self._store, self.model)
        except BaseException:
            self._store.close()
            raise
        self._log = DecisionLog(self._store)
        self.curation = Curation(self._store, self.model)
        self._view: _View | None = None
        if self._store.scrub_is_due() and not self._store.read_only:
            try:  # somebody was forgotten, and the program ended before the last byte was gone
                self._scrub()
            except GalleryError as error:
                log.warning("%s", error)

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the gallery; everything that was said to be stored is."""
        self._store.close()

    # Enroll

    def enroll(
        self, photos: Iterable[tuple[str, str | os.PathLike[str]]], *, workers: int = 1
    ) -> Iterator[Enrollment]:
        """Enroll (name, photo file) pairs; yield what became of each once it is on the disk.

        Pairs of one name that follow each other are looked at together. The same bytes under the
        same name add nothing, so a run that was interrupted can simply be started again. A photo
        that cannot be used is yielded with the reason and stops nothing. Who was merged into
        another is enrolled as that person. All that is stored is undone as one decision. Raises
        GalleryError when nothing can be stored any more, ValueError for a name that is empty.
        """
        with self._store.transaction():  # fails here, not after the first photos, if it must
            known = self._store.enrolled_bytes()
        jobs = ((person_name(name), Path(path)) for name, path in photos)
        chunk: list[tuple[str, Path, Seen | FacesearchError | None]] = []
        run: list[int] = []
        started = monotonic()
        for (name, path), seen in in_order(lambda job: self._reference(*job, known), jobs, workers):
            chunk.append((name, path, seen))
            if len(chunk) >= COMMIT_PHOTOS or monotonic() - started > COMMIT_S:
                yield from self._store_chunk(chunk, run)
                chunk, started = [], monotonic()
        yield from self._store_chunk(chunk, run)

    def _reference(
        self, name: str, path: Path, known: set[tuple[str, str]]
    ) -> Seen | FacesearchError | None:
        """Return what the photo shows, why it cannot be read, or None if it is enrolled."""
        try:
            photo = read_photo(path)
            if (name, photo.content_hash) in known:
                return None
            return look(photo, self.model, as_reference=True)
        except PhotoError as error:
            return error

    def _store_chunk(
        self, chunk: list[tuple[str, Path, Seen | FacesearchError | None]], run: list[int]
    ) -> list[Enrollment]:
        """Store what `chunk` shows in one transaction; return what became of each photo.

        `run` are the decisions of the same call so far; those to store it are appended.
        """
        results: list[Enrollment] = []
        with self._reading(refit=False):
            pass  # what takes long happens before other writers have to wait
        with self._store.transaction():
            if run and self._log.newest_number() != run[-1]:
                run.clear()  # somebody decided something else meanwhile: each in its turn is undone
            for name, group in groupby(chunk, key=itemgetter(0)):
                photos = [(path, seen) for _, path, seen in group]
                results += self._store_person(name, photos, run)
        return results

    def _store_person(
        self, name: str, photos: list[tuple[Path, Seen | FacesearchError | None]], run: list[int]
    ) -> list[Enrollment]:
        """Store the faces of one person; call inside a transaction."""
        store, what = self._store, subject(self.model.manifest)
        person = store.person_id(name)
        merged = self._log.merged(name) if person is None else None
        news = []
        if merged is not None:
            number, person = merged
            former, name = name, store.names([person])[person]
            news = [f"{former} was merged into {name} in decision {number}"]
        mine = store.templates_of_people([] if person is None else [person])[1]
        photos = [(path, self._admissible(person, seen)) for path, seen in photos]
        choices = iter(self._choices([s for _, s in photos if isinstance(s, Seen)], mine))
        results, added = [], []
        for path, photo in photos:
            if photo is None:
                results.append(Enrollment(str(path), name, "already"))
                continue
            if not isinstance(photo, Seen):
                status = "skipped" if isinstance(photo, FaceError) else "unreadable"
                results.append(Enrollment(str(path), name, status, str(photo)))
                continue
            choice = next(choices)
            if choice.face is None:
                results.append(Enrollment(str(path), name, "skipped", choice.remark))
                continue
            face = photo.faces[choice.face]
            known = store.known_faces(photo.content_hash)
            if any(other.person == name for other in known):
                results.append(Enrollment(str(path), name, "already"))
                continue
            owner = next((k.person for k in known if same_place(k.box, face.box)), None)
            if owner is not None:
                remark = f"this {what} is enrolled as {owner}; move it or forget them first"
                results.append(Enrollment(str(path), name, "skipped", remark))
                continue
            person = store.add_person(name) if person is None else person
            sharp = sharpness(photo.crops[choice.face])
            journal = store.journal()
            face_id = store.insert_face(
                journal,
                person,
                (photo.content_hash, str(path.absolute()), photo.width, photo.height),
                FaceRow(face.box, face.landmarks, face.score, sharp),
                photo.embeddings[choice.face],
                self.model.fingerprint,
                "human",
            )
            # the rows that it takes to undo this are found without noting them: faces are many
            first = run[0] if run else None
            run.append(self._log.append("enroll", person_id=person, face_id=face_id, run=first).id)
            added.append(photo.embeddings[choice.face])
            remarks, news = [*news, *([choice.remark] if choice.remark else [])], []
            if what == "face":
                remarks += ["blurred"] if sharp < BLURRED else []
                remarks += ["small face"] if face.height_px < SMALL_FACE_PX else []
            results.append(Enrollment(str(path), name, "enrolled", "; ".join(remarks) or None))
        if added:
            look_alikes = self._look_alikes(person, mean_template(np.stack([*mine, *added])))
            first = next(i for i, result in enumerate(results) if result.status == "enrolled")
            results[first] = replace(results[first], look_alikes=look_alikes)
        return results

    def _admissible(
        self, person: int | None, photo: Seen | FacesearchError | None
    ) -> Seen | FacesearchError | None:
        """Return `photo` without the faces of which a human said that they are not this person.

        Or that they are a stranger's, or none.
        """
        if not isinstance(photo, Seen):
            return photo
        boxes = [
            rejection.box
            for rejection in self._store.rejections(photo.content_hash)
            if rejection.person_id == person
        ]
        boxes += [dismissal.box for dismissal in self._store.dismissals(photo.content_hash)]
        left = [
            place
            for place, face in enumerate(photo.faces)
            if not any(same_place(box, face.box) for box in boxes)
        ]
        if len(left) == len(photo.faces):
            return photo
        if not left:
            return FaceError(f"a human said that this {subject(self.model.manifest)} is not them")
        faces = [photo.faces[place] for place in left]
        return replace(
            photo, faces=faces, crops=photo.crops[left], embeddings=photo.embeddings[left]
        )

    def _choices(self, photos: list[Seen], mine: Floats) -> list[Choice]:
        """Return which face of each of `photos` is the person of the templates `mine` (n, dim)."""
        what = subject(self.model.manifest)
        if what != "face":
            return choose_wholes([seen.faces for seen in photos], what)
        reference = mean_template(mine) if len(mine) else None
        return choose_faces([(seen.faces, seen.embeddings) for seen in photos], reference)

    def _look_alikes(self, person: int | None, reference: Floats) -> tuple[tuple[str, float], ...]:
        """Return who else of the gallery may be this person, with the probability of it.

        Call inside a transaction.
        """
        view = self._current(refit=False)
        (candidates,) = self._candidates(reference[None], view)
        candidates = {other: mean for other, mean in candidates.items() if other != person}
        if not candidates:
            return ()
        scores = self.model.head.scores(
            view.strangers.centred(reference),
            view.strangers.centred(np.stack(list(candidates.values()))),
        )
        z = view.strangers.standard(scores)
        probabilities, _ = posterior(self.model.evidence.llr(z), view.strangers.people, 0.5)
        names = self._store.names(candidates)
        limit = view.strangers.threshold(LOOK_ALIKE_FPIR)
        return tuple(
            (names[other], float(probability))
            for other, probability, score in zip(candidates, probabilities, z, strict=True)
            if score >= limit
        )

    # Identify

    def identify(
        self,
        photos: Iterable[str | os.PathLike[str]],
        *,
        fpir: float = 0.01,
        prior: float = 0.5,
        workers: int = 1,
    ) -> Iterator[IdentifiedPhoto]:
        """Yield who is in each of `photos`, in their order; one that cannot be read says why.

        `fpir`: of 100 strangers searched against this gallery, so many (as a share) may get a
        name. `prior`: how likely a face is of anybody enrolled. Raises ValueError if either is not
        between 0 and 1.
        """
        for rate in (fpir, prior):
            if not 0 < rate < 1:
                raise ValueError(f"a rate lies between 0 and 1, not at {rate}")
        preload = threading.Thread(target=load_faiss)
        preload.start()  # 0.2 s, while the first photo is decoded
        for path, seen in in_order(self._probe, photos, workers):
            preload.join()
            if isinstance(seen, Seen):
                faces = tuple(self.identify_faces(seen, fpir=fpir, prior=prior))
                yield IdentifiedPhoto(str(path), seen.width, seen.height, faces)
            else:
                yield IdentifiedPhoto(str(path), 0, 0, (), str(seen))

    def _probe(self, path: str | os.PathLike[str]) -> Seen | PhotoError:
        try:
            return look(read_photo(path), self.model)
        except PhotoError as error:
            return error

    def identify_faces(
        self, seen: Seen, *, fpir: float = 0.01, prior: float = 0.5
    ) -> list[IdentifiedFace]:
        """Return who the faces of one photo are; see `identify`."""
        decided = {}
        with self._reading() as view:
            people = self._candidates(seen.embeddings, view)
            names = self._store.names({person for found in people for person in found})
            strangers = view.strangers
            for known in self._store.known_faces(seen.content_hash):
                for place, face in enumerate(seen.faces):
                    if known.assigned_by == "human" and same_place(known.box, face.box):
                        decided[place] = known.person
            rejected: dict[int, set[int]] = {}
            for rejection in self._store.rejections(seen.content_hash):
                for place, face in enumerate(seen.faces):
                    if same_place(rejection.box, face.box):
                        rejected.setdefault(place, set()).add(rejection.person_id)
            dismissed = {
                place: dismissal.verdict
                for dismissal in self._store.dismissals(seen.content_hash)
                for place, face in enumerate(seen.faces)
                if place not in decided and same_place(dismissal.box, face.box)
            }
        return name_faces(
            seen,
            people,
            names,
            strangers,
            self.model,
            fpir=fpir,
            prior=prior,
            decided=decided,
            rejected=rejected,
            dismissed=dismissed,
        )

    def _candidates(self, embeddings: Floats, view: "_View") -> list[dict[int, Floats]]:
        """Return for each of `embeddings` (n, dim) the people nearest to it with their means.

        Nearest by the cosine of the search codes, as the index knows it: of a head with an order of
        its own, or one that reads numbers which the index does not have, more of them are looked
        at, lest it miss the one that it would put first. Where it follows the cosine of whole
        templates, that tells which of these it is given. Call inside the snapshot or transaction
        in which `view` is current.
        """
        if len(embeddings) == 0 or len(view.index) == 0:
            return [{} for _ in embeddings]
        model = self.model
        keeps_order = model.head.follows_cosine and model.search_dim == model.dim
        most = CANDIDATES if keeps_order else CANDIDATES_OF_OWN_ORDER
        nearest = min(max(NEAREST, 2 * most), len(view.index))
        codes = model.search_codes(embeddings)
        while True:
            matches = view.index.search(codes, nearest)
            owners = self._store.people_of_templates(np.unique(matches.ids[matches.ids >= 0]))
            found = [
                list(dict.fromkeys(owners[i] for i in row.tolist() if i in owners))
                for row in matches.ids
            ]
            enough = min(most, view.strangers.people)
            if nearest >= len(view.index) or all(len(people) >= enough for people in found):
                break
            nearest = min(4 * nearest, len(view.index))  # they were all of a few people
        found = [people[:most] for people in found]
        missing = {p for people in found for p in people} - view.references.keys()
        if missing:
            ids, rows = self._store.templates_of_people(missing)
            if len(ids):
                means = mean_templates(ids, rows)
                view.references.update(zip(np.unique(ids).tolist(), means, strict=True))
        near = [{p: view.references[p] for p in people if p in view.references} for people in found]
        if model.head.follows_cosine and not keeps_order:
            pairs = zip(embeddings, near, strict=True)
            near = [most_alike(probe, people, view.strangers) for probe, people in pairs]
        return near

    def verify(self, photo_a: Path, photo_b: Path) -> Verification:
        """Return whether two photos show one person, or one class; the gallery plays no part.

        Of several faces the largest counts. Raises PhotoError; FaceError if there is none, or no
        drawing.
        """
        return verify(self.model, photo_a, photo_b)

    def compare(self, a: tuple[Seen, int], b: tuple[Seen, int]) -> Verification:
        """Return the same of two faces that were seen: a photo and the face's place on it each."""
        return verification(self.model, a, b)

    def search(self, photo: Path, k: int = 10) -> list[tuple[Face, list[Neighbour]]]:
        """Return for each face of `photo` the `k` nearest enrolled faces, with no name decided.

        Nearest by the cosine of the search codes: the head, which may read more, has no say.
        """
        seen = look(read_photo(photo), self.model)
        with self._reading() as view:
            matches = view.index.search(self.model.search_codes(seen.embeddings), k)
            stored = self._store.enrolled_faces(np.unique(matches.ids[matches.ids >= 0]))
        return [
            (
                face,
                [
                    Neighbour(*stored[i], score=float(score))
                    for i, score in zip(ids.tolist(), scores, strict=True)
                    if i in stored
                ],
            )
            for face, ids, scores in zip(seen.faces, matches.ids, matches.scores, strict=True)
        ]

    # People

    def people(self) -> list[PersonRow]:
        """Return everyone who is enrolled, by name."""
        return self._store.people()

    def faces_of(self, name: str) -> list[tuple[str | None, KnownFace]]:
        """Return the photo paths and faces of a person; raises UnknownPerson."""
        return self._store.faces_of(self._person(name))

    def rename(self, name: str, new_name: str) -> Decision:
        """Give a person another name; see `Curation.rename`."""
        return self.curation.rename(name, new_name)

    def forget(self, name: str) -> dict[str, int]:
        """Delete every trace of a person from the gallery; return what was deleted.

        Also of somebody of whom only the log of decisions is left. Raises UnknownPerson;
        GalleryError if another program keeps the file from being rewritten: then the rows are
        gone, and the bytes will be with the next `check` or opening.
        """
        with self._store.transaction():
            person = self.curation.gone_person(name)
            gone = forget_person(self._store, self._log, person or self._person(name))
        self._view = None
        return gone | self._scrub()

    def newest_forgetting(self) -> int | None:
        """Return a number that is another as soon as somebody was forgotten, by any program."""
        return self._log.newest_forgetting()

    def _scrub(self) -> dict[str, int]:
        """Erase the last bytes of what was deleted; return how many files that cost."""
        n_files = self._drop_index_files()
        with reported(self.path):
            n_photos = sweep(self._photo_folder, self._store.photos_with_paths())
        self._store.scrub()
        return {"index files": n_files} | ({"copies of photos": n_photos} if n_photos else {})

    def _person(self, name: str) -> int:
        return person_id(self._store, self._log, name)

    # For who shows the gallery

    def find_people(self, searched: str, start: int, most: int) -> tuple[list[PersonRow], int]:
        """Return whose names hold `searched`, whatever case and accents, and how many they are.

        By name, from number `start` of them on, at most `most`. Nothing is read of the others but
        their names: a gallery may hold 10,000 people.
        """
        with self._store.snapshot():
            found = self._store.ids_by_name()
            if wanted := folded(searched):
                found = [(person, name) for person, name in found if wanted in folded(name)]
            shown = [person for person, _ in found[start : start + most]]
            return self._store.some_people(shown), len(found)

    def n_people(self) -> int:
        """Return how many people are enrolled."""
        return self._store.n_people()

    def cover(self, name: str) -> int | None:
        """Return the id of the face that stands for a person, None if there is none."""
        return self._store.cover(name)

    def names(self) -> list[str]:
        """Return the names of everyone who is enrolled, in their order."""
        return self._store.every_name()

    def name_of(self, person_id: int) -> str | None:
        """Return the name of a person by their id, None if they are not there any more."""
        return self.names_of([person_id]).get(person_id)

    def names_of(self, person_ids: Iterable[int]) -> dict[int, str]:
        """Return the names of those of `person_ids` who are there."""
        return self._store.names(person_ids)

    def person_id(self, name: str) -> int:
        """Return the id of a person, which stays when they are renamed; raises UnknownPerson."""
        return self._person(name)

    def face(self, face_id: int) -> tuple[str | None, KnownFace] | None:
        """Return an enrolled face and the path of its photo; None if it is not there any more."""
        with self._store.snapshot():
            face = self._store.face(face_id)
            path = self._store.photo_path(face.content_hash) if face else None
        if face is None:
            return None
        if path is not None and not Path(path).is_file():
            copy = self._photo_folder / Path(path).name  # if the gallery was moved with its copies
            path = str(copy) if Path(path).stem == face.content_hash else path
        return path, face

    def keep_photo(self, photo: Path, content_hash: str) -> Path:
        """Return the path to enroll `photo` from, whose own will not last.

        Where the gallery knows those bytes from, else a copy beside the gallery file, which goes
        with the last person on it: `forget` deletes it. Whoever enrolls the path calls this once
        more after it: a `forget` of another program may have deleted the copy in between. Raises
        GalleryError if the copy cannot be made.
        """
        known = self._store.photo_path(content_hash)
        if known is not None and known != str(kept_at(self._photo_folder, photo, content_hash)):
            return Path(known) if Path(known).is_file() else photo
        with reported(self.path):
            return keep(self._photo_folder, photo, content_hash)

    @property
    def _photo_folder(self) -> Path:
        return self.path.absolute().with_name(self.path.name + "-photos")

    # Who is enrolled twice

    def same_people(self, at_least: float = 0.5) -> "EnrolledTwice":
        """Return which names are one person's with a probability of `at_least`.

        Names equal but for case, accents or spaces are among the pairs at any probability. Nobody
        of whom a human said that they are two people is. Nothing is changed; `curation.merge_all`
        makes them one.
        """
        with self._finding_twice() as finder:
            return finder.same_people(at_least)

    def two_in_one(self, at_least: float = 0.5) -> tuple["PerhapsTwo", ...]:
        """Return which names hold two people with a probability of `at_least`, and whose faces.

        Not those whose two camps a human made or called one person. Nothing is changed;
        `curation.split` parts them.
        """
        with self._finding_twice() as finder:
            return finder.two_in_one(at_least)

    def same_faces(self) -> tuple["FaceTwice", ...]:
        """Return which pictures of a face are enrolled twice, under one name or two."""
        with self._finding_twice() as finder:
            return finder.same_faces()

    def look_alikes(self, name: str, among: Iterable[str] = ()) -> list["LookAlike"]:
        """Return who else of the gallery may be that person, most probable first.

        The nearest few, and those called as `among` says. Also those who are known to be somebody
        else, with the reason. How alike strangers and photos of one person are may be that of a
        gallery up to a tenth smaller. Raises UnknownPerson.
        """
        from facesearch.duplicates.enrolled import EnrolledTwiceFinder, look_alikes

        with self._reading() as view:
            person, others = self._person(name), set(map(self._person, among))
            _, rows = self._store.templates_of_people([person])
            if len(rows) == 0:
                return []
            (nearest,) = self._candidates(mean_template(rows)[None], view)
            n_new = view.seq - view.judged_seq
            if view.judge is None or n_new > GROWTH * len(view.index):
                finder = EnrolledTwiceFinder(self._store, self._log, self.model, view.index)
                view.judge, view.judged_seq = finder.judge(), view.seq
            others |= nearest.keys()
            return look_alikes(self._store, view.judge, person, others, view.strangers.people)

    @contextmanager
    def _finding_twice(self) -> Iterator["EnrolledTwiceFinder"]:
        from facesearch.duplicates.enrolled import EnrolledTwiceFinder

        with self._reading() as view:
            yield EnrolledTwiceFinder(self._store, self._log, self.model, view.index)

    # Who is not enrolled

    def cluster(
        self,
        photos: Iterable[str | os.PathLike[str]],
        *,
        workers: int = 1,
        advance: Callable[[], None] = lambda: None,
    ) -> "Unnamed":
        """Return the faces on `photos` of people who are not enrolled, in groups, largest first.

        A group is probably one person, and never has two faces of one photo. Until somebody is
        forgotten it keeps its id from run to run, when photos are added, too, and what was seen is
        kept beside the gallery, so that a run that was interrupted can simply be started again.
        `name_group` enrolls a group. `advance` is called after every photo. Raises GalleryError.
        """
        return self.review(photos, workers=workers, advance=advance).unnamed

    def review(
        self,
        photos: Iterable[str | os.PathLike[str]],
        *,
        workers: int = 1,
        advance: Callable[[], None] = lambda: None,
    ) -> "Review":
        """Return the faces on `photos` that no human decided about, what tells most first.

        Those without a name wait in their groups, see `cluster`. Raises GalleryError.
        """
        from facesearch.review.groups import Unnamed, UnnamedFace, group_unnamed, with_their_ids
        from facesearch.review.queue import Review, joined, most_telling_first, waiting_face

        waiting: dict[UnnamedFace, Waiting] = {}
        faces: list[UnnamedFace] = []
        embeddings, unreadable, seen_hashes = [], [], set()
        n_named = n_dismissed = 0
        with self._store.transaction():  # fails here, not after the last photo, if it must
            pass
        for path, seen in self._seen_or_remembered(photos, workers):
            advance()
            if not isinstance(seen, Seen):
                unreadable.append((path, str(seen)))
                continue
            if seen.content_hash in seen_hashes:
                continue
            seen_hashes.add(seen.content_hash)
            for place, found in enumerate(self.identify_faces(seen)):
                if found.dismissed_as is not None:
                    n_dismissed += 1
                    continue
                face = UnnamedFace(path, place + 1, found.box, found.score, seen.content_hash)
                if found.decided_by == "machine":
                    waiting[face] = waiting_face(face, seen, found)
                if found.person is not None or found.alternatives:
                    n_named += 1
                    continue
                faces.append(face)
                embeddings.append(seen.embeddings[place])
        none = np.zeros((0, self.model.dim), np.float32)
        with self._store.snapshot():
            owners, rows = self._store.templates_of_people(self._store.people_with_templates())
        people = mean_templates(owners, rows) if len(owners) else none
        unnamed = np.stack(embeddings) if embeddings else none
        groups = group_unnamed(faces, unnamed, people, self.model)
        several = [group for group in groups if len(group) > 1]
        with self._store.transaction():
            kept = with_their_ids(several, self._store)
        together = [joined([waiting.pop(f) for f in group.faces], group.id) for group in kept]
        n_alone = len(groups) - len(several)
        return Review(
            Unnamed(kept, n_alone, n_named, n_dismissed, len(seen_hashes), tuple(unreadable)),
            most_telling_first([*together, *waiting.values()]),
        )

    def still_waiting(self, waiting: "Waiting") -> "Waiting | None":
        """Return who `waiting` may be by now, without faces that a human decided about meanwhile.

        None if that is all of them.
        """
        from facesearch.review.queue import ASKED_ANEW, joined, waiting_face

        left = [
            (face, seen)
            for face, seen in zip(waiting.faces, waiting.seen, strict=True)
            if self.curation.said_of(face) is None
        ]
        if not left:
            return None
        asked = [
            waiting_face(face, seen, self.identify_faces(seen)[face.number - 1])
            for face, seen in left[:ASKED_ANEW]
        ]
        together = joined(asked, waiting.group)
        faces, seen_photos = zip(*left, strict=True)
        return replace(together, faces=faces, seen=seen_photos)

    def name_waiting(
        self, waiting: "Waiting", name: str, *, known: bool = False, workers: int = 1
    ) -> Decision:
        """Enroll the faces of `waiting` as `name`, whom somebody bears or nobody yet.

        `known` as in `name_group`: whoever is proposed may have another name by now, or be gone. Of
        a group those are left out that `name_group` leaves out. Raises Refused if a human decided
        about all of them meanwhile, PhotoError, FaceError.
        """
        from facesearch.review.groups import UnnamedGroup

        face, *more = self.curation.undecided(waiting.faces)
        if more:
            group = UnnamedGroup(waiting.group or 0, (face, *more))
            return self.name_group(group, name, known=known, workers=workers)[0]
        seen = self._again(face)
        if not isinstance(seen, Seen):
            raise seen
        return self.curation.confirm_waiting(face, seen, name, known=known)

    def _seen_or_remembered(
        self, photos: Iterable[str | os.PathLike[str]], workers: int
    ) -> Iterator[tuple[str, Seen | PhotoError]]:
        """Yield each of `photos` with what it shows, without crops: the cache has none either.

        So the run that shows a group and the run that names it say the same of every face.
        """
        from facesearch.review.groups import SeenBefore, state_of

        def jobs() -> Iterator[tuple[str, "FileState | None", Seen | None]]:
            for photo in photos:
                path = os.path.abspath(photo)  # noqa: PTH100  # names stay as they are, links too
                state = state_of(path)
                yield path, state, memory.recall(path, state) if state else None

        memory = SeenBefore(self.index_folder / "photos.cache", self.model.fingerprint)
        with closing(memory):
            for (path, state, known), seen in in_order(
                lambda job: job[2] or self._probe(job[0]), jobs(), workers
            ):
                if known is None and state is not None and isinstance(seen, Seen):
                    memory.keep(path, state, seen)
                yield path, replace(seen, crops=NO_CROPS) if isinstance(seen, Seen) else seen

    def name_group(
        self, group: "UnnamedGroup", name: str, *, known: bool = False, workers: int = 1
    ) -> tuple[Decision, list[tuple[str, str]]]:
        """Enroll the faces of `group` as `name`, whom somebody bears or nobody yet.

        With `known` somebody has to bear it, else UnknownPerson is raised. It is one decision.
        Also returned is which photos were left out and why: one that cannot be read or has changed,
        or what a human said before. Refused if none is left.
        """
        faces: list[tuple[str | os.PathLike[str], Seen]] = []
        left_out: list[tuple[str, str]] = []
        for wanted, seen in in_order(self._again, group.faces, workers):
            if isinstance(seen, Seen):
                faces.append((wanted.photo, seen))
            else:
                left_out.append((wanted.photo, str(seen)))
        if not faces:
            raise Refused(
                "none of the photos can be used: " + "; ".join(w for _, w in left_out[:3])
            )
        decision, refused = self.curation.confirm_all(faces, person_name(name), known=known)
        return decision, left_out + [(str(photo), why) for photo, why in refused]

    def _again(self, face: "UnnamedFace") -> Seen | FacesearchError:
        """Return what is seen of one face of a photo, as a reference; or why it is not there."""
        try:
            photo = read_photo(face.photo)
            if photo.content_hash != face.content_hash:
                return PhotoError(f"cannot read {face.photo}: it is another picture by now")
            seen = look(photo, self.model)
        except PhotoError as error:
            return error
        for place, there in enumerate(seen.faces):
            if same_place(there.box, face.box):
                one = [place]  # copies: a slice would keep the crops of all faces in memory
                alone = replace(
                    seen, faces=[there], crops=seen.crops[one], embeddings=seen.embeddings[one]
                )
                return referenced(alone, 0, self.model)
        return FaceError(f"the {subject(self.model.manifest)} is not found again")

    # Where faces lie

    def some_faces(self, most: int) -> "EnrolledFaces":
        """Return all enrolled faces; of every k-th person if there are more than `most`."""
        from facesearch.face_map import EnrolledFaces

        with self._store.snapshot():
            counts = self._store.n_templates()
            people, n_faces = list(counts), sum(counts.values())
            chosen, n_chosen = people, len(people)
            while sum(counts[person] for person in chosen) > most and n_chosen > 1:
                n_chosen -= max(1, n_chosen // 20)
                chosen = [people[place] for place in evenly(len(people), n_chosen)]
            faces, owners, rows = self._store.faces_of_people(chosen)
        some = evenly(len(faces), min(most, len(faces)))  # fewer if one person has too many
        return EnrolledFaces(faces[some], owners[some], rows[some], n_faces, len(people))

    # The gallery as a whole

    def info(self) -> dict[str, object]:
        """Return what the gallery holds and what was measured on it."""
        with self._reading() as view:
            return {
                "path": str(self.path),
                **self._store.about(),
                **self._store.counts(),
                "seq": view.seq,
                "index_kind": view.index.kind,
                "index_dim": view.index.dim,
                "strangers_score_mean": round(view.strangers.score_mean, 4),
                "strangers_score_std": round(view.strangers.score_std, 4),
            }

    def check(self) -> list[str]:
        """Return what is wrong with the gallery, a sentence each; an empty list if nothing is.

        Also finishes what a `forget` had to leave.
        """
        problems = self._store.problems()
        if problems:
            return problems
        if self._store.scrub_is_due():
            try:
                self._scrub()
            except GalleryError as error:
                problems.append(str(error))
        with self._reading() as view:
            ids, rows = self._store.templates()
            if len(view.index) != len(ids):
                problems.append(f"the index holds {len(view.index)} templates, not {len(ids)}")
            elif len(ids):
                some = np.unique(np.linspace(0, len(ids) - 1, 1000).astype(int))
                codes = self.model.search_codes(rows[some])
                found = view.index.search(codes, 1).ids[:, 0]
                places = np.minimum(np.searchsorted(ids, found), len(ids) - 1)
                # equal codes may stand in for another
                likeness = (self.model.search_codes(rows[places]) * codes).sum(1)
                wrong = int(((ids[places] != found) | (likeness < 0.99)).sum())
                if wrong:
                    problems.append(f"{wrong} of {len(some)} templates are not found by the index")
        return problems

    def rebuild(self) -> int:
        """Make the index anew from the gallery file; return how many templates it holds."""
        self._drop_index_files()
        self._view = None
        with self._reading() as view:
            return len(view.index)

    def export(self, target: Path) -> None:
        """Write the whole gallery to the new file `target`, which is a gallery itself."""
        if target.exists():
            raise GalleryError(f"{target} is there already; name a new file")
        self._store.copy_to(target)

    @property
    def index_folder(self) -> Path:
        """Return the folder of what can be computed again; `forget` deletes all that is in it."""
        return index_folder(self.path)

    def _drop_index_files(self) -> int:
        """Delete the index files, unfinished ones too; return how many there were."""
        n_files = 0
        with reported(self.path):
            for file in self.index_folder.glob("*"):
                file.unlink(missing_ok=True)
                n_files += 1
        return n_files

    @contextmanager
    def _reading(self, *, refit: bool = True) -> Iterator["_View"]:
        """Let what is read inside be of one moment, that of the view; see `_current`."""
        with self._store.snapshot():
            view = self._current(refit=refit)
            yield view
        self._keep_index(view)

    def _current(self, *, refit: bool = True) -> "_View":
        """Return the gallery in memory, brought up to date with the file.

        Call inside a snapshot or a transaction. The strangers' scores may be those of a gallery
        smaller by STALE, without `refit` by GROWTH.
        """
        seq, view = self._store.seq(), self._view
        if view is None or self._store.stamp(view.seq) != view.stamp:
            view = self._load_view()
        if view.seq < seq:
            added, removed = self._store.changes_since(view.seq)
            view.index.remove(np.array(removed, np.int64))
            ids, rows = self._store.templates(added)
            if len(ids):
                view.index.upsert(ids, self.model.search_codes(rows))
            view.seq, view.stamp = seq, self._store.stamp(seq) or ""
            view.references.clear()
        unfitted = view.seq - view.fitted_seq
        if view.fitted_seq < 0 or unfitted > (STALE if refit else GROWTH) * len(view.index):
            view.strangers = self._fit()
            view.fitted_seq = seq
        self._view = view
        return view

    def _load_view(self) -> "_View":
        """Return a view from the newest index file that is sound, else from all templates."""
        from facesearch_indexes.faiss_index import FaissIndex
        from facesearch_indexes.files import load_newest

        check_model(self._store, self.model)  # another program may have given it another
        none = np.zeros((0, self.model.dim), np.float32)
        nobody = fit_strangers(none, 0, self.model.cohort, self.model.head)
        newest = self._newest_stamp()
        if newest is not None:
            dim, seq = self.model.search_dim, self._store.seq()
            stored = load_newest(self.index_folder, newest, dim, seq)
            if stored is not None:
                index, seq = stored
                return _View(newest, seq, index, nobody, filed_seq=seq)
        ids, rows = self._store.templates()
        index = FaissIndex(self.model.search_dim)
        if len(ids):
            index = FaissIndex.build(ids, self.model.search_codes(rows))
        seq = self._store.seq()
        return _View(self._store.stamp(seq) or "", seq, index, nobody)

    def _newest_stamp(self) -> str | None:
        """Return the stamp of the newest index file that this gallery made, None without one.

        A file from before a restore has a stamp that the gallery does not know any more, even
        where it knows the number.
        """
        known = []
        for file in self.index_folder.glob("*-*-*.index"):
            stamp, seq, _ = file.name.split("-", 2)
            if seq.isdecimal() and self._store.stamp(int(seq)) == stamp:
                known.append((int(seq), stamp))
        return max(known)[1] if known else None

    def _keep_index(self, view: "_View") -> None:
        """Save the index if that saves time: it is large, and no file of it is nearly as new."""
        n_new = view.seq - view.filed_seq
        if len(view.index) < INDEX_FILE_FROM or (
            view.filed_seq >= 0 and n_new <= GROWTH * len(view.index)
        ):
            return
        from facesearch_indexes.files import save

        view.filed_seq = view.seq  # one attempt
        try:
            with self._store.transaction():  # nobody may be forgotten while their rows are written
                if self._store.stamp(self._store.seq()) == view.stamp:
                    save(view.index, self.index_folder, view.stamp, view.seq)
        except (OSError, GalleryError) as error:  # costs time, not the answer
            log.warning("the index could not be kept in %s: %s", self.index_folder, error)

    def _fit(self) -> Strangers:
        """Return how strangers score against the gallery, from at most STATISTICS_PEOPLE people."""
        people = self._store.people_with_templates()
        sample = people
        if len(people) > STATISTICS_PEOPLE:
            sample = [
                people[i] for i in np.linspace(0, len(people) - 1, STATISTICS_PEOPLE).astype(int)
            ]
        ids, rows = self._store.templates_of_people(sample)
        means = np.zeros((0, self.model.dim), np.float32)
        if len(ids):
            means = mean_templates(ids, rows)
        return fit_strangers(means, len(people), self.model.cohort, self.model.head)


def verify(
    model: Model, photo_a: str | os.PathLike[str], photo_b: str | os.PathLike[str]
) -> Verification:
    """Return whether two photos show one person, or one class, by the model's head.

    Of several faces the largest counts. Raises PhotoError if a photo cannot be read, FaceError if
    it shows no face, or no drawing.
    """
    seen = []
    for path in (photo_a, photo_b):
        seen.append(look(read_photo(path), model))
        if not seen[-1].faces:
            raise FaceError(f"{path}: no {subject(model.manifest)} found")
    return verification(model, *[(photo, 0) for photo in seen])


def verification(model: Model, a: tuple[Seen, int], b: tuple[Seen, int]) -> Verification:
    """Return whether two faces are of one person, or one class: a photo and the face's place each.

    Both are looked at again, since there are but two: the photos' crops have to be at hand.
    """
    probe, reference = (
        look_again(model, seen.crops[[place]], seen.embeddings[[place]])[0]
        for seen, place in (a, b)
    )
    llr = float(model.compare(probe, reference[None])[0])
    return Verification(same=llr > 0, probability=float(1 / (1 + np.exp(-llr))), llr=llr)


def gallery_file(path: str | os.PathLike[str]) -> Path:
    """Return the gallery file that `path` means: itself, or gallery.db if it is a folder."""
    file = Path(path)
    return file / "gallery.db" if file.is_dir() or not file.suffix else file


def model_for(path: str | os.PathLike[str], name: str = "default") -> str:
    """Return the name of the model to open the gallery at `path` with: `name` if it is one.

    "default" stands for the model that made the gallery, if it comes with facesearch: a gallery
    outlasts what the default is. Where there is no gallery yet, or it is of a model from elsewhere,
    it stays "default".
    """
    made_by = Store.made_by(gallery_file(path)) if name == "default" else None
    return name if made_by is None else shipped_model(made_by) or name


def index_folder(file: Path) -> Path:
    """Return the folder of what can be computed again from the gallery `file`."""
    return file.with_name(file.name + "-index")


def import_gallery(source: Path, target: str | os.PathLike[str], model: Model) -> Gallery:
    """Return the gallery at `target`, made from the exported file `source`.

    Raises GalleryError if there is a gallery at `target` already or `source` is none.
    """
    file = gallery_file(target)
    if file.exists():
        raise GalleryError(f"{file} is there already; name another place with --gallery")
    with closing(Store.open_to_read(source)) as exported:
        check_model(exported, model)
        problems = exported.problems()
        if problems:
            raise GalleryError(f"{source} is damaged: {problems[0]}")
        exported.copy_to(file)
    return Gallery(file, model, create=False)


def check_model(store: Store, model: Model) -> None:
    """Raise EmbeddingMismatch unless `model` made the templates in `store`."""
    about = store.about()
    if about["fingerprint"] != model.fingerprint:
        raise EmbeddingMismatch(
            f"the gallery {store.path} was made with the model {about['model']} "
            f"({about['fingerprint']}), not with {model.name} ({model.fingerprint}); "
            "name that model or another gallery, or make this one anew with "
            "facesearch gallery migrate"
        )


def mean_template(rows: Floats) -> Floats:
    """Return a person's reference (dim,): the mean of the templates (n, dim), of length 1."""
    mean: Floats = unit(rows.mean(0))
    return mean


def mean_templates(people: NDArray[np.int64], rows: Floats) -> Floats:
    """Return the references (m, dim) of all people, by id; `rows[i]` is of person `people[i]`."""
    order = np.argsort(people, kind="stable")
    _, starts = np.unique(people[order], return_index=True)
    return unit(np.add.reduceat(rows[order], starts, axis=0))


def load_faiss() -> None:
    """Import the index, which takes 0.2 s, so that a search need not wait for it."""
    import facesearch_indexes.faiss_index  # noqa: F401


def most_alike(
    probe: Floats, people: Mapping[int, Floats], strangers: Strangers
) -> dict[int, Floats]:
    """Return the CANDIDATES of `people`, references by person, nearest to `probe` (dim,).

    By the centred cosine of whole templates: the head's own order costs a hundred times as much.
    """
    if len(people) <= CANDIDATES:
        return dict(people)
    cosines = strangers.centred(np.stack(list(people.values()))) @ strangers.centred(probe)
    kept = np.argsort(-cosines, kind="stable")[:CANDIDATES]
    persons = list(people)
    return {persons[place]: people[persons[place]] for place in kept.tolist()}
