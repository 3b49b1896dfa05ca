import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facesearch.detection import factory
from facesearch.detection.factory import YUNET_FILE, make_detector
from facesearch.detection.yunet import MIN_SCORE, UPRIGHT_SCORE, YuNet, best_rows, overlap
from facesearch.engine import OpenCVEngine
from facesearch.errors import ModelError
from facesearch.photo import photo_from_bytes, read_photo


@pytest.fixture(scope="module")
def detector():
    return YuNet(OpenCVEngine(YUNET_FILE))


def photo_of(pixels: np.ndarray, name: str = "photo"):
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG")
    return photo_from_bytes(stream.getvalue(), name)


def portrait(portraits) -> np.ndarray:
    return np.asarray(Image.open(portraits.eileen).convert("RGB"))


def test_boxes_landmarks_and_scores_are_those_of_opencvs_decoder(detector, portraits):
    pixels = portrait(portraits)[:480, :500]
    boxes, landmarks, scores = detector.run(pixels)
    oracle = cv2.FaceDetectorYN.create(str(YUNET_FILE), "", (500, 480), 0.3, 0.3)
    _, rows = oracle.detect(pixels[:, :, ::-1])
    assert len(rows) == len(boxes)
    for box, points, score, row in zip(boxes, landmarks, scores, rows, strict=True):
        left, top, width, height = row[:4]
        assert box == pytest.approx([left, top, left + width, top + height], abs=0.5)
        assert points.ravel() == pytest.approx(row[4:14], abs=0.5)
        assert score == pytest.approx(row[14], abs=0.01)


def test_a_portrait_has_one_face_with_eyes_above_the_mouth(detector, portraits):
    photo = read_photo(portraits.eileen)
    (face,) = detector.detect(photo)
    left, top, right, bottom = face.box
    assert 0 <= left < right <= photo.width
    assert 0 <= top < bottom <= photo.height
    assert face.height_px == bottom - top
    right_eye, left_eye, nose, right_mouth, left_mouth = face.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


@pytest.mark.parametrize("quarters", [1, 2, 3], ids=["left", "upside down", "right"])
def test_a_face_in_a_scan_on_its_side_is_found_immich_28966(detector, portraits, quarters):
    upright = portrait(portraits)
    (face,) = detector.detect(photo_of(upright))
    turned = np.rot90(upright, quarters)
    (found,) = detector.detect(photo_of(turned))
    # the oracle: turn the upright photo's landmarks as numpy turned its pixels
    expected = face.landmarks
    width = upright.shape[1]
    for _ in range(quarters):  # the portrait is a square
        expected = np.stack([expected[:, 1], width - expected[:, 0]], -1)
    eye_distance = np.linalg.norm(face.landmarks[0] - face.landmarks[1])
    assert np.abs(found.landmarks - expected).max() < 0.25 * eye_distance


@pytest.mark.parametrize("tag", [1, 3, 6, 8])
def test_a_wrong_orientation_tag_does_not_hide_a_face_photoprism_348(detector, portraits, tag):
    turns = {1: 90, 3: 180, 6: 90, 8: -90}  # the picture lies on its side, or the tag lays it there
    stored = Image.open(portraits.eileen).convert("RGB")
    stored = stored.rotate(turns[tag], expand=True) if tag == 1 else stored
    exif = Image.Exif()
    exif[0x0112] = tag
    stream = io.BytesIO()
    stored.save(stream, "JPEG", exif=exif, quality=95)
    photo = photo_from_bytes(stream.getvalue())
    assert photo.oriented
    (face,) = detector.detect(photo)
    assert face.score >= UPRIGHT_SCORE
    shown = {1: 1, 3: 2, 6: 3, 8: 1}[tag]  # quarters left by which the shown picture is turned
    down = face.landmarks[3:].mean(0) - face.landmarks[:2].mean(0)
    toward = {1: (1, 0), 2: (0, -1), 3: (-1, 0)}[shown]
    assert down @ np.array(toward) > 0.9 * np.linalg.norm(down)


@pytest.mark.parametrize("quarters", [0, 1, 3], ids=["upright", "left", "right"])
@pytest.mark.parametrize("cut", [0.05, 0.1, 0.15])
def test_a_face_that_fills_a_photo_is_found_insightface_2165(detector, portraits, cut, quarters):
    pixels = portrait(portraits)
    (face,) = detector.detect(photo_of(pixels))
    left, top, right, bottom = face.box
    width, height = right - left, bottom - top
    close = pixels[
        round(top + cut * height) : round(bottom - cut * height),
        round(left + cut * width) : round(right - cut * width),
    ]
    zoom = 900 / max(close.shape)
    close = cv2.resize(close, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    (found,) = detector.detect(photo_of(np.rot90(close, quarters)))
    assert found.score >= UPRIGHT_SCORE
    assert found.height_px > 0.8 * max(close.shape[:2]) * (min(width, height) / height)


class CountingEngine:
    """Runs another engine, and keeps the long side of every picture."""

    def __init__(self, engine):
        self.engine, self.sides = engine, []

    def run(self, batch):
        self.sides.append(max(batch.shape[2:]))
        return self.engine.run(batch)


def tagged(pixels):
    exif = Image.Exif()
    exif[0x0112] = 1
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", exif=exif, quality=95)
    return photo_from_bytes(stream.getvalue())


def test_a_photo_with_a_sure_face_is_looked_at_once(portraits):
    engine = CountingEngine(OpenCVEngine(YUNET_FILE))
    pixels = cv2.resize(portrait(portraits), (900, 900))
    assert len(YuNet(engine).detect(tagged(pixels))) == 1
    assert engine.sides == [640]


def test_a_tagged_photo_without_faces_is_turned_in_small_only():
    engine = CountingEngine(OpenCVEngine(YUNET_FILE))
    landscape = cv2.resize(np.arange(48, dtype=np.uint8).reshape(4, 4, 3), (1200, 900))
    assert YuNet(engine).detect(tagged(landscape)) == []
    assert engine.sides == [640, 320, 160, 320, 320, 320]


def test_small_faces_of_a_large_photo_are_found_face_recognition_276(detector, portraits):
    small = cv2.resize(portrait(portraits), (130, 130), interpolation=cv2.INTER_AREA)
    wall = np.full((1400, 2100, 3), 128, np.uint8)
    places = [(100 + 400 * i, 150 + 500 * j) for i in range(5) for j in range(2)]
    for x, y in places:
        wall[y : y + 130, x : x + 130] = small
    faces = detector.detect(photo_of(wall))
    assert len(faces) == len(places)
    for x, y in places:
        assert any(x < face.box[0] and y < face.box[1] < y + 130 for face in faces)


def test_large_and_small_faces_are_found_once_each_largest_first(detector, portraits):
    face = portrait(portraits)[:300, 100:380]
    wall = np.full((900, 1500, 3), 90, np.uint8)
    wall[100:820, 100:772] = cv2.resize(face, (672, 720))
    wall[200:275, 1200:1270] = cv2.resize(face, (70, 75), interpolation=cv2.INTER_AREA)
    faces = detector.detect(photo_of(wall))
    assert len(faces) == 2
    assert faces[0].height_px > 5 * faces[1].height_px
    assert all(f.score >= MIN_SCORE for f in faces)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((480, 640, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((3, 4000, 3), np.uint8),
    ],
    ids=["black", "noise", "one pixel", "a line"],
)
def test_a_picture_without_faces_gives_an_empty_list(detector, pixels):
    assert detector.detect(photo_of(pixels)) == []


coordinate = st.floats(0, 50, width=32)


@given(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), min_size=1, max_size=8))
def test_kept_boxes_do_not_overlap_and_each_dropped_one_overlaps_a_better(corners):
    boxes = np.array([[x, y, x + w + 1, y + h + 1] for x, y, w, h in corners], np.float32)
    scores = np.linspace(1, 0.5, len(boxes)).astype(np.float32)
    kept = best_rows(boxes, scores)
    assert kept == sorted(kept)  # best first, as the scores fall
    for row in range(len(boxes)):
        better = [k for k in kept if k < row]
        gives_way = bool(better) and overlap(boxes[row], boxes[better]).max() > 0.3
        assert (row in kept) != gives_way


def test_overlap_is_intersection_over_union():
    box = np.array([0, 0, 10, 10], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert overlap(box, others).tolist() == pytest.approx([1, 1 / 3, 0])


# Every detector


@pytest.fixture(params=[("yunet", False), ("whole", True), ("whole", False)], ids=str)
def any_detector(request):
    name, ink = request.param
    return make_detector(name, engine="opencv", ink=ink)


def test_every_detector_gives_five_landmarks_and_a_score_per_face(any_detector, portraits):
    photo = read_photo(portraits.eileen)
    faces = any_detector.detect(photo)
    assert len(faces) == 1
    assert faces[0].landmarks.shape == (5, 2)
    assert faces[0].landmarks.dtype == np.float32
    assert 0 < faces[0].score <= 1
    assert any_detector.landmarks(photo.pixels()).shape[1:] == (5, 2)


def test_an_unknown_detector_is_refused_with_the_known_ones():
    with pytest.raises(ModelError, match="no detector 'retina'; there are yunet, whole"):
        make_detector("retina", engine="opencv")


def test_a_damaged_detector_is_never_run(tmp_path, monkeypatch):
    damaged = tmp_path / "detector.onnx"
    damaged.write_bytes(YUNET_FILE.read_bytes() + b"\0")
    monkeypatch.setattr(factory, "YUNET_FILE", damaged)
    with pytest.raises(ModelError, match="damaged"):
        make_detector("yunet", engine="opencv")
