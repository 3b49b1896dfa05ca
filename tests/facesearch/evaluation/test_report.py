import dataclasses

import numpy as np
import pytest
from fake_model import DIM, FakeModel, embedding, save_photo
from PIL import Image, ImageDraw, ImageFont

from facesearch.evaluation import metrics, sheet
from facesearch.evaluation import report as report_module
from facesearch.evaluation.pictures import LakeTrials, Pictures, read_pictures
from facesearch.evaluation.report import (
    PUBLISHED,
    evaluate,
    model_cropper,
    pairs_needed,
)
from facesearch.head import L1SigmoidHead

PEOPLE = ("Ann", "Bea", "Cid")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A folder of three people with four photos each."""
    folder = tmp_path_factory.mktemp("people")
    for person, name in enumerate(PEOPLE, 1):
        for picture in range(4):
            save_photo(folder / name / f"{picture}.png", (person, picture))
    return folder


@pytest.fixture(scope="module")
def pictures(people):
    return read_pictures(people, model_cropper(FakeModel()))


@pytest.fixture(scope="module")
def report(pictures):
    return evaluate(FakeModel(), pictures, n_pairs=20)


def test_a_face_model_cuts_the_largest_face_and_skips_photos_without_one(tmp_path):
    for name, faces in (
        ("Ann/1.png", [(1, 0), (2, 0)]),
        ("Ann/0.png", [None]),
        ("Bea/1.png", [(2, 1)]),
    ):
        save_photo(tmp_path / name, *faces)
    found = read_pictures(tmp_path, model_cropper(FakeModel()))
    assert found.crops.shape == (2, 112, 112, 3)
    assert found.crops[:, 56, 56].tolist() == [[1, 0, 0], [2, 0, 1]]
    assert found.skipped == ((str(tmp_path / "Ann" / "0.png"), "it shows nothing to compare"),)


@pytest.mark.parametrize("sign", [1, -1], ids=["weights above 0", "weights of either sign"])
def test_pairs_get_the_scores_of_model_compare(pictures, sign):
    model = FakeModel()
    weights = model.head.weights.copy()
    weights[::3] *= sign
    model = dataclasses.replace(model, head=dataclasses.replace(model.head, weights=weights))
    report = evaluate(model, pictures, n_pairs=20)
    embeddings = model.embed(pictures.crops)
    ends = list(zip(report.pairs.first, report.pairs.second, strict=True))
    llrs = [model.compare(embeddings[a], embeddings[b][None])[0] for a, b in ends]
    assert report.llrs == pytest.approx(llrs, abs=1e-4)
    cosines = np.array([float(embeddings[a] @ embeddings[b]) for a, b in ends])
    mated = report.pairs.mated
    assert report.head.auc == metrics.auc(np.array(llrs), mated)
    assert report.cosine.auc == metrics.auc(cosines, mated)
    assert report.cosine.eer == metrics.eer(cosines, mated)
    assert report.head.best_accuracy == metrics.best_accuracy(np.array(llrs), mated)
    assert report.accuracy == np.mean([(llr > 0) == m for llr, m in zip(llrs, mated, strict=True)])


def test_the_cosine_of_a_model_of_two_codes_is_that_of_its_search_codes(pictures, report):
    model = FakeModel(search_dim=2)  # too little to tell people apart by
    of_two = evaluate(model, pictures, n_pairs=20)
    embeddings = model.embed(pictures.crops)[:, :2]
    codes = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = np.array(
        [codes[a] @ codes[b] for a, b in zip(of_two.pairs.first, of_two.pairs.second, strict=True)]
    )
    assert of_two.cosine.auc == metrics.auc(cosines, of_two.pairs.mated) < 1
    assert of_two.cosine.one_shot.accuracy < 1
    assert of_two.head == report.head  # which reads it all
    assert of_two.llrs.tolist() == report.llrs.tolist()


def test_the_accuracy_is_that_of_even_odds(pictures, report):
    model = FakeModel()
    middle = np.median(report.llrs[report.pairs.mated])
    head = dataclasses.replace(model.head, bias=model.head.bias - float(middle))
    shifted = evaluate(dataclasses.replace(model, head=head), pictures, n_pairs=20)
    assert shifted.accuracy == 0.75  # half of the mated pairs are below 0 now
    assert shifted.head.best_accuracy == 1.0


def test_different_people_are_separated_perfectly_by_head_and_cosine(report):
    assert len(report.pairs) == 20
    for way in (report.head, report.cosine):
        assert (way.auc, way.eer, way.best_accuracy) == (1.0, 0.0, 1.0)
        assert way.one_shot.accuracy == 1.0
        assert way.lake is None
    assert (report.ways, report.fewest_ways) == (3, 3)


def test_one_shot_rates_are_those_of_the_comparison_they_are_listed_under(pictures):
    # a head that finds the least alike most alike: its weights are below 0
    model = FakeModel()
    head = L1SigmoidHead(None, np.full(DIM, -1, np.float32), 0.0, 1.0)
    trials = LakeTrials(  # Ann, Bea, Cid once each, then again
        support=np.tile([0, 4, 8], (2, 1)),
        probes=np.tile([1, 5, 9], (2, 1)),
        answers=np.tile([0, 1, 2], (2, 1)),
    )
    report = evaluate(dataclasses.replace(model, head=head), pictures, trials, n_pairs=20)
    assert (report.head.one_shot.accuracy, report.cosine.one_shot.accuracy) == (0.0, 1.0)
    assert (report.head.lake.accuracy, report.cosine.lake.accuracy) == (0.0, 1.0)
    assert report.head.auc < 0.1


def test_a_rate_is_reported_only_with_enough_pairs_by_the_rule_of_three():
    assert (pairs_needed(0.01), pairs_needed(0.001), pairs_needed(0.5)) == (600, 6000, 12)
    classes = np.repeat(np.arange(40), 10)
    crops = np.zeros((400, 112, 112, 3), np.uint8)
    crops[:, 56, 56] = np.stack([classes, np.zeros(400), np.tile(np.arange(10), 40)], 1)
    some = Pictures(crops, classes, classes * 0 - 1, tuple("a" * 40), classes[:40] * 0, ("",), ())
    few, enough = (evaluate(FakeModel(), some, n_pairs=n).head for n in (598, 600))
    assert few.tar_at(0.01) is None
    assert few.tar_at(0.02) is not None
    assert enough.tar_at(0.01) == 1.0
    assert enough.tar_at(0.001) is None


def test_classes_alone_in_their_group_have_no_one_shot_rate(pictures):
    alone = dataclasses.replace(pictures, groups=np.arange(3), group_names=PEOPLE)
    report = evaluate(FakeModel(), alone, n_pairs=20)
    assert report.head.one_shot is None
    assert (report.ways, report.fewest_ways) == (None, None)


def test_an_error_within_episodes_is_raised(pictures, monkeypatch):
    def broken(*args, **settings):
        raise ValueError("a fault")

    monkeypatch.setattr(report_module, "play_episodes", broken)
    with pytest.raises(ValueError, match="a fault"):
        evaluate(FakeModel(), pictures, n_pairs=20)


def test_a_pair_at_exactly_even_odds_is_taken_for_two_classes(tmp_path):
    # pictures of one class have one embedding but are no doubles, and the head says 0 of them
    for name in ("Ann", "Bea"):
        for salt in range(3):
            save_photo(tmp_path / name / f"{salt}.png", (ord(name[0]), 0), salt=salt)
    pictures = read_pictures(tmp_path, model_cropper(FakeModel()))
    model = FakeModel()
    even = dataclasses.replace(model, head=dataclasses.replace(model.head, bias=0.0))
    report = evaluate(even, pictures, n_pairs=6)
    assert set(report.llrs[report.pairs.mated]) == {0.0}
    assert (report.llrs[~report.pairs.mated] < 0).all()
    assert report.accuracy == 0.5


def test_progress_is_reported_for_each_picture(pictures):
    told = []
    evaluate(FakeModel(), pictures, n_pairs=4, advance=told.append)
    assert told == [12] * 12


def test_the_published_figures_include_the_papers():
    assert ("Siamese network (Koch et al. 2015)", 0.9342, 0.92) in PUBLISHED


# ---- the sheet of worst pairs


def test_the_worst_pairs_are_the_lowest_mated_and_the_highest_non_mated(report):
    mated, non_mated = sheet.worst_pairs(report)
    llrs = report.llrs
    assert llrs[mated].tolist() == sorted(llrs[report.pairs.mated])[: sheet.ROWS]
    assert llrs[non_mated].tolist() == sorted(llrs[~report.pairs.mated])[::-1][: sheet.ROWS]


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
def test_the_sheet_shows_both_pictures_of_a_pair(tmp_path, pictures, report, channels):
    shown = dataclasses.replace(
        pictures, crops=pictures.crops[..., :channels], class_names=("Ann", "顔", "x" * 500)
    )
    sheet.save_sheet(tmp_path / "worst.png", shown, report)
    with Image.open(tmp_path / "worst.png") as image:
        assert image.format == "PNG"
        drawn = np.asarray(image)
    worst = int(sheet.worst_pairs(report)[0][0])
    for place, row in enumerate((report.pairs.first[worst], report.pairs.second[worst])):
        x = sheet.GAP_PX + place * sheet.TILE_PX + 56
        y = sheet.GAP_PX + sheet.LINE_PX + 56
        colour = shown.crops[row, 56, 56] * np.ones(3, np.uint8)
        assert np.abs(drawn[y, x].astype(int) - colour).max() <= 2


def written(monkeypatch, tmp_path, pictures, report):
    """Return the lines that a sheet has beside its pairs."""
    lines = []
    monkeypatch.setattr(sheet, "_write", lambda page, x, y, text, room: lines.append(text))
    sheet.save_sheet(tmp_path / "worst.png", pictures, report)
    return lines


def test_a_pair_is_captioned_with_its_classes_and_the_heads_llr(
    tmp_path, monkeypatch, pictures, report
):
    shown = dataclasses.replace(pictures, class_names=("Zoé", "顔", "Runes/c"))
    lines = written(monkeypatch, tmp_path, shown, report)
    expected = ["One class, least alike"]
    names = ("Zoe", "class 2", "Runes/c")
    mated, non_mated = sheet.worst_pairs(report)
    pairs = report.pairs
    for pair in mated:
        expected += [names[pictures.classes[pairs.first[pair]]], f"llr {report.llrs[pair]:+.2f}"]
    expected += ["Two classes, most alike"]
    for pair in non_mated:
        expected += [names[pictures.classes[end[pair]]] for end in (pairs.first, pairs.second)]
        expected += [f"llr {report.llrs[pair]:+.2f}"]
    assert lines == expected


def test_a_line_that_is_too_long_loses_its_start():
    page = Image.new("RGB", (200, 20), "white")
    sheet._write(page, 0, 0, "x" * 100 + "end", 80)
    ink = np.flatnonzero((np.asarray(page) < 128).any((0, 2)))
    assert 60 < ink.max() < 80
    end = Image.new("RGB", (200, 20), "white")
    font = ImageFont.load_default(sheet.FONT_PX)
    draw = ImageDraw.Draw(end)
    whole = max(n for n in range(9) if draw.textlength(f"..{'x' * n}end", font) <= 80)
    draw.text((0, 0), f"..{'x' * whole}end", sheet.TEXT, font)
    assert (np.asarray(page) == np.asarray(end)).all()


def test_a_sheet_appears_completely_or_not_at_all(tmp_path, monkeypatch, pictures, report):
    def full(page, stream, form):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        sheet.save_sheet(tmp_path / "worst.png", pictures, report)
    assert list(tmp_path.iterdir()) == []


def test_fake_embeddings_are_similar_within_a_person_only():
    assert embedding(1, 0) @ embedding(1, 1) > 0.7 > embedding(1, 0) @ embedding(2, 0)
