"""Camera raws: recognized by their bytes, and the JPEG preview that stands for one.

DNG, NEF, ARW, PEF, SRW, CR2 and the like are TIFFs whose first picture is often a thumbnail; RAF,
CR3, ORF, RW2 and some others are formats of their own. All hold JPEGs whole, which are searched
for.
"""

import re
import struct
from typing import NamedTuple

from facesearch.tiff import (
    DNG_VERSION,
    ORIENTATION,
    PHOTOMETRIC,
    SUB_IFDS,
    SUBFILE_TYPE,
    Tag,
    directories,
)

MIN_PREVIEW_PX = 640  # long side; what is smaller is a thumbnail, in which faces are lost
_STARTS = re.compile(
    rb"II\*\0.{4}CR|FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|FOVb|II\x1a\0\0\0HEAPCCDR|\0MRM|"
    rb".{4}ftypcrx ",
    re.DOTALL,
)
_SENSOR = (32803, 34892)  # color filter array, linear raw
_NO_TAG = Tag((), 0)
_MOST_JPEGS, _MOST_SEGMENTS = 500, 100  # what is parsed at most, of a file made to take for ever


class Preview(NamedTuple):
    """A JPEG in a camera raw."""

    at: int  # where it starts in the file
    width: int  # as stored, in pixels
    height: int


def is_camera_raw(data: bytes) -> bool:
    """Return whether `data` is a camera raw, of a camera or converted to DNG."""
    if _STARTS.match(data):
        return True
    if not re.match(rb"II\*\0|MM\0\*", data):
        return False
    found = directories(data)
    reduced = bool(found) and found[0].get(SUBFILE_TYPE, Tag((0,), 0)).values[:1] == (1,)
    return (reduced and SUB_IFDS in found[0]) or any(
        DNG_VERSION in tags or tags.get(PHOTOMETRIC, _NO_TAG).values[:1] in [(k,) for k in _SENSOR]
        for tags in found
    )


def largest_preview(data: bytes) -> Preview | None:
    """Return the JPEG of the most pixels in a camera raw, or None if it holds none."""
    best: Preview | None = None
    at = data.find(b"\xff\xd8\xff")
    for _ in range(_MOST_JPEGS):
        if at < 0:
            break
        size = _jpeg_size(data, at)
        if size is not None and (best is None or size[0] * size[1] > best.width * best.height):
            best = Preview(at, *size)
        at = data.find(b"\xff\xd8\xff", at + 3)
    return best


def orientation_of(data: bytes) -> int:
    """Return the orientation, 1 to 8, that a camera raw gives for all its pictures; 0 if none."""
    tiff = data
    if data[4:12] == b"ftypcrx ":
        start = data.find(b"CMT1", 0, 1_000_000) + 4  # the box of the main tags, a TIFF in itself
        tiff = data[start : start + 65536]
    for tags in directories(tiff)[:1]:
        values = tags.get(ORIENTATION, _NO_TAG).values
        if values and 1 <= values[0] <= 8:
            return values[0]
    return 0


def _jpeg_size(data: bytes, at: int) -> tuple[int, int] | None:
    """Return width and height of the JPEG at `at`; None if it is none, or the sensor's data."""
    place = at + 2
    for _ in range(_MOST_SEGMENTS):
        if place + 9 > len(data) or data[place] != 0xFF:
            return None
        kind = data[place + 1]
        if kind in (0xC0, 0xC1, 0xC2):  # 0xC3, lossless, is how sensors' data is stored
            bits, height, width = struct.unpack_from(">BHH", data, place + 4)
            return (width, height) if bits == 8 else None
        if kind < 0xC0 or kind in (0xC3, 0xD8, 0xD9, 0xDA):
            return None
        place += 2 + int(struct.unpack_from(">H", data, place + 2)[0])
    return None
