"""Pictures that are near each other -> the sets that their links connect.

A sure link joins two sets. A weak one joins them too, unless both hold several pictures and no
other link connects them. Pictures that a human has called different never come into one set.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from facesearch.duplicates.picture import SURE, Likeness

Alike = Callable[[int, int], Likeness | None]  # two pictures -> how alike they are


def connect(
    pictures: Collection[int],
    near: Iterable[tuple[int, int]],
    alike: Alike,
    different: Iterable[tuple[int, int]] = (),
) -> tuple[list[set[int]], list[tuple[int, int, float]]]:
    """Return the sets of `pictures` that links connect, and the weak links that join none.

    A weak link is two pictures and their score. `near` are the pairs to compare, nearest first;
    pairs that surer links have already connected are not compared.
    """
    set_of = {picture: {picture} for picture in pictures}
    apart: dict[int, set[int]] = defaultdict(set)
    for first, second in different:
        apart[first].add(second)
        apart[second].add(first)
    weak: list[tuple[float, int, int]] = []
    for first, second in near:
        likeness = None if set_of[first] is set_of[second] else alike(first, second)
        if likeness is None:
            continue
        if likeness.score >= SURE or likeness.burst:
            join(set_of, first, second, apart)
        else:
            weak.append((likeness.score, first, second))
    unjoined: list[tuple[int, int, float]] = []
    for score, first, second in sorted(weak, reverse=True):
        one, two = set_of[first], set_of[second]
        if one is two:
            continue
        links = sum({id(set_of[a]), id(set_of[b])} == {id(one), id(two)} for _, a, b in weak)
        if min(len(one), len(two)) > 1 and links < 2:
            unjoined.append((first, second, score))
        else:
            join(set_of, first, second, apart)
    return list({id(part): part for part in set_of.values()}.values()), unjoined


def join(set_of: dict[int, set[int]], first: int, second: int, apart: dict[int, set[int]]) -> None:
    """Join the sets of two pictures, unless they hold two that are to stay `apart`."""
    small, large = sorted((set_of[first], set_of[second]), key=len)
    if small is large or any(apart[picture] & large for picture in small if picture in apart):
        return
    large |= small
    for picture in small:
        set_of[picture] = large
