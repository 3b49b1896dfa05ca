"""Every awkward file of the research data, read or refused as `expected.json` says."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.errors import PhotoError
from facesearch.photo import read_photo
from facesearch.photo_files import walk_photos

ROOT = Path(os.environ.get("FACESEARCH_DATA", Path(__file__).parents[3] / "shared" / "data"))
PHOTOS = ROOT / "photos"
if not (PHOTOS / "expected.json").is_file():
    pytest.skip(f"the research photos are not at {PHOTOS}", allow_module_level=True)

HARD = json.loads((PHOTOS / "expected.json").read_text(encoding="utf-8"))["hard"]
REFUSED = {
    "bomb_40000x40000_1bit.png",
    "broken.png",
    "broken_data_stream.png",
    "corrupted.png",
    "crash_tiff.tif",
    "decompression_bomb.gif",
    "decompression_bomb.ico",
    "empty.png",
    "family1_truncated_60pct.jpg",
    "truncated_image.png",
    "zero_bytes.jpg",
}
# truncated_jpeg.jpg and truncated_einstein.jpg lack a few bytes of their last rows, and are read;
# truncated.heic is read: the one byte it lacks is of its second picture, the main one is whole


def needs_extra(path):
    if path.read_bytes()[4:12] in (b"ftypheic", b"ftypmif1", b"ftypheix"):
        pytest.importorskip("pillow_heif")


@pytest.mark.parametrize("key", HARD, ids=lambda key: key.removeprefix("hard/")[:30])
def test_an_awkward_file_is_read_upright_or_refused_in_a_sentence(key):
    path, expected = PHOTOS / key, HARD[key]
    needs_extra(path)
    if path.name in REFUSED:
        with pytest.raises(PhotoError, match=r"^cannot read .*: it "):
            read_photo(path).pixels()
        return
    photo = read_photo(path)
    pixels = photo.pixels(0.25 if "size" in expected else 1.0)
    assert photo.name == str(path)
    assert pixels.std() > 1
    assert pixels.shape[0] / pixels.shape[1] == pytest.approx(photo.height / photo.width, rel=0.01)
    size = expected.get("size_after") or expected.get("size")
    if size:
        assert [photo.width, photo.height] == size
    if "orientation" in expected:
        assert photo.oriented


def test_every_awkward_file_is_expected():
    there = {path.name for path in (PHOTOS / "hard").iterdir()}
    assert {Path(key).name for key in HARD} == there
    assert there > REFUSED


def thumbnail(name):
    gray = Image.fromarray(read_photo(PHOTOS / "hard" / name).pixels()).convert("L")
    return np.asarray(gray.resize((32, 32), Image.Resampling.BOX), np.float32)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        *((f"hopper_orientation_{n}.jpg", "hopper.avif") for n in range(2, 9)),
        ("hopper_orientation_6.webp", "hopper.avif"),
        ("hopper_16bit.pgm", "hopper.avif"),
        ("hopper_16bit_qtables.jpg", "hopper.avif"),
        *((f"einstein.{ending}", "einstein.png") for ending in ("gif", "jpeg", "tiff", "webp")),
        *((f"family1_orientation_{n}.jpg", "family1_grey.jpg") for n in (3, 6, 8)),
        ("family1_progressive.jpg", "family1_grey.jpg"),
        ("family1_cmyk.jpg", "family1_grey.jpg"),
        ("family1_16bit.png", "family1_grey.jpg"),
        ("family1_palette_alpha.png", "family1_grey.jpg"),
        ("family1_animated.gif", "family1_grey.jpg"),
        ("family1_animated.webp", "family1_grey.jpg"),
    ],
    ids=lambda name: name,
)
def test_the_same_picture_stored_differently_has_the_same_pixels(name, same):
    assert np.abs(thumbnail(name) - thumbnail(same)).mean() < 6


def test_a_heif_has_the_pixels_of_its_avif():
    pytest.importorskip("pillow_heif")
    assert np.abs(thumbnail("hopper.heif") - thumbnail("hopper.avif")).mean() < 6


@pytest.mark.parametrize(
    ("number", "name"), [(1, "Zoë é (NFD) e\u0301.jpg"), (2, "Жанна и я.jpg"), (3, "雪人 ☃.jpg")]
)
def test_a_copy_under_an_awkward_name_is_the_same_photo(tmp_path, number, name):
    original = PHOTOS / "hard" / f"to_be_given_an_awkward_name_{number}.jpg"
    shutil.copy(original, tmp_path / name)
    photo = read_photo(tmp_path / name)
    assert photo.name == str(tmp_path / name)
    assert photo.content_hash == read_photo(original).content_hash


def test_a_walk_finds_every_awkward_file_with_a_known_ending_but_the_hidden_one():
    found = {path.name for path in walk_photos([PHOTOS / "hard"])}
    there = {path.name for path in (PHOTOS / "hard").iterdir()}
    assert there - found == {".hidden.jpg", "no_extension", "decompression_bomb.ico"}
