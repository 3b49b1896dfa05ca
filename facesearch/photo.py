"""Photo file -> upright RGB pixels and a content hash.

The content decides the format, never the file's name, and only the readers in `_READERS` are
tried. Reading loads the bytes and parses the header; pixels are decoded on demand, a large JPEG
directly to a smaller size.
"""

import hashlib
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from facesearch.camera_raw import (
    MIN_PREVIEW_PX,
    is_camera_raw,
    largest_preview,
    orientation_of,
)
from facesearch.errors import PhotoError
from facesearch.extras import install_command
from facesearch.heif_items import AVIF
from facesearch.picture_identity import picture_identity
from facesearch.picture_repair import has_all_rows, repairs
from facesearch.pictures import Picture
from facesearch.tiff import with_black_zero

MAX_PIXELS = 200_000_000  # as many as the largest phone cameras take
MAX_BYTES = 512_000_000  # of a file; an uncompressed TIFF of 170 megapixels has about that

# First bytes, module, Pillow's reader in it. The reader is called, not `Image.open`, because `open`
# warns above 89 and refuses above 179 megapixels, by a limit global to the process (ours is checked
# in `photo_from_bytes`), and imports several plugins, for WebP all of them. Only the readers of
# WebP and TIFF still refuse above Pillow's 179 megapixels.
_READERS = (
    (rb"\xff\xd8\xff", "PIL.JpegImagePlugin", "JpegImageFile"),  # MPO starts with a whole JPEG
    (rb"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin", "PngImageFile"),
    (rb"RIFF....WEBP", "PIL.WebPImagePlugin", "WebPImageFile"),
    (AVIF, "PIL.AvifImagePlugin", "AvifImageFile"),
    (rb".{4}ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", "pillow_heif", "HeifImageFile"),
    (rb"II[*+]\0|MM\0[*+]", "PIL.TiffImagePlugin", "TiffImageFile"),
    (rb"GIF8[79]a", "PIL.GifImagePlugin", "GifImageFile"),
    (rb"BM", "PIL.BmpImagePlugin", "BmpImageFile"),
    (rb"P[1-6f]\s", "PIL.PpmImagePlugin", "PpmImageFile"),
)
_ORIENTATION = 0x0112  # the tag, in EXIF and in TIFF
_SAMPLE_FORMAT = 339  # the tag of a TIFF that says whether numbers are signed, or floats
_WHITE_IS_ZERO = "facesearch_white_is_zero"  # of the `info` of a TIFF
_EXIF_IN_PNG = rb"eXIf|Raw profile type (exif|APP1)"
_TURNS = {  # orientation -> the transposition that makes the stored picture upright
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
    """A photo: its encoded bytes, decoded on demand."""

    name: str  # for messages: the path as given, or a name for bytes
    content_hash: str  # SHA-256 of the file's bytes, in hex
    identity: str = field(repr=False)  # of the picture, see picture_identity.py
    width: int  # of the whole upright photo, in pixels
    height: int
    orientation: int  # as in EXIF, 1 to 8; 0 where the file does not say which side is up
    _data: bytes = field(repr=False)
    _turn: Image.Transpose | None = field(repr=False)
    remark: str | None = None  # what a user should know of how the file was read, if anything
    is_preview: bool = False  # whether the pixels are those of a camera raw's preview
    _decoded: NDArray[np.uint8] | None = field(default=None, init=False, repr=False)

    @classmethod
    def from_pixels(cls, name: str, pixels: NDArray[np.uint8]) -> "Photo":
        """Return a photo made of upright `pixels` (h, w, 3) RGB, which are copied.

        Its content hash is that of the pixels' bytes.
        """
        height, width, _ = pixels.shape
        content_hash = hashlib.sha256(pixels.tobytes()).hexdigest()
        photo = cls(name, content_hash, content_hash, width, height, 1, b"", None)
        photo._decoded = np.array(pixels, np.uint8, order="C")
        photo._decoded.flags.writeable = False
        return photo

    @property
    def oriented(self) -> bool:
        """Whether the file says which side is up, so that no turn has to be guessed."""
        return self.orientation > 0

    @property
    def picture(self) -> Picture:
        """Which picture this is, whatever other programs write into the file beside it."""
        turn = self.orientation or 1
        return Picture(self.identity, self.content_hash, turn, self.width, self.height)

    def frames(self) -> int:
        """Return how many frames of an animation, pages or pictures of one shot the file holds.

        All other methods use the first one only. Raises PhotoError if they cannot be counted.
        """
        if not self._data:  # see `from_pixels`
            return 1
        if self.is_preview:
            return 2  # the raw and its preview
        with _photo_errors(self.name):
            return int(getattr(_open(self._data, self.name), "n_frames", 1))

    def exif(self) -> Image.Exif:
        """Return what the camera wrote about the photo, as Pillow reads EXIF; empty if none.

        Raises PhotoError if the header is damaged.
        """
        if not self._data:  # see `from_pixels`
            return Image.Exif()
        with _photo_errors(self.name):
            image = _open(self._data, self.name)
            if image.format == "PNG" and not re.search(_EXIF_IN_PNG, self._data):
                return Image.Exif()  # Pillow would decode all pixels to look behind them
            return image.getexif()

    def pixels(self, min_scale: float = 1.0) -> NDArray[np.uint8]:
        """Return the whole upright photo: (h, w, 3) RGB uint8, C-contiguous, read-only.

        Its scale, array width over photo width, is at least `min_scale`: a JPEG comes at 1, 1/2,
        1/4 or 1/8 (sides rounded up), any other format at full size. The last decode is kept and
        returned again if it is large enough, hence read-only. Raises PhotoError if the data is
        damaged or cut short.
        """
        min_scale = min(min_scale, 1.0)
        if self._decoded is None or self._decoded.shape[1] < min_scale * self.width:
            try:
                self._decoded = self._decode(self._data, min_scale)
            except _Damaged:
                self._decoded = self._decode_repaired(min_scale)
                if self._decoded is None:
                    raise
        return self._decoded

    def _decode(self, data: bytes, min_scale: float) -> NDArray[np.uint8]:
        """Return the upright pixels of `data`; see `pixels`."""
        with _photo_errors(self.name):
            image = _open(data, self.name)
            shrink = next((n for n in (8, 4, 2) if n * min_scale <= 1), 1)
            if shrink > 1 and image.format == "JPEG":
                # `draft` keeps both sides at or above the requested size, so scale both: a
                # square would leave a panorama large. No mode, or it would change colors.
                size = max(1, image.width // shrink), max(1, image.height // shrink)
                image.draft(None, size)
            upright = _in_rgb(image)
            if self._turn is not None:
                upright = upright.transpose(self._turn)
            return np.asarray(upright)

    def _decode_repaired(self, min_scale: float) -> NDArray[np.uint8] | None:
        """Return the pixels of what the damaged file may have been; None if nothing is readable."""
        turn, self._turn = self._turn, None  # rows have to be those of the file
        try:
            for data, remark in repairs(self._data):
                with suppress(_Damaged):
                    pixels = self._decode(data, min_scale)
                    if data[:2] == b"\xff\xd8" and not has_all_rows(
                        self._data, lambda data: self._decode(data, min_scale), min_scale
                    ):
                        return None
                    self._data, self.remark = data, self.remark or remark
                    return (
                        pixels
                        if turn is None
                        else np.asarray(Image.fromarray(pixels).transpose(turn))
                    )
        finally:
            self._turn = turn
        return None


class _Damaged(PhotoError):
    """The bytes are damaged, and some repair may help."""


def read_photo(
    path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Photo:
    """Return the photo at `path`, its pixels not yet decoded.

    Raises PhotoError, one sentence with the file and the reason: it does not exist, is not
    readable, is not a regular file, is larger than `max_bytes`, or see `photo_from_bytes`.
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
    """Return the SHA-256 of a regular file, which is a photo's content hash; None if unreadable."""
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def photo_from_bytes(data: bytes, name: str = "photo", *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Return the photo in `data`, the content of a picture file; `name` is for messages.

    A camera raw is read by its largest preview; a file harmed in its metadata or last bytes is
    read, too: `remark` says both. Raises PhotoError if the header is damaged, of an unknown format,
    or claims more than `max_pixels`, or if the preview is but a thumbnail; no pixels are decoded
    before that is checked.
    """
    read = _photo_of_raw if is_camera_raw(data) else _photo_of
    photo = read(data, name, max_pixels)
    photo.content_hash = hashlib.sha256(data).hexdigest()
    return photo


def _photo_of_raw(data: bytes, name: str, max_pixels: int) -> Photo:
    """Return the photo that is a camera raw's largest preview."""
    preview = largest_preview(data)
    if preview is None or max(preview.width, preview.height) < MIN_PREVIEW_PX:
        what = "no JPEG preview" if preview is None else "only a thumbnail as its preview"
        advice = "convert it to JPEG, TIFF or HEIC"
        raise PhotoError(f"cannot read {name}: it is a camera raw with {what}; {advice}")
    photo = _photo_of(data[preview.at :], name, max_pixels)
    size = f"{photo.width} x {photo.height}"
    orientation = 0 if photo.oriented else orientation_of(data)
    if orientation:
        photo.orientation, photo._turn = orientation, _TURNS.get(orientation)
        if orientation >= 5:
            photo.width, photo.height = photo.height, photo.width
    photo.is_preview = True
    photo.remark = f"it is a camera raw, read by its preview of {size} pixels"
    return photo


def _photo_of(data: bytes, name: str, max_pixels: int) -> Photo:
    """Return the photo in `data`, repaired if that is what makes its header readable."""
    try:
        return _photo_as_it_is(data, name, max_pixels)
    except _Damaged:
        for repaired, remark in repairs(data):
            with suppress(_Damaged):
                photo = _photo_as_it_is(repaired, name, max_pixels)
                photo.identity, photo.remark = picture_identity(data), remark
                return photo
        raise


def _photo_as_it_is(data: bytes, name: str, max_pixels: int) -> Photo:
    with _photo_errors(name):
        image = _open(data, name)
        width, height = image.size
        if width * height > max_pixels:
            size = f"{width} x {height} pixels, more than the limit of {max_pixels:,}"
            raise PhotoError(f"cannot read {name}: it has {size}")
        orientation = _orientation(image)
        # The TIFF reader turns the picture while loading it and already reports the size after
        # that, but not if only the XMP packet asks for the turn.
        size_is_upright = _ORIENTATION in getattr(image, "tag_v2", ())
    if orientation >= 5 and not size_is_upright:
        width, height = height, width
    turn = None if image.format == "TIFF" else _TURNS.get(orientation)
    return Photo(name, "", picture_identity(data), width, height, orientation, data, turn)


def _open_without_waiting(path: str, flags: int) -> int:
    """Return a descriptor even for a FIFO without a writer, where a plain open hangs."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has neither


def _reason(error: Exception) -> str:
    """Return the reason on one line, without the path that an OSError repeats."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


@contextmanager
def _photo_errors(name: str) -> Iterator[None]:
    """Turn any error of a reader into a PhotoError, and hide its warnings.

    A user cannot act on the warnings (corrupt EXIF, too many tags). But `warnings.catch_warnings`
    replaces the filters of the whole process, and two threads that leave it in the wrong order keep
    each other's for good. One entry, put into the list and removed from the same list, cannot do
    that, and hides only what Pillow says.
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
    except Exception as error:  # damaged bytes make Pillow raise almost anything
        what = "damaged, cut short or of a kind that is not supported"
        raise _Damaged(f"cannot read {name}: it is {what} ({_reason(error)})") from error
    finally:
        with suppress(ValueError):  # something else emptied the list meanwhile
            filters.remove(_IGNORE_PILLOW)


def _open(data: bytes, name: str) -> ImageFile:
    """Return the picture, its header parsed, its pixels not yet decoded."""
    if not data:
        raise PhotoError(f"cannot read {name}: it is empty")
    readers = [names for first, *names in _READERS if re.match(first, data, re.DOTALL)]
    if not readers:
        known = "JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF, BMP, PPM"
        raise PhotoError(f"cannot read {name}: it is not a picture in a known format ({known})")
    module, reader = readers[0]
    try:
        plugin: Any = import_module(module)
    except ImportError as error:
        if module != "pillow_heif":
            raise
        needed = f"HEIC needs an extra, {install_command('heic')}"
        raise PhotoError(f"cannot read {name}: {needed}") from error
    black_zero = with_black_zero(data) if "Tiff" in reader else None
    image: ImageFile = getattr(plugin, reader)(io.BytesIO(black_zero or data))
    if image.format == "TIFF":
        _check_strips(image, len(data))
        image.info[_WHITE_IS_ZERO] = black_zero is not None
    return image


def _check_strips(tiff: Any, n_bytes: int) -> None:
    """Raise EOFError if compressed data lies beyond the end; libtiff would complain on stderr."""
    if tiff.info["compression"] != "raw":
        for offsets, counts in ((273, 279), (324, 325)):  # the tags for strips and for tiles
            parts = zip(tiff.tag_v2.get(offsets, ()), tiff.tag_v2.get(counts, ()), strict=False)
            if any(offset + count > n_bytes for offset, count in parts):
                raise EOFError("the file ends within the picture")


def _orientation(image: ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8, or 0 if there is none or the EXIF is corrupt.

    The HEIF reader turns a picture by the container's properties, as the standard demands, and then
    reports an EXIF orientation of 1. Where a format other than JPEG has none in EXIF, that of the
    XMP packet counts.
    """
    with suppress(Exception):
        exif = image.getexif()
        if image.format == "JPEG":
            # Programs that turn a JPEG's pixels often leave its XMP packet as it was, which Pillow
            # falls back on. No browser does.
            exif = Image.Exif()
            exif.load(image.info["exif"])
        orientation = exif.get(_ORIENTATION)
        if isinstance(orientation, int) and 1 <= orientation <= 8:
            return orientation
    return 0


def _in_rgb(image: ImageFile) -> Image.Image:
    """Return the picture in 8-bit RGB: alpha on white, gray of more bits scaled down."""
    image.load()
    if image.mode[0] in "IF":
        return _deep_gray_in_rgb(image)
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")  # `convert` would copy
    straight = image.convert("LA") if image.mode == "La" else image
    rgba = straight.convert("RGBA")
    on_white = Image.new("RGB", rgba.size, "white")
    on_white.paste(rgba, mask=rgba.getchannel("A"))
    return on_white


def _deep_gray_in_rgb(image: ImageFile) -> Image.Image:
    """Return 16-bit, 32-bit or float gray as RGB; Pillow's own conversion clips it to white."""
    if image.mode.startswith("I;16"):
        gray = (np.asarray(image) >> 8).astype(np.uint8)
    else:
        gray = _gray_of_unknown_range(image)
    if image.info.get(_WHITE_IS_ZERO):
        gray = 255 - gray
    return Image.fromarray(gray).convert("RGB")


def _gray_of_unknown_range(image: ImageFile) -> NDArray[np.uint8]:
    """Return 32-bit or float gray scaled to 0 to 255."""
    values = np.asarray(image)
    if image.format == "TIFF" and image.mode == "I":
        kinds = getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, (1,))
        if kinds[0] == 1:
            values = values.view(np.uint32)  # Pillow has but signed numbers
        else:
            values = values - np.int64(min(0, values.min()))  # the darkest of all is black
    levels = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    brightest = float(levels.max())
    # The file does not say which level is white: take the smallest usual one that fits the picture.
    white = next((w for w in (1.0, 255.0, 65535.0) if brightest <= w), brightest)
    if image.format == "PPM" and image.mode == "I":
        white = 65535.0  # known: this reader scales to 16 bits
    return np.asarray(np.clip(np.rint(levels * (255 / white)), 0, 255), np.uint8)
