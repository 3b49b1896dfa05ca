"""Face -> crop: 112x112 pixels with eyes, nose and mouth at fixed places.

Crop and template convention: (112, 112, 3) uint8 RGB, origin at the upper left corner. The five
places are those of the ArcFace and SFace crops (OpenCV `FaceRecognizerSF::alignCrop`).

A model of drawings or other pictures has crops of its own size: `ink_crop` and `whole_crop`.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facesearch.detection import Detector, Face, drawing, ink_box, ink_grey, ink_strength
from facesearch.photo import Photo

CROP_PX = 112
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],  # right eye
        [73.5318, 51.5014],  # left eye
        [56.0252, 71.7366],  # nose tip
        [41.5493, 92.3655],  # right corner of the mouth
        [70.7299, 92.2041],  # left corner of the mouth
    ]
)
LOOK_SIZES = (1.0, 1.5, 2.0)  # of a crop on which landmarks are found again
AROUND_PX = 24  # around it, of its own pixels: without, a detector misses faces that fill it
ASTRAY_PX = 10.0  # so far off in the mean it is another face, or none

# Templates of drawings are of this version, by their model's fingerprint: whatever changes the
# crops, here or in facesearch.detection, takes a new number.
INK_VERSION = 1
INK_FILL = 0.8  # of the crop's side, taken by the longer side of the ink's box
PAGE_PX = 105  # side of Omniglot's drawings, from which models of characters learn
DOT_PX = 20  # on such a page: a box smaller than this is not enlarged to fill the crop


def similarity(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (2, 3) map of scale, turn and shift that takes `landmarks` (5, 2) to TEMPLATE.

    Least squares after Umeyama (1991), equations 34 to 42, without reflection.
    """
    points = landmarks.astype(np.float64)
    mean, target_mean = points.mean(0), TEMPLATE.mean(0)
    centred, target = points - mean, TEMPLATE - target_mean
    u, stretch, vt = np.linalg.svd(target.T @ centred)
    keep = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = u @ np.diag(keep) @ vt
    spread = (centred**2).sum()
    scale = (stretch * keep).sum() / spread if spread > 0 else 1.0
    return np.hstack([scale * turn, (target_mean - scale * turn @ mean)[:, None]])


def crop_scale(landmarks: NDArray[np.float32]) -> float:
    """Return how many times larger the crop shows the face than the picture of `landmarks`."""
    return float(np.hypot(*similarity(landmarks)[:, 0]))


def align(pixels: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the (112, 112, 3) crop of the face whose `landmarks` (5, 2) are pixels of `pixels`.

    Bilinear; where the face is over twice the crop's size it is first reduced by area, since
    bilinear sampling would skip pixels. Places outside the photo are black.
    """
    to_crop = similarity(landmarks)
    scale = float(np.hypot(*to_crop[:, 0]))
    if 0 < scale < 0.5:
        pixels, to_crop = reduced(pixels, to_crop, int(1 / scale))
    crop = cv2.warpAffine(pixels, to_crop, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8)


def face_crops(photo: Photo, faces: Sequence[Face]) -> NDArray[np.uint8]:
    """Return the crops (n, 112, 112, 3) of `faces` (n) of `photo`; raises PhotoError."""
    if not faces:
        return np.zeros((0, CROP_PX, CROP_PX, 3), np.uint8)
    # decode no larger than the face that needs the most
    pixels = photo.pixels(min(1.0, max(crop_scale(face.landmarks) for face in faces)))
    zoom = np.float32(pixels.shape[1] / photo.width)
    return np.stack([align(pixels, face.landmarks * zoom) for face in faces])


def reduced(
    pixels: NDArray[np.uint8], to_crop: NDArray[np.float64], factor: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the part of `pixels` that the crop shows, `factor` times smaller, and its new map."""
    corners = np.array([[0, 0], [CROP_PX, 0], [0, CROP_PX], [CROP_PX, CROP_PX]], np.float64)
    back = cv2.invertAffineTransform(to_crop)
    places = corners @ back[:, :2].T + back[:, 2]
    height, width = pixels.shape[:2]
    left, top = np.clip(np.floor(places.min(0)) - 2 * factor, 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(places.max(0)) + 2 * factor, (1, 1), (width, height))
    part = pixels[
        int(top) : max(int(bottom), int(top) + 1), int(left) : max(int(right), int(left) + 1)
    ]
    size = (max(1, part.shape[1] // factor), max(1, part.shape[0] // factor))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    # pixel centres: x = (x' + 0.5) * ratio - 0.5 + left
    ratio = np.array([part.shape[1] / size[0], part.shape[0] / size[1]])
    shift = 0.5 * ratio - 0.5 + (left, top)
    matrix = to_crop[:, :2]
    return np.asarray(small, np.uint8), np.hstack(
        [matrix * ratio, (matrix @ shift + to_crop[:, 2])[:, None]]
    )


def realigned(crops: NDArray[np.uint8], detector: Detector) -> NDArray[np.uint8]:
    """Return `crops` (n, 112, 112, 3) cut again, by landmarks that are found once more on them.

    A detector's landmarks are a pixel or two off, each time elsewhere, and two pixels cost as much
    as a worse network: docs/decisions/0006-a-closer-look.md. Places outside a crop are reflected.
    """
    again = np.empty_like(crops)
    for crop, place in zip(crops, again, strict=True):
        to_crop = similarity(landmarks_again(crop, detector))
        size, border = (CROP_PX, CROP_PX), cv2.BORDER_REFLECT_101
        place[:] = cv2.warpAffine(crop, to_crop, size, borderMode=border)
    return again


def landmarks_again(crop: NDArray[np.uint8], detector: Detector) -> NDArray[np.float32]:
    """Return the landmarks (5, 2) of the face that a crop (112, 112, 3) shows, in its pixels.

    The mean of those by which it was cut and of those found on it in LOOK_SIZES, its border
    reflected around it.
    """
    found = [TEMPLATE]
    whole = np.pad(crop, ((AROUND_PX,) * 2, (AROUND_PX,) * 2, (0, 0)), "reflect")
    for size in LOOK_SIZES:
        picture = np.asarray(cv2.resize(whole, None, fx=size, fy=size), np.uint8)
        _, landmarks, _ = detector.run(picture)
        places = landmarks / size - AROUND_PX
        off = np.abs(places - TEMPLATE).mean((1, 2))
        if len(off) and off.min() < ASTRAY_PX:
            found.append(places[off.argmin()])
    return np.asarray(np.mean(found, axis=0), np.float32)


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian of a crop (112, 112, 3): higher is sharper.

    Below about 8 the crop is so blurred that its embedding says little.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def picture_crop(photo: Photo, alignment: str, side_px: int) -> NDArray[np.uint8] | None:
    """Return the crop (side_px, side_px, 3) that models of that alignment take of a whole photo.

    `alignment` "ink": `ink_crop`, None if there is no ink; "whole": `whole_crop`. Decoded no larger
    than that needs. Training and use cut by this, so that a model sees what it was trained on.
    Raises PhotoError.
    """
    if alignment == "ink":
        return ink_crop(drawing(photo), side_px)
    return whole_crop(photo.pixels(side_px / max(photo.width, photo.height)), side_px)


def ink_crop(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8] | None:
    """Return the (side_px, side_px, 3) crop of a line drawing, black on white whatever it was.

    `pixels` (h, w, 3) RGB. The ink's box is centred and scaled to INK_FILL of the crop; a dot
    stays a dot. None if there is no ink. What is ink: `facesearch.detection.ink_strength`.
    """
    strength = ink_strength(ink_grey(pixels))
    if strength is None:
        return None
    left, top, right, bottom = ink_box(strength)
    page = max(strength.shape)
    scale = INK_FILL * side_px / max(right - left, bottom - top, page * DOT_PX / PAGE_PX)
    # Bilinear sampling skips pixels of what shrinks more than twice, but no page is reduced below
    # the size from which models learn, for there they see just that. Omniglot enlarged 4 times, at
    # 48 px: 2.2 grey levels from the crops of the originals; reduced as far as it goes, 5.5.
    factor = min(int(1 / scale), round(page / PAGE_PX))
    ratio = np.ones(2)
    if factor > 1:
        height, width = strength.shape
        size = max(1, width // factor), max(1, height // factor)
        ratio = np.divide((width, height), size)
        small = np.asarray(cv2.resize(strength, size, interpolation=cv2.INTER_AREA))
        strength = np.asarray(cv2.convertScaleAbs(small, alpha=255 / max(int(small.max()), 1)))
    # pixel centres: x' + 0.5 = side_px / 2 + scale * ((x + 0.5) * ratio - centre)
    centre = np.array([left + right, top + bottom]) / 2
    shift = side_px / 2 - 0.5 + scale * (0.5 * ratio - centre)
    to_crop = np.hstack([np.diag(scale * ratio), shift[:, None]])
    crop = cv2.warpAffine(strength, to_crop, (side_px, side_px), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(cv2.bitwise_not(crop), cv2.COLOR_GRAY2RGB), np.uint8)


def whole_crop(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return the (side_px, side_px, 3) crop that shows all of `pixels` (h, w, 3) RGB.

    Aspect kept, centred, the margin in the median colour of the picture's border.
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
