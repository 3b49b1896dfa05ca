"""Damage in a row of a face or a template is noticed, and names nobody."""

import random
import sqlite3
from contextlib import closing

import pytest
from gallery_rows import execute, store_of
from gallery_steps import ADA, GRACE, enroll, who

from facesearch.errors import FacesearchError
from facesearch.storage.seals import broken
from facesearch.storage.store import Store

DAMAGE = {
    "another person": "UPDATE face SET person_id = 2 WHERE id = 1",
    "another photo": "UPDATE face SET photo_id = 2 WHERE id = 1",
    "another face": "UPDATE template SET face_id = 2 WHERE id IN (1, 2)",
    "another box": "UPDATE face SET box_left = box_left + 0.001 WHERE id = 1",
    "another author": "UPDATE face SET assigned_by = 'machine' WHERE id = 1",
    "swapped vectors": "UPDATE template SET vector = (SELECT other.vector FROM template AS other "
    "WHERE other.id = 3 - template.id) WHERE id IN (1, 2)",
    "text that is none": "PRAGMA ignore_check_constraints = ON; "
    "UPDATE face SET assigned_by = CAST(x'ff68756d616e' AS TEXT) WHERE id = 1",
}


@pytest.fixture
def two(fake_gallery, shoot):
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))), ("Grace", shoot((GRACE, 1))))
    return fake_gallery


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_face_or_template_names_nobody_and_is_told(
    two, make_gallery, shoot, caplog, damage
):
    for statement in DAMAGE[damage].split("; "):
        execute(two, statement)
    two.close()
    gallery = make_gallery()
    assert who(gallery, shoot((ADA, 9))) == [None]
    of_the_face = "template" not in DAMAGE[damage]  # what a human said of it does not count then
    assert who(gallery, shoot((ADA, 1))) == ([None] if of_the_face else ["Ada"])
    assert "is damaged: " in caplog.text
    assert len(caplog.messages) == len(set(caplog.messages)), "told more than once"
    assert any("not as they were stored" in problem for problem in gallery.upkeep.check())


def test_an_open_gallery_names_nobody_by_a_row_that_is_damaged_meanwhile(two, shoot):
    assert who(two, shoot((ADA, 9))) == ["Ada"]
    execute(two, DAMAGE["another person"])
    assert who(two, shoot((ADA, 9))) == [None]


def test_a_damaged_face_stays_one_when_it_is_given_to_another(two, shoot):
    execute(two, DAMAGE["another box"])
    two.people.merge(["Ada"], "Grace")
    assert broken(store_of(two).db, "face") == [1]
    two.history.undo()
    assert broken(store_of(two).db, "face") == [1]


def rows_of(file):
    """Return all faces and templates, "unreadable" where SQLite finds damage itself."""
    try:
        with closing(sqlite3.connect(file)) as db:
            db.text_factory = bytes
            return [db.execute(f"SELECT * FROM {t}").fetchall() for t in ("face", "template")]
    except sqlite3.DatabaseError:
        return "unreadable"


def problems_of(file):
    try:
        with closing(Store.open_to_read(file)) as opened:
            return opened.problems()
    except FacesearchError as error:
        return [str(error)]


@pytest.mark.slow
def test_check_finds_every_flipped_bit_of_a_face_or_a_template(two, home):
    copy = home / "copy.db"
    two.upkeep.export(copy)
    sound, before = copy.read_bytes(), rows_of(copy)
    assert problems_of(copy) == []
    with closing(sqlite3.connect(copy)) as db:
        ((size,),) = db.execute("PRAGMA page_size")
        roots = db.execute("SELECT rootpage FROM sqlite_schema WHERE name IN ('face', 'template')")
        pages = [page for (page,) in roots]
    flips, changed = random.Random(20261201), 0
    for _ in range(300):
        broken_bytes = bytearray(sound)
        used = [at for page in pages for at in range((page - 1) * size, page * size) if sound[at]]
        broken_bytes[flips.choice(used)] ^= 1 << flips.randrange(8)
        copy.write_bytes(broken_bytes)
        if rows_of(copy) != before:
            changed += 1
            assert problems_of(copy) != []
    assert changed > 200
