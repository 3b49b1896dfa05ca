"""A copy put back: other programs go on, what was there is kept, nothing is mixed."""

import sqlite3
from contextlib import closing

import pytest
from fake_model import FakeModel
from gallery_steps import ADA, GRACE, HEDY, enroll, who

from facesearch import Gallery
from facesearch.errors import EmbeddingMismatch, GalleryError
from facesearch.gallery import restore_gallery


@pytest.fixture
def backup(fake_gallery, shoot, tmp_path):
    """A copy of the gallery with Ada; Grace was enrolled since."""
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))))
    fake_gallery.upkeep.export(tmp_path / "backup.db")
    enroll(fake_gallery, ("Grace", shoot((GRACE, 1))))
    return tmp_path / "backup.db"


def names(gallery):
    return [person.name for person in gallery.people.all()]


def restored(backup, gallery):
    opened, kept = restore_gallery(backup, gallery.path, FakeModel())
    opened.close()
    return kept


def test_a_program_that_has_the_gallery_open_goes_on_with_the_restored_one(
    fake_gallery, backup, shoot
):
    assert who(fake_gallery, shoot((GRACE, 2))) == ["Grace"]
    restored(backup, fake_gallery)
    assert names(fake_gallery) == ["Ada"]
    assert who(fake_gallery, shoot((GRACE, 2), (ADA, 2))) == [None, "Ada"]
    enroll(fake_gallery, ("Hedy", shoot((HEDY, 1))))
    assert who(fake_gallery, shoot((HEDY, 2), (ADA, 3))) == ["Hedy", "Ada"]
    assert fake_gallery.upkeep.check() == []
    with Gallery(fake_gallery.path, FakeModel()) as again:
        assert names(again) == ["Ada", "Hedy"]


def test_what_the_gallery_held_before_is_kept_and_can_be_restored(fake_gallery, backup, shoot):
    first = restored(backup, fake_gallery)
    with Gallery(first, FakeModel()) as before:
        assert names(before) == ["Ada", "Grace"]
        assert before.upkeep.check() == []
    second = restored(first, fake_gallery)
    assert second != first
    assert names(fake_gallery) == ["Ada", "Grace"]
    assert who(fake_gallery, shoot((GRACE, 2))) == ["Grace"]


def test_a_decision_made_before_the_copy_can_still_be_undone(fake_gallery, backup):
    restored(backup, fake_gallery)
    assert [decision.kind for decision in fake_gallery.history.list()] == ["enroll"]
    fake_gallery.history.undo(1)
    assert names(fake_gallery) == []
    assert fake_gallery.upkeep.check() == []


def test_a_damaged_gallery_is_set_aside_with_its_log(fake_gallery, backup):
    path = fake_gallery.path
    fake_gallery.close()
    path.write_bytes(b"SQLite format 3\0" + bytes(4000))
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"left by a kill")
    kept = restored(backup, fake_gallery)
    assert kept.read_bytes().startswith(b"SQLite format 3\0\0\0")
    assert kept.with_name(kept.name + "-wal").read_bytes() == b"left by a kill"
    with Gallery(path, FakeModel()) as gallery:
        assert names(gallery) == ["Ada"]
        assert gallery.upkeep.check() == []


def test_a_gallery_that_is_gone_is_made_of_the_copy(fake_gallery, backup, tmp_path):
    opened, kept = restore_gallery(backup, tmp_path / "new" / "gallery.db", FakeModel())
    with opened:
        assert (names(opened), kept) == (["Ada"], None)


@pytest.mark.parametrize("what", ["no gallery", "a damaged one", "another model's"])
def test_nothing_changes_if_the_copy_cannot_be_used(fake_gallery, backup, what, tmp_path):
    model = FakeModel()
    if what == "no gallery":
        backup.write_bytes(b"a text")
    elif what == "a damaged one":
        with closing(sqlite3.connect(backup)) as copy, copy:
            copy.execute("UPDATE face SET score = score / 2")
    else:
        model.fingerprint = "another"
    with pytest.raises((GalleryError, EmbeddingMismatch)):
        restore_gallery(backup, fake_gallery.path, model)
    assert names(fake_gallery) == ["Ada", "Grace"]
    assert not list(fake_gallery.path.parent.glob("*restor*"))
