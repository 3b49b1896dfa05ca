import dataclasses

import numpy as np
import pytest
from fake_model import DIM, FakeModel, embedding, save_photo
from PIL import Image

from facesearch import DataError
from facesearch.evaluation import metrics, sheet
from facesearch.evaluation.pictures import LakeTrials, Pictures, read_pictures
from facesearch.evaluation.report import (
    PUBLISHED,
    evaluate,
    model_cropper,
    pairs_needed,
    unseen,
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


def omniglot_pictures(*alphabets):
    names = [f"{alphabet}/character{n:02d}" for alphabet in alphabets for n in (1, 2)]
    return Pictures(
        crops=np.zeros((len(names), 2, 2, 3), np.uint8),
        classes=np.arange(len(names)),
        drawers=np.ones(len(names), np.int64),
        class_names=tuple(names),
        groups=np.repeat(np.arange(len(alphabets)), 2),
        group_names=alphabets,
        skipped=(),
    )


def test_a_model_of_faces_cuts_the_largest_face_and_passes_over_photos_without(tmp_path):
    for name, faces in (
        ("Ann/1.png", [(1, 0), (2, 0)]),
        ("Ann/0.png", [None]),
        ("Bea/1.png", [(2, 1)]),
    ):
        save_photo(tmp_path / name, *faces)
    found = read_pictures(tmp_path, model_cropper(FakeModel()))
    assert found.crops.shape == (2, 112, 112, 3)
    assert found.crops[:, 56, 56].tolist() == [[1, 0, 0], [2, 0, 1]]
    assert found.skipped == ((str(tmp_path / "Ann" / "0.png"), "there is nothing to see in it"),)


@pytest.mark.parametrize("sign", [1, -1], ids=["weights above 0", "weights of either sign"])
def test_pairs_score_what_the_model_says_of_each(pictures, sign):
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


def test_the_accuracy_is_that_of_even_odds(pictures, report):
    model = FakeModel()
    middle = np.median(report.llrs[report.pairs.mated])
    head = dataclasses.replace(model.head, bias=model.head.bias - float(middle))
    shifted = evaluate(dataclasses.replace(model, head=head), pictures, n_pairs=20)
    assert shifted.accuracy == 0.75  # half of the mated pairs are below 0 now
    assert shifted.head.best_accuracy == 1.0


def test_people_who_differ_are_told_apart_in_every_way(report):
    assert len(report.pairs) == 20
    for way in (report.head, report.cosine):
        assert (way.auc, way.eer, way.best_accuracy) == (1.0, 0.0, 1.0)
        assert way.one_shot.accuracy == 1.0
        assert way.lake is None
    assert report.ways == 3


def test_one_shot_and_lakes_trials_go_by_the_comparison_they_are_listed_under(pictures):
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


def test_a_rate_is_told_only_where_there_are_pairs_enough_by_the_rule_of_three():
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


def test_classes_that_are_alone_in_their_group_have_no_one_shot(pictures):
    alone = dataclasses.replace(pictures, groups=np.arange(3), group_names=PEOPLE)
    report = evaluate(FakeModel(), alone, n_pairs=20)
    assert report.head.one_shot is None
    assert report.ways is None


def test_progress_is_told_for_each_picture(pictures):
    told = []
    evaluate(FakeModel(), pictures, n_pairs=4, advance=told.append)
    assert told == [12] * 12


def test_of_omniglot_only_the_alphabets_of_lakes_trials_are_left():
    part = unseen(omniglot_pictures("Greek", "Tibetan", "Keble", "Tengwar"))
    assert part.group_names == ("Tibetan", "Tengwar")
    with pytest.raises(DataError, match="none is here"):
        unseen(omniglot_pictures("Greek", "Keble"))


def test_any_other_data_is_left_as_it_is(pictures):
    assert unseen(pictures) is pictures


def test_the_papers_own_figures_are_the_papers():
    assert ("Siamese network (Koch et al. 2015)", 0.9342, 0.92) in PUBLISHED


# ---- the sheet of worst pairs


def test_the_worst_pairs_are_the_mated_at_the_bottom_and_the_non_mated_at_the_top(report):
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


def test_a_fake_embedding_is_what_these_tests_take_it_for():
    assert embedding(1, 0) @ embedding(1, 1) > 0.7 > embedding(1, 0) @ embedding(2, 0)
