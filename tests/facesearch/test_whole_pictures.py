"""Models of kind `image`: drawings and pictures through the same gallery as faces."""

import json

import cv2
import numpy as np
import pytest
from gallery_rows import live_index_of, store_of
from PIL import Image
from typer.testing import CliRunner

from facesearch import FaceError, Gallery, Model, ModelError, PhotoError, verify
from facesearch.alignment import CROP_LANDMARKS
from facesearch.identification import cut, look, look_again
from facesearch.ink import ink_crop
from facesearch.openset import fit_strangers
from facesearch.photo import photo_from_bytes, read_photo
from facesearch.vectors import unit

pytest.importorskip("onnx", reason="onnx, which writes the model of these tests, is not installed")

from image_model import DIM, SIDE_PX, letter, write_model

LETTERS = "AMXZ"
BLUE, YELLOW, WHITE, BLACK = (20, 40, 160), (250, 240, 160), (255, 255, 255), (0, 0, 0)


@pytest.fixture(scope="module", params=[True, False], ids=["cosine", "own order"])
def ink_folder(tmp_path_factory, request):
    """A model of drawings, its head with the order of the cosine or with one of its own."""
    folder = tmp_path_factory.mktemp("models") / "letters"
    return write_model(folder, follows_cosine=request.param)


@pytest.fixture(scope="module")
def ink_model(ink_folder):
    return Model.load(ink_folder)


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A folder with a subfolder a letter: two drawings of each, of two sizes and widths."""
    folder = tmp_path_factory.mktemp("letters")
    for text in LETTERS:
        save(folder / text / "small.png", letter(text, size=1.5, thickness=2, at=(0.4, 0.9)))
        save(folder / text / "large.png", letter(text, size=2.4, thickness=4, at=(0.1, 0.8)))
    return folder


@pytest.fixture
def letter_gallery(letters, ink_model, tmp_path):
    """A gallery of the letters, just enrolled."""
    with Gallery(tmp_path / "letters.db", ink_model) as gallery:
        results = list(gallery.enroll(jobs_of(letters)))
        assert [(r.status, r.remark, r.look_alikes) for r in results] == [
            ("enrolled", None, ())
        ] * 8
        yield gallery


def jobs_of(folder):
    return [(file.parent.name, file) for file in sorted(folder.glob("*/*.png"))]


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


PROBES = {
    "black on white": letter("A"),
    "elsewhere, finer and smaller": letter("A", size=1.2, thickness=2, at=(0.6, 0.4)),
    "light on dark": letter("A", paper=(20, 20, 20), ink=WHITE),
    "in color": letter("A", paper=YELLOW, ink=BLUE),
    "in pencil": letter("A", paper=(225, 225, 220), ink=(170, 170, 172)),
    "16 bits of gray": letter("A")[..., 0].astype(np.uint16) * 256,
    "see-through": np.dstack([np.zeros_like(letter()), 255 - letter("A")[..., 0]]),
    "tiny": letter("A", side=24),
    "huge": letter("A", side=4000),
    "wide": np.hstack([letter("A"), np.full((105, 90, 3), 255, np.uint8)]),
}


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_a_letter_is_named_however_it_is_drawn(letter_gallery, tmp_path, probe):
    (result,) = letter_gallery.identify([save(tmp_path / "probe.png", probe)])
    (face,) = result.faces
    assert face.person == "A"
    assert face.probability > 0.7
    assert face.decided_by == "machine"


def test_each_letter_is_named_and_one_that_is_not_enrolled_is_unknown(letter_gallery, tmp_path):
    drawings = {text: letter(text, size=1.8, at=(0.3, 0.8)) for text in LETTERS + "OPT"}
    files = [save(tmp_path / f"{text}.png", pixels) for text, pixels in drawings.items()]
    named = [result.faces[0].person for result in letter_gallery.identify(files)]
    assert named == [*LETTERS, None, None, None]


def test_the_threshold_is_made_from_the_heads_own_scores(letter_gallery, ink_model):
    ids, rows = store_of(letter_gallery).templates.of_people(range(1, 5))
    means = unit(np.stack([rows[ids == person].sum(0) for person in range(1, 5)]))
    fit = live_index_of(letter_gallery)._fit()
    expected = fit_strangers(means, 4, ink_model.cohort, ink_model.head)
    assert (fit.score_mean, fit.score_std, fit.score_skew) == pytest.approx(
        (expected.score_mean, expected.score_std, expected.score_skew), abs=1e-5
    )
    assert fit.center == pytest.approx(expected.center, abs=1e-6)
    assert bool(fit.center.any()) == ink_model.head.follows_cosine


def test_a_dot_and_a_line_are_unknown_drawings(letter_gallery, tmp_path):
    dot, line = (np.full((105, 105, 3), 255, np.uint8) for _ in range(2))
    cv2.circle(dot, (50, 50), 2, BLACK, -1)
    cv2.line(line, (10, 50), (95, 55), BLACK, 2)
    files = [save(tmp_path / "dot.png", dot), save(tmp_path / "line.png", line)]
    faces = [result.faces for result in letter_gallery.identify(files)]
    assert [[face.person for face in found] for found in faces] == [[None], [None]]


def test_the_box_surrounds_the_ink_in_pixels_of_the_photo(letter_gallery, tmp_path):
    pixels = np.full((2000, 3000, 3), 255, np.uint8)
    pixels[400:1200, 900:1000] = 0
    (result,) = letter_gallery.identify([save(tmp_path / "stroke.png", pixels)])
    assert result.faces[0].box == pytest.approx((900, 400, 1000, 1200), abs=6)
    assert (result.width, result.height) == (3000, 2000)


def test_a_blank_page_is_skipped_with_a_remark(letter_gallery, ink_model, letters, tmp_path):
    blank = save(tmp_path / "blank.png", np.full((105, 105, 3), 255, np.uint8))
    (result,) = letter_gallery.identify([blank])
    assert (result.faces, result.error) == ((), None)
    (enrollment,) = letter_gallery.enroll([("blank", blank)])
    assert (enrollment.status, enrollment.remark) == ("skipped", "no drawing found")
    with pytest.raises(FaceError, match=r"blank\.png: no drawing found"):
        verify(ink_model, blank, letters / "A" / "small.png")
    assert letter_gallery.search(blank) == []


def test_two_drawings_of_one_letter_verify_and_of_two_letters_do_not(ink_model, letters):
    a, other_a, x = letters / "A" / "small.png", letters / "A" / "large.png", letters / "X"
    assert verify(ink_model, a, other_a).same
    assert not verify(ink_model, a, x / "large.png").same


def test_a_search_finds_the_other_drawings_of_the_letter_first(letter_gallery, tmp_path):
    ((_, neighbors),) = letter_gallery.search(save(tmp_path / "x.png", letter("X")), k=8)
    assert [n.person for n in neighbors[:2]] == ["X", "X"]
    assert neighbors[0].score >= neighbors[1].score > neighbors[2].score


def test_a_drawing_unlike_its_class_is_enrolled_without_a_remark(letter_gallery, tmp_path):
    # a face like that would be remarked on, as one that is blurred or small would
    odd = save(tmp_path / "odd.png", cv2.GaussianBlur(letter("O", size=0.6), (0, 0), 3))
    (result,) = letter_gallery.enroll([("A", odd)])
    assert (result.status, result.remark) == ("enrolled", None)


def test_a_drawing_that_is_enrolled_under_another_name_is_called_a_drawing(letter_gallery, letters):
    (result,) = letter_gallery.enroll([("B", letters / "A" / "small.png")])
    assert result.status == "skipped"
    assert result.remark.startswith("this drawing is enrolled as A;")


def test_a_mirrored_letter_is_another_letter(ink_model, tmp_path):
    photo = read_photo(save(tmp_path / "Z.png", letter("Z")))
    plain, reference = look(photo, ink_model), look(photo, ink_model, as_reference=True)
    assert reference.embeddings.tolist() == plain.embeddings.tolist()
    mirror = read_photo(save(tmp_path / "mirrored.png", letter("Z")[:, ::-1]))
    assert (look(mirror, ink_model).embeddings @ plain.embeddings.T).max() < 0.9


def test_a_model_that_mirrors_averages_a_crop_and_its_mirror_image(letters, tmp_path):
    model = Model.load(write_model(tmp_path / "both", mirror=True))
    seen = look(read_photo(letters / "Z" / "small.png"), model, as_reference=True)
    both = model.embed(np.concatenate([seen.crops, seen.crops[:, :, ::-1]])).sum(0)
    assert seen.embeddings[0] == pytest.approx(both / np.linalg.norm(both), abs=1e-5)


def test_a_second_look_at_a_drawing_changes_nothing(
    letter_gallery, ink_model, tmp_path, monkeypatch
):
    monkeypatch.setattr("facesearch.identification.BORDERLINE_SD", np.inf)
    probe = save(tmp_path / "probe.png", letter("M"))
    assert [r.faces[0].person for r in letter_gallery.identify([probe])] == ["M"]
    seen = look(read_photo(probe), ink_model)
    again = look_again(ink_model, seen.crops, seen.embeddings)
    assert again.tolist() == seen.embeddings.tolist()


def test_cutting_a_drawing_out_of_a_blank_photo_is_an_error(ink_model, letters):
    faces = ink_model.detector.detect(read_photo(letters / "A" / "small.png"))
    blank = photo_from_bytes(b"P6 9 9 255\n" + b"\xff" * 243, "blank")
    assert cut(blank, [], ink_model).shape == (0, SIDE_PX, SIDE_PX, 3)
    with pytest.raises(FaceError, match="blank: no drawing found"):
        cut(blank, faces, ink_model)


def test_the_ink_crop_is_embedded(ink_model, letters):
    seen = look(read_photo(letters / "M" / "large.png"), ink_model)
    expected = ink_crop(np.asarray(Image.open(letters / "M" / "large.png")), SIDE_PX)
    assert seen.crops[0].tolist() == expected.tolist()
    assert seen.embeddings.shape == (1, DIM)


def test_a_damaged_picture_is_unreadable_not_blank(ink_model, letters, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes((letters / "A" / "large.png").read_bytes()[:300])
    with pytest.raises(PhotoError):
        look(read_photo(broken), ink_model)


def test_whole_pictures_are_told_apart_by_color_even_without_ink(tmp_path):
    def picture(name, *color, height=60, salt=0):
        pixels = np.full((height, 60, 3), color, np.uint8)
        pixels[:, 30:] //= 2
        pixels[0, 0] = salt
        return save(tmp_path / "pictures" / f"{name}.png", pixels)

    model = Model.load(write_model(tmp_path / "model", alignment="whole"))
    with Gallery(tmp_path / "pictures.db", model) as gallery:
        jobs = [("red", picture("red", 200, 20, 20)), ("green", picture("green", 20, 180, 20))]
        assert [result.status for result in gallery.enroll(jobs)] == ["enrolled"] * 2
        ((face, neighbors),) = gallery.search(picture("probe", 190, 30, 20, salt=9))
        assert face.box == (0, 0, 60, 60)
        assert neighbors[0].person == "red"
        blank = save(tmp_path / "blank.png", np.full((40, 90, 3), 128, np.uint8))
        (result,) = gallery.identify([blank])
        assert [face.box for face in result.faces] == [(0, 0, 90, 40)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detector": "mtcnn"}, "of kind image with detector mtcnn; .* kind image with detector w"),
        ({"kind": "voice"}, "of kind voice"),
        ({"kind": "face"}, "of kind face with detector whole"),
        ({"alignment": "eyes"}, "has the alignment eyes; .* ink and whole"),
        ({"alignment": CROP_LANDMARKS.tolist()}, "has the alignment"),
        ({"kind": "face", "detector": "yunet", "alignment": "ink"}, "has the alignment ink"),
    ],
    ids=["detector", "kind", "a face with no detector", "alignment", "landmarks", "a face by ink"],
)
def test_a_model_that_needs_an_unknown_detector_or_alignment_is_refused(
    ink_folder, tmp_path, changes, message
):
    for file in ink_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(manifest | changes))
    with pytest.raises(ModelError, match=message):
        Model.load(tmp_path)


# The command line


@pytest.fixture
def command(ink_folder, tmp_path, monkeypatch):
    """Run a command with the model and a gallery of the test's own."""
    from facesearch_cli.main import app

    monkeypatch.setenv("FACESEARCH_HOME", str(tmp_path / "home"))

    def run(*args):
        words = [*map(str, args), "--model", str(ink_folder)]
        return CliRunner().invoke(app, words)

    return run


def test_a_folder_of_letters_is_enrolled_and_a_drawing_identified(
    command, letters, ink_folder, tmp_path
):
    gallery = tmp_path / "g.db"
    enrolled = command("enroll", letters, "--gallery", gallery)
    assert enrolled.exit_code == 0
    assert "Enrolled 8 photos.\n4 classes" in enrolled.stdout
    undo = f"facesearch undo 1 --gallery {gallery} --model {ink_folder}"
    assert enrolled.stderr == f"To undo: {undo}\n"
    probe = save(tmp_path / "probe.png", letter("X", paper=BLACK, ink=YELLOW))
    blank = save(tmp_path / "blank.png", np.zeros((50, 50, 3), np.uint8))
    args = ("identify", probe, blank, "--gallery", gallery)
    table = command(*args, "--annotate", tmp_path / "named")
    assert table.exit_code == 0
    assert "probe.png\t1\tX\t" in table.stdout
    assert "blank.png\t\tno drawing found" in table.stdout
    assert "2 photos, 1 drawing: 1 known." in table.stderr
    assert [file.name for file in (tmp_path / "named").glob("*.jpg")] == ["probe.jpg"]
    named, nothing = (json.loads(line) for line in command(*args, "--json").stdout.splitlines())
    assert named["faces"][0]["person"] == "X"
    assert nothing["faces"] == []
    assert command("doctor", "--gallery", gallery).exit_code == 0


def test_the_model_of_faces_does_not_open_a_gallery_of_letters(letters, command, tmp_path):
    gallery = tmp_path / "g.db"
    command("enroll", letters, "--gallery", gallery)
    with pytest.raises(ModelError, match="was made with the model letters"):
        Gallery(gallery)
