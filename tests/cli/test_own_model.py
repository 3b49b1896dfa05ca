"""Every command opens a gallery with the model it was made with, and names that model."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("onnx", reason="onnx, which writes the model of these tests, is not installed")

sys.path.insert(0, str(Path(__file__).parents[1] / "facesearch"))

from image_model import letter, save_letters, write_model

from facesearch.gallery import Gallery, model_for
from facesearch.model import Model


@pytest.fixture(scope="module")
def _models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "old", name="old")
    write_model(folder / "new", name="new", search_dim=64)
    return folder


@pytest.fixture
def shipping(_models, monkeypatch):
    """The models `old` and `new`, with different search dimensions, replace the shipped ones."""
    monkeypatch.setattr("facesearch.shipped.SHIPPED", _models)


@pytest.fixture
def drawn(tmp_path):
    """Photos of an A and an X."""
    return save_letters(tmp_path)


@pytest.fixture
def of_old(shipping, drawn, tmp_path, monkeypatch):
    """The file of a gallery that was made when `old` was the default; now it is `new`."""
    with Gallery(tmp_path / "gallery.db", "old") as gallery:
        assert [one.status for one in gallery.enroll(drawn)] == ["enrolled"] * 2
    monkeypatch.setattr("facesearch.shipped.DEFAULT", "new")
    return gallery.path


@pytest.mark.parametrize(
    "words",
    [
        ("identify", "A.png"),
        ("search", "A.png"),
        ("enroll", "other.png", "--name", "O"),
        ("people", "list"),
        ("people", "rename", "A", "B"),
        ("history",),
        ("dedupe", "--what", "people"),
        ("cluster", "A.png"),
        ("gallery", "check"),
        ("gallery", "rebuild"),
    ],
    ids=" ".join,
)
def test_every_command_opens_a_gallery_with_the_model_it_was_made_with(of_old, facesearch, words):
    folder = of_old.parent
    Image.fromarray(letter("O", size=1.5, at=(0.3, 0.8))).save(folder / "other.png")
    words = [folder / word if word.endswith(".png") else word for word in words]
    done = facesearch(*words, "--gallery", of_old)
    assert (done.exit_code, done.stderr.count("Error")) == (0, 0)
    refused = facesearch(*words, "--gallery", of_old, "--model", "new")
    assert refused.exit_code == 4
    assert "facesearch gallery migrate" in refused.stderr


def test_info_and_doctor_name_the_model_of_the_gallery(of_old, facesearch):
    answer = json.loads(facesearch("gallery", "info", "--gallery", of_old, "--json").stdout)
    assert (answer["model"], answer["index_dim"]) == ("old", 128)
    assert "sound; made with the model old" in facesearch("doctor", "--gallery", of_old).stdout


def test_an_export_is_imported_with_the_model_that_made_it(of_old, facesearch, tmp_path):
    exported, imported = tmp_path / "export.db", tmp_path / "imported.db"
    assert facesearch("gallery", "export", exported, "--gallery", of_old).exit_code == 0
    assert facesearch("gallery", "import", exported, "--gallery", imported).exit_code == 0
    assert model_for(imported) == "old"


def test_after_a_migration_the_gallery_opens_with_the_new_model(of_old, facesearch):
    done = facesearch("gallery", "migrate", "--model", "default", "--gallery", of_old)
    assert done.stdout == "Migrated 2 templates from old to new.\n"
    with Gallery(of_old) as gallery:
        assert (gallery.model.name, gallery.upkeep.info()["index_dim"]) == ("new", 64)


@pytest.mark.parametrize("of", ["old", "new"])
def test_the_command_to_verify_a_look_alike_names_the_model_that_found_it(
    shipping, facesearch, drawn, tmp_path, monkeypatch, of
):
    monkeypatch.setattr("facesearch.shipped.DEFAULT", of)
    path = tmp_path / "gallery.db"
    (_, photo), _ = drawn
    assert facesearch("enroll", photo, "--name", "A", "--gallery", path).exit_code == 0
    monkeypatch.setattr("facesearch.shipped.DEFAULT", "new")
    copy = tmp_path / "copy.png"
    Image.open(photo).resize((210, 210)).save(copy)
    answer = facesearch("enroll", copy, "--name", "Not A", "--gallery", path)
    command = answer.stderr.splitlines()[1].split()
    assert command == [
        *("facesearch", "verify", str(copy), str(photo)),
        *(("--model", "old") if of == "old" else ()),
    ]


def test_the_page_uses_the_model_of_the_gallery(of_old, facesearch, monkeypatch):
    app = pytest.importorskip("facesearch.web.app", reason="the extra web is not installed")
    server = pytest.importorskip("facesearch.serving.server", reason="see above")
    made = []
    monkeypatch.setattr(app, "make_app", lambda *arguments, **_: made.append(arguments[:2]))
    monkeypatch.setattr(server, "serve", lambda *_: None)
    assert facesearch("web", "--no-browser", "--gallery", of_old).exit_code == 0
    ((gallery, load),) = made
    assert load().fingerprint == gallery.model.fingerprint == Model.load("old").fingerprint


def test_a_command_without_a_gallery_uses_the_default_model(of_old, facesearch, drawn, monkeypatch):
    loaded, load = [], Model.load.__func__
    counting = classmethod(lambda cls, name, **options: loaded.append(name) or load(cls, name))
    monkeypatch.setattr(Model, "load", counting)
    assert facesearch("verify", *(photo for _, photo in drawn)).exit_code == 1
    assert loaded == ["default"]
