"""What every vector index can do, and what a search returns."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class IndexDamaged(Exception):
    """Stored index bytes are not what was saved; rebuild the index from its source."""


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: arrays have no single truth value
class Matches:
    """The nearest rows of n queries, k each, best first."""

    ids: NDArray[np.int64]  # (n, k); -1 if the index has fewer than k rows
    scores: NDArray[np.float32]  # (n, k) inner products, higher is more alike; -inf beside id -1


class VectorIndex(Protocol):
    """Rows by id, searched by inner product; a remote engine can do this too.

    Ids are chosen by the caller and never negative; rows are (n, dim) float32. Input that does not
    fit raises ValueError and changes nothing.
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
        """Hold `rows` (n, dim) under `ids` (n,), replacing the rows of ids already held."""

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Drop `ids` (n,), ignoring those not held."""

    def search(self, rows: NDArray[np.float32], k: int) -> Matches:
        """Return the `k` nearest of each query row (n, dim); `k` may exceed the number of ids held.

        Equal scores go by id; which of several equal scores come last is not defined.
        """
