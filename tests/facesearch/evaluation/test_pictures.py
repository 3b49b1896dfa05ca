import hashlib
from pathlib import Path

import numpy as np
import pytest
from made_up_pictures import middle, save

from facesearch import DataError
from facesearch.evaluation.pictures import (
    read_pictures,
    sample_photos,
)
from facesearch.photo import Photo


def test_a_folder_of_classes_is_read_in_order(tmp_path):
    for name, grey in (("Bea/0001_02.png", 10), ("Ann/2.png", 30), ("Ann/1.png", 20)):
        save(tmp_path / name, grey)
    pictures = read_pictures(tmp_path, middle)
    assert pictures.class_names == ("Ann", "Bea")
    assert pictures.crops[:, 0, 0, 0].tolist() == [20, 30, 10]
    assert pictures.crops.shape == (3, 1, 1, 3)
    assert pictures.classes.tolist() == [0, 0, 1]
    assert pictures.drawers.tolist() == [-1, -1, -1]
    assert (pictures.groups.tolist(), pictures.group_names) == ([0, 0], ("",))
    assert pictures.skipped == ()


def test_the_folder_around_a_class_is_its_group(tmp_path):
    for name in ("Latin/a/1.png", "Latin/b/1.png", "Runes/old/a/1.png"):
        save(tmp_path / name)
    pictures = read_pictures(tmp_path, middle)
    assert pictures.class_names == ("Latin/a", "Latin/b", "Runes/old/a")
    assert pictures.group_names == ("Latin", "Runes/old")
    assert pictures.groups.tolist() == [0, 0, 1]


def test_pictures_below_a_class_with_pictures_are_of_that_class(tmp_path):
    for name in ("Ann/2020/b.png", "Ann/c.png", "Bea/x.png"):
        save(tmp_path / name)
    save(tmp_path / "Ann" / "2021" / "x.png")
    pictures = read_pictures(tmp_path, middle)
    assert pictures.class_names == ("Ann", "Bea")
    assert pictures.classes.tolist() == [0, 0, 0, 1]
    # told, since a picture astray can make one class of many
    assert pictures.skipped == (
        (str(tmp_path / "Ann"), "it holds pictures, so everything below it is one class"),
    )


def test_unusable_pictures_are_listed_and_the_others_are_read(tmp_path):
    for name in ("Ann/1.png", "Bea/1.png", "stray.png"):
        save(tmp_path / name)
    save(tmp_path / "Ann" / "blank.png", 255)
    for name in ("Bea/broken.png", "Cid/broken.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\nno more")
    cut = (tmp_path / "Ann" / "1.png").read_bytes()[:-30]  # its header is whole
    (tmp_path / "Bea" / "cut.png").write_bytes(cut)
    pictures = read_pictures(tmp_path, middle)
    assert pictures.class_names == ("Ann", "Bea")
    skipped = {
        Path(path).relative_to(tmp_path).as_posix(): why for path, why in pictures.skipped[:-1]
    }
    assert skipped["stray.png"] == "it is not in a class's folder"
    assert skipped["Ann/blank.png"] == "it shows nothing to compare"
    assert set(skipped) == {
        *("stray.png", "Ann/blank.png", "Bea/broken.png", "Bea/cut.png", "Cid/broken.png")
    }
    assert "damaged" in skipped["Cid/broken.png"]
    assert pictures.skipped[-1] == ("Cid", "no picture of this class can be used")


def test_progress_is_reported_after_each_picture_with_the_number_of_all(tmp_path):
    for name in ("Ann/1.png", "Ann/2.png", "Bea/1.png"):
        save(tmp_path / name)
    (tmp_path / "Bea" / "2.png").write_bytes(b"")
    told = []
    read_pictures(tmp_path, middle, advance=told.append)
    assert told == [4, 4, 4, 4]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no classes"),
        ({"1.png": 0, "2.png": 0}, "has no classes"),
        ({"Ann/1.png": 0, "Ann/2.png": 0}, "has only one class, Ann;"),
        ({"Ann/1.png": 255, "Bea/1.png": 255}, "none of the 2 pictures .*Ann/1.png: it shows"),
        ({"Ann/1.png": 0, "Bea/1.png": 255}, "has only one class, Ann;"),
    ],
    ids=["empty", "no subfolder", "one class", "nothing to see", "one class left"],
)
def test_fewer_than_two_classes_are_refused(tmp_path, files, message):
    for name, grey in files.items():
        save(tmp_path / name, grey)
    with pytest.raises(DataError, match=message):
        read_pictures(tmp_path, middle)


def test_a_source_that_does_not_exist_or_is_not_data_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*no_such: No such file"):
        read_pictures(tmp_path / "no_such", middle)
    (tmp_path / "notes.txt").write_text("Ann, Bea")
    with pytest.raises(DataError, match=r"notes.txt is neither a folder of classes nor"):
        read_pictures(tmp_path / "notes.txt", middle)


def test_a_part_has_its_classes_and_groups_renumbered(tmp_path):
    for name, grey in (("A/a/1.png", 1), ("B/b/1.png", 2), ("B/c/1.png", 3), ("B/c/2.png", 4)):
        save(tmp_path / name, grey)
    part = read_pictures(tmp_path, middle).only(np.array([2, 1]))
    assert part.class_names == ("B/c", "B/b")
    assert part.crops[:, 0, 0, 0].tolist() == [2, 3, 4]
    assert part.classes.tolist() == [1, 0, 0]
    assert (part.groups.tolist(), part.group_names) == ([0, 0], ("B",))
    assert part.drawers.tolist() == [-1] * 3


def test_a_sample_is_spread_evenly_and_leaves_out_unreadable_photos(tmp_path):
    for i in range(9):
        save(tmp_path / "Ann" / f"{i}.png", grey=i)
    cut = (tmp_path / "Ann" / "3.png").read_bytes()[:-30]  # its header is whole
    (tmp_path / "Ann" / "3.png").write_bytes(cut)
    assert [photo.pixels()[0, 0, 0] for photo in sample_photos(tmp_path, 3)] == [0, 6]
    assert len(sample_photos(tmp_path, 100)) == 8
    (tmp_path / "none").mkdir()
    assert sample_photos(tmp_path / "none", 3) == []


def test_a_photo_made_of_pixels_returns_them_again_and_again():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    photo = Photo.from_pixels("drawing", pixels[:, ::-1])
    assert (photo.width, photo.height, photo.oriented, photo.name) == (4, 2, True, "drawing")
    assert photo.content_hash == hashlib.sha256(pixels[:, ::-1].tobytes()).hexdigest()
    given = photo.pixels()
    assert given.flags.c_contiguous
    assert not given.flags.writeable
    pixels[:] = 0
    assert photo.pixels(0.1)[0, 0].tolist() == [9, 10, 11]
