"""Photo file -> the faces in it and JPEGs of them, in a child process.

A photo can hold anything: gigabytes of pixels in kilobytes, hours of work for a decoder, bytes
that crash one. So photos are decoded in a child process with a limit of memory, and of time for
each photo. If the process ends or has to be ended, its photo is reported as unreadable, and the
next photo gets a new process; the server does not notice.
"""

import io
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesearch.errors import FacesearchError, PhotoError
from facesearch.identification import Seen, look
from facesearch.model import Model
from facesearch.photo import MAX_BYTES, Photo, photo_from_bytes, read_photo

TIMEOUT_S = 60.0  # per photo; 200 megapixels take less than ten seconds
START_TIMEOUT_S = 300.0  # to load the model, on a busy machine
MEMORY_BYTES = 6_000_000_000  # address space; 200 megapixels with transparency take half
PICTURE_PX = 1600  # longest side of a photo on the page
FACE_PX = 240  # side of a face crop on the page
WHOLE_PX = 640  # longest side of a photo among its duplicates
MARGIN = 0.35  # around a face, as a share of its longer side

Box = tuple[float, float, float, float]  # as in facesearch.detection


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPhoto:
    """A photo's faces, with JPEGs to show them."""

    seen: Seen
    picture: bytes  # JPEG of the upright photo, at most PICTURE_PX large
    faces: list[bytes]  # JPEG of each face with a margin, in the order of `seen.faces`


class DecoderProcess:
    """Decodes photos in a child process, one at a time."""

    def __init__(
        self,
        load_model: Callable[[], Model] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """Decode photos in a child process. `load_model` must be picklable.

        Without `load_model` the process can `crop` and `shrink`, but not `decode`. It is started by
        `start` or by the first photo. `timeout_s` is per photo.
        """
        self._load_model = load_model
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None
        self._closed = threading.Event()

    def decode(self, path: Path, name: str) -> DecodedPhoto:
        """Return the photo at `path` with the faces in it; `name` is what the user calls it.

        Raises PhotoError, which says `name`.
        """
        return cast(DecodedPhoto, self._ask(name, "decode", path, name))

    def crop(self, path: str, content_hash: str, box: Box, side_px: int = FACE_PX) -> bytes:
        """Return a JPEG of the face at `box` with a margin, at most `side_px` large.

        The box is one of the picture as it is stored, or where the hash is that of the file's
        bytes, as shown. Raises PhotoError if the photo is missing or another picture is there.
        """
        return cast(bytes, self._ask(path, "crop", path, content_hash, box, side_px))

    def shrink(self, path: str, content_hash: str) -> bytes:
        """Return a JPEG of the whole photo, at most WHOLE_PX large; raises as `crop` does."""
        return cast(bytes, self._ask(path, "shrink", path, content_hash))

    def start(self) -> None:
        """Start the process, so that the first photo does not wait for it."""
        with self._lock, suppress(PhotoError):
            self._ready("")

    def close(self) -> None:
        """End the process, even in the middle of a photo, whose caller gets PhotoError."""
        self._closed.set()
        process = self._process
        if process is not None:
            with suppress(ValueError):  # `_end` has just closed it
                process.kill()
        with self._lock:
            self._end()

    def _ask(self, name: str, what: str, *arguments: object) -> object:
        with self._lock:
            pipe = self._ready(name)
            try:
                pipe.send((what, arguments))
                if not pipe.poll(self._timeout_s):
                    raise PhotoError(
                        f"cannot read {name}: it took longer than {self._timeout_s:.0f} s"
                    )
                answer: object = pipe.recv()
            except (EOFError, OSError) as error:
                self._end()
                raise PhotoError(f"cannot read {name}: its decoder crashed") from error
            except PhotoError:
                self._end()
                raise
        if isinstance(answer, FacesearchError):
            raise answer
        return answer

    def _ready(self, name: str) -> Connection:
        """Return the pipe to the process, which is started if there is none."""
        if self._pipe is not None and self._process.is_alive():
            return self._pipe
        self._end()
        if self._closed.is_set():
            raise PhotoError(f"cannot read {name}: the server is stopping")
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._load_model, self._memory_bytes)
        process = context.Process(target=answer_requests, args=arguments, daemon=True)
        try:
            process.start()
            theirs.close()
            self._process, self._pipe = process, ours
            if self._closed.is_set():  # `close` was called while it started, and did not see it
                process.kill()
            if ours.poll(START_TIMEOUT_S) and ours.recv() == "ready":
                return ours
        except (EOFError, OSError):
            pass
        self._end()
        raise PhotoError(f"cannot read {name}: the process that decodes photos does not start")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None


# In the child process


def answer_requests(
    pipe: Connection, load_model: Callable[[], Model] | None, memory_bytes: int
) -> None:
    """Answer the requests that come through `pipe` until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    model: Any = load_model() if load_model is not None else None
    answers: dict[str, Callable[..., object]] = {
        "decode": partial(decode_photo, model=model),
        "crop": crop_face,
        "shrink": shrink_photo,
    }
    limit_memory(memory_bytes)
    pipe.send("ready")
    while True:
        try:
            request, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        answer: object
        try:
            answer = answers[request](*arguments)
        except FacesearchError as error:
            answer = error
        except MemoryError:
            answer = PhotoError("cannot read the photo: there is not enough memory for it")
        except Exception as error:  # raised by OpenCV for a photo nobody foresaw
            answer = PhotoError(f"cannot read the photo ({type(error).__name__}: {error})")
        pipe.send(answer)


def limit_memory(n_bytes: int) -> None:
    """Let this process use `n_bytes` more than now; do nothing where the system cannot limit it."""
    if sys.platform != "linux":  # macOS does not enforce it, Windows has none
        return
    import resource

    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = in_use + n_bytes
    if most == resource.RLIM_INFINITY or wanted < most:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, most))


def decode_photo(path: Path, name: str, *, model: Model) -> DecodedPhoto:
    """Return the photo at `path` with the faces in it; see `DecoderProcess.decode`."""
    if path.stat().st_size > MAX_BYTES:
        raise PhotoError(f"cannot read {name}: it has more than {MAX_BYTES:,} bytes")
    photo = photo_from_bytes(path.read_bytes(), name)
    seen = look(photo, model)
    faces = [face_jpeg(photo, face.box, FACE_PX) for face in seen.faces]
    pixels = photo.pixels(min(1.0, PICTURE_PX / max(photo.width, photo.height)))
    return DecodedPhoto(seen, jpeg(pixels, PICTURE_PX), faces)


def crop_face(path: str, content_hash: str, box: Box, side_px: int) -> bytes:
    """Return a JPEG of a face; see `DecoderProcess.crop`."""
    photo = unchanged_photo(path, content_hash)
    return face_jpeg(photo, photo.picture.shown_from(content_hash, box), side_px)


def shrink_photo(path: str, content_hash: str) -> bytes:
    """Return a JPEG of a whole photo; see `DecoderProcess.shrink`."""
    photo = unchanged_photo(path, content_hash)
    return jpeg(photo.pixels(min(1.0, WHOLE_PX / max(photo.width, photo.height))), WHOLE_PX)


def unchanged_photo(path: str, content_hash: str) -> Photo:
    """Return the photo at `path`; raises PhotoError unless its picture or bytes have that hash."""
    photo = read_photo(path)
    if not photo.picture.is_known_by(content_hash):
        raise PhotoError(f"cannot read {path}: the file has changed")
    return photo


def face_jpeg(photo: Photo, box: Box, side_px: int) -> bytes:
    """Return a JPEG of the square around the face at `box`, cut off at the photo's edges."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top) * (1 + 2 * MARGIN)
    pixels = photo.pixels(min(1.0, side_px / side))
    scale = pixels.shape[1] / photo.width
    x, y, half = (left + right) / 2 * scale, (top + bottom) / 2 * scale, side / 2 * scale
    rows = slice(max(0, int(y - half)), max(1, int(y + half)))
    columns = slice(max(0, int(x - half)), max(1, int(x + half)))
    return jpeg(pixels[rows, columns], side_px)


def jpeg(pixels: NDArray[np.uint8], longest_px: int) -> bytes:
    """Return `pixels` (h, w, 3) RGB as a JPEG without metadata, at most `longest_px` large."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()
