"""What a detector finds, and what every detector can do.

Convention: boxes are (left, top, right, bottom) and landmarks (x, y), both in pixels of the whole
upright photo, origin at the upper left corner, right and bottom excluded. They may reach outside.
Landmark order: right eye, left eye, nose tip, right and left corner of the mouth; the person's
right, so the first eye has the smaller x in an upright photo.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facesearch.photo import Photo
from facesearch.vectors import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a photo; see the module for the convention of coordinates.

    Models of kind `image` compare whole pictures: there it is the drawing or the picture itself.
    """

    box: tuple[float, float, float, float]
    landmarks: Floats  # (5, 2); of a drawing or picture, the corners and center of its box
    score: float  # 0 to 1, higher is more certainly a face; each detector has its own scale

    @property
    def height_px(self) -> float:
        """Height of the box in pixels of the whole photo."""
        return self.box[3] - self.box[1]


class Detector(Protocol):
    """Finds the faces that a model's crops are cut from, by thresholds of its own.

    A detector belongs to one thread. Its landmarks follow the convention of this module, so that
    templates can be compared whichever detector found the faces:
    docs/decisions/0017-the-detector-and-the-fingerprint.md.
    """

    def detect(self, photo: Photo) -> list[Face]:
        """Return the faces of `photo`, largest first; an empty list if there are none.

        Raises PhotoError if the photo's data is damaged.
        """
        ...

    def landmarks(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return the landmarks (n, 5, 2) of every likely face in RGB `pixels` (h, w, 3).

        In pixels of `pixels`, the likeliest face first.
        """
        ...
