"""Galleries as former versions left them open, are migrated, and keep everybody.

schemas/ has one of each schema, as SQL text, written by the last version that had it: write.py.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from fake_model import FakeModel, embedding

from facesearch.gallery import Gallery, import_gallery
from facesearch.storage.schema import SCHEMA_VERSION
from facesearch.storage.store import Store

SCHEMAS = Path(__file__).parent / "schemas"
ADA, GRACE, HEDY = 10, 20, 30
PICTURES = {1: {"Ada": 2, "Grace": 1, "Hedy": 1}, 2: {"Ada": 2, "Grace": 1, "Hedy": 1}}
SINCE_MERGES = {"Ada": 3, "Grace": 1, "Hedy": 1}
KINDS = {
    1: ["enroll", "enroll", "rename", "enroll", "enroll"],
    3: ["merge", "not-same", "reject", "confirm", "undo", "not-same-photo"],
    5: ["dismiss"],
}


@pytest.fixture(params=range(1, SCHEMA_VERSION + 1), ids="schema {}".format)
def schema(request):
    return request.param


@pytest.fixture
def former(schema, home):
    """A gallery file of a former schema."""
    path = home / "gallery.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript((SCHEMAS / f"schema_{schema}.sql").read_text())
        assert db.execute("PRAGMA user_version").fetchone() == (schema,)
    return path


def open_store(path):
    return Store.open(path, model="fake", fingerprint="fa4e000000000000", create=False)


def test_there_is_a_gallery_of_every_schema():
    files = {file.name for file in SCHEMAS.glob("*.sql")}
    assert files == {f"schema_{number}.sql" for number in range(1, SCHEMA_VERSION + 1)}


def test_a_former_gallery_is_migrated_with_its_people_and_decisions(schema, former):
    with closing(open_store(former)) as store:
        assert store.db.schema_version == SCHEMA_VERSION
        assert store.problems() == []
        people = {person.name: person.templates for person in store.people.all()}
        assert people == PICTURES.get(schema, SINCE_MERGES)
        kinds = [row.kind for run in reversed(store.decisions.newest()) for row in run]
        wanted = [kind for since, some in KINDS.items() if since <= schema for kind in some]
        assert sorted({*kinds}) == sorted({*wanted})
        assert store.counts()["decision"] == len(wanted) + (schema > 2)  # Ada L. was enrolled


def test_every_template_of_a_former_gallery_is_what_the_model_made(schema, former):
    with closing(open_store(former)) as store:
        people = {store.people.id_of(name): n for name, n in (("Ada", ADA), ("Hedy", HEDY))}
        owners, rows = store.templates.of_people(people)
        pictures = {ADA: iter((1, 2, 3)), HEDY: iter((1,))}
        made = [embedding(people[o], next(pictures[people[o]])) for o in owners.tolist()]
        assert np.allclose(rows, made, atol=1e-3)


def test_what_humans_said_in_a_former_gallery_still_counts(schema, former):
    with closing(open_store(former)) as store:
        assert store.verdicts.not_same_photos() == ({("0" * 64, "f" * 64)} if schema > 2 else set())
        assert len(store.verdicts.people_apart()) == (schema > 2)
        counted = [len(store.db.rows(f"SELECT 1 FROM {t}")) for t in ("rejection", "dismissal")]
        assert counted == [schema > 2, schema > 4]
        assert store.unnamed.next_id() == 1 + (schema > 3)


def test_a_former_gallery_is_changed_once(former):
    open_store(former).close()
    before = former.read_bytes()
    open_store(former).close()
    assert former.read_bytes() == before


def test_an_export_of_a_former_version_is_sound_and_can_be_imported(former, home):
    with closing(Store.open_to_read(former)) as exported:
        assert exported.problems() == []
    with import_gallery(former, home / "new.db", FakeModel()) as gallery:
        assert [person.name for person in gallery.people.all()] == ["Ada", "Grace", "Hedy"]


def test_a_former_gallery_goes_on_as_a_new_one_does(schema, former, shoot):
    with Gallery(former, FakeModel()) as gallery:
        (photo,) = gallery.identify([shoot((ADA, 9), (GRACE, 9))])
        assert [face.person for face in photo.faces] == ["Ada", "Grace"]
        assert [done.status for done in gallery.enroll([("Mary", shoot((50, 1)))])] == ["enrolled"]
        for _ in range(3):
            gallery.history.undo()
        gallery.forget("Grace")
        assert gallery.upkeep.check() == []
