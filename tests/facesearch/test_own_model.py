"""A gallery is opened with the model that made it, whatever the default has become meanwhile."""

import sqlite3

import pytest
from gallery_rows import execute, store_of

pytest.importorskip("onnx", reason="onnx, which writes the model of these tests, is not installed")

from image_model import save_letters, write_model

from facesearch.errors import EmbeddingMismatch, GalleryError
from facesearch.gallery import Gallery, model_for
from facesearch.model import Model
from facesearch.storage.store import Store


@pytest.fixture(scope="module")
def shipping(tmp_path_factory):
    """A folder of the models `old` and `new`, and one beside it that does not ship."""
    folder = tmp_path_factory.mktemp("shipping")
    write_model(folder / "models" / "old", name="old")
    write_model(folder / "models" / "new", name="new", search_dim=64)
    write_model(folder / "elsewhere", name="elsewhere", search_dim=32)
    return folder


@pytest.fixture
def default(shipping, monkeypatch):
    """Make a model of `shipping` the default."""
    monkeypatch.setattr("facesearch.shipped.SHIPPED", shipping / "models")
    return lambda name: monkeypatch.setattr("facesearch.shipped.DEFAULT", name)


@pytest.fixture
def drawn(tmp_path):
    """Photos of an A and an X."""
    return save_letters(tmp_path)


@pytest.fixture
def of_old(default, drawn, tmp_path):
    """The file of a gallery that was made with the default, which was `old`; now it is `new`."""
    default("old")
    with Gallery(tmp_path / "gallery.db") as gallery:
        assert [one.status for one in gallery.enroll(drawn)] == ["enrolled"] * 2
    default("new")
    return gallery.path


@pytest.fixture
def loaded(monkeypatch):
    """The models that are loaded from now on."""
    loaded, load = [], Model.load.__func__

    def counting(cls, *arguments, **options):
        loaded.append(load(cls, *arguments, **options))
        return loaded[-1]

    monkeypatch.setattr(Model, "load", classmethod(counting))
    return loaded


def test_a_gallery_is_opened_with_its_own_model_which_alone_is_loaded(of_old, drawn, loaded):
    with Gallery(of_old) as gallery:
        assert [gallery.model] == loaded
        assert gallery.model.name == gallery.upkeep.info()["model"] == "old"
        (_, (name, photo)) = drawn
        (seen,) = gallery.identify([photo])
        assert seen.faces[0].person == name
        assert gallery.upkeep.check() == []


def test_a_gallery_of_sface_outlasts_that_another_model_is_the_default(tmp_path, monkeypatch):
    Gallery(tmp_path / "gallery.db", "sface").close()
    monkeypatch.setattr("facesearch.shipped.DEFAULT", "omniglot")
    with Gallery(tmp_path / "gallery.db") as gallery:
        assert gallery.model.fingerprint == "80b95f1c14ac4a78"


def test_a_folder_stands_for_the_gallery_in_it(of_old):
    with Gallery(of_old.parent) as gallery:
        assert (gallery.path, gallery.model.name) == (of_old, "old")


def test_a_new_gallery_is_of_the_default(of_old, tmp_path):
    with Gallery(tmp_path / "another.db") as gallery:
        assert gallery.model.name == gallery.upkeep.info()["model"] == "new"
        assert gallery.upkeep.info()["index_dim"] == 64


def test_a_model_that_is_named_is_not_put_aside(of_old, shipping):
    for model in ("new", str(shipping / "elsewhere"), Model.load("new")):
        with pytest.raises(EmbeddingMismatch, match=r"model old .*facesearch gallery migrate"):
            Gallery(of_old, model)
    Gallery(of_old, "old").close()


def test_a_gallery_of_a_model_from_elsewhere_asks_for_that_model(default, shipping, tmp_path):
    default("new")
    elsewhere = str(shipping / "elsewhere")
    Gallery(tmp_path / "gallery.db", elsewhere).close()
    with pytest.raises(EmbeddingMismatch, match="was made with the model elsewhere"):
        Gallery(tmp_path / "gallery.db")
    Gallery(tmp_path / "gallery.db", elsewhere).close()


def no_row(path):
    Gallery(path).close()
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM gallery")
    db.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: None,
        lambda path: path.touch(),
        lambda path: path.write_bytes(b"this is no database" * 1000),
        lambda path: path.mkdir(),
        no_row,
    ],
    ids=["no file", "an empty one", "noise", "a folder", "another program is making it"],
)
def test_what_cannot_be_read_is_of_no_model_and_stays_as_it_is(default, tmp_path, spoil):
    default("new")
    path = tmp_path / "gallery.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else path.exists()
    assert Store.fingerprint_at(path) is None
    assert model_for(path) == "default"
    assert (path.read_bytes() if path.is_file() else path.exists()) == before
    assert {file.name for file in tmp_path.iterdir()} <= {"gallery.db"}


def test_a_fault_of_the_file_is_told_by_whoever_opens_it(default, tmp_path):
    default("new")
    (tmp_path / "gallery.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(GalleryError, match="damaged or not a gallery"):
        Gallery(tmp_path / "gallery.db")


def test_a_gallery_that_somebody_writes_to_tells_whose_it_is(of_old):
    with Gallery(of_old) as writing, store_of(writing).transaction():
        execute(writing, "UPDATE person SET name = 'B' WHERE name = 'A'")
        assert model_for(of_old) == "old"
