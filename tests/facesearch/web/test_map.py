"""The map of the gallery: who is on it, who strays, and that it follows the gallery."""

import json
import re
from contextlib import closing

import pytest
from deciding import confirm

from facesearch import Gallery


@pytest.fixture
def mixed_up(open_app, album, tmp_path):
    """The page of Grace Hopper twice, Eileen Collins once, and a Grace of whom it was said so."""
    with closing(Gallery(tmp_path / "a.db")) as gallery:
        graces = [("Grace Hopper", album / file) for file in ("grace.jpg", "small.png")]
        list(gallery.enroll([*graces, ("Eileen Collins", album / "eileen.png")]))
        confirm(gallery, album / "grey.png", "Eileen Collins", 1)
    return open_app(tmp_path / "a.db")


def points(site):
    status, headers, body = site.ask("GET", "/model/map/points")
    assert (status, headers["cache-control"]) == (200, "no-store")
    return json.loads(body)


def test_every_face_is_on_the_map_and_a_wrong_one_is_told(mixed_up, tmp_path):
    told = points(mixed_up)
    assert (told["n_faces"], told["n_people"], told["what"]) == (4, 2, "face")
    assert sorted(told["names"].values()) == ["Eileen Collins", "Grace Hopper"]
    assert len(told["faces"]) == len(told["people"]) == len(told["x"]) == len(told["y"]) == 4
    assert all(0 <= place <= told["grid"] for place in told["x"] + told["y"])
    with closing(Gallery(tmp_path / "a.db")) as gallery:
        (wrong,) = (
            face.id for path, face in gallery.people.faces_of("Eileen Collins") if "grey" in path
        )
        grace = gallery.people.id_of("Grace Hopper")
    assert f'data-face="{wrong}"' in told["strays"]
    assert f'like <a href="/people/{grace}">Grace Hopper</a>' in told["strays"]
    assert str(tmp_path) not in json.dumps(told)


def test_the_map_is_made_anew_when_somebody_is_forgotten_or_renamed(mixed_up):
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
    told = points(site)
    assert (told["faces"], told["names"], told["n_faces"]) == ([], {}, 0)
    html = site.ask("GET", "/model/map")[2].decode()
    assert re.search(r'<canvas id="map" tabindex="0"', html)


def test_the_map_reads_the_names_of_those_on_it_and_nothing_of_the_others(
    open_app, enrolled_gallery, monkeypatch
):
    monkeypatch.delattr(Gallery, "people")
    told = json.loads(open_app(enrolled_gallery).ask("GET", "/model/map/points")[2])
    assert sorted(told["names"].values()) == ["Eileen Collins", "Grace Hopper"]
