"""The gallery file: what opens, what is refused in one sentence, and that faults lose nothing."""

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlite_utils
from fake_model import embedding, kept_picture

from facesearch.errors import FacesearchError, GalleryError, NewerGallery
from facesearch.gallery import Gallery, import_gallery
from facesearch.storage import migrations, schema, sqlite
from facesearch.storage.rows import FaceRow
from facesearch.storage.seals import seal
from facesearch.storage.store import Store


def open_store(path, create=True):
    return Store.open(path, model="fake", fingerprint="fa4e", create=create)


def add_face(opened, name, number, path="/photos/somebody.png"):
    person = opened.people.id_of(name) or opened.people.add(name)
    face = FaceRow((0.0, 0.0, 50.0, 60.0), np.zeros((5, 2), np.float32), 0.9, 100.0)
    photo = kept_picture(f"{number:064x}"), path
    vector, journal = embedding(number, 0), opened.journal()
    face_id = opened.faces.insert(journal, person, photo, face, vector, "fa4e", "human")
    opened.decisions.append("enroll", person_id=person, face_id=face_id)
    return journal.changes[-1].id


def add_and_fail(opened, name, first=lambda: None):
    with opened.transaction():
        add_face(opened, name, 99)
        first()
        raise ZeroDivisionError


def add_faces(opened, name, numbers):
    """Store faces, each in a transaction of its own."""
    for number in numbers:
        with opened.transaction():
            add_face(opened, name, number)


def names(path):
    with closing(open_store(path, create=False)) as opened:
        return [person.name for person in opened.people.all()]


def refusal(path, kind=GalleryError, create=True):
    """Return the one sentence with which opening `path` is refused."""
    with pytest.raises(kind) as caught:
        open_store(path, create).close()
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


@pytest.fixture
def file(home):
    return home / "gallery.db"


@pytest.fixture
def filled(file):
    """A closed gallery of Ada and Grace."""
    with closing(open_store(file)) as opened, opened.transaction():
        for number in range(40):
            add_face(opened, ("Ada", "Grace")[number % 2], number)
    return file


@pytest.fixture
def unprivileged():
    """A folder that this process, without root's rights, can be forbidden to write to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        if os.getuid() == 0:
            if not hasattr(os, "setresuid"):
                pytest.skip("root may write anywhere")
            os.chown(folder, 65534, 65534)
            os.setresuid(65534, 65534, 0)
        try:
            yield folder
        finally:
            if os.getresuid()[2] == 0:
                os.setresuid(0, 0, 0)
            folder.chmod(0o777)


def test_stored_rows_are_there_after_closing(filled):
    with closing(open_store(filled)) as opened:
        assert [(p.name, p.templates) for p in opened.people.all()] == [("Ada", 20), ("Grace", 20)]
        ids, rows = opened.templates.all()
        assert ids.tolist() == list(range(1, 41))
        assert np.allclose(rows, [embedding(n, 0) for n in range(40)], atol=1e-3)
        assert opened.problems() == []


def test_every_pragma_that_protects_the_file_is_on(filled):
    with closing(open_store(filled)) as opened:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "application_id")
        values = [opened.db.rows(f"PRAGMA {pragma}")[0][0] for pragma in pragmas]
        assert values == ["wal", 2, 1, 1, schema.APPLICATION_ID]
        tables = opened.db.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        ours = [sql for name, sql in tables if not name.startswith(("sqlite_", "_sqlite_"))]
        assert len(ours) == 16
        assert all(
            sql.endswith("STRICT") or name == "change" for name, sql in tables if sql in ours
        )


def test_a_gallery_that_is_up_to_date_opens_without_sqlite_utils(filled):
    code = (
        "import sys; from pathlib import Path; from facesearch.storage.store import Store;"
        f"Store.open(Path({str(filled)!r}), model='m', fingerprint='f', create=False).close();"
        "assert 'sqlite_utils' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def old_gallery(path, before="m002_stamped_changes_and_due_scrubs"):
    """Make a gallery of the schema before the step `before`, with one person."""
    db = sqlite_utils.Database(path)
    migrations.migrations.apply(db, stop_before=before)
    db.execute("INSERT INTO gallery VALUES (1, 'beef', 'fake', 'fa4e', '2026-01-01')")
    db.execute("INSERT INTO person (name, created_at) VALUES ('Ada', '2026-01-01')")
    db.close()


def test_a_gallery_of_an_older_schema_is_brought_up_to_date(file):
    old_gallery(file)
    with closing(open_store(file)) as opened:
        assert opened.db.rows("PRAGMA user_version") == [(schema.SCHEMA_VERSION,)]
        with opened.transaction():
            add_face(opened, "Ada", 1)
        assert opened.templates.stamp(0) == "beef"
        assert re.fullmatch("beef[0-9a-f]{16}", opened.templates.stamp(1))
        assert opened.problems() == []


def gallery_of_schema_2(path):
    """Make a gallery of schema 2: Ada, once Augusta, with a face."""
    old_gallery(path, "m003_curation")
    values = [f"{1:064x}", "/ada.png", np.zeros((5, 2), "<f4").tobytes()]
    vector = embedding(1, 0).astype("<f2").tobytes()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO photo VALUES (1, ?, ?, 100, 100, '2026-01-01')", values[:2])
        db.execute(
            "INSERT INTO face VALUES (1, 1, 1, 'human', 0, 0, 50, 60, ?, 0.9, 100)", values[2:]
        )
        db.execute("INSERT INTO template VALUES (1, 1, 'fa4e', ?)", (vector,))
        db.execute(
            "INSERT INTO decision VALUES (1, '2026-01-01', 'human', 'enroll', 1, 1, '{}', NULL)"
        )
        renamed = '{"from": "Augusta \\u00fc", "to": "Ada"}'
        db.execute(
            "INSERT INTO decision VALUES (2, '2026-01-02', 'human', 'rename', 1, NULL, ?, NULL)",
            (renamed,),
        )


def test_a_decision_of_schema_2_can_be_undone_after_the_migration(file, fake_model):
    gallery_of_schema_2(file)
    with Gallery(file, replace(fake_model, fingerprint="fa4e")) as gallery:
        assert gallery.upkeep.check() == []
        enrolled, renamed = gallery.history.list()[::-1]
        assert (enrolled.summary, enrolled.photo) == ("enrolled 1 face of Ada", "/ada.png")
        assert renamed.summary == "renamed Augusta ü to Ada"
        gallery.history.undo()
        assert [person.name for person in gallery.people.all()] == ["Augusta ü"]
        gallery.history.undo()
        assert gallery.people.all() == []
        assert gallery.upkeep.check() == []


def test_an_export_of_schema_2_can_be_imported(file, home, fake_model):
    gallery_of_schema_2(file)
    model = replace(fake_model, fingerprint="fa4e")
    with import_gallery(file, home / "new.db", model) as gallery:
        assert [person.name for person in gallery.people.all()] == ["Ada"]
        assert gallery.history.list()[0].summary == "renamed Augusta ü to Ada"


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE decision SET payload = '{' WHERE id = 3", "1 decision(s) that cannot be read"),
        ("UPDATE decision SET undoes = 7 WHERE id = 3", "1 decision(s) that undo a later one"),
        (
            "INSERT INTO rejection SELECT 1, content_hash, box_left, box_top, box_right, "
            "box_bottom, person_id FROM face JOIN photo ON photo.id = photo_id WHERE face.id = 3",
            "1 face(s) enrolled as a person who a human said they are not",
        ),
        (
            "INSERT INTO dismissal SELECT 1, content_hash, box_left, box_top, box_right, "
            "box_bottom, 'stranger' FROM face JOIN photo ON photo.id = photo_id WHERE face.id = 3",
            "1 face(s) enrolled that a human dismissed",
        ),
        (
            "PRAGMA foreign_keys = OFF; INSERT INTO not_same VALUES (1, 1, 99)",
            "a row of not_same refers to a row of person that is not there",
        ),
    ],
)
def test_rows_that_contradict_each_other_are_problems(filled, damage, problem):
    with closing(open_store(filled)) as opened:
        opened.db.connection.executescript(damage)
        assert opened.problems() == [problem]


@pytest.mark.slow
@pytest.mark.parametrize("old", [False, True], ids=["a new gallery", "an older one"])
def test_a_migration_interrupted_at_any_statement_leaves_a_gallery_that_opens(
    home, monkeypatch, old
):
    run = sqlite_utils.Database.execute
    for statement in range(1, 100):
        file = home / f"{statement}.db"
        if old:
            old_gallery(file)
        left = statement

        def interrupted(self, *arguments):
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return run(self, *arguments)

        monkeypatch.setattr(sqlite_utils.Database, "execute", interrupted)
        try:
            open_store(file).close()
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            monkeypatch.setattr(sqlite_utils.Database, "execute", run)
        with closing(open_store(file)) as opened:
            assert opened.problems() == []
            assert [person.name for person in opened.people.all()] == (["Ada"] if old else [])
    assert statement > 5


def test_another_programs_file_is_refused_and_not_changed(file):
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
    before = file.read_bytes()
    assert "another program" in refusal(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_another_programs_file_without_tables_is_refused_too(file):
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA application_id = 77")
    assert "another program" in refusal(file)


def test_a_gallery_that_another_process_is_creating_is_not_taken_for_another_programs_file(
    file, monkeypatch
):
    """Killed writers found it: one created the gallery between two queries of the other."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode = WAL")

    class Overtaken(sqlite3.Connection):
        def execute(self, statement, *values):
            if statement == "PRAGMA user_version":
                monkeypatch.undo()
                open_store(file).close()
            return super().execute(statement, *values)

    connect = sqlite.connect
    monkeypatch.setattr(
        sqlite,
        "connect",
        lambda path, how="mode=rwc": sqlite3.connect(
            path, factory=Overtaken, isolation_level=None, check_same_thread=False
        ),
    )
    with closing(open_store(file)) as opened:
        assert sqlite.connect is connect
        assert opened.problems() == []


def test_a_gallery_of_a_newer_schema_is_refused(filled):
    with closing(sqlite3.connect(filled)) as db:
        db.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    assert "update facesearch" in refusal(filled, NewerGallery)


def test_a_folder_is_not_a_gallery(file):
    file.mkdir()
    assert "is a folder" in refusal(file)


def test_a_text_file_is_not_a_gallery(file):
    file.write_text("names,photos\n" * 1000)
    assert "damaged or not a gallery" in refusal(file)
    assert file.read_text() == "names,photos\n" * 1000


def test_opening_without_create_makes_no_file(file):
    assert "no gallery" in refusal(file, create=False)
    assert list(file.parent.iterdir()) == []


def test_an_empty_file_becomes_a_gallery(file):
    file.touch()
    assert "no gallery" in refusal(file, create=False)
    open_store(file).close()
    assert names(file) == []


def test_a_path_below_a_file_is_refused(home):
    (home / "note.txt").touch()
    refusal(home / "note.txt" / "gallery.db")


def read_everything(path):
    with closing(open_store(path, create=False)) as opened:
        problems = opened.problems()
        opened.people.all(), opened.templates.all(), opened.faces.enrolled_photos(), opened.counts()
        (
            opened.faces.in_photo(f"{3:064x}"),
            opened.faces.of_person(1),
            opened.templates.seq(),
            opened.templates.changes_since(0),
        )
        return problems


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_are_reported_in_a_sentence_or_do_no_harm(filled, seed):
    sound = filled.read_bytes()
    rng = np.random.default_rng(seed)
    reported = []
    for _ in range(40):
        broken = bytearray(sound)
        for place in rng.integers(0, len(broken), 1 + rng.integers(20)):
            broken[place] ^= 1 << rng.integers(8)
        filled.write_bytes(broken)
        try:
            read_everything(filled)
        except FacesearchError as error:
            reported.append(str(error))
        for extra in ("-wal", "-shm"):
            filled.with_name(filled.name + extra).unlink(missing_ok=True)
    assert reported
    assert [sentence for sentence in reported if "\n" in sentence] == []


def test_truncated_and_zeroed_galleries_are_reported(filled):
    sound = filled.read_bytes()
    for size in range(100, len(sound), 4096 * 2 + 100):
        filled.write_bytes(sound[:size])
        with suppress(FacesearchError):
            assert read_everything(filled) != [], f"{size} of {len(sound)} bytes pass for a gallery"
    filled.write_bytes(sound[:4096] + bytes(len(sound) - 4096))
    with pytest.raises(FacesearchError, match="damaged"):
        read_everything(filled)


def test_a_template_that_is_not_a_vector_is_reported(filled):
    with closing(open_store(filled)) as opened:
        opened.db.execute("UPDATE template SET vector = x'007e' WHERE id = 3")
        seal(opened.db, "template", 3)
        with pytest.raises(GalleryError, match="damaged"):
            opened.templates.all()
        opened.db.execute("UPDATE template SET vector = zeroblob(128) WHERE id = 3")
        assert any("damaged" in problem for problem in opened.problems())


def test_a_failed_transaction_leaves_nothing(filled):
    with closing(open_store(filled)) as opened:
        with pytest.raises(ZeroDivisionError):
            add_and_fail(opened, "Mallory")
        assert names(filled) == ["Ada", "Grace"]
        with opened.transaction():
            add_face(opened, "Hedy", 99)
    assert names(filled) == ["Ada", "Grace", "Hedy"]


def test_a_snapshot_stays_as_it_was_while_another_program_writes(filled):
    with closing(open_store(filled)) as reader, closing(open_store(filled)) as writer:
        with reader.snapshot():
            assert reader.templates.seq() == 40
            with writer.transaction():
                add_face(writer, "Hedy", 99)
            assert reader.templates.seq() == 40
            assert reader.people.id_of("Hedy") is None
        assert reader.templates.seq() == 41


def test_a_gallery_locked_by_another_program_is_reported_and_can_be_read(filled, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    with (
        closing(open_store(filled)) as one,
        closing(open_store(filled)) as other,
        one.transaction(),
    ):
        with pytest.raises(GalleryError, match="another program is writing"), other.transaction():
            pass
        assert [person.name for person in other.people.all()] == ["Ada", "Grace"]


def test_a_full_disk_loses_nothing_and_enrolling_goes_on_after_space_is_freed(filled):
    with closing(open_store(filled)) as opened:
        pages = opened.db.rows("PRAGMA page_count")[0][0]
        opened.db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(GalleryError, match=r"the disk is full.*nothing was lost"):
            add_faces(opened, "Hedy", range(100, 500))
        stored = len(opened.templates.all()[0])
        assert opened.counts() == dict.fromkeys(
            ("photo", "face", "template", "decision"), stored
        ) | {"person": 2 + (stored > 40)}
        opened.db.execute("PRAGMA max_page_count = 100000")
        with opened.transaction():
            add_face(opened, "Hedy", 999)
        assert len(opened.templates.all()[0]) == stored + 1
        assert opened.problems() == []


FULL = """
import resource, sys
from pathlib import Path
sys.path[:0] = {tests!r}
from test_store import add_face, open_store
opened = open_store(Path({file!r}))
size = Path({file!r}).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 60_000, size + 60_000))
for number in range(100, 5000):
    with opened.transaction():
        add_face(opened, "Hedy", number)
    print(number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file sizes")
def test_a_file_that_may_not_grow_keeps_every_acknowledged_face(filled):
    tests = [str(folder) for folder in Path(__file__).parents[:2]]
    code = FULL.format(tests=tests, file=str(filled))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "GalleryError: the gallery" in ended.stderr.strip().splitlines()[-1]
    acknowledged = len(ended.stdout.split())
    assert acknowledged > 0
    with closing(open_store(filled)) as opened:
        assert opened.counts()["template"] == 40 + acknowledged
        assert opened.problems() == []


def test_a_gallery_that_cannot_be_written_can_be_read(unprivileged):
    file = unprivileged / "gallery.db"
    with closing(open_store(file)) as opened, opened.transaction():
        add_face(opened, "Ada", 1)
    file.chmod(0o444)
    unprivileged.chmod(0o555)
    with closing(open_store(file)) as opened:
        assert opened.read_only
        assert opened.people.id_of("Ada") == 1
        with pytest.raises(GalleryError, match="cannot be written here"), opened.transaction():
            pass
    assert [p.name for p in unprivileged.iterdir()] == ["gallery.db"]


def test_rows_in_sqlites_log_are_read_where_nothing_can_be_written(unprivileged):
    file = unprivileged / "gallery.db"
    with closing(open_store(file)) as writer, closing(open_store(file)) as reader:
        with reader.snapshot():  # keeps the rows in the log
            reader.counts()
            with writer.transaction():
                add_face(writer, "Ada", 1)
        assert file.with_name("gallery.db-wal").stat().st_size > 0
        file.chmod(0o444)
        unprivileged.chmod(0o555)
        with closing(open_store(file)) as opened:
            assert opened.read_only
            assert opened.people.id_of("Ada") == 1


def test_a_new_gallery_in_a_folder_that_cannot_be_written_is_refused(unprivileged):
    unprivileged.chmod(0o555)
    refusal(unprivileged / "gallery.db")
    refusal(unprivileged / "new" / "gallery.db")


def test_an_old_gallery_that_cannot_be_written_asks_for_a_copy(unprivileged):
    old_gallery(unprivileged / "gallery.db")
    unprivileged.chmod(0o555)
    assert "copy it to another place" in refusal(unprivileged / "gallery.db")


def test_a_stamp_is_unique_even_when_its_number_is_used_again(filled):
    with closing(open_store(filled)) as opened:
        assert opened.templates.stamp(41) is None
        stamps = {opened.templates.stamp(seq) for seq in range(41)}
        undone = []
        with pytest.raises(ZeroDivisionError):
            add_and_fail(opened, "Hedy", lambda: undone.append(opened.templates.stamp(41)))
        with opened.transaction():
            add_face(opened, "Hedy", 99)
        assert len({*stamps, *undone, opened.templates.stamp(41)}) == 43


def test_a_copy_is_complete_and_of_another_generation_or_is_not_there(filled, home, monkeypatch):
    with closing(open_store(filled)) as opened:
        opened.copy_to(home / "copies" / "copy.db")
        assert names(home / "copies" / "copy.db") == ["Ada", "Grace"]
        with closing(open_store(home / "copies" / "copy.db")) as copy:
            assert copy.about()["generation"] != opened.about()["generation"]
            assert copy.problems() == []
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
        with pytest.raises(GalleryError, match="no space"):
            opened.copy_to(home / "second.db")
    assert not list(home.glob("second*"))


def test_a_path_that_is_not_text_is_stored_with_question_marks(file):
    with closing(open_store(file)) as opened, opened.transaction():
        add_face(opened, "Ada", 1, path="/photos/caf\udce9.jpg")
        assert opened.faces.of_person(1)[0][0] == "/photos/caf?.jpg"
