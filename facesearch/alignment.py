"""Face -> crop: 112x112 pixels with eyes, nose and mouth at fixed places.

Crop and template convention: (112, 112, 3) uint8 RGB, origin at the upper left corner. The five
places are those of the ArcFace and SFace crops (OpenCV `FaceRecognizerSF::alignCrop`).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

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


def zoomed(crops: NDArray[np.uint8], zoom: float) -> NDArray[np.uint8]:
    """Return `crops` (n, 112, 112, 3) seen `zoom` times larger around the nose's root.

    Where a smaller view would show more than the crop has, its border is reflected.
    """
    x, y = CROP_PX / 2, 60.0
    matrix = np.array([[zoom, 0, x * (1 - zoom)], [0, zoom, y * (1 - zoom)]])
    size, border = (CROP_PX, CROP_PX), cv2.BORDER_REFLECT_101
    return np.stack(
        [np.asarray(cv2.warpAffine(c, matrix, size, borderMode=border), np.uint8) for c in crops]
    )


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian of a crop (112, 112, 3): higher is sharper.

    Below about 8 the crop is so blurred that its embedding says little.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
