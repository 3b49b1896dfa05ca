"""Photo -> faces by YuNet: box, five landmarks, score.

Source: Wu, Peng, Yu: YuNet, a tiny millisecond-level face detector (2023); decoding of the
outputs as OpenCV's `FaceDetectorYN` does it, which is the oracle in the tests. For the convention
of coordinates see facesearch.detection.base.
"""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from facesearch.detection.base import Face
from facesearch.engine import Engine
from facesearch.photo import Photo
from facesearch.vectors import Floats

STRIDES = (8, 16, 32)  # pixels a cell of each output
MIN_SCORE = 0.75  # of a face that is reported; measured: docs/decisions/0003-two-pass-detection.md
HINT_SCORE = 0.3  # a box this likely is worth a closer look
OVERLAP = 0.3  # boxes that share more than this (intersection over union) are one face
AGAINST_TAG_SCORE = 0.85  # of a face that speaks against the side that a photo's file says is up
UPRIGHT_SCORE = 0.9  # upright faces of some size score more; turned ones less, with bad landmarks
FIRST_SIDE_PX = 640  # long side of the first pass
CLOSE_UP_SIDES_PX = (320, 160)  # where a face fills the picture, it is found only in a smaller one
SECOND_SIDE_PX = 1280  # long side of the second
SMALL_PX = 48  # faces below it have poorer landmarks: a second pass looks closer


class YuNet:
    """YuNet in two passes: the whole photo at 640 px, then closer where faces are small.

    The policy and its figures: docs/decisions/0003-two-pass-detection.md.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def detect(self, photo: Photo) -> list[Face]:
        """Return the faces of `photo`, largest first; an empty list if there are none.

        A photo that shows no face that is surely upright is also searched smaller, for faces that
        fill it, and turned, whatever its file says of the side that is up: that may be wrong.
        Raises PhotoError if the photo's data is damaged.
        """
        long_side = max(photo.width, photo.height)
        scale = min(1.0, FIRST_SIDE_PX / long_side)
        found, quarters = self._upright(photo, scale)
        small = any(face.height_px * scale < SMALL_PX for face in found)
        sure = any(face.score >= MIN_SCORE for face in found)
        if small or (not sure and (found or long_side > SECOND_SIDE_PX)):
            # enlarging loses big faces, so those of the first pass stay
            big = [face for face in found if face.height_px * scale >= 2 * SMALL_PX]
            found = best_faces(self._look(photo, SECOND_SIDE_PX / long_side, quarters) + big)
        faces = [face for face in found if face.score >= MIN_SCORE]
        return sorted(faces, key=lambda face: face.height_px, reverse=True)

    def landmarks(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return the landmarks (n, 5, 2) of all faces of at least HINT_SCORE, the best first."""
        return self.run(pixels)[1]

    def _upright(self, photo: Photo, scale: float) -> tuple[list[Face], int]:
        """Return the faces of `photo`, and by how many quarters left it was turned to find them.

        At `scale`, or smaller where that finds a face that fills the photo.
        """
        found = self._shrinking(photo, scale, 0)
        if surely_upright(found):
            return found, 0
        turned = [found] + [self._turned(photo, scale, quarters) for quarters in (1, 2, 3)]
        sums = [sum(f.score for f in faces if f.score >= MIN_SCORE) for faces in turned]
        quarters = int(np.argmax(sums))
        return turned[quarters], quarters

    def _turned(self, photo: Photo, scale: float, quarters: int) -> list[Face]:
        """Return the faces of `photo`, turned by `quarters` left.

        If its file says which way is up, that is seldom wrong: most such photos show no face at
        all, so a small picture has to hint at one, and the face has to be likely.
        """
        if photo.oriented:
            small = min(scale, CLOSE_UP_SIDES_PX[0] / max(photo.width, photo.height))
            if not self._look(photo, small, quarters):
                return []
        found = self._shrinking(photo, scale, quarters)
        likely = max((face.score for face in found), default=0.0) >= AGAINST_TAG_SCORE
        return found if likely or not photo.oriented else []

    def _shrinking(self, photo: Photo, scale: float, quarters: int) -> list[Face]:
        """Return the faces at `scale` and, while none is surely upright, at smaller scales."""
        found = self._look(photo, scale, quarters)
        for side in CLOSE_UP_SIDES_PX:
            smaller = side / max(photo.width, photo.height)
            if smaller < scale and not surely_upright(found):
                found = best_faces(found + self._look(photo, smaller, quarters))
        return found

    def _look(self, photo: Photo, scale: float, quarters: int) -> list[Face]:
        """Return the faces of at least HINT_SCORE at `scale`, `photo` turned by `quarters` left."""
        pixels = scaled(photo, scale)
        height, width = pixels.shape[:2]
        boxes, landmarks, scores = self.run(np.ascontiguousarray(np.rot90(pixels, quarters)))
        corners = boxes.reshape(-1, 2, 2)
        if quarters == 1:  # (x, y) of the turned picture is (width - y, x) of the upright one
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
        """Return boxes (n, 4), landmarks (n, 5, 2) and scores (n,) found in RGB `pixels` (h, w, 3).

        All of at least HINT_SCORE but lesser boxes that overlap a better one, best first.
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
            center, size = (cell + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride
            boxes.append(np.hstack([center - size / 2, center + size / 2]))
            points = outputs[f"kps_{stride}"][0, keep].reshape(-1, 5, 2)
            landmarks.append((points + cell[:, None]) * stride)
            scores.append(score[keep])
        all_boxes, all_scores = np.concatenate(boxes), np.concatenate(scores)
        rows = best_rows(all_boxes, all_scores)
        return all_boxes[rows], np.concatenate(landmarks)[rows], all_scores[rows]


def scaled(photo: Photo, scale: float) -> NDArray[np.uint8]:
    """Return the pixels of `photo` at just `scale`."""
    pixels = photo.pixels(min(scale, 1.0))
    width, height = (max(1, round(side * scale)) for side in (photo.width, photo.height))
    if pixels.shape[:2] != (height, width):
        how = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_LINEAR
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
    return pixels


def surely_upright(faces: Iterable[Face]) -> bool:
    """Return whether one of `faces` scores as only upright faces do."""
    return any(face.score >= UPRIGHT_SCORE for face in faces)


def best_faces(faces: list[Face]) -> list[Face]:
    """Return those of `faces` that no better one overlaps, best first; see `best_rows`."""
    boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
    return [faces[row] for row in best_rows(boxes, np.array([face.score for face in faces]))]


def best_rows(boxes: Floats, scores: Floats) -> list[int]:
    """Return the rows of `boxes` (n, 4) that no better box overlaps, best first.

    Non-maximum suppression: a box counts as overlapped only by one that is itself kept.
    """
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
