from pathlib import Path

import pytest

from facesearch.duplicates.companions import Companions


@pytest.fixture
def folder(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / name).touch()
        return tmp_path

    return make


def names(paths):
    return [Path(path).name for path in paths]


def test_companions_have_the_stem_or_the_name_of_their_photo(folder):
    place = folder("a.jpg", "a.MOV", "a.jpg.xmp", "a.jpg.note.json", "ab.mov", "a.b.mov", "a.mp4")
    (place / "a.aae").mkdir()
    found = names(Companions().of(str(place / "a.jpg")))
    assert found == ["a.MOV", "a.jpg.note.json", "a.jpg.xmp"]


def test_a_file_with_the_whole_name_is_meant_before_those_of_the_stem(folder):
    place = folder("a.jpg", "a.png", "a.jpg.xmp", "a.xmp")
    assert names(Companions().of(str(place / "a.jpg"))) == ["a.jpg.xmp", "a.xmp"]
    assert names(Companions().of(str(place / "a.png"))) == ["a.xmp"]


def test_what_also_belongs_to_a_file_that_stays_does_not_go_along(folder):
    place = folder("a.jpg", "a.png", "a.jpg.xmp", "a.xmp")
    leaving = [str(place / name) for name in ("a.jpg", "a.png")]
    assert names(c for c, _ in Companions().along(leaving[:1])) == ["a.jpg.xmp"]
    assert dict(Companions().along(leaving))[str(place / "a.xmp")] == leaving


def test_a_folder_that_is_gone_has_no_companions(tmp_path):
    assert Companions().of(str(tmp_path / "gone" / "a.jpg")) == ()
