"""Enrolled templates -> pairs that are copies of one picture of a face."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.duplicates.judge import COPY_COSINE, Enrolled
from facesearch.duplicates.neighbors import index_of, search_deeper
from facesearch_indexes.base import Matches, VectorIndex

NEAREST = 4  # neighbors of a template searched first; few have more copies


@dataclass(frozen=True, slots=True)
class SameFace:
    """Two templates that are copies of one picture of a face."""

    templates: tuple[int, int]  # ids, rising
    people: tuple[int, int]  # their people, in the same order
    cosine: float  # of the search codes


def same_faces(enrolled: Enrolled, *, index: VectorIndex | None = None) -> tuple[SameFace, ...]:
    """Return the pairs of templates that are copies of one picture of a face, most alike first.

    Copies may be resized, recompressed or identical, under one name or two. `index` holds the
    search codes by id; without one it is built.
    """
    if len(enrolled.ids) < 2:
        return ()
    owners = dict(zip(enrolled.ids.tolist(), enrolled.people.tolist(), strict=True))
    found: dict[tuple[int, int], float] = {}

    def take(rows: NDArray[np.intp], matches: Matches) -> NDArray[np.bool_]:
        """Note the copies among `matches`; return which rows found nothing but copies."""
        query, column = np.nonzero(matches.scores >= COPY_COSINE)
        asked, copies = enrolled.ids[rows[query]].tolist(), matches.ids[query, column].tolist()
        scores = matches.scores[query, column].tolist()
        for a, b, cosine in zip(asked, copies, scores, strict=True):
            if a != b and b in owners:
                found[min(a, b), max(a, b)] = min(cosine, 1.0)
        only_copies: NDArray[np.bool_] = matches.scores[:, -1] >= COPY_COSINE
        return only_copies

    everyone = np.arange(len(enrolled.ids))
    search_deeper(index_of(enrolled, index), enrolled, everyone, NEAREST, take)
    faces = [SameFace((a, b), (owners[a], owners[b]), cosine) for (a, b), cosine in found.items()]
    return tuple(sorted(faces, key=lambda face: (-face.cosine, face.templates)))
