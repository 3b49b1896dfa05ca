"""Pictures in classes -> pairs to verify, half of them mated."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.errors import DataError
from facesearch.evaluation.omniglot import Ids
from facesearch.evaluation.pictures import Pictures, rows_by_class

Found = dict[tuple[int, int], None]  # pairs of rows, each once, in the order drawn

MAX_FAILED_DRAWS = 1000  # in a row, without a new pair: then hardly any is left


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of pictures, as many mated as non-mated, no pair twice."""

    first: Ids  # (n,) row of Pictures
    second: Ids  # (n,)
    mated: NDArray[np.bool_]  # (n,) whether they are of one class

    def __len__(self) -> int:
        return len(self.mated)


def verification_pairs(pictures: Pictures, n: int, seed: int) -> Pairs:
    """Return `n` random pairs, or fewer if the data has fewer; one seed always gives the same.

    All classes are drawn equally often, however many pictures they have. Half of the non-mated
    pairs are within a group and half across groups, or more of one kind if the other is scarce. No
    picture is paired with itself or an exact copy. Raises DataError if there is no mated or no
    non-mated pair.
    """
    rng = np.random.default_rng(seed)
    rows = rows_by_class(pictures.classes, len(pictures.class_names))
    counts = np.array([len(some) for some in rows])
    with_mates = np.flatnonzero(counts > 1)
    # classes in order of group: then the others of a group are consecutive
    by_group = np.argsort(pictures.groups, kind="stable")
    place = np.argsort(by_group)
    sizes = np.bincount(pictures.groups)[pictures.groups]  # classes in each class's group
    start = np.searchsorted(pictures.groups[by_group], pictures.groups)
    # classes with others in their group, and classes with others outside of it
    with_inside, with_outside = np.flatnonzero(sizes > 1), np.flatnonzero(sizes < len(counts))

    def mates() -> tuple[int, int]:
        a, b = rng.choice(rows[with_mates[rng.integers(len(with_mates))]], 2, replace=False)
        return int(a), int(b)

    def within() -> tuple[int, int]:
        number = with_inside[rng.integers(len(with_inside))]
        other = start[number] + rng.integers(sizes[number] - 1)
        other = by_group[other + (other >= place[number])]
        return int(rng.choice(rows[number])), int(rng.choice(rows[other]))

    def across() -> tuple[int, int]:
        number = with_outside[rng.integers(len(with_outside))]
        other = rng.integers(len(counts) - sizes[number])
        other = by_group[other + sizes[number] * (other >= start[number])]
        return int(rng.choice(rows[number])), int(rng.choice(rows[other]))

    digests = _digests(pictures.crops)
    mated: Found = {}
    if len(with_mates):
        _fill(mated, mates, n // 2, digests)
    if not mated:
        raise DataError("no class has two different pictures: there is nothing to verify")
    non_mated: Found = {}
    if len(with_outside):
        _fill(non_mated, across, len(mated) // 2, digests)
    if len(with_inside):
        _fill(non_mated, within, len(mated), digests)
    if len(with_outside):  # replaces pairs that were scarce within groups
        _fill(non_mated, across, len(mated), digests)
    if not non_mated:
        raise DataError("no two classes have different pictures: there is nothing to verify")
    count = min(len(mated), len(non_mated))
    both = np.array([*mated][:count] + [*non_mated][:count])
    return Pairs(both[:, 0], both[:, 1], np.arange(2 * count) < count)


def _fill(
    found: Found, draw: Callable[[], tuple[int, int]], count: int, digests: list[bytes]
) -> None:
    """Draw pairs of different pictures into `found` until it has `count`.

    Stops earlier after MAX_FAILED_DRAWS draws in a row without a new pair.
    """
    failed = 0
    while len(found) < count and failed < MAX_FAILED_DRAWS:
        a, b = sorted(draw())
        failed += 1
        if digests[a] != digests[b] and (a, b) not in found:
            found[a, b] = None
            failed = 0


def _digests(crops: NDArray[np.uint8]) -> list[bytes]:
    """Return a digest of each crop."""
    return [hashlib.blake2b(crop.tobytes(), digest_size=16).digest() for crop in crops]
