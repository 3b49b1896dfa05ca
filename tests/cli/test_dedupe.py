import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from facesearch import Gallery
from facesearch.duplicates.enrolled import PerhapsTwo
from facesearch.gallery.duplicates import Duplicates
from facesearch_cli import dedupe as command
from facesearch_cli import dedupe_people
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
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_the_report_names_the_photo_to_keep_and_changes_nothing(run, album):
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
    place = album / "facesearch-trash"
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
def test_apply_needs_yes_if_nobody_can_be_asked(run, album, options):
    result = run(album, *options)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert "small.png" in files(album)


def test_an_interrupted_move_is_reported_and_finished(run, album, monkeypatch):
    from facesearch.duplicates import trash

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trash, "_away", killed)
        result = run(album, "--apply", "--yes")
    assert result.exit_code == INTERRUPTED
    assert "was interrupted" in result.stderr
    result = run(album)
    assert "was interrupted" in result.stderr
    assert "small.png" in files(album)
    assert "Finished an interrupted move" in run(album, "--apply", "--yes").stderr
    assert "small.png" not in files(album)
    assert "was interrupted" not in run(album).stderr


def test_ctrl_c_says_that_the_same_command_goes_on(run, album, monkeypatch):
    from facesearch.duplicates import photos

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(photos, "find_duplicates", interrupted)
    result = run(album)
    assert result.exit_code == INTERRUPTED
    assert "goes on from here" in result.stderr


def test_forget_deletes_the_thumbnails_of_everybody(
    run, facesearch, album, enrolled_gallery, portraits
):
    """CompreFace PR 1321: pictures of a deleted person were kept."""
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


def test_photos_marked_as_different_are_not_grouped_until_that_is_undone(run, facesearch, album):
    """immich #8956, photoprism #3654: a correction has to last."""
    pair = album / "grace.jpg", album / "small.png"
    said = run("--not-same", *pair)
    assert said.exit_code == 0
    assert "not one picture" in said.stdout
    assert json.loads(run(album, "--json").stdout)["groups"] == []
    assert "undo" in said.stderr
    assert facesearch("undo", "--yes").exit_code == 0
    assert len(json.loads(run(album, "--json").stdout)["groups"]) == 1


def test_a_photo_cannot_be_marked_as_different_from_itself(run, album):
    assert run("--not-same", album / "grace.jpg", album / "grace.jpg").exit_code == NO
    assert run("--not-same", album / "grace.jpg", album / "nowhere.jpg").exit_code == UNREADABLE


def test_apply_does_not_move_a_photo_that_differs_in_one_spot(run, album, portraits):
    image = Image.open(portraits.grace).convert("RGB")
    ImageDraw.Draw(image).text((60, 540), "Happy birthday", fill="yellow", font_size=30)
    image.save(album / "card.jpg", quality=30)  # grace.jpg is kept: it has more bytes
    result = run(album, "--apply", "--yes")
    assert result.exit_code == 0
    assert files(album) == ["card.jpg", "eileen.png", "grace.jpg"]
    assert "a spot differs" in result.stdout.replace("\n", " ")
    assert "Not sure of 1" in result.stderr


def test_missing_folders_and_trash_are_errors(run, tmp_path):
    assert run().exit_code == 2
    assert run("--undo-trash").exit_code == 2
    assert run(tmp_path / "nowhere").exit_code == UNREADABLE


# People and faces of the gallery


@pytest.fixture(scope="module")
def grace_twice(_gallery_of_portraits, portraits, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    grace = Image.open(portraits.grace).convert("RGB")
    ImageEnhance.Brightness(grace).enhance(0.6).save(again / "dark.png")
    ImageOps.mirror(grace).save(again / "mirrored.png")
    path = Path(shutil.copy(_gallery_of_portraits, again / "gallery.db"))
    with Gallery(path) as gallery:
        pairs = [("Amazing Grace", again / name) for name in ("dark.png", "mirrored.png")]
        assert [done.status for done in gallery.enroll(pairs)] == ["enrolled"] * 2
    return path


@pytest.fixture
def twice(grace_twice, tmp_path):
    """A gallery in which Grace Hopper is enrolled as Amazing Grace, too, from other pictures."""
    return Path(shutil.copy(grace_twice, tmp_path / "twice.db"))


@pytest.fixture
def people(run, twice):
    return lambda *args, **options: run("--what", "people", "--gallery", twice, *args, **options)


def names(facesearch, gallery):
    listed = json.loads(facesearch("people", "list", "--json", "--gallery", gallery).stdout)
    return [person["person"] for person in listed["people"]]


def test_two_names_of_one_person_are_reported_and_nothing_is_changed(people, facesearch, twice):
    before = names(facesearch, twice)
    result = people()
    assert result.exit_code == 0
    lines = [line.split("\t")[:3] for line in result.stdout.splitlines()]
    assert lines == [["1", "keep", "Amazing Grace"], ["1", "", "Grace Hopper"]]
    assert "3 people looked at" in result.stderr
    assert "1 proposal, " in result.stderr
    assert "facesearch people not-same" in result.stderr
    assert names(facesearch, twice) == before


def test_people_are_merged_and_the_printed_command_undoes_it(people, facesearch, twice):
    result = people("--apply", "--yes")
    assert result.exit_code == 0
    assert names(facesearch, twice) == ["Amazing Grace", "Eileen Collins"]
    answer = next(line for line in result.stderr.splitlines() if line.startswith("To undo: "))
    assert facesearch(*answer.split()[3:]).exit_code == 0
    assert names(facesearch, twice) == ["Amazing Grace", "Eileen Collins", "Grace Hopper"]


def test_people_are_merged_only_after_a_yes(people, facesearch, twice, monkeypatch):
    assert people("--apply").exit_code == 2
    assert people("--apply", "--json").exit_code == 2
    monkeypatch.setattr(command, "stdin_is_terminal", lambda: True)
    assert people("--apply", input="n\n").exit_code == NO
    assert len(names(facesearch, twice)) == 3
    assert people("--apply", input="y\n").exit_code == 0
    assert len(names(facesearch, twice)) == 2


def test_people_marked_as_not_the_same_are_not_merged(people, facesearch, twice):
    """immich #8956, photoprism #3654: a correction has to last."""
    said = ["people", "not-same", "Grace Hopper", "Amazing Grace", "--gallery", twice]
    assert facesearch(*said).exit_code == 0
    result = people("--apply", "--yes")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing was changed." in result.stderr
    assert len(names(facesearch, twice)) == 3


def test_a_name_that_may_be_two_people_is_not_merged(people, facesearch, twice, monkeypatch):
    """immich #6374: a merge silently took a third person along."""
    with Gallery(twice) as gallery:
        shown, *_ = gallery.duplicates.enrolled_faces("Amazing Grace")
    two = PerhapsTwo("Amazing Grace", 0.6, ((shown,), (shown,)))
    monkeypatch.setattr(
        Duplicates, "two_in_one", lambda self, at_least=0.5: (two,) if at_least <= 0.6 else ()
    )
    for at_least in (0.5, 0.61):
        result = people("--apply", "--yes", "--at-least", at_least)
        assert result.exit_code == 0
        assert "Nothing was changed." in result.stderr
        assert "leaves 1 proposal" in result.stderr
        assert len(names(facesearch, twice)) == 3
    assert "may hold two people" in people().stderr
    (group,) = json.loads(people("--json").stdout)["groups"]
    assert group["sure"] is False


def test_json_about_people_is_one_object_with_the_merge(people):
    answer = json.loads(people("--json").stdout)
    (group,) = answer["groups"]
    assert (group["keep"], group["merge"]) == ("Amazing Grace", ["Grace Hopper"])
    assert answer["expected_wrong"] == pytest.approx(1 - group["probability"], abs=1e-5)
    assert (answer["people"], answer["two_in_one"], answer["applied"]) == (3, [], None)
    (pair,) = answer["pairs"]
    assert (pair["people"], pair["grouped"]) == (["Grace Hopper", "Amazing Grace"], True)
    applied = json.loads(people("--json", "--apply", "--yes").stdout)["applied"]
    assert applied["kind"] == "merge"


def test_the_page_shows_faces_only_of_photos_that_have_not_changed(people, grace_twice, tmp_path):
    page = tmp_path / "page.html"
    assert people("--html", page).exit_code == 0
    assert page.read_text("utf-8").count("<img") == 3
    dark, mirrored = (grace_twice.parent / name for name in ("dark.png", "mirrored.png"))
    kept = dark.read_bytes(), mirrored.read_bytes()
    try:
        dark.write_bytes(kept[1])
        mirrored.unlink()
        assert people("--html", page).exit_code == 0
    finally:
        dark.write_bytes(kept[0])
        mirrored.write_bytes(kept[1])
    text = page.read_text("utf-8")
    assert text.count("<img") == 1
    assert "dark.png" in text


def test_less_probable_people_are_not_proposed(people, monkeypatch):
    asked = []
    same_people = Duplicates.same_people
    monkeypatch.setattr(
        Duplicates, "same_people", lambda self, p: asked.append(p) or same_people(self, p)
    )
    assert people("--at-least", 1).stdout == ""
    assert asked == [1.0]


def test_the_summary_says_how_many_proposals_are_expected_to_be_wrong():
    assert dedupe_people.how_many_wrong([0.99, 0.95, 0.6]) == (
        "3 proposals, about 0.5 expected to be wrong; 2 at 0.95 or above, about 0.1 expected to be "
        "wrong."
    )
    assert dedupe_people.how_many_wrong([0.6]) == (
        "1 proposal, about 0.4 expected to be wrong; 0 at 0.95 or above."
    )
    assert dedupe_people.how_many_wrong([0.99]) == (
        "1 proposal, fewer than 0.1 expected to be wrong."
    )


def test_no_person_or_one_cannot_be_a_duplicate(run, facesearch, enrolled_gallery):
    for left in ("1 is enrolled", "nobody is enrolled"):
        name = names(facesearch, enrolled_gallery)[0]
        gone = facesearch("people", "forget", name, "--yes", "--gallery", enrolled_gallery)
        assert gone.exit_code == 0
        result = run("--what", "people", "--gallery", enrolled_gallery, "--apply", "--yes")
        assert (result.exit_code, result.stdout) == (0, "")
        assert left in result.stderr
        result = run("--what", "faces", "--gallery", enrolled_gallery)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "No picture of a face is enrolled twice" in result.stderr


def test_a_missing_gallery_is_an_error(run, tmp_path):
    for what in ("people", "faces"):
        assert run("--what", what, "--gallery", tmp_path / "none.db").exit_code == UNUSABLE


def test_a_face_enrolled_twice_is_reported_with_photos_and_names(
    run, facesearch, enrolled_gallery, album, tmp_path
):
    facesearch("enroll", album / "small.png", "--name", "Small", "--gallery", enrolled_gallery)
    faces = ["--what", "faces", "--gallery", enrolled_gallery, "--html", tmp_path / "page.html"]
    rows = [line.split("\t") for line in run(*faces).stdout.splitlines()]
    assert [(row[0], row[1], Path(row[2]).name) for row in rows] == [
        ("1", "Grace Hopper", "grace_hopper.jpg"),
        ("1", "Small", "small.png"),
    ]
    assert (tmp_path / "page.html").read_text("utf-8").count("<img") == 2
    (pair,) = json.loads(run(*faces, "--json").stdout)["faces"]
    assert [face["person"] for face in pair["faces"]] == ["Grace Hopper", "Small"]
    assert pair["cosine"] > 0.9


@pytest.mark.parametrize(
    "options",
    [
        ["--what", "people", "."],
        ["--what", "people", "--keep", "oldest"],
        ["--what", "people", "--bursts"],
        ["--what", "people", "--trash", "there"],
        ["--what", "people", "--undo-trash"],
        ["--what", "people", "--not-same", "a.jpg", "b.jpg"],
        ["--what", "people", "--at-least", "1.5"],
        ["--what", "faces", "."],
        ["--what", "faces", "--apply"],
        ["--what", "faces", "--at-least", "0.9"],
        [".", "--at-least", "0.9"],
    ],
)
def test_options_that_do_not_go_together_are_refused(run, options):
    result = run(*options)
    assert result.exit_code == 2
    assert "does not go with" in result.stderr or "1.5" in result.stderr


DATA = Path(os.environ.get("FACESEARCH_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder ../shared is absent")
def test_real_people_under_two_names_and_two_under_one_are_found(run, tmp_path):
    photos = DATA / "photos" / "people"
    folders = sorted(photos.iterdir(), key=lambda folder: (-len(list(folder.iterdir())), folder))
    (twin, one, other), more = folders[:3], folders[3:20]
    gallery = tmp_path / "real.db"

    with Gallery(gallery) as opened:
        pairs = [("Twin", file) for file in sorted(twin.iterdir())[:6:2]]
        pairs += [("Twin too", file) for file in sorted(twin.iterdir())[1:6:2]]
        pairs += [("Both", file) for who in (one, other) for file in sorted(who.iterdir())[:3]]
        pairs += [(folder.name, file) for folder in more for file in sorted(folder.iterdir())[:1]]
        list(opened.enroll(pairs))
    answer = json.loads(run("--what", "people", "--gallery", gallery, "--json").stdout)
    assert [[group["keep"], *group["merge"]] for group in answer["groups"]] == [
        ["Twin", "Twin too"]
    ]
    (two,) = answer["two_in_one"]
    assert two["person"] == "Both"
    camps = [{Path(face["photo"]).parent.name for face in camp} for camp in two["camps"]]
    assert camps == [{one.name}, {other.name}]


def test_dedupe_tells_what_it_left_out_of_the_folders(run, album):
    """A folder is searched for photos; what else lies in it is counted."""
    (album / "notes.txt").write_text("of summer")
    result = run(album, "--json")
    assert "1 file that is not a photo in a format that is read: 1 .txt" in result.stderr
    assert json.loads(result.stdout)["left_out_of_folders"] == {"other files": 1}
