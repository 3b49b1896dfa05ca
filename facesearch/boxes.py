"""Where a face is in a photo: boxes, and when two of them are the same face."""

from dataclasses import dataclass

SAME_FACE = 0.5  # boxes of one photo that overlap more (intersection over union) are one face

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels, as in detection


@dataclass(frozen=True, slots=True)
class FacePlace:
    """A place in a photo where a face is, whether or not anybody is enrolled from there."""

    content_hash: str  # the photo's key in the gallery, see storage/pictures.py
    box: Box  # as it is kept, see facesearch.pictures


def same_place(a: Box, b: Box) -> bool:
    """Return whether two boxes of one photo are the same face."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return shared > SAME_FACE * (areas - shared)
