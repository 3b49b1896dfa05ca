import json

import pytest

from facesearch import Gallery


@pytest.fixture
def run(facesearch, enrolled_gallery):
    """Run a command on the gallery of Eileen Collins and Grace Hopper."""
    return lambda *args, **options: facesearch(*args, "--gallery", enrolled_gallery, **options)


def test_history_lists_the_newest_first_and_marks_undone_decisions(run, portraits):
    run("people", "rename", "Grace Hopper", "Amazing Grace")
    run("undo", "--yes")
    lines = [line.split("\t") for line in run("history").stdout.splitlines()]
    assert [(line[0], line[2], line[3]) for line in lines] == [
        ("4", "human", "undid 3: renamed Grace Hopper to Amazing Grace"),
        ("3", "human", "renamed Grace Hopper to Amazing Grace (undone by 4)"),
        ("1", "human", "enrolled 2 faces of Eileen Collins and Grace Hopper"),
    ]


def test_undo_takes_back_everything_that_one_call_enrolled(run, facesearch, portraits, tmp_path):
    gallery = tmp_path / "of two calls.db"
    for photo in (portraits.eileen, portraits.grace):
        facesearch("enroll", photo, "--name", photo.stem, "--gallery", gallery)
    history = run("history").stdout.splitlines()
    assert run("undo", "--yes").stdout == (
        "Undid 1: enrolled 2 faces of Eileen Collins and Grace Hopper.\n"
    )
    assert (len(history), run("people", "list").stdout) == (1, "")
    lines = [
        line.split("\t") for line in facesearch("history", "--gallery", gallery).stdout.splitlines()
    ]
    assert [(line[0], line[4]) for line in lines] == [
        ("2", str(portraits.grace)),
        ("1", str(portraits.eileen)),
    ]


def test_history_of_one_person_as_json(run):
    run("people", "rename", "Grace Hopper", "Amazing Grace")
    answer = json.loads(run("history", "Amazing Grace", "--limit", 1, "--json").stdout)
    (decision,) = answer["decisions"]
    assert decision["made_at"].endswith("+00:00")
    assert {key: decision[key] for key in ("id", "kind", "undoes", "undone_by", "changed")} == {
        "id": 3,
        "kind": "rename",
        "undoes": None,
        "undone_by": None,
        "changed": {"person": 1},
    }
    assert len(json.loads(run("history", "Eileen Collins", "--json").stdout)["decisions"]) == 1
    assert run("history", "Nobody").exit_code == 1


def test_history_says_that_somebody_was_forgotten_but_not_who(run):
    run("people", "forget", "Grace Hopper", "--yes")
    listed = run("history").stdout
    assert "forgot somebody" in listed
    assert "Grace" not in listed


def test_a_gallery_without_decisions_says_so(facesearch, own_home):
    Gallery(own_home / "gallery.db").close()
    result = facesearch("history")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No decisions yet.\n"
    assert facesearch("undo", "--yes").stderr == "Error: there is nothing to undo\n"


def test_an_undo_is_undone_by_its_number(run):
    run("people", "rename", "Grace Hopper", "Amazing Grace")
    undone = json.loads(run("undo", "--json", "--yes").stdout)
    assert (undone["id"], undone["undoes"], undone["dry_run"]) == (4, 3, False)
    result = run("undo", 4)
    assert result.stdout == "Redid 3: renamed Grace Hopper to Amazing Grace.\n"
    assert "To undo: facesearch undo 5" in result.stderr
    assert "Amazing Grace" in run("people", "list").stdout


def test_undo_says_beforehand_what_it_would_undo(run):
    run("people", "rename", "Grace Hopper", "Amazing Grace")
    result = run("undo", "--dry-run")
    assert result.stdout == (
        "Would have undone 3: renamed Grace Hopper to Amazing Grace. Nothing was changed.\n"
    )
    assert "Amazing Grace" in run("people", "list").stdout


def test_a_decision_that_cannot_be_undone_is_one_sentence_and_exits_1(run):
    run("people", "merge", "Grace Hopper", "--into", "Eileen Collins")
    run("people", "rename", "Eileen Collins", "Grace Hopper")
    result = run("undo", 3)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: 3 cannot be undone: somebody else is called Grace Hopper now; rename them first\n"
    )
    assert run("undo", 99).exit_code == 1


def test_an_undo_that_concerns_several_people_asks_first(run, monkeypatch):
    """A bare undo after a failed enroll undid the enroll of 119 photos before it."""
    monkeypatch.setattr("facesearch_cli.history.stdin_is_terminal", lambda: True)
    refused = run("undo", 1, input="n\n")
    assert refused.exit_code == 1
    asked = "Undo 1: enrolled 2 faces of Eileen Collins and Grace Hopper; it concerns 2 people."
    assert asked in refused.stderr
    assert len(run("people", "list").stdout.splitlines()) == 2
    assert run("undo", 1, input="y\n").exit_code == 0
    assert run("people", "list").stdout == ""


def test_a_bare_undo_asks_since_another_program_may_have_decided_last(run, enrolled_gallery):
    with Gallery(enrolled_gallery) as other:
        other.people.rename("Grace Hopper", "Amazing Grace")
    refused = run("undo")
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.replace("│", " ").split())
    assert "this would undo 3: renamed Grace Hopper to Amazing Grace" in said
    assert run("undo", 3).exit_code == 0
