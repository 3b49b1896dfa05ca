"""Bytes of a picture file -> an identity that no metadata can change.

Other programs write ratings, keywords, names, places, thumbnails and orientation tags into the
files of a photo library. The identity covers only what the pixels are made of, as it is encoded:
nothing is decoded. A picture that was encoded again is another picture.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Iterator

from facesearch.heif_items import heif_parts


def picture_identity(data: bytes) -> str:
    """Return the identity of the picture in `data`, a file's content, as 64 hex digits.

    It is the SHA-256 of the parts of the file that make the pixels. Of a file in a format that is
    not known here, or whose parts cannot be found, it is the SHA-256 of all bytes.
    """
    parts_of = next((parts for first, parts in _PARTS if re.match(first, data, re.DOTALL)), None)
    if parts_of is not None:
        digest, n_bytes = hashlib.sha256(), 0
        try:
            for part in parts_of(data):
                digest.update(part)
                n_bytes += len(part)
        except (ValueError, IndexError, struct.error):
            n_bytes = 0
        if n_bytes:
            return digest.hexdigest()
    return hashlib.sha256(data).hexdigest()


# JPEG: ITU-T T.81, annex B

_NO_PIXELS = frozenset({*range(0xE0, 0xF0), 0xFE}) - {0xEE}  # APP0 to APP15 but Adobe's 14, COM
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length: TEM, RST0 to 7, SOI
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not a stuffed byte, restart or filler
_FILLER, _SCAN, _END = 0xFF, 0xDA, 0xD9


def jpeg_parts(data: bytes) -> Iterator[bytes]:
    """Yield the segments of a JPEG that its pixels are made of, up to the end of the first picture.

    Segments of applications and comments are left out, but APP14 stays, which says how colors are
    coded. Raises ValueError if the segments do not follow each other.
    """
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError(f"a JPEG without a marker at byte {at}")
        marker = data[at + 1]
        if marker == _END:
            return
        if marker == _FILLER or marker in _ALONE:
            at += 1 if marker == _FILLER else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if marker not in _NO_PIXELS:
            yield data[at:end]
        at = end
        if marker == _SCAN:
            found = _END_OF_SCAN.search(data, at)
            at = found.start() if found else len(data)
            yield data[end:at]
            if found is None:  # the file is cut short: what is there is the picture
                return


# PNG, WebP: kinds of chunks that make pixels

_PNG_PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL")
_PNG_PIXELS = {b"IDAT": 0, b"fdAT": 4}  # -> bytes before the pixels
_WEBP_PICTURE = (b"VP8 ", b"VP8L", b"ALPH", b"ANMF")


def png_parts(data: bytes) -> Iterator[bytes]:
    """Yield what the pixels of a PNG are made of, however the pixels are cut into chunks."""
    at = 8
    while at + 8 <= len(data):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + length]
        if kind in _PNG_PICTURE:
            yield kind + content
        elif kind in _PNG_PIXELS:
            yield content[_PNG_PIXELS[kind] :]
        at += 12 + length


def webp_parts(data: bytes) -> Iterator[bytes]:
    """Yield the chunks of a WebP that its pixels are made of."""
    at = 12
    while at + 8 <= len(data):
        kind, (length,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        if kind in _WEBP_PICTURE:
            yield kind + data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


# GIF: GIF89a specification, 1990

_EXTENSION, _IMAGE, _GRAPHIC_CONTROL = 0x21, 0x2C, 0xF9


def gif_parts(data: bytes) -> Iterator[bytes]:
    """Yield what the frames of a GIF are made of: neither comments nor what applications add."""
    at = 13 + _color_table(data[10])
    yield data[6:at]
    while data[at] in (_EXTENSION, _IMAGE):
        start = at
        if data[at] == _IMAGE:
            at += 10 + _color_table(data[at + 9]) + 1  # the last: bits of a code
            is_picture = True
        else:
            is_picture = data[at + 1] == _GRAPHIC_CONTROL
            at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
        if is_picture:
            yield data[start:at]


def _color_table(flags: int) -> int:
    """Return how many bytes of colors follow a descriptor with these flags."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


# TIFF: TIFF 6.0 and BigTIFF

_PIXEL_TAGS = {  # how the strips or tiles are to be read; how many rows one has is of no account
    *(256, 257, 258, 259, 262, 266, 277, 284, 317, 320, 322, 323, 332, 338, 339, 347, 529, 530, 532)
}
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f"}
_TYPES |= {12: "d", 16: "Q"}


def tiff_parts(data: bytes) -> Iterator[bytes]:
    """Yield what the pixels of a TIFF's first page are made of, wherever it lies in the file."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    tags = _tiff_tags(data, at, order, big=big)
    for tag in sorted(_PIXEL_TAGS & set(tags)):
        yield f"{tag}:{tags[tag]};".encode()
    starts, lengths = (_TILES, _TILE_BYTES) if _TILES in tags else (_STRIPS, _STRIP_BYTES)
    for start, length in zip(tags.get(starts, ()), tags.get(lengths, ()), strict=True):
        yield data[int(start) : int(start) + int(length)]


def _tiff_tags(
    data: bytes, at: int, order: str, *, big: bool
) -> dict[int, tuple[int | float, ...]]:
    """Return tag -> values of the directory at byte `at`; `order` is struct's for the bytes."""
    head, entry, inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    (n_tags,) = struct.unpack_from(order + head, data, at)
    at += struct.calcsize(order + head)
    found = {}
    for _ in range(n_tags):
        tag, kind, count = struct.unpack_from(order + entry, data, at)
        at += struct.calcsize(order + entry)
        if kind in _TYPES and (tag in _PIXEL_TAGS or tag in range(_STRIPS, _TILE_BYTES + 1)):
            layout = f"{order}{count * len(_TYPES[kind])}{_TYPES[kind][0]}"
            size, place = struct.calcsize(layout), at
            if size > inline:
                (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, at)
            found[tag] = struct.unpack_from(layout, data, place)
        at += inline
    return found


_PARTS: tuple[tuple[bytes, Callable[[bytes], Iterator[bytes]]], ...] = (
    (rb"\xff\xd8\xff", jpeg_parts),
    (rb"\x89PNG\r\n\x1a\n", png_parts),
    (rb"RIFF....WEBP", webp_parts),
    (rb".{4}ftyp", heif_parts),
    (rb"GIF8[79]a", gif_parts),
    (rb"II[*+]\0|MM\0[*+]", tiff_parts),
)
