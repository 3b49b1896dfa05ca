"""Deduplication: photos that are the same picture, among copies made by 20 edits.

    python -m benchmarks.dedupe_photos [--json]

Copies by EDITS, seeded, of 1,000 LFW crops and of the photos in `photos/groups` of the data folder.
A pair is two files; it is right if both come from one picture. The codes, the windows and SAME were
chosen on the crops SPENT and on every second photo of `photos`; the photos used here, and
`photos/dedupe`, were also seen while choosing. The crops here are of people who are in no SPENT
crop: the figures `crop_...` are theirs alone. EVERYWHERE was chosen on the photos SPENT_SHOTS and
raised after the figures of the others were seen, so those are no clean test.

`sure`: what --apply would move. `shots_...`: two shots from a tripod, made from one photo of
`photos/groups`: noise, a shift, and one face with its eyes closed, mirrored or moved by an eighth
of its width. None of these should be sure.

Beside it, if installed, imagehash (phash and dhash at 10 of 64 bits, phash at 4) and imagededup
(its phash at its default of 10), on the same edits and the same upright pixels.
"""

import csv
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from benchmarks.report import need, parse_arguments, show
from facesearch.duplicates.photos import PhotoReport, find_duplicates
from facesearch.duplicates.picture import compare, look_at, look_closely, why_unsure
from facesearch.photo import Photo, read_photo

SEED = 2909
N_CROPS = 1000
EVERY_PHOTO = 2  # every second of `photos/groups`
SPENT = ((0, 400), (9, 300))  # seed and number of the crops that something was chosen on
SPENT_SHOTS = 14  # photos of groups that EVERYWHERE was chosen on, by seed 3
Generator = np.random.Generator
Pixels = NDArray[np.uint8]  # (h, w, 3) RGB


def _file(image: Image.Image, kind: str = "JPEG", **options: Any) -> tuple[str, bytes]:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 90} if kind == "JPEG" else {}) | options)
    return {"JPEG": ".jpg"}.get(kind, f".{kind.lower()}"), stream.getvalue()


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


def _cropped(image: Image.Image, rng: Generator, share: float) -> Image.Image:
    """Return the picture without `share` of its width and height, cut from random sides."""
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
    color = "white" if rng.random() < 0.5 else "black"
    return _file(ImageOps.expand(image, round(0.06 * min(image.size)), color))


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


def crops(data: Path) -> Iterator[Image.Image]:
    """Yield crops of people on whom nothing was chosen."""
    with (data / "lfw" / "lfw_index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    spent = {
        rows[i]["name"]
        for seed, count in SPENT
        for i in np.random.default_rng(seed).permutation(len(rows))[:count]
    }
    order = np.random.default_rng(SEED).permutation(len(rows))
    for row in [rows[i] for i in order if rows[i]["name"] not in spent][:N_CROPS]:
        with (data / "lfw" / row["shard"]).open("rb") as shard:
            shard.seek(int(row["offset"]))
            yield Image.open(io.BytesIO(shard.read(int(row["bytes"])))).convert("RGB")


def photos_of_groups(data: Path) -> Iterator[Image.Image]:
    """Yield photos, upright and not larger than 1,600 pixels."""
    for path in sorted((data / "photos" / "groups").iterdir())[1::EVERY_PHOTO]:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        image.thumbnail((1600, 1600))
        yield image


def write_copies(originals: Iterator[Image.Image], folder: Path) -> dict[str, int]:
    """Write every original and its copies; return the number of the original by file."""
    rng = np.random.default_rng(SEED)
    folder.mkdir()
    truth = {}
    for number, image in enumerate(originals):
        for edit in ("original", *EDITS):
            made = _file(image, quality=97) if edit == "original" else EDITS[edit](image, rng)
            path = folder / f"{number:04} {edit.replace('%', 'percent')}{made[0]}"
            path.write_bytes(made[1])
            truth[str(path)] = number
    return truth


def pairs_of(groups: list[list[str]]) -> set[frozenset[str]]:
    """Return every pair of files in one group."""
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


def within(hashes: list[Any], paths: list[str], bits: int) -> set[frozenset[str]]:
    """Return the pairs of files whose hashes, arrays of bits, are at most `bits` apart."""
    packed = np.packbits(np.array(hashes), axis=1)
    found: set[frozenset[str]] = set()
    for i, row in enumerate(packed[:-1]):
        apart: NDArray[np.int64] = np.bitwise_count(packed[i + 1 :] ^ row).sum(1, dtype=np.int64)
        found |= {frozenset((paths[i], paths[i + 1 + j])) for j in np.flatnonzero(apart <= bits)}
    return found


def upright(path: str) -> Image.Image:
    """Return the picture as a viewer shows it."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def installed(name: str) -> Any:
    """Return a module, None if it or what it needs is absent (imagededup wants torchvision)."""
    try:
        return import_module(name)
    except (ImportError, RuntimeError):
        return None


def rivals(truth: dict[str, int]) -> Iterator[tuple[str, float, float, float]]:
    """Yield name, precision, recall and seconds of the hashes that are installed."""
    paths = list(truth)
    imagehash = installed("imagehash")
    if imagehash:
        for name, bits in (("phash", 10), ("dhash", 10), ("phash", 4)):
            started = time.perf_counter()
            hashes = [getattr(imagehash, name)(upright(path)).hash.ravel() for path in paths]
            found = within(hashes, paths, bits)
            seconds = time.perf_counter() - started
            yield f"imagehash_{name}_{bits}", *rates(found, truth), seconds
    methods = installed("imagededup.methods")
    if methods:
        hasher, started = methods.PHash(verbose=False), time.perf_counter()
        codes = [hasher.encode_image(image_array=np.asarray(upright(path))) for path in paths]
        rows = [np.unpackbits(np.frombuffer(bytes.fromhex(code), np.uint8)) for code in codes]
        found = within(rows, paths, 10)
        seconds = time.perf_counter() - started
        yield "imagededup_phash_10", *rates(found, truth), seconds


# Shots of one burst


def shot(image: Pixels, rng: Generator) -> Pixels:
    """Return a shot from a tripod a moment later: moved by a pixel or two, with noise."""
    turn = np.array([[1.002, 0.001, 1.5], [-0.001, 1.002, -1.0]], np.float32)
    size = image.shape[1], image.shape[0]
    moved = cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_REFLECT)
    return np.clip(moved + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)


def with_face(image: Pixels, face: dict[str, float], what: str) -> Pixels:
    """Return the photo with one face changed: "blink", "mirrored" or "moved"."""
    x, y, w, h = (face[key] for key in ("cx", "cy", "w", "h"))
    left, top = max(0, int(x - w / 2)), max(0, int(y - h / 2))
    right, bottom = int(min(image.shape[1], x + w / 2)), int(min(image.shape[0], y + h / 2))
    changed = image.copy()
    if what == "mirrored":
        changed[top:bottom, left:right] = image[top:bottom, left:right][:, ::-1]
    elif what == "moved":
        step = np.array([[1, 0, w / 8], [0, 1, w / 16]], np.float32)
        size = image.shape[1], image.shape[0]
        moved = cv2.warpAffine(image, step, size, borderMode=cv2.BORDER_REFLECT)
        changed = np.asarray(moved, np.uint8)
    else:  # skin from under the eyes over the eyes
        top, bottom = int(top + 0.33 * h), int(top + 0.47 * h)
        left, right = int(left + 0.15 * w), int(right - 0.15 * w)
        skin = image[bottom : bottom + max(1, int(0.05 * h)), left:right].mean(0)
        changed[top:bottom, left:right] = skin
    sharp = np.zeros(image.shape[:2], np.float32)
    sharp[top:bottom, left:right] = 1
    mask = cv2.GaussianBlur(sharp, (0, 0), max(1, (right - left) / 12))[..., None]
    return np.asarray(image * (1 - mask) + changed * mask, np.uint8)


def series(data: Path) -> dict[str, float]:
    """Return how many pairs of shots of one moment there are, and how many are sure, by change."""
    expected = json.loads((data / "photos" / "expected.json").read_text("utf-8"))["groups"]
    rng = np.random.default_rng(3)
    items = [(name, truth) for name, truth in expected.items() if truth.get("faces")]
    items = [items[i] for i in rng.permutation(len(items))[SPENT_SHOTS:]]
    figures = {f"shots_{what}": 0.0 for what in ("blink", "mirrored", "moved")}
    figures |= {f"{name}_sure": 0.0 for name in figures}
    for name, truth in items:
        image: Pixels = read_photo(data / "photos" / name).pixels()
        if (image.shape[1], image.shape[0]) != tuple(truth["size"]):
            continue
        scale = min(1.0, 1600 / max(truth["size"]))
        width, height = (round(side * scale) for side in truth["size"])
        image = np.asarray(
            cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )
        face = truth["faces"][rng.integers(len(truth["faces"]))]
        face = {key: face[key] * scale for key in ("cx", "cy", "w", "h")}
        if face["w"] < 0.05 * min(image.shape[:2]):  # eyes too small to be seen at 512 pixels
            continue
        for what in ("blink", "mirrored", "moved"):
            figures[f"shots_{what}"] += 1
            other = shot(with_face(image, face, what), rng)
            figures[f"shots_{what}_sure"] += is_sure(image, other)
    return figures


def is_sure(one: Pixels, other: Pixels) -> bool:
    """Return whether --apply would move one of the two."""
    photos = Photo.from_pixels("one", one), Photo.from_pixels("other", other)
    looks = look_at(photos[0]), look_at(photos[1])
    likeness = compare(*looks)
    if likeness is None or likeness.burst:
        return False
    return not why_unsure(looks, likeness, lambda: look_closely(photos, looks))


def mixed_set(folder: Path) -> dict[str, float]:
    """Return how many groups of `photos/dedupe` are whole, and how many pairs are wrong."""
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
        of_crops = write_copies(crops(data), folder / "crops")
        of_photos = write_copies(photos_of_groups(data), folder / "photos")
        truth = of_crops | {path: number + len(of_crops) for path, number in of_photos.items()}
        started, cpu = time.perf_counter(), time.process_time()
        report = find_duplicates([folder], cache)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
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
            "photo_cpu_s_per_1000": 1000 * cpu / len(truth),
            "photo_s_per_1000_again": 1000 * again / len(truth),
            "photo_doubtful": len(report.doubtful),
        }
        some = {pair for pair in found if pair <= of_crops.keys()}
        figures["crop_precision"], figures["crop_recall"] = rates(some, of_crops)
        figures |= sure_ones(report, truth)
        for name, precision, recall, seconds in rivals(truth):
            figures |= {f"{name}_precision": precision, f"{name}_recall": recall}
            figures[f"{name}_s_per_1000"] = 1000 * seconds / len(truth)
    return figures | series(data) | mixed_set(data / "photos")


def sure_ones(report: PhotoReport, truth: dict[str, int]) -> dict[str, float]:
    """Return the share of duplicates that is sure, of all and of those without text or logo."""
    twins = [(group.keeper.path, twin) for group in report.groups for twin in group.duplicates]
    clean = [t for _, t in twins if not t.file.path.endswith(("date.jpg", "logo.jpg"))]
    sure = [(keeper, twin) for keeper, twin in twins if twin.sure]
    return {
        "photo_sure": len(sure) / len(twins),
        "photo_sure_without_text": sum(twin.sure for twin in clean) / len(clean),
        "photo_sure_wrong": sum(truth[keeper] != truth[twin.file.path] for keeper, twin in sure),
    }


def main() -> None:
    arguments = parse_arguments(__doc__)
    data = need(arguments.data)
    show(photos(data), "Deduplication: photos", as_json=arguments.json)


if __name__ == "__main__":
    main()
