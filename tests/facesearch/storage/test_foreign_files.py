"""A gallery from somebody else: what is not of facesearch in it is refused before it can act."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from gallery_rows import connection_of
from gallery_steps import ADA, enroll

from facesearch.errors import GalleryError
from facesearch.gallery import Gallery, import_gallery
from facesearch.storage.store import Store

FORMER = Path(__file__).parent / "schemas" / "schema_3.sql"
WRITABLE = "PRAGMA writable_schema = ON;"
FOREIGN = {
    "table shadow": "CREATE TABLE shadow (name TEXT)",
    "view people": "CREATE VIEW people AS SELECT name FROM person",
    "index by_date": "CREATE INDEX by_date ON person (created_at)",
    "trigger sneak": "CREATE TRIGGER sneak AFTER INSERT ON person BEGIN "
    "UPDATE person SET name = 'Mallory' WHERE id = new.id; END",
    "trigger hidden": "CREATE TRIGGER hidden AFTER UPDATE ON _sqlite_migrations BEGIN "
    "DELETE FROM person; END",
    "table not_same": WRITABLE
    + "UPDATE sqlite_schema SET sql = replace(sql, 'a < person_b', 'a <> person_b') "
    "WHERE name = 'not_same'",
    "table face": "ALTER TABLE face ADD COLUMN note TEXT DEFAULT 'kept'",
    "trigger template_added": "DROP TRIGGER template_added",
    "table sqlite_stat1": "ANALYZE",
}


@pytest.fixture(params=FOREIGN)
def foreign(request, fake_gallery, home, shoot):
    """What an exported gallery of Ada holds that facesearch did not put there, and its file."""
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))))
    file = home / "from elsewhere.db"
    fake_gallery.upkeep.export(file)
    with closing(sqlite3.connect(file)) as db:
        db.executescript(FOREIGN[request.param])
    return request.param, file


def test_a_gallery_with_a_table_view_or_trigger_of_somebody_else_is_refused(
    foreign, fake_model, tmp_path
):
    item, file = foreign
    before = file.read_bytes()
    for use in (
        lambda: Gallery(file, fake_model),
        lambda: Store.open_to_read(file),
        lambda: import_gallery(file, tmp_path / "imported" / "gallery.db", fake_model),
    ):
        with pytest.raises(GalleryError, match=rf"not as facesearch makes a gallery \({item}\)"):
            use()
    assert file.read_bytes() == before
    assert not (tmp_path / "imported").exists()


def test_a_trigger_in_a_gallery_of_a_former_schema_is_refused_before_it_is_migrated(
    home, fake_model
):
    file = home / "former.db"
    with closing(sqlite3.connect(file)) as db:
        db.executescript(FORMER.read_text() + FOREIGN["trigger hidden"])
    with pytest.raises(GalleryError, match="trigger hidden"):
        Gallery(file, fake_model)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)


def test_of_many_foreign_tables_three_are_named_and_the_rest_counted(fake_gallery, fake_model):
    fake_gallery.close()
    with closing(sqlite3.connect(fake_gallery.path)) as db:
        db.executescript("".join(f"CREATE TABLE t{number} (x);" for number in range(5)))
    with pytest.raises(GalleryError, match=r"\(table t0, table t1, table t2 and 2 more\)"):
        Gallery(fake_gallery.path, fake_model)


def test_the_schema_of_a_file_is_not_trusted(fake_gallery):
    connection = connection_of(fake_gallery)
    assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
