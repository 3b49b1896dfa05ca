import csv
import json

import pytest
from PIL import Image


@pytest.fixture
def people(facesearch, enrolled_gallery):
    """Run a subcommand of people on the gallery of Eileen Collins and Grace Hopper."""
    return lambda *args, **options: facesearch(
        "people", *args, "--gallery", enrolled_gallery, **options
    )


def names(people):
    return [person["person"] for person in json.loads(people("list", "--json").stdout)["people"]]


def test_list_names_everyone(people):
    lines = people("list").stdout.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["Eileen Collins", "1"],
        ["Grace Hopper", "1"],
    ]
    assert names(people) == ["Eileen Collins", "Grace Hopper"]
    heading, *rows = csv.reader(people("list", "--csv").stdout.splitlines())
    assert heading == ["person", "photos", "templates", "enrolled_at"]
    assert len(rows) == 2


def test_show_names_the_photos(people, portraits):
    assert people("show", "Grace Hopper").stdout.startswith(f"{portraits.grace}\t")
    (face,) = json.loads(people("show", "Grace Hopper", "--json").stdout)["faces"]
    assert (face["photo"], face["assigned_by"]) == (str(portraits.grace), "human")


@pytest.mark.parametrize("args", [["show"], ["forget", "--yes"], ["rename"]])
def test_an_unknown_name_exits_1(people, args):
    verb, *options = args
    result = people(verb, "Nobody", *options, *(["Somebody"] if verb == "rename" else []))
    assert result.exit_code == 1
    assert "nobody called Nobody is enrolled" in result.stderr


def test_rename_says_how_to_undo_it(people, facesearch, enrolled_gallery):
    result = people("rename", "Grace Hopper", "Amazing Grace")
    assert result.exit_code == 0
    assert result.stdout == "Renamed Grace Hopper to Amazing Grace.\n"
    assert names(people) == ["Amazing Grace", "Eileen Collins"]
    assert result.stderr == f"To undo: facesearch undo 3 --gallery {enrolled_gallery}\n"
    assert facesearch(*result.stderr.split()[3:]).exit_code == 0
    assert names(people) == ["Eileen Collins", "Grace Hopper"]


def test_the_undo_command_does_not_name_the_users_own_gallery(
    facesearch, enrolled_gallery, own_home
):
    own_home.mkdir()
    enrolled_gallery.rename(own_home / "gallery.db")
    result = facesearch("people", "rename", "Grace Hopper", "Amazing Grace")
    assert result.stderr == "To undo: facesearch undo 3\n"


def test_renaming_to_a_taken_name_is_wrong_usage(people):
    assert people("rename", "Grace Hopper", "Eileen Collins").exit_code == 2
    assert names(people) == ["Eileen Collins", "Grace Hopper"]


def test_forget_prints_a_receipt(people):
    result = people("forget", "Grace Hopper", "--yes")
    assert result.exit_code == 0
    assert "1 templates" in result.stdout
    assert "1 photos" in result.stdout
    assert "cannot be undone" in result.stderr
    assert names(people) == ["Eileen Collins"]


def test_forget_in_a_script_needs_yes(people):
    result = people("forget", "Grace Hopper")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert names(people) == ["Eileen Collins", "Grace Hopper"]


def test_forget_with_dry_run_changes_nothing(people):
    result = people("forget", "Grace Hopper", "--dry-run")
    assert result.exit_code == 0
    assert "Would forget Grace Hopper (1 enrolled face)" in result.stdout
    assert names(people) == ["Eileen Collins", "Grace Hopper"]


@pytest.mark.parametrize(
    ("answer", "exit_code", "left"), [("y\n", 0, 1), ("n\n", 1, 2), ("\n", 1, 2), ("", 130, 2)]
)
def test_forget_asks_on_a_terminal(people, monkeypatch, answer, exit_code, left):
    monkeypatch.setattr("facesearch_cli.people.stdin_is_terminal", lambda: True)
    result = people("forget", "Grace Hopper", input=answer)
    assert result.exit_code == exit_code
    assert "This cannot be undone" in result.stderr
    assert len(names(people)) == left


# Every verb: what it prints, what it returns as JSON, and that it did it


def test_merge_as_a_dry_run_for_real_and_undone(people, facesearch, enrolled_gallery):
    words = ("merge", "Grace Hopper", "--into", "Eileen Collins")
    tried = people(*words, "--dry-run")
    assert tried.stdout == (
        "Would have merged Grace Hopper into Eileen Collins (1 face). Nothing was changed.\n"
    )
    assert tried.stderr == ""
    assert len(names(people)) == 2
    done = people(*words)
    assert done.stdout == "Merged Grace Hopper into Eileen Collins (1 face).\n"
    assert names(people) == ["Eileen Collins"]
    facesearch("undo", "--yes", "--gallery", enrolled_gallery)
    assert names(people) == ["Eileen Collins", "Grace Hopper"]


def test_split_and_move_and_their_json(people, facesearch, enrolled_gallery, portraits):
    people("merge", "Grace Hopper", "--into", "Eileen Collins")
    split = ("split", "Eileen Collins", portraits.grace, "--as", "Grace")
    tried = json.loads(people(*split, "--dry-run", "--json").stdout)
    assert (tried["id"], tried["dry_run"], tried["changed"]["face"]) == (None, True, 1)
    done = json.loads(people(*split, "--json").stdout)
    assert done["id"] == 4
    assert done["summary"] == "split 1 face off Eileen Collins as Grace"
    assert names(people) == ["Eileen Collins", "Grace"]
    move = ("move", portraits.eileen, "--from", "Eileen Collins", "--to", "Grace")
    assert json.loads(people(*move, "--json").stdout)["kind"] == "move"
    assert people("show", "Grace").stdout.count("\n") == 2


def test_rejected_and_confirmed_faces_are_obeyed(
    people, facesearch, enrolled_gallery, portraits, tmp_path
):
    photo = tmp_path / "again.png"
    Image.open(portraits.grace).convert("RGB").save(photo)

    def who():
        result = facesearch("identify", photo, "--gallery", enrolled_gallery, "--json")
        (face,) = json.loads(result.stdout)["faces"]
        return face["person"], face["decided_by"]

    assert who() == ("Grace Hopper", "machine")
    rejected = people("reject", photo, "Grace Hopper")
    assert rejected.stdout == "Said that a face is not Grace Hopper.\n"
    assert who() == (None, "machine")
    again = people("reject", photo, "Grace Hopper", "--json")
    assert (json.loads(again.stdout)["id"], again.stderr) == (None, "")
    assert people("confirm", photo, "Grace", "--face", 1).exit_code == 1
    people("confirm", photo, "Grace", "--face", 1, "--new")
    assert who() == ("Grace", "human")


def test_faces_marked_as_stranger_or_no_face_are_obeyed(
    people, facesearch, enrolled_gallery, portraits, tmp_path
):
    photo = tmp_path / "again.png"
    Image.open(portraits.grace).convert("RGB").save(photo)
    result = people("stranger", photo, "--face", 1)
    assert result.stdout == "Said that a face is a stranger's.\n"
    identify = ("identify", photo, "--gallery", enrolled_gallery)
    assert facesearch(*identify).stdout.rstrip().endswith("stranger\tdecided")
    (face,) = json.loads(facesearch(*identify, "--json").stdout)["faces"]
    assert (face["person"], face["decided_by"]) == (None, "human")
    assert (face["dismissed_as"], face["unknown_probability"]) == ("stranger", 1.0)
    assert facesearch(*identify).exit_code == 1

    assert json.loads(people("no-face", photo, "--json").stdout)["kind"] == "dismiss"
    row = facesearch(*identify, "--csv").stdout.splitlines()[1]
    assert row.endswith(",human,no face,")
    history = facesearch("history", "--gallery", enrolled_gallery).stdout
    assert "said that what was taken for a face is none" in history
    cluster = ("cluster", photo, "--gallery", enrolled_gallery)
    assert json.loads(facesearch(*cluster, "--json").stdout)["dismissed"] == 1
    assert "1 dismissed" in facesearch(*cluster).stderr


def test_merging_people_marked_as_not_the_same_exits_1(people):
    assert people("not-same", "Grace Hopper", "Eileen Collins").exit_code == 0
    answer = people("not-same", "Eileen Collins", "Grace Hopper")
    assert answer.stdout.startswith("Already said that Eileen Collins and Grace Hopper are two")
    result = people("merge", "Grace Hopper", "--into", "Eileen Collins")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: Eileen Collins and Grace Hopper are two people, a human said in decision 3; "
        "undo that first\n"
    )


def test_a_missing_photo_or_face_is_an_error(people, portraits, bad_photos):
    assert people("confirm", bad_photos["no_face"], "Grace Hopper").exit_code == 3
    assert people("reject", bad_photos["text"], "Grace Hopper").exit_code == 3
    result = people("confirm", portraits.grace, "Grace Hopper", "--face", 2)
    assert (result.exit_code, "1 face, so there is no face 2" in result.stderr) == (3, True)
    result = people("split", "Grace Hopper", portraits.eileen, "--as", "Eileen")
    assert (result.exit_code, "is not enrolled from" in result.stderr) == (3, True)


def test_a_misspelled_name_gets_a_suggestion(people):
    result = people("show", "grace hopper")
    assert result.exit_code == 1
    assert "; is it Grace Hopper?" in result.stderr


def test_somebody_whose_enrollment_was_undone_can_be_forgotten(
    people, facesearch, enrolled_gallery
):
    facesearch("undo", "--yes", "--gallery", enrolled_gallery)
    assert names(people) == []
    assert people("forget", "Grace Hopper", "--yes").exit_code == 0
    assert people("forget", "Grace Hopper", "--yes").exit_code == 1


def test_reject_takes_the_one_face_that_bears_the_name(
    people, facesearch, enrolled_gallery, portraits, tmp_path
):
    both = Image.new("RGB", (1024, 512))
    for place, photo in enumerate((portraits.eileen, portraits.grace)):
        both.paste(Image.open(photo).convert("RGB").resize((512, 512)), (512 * place, 0))
    photo = tmp_path / "both.png"
    both.save(photo)

    def bearers():
        result = facesearch("identify", photo, "--gallery", enrolled_gallery, "--json")
        return {face["person"] for face in json.loads(result.stdout)["faces"]}

    assert bearers() == {"Eileen Collins", "Grace Hopper"}
    assert people("reject", photo, "Grace Hopper").exit_code == 0
    assert bearers() == {"Eileen Collins", None}
