import pytest

from benchmarks.fuzz_photos import FORMATS, MAX_PIXELS, mutant, original
from facesearch.errors import PhotoError
from facesearch.photo import photo_from_bytes


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.timeout(30)
def test_a_mutated_picture_is_read_or_refused_in_a_sentence(name):
    try:
        data = original(name)
    except KeyError:
        pytest.skip("an extra is not installed")
    for number in range(40):
        try:
            photo = photo_from_bytes(mutant(data, 21, number), max_pixels=MAX_PIXELS)
            assert photo.pixels().shape == (photo.height, photo.width, 3), number
        except PhotoError as error:
            assert "\n" not in str(error)  # noqa: PT017, both outcomes are right


def test_a_mutant_can_be_made_again():
    data = original("png")
    assert mutant(data, 1, 2) == mutant(data, 1, 2) != mutant(data, 1, 3)
