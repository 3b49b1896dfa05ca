import io
import json
import lzma
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx", reason="onnx, which writes the model of these tests, is not installed")

sys.path.insert(0, str(Path(__file__).parents[1] / "facesearch"))

from image_model import FONTS, letter, write_model

LETTERS = "AMXZ"
LOOKS = ((1.5, 2, 0), (2.4, 4, 0), (2.0, 3, 1), (1.8, 5, 1))  # size, width of the pen, font


@pytest.fixture(scope="module")
def letters_model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "letters")


@pytest.fixture(scope="module")
def drawn_letters(tmp_path_factory):
    """A folder of four letters, each drawn in four ways."""
    folder = tmp_path_factory.mktemp("drawn")
    for text in LETTERS:
        (folder / text).mkdir()
        for i, (size, thickness, font) in enumerate(LOOKS):
            pixels = letter(text, size=size, thickness=thickness, font=FONTS[font], at=(0.2, 0.8))
            Image.fromarray(pixels).save(folder / text / f"{i}.png")
    return folder


@pytest.fixture
def letters(drawn_letters, tmp_path):
    return Path(shutil.copytree(drawn_letters, tmp_path / "letters"))


@pytest.fixture(scope="module")
def small_omniglot(tmp_path_factory):
    """A packed Omniglot of 20 letters: Tibetan has them all, Greek the first two."""
    texts = "ABCDEFGHJKLMNPRSTUVZ"
    ink = np.zeros((22, 20, 105, 105), bool)
    for number, text in enumerate(texts + "AB"):
        for drawer in range(20):
            size, at = 1.8 + drawer / 30, (0.2 + drawer / 200, 0.8)
            pixels = letter(text, size=size, thickness=2 + drawer % 3, at=at)
            ink[number, drawer] = pixels[:, :, 0] < 128
    place = np.arange(20) * 20
    arrays = {
        "drawings": np.packbits(ink.reshape(22, 20, -1), axis=-1),
        "alphabet_names": np.array(["Tibetan", "Greek"]),
        "character_alphabet": np.repeat([0, 1], (20, 2)),
        "character_lake_id": np.arange(1, 23),
        "trial_train": np.stack([place + run for run in range(20)]),
        "trial_test": np.stack([place + (run + 3) % 20 for run in range(20)]),
        "trial_answer": np.tile(np.arange(20), (20, 1)),
    }
    content = io.BytesIO()
    np.savez(content, **arrays)
    file = tmp_path_factory.mktemp("omniglot") / "omniglot.npz.xz"
    file.write_bytes(lzma.compress(content.getvalue(), preset=0))
    return file


def test_a_report_names_the_figures_and_the_data(facesearch, letters_model, letters):
    result = facesearch("evaluate", letters_model, letters)
    assert result.exit_code == 0
    assert result.stderr == ""
    first, *table = result.stdout.splitlines()
    assert first == "letters on 16 pictures of 4 classes, 48 pairs"
    rows = {name: cells for name, *cells in (line.split("\t") for line in table)}
    assert set(rows) == {
        "area under the ROC",
        "equal error rate",
        "TAR at FAR 1%",
        "TAR at FAR 0.1%",
        "accuracy on pairs at even odds",
        "accuracy on pairs at the best threshold",
        "4-way one-shot, random episodes",
    }
    assert rows["TAR at FAR 0.1%"] == ["needs 6,000 pairs"] * 2
    assert all(cell.endswith("%") for cell in rows["area under the ROC"])


def test_json_is_one_flat_object(facesearch, letters_model, letters):
    result = facesearch("evaluate", letters_model, letters, "--json", "--pairs", 20, "--ways", 3)
    (line,) = result.stdout.splitlines()
    answer = json.loads(line)
    assert answer["schema_version"] == 1
    assert (answer["model"], answer["data"]) == ("letters", str(letters))
    counts = {key: answer[key] for key in ("pictures", "classes", "groups", "pairs", "ways")}
    assert counts == {"pictures": 16, "classes": 4, "groups": 1, "pairs": 20, "ways": 3}
    for way in ("head", "cosine"):
        assert 0.5 < answer[f"{way}_auc"] <= 1
        low, high = answer[f"{way}_one_shot_interval"]
        assert low <= answer[f"{way}_one_shot"] <= high
        assert answer[f"{way}_tar_at_far_0.01"] is None
        assert answer[f"{way}_lake_400"] is None
        assert answer[f"{way}_lake_400_interval"] is None
    far, tar = answer["head_roc"][-1]
    assert far == 0.5
    assert 0 <= tar <= 1
    assert answer["skipped"] == []


def test_the_seed_decides_the_figures(facesearch, letters_model, letters):
    (letters / "A" / "0.png").rename(letters / "M" / "wrong.png")  # else no pair would be wrong
    run = [
        facesearch("evaluate", letters_model, letters, "--json", "--pairs", 12, "--seed", seed)
        for seed in (0, 0, 1)
    ]
    first, again, other = (json.loads(result.stdout) | {"seed": None} for result in run)
    assert first == again
    assert first != other


def test_unusable_pictures_are_listed_and_exit_3(facesearch, letters_model, letters):
    (letters / "A" / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (60, 60), "white").save(letters / "M" / "blank.png")
    (letters / "M" / "notes.txt").write_text("of letters")
    result = facesearch("evaluate", letters_model, letters)
    assert result.exit_code == 3
    assert result.stdout.startswith("letters on 16 pictures of 4 classes")
    told, files, heading, *lines = result.stderr.splitlines()
    assert told == "Left out of the folders:"
    assert files == "  1 file that is not a photo in a format that is read: 1 .txt"
    assert heading == "Could not be used:"
    assert lines[0].startswith(f"  {letters / 'A' / 'broken.png'}: it is not a picture")
    assert lines[1] == f"  {letters / 'M' / 'blank.png'}: it shows nothing to compare"


def test_omniglot_is_measured_on_lakes_trials_and_compared_with_the_paper(
    facesearch, letters_model, small_omniglot
):
    result = facesearch("evaluate", letters_model, small_omniglot)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("letters on 400 pictures of 20 classes, ")  # none of Greek
    assert any(line.startswith("Lake's 400 one-shot trials\t") for line in lines)
    table = {line.split("\t")[0]: line.split("\t")[1:] for line in lines[-5:]}
    assert table["Siamese network (Koch et al. 2015)"] == ["93.42%", "92.00%"]
    answer = json.loads(facesearch("evaluate", letters_model, small_omniglot, "--json").stdout)
    ours = [f"{100 * answer[key]:.2f}%" for key in ("accuracy_at_even_odds", "head_lake_400")]
    assert table["this model (letters)"] == ours
    low, high = answer["head_lake_400_interval"]
    assert low < 1
    assert low <= answer["head_lake_400"] <= high


def test_the_sheet_is_a_picture(facesearch, letters_model, letters, tmp_path):
    result = facesearch("evaluate", letters_model, letters, "--sheet", tmp_path / "worst.png")
    assert result.exit_code == 0
    with Image.open(tmp_path / "worst.png") as sheet:
        assert sheet.format == "PNG"
        assert len(sheet.convert("RGB").getcolors(1 << 20)) > 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/w.png", "there is no folder"),
        ("mine.csv", "exists already"),
        (".", "exists already"),
    ],
    ids=["no folder", "a file of the user's", "a folder"],
)
def test_a_sheet_that_cannot_be_a_new_file_is_refused_before_anything_is_read(
    facesearch, tmp_path, name, message
):
    (tmp_path / "mine.csv").write_text("dear")
    result = facesearch("evaluate", "no_such_model", "nowhere", "--sheet", tmp_path / name)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert (tmp_path / "mine.csv").read_text() == "dear"


def test_only_twenty_unusable_pictures_are_listed_by_path(facesearch, letters_model, letters):
    for number in range(23):
        (letters / "A" / f"broken{number:02d}.png").write_bytes(b"no picture")
    _, *lines = facesearch("evaluate", letters_model, letters).stderr.splitlines()
    assert len(lines) == 21
    assert "broken19.png" in lines[19]
    assert lines[20] == "  and 3 more"
    answer = json.loads(facesearch("evaluate", letters_model, letters, "--json").stdout)
    assert len(answer["skipped"]) == 23


def test_groups_of_different_sizes_are_reported_as_a_range(facesearch, letters_model, letters):
    (letters / "few").mkdir()
    for text in "AM":
        (letters / text).rename(letters / "few" / text)
    shutil.copytree(letters / "few", letters / "many")
    for text in "XZ":
        (letters / text).rename(letters / "many" / text)
    table = facesearch("evaluate", letters_model, letters).stdout
    assert "\n2- to 4-way one-shot, random episodes\t" in table
    answer = json.loads(facesearch("evaluate", letters_model, letters, "--json").stdout)
    assert (answer["fewest_ways"], answer["ways"]) == (2, 4)


@pytest.mark.parametrize(
    ("model", "data", "exit_code", "message"),
    [
        ("no_such_model", "letters", 4, "there is no model no_such_model"),
        (None, "letters/A", 4, "has no classes"),
        (None, "nowhere", 4, "nowhere: No such file"),
    ],
    ids=["no model", "no classes", "no data"],
)
def test_data_that_cannot_be_measured_is_one_sentence(
    facesearch, letters_model, letters, model, data, exit_code, message
):
    result = facesearch("evaluate", model or letters_model, letters.parent / data)
    assert result.exit_code == exit_code
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert message in line


def test_people_are_measured_by_their_faces(facesearch, portraits, tmp_path):
    for name, photo in (("Eileen", portraits.eileen), ("Grace", portraits.grace)):
        (tmp_path / "people" / name).mkdir(parents=True)
        with Image.open(photo) as image:
            for i, size in enumerate((512, 400)):
                image.convert("RGB").resize((size, size)).save(
                    tmp_path / "people" / name / f"{i}.png"
                )
    result = facesearch("evaluate", "sface", tmp_path / "people", "--json")
    answer = json.loads(result.stdout)
    assert (answer["head_auc"], answer["cosine_one_shot"]) == (1.0, 1.0)
    assert answer["pairs"] == 4
