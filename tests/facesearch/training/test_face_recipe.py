"""The recipe for faces: what is learned, what is held, and how a validation is counted."""

import copy
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra train")

import torch
import torch.nn.functional as F  # noqa: N812
from made_up_faces import crops_of_people, untrained_graph

from facesearch.evaluation.protocols import random_open_set_splits
from facesearch.shipped import model_folder
from facesearch.training import face_recipe
from facesearch.training.data import TrainingSet
from facesearch.training.face_network import CODE, start_branch
from facesearch.training.face_recipe import ZERO_COHORT, Face
from facesearch.training.loop import train
from facesearch.training.searches import Searches, open_set_rates
from facesearch.vectors import unit


@pytest.fixture(scope="module", autouse=True)
def _opencv():
    """Let lessons run SFace by OpenCV, which needs no seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_recipe, "engine_for_many", lambda: "opencv")
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Two steps from a made-up start, whose second trunk has learned nothing."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "branch.onnx").write_bytes(untrained_graph())
    (folder / "model.json").write_text("{}")
    return Face(start=str(folder), steps=2, people=4, evaluate_every=2)


@pytest.fixture(scope="module")
def lesson(recipe):
    """A lesson on four people; tests draw batches from it, but do not train."""
    return recipe.lesson(crops_of_people(4, 3))


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    """The outcome of an uninterrupted training on the same people."""
    folder = tmp_path_factory.mktemp("whole")
    return train(crops_of_people(4, 3), crops_of_people(2, 2, 1), recipe, folder)


def without_hold(lesson):
    """Return the lesson with nothing that keeps codes close to the start's."""
    free = copy.copy(lesson)
    free._recipe = replace(lesson._recipe, held=0.0)
    return free


def weights(trained):
    return trained.network.branch.second.embedding.weight


def test_the_second_trunk_learns_and_the_first_does_not(recipe, trained):
    start = start_branch(Path(recipe.start))
    assert (weights(trained) - start.second.embedding.weight).abs().max() > 0
    first = start.first.state_dict()
    for name, tensor in trained.network.branch.first.state_dict().items():
        assert torch.equal(tensor, first[name])


def test_a_batch_names_the_rows_of_its_pictures(lesson):
    data = crops_of_people(4, 3)
    batch = lesson.batch(0)
    plain = data.take(batch.rows.numpy())
    same, mirrored = ((batch.pictures == side).flatten(1).all(1) for side in (plain, plain.flip(3)))
    assert (same | mirrored).all()
    assert (data.classes[batch.rows.numpy()] == batch.classes.flatten().numpy()).all()


def test_codes_are_kept_close_to_those_of_the_start(recipe, lesson):
    batch = lesson.batch(0)
    start = lesson._start[lesson._rows]
    free = without_hold(lesson)
    for codes, gap in ((start, 0), (-start, 2)):
        more = lesson.loss(codes, batch.classes) - free.loss(codes, batch.classes)
        assert more.item() == pytest.approx(gap * recipe.held, rel=1e-3, abs=1e-4)
    assert len(start) == len(batch.pictures) == batch.classes.numel()


def test_codes_are_kept_close_to_the_mean_of_picture_and_mirror_image(recipe):
    data = crops_of_people(2, 2)
    lesson = replace(recipe, start="sface").lesson(data)  # a trunk that tells sides apart
    trunk = start_branch(model_folder("sface")).second.eval()
    pictures = data.take(np.arange(4))
    with torch.no_grad():
        sides = [unit(trunk(side).numpy()) for side in (pictures, pictures.flip(3))]
    expected = unit(sides[0] + sides[1])
    found = lesson._start.numpy()
    assert (found * expected).sum(1).min() > 0.995  # bfloat16
    assert np.abs(unit(sides[0]) - expected).max() > 1e-3


def test_small_sources_are_drawn_as_often_as_large_ones(recipe):
    people = replace(crops_of_people(8, 1), groups=np.array([0] * 6 + [1] * 2))
    episodes = replace(recipe, people=2).lesson(people)._episodes
    drawn = [people.groups[episodes.draw(step).classes[0, 0]] for step in range(200)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.1)


def test_the_lower_half_of_the_second_trunk_stays_frozen(recipe, trained):
    start = start_branch(Path(recipe.start)).second.state_dict()
    changed = {
        name
        for name, tensor in trained.network.branch.second.state_dict().items()
        if not torch.equal(tensor, start[name])
    }
    assert all(name.startswith(("blocks", "end", "embedding")) for name in changed)
    assert {int(name.split(".")[1]) for name in changed if name.startswith("blocks")} == {
        *range(6, 15)
    }


def test_the_classification_loss_reads_both_codes(recipe, lesson):
    """A second code equal for all leaves the first code to classify by."""
    free = without_hold(lesson)
    batch = free.batch(0)
    same = torch.ones(len(free._rows), CODE)
    first = F.normalize(free._first[free._rows])
    templates = F.normalize(torch.cat([first, 47 * same / CODE], 1))
    cosines = F.normalize(templates - free._mean) @ F.normalize(free.centers).T
    right = F.one_hot(batch.classes.flatten(), 4)
    logits = recipe.scale * (cosines - recipe.margin * right)
    expected = -(logits.log_softmax(1) * right).sum(1).mean()
    assert free.loss(same, batch.classes).item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_resumed_training_of_faces_ends_like_an_uninterrupted_one(recipe, trained, tmp_path):
    data, others = crops_of_people(4, 3), crops_of_people(2, 2, 1)

    def stop(progress):
        if progress.step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    half = train(data, others, recipe, tmp_path / "half", watch=stop)
    assert (half.ended, half.step) == ("interrupted", 1)
    again = train(data, others, recipe, tmp_path / "half", resume=True)
    assert torch.equal(weights(trained), weights(again))


def test_the_tpir_agrees_with_searches_done_one_by_one():
    random = np.random.default_rng(0)
    n, photos, dim = 12, 4, 8
    persons = np.repeat(np.arange(n), photos)
    templates = unit(
        2 * random.normal(size=(n, dim)).repeat(photos, 0)
        + random.normal(size=(n * photos, dim))
        + 1
    ).astype(np.float32)
    shares = []
    for split in random_open_set_splits(persons, 10):
        center = templates[split.gallery].sum(0) / (len(split.gallery) + 10)
        gallery = [
            (row - center) / np.linalg.norm(row - center) for row in templates[split.gallery]
        ]

        def best(probe, gallery=gallery, center=center):
            probe = (probe - center) / np.linalg.norm(probe - center)
            scores = [float(probe @ one) for one in gallery]
            return max(scores), int(np.argmax(scores))

        strangers = sorted((best(templates[r])[0] for r in split.probes["non_mated"]), reverse=True)
        threshold = strangers[int(0.01 * len(strangers))]
        found = 0
        for row, owner in zip(split.probes["mated"], split.owners, strict=True):
            score, place = best(templates[row])
            found += place == owner and score > threshold
        shares.append(found / len(split.owners))
    assert 0.2 < np.mean(shares) < 0.98
    cohort = replace(ZERO_COHORT, mean=np.zeros(dim, np.float32))
    found = open_set_rates(Searches(persons * 7, templates, templates), cohort).tpir
    assert found == pytest.approx(np.mean(shares), abs=1e-6)


def test_each_set_of_people_is_validated_separately(lesson, monkeypatch):
    monkeypatch.setattr(face_recipe, "first_codes", lambda encoder, data: data.pictures)
    monkeypatch.setattr(face_recipe, "embed", lambda trunk, data: data.pictures)
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(24), 3)
    codes = random.normal(size=(24, CODE))[people] + random.normal(0, 1.5, (72, CODE))
    codes = torch.from_numpy(codes.astype(np.float32))  # stand in for pictures
    sets = TrainingSet(codes, people, np.repeat([0, 1], 12), drawn=False)
    found = []
    for rows in (np.arange(72), np.arange(36), np.arange(36, 72)):
        fresh = copy.copy(lesson)  # a lesson remembers the first codes of its validation
        found.append(fresh.validate(lesson.network, sets.only(rows)))
    both, *parts = found
    assert both == pytest.approx(np.mean(parts))


def test_a_persons_center_starts_at_the_mean_of_their_photos(recipe, lesson):
    data = crops_of_people(4, 3)
    start = start_branch(Path(recipe.start)).eval()
    with torch.no_grad():
        templates = unit(start(data.take(np.arange(12))).numpy())
    centered = templates - templates.mean(0)
    for person, center in enumerate(lesson.centers.detach().numpy()):
        expected = unit(centered[data.classes == person].sum(0))
        assert center @ expected > 0.98  # bfloat16


def test_training_from_a_model_of_two_codes_starts_with_its_codes(recipe, lesson):
    data = crops_of_people(4, 3)
    start = start_branch(Path(recipe.start)).eval()
    with torch.no_grad():
        expected = start.second(data.take(np.arange(4)))
        found = lesson.network.branch.second.eval()(data.take(np.arange(4)))
    assert torch.equal(found, expected)
