"""Dropped photos, by the requests of the page: names, corrections and undo."""

import re
from contextlib import closing

import pytest

from facesearch import Gallery


@pytest.fixture
def at_home(open_app, tmp_path):
    """The page of an empty gallery, new for each test."""
    return open_app(tmp_path / "home.db")


def dropped(site, photo):
    """Drop a photo; return its address and its card."""
    status, _, card = site.ask("POST", f"/photos?name={photo.name}", photo.read_bytes())
    assert status == 201, card
    return re.search(r'data-address="([^"]+)"', card.decode())[1], card.decode()


def names_on(card):
    return re.findall(r'<span class="name">([^<]*)</span>', card)


def card_of(site, address):
    return site.ask("GET", address)[2].decode()


def test_a_face_is_named_corrected_and_both_are_undone(at_home, portraits, tmp_path):
    site, (address, card) = at_home, dropped(at_home, portraits.eileen)
    assert names_on(card) == ["unknown"]
    assert str(tmp_path) not in card

    status, refused = site.tell(f"{address}/faces/1/is", name="Eileen")
    assert (status, "nobody called Eileen" in refused["error"]) == (404, True)
    assert not (tmp_path / "home.db-photos").exists()

    status, named = site.tell(f"{address}/faces/1/is", name="Eileen", new=True)
    assert (status, named["said"]) == (200, "Said that a face is Eileen.")
    assert names_on(card_of(site, address)) == ["Eileen"]
    assert "you decided" in card_of(site, address)

    status, rejected = site.tell(f"{address}/faces/1/is-not", name="Eileen")
    assert status == 200
    assert names_on(card_of(site, address)) == ["unknown"]
    for decision in (rejected, named):
        assert site.tell("/undo", number=decision["undo"])[0] == 200
    assert names_on(card_of(site, address)) == ["unknown"]
    status, refused = site.tell("/undo", number=named["undo"])
    assert (status, "undone already" in refused["error"]) == (409, True)


def test_an_enrolled_face_and_its_photo_outlive_the_page(start_site, portraits, tmp_path):
    site = start_site("--gallery", tmp_path / "home.db")
    address, _ = dropped(site, portraits.grace)
    site.tell(f"{address}/faces/1/is", name="Grace Hopper", new=True)
    site.process.terminate()
    site.process.wait()
    with closing(Gallery(tmp_path / "home.db")) as gallery:
        ((path, _),) = gallery.people.faces_of("Grace Hopper")
        (photo,) = gallery.identify([path])
    assert photo.faces[0].person == "Grace Hopper"
    assert path.startswith(str(tmp_path / "home.db-photos"))


def test_the_details_of_a_face_follow_other_programs(open_app, enrolled_gallery, portraits):
    site = open_app(enrolled_gallery)
    address, card = dropped(site, portraits.grace)
    assert names_on(card) == ["Grace Hopper"]
    status, _, panel = site.ask("GET", f"{address}/faces/1")
    panel = panel.decode()
    assert status == 200
    assert "Compared with 2 people" in panel
    assert "a false-positive identification rate (FPIR) of 1%" in panel
    for picture in [f"{address}/picture", *re.findall(r'src="([^"]+)"', panel)]:
        status, headers, body = site.ask("GET", picture)
        assert (status, headers["content-type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")
        assert headers["cache-control"] == "no-store"
    assert site.ask("GET", f"{address}/faces/2")[0] == 404
    assert site.ask("GET", f"{address}/faces/0")[0] == 404
    assert site.ask("GET", f"{address}/faces/{'9' * 30}/picture")[0] == 404

    thumbnails = enrolled_gallery.with_name("enrolled.db-index").glob("face-*.jpg")
    assert len(list(thumbnails)) == len(re.findall(r'src="/faces/', panel))
    with closing(Gallery(enrolled_gallery)) as gallery:
        ((_, face),) = gallery.people.faces_of("Grace Hopper")
        gallery.forget("Grace Hopper")
    assert not list(enrolled_gallery.with_name("enrolled.db-index").glob("*"))
    assert site.ask("GET", f"/faces/{face.id}/picture")[0] == 404
    assert names_on(card_of(site, address)) == ["unknown"]  # the card follows other programs


def test_completing_names_ignores_case_and_accents(open_app, enrolled_gallery):
    site = open_app(enrolled_gallery)
    assert site.ask("GET", "/names?typed=GR%C3%81")[2] == b'["Grace Hopper"]'
    assert site.ask("GET", "/names?typed=o")[2] == b'["Eileen Collins","Grace Hopper"]'
    assert site.ask("GET", "/names?typed=xyz")[2] == b"[]"


def test_an_unreadable_photo_is_reported_by_the_users_file_name(site):
    status, headers, body = site.ask("POST", "/photos?name=../../<b>x.jpg", b"text")
    assert (status, headers["content-type"]) == (422, "application/json")
    assert b"cannot read <b>x.jpg: it is not a picture" in body


def test_invalid_requests_are_refused_in_one_sentence(site, portraits):
    address, _ = dropped(site, portraits.eileen)
    say = f"{address}/faces/1/is"
    json_type = {"Content_Type": "application/json"}
    for body in (b"[1]", b"{", b"\xff", b'{"name": 3}', b'{"name": " "}', b'{"name": "a\\u0007"}'):
        status, _, answer = site.ask("POST", say, body, **json_type)
        assert (status, b'"error"' in answer) == (400, True), body
    assert site.ask("POST", say, b"[" * 60_000, **json_type)[0] == 400
    assert site.ask("POST", say, b"{}" * 50_000, **json_type)[0] == 413
    assert site.ask("POST", say, b"{}")[0] == 415
    assert site.ask("GET", say)[0] == 405
    for number in (None, "1", True, 0, 2**70):
        assert site.tell("/undo", number=number)[0] == 400
    assert site.ask("GET", "/photos/nothing")[0] == 404


def test_names_are_escaped(at_home, portraits):
    address, _ = dropped(at_home, portraits.eileen)
    name = '<script>alert(1)</script> & "O\'Hara"'
    assert at_home.tell(f"{address}/faces/1/is", name=name, new=True)[0] == 200
    for page in (address, f"{address}/faces/1"):
        assert b"<script>" not in at_home.ask("GET", page)[2]
