"""What every index can do, and what it answers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class IndexDamaged(Exception):
    """Stored index bytes that are not what was saved; rebuild the index from its source."""


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: arrays have no single truth value
class Matches:
    """The nearest rows of n queries, k each, best first."""

    ids: NDArray[np.int64]  # (n, k); -1 where there are fewer than k rows
    scores: NDArray[np.float32]  # (n, k) inner products, higher is more alike; -inf beside id -1


class VectorIndex(Protocol):
    """Rows by id, searched by inner product; what a remote engine can do too.

    Ids are the caller's own and never negative; rows are (n, dim) float32. Input that does not fit
    raises ValueError and changes nothing.
    """

    @property
    def dim(self) -> int:
        """Numbers in a row."""

    @property
    def kind(self) -> str:
        """How the rows are held, in a word, for whoever inspects the gallery."""

    def __len__(self) -> int:
        """Return the number of ids held."""

    def upsert(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Hold `rows` (n, dim) under `ids` (n,); an id that is there already is replaced."""

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Drop `ids` (n,); those that are not there are ignored."""

    def search(self, rows: NDArray[np.float32], k: int) -> Matches:
        """Return the `k` nearest of each query row (n, dim); `k` may exceed the ids held."""
