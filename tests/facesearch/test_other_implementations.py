"""The whole demo on other implementations of the ports: a database and an index in memory.

Whatever works only with SQLite's files or with FAISS is found here.
"""

import sys
from pathlib import Path

import pytest
from memory_database import MemoryFiles
from typer.testing import CliRunner

from facesearch import Gallery
from facesearch_cli.main import app

sys.path.insert(0, str(Path(__file__).parents[1] / "indexes"))
from numpy_index import MemoryStore, NumpyIndex


@pytest.fixture
def in_memory(monkeypatch):
    """Let every gallery live in memory, searched by numpy."""
    files, indexes = MemoryFiles(), {}
    monkeypatch.setattr("facesearch.storage.store.SQLiteFile", files)
    monkeypatch.setattr(
        "facesearch.gallery.gallery.FaissFiles",
        lambda folder: indexes.setdefault(folder, MemoryStore()),
    )
    return files


def test_the_demo_runs_on_a_database_and_an_index_in_memory(in_memory, portraits, tmp_path):
    answer = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo")])
    assert answer.exit_code == 0, answer.output
    assert len(in_memory.galleries) == 1
    assert not list(tmp_path.rglob("*.db"))


def test_decisions_undo_and_forget_in_memory(in_memory, portraits, album, tmp_path):
    with Gallery(tmp_path / "gallery.db") as gallery:
        pairs = [("Grace", portraits.grace), ("Eileen", portraits.eileen)]
        assert [done.status for done in gallery.enroll(pairs)] == ["enrolled"] * 2
        assert gallery.upkeep.info()["index_kind"] == NumpyIndex.kind
        assert [f.person for p in gallery.identify([album / "small.png"]) for f in p.faces] == [
            "Grace"
        ]
        merge = gallery.people.merge(["Grace"], "Eileen")
        assert gallery.people.names() == ["Eileen"]
        gallery.history.undo(merge.id)
        assert gallery.people.names() == ["Eileen", "Grace"]
        gallery.forget("Grace")
        assert [f.person for p in gallery.identify([album / "small.png"]) for f in p.faces] == [
            None
        ]
        assert gallery.upkeep.check() == []
