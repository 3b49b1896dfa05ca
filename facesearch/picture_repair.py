"""What a picture file that no reader takes may have been before it was harmed.

Metadata must not decide whether a picture can be read, nor must a few bytes that are missing at the
end, where they hardly belong to the picture.
"""

import re
import struct
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

_JPEG_END = b"\xff\xd9"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"acTL", b"fcTL", b"fdAT")
_MISSING_BYTES = 4  # the most that may be missing at the end, of formats that count their bytes
_LAST_ROWS = 16  # of a JPEG, which may be lost: a row of its largest usual blocks
_OTHER_BYTES = b"\x55\x0f\x33" * 40  # of which a JPEG decoder makes something else than of nothing
END_MISSING = "the file ends a few bytes too early"
BAD_METADATA = "its metadata cannot be read and was left out"

Decode = Callable[[bytes], NDArray[np.uint8]]


def repairs(data: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes that may be readable instead of `data`, and what to say of the picture.

    A JPEG needs `has_all_rows` besides: it decodes however much of it is missing.
    """
    if data.startswith(_PNG):
        yield png_without_metadata(data), BAD_METADATA
    if data.startswith(b"\xff\xd8\xff"):
        yield data + _JPEG_END, END_MISSING
    else:
        yield data + bytes(_MISSING_BYTES), END_MISSING


def png_without_metadata(data: bytes) -> bytes:
    """Return a PNG without text, color profile and whatever else is not the picture itself."""
    kept, at = [_PNG], len(_PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in _PNG_PICTURE:
            kept.append(data[at : at + 12 + length])
        at += 12 + length
    return b"".join(kept)


def has_all_rows(data: bytes, decode: Decode, scale: float) -> bool:
    """Return whether a JPEG without its end lacks only some of its last rows, if any.

    `decode` returns the pixels at `scale`, or raises. Rows that differ if something else follows
    the data are not in it.
    """
    scan = data.rfind(b"\xff\xda")
    header = re.match(rb"\xff\xda..(.)", data[scan : scan + 5], re.DOTALL) if scan >= 0 else None
    if header is None:
        return False
    last = scan + 5 + 2 * header[1][0]  # three bytes: first and last coefficient, precision
    if data[last + 1 : last + 2] != b"\x3f" or data[last + 2 : last + 3] not in (b"\0", b"\x10"):
        return False  # finer scans of a progressive JPEG are missing
    one, other = decode(data + _JPEG_END), decode(data.rstrip(b"\xff") + _OTHER_BYTES + _JPEG_END)
    rows = np.flatnonzero((one != other).any((1, 2)))
    return not len(rows) or len(one) - int(rows[0]) <= np.ceil(_LAST_ROWS * scale)
