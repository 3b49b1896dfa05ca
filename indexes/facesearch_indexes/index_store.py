"""Where a gallery's index lives between runs: the `IndexStore` protocol, and FAISS with files.

Importing this module does not load FAISS, which takes 0.2 s: the methods do, or `preload` does.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facesearch_indexes.base import VectorIndex
from facesearch_indexes.file_names import erase


class IndexStore(Protocol):
    """Makes the index of one gallery, and keeps it from one run to the next.

    What is kept is a cache: it may be lost at any moment, but a wrong index is never returned.
    A gallery numbers its changes 1, 2, ... (`seq`; 0 is the gallery as it was created) and gives
    each a `stamp`, lower-case hex. A gallery restored from a backup numbers later changes again
    but never reuses a stamp.
    """

    def preload(self) -> None:
        """Load or connect what the other methods need, so that the first of them need not wait."""

    def empty(self, dim: int) -> VectorIndex:
        """Return an index of rows of `dim` numbers that holds nothing."""

    def build(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> VectorIndex:
        """Return an index of `rows` (n, dim) under `ids` (n,), of the kind that suits n.

        Raises ValueError for what `VectorIndex.upsert` refuses.
        """

    def open(
        self, dim: int, newest_seq: int, stamp_of: Callable[[int], str | None]
    ) -> tuple[VectorIndex, int] | None:
        """Return the newest index kept of this gallery and its seq, None if there is none.

        `stamp_of(seq)` is the gallery's stamp of that change, None if it has no such change;
        `newest_seq` is its newest change. An index of `stamp_of(seq)` is of this gallery as it was
        after change `seq`. One of another dimension, or damaged, is never returned.
        """

    def keep(self, index: VectorIndex, stamp: str, seq: int) -> None:
        """Keep `index`, which this store made, as it is after change `seq` with its `stamp`.

        It replaces what was kept before; rows removed from `index` are not kept. Raises OSError
        if that fails: what was kept before may then be left. Raises ValueError for an index of
        another store, a stamp that is not lower-case hex, or a negative seq.
        """

    def erase(self) -> int:
        """Erase everything kept, unfinished parts too; return how many files or parts that was.

        Raises OSError if something cannot be erased.
        """


class FaissFiles:
    """An `IndexStore`: FAISS indexes in memory, kept as files in a folder (see `files`).

    The folder may hold other files too; those are left alone.
    """

    def __init__(self, folder: Path) -> None:
        """Keep index files in `folder`, which `keep` creates if it does not exist."""
        self._folder = folder

    def preload(self) -> None:
        """Import FAISS."""
        import facesearch_indexes.files  # noqa: F401

    def empty(self, dim: int) -> VectorIndex:
        """Return an empty exact index; see `IndexStore`."""
        from facesearch_indexes.faiss_index import FaissIndex

        return FaissIndex(dim)

    def build(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> VectorIndex:
        """Return an index of `rows`; see `IndexStore`."""
        return build_index(ids, rows)

    def open(
        self, dim: int, newest_seq: int, stamp_of: Callable[[int], str | None]
    ) -> tuple[VectorIndex, int] | None:
        """Return the newest sound index and its seq; see `IndexStore`.

        If any file is of this gallery, all others that cannot serve are deleted with a warning.
        """
        from facesearch_indexes.files import load_newest, saved_states

        known = [(seq, s) for seq, s in saved_states(self._folder) if stamp_of(seq) == s]
        if not known:
            return None
        return load_newest(self._folder, max(known)[1], dim, newest_seq)

    def keep(self, index: VectorIndex, stamp: str, seq: int) -> None:
        """Write `index` to a file and delete older ones; see `IndexStore`."""
        from facesearch_indexes.faiss_index import FaissIndex
        from facesearch_indexes.files import save

        if not isinstance(index, FaissIndex):
            raise ValueError(f"a FAISS index is kept here, not a {type(index).__name__}")
        save(index, self._folder, stamp, seq)

    def erase(self) -> int:
        """Delete all index files, unfinished ones too; return how many there were."""
        return erase(self._folder)


def build_index(ids: NDArray[np.int64], rows: NDArray[np.float32]) -> VectorIndex:
    """Return an index in memory of `rows` (n, dim) under `ids` (n,), of the kind that suits n.

    For an index that one calculation needs and nobody keeps. Raises ValueError for what
    `VectorIndex.upsert` refuses.
    """
    from facesearch_indexes.faiss_index import FaissIndex

    return FaissIndex.build(ids, rows)
