"""`facesearch demo`: the main job on the portraits that installed packages carry."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from facesearch_cli import demo as module
from facesearch_cli.demo import COLLINS, HOPPER, PORTRAITS, portrait

app = typer.Typer()
app.command()(module.demo)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def portraits():
    missing = [PORTRAITS[person][0] for person in PORTRAITS if portrait(person) is None]
    if missing:
        pytest.skip(f"the portraits of {' and '.join(missing)} are not installed")


@pytest.fixture(scope="module")
def shown(portraits, tmp_path_factory):
    """The demo's folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    result = run("--out", folder)
    assert result.exit_code == 0, result.output
    return folder, result


class Page(HTMLParser):
    """What a page shows and what it asks for."""

    def __init__(self, html):
        super().__init__()
        self.images, self.tags, self.addresses = [], set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        attributes = dict(attrs)
        self.addresses += [attributes[a] for a in ("src", "href", "srcset") if a in attributes]
        if tag == "img":
            self.images.append(attributes)


def page_in(folder):
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_every_edit_is_recognised_and_the_stranger_is_unknown_until_enrolled(shown):
    lines = [line.split("\t") for line in shown[1].stdout.splitlines() if "\t" in line]
    before, after = lines[:9], lines[9:]
    names = [(file, name) for file, _, name, _, _ in before]
    edits = ["rotated", "dark", "small", "blurred", "mirrored", "grey"]
    assert names[:6] == [(f"{edit}.jpg", COLLINS) for edit in edits]
    assert names[6] == ("hopper.jpg", "unknown")
    assert {name for _, name in names[7:]} == {COLLINS, "unknown"}
    assert after[0][2] == HOPPER
    assert {row[2] for row in after[1:]} == {COLLINS, HOPPER}
    assert {row[4] for row in lines} == {"yes"}


def test_the_edits_are_what_they_are_called(shown):
    photos = shown[0] / "photos"
    with Image.open(photos / "rotated.jpg") as rotated:
        assert rotated.getexif()[0x0112] == 6
    with Image.open(photos / "grey.jpg") as grey:
        assert grey.mode == "L"
    with Image.open(photos / "dark.jpg") as dark:
        assert sum(dark.convert("L").histogram()[100:]) == 0


def test_what_is_written_is_named_and_the_way_on_told(shown):
    folder, result = shown
    assert str(folder / "index.html") in result.stdout
    assert re.search(r"in \d+\.\d s", result.stdout)
    assert "facesearch enroll" in result.stdout


def test_the_page_shows_every_photo_with_a_text_and_asks_for_nothing_else(shown):
    folder, _ = shown
    page = page_in(folder)
    images = [
        base64.b64decode(image["src"].removeprefix("data:image/").partition("base64,")[2])
        for image in page.images
    ]
    annotated = {file.read_bytes() for file in (folder / "annotated").iterdir()}
    originals = {portrait(person).read_bytes() for person in PORTRAITS}
    assert set(images) == annotated | originals
    assert {file.stem for file in (folder / "photos").iterdir()} == {
        file.stem[:-2] for file in (folder / "annotated").iterdir()
    }
    assert all(image["alt"] for image in page.images)
    assert all(address.startswith("data:") for address in page.addresses)
    assert not page.tags & {"script", "iframe", "object", "embed"}
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|https?:", html)
    for image in images:
        Image.open(io.BytesIO(image)).verify()


def test_the_page_says_that_two_people_prove_no_accuracy(shown):
    text = " ".join((shown[0] / "index.html").read_text(encoding="utf-8").split())
    assert "not its accuracy" in text
    assert "cohort" in text


def test_a_second_run_writes_the_same(shown, tmp_path):
    folder, _ = shown
    assert run("--out", tmp_path).exit_code == 0
    first, second = (
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*.*")}
        for root in (folder, tmp_path)
    )
    assert first == second


def test_an_answer_that_was_not_expected_is_listed_and_ends_with_1(
    portraits, tmp_path, monkeypatch
):
    wrong = replace(module.HOPPER_SCENE, people=(COLLINS,))
    monkeypatch.setattr(module, "HOPPER_SCENE", wrong)
    monkeypatch.setattr(module, "COLLINS_SCENES", ())
    result = run("--out", tmp_path)
    assert result.exit_code == 1
    assert f"hopper.jpg: expected {COLLINS}, got unknown" in result.stderr
    assert f"hopper.jpg: expected {COLLINS}, got {HOPPER}" in result.stderr
    assert f"expected {COLLINS}</p>" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_names_cannot_break_the_page(portraits, tmp_path, monkeypatch):
    rude = '<b>"Bob" & Co</b>'
    monkeypatch.setattr(module, "COLLINS", rude)
    monkeypatch.setitem(PORTRAITS, rude, PORTRAITS[COLLINS])
    monkeypatch.delitem(PORTRAITS, COLLINS)
    monkeypatch.setattr(module, "COLLINS_SCENES", ())
    monkeypatch.setattr(module, "GROUP_SCENE", replace(module.GROUP_SCENE, people=(rude, HOPPER)))
    assert run("--out", tmp_path).exit_code == 0
    page = page_in(tmp_path)
    assert "b" not in page.tags
    assert any(rude in image["alt"] for image in page.images)


def test_without_the_portraits_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(PORTRAITS, HOPPER, ("no_such_package", "hopper.jpg"))
    result = run("--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "pip install 'facesearch[demo]'" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_page_is_opened_only_on_request(portraits, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(module, "COLLINS_SCENES", ())
    run("--out", tmp_path)
    assert not opened
    run("--out", tmp_path, "--open")
    assert opened == [(tmp_path / "index.html").as_uri()]
