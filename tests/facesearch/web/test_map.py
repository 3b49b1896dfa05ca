"""The map of the gallery: its faces, likely mistakes, and how it follows the gallery."""

import json
import re
from contextlib import closing

import pytest
from deciding import confirm

from facesearch import Gallery
from facesearch.gallery.people import People


@pytest.fixture
def mixed_up(open_app, album, tmp_path):
    """The page of two Graces, one Eileen, and a Grace enrolled as Eileen by mistake."""
    with closing(Gallery(tmp_path / "a.db")) as gallery:
        graces = [("Grace Hopper", album / file) for file in ("grace.jpg", "small.png")]
        list(gallery.enroll([*graces, ("Eileen Collins", album / "eileen.png")]))
        confirm(gallery, album / "grey.png", "Eileen Collins", 1)
    return open_app(tmp_path / "a.db")


def points(site):
    status, headers, body = site.ask("GET", "/model/map/points")
    assert (status, headers["cache-control"]) == (200, "no-store")
    return json.loads(body)


def test_the_map_shows_every_face_and_reports_a_wrong_one(mixed_up, tmp_path):
    drawn = points(mixed_up)
    assert (drawn["n_faces"], drawn["n_people"], drawn["what"]) == (4, 2, "face")
    assert sorted(drawn["names"].values()) == ["Eileen Collins", "Grace Hopper"]
    assert len(drawn["faces"]) == len(drawn["people"]) == len(drawn["x"]) == len(drawn["y"]) == 4
    assert all(0 <= place <= drawn["grid"] for place in drawn["x"] + drawn["y"])
    with closing(Gallery(tmp_path / "a.db")) as gallery:
        (wrong,) = (
            face.id for path, face in gallery.people.faces_of("Eileen Collins") if "grey" in path
        )
        grace = gallery.people.id_of("Grace Hopper")
    assert f'data-face="{wrong}"' in drawn["strays"]
    assert f'like <a href="/people/{grace}">Grace Hopper</a>' in drawn["strays"]
    assert str(tmp_path) not in json.dumps(drawn)


def test_the_map_is_computed_again_when_a_person_is_forgotten_or_renamed(mixed_up):
    before = points(mixed_up)
    assert points(mixed_up) == before
    numbers = {name: number for number, name in before["names"].items()}
    mixed_up.tell(f"/people/{numbers['Grace Hopper']}/rename", name="Amazing Grace")
    assert "Amazing Grace" in points(mixed_up)["names"].values()
    mixed_up.tell(f"/people/{numbers['Eileen Collins']}/forget", name="Eileen Collins")
    after = points(mixed_up)
    assert list(after["names"].values()) == ["Amazing Grace"]
    assert len(after["faces"]) == 2
    assert "None: every face" in after["strays"]


def test_the_map_of_an_empty_gallery_is_empty(site):
    drawn = points(site)
    assert (drawn["faces"], drawn["names"], drawn["n_faces"]) == ([], {}, 0)
    html = site.ask("GET", "/model/map")[2].decode()
    assert re.search(r'<canvas id="map" tabindex="0"', html)


def test_the_map_reads_only_the_names_of_people_on_it(open_app, enrolled_gallery, monkeypatch):
    monkeypatch.delattr(People, "all")
    drawn = json.loads(open_app(enrolled_gallery).ask("GET", "/model/map/points")[2])
    assert sorted(drawn["names"].values()) == ["Eileen Collins", "Grace Hopper"]
