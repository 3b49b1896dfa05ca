"""Read mutated pictures of every format: no crash, no hang, memory bounded.

    python -m benchmarks.fuzz_photos [--mutants N] [--seed N] [--json [FILE]]

Small pictures that Pillow writes are mutated: bytes changed, cut off, repeated, moved or put in.
Each format is read in a process of its own with at most MEMORY_BYTES more than it starts with, and
at most MAX_PIXELS a picture, since an honest picture of 200 megapixels takes seconds, too. Exits 1
if a picture took longer than LIMIT_S, raised anything but PhotoError, or ended the process; the
seed and the mutant's number make it again.
"""

import io
import multiprocessing
import secrets
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.report import argument_parser, show
from facesearch.errors import PhotoError
from facesearch.photo import photo_from_bytes
from facesearch.serving.decoder import limit_memory

LIMIT_S, MEMORY_BYTES, MAX_PIXELS = 2.0, 1_000_000_000, 4_000_000
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "avif": ("AVIF", {}),
    "heic": ("HEIF", {}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
    "raw": ("JPEG", {}),
}


def original(name: str) -> bytes:
    """Return a small sound picture; raises KeyError if Pillow cannot write it here."""
    file_format, options = FORMATS[name]
    if file_format == "HEIF":
        try:
            from pillow_heif import register_heif_opener
        except ImportError as error:
            raise KeyError(file_format) from error
        register_heif_opener()
    rows, columns = np.mgrid[:96, :128]
    pixels = np.stack([2 * rows, columns, (rows * columns) % 251], -1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    image = Image.fromarray(pixels).resize((800, 600)) if name == "raw" else Image.fromarray(pixels)
    image.save(stream, file_format, **options, **({} if name in ("bmp", "ppm") else {"exif": exif}))
    data = stream.getvalue()
    return b"II*\0\x10\0\0\0CR\2\0" + bytes(64) + data + bytes(500) if name == "raw" else data


def mutant(data: bytes, seed: int, number: int) -> bytes:
    """Return `data` with one to eight changes; equal for equal arguments."""
    rng = np.random.default_rng((seed, number))
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        # half of the changes go to the head, where formats say how large everything is
        end = len(changed) if rng.random() < 0.5 else min(len(changed), 200)
        at, n = int(rng.integers(0, max(1, end))), int(rng.integers(1, 64))
        match int(rng.integers(0, 8)):
            case 0:
                del changed[at : at + n]
            case 1:
                changed[at:at] = rng.bytes(n)
            case 2:
                changed[at:at] = changed[at : at + n] * int(rng.integers(1, 20))
            case 3:
                changed = changed[: max(1, len(changed) - int(rng.integers(1, len(changed))) // 4)]
            case 4:
                changed[at : at + 4] = rng.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
            case _:
                changed[at : at + 1] = rng.bytes(1)
    return bytes(changed)


def read_all(pipe: Connection, name: str, seed: int, mutants: int) -> None:
    """Send (number, seconds, outcome) for each mutant: before it is read, and after."""
    data = original(name)
    photo_from_bytes(data).pixels()  # the reader is loaded before memory is limited
    limit_memory(MEMORY_BYTES)
    for number in range(mutants):
        changed = mutant(data, seed, number)
        pipe.send((number, 0.0, "started"))
        outcome, start = "read", time.perf_counter()
        try:
            photo = photo_from_bytes(changed, max_pixels=MAX_PIXELS)
            photo.pixels(0.5)
            photo.frames()
        except PhotoError:
            outcome = "refused"
        except BaseException as error:
            outcome = f"raised {type(error).__name__}: {error}"
        pipe.send((number, time.perf_counter() - start, outcome))
    pipe.send((mutants, 0.0, "done"))


def fuzz(name: str, seed: int, mutants: int) -> tuple[dict[str, float], list[str]]:
    """Return figures of one format, and a line for everything that went wrong."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=read_all, args=(theirs, name, seed, mutants), daemon=True)
    process.start()
    theirs.close()
    read, slowest, number, outcome, wrong = 0, 0.0, -1, "", []
    while outcome != "done":
        try:
            if not ours.poll(60):
                wrong.append(f"{name} {number}: hangs")
                break
            number, seconds, outcome = ours.recv()
        except EOFError:
            wrong.append(f"{name} {number}: ended the process")
            break
        read += outcome == "read"
        slowest = max(slowest, seconds)
        if outcome.startswith("raised") or seconds > LIMIT_S:
            wrong.append(f"{name} {number}: {outcome} after {seconds:.1f} s")
    process.kill()
    process.join()
    return {f"{name}_read": read, f"{name}_slowest_ms": round(1000 * slowest)}, wrong


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--mutants", type=int, default=2000, help="pictures a format")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    arguments = parser.parse_args()
    figures: dict[str, float] = {"seed": arguments.seed, "mutants": arguments.mutants}
    wrong: list[str] = []
    for name in FORMATS:
        try:
            original(name)
        except KeyError:
            continue  # an extra is not installed
        more, bad = fuzz(name, arguments.seed, arguments.mutants)
        figures |= more
        wrong += bad
    show(figures | {"wrong": len(wrong)}, "Mutated pictures", as_json=arguments.json)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
