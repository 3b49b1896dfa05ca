"""Duplicates: found while the page answers, shown side by side, decided, undone."""

import re
import threading
from contextlib import closing
from pathlib import Path

import pytest
from duplicates_steps import Card, again, card, searched, text, undo
from PIL import Image

from facesearch import Gallery
from facesearch.gallery.duplicates import Duplicates
from facesearch.storage import sqlite


@pytest.fixture
def twins(open_app, gallery_of_twins):
    """The page of the gallery of twins after a search."""
    return searched(open_app(gallery_of_twins))


def people(gallery):
    with closing(Gallery(gallery)) as opened:
        return {person.name: person.templates for person in opened.people.all()}


def test_the_page_claims_nothing_before_a_search_and_says_how_sure_it_is_after(
    open_app, gallery_of_twins
):
    site = open_app(gallery_of_twins)
    assert "It changes nothing" in text(site, "/duplicates")
    searched(site)
    html = text(site, "/duplicates")
    assert re.search(r"35 people checked\.\s+Of 2 proposals, (about|fewer)", html)
    assert "of=photos" not in html
    assert "1 face is" not in text(site, "/duplicates?of=faces")
    text(site, "/duplicates?of=everything", 404)
    text(site, "/duplicates/everything/next", 404)
    text(site, "/duplicates/cards/999", 404)


def test_two_names_are_merged_under_the_selected_name_and_separated_by_undo(
    twins, gallery_of_twins
):
    shown = card(twins, "people")
    assert sorted(shown.sides) in (["Ada", "Annie"], ["Bea", "Beatrix"])
    assert re.search(r"[\d.]+%</strong> likely to be the same person", shown.html)
    before, longer = people(gallery_of_twins), shown.sides[shown.stays]
    assert before[longer] == 3
    keep = 1 - shown.stays
    status, merged = shown.decide("same", keep=keep)
    assert status == 200
    after = people(gallery_of_twins)
    assert longer not in after
    assert after[shown.sides[keep]] == 5
    text(twins, f"/duplicates/cards/{shown.number}", 404)
    assert card(twins, "people").sides != shown.sides
    undo(twins, merged)
    assert people(gallery_of_twins) == before
    assert again(shown).html == shown.html
    assert card(twins, "people").sides == shown.sides


def test_people_who_are_not_the_same_are_not_proposed_again_until_undo(twins):
    first = card(twins, "people")
    status, said = first.decide("not-same")
    assert (status, "are two people" in said["said"]) == (200, True)
    second = card(twins, "people")
    assert second.sides != first.sides
    searched(twins)
    assert "Of 1 proposal," in text(twins, "/duplicates")
    assert "That was the last one." in text(
        twins, f"/duplicates/people/next?start={card(twins, 'people').number}"
    )
    undo(twins, said)
    searched(twins)
    assert "Of 2 proposals," in text(twins, "/duplicates")


def test_a_card_that_changed_since_it_was_shown_is_not_decided(twins, gallery_of_twins):
    shown = card(twins, "people")
    with closing(Gallery(gallery_of_twins)) as gallery:  # as the command line would
        (_, face) = gallery.people.faces_of("Person 07")[0]
        gallery.people.move([face], "Person 07", shown.sides[0])
    before = people(gallery_of_twins)
    for verb in ("same", "not-same"):
        status, refused = shown.decide(verb)
        assert (status, "this has changed" in refused["error"]) == (409, True)
    assert people(gallery_of_twins) == before
    changed = again(shown)
    assert "Changed since it was found" in changed.html
    assert "Changed since it was found" not in shown.html
    assert changed.decide("same")[0] == 200


def test_an_invalid_request_decides_nothing(twins, gallery_of_twins):
    before = people(gallery_of_twins)
    for wrong in ({"keep": "1"}, {"keep": True}, {"keep": 2}, {"keep": None}, {"stamp": [1]}):
        for kind in ("people", "names"):
            for verb in ("same", "not-same"):
                assert card(twins, kind).decide(verb, **{"name": "Yael"} | wrong)[0] == 400, wrong
    assert card(twins, "names").decide("not-same", name=["Yael"])[0] == 400
    assert people(gallery_of_twins) == before


def test_a_proposal_about_a_forgotten_person_is_skipped(twins, gallery_of_twins):
    shown = card(twins, "people")
    with closing(Gallery(gallery_of_twins)) as gallery:
        gallery.forget(shown.sides[0])
    assert shown.decide("same")[0] == 409
    other = card(twins, "people")
    assert not set(other.sides) & set(shown.sides)
    assert "That was the last one." in card(twins, "people", other.number).html


def test_a_proposal_about_a_person_forgotten_at_this_moment_is_skipped(twins, monkeypatch):
    monkeypatch.setattr(Duplicates, "look_alikes", lambda *_: [])
    assert card(twins, "people").number is None


def test_a_proposal_decided_by_another_program_is_skipped(twins, gallery_of_twins):
    shown = card(twins, "people")
    with closing(Gallery(gallery_of_twins)) as gallery:
        gallery.people.not_same(*shown.sides)
    text(twins, f"/duplicates/cards/{shown.number}", 404)
    assert shown.decide("same")[0] == 409
    assert card(twins, "people").sides != shown.sides


def test_a_name_that_may_be_two_people_is_not_merged_without_a_warning(open_app, gallery_of_twins):
    with closing(Gallery(gallery_of_twins)) as gallery:
        gallery.people.rename("Person 03", "ZOE")
    site = searched(open_app(gallery_of_twins))
    html = text(site, "/duplicates/people/next?start=0")
    while "ZOE" not in html:
        html = text(site, f"/duplicates/people/next?start={Card(site, html).number}")
    assert "differ only in case" in html
    assert "Zoe may be two people" in html


def test_a_name_that_covers_two_people_is_split_and_restored_by_undo(twins, gallery_of_twins):
    shown = card(twins, "names")
    assert "Are these all Zoe?" in shown.html
    assert (shown.stays, shown.sides) == (0, ["Zoe", "Zoe"])
    before = people(gallery_of_twins)
    assert shown.decide("not-same")[0] == 400  # without a name
    status, split = shown.decide("not-same", keep=0, name="Yael")
    assert (status, split["said"]) == (200, "Split 2 faces off Zoe as Yael.")
    assert "All are decided." in card(twins, "names").html
    undo(twins, split)
    assert people(gallery_of_twins) == before
    status, moved = shown.decide("not-same", keep=1, name="Person 05")
    assert (status, moved["said"]) == (200, "Moved 3 faces from Zoe to Person 05.")
    undo(twins, moved)

    status, said = shown.decide("same")
    assert (status, "a face is Zoe" in said["said"]) == (200, True)
    searched(twins)
    assert "No name is likely to be two people." in card(twins, "names").html
    undo(twins, said)
    searched(twins)
    assert card(twins, "names").sides == ["Zoe", "Zoe"]


def test_a_name_that_got_another_face_since_the_search_is_not_split(twins, gallery_of_twins):
    shown = card(twins, "names")
    with closing(Gallery(gallery_of_twins)) as gallery:
        gallery.people.move([gallery.people.faces_of("Ada")[0][1]], "Ada", "Zoe")
    assert shown.decide("not-same", name="Yael")[0] == 409
    assert shown.number not in card(twins, "names").html


def test_the_page_opens_with_the_first_stack_that_is_not_empty(twins):
    assert 'data-kind="people"' in text(twins, "/duplicates")
    for _ in range(2):
        assert card(twins, "people").decide("not-same")[0] == 200
    assert 'data-kind="names"' in text(twins, "/duplicates")


def test_a_face_enrolled_twice_is_removed_once_or_kept_twice(open_app, tmp_path, portraits):
    copy = tmp_path / "copy.jpg"
    Image.open(portraits.eileen).convert("RGB").save(copy, quality=95)
    with closing(Gallery(tmp_path / "a.db")) as gallery:
        list(gallery.enroll([("Eileen", portraits.eileen), ("Ellen", copy)]))
    site = searched(open_app(tmp_path / "a.db"))
    shown = card(site, "faces")
    assert shown.sides == ["Eileen", "Ellen"]
    assert "Their only face" in shown.html
    assert str(copy) in shown.html
    status, out = shown.decide("same", keep=0)
    assert (status, out["said"]) == (200, "Took 1 face of Ellen out.")
    assert people(tmp_path / "a.db") == {"Eileen": 1, "Ellen": 0}
    assert copy.exists()
    text(site, f"/duplicates/cards/{shown.number}", 404)
    undo(site, out)
    status, kept = again(shown).decide("not-same")
    assert (status, "not one picture" in kept["said"]) == (200, True)
    searched(site)
    assert "No face is enrolled twice." in card(site, "faces").html


def test_without_a_folder_no_file_is_touched(twins):
    assert twins.tell("/duplicates/trash/move-all")[0] == 409
    assert twins.tell("/duplicates/trash/move-back")[0] == 409
    assert twins.tell("/duplicates/trash/finish")[0] == 409
    shown = card(twins, "people")
    assert shown.decide("move", photos=[1])[0] == 404
    text(twins, f"/duplicates/cards/{shown.number}/photos/1/picture", 404)
    assert not Path("facesearch-trash").exists()


def test_a_person_forgotten_during_a_search_is_erased_when_it_ends(
    open_app, gallery_of_twins, monkeypatch
):
    monkeypatch.setattr(sqlite, "ERASE_TIMEOUT_S", 0.1)
    reading, go_on = threading.Event(), threading.Event()
    found = Duplicates.two_in_one

    def slow(duplicates, at_least):
        with duplicates._finding():
            reading.set()
            assert go_on.wait(60)
        return found(duplicates, at_least)

    monkeypatch.setattr(Duplicates, "two_in_one", slow)
    app = open_app(gallery_of_twins)
    (page,) = re.findall(r'href="(/people/\d+)"', text(app, "/people?search=beatrix"))
    assert app.tell("/duplicates/look")[0] == 200
    assert reading.wait(60)
    assert "of=people" in text(app, "/duplicates")  # the page still answers
    status, said = app.tell(f"{page}/forget", name="Beatrix")
    go_on.set()
    assert (status, "as soon as the search ends" in said["said"]) == (200, True)
    text(app, page, 404)
    searched(app)
    assert "Of 1 proposal," in text(app, "/duplicates")
    files = [file for file in gallery_of_twins.parent.rglob("*") if file.is_file()]
    assert files
    assert all(b"Beatrix" not in file.read_bytes() for file in files)
