"""Photo -> the one drawing or picture that it shows, as a face."""

import numpy as np
from numpy.typing import NDArray

from facesearch.detection.base import Face
from facesearch.ink import decode_for_ink, ink_box, ink_gray, ink_strength
from facesearch.photo import Photo
from facesearch.vectors import Floats


class WholeDetector:
    """Takes the whole photo as one face: the box of its ink, or all of it if `ink` is false."""

    def __init__(self, *, ink: bool) -> None:
        self._ink = ink

    def detect(self, photo: Photo) -> list[Face]:
        """Return the drawing or picture that `photo` is; an empty list if nothing is drawn.

        Raises PhotoError if the photo's data is damaged.
        """
        left, top, right, bottom = 0.0, 0.0, float(photo.width), float(photo.height)
        if self._ink:
            strength = ink_strength(ink_gray(decode_for_ink(photo)))
            if strength is None:
                return []
            height, width = strength.shape
            zoom = np.tile([photo.width / width, photo.height / height], 2)
            left, top, right, bottom = (zoom * ink_box(strength)).tolist()
        center = ((left + right) / 2, (top + bottom) / 2)
        corners = [(left, top), (right, top), center, (left, bottom), (right, bottom)]
        return [Face((left, top, right, bottom), np.array(corners, np.float32), 1.0)]

    def landmarks(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return no landmarks, (0, 5, 2): a drawing's crop is not cut by any."""
        return np.zeros((0, 5, 2), np.float32)
