"""The rows of a gallery as Python sees them, and what their columns hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesearch.boxes import Box
from facesearch.vectors import Floats

Ids = NDArray[np.int64]

BOX_COLUMNS = ("box_left", "box_top", "box_right", "box_bottom")
BOX = ", ".join(BOX_COLUMNS)


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person of the gallery and how much is stored of them."""

    id: int
    name: str
    templates: int
    photos: int
    created_at: str
    cover: int | None  # the id of the face shown for this person, None without any


@dataclass(frozen=True, slots=True, eq=False)
class FaceRow:
    """A face to be stored."""

    box: Box  # to keep, see facesearch.pictures; so are the landmarks
    landmarks: Floats  # (5, 2)
    score: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class KnownFace:
    """An enrolled face: whose it is, and where in which photo."""

    person: str
    box: Box  # as it is kept, see facesearch.pictures
    assigned_by: str
    id: int
    person_id: int
    content_hash: str  # key of the photo, see storage/pictures.py
    shown: Box  # where it was shown when it was enrolled


@dataclass(frozen=True, slots=True)
class Rejection:
    """A human said: the face at `box` is not this person."""

    id: int
    content_hash: str
    box: Box
    person_id: int


@dataclass(frozen=True, slots=True)
class Dismissal:
    """A human said: nobody is to be named at `box`."""

    id: int
    content_hash: str
    box: Box
    verdict: str  # "stranger", or "no face" where something else was detected as one


@dataclass(frozen=True, slots=True)
class UnnamedRow:
    """A face without a name, and its group."""

    id: int
    group: int
    box: Box


def box_columns(box: Box) -> dict[str, float]:
    """Return the columns that store `box`."""
    return dict(zip(BOX_COLUMNS, box, strict=True))


def box_of(row: Mapping[str, Any]) -> Box:
    """Return the box that a row stores."""
    left, top, right, bottom = (row[column] for column in BOX_COLUMNS)
    return left, top, right, bottom


def readable(path: str) -> str:
    """Return `path` as text that can be stored: bytes that are not text become question marks."""
    return path.encode("utf-8", "replace").decode("utf-8")


def now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
