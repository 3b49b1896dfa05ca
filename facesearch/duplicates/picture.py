"""Photo -> a small gray picture and its codes; two of them -> are they the same picture?

Codes only propose: two photos whose codes are near may show the same picture. `compare` then lays
one small picture over the other (mirrored, rotated, moved, scaled) and compares them place by
place. A small picture does not show that an eye has closed, so `look_closely` compares once more
before anything is moved, as large as the photos allow, up to 512 pixels.

The codes are difference hashes of 256 bits: is a cell of a 12 x 12 grid brighter than its left and
its upper neighbor? A crop of 10% changes a hash of the whole picture beyond recognition, so nine
windows of 92% are hashed too, and all of these in the eight orientations of a picture.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from facesearch.photo import Photo

if TYPE_CHECKING:
    from cv2.typing import MatLike

Gray = NDArray[np.uint8]  # (SIDE, SIDE), whatever shape the photo has
Floats = NDArray[np.float32]
_Number = TypeVar("_Number", np.uint8, np.float32)

SIDE = 96  # pixels; 64 loses expressions of small faces, 128 is no better and twice as slow
CODE_BYTES = 32
GRID = 12
WINDOW = 88  # pixels of SIDE; a crop of up to 10% or a border of 6% matches one of the windows
STARTS = (0, 4, 8)  # left and upper edges of the nine windows
RADIUS = 60  # bits of 256 that may differ; our copies had at most 51, 1 in 1,000 portrait pairs 60
FLAT = 3.0  # standard deviation in gray levels below which there is nothing to compare
GRAYSCALE = 4  # gray levels by which the channels of a gray picture may differ after JPEG
# Gray levels by which a color differs from the mean color of pixels as bright: 95% of pictures in
# sepia had at most 19 after JPEG, 62 photos in color 23 or more, half of them 55.
ONE_TONE = 20.0
_AS_BRIGHT = 193  # pixels of the small picture, about one in fifty

_NOISE = 16.0  # variance in gray levels below which a place has no structure of its own
_BLOCK = 13  # side of the places compared, in pixels of the small picture
_SPOT = 0.75  # correlation below which a place shows something else
_MOST_SPOTS = 0.13  # share of places that text or a logo may cover
_MOST_CENTRAL_SPOTS = 0.02  # the same in the middle, where faces are: more is another expression
_ALIKE_AT_ALL = 0.8  # correlation of the whole, coarsely aligned, below which the check ends
SAME = 0.88  # least score of the same picture; different shots of one sitting reached 0.84
SURE = 0.95  # score from which two pictures are linked without further support
# Brightness of one picture over that of the other from which they are two exposures. Of 28 photos
# one stop more or less had 1.33 to 1.39, and a copy brightened by a quarter at most 1.25.
EXPOSED = 1.29
_DARK = 160  # gray levels of the brighter one below which no part of a place is white by clipping
_BURST_OVERALL, _BURST_MEDIAN = 0.9, 0.6  # least correlations of frames of one burst

_TONE = 9  # gray levels that count as one tone
_PLAIN = 0.45  # share of one tone: pages and chats have .51 to .89, photos rarely more than .4

CLOSE_SIDE = 512  # pixels; an eye of a face 8% as wide as the photo then has 8 pixels
_CLOSE_BLOCK = 11  # side of the places compared closely, in pixels
# Least correlation of every place of two pictures that are surely the same. Copies of 13 group
# photos had .86 or more, except GIFs (.63), borders (.67) and brightened ones (.38). Of 70 shots
# in which one face's eyes were closed, three had more than this: dim, blurred faces of 9 to 31
# pixels.
EVERYWHERE = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What is kept of a photo to recognize it in other files."""

    width: int  # of the upright photo, in pixels
    height: int
    grayscale: bool
    colors: float  # gray levels, see ONE_TONE: how much the colors of equally bright pixels differ
    plain: bool  # mostly one tone, like a printed page: differences may be too small to see
    gray: Gray
    # (80, CODE_BYTES): 8 ways x (whole, 9 windows); none if it is flat or holds several frames
    codes: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two pictures are."""

    score: float  # 0 to 1: correlation that nine of ten places exceed, logos and text aside
    mirrored: bool
    turned: bool  # rotated by a quarter or a half turn
    area: float  # of the second that the first covers; > 1 if the first shows more
    exposure: float = 1.0  # brightness of the brighter one over that of the other, at least 1
    burst: bool = False  # not the same picture, but another frame of the same burst


def look_at(photo: Photo) -> Look:
    """Return the look of `photo`; raises PhotoError if its pixels cannot be read."""
    # at least twice SIDE, so that the filter of a decoder that shrinks does not show
    pixels = photo.pixels(min(1.0, 2 * SIDE / max(1, min(photo.width, photo.height))))
    twice, coarse = (
        cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA) for side in (2 * SIDE, SIDE)
    )
    tones = np.bincount(cv2.cvtColor(twice, cv2.COLOR_RGB2GRAY).ravel(), minlength=256)
    plain = bool(np.convolve(tones, np.ones(_TONE)).max() > _PLAIN * tones.sum())
    spread = coarse.max(axis=2).astype(np.int16) - coarse.min(axis=2)
    gray = np.asarray(cv2.cvtColor(coarse, cv2.COLOR_RGB2GRAY), np.uint8)
    grayscale = bool(np.percentile(spread, 99) <= GRAYSCALE)
    codes = codes_of(gray) if photo.frames() == 1 else np.zeros((0, CODE_BYTES), np.uint8)
    colors = _colors(np.asarray(coarse, np.uint8), gray)
    return Look(photo.width, photo.height, grayscale, colors, plain, gray, codes)


def _colors(small: NDArray[np.uint8], gray: Gray) -> float:
    """Return by how many gray levels colors differ from the mean color of pixels as bright."""
    order = np.argsort(gray, axis=None, kind="stable")
    tints = small.astype(np.float32)[..., ::2] - gray[..., None]
    tints = tints.reshape(-1, 2)[order]
    mean = cv2.blur(tints, (1, _AS_BRIGHT), borderType=cv2.BORDER_REFLECT)
    return float(np.percentile(np.abs(tints - mean).max(axis=1), 99))


def _gray(photo: Photo, side: int) -> Gray:
    """Return the whole photo in gray (side, side), whatever shape it has."""
    pixels = photo.pixels(min(1.0, side / max(1, min(photo.width, photo.height))))
    squeezed = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(squeezed, cv2.COLOR_RGB2GRAY), np.uint8)


def codes_of(gray: Gray) -> NDArray[np.uint8]:
    """Return the codes (80, CODE_BYTES) of a small picture: in each way, the whole and its windows.

    The first code is of the whole picture as it is. (0, CODE_BYTES) if the picture is flat.
    """
    if gray.std() < FLAT:
        return np.zeros((0, CODE_BYTES), np.uint8)
    # (row of the window, its row of cells, column of the window, its column of cells)
    means = np.einsum("ryi,ij,cxj->rycx", _GRIDS, gray.astype(np.float32), _GRIDS, optimize=True)
    cells = means.transpose(0, 2, 1, 3)  # (4, 4, GRID, GRID); [0, 0] is the whole
    laid = np.stack([_laid_cells(cells, way) for way in range(8)]).reshape(80, GRID, GRID)
    across = laid[:, :, 1:] > laid[:, :, :-1] + 0.5  # half a level: else a clear sky is noise
    down = laid[:, 1:] > laid[:, :-1] + 0.5
    bits = [side.reshape(80, -1)[:, : 4 * CODE_BYTES] for side in (across, down)]
    return np.packbits(np.concatenate(bits, axis=1), axis=1)


def _mean_of_cells(start: int, length: int) -> Floats:
    """Return weights (GRID, SIDE): times a column, they give its means in a window's GRID cells."""
    edges = start + np.arange(GRID + 1) * length / GRID
    pixels = np.arange(SIDE)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: Floats = (np.clip(covered, 0, None) * GRID / length).astype(np.float32)
    return weights


_GRIDS = np.stack([_mean_of_cells(0, SIDE), *(_mean_of_cells(s, WINDOW) for s in STARTS)])


def _laid_cells(cells: Floats, way: int) -> Floats:
    """Return the cells (10, GRID, GRID) of the whole and the windows of a picture laid in a `way`.

    Windows change places: the upper left one may become the lower right one.
    """
    windows = _lay(_lay(cells[1:, 1:], way), way, axes=(0, 1))
    return np.stack([_lay(cells[0, 0], way), *windows.reshape(9, GRID, GRID)])


def _lay(picture: NDArray[_Number], way: int, axes: tuple[int, int] = (-2, -1)) -> NDArray[_Number]:
    """Return a picture laid in a `way`: 0 to 3 quarter turns, 4 to 7 mirrored before that."""
    if way >= 4:
        picture = np.flip(picture, axes[1])
    return np.rot90(picture, way % 4, axes=axes)


def compare(first: Look, second: Look) -> Likeness | None:
    """Return how alike two pictures are, None if they are different.

    The answer depends on the two looks alone, not on their order, so it may be kept.
    """
    overlay = _overlay(first, second)
    if overlay is None:
        return None
    laid, part = overlay.lay(first.gray, second.gray)
    area = 1 / max(abs(float(np.linalg.det(overlay.place[:, :2]))), 1e-6)
    score, burst, exposure = _agreement(laid, part, overlay.place)
    mirrored, turned = overlay.way >= 4, overlay.way not in (0, 4)
    area = 1 / area if overlay.swapped else area
    if score >= SAME:
        return Likeness(score, mirrored, turned, area, exposure)
    return Likeness(score, mirrored, turned, area, exposure, burst=True) if burst else None


def look_closely(photos: tuple[Photo, Photo], looks: tuple[Look, Look]) -> float:
    """Return the least correlation, -1 to 1, of any place in two photos that `compare` calls same.

    Below EVERYWHERE the place shows something else. Raises PhotoError if a photo cannot be read.
    """
    overlay = _overlay(*looks)
    if overlay is None:
        return -1.0
    side = min(CLOSE_SIDE, *(min(photo.width, photo.height) for photo in photos))
    side = max(SIDE, side)
    laid, part = overlay.lay(*(_gray(photo, side) for photo in photos))
    times = side / SIDE
    linear, middle = overlay.place[:, :2], np.full(2, (times - 1) / 2, np.float32)
    place = np.c_[linear, times * overlay.place[:, 2] + middle - linear @ middle]
    place = place.astype(np.float32)
    with suppress(cv2.error):  # it did not converge: keep the alignment of the small pictures
        above, below = (cv2.GaussianBlur(gray, (0, 0), 1.0) for gray in (part, laid))
        place = _ecc(above, below, place, 10)[1]
    one, two, weight = _laid_over(laid, part, place, 1.2)
    one, two = _equally_exposed(one, two, weight > 0)
    count = np.maximum(_sums(weight, _CLOSE_BLOCK), 1)
    apart = _sums((one - two) ** 2 * weight, _CLOSE_BLOCK) / count
    # Compression noise is everywhere: it must not count as a difference of one place.
    noise = max(_NOISE, 4 * float(np.median(apart)))
    local = _local_correlation(one, two, weight, _CLOSE_BLOCK, noise)
    return float(np.min(local[np.isfinite(local)], initial=1.0))


def why_unsure(
    looks: tuple[Look, Look], likeness: Likeness, least_correlation: Callable[[], float]
) -> str:
    """Return why a human has to look at two photos that `compare` calls same, "" if none need to.

    `least_correlation` returns the answer of `look_closely`; it is called only if it matters.
    """
    if likeness.exposure >= EXPOSED:
        return "another exposure"
    if likeness.burst:
        return ""  # frames of a burst always differ, and were asked for
    if looks[0].plain or looks[1].plain:
        return "small print may differ"
    return "" if least_correlation() >= EVERYWHERE else "a spot differs"


@dataclass(frozen=True, slots=True, eq=False)
class _Overlay:
    """How one of two pictures lies on the other."""

    swapped: bool  # the first lies on the second
    way: int  # in which the picture below is laid, see `_lay`
    place: Floats  # (2, 3): maps pixels of the picture above to pixels of the one below

    def lay(self, first: Gray, second: Gray) -> tuple[Gray, Gray]:
        """Return the picture below, laid in its way, and the picture above."""
        whole, part = (second, first) if self.swapped else (first, second)
        return np.ascontiguousarray(_lay(whole, self.way), np.uint8), part


def _overlay(first: Look, second: Look) -> _Overlay | None:
    """Return how the pictures lie on each other, None if they do not fit."""
    if len(first.codes) == 0 or len(second.codes) == 0:
        return None
    # Each way and window has its code: the nearest code says how to lay the picture.
    one = _bits_apart(first.codes, second.codes[0])
    two = _bits_apart(second.codes, first.codes[0])
    swapped = (one.min(), first.gray.tobytes()) > (two.min(), second.gray.tobytes())
    way, window = divmod(int((two if swapped else one).argmin()), 10)
    start = np.eye(2, 3, dtype=np.float32)
    if window:
        row, column = divmod(window - 1, 3)
        scale = WINDOW / SIDE
        start = np.array(
            [
                [scale, 0, STARTS[column] - 0.5 + scale / 2],
                [0, scale, STARTS[row] - 0.5 + scale / 2],
            ],
            np.float32,
        )
    place = _align(*_Overlay(swapped, way, start).lay(first.gray, second.gray), start)
    return None if place is None else _Overlay(swapped, way, place)


def _bits_apart(codes: NDArray[np.uint8], code: NDArray[np.uint8]) -> NDArray[np.int64]:
    apart: NDArray[np.int64] = np.bitwise_count(codes ^ code).sum(axis=1, dtype=np.int64)
    return apart


def _align(laid: Gray, part: Gray, start: Floats) -> Floats | None:
    """Return the affine map (2, 3) from pixels of `part` to those of `laid`, refined from `start`.

    By ECC (Evangelidis and Psarakis, 2008), first at half the size; None if it finds no fit.
    """
    fine = [cv2.GaussianBlur(gray, (0, 0), 1.0) for gray in (laid, part)]
    half = [cv2.resize(gray, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA) for gray in fine]
    middle = np.full(2, 0.5, np.float32)  # pixel i at half the size is 2 i + 0.5 at full size
    linear = start[:, :2]
    coarse = np.c_[linear, (linear @ middle + start[:, 2] - middle) / 2].astype(np.float32)
    try:
        overall, coarse = _ecc(half[1], half[0], coarse, 25)
        if overall < _ALIKE_AT_ALL:
            return None
        linear = coarse[:, :2]
        place = np.c_[linear, 2 * coarse[:, 2] + middle - linear @ middle].astype(np.float32)
        return _ecc(fine[1], fine[0], place, 10)[1]
    except cv2.error:  # it did not converge
        return None


def _ecc(template: "MatLike", image: "MatLike", place: Floats, steps: int) -> tuple[float, Floats]:
    until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, steps, 1e-4)
    nothing = np.full(template.shape, 255, np.uint8)
    overall, found = cv2.findTransformECC(
        template, image, place, cv2.MOTION_AFFINE, until, nothing, 1
    )
    return float(overall), np.asarray(found, np.float32)


def _agreement(laid: Gray, part: Gray, place: Floats) -> tuple[float, bool, float]:
    """Return score and exposure as in `Likeness`, between them if it could be the same burst."""
    one, two, weight = _laid_over(laid, part, place, 1.0)
    exposure = _exposure(one, two, weight > 0)
    one, two = _equally_exposed(one, two, weight > 0)
    local = _local_correlation(one, two, weight, _BLOCK, _NOISE)
    known = local[np.isfinite(local)]
    if len(known) < 0.25 * local.size:  # too little overlap to compare
        return 0.0, False, exposure
    n = len(local)
    middle = local[n // 5 : n - n // 5, n // 5 : n - n // 5]
    spots = float((known < _SPOT).mean())
    central = float((middle < _SPOT).mean())
    overall = float(np.corrcoef(one[weight > 0], two[weight > 0])[0, 1])
    burst = overall >= _BURST_OVERALL and float(np.median(known)) >= _BURST_MEDIAN
    if spots > _MOST_SPOTS or central > _MOST_CENTRAL_SPOTS:
        return 0.0, burst, exposure
    return float(np.percentile(known[known >= _SPOT], 10)), burst, exposure


def _laid_over(laid: Gray, part: Gray, place: Floats, blur: float) -> tuple[Floats, Floats, Floats]:
    """Return both in the frame of `part`, and a mask: 1 where they overlap."""
    size, flags = part.shape, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    over = cv2.warpAffine(laid, place, size, flags=flags)
    inside = cv2.warpAffine(np.full_like(laid, 255), place, size, flags=flags)
    weight = (cv2.erode(inside, np.ones((3, 3), np.uint8), borderValue=0) == 255).astype(np.float32)
    one, two = (cv2.GaussianBlur(gray, (0, 0), blur).astype(np.float32) for gray in (over, part))
    return one, two, weight


def _unclipped(one: Floats, two: Floats, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where neither is black or white."""
    return valid & (np.minimum(one, two) > 8) & (np.maximum(one, two) < 247)


def _exposure(one: Floats, two: Floats, valid: NDArray[np.bool_]) -> float:
    """Return how much brighter one of the two is, as a ratio of at least 1."""
    seen = _unclipped(one, two, valid) & (np.maximum(one, two) < _DARK)
    if np.count_nonzero(seen) < 0.05 * seen.size:  # bright nearly everywhere, or black
        ratio = (float(one.mean()) + 1) / (float(two.mean()) + 1)
    else:
        ratio = float(np.median(one[seen] / two[seen]))
    return max(ratio, 1 / ratio)


def _equally_exposed(one: Floats, two: Floats, valid: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return both with the brightness and contrast of the one with more contrast, clipped alike.

    Where a brightened copy is white it has lost detail, so the original is clipped there too.
    """
    unclipped = _unclipped(one, two, valid)
    if np.count_nonzero(unclipped) < 0.1 * unclipped.size:
        return one, two
    x, y = one[unclipped], two[unclipped]
    gain = float(y.std() / max(float(x.std()), 1.0))
    if gain < 1:
        two, one = _equally_exposed_to(two, one, y, x)
        return one, two
    return _equally_exposed_to(one, two, x, y)


def _equally_exposed_to(soft: Floats, hard: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    gain = y.std() / max(float(x.std()), 1.0)
    return np.clip((soft - x.mean()) * gain + y.mean(), 0, 255).astype(np.float32), hard


def _local_correlation(
    one: Floats, two: Floats, weight: Floats, block: int, noise: float
) -> Floats:
    """Return the correlation around every third pixel, (m, m); NaN where they do not overlap.

    In blocks of `block` pixels; `noise` is the variance below which a place has no structure.
    """
    count = np.maximum(_sums(weight, block), 1)

    def mean(values: Floats) -> Floats:
        return np.asarray(_sums(values * weight, block) / count, np.float32)

    mean_one, mean_two = mean(one), mean(two)
    variances = [mean(a * a) - m * m + noise for a, m in ((one, mean_one), (two, mean_two))]
    together = mean(one * two) - mean_one * mean_two + noise
    local = together / np.sqrt(np.maximum(variances[0] * variances[1], noise**2))
    local[count < 0.75 * block * block] = np.nan
    edge = block // 2
    return np.asarray(local[edge:-edge:3, edge:-edge:3], np.float32)


def _sums(values: Floats, block: int) -> Floats:
    """Return the sum of the block around every pixel; zeros lie outside the picture."""
    size, border = (block, block), cv2.BORDER_CONSTANT
    return np.asarray(
        cv2.boxFilter(values, -1, size, normalize=False, borderType=border), np.float32
    )
