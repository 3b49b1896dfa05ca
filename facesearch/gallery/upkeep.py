"""The gallery as a whole: what it holds, whether it is sound, its copies, and erasing."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from facesearch.errors import GalleryError
from facesearch.gallery.files import index_folder, photo_folder
from facesearch.gallery.session import Session
from facesearch.storage.photo_copies import delete_copies_except, delete_files
from facesearch.storage.run_folders import delete_left_behind
from facesearch.storage.sqlite import reported

CHECKED_TEMPLATES = 1000  # templates that `check` looks up in the index
MAX_NAMED = 10  # files in a message


class Upkeep:
    """Looks after one gallery; `Gallery.upkeep` is one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._store = session.store

    @property
    def index_folder(self) -> Path:
        """The folder of what can be computed again; `forget` deletes every file in it."""
        return index_folder(self._session.path)

    def info(self) -> dict[str, object]:
        """Return what the gallery holds and what was measured on it."""
        with self._session.live.reading() as view:
            return {
                "path": str(self._session.path),
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
        if self._store.erasure_is_due():
            try:
                self.erase()
            except GalleryError as error:
                problems.append(str(error))
        return problems + self._index_problems()

    def _index_problems(self) -> list[str]:
        """Return what the index gets wrong of the templates, a sentence each."""
        model = self._session.model
        with self._session.live.reading() as view:
            ids, rows = self._store.templates.all()
            if len(view.index) != len(ids):
                return [f"the index holds {len(view.index)} templates, not {len(ids)}"]
            if not len(ids):
                return []
            some = np.unique(np.linspace(0, len(ids) - 1, CHECKED_TEMPLATES).astype(int))
            codes = model.search_codes(rows[some])
            found = view.index.search(codes, 1).ids[:, 0]
            places = np.minimum(np.searchsorted(ids, found), len(ids) - 1)
            # equal codes may stand in for another
            likeness = (model.search_codes(rows[places]) * codes).sum(1)
            wrong = int(((ids[places] != found) | (likeness < 0.99)).sum())
        return [f"{wrong} of {len(some)} templates are not found by the index"] if wrong else []

    def rebuild(self) -> int:
        """Build the index again from the gallery file; return how many templates it holds."""
        self._delete_index_files()
        self._session.live.drop()
        with self._session.live.reading() as view:
            return len(view.index)

    def export(self, target: Path) -> None:
        """Write the whole gallery to the new file `target`, which is a gallery itself."""
        if target.exists():
            raise GalleryError(f"{target} is there already; name a new file")
        self._store.copy_to(target)

    def erase(self) -> dict[str, int]:
        """Erase the last bytes of what was deleted; return how many files were deleted for it.

        The gallery file is erased even if a file beside it cannot be deleted. Then, and if the
        gallery file cannot be erased, raises GalleryError, and the next `check` tries again.
        """
        n_files, stay = self._delete_index_files()
        n_photos, copies = delete_copies_except(
            photo_folder(self._session.path), self._store.photos.hashes_with_path()
        )
        delete_left_behind()  # of a page that was killed: it may hold photos of anybody
        stay += copies
        if stay:
            self._store.db.erase()  # not `Store.erase`: erasing stays due
            more = f" and {len(stay) - MAX_NAMED:,} more" if len(stay) > MAX_NAMED else ""
            raise GalleryError(
                f"the gallery file is erased, but these files may show who was deleted and cannot "
                f"be deleted: {'; '.join(stay[:MAX_NAMED])}{more}; make their folders writable and "
                "run facesearch gallery check"
            )
        self._store.erase()
        return {"index files": n_files} | ({"copies of photos": n_photos} if n_photos else {})

    def foreign_folders(self) -> list[Path]:
        """Return the folders in the gallery's folders, which `forget` leaves: it made none.

        Storage devices make some (@eaDir), with small copies of the pictures beside them.
        """
        places = (self.index_folder, photo_folder(self._session.path))
        with reported(self._session.path):
            return sorted(path for place in places for path in place.glob("*") if path.is_dir())

    def _delete_index_files(self) -> tuple[int, list[str]]:
        """Delete the index files and caches, unfinished ones too; see `delete_files`."""
        n_files = 0
        with suppress(OSError):  # what it cannot delete is in the folder, and reported below
            n_files = self._session.live.erase()
        n_others, stay = delete_files(self.index_folder.glob("*"))
        return n_files + n_others, stay
