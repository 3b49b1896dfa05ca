"""Deduplication: photos that are the same picture, among copies made by 20 edits.

    python -m benchmarks.dedupe [--json]

Copies of LFW crops and of the photos in `photos/` of the data folder by EDITS, seeded. Half of the
pictures (seeded) served to choose the thresholds, the figures are of the other half. A pair is two
files; it is right if both come from one picture. Pictures that the data itself holds twice are
judged by hand-checked truth in `photos/dedupe` alone, so `photos/groups` gives the originals here.
Beside it imagehash (phash at 10 and dhash at 10 of 64 bits, by the same edits and the same upright
pixels), if installed.
"""

import csv
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from benchmarks.report import need, parse_arguments, show
from facesearch.dedupe.photos import PhotoReport, find_duplicates

SEED = 9
N_CROPS = 300  # of LFW; half of them and of the photos are reported
Generator = np.random.Generator


def _file(image: Image.Image, kind: str = "JPEG", **options: Any) -> tuple[str, bytes]:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 90} if kind == "JPEG" else {}) | options)
    return {"JPEG": ".jpg"}.get(kind, f".{kind.lower()}"), stream.getvalue()


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


def _cropped(image: Image.Image, rng: Generator, share: float) -> Image.Image:
    """Return the picture without `share` of its width and height, taken at random sides."""
    x, y = image.width * share, image.height * share
    left, top = rng.uniform(0, x), rng.uniform(0, y)
    box = left, top, image.width - x + left, image.height - y + top
    return image.crop(tuple(map(round, box)))  # type: ignore[arg-type]


def _exif_turned(image: Image.Image, rng: Generator) -> tuple[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _file(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


def _with_date(image: Image.Image, rng: Generator) -> tuple[str, bytes]:
    image = image.copy()
    font = ImageFont.load_default(max(8, image.height // 14))
    place = image.width * 0.03, image.height * 0.9
    ImageDraw.Draw(image).text(place, "2024-05-17", fill="yellow", font=font)
    return _file(image)


def _with_logo(image: Image.Image, rng: Generator) -> tuple[str, bytes]:
    image = image.copy()
    side = round(min(image.size) * 0.15)
    x, y = image.width - side - side // 5, side // 5
    logo = Image.new("RGB", (side, side), tuple(rng.integers(0, 255, 3).tolist()))
    ImageDraw.Draw(logo).ellipse(
        (side // 6, side // 6, side - side // 6, side - side // 6), "white"
    )
    image.paste(Image.blend(image.crop((x, y, x + side, y + side)), logo, 0.7), (x, y))
    return _file(image)


def _bordered(image: Image.Image, rng: Generator) -> tuple[str, bytes]:
    colour = "white" if rng.random() < 0.5 else "black"
    return _file(ImageOps.expand(image, round(0.06 * min(image.size)), colour))


def _quarter(image: Image.Image, rng: Generator) -> tuple[str, bytes]:
    turns = Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270
    return _file(image.transpose(turns[int(rng.random() < 0.5)]))


EDITS: dict[str, Callable[[Image.Image, Generator], tuple[str, bytes]]] = {
    "half the size": lambda image, rng: _file(_scaled(image, 0.5)),
    "a third of the size": lambda image, rng: _file(_scaled(image, 0.34)),
    "twice the size": lambda image, rng: _file(_scaled(image, 2)),
    "JPEG quality 75": lambda image, rng: _file(image, quality=75),
    "JPEG quality 30": lambda image, rng: _file(image, quality=30),
    "WebP quality 60": lambda image, rng: _file(image, "WEBP", quality=60),
    "PNG": lambda image, rng: _file(image, "PNG", compress_level=1),
    "GIF": lambda image, rng: _file(image, "GIF"),
    "grey": lambda image, rng: _file(image.convert("L")),
    "5 % cropped": lambda image, rng: _file(_cropped(image, rng, 0.05)),
    "10 % cropped": lambda image, rng: _file(_cropped(image, rng, 0.10)),
    "EXIF rotation": _exif_turned,
    "mirrored": lambda image, rng: _file(ImageOps.mirror(image)),
    "quarter turn": _quarter,
    "6 % border": _bordered,
    "25 % brighter": lambda image, rng: _file(ImageEnhance.Brightness(image).enhance(1.25)),
    "70 % contrast": lambda image, rng: _file(ImageEnhance.Contrast(image).enhance(0.7)),
    "date": _with_date,
    "logo": _with_logo,
    "4 % cropped, 60 % of the size, JPEG quality 60": lambda image, rng: _file(
        _scaled(_cropped(image, rng, 0.04), 0.6), quality=60
    ),
}


def originals(data: Path) -> Iterator[Image.Image]:
    """Yield the pictures that copies are made of: those of the reported half."""
    rng = np.random.default_rng(SEED)
    with (data / "lfw" / "lfw_index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = [rows[i] for i in rng.permutation(len(rows))[:N_CROPS]]
    for row in chosen[1::2]:
        with (data / "lfw" / row["shard"]).open("rb") as shard:
            shard.seek(int(row["offset"]))
            yield Image.open(io.BytesIO(shard.read(int(row["bytes"])))).convert("RGB")
    for path in sorted((data / "photos" / "groups").iterdir())[1::2]:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        image.thumbnail((1600, 1600))
        yield image


def write_copies(data: Path, folder: Path) -> dict[str, int]:
    """Write every original and its copies; return the number of the original by file."""
    rng = np.random.default_rng(SEED)
    truth = {}
    for number, image in enumerate(originals(data)):
        for edit in ("original", *EDITS):
            made = _file(image, quality=97) if edit == "original" else EDITS[edit](image, rng)
            path = folder / f"{number:04} {edit.replace('%', 'percent')}{made[0]}"
            path.write_bytes(made[1])
            truth[str(path)] = number
    return truth


def pairs_of(groups: list[list[str]]) -> set[frozenset[str]]:
    """Return every pair of files that stand in one group."""
    return {frozenset(pair) for group in groups for pair in combinations(group, 2)}


def rates(found: set[frozenset[str]], truth: dict[str, int]) -> tuple[float, float]:
    """Return precision and recall of pairs."""
    members: dict[int, list[str]] = {}
    for path, number in truth.items():
        members.setdefault(number, []).append(path)
    right = pairs_of(list(members.values()))
    return len(found & right) / max(1, len(found)), len(found & right) / len(right)


def grouped(report: PhotoReport) -> list[list[str]]:
    """Return the groups as lists of paths."""
    return [[g.keeper.path, *(twin.file.path for twin in g.duplicates)] for g in report.groups]


def by_imagehash(name: str, truth: dict[str, int], bits: int) -> tuple[float, float, float]:
    """Return precision, recall and seconds of imagehash: a pair is at most `bits` of 64 apart."""
    imagehash: Any = import_module("imagehash")
    started = time.perf_counter()
    paths = list(truth)
    hashes = []
    for path in paths:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        hashes.append(getattr(imagehash, name)(upright).hash.ravel())
    packed = np.packbits(np.array(hashes), axis=1)
    found: set[frozenset[str]] = set()
    for i, row in enumerate(packed[:-1]):
        apart: NDArray[np.int64] = np.bitwise_count(packed[i + 1 :] ^ row).sum(1, dtype=np.int64)
        found |= {frozenset((paths[i], paths[i + 1 + j])) for j in np.flatnonzero(apart <= bits)}
    seconds = time.perf_counter() - started
    return *rates(found, truth), seconds


def mixed_set(folder: Path) -> dict[str, float]:
    """Return how many groups of `photos/dedupe` are whole, and how many files joined wrongly."""
    truth = json.loads((folder / "expected.json").read_text("utf-8"))["dedupe"]
    group_of = {
        str(Path(path).relative_to(folder.resolve()).as_posix()): number
        for number, group in enumerate(grouped(find_duplicates([folder.resolve() / "dedupe"])))
        for path in group
    }
    whole = [{group_of.get(path, path) for path in paths} for paths in truth["must_group"].values()]
    origin = {path: name for name, paths in truth["must_group"].items() for path in paths}
    for name, changes in truth["related_may_group"].items():
        for change in changes:
            origin |= dict.fromkeys([*change["files"], *change["reference"]], name)
    wrong = sum(
        origin.get(one, one) != origin.get(two, two)
        for one, two in combinations(group_of, 2)
        if group_of[one] == group_of[two]
    )
    return {
        "photo_must_group": len(whole),
        "photo_must_group_found": sum(len(numbers) == 1 for numbers in whole),
        "photo_wrong_pairs_mixed": wrong,
    }


def photos(data: Path) -> dict[str, float]:
    """Return the figures of near-identical photos."""
    cv2.setNumThreads(1)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder, cache = Path(place).resolve() / "photos", Path(place) / "cache"
        folder.mkdir()
        truth = write_copies(data, folder)
        started = time.perf_counter()
        report = find_duplicates([folder], cache)
        seconds = time.perf_counter() - started
        found = pairs_of(grouped(report))
        precision, recall = rates(found, truth)
        started = time.perf_counter()
        find_duplicates([folder], cache)
        again = time.perf_counter() - started
        figures |= {
            "photos": len(truth),
            "photo_precision": precision,
            "photo_recall": recall,
            "photo_s_per_1000": 1000 * seconds / len(truth),
            "photo_s_per_1000_again": 1000 * again / len(truth),
            "photo_doubtful": len(report.doubtful),
        }
        lost = [p for p in truth if not any(p in pair for pair in found)]
        figures["photo_lost_copies"] = len(lost)
        if find_spec("imagehash"):
            for name, bits in (("phash", 10), ("dhash", 10), ("phash", 4)):
                precision, recall, seconds = by_imagehash(name, truth, bits)
                key = f"imagehash_{name}_{bits}"
                figures |= {f"{key}_precision": precision, f"{key}_recall": recall}
                figures[f"{key}_s_per_1000"] = 1000 * seconds / len(truth)
    return figures | mixed_set(data / "photos")


def main() -> None:
    arguments = parse_arguments(__doc__)
    data = need(arguments.data)
    show(photos(data), "Deduplication: photos", as_json=arguments.json)


if __name__ == "__main__":
    main()
