"""The grid of people, a person's page, and the decisions made there."""

import re
import shutil
from contextlib import closing

import pytest

from facesearch import Gallery
from facesearch.web.rendering import breakable


@pytest.fixture
def pair(open_app, enrolled_gallery):
    """The page of the two enrolled people, new for each test."""
    return open_app(enrolled_gallery)


def text(site, path, expected=200):
    status, _, body = site.ask("GET", path)
    assert status == expected
    return body.decode()


def names_in(html):
    return re.findall(r'<span class="name">([^<]*)</span>', html)


def page_of(site, name):
    """Return the address of a person's page."""
    (number,) = re.findall(r'href="(/people/\d+)"', text(site, f"/people?search={name}"))
    return number


def test_people_come_in_windows_of_sixty_without_repeats(crowded):
    shown = names_in(text(crowded, "/people"))
    assert len(shown) == 60
    while start := re.search(r'data-start="(\d+)"', text(crowded, f"/people?start={len(shown)}")):
        shown += names_in(text(crowded, f"/people/rows?start={len(shown)}"))
        assert int(start[1]) == len(shown)
    shown += names_in(text(crowded, f"/people/rows?start={len(shown)}"))
    people = [f"Person {number:03}" for number in range(130)]
    assert shown == ["Eileen Collins", "Grace Hopper", *people]
    assert "132 people" in text(crowded, "/people")


def test_a_search_ignores_case_and_accents(crowded):
    html = text(crowded, "/people?search=EIL%C3%89EN")
    assert names_in(html) == ["Eileen Collins"]
    assert "1 person" in html
    assert names_in(text(crowded, "/people/rows?search=person&start=120")) == [
        f"Person {number:03}" for number in range(120, 130)
    ]
    assert names_in(text(crowded, "/people?search=nobody")) == []


@pytest.mark.parametrize("start", ["-1", "x", "9" * 40, "1e3", "%00"])
def test_an_invalid_start_means_the_beginning(crowded, start):
    assert names_in(text(crowded, f"/people?start={start}"))[0] == "Eileen Collins"


def test_a_persons_page_shows_faces_and_the_paths_of_their_photos(pair, portraits):
    html = text(pair, page_of(pair, "grace"))
    (picture,) = re.findall(r'src="(/faces/\d+/picture)"', html)
    assert pair.ask("GET", picture)[1]["content-type"] == "image/jpeg"
    assert portraits.grace.name in html
    shown = html.replace("<wbr>", "")  # where a line may break
    assert shown.count(str(portraits.grace.parent)) == 1  # as text, not in an address
    assert f'path">{portraits.grace.parent}' in shown
    assert '<a href="/people" aria-current="true">People</a>' in html  # the current page
    for nobody in ("/people/999", "/people/0", "/people/x", f"/people/{'9' * 30}"):
        text(pair, nobody, 404)


def test_a_path_may_break_after_every_folder_and_is_escaped():
    assert breakable("/a<b>/c&d.png") == "/<wbr>a&lt;b&gt;/<wbr>c&amp;d.png"


def test_a_missing_photo_is_reported(open_app, tmp_path, portraits):
    photo = tmp_path / "own.png"
    shutil.copy(portraits.eileen, photo)
    with closing(Gallery(tmp_path / "a.db")) as gallery:
        list(gallery.enroll([("Eileen", photo)]))
    photo.unlink()
    site = open_app(tmp_path / "a.db")
    html = text(site, page_of(site, "eileen"))
    assert "The photo is missing" in html
    (picture,) = re.findall(r'src="(/faces/\d+/picture)"', html)
    assert site.ask("GET", picture)[1]["content-type"] == "image/svg+xml"


def test_a_person_is_renamed_and_the_name_restored_by_undo(pair):
    page = page_of(pair, "grace")
    status, renamed = pair.tell(f"{page}/rename", name="Amazing Grace")
    assert (status, renamed["said"]) == (200, "Renamed Grace Hopper to Amazing Grace.")
    assert "<h1>Amazing Grace</h1>" in text(pair, page)
    assert f'data-undo="{renamed["undo"]}"' in text(pair, page)
    assert pair.tell(f"{page}/rename", name="Eileen Collins")[0] == 409
    assert pair.tell("/undo", number=renamed["undo"])[0] == 200
    assert "<h1>Grace Hopper</h1>" in text(pair, page)


def test_a_merge_returns_the_address_of_the_person_and_can_be_undone(pair):
    page, other = page_of(pair, "grace"), page_of(pair, "eileen")
    assert pair.tell(f"{page}/merge", name="Nobody")[0] == 404
    status, merged = pair.tell(f"{page}/merge", name="Eileen Collins")
    assert (status, merged["go"]) == (200, other)
    assert "2 enrolled faces" in text(pair, other)
    text(pair, page, 404)
    assert pair.tell("/undo", number=merged["undo"])[0] == 200
    assert "1 enrolled face<" in text(pair, page)


@pytest.fixture
def zoe(open_app, gallery_of_twins):
    """The gallery of twins, and the address and the faces of Zoe, who is two people."""
    app = open_app(gallery_of_twins)
    page = page_of(app, "zoe")
    faces = re.findall(r'name="face" value="(\d+)"', text(app, page))
    return app, page, [int(face) for face in faces]


def n_faces(app, name):
    return int(re.search(r">(\d+) enrolled face", text(app, page_of(app, name)))[1])


def test_selected_faces_are_moved_to_a_new_or_enrolled_person_and_back(zoe):
    app, page, faces = zoe
    status, split = app.tell(f"{page}/give", faces=faces[3:], name="Yael")
    assert (status, split["said"]) == (200, "Split 2 faces off Zoe as Yael.")
    assert (n_faces(app, "zoe"), n_faces(app, "yael")) == (3, 2)
    status, moved = app.tell(f"{page}/give", faces=faces[:1], name="Yael")
    assert (status, moved["said"]) == (200, "Moved 1 face from Zoe to Yael.")
    for answer in (moved, split):
        assert app.tell("/undo", number=answer["undo"])[0] == 200
    assert n_faces(app, "zoe") == 5
    assert app.tell(f"{page}/give", faces=faces, name="Yael")[0] == 409  # rename her instead


def test_selected_faces_are_rejected_in_one_decision(zoe):
    app, page, faces = zoe
    status, rejected = app.tell(f"{page}/reject", faces=faces[3:])
    assert (status, "took it out" in rejected["said"]) == (200, True)
    assert n_faces(app, "zoe") == 3
    status, refused = app.tell(f"{page}/reject", faces=faces[2:])
    assert (status, "nothing was changed" in refused["error"]) == (409, True)
    assert app.tell("/undo", number=rejected["undo"])[0] == 200
    assert n_faces(app, "zoe") == 5


@pytest.mark.parametrize("faces", [None, [], "1", ["1"], [0], [-1], [2**63], [True], {"1": 1}])
def test_selected_faces_must_be_positive_numbers(zoe, faces):
    app, page, _ = zoe
    assert app.tell(f"{page}/reject", faces=faces)[0] == 400
    assert app.tell(f"{page}/give", faces=faces, name="Yael")[0] == 400


def test_a_face_of_somebody_else_is_not_touched(zoe):
    app, page, _ = zoe
    (stranger, *_) = re.findall(r'name="face" value="(\d+)"', text(app, page_of(app, "annie")))
    assert app.tell(f"{page}/reject", faces=[int(stranger)])[0] == 422
    assert app.tell(f"{page}/give", faces=[int(stranger)], name="Yael")[0] == 422
    assert n_faces(app, "annie") == 3


def test_similar_people_are_shown_with_a_probability_and_merged_or_separated(zoe):
    app, _, _ = zoe
    ada, annie = page_of(app, "ada"), page_of(app, "annie")
    html = text(app, f"{ada}/alike")
    first, *others = re.findall(r'<h3><a href="([^"]+)">', html)
    assert first == annie
    assert others == []  # people who are hardly alike are not shown
    assert "over 99.9% likely to be the same person" in html
    assert html.count("data-post") == 2
    status, said = app.tell(f"{ada}/not-same", name="Annie")
    assert (status, said["said"]) == (200, "Said that Ada and Annie are two people.")
    parted = text(app, f"{ada}/alike")
    assert "Not the same: you said they are two people" in parted
    assert "data-post" not in parted
    assert app.tell("/undo", number=said["undo"])[0] == 200
    assert text(app, f"{ada}/alike") == html
    assert app.tell(f"{annie}/merge", name="Ada")[0] == 200
    assert n_faces(app, "ada") == 5
    text(app, f"{annie}/alike", 404)


def test_the_only_person_of_a_gallery_has_no_similar_people(open_app, enrolled_gallery):
    with closing(Gallery(enrolled_gallery)) as gallery:
        gallery.forget("Grace Hopper")
    app = open_app(enrolled_gallery)
    assert "Nobody else looks similar" in text(app, f"{page_of(app, 'eileen')}/alike")


def test_forgetting_requires_the_name_gives_a_receipt_and_drops_held_photos(
    pair, portraits, enrolled_gallery
):
    page = page_of(pair, "grace")
    html = text(pair, page)
    (picture,) = re.findall(r'src="(/faces/\d+/picture)"', html)
    text_before = pair.ask("GET", picture)[2]
    _, _, card = pair.ask("POST", "/photos?name=a.jpg", portraits.grace.read_bytes())
    held = re.search(r'data-address="([^"]+)"', card.decode())[1]

    status, refused = pair.tell(f"{page}/forget", name="Grace")
    assert (status, "nothing was deleted" in refused["error"]) == (409, True)
    assert text(pair, page) == html

    status, gone = pair.tell(f"{page}/forget", name="Grace Hopper")
    assert status == 200
    assert "1 templates" in gone["said"]
    text(pair, page, 404)
    text(pair, picture, 404)
    text(pair, held, 404)
    folder = enrolled_gallery.parent
    left = [file for file in folder.rglob("*") if file.is_file()]
    assert all(text_before not in file.read_bytes() for file in left)
    assert all(b"Grace Hopper" not in file.read_bytes() for file in left)


def test_an_undo_on_one_persons_page_says_that_it_is_about_others_too(pair):
    """Undo on one person's page removed all 63 people, unasked."""
    status, answer = pair.tell("/undo", number=1, several=False)
    assert (status, answer["ask"]) == (409, "several")
    assert "2 people" in answer["error"]
    assert len(names_in(text(pair, "/people"))) == 2
    assert pair.tell("/undo", number=1, several=True)[0] == 200
    assert names_in(text(pair, "/people")) == []
