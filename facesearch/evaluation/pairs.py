"""Pictures in classes -> pairs to verify: half of one class, half of two."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.errors import DataError
from facesearch.evaluation.omniglot import Ids
from facesearch.evaluation.pictures import Pictures, rows_by_class

Found = dict[tuple[int, int], None]  # pairs of rows, each once, in the order drawn

USELESS = 1000  # draws in a row that bring no new pair: by then there is hardly one left


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of pictures, as many mated as non-mated, no pair twice."""

    first: Ids  # (n,) row of Pictures
    second: Ids  # (n,)
    mated: NDArray[np.bool_]  # (n,) whether they are of one class

    def __len__(self) -> int:
        return len(self.mated)


def verification_pairs(pictures: Pictures, n: int, seed: int) -> Pairs:
    """Return `n` random pairs, or fewer where the data has not so many; the same for one seed.

    A class is drawn first, each alike, then its pictures: a class with many counts no more. Of the
    non-mated half are of two classes of one group and half of two groups, or more of one kind where
    the other is scarce. Never a picture with itself or its exact double. Raises DataError if there
    is no mated or no non-mated pair.
    """
    rng = np.random.default_rng(seed)
    rows = rows_by_class(pictures.classes, len(pictures.class_names))
    counts = np.array([len(some) for some in rows])
    several = np.flatnonzero(counts > 1)
    # classes group by group: a class's rivals are then a run of places, or all but a run
    by_group = np.argsort(pictures.groups, kind="stable")
    place = np.argsort(by_group)
    sizes = np.bincount(pictures.groups)[pictures.groups]  # classes in each class's group
    start = np.searchsorted(pictures.groups[by_group], pictures.groups)
    crowded, rivalled = np.flatnonzero(sizes > 1), np.flatnonzero(sizes < len(counts))

    def of_one() -> tuple[int, int]:
        a, b = rng.choice(rows[several[rng.integers(len(several))]], 2, replace=False)
        return int(a), int(b)

    def within() -> tuple[int, int]:
        number = crowded[rng.integers(len(crowded))]
        other = start[number] + rng.integers(sizes[number] - 1)
        other = by_group[other + (other >= place[number])]
        return int(rng.choice(rows[number])), int(rng.choice(rows[other]))

    def across() -> tuple[int, int]:
        number = rivalled[rng.integers(len(rivalled))]
        other = rng.integers(len(counts) - sizes[number])
        other = by_group[other + sizes[number] * (other >= start[number])]
        return int(rng.choice(rows[number])), int(rng.choice(rows[other]))

    doubles = _doubles(pictures.crops)
    mated: Found = {}
    if len(several):
        _fill(mated, of_one, n // 2, doubles)
    if not mated:
        raise DataError("there are no two different pictures of one class: nothing to verify")
    non_mated: Found = {}
    if len(rivalled):
        _fill(non_mated, across, len(mated) // 2, doubles)
    if len(crowded):
        _fill(non_mated, within, len(mated), doubles)
    if len(rivalled):  # what was scarce within
        _fill(non_mated, across, len(mated), doubles)
    if not non_mated:
        raise DataError("no two different pictures of two classes were found: nothing to verify")
    count = min(len(mated), len(non_mated))
    both = np.array([*mated][:count] + [*non_mated][:count])
    return Pairs(both[:, 0], both[:, 1], np.arange(2 * count) < count)


def _fill(
    found: Found, draw: Callable[[], tuple[int, int]], count: int, doubles: list[bytes]
) -> None:
    """Draw pairs into `found` up to `count` in all, none of two pictures that are the same bytes.

    Fewer where USELESS draws in a row bring nothing new.
    """
    useless = 0
    while len(found) < count and useless < USELESS:
        a, b = sorted(draw())
        useless += 1
        if doubles[a] != doubles[b] and (a, b) not in found:
            found[a, b] = None
            useless = 0


def _doubles(crops: NDArray[np.uint8]) -> list[bytes]:
    """Return a digest of each crop."""
    return [hashlib.blake2b(crop.tobytes(), digest_size=16).digest() for crop in crops]
