"""Drawings and pictures as one face each: where their ink is, and the crops made of them."""

import io
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facesearch.detection.whole import WholeDetector
from facesearch.ink import ink_crop, whole_crop
from facesearch.photo import photo_from_bytes


def photo(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return photo_from_bytes(file.getvalue(), "drawing")


def in_rgb(gray):
    return np.repeat(np.asarray(gray, np.uint8)[..., None], 3, axis=2)


def page(height=105, width=105, paper=255):
    return np.full((height, width, 3), paper, np.uint8)


def letter(text="R", side=105, thickness=2, ink=(0, 0, 0), paper=255):
    """A letter about half as high as its square page."""
    pixels = page(side, side, paper)
    size = side / 105 * 2.4
    cv2.putText(
        pixels,
        text,
        (round(side * 0.25), round(side * 0.75)),
        cv2.FONT_HERSHEY_SIMPLEX,
        size,
        ink,
        thickness,
        cv2.LINE_AA,
    )
    return pixels


def slow_crop(bitmap, side):
    """The crop of a `bitmap` (1 = ink) of 105x105, pixel by pixel, from the definition alone.

    Pixel i covers i to i + 1, so its center lies at i + 0.5; the level between four centers is
    bilinear, and beyond the page there is no ink.
    """
    rows, columns = np.nonzero(bitmap)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    scale = 0.8 * side / max(right - left, bottom - top, 20)

    def ink(row, column):
        inside = 0 <= row < 105 and 0 <= column < 105
        return float(bitmap[row, column]) if inside else 0.0

    crop = np.zeros((side, side))
    for i in range(side):
        for j in range(side):
            y = (i + 0.5 - side / 2) / scale + (top + bottom) / 2 - 0.5
            x = (j + 0.5 - side / 2) / scale + (left + right) / 2 - 0.5
            row, column = math.floor(y), math.floor(x)
            down, along = y - row, x - column
            crop[i, j] = (
                ink(row, column) * (1 - down) * (1 - along)
                + ink(row, column + 1) * (1 - down) * along
                + ink(row + 1, column) * down * (1 - along)
                + ink(row + 1, column + 1) * down * along
            )
    return 255 * (1 - crop)


def strokes(seed):
    """A bitmap (105, 105) of a few strokes 3 pixels wide, as Omniglot's drawings are."""
    rng = np.random.default_rng(seed)
    bitmap = np.zeros((105, 105), np.uint8)
    size = int(rng.integers(8, 100))
    corner = rng.integers(2, 104 - size, 2) if size < 102 else np.array([2, 2])
    for _ in range(3):
        a, b = (corner + rng.integers(0, size, (2, 2))).tolist()
        cv2.line(bitmap, a, b, 1, 3)
    return bitmap


@pytest.mark.parametrize("side", [28, 48, 105])
@pytest.mark.parametrize("seed", range(4))
def test_a_character_is_centered_and_scaled_as_pixel_by_pixel(seed, side):
    bitmap = strokes(seed)
    crop = ink_crop(in_rgb(255 * (1 - bitmap)), side)
    assert (crop == crop[..., :1]).all()
    assert np.abs(crop[..., 0] - slow_crop(bitmap, side)).max() <= 1


def far_apart(crop, other):
    """The mean difference of two crops in gray levels, of 255."""
    return np.abs(crop.astype(float) - other).mean()


def test_the_crop_is_black_on_white_whatever_the_colors_were():
    expected = ink_crop(letter(), 48)
    assert expected[0, 0].tolist() == [255, 255, 255]
    assert expected.min() < 10
    assert ink_crop(letter(ink=(255, 255, 255), paper=0), 48).tolist() == expected.tolist()
    pencil = letter(ink=(150, 150, 150), paper=210)
    chalk = letter(ink=(240, 230, 120), paper=60)
    for drawing in (pencil, chalk):
        assert far_apart(ink_crop(drawing, 48), expected) < 1.5
    one_color = np.array([[[20, 60, 120]]], np.uint8)  # navy on beige, as a color blend
    share = letter()[..., :1] / 255
    blend = np.rint(share * [235, 225, 200] + (1 - share) * one_color).astype(np.uint8)
    assert far_apart(ink_crop(blend, 48), expected) < 1.5


@given(x=st.integers(-20, 20), y=st.integers(-20, 20))
def test_the_place_of_the_ink_on_the_page_does_not_matter(x, y):
    bitmap = np.zeros((105, 105), np.uint8)
    bitmap[30:75, 30:75] = letter()[30:75, 30:75, 0] < 128
    moved = np.roll(bitmap, (y, x), (0, 1))
    expected = ink_crop(in_rgb(255 - 255 * bitmap), 48)
    assert ink_crop(in_rgb(255 - 255 * moved), 48).tolist() == expected.tolist()


@pytest.mark.parametrize("times", [2, 4, 9, 30])
def test_a_larger_page_with_the_same_drawing_has_the_same_crop(times):
    drawing = letter(thickness=3)
    larger = cv2.resize(drawing, None, fx=times, fy=times, interpolation=cv2.INTER_LINEAR)
    assert far_apart(ink_crop(larger, 48), ink_crop(drawing, 48)) < 6  # shifted by one: 11 and 14


def test_a_thin_line_on_a_large_page_does_not_fade():
    pixels = page(2000, 2000)
    cv2.line(pixels, (200, 200), (1800, 1700), (0, 0, 0), 3)
    crop = ink_crop(pixels, 48)
    assert (crop.min(axis=(1, 2))[6:42] < 200).all()  # an unbroken line, from top to bottom


def test_fine_hatching_comes_out_even_not_in_stripes():
    pixels = page(420, 420)
    hatched = np.indices((400, 400)).sum(0) % 2
    pixels[10:410, 10:410] = in_rgb(255 * hatched)
    crop = ink_crop(pixels, 28)
    assert crop[4:24, 4:24].std() < 10


def test_specks_of_dust_on_a_scan_do_not_move_the_drawing():
    clean = letter(side=3000, thickness=60)
    dusty = clean.copy()
    for x, y in np.random.default_rng(0).integers(0, 2995, (50, 2)):
        dusty[y : y + 2, x : x + 2] = 90
    assert far_apart(ink_crop(dusty, 48), ink_crop(clean, 48)) < 1


def test_one_much_darker_pixel_does_not_turn_the_ink_into_paper():
    pencil = letter(ink=(140, 140, 140), paper=220)
    flawed = pencil.copy()
    flawed[np.unravel_index(pencil[..., 0].argmin(), (105, 105))] = 0
    assert far_apart(ink_crop(flawed, 48), ink_crop(pencil, 48)) < 1


def test_a_dot_stays_a_dot():
    pixels = page()
    pixels[60:63, 20:23] = 0
    crop = ink_crop(pixels, 48)
    dark = crop[..., 0] < 128
    assert 4 <= dark.any(0).sum() <= 8  # 3 pixels of 105, enlarged 0.8 * 48 / 20 times
    assert dark[22:26, 22:26].all()


def test_a_line_fills_the_crop_in_one_direction_and_is_centered_in_the_other():
    pixels = page()
    pixels[90:93, 10:95] = 0
    rows, columns = np.nonzero(ink_crop(pixels, 50)[..., 0] < 128)
    assert (columns.min(), columns.max()) == (5, 44)
    assert rows.mean() == pytest.approx(24.5, abs=0.6)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 60), (60, 1), (3, 5000)], ids=str)
def test_a_tiny_or_narrow_picture_is_cut_or_blank_without_error(shape):
    blank = page(*shape)
    assert ink_crop(blank, 48) is None
    inked = np.random.default_rng(0).integers(0, 2, shape, np.uint8) * 255
    crop = ink_crop(in_rgb(inked), 48)
    assert crop is None or crop.shape == (48, 48, 3)
    assert whole_crop(blank, 48).shape == (48, 48, 3)


def test_ink_that_hardly_differs_from_paper_is_not_ink():
    assert ink_crop(letter(ink=(177, 177, 177), paper=200), 48) is None
    assert ink_crop(letter(ink=(176, 176, 176), paper=200), 48) is not None
    shaded = in_rgb(np.linspace(225, 245, 105)[None].repeat(105, 0))  # a page lit from one side
    assert ink_crop(shaded, 48) is None


@pytest.mark.parametrize(("height", "width"), [(40, 80), (300, 150), (7, 7)], ids=str)
def test_a_whole_picture_is_fitted_in_the_middle_and_keeps_its_shape(height, width):
    pixels = page(height, width, 200)
    pixels[1:-1, 1:-1] = (250, 20, 30)
    crop = whole_crop(pixels, 64)
    scale = 64 / max(height, width)
    inner = np.abs(crop.astype(int) - (250, 20, 30)).max(-1) < 90
    rows, columns = np.flatnonzero(inner.any(1)), np.flatnonzero(inner.any(0))
    assert len(rows) == pytest.approx((height - 2) * scale, abs=2)
    assert len(columns) == pytest.approx((width - 2) * scale, abs=2)
    assert abs(rows[0] - (63 - rows[-1])) <= 1
    assert abs(columns[0] - (63 - columns[-1])) <= 1
    if height != width:
        assert crop[0, 0].tolist() == [200, 200, 200]


def test_the_margin_of_a_whole_picture_has_the_color_of_most_of_its_border():
    pixels = page(20, 60)
    pixels[:] = (10, 90, 40)
    pixels[:, :5] = (255, 0, 0)
    assert whole_crop(pixels, 60)[0, 0].tolist() == [10, 90, 40]


def test_a_large_picture_is_reduced_by_area():
    noise = np.random.default_rng(1).integers(0, 256, (960, 960, 3), np.uint8)
    assert whole_crop(noise, 64).std() < 10  # bilinear sampling alone leaves about 50


@pytest.mark.parametrize(("side", "kind"), [(105, "PNG"), (3000, "PNG"), (3000, "JPEG")], ids=str)
def test_a_drawing_is_one_face_whose_box_surrounds_the_ink(side, kind):
    pixels = page(side, side)
    third = side // 3
    pixels[third : 2 * third, third // 2 : third] = 30
    (face,) = WholeDetector(ink=True).detect(photo(pixels, kind))
    assert face.score == 1
    expected = (third // 2, third, third, 2 * third)
    assert face.box == pytest.approx(expected, abs=max(0.01, side / 512))
    assert face.landmarks.shape == (5, 2)
    assert face.landmarks[2] == pytest.approx(np.reshape(face.box, (2, 2)).mean(0))


def test_a_blank_page_is_a_picture_without_a_drawing():
    blank = photo(page(80, 120))
    assert WholeDetector(ink=True).detect(blank) == []
    (face,) = WholeDetector(ink=False).detect(blank)
    assert face.box == (0, 0, 120, 80)
