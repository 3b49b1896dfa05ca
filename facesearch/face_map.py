"""Enrolled faces -> a map in two dimensions, and the strays among them.

A map of many people in two dimensions cannot keep distances; it keeps who is next to whom. Each
face starts at its two principal components, is pulled towards the faces most like it and pushed
away from random others, after LargeVis (Tang et al. 2016) and UMAP (McInnes et al. 2018). The
components alone pile up faces of all people: of 5,000 faces of 1,200 people, 2 in 100 lie next to
a face of the same person, on this map 97 in 100.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.model import Model
from facesearch.vectors import Floats, product, unit

NEIGHBORS = 10  # most similar faces that pull a face
PUSHERS = 6  # random faces that push it away in each round
ROUNDS = 150
MAX_STEP = 4.0  # a face moves no further than this along either axis in one round
PART = 512  # faces compared with all others at a time
SEED = 20151

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class EnrolledFaces:
    """Faces of a gallery: all, or those of every k-th person if there are too many."""

    faces: Ids  # (n,)
    people: Ids  # (n,) the person of each
    rows: Floats  # (n, dim), of length 1
    n_faces: int  # in the whole gallery
    n_people: int


@dataclass(frozen=True, slots=True)
class Stray:
    """A face that is less like its person's other faces than like another person."""

    face: int
    person: int
    probability: float  # that it shows the person of those other faces, at even odds
    nearer: int  # the person it is more like
    nearer_probability: float  # that it shows that one


def places(rows: Floats) -> Floats:
    """Return the place on the map of each of the unit `rows` (n, dim): (n, 2), 0 to 1.

    The same rows in the same order give the same map.
    """
    n = len(rows)
    if n < 3:
        return np.linspace((0.25, 0.5), (0.75, 0.5), n).astype(np.float32)
    rng = np.random.default_rng(SEED)
    centered = unit(rows - rows.mean(0))
    at = principal(centered, rng).astype(np.float64)
    at *= 10 / max(float(at.std()), 1e-9)
    at += rng.normal(0, 0.01, at.shape)  # so that equal faces can move apart
    a, b, weights = neighbors(centered)
    others = np.repeat(np.arange(n), PUSHERS)
    for number in range(ROUNDS):
        way = at[b] - at[a]
        pull = way * (weights / (1 + (way**2).sum(1)))[:, None]
        moved = summed(a, pull, n) - summed(b, pull, n)
        way = at[others] - at[rng.integers(n, size=len(others))]
        square = (way**2).sum(1)
        moved += summed(others, way * (1 / ((0.01 + square) * (1 + square)))[:, None], n)
        at += (1 - number / ROUNDS) * np.clip(moved, -MAX_STEP, MAX_STEP)
    at -= np.median(at, axis=0)
    far = np.linalg.norm(at, axis=1, keepdims=True)
    at /= max(float(np.quantile(far, 0.8)), 1e-9) + far  # outliers leave room for the rest
    low, high = at.min(0), at.max(0)
    return np.asarray((at - low) / np.maximum(high - low, 1e-9), np.float32)


def principal(rows: Floats, rng: np.random.Generator) -> Floats:
    """Return the first two principal components (n, 2) of centered `rows`, by power iteration."""
    axes = rng.normal(size=(rows.shape[1], 2)).astype(np.float32)
    for _ in range(20):
        axes = np.linalg.qr(product(np.ascontiguousarray(rows.T), product(rows, axes)))[0]
    return product(rows, axes)


def neighbors(rows: Floats) -> tuple[Ids, Ids, NDArray[np.float64]]:
    """Return pairs of a row and one of its nearest (two arrays), and their weights, 0 to 1."""
    n, k = len(rows), min(NEIGHBORS, len(rows) - 1)
    nearest, distances = np.empty((n, k), np.int64), np.empty((n, k))
    for start in range(0, n, PART):
        part = slice(start, min(start + PART, n))
        likeness = product(rows[part], np.ascontiguousarray(rows.T))
        likeness[np.arange(len(likeness)), np.arange(part.start, part.stop)] = -np.inf
        best = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        nearest[part], distances[part] = best, 1 - np.take_along_axis(likeness, best, 1)
    beyond = distances - distances.min(1, keepdims=True)
    weights = np.exp(-3 * beyond / np.maximum(beyond.mean(1, keepdims=True), 1e-9))
    return np.repeat(np.arange(n), k), nearest.ravel(), weights.ravel()


def summed(where: Ids, ways: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the sum (n, 2) of the `ways` (m, 2) of each of the n places in `where` (m,)."""
    return np.stack([np.bincount(where, ways[:, side], n) for side in (0, 1)], 1)


def strays(enrolled: EnrolledFaces, model: Model) -> list[Stray]:
    """Return the faces that the model would give to another person, worst first.

    Compared with the other faces of its person, a stray looks like a different person, and another
    person looks more like it. People with only one face have no strays.
    """
    people, owners, counts = np.unique(enrolled.people, return_inverse=True, return_counts=True)
    if len(people) < 2:
        return []
    rows = enrolled.rows
    sums = np.zeros((len(people), rows.shape[1]), np.float32)
    np.add.at(sums, owners, rows)
    means, rests = unit(sums), unit(sums[owners] - rows)
    own = np.where(counts[owners] > 1, (rows * rests).sum(1), np.inf)
    found = []
    for start in range(0, len(rows), PART):
        likeness = product(rows[start : start + PART], np.ascontiguousarray(means.T))
        likeness[np.arange(len(likeness)), owners[start : start + PART]] = -np.inf
        best = likeness.argmax(1)
        nearer = likeness.max(1) > own[start : start + PART]
        for place in (np.flatnonzero(nearer) + start).tolist():
            other = int(best[place - start])
            llr, other_llr = model.compare(rows[place], np.stack([rests[place], means[other]]))
            if llr < 0 and other_llr > llr:
                found.append((float(other_llr - llr), place, other, float(llr), float(other_llr)))
    found.sort(reverse=True)
    return [
        Stray(
            int(enrolled.faces[place]),
            int(enrolled.people[place]),
            float(1 / (1 + np.exp(-llr))),
            int(people[other]),
            float(1 / (1 + np.exp(-other_llr))),
        )
        for _, place, other, llr, other_llr in found
    ]
