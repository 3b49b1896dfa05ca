"""facesearch cluster: groups of faces without a name, and naming a group."""

import json
import weakref
from pathlib import Path

import pytest
from PIL import Image

from facesearch.duplicates import report_page as page
from facesearch_cli import cluster as command
from facesearch_cli.options import INTERRUPTED, NO, UNREADABLE

WRONG_USAGE = 2


@pytest.fixture
def run(facesearch):
    return lambda *args, **options: facesearch("cluster", *args, **options)


def rows(result):
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_a_named_group_is_identified_until_that_is_undone(run, album, facesearch):
    result = run(album)
    assert result.exit_code == 0
    assert {(group, n, Path(photo).name, face) for group, n, photo, face in rows(result)} == {
        ("1", "3", name, "1") for name in ("grace.jpg", "small.png", "grey.png")
    }
    assert "1 group of faces without a name in 4 photos. 1 face found only once" in result.stderr
    assert f"To name one: facesearch cluster '{album}' --name GROUP NAME" in result.stderr
    assert facesearch("people", "list").stdout == ""

    named = run(album, "--name", 1, "Grace Hopper")
    assert (named.exit_code, named.stdout) == (0, "Said that 3 faces are Grace Hopper.\n")
    assert "To undo: facesearch undo 1" in named.stderr
    assert "Grace Hopper" in facesearch("identify", album / "small.png").stdout
    assert "No group of faces without a name" in run(album).stderr

    assert facesearch("undo", 1).exit_code == 0
    assert [row[0] for row in rows(run(album))] == ["1"] * 3


def test_both_faces_of_a_collage_are_named_if_that_is_said(run, album, facesearch):
    portrait = Image.open(album / "grace.jpg")
    collage = Image.new("RGB", (2 * portrait.width, portrait.height))
    for place in range(2):
        collage.paste(portrait, (place * portrait.width, 0))
    collage.save(album / "collage.png")
    assert [row[1] for row in rows(run(album))[:1]] == ["5"]
    named = run(album, "--name", 1, "Grace")
    assert (named.exit_code, named.stdout) == (UNREADABLE, "Said that 4 faces are Grace.\n")
    assert "another face of this photo is Grace" in named.stderr
    assert facesearch("undo", 1).exit_code == 0
    named = run(album, "--name", 1, "Grace", "--same-person-twice")
    assert (named.exit_code, named.stdout) == (0, "Said that 5 faces are Grace.\n")


def test_json_is_one_object_with_every_face(run, album):
    answer = json.loads(run(album, "--json").stdout)
    (group,) = answer["groups"]
    assert (group["group"], len(group["faces"])) == (1, 3)
    assert set(group["faces"][0]) == {"photo", "face", "box", "score", "sha256"}
    assert (answer["alone"], answer["enrolled"], answer["photos"], answer["named"]) == (
        1,
        0,
        4,
        None,
    )
    answer = json.loads(run(album, "--json", "--name", 1, "Grace").stdout)
    assert answer["named"]["kind"] == "confirm"


def test_the_page_shows_the_faces(run, album, tmp_path):
    assert run(album, "--html", tmp_path / "groups.html").exit_code == 0
    written = (tmp_path / "groups.html").read_text()
    assert written.count("<img") == 3
    assert "Group 1: 3 faces" in written


def test_the_page_holds_one_face_at_a_time_in_memory(run, album, tmp_path, monkeypatch):
    cut, most = [], []

    def noting(*face):
        most.append(sum(there() is not None for there in cut))
        picture = cut_out(*face)
        cut.append(weakref.ref(picture.pixels()))
        return picture

    cut_out = page.cut_out
    monkeypatch.setattr(page, "cut_out", noting)
    run(album, "--html", tmp_path / "groups.html")
    assert len(most) == 3
    assert max(most) <= 1


def test_only_the_first_photos_of_a_large_group_are_listed(run, album, monkeypatch):
    monkeypatch.setattr(command, "MAX_LISTED", 1)
    assert [row[2:] for row in rows(run(album))][1:] == [["and 2 more", ""]]


def test_bad_files_are_listed_and_the_rest_is_grouped(run, album, bad_photos):
    result = run(album, *bad_photos.values())
    assert result.exit_code == UNREADABLE
    assert len(rows(result)) == 3
    for name in ("empty", "text", "truncated"):
        assert str(bad_photos[name]) in result.stderr
    assert str(bad_photos["no_face"]) not in result.stderr


def test_wrong_usage_exits_2_and_enrolls_nothing(run, album, facesearch):
    for name in ((7, "Ann"), ("Ann", "Ann"), (1, " ")):
        assert run(album, "--name", *name).exit_code == WRONG_USAGE
    assert facesearch("people", "list").stdout == ""


def test_a_name_rejected_for_every_face_of_a_group_is_refused(run, album, facesearch, portraits):
    facesearch("enroll", portraits.eileen, "--name", "Grace")
    for name in ("grace.jpg", "small.png", "grey.png"):
        assert facesearch("people", "reject", album / name, "Grace").exit_code == 0
    result = run(album, "--name", 1, "Grace")
    assert result.exit_code == NO
    assert "a human said that this face is not Grace" in result.stderr


def test_ctrl_c_says_that_the_same_command_goes_on(run, album, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("facesearch.gallery.review.Review.cluster", interrupted)
    result = run(album)
    assert (result.exit_code, result.stderr) == (
        INTERRUPTED,
        "Interrupted: the same command goes on from here.\n",
    )
