"""`VectorIndex` and `IndexStore` by brute force in numpy: the oracle, and a second implementation.

Rows lie in a dict by id, and what is kept lies in memory: no positions, no files, no FAISS.
"""

import numpy as np

from facesearch_indexes import Matches

LARGEST = 65504.0  # of half precision: what every implementation must accept


class NumpyIndex:
    """A `VectorIndex` that compares every query with every row."""

    kind = "numpy"

    def __init__(self, dim):
        self.dim = dim
        self.held = {}  # id -> row

    def __len__(self):
        return len(self.held)

    def upsert(self, ids, rows):
        ids, rows = self._checked_ids(ids), self._checked_rows(rows)
        if len(ids) != len(rows) or len(set(ids)) != len(ids):
            raise ValueError("each row needs one id, each id one row")
        self.held.update(zip(ids, rows, strict=True))

    def remove(self, ids):
        for id_ in self._checked_ids(ids):
            self.held.pop(id_, None)

    def search(self, rows, k):
        rows = self._checked_rows(rows)
        if k < 1:
            raise ValueError("a search returns at least one row")
        ids = np.full((len(rows), k), -1, np.int64)
        scores = np.full((len(rows), k), -np.inf, np.float32)
        for query, row in enumerate(rows):
            best = sorted((-float(other @ row), id_) for id_, other in self.held.items())[:k]
            ids[query, : len(best)] = [id_ for _, id_ in best]
            scores[query, : len(best)] = [-score for score, _ in best]
        return Matches(ids, scores)

    def copy(self):
        """Return an index of the same rows that no longer changes with this one."""
        other = NumpyIndex(self.dim)
        other.held = dict(self.held)
        return other

    def _checked_ids(self, ids):
        ids = np.asarray(ids)
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or (ids < 0).any():
            raise ValueError("ids are whole numbers, none negative")
        return ids.tolist()

    def _checked_rows(self, rows):
        rows = np.array(rows, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.dim or not (np.abs(rows) <= LARGEST).all():
            raise ValueError(f"rows are finite and (n, {self.dim})")
        return rows


class MemoryStore:
    """An `IndexStore` that lives as long as the object: the next run is given the same one."""

    def __init__(self):
        self.kept = {}  # (stamp, seq) -> index

    def preload(self):
        pass

    def empty(self, dim):
        return NumpyIndex(dim)

    def build(self, ids, rows):
        index = NumpyIndex(np.shape(rows)[-1])
        index.upsert(ids, rows)
        return index

    def open(self, dim, newest_seq, stamp_of):
        usable = [
            (seq, index)
            for (stamp, seq), index in self.kept.items()
            if stamp_of(seq) == stamp and seq <= newest_seq and index.dim == dim
        ]
        if not usable:
            return None
        seq, index = max(usable, key=lambda item: item[0])
        return index.copy(), seq

    def keep(self, index, stamp, seq):
        if not isinstance(index, NumpyIndex):
            raise ValueError("an index of another store")
        if not stamp or set(stamp) - set("0123456789abcdef") or seq < 0:
            raise ValueError(f"{stamp!r} and {seq} do not name a state of a gallery")
        self.kept = {(stamp, seq): index.copy()}

    def erase(self):
        n_kept, self.kept = len(self.kept), {}
        return n_kept
