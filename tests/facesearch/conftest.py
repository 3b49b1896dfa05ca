"""Galleries of made-up faces: see fake_model.py."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for fake_model, here and in subprocesses

from fake_model import FakeModel, save_photo

from facesearch.gallery import Gallery

FAKE_MODEL = FakeModel()


@pytest.fixture
def fake_model():
    return FAKE_MODEL


@pytest.fixture
def home(tmp_path):
    """The folder a gallery lives in, with nothing else in it."""
    folder = tmp_path / "Galerie ü 顔"
    folder.mkdir()
    return folder


@pytest.fixture
def make_gallery(home):
    """Open the gallery (again); every one is closed after the test."""
    opened = []

    def make(path=None, model=FAKE_MODEL, **options):
        opened.append(Gallery(path or home / "gallery.db", model, **options))
        return opened[-1]

    yield make
    for gallery in opened:
        gallery.close()


@pytest.fixture
def fake_gallery(make_gallery):
    return make_gallery()


@pytest.fixture
def shoot(tmp_path):
    """Make a photo of (person, picture) numbers; return its path."""

    def shoot(*faces, name=None, salt=0):
        called = "_".join("gap" if f is None else f"{f[0]}-{f[1]}" for f in faces)
        return save_photo(tmp_path / "photos" / (name or f"{called}_{salt}.png"), *faces, salt=salt)

    return shoot
