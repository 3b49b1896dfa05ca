"""Photo -> faces: box, five landmarks, score, by YuNet; or the one drawing that a photo is.

Convention: boxes are (left, top, right, bottom) and landmarks (x, y), both in pixels of the whole
upright photo, origin at the upper left corner, right and bottom excluded. They may reach outside.
Landmark order: right eye, left eye, nose tip, right and left corner of the mouth; the person's
right, so the first eye has the smaller x in an upright photo.

Source: Wu, Peng, Yu: YuNet, a tiny millisecond-level face detector (2023); decoding of the
outputs as OpenCV's `FaceDetectorYN` does it, which is the oracle in the tests.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facesearch.engine import Engine
from facesearch.photo import Photo

Floats = NDArray[np.float32]

STRIDES = (8, 16, 32)
MIN_SCORE = 0.75  # measured: docs/decisions/0003-two-pass-detection.md
HINT_SCORE = 0.3  # a box this likely is worth a closer look
OVERLAP = 0.3  # boxes sharing more than this (intersection over union) are one face
UPRIGHT_SCORE = 0.9  # upright faces of some size score more, turned ones less, landmarks all wrong
FIRST_SIDE_PX = 640  # long side of the first pass
SECOND_SIDE_PX = 1280
INK_SIDE_PX = 512  # larger drawings are reduced to it: an ink crop of 121 px needs no more
MIN_CONTRAST = 24  # grey levels between paper and ink; less is a blank page, unevenly lit
STRAY = 10_000  # one pixel in so many is no evidence of ink: a speck, a glint
SMALL_PX = 48  # faces below it have poorer landmarks: a second pass looks closer


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a photo; see the module for the convention of coordinates.

    Models of kind `image` compare whole pictures: there it is the drawing or the picture itself.
    """

    box: tuple[float, float, float, float]
    landmarks: Floats  # (5, 2); of a drawing or picture the corners and the centre of its box
    score: float  # 0 to 1

    @property
    def height_px(self) -> float:
        """Height of the box in pixels of the whole photo."""
        return self.box[3] - self.box[1]


class Detector:
    """YuNet in two passes: the whole photo at 640 px, then closer where faces are small.

    The policy and its figures: docs/decisions/0003-two-pass-detection.md.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def detect(self, photo: Photo) -> list[Face]:
        """Return the faces of `photo`, largest first; an empty list where there is none.

        A photo that does not say which way is up, and shows no face that is surely upright, is
        also looked at turned. Raises PhotoError if the photo's data is damaged.
        """
        long_side = max(photo.width, photo.height)
        scale = min(1.0, FIRST_SIDE_PX / long_side)
        found, quarters = self._look(photo, scale, 0), 0
        if not photo.oriented and max((face.score for face in found), default=0) < UPRIGHT_SCORE:
            turned = [found] + [self._look(photo, scale, turn) for turn in (1, 2, 3)]
            sums = [sum(f.score for f in faces if f.score >= MIN_SCORE) for faces in turned]
            quarters = int(np.argmax(sums))
            found = turned[quarters]
        small = any(face.height_px * scale < SMALL_PX for face in found)
        sure = any(face.score >= MIN_SCORE for face in found)
        if small or (not sure and (found or long_side > SECOND_SIDE_PX)):
            # upscaling loses big faces, so those of the first pass stay
            big = [face for face in found if face.height_px * scale >= 2 * SMALL_PX]
            both = self._look(photo, SECOND_SIDE_PX / long_side, quarters) + big
            boxes = np.array([face.box for face in both], np.float32).reshape(-1, 4)
            rows = best_rows(boxes, np.array([face.score for face in both], np.float32))
            found = [both[row] for row in rows]
        faces = [face for face in found if face.score >= MIN_SCORE]
        return sorted(faces, key=lambda face: face.height_px, reverse=True)

    def _look(self, photo: Photo, scale: float, quarters: int) -> list[Face]:
        """Return all boxes of at least HINT_SCORE found at `scale`, turned by `quarters` left."""
        pixels = photo.pixels(min(scale, 1.0))
        width, height = (max(1, round(side * scale)) for side in (photo.width, photo.height))
        if pixels.shape[:2] != (height, width):
            how = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_LINEAR
            pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
        boxes, landmarks, scores = self.run(np.ascontiguousarray(np.rot90(pixels, quarters)))
        corners = boxes.reshape(-1, 2, 2)
        if quarters == 1:  # a point (x, y) of the turned picture was at (width - y, x)
            corners = np.stack([width - corners[..., 1], corners[..., 0]], -1)
            landmarks = np.stack([width - landmarks[..., 1], landmarks[..., 0]], -1)
        elif quarters == 2:
            corners, landmarks = (width, height) - corners, (width, height) - landmarks
        elif quarters == 3:
            corners = np.stack([corners[..., 1], height - corners[..., 0]], -1)
            landmarks = np.stack([landmarks[..., 1], height - landmarks[..., 0]], -1)
        zoom = np.array([photo.width / width, photo.height / height], np.float32)
        lower, upper = corners.min(1) * zoom, corners.max(1) * zoom
        return [
            Face(
                (low[0].item(), low[1].item(), high[0].item(), high[1].item()), points, float(score)
            )
            for low, high, points, score in zip(lower, upper, landmarks * zoom, scores, strict=True)
        ]

    def run(self, pixels: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
        """Return boxes (n, 4), landmarks (n, 5, 2) and scores (n,) found in RGB `pixels`.

        Every box of at least HINT_SCORE, overlapping ones suppressed, best first.
        """
        height, width = pixels.shape[:2]
        bottom, right = -height % 32, -width % 32
        padded = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        # the graph wants BGR, 0 to 255
        batch = np.ascontiguousarray(padded[None, :, :, ::-1].transpose(0, 3, 1, 2), np.float32)
        outputs = self._engine.run(batch)
        boxes, landmarks, scores = [], [], []
        for stride in STRIDES:
            columns = (width + right) // stride
            likely = np.clip(outputs[f"cls_{stride}"][0, :, 0], 0, 1)
            score = np.sqrt(likely * np.clip(outputs[f"obj_{stride}"][0, :, 0], 0, 1))
            keep = np.flatnonzero(score >= HINT_SCORE)
            cell = np.stack([keep % columns, keep // columns], 1).astype(np.float32)  # (n, 2) x, y
            box = outputs[f"bbox_{stride}"][0, keep]
            centre, size = (cell + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride
            boxes.append(np.hstack([centre - size / 2, centre + size / 2]))
            points = outputs[f"kps_{stride}"][0, keep].reshape(-1, 5, 2)
            landmarks.append((points + cell[:, None]) * stride)
            scores.append(score[keep])
        all_boxes, all_scores = np.concatenate(boxes), np.concatenate(scores)
        rows = best_rows(all_boxes, all_scores)
        return all_boxes[rows], np.concatenate(landmarks)[rows], all_scores[rows]


class WholeDetector:
    """Takes the whole photo for one face: the box of its ink, or all of it if `ink` is false."""

    def __init__(self, *, ink: bool) -> None:
        self._ink = ink

    def detect(self, photo: Photo) -> list[Face]:
        """Return the drawing or picture that `photo` is; an empty list if nothing is drawn on it.

        Raises PhotoError if the photo's data is damaged.
        """
        box = (0.0, 0.0, float(photo.width), float(photo.height))
        if self._ink:
            strength = ink_strength(ink_grey(drawing(photo)))
            if strength is None:
                return []
            height, width = strength.shape
            zoom = np.tile([photo.width / width, photo.height / height], 2)
            left, top, right, bottom = (zoom * ink_box(strength)).tolist()
            box = (left, top, right, bottom)
        left, top, right, bottom = box
        centre = ((left + right) / 2, (top + bottom) / 2)
        corners = [(left, top), (right, top), centre, (left, bottom), (right, bottom)]
        return [Face(box, np.array(corners, np.float32), 1.0)]


def drawing(photo: Photo) -> NDArray[np.uint8]:
    """Return the pixels (h, w, 3) of `photo`, decoded no larger than ink is looked for in.

    Raises PhotoError if the photo's data is damaged.
    """
    return photo.pixels(INK_SIDE_PX / max(photo.width, photo.height))


def ink_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `pixels` (h, w, 3) as grey levels (h', w'), the long side at most INK_SIDE_PX.

    By area, so that specks of dust and the grain of a scan are gone before the ink is looked for.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = INK_SIDE_PX / max(grey.shape)
    if scale < 1:
        size = [max(1, round(side * scale)) for side in grey.shape[::-1]]
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def ink_strength(grey: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return how much ink is on each pixel of a drawing: (h, w), 255 for the strongest.

    Paper is the median of the picture's border. Ink is darker than paper, or lighter if the
    drawing is light on dark: whichever goes further. None if that is less than MIN_CONTRAST.
    """
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = int(np.partition(border, len(border) // 2)[len(border) // 2])
    counts = np.cumsum(np.bincount(grey.ravel(), minlength=256))  # pixels up to a level
    stray = grey.size // STRAY  # so many pixels may be darker, or lighter, than any ink
    darkest = int(np.searchsorted(counts, stray, side="right"))
    lightest = int(np.searchsorted(counts, grey.size - stray))
    ink = darkest if paper - darkest >= lightest - paper else lightest
    if abs(ink - paper) < MIN_CONTRAST:
        return None
    strength = (np.arange(256) - paper) / (ink - paper)  # of each grey level
    table = np.rint(255 * np.clip(strength, 0, 1)).astype(np.uint8)
    return np.asarray(cv2.LUT(grey, table), np.uint8)


def ink_box(strength: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return the box around the pixels of `strength` (h, w) with more than half of the ink."""
    left, top, width, height = cv2.boundingRect((strength > 127).view(np.uint8))
    return left, top, left + width, top + height


def best_rows(boxes: Floats, scores: Floats) -> list[int]:
    """Return the rows left when each box drops the lesser boxes that it overlaps, best first."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        if not kept or overlap(boxes[row], boxes[kept]).max() <= OVERLAP:
            kept.append(row)
    return kept


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Return the intersection over union of `box` (4,) with each of `boxes` (n, 4): (n,)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(1)
    ratio: Floats = shared / (area + areas - shared)
    return ratio
