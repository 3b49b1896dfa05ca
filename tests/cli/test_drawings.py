"""The commands with a model of drawings: other words than for faces, the same keys."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx", reason="onnx, which writes the model of these tests, is not installed")

sys.path.insert(0, str(Path(__file__).parents[1] / "facesearch"))

from image_model import letter, write_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models of kind `image`, by what they compare."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "drawing": write_model(folder / "ink", alignment="ink"),
        "picture": write_model(folder / "whole", alignment="whole"),
    }


@pytest.fixture
def drawings(tmp_path):
    """Two drawings of an A, one of an X, and a page with nothing on it."""
    pages = {
        "a": letter("A", size=1.5, thickness=2, at=(0.4, 0.9)),
        "other_a": letter("A", size=2.4, thickness=4, at=(0.1, 0.8)),
        "x": letter("X"),
        "blank": np.full((105, 105, 3), 255, np.uint8),
    }
    for name, pixels in pages.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in pages}


@pytest.fixture
def enrolled(facesearch, models, drawings, tmp_path):
    """The options for a gallery with one A and one X."""
    options = ("--model", models["drawing"], "--gallery", tmp_path / "letters.db")
    for name in "ax":
        result = facesearch("enroll", drawings[name], "--name", name.upper(), *options)
        assert result.exit_code == 0
    return options


@pytest.fixture
def headings(monkeypatch):
    """The headings of the printed tables, which are shown only on a terminal."""
    found = []

    def remember(screen, columns, *_):
        found.append([column.heading for column in columns])
        return lambda rows: None

    monkeypatch.setattr("facesearch_cli.render.Screen.table", remember)
    monkeypatch.setattr("facesearch_cli.render.Screen.stream", remember)
    return found


def test_verify_says_whether_two_drawings_are_of_one_class(facesearch, models, drawings):
    model = ("--model", models["drawing"])
    same = facesearch("verify", drawings["a"], drawings["other_a"], *model)
    assert (same.exit_code, same.stdout.partition(" (")[0]) == (0, "the same class")
    other = facesearch("verify", drawings["a"], drawings["x"], *model)
    assert (other.exit_code, other.stdout.partition(" (")[0]) == (1, "different classes")


def test_json_about_drawings_has_the_same_keys_as_about_faces(facesearch, drawings, enrolled):
    (face,) = json.loads(facesearch("search", drawings["a"], *enrolled, "--json").stdout)["faces"]
    assert set(face["neighbours"][0]) == {"person", "score", "photo"}
    result = facesearch("identify", drawings["other_a"], *enrolled, "--json")
    (face,) = json.loads(result.stdout)["faces"]
    assert face["person"] == "A"
    csv = facesearch("search", drawings["a"], *enrolled, "--csv").stdout
    assert csv.splitlines()[0] == "face,rank,person,score,photo"


@pytest.mark.parametrize("kind", ["drawing", "picture"])
def test_enroll_counts_classes(facesearch, models, drawings, tmp_path, kind):
    options = ("--model", models[kind], "--gallery", tmp_path / "letters.db")
    first = facesearch("enroll", drawings["a"], "--name", "A", *options)
    assert first.stdout.splitlines()[1].startswith("1 class in ")
    second = facesearch("enroll", drawings["x"], "--name", "X", *options)
    assert second.stdout.splitlines()[1].startswith("2 classes in ")


def test_enroll_asks_who_or_what_is_drawn_if_there_is_no_name(facesearch, models, drawings):
    for given in (drawings["a"], drawings["a"].parent):
        result = facesearch("enroll", given, "--model", models["drawing"])
        assert result.exit_code == 2
        assert "who or what is in" in result.stderr


def test_a_look_alike_is_called_a_class_and_the_printed_command_works(
    facesearch, models, drawings, enrolled, tmp_path
):
    copy = tmp_path / "copy.png"
    Image.open(drawings["a"]).resize((210, 210)).save(copy)
    result = facesearch("enroll", copy, "--name", "Not A", *enrolled)
    assert "one class under two names?" in result.stderr
    command = result.stderr.splitlines()[1].split()
    assert command == [
        *("facesearch", "verify", str(copy), str(drawings["a"])),
        *("--model", str(models["drawing"])),
    ]
    assert facesearch(*command[1:]).stdout.startswith("the same class")


def test_tables_about_drawings_speak_of_drawings_and_classes(
    facesearch, drawings, enrolled, headings
):
    facesearch("search", drawings["a"], *enrolled)
    facesearch("identify", drawings["a"], *enrolled)
    assert headings == [
        ["drawing", "rank", "class", "score", "photo"],
        ["photo", "drawing", "class", "prob.", "runner-up"],
    ]


def test_tables_about_photos_speak_of_faces_and_people(
    facesearch, portraits, enrolled_gallery, headings
):
    facesearch("search", portraits.grace, "--gallery", enrolled_gallery)
    facesearch("identify", portraits.grace, "--gallery", enrolled_gallery)
    assert headings == [
        ["face", "rank", "person", "score", "photo"],
        ["photo", "face", "person", "prob.", "runner-up"],
    ]


def test_a_blank_page_has_no_drawing(facesearch, drawings, enrolled):
    result = facesearch("search", drawings["blank"], *enrolled)
    assert result.exit_code == 1
    assert result.stderr == f"No drawing found in {drawings['blank']}.\n"
    assert "\tno drawing found\t" in facesearch("identify", drawings["blank"], *enrolled).stdout


def test_messages_count_drawings_and_classes(facesearch, enrolled, headings, tmp_path):
    asked = facesearch("people", "forget", "A", "--dry-run", *enrolled)
    assert asked.stdout == "Would forget A (1 enrolled drawing). Nothing was changed.\n"
    exported = tmp_path / "backup.db"
    assert "Wrote 2 classes to" in facesearch("gallery", "export", exported, *enrolled).stdout
    elsewhere = (*enrolled[:2], "--gallery", tmp_path / "elsewhere.db")
    imported = facesearch("gallery", "import", exported, *elsewhere)
    assert imported.stdout.startswith("Imported 2 classes into")
    facesearch("people", "list", *enrolled)
    assert headings == [["class", "photos", "since"]]


@pytest.mark.slow
def test_doctor_counts_classes_or_says_which_model_it_needs(facesearch, enrolled):
    examined = facesearch("doctor", *enrolled)
    assert "letters.db: 2 classes, 2 templates, sound" in examined.stdout
    other = facesearch("doctor", *enrolled[2:])
    assert other.exit_code == 0
    assert "was made with the model letters" in other.stdout
    assert "facesearch doctor --model" in other.stdout
    assert "BROKEN" not in other.stdout


def test_an_empty_gallery_is_called_empty(facesearch, drawings, enrolled):
    for name in "AX":
        facesearch("people", "forget", name, "--yes", *enrolled)
    assert facesearch("search", drawings["a"], *enrolled).stderr == "The gallery is empty.\n"
    assert facesearch("identify", drawings["a"], *enrolled).stderr == (
        f"{enrolled[3]} is empty; facesearch enroll fills it.\n"
    )
    assert facesearch("people", "list", *enrolled).stderr == (
        "The gallery is empty; facesearch enroll fills it.\n"
    )


def test_a_gallery_can_be_migrated_to_another_model(facesearch, drawings, enrolled):
    _, drawing, *where = enrolled
    migrate = ("gallery", "migrate", *where, "--model")
    assert "already uses the model" in facesearch(*migrate, drawing).stdout
    result = facesearch(*migrate, "omniglot")
    assert (result.exit_code, result.stdout) == (
        0,
        "Migrated 2 templates from letters to omniglot.\n",
    )
    refused = facesearch("identify", drawings["a"], *enrolled)
    assert refused.exit_code == 4
    assert "facesearch gallery migrate" in refused.stderr
    people = facesearch("people", "list", "--model", "omniglot", *where, "--json")
    assert [person["person"] for person in json.loads(people.stdout)["people"]] == ["A", "X"]
    drawings["x"].unlink()
    gone = facesearch(*migrate, drawing)
    assert gone.exit_code == 1
    assert "X: cannot read" in gone.stderr
    why = f"cannot read {drawings['x']}: No such file or directory"
    left = facesearch(*migrate, drawing, "--leave-out", "--json")
    assert json.loads(left.stdout) == {
        "schema_version": 1,
        "former": "omniglot",
        "templates": 1,
        "left_out": [{"person": "X", "photo": str(drawings["x"]), "why": why}],
        "model": "letters",
    }
    assert str(drawings["x"]) in left.stderr
