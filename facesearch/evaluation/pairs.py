"""Pictures in classes -> pairs to verify: half of one class, half of two."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.errors import DataError
from facesearch.evaluation.omniglot import Ids
from facesearch.evaluation.pictures import Pictures

TRIES = 20  # draws for each pair wanted; small data has no more pairs to find


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
    non-mated half are of two classes of one group and half of two groups, as far as there are.
    Never a picture with itself or its exact double. Raises DataError if there is no mated pair.
    """
    rng = np.random.default_rng(seed)
    n_classes = len(pictures.class_names)
    rows = [np.flatnonzero(pictures.classes == number) for number in range(n_classes)]
    several = [number for number in range(n_classes) if len(rows[number]) > 1]
    same_group = pictures.groups[:, None] == pictures.groups
    within = [np.flatnonzero(mask) for mask in same_group & ~np.eye(n_classes, dtype=bool)]
    across = [np.flatnonzero(mask) for mask in ~same_group]

    def of_one() -> tuple[int, int]:
        a, b = rng.choice(rows[several[rng.integers(len(several))]], 2, replace=False)
        return int(a), int(b)

    def of_two(partners: list[Ids]) -> Callable[[], tuple[int, int]]:
        able = [number for number in range(n_classes) if len(partners[number])]

        def draw() -> tuple[int, int]:
            number = able[rng.integers(len(able))]
            other = partners[number][rng.integers(len(partners[number]))]
            return int(rng.choice(rows[number])), int(rng.choice(rows[other]))

        return draw

    doubles = _doubles(pictures.crops)
    mated = _distinct(of_one, n // 2 if several else 0, doubles)
    if not mated:
        raise DataError("there are no two different pictures of one class: nothing to verify")
    mixed = min(map(max, (map(len, within), map(len, across)))) > 0
    n_across = len(mated) // 2 if mixed else len(mated) * any(map(len, across))
    non_mated = _distinct(of_two(across), n_across, doubles)
    non_mated += _distinct(of_two(within), len(mated) - n_across, doubles)
    count = min(len(mated), len(non_mated))
    both = np.array(mated[:count] + non_mated[:count])
    return Pairs(both[:, 0], both[:, 1], np.arange(2 * count) < count)


def _distinct(
    draw: Callable[[], tuple[int, int]], count: int, doubles: list[bytes]
) -> list[tuple[int, int]]:
    """Return up to `count` different pairs, none of two pictures that are the same bytes."""
    found: dict[tuple[int, int], None] = {}
    for _ in range(TRIES * count):
        a, b = sorted(draw())
        if doubles[a] != doubles[b]:
            found[a, b] = None
        if len(found) == count:
            break
    return list(found)


def _doubles(crops: NDArray[np.uint8]) -> list[bytes]:
    """Return a digest of each crop."""
    return [hashlib.blake2b(crop.tobytes(), digest_size=16).digest() for crop in crops]
