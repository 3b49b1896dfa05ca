"""Upkeep of a gallery: its check, export and import."""

from dataclasses import replace

import numpy as np
import pytest
from fake_model import embedding
from gallery_rows import live_index_of
from gallery_steps import ADA, GRACE, HEDY, STRANGER

from facesearch.errors import EmbeddingMismatch, GalleryError
from facesearch.gallery import import_gallery


def test_check_reports_an_index_with_a_wrong_template(trio):
    assert trio.upkeep.check() == []
    with live_index_of(trio).reading() as view:
        view.index.upsert(np.array([1]), embedding(STRANGER, 1)[None])
    assert trio.upkeep.check() == ["1 of 6 templates are not found by the index"]
    assert trio.upkeep.rebuild() == 6
    assert trio.upkeep.check() == []


# Export and import


def test_an_export_imported_elsewhere_gives_the_same_answers(trio, home, fake_model, shoot):
    trio.upkeep.export(home / "export.db")
    imported = import_gallery(home / "export.db", home / "other" / "gallery.db", fake_model)
    with imported:
        probes = [shoot((p, 9)) for p in (ADA, GRACE, HEDY, STRANGER)]
        assert list(imported.identify(probes)) == list(trio.identify(probes))
        assert imported.people.all() == trio.people.all()
        assert imported.upkeep.info()["generation"] != trio.upkeep.info()["generation"]
        assert imported.upkeep.check() == []


def test_export_and_import_refuse_to_overwrite(trio, home, fake_model):
    (home / "mine.txt").write_text("mine")
    with pytest.raises(GalleryError, match="there already"):
        trio.upkeep.export(home / "mine.txt")
    trio.upkeep.export(home / "export.db")
    with pytest.raises(GalleryError, match="there already"):
        import_gallery(home / "export.db", home, fake_model)
    assert (home / "mine.txt").read_text() == "mine"


def damage_export(path):
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        damage_export,
        lambda path: path.write_text("not a gallery at all"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["damaged", "a text", "missing", "a folder"],
)
def test_a_failed_import_leaves_nothing_behind(trio, home, tmp_path, fake_model, spoil):
    trio.upkeep.export(home / "export.db")
    spoil(home / "export.db")
    with pytest.raises(GalleryError):
        import_gallery(home / "export.db", tmp_path / "new" / "gallery.db", fake_model)
    assert not (tmp_path / "new").exists()


def test_an_export_of_another_model_is_not_imported(trio, home, tmp_path, fake_model):
    trio.upkeep.export(home / "export.db")
    with pytest.raises(EmbeddingMismatch):
        import_gallery(
            home / "export.db", tmp_path / "new", replace(fake_model, fingerprint="0123")
        )
    assert not (tmp_path / "new").exists()


def test_an_import_does_not_change_the_exported_file(trio, home, tmp_path, fake_model):
    trio.upkeep.export(home / "export.db")
    before = (home / "export.db").read_bytes()
    import_gallery(home / "export.db", tmp_path / "new", fake_model).close()
    assert (home / "export.db").read_bytes() == before
    assert not list(home.glob("export.db-*"))
