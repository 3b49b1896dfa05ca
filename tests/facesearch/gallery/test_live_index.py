"""The index of an open gallery and its file: a cache that never decides."""

import signal
import subprocess
import sys
from pathlib import Path

import fake_model
import pytest
from gallery_rows import live_index_of, run_script, store_of
from gallery_steps import ADA, GRACE, STRANGER, enroll, statuses, who

from facesearch.errors import GalleryError
from facesearch.gallery import live_index


def test_impostor_statistics_are_refitted_once_enough_templates_are_new(trio, shoot, monkeypatch):
    fits = []
    live = live_index_of(trio)
    fit = live._fit
    monkeypatch.setattr(live, "_fit", lambda: fits.append(1) or fit())
    monkeypatch.setattr(live_index, "REBUILD_SHARE", 10)  # enrolling does not refit here
    enroll(trio, ("Mary", shoot((50, 1))))
    who(trio, shoot((ADA, 3)))
    assert len(fits) == 1  # a small gallery is refitted after every change
    monkeypatch.setattr(live_index, "REFIT_SHARE", 0.3)  # as if the gallery held thousands
    enroll(trio, ("Kay", shoot((60, 1))))
    assert who(trio, shoot((60, 2))) == ["Kay"]
    assert len(fits) == 1
    for number in (70, 80, 90):
        enroll(trio, (f"Number {number}", shoot((number, 1))))
    who(trio, shoot((ADA, 3)))
    assert len(fits) == 2


def test_two_open_galleries_see_each_others_changes_at_the_next_call(trio, make_gallery, shoot):
    other = make_gallery()
    assert who(other, shoot((STRANGER, 9))) == [None]
    enroll(trio, ("Mary", shoot((STRANGER, 1))))
    assert who(other, shoot((STRANGER, 9))) == ["Mary"]
    other.forget("Mary")
    assert who(trio, shoot((STRANGER, 9))) == [None]
    trio.people.rename("Ada", "Countess")
    assert who(other, shoot((ADA, 9))) == ["Countess"]
    assert trio.upkeep.check() == other.upkeep.check() == []


def test_an_open_gallery_answers_like_one_that_was_just_opened(trio, make_gallery, shoot):
    probes = [shoot((number, 9)) for number in (ADA, GRACE, STRANGER)]
    list(trio.identify(probes))
    enroll(trio, ("Ada", shoot((ADA, 3))), ("Grace", shoot((GRACE, 3))))
    assert list(trio.identify(probes)) == list(make_gallery().identify(probes))


# The index file is a cache


@pytest.fixture
def filed(make_gallery, shoot, monkeypatch):
    """The path of a closed gallery of 20 people, one picture each, with an index file."""
    monkeypatch.setattr(live_index, "INDEX_FILE_FROM", 5)
    gallery = make_gallery()
    enroll(gallery, *((f"P{p}", shoot((p, 1))) for p in range(1, 21)))
    assert gallery.upkeep.rebuild() == 20
    gallery.close()
    return gallery.path


def index_files(path):
    return sorted(path.with_name(path.name + "-index").iterdir())


def assert_right(gallery, shoot, people=range(1, 21)):
    """Assert that `people` are at rank 1, a stranger gets no name, and `check` finds nothing."""
    (*found, stranger) = gallery.identify([*(shoot((p, 9)) for p in people), shoot((99, 9))])
    assert [photo.faces[0].candidates[0].person for photo in found] == [f"P{p}" for p in people]
    assert stranger.faces[0].person is None
    assert gallery.upkeep.check() == []


def test_an_intact_index_file_is_used(filed, make_gallery, shoot, monkeypatch):
    (file,) = index_files(filed)
    monkeypatch.setattr(
        "facesearch.storage.templates.Templates.all", None
    )  # only a rebuild reads all templates
    gallery = make_gallery()
    with store_of(gallery).snapshot():
        assert len(live_index_of(gallery)._load().index) == 20
    assert index_files(filed) == [file]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-700] + bytes([content[-700] ^ 4]) + content[-699:],
        lambda content: bytes(len(content)),
        lambda content: b"",
    ],
    ids=["truncated", "flipped", "zeroed", "empty"],
)
def test_a_damaged_index_file_is_rebuilt(filed, make_gallery, shoot, spoil, caplog):
    (file,) = index_files(filed)
    file.write_bytes(spoil(file.read_bytes()))
    assert_right(make_gallery(), shoot)
    assert "deleted and not used" in caplog.text
    assert [f.stat().st_size > 1000 for f in index_files(filed)] == [True]


def test_an_outdated_index_file_is_brought_up_to_date(filed, make_gallery, shoot, monkeypatch):
    (file,) = index_files(filed)
    older = file.read_bytes()
    gallery = make_gallery()
    enroll(gallery, ("P21", shoot((21, 1))))
    gallery.forget("P3")
    gallery.close()
    for other in index_files(filed):
        other.unlink()
    file.write_bytes(older)
    assert_right(make_gallery(), shoot, [p for p in range(1, 22) if p != 3])


def test_an_index_file_is_renewed_once_a_tenth_of_the_gallery_is_newer(filed, make_gallery, shoot):
    (first,) = index_files(filed)
    gallery = make_gallery()
    enroll(gallery, ("P21", shoot((21, 1))))
    who(gallery, shoot((1, 9)))
    assert index_files(filed) == [first]
    enroll(gallery, *((f"P{p}", shoot((p, 1))) for p in (22, 23)))
    who(gallery, shoot((1, 9)))
    (second,) = index_files(filed)
    assert second != first


def restore(copy, path):
    """Replace the gallery file with an older copy, as people do."""
    path.write_bytes(copy)


@pytest.mark.parametrize("again", [0, 5, 12], ids=["fewer", "as many", "more"])
def test_an_index_ahead_of_its_database_is_never_used_mem0_7117(filed, make_gallery, shoot, again):
    """An old copy of the database is restored, but the index file of the lost faces stays.

    Faces enrolled after that get the ids of the lost ones.
    """
    copy = filed.read_bytes()
    gallery = make_gallery()
    enroll(gallery, *((f"Lost{p}", shoot((p, 1))) for p in range(31, 36)))
    who(gallery, shoot((1, 9)))
    (ahead,) = index_files(filed)
    assert "-25-" in ahead.name
    gallery.close()
    restore(copy, filed)
    gallery = make_gallery()
    newer = [(f"P{p}", shoot((p, 1))) for p in range(21, 21 + again)]
    assert statuses(enroll(gallery, *newer)) == ["enrolled"] * again
    gallery.close()
    assert_right(make_gallery(), shoot, range(1, 21 + again))


def test_an_open_gallery_notices_that_its_file_was_restored(filed, make_gallery, shoot):
    gallery = make_gallery()
    enroll(gallery, ("Lost", shoot((31, 1))))
    assert who(gallery, shoot((31, 9))) == ["Lost"]
    # like a restore by SQLite's backup: the change is gone and its number is used again
    run_script(
        gallery,
        "PRAGMA foreign_keys = OFF; DELETE FROM template WHERE id = 21;"
        "DELETE FROM face WHERE id = 21;"
        "DELETE FROM photo WHERE id = 21; DELETE FROM person WHERE id = 21;"
        "DELETE FROM decision WHERE id = 21; DELETE FROM change WHERE seq > 20;"
        "UPDATE sqlite_sequence SET seq = 20;",
    )
    with make_gallery() as other:
        enroll(other, ("P21", shoot((21, 1))))
    assert who(gallery, shoot((31, 9))) == [None]
    assert_right(gallery, shoot, range(1, 22))


def test_an_index_file_of_another_gallery_is_not_used(filed, home, make_gallery, shoot):
    other = make_gallery(home / "other.db")
    enroll(other, *((f"P{p}", shoot((p, 1))) for p in range(20, 0, -1)))
    other.upkeep.rebuild()
    (foreign,) = index_files(other.path)
    (own,) = index_files(filed)
    own.unlink()
    foreign.rename(own.with_name(foreign.name))
    assert_right(make_gallery(), shoot)
    assert index_files(filed)[0].name != foreign.name


def test_an_index_file_of_another_gallery_under_the_right_name_is_not_used(
    filed, home, make_gallery, shoot
):
    other = make_gallery(home / "other.db")
    enroll(other, *((f"P{p}", shoot((p, 1))) for p in range(20, 0, -1)))
    other.upkeep.rebuild()
    (own,) = index_files(filed)
    own.write_bytes(index_files(other.path)[0].read_bytes())
    assert_right(make_gallery(), shoot)


def test_an_index_file_newer_than_a_restored_export_is_not_used(filed, make_gallery, shoot, home):
    with make_gallery() as gallery:
        gallery.upkeep.export(home / "export.db")
        gallery.forget("P1")
        enroll(gallery, ("P1", shoot((50, 1))))
        gallery.upkeep.rebuild()
    restore((home / "export.db").read_bytes(), filed)
    assert_right(make_gallery(), shoot)


def test_a_rolled_back_enrollment_is_not_in_the_index(filed, make_gallery, shoot, monkeypatch):
    gallery = make_gallery()
    log = store_of(gallery).decisions
    append = log.append

    def full(*arguments, **options):
        append(*arguments, **options)
        raise GalleryError("the disk is full")

    who(gallery, shoot((1, 9)))
    monkeypatch.setattr(log, "append", full)
    with pytest.raises(GalleryError):
        enroll(gallery, ("Mallory", shoot((50, 1))))
    monkeypatch.setattr(log, "append", append)
    assert_right(gallery, shoot)


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "tempfile.mkstemp"])
def test_a_failed_save_of_the_index_does_not_affect_answers(
    filed, make_gallery, shoot, call, monkeypatch
):
    index_files(filed)[0].unlink()
    monkeypatch.setattr(call, lambda *_, **__: (_ for _ in ()).throw(OSError(28, "no space")))
    assert_right(make_gallery(), shoot)
    assert index_files(filed) == []


SAVE_AND_DIE = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from fake_model import FakeModel
import facesearch.gallery.live_index, facesearch_indexes.files
facesearch.gallery.live_index.INDEX_FILE_FROM = 5
left = {fault}
def dying(call):
    def dies(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*arguments, **options)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return dies
os.fsync, Path.replace, Path.unlink = dying(os.fsync), dying(Path.replace), dying(Path.unlink)
gallery = facesearch.gallery.Gallery(Path({path!r}), FakeModel())
gallery.{action}
print("done")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot be killed like that")
@pytest.mark.parametrize("action", ["upkeep.rebuild()", "forget('P20')"])
def test_killed_at_every_fsync_rename_and_deletion_everyone_is_still_found(
    filed, make_gallery, shoot, action
):
    for fault in range(1, 20):
        code = SAVE_AND_DIE.format(
            tests=str(Path(fake_model.__file__).parent), fault=fault, path=str(filed), action=action
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        with make_gallery() as gallery:
            gone = done.returncode == 0 or action.startswith("forget")
            people = range(1, 20) if gone and "forget" in action else range(1, 21)
            assert_right(gallery, shoot, people)
            if "forget" in action:
                enroll(gallery, ("P20", shoot((20, 1))))
            gallery.upkeep.rebuild()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert fault > 2


def test_the_index_file_is_private(filed):
    assert filed.with_name(filed.name + "-index").stat().st_mode & 0o77 == 0
