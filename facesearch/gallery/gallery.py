"""One gallery: enroll, identify, verify, search and forget here; all else by noun.

`people`, `faces`, `history`, `duplicates`, `review` and `upkeep` hold the rest. The SQLite file is
the truth; the index is a cache of it, see live_index.py.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from facesearch.detection import Face
from facesearch.errors import GalleryError
from facesearch.gallery import identifying
from facesearch.gallery.duplicates import Duplicates
from facesearch.gallery.enrolling import Enroller, Enrollment
from facesearch.gallery.faces import Faces
from facesearch.gallery.files import check_model, gallery_file, index_folder, model_for
from facesearch.gallery.history import History
from facesearch.gallery.identifying import IdentifiedPhoto, Neighbor, Verification
from facesearch.gallery.live_index import LiveIndex
from facesearch.gallery.people import People
from facesearch.gallery.review import Review
from facesearch.gallery.session import Session
from facesearch.gallery.upkeep import Upkeep
from facesearch.identification import IdentifiedFace, Seen
from facesearch.model import Model
from facesearch.storage.forgetting import forget_person
from facesearch.storage.store import Store
from facesearch_indexes import FaissFiles

log = logging.getLogger(__name__)


class Gallery:
    """One gallery file with its model; usable as a context manager.

    `path` is the gallery's SQLite file; a folder stands for `gallery.db` in it.
    """

    def __init__(
        self, path: str | os.PathLike[str], model: Model | str = "default", *, create: bool = True
    ) -> None:
        """Open the gallery at `path`, making it unless `create` is false.

        With "default" an existing gallery is opened with its own model, see `model_for`. One that
        cannot be written can still be searched. Raises GalleryError if it cannot be opened,
        EmbeddingMismatch if another model made it.
        """
        self.path = gallery_file(path)
        self.model = Model.load(model_for(path, model)) if isinstance(model, str) else model
        store = Store.open(
            self.path, model=self.model.name, fingerprint=self.model.fingerprint, create=create
        )
        try:
            check_model(store, self.model)
        except BaseException:
            store.close()
            raise
        live = LiveIndex(store, self.model, FaissFiles(index_folder(self.path)))
        self._session = Session(self.path, store, store.decisions, self.model, live)
        self.people = People(self._session)
        self.faces = Faces(self._session)
        self.history = History(self._session)
        self.duplicates = Duplicates(self._session)
        self.review = Review(self._session, self.faces)
        self.upkeep = Upkeep(self._session)
        if store.erasure_is_due() and not store.read_only:
            try:  # somebody was forgotten, and the program ended before the last byte was gone
                self.upkeep.erase()
            except GalleryError as error:
                log.warning("%s", error)

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the gallery; everything that was reported as stored is."""
        self._session.store.close()

    def enroll(
        self,
        photos: Iterable[tuple[str, str | os.PathLike[str]]],
        *,
        workers: int = 1,
        doubt: Callable[[str, int, int], bool] | None = None,
    ) -> Iterator[Enrollment]:
        """Enroll (name, photo file) pairs; yield what became of each once it is on the disk.

        Consecutive pairs of one name are looked at together. The same picture under the same name
        adds nothing, so an interrupted run can simply be started again. A photo that cannot be used
        is yielded with the reason and stops nothing. Somebody who was merged into another is
        enrolled as that person. Everything stored is undone as one decision.

        `doubt(name, alike, clear)` is asked, before anything of a person is stored, if among their
        first photos only `alike` of `clear` with a face show one person, less than half; False
        skips them all. Without it nothing is asked. Raises GalleryError when nothing can be stored
        any more, ValueError for an empty name.
        """
        return Enroller(self._session, doubt).enroll(photos, workers)

    def identify(
        self,
        photos: Iterable[str | os.PathLike[str]],
        *,
        fpir: float = 0.01,
        prior: float = 0.5,
        workers: int = 1,
    ) -> Iterator[IdentifiedPhoto]:
        """Yield who is in each of `photos`, in their order; one that cannot be read says why.

        `fpir`: the share of strangers searched against this gallery who may get a name. `prior`:
        how likely a face is of anybody enrolled. Raises ValueError if either is not between 0
        and 1.
        """
        return identifying.identify(self._session, photos, fpir, prior, workers)

    def identify_faces(
        self, seen: Seen, *, fpir: float = 0.01, prior: float = 0.5
    ) -> list[IdentifiedFace]:
        """Return who the faces of one photo are that was looked at; see `identify`."""
        return identifying.identify_faces(self._session, seen, fpir, prior)

    def verify(
        self, photo_a: str | os.PathLike[str], photo_b: str | os.PathLike[str]
    ) -> Verification:
        """Return whether two photos show one person, or one class; the gallery plays no part.

        Of several faces the largest counts. Raises PhotoError; FaceError if there is no face, or
        no drawing.
        """
        return identifying.verify(self.model, photo_a, photo_b)

    def search(self, photo: Path, k: int = 10) -> list[tuple[Face, list[Neighbor]]]:
        """Return for each face of `photo` the `k` nearest enrolled faces, with no name decided.

        Nearest by the cosine of the search codes: the head, which may read more, has no say.
        """
        return identifying.search(self._session, photo, k)

    def forget(self, name: str) -> dict[str, int]:
        """Delete every trace of a person from the gallery; return what was deleted.

        Also of somebody of whom only the log of decisions is left. Raises UnknownPerson, and
        GalleryError if another program keeps the file from being rewritten: then the rows are
        gone, and the bytes go with the next `check` or opening.
        """
        store = self._session.store
        with store.transaction():
            person = self.history.gone_person(name)
            gone = forget_person(store, self.people.id_of(name) if person is None else person)
        self._session.live.drop()
        return gone | self.upkeep.erase()
