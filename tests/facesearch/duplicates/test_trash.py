import errno
import json
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from facesearch.duplicates import trash
from facesearch.duplicates.photos import files_of, find_duplicates
from facesearch.duplicates.trash import apply, finish, undo, unfinished
from facesearch.errors import TrashError


@pytest.fixture
def album(tmp_path):
    """Three groups of identical bytes: 3, 2 and 2 files."""
    folder = tmp_path / "album"
    for name, colour in (("a1 a2 a3", "red"), ("b1 b2", "green"), ("ü1 ü2", "blue")):
        for part in name.split():
            path = folder / part[-1] / f"{part}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), colour).save(path)
    return folder


def content(folder):
    """Return path -> bytes of every picture below a folder."""
    found = {p: p.read_bytes() for p in folder.rglob("*") if p.suffix == ".png"}
    return {str(path): data for path, data in found.items()}


def nothing_is_lost(before, album, place):
    """Assert that every file of `before` is in its place, or its bytes in the trash."""
    now = content(album)
    kept = list(content(place).values()) if place.exists() else []
    for path, data in before.items():
        assert now.get(path) == data or data in kept


def test_duplicates_go_to_the_trash_and_come_back(album, tmp_path):
    before, place = content(album), tmp_path / "trash"
    outcome = apply(find_duplicates([album]).groups, place)
    assert sorted(Path(p).name for p in outcome.moved) == ["a2.png", "a3.png", "b2.png", "ü2.png"]
    assert outcome.left == ()
    assert sorted(Path(p).name for p in content(album)) == ["a1.png", "b1.png", "ü1.png"]
    assert undo(place).moved == outcome.moved
    assert content(album) == before
    assert content(place) == {}
    with pytest.raises(TrashError, match="nothing to undo"):
        undo(place)


def test_duplicates_that_are_not_sure_stay(album, tmp_path):
    groups = find_duplicates([album]).groups
    doubtful = [
        replace(group, duplicates=tuple(replace(twin, sure=False) for twin in group.duplicates))
        for group in groups[:1]
    ]
    outcome = apply([*doubtful, *groups[1:]], tmp_path / "trash")
    assert sorted(Path(p).name for p in outcome.moved) == ["b2.png", "ü2.png"]
    assert outcome.left == ()


def test_operations_are_undone_newest_first_whatever_the_clock_says(album, tmp_path):
    """Termstory #429: the order was read from the time in a name, and the clock was set back."""
    before, place = content(album), tmp_path / "trash"
    groups = find_duplicates([album]).groups
    first = apply(groups[:1], place)
    later = first.folder.stat().st_mtime + 1e6
    os.utime(first.folder, (later, later))
    second = apply(groups[1:], place)
    assert [outcome.folder.name for outcome in (first, second)] == ["000001", "000002"]
    assert undo(place).moved == second.moved
    assert undo(place).moved == first.moved
    assert content(album) == before


def test_an_operation_named_by_its_time_is_older_than_the_numbered_and_still_undone(
    album, tmp_path
):
    before, place = content(album), tmp_path / "trash"
    groups = find_duplicates([album]).groups
    first = apply(groups[:1], place)
    plan = first.folder / "facesearch-plan.jsonl"
    lines = [json.loads(line) for line in plan.read_text().splitlines()]
    for line in lines:
        line.pop("belongs_to", None)
    lines[0]["facesearch_trash"] = 1
    plan.write_text("".join(json.dumps(line) + "\n" for line in lines))
    first.folder.rename(place / "20991231-235959-abcdef")
    second = apply(groups[1:], place)
    assert second.folder.name == "000001"
    assert undo(place).moved == second.moved
    assert undo(place).moved == first.moved
    assert content(album) == before


def test_two_programs_never_get_one_number(tmp_path):
    (tmp_path / "000007").mkdir()
    folders = [trash._new_operation(tmp_path).name for _ in range(2)]
    assert folders == ["000008", "000009"]


# Companions


@pytest.fixture
def twins(tmp_path):
    """a.jpg and b.jpg of identical bytes; a.jpg has a note of its own, so it is kept."""
    folder = tmp_path / "twins"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (9, 9), "pink").save(folder / name)
    for name in ("a.jpg.xmp", "a.mov", "a.aae"):
        (folder / name).write_text(name)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["b.MOV", "b.xmp", "b.jpg.xmp", "b.AAE", "b.jpg.notes.json"])
def test_a_companion_goes_to_the_trash_with_its_photo_and_comes_back(twins, tmp_path, name):
    """Live photos, edits and ratings were orphaned beside a photo that was gone."""
    (twins / name).write_text("of b")
    before, place = names(twins), tmp_path / "trash"
    groups = find_duplicates([twins]).groups
    assert groups[0].duplicates[0].reason == f"identical bytes, with {name}"
    assert trash.companions_along(groups) == [str(twins / name)]
    outcome = apply(groups, place)
    assert outcome.moved == (str(twins / "b.jpg"), str(twins / name))
    assert names(twins) == ["a.aae", "a.jpg", "a.jpg.xmp", "a.mov"]
    assert undo(place).moved == outcome.moved
    assert names(twins) == before
    assert (twins / name).read_text() == "of b"


def test_a_companion_stays_with_a_photo_of_its_stem_that_stays(twins, tmp_path):
    for name in ("b.mov", "b.cr2"):
        (twins / name).write_text(name)
    outcome = apply(find_duplicates([twins]).groups, tmp_path / "trash")
    assert outcome.moved == (str(twins / "b.jpg"),)
    assert {"b.mov", "b.cr2"} <= set(names(twins))


def test_a_companion_of_two_photos_goes_with_the_last_of_them(twins, tmp_path):
    before = content(twins)
    (twins / "b.jpeg").write_bytes((twins / "b.jpg").read_bytes())
    (twins / "b.xmp").write_text("of both")
    groups = find_duplicates([twins]).groups
    outcome = apply(groups, tmp_path / "trash")
    assert [Path(path).name for path in outcome.moved] == ["b.jpeg", "b.jpg", "b.xmp"]
    undo(tmp_path / "trash")
    (twins / "b.jpg").write_bytes(b"changed")  # it will be left alone, and so has its companion
    outcome = apply(groups, tmp_path / "trash")
    assert [Path(path).name for path in outcome.moved] == ["b.jpeg"]
    assert [Path(path).name for path, _ in outcome.left] == ["b.jpg", "b.xmp"]
    assert content(twins) == before


def test_a_companion_stays_in_the_trash_while_its_photo_does(twins, tmp_path):
    (twins / "b.mov").write_text("of b")
    place = tmp_path / "trash"
    apply(find_duplicates([twins]).groups, place)
    (twins / "b.jpg").write_bytes(b"new")
    assert [Path(path).name for path, _ in undo(place).left] == ["b.jpg", "b.mov"]
    (twins / "b.jpg").unlink()
    assert [Path(path).name for path in undo(place).moved] == ["b.jpg", "b.mov"]


def test_newest_is_the_last_operation_that_is_not_undone(album, tmp_path):
    place = tmp_path / "trash"
    assert trash.newest(place) is None
    groups = find_duplicates([album]).groups
    first = apply(groups[:1], place)
    assert trash.newest(place) == first.folder
    undo(place, first.folder)
    assert trash.newest(place) is None


def test_files_in_the_trash_are_not_searched_for_duplicates(album):
    apply(find_duplicates([album]).groups, album / "trash")
    assert find_duplicates([album]).groups == ()


def test_a_file_that_has_changed_or_gone_is_left_alone(album, tmp_path):
    groups = find_duplicates([album]).groups
    (album / "2" / "a2.png").write_bytes(b"something else")
    (album / "3" / "a3.png").unlink()
    outcome = apply(groups, tmp_path / "trash")
    assert {Path(p).name: why for p, why in outcome.left} == {
        "a2.png": "it has changed",
        "a3.png": "it is gone or cannot be read",
    }
    assert (album / "2" / "a2.png").read_bytes() == b"something else"
    assert len(outcome.moved) == 2


@pytest.mark.parametrize("spoil", ["gone", "changed"])
def test_a_group_whose_keeper_has_gone_or_changed_is_left_alone(album, tmp_path, spoil):
    groups = find_duplicates([album]).groups
    keeper = album / "1" / "a1.png"
    keeper.unlink() if spoil == "gone" else keeper.write_bytes(b"other")
    outcome = apply(groups, tmp_path / "trash")
    assert {Path(p).name for p, _ in outcome.left} == {"a2.png", "a3.png"}
    assert (album / "2" / "a2.png").exists()


def test_a_file_that_has_become_a_link_to_the_keeper_is_left_alone(album, tmp_path):
    groups = find_duplicates([album]).groups
    for name, link in (("b2.png", os.link), ("ü2.png", os.symlink)):
        (album / "2" / name).unlink()
        link(album / "1" / name.replace("2", "1"), album / "2" / name)
    outcome = apply(groups, tmp_path / "trash")
    assert {Path(p).name for p, _ in outcome.left} == {"b2.png", "ü2.png"}


def test_a_file_that_may_not_be_moved_is_left_and_the_others_are_moved(
    album, tmp_path, monkeypatch
):
    groups, real = find_duplicates([album]).groups, Path.replace

    def refuse(path, target):
        if path.name == "a2.png":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    outcome = apply(groups, tmp_path / "trash")
    assert [(Path(p).name, why) for p, why in outcome.left] == [
        ("a2.png", "it cannot be moved: Permission denied")
    ]
    assert len(outcome.moved) == 3


def test_undo_never_replaces_a_newer_file(album, tmp_path):
    place = tmp_path / "trash"
    apply(find_duplicates([album]).groups, place)
    (album / "2" / "b2.png").write_bytes(b"new")
    outcome = undo(place)
    assert [Path(p).name for p, _ in outcome.left] == ["b2.png"]
    assert (album / "2" / "b2.png").read_bytes() == b"new"
    assert len(content(place)) == 1
    assert unfinished(place) == []
    (album / "2" / "b2.png").unlink()
    assert [Path(p).name for p in undo(place).moved] == ["b2.png"]


def crossing(patched):
    for owner, name in ((Path, "replace"), (Path, "rename"), (os, "link")):
        real = getattr(owner, name)

        def refuse(source, target, real=real):
            if Path(source).parent != Path(target).parent:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            return real(source, target)

        patched.setattr(owner, name, refuse)


@pytest.fixture
def other_disk(monkeypatch):
    """The trash is on another file system, where no rename and no link can reach."""
    crossing(monkeypatch)


def test_a_trash_on_another_disk_works_the_same_and_keeps_times(album, tmp_path, other_disk):
    before, place = content(album), tmp_path / "trash"
    os.utime(album / "2" / "b2.png", (1e9, 1e9))
    assert len(apply(find_duplicates([album]).groups, place).moved) == 4
    assert len(content(album)) == 3
    assert len(undo(place).moved) == 4
    assert content(album) == before
    assert (album / "2" / "b2.png").stat().st_mtime == 1e9
    assert not list(tmp_path.rglob(f".facesearch-{16 * '?'}.part"))


def test_a_full_trash_disk_loses_nothing(album, tmp_path, other_disk, monkeypatch):
    before, place = content(album), tmp_path / "trash"
    groups, copied = find_duplicates([album]).groups, []
    real = trash.shutil.copyfileobj

    def full(source, target):
        if len(copied) == 2:
            target.write(source.read(10))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copied.append(source)
        real(source, target)

    monkeypatch.setattr(trash.shutil, "copyfileobj", full)
    with pytest.raises(TrashError, match="No space left"):
        apply(groups, place)
    nothing_is_lost(before, album, place)
    assert not list(place.rglob("*.part"))
    (cut,) = unfinished(place)
    assert (cut.files, cut.undoing) == (4, False)
    monkeypatch.setattr(trash.shutil, "copyfileobj", real)
    undo(place)
    assert content(album) == before


def test_without_room_for_the_plan_nothing_is_moved(album, tmp_path, monkeypatch):
    before, groups = content(album), find_duplicates([album]).groups

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrashError, match="No space left"):
        apply(groups, tmp_path / "trash")
    assert content(album) == before
    assert unfinished(tmp_path / "trash") == []


class Killed(BaseException):
    """Stands for a kill: no code after it handles it."""


STEPS = ((Path, "replace"), (Path, "rename"), (Path, "unlink"), (os, "link"), (os, "fsync"))


def dying(monkeypatch, steps, *, after):
    """Raise Killed in place of every step after the first `after`, counted over all kinds."""
    count = [0]

    def wrapped(real):
        def step(*args, **options):
            count[0] += 1
            if count[0] > after:
                raise Killed
            return real(*args, **options)

        return step

    for owner, name in steps:
        monkeypatch.setattr(owner, name, wrapped(getattr(owner, name)))
    return count


@pytest.mark.slow
@pytest.mark.parametrize("way_out", ["finish", "undo"])
@pytest.mark.parametrize("disk", ["same disk", "other disk"])
def test_an_apply_killed_before_any_step_can_be_finished_or_undone(
    album, tmp_path, monkeypatch, request, way_out, disk
):
    before, groups = content(album), find_duplicates([album]).groups
    if disk == "other disk":
        crossing(monkeypatch)
    for after in range(200):
        place = tmp_path / f"trash {after}"
        with monkeypatch.context() as patched:
            dying(patched, STEPS, after=after)
            try:
                apply(groups, place)
                ended = True
            except Killed:
                ended = False
        nothing_is_lost(before, album, place)
        if way_out == "finish" and unfinished(place):
            assert finish(place)[0].left == ()
            assert len(content(album)) == 3
        if len(content(album)) < len(before) or unfinished(place):
            undo(place)
        assert content(album) == before
        assert unfinished(place) == []
        assert not list(tmp_path.rglob(f".facesearch-{16 * '?'}.part"))
        if ended:
            return
    raise AssertionError("the operation never finished")


@pytest.mark.slow
@pytest.mark.parametrize("disk", ["same disk", "other disk"])
def test_an_undo_killed_before_any_step_can_be_finished(album, tmp_path, monkeypatch, disk):
    before, groups = content(album), find_duplicates([album]).groups
    if disk == "other disk":
        crossing(monkeypatch)
    for after in range(200):
        place = tmp_path / f"trash {after}"
        apply(groups, place)
        with monkeypatch.context() as patched:
            dying(patched, STEPS, after=after)
            try:
                undo(place)
                return
            except Killed:
                nothing_is_lost(before, album, place)
        finish(place)
        if content(place):  # the undo had not begun
            undo(place)
        assert content(album) == before
        assert not list(tmp_path.rglob(f".facesearch-{16 * '?'}.part"))
        assert unfinished(place) == []
    raise AssertionError("the operation never finished")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork: 20 starts take half a minute")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("disk", ["same disk", "other disk"])
def test_no_photo_is_lost_and_undo_works_after_kills_at_random(album, tmp_path, monkeypatch, disk):
    before, place = content(album), tmp_path / "trash"
    groups, chance = find_duplicates([album]).groups, random.Random(4)
    if disk == "other disk":
        crossing(monkeypatch)
    cut_short = 0
    for _ in range(20):
        worker = os.fork()
        if worker == 0:
            try:
                while True:
                    apply(groups, place)
                    undo(place)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0, 0.1))
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        nothing_is_lost(before, album, place)
        cut = unfinished(place) if place.exists() else []
        assert len(cut) <= 1
        cut_short += len(cut)
        if cut or len(content(album)) < len(before):
            undo(place)
        assert content(album) == before
    assert cut_short > 0


def test_a_damaged_plan_is_refused(album, tmp_path):
    apply(find_duplicates([album]).groups, tmp_path / "trash")
    (plan,) = (tmp_path / "trash").glob("*/facesearch-plan.jsonl")
    lines = plan.read_text().splitlines()
    assert json.loads(lines[0]) == {"facesearch_trash": 2, "files": 4}
    plan.write_text("\n".join(lines[:-1]))
    with pytest.raises(TrashError, match="is not a plan that facesearch wrote"):
        undo(tmp_path / "trash")


def test_file_names_of_any_bytes_and_length_survive(tmp_path, album):
    for name in ("\udcff.png", "x" * 240 + ".png"):
        Image.new("RGB", (9, 9), "pink").save(album / name)
    before, groups = content(album), find_duplicates([album]).groups
    assert len(apply(groups, tmp_path / "trash").moved) == files_of(groups) == 5
    undo(tmp_path / "trash")
    assert content(album) == before
