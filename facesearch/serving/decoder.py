"""Photo file -> what is there and pictures of it, in another process.

A photo can hold anything: gigabytes of pixels in kilobytes, hours of work for a decoder, a fault
of one that ends the process. So photos are decoded in a process of their own, which has a limit
of memory and of time for each. When it ends or is ended, that photo is told to be unreadable, and
the next one gets a new process; the page does not notice.
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

TIMEOUT_S = 60.0  # for one photo; 200 megapixels take less than ten seconds
START_TIMEOUT_S = 300.0  # until the process has loaded the model, on a busy machine
MEMORY_BYTES = 6_000_000_000  # of addresses; 200 megapixels with transparency take three
PICTURE_PX = 1600  # longest side of a photo on the page
FACE_PX = 240  # side of a face on the page
WHOLE_PX = 640  # longest side of a photo among its duplicates
MARGIN = 0.35  # around a face, of its longer side

Box = tuple[float, float, float, float]  # as in facesearch.detection


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A photo that was looked at."""

    seen: Seen
    picture: bytes  # JPEG of the upright photo, at most PICTURE_PX large
    faces: list[bytes]  # JPEG of each face with what is around it, in the order of `seen.faces`


class Eyes:
    """Looks at photos in another process, one at a time."""

    def __init__(
        self,
        load_model: Callable[[], Model] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """Make eyes that `look` with the model that `load_model`, which is pickled, returns.

        Without one they only cut out. The process is started when it is first needed.
        """
        self._load_model = load_model
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None
        self._closed = threading.Event()

    def look(self, path: Path, name: str) -> Looked:
        """Return what the photo at `path` shows; `name` is what the user calls it.

        Raises PhotoError.
        """
        return cast(Looked, self._ask(name, "look", path, name))

    def cut_out(self, path: str, content_hash: str, box: Box, side_px: int = FACE_PX) -> bytes:
        """Return the JPEG of the face at `box`, with what is around it, at most `side_px` large.

        Raises PhotoError if the photo is not there or not the one with those bytes any more.
        """
        return cast(bytes, self._ask(path, "cut_out", path, content_hash, box, side_px))

    def shrink(self, path: str, content_hash: str) -> bytes:
        """Return the JPEG of the whole photo, at most WHOLE_PX large; raises as `cut_out` does."""
        return cast(bytes, self._ask(path, "shrink", path, content_hash))

    def start(self) -> None:
        """Start the process, so that the first photo need not wait for it."""
        with self._lock, suppress(PhotoError):
            self._ready("")

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._closed.set()
        process = self._process
        if process is not None:
            with suppress(ValueError):  # it was given up in this moment
                process.kill()  # whoever waits for its answer gets an error
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
                raise PhotoError(f"cannot read {name}: its decoder broke off") from error
            except PhotoError:
                self._end()
                raise
        if isinstance(answer, FacesearchError):
            raise answer
        return answer

    def _ready(self, name: str) -> Connection:
        """Return the pipe to the process, started anew if there is none."""
        if self._pipe is not None and self._process.is_alive():
            return self._pipe
        self._end()
        if self._closed.is_set():
            raise PhotoError(f"cannot read {name}: the page is ending")
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._load_model, self._memory_bytes)
        process = context.Process(target=serve, args=arguments, daemon=True)
        try:
            process.start()
            theirs.close()
            self._process, self._pipe = process, ours
            if self._closed.is_set():  # while it started: `close` did not see it
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


# In the other process


def serve(pipe: Connection, load_model: Callable[[], Model] | None, memory_bytes: int) -> None:
    """Answer what is asked through `pipe` until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    model: Any = load_model() if load_model is not None else None
    answers: dict[str, Callable[..., object]] = {
        "look": partial(look_at, model=model),
        "cut_out": cut,
        "shrink": shrunk,
    }
    limit_memory(memory_bytes)
    pipe.send("ready")
    while True:
        try:
            what, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        answer: object
        try:
            answer = answers[what](*arguments)
        except FacesearchError as error:
            answer = error
        except MemoryError:
            answer = PhotoError("cannot read the photo: there is not enough memory for it")
        except Exception as error:  # OpenCV's, of a photo that we did not foresee
            answer = PhotoError(f"cannot read the photo ({type(error).__name__}: {error})")
        pipe.send(answer)


def limit_memory(n_bytes: int) -> None:
    """Let this process have `n_bytes` more than it has; where the system cannot, do nothing."""
    if sys.platform != "linux":  # macOS does not enforce it, Windows has none
        return
    import resource

    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = in_use + n_bytes
    if most == resource.RLIM_INFINITY or wanted < most:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, most))


def look_at(path: Path, name: str, *, model: Model) -> Looked:
    """Return what the photo shows; see `Eyes.look`."""
    if path.stat().st_size > MAX_BYTES:
        raise PhotoError(f"cannot read {name}: it has more than {MAX_BYTES:,} bytes")
    photo = photo_from_bytes(path.read_bytes(), name)
    seen = look(photo, model)
    faces = [face_of(photo, face.box, FACE_PX) for face in seen.faces]
    pixels = photo.pixels(min(1.0, PICTURE_PX / max(photo.width, photo.height)))
    return Looked(seen, jpeg(pixels, PICTURE_PX), faces)


def cut(path: str, content_hash: str, box: Box, side_px: int) -> bytes:
    """Return the JPEG of a face; see `Eyes.cut_out`."""
    return face_of(the_photo(path, content_hash), box, side_px)


def shrunk(path: str, content_hash: str) -> bytes:
    """Return the JPEG of a whole photo; see `Eyes.shrink`."""
    photo = the_photo(path, content_hash)
    return jpeg(photo.pixels(min(1.0, WHOLE_PX / max(photo.width, photo.height))), WHOLE_PX)


def the_photo(path: str, content_hash: str) -> Photo:
    """Return the photo at `path`; raises PhotoError if it is not the one with those bytes."""
    photo = read_photo(path)
    if photo.content_hash != content_hash:
        raise PhotoError(f"cannot read {path}: it is another picture by now")
    return photo


def face_of(photo: Photo, box: Box, side_px: int) -> bytes:
    """Return the JPEG of the square around the face at `box`, as far as the photo goes."""
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
