"""Drawing or picture -> its ink, and the crop that a model of drawings or pictures takes.

Everything about drawings is here; a face's crop is cut in facesearch.alignment.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from facesearch.photo import Photo

# Part of the fingerprint of a model of drawings: whatever changes their crops gets a new number.
INK_VERSION = 1
INK_SIDE_PX = 512  # larger drawings are reduced to it: an ink crop of 121 px needs no more
MIN_CONTRAST = 24  # gray levels between paper and ink; less is a blank page, unevenly lit
STRAY = 10_000  # one pixel in this many is not evidence of ink: a speck, a glint
INK_FILL = 0.8  # share of the crop's side that the longer side of the ink's box takes
PAGE_PX = 105  # side of Omniglot's drawings, from which models of characters learn
DOT_PX = 20  # on such a page: a box smaller than this is not enlarged to fill the crop


def decode_for_ink(photo: Photo) -> NDArray[np.uint8]:
    """Return the pixels (h, w, 3) of `photo`, decoded no larger than the search for ink needs.

    Raises PhotoError if the photo's data is damaged.
    """
    return photo.pixels(INK_SIDE_PX / max(photo.width, photo.height))


def ink_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `pixels` (h, w, 3) as gray levels (h', w'), the long side at most INK_SIDE_PX.

    Reduced by area, which removes dust and the grain of a scan before ink is looked for.
    """
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = INK_SIDE_PX / max(gray.shape)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in gray.shape[::-1]]
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)


def ink_strength(gray: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return how much ink each pixel of a drawing has: (h, w), 255 for the strongest.

    Paper is the median of the picture's border. Ink is darker than paper, or lighter if the
    drawing is light on dark: whichever differs more. None if it differs by less than MIN_CONTRAST.
    """
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    paper = int(np.partition(border, len(border) // 2)[len(border) // 2])
    counts = np.cumsum(np.bincount(gray.ravel(), minlength=256))  # pixels up to a level
    stray = gray.size // STRAY  # this many pixels may be darker, or lighter, than any ink
    darkest = int(np.searchsorted(counts, stray, side="right"))
    lightest = int(np.searchsorted(counts, gray.size - stray))
    ink = darkest if paper - darkest >= lightest - paper else lightest
    if abs(ink - paper) < MIN_CONTRAST:
        return None
    strength = (np.arange(256) - paper) / (ink - paper)  # of each gray level
    table = np.rint(255 * np.clip(strength, 0, 1)).astype(np.uint8)
    return np.asarray(cv2.LUT(gray, table), np.uint8)


def ink_box(strength: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return the box around the pixels of `strength` (h, w) that are more than half ink."""
    left, top, width, height = cv2.boundingRect((strength > 127).view(np.uint8))
    return left, top, left + width, top + height


def picture_crop(photo: Photo, alignment: str, side_px: int) -> NDArray[np.uint8] | None:
    """Return the crop (side_px, side_px, 3) that a model with that alignment takes of a photo.

    `alignment` "ink": `ink_crop`, None if there is no ink; "whole": `whole_crop`. The photo is
    decoded no larger than that needs. Training and use both cut by this, so a model sees what it
    was trained on. Raises PhotoError.
    """
    if alignment == "ink":
        return ink_crop(decode_for_ink(photo), side_px)
    return whole_crop(photo.pixels(side_px / max(photo.width, photo.height)), side_px)


def ink_crop(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8] | None:
    """Return the (side_px, side_px, 3) crop of a line drawing, black on white whatever it was.

    `pixels` (h, w, 3) RGB. The ink's box is centered and scaled to INK_FILL of the crop; a dot
    stays a dot. None if there is no ink, see `ink_strength`.
    """
    strength = ink_strength(ink_gray(pixels))
    if strength is None:
        return None
    left, top, right, bottom = ink_box(strength)
    page = max(strength.shape)
    scale = INK_FILL * side_px / max(right - left, bottom - top, page * DOT_PX / PAGE_PX)
    # Bilinear sampling skips pixels of what shrinks more than twice, but no page is reduced below
    # the size that models learn from, where they see just that. Omniglot enlarged 4 times, at
    # 48 px: 2.2 gray levels from the crops of the originals; reduced as far as possible, 5.5.
    factor = min(int(1 / scale), round(page / PAGE_PX))
    ratio = np.ones(2)
    if factor > 1:
        height, width = strength.shape
        size = max(1, width // factor), max(1, height // factor)
        ratio = np.divide((width, height), size)
        small = np.asarray(cv2.resize(strength, size, interpolation=cv2.INTER_AREA))
        strength = np.asarray(cv2.convertScaleAbs(small, alpha=255 / max(int(small.max()), 1)))
    # pixel centers: x' + 0.5 = side_px / 2 + scale * ((x + 0.5) * ratio - center)
    center = np.array([left + right, top + bottom]) / 2
    shift = side_px / 2 - 0.5 + scale * (0.5 * ratio - center)
    to_crop = np.hstack([np.diag(scale * ratio), shift[:, None]])
    crop = cv2.warpAffine(strength, to_crop, (side_px, side_px), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(cv2.bitwise_not(crop), cv2.COLOR_GRAY2RGB), np.uint8)


def whole_crop(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return the (side_px, side_px, 3) crop that shows all of `pixels` (h, w, 3) RGB.

    Centered, its aspect kept; the margin has the median color of the picture's border.
    """
    height, width = pixels.shape[:2]
    scale = side_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    crop = np.full((side_px, side_px, 3), np.median(border, axis=0), np.uint8)
    left, top = (side_px - size[0]) // 2, (side_px - size[1]) // 2
    crop[top : top + size[1], left : left + size[0]] = cv2.resize(pixels, size, interpolation=how)
    return crop
