import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesearch import Model
from facesearch.alignment import (
    AROUND_PX,
    CROP_LANDMARKS,
    CROP_PX,
    align,
    crop_scale,
    landmarks_again,
    realigned,
    sharpness,
    similarity,
)
from facesearch.identification import look
from facesearch.photo import read_photo


def placed(scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    """CROP_LANDMARKS scaled, turned and shifted, as landmarks in a photo are."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (scale * CROP_LANDMARKS @ turn.T + shift).astype(np.float32)


def smooth_picture(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    channels = [np.sin(x / 19), np.cos(y / 23), np.sin((x + y) / 31)]
    return (127 + 120 * np.stack(channels, -1)).astype(np.uint8)


@given(
    scale=st.floats(0.2, 8),
    angle=st.floats(-3.1, 3.1),
    x=st.floats(-500, 500),
    y=st.floats(-500, 500),
)
def test_a_face_scaled_turned_and_shifted_is_mapped_onto_the_crops_landmarks(scale, angle, x, y):
    landmarks = placed(scale, angle, (x, y))
    matrix = similarity(landmarks)
    assert landmarks @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(CROP_LANDMARKS, abs=0.02)
    assert crop_scale(landmarks) == pytest.approx(1 / scale, rel=1e-3)


def test_the_map_never_mirrors_a_face_even_when_the_landmarks_are_mirrored():
    mirrored = CROP_LANDMARKS * (-1, 1) + (112, 0)
    assert np.linalg.det(similarity(mirrored.astype(np.float32))[:, :2]) > 0


def test_the_map_is_the_least_squares_one():
    rng = np.random.default_rng(0)
    landmarks = (placed(2, 0.3, (40, 60)) + rng.normal(0, 4, (5, 2))).astype(np.float32)
    # the oracle: x' = a x - b y + c, y' = b x + a y + d by ordinary least squares
    x, y = landmarks.T.astype(np.float64)
    one, zero = np.ones(5), np.zeros(5)
    system = np.vstack([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, c, d = np.linalg.lstsq(system, CROP_LANDMARKS.T.ravel(), rcond=None)[0]
    assert similarity(landmarks) == pytest.approx(np.array([[a, -b, c], [b, a, d]]), abs=1e-6)


@pytest.mark.parametrize("scale", [0.7, 1.3, 1.9], ids=str)
def test_a_crop_is_what_opencv_warps_with_the_same_map(scale):
    picture, landmarks = smooth_picture(300, 400), placed(scale, 0.4, (120, 30))
    expected = cv2.warpAffine(picture, similarity(landmarks), (CROP_PX, CROP_PX))
    assert np.abs(align(picture, landmarks).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("scale", [2.2, 3.5, 9.0], ids=str)
def test_a_large_face_is_reduced_first_and_lands_in_its_place(scale):
    picture, landmarks = smooth_picture(1500, 1700), placed(scale, 0.2, (260, 40))
    expected = cv2.warpAffine(picture, similarity(landmarks), (CROP_PX, CROP_PX))
    assert np.abs(align(picture, landmarks).astype(int) - expected).mean() < 2.5


def test_a_large_face_of_noise_comes_out_smooth_not_speckled():
    noise = np.random.default_rng(1).integers(0, 256, (1200, 1200, 3), np.uint8)
    crop = align(noise, placed(8, 0, (50, 50)))
    assert crop[20:90, 20:90].std() < 25  # bilinear sampling alone leaves about 50


def test_a_crop_beyond_the_photos_border_is_black_there():
    crop = align(np.full((200, 200, 3), 255, np.uint8), placed(1, 0, (-56, 0)))
    assert (crop[:, :50] == 0).all()
    assert (crop[40:, 60:] == 255).all()


def test_landmarks_that_coincide_are_not_an_error():
    assert align(smooth_picture(50, 50), np.full((5, 2), 20, np.float32)).shape == (112, 112, 3)


def test_a_blurred_crop_is_less_sharp():
    crop = np.random.default_rng(2).integers(0, 256, (112, 112, 3), np.uint8)
    assert sharpness(crop) > 10 * sharpness(cv2.GaussianBlur(crop, (0, 0), 3))
    assert sharpness(np.full((112, 112, 3), 90, np.uint8)) == 0


class Finding:
    """A detector that finds a face at each of `places`, in pixels of the crop, and another."""

    def __init__(self, *places):
        self.places, self.sides = iter(places), []

    def landmarks(self, pixels):
        self.sides.append(pixels.shape[0])
        place = next(self.places)
        size = pixels.shape[0] / (CROP_PX + 2 * AROUND_PX)
        beside = (CROP_LANDMARKS + AROUND_PX + 30) * size
        mine = [] if place is None else [(place + AROUND_PX) * size]
        return np.array([beside, *mine], np.float32)


def test_landmarks_found_again_are_averaged_with_those_of_the_crop():
    crop = smooth_picture(112, 112)
    finding = Finding(CROP_LANDMARKS + np.array([4, 0]), None, CROP_LANDMARKS + np.array([2, -6]))
    expected = CROP_LANDMARKS + np.array([2, -2])
    assert landmarks_again(crop, finding) == pytest.approx(expected, abs=1e-3)
    assert finding.sides == [160, 240, 320]


def test_a_crop_in_which_no_face_is_found_again_stays_as_it_is():
    crops = np.stack([smooth_picture(112, 112), smooth_picture(112, 112)[::-1]])
    assert realigned(crops, Finding(*[None] * 6)).tolist() == crops.tolist()
    assert realigned(crops[:0], Finding()).shape == (0, 112, 112, 3)


def test_most_of_an_offset_crop_is_corrected_by_cutting_again(portraits):
    model = Model.load("default")
    (crop,) = look(read_photo(portraits.grace), model).crops
    usual, put_right = landmarks_again(crop, model.detector), []
    for turn in np.arange(8) * np.pi / 4:
        off = 5 * np.array([np.cos(turn), np.sin(turn)])
        shift = np.column_stack([np.eye(2), off])
        moved = cv2.warpAffine(crop, shift, (112, 112), borderMode=cv2.BORDER_REFLECT_101)
        way = (landmarks_again(moved, model.detector) - usual).mean(0)
        put_right.append(way @ off / (off @ off))
    assert 0.6 < np.mean(put_right) < 1.1  # three of four landmarks are new
