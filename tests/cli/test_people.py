import csv
import json

import pytest


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
def test_nobody_of_that_name_is_a_no(people, args):
    verb, *options = args
    result = people(verb, "Nobody", *options, *(["Somebody"] if verb == "rename" else []))
    assert result.exit_code == 1
    assert "nobody called Nobody is enrolled" in result.stderr


def test_rename_says_how_to_undo_it(people):
    result = people("rename", "Grace Hopper", "Amazing Grace")
    assert result.exit_code == 0
    assert names(people) == ["Amazing Grace", "Eileen Collins"]
    assert "facesearch people rename 'Amazing Grace' 'Grace Hopper'" in result.stderr


def test_rename_to_a_name_that_is_taken_is_wrong_usage(people):
    assert people("rename", "Grace Hopper", "Eileen Collins").exit_code == 2
    assert names(people) == ["Eileen Collins", "Grace Hopper"]


def test_forget_prints_a_receipt(people):
    result = people("forget", "Grace Hopper", "--yes")
    assert result.exit_code == 0
    assert "1 templates" in result.stdout
    assert "1 photos" in result.stdout
    assert "cannot be undone" in result.stderr
    assert names(people) == ["Eileen Collins"]


def test_forget_in_a_script_wants_yes(people):
    result = people("forget", "Grace Hopper")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert names(people) == ["Eileen Collins", "Grace Hopper"]


def test_forget_tries_without_changing_anything(people):
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
