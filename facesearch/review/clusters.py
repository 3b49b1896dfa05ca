"""Faces of people nobody has named -> groups, one a person, which keep their identity.

Average linkage by the cosine, exactly, and never n x n: the mean cosine of two groups is the inner
product of their mean templates, so the index finds the group nearest to a group. Two groups that
are nearest to each other become one, as many such pairs at a time as there are. That gives the
same groups as one pair after the other, because a new group is never nearer to a third than the
nearer of its halves was (Bruynooghe 1978). Nor is it with faces that must not be together: what
a group may not join, no group that it becomes a part of may.
"""

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facesearch.openset import Cohort, Strangers, fit_strangers
from facesearch.vectors import Floats
from facesearch_indexes.base import VectorIndex

Ids = NDArray[np.int64]

# How alike two groups have to be, in standard deviations from the mean of strangers' scores. Two
# faces: so much that this share of all of them has as alike a stranger by chance. Larger groups
# less, down to LEAST_Z, since a mean over many pairs is rarely high by chance. Chosen on the
# development faces with many photos a person, and on the same thinned out to one photo of most.
STRANGERS_AS_ALIKE = 0.03
LEAST_Z = 3.0


def group_faces(
    ids: Ids, faces: Floats, photos: Ids, people: Floats, cohort: Cohort
) -> list[tuple[int, ...]]:
    """Return groups of `ids` (n,), each of one person, largest first; every id is in one of them.

    `faces` (n, dim), unit rows, are those of people who are not enrolled, `photos` (n,) says which
    are on one photo: these are of as many people. `people` (m, dim) are the mean templates of who
    is enrolled, `cohort` is the model's: they tell how alike strangers are, by the cosine, whatever
    the model's head says. The order of the faces does not matter. In a group the most typical face
    comes first; of groups of one size the one with the lowest id.
    """
    if len(ids) == 0:
        return []
    strangers = fit_strangers(people, len(people), cohort)
    # equal scores are decided by place: let it depend on the faces alone
    order = np.lexsort((ids, rank_of_rows(faces)))
    ids, centred = ids[order], strangers.centred(faces[order])
    labels = average_linkage(centred, photos[order], strangers)
    by_group = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[by_group], prepend=-1))
    groups = []
    for rows in np.split(by_group, starts[1:]):
        typical = np.lexsort((ids[rows], -(centred[rows] @ centred[rows].sum(0))))
        groups.append(tuple(ids[rows][typical].tolist()))
    return sorted(groups, key=lambda group: (-len(group), min(group)))


def rank_of_rows(rows: Floats) -> Ids:
    """Return a number (n,) for each of `rows` (n, dim) that says its place among them.

    Which order it is has no meaning, but it is that of the rows' bytes; equal rows share a number.
    """
    as_bytes = np.ascontiguousarray(rows).view(f"V{rows.shape[1] * rows.itemsize}")[:, 0]
    return np.unique(as_bytes, return_inverse=True)[1].astype(np.int64)


def average_linkage(centred: Floats, photos: Ids, strangers: Strangers) -> Ids:
    """Return each row's group (n,), named by its first row, of `centred` (n, dim) unit rows.

    Groups are joined, nearest first, as long as their mean cosine is above what `needed_z` says. A
    joint that is not goes on in the tree, lest the order of the others change, but counts no more.
    Groups with faces of one of the `photos` (n,) are never joined.
    """
    from facesearch_indexes.faiss_index import FaissIndex  # 0.2 s: not on the way to one photo

    n = len(centred)
    labels = np.arange(n)
    sums, sizes = centred.astype(np.float64), np.ones(n)
    sound = np.ones(n, bool)  # whether a group came about by joints that count
    nearest, z = np.full(n, -1), np.full(n, -np.inf, np.float32)
    of_several = np.isin(photos, np.flatnonzero(np.bincount(photos) > 1))
    seen_on = {row: {int(photos[row])} for row in np.flatnonzero(of_several).tolist()}
    index = FaissIndex.build(labels, centred)
    ask = labels  # the groups whose nearest is not known (any more)
    while True:
        nearest[ask], scores = nearest_allowed(index, means(sums, sizes, ask), ask, seen_on)
        z[ask] = strangers.standard(scores)
        growing = np.flatnonzero(z >= LEAST_Z)
        if len(growing) == 0:
            return labels
        kept = growing[(nearest[nearest[growing]] == growing) & (growing < nearest[growing])]
        if len(kept) == 0:  # of many that tie, rounding can send each to the next, in a ring
            first = growing[z[growing].argmax()]
            kept = np.array([min(first, nearest[first])])
            nearest[kept] = max(first, nearest[first])
        joined = nearest[kept]
        sound[kept] &= sound[joined] & (z[kept] >= needed_z(sizes[kept], sizes[joined], n))
        for one, other in zip(kept.tolist(), joined.tolist(), strict=True):
            if other in seen_on:
                seen_on[one] = seen_on.get(one, set()) | seen_on.pop(other)
        sums[kept] += sums[joined]
        sizes[kept] += sizes[joined]
        into = np.arange(n)
        into[joined[sound[kept]]] = kept[sound[kept]]
        labels = into[labels]
        index.remove(joined)
        index.upsert(kept, means(sums, sizes, kept))
        z[joined] = -np.inf
        changed = np.zeros(n, bool)
        changed[kept] = changed[joined] = True
        ask = growing[(changed[growing] | changed[nearest[growing]]) & (z[growing] >= LEAST_Z)]


def nearest_allowed(
    index: VectorIndex, rows: Floats, groups: Ids, seen_on: Mapping[int, set[int]]
) -> tuple[Ids, Floats]:
    """Return the group (n,) nearest to each of `groups` (n,) that it may join, and its score (n,).

    `rows` (n, dim) are the means of `groups`, `seen_on` says on which photos some are: two groups
    on one photo may not be joined. Without another one the group is -1 and the score -inf.
    """
    nearest, best = np.full(len(groups), -1), np.full(len(groups), -np.inf, np.float32)
    left, many = np.arange(len(groups)), 2
    while len(left):
        matches = index.search(rows[left], many)
        allowed = (matches.ids != groups[left, None]) & (matches.ids >= 0)
        for place, group in enumerate(groups[left].tolist()):
            if group in seen_on:
                for column in np.flatnonzero(allowed[place]).tolist():
                    other = seen_on.get(int(matches.ids[place, column]), set())
                    allowed[place, column] = seen_on[group].isdisjoint(other)
        first, found = allowed.argmax(1), allowed.any(1)
        nearest[left[found]] = matches.ids[found, first[found]]
        best[left[found]] = matches.scores[found, first[found]]
        if many >= len(index):
            break
        left, many = left[~found], min(4 * many, len(index))
    return nearest, best


def means(sums: NDArray[np.float64], sizes: NDArray[np.float64], groups: Ids) -> Floats:
    """Return the mean templates (m, dim) of `groups` (m,), which are shorter than 1."""
    rows: Floats = (sums[groups] / sizes[groups, None]).astype(np.float32)
    return rows


def needed_z(
    sizes_a: NDArray[np.float64], sizes_b: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return the standard scores (m,) at which groups of these sizes are one, of `n` faces."""
    of_two_faces = max(LEAST_Z, -NormalDist().inv_cdf(STRANGERS_AS_ALIKE / n))
    needed: NDArray[np.float64] = LEAST_Z + (of_two_faces - LEAST_Z) / np.sqrt(sizes_a * sizes_b)
    return needed


def keep_identities(
    groups: Sequence[Sequence[int]], before: Mapping[int, int], next_id: int
) -> list[int]:
    """Return an id for each of `groups` of faces: that of the former group it goes on with.

    `before` is the id of the group that each face was in, `next_id` an id that no group ever had.
    Each id goes on with the group that shares most faces with it, the largest overlap first and of
    equal ones the oldest id, the lowest; groups without a former one get `next_id` and up in their
    order.
    """
    shared: dict[tuple[int, int], int] = {}
    for place, group in enumerate(groups):
        for face in group:
            if face in before:
                key = (place, before[face])
                shared[key] = shared.get(key, 0) + 1
    ids: dict[int, int] = {}
    going_on: set[int] = set()
    for place, old in sorted(shared, key=lambda key: (-shared[key], key[1], key[0])):
        if place not in ids and old not in going_on:
            ids[place] = old
            going_on.add(old)
    for place in range(len(groups)):
        if place not in ids:
            ids[place] = next_id
            next_id += 1
    return [ids[place] for place in range(len(groups))]
