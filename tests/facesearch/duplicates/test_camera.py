import io

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from facesearch.duplicates.camera import (
    NO_CAMERA,
    Camera,
    camera_from_text,
    camera_of,
    camera_text,
    why_two_shots,
)
from facesearch.photo import photo_from_bytes


def photo(kind, exif):
    stream = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(stream, kind, exif=exif)
    return photo_from_bytes(stream.getvalue())


def exif_of(shot, place=()):
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    exif.get_ifd(0x8769).update(shot)
    exif.get_ifd(0x8825).update(place)
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_the_camera_wrote_is_read_from_every_format(kind):
    shot = {0x9003: "2024:05:17 10:00:00", 0x9291: "250", 0x829A: IFDRational(1, 125), 0x8827: 400}
    camera = camera_of(photo(kind, exif_of(shot, {1: "N", 2: (48.0, 1.0, 2.0)})))
    expected = Camera("2024:05:17 10:00:00.25", True, False, 0.008, None, 400.0, None)
    assert camera == expected
    assert camera.marks == 2
    assert camera_from_text(camera_text(camera)) == camera


@pytest.mark.parametrize("time", ["", "    :  :     :  :  ", "0000:00:00 00:00:00"])
def test_a_camera_without_a_clock_has_no_time(time):
    assert camera_of(photo("JPEG", exif_of({0x9003: time}))).taken is None


def test_damaged_or_absent_exif_says_nothing():
    assert camera_of(photo("JPEG", b"Exif\0\0II*\0\xff\xff\xff\xff")) == NO_CAMERA
    assert camera_of(photo("PNG", b"")) == NO_CAMERA
    zero = exif_of({0x829A: IFDRational(0, 0), 0x8827: (400, 400)})
    assert camera_of(photo("JPEG", zero)).seconds is None


@pytest.mark.parametrize(
    ("one", "other", "burst", "two"),
    [
        (Camera("2024:05:17 10:00:00.25"), Camera("2024:05:17 10:00:00"), False, False),
        (Camera("2024:05:17 10:00:00.25"), Camera("2024:05:17 10:00:00.31"), False, True),
        (Camera("2024:05:17 10:00:00.25"), Camera("2024:05:17 10:00:00.31"), True, False),
        (Camera("2024:05:17 10:00:00"), NO_CAMERA, False, False),
        (Camera(seconds=1 / 125), Camera(seconds=1 / 130), False, True),
        (Camera(seconds=1 / 125), Camera(seconds=1 / 130), True, False),
        (Camera(seconds=1 / 125), Camera(seconds=1 / 160), True, True),
        (Camera(bias=0.0), Camera(bias=-2.0), True, True),
    ],
)
def test_two_shots_are_told_by_time_and_exposure(one, other, burst, two):
    assert bool(why_two_shots(one, other, burst=burst)) == two
    assert bool(why_two_shots(other, one, burst=burst)) == two
