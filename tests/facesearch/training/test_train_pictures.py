import json

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra train")

from facesearch.errors import DataError, TrainingError
from facesearch.evaluation.omniglot import BACKGROUND, TRIAL, VALIDATION
from facesearch.evaluation.pictures import Pictures
from facesearch.photo import Photo
from facesearch.training.train_pictures import (
    are_drawings,
    check_destination,
    cropper,
    draw_curves,
    one_group,
    split,
    training_set,
)


def pictures_of(counts, class_names=None, groups=None, group_names=("",)):
    n = sum(counts)
    return Pictures(
        crops=np.zeros((n, 8, 8, 3), np.uint8),
        classes=np.repeat(np.arange(len(counts)), counts),
        drawers=np.full(n, -1),
        class_names=tuple(class_names or map(str, range(len(counts)))),
        groups=np.array(groups or [0] * len(counts)),
        group_names=tuple(group_names),
        skipped=(),
    )


def page(*, paper=255, ink=0, size=100):
    pixels = np.full((size, size, 3), paper, np.uint8)
    cv2.putText(pixels, "Q", (20, 80), cv2.FONT_HERSHEY_SIMPLEX, 2.5, (ink,) * 3, 3, cv2.LINE_AA)
    return Photo.from_pixels("page", pixels)


def scene(seed):
    rng = np.random.default_rng(seed)
    pixels = cv2.resize(rng.integers(0, 255, (6, 6, 3)).astype(np.uint8), (100, 100))
    return Photo.from_pixels("scene", pixels)


def test_strokes_on_paper_are_drawings_and_scenes_are_not():
    assert are_drawings([page(), page(paper=240, ink=30), page(paper=10, ink=250)])
    assert not are_drawings([scene(0), scene(1)])
    assert not are_drawings([])


def test_a_gray_scene_is_not_a_drawing():
    grey = scene(0).pixels().mean(2).astype(np.uint8)
    assert not are_drawings([Photo.from_pixels("grey", np.repeat(grey[:, :, None], 3, 2))])


def test_one_photo_among_drawings_changes_nothing():
    assert are_drawings([page(), scene(0), page()])
    assert not are_drawings([page(), scene(0), scene(1)])


def test_omniglot_is_split_as_in_the_literature():
    groups = [sorted(BACKGROUND)[0], sorted(VALIDATION)[0], sorted(TRIAL)[0]]
    names = [f"{group}/character{number:02d}" for group in groups for number in (1, 2)]
    omniglot = pictures_of([20] * 6, names, [0, 0, 1, 1, 2, 2], groups)
    training, validation, disjoint = split(omniglot, seed=0)
    assert (training.tolist(), validation.tolist(), disjoint) == ([0, 1], [2, 3], True)


def test_omniglots_trial_alphabets_are_never_trained_on():
    groups = [sorted(BACKGROUND)[0], sorted(TRIAL)[0]]
    names = [f"{group}/character{number:02d}" for group in groups for number in (1, 2)]
    omniglot = pictures_of([20] * 4, names, [0, 0, 1, 1], groups)
    with pytest.raises(DataError, match="evaluation alphabets that are in no trial"):
        split(omniglot, seed=0)


def test_groups_of_one_class_each_become_one_group():
    families = training_set(pictures_of([2] * 3, groups=[0, 1, 2], group_names="abc"), drawn=False)
    assert one_group(families).groups.tolist() == [0, 0, 0]
    pairs = training_set(pictures_of([2] * 3, groups=[0, 0, 1], group_names="ab"), drawn=False)
    assert one_group(pairs).groups.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("/", "not a valid folder"),
        ("file", "is not a model"),
        ("full", "is not a model"),
        ("model", "already is a model"),
        ("data/model", "inside the pictures' folder"),
    ],
)
def test_the_destination_of_the_model_is_checked_before_training(tmp_path, place, sentence):
    (tmp_path / "file").write_text("mine")
    for folder, file in (("full", "mine.txt"), ("model", "model.json"), ("data", "1.png")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("{}")
    with pytest.raises(TrainingError, match=sentence):
        check_destination((tmp_path / place).resolve(), tmp_path / "data", resume=False)


def test_resuming_may_replace_the_model_that_the_training_wrote(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    check_destination(tmp_path / "model", tmp_path / "data", resume=True)


def test_other_classes_are_split_at_random():
    data = pictures_of([3] * 40)
    training, validation, disjoint = split(data, seed=0)
    assert disjoint
    assert sorted([*training, *validation]) == list(range(40))
    assert len(validation) == 6
    assert [part.tolist() for part in split(data, 0)[:2]] == [
        training.tolist(),
        validation.tolist(),
    ]
    assert split(data, seed=1)[1].tolist() != validation.tolist()


def test_classes_with_one_picture_are_never_validated_with():
    data = pictures_of([1] * 30 + [2] * 10)
    for seed in range(5):
        assert split(data, seed)[1].min() >= 30


def test_few_classes_are_both_trained_on_and_validated_with():
    training, validation, disjoint = split(pictures_of([2, 2, 1]), seed=0)
    assert not disjoint
    assert training.tolist() == validation.tolist() == [0, 1, 2]


def test_training_takes_two_classes_with_two_pictures():
    with pytest.raises(DataError, match="two classes or more that have two pictures"):
        split(pictures_of([1, 1, 5]), seed=0)


def test_drawings_become_ink_and_photos_keep_their_colors():
    data = pictures_of([2, 2])
    data.crops[0] = 255
    data.crops[1, 0, 0] = (10, 20, 30)
    drawn, photos = training_set(data, drawn=True), training_set(data, drawn=False)
    assert drawn.pictures.shape == (4, 1, 8, 8)
    assert drawn.pictures[0].max() == 0  # white paper
    assert drawn.pictures[2].min() == 255  # black all over
    assert photos.pictures.shape == (4, 3, 8, 8)
    assert photos.pictures[1, :, 0, 0].tolist() == [10, 20, 30]


def test_a_drawing_is_cut_around_its_ink_and_a_picture_is_kept_whole():
    assert cropper("ink", 32)(page()).shape == (32, 32, 3)
    wide = Photo.from_pixels("wide", np.full((10, 40, 3), 90, np.uint8))
    assert (cropper("whole", 32)(wide) == 90).all()
    assert cropper("ink", 32)(wide) is None


def test_curves_are_drawn_as_a_picture(tmp_path):
    lines = [{"step": s, "loss": 1 / s, "one_shot_validation": 0.5} for s in (10, 20)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png", "one-shot accuracy")
    picture = cv2.imread(str(file)).astype(int)
    assert picture.shape[1] == 960
    assert (np.ptp(picture, axis=2) > 60).sum() > 100  # coloured lines
