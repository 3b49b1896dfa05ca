"""A photo made to break a decoder breaks nothing but the answer to itself."""

import odd_models
import pytest
from PIL import Image

from facesearch.errors import PhotoError
from facesearch.serving.decoder import Eyes


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (20, 10), "red").save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (odd_models.hanging, "longer than 1 s"),
        (odd_models.crashing, "broke off"),
        (odd_models.hungry, "not enough memory"),
    ],
    ids=["takes hours", "ends the process", "takes all memory"],
)
def test_after_a_photo_that_cannot_be_decoded_the_next_one_is(model, said, picture):
    eyes = Eyes(model, timeout_s=1.0, memory_bytes=2_000_000_000)
    try:
        with pytest.raises(PhotoError, match=said):
            eyes.look(picture, "bad.png")
        assert eyes.look(picture, "good.png").seen.width == 20
    finally:
        eyes.close()


def test_the_name_in_an_error_is_the_users_not_that_of_our_file(tmp_path):
    (tmp_path / "x").write_bytes(b"no picture")
    eyes = Eyes(odd_models.hanging)
    try:
        with pytest.raises(PhotoError, match=r"cannot read holiday\.jpg: it is no picture"):
            eyes.look(tmp_path / "x", "holiday.jpg")
    finally:
        eyes.close()
