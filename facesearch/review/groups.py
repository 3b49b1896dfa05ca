"""Unnamed faces in photos -> groups of one person each, which keep their number from run to run.

All faces of the photos are grouped, and those of enrolled people are then taken out: so naming
somebody leaves the groups of everybody else as they were (docs/decisions/0025-groups-that-stay.md).
The gallery file keeps which faces were in which group.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facesearch.boxes import Box, FacePlace, same_place
from facesearch.model import Model
from facesearch.review.clusters import group_faces, keep_identities
from facesearch.storage.store import Store
from facesearch.vectors import Floats

# The deviation of strangers' cosines around 0, for models whose head does not follow the cosine:
# their cohort describes the head's scores instead. Chosen on 24 characters of Omniglot that the
# model omniglot never saw, six drawings each, in two draws: 91% and 99.7% of the grouped pairs were
# mates, and 99% and 93% of the mates were grouped. With 0.1, which fits the deviation but not the
# tail, 71% and 98%, and 99% and 97%; with the cohort's 0.29, 1% and 6% of the mates were grouped.
COSINE_STD = 0.12
LEAST_HEIGHT_PX = 32  # of a face's box; smaller ones, as in crowds, are grouped by chance
CROP_PX = 112  # height of a face from which more pixels add nothing


@dataclass(frozen=True, slots=True)
class UnnamedFace:
    """A face in a photo, as groups hold it."""

    photo: str
    number: int  # among the faces of its photo as `identify` lists them, from 1
    box: Box  # as it is kept, see facesearch.pictures
    score: float  # the detector's
    content_hash: str  # key of the photo, see storage/pictures.py
    shown: Box  # where it is shown


@dataclass(frozen=True, slots=True)
class UnnamedGroup:
    """Faces that are probably of one person."""

    id: int  # the same from run to run
    faces: tuple[UnnamedFace, ...]  # most typical first


@dataclass(frozen=True, slots=True)
class Unnamed:
    """The faces in some photos that belong to nobody enrolled."""

    groups: tuple[UnnamedGroup, ...]  # of two faces or more, largest first
    alone: int  # faces that are like no other
    named: int  # faces of enrolled people
    dismissed: int  # faces that a human has called a stranger's, or no face
    small: int  # faces too small to be grouped
    photos: int  # looked at; files with the same picture count once
    unreadable: tuple[tuple[str, str], ...]  # photo, reason


def group_unnamed(
    faces: Sequence[UnnamedFace],
    embeddings: Floats,
    unnamed: Collection[UnnamedFace],
    model: Model,
) -> list[tuple[UnnamedFace, ...]]:
    """Return the `unnamed` of all `faces` (n) with `embeddings` (n, dim) in groups of one person.

    First come those of many large faces, which are the easiest to name.
    """
    cohort = model.cohort
    if not model.head.follows_cosine:
        cohort = replace(cohort, score_mean=0.0, score_std=COSINE_STD)
    numbers = {photo: number for number, photo in enumerate({face.content_hash for face in faces})}
    photos = np.array([numbers[face.content_hash] for face in faces], np.int64)
    groups = group_faces(np.arange(len(faces)), embeddings, photos, cohort)
    left = [tuple(faces[place] for place in group if faces[place] in unnamed) for group in groups]
    return sorted(filter(None, left), key=ease_of_naming, reverse=True)


def ease_of_naming(group: Sequence[UnnamedFace]) -> float:
    """Return how early a group is shown: its number of faces, less where these are small."""
    heights = [face.shown[3] - face.shown[1] for face in group]
    return len(group) * min(1.0, float(np.median(heights)) / CROP_PX)


def assign_group_ids(
    groups: Sequence[tuple[UnnamedFace, ...]], store: Store
) -> tuple[UnnamedGroup, ...]:
    """Give each of `groups` the id that most of its faces had; write to `store` who is in which.

    A group whose faces are all new gets a new id. Rows of faces that are not in `groups` stay: a
    face that was named may become unnamed again. Call inside a transaction.
    """
    faces = [face for group in groups for face in group]
    place_of = {face: place for place, face in enumerate(faces)}
    before: dict[int, int] = {}
    replaced = []
    kept_of = {
        photo: store.unnamed.in_photo(photo) for photo in {face.content_hash for face in faces}
    }
    for place, face in enumerate(faces):
        for kept in kept_of[face.content_hash]:
            if same_place(kept.box, face.box):
                before[place] = kept.group
                replaced.append(kept.id)
    numbered = [[place_of[face] for face in group] for group in groups]
    ids = keep_identities(numbered, before, store.unnamed.next_id())
    found = tuple(UnnamedGroup(*pair) for pair in zip(ids, groups, strict=True))
    places = {
        group.id: [FacePlace(face.content_hash, face.box) for face in group.faces]
        for group in found
    }
    store.unnamed.keep(places, replaced)
    return found
