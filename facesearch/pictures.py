"""The picture in a file, and where its boxes lie, however the file says that it is to be turned.

Other programs change the orientation tag of a file, and then everything is shown turned. What is
said of a face is therefore kept by its place in the picture as the file stores it.
"""

from dataclasses import dataclass

import numpy as np

from facesearch.boxes import Box
from facesearch.vectors import Floats

AS_STORED = 1  # the orientation of a picture as the file stores it


@dataclass(frozen=True, slots=True)
class Picture:
    """Which picture a file holds, and how the file says that it is to be shown."""

    identity: str  # of its pixels as they are encoded, see picture_identity.py
    file_hash: str  # SHA-256 of all bytes of the file, in hex
    orientation: int  # as in EXIF, 1 to 8: how the stored picture is turned to be shown
    width: int  # as shown, in pixels
    height: int

    def is_known_by(self, content_hash: str) -> bool:
        """Return whether that is the picture's identity, or the hash of its file."""
        return content_hash in (self.identity, self.file_hash)

    def shown_from(self, content_hash: str, box: Box) -> Box:
        """Return where a box is shown.

        It is one of the picture as it is stored, or where `content_hash` is that of the file's
        bytes, as shown.
        """
        if content_hash != self.identity:
            return box
        return KeptPicture(content_hash, self, AS_STORED).shown(box)


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture as a gallery knows it: by a key, with boxes as in some orientation."""

    key: str
    picture: Picture
    orientation: int  # of the boxes that are kept; 1: as the file stores the picture

    @property
    def turn_to_show(self) -> int:
        """How the boxes that are kept are turned to be shown; 1 if they are kept as shown."""
        return self.picture.orientation if self.orientation == AS_STORED else AS_STORED

    def box(self, shown: Box) -> Box:
        """Return the box to keep of a face that is shown at `shown`."""
        return self._turned(shown, self.picture.orientation, self.orientation)

    def shown(self, kept: Box) -> Box:
        """Return where a kept box is shown."""
        return self._turned(kept, self.orientation, self.picture.orientation)

    def points(self, shown: Floats) -> Floats:
        """Return the points (n, 2) to keep of those that are shown at `shown` (n, 2)."""
        picture = self.picture
        size = stored_size(picture.width, picture.height, picture.orientation)
        return turned(shown, size, picture.orientation, self.orientation)

    def _turned(self, box: Box, before: int, after: int) -> Box:
        picture = self.picture
        size = stored_size(picture.width, picture.height, picture.orientation)
        return turned_box(box, size, before, after)


def stored_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return width and height as stored of a picture that is shown `width` by `height`."""
    return (height, width) if orientation >= 5 else (width, height)


def turned_box(box: Box, size: tuple[int, int], before: int, after: int) -> Box:
    """Return where a box lies after a picture's orientation has changed; see `turned`."""
    if before == after:
        return box
    corners = turned(np.array([box[:2], box[2:]], np.float64), size, before, after)
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    return left, top, right, bottom


def turned(points: Floats, size: tuple[int, int], before: int, after: int) -> Floats:
    """Return where `points` (n, 2) of a picture lie after its orientation has changed.

    `size` is the picture's width and height as stored; orientations are those of EXIF 2.32, 4.6.4.
    """
    if before == after:
        return points
    return _shown(_stored(points, size, before), size, after)


# Orientation -> whether x, then y is mirrored in the stored picture, and whether they are swapped
# then. Showing does that in this order.
_STEPS = {
    1: (False, False, False),
    2: (True, False, False),
    3: (True, True, False),
    4: (False, True, False),
    5: (False, False, True),
    6: (False, True, True),
    7: (True, True, True),
    8: (True, False, True),
}


def _shown(stored: Floats, size: tuple[int, int], orientation: int) -> Floats:
    *mirrored, swapped = _STEPS[orientation]
    points = np.where(mirrored, np.array(size) - stored, stored)
    return points[:, ::-1] if swapped else points


def _stored(shown: Floats, size: tuple[int, int], orientation: int) -> Floats:
    *mirrored, swapped = _STEPS[orientation]
    points = shown[:, ::-1] if swapped else shown
    return np.where(mirrored, np.array(size) - points, points)
