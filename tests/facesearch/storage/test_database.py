"""What every Database has to do, whatever holds the tables; and a whole gallery on each."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from deciding import dismiss, reject
from gallery_rows import store_of
from memory_database import MemoryDatabase, MemoryFiles

from facesearch.boxes import FacePlace
from facesearch.errors import GalleryError
from facesearch.gallery import Gallery
from facesearch.storage.schema import SCHEMA_VERSION
from facesearch.storage.sqlite import SQLiteFile
from facesearch.storage.store import Store, bring_up_to_date


def sqlite_file(path):
    file = SQLiteFile.open(path, create=True)
    bring_up_to_date(file)
    return file


@pytest.fixture(params=[sqlite_file, MemoryDatabase], ids=["file", "memory"])
def db(request, home):
    database = request.param(home / "gallery.db")
    yield database
    database.close()


def add(db, *names):
    return [db.insert("person", {"name": name, "created_at": "2026-01-01"}) for name in names]


def names(db):
    return [name for (name,) in db.rows("SELECT name FROM person ORDER BY id")]


def test_a_new_database_is_empty_sound_and_up_to_date(db):
    assert db.schema_version == SCHEMA_VERSION
    assert (db.check(), names(db), db.read_only) == ([], [], False)


def test_rows_are_tuples_and_ids_are_never_used_again(db):
    with db.transaction():
        assert add(db, "Ada", "Grace") == [1, 2]
        db.execute("DELETE FROM person WHERE name = ?", ("Grace",))
        assert add(db, "Hedy") == [3]
    assert db.rows("SELECT id, name FROM person WHERE id > ?", (0,)) == [(1, "Ada"), (3, "Hedy")]


@pytest.mark.parametrize("fault", [ZeroDivisionError, KeyboardInterrupt, GalleryError])
def test_a_transaction_that_fails_leaves_nothing(db, fault):
    with db.transaction():
        add(db, "Ada")

    def fail():
        with db.transaction():
            add(db, "Mallory")
            db.execute("DELETE FROM person WHERE name = 'Ada'")
            assert names(db) == ["Mallory"]
            raise fault

    with pytest.raises(fault):
        fail()
    assert names(db) == ["Ada"]
    with db.transaction():
        add(db, "Grace")
    assert names(db) == ["Ada", "Grace"]


def test_what_is_stored_outside_a_transaction_is_stored_at_once(db):
    add(db, "Ada")
    with suppress(ZeroDivisionError), db.transaction():
        raise ZeroDivisionError
    assert names(db) == ["Ada"]


@pytest.mark.parametrize("outer", ["transaction", "snapshot"])
@pytest.mark.parametrize("inner", ["transaction", "snapshot"])
def test_steps_do_not_nest_and_the_outer_one_goes_on(db, outer, inner):
    with getattr(db, outer)():
        add(db, "Ada")
        with pytest.raises(GalleryError), getattr(db, inner)():
            pass
        assert names(db) == ["Ada"]
    assert names(db) == (["Ada"] if outer == "transaction" else [])


def test_many_ids_are_asked_for_in_one_call(db):
    with db.transaction():
        ids = add(db, *(f"P{number}" for number in range(1234)))
    sql = "SELECT id FROM person WHERE id IN (?)"
    assert sorted(i for (i,) in db.rows_for(sql, [*ids, 99_999])) == ids
    assert list(db.rows_for(sql, [])) == []


def test_a_statement_runs_once_for_each_row(db):
    with db.transaction():
        add(db, "Ada", "Grace", "Hedy")
        db.executemany("DELETE FROM person WHERE name = ?", [("Ada",), ("Hedy",)])
        db.executemany("DELETE FROM person WHERE name = ?", [])
    assert names(db) == ["Grace"]


def test_what_refers_to_nothing_is_refused_or_named(db):
    def refer():
        db.insert("not_same", {"person_a": 1, "person_b": 2})

    with pytest.raises(Exception, match="FOREIGN KEY"):
        refer()
    db.execute("PRAGMA foreign_keys = OFF")
    refer()
    assert set(db.check()) == {"a row of not_same refers to a row of person that is not there"}


def test_who_may_not_write_may_read(db):
    add(db, "Ada")
    db.read_only = True
    with pytest.raises(GalleryError, match="cannot be written"), db.transaction():
        pass
    with db.snapshot():
        assert names(db) == ["Ada"]


def test_threads_take_turns_at_writing(db):
    add(db, "0")

    def count_on(times):
        for _ in range(times):
            with db.transaction():
                ((number,),) = db.rows("SELECT name FROM person")
                db.execute("UPDATE person SET name = ?", (str(int(number) + 1),))

    threads = [threading.Thread(target=count_on, args=(25,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(db) == ["100"]


def test_another_thread_reads_a_transaction_when_it_is_over(db):
    seen, started = [], threading.Event()

    def read():
        started.set()
        seen.append(names(db))

    with db.transaction():
        add(db, "Ada")
        reader = threading.Thread(target=read)
        reader.start()
        started.wait()
        add(db, "Grace")
    reader.join()
    assert seen == [["Ada", "Grace"]]


def test_another_threads_change_waits_for_the_end_of_a_snapshot(db):
    started = threading.Event()

    def write():
        started.set()
        with db.transaction():
            add(db, "Ada")

    writer = threading.Thread(target=write)
    with db.snapshot():
        before = names(db)
        writer.start()
        started.wait()
        assert names(db) == before == []
    writer.join()
    assert names(db) == ["Ada"]


def bytes_of(db):
    if isinstance(db, MemoryDatabase):
        return db.connection.serialize()
    files = db.path.parent.glob(db.path.name + "*")
    return b"".join(file.read_bytes() for file in files)


def test_erasing_leaves_no_byte_of_what_was_deleted_and_all_else(db):
    with db.transaction():
        add(db, "Ada", *("Zoë Lindqvist" + str(number) for number in range(200)))
    assert b"Lindqvist" in bytes_of(db)
    with db.transaction():
        db.execute("DELETE FROM person WHERE name <> 'Ada'")
    db.erase()
    assert b"Lindqvist" not in bytes_of(db)
    assert (names(db), db.check(), db.schema_version) == (["Ada"], [], SCHEMA_VERSION)
    assert add(db, "Grace") == [202]


def test_a_copy_has_every_row_but_for_the_change(db, tmp_path):
    add(db, "Ada", "Grace")
    target = tmp_path / "copies" / "copy.db"
    db.copy(target, "UPDATE person SET name = ? WHERE name = 'Grace'", "Hedy")
    assert [file.name for file in target.parent.iterdir()] == ["copy.db"]
    with closing(SQLiteFile.open(target, create=False)) as copy:
        assert (names(copy), copy.check(), copy.schema_version) == (
            ["Ada", "Hedy"],
            [],
            SCHEMA_VERSION,
        )
    assert names(db) == ["Ada", "Grace"]


def test_a_copy_never_replaces_a_file(db, tmp_path):
    target = tmp_path / "copy.db"
    target.write_text("something else")
    with pytest.raises(GalleryError, match="is there already"):
        db.copy(target, "UPDATE person SET name = name")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["copy.db"]
    assert target.read_text() == "something else"


def test_a_copy_that_cannot_be_written_leaves_no_half(db, tmp_path):
    (tmp_path / "note").touch()
    with pytest.raises(GalleryError):
        db.copy(tmp_path / "note" / "copy.db", "UPDATE person SET name = name")
    assert not list(tmp_path.glob("*copy*"))


# A gallery on each


def test_what_the_nouns_store_is_sound(db):
    store = Store(db)
    db.execute(
        "INSERT INTO gallery (id, generation, model, fingerprint, created_at) "
        "VALUES (1, 'beef', 'fake', 'fa4e', '2026-01-01')"
    )
    with store.transaction():
        people = [store.people.add(name) for name in ("Ada", "Grace")]
        store.journal().insert("not_same", dict(zip(("person_a", "person_b"), people, strict=True)))
        store.unnamed.keep({store.unnamed.next_id(): [FacePlace("f" * 64, (0, 0, 9, 9))]}, [])
        store.decisions.append("not-same", person_id=people[0], others=people[1:])
    assert store.verdicts.people_apart() == {(1, 2)}
    assert [row.box for row in store.unnamed.in_photo("f" * 64)] == [(0, 0, 9, 9)]
    assert [row.kind for run in store.decisions.newest() for row in run] == ["not-same"]
    assert (store.problems(), store.templates.seq(), store.templates.stamp(0)) == ([], 0, "beef")


@pytest.fixture(params=["file", "memory"])
def open_gallery(request, home, fake_model, monkeypatch):
    if request.param == "memory":
        monkeypatch.setattr("facesearch.storage.store.SQLiteFile", MemoryFiles())
    return lambda: Gallery(home / "gallery.db", fake_model)


def test_a_gallery_goes_its_whole_way_wherever_it_is_stored(open_gallery, shoot, tmp_path):
    ada, grace, stranger = 10, 20, 40
    with open_gallery() as gallery:
        pairs = [
            ("Ada", shoot((ada, 1))),
            ("Augusta", shoot((ada, 2))),
            ("Grace", shoot((grace, 1))),
        ]
        assert [done.status for done in gallery.enroll(pairs)] == ["enrolled"] * 3
        gallery.people.merge(["Augusta"], "Ada")
        dismiss(gallery, shoot((stranger, 1)), "stranger")
        reject(gallery, shoot((grace, 1)), "Grace")
    with open_gallery() as gallery:
        gallery.history.undo()
        probes = list(gallery.identify([shoot((ada, 9), (grace, 9)), shoot((stranger, 1))]))
        assert [f.person for photo in probes for f in photo.faces] == ["Ada", "Grace", None]
        (group,) = gallery.review.cluster([shoot((stranger, k)) for k in (2, 3)]).groups
        gallery.review.name_group(group, "Hedy")
        gallery.forget("Ada")
        assert [person.name for person in gallery.people.all()] == ["Grace", "Hedy"]
        assert gallery.upkeep.check() == []
        gallery.upkeep.export(tmp_path / "copy.db")
        assert not store_of(gallery).erasure_is_due()
    with closing(Store(SQLiteFile.open(tmp_path / "copy.db", create=False))) as copy:
        assert copy.problems() == []
        assert copy.people.names() == ["Grace", "Hedy"]


# The file alone

WRITE_AND_WAIT = """
import sys
from pathlib import Path
from facesearch.storage.sqlite import SQLiteFile
file = SQLiteFile.open(Path({file!r}), create=False)
sql = "INSERT INTO person (name, created_at) VALUES (?, '2026-01-01')"
with file.transaction():
    file.execute(sql, ("stored",))
with file.transaction():
    file.execute(sql, ("not yet",))
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot be killed like that")
def test_a_program_killed_inside_a_transaction_leaves_what_it_had_stored_before(home):
    file = home / "gallery.db"
    sqlite_file(file).close()
    code = WRITE_AND_WAIT.format(file=str(file))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as writer:
        assert writer.stdout.readline() == b"written\n"
        os.kill(writer.pid, signal.SIGKILL)
    with closing(SQLiteFile.open(file, create=False)) as opened:
        assert (names(opened), opened.check()) == (["stored"], [])
