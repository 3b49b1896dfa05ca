"""The vector index with FAISS: exact, in half precision, or product-quantized and refined.

FAISS numbers rows by position, and some kinds of FAISS indexes cannot remove rows. So ids are kept
here: `_ids` has the id at each position, a removed or replaced row stays as a tombstone until a
fifth of the rows are tombstones, and a search asks for more rows until enough of them are live.
"""

import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from facesearch_indexes.base import IndexDamaged, Matches

# Idle OpenMP threads spin: 45 s instead of 2 s on busy cores. FAISS reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import faiss

# From this many queries x dimensions, FAISS searches by a matrix product: at 1024 for batches of
# eight 128-d queries, not for single ones. The default, 128000, makes batches under 1,000 queries
# ten times slower.
faiss.cvar.distance_compute_blas_threshold = 1024

# A forked child inherits OpenMP's state without its threads, so its first parallel search would
# hang. With one thread it waits for no others. (Windows cannot fork.)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))

_FACTORY = {"flat": "Flat", "fp16": "SQfp16", "pq": "PQ64x4fs,Refine(SQfp16)"}
_PQ_PARTS = 64
_PQ_CANDIDATES = 100  # refined per requested row: recall@10 is 0.969 in 1M rows
# 16 centroids; FAISS warns below 39 rows for each, and uses at most 256 for each.
_PQ_LEAST_ROWS, _PQ_TRAINING_ROWS = 16 * 39, 16 * 256
_LARGEST = float(np.finfo(np.float16).max)  # a larger number would become infinity in fp16
_NO_ID = -1
_MOST_TOMBSTONES = 0.2  # share of the rows; twice the wanted rows then nearly always suffice


def kind_for(count: int) -> str:
    """Return the kind that suits `count` rows: "flat", "fp16" or "pq".

    A 128-d query takes 2.9 ms in 100k flat rows, 12 ms in 1M fp16 rows, 2.8 ms in 1M pq rows.
    """
    if count <= 200_000:
        return "flat"
    return "fp16" if count <= 1_000_000 else "pq"


class FaissIndex:
    """A `VectorIndex` in memory.

    "flat" is exact, "fp16" scores rows rounded to half precision, "pq" also misses a few (recall@10
    0.969). Searches may run concurrently; a change (`upsert`, `remove`, `write`) must run alone.
    """

    def __init__(self, dim: int, kind: str = "flat") -> None:
        """Make an empty index; a "pq" one learns its codebook from the first rows upserted.

        Raises ValueError for an unknown kind, or a dimension that "pq" cannot split into 64 parts.
        """
        if kind not in _FACTORY:
            raise ValueError(f"an index is one of {', '.join(_FACTORY)}, not {kind!r}")
        if dim < 1 or (kind == "pq" and dim % _PQ_PARTS):
            raise ValueError(f"a {kind} index cannot hold rows of {dim} numbers")
        self._kind = kind
        self._dim = dim
        self._rows: Any = faiss.index_factory(dim, _FACTORY[kind], faiss.METRIC_INNER_PRODUCT)
        self._ids = np.empty(0, np.int64)  # id of each position of _rows; _NO_ID is a tombstone
        self._tombstones = 0

    @classmethod
    def build(
        cls, ids: NDArray[np.int64], rows: NDArray[np.float32], kind: str | None = None
    ) -> "FaissIndex":
        """Return an index of `rows` (n, dim) under `ids` (n,), by default of the kind that suits n.

        Raises ValueError for input that `upsert` refuses.
        """
        if rows.ndim != 2:
            raise ValueError(f"rows are (n, dim), got {rows.shape}")
        index = cls(rows.shape[1], kind or kind_for(len(ids)))
        index.upsert(ids, rows)
        return index

    @property
    def dim(self) -> int:
        """Numbers in a row."""
        return self._dim

    @property
    def kind(self) -> str:
        """One of "flat", "fp16", "pq"; it does not change as rows are added."""
        return self._kind

    def __len__(self) -> int:
        """Return the number of ids held."""
        return len(self._ids) - self._tombstones

    def upsert(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Hold `rows` (n, dim) under `ids` (n,), replacing the rows of ids already held.

        Raises ValueError, with nothing changed, for negative or repeated ids, rows of another
        dimension, numbers that are not finite or beyond half precision (65504), and fewer than 624
        rows in the first upsert of a "pq" index.
        """
        ids, rows = _checked_ids(ids), self._checked_rows(rows)
        if len(ids) != len(rows):
            raise ValueError(f"every row has one id, got {len(ids)} ids for {len(rows)} rows")
        if len(np.unique(ids)) != len(ids):
            raise ValueError("an id may appear only once among the ids of one call")
        if len(ids) == 0:
            return
        if not self._rows.is_trained:
            self._train(rows)
        self._rows.add(rows)
        self._bury(ids)
        self._ids = np.concatenate([self._ids, ids])
        self._compact(_MOST_TOMBSTONES)

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Drop `ids` (n,), ignoring those not held.

        Their rows may stay in memory for a while, but are never written to a file. Raises
        ValueError for negative ids.
        """
        self._bury(_checked_ids(ids))
        self._compact(_MOST_TOMBSTONES)

    def search(self, rows: NDArray[np.float32], k: int) -> Matches:
        """Return the `k` nearest of each query row (n, dim); equal scores go by id.

        Which of several equal scores come last is not defined. Raises ValueError for `k` below 1,
        rows of another dimension, and numbers that `upsert` refuses.
        """
        rows = self._checked_rows(rows)
        if k < 1:
            raise ValueError(f"a search returns at least one row, got k={k}")
        found = Matches(
            ids=np.full((len(rows), k), _NO_ID, np.int64),
            scores=np.full((len(rows), k), -np.inf, np.float32),
        )
        held, live = len(self._ids), len(self)
        want = min(k, live)
        if want == 0 or len(rows) == 0:  # FAISS crashes on a search in an empty pq index
            return found
        fetch = want if live == held else min(2 * want, held)
        while True:
            scores, places = self._nearest(rows, fetch)
            ids = np.where(places < 0, _NO_ID, self._ids[places])
            dead = ids == _NO_ID
            if fetch == held or (fetch - dead.sum(axis=1)).min() >= want:
                break
            fetch = min(2 * fetch, held)
        scores[dead] = -np.inf
        best = np.lexsort((ids, -scores), axis=-1)[:, :want]
        found.ids[:, :want] = np.take_along_axis(ids, best, axis=1)
        found.scores[:, :want] = np.take_along_axis(scores, best, axis=1)
        return found

    def write(self, stream: BinaryIO) -> None:
        """Write the ids and rows held, without removed rows.

        Raises OSError as the stream does.
        """
        self._compact(0)
        stream.write(self._ids.astype("<i8").tobytes())
        # By callbacks, since FAISS cannot open a Windows path with an umlaut.
        writer = faiss.PyCallbackIOWriter(stream.write)  # type: ignore[attr-defined]
        faiss.write_index(self._rows, writer)

    @classmethod
    def read(cls, stream: BinaryIO, dim: int, kind: str, count: int) -> "FaissIndex":
        """Return the index that `write` wrote; the caller must have verified its checksum.

        A flipped bit can make FAISS return wrong rows or crash. Rows are copied to memory, since
        adding to a mapped index aborts the process. Raises IndexDamaged for bytes of another index.
        """
        try:
            index = cls(dim, kind)
        except ValueError as error:
            raise IndexDamaged(str(error)) from error
        expected = type(index._rows)
        try:
            index._ids = np.frombuffer(stream.read(8 * count), "<i8").astype(np.int64)
            reader = faiss.PyCallbackIOReader(stream.read)  # type: ignore[attr-defined]
            rows: Any = faiss.read_index(reader)
        except (ValueError, RuntimeError) as error:
            raise IndexDamaged("the ids or rows of an index file cannot be read") from error
        if not isinstance(rows, expected) or (rows.d, rows.ntotal) != (dim, len(index._ids)):
            raise IndexDamaged("the rows of an index file are not those its ids belong to")
        index._rows = rows
        return index

    def _checked_rows(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(rows, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self._dim:
            raise ValueError(f"this index holds rows of {self._dim} numbers, got {rows.shape}")
        if not (np.abs(rows) <= _LARGEST).all():  # not-a-number fails the comparison too
            raise ValueError(f"the numbers of a row must be finite and within +-{_LARGEST:.0f}")
        return rows

    def _train(self, rows: NDArray[np.float32]) -> None:
        if len(rows) < _PQ_LEAST_ROWS:
            raise ValueError(
                f"a pq index needs at least {_PQ_LEAST_ROWS} first rows, got {len(rows)}"
            )
        chosen = np.random.default_rng(0).permutation(len(rows))[:_PQ_TRAINING_ROWS]
        self._rows.train(rows[chosen])

    def _nearest(
        self, rows: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return scores and positions, (n, k) each, best first; `k` is at most the rows held."""
        parameters = None
        if self._kind == "pq":
            parameters = faiss.IndexRefineSearchParameters()
            parameters.k_factor = min(_PQ_CANDIDATES, self._rows.ntotal / k)
        scores, places = self._rows.search(rows, k, params=parameters)
        return scores, places

    def _bury(self, ids: NDArray[np.int64]) -> None:
        dead = np.isin(self._ids, ids)
        self._ids[dead] = _NO_ID
        self._tombstones += int(np.count_nonzero(dead))

    def _compact(self, most: float) -> None:
        """Drop the tombstones if they are more than the share `most` of the rows."""
        if self._tombstones <= most * len(self._ids):
            return
        live = self._ids != _NO_ID
        rows = self._rows.reconstruct_n(0, len(live))[live]  # fp16 rounds no further
        self._rows.reset()
        if len(rows):  # FAISS crashes on adding no rows to an empty pq index
            self._rows.add(rows)
        self._ids = self._ids[live]
        self._tombstones = 0


def _checked_ids(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(f"ids are (n,) whole numbers, got {ids.shape} of {ids.dtype}")
    ids = ids.astype(np.int64)
    if (ids < 0).any():  # -1 means "no row"
        raise ValueError("an id is never negative")
    return ids
