import json
import sqlite3

import pytest

from facesearch import Gallery


@pytest.fixture
def gallery(facesearch, enrolled_gallery):
    """Run a subcommand of gallery on the gallery of Eileen Collins and Grace Hopper."""
    return lambda *args: facesearch("gallery", *args, "--gallery", enrolled_gallery)


def test_info_shows_what_the_gallery_holds(gallery, enrolled_gallery):
    assert f"path\t{enrolled_gallery}\n" in gallery("info").stdout
    facts = json.loads(gallery("info", "--json").stdout)
    assert (facts["person"], facts["template"], facts["schema_version"]) == (2, 2, 1)


def test_check_finds_a_sound_gallery_sound(gallery):
    result = gallery("check")
    assert result.exit_code == 0
    assert "is sound: 2 templates" in result.stdout
    assert json.loads(gallery("check", "--json").stdout)["problems"] == []


def test_check_names_the_problem_and_exits_4(gallery, enrolled_gallery):
    with sqlite3.connect(enrolled_gallery) as db:
        db.execute("UPDATE template SET fingerprint = 'another' WHERE id = 1")
    db.close()
    result = gallery("check")
    assert result.exit_code == 4
    assert "1 template(s) of another model" in result.stderr


def test_check_lists_damage_that_prevents_an_index(gallery, enrolled_gallery):
    db = sqlite3.connect(enrolled_gallery)
    with db:
        db.execute("UPDATE template SET vector = zeroblob(length(vector)) WHERE id = 1")
    db.close()
    result = gallery("check", "--json")
    assert result.exit_code == 4
    found = json.loads(result.stdout)
    assert found["templates"] == 2
    assert "templates that are not numbers" in found["problems"][0]


def test_rebuild_counts_the_templates(gallery):
    assert gallery("rebuild").stdout == "Rebuilt the index from 2 templates.\n"
    assert json.loads(gallery("rebuild", "--json").stdout)["templates"] == 2


def test_an_exported_gallery_can_be_imported_elsewhere(gallery, facesearch, tmp_path):
    exported, elsewhere = tmp_path / "backup.db", tmp_path / "new" / "family.db"
    assert gallery("export", exported).exit_code == 0
    result = facesearch("gallery", "import", exported, "--gallery", elsewhere)
    assert result.exit_code == 0
    assert "Imported 2 people" in result.stdout
    with Gallery(elsewhere, create=False) as imported:
        assert [person.name for person in imported.people.all()] == [
            "Eileen Collins",
            "Grace Hopper",
        ]


def test_a_copy_is_restored_and_the_former_state_is_named(
    gallery, facesearch, enrolled_gallery, tmp_path
):
    copy = tmp_path / "copy.db"
    assert gallery("export", copy).exit_code == 0
    facesearch("people", "rename", "Grace Hopper", "Grace", "--gallery", enrolled_gallery)
    result = gallery("restore", copy)
    assert result.exit_code == 0
    assert result.stdout == f"Restored 2 people into {enrolled_gallery}.\n"
    kept = enrolled_gallery.with_name("enrolled-before-restore-1.db")
    assert f"What it held before is kept in {kept}" in result.stderr
    assert "Grace Hopper" in facesearch("people", "list", "--gallery", enrolled_gallery).stdout
    assert "Grace Hopper" not in facesearch("people", "list", "--gallery", kept).stdout
    assert gallery("check").exit_code == 0


def test_export_and_import_overwrite_nothing(gallery, enrolled_gallery, tmp_path):
    before = enrolled_gallery.read_bytes()
    taken = tmp_path / "taken.db"
    taken.write_text("mine")
    assert gallery("export", taken).exit_code == 2
    assert gallery("import", taken).exit_code == 2
    assert taken.read_text() == "mine"
    assert enrolled_gallery.read_bytes() == before


def another_program(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmark (url TEXT)")
    db.close()


def a_newer_facesearch(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def another_model(path):
    with sqlite3.connect(path) as db:
        db.execute("UPDATE gallery SET fingerprint = 'another', model = 'another'")
    db.close()


def noise(path):
    path.write_bytes(b"this is no database" * 1000)


@pytest.mark.parametrize(
    ("spoil", "fresh", "sentence"),
    [
        (another_program, True, "of another program"),
        (a_newer_facesearch, False, "newer facesearch"),
        (another_model, False, "was made with the model another"),
        (noise, True, "damaged or not a gallery"),
    ],
)
@pytest.mark.parametrize("command", ["identify", "enroll", "search", "list", "info"])
def test_an_unusable_gallery_is_one_sentence_and_is_not_changed(
    facesearch, enrolled_gallery, portraits, spoil, fresh, sentence, command
):
    if fresh:
        enrolled_gallery.unlink()
    spoil(enrolled_gallery)
    before = enrolled_gallery.read_bytes()
    words = {
        "identify": ["identify", portraits.grace],
        "enroll": ["enroll", portraits.grace, "--name", "Ann"],
        "search": ["search", portraits.grace],
        "list": ["people", "list"],
        "info": ["gallery", "info"],
    }[command]
    result = facesearch(*words, "--gallery", enrolled_gallery)
    assert result.exit_code == 4
    assert result.stdout == ""
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert enrolled_gallery.read_bytes() == before


def test_a_forgotten_gallery_option_names_the_galleries_here(
    facesearch, enrolled_gallery, own_home, monkeypatch
):
    monkeypatch.chdir(enrolled_gallery.parent)
    (enrolled_gallery.parent / "other.db").write_bytes(b"no gallery")
    result = facesearch("people", "list")
    assert result.exit_code == 4
    assert f"there is no gallery at {own_home / 'gallery.db'}" in result.stderr
    assert "Galleries here: enrolled.db; name one with --gallery" in result.stderr
    assert not own_home.exists()
    enrolled_gallery.unlink()
    assert "Galleries here" not in facesearch("people", "list").stderr
