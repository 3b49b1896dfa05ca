"""facesearch demo: identifying edited portraits, or glyphs."""

import base64
import io
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from facesearch import IdentifiedPhoto, shipped_models
from facesearch.extras import install_command
from facesearch.ink import ink_crop
from facesearch_cli import demo as module
from facesearch_cli import demo_answers, demo_page
from facesearch_cli.demo import COLLINS, HOPPER, PORTRAITS, portrait
from facesearch_cli.glyphs import GLYPHS, HANDS, PAGE_PX, PEN, STEPS, drawn_by, smooth, strokes_of

sys.path.insert(0, str(Path(__file__).parents[1] / "facesearch"))

from image_model import write_model

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
    """The images of a page, its tags, and the addresses it would load."""

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


def test_every_edit_is_recognized_and_the_stranger_is_unknown_until_enrolled(shown):
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


def test_the_edits_are_as_described(shown):
    photos = shown[0] / "photos"
    with Image.open(photos / "rotated.jpg") as rotated:
        assert rotated.getexif()[0x0112] == 6
    with Image.open(photos / "grey.jpg") as grey:
        assert grey.mode == "L"
    with Image.open(photos / "dark.jpg") as dark:
        assert sum(dark.convert("L").histogram()[100:]) == 0


def test_the_output_names_the_page_and_the_next_commands(shown):
    folder, result = shown
    assert str(folder / "index.html") in result.stdout
    assert re.search(r"in \d+\.\d s", result.stdout)
    assert "facesearch enroll" in result.stdout


def test_the_page_shows_every_photo_with_alt_text_and_loads_nothing(shown):
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


def test_the_page_says_that_two_people_do_not_show_accuracy(shown):
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


def test_an_unexpected_answer_is_listed_and_exits_1(portraits, tmp_path, monkeypatch):
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


def test_without_the_portraits_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(PORTRAITS, HOPPER, ("no_such_package", "hopper.jpg"))
    result = run("--out", tmp_path / "out")
    assert result.exit_code == 2
    assert install_command("demo") in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_page_is_opened_only_on_request(portraits, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(module, "COLLINS_SCENES", ())
    run("--out", tmp_path)
    assert not opened
    run("--out", tmp_path, "--open")
    assert opened == [(tmp_path / "index.html").as_uri()]


# Glyphs

NAMES = list(GLYPHS)
ENROLLED, STRANGERS = NAMES[:10], NAMES[10:]


@pytest.fixture(scope="module")
def letters_model(tmp_path_factory):
    """A model that compares pixels: it recognizes some glyphs and not others."""
    pytest.importorskip("onnx", reason="onnx, which writes the model, is not installed")
    return write_model(tmp_path_factory.mktemp("models") / "letters")


@pytest.fixture
def letters_demo(letters_model, monkeypatch):
    """The demo of glyphs with the model of letters."""
    monkeypatch.setattr(module, "GLYPH_MODEL", letters_model)


@pytest.fixture(scope="module")
def glyphs_shown(letters_model, tmp_path_factory):
    """The folder of the glyphs' demo and what it printed, with the model of letters."""
    folder = tmp_path_factory.mktemp("glyphs") / "new" / "folder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GLYPH_MODEL", letters_model)
        return folder, run("--glyphs", "--out", folder)


def table_of(result):
    return [line.split("\t") for line in result.stdout.splitlines() if "\t" in line]


@pytest.mark.slow
@pytest.mark.skipif(
    module.GLYPH_MODEL not in shipped_models(), reason="the model of characters is not there"
)
def test_characters_not_trained_on_are_identified_from_one_drawing(tmp_path):
    lines = table_of(run("--glyphs", "--out", tmp_path))
    assert len(lines) == 36
    for file, _, name, _, _ in lines:
        assert name in (file.partition("-")[0], "unknown")
    assert [line[2] for line in lines[30:]] == ["unknown"] * 6
    assert sum(line[4] == "yes" for line in lines) >= 33


def test_every_hand_draws_every_glyph_and_the_last_two_are_strangers(glyphs_shown):
    folder, result = glyphs_shown
    files = [f"{name}-{hand.name}.png" for name in NAMES for hand in HANDS]
    assert [(line[0], line[1]) for line in table_of(result)] == [
        (file, hand.tool) for file, hand in zip(files, [*HANDS] * 12, strict=True)
    ]
    assert {file.name for file in (folder / "glyphs" / "asked").iterdir()} == set(files)
    enrolled = folder / "glyphs" / "enrolled"
    assert {str(f.relative_to(enrolled)) for f in enrolled.rglob("*.png")} == {
        f"{name}/pen.png" for name in ENROLLED
    }


def test_right_and_wrong_answers_are_marked_and_counted(glyphs_shown):
    folder, result = glyphs_shown
    wrong = []
    for file, _, name, probability, verdict in table_of(result):
        glyph = file.partition("-")[0]
        expected = glyph if glyph in ENROLLED else "unknown"
        assert verdict == ("yes" if name == expected else "no")
        assert probability.endswith("%")
        wrong += [f"{file}: expected {expected}, got {name}"] if name != expected else []
    assert 0 < len(wrong) < 36
    assert result.exit_code == 1
    assert result.stderr.split("Not as expected:\n")[1].splitlines() == [f"  {w}" for w in wrong]
    count = f"{36 - len(wrong)} of 36 answers as expected"
    assert f"36 drawings made; {count}" in result.stdout
    html = (folder / "glyphs.html").read_text(encoding="utf-8")
    assert count in html
    assert html.count(">as expected</p>") == 36 - len(wrong)


def test_a_picture_without_a_detection_is_not_said_to_lack_a_face(tmp_path):
    picture = tmp_path / "blank.png"
    Image.new("RGB", (9, 9)).save(picture)
    scene, result = (
        demo_answers.Scene(picture.name, "pen", ("ka",)),
        IdentifiedPhoto("blank", 9, 9, ()),
    )
    blank = demo_answers.Answer(scene, result, ("ka",), picture)
    for text in (
        demo_answers.rows(blank)[0][2][0],
        demo_answers.difference(blank),
        demo_page.card(blank),
    ):
        assert "nothing" in text
        assert "face" not in text


def test_the_page_of_glyphs_shows_every_drawing_with_alt_text_and_loads_nothing(glyphs_shown):
    folder, result = glyphs_shown
    html = (folder / "glyphs.html").read_text(encoding="utf-8")
    page = Page(html)
    images = [base64.b64decode(image["src"].partition("base64,")[2]) for image in page.images]
    written = [file.read_bytes() for file in (folder / "glyphs").rglob("*.png")]
    assert len(written) == 46
    assert sorted(images) == sorted(written)
    answers = [f"{how}, answer: {name}" for _, how, name, _, _ in table_of(result)]
    alts = [image["alt"] for image in page.images]
    assert [alt for alt in alts if "answer" in alt] == answers
    assert [alt for alt in alts if "answer" not in alt] == [
        f"{name}, drawn with a pen" for name in ENROLLED
    ]
    assert all(address.startswith("data:") for address in page.addresses)
    assert not page.tags & {"script", "iframe", "object", "embed"}
    assert "not its accuracy" in html


def test_a_second_run_draws_and_answers_the_same(glyphs_shown, letters_demo, tmp_path):
    folder, _ = glyphs_shown
    run("--glyphs", "--out", tmp_path)
    first, second = (
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*.*")}
        for root in (folder, tmp_path)
    )
    assert first == second


def test_glyphs_need_no_portraits(letters_demo, tmp_path, monkeypatch):
    monkeypatch.setitem(PORTRAITS, HOPPER, ("no_such_package", "hopper.jpg"))
    assert len(table_of(run("--glyphs", "--out", tmp_path))) == 36


def test_without_its_model_the_demo_of_glyphs_writes_nothing(facesearch, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GLYPH_MODEL", "no-such-model")
    result = facesearch("demo", "--glyphs", "--out", tmp_path / "out")
    assert result.exit_code == 4
    assert result.stderr.startswith("Error: there is no model no-such-model")
    assert not (tmp_path / "out").exists()


def test_glyphs_open_their_own_page(letters_demo, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run("--glyphs", "--out", tmp_path, "--open")
    assert opened == [(tmp_path / "glyphs.html").as_uri()]


def test_enroll_accepts_the_folder_of_enrolled_drawings(facesearch, glyphs_shown, letters_model):
    folder = glyphs_shown[0] / "glyphs" / "enrolled"
    result = facesearch("enroll", folder, "--model", letters_model)
    assert result.exit_code == 0
    assert result.stdout.startswith("Enrolled 10 photos.\n10 classes in ")


@pytest.mark.parametrize("hand", [PEN, *HANDS], ids=lambda hand: hand.name)
@pytest.mark.parametrize("name", NAMES)
def test_a_glyph_is_drawn_whole_in_the_colors_of_its_hand(name, hand):
    page = drawn_by(hand, name)
    assert (page.shape, page.dtype) == ((PAGE_PX, PAGE_PX, 3), np.uint8)
    border = np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])
    assert (border == hand.paper).all()
    inked = (page == hand.ink).all(-1)
    height, width = (np.ptp(np.flatnonzero(inked.any(axis))) for axis in (1, 0))
    assert max(height, width) > PAGE_PX / 3


def test_each_drawing_is_most_like_the_pen_drawing_of_the_same_glyph():
    def seen(hand, name):
        ink = cv2.GaussianBlur(255 - ink_crop(drawn_by(hand, name), 48)[..., 0], (0, 0), 2.5)
        return ink.ravel()

    references = [seen(PEN, name) for name in NAMES]
    for hand in HANDS:
        likeness = np.corrcoef([seen(hand, name) for name in NAMES], references)[:12, 12:]
        assert likeness.argmax(1).tolist() == [*range(12)], hand.name


def test_no_two_hands_draw_alike():
    for name in NAMES:
        pages = [drawn_by(hand, name) for hand in (PEN, *HANDS)]
        crops = [ink_crop(page, 48).astype(int) for page in pages]
        assert all(np.abs(a - b).mean() > 10 for a, b in pairwise(crops))


def test_a_smooth_stroke_goes_through_its_points_without_sharp_turns():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], float)
    path = smooth(square)
    np.testing.assert_allclose(path[::STEPS], square, atol=1e-12)
    steps = np.diff(np.vstack([path, path[1]]), axis=0)  # round and on
    angles = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
    assert np.abs(angles).max() < np.deg2rad(25)
    assert np.sum(angles) == pytest.approx(2 * np.pi, abs=0.1)


def test_strokes_that_meet_in_a_glyph_meet_in_every_drawing():
    for seed in range(5):
        arch, tail, _ = strokes_of(GLYPHS["Avo"], np.random.default_rng(seed))
        np.testing.assert_array_equal(arch[-1], tail[0])
