"""Photo file -> upright RGB pixels and a content hash.

The content decides the format, never the file's name, and only the readers in `_READERS` are ever
tried. Reading takes the bytes and the header; pixels are decoded when they are asked for, a large
JPEG straight to a smaller size.
"""

import hashlib
import io
import os
import re
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from facesearch.errors import PhotoError

MAX_PIXELS = 200_000_000  # what the largest phone cameras make
MAX_BYTES = 512_000_000

# First bytes, module, Pillow's reader there. We call the reader, not `Image.open`, since `open`
# warns above 89 and refuses above 179 megapixels by a limit that is one global for the process
# (ours is compared in `photo_from_bytes`), and imports more plugins than one: for WebP, all. Only
# the readers of WebP and TIFF still refuse above Pillow's 179 megapixels.
_READERS = (
    (rb"\xff\xd8\xff", "PIL.JpegImagePlugin", "JpegImageFile"),  # MPO starts with a whole JPEG
    (rb"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin", "PngImageFile"),
    (rb"RIFF....WEBP", "PIL.WebPImagePlugin", "WebPImageFile"),
    # mif1 and msf1 are "some HEIF": the compatible brands that follow say if it is AVIF
    (rb".{4}ftyp((mif1|msf1).{4}(.{4}){0,15}?)?avi[fs]", "PIL.AvifImagePlugin", "AvifImageFile"),
    (rb".{4}ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", "pillow_heif", "HeifImageFile"),
    (rb"II[*+]\0|MM\0[*+]", "PIL.TiffImagePlugin", "TiffImageFile"),
    (rb"GIF8[79]a", "PIL.GifImagePlugin", "GifImageFile"),
    (rb"BM", "PIL.BmpImagePlugin", "BmpImageFile"),
    (rb"P[1-6f]\s", "PIL.PpmImagePlugin", "PpmImageFile"),
)
_ENDINGS = re.compile(
    r"\.(jpe?g|jpe|jfif|mpo|a?png|webp|avif|hei[cf]|hif|tiff?|gif|bmp|p[bgnp]m|pfm)", re.IGNORECASE
)
_ORIENTATION = 0x0112  # the tag, in EXIF and in TIFF
_TURNS = {  # its value -> what makes the stored picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_IGNORE_PILLOW = ("ignore", None, Warning, re.compile(r"PIL\."), 0)  # as in `warnings.filters`


@dataclass(slots=True, eq=False)
class Photo:
    """A photo that was read: its encoded bytes, decoded on demand."""

    name: str  # what the user calls it: the path as given, or a name for bytes
    content_hash: str  # SHA-256 of the file's bytes, in hex
    width: int  # of the whole upright photo, in pixels
    height: int
    oriented: bool  # True if the file says which side is up: nobody need guess quarter turns
    _data: bytes = field(repr=False)
    _turn: Image.Transpose | None = field(repr=False)
    _decoded: NDArray[np.uint8] | None = field(default=None, init=False, repr=False)

    @classmethod
    def from_pixels(cls, name: str, pixels: NDArray[np.uint8]) -> "Photo":
        """Return the photo that is decoded already: upright `pixels` (h, w, 3) RGB, copied.

        Its content hash is of the pixels' bytes.
        """
        height, width, _ = pixels.shape
        content_hash = hashlib.sha256(pixels.tobytes()).hexdigest()
        photo = cls(name, content_hash, width, height, True, b"", None)
        photo._decoded = np.array(pixels, np.uint8, order="C")
        photo._decoded.flags.writeable = False
        return photo

    def frames(self) -> int:
        """Return how many frames of an animation or pages of a document the file holds.

        Only the first one is ever looked at. Raises PhotoError if they cannot be counted.
        """
        if not self._data:  # made of pixels
            return 1
        with _trouble_told(self.name):
            return int(getattr(_open(self._data, self.name), "n_frames", 1))

    def pixels(self, min_scale: float = 1.0) -> NDArray[np.uint8]:
        """Return the whole upright photo: (h, w, 3) RGB uint8, C-contiguous, read-only.

        Its scale, array width over photo width, is at least `min_scale`: a JPEG comes at 1, 1/2,
        1/4 or 1/8 (sides rounded up), any other format at full size. The last decode is kept and
        given again while it is large enough, hence read-only. Raises PhotoError if the data is
        damaged, cut short included.
        """
        min_scale = min(min_scale, 1.0)
        if self._decoded is None or self._decoded.shape[1] < min_scale * self.width:
            with _trouble_told(self.name):
                image = _open(self._data, self.name)
                shrink = next((n for n in (8, 4, 2) if n * min_scale <= 1), 1)
                if shrink > 1 and image.format == "JPEG":
                    # `draft` keeps both sides at or above the size asked for, so ask by scale: a
                    # square would leave a panorama large. Without a mode, or it changes colours.
                    size = max(1, image.width // shrink), max(1, image.height // shrink)
                    image.draft(None, size)
                upright = _in_rgb(image)
                if self._turn is not None:
                    upright = upright.transpose(self._turn)
                self._decoded = np.asarray(upright)
        return self._decoded


def read_photo(
    path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Photo:
    """Return the photo at `path`, its pixels not yet decoded.

    Raises PhotoError, one sentence with the file and the reason: not there, not permitted, not a
    regular file, larger than `max_bytes`, or what `photo_from_bytes` raises.
    """
    name = os.fspath(path)
    try:
        with io.FileIO(name, opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PhotoError(f"cannot read {name}: it is not a regular file")
            if status.st_size > max_bytes:
                size = f"{status.st_size:,} bytes, more than the limit of {max_bytes:,}"
                raise PhotoError(f"cannot read {name}: it has {size}")
            data = file.readall()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise PhotoError(f"cannot read {name}: {_reason(error)}") from error
    return photo_from_bytes(data, name, max_pixels=max_pixels)


def file_hash(path: str | os.PathLike[str]) -> str | None:
    """Return the SHA-256 of a regular file, which is a photo's content hash.

    None if it cannot be read.
    """
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def photo_from_bytes(data: bytes, name: str = "photo", *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Return the photo that `data`, the content of a picture file, holds; `name` is for messages.

    Raises PhotoError if the header is of no format that we read, is damaged, or claims more than
    `max_pixels`: nothing is decoded before that is known.
    """
    with _trouble_told(name):
        image = _open(data, name)
        width, height = image.size
        if width * height > max_pixels:
            size = f"{width} x {height} pixels, more than the limit of {max_pixels:,}"
            raise PhotoError(f"cannot read {name}: it has {size}")
        orientation = _orientation(image)
        # the reader of TIFF turns the picture while it loads, and tells the size it will have
        # then, but does not foresee a turn that only the XMP packet asks for
        foreseen = _ORIENTATION in getattr(image, "tag_v2", ())
    if orientation >= 5 and not foreseen:
        width, height = height, width
    turn = None if image.format == "TIFF" else _TURNS.get(orientation)
    content_hash = hashlib.sha256(data).hexdigest()
    return Photo(name, content_hash, width, height, orientation > 0, data, turn)


def walk_photos(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files as given, and the photos in the folders given: recursive, sorted, by ending.

    Inside a folder hidden files and folders are passed over and links to folders not followed. A
    folder that may not be listed is itself yielded, so that reading it tells why and the rest
    goes on. Raises PhotoError, before the first photo, for a path that is not there.
    """
    paths = list(paths)
    for path in paths:
        try:
            path.stat()
        except (OSError, ValueError) as error:
            raise PhotoError(f"cannot read {path}: {_reason(error)}") from error
    for path in paths:
        if path.is_dir():
            yield from _walk_folder(path)
        else:
            yield path


def _walk_folder(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        yield folder
        return
    for entry in sorted(visible, key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk_folder(path)
        elif _ENDINGS.fullmatch(path.suffix):
            yield path


def _open_without_waiting(path: str, flags: int) -> int:
    """Return a descriptor even for a FIFO that nobody writes to, where a plain open hangs."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has neither


def _reason(error: Exception) -> str:
    """Return what went wrong on one line, without the path that an OSError repeats."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


@contextmanager
def _trouble_told(name: str) -> Iterator[None]:
    """Turn whatever goes wrong in a reader into a PhotoError; let none of its warnings out.

    The warnings (corrupt EXIF, too many tags) are nothing that a user could act on. But
    `warnings.catch_warnings` exchanges the filters of the whole process, and two threads that
    leave it in the wrong order keep the other's for good. One entry, put into the list and taken
    out of the same list, cannot do that, and it only ever hides what Pillow says.
    """
    filters = cast("list[object]", warnings.filters)
    filters.insert(0, _IGNORE_PILLOW)
    try:
        yield
    except PhotoError:
        raise
    except MemoryError as error:
        raise PhotoError(f"cannot read {name}: there is not enough memory for it") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"cannot read {name}: it is too large ({_reason(error)})") from error
    except Exception as error:  # bad bytes make Pillow raise nearly anything
        what = "damaged, cut short or of a kind that is not supported"
        raise PhotoError(f"cannot read {name}: it is {what} ({_reason(error)})") from error
    finally:
        with suppress(ValueError):  # somebody emptied the list meanwhile
            filters.remove(_IGNORE_PILLOW)


def _open(data: bytes, name: str) -> ImageFile:
    """Return the picture with its header read and its pixels not."""
    if not data:
        raise PhotoError(f"cannot read {name}: it is empty")
    readers = [names for first, *names in _READERS if re.match(first, data, re.DOTALL)]
    if not readers:
        known = "JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF, BMP, PPM"
        raise PhotoError(f"cannot read {name}: it is no picture in a format we know ({known})")
    module, reader = readers[0]
    try:
        plugin: Any = import_module(module)
    except ImportError as error:
        if module != "pillow_heif":
            raise
        way_out = "HEIC needs an extra, pip install 'facesearch[heic]'"
        raise PhotoError(f"cannot read {name}: {way_out}") from error
    image: ImageFile = getattr(plugin, reader)(io.BytesIO(data))
    if image.format == "TIFF":
        _check_strips(image, len(data))
    return image


def _check_strips(tiff: Any, n_bytes: int) -> None:
    """Raise EOFError if compressed data lies beyond the end: libtiff would say so on stderr."""
    if tiff.info["compression"] != "raw":
        for offsets, counts in ((273, 279), (324, 325)):  # the tags for strips and for tiles
            parts = zip(tiff.tag_v2.get(offsets, ()), tiff.tag_v2.get(counts, ()), strict=False)
            if any(offset + count > n_bytes for offset, count in parts):
                raise EOFError("the file ends within the picture")


def _orientation(image: ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8, or 0 if there is none; bad EXIF is none.

    A HEIF is turned by its reader, by the container's marks as the standard demands; the reader
    then reports an EXIF orientation as 1.
    """
    with suppress(Exception):
        orientation = image.getexif().get(_ORIENTATION)  # or the XMP packet's
        if isinstance(orientation, int) and 1 <= orientation <= 8:
            return orientation
    return 0


def _in_rgb(image: ImageFile) -> Image.Image:
    """Return the picture in 8-bit RGB: alpha on white, deep grey scaled."""
    image.load()
    if image.mode[0] in "IF":
        return _deep_grey_in_rgb(image)
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")  # `convert` would copy
    straight = image.convert("LA") if image.mode == "La" else image
    rgba = straight.convert("RGBA")
    on_white = Image.new("RGB", rgba.size, "white")
    on_white.paste(rgba, mask=rgba.getchannel("A"))
    return on_white


def _deep_grey_in_rgb(image: ImageFile) -> Image.Image:
    """Return 16-bit, 32-bit or float grey as RGB; Pillow's own conversion clips it to white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    levels = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
    brightest = float(levels.max())
    # The file does not say how bright white is: take the least usual value that holds the picture.
    white = next((w for w in (1.0, 255.0, 65535.0) if brightest <= w), brightest)
    if image.format == "PPM" and image.mode == "I":
        white = 65535.0  # here it is known: the reader scales to 16 bits
    levels = np.clip(np.rint(levels * (255 / white)), 0, 255)
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
