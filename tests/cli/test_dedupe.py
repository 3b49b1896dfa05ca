import json
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from facesearch_cli import dedupe as command
from facesearch_cli.options import INTERRUPTED, NO, UNREADABLE, UNUSABLE


@pytest.fixture
def run(facesearch):
    return lambda *args, **options: facesearch("dedupe", *args, **options)


@pytest.fixture
def album(tmp_path, portraits):
    folder = tmp_path / "my album"
    folder.mkdir()
    shutil.copy(portraits.grace, folder / "grace.jpg")
    Image.open(portraits.grace).resize((200, 240)).save(folder / "small.png")
    shutil.copy(portraits.eileen, folder / "eileen.png")
    return folder


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_report_changes_nothing_and_says_what_stays(run, album):
    result = run(album)
    assert result.exit_code == 0
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [(line[1], Path(line[2]).name) for line in lines] == [
        ("keep", "grace.jpg"),
        ("", "small.png"),
    ]
    assert files(album) == ["eileen.png", "grace.jpg", "small.png"]
    assert "1 duplicate" in result.stderr


def test_json_is_one_object(run, album):
    (album / "empty.jpg").write_bytes(b"")
    result = run(album, "--json")
    assert result.exit_code == UNREADABLE
    answer = json.loads(result.stdout)
    assert answer["schema_version"] == 1
    assert answer["photos"] == 3
    (group,) = answer["groups"]
    assert group["keep"]["photo"] == str(album / "grace.jpg")
    assert group["duplicates"][0]["score"] > 0.9
    assert group["duplicates"][0]["sure"] is True
    assert [Path(photo["photo"]).name for photo in answer["unreadable"]] == ["empty.jpg"]
    assert answer["applied"] is None


def test_the_page_shows_the_groups(run, album, tmp_path):
    assert run(album, "--html", tmp_path / "page.html").exit_code == 0
    assert (tmp_path / "page.html").read_text("utf-8").count("<img") == 2


def test_apply_moves_duplicates_and_undo_moves_them_back(run, album):
    result = run(album, "--apply", "--yes")
    assert result.exit_code == 0
    assert files(album) == ["eileen.png", "grace.jpg"]
    assert "facesearch dedupe --undo-trash --trash" in result.stderr
    place = album.parent / "facesearch-trash"
    result = run("--undo-trash", "--trash", place)
    assert (result.exit_code, result.stdout) == (0, "Moved 1 file back.\n")
    assert files(album) == ["eileen.png", "grace.jpg", "small.png"]
    assert run("--undo-trash", album).exit_code == UNUSABLE


def test_apply_asks_before_it_moves(run, album, monkeypatch):
    monkeypatch.setattr(command, "stdin_is_terminal", lambda: True)
    assert run(album, "--apply", input="n\n").exit_code == NO
    assert "small.png" in files(album)
    assert run(album, "--apply", input="y\n").exit_code == 0
    assert "small.png" not in files(album)


@pytest.mark.parametrize("options", [["--apply"], ["--apply", "--json"]])
def test_apply_without_anybody_to_ask_wants_yes(run, album, options):
    result = run(album, *options)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert "small.png" in files(album)


def test_a_move_that_was_cut_short_is_told_and_finished(run, album, monkeypatch):
    from facesearch.dedupe import trash

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trash, "_away", killed)
        result = run(album, "--apply", "--yes")
    assert result.exit_code == INTERRUPTED
    assert "cut short" in result.stderr
    result = run(album)
    assert "cut short" in result.stderr
    assert "small.png" in files(album)
    assert "Finished what was cut short" in run(album, "--apply", "--yes").stderr
    assert "small.png" not in files(album)
    assert "cut short" not in run(album).stderr


def test_ctrl_c_says_that_the_same_command_goes_on(run, album, monkeypatch):
    from facesearch.dedupe import photos

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(photos, "find_duplicates", interrupted)
    result = run(album)
    assert result.exit_code == INTERRUPTED
    assert "goes on from here" in result.stderr


def test_forget_deletes_the_small_pictures_of_everybody(
    run, facesearch, album, enrolled_gallery, portraits
):
    """CompreFace PR 1321: pictures of a person who was deleted stayed for ever."""
    assert run(album, "--gallery", enrolled_gallery).exit_code == 0
    (cache,) = enrolled_gallery.with_name("enrolled.db-index").glob("photos.cache")
    assert str(album / "grace.jpg").encode() in cache.read_bytes()
    forgotten = facesearch(
        "people", "forget", "Grace Hopper", "--yes", "--gallery", enrolled_gallery
    )
    assert forgotten.exit_code == 0
    for file in enrolled_gallery.parent.rglob("enrolled*"):
        assert file.is_dir() or str(album / "grace.jpg").encode() not in file.read_bytes()
    assert not list(enrolled_gallery.parent.rglob("photos.cache*"))


def test_what_a_human_told_apart_stays_apart_until_it_is_undone(run, facesearch, album):
    """immich #8956, photoprism #3654: what a human said has to stick."""
    pair = album / "grace.jpg", album / "small.png"
    said = run("--not-same", *pair)
    assert said.exit_code == 0
    assert "not one picture" in said.stdout
    assert json.loads(run(album, "--json").stdout)["groups"] == []
    assert "undo" in said.stderr
    assert facesearch("undo").exit_code == 0
    assert len(json.loads(run(album, "--json").stdout)["groups"]) == 1


def test_a_photo_is_never_told_apart_from_itself(run, album):
    assert run("--not-same", album / "grace.jpg", album / "grace.jpg").exit_code == NO
    assert run("--not-same", album / "grace.jpg", album / "nowhere.jpg").exit_code == UNREADABLE


def test_apply_leaves_what_differs_in_a_spot_to_a_human(run, album, portraits):
    image = Image.open(portraits.grace).convert("RGB")
    ImageDraw.Draw(image).text((60, 540), "Happy birthday", fill="yellow", font_size=30)
    image.save(album / "card.jpg", quality=30)  # grace.jpg is kept: it has more bytes
    result = run(album, "--apply", "--yes")
    assert result.exit_code == 0
    assert files(album) == ["card.jpg", "eileen.png", "grace.jpg"]
    assert "a spot differs" in result.stdout.replace("\n", " ")
    assert "Not sure of 1" in result.stderr


def test_wrong_usage_is_told(run, tmp_path):
    assert run().exit_code == 2
    assert run("--undo-trash").exit_code == 2
    assert run(tmp_path / "nowhere").exit_code == UNREADABLE
