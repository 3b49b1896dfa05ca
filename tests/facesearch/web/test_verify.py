"""Two photos: their probability, the compared faces, and where the pair stands."""

import re
from contextlib import closing
from html import unescape

import pytest
from PIL import Image

from facesearch import Gallery
from facesearch.web.rendering import percent


@pytest.fixture(scope="module")
def together(portraits, tmp_path_factory):
    """A photo of both women, Grace Hopper twice as large."""
    photo = Image.new("RGB", (1000, 600), "white")
    grace, eileen = (Image.open(portrait).convert("RGB") for portrait in reversed(portraits))
    photo.paste(grace.resize((500, 600)), (0, 0))
    photo.paste(eileen.resize((256, 256)), (600, 100))
    path = tmp_path_factory.mktemp("together") / "both.png"
    photo.save(path)
    return path


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    path = tmp_path_factory.mktemp("blank") / "nobody.png"
    Image.new("RGB", (300, 300), "grey").save(path)
    return path


def held(site, photo):
    """Upload a photo; return its id."""
    status, _, card = site.ask("POST", f"/photos?name={photo.name}", photo.read_bytes())
    assert status == 201, card
    return re.search(rb'data-address="/photos/([^"]+)"', card)[1].decode()


def said_of(site, a, b, expected=200, **more):
    query = "".join(f"&{key}={value}" for key, value in more.items())
    status, _, body = site.ask("GET", f"/verify/pair?a={a}&b={b}{query}")
    assert status == expected
    return re.sub(r"\s+", " ", unescape(body.decode()))


def test_a_pair_gets_the_same_probability_as_from_the_library(site, portraits, tmp_path):
    a, b = (held(site, portrait) for portrait in portraits)
    html = said_of(site, a, b)
    with closing(Gallery(tmp_path / "a.db")) as gallery:
        said = gallery.verify(*portraits)
    assert f'<strong class="figure">{percent(said.probability)}</strong>' in html
    assert f"Log-likelihood ratio {said.llr:+.2f}" in html
    for address in re.findall(r'src="([^"]+)"', html):
        status, headers, _ = site.ask("GET", address)
        assert (status, headers["content-type"]) == (200, "image/jpeg")


def test_the_pair_is_marked_among_the_pairs_the_model_was_measured_with(site, portraits):
    a = held(site, portraits.grace)
    alike = said_of(site, a, a)
    assert "this pair: over 99.9%" in alike
    assert re.search(
        r"Of pairs of different people, none of the [\d,]+ measured scores this high or higher",
        alike,
    )
    assert re.search(r"Measured on [\d,]+ people, [\d,]+ faces", alike)
    strangers = said_of(site, a, held(site, portraits.eileen))
    share = re.search(
        r"Of pairs of different people, ([\d.]+)% score this high or higher", strangers
    )
    assert float(share[1]) > 1
    assert "The numbers" in strangers


def test_the_largest_face_is_compared_until_another_is_selected(site, portraits, together):
    a, b = held(site, together), held(site, portraits.grace)
    largest = said_of(site, a, b)
    assert "both.png shows 2 faces; the largest was compared" in largest
    assert "over 99.9%" in largest
    other = said_of(site, a, b, face_a=2)
    assert "number 2 by size was compared" in other
    assert "over 99.9%" not in other
    assert f'src="/photos/{a}/faces/2/picture" alt="The compared face' in other
    for number in ("0", "3", "x", "-1", "9" * 30):
        said_of(site, a, b, expected=404, face_a=number)


def test_a_photo_without_a_face_is_reported(site, portraits, blank):
    html = said_of(site, held(site, portraits.grace), held(site, blank))
    assert "No face was found in nobody.png." in html
    assert "There is nothing to compare" in html
    assert "Log-likelihood" not in html


def test_a_photo_that_is_not_held_is_a_404(site, portraits):
    a = held(site, portraits.grace)
    for other in ("", "nothing", "..%2f..%2fetc%2fpasswd"):
        assert "no longer held" in said_of(site, a, other, expected=404)
    assert site.ask("GET", "/verify")[0] == 200
