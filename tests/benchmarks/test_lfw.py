"""The arithmetic of benchmarks.lfw and benchmarks.twin, on made-up embeddings."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import dlib_rival, lfw, twin
from facesearch import Model
from facesearch.evaluation.metrics import on_top
from facesearch.evaluation.protocols import random_open_set_splits
from facesearch.head import L1SigmoidHead, rotation_code
from facesearch.openset import fit_strangers
from facesearch.vectors import unit

DIM = 128


@pytest.fixture(scope="module")
def sface():
    return Model.load("sface")


@pytest.fixture(scope="module")
def twin_model(sface):
    """A model whose template is a search code of 64 numbers and one of 64 for the head alone."""
    head = L1SigmoidHead(rotation_code(DIM, 4, 0), np.ones(4 * DIM, np.float32), 3.0, 55.0)
    return replace(sface, search_dim=64, head=head)


def made_up(people, photos, spread, seed=0):
    """Return what is seen of people, unit rows (people * photos, DIM), and whose they are."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), photos)
    middle = rng.normal(size=(people, DIM))[person] + 0.5  # all have something in common
    once, twice = (unit(middle + spread * rng.normal(size=middle.shape)) for _ in range(2))
    return lfw.Looks(once, unit(once + twice), once), person


def test_head_scores_are_the_heads_for_ten_and_nothing_for_the_others(twin_model):
    looks, _ = made_up(120, 1, 0.5)
    probes, people = looks.once[:5], looks.references
    strangers = fit_strangers(people, 120, twin_model.cohort)
    scores = lfw.head_scores(twin_model, strangers, probes, people)
    for probe, row in zip(probes, scores, strict=True):
        cosines = unit(people[:, :64]) @ unit(probe[:64])
        found = np.argsort(-cosines)[:50]  # by the search code; of these, by the whole
        whole = strangers.centered(people[found]) @ strangers.centered(probe)
        nearest = found[np.argsort(-whole)[:10]]
        assert set(np.flatnonzero(np.isfinite(row))) == set(nearest)
        expected = twin_model.head.scores(
            strangers.centered(probe), strangers.centered(people[nearest])
        )
        np.testing.assert_allclose(row[nearest], strangers.standard(expected), atol=2e-4)


def test_the_cosine_sees_only_the_search_code_and_takes_its_own_centre_away(twin_model):
    looks, _ = made_up(40, 1, 0.5)
    once, people = looks.once, looks.references
    # both codes of one length, as a trunk each gives them
    people, once = (
        np.concatenate([unit(x[:, :64]), unit(x[:, 64:])], 1) / np.float32(2**0.5)
        for x in (people, once)
    )
    codes, weight = unit(people[:, :64]), twin_model.cohort.weight
    center = codes.sum(0) + weight * twin_model.cohort.mean[:64] * 2**0.5
    center = center / (40 + weight)
    expected = unit(unit(once[:, :64]) - center) @ unit(codes - center).T
    found = lfw.centred_cosines(twin_model, once, people)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    changed = np.concatenate([once[:, :64], once[::-1, 64:]], 1)
    np.testing.assert_allclose(lfw.centred_cosines(twin_model, changed, people), found, atol=1e-5)


def test_a_model_with_one_code_gets_the_order_of_its_own_centred_cosine(sface):
    looks, person = made_up(60, 4, 1.6)
    (split,) = random_open_set_splits(person, 1)
    people = looks.references[split.gallery]
    strangers = fit_strangers(people, len(people), sface.cohort)
    probes = looks.once[split.probes["mated"]]
    cosines = lfw.centred_cosines(sface, probes, people)
    np.testing.assert_allclose(
        cosines, strangers.centered(probes) @ strangers.centered(people).T, atol=1e-5
    )
    orders = lfw.centred_orders(sface, split, looks)
    expected = on_top(cosines, split.owners)
    assert orders["centred_cosine"].right.tolist() == expected.tolist()
    disagree = orders["centred_head"].right != expected
    assert disagree.mean() < 0.03  # as many as the rotation code's noise makes
    assert 0.3 < orders["centred_cosine"].right.mean() < 1


def test_whom_the_second_code_knows_the_head_finds_and_the_cosine_does_not(twin_model):
    rng = np.random.default_rng(0)
    looks, person = made_up(60, 4, 1.0)
    noise = rng.normal(size=(2, len(person), 64)) / 8
    once, references = looks.once.copy(), looks.references.copy()
    once[:, :64] = 0.3 * once[:, :64] + 0.7 * noise[0]
    references[:, :64] = 0.3 * references[:, :64] + 0.7 * noise[1]
    (split,) = random_open_set_splits(person, 1)
    orders = lfw.centred_orders(twin_model, split, lfw.Looks(unit(once), unit(references), once))
    assert orders["centred_head"].right.mean() > orders["centred_cosine"].right.mean() + 0.1


def test_a_compressed_index_keeps_the_share_of_tpir_that_its_candidates_allow(sface, monkeypatch):
    monkeypatch.setattr(lfw, "FPIRS", {"1": 0.01})
    small = replace(sface, head=L1SigmoidHead(None, np.ones(DIM, np.float32), 3.0, 9.0))
    looks, person = made_up(1300, 2, 1.0)
    (split,) = random_open_set_splits(person, 1)
    exact_candidates = lfw.find_candidates

    def without_the_right_one(probes, model, index, strangers, enrolled):
        """Lose the right person of every fourth search where the index is "fp16"."""
        found = exact_candidates(probes, model, index, strangers, enrolled)
        if index.kind == "fp16" and len(probes) == len(split.owners):
            for row in range(0, len(found), 4):
                found[row].pop(int(split.owners[row]), None)
        return found

    monkeypatch.setattr(lfw, "find_candidates", without_the_right_one)
    answers, _ = lfw.identification(small, split, looks)
    drawn, _ = lfw.open_set_figures([split], {name: [its] for name, its in answers.items()})
    assert drawn["head"]["tpir_at_fpir_1pct"][0] > 0.8
    assert lfw.share_kept(drawn["pq"], drawn["head"]) == pytest.approx(1, abs=0.01)
    assert lfw.share_kept(drawn["fp16"], drawn["head"]) == pytest.approx(0.75, abs=0.05)


def test_gains_are_differences_of_the_same_drawings():
    ours = {"rank1": np.array([0.9, 0.8, 0.7]), "tpir_at_fpir_1pct": np.array([0.5, 0.5, 0.5])}
    theirs = {"rank1": np.array([0.8, 0.7, 0.6]), "tpir_at_fpir_1pct": np.array([0.4, 0.5, 0.6])}
    figures = lfw.gains("gain", ours, theirs)
    assert figures["gain_rank1"] == pytest.approx(0.1)
    assert figures["gain_rank1_low"] == pytest.approx(figures["gain_rank1_high"])
    assert figures["gain_tpir_1pct"] == pytest.approx(0.1)
    assert figures["gain_tpir_1pct_low"] == pytest.approx(-0.1, abs=0.01)


def test_embeddings_are_kept_for_the_very_rows_they_were_made_of():
    rows = [{"shard": "a", "offset": "0"}, {"shard": "a", "offset": "9"}]
    kept = {lfw.cache_file(some, "lfw", "abc") for some in (rows, rows[:1], rows[::-1])}
    assert len(kept) == 3
    assert lfw.cache_file([dict(row) for row in rows], "lfw", "abc") in kept


def test_neighbours_are_two_people_at_most_two_numbers_apart():
    rng = np.random.default_rng(0)
    templates = rng.normal(size=(301, DIM))
    # 45,149 pairs of two people, of which five are above a threshold of 0.01 %: these, more or less
    near = [(100, 103, 0.1), (200, 290, 0.1), (10, 11, 0.2), (70, 69, 0.3), (50, 52, 0.6)]
    for one, other, noise in near:
        templates[one] = templates[other] + noise * rng.normal(size=DIM)
    templates[300] = templates[299]  # two photos of the last person, which make no pair
    people = SimpleNamespace(person=np.append(np.arange(300), 299))
    assert twin.neighbours_fmr(people, unit(templates)) == 3 / (300 + 299)


def test_dlib_sees_the_eyes_where_it_expects_them():
    points = np.hstack([dlib_rival.EYES, [[1], [1]]]) @ dlib_rival.from_crop().T
    np.testing.assert_allclose(points, dlib_rival.EYES_OF_DLIB)
    crop = np.zeros((1, 112, 112, 3), np.uint8)
    crop[0, 48:56, 34:43] = 255  # around the left eye of the picture
    (chip,) = dlib_rival.chips(crop)
    assert chip.shape == (150, 150, 3)
    assert (chip[47, 48] == 255).all()
    assert (chip[47, 100] == 0).all()


def test_dlib_scores_are_squared_distances_below_zero():
    a, b = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    expected = [[-((x - y) ** 2).sum() for y in b] for x in a]
    np.testing.assert_allclose(dlib_rival.scores(a, b), expected, rtol=1e-5)
