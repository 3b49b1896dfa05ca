"""The photos that a folder holds."""

import os

import pytest

from facesearch.errors import PhotoError
from facesearch.photo_files import TRASH_PLAN, LeftOut, remember_output, walk_photos


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


def filled(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("facesearch-trash", "#recycle", "#snapshot", "@eaDir", "$RECYCLE.BIN", "lost+found"),
        *("System Volume Information", "__MACOSX", ".stversions", ".Trash-1000", ".thumbnails"),
        "@Recycle",
    ],
)
def test_a_trash_and_a_nas_thumbnails_are_no_photos(tmp_path, name):
    filled(tmp_path, f"{name}/a.jpg", f"ann/{name}/deep/b.jpg", "ann/c.jpg")
    left_out = LeftOut()
    assert list(walk_photos([tmp_path], left_out)) == [tmp_path / "ann" / "c.jpg"]
    assert left_out.hidden + len(left_out.folders) == 2


def test_a_trash_of_any_name_is_known_by_its_plan(tmp_path):
    filled(tmp_path, f"bin/1/{TRASH_PLAN}", "bin/1/a.jpg", "b.jpg")
    assert list(walk_photos([tmp_path])) == [tmp_path / "b.jpg"]


def test_a_gallerys_own_folders_beside_it_hold_no_photos_of_yours(tmp_path):
    filled(tmp_path, "ann.db", "ann.db-index/face-1.jpg", "ann.db-photos/x.jpg", "my-photos/b.jpg")
    assert list(walk_photos([tmp_path])) == [tmp_path / "my-photos" / "b.jpg"]


def test_what_facesearch_made_is_left_out_but_not_the_photo_beside_it(tmp_path):
    filled(tmp_path, "mine.jpg", "made.jpg", "demo/x.jpg")
    remember_output(tmp_path, ["made.jpg"])
    remember_output(tmp_path, ["demo"])
    left_out = LeftOut()
    assert list(walk_photos([tmp_path], left_out)) == [tmp_path / "mine.jpg"]
    assert left_out.counts() == {"made by facesearch": 2}


def test_a_walk_tells_by_kind_and_number_what_it_left_out(tmp_path):
    filled(tmp_path, "a.jpg", "b.MOV", "c.mov", "d.psd", "noending", ".e.jpg", "@eaDir/f.jpg")
    (tmp_path / "up").symlink_to(tmp_path)
    left_out = LeftOut()
    assert list(walk_photos([tmp_path], left_out)) == [tmp_path / "a.jpg"]
    assert left_out.lines() == [
        "4 files that are not photos in a format that is read: 2 .mov, 1 .psd, 1 without an ending",
        "1 hidden photo or folder (the name starts with a dot)",
        f"1 folder for trash or thumbnails: {tmp_path / '@eaDir'}",
        f"1 link to a folder: {tmp_path / 'up'}; "
        "to include it, give the folder that the link leads to",
    ]


def test_a_message_names_ten_folders_and_counts_the_others(tmp_path):
    filled(tmp_path, *(f"{number:02}/@eaDir/a.jpg" for number in range(12)))
    left_out = LeftOut()
    assert not list(walk_photos([tmp_path], left_out))
    (line,) = left_out.lines()
    assert line.startswith("12 folders")
    assert line.endswith("@eaDir and 2 more")
