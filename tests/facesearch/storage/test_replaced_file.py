"""The file of an open gallery is replaced, deleted or restored: noticed, and nothing is mixed."""

import os
import shutil
from contextlib import closing

import pytest
from gallery_rows import store_of
from gallery_steps import ADA, GRACE, HEDY, enroll, who

from facesearch.errors import GalleryError
from facesearch.gallery import Gallery
from facesearch.storage.sqlite import SQLiteFile
from facesearch.storage.store import Store

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows keeps open files where they are")


@pytest.fixture
def opened(make_gallery, shoot, home):
    """An open gallery of Ada and Grace, and a backup of it from when it held Ada alone."""
    gallery = make_gallery()
    enroll(gallery, ("Ada", shoot((ADA, 1))))
    gallery.upkeep.export(home / "backup.db")
    enroll(gallery, ("Grace", shoot((GRACE, 1))))
    assert who(gallery, shoot((GRACE, 9))) == ["Grace"]
    return gallery


def names(path, model):
    with Gallery(path, model, create=False) as gallery:
        assert gallery.upkeep.check() == []
        return [person.name for person in gallery.people.all()]


def test_a_backup_moved_over_an_open_gallery_is_noticed_and_harms_neither(
    opened, home, shoot, fake_model
):
    (home / "former.db").hardlink_to(opened.path)
    (home / "backup.db").replace(opened.path)
    for use in (
        lambda: enroll(opened, ("Hedy", shoot((HEDY, 1)))),
        lambda: who(opened, shoot((ADA, 9))),
        lambda: opened.people.rename("Ada", "Countess"),
        lambda: opened.people.all(),
        lambda: opened.forget("Ada"),
    ):
        with pytest.raises(GalleryError, match="was replaced by another file"):
            use()
    with Gallery(opened.path, fake_model) as restored:
        enroll(restored, ("Hedy", shoot((HEDY, 1))))
        opened.close()  # must not delete the logs of the file that is there now
        assert opened.path.with_name("gallery.db-wal").exists()
        enroll(restored, ("Hedy", shoot((HEDY, 2))))
    assert names(opened.path, fake_model) == ["Ada", "Hedy"]
    assert names(home / "former.db", fake_model) == ["Ada", "Grace"]


@pytest.mark.parametrize("copy", ["an older copy", "another gallery"])
def test_a_backup_copied_over_an_open_gallery_is_noticed(
    opened, make_gallery, home, shoot, fake_model, copy
):
    source = home / "backup.db"
    if copy == "another gallery":
        source = home / "other.db"
        with make_gallery(source) as other:
            for number in range(1, 6):
                enroll(other, ("Ada", shoot((ADA, number))))
    shutil.copyfile(source, opened.path)  # the file stays the same, its bytes do not
    with pytest.raises(GalleryError, match="was replaced by another file"):
        enroll(opened, ("Hedy", shoot((HEDY, 1))))
    opened.close()
    # looked at elsewhere: until the program ends, this process holds the file
    shutil.copyfile(opened.path, home / "elsewhere.db")
    assert names(home / "elsewhere.db", fake_model) == ["Ada"]


def test_a_gallery_that_another_program_writes_to_is_not_taken_for_a_replaced_one(
    opened, make_gallery, shoot
):
    other = make_gallery()
    for number in range(1, 4):
        enroll(other, ("Hedy", shoot((HEDY, number))))
        assert who(opened, shoot((HEDY, 9))) == ["Hedy"]
        opened.people.rename("Hedy", "Hedy K.")
        other.people.rename("Hedy K.", "Hedy")
    assert opened.upkeep.check() == other.upkeep.check() == []


def test_a_gallery_deleted_while_it_is_open_is_noticed(opened, shoot):
    opened.path.unlink()
    with pytest.raises(GalleryError, match="was deleted or moved away"):
        enroll(opened, ("Hedy", shoot((HEDY, 1))))
    opened.close()
    assert not opened.path.exists()


def test_a_file_replaced_inside_a_step_takes_nothing_of_the_step(opened, home, fake_model):
    store = store_of(opened)

    def add_while_it_is_replaced():
        with store.transaction():
            store.people.add("Hedy")
            (home / "backup.db").replace(opened.path)

    with pytest.raises(GalleryError, match="was replaced by another file"):
        add_while_it_is_replaced()
    assert names(opened.path, fake_model) == ["Ada"]


def test_what_was_stored_is_in_the_file_without_its_log(opened, home, fake_model):
    shutil.copy(opened.path, home / "copy.db")
    assert names(home / "copy.db", fake_model) == ["Ada", "Grace"]


def test_an_old_backup_beside_the_log_of_a_killed_program_is_refused_and_both_stay(
    opened, home, shoot, fake_model
):
    old, log = home / "old.db", home / "old.db-wal"
    shutil.copy(opened.path, old)
    enroll(opened, *((f"P{p}", shoot((p, 1))) for p in range(50, 130)))
    with closing(SQLiteFile.open(opened.path, create=False)) as reader, reader.snapshot():
        reader.rows("SELECT 1 FROM person")  # so that the log is kept
        enroll(opened, ("Hedy", shoot((HEDY, 1))))
        shutil.copy(opened.path.with_name("gallery.db-wal"), log)
    before = old.read_bytes(), log.read_bytes()
    with pytest.raises(GalleryError, match="do not fit together") as refused:
        Gallery(old, fake_model)
    assert "delete old.db-wal" in str(refused.value)
    assert (old.read_bytes(), log.read_bytes()) == before
    log.unlink()
    assert names(old, fake_model) == ["Ada", "Grace"]


def test_a_reader_that_cannot_write_notices_what_others_store(opened, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("facesearch.storage.sqlite.writable", lambda path: False)
        store_of(opened).close()
        reader = Store.open(opened.path, model="m", fingerprint="f", create=False)
    with closing(reader), closing(SQLiteFile.open(opened.path, create=False)) as writer:
        assert (reader.read_only, reader.people.names()) == (True, ["Ada", "Grace"])
        with writer.transaction():
            writer.execute("UPDATE person SET name = 'Countess' WHERE name = 'Ada'")
        assert reader.people.names() == ["Countess", "Grace"]
        with reader.snapshot():
            assert reader.people.names() == ["Countess", "Grace"]
