"""HEIC or AVIF file -> the coded items that its primary picture is made of.

A file consists of boxes in boxes (ISO/IEC 14496-12); the box 'meta' says which items there are,
where they lie, and which are made of others (ISO/IEC 23008-12).
"""

import re
import struct
from collections.abc import Iterator

# The first bytes of an AVIF. mif1 and msf1 are "some HEIF": the compatible brands that follow tell.
AVIF = rb".{4}ftyp((mif1|msf1).{4}(.{4}){0,15}?)?avi[fs]"


def heif_parts(data: bytes) -> Iterator[bytes]:
    """Yield the coded items that the primary picture of a HEIC or AVIF file is made of.

    These are the primary item and those that it is derived from, as the tiles of a grid; neither
    EXIF, XMP, thumbnails nor depth. Of HEIC also how a reader turns, mirrors and cuts what is
    coded, since it does so before anybody sees the picture; of AVIF that becomes its orientation.
    Raises ValueError if the boxes do not say where they are.
    """
    top = dict(boxes(data, 0, len(data)))
    if b"meta" not in top:
        raise ValueError("a HEIF file without a box 'meta'")
    start, end = top[b"meta"]
    meta = dict(boxes(data, start + 4, end))  # behind version and flags
    if not {b"pitm", b"iloc"} <= set(meta):
        raise ValueError("a HEIF file without a primary item")
    primary = primary_item(data, *meta[b"pitm"])
    made_of = derived_from(data, *meta[b"iref"]) if b"iref" in meta else {}
    places = item_places(data, *meta[b"iloc"])
    inside = meta.get(b"idat", (0, 0))
    if not re.match(AVIF, data, re.DOTALL):
        yield from transformations(data, meta)
    wanted, seen = [primary], set[int]()
    while wanted:
        item = wanted.pop(0)
        if item in seen:
            continue
        seen.add(item)
        wanted += made_of.get(item, [])
        if item not in places:
            raise ValueError(f"a HEIF file without a place of item {item}")
        construction, extents = places[item]
        base = inside[0] if construction == 1 else 0
        for offset, length in extents:
            yield data[base + offset : base + offset + length]


def transformations(data: bytes, meta: dict[bytes, tuple[int, int]]) -> Iterator[bytes]:
    """Yield the boxes of the box 'meta' that say how pictures are turned, mirrored and cut."""
    properties = dict(boxes(data, *meta[b"iprp"])) if b"iprp" in meta else {}
    for kind, (start, end) in boxes(data, *properties.get(b"ipco", (0, 0))):
        if kind in (b"irot", b"imir", b"clap"):
            yield kind + data[start:end]


def boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield (type, (start, end) of the content) of the boxes between two bytes."""
    while at + 8 <= end:
        (size,), kind, head = struct.unpack_from(">I", data, at), data[at + 4 : at + 8], 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        last = end if size == 0 else at + size
        if last < at + head or last > end:
            raise ValueError(f"a box {kind!r} that ends outside of its file")
        yield kind, (at + head, last)
        at = last


def primary_item(data: bytes, start: int, end: int) -> int:
    """Return the number of the primary item, from the content of a box 'pitm'."""
    layout = ">H" if data[start] == 0 else ">I"
    return int(struct.unpack_from(layout, data[start:end], 4)[0])


def derived_from(data: bytes, start: int, end: int) -> dict[int, list[int]]:
    """Return item -> the items that it is derived from, from the content of a box 'iref'."""
    number = "H" if data[start] == 0 else "I"
    found: dict[int, list[int]] = {}
    for kind, (first, _) in boxes(data, start + 4, end):
        if kind == b"dimg":
            item, count = struct.unpack_from(f">{number}H", data, first)
            head = struct.calcsize(f">{number}H")
            found[item] = list(struct.unpack_from(f">{count}{number}", data, first + head))
    return found


def item_places(data: bytes, start: int, end: int) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    """Return item -> (construction method, (offset, length) of its parts), from a box 'iloc'."""
    version = data[start]
    sizes, more = data[start + 4], data[start + 5]
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
    index_size = more & 15 if version in (1, 2) else 0
    at = start + 6

    def take(size: int) -> int:
        nonlocal at
        value = int.from_bytes(data[at : at + size], "big")
        at += size
        if at > end:
            raise ValueError("a box 'iloc' that is cut short")
        return value

    number_size = 4 if version == 2 else 2
    found = {}
    for _ in range(take(number_size)):
        item = take(number_size)
        construction = take(2) & 15 if version in (1, 2) else 0
        take(2)  # which file; always this one
        base = take(base_size)
        extents = []
        for _ in range(take(2)):
            take(index_size)
            offset = base + take(offset_size)
            extents.append((offset, take(length_size)))
        found[item] = (construction, extents)
    return found
