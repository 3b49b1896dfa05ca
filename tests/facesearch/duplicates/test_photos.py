import json
import os
import shutil
import sqlite3
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from PIL.TiffImagePlugin import IFDRational

from facesearch import PhotoError
from facesearch.duplicates import photos
from facesearch.duplicates.photo_cache import FileState, PhotoFile
from facesearch.duplicates.photos import Duplicate, PhotoGroup, find_duplicates, why_kept
from facesearch.photo import read_photo

MIXED = Path(__file__).parents[4] / "shared" / "data" / "photos"


@pytest.fixture
def album(portraits, tmp_path):
    """Eileen in three files, Grace in one."""
    folder = tmp_path / "album"
    folder.mkdir()
    eileen = Image.open(portraits.eileen).convert("RGB")
    eileen.save(folder / "eileen.png")
    eileen.resize((200, 200)).save(folder / "small.jpg")
    ImageOps.mirror(eileen).save(folder / "mirror.jpg")
    shutil.copy(portraits.grace, folder / "grace.jpg")
    return folder


def names(report):
    return [
        (Path(group.keeper.path).name, [Path(twin.file.path).name for twin in group.duplicates])
        for group in report.groups
    ]


@pytest.fixture
def reads(monkeypatch):
    """The names of the photos that are read, in order."""
    read = []

    def noted(path):
        read.append(Path(path).name)
        return read_photo(path)

    monkeypatch.setattr(photos, "read_photo", noted)
    return read


def test_copies_of_one_picture_are_a_group_and_the_best_is_kept(album):
    report = find_duplicates([album])
    assert names(report) == [("eileen.png", ["mirror.jpg", "small.jpg"])]
    reasons = [twin.reason for twin in report.groups[0].duplicates]
    assert "mirrored" in reasons[0]
    assert "200 x 200 instead of 512 x 512" in reasons[1]
    assert report.photos == 4


def a_group(*files):
    """Return a group of (width, bytes, time) triples; the first is the keeper."""
    made = [
        PhotoFile(
            f"/{place}.png", "hash", "picture", FileState(size, time, "1"), width, 10, place, 0
        )
        for place, (width, size, time) in enumerate(files)
    ]
    return PhotoGroup(made[0], tuple(Duplicate(file, 1.0, True, "") for file in made[1:]))


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([(9, 5, 5), (8, 9, 1)], "it has the most pixels"),
        ([(9, 5, 5), (9, 4, 1), (8, 9, 1)], "it is the largest file"),
        ([(9, 5, 5), (9, 5, 6), (9, 4, 1)], "it is the oldest"),
        ([(9, 5, 5), (9, 5, 5)], "its path comes first"),
        ([(9, 5, 5), (10, 4, 6)], "the larger pictures are GIF, colorless, cropped, mirrored"),
        ([(9, 5, 5), (9, 6, 6), (8, 9, 1)], "the larger files are GIF, colorless, cropped"),
    ],
    ids=["pixels", "bytes", "oldest", "path", "worse but larger", "worse but more bytes"],
)
def test_the_reason_why_a_photo_is_kept_is_given(files, why):
    assert why_kept(a_group(*files)).startswith(why)


def test_a_file_is_never_its_own_duplicate(album, tmp_path):
    """czkawka #556: links, hard links, a path given twice."""
    (album / "link.jpg").symlink_to(album / "grace.jpg")
    os.link(album / "grace.jpg", album / "hard.jpg")
    again = tmp_path / "other way"
    again.symlink_to(album)
    report = find_duplicates([album, album, again, album / "grace.jpg"])
    assert names(report) == names(find_duplicates([album]))
    assert str(album / "hard.jpg") in dict(report.same_files)
    assert dict(report.same_files)[str(album / "link.jpg")] == str(album / "grace.jpg")


def test_files_of_identical_bytes_are_duplicates_even_if_the_picture_is_flat(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (3, 3), "red").save(tmp_path / name)
    report = find_duplicates([tmp_path])
    assert names(report) == [("a.png", ["b.png"])]
    assert report.groups[0].duplicates[0].reason == "identical bytes"


def test_small_files_are_not_skipped(tmp_path, portraits):
    """czkawka #1638: files under 16 KB were skipped."""
    tiny = Image.open(portraits.eileen).convert("RGB").resize((60, 60))
    tiny.save(tmp_path / "a.jpg", quality=60)
    tiny.save(tmp_path / "b.png")
    assert names(find_duplicates([tmp_path])) == [("b.png", ["a.jpg"])]


def test_unreadable_files_are_listed_and_the_others_are_compared(album):
    (album / "empty.jpg").write_bytes(b"")
    (album / "cut.jpg").write_bytes((album / "grace.jpg").read_bytes()[:20_000])
    report = find_duplicates([album])
    assert {Path(path).name for path, _ in report.unreadable} == {"empty.jpg", "cut.jpg"}
    assert len(report.groups) == 1


def test_paths_may_be_long_and_hold_any_unicode(album):
    deep = album.joinpath(*["d" * 100] * 3) / "ü\U0001f600 \udcff.jpg"
    deep.parent.mkdir(parents=True)
    shutil.copy(album / "grace.jpg", deep)
    (group, _) = sorted(find_duplicates([album]).groups, key=lambda group: len(group.duplicates))
    assert {group.keeper.path, group.duplicates[0].file.path} == {
        str(deep),
        str(album / "grace.jpg"),
    }


def test_a_missing_folder_raises_photo_error(tmp_path):
    with pytest.raises(PhotoError, match="cannot read"):
        find_duplicates([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        (lambda image: image.convert("L").resize((900, 900)), "grayscale"),
        (lambda image: image.crop((0, 0, 460, 460)).resize((900, 900)), "crop"),
        (lambda image: ImageOps.expand(image, 30, "black").resize((520, 520)), "border"),
    ],
    ids=["grayscale", "crop", "border"],
)
def test_a_grayscale_or_cropped_photo_is_not_kept_however_large(portraits, tmp_path, edit, name):
    eileen = Image.open(portraits.eileen).convert("RGB")
    eileen.save(tmp_path / "whole.png")
    edit(eileen).save(tmp_path / f"{name}.png")
    kept = "border" if name == "border" else "whole"  # a border takes nothing away
    assert names(find_duplicates([tmp_path]))[0][0] == f"{kept}.png"


@pytest.fixture
def camera():
    """What a camera writes: time, place, settings and the maker's note; parts can be changed."""

    def exif(taken="1998:07:12 10:00:00", seconds=(1, 125), note=b"note"):
        made = Image.Exif()
        made.get_ifd(0x8769).update({0x9003: taken, 0x829A: IFDRational(*seconds), 0x927C: note})
        made.get_ifd(0x8825).update({1: "N", 2: (48.0, 1.0, 2.0), 3: "E", 4: (2.0, 1.0, 2.0)})
        return made

    return exif


@pytest.fixture
def eileen(portraits):
    return Image.open(portraits.eileen).convert("RGB")


def test_the_camera_s_file_is_kept_not_a_screenshot_of_it(eileen, tmp_path, camera):
    """immich-go #91, dupeguru #180: a PNG without date and place was kept for its bytes."""
    eileen.save(tmp_path / "photo.jpg", quality=80, exif=camera())
    Image.open(tmp_path / "photo.jpg").save(tmp_path / "a screenshot.png", exif=b"")
    eileen.save(tmp_path / "better.jpg", quality=97)
    report = find_duplicates([tmp_path])
    assert names(report) == [("photo.jpg", ["a screenshot.png", "better.jpg"])]
    assert why_kept(report.groups[0]) == "it has the camera's data"


def test_a_file_that_has_what_the_kept_one_lacks_is_not_sure(eileen, tmp_path, camera):
    eileen.resize((300, 300)).save(tmp_path / "photo.jpg", exif=camera())
    eileen.save(tmp_path / "large.png")
    (group,) = find_duplicates([tmp_path]).groups
    assert Path(group.keeper.path).name == "large.png"
    assert [twin.sure for twin in group.duplicates] == [False]
    assert "camera's data" in group.duplicates[0].reason


def test_of_equal_pixels_the_jpeg_is_kept_and_not_the_png_made_of_it(eileen, tmp_path, reads):
    eileen.save(tmp_path / "photo.jpg", quality=80)
    Image.open(tmp_path / "photo.jpg").save(tmp_path / "again.png")
    report = find_duplicates([tmp_path], tmp_path / "cache")
    assert names(report) == [("photo.jpg", ["again.png"])]
    assert "made of this one" in why_kept(report.groups[0])
    reads.clear()
    assert find_duplicates([tmp_path], tmp_path / "cache") == report
    assert reads == []


def test_of_equal_copies_the_one_with_companions_is_kept(eileen, tmp_path):
    for name in ("a.jpg", "b.jpg"):
        eileen.save(tmp_path / name)
    (tmp_path / "b.mov").write_bytes(b"film")
    report = find_duplicates([tmp_path])
    assert names(report) == [("b.jpg", ["a.jpg"])]
    assert why_kept(report.groups[0]) == "other files belong to it"


@pytest.mark.parametrize("tone", ["sepia", "blue", "gray"])
def test_a_photo_in_one_tone_is_not_kept_for_its_bytes(eileen, tmp_path, tone):
    """rif/imgdup2go #4: sepia is not color."""
    ends = {
        "sepia": ("#201000", "#fff0d0"),
        "blue": ("#002040", "#ffffff"),
        "gray": ("#000", "#fff"),
    }
    eileen.save(tmp_path / "a.jpg", quality=75)
    toned = ImageOps.colorize(eileen.convert("L"), *ends[tone])
    toned.save(tmp_path / "toned.jpg", quality=97)
    report = find_duplicates([tmp_path])
    assert names(report) == [("a.jpg", ["toned.jpg"])]
    assert ("grayscale" if tone == "gray" else "in one tone") in report.groups[0].duplicates[
        0
    ].reason


def test_a_color_copy_is_not_moved_where_the_camera_s_file_is_gray(eileen, tmp_path, camera):
    eileen.convert("L").save(tmp_path / "photo.jpg", exif=camera())
    eileen.save(tmp_path / "color.jpg", quality=97)
    (group,) = find_duplicates([tmp_path]).groups
    assert Path(group.keeper.path).name == "photo.jpg"
    assert [twin.sure for twin in group.duplicates] == [False]
    assert "in color" in group.duplicates[0].reason


@pytest.mark.parametrize("stops", [-2, -1, 1, 2])
def test_a_bracket_of_exposures_is_not_sure(eileen, tmp_path, stops):
    """photoprism #335, teekesselchen #6: frames for an HDR picture were moved as duplicates."""
    light = (np.asarray(eileen) / 255.0) ** 2.2 * 2.0**stops
    exposed = (np.clip(light, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    eileen.save(tmp_path / "a.jpg", quality=97)
    Image.fromarray(exposed).save(tmp_path / "b.jpg", quality=92)
    for bursts in (False, True):
        twins = [t for g in find_duplicates([tmp_path], bursts=bursts).groups for t in g.duplicates]
        assert [twin.sure for twin in twins] == [False] * len(twins)


def test_a_slightly_brightened_copy_is_sure(eileen, tmp_path):
    eileen.save(tmp_path / "a.png")
    ImageEnhance.Brightness(eileen).enhance(1.1).save(tmp_path / "b.jpg", quality=90)
    (group,) = find_duplicates([tmp_path]).groups
    assert [twin.sure for twin in group.duplicates] == [True]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"taken": "1998:07:12 10:00:01"}, "taken at another time"),
        ({"seconds": (1, 100)}, "another exposure by its EXIF data"),
        ({"note": b""}, None),
        ({"seconds": (8, 1000)}, None),  # the same time, written by another program
    ],
)
def test_two_shots_by_their_exif_data_are_not_sure(eileen, tmp_path, camera, change, why):
    eileen.save(tmp_path / "a.jpg", quality=95, exif=camera())
    eileen.save(tmp_path / "b.jpg", quality=90, exif=camera(**change))
    (group,) = find_duplicates([tmp_path]).groups
    (twin,) = group.duplicates
    assert twin.sure == (why is None)
    assert why is None or why in twin.reason


def test_a_gif_is_not_kept_however_large(portraits, tmp_path):
    eileen = Image.open(portraits.eileen).convert("RGB")
    eileen.save(tmp_path / "whole.jpg")
    eileen.resize((900, 900)).save(tmp_path / "large.gif")
    assert names(find_duplicates([tmp_path])) == [("whole.jpg", ["large.gif"])]


def test_two_forms_that_differ_in_one_digit_are_not_sure(tmp_path):
    for number in (1, 2):
        page = Image.new("RGB", (620, 877), "white")
        for y in range(60, 800, 24):
            ImageDraw.Draw(page).text((50, y), "Service rendered as agreed, net 30 days", 0)
        ImageDraw.Draw(page).text((50, 20), f"Invoice 2024-{number}", 0)
        page.save(tmp_path / f"{number}.png")
    (group,) = find_duplicates([tmp_path]).groups
    assert [twin.sure for twin in group.duplicates] == [False]
    assert "small print may differ" in group.duplicates[0].reason


def test_a_file_that_cannot_be_read_for_the_closer_look_is_not_sure(album, monkeypatch):
    def gone(what, done, total):
        if what == "Looking closely":
            return
        if what == "Checking":
            monkeypatch.setattr(photos, "read_photo", broken)

    def broken(path):
        raise PhotoError("cannot read it")

    (group,) = find_duplicates([album], progress=gone).groups
    assert {twin.sure for twin in group.duplicates} == {False}


def test_the_cache_drops_what_belongs_to_deleted_files(album, tmp_path):
    cache = tmp_path / "cache"
    other = tmp_path / "other"
    shutil.copytree(album, other)
    Image.open(other / "grace.jpg").rotate(3).save(other / "grace.jpg")
    find_duplicates([album, other], cache)
    for name in ("eileen.png", "small.jpg", "mirror.jpg", "grace.jpg"):
        (album / name).unlink()
    find_duplicates([album], cache)
    db = sqlite3.connect(cache)
    assert {Path(os.fsdecode(path)).parent for (path,) in db.execute("SELECT path FROM file")} == {
        other
    }
    kept = {row for (row,) in db.execute("SELECT id FROM picture")}
    assert len(kept) == 4
    for table in ("near", "likeness", "closely"):
        rows = db.execute(f"SELECT first, second FROM {table}").fetchall()
        assert {*sum(rows, ())} <= kept
    db.close()


def test_keep_chooses_which_photo_is_kept(album, tmp_path):
    other = tmp_path / "first"
    other.mkdir()
    (album / "mirror.jpg").unlink()
    Image.open(album / "eileen.png").resize((300, 300)).save(other / "middle.png")
    for day, path in enumerate([album / "small.jpg", other / "middle.png", album / "eileen.png"]):
        os.utime(path, (86400 * day, 86400 * day))
    kept = {
        keep: names(find_duplicates([other, album], keep=keep))[0][0]
        for keep in ("best", "oldest", "newest", "first-folder")
    }
    assert kept == {
        "best": "eileen.png",
        "oldest": "small.jpg",
        "newest": "eileen.png",
        "first-folder": "middle.png",
    }


def test_photos_a_human_called_different_never_come_into_one_group(album):
    report = find_duplicates([album])
    keeper, (mirror, small) = report.groups[0].keeper, report.groups[0].duplicates
    apart = {frozenset({keeper.content_hash, mirror.file.content_hash})}
    for group in find_duplicates([album], different=apart).groups:
        hashes = {group.keeper.content_hash, *(t.file.content_hash for t in group.duplicates)}
        assert not any(pair <= hashes for pair in apart)
    apart |= {
        frozenset({keeper.content_hash, small.file.content_hash}),
        frozenset({mirror.file.content_hash, small.file.content_hash}),
    }
    assert find_duplicates([album], different=apart).groups == ()


def test_only_new_and_changed_photos_are_read_again(album, tmp_path, reads):
    cache = tmp_path / "cache"
    first = find_duplicates([album], cache)
    assert len(reads) == 4 + 3  # Eileen's three again for the closer look
    assert find_duplicates([album], cache) == first
    assert len(reads) == 7
    Image.open(album / "grace.jpg").resize((300, 300)).save(album / "new.jpg")
    Image.open(album / "eileen.png").resize((250, 250)).save(album / "small.jpg")
    assert len(find_duplicates([album], cache).groups) == 2
    assert sorted(reads[7:9]) == ["new.jpg", "small.jpg"]
    # closer looks: new.jpg with grace.jpg, small.jpg with eileen.png; mirror.jpg is known
    assert sorted(reads[9:]) == ["eileen.png", "grace.jpg", "new.jpg", "small.jpg"]


def test_photos_of_different_runs_are_compared_with_each_other(album, tmp_path):
    cache = tmp_path / "cache"
    for name in ("small.jpg", "eileen.png"):
        assert find_duplicates([album / name], cache).groups == ()
    both = [album / "small.jpg", album / "eileen.png"]
    assert names(find_duplicates(both, cache)) == [("eileen.png", ["small.jpg"])]


@pytest.mark.parametrize("order", [("whole", "crop"), ("crop", "whole")], ids=" then ".join)
def test_a_crop_is_found_whichever_of_the_two_came_first(portraits, tmp_path, order):
    eileen = Image.open(portraits.eileen).convert("RGB")
    files = {name: tmp_path / f"{name}.png" for name in order}
    eileen.save(files["whole"])
    eileen.crop((0, 0, 461, 461)).save(files["crop"])
    for name in order:  # only a window of the whole picture is near the crop
        find_duplicates([files[name]], tmp_path / "cache")
    report = find_duplicates(list(files.values()), tmp_path / "cache")
    assert names(report) == [("whole.png", ["crop.png"])]


def test_an_interrupted_run_continues_where_it_stopped(album, tmp_path, reads):
    def interrupt(what, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_duplicates([album], tmp_path / "cache", progress=interrupt)
    report = find_duplicates([album], tmp_path / "cache")
    assert len(reads) == 4 + 3  # three for the closer look
    assert report == find_duplicates([album])


@pytest.mark.parametrize("spoil", ["bytes", "version", "missing table"])
def test_a_damaged_or_foreign_cache_is_replaced(album, tmp_path, spoil):
    cache = tmp_path / "cache"
    expected = names(find_duplicates([album], cache))
    if spoil == "bytes":
        cache.write_bytes(b"not a database" * 1000)
    else:
        db = sqlite3.connect(cache)
        db.execute("PRAGMA user_version = 99" if spoil == "version" else "DROP TABLE picture")
        db.commit()
        db.close()
    assert names(find_duplicates([album], cache)) == expected
    assert names(find_duplicates([album], cache)) == expected


def test_the_answer_is_the_same_if_the_cache_cannot_be_written(album, tmp_path):
    (tmp_path / "file").write_text("in the way")
    report = find_duplicates([album], tmp_path / "file" / "cache")
    assert names(report) == names(find_duplicates([album]))


def test_a_file_that_changes_during_the_comparison_is_read_again(album):
    def change(what, done, total):
        if what == "Checking":
            shutil.copy(album / "grace.jpg", album / "small.jpg")
            (album / "mirror.jpg").unlink(missing_ok=True)

    report = find_duplicates([album], progress=change)
    assert names(report) == [("grace.jpg", ["small.jpg"])] or names(report) == [
        ("small.jpg", ["grace.jpg"])
    ]
    assert [Path(path).name for path, _ in report.unreadable] == ["mirror.jpg"]


@pytest.mark.slow
@pytest.mark.skipif(not MIXED.is_dir(), reason="the data folder ../shared is absent")
def test_every_group_of_the_mixed_set_is_found_and_none_are_joined():
    truth = json.loads((MIXED / "expected.json").read_text("utf-8"))["dedupe"]
    group_of = {}
    for number, group in enumerate(find_duplicates([MIXED / "dedupe"]).groups):
        for file in (group.keeper, *(twin.file for twin in group.duplicates)):
            group_of[f"dedupe/{Path(file.path).name}"] = number
    for paths in truth["must_group"].values():
        assert len({group_of.get(path, path) for path in paths}) == 1
    for series in truth["must_not_group_together"]:
        for one, two in combinations(series, 2):
            assert group_of.get(one, one) != group_of.get(two, two)
