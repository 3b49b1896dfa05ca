"""Faces of unnamed people -> groups of one person each, which keep their ids.

This is exact average linkage by the cosine, without comparing all faces with all: the mean cosine
of two groups is the inner product of their mean templates, so the index finds the group nearest to
a group. All pairs of groups that are nearest to each other are joined at once. That gives the same
groups as joining one pair at a time, because a joined group is never nearer to a third than the
nearer of its halves was (Bruynooghe 1978). This also holds with faces that must stay apart: what
a group may not join, no group that contains it may join.
"""

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from facesearch.openset import Cohort, Strangers, fit_strangers
from facesearch.vectors import Floats, product
from facesearch_indexes import build_index
from facesearch_indexes.base import VectorIndex

Ids = NDArray[np.int64]

# How alike two groups have to be, in standard deviations from the mean of strangers' scores. For
# two single faces: so much that only this share of all faces has as alike a stranger by chance.
# Larger groups need less, down to LEAST_Z, as a mean over many pairs is rarely high by chance.
# Chosen on the development faces, and on the same with most people reduced to one photo.
STRANGERS_AS_ALIKE = 0.03
LEAST_Z = 3.0

# Two faces of one photo from this cosine on are of one person, as in a collage or a mirror. 200
# development faces had at least 0.91 with their mirror images and 0.93 with copies of half the
# size; of 702,136 pairs of two people none had 0.8, nor any of the most alike in one photo 0.83.
SAME_IN_PHOTO = 0.9


def group_faces(ids: Ids, faces: Floats, photos: Ids, cohort: Cohort) -> list[tuple[int, ...]]:
    """Return groups of `ids` (n,), each of one person, largest first; every id is in one of them.

    `faces` (n, dim) are unit rows, `photos` (n,) their photos: faces in one photo are of different
    people, unless they are nearly identical. The model's `cohort` tells how alike strangers are by
    the cosine; the model's head is not asked, and nor is the gallery, so that the groups stay as
    they are when somebody is named. The order of the faces does not matter. In a group the most
    typical face comes first; groups of equal size are ordered by their lowest id.
    """
    if len(ids) == 0:
        return []
    strangers = fit_strangers(faces[:0], 0, cohort)
    # ties go by row: make the order of rows depend on the faces alone
    order = np.lexsort((ids, rank_of_rows(faces)))
    ids, faces, photos = ids[order], faces[order], photos[order]
    centered = strangers.centered(faces)
    first = first_of_identical(faces, photos)
    kept, place = np.unique(first, return_inverse=True)
    labels = kept[average_linkage(centered[kept], photos[kept], strangers)][place]
    by_group = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[by_group], prepend=-1))
    groups = []
    for rows in np.split(by_group, starts[1:]):
        typical = np.lexsort((ids[rows], -(centered[rows] @ centered[rows].sum(0))))
        groups.append(tuple(ids[rows][typical].tolist()))
    return sorted(groups, key=lambda group: (-len(group), min(group)))


def first_of_identical(faces: Floats, photos: Ids) -> Ids:
    """Return for each of `faces` (n, dim) the first of its photo that is nearly identical to it.

    Most are the only such face of their photo, and get their own row.
    """
    first = np.arange(len(faces))
    by_photo = np.argsort(photos, kind="stable")
    starts = np.flatnonzero(np.diff(photos[by_photo], prepend=-1))
    for rows in np.split(by_photo, starts[1:]):
        if len(rows) > 1:
            alike = product(faces[rows], faces[rows].T) >= SAME_IN_PHOTO
            np.fill_diagonal(alike, val=True)
            first[rows] = first[rows[alike.argmax(1)]]
    return first


def rank_of_rows(rows: Floats) -> Ids:
    """Return the rank (n,) of each of `rows` (n, dim) in an order that depends on nothing else.

    It is the order of their bytes, without a meaning; equal rows share a rank.
    """
    as_bytes = np.ascontiguousarray(rows).view(f"V{rows.shape[1] * rows.itemsize}")[:, 0]
    return np.unique(as_bytes, return_inverse=True)[1].astype(np.int64)


def average_linkage(centered: Floats, photos: Ids, strangers: Strangers) -> Ids:
    """Return the group (n,) of each unit row of `centered` (n, dim), named by its first row.

    Groups are joined, nearest first. Only a join whose mean cosine reaches `needed_z` counts; other
    joins stay in the tree, so that the order of the rest does not change, but nothing that is
    joined to them later counts. Groups that share one of the `photos` (n,) are never joined.
    """
    n = len(centered)
    labels = np.arange(n)
    sums, sizes = centered.astype(np.float64), np.ones(n)
    sound = np.ones(n, bool)  # whether all joins of a group count
    nearest, z = np.full(n, -1), np.full(n, -np.inf, np.float32)
    not_alone = np.isin(photos, np.flatnonzero(np.bincount(photos) > 1))
    photos_of = {row: {int(photos[row])} for row in np.flatnonzero(not_alone).tolist()}
    index = build_index(labels, centered)
    ask = labels  # the groups whose nearest group is not known
    while True:
        nearest[ask], scores = nearest_allowed(index, means(sums, sizes, ask), ask, photos_of)
        z[ask] = strangers.standard(scores)
        growing = np.flatnonzero(z >= LEAST_Z)
        if len(growing) == 0:
            return labels
        kept = growing[(nearest[nearest[growing]] == growing) & (growing < nearest[growing])]
        if len(kept) == 0:  # with ties, rounding can make nearest groups form a ring
            first = growing[z[growing].argmax()]
            kept = np.array([min(first, nearest[first])])
            nearest[kept] = max(first, nearest[first])
        joined = nearest[kept]
        sound[kept] &= sound[joined] & (z[kept] >= needed_z(sizes[kept], sizes[joined], n))
        for one, other in zip(kept.tolist(), joined.tolist(), strict=True):
            if other in photos_of:
                photos_of[one] = photos_of.get(one, set()) | photos_of.pop(other)
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
    index: VectorIndex, rows: Floats, groups: Ids, photos_of: Mapping[int, set[int]]
) -> tuple[Ids, Floats]:
    """Return the group (n,) nearest to each of `groups` (n,) that it may join, and its score (n,).

    `rows` (n, dim) are the means of `groups`. `photos_of` has the photos of groups that share a
    photo with another face: two groups in one photo may not be joined. If there is no such group,
    it is -1 and the score -inf.
    """
    nearest, best = np.full(len(groups), -1), np.full(len(groups), -np.inf, np.float32)
    left, many = np.arange(len(groups)), 2
    while len(left):
        matches = index.search(rows[left], many)
        allowed = (matches.ids != groups[left, None]) & (matches.ids >= 0)
        for place, group in enumerate(groups[left].tolist()):
            if group in photos_of:
                for column in np.flatnonzero(allowed[place]).tolist():
                    other = photos_of.get(int(matches.ids[place, column]), set())
                    allowed[place, column] = photos_of[group].isdisjoint(other)
        first, found = allowed.argmax(1), allowed.any(1)
        nearest[left[found]] = matches.ids[found, first[found]]
        best[left[found]] = matches.scores[found, first[found]]
        if many >= len(index):
            break
        left, many = left[~found], min(4 * many, len(index))
    return nearest, best


def means(sums: NDArray[np.float64], sizes: NDArray[np.float64], groups: Ids) -> Floats:
    """Return the mean templates (m, dim) of `groups` (m,); they are shorter than 1."""
    rows: Floats = (sums[groups] / sizes[groups, None]).astype(np.float32)
    return rows


def needed_z(
    sizes_a: NDArray[np.float64], sizes_b: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return the standard scores (m,) from which groups of these sizes are one, among `n` faces."""
    of_two_faces = max(LEAST_Z, -NormalDist().inv_cdf(STRANGERS_AS_ALIKE / n))
    needed: NDArray[np.float64] = LEAST_Z + (of_two_faces - LEAST_Z) / np.sqrt(sizes_a * sizes_b)
    return needed


def keep_identities(
    groups: Sequence[Sequence[int]], before: Mapping[int, int], next_id: int
) -> list[int]:
    """Return an id for each of `groups` of faces: that of the former group it continues.

    `before` is the id of the group that each face was in, `next_id` an id that no group ever had.
    Each id goes to the group that shares the most faces with it, the largest overlap first; among
    equal overlaps the lowest, oldest id first. Groups without a former one get `next_id` and up, in
    their order.
    """
    shared: dict[tuple[int, int], int] = {}
    for place, group in enumerate(groups):
        for face in group:
            if face in before:
                key = (place, before[face])
                shared[key] = shared.get(key, 0) + 1
    ids: dict[int, int] = {}
    continued: set[int] = set()
    for place, old in sorted(shared, key=lambda key: (-shared[key], key[1], key[0])):
        if place not in ids and old not in continued:
            ids[place] = old
            continued.add(old)
    for place in range(len(groups)):
        if place not in ids:
            ids[place] = next_id
            next_id += 1
    return [ids[place] for place in range(len(groups))]
