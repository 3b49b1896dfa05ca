"""The review, by the requests of its page: what it asks, what answers do, what is refused."""

import re
import shutil
import time
from contextlib import closing

import pytest
from deciding import confirm, dismiss
from PIL import Image

from facesearch import Gallery


@pytest.fixture(scope="module")
def home(tmp_path_factory, portraits):
    """A gallery that knows Eileen, and an album: Eileen in one photo, Grace Hopper in three."""
    home = tmp_path_factory.mktemp("review") / "home.db"
    (home.parent / "album").mkdir()
    Image.open(portraits.eileen).resize((300, 300)).save(home.parent / "album" / "eileen.png")
    grace = Image.open(portraits.grace)
    for width in (250, 300, 350):
        grace.resize((width, width * 6 // 5)).save(home.parent / "album" / f"{width}.png")
    with closing(Gallery(home)) as gallery:
        list(gallery.enroll([("Eileen", portraits.eileen)]))
    return home


@pytest.fixture(scope="module")
def served(open_app_once, home):
    return looked_at(open_app_once(home, photos=(home.parent / "album").iterdir()))


@pytest.fixture
def waiting(served, home):
    """The page of that gallery; the decisions of a test are undone after it, as if elsewhere."""
    yield served
    with closing(Gallery(home)) as gallery:
        for decision in gallery.history.list():
            if decision.kind not in ("undo", "enroll") and decision.undone_by is None:
                gallery.history.undo(decision.id)


def looked_at(site):
    """Return the site once all photos are read."""
    while b'"found":false' in site.ask("GET", "/groups/progress")[2]:
        time.sleep(0.2)
    return site


def text(site, path, expected=200):
    status, _, body = site.ask("GET", path)
    assert status == expected
    return body.decode()


def questions(html):
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", html.split("<dialog")[0])


def address_of(html, question):
    """Return the address of the case with that question."""
    (found,) = [case for case in html.split("<article")[1:] if question in questions(case)]
    return re.search(r'data-address="([^"]+)"', found)[1]


def test_groups_come_before_near_certain_matches_and_no_path_is_shown(waiting, home):
    html = text(waiting, "/review")
    assert questions(html) == ["Who is this? (3 photos)", "Is this Eileen?"]
    assert str(home.parent) not in html
    assert 'data-left="0">' in html
    assert "Uncertain matches first, then the largest unnamed groups, then everyone else." in html
    for picture in re.findall(r'src="(/review/\d+/faces/\d+/picture)"', html):
        status, headers, _ = waiting.ask("GET", picture)
        assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert questions(text(waiting, "/review/items?start=1")) == ["Is this Eileen?"]
    assert questions(text(waiting, "/review/items?start=99")) == []
    for nothing in ("/review/9", "/review/0", "/review/x", "/review/1/faces/4/picture"):
        text(waiting, nothing, 404)


def test_a_decision_removes_a_case_and_undo_restores_it(waiting, home):
    her = address_of(text(waiting, "/review"), "Is this Eileen?")
    for path, values, said in (
        ("is", {"name": "Eileen"}, "Said that a face is Eileen."),
        ("is", {"name": "Collins"}, "Said that a face is Collins."),
        ("stranger", {}, "Said that a face is a stranger's."),
        ("no-face", {}, "Said that what was taken for a face is none."),
    ):
        status, answer = waiting.tell(f"{her}/{path}", **values)
        assert (status, answer["said"]) == (200, said)
        text(waiting, her, 404)
        assert questions(text(waiting, "/review")) == ["Who is this? (3 photos)"]
        assert waiting.tell("/undo", number=answer["undo"])[0] == 200
        assert questions(text(waiting, her)) == ["Is this Eileen?"]
    assert len(questions(text(waiting, "/review"))) == 2
    assert not home.with_name("home.db-photos").exists()  # the album keeps them


def test_a_rejection_leaves_a_case_with_the_remaining_proposals(waiting):
    her = address_of(text(waiting, "/review"), "Is this Eileen?")
    assert waiting.tell(f"{her}/is-not", name="Nobody")[0] == 404
    status, answer = waiting.tell(f"{her}/is-not", name="Eileen")
    assert (status, answer["said"]) == (200, "Said that a face is not Eileen.")
    assert questions(text(waiting, her)) == ["Who is this?"]
    again = waiting.tell(f"{her}/is-not", name="Eileen")[1]
    assert (again["undo"], again["said"][:7]) == (None, "Already")
    waiting.tell("/undo", number=answer["undo"])
    assert questions(text(waiting, her)) == ["Is this Eileen?"]


def test_one_decision_names_a_group_in_the_review_and_on_the_groups_page(waiting, home):
    assert "data-group" in text(waiting, "/groups")
    group = address_of(text(waiting, "/review"), "Who is this? (3 photos)")
    status, answer = waiting.tell(f"{group}/is", name="Grace Hopper")
    assert (status, answer["said"]) == (200, "Said that 3 faces are Grace Hopper.")
    assert "data-group" not in text(waiting, "/groups")
    waiting.tell("/undo", number=answer["undo"])
    assert "data-group" in text(waiting, "/groups")

    status, answer = waiting.tell(f"{group}/stranger")
    assert answer["said"] == "Said that 3 faces are a stranger's."
    assert "data-group" not in text(waiting, "/groups")
    with closing(Gallery(home)) as gallery:
        assert [person.name for person in gallery.people.all()] == ["Eileen"]
    waiting.tell("/undo", number=answer["undo"])


def test_cases_decided_elsewhere_are_left_out_and_reported(waiting, home):
    html = text(waiting, "/review")
    her = address_of(html, "Is this Eileen?")
    group = address_of(html, "Who is this? (3 photos)")
    with closing(Gallery(home)) as gallery:
        confirm(gallery, home.parent / "album" / "eileen.png", "Collins", new=True)
        dismiss(gallery, home.parent / "album" / "250.png", "stranger")
    for path, values in (
        ("is", {"name": "Eileen"}),
        ("is-not", {"name": "Eileen"}),
        ("no-face", {}),
    ):
        status, refused = waiting.tell(f"{her}/{path}", **values)
        assert (status, "is enrolled as Collins" in refused["error"]) == (409, True)
    text(waiting, her, 404)
    html = text(waiting, "/review")
    assert questions(html) == ["Who is this? (2 photos)"]
    shown = re.findall(rf'src="{group}/faces/(\d)/picture"', html)
    assert len(set(shown)) == 2


def test_a_renamed_person_is_not_enrolled_again_under_the_old_name(waiting, home):
    html = text(waiting, "/review")
    cases = [address_of(html, q) for q in ("Is this Eileen?", "Who is this? (3 photos)")]
    with closing(Gallery(home)) as gallery:
        gallery.people.rename("Eileen", "Collins")
        for case in cases:
            status, refused = waiting.tell(f"{case}/is", name="Eileen", known=True)
            assert (status, "nobody called Eileen" in refused["error"]) == (404, True)
            assert waiting.ask("GET", case)[0] == 200  # it still waits
        assert gallery.people.names() == ["Collins"]
    status, said = waiting.tell(f"{cases[1]}/is", name="Collins", known=True)
    assert (status, said["said"]) == (200, "Said that 3 faces are Collins.")


def test_no_decision_is_made_about_a_photo_that_has_changed(waiting, home, portraits):
    her = address_of(text(waiting, "/review"), "Is this Eileen?")
    photo = home.parent / "album" / "eileen.png"
    before = photo.read_bytes()
    shutil.copy(portraits.grace, photo)
    status, refused = waiting.tell(f"{her}/is", name="Eileen")
    picture = waiting.ask("GET", f"{her}/faces/1/picture")
    photo.write_bytes(before)
    assert (status, "the file has changed since" in refused["error"]) == (422, True)
    assert picture[1]["content-type"] == "image/svg+xml"


def test_invalid_requests_are_refused(waiting):
    her = address_of(text(waiting, "/review"), "Is this Eileen?")
    for path in ("is", "is-not"):
        assert waiting.tell(f"{her}/{path}")[0] == 400
        assert waiting.tell(f"{her}/{path}", name="\a")[0] == 400
    for path in ("is", "is-not", "stranger", "no-face"):
        assert waiting.tell(f"/review/9/{path}", name="Eileen")[0] == 404
        assert waiting.ask("POST", f"{her}/{path}", b"{}")[0] == 415
        assert waiting.ask("GET", f"{her}/{path}")[0] == 405
    assert questions(text(waiting, her)) == ["Is this Eileen?"]


def test_without_photos_there_is_no_review(site):
    assert 'href="/review"' not in text(site, "/")
    assert "There is nothing to review" in text(site, "/review")
    assert "<progress" not in text(site, "/review")
    text(site, "/review/1", 404)
