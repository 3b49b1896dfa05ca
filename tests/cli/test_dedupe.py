import json
import shutil
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from facesearch_cli import dedupe as command
from facesearch_cli.main import Commands
from facesearch_cli.options import INTERRUPTED, NO, UNREADABLE, UNUSABLE


@pytest.fixture
def run():
    app = typer.Typer(cls=Commands)
    app.command()(command.dedupe)
    app.command("other")(lambda: None)  # a single command would have no name

    def invoke(*args, **options):
        return CliRunner().invoke(app, ["dedupe", *map(str, args)], **options)

    return invoke


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
        assert run(album, "--apply", "--yes").exit_code == INTERRUPTED
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


def test_what_was_computed_lies_where_forget_deletes_it(run, album, own_home):
    assert run(album).exit_code == 0
    assert (own_home / "gallery.db-index" / "photos.cache").exists()


def test_wrong_usage_is_told(run, tmp_path):
    assert run().exit_code == 2
    assert run("--undo-trash").exit_code == 2
    assert run(tmp_path / "nowhere").exit_code == UNREADABLE
