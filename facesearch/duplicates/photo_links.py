"""Pictures that are near each other -> the sets that their links connect.

A sure link joins two sets. A weak one joins them too, unless both hold several pictures and nothing
else connects them. Pictures that a human has called different never come into one set.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from facesearch.duplicates.picture import SURE, Likeness

Alike = Callable[[int, int], Likeness | None]  # two pictures -> how alike they are


class LinkedPictures:
    """Disjoint sets of pictures (ids), at first one each."""

    def __init__(self, pictures: Collection[int], different: Iterable[tuple[int, int]]) -> None:
        self._set_of = {picture: {picture} for picture in pictures}
        self._different: dict[int, set[int]] = defaultdict(set)
        for first, second in different:
            self._different[first].add(second)
            self._different[second].add(first)

    def connected(self, first: int, second: int) -> bool:
        """Return whether two pictures are in one set."""
        return self._set_of[first] is self._set_of[second]

    def join(self, first: int, second: int) -> None:
        """Join the sets of two pictures, unless they hold two that a human called different."""
        small, large = sorted((self._set_of[first], self._set_of[second]), key=len)
        if small is large or any(self._different.get(p, set()) & large for p in small):
            return
        large |= small
        for picture in small:
            self._set_of[picture] = large

    def supported(self, first: int, second: int, weak: Iterable[tuple[float, int, int]]) -> bool:
        """Return whether a weak link may join two sets: one is a single picture, or two links do.

        `weak` are all weak links.
        """
        both = {id(self._set_of[first]), id(self._set_of[second])}
        if min(len(self._set_of[first]), len(self._set_of[second])) == 1:
            return True
        return sum({id(self._set_of[a]), id(self._set_of[b])} == both for _, a, b in weak) > 1

    def sets(self) -> list[set[int]]:
        """Return the sets."""
        return list({id(part): part for part in self._set_of.values()}.values())


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
    linked = LinkedPictures(pictures, different)
    weak: list[tuple[float, int, int]] = []
    for first, second in near:
        likeness = None if linked.connected(first, second) else alike(first, second)
        if likeness is None:
            continue
        if likeness.score >= SURE or likeness.burst:
            linked.join(first, second)
        else:
            weak.append((likeness.score, first, second))
    unjoined: list[tuple[int, int, float]] = []
    for score, first, second in sorted(weak, reverse=True):
        if linked.connected(first, second):
            continue
        if linked.supported(first, second, weak):
            linked.join(first, second)
        else:
            unjoined.append((first, second, score))
    return linked.sets(), unjoined
