"""A face keeps its place in a picture, however the file says that it is to be turned."""

from io import BytesIO
from itertools import product

import numpy as np
import pytest
from PIL import Image

from facesearch.photo import photo_from_bytes
from facesearch.pictures import KeptPicture, Picture, stored_size, turned, turned_box

WIDTH, HEIGHT = 48, 32  # as stored
MARK = (8, 16, 16, 24)  # where the stored picture is white


def photo_turned(orientation):
    """Return a photo whose white square lies at MARK, before it is shown turned."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    left, top, right, bottom = MARK
    pixels[top:bottom, left:right] = 255
    exif, file = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    return photo_from_bytes(file.getvalue())


def white_in(photo):
    rows, columns = np.nonzero(photo.pixels()[:, :, 0] > 127)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(("before", "after"), [*product(range(1, 9), repeat=2)])
def test_a_box_follows_what_it_shows_when_the_orientation_changes(before, after):
    one, other = photo_turned(before), photo_turned(after)
    assert turned_box(white_in(one), (WIDTH, HEIGHT), before, after) == white_in(other)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_kept_box_is_that_of_the_stored_picture(orientation):
    photo = photo_turned(orientation)
    assert photo.picture.orientation == orientation
    assert stored_size(photo.width, photo.height, orientation) == (WIDTH, HEIGHT)
    kept = KeptPicture("key", photo.picture, 1)
    assert kept.box(white_in(photo)) == MARK
    assert kept.shown(MARK) == white_in(photo)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_no_orientation_is_another_picture(orientation):
    one, other = photo_turned(1).picture, photo_turned(orientation).picture
    assert one.identity == other.identity
    assert (one.file_hash == other.file_hash) == (orientation == 1)


def test_points_are_turned_one_by_one():
    points = np.array([[1.0, 2.0], [40.0, 30.0]])
    assert turned(points, (WIDTH, HEIGHT), 1, 6).tolist() == [[30.0, 1.0], [2.0, 40.0]]
    kept = KeptPicture("key", Picture("i", "f", 6, HEIGHT, WIDTH), 1)
    assert kept.points(np.array([[30.0, 1.0]])).tolist() == [[1.0, 2.0]]
