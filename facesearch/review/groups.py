"""Photos -> the faces of people whom nobody has named, in groups that keep their number.

Who is enrolled is not among them. What was seen on a photo is kept from run to run in the cache of
photos, so that only new photos take long; which faces were a group is kept in the gallery file.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facesearch.boxes import Box, same_place
from facesearch.duplicates.photo_cache import FileState, PhotoCache, remove_cache
from facesearch.identification import Seen
from facesearch.model import Model
from facesearch.review.clusters import group_faces, keep_identities
from facesearch.storage.store import Store
from facesearch.vectors import Floats

# How far strangers' cosines are apart, around 0, where the cohort does not tell since the model's
# head has an order of its own. Of 24 characters of Omniglot that the model omniglot never saw, six
# drawings each, drawn twice, 91 and 99.7 % of the pairs that were grouped were mates, and 99 and
# 93 % of the mates were grouped. At 0.1, which is their deviation but not their tail, 71 and 98 %,
# 99 and 97 %; at the 0.29 of the cohort's scores 1 and 6 % of the mates were grouped.
COSINE_STD = 0.12


@dataclass(frozen=True, slots=True)
class UnnamedFace:
    """A face that no human has named."""

    photo: str
    number: int  # among the faces of its photo as `identify` lists them, from 1
    box: Box
    score: float  # the detector's
    content_hash: str  # of the photo's bytes


@dataclass(frozen=True, slots=True)
class UnnamedGroup:
    """Faces that are probably one person's."""

    id: int  # the same from run to run
    faces: tuple[UnnamedFace, ...]  # most typical first


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Who is on the photos but not in the gallery."""

    groups: tuple[UnnamedGroup, ...]  # of two faces or more, largest first
    alone: int  # faces that are like no other
    named: int  # faces of people who are enrolled
    dismissed: int  # faces of which a human said that nobody is to be named
    photos: int  # looked at, the same bytes once
    unreadable: tuple[tuple[str, str], ...]  # photo, why


class SeenBefore:
    """What a model saw on photos in earlier runs; losing it costs time only."""

    def __init__(self, file: Path, fingerprint: str) -> None:
        self._file = file
        self._fingerprint = fingerprint
        self._cache = PhotoCache(file)

    def recall(self, path: str, state: FileState) -> Seen | None:
        """Return what was seen on the file in that state, without crops; None if nothing was."""
        seen: Seen | None = None
        with self._losing_what_is_damaged():
            content_hash = self._cache.hash_of(path, state)
            if content_hash is not None:
                seen = self._cache.seen(content_hash, self._fingerprint)
        return seen

    def keep(self, path: str, state: FileState, seen: Seen) -> None:
        """Keep what is seen on the file that was in that state before it was read."""
        with self._losing_what_is_damaged():
            self._cache.add_seen(seen, self._fingerprint)
            if state_of(path) == state:
                self._cache.add_file(path, state, seen.content_hash)
            self._cache.commit()  # the next photo takes long, and another run may want to write

    def close(self) -> None:
        """Keep everything on the disk."""
        self._cache.close()

    @contextlib.contextmanager
    def _losing_what_is_damaged(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            with contextlib.suppress(sqlite3.Error):
                self._cache.close()
            if not isinstance(error, sqlite3.OperationalError):  # locked, read-only or full: sound
                with contextlib.suppress(OSError):
                    remove_cache(self._file)
            self._cache = PhotoCache(None)


def state_of(path: str) -> FileState | None:
    """Return the state that the file is in, None if it cannot be told."""
    try:
        return FileState.of(Path(path).stat())
    except OSError:
        return None


def group_unnamed(
    faces: Sequence[UnnamedFace], embeddings: Floats, people: Floats, model: Model
) -> list[tuple[UnnamedFace, ...]]:
    """Return `faces` (n) with `embeddings` (n, dim) in groups of one person, largest first.

    `people` (m, dim) are the mean templates of who is enrolled.
    """
    cohort = model.cohort
    if not model.head.follows_cosine:
        cohort = replace(cohort, score_mean=0.0, score_std=COSINE_STD)
    on_photo = {photo: place for place, photo in enumerate({face.content_hash for face in faces})}
    of_photo = np.array([on_photo[face.content_hash] for face in faces], np.int64)
    groups = group_faces(np.arange(len(faces)), embeddings, of_photo, people, cohort)
    return [tuple(faces[place] for place in group) for group in groups]


def with_their_ids(
    groups: Sequence[tuple[UnnamedFace, ...]], store: Store
) -> tuple[UnnamedGroup, ...]:
    """Return `groups`, each with the id that most of its faces had, and keep that in `store`.

    What is kept of other faces stays: who was named may become unnamed again. Call inside a
    transaction.
    """
    faces = [face for group in groups for face in group]
    place_of = {face: place for place, face in enumerate(faces)}
    before: dict[int, int] = {}
    instead_of = []
    kept_of = {
        photo: store.unnamed.in_photo(photo) for photo in {face.content_hash for face in faces}
    }
    for place, face in enumerate(faces):
        for kept in kept_of[face.content_hash]:
            if same_place(kept.box, face.box):
                before[place] = kept.group
                instead_of.append(kept.id)
    numbered = [[place_of[face] for face in group] for group in groups]
    ids = keep_identities(numbered, before, store.unnamed.next_id())
    found = tuple(UnnamedGroup(*pair) for pair in zip(ids, groups, strict=True))
    places = {group.id: [(face.content_hash, face.box) for face in group.faces] for group in found}
    store.unnamed.keep(places, instead_of)
    return found
