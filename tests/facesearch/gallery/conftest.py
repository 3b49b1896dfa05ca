"""A gallery of three people that most tests of this folder start from."""

import pytest
from gallery_rows import execute
from gallery_steps import PEOPLE, enroll, statuses


@pytest.fixture
def trio(fake_gallery, shoot):
    """A gallery of Ada, Grace and Hedy, two pictures each, enrolled at different times."""
    pairs = [(name, shoot((number, k))) for name, number in PEOPLE.items() for k in (1, 2)]
    assert statuses(enroll(fake_gallery, *pairs)) == ["enrolled"] * 6
    execute(fake_gallery, "UPDATE person SET created_at = '2020-01-0' || id || 'T00:00:00+00:00'")
    return fake_gallery
