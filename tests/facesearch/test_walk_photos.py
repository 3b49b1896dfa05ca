"""The photos that a folder holds."""

import os

import pytest

from facesearch.errors import PhotoError
from facesearch.photo import walk_photos


def test_a_walk_yields_files_with_a_photos_ending_sorted_without_hidden_ones(tmp_path):
    wanted = ["A.JPG", "b.heic", "b/c.webp", "b/d/e.Tiff", "z.png"]
    others = [
        "notes.txt",
        "film.mp4",
        ".hidden.jpg",
        ".cache/x.jpg",
        "b/.x.png",
        "jpg",
        "no_ending",
    ]
    for name in wanted + others:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in walk_photos([tmp_path])]
    assert found == ["A.JPG", "b/c.webp", "b/d/e.Tiff", "b.heic", "z.png"]
    assert sorted(found) == sorted(wanted)


def test_given_files_are_yielded_in_order_whatever_their_ending(tmp_path):
    given = [tmp_path / "z_no_ending", tmp_path / ".hidden.jpg", tmp_path / "a.txt"]
    for path in given:
        path.touch()
    assert list(walk_photos(iter(given))) == given


def test_a_link_to_a_folder_makes_no_loop(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.png").touch()
    (tmp_path / "inner" / "up").symlink_to(tmp_path)
    (tmp_path / "link.png").symlink_to(tmp_path / "inner" / "a.png")
    found = [path.relative_to(tmp_path).as_posix() for path in walk_photos([tmp_path])]
    assert found == ["inner/a.png", "link.png"]


def test_a_missing_path_is_an_error_before_the_first_photo(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(PhotoError, match=r"cannot read .*gone: No such file"):
        next(walk_photos([tmp_path, tmp_path / "gone"]))


def test_a_folder_that_cannot_be_listed_is_itself_yielded(tmp_path, monkeypatch):
    for name in ("locked/a.png", "open/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    listed = os.scandir

    def scandir(folder):  # not by chmod: root may list everything
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert list(walk_photos([tmp_path])) == [tmp_path / "locked", tmp_path / "open" / "b.png"]


def test_an_empty_folder_holds_no_photo(tmp_path):
    assert list(walk_photos([tmp_path])) == []
