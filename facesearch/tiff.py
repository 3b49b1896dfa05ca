"""The tags of a TIFF, as far as they decide how it is read; camera raws are mostly TIFFs, too."""

import struct
from typing import NamedTuple

SUBFILE_TYPE, BITS, PHOTOMETRIC, ORIENTATION, SUB_IFDS = 254, 258, 262, 274, 330
DNG_VERSION = 50706
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I"}  # of the types of whole numbers, for `struct`
_MOST_DIRECTORIES, _MOST_TAGS, _MOST_VALUES = 32, 500, 16  # no file of a camera has more


class Tag(NamedTuple):
    """The first values of a tag of whole numbers, and where in the file they start."""

    values: tuple[int, ...]
    at: int


Directory = dict[int, Tag]


def directories(data: bytes) -> list[Directory]:
    """Return the directories of a TIFF, or a raw like one, and of their children, in file order.

    What is damaged or lies outside `data` is left out; a BigTIFF has none.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8 or data[2:4] in (b"+\0", b"\0+"):
        return []
    found: list[Directory] = []
    waiting = [struct.unpack(order + "I", data[4:8])[0]]
    seen = set()
    while waiting and len(found) < _MOST_DIRECTORIES:
        at = waiting.pop(0)
        if at in seen or not 8 <= at <= len(data) - 2:
            continue
        seen.add(at)
        number = struct.unpack_from(order + "H", data, at)[0]
        end = at + 2 + 12 * number
        found.append(_directory(data, at + 2, min(number, _MOST_TAGS), order))
        waiting += found[-1].get(SUB_IFDS, Tag((), 0)).values
        if end + 4 <= len(data):
            waiting.append(struct.unpack_from(order + "I", data, end)[0])
    return found


def _directory(data: bytes, start: int, number: int, order: str) -> Directory:
    tags: Directory = {}
    for entry in range(start, min(start + 12 * number, len(data) - 11), 12):
        tag, kind, count = struct.unpack_from(order + "HHI", data, entry)
        if kind not in _LETTERS:
            continue
        size = struct.calcsize(_LETTERS[kind])
        inside = count * size <= 4
        at = entry + 8 if inside else struct.unpack_from(order + "I", data, entry + 8)[0]
        number_kept = min(count, _MOST_VALUES)
        if at + number_kept * size <= len(data):
            form = f"{order}{number_kept}{_LETTERS[kind]}"
            tags[tag] = Tag(struct.unpack_from(form, data, at), at)
    return tags


def with_black_zero(data: bytes) -> bytes | None:
    """Return a TIFF of deep gray whose zero is white as if it were black; None for any other.

    Pillow reads such gray of 16 bits as if zero were black, and that of 32 bits not at all.
    """
    first = next(iter(directories(data)), {})
    if first.get(PHOTOMETRIC, Tag((), 0)).values[:1] != (0,):
        return None
    if first.get(BITS, Tag((1,), 0)).values[:1] not in ((16,), (32,)):
        return None
    at, one = first[PHOTOMETRIC].at, b"\1\0" if data[:2] == b"II" else b"\0\1"
    return data[:at] + one + data[at + 2 :]
