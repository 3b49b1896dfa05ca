"""Face -> crop: 112x112 pixels with eyes, nose and mouth at fixed places.

Crop and template convention: (112, 112, 3) uint8 RGB, origin at the upper left corner. The five
places are those of the ArcFace and SFace crops (OpenCV `FaceRecognizerSF::alignCrop`).

Models of drawings or other pictures take crops of their own: facesearch.ink.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facesearch.detection import Detector, Face
from facesearch.photo import Photo

CROP_PX = 112
CROP_LANDMARKS = np.array(
    [
        [38.2946, 51.6963],  # right eye
        [73.5318, 51.5014],  # left eye
        [56.0252, 71.7366],  # nose tip
        [41.5493, 92.3655],  # right corner of the mouth
        [70.7299, 92.2041],  # left corner of the mouth
    ]
)
LOOK_SIZES = (1.0, 1.5, 2.0)  # scales of a crop at which its landmarks are found again
AROUND_PX = 24  # reflected border around it: a detector misses a face that fills the picture
ASTRAY_PX = 10.0  # landmarks further off than this, on average, are another face's, or no face's


def similarity(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (2, 3) map that takes `landmarks` (5, 2) to CROP_LANDMARKS.

    Scale, rotation and shift by least squares, without reflection, after Umeyama (1991),
    equations 34 to 42.
    """
    points = landmarks.astype(np.float64)
    mean, target_mean = points.mean(0), CROP_LANDMARKS.mean(0)
    centered, target = points - mean, CROP_LANDMARKS - target_mean
    u, stretch, vt = np.linalg.svd(target.T @ centered)
    keep = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(keep) @ vt
    spread = (centered**2).sum()
    scale = (stretch * keep).sum() / spread if spread > 0 else 1.0
    return np.hstack([scale * rotation, (target_mean - scale * rotation @ mean)[:, None]])


def crop_scale(landmarks: NDArray[np.float32]) -> float:
    """Return how many times larger the face is in its crop than where `landmarks` (5, 2) are."""
    return float(np.hypot(*similarity(landmarks)[:, 0]))


def align(pixels: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the (112, 112, 3) crop of the face whose `landmarks` (5, 2) are pixels of `pixels`.

    Bilinear; a face over twice the crop's size is first reduced by area, since bilinear sampling
    would skip pixels. What lies outside the photo is black.
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
    # pixel centers: x = (x' + 0.5) * ratio - 0.5 + left
    ratio = np.array([part.shape[1] / size[0], part.shape[0] / size[1]])
    shift = 0.5 * ratio - 0.5 + (left, top)
    matrix = to_crop[:, :2]
    return np.asarray(small, np.uint8), np.hstack(
        [matrix * ratio, (matrix @ shift + to_crop[:, 2])[:, None]]
    )


def realigned(crops: NDArray[np.uint8], detector: Detector) -> NDArray[np.uint8]:
    """Return `crops` (n, 112, 112, 3) cut again, by landmarks found once more in them.

    A detector's landmarks are a pixel or two off, differently each time, and two pixels cost as
    much as a worse network: docs/decisions/0006-a-closer-look.md. What lies outside a crop is
    reflected.
    """
    again = np.empty_like(crops)
    for crop, place in zip(crops, again, strict=True):
        to_crop = similarity(landmarks_again(crop, detector))
        size, border = (CROP_PX, CROP_PX), cv2.BORDER_REFLECT_101
        place[:] = cv2.warpAffine(crop, to_crop, size, borderMode=border)
    return again


def landmarks_again(crop: NDArray[np.uint8], detector: Detector) -> NDArray[np.float32]:
    """Return the landmarks (5, 2) of the face in a crop (112, 112, 3), in its pixels.

    The mean of those it was cut by and those found in it at each of LOOK_SIZES, with AROUND_PX of
    the crop reflected around it.
    """
    found = [CROP_LANDMARKS]
    whole = np.pad(crop, ((AROUND_PX,) * 2, (AROUND_PX,) * 2, (0, 0)), "reflect")
    for size in LOOK_SIZES:
        picture = np.asarray(cv2.resize(whole, None, fx=size, fy=size), np.uint8)
        places = detector.landmarks(picture) / size - AROUND_PX
        off = np.abs(places - CROP_LANDMARKS).mean((1, 2))
        if len(off) and off.min() < ASTRAY_PX:
            found.append(places[off.argmin()])
    return np.asarray(np.mean(found, axis=0), np.float32)


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian of a crop (112, 112, 3): higher is sharper.

    Below about 8 the crop is so blurred that its embedding says little.
    """
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(gray, cv2.CV_32F).var())
