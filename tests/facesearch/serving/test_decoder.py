"""A photo made to break a decoder spoils only its own answer."""

import odd_models
import pytest
from PIL import Image

from facesearch.errors import PhotoError
from facesearch.serving.decoder import DecoderProcess


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (20, 10), "red").save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (odd_models.hanging, "longer than 1 s"),
        (odd_models.crashing, "crashed"),
        (odd_models.hungry, "not enough memory"),
    ],
    ids=["takes hours", "ends the process", "takes all memory"],
)
def test_the_photo_after_one_that_cannot_be_decoded_is_decoded(model, message, picture):
    decoder = DecoderProcess(model, timeout_s=1.0, memory_bytes=2_000_000_000)
    try:
        with pytest.raises(PhotoError, match=message):
            decoder.decode(picture, "bad.png")
        assert decoder.decode(picture, "good.png").seen.width == 20
    finally:
        decoder.close()


def test_an_error_names_the_users_file_not_our_copy(tmp_path):
    (tmp_path / "x").write_bytes(b"no picture")
    decoder = DecoderProcess(odd_models.hanging)
    try:
        with pytest.raises(PhotoError, match=r"cannot read holiday\.jpg: it is not a picture"):
            decoder.decode(tmp_path / "x", "holiday.jpg")
    finally:
        decoder.close()
