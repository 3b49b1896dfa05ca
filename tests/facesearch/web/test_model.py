"""The model's page: model card and curves, and what it says if one is missing."""

import json
import re
import shutil

import pytest
from markupsafe import Markup

from facesearch.figures import read_figures
from facesearch.manifest import read_manifest
from facesearch.model import Model
from facesearch.shipped import DEFAULT, SHIPPED
from facesearch.web.diagrams import Axis, Diagram, Series, Table, decades, linear
from facesearch.web.markdown import rendered
from facesearch.web.pages.model import card_of, facts_of, figures_of


def text(site, path, expected=200):
    status, _, body = site.ask("GET", path)
    assert status == expected
    return body.decode()


def test_the_page_shows_five_diagrams_with_their_numbers_and_what_they_were_measured_on(site):
    html = text(site, "/model")
    titles = re.findall(r"<h3>([^<]*)</h3>", html)
    diagrams = ["Scores of pairs", "ROC", "DET", "Calibration", "Strangers who get a name"]
    shown = [title.split(":")[0].split(",")[0] for title in titles]
    assert [title for title in shown if title in diagrams] == diagrams
    card = (SHIPPED / DEFAULT / "MODEL_CARD.md").read_text("utf-8")
    assert html.count("<tbody>") == 5 + card.count("\n|---")
    assert html.count('role="img"') == 5
    figures = read_figures(SHIPPED / DEFAULT, read_manifest(SHIPPED / DEFAULT))
    assert f"Measured on {figures.made_from}" in html
    assert "The calibration uses none of them." in html
    largest = figures.searches[-1]
    assert f"{largest.non_mated:,} among {largest.people:,}" in html
    assert "twin: faces from one photo each" in html  # its card
    assert "style=" not in html  # the policy of the page forbids it
    assert not re.search(r"\b(nan|inf)\b", html)


def test_the_page_shows_the_model_card(open_app, tmp_path):
    site = open_app(tmp_path / "a.db", model=Model.load("omniglot"))
    html = text(site, "/model")
    assert "<h2>omniglot: handwritten characters from one drawing each</h2>" in html
    assert "<th" in html
    assert "99.50 %" in html
    assert "Do two photos show the same drawing?" in text(site, "/verify")


def test_a_model_without_figures_or_with_damaged_ones_still_shows_the_rest(tmp_path):
    copied = shutil.copytree(SHIPPED / "omniglot", tmp_path / "own")
    (copied / "figures.json").write_text("{")
    model = Model.load(copied)
    assert figures_of(model)[1].startswith("figures.json of omniglot cannot be read")
    (copied / "figures.json").unlink()
    assert figures_of(model) == (None, None)
    assert dict(facts_of(model))["Compares"] == "images, 256 numbers each"
    manifest = read_manifest(copied)
    (copied / "model.json").write_text(json.dumps(manifest | {"search_dim": 128}))
    two_codes = dict(facts_of(Model.load(copied)))
    assert two_codes["Compares"] == "images, 256 numbers each, searched by the first 128"
    (copied / "MODEL_CARD.md").write_bytes(b"\xff")
    assert card_of(model) is None


def test_a_card_holds_nothing_but_text_lists_and_tables():
    html = rendered(
        "# Title\n\n<script>alert(1)</script> & **bold** `code`\n\n- a\n- b\n\n"
        "| x | y |\n|:--|--:|\n| 1 | <b>2</b> |\n\n![p](http://evil/p.png) [l](javascript:x) <http://a.b>"
    )
    assert isinstance(html, Markup)
    assert "<h2>Title</h2>" in html
    assert "<strong>bold</strong> <code>code</code>" in html
    assert "<li>a</li>" in html
    assert '<th scope="col">x</th>' in html
    for evil in ("<script", "<b>", "<img", "<a", "style="):
        assert evil not in html


# Diagrams


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, 6), (-17, 36, 6), (0, 5800, 6), (0.7, 0.71, 6), (3, 3.0000001, 6), (-0.2, 0.1, 6)],
)
def test_ticks_are_few_round_and_within_the_axis(low, high, ticks):
    axis = linear("x", low, high)
    assert 2 <= len(axis.ticks) <= ticks + 1
    for value, written in axis.ticks:
        assert low - 1e-6 * abs(low) <= value <= high + 1e-6 * abs(high)
        assert float(written.replace(",", "")) == pytest.approx(value)


def test_decades_include_every_value():
    axis = decades("x", 0.00013, 0.7)
    assert (axis.low, axis.high) == (pytest.approx(1e-4), 1)
    assert [written for _, written in axis.ticks] == ["0.01%", "0.1%", "1%", "10%", "100%"]
    assert axis.share(0.01) == pytest.approx(0.5)
    assert axis.share(0) == 0  # a rate of none lies on the lower edge
    assert decades("x", 0.01, 1).low == pytest.approx(0.01)


def test_a_point_lies_where_its_axes_say():
    axis = Axis("", 0, 10, ())
    line = Series("s", 1, (0, 10), (0, 10))
    diagram = Diagram("t", "c", axis, axis, (line,), Table((), ()))
    assert diagram.path(line) == "M76 272L418 12"
    assert diagram.place(5, 99) == (247, 12)  # held within the field
    assert diagram.path(Series("s", 1, (0, 10), (0, 10), filled=True)).endswith("L418 272Z")
