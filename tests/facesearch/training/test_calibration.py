import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("scipy", reason="scipy, which fits the calibration, is not installed")

from scipy.optimize import minimize

from facesearch.errors import TrainingError
from facesearch.evaluation.metrics import expected_calibration_error
from facesearch.head import L1SigmoidHead, rotation_code
from facesearch.training.calibration import (
    calibrate,
    fit_cohort,
    fit_pairs,
    logistic,
    prior_evidence,
    trained_head_cohort,
)
from facesearch.training.figures import report
from facesearch.training.searches import Searches, natural_pairs
from facesearch.vectors import unit

DIM = 24
# As if trained: its weights stress some directions, and nothing says that its logit is right.
HEAD = L1SigmoidHead(
    projection=rotation_code(DIM, 4, seed=1),
    weights=np.linspace(0.05, 0.6, 4 * DIM, dtype=np.float32),
    bias=10.0,
    unit_distance=1.0,
    follows_cosine=False,
)


def made(n_people: int, pictures: int, seed: int, spread: float = 0.55, centers: int = 6):
    """Return people (n,), templates (n, DIM) and groups (n,): people lie around `centers`."""
    rng = np.random.default_rng(seed)
    group = rng.integers(centers, size=n_people)
    around = np.random.default_rng(0).normal(0, 0.6, (centers, DIM))
    person = around[group] + rng.normal(size=(n_people, DIM))
    people = np.repeat(np.arange(n_people), pictures)
    templates = person[people] + spread * rng.normal(size=(len(people), DIM))
    return people, unit(templates.astype(np.float32)), group[people]


@pytest.fixture(scope="module")
def calibrated():
    """HEAD and the calibration, fitted to 200 people."""
    people, templates, groups = made(200, 6, seed=8)
    return calibrate(HEAD, people, templates, groups)


# Pairs


def test_the_logistic_regression_agrees_with_scipys_minimum():
    rng = np.random.default_rng(0)
    mated = rng.random(300) < 0.2
    features = np.stack([np.ones(300), rng.normal(mated * 1.5, 1)], 1)
    towards = np.array([0.0, 1.0])

    def loss(weights, strength):
        bits = np.logaddexp(0, np.where(mated, -1, 1) * (features @ weights))
        way = weights - towards
        return bits[mated].mean() / 2 + bits[~mated].mean() / 2 + strength / 2 * way @ way

    for strength in (0.0, 0.3):
        best = minimize(loss, np.zeros(2), args=(strength,)).x
        assert logistic(features, mated, towards, strength) == pytest.approx(best, abs=1e-4)


def test_half_of_the_non_mated_pairs_are_within_a_group():
    people, templates, groups = made(60, 3, seed=1)
    pairs, mated = natural_pairs(Searches(people, templates, templates), groups)
    first, second = people[pairs[:, 0]], people[pairs[:, 1]]
    assert ((first == second) == mated).all()
    assert (pairs[:, 0] != pairs[:, 1]).all()
    near = (groups[pairs[:, 0]] == groups[pairs[:, 1]])[~mated]
    assert 0.5 < near.mean() < 0.65  # a sixth of the other half is of one group by chance


def test_a_wrongly_scaled_and_shifted_logit_gives_the_same_evidence():
    people, templates, groups = made(200, 4, seed=2, spread=0.9)
    searches = Searches(people, templates, templates)
    pairs, mated = natural_pairs(searches, groups)
    right = fit_pairs(HEAD, searches, pairs, mated)
    off = replace(HEAD, weights=2 * HEAD.weights, bias=2 * HEAD.bias - 3)
    again = fit_pairs(off, searches, pairs, mated)
    assert again.llr(templates[0], templates[:50]) == pytest.approx(
        right.llr(templates[0], templates[:50]), rel=0.03, abs=0.2
    )


def test_pair_probabilities_hold_for_people_not_fitted_to(calibrated):
    head, _ = calibrated
    people, templates, groups = made(200, 4, seed=4)
    pairs, mated = natural_pairs(Searches(people, templates, templates), groups)
    llrs = np.array([head.llr(templates[a], templates[b][None])[0] for a, b in pairs[::7]])
    mated = mated[::7]
    weights = np.where(mated, 0.5 / mated.sum(), 0.5 / (~mated).sum())
    assert expected_calibration_error(1 / (1 + np.exp(-llrs)), mated, weights) < 0.02


@pytest.mark.parametrize("scale", [0.001, 1, 100], ids=["timid", "as trained", "far too sure"])
def test_a_head_that_makes_no_errors_does_not_become_infinitely_certain(scale):
    people, templates, groups = made(8, 5, seed=5, spread=0.02)
    searches = Searches(people, templates, templates)
    pairs, mated = natural_pairs(searches, groups)
    trained = replace(HEAD, weights=scale * HEAD.weights, bias=scale * HEAD.bias)
    head = fit_pairs(trained, searches, pairs, mated)
    assert np.abs(head.llr(templates[0], templates)).max() < max(25, 1.5 * scale * 10)


def test_a_head_that_learned_the_reverse_order_keeps_it():
    people, templates, groups = made(60, 3, seed=6)
    searches = Searches(people, templates, templates)
    wrong = replace(HEAD, weights=-HEAD.weights, bias=-10.0)
    head = fit_pairs(wrong, searches, *natural_pairs(searches, groups))
    assert np.argsort(head.llr(templates[0], templates)).tolist() == (
        np.argsort(wrong.llr(templates[0], templates)).tolist()
    )


# Searches


def test_simulated_searches_score_by_the_head_and_never_probe_with_a_reference():
    people, templates, _ = made(50, 3, seed=7)
    head = replace(HEAD, unit_distance=5.0, exponent=1.3)
    searches = Searches(people, templates, templates, head)
    simulated = searches.simulate(20, 0, trained_head_cohort(searches))
    strangers, mated, owners = simulated.strangers, simulated.mated, simulated.owners
    non_mated = simulated.non_mated
    assert (mated.shape, non_mated.shape) == ((2 * 20, 20), (3 * 30, 20))
    assert owners.tolist() == np.repeat(np.arange(20), 2).tolist()
    itself = strangers.standard(np.ones(1, np.float32))[0]
    assert max(mated.max(), non_mated.max()) < itself - 0.1
    # the same by hand, for the first person of the gallery
    rng = np.random.default_rng(0)
    rows = rng.permutation(searches.rows[rng.permutation(list(searches.rows))[0]])
    by_hand = head.scores(templates[rows[1]], templates[rows[:1]])
    assert mated[0, 0] == pytest.approx(strangers.standard(by_hand)[0], abs=1e-3)


def test_a_model_whose_head_follows_the_cosine_is_searched_by_cosine():
    people, templates, _ = made(50, 3, seed=7)
    searches = Searches(people, templates, templates)
    cohort = fit_cohort(searches)
    simulated = searches.simulate(20, 0, cohort)
    strangers, mated = simulated.strangers, simulated.mated
    rng = np.random.default_rng(0)
    order = rng.permutation(list(searches.rows))[:20]
    rows = [rng.permutation(searches.rows[person]) for person in order]
    references = strangers.centered(templates[[r[0] for r in rows]])
    cosines = references @ strangers.centered(templates[rows[0][1]])
    assert mated[0] == pytest.approx(strangers.standard(cosines), abs=1e-4)


def test_strangers_are_named_as_often_as_asked_and_probabilities_are_calibrated(calibrated):
    head, calibration = calibrated
    assert calibration.note is None
    people, templates, _ = made(250, 4, seed=9)
    searches = Searches(people, templates, templates, head)
    figures = report(searches, calibration.cohort, calibration.evidence)
    for size in (20, 100):
        assert figures[f"ece_n{size}"] < 0.03
        for asked in (0.01, 0.05):
            assert asked / 2 < figures[f"fpir_asked_{asked}_n{size}"] < asked * 2


def test_the_manifest_holds_the_whole_calibration(calibrated):
    _, calibration = calibrated
    stored = calibration.manifest()
    assert stored["evidence"]["slope"] == calibration.evidence.slope
    assert stored["made_from"] == "200 classes, 1200 pictures"
    assert stored["cohort"]["mean"] == [0.0] * DIM
    assert "note" not in stored


# Few people


@pytest.mark.parametrize(
    ("n_people", "pictures"), [(2, 1), (2, 2), (3, 1), (8, 4), (39, 2), (60, 1)], ids=str
)
def test_few_people_give_the_prior_evidence_and_a_note(n_people, pictures):
    people, templates, groups = made(n_people, pictures, seed=11)
    head, calibration = calibrate(HEAD, people, templates, groups)
    assert "the usual shape is used" in calibration.manifest()["note"]
    evidence = calibration.evidence
    z = np.linspace(-5, 8, 50, dtype=np.float32)
    assert (np.diff(evidence.llr(z)) > 0).all()
    assert evidence.llr(z).max() < 20
    assert all(
        math.isfinite(x)
        for x in (head.bias, head.unit_distance, calibration.cohort.score_mean, evidence.offset)
    )
    assert 0.01 < calibration.cohort.score_std < 1


def test_few_people_calibrate_roughly_as_well_as_many():
    people, templates, groups = made(8, 6, seed=12)
    head, calibration = calibrate(HEAD, people, templates, groups)
    people, templates, _ = made(80, 6, seed=13)
    searches = Searches(people, templates, templates, head)
    figures = report(searches, calibration.cohort, calibration.evidence)
    assert figures["ece_n20"] < 0.1
    assert 0.01 / 5 < figures["fpir_asked_0.01_n20"] < 0.01 * 5


def test_the_prior_evidence_is_that_of_two_normal_distributions_a_gap_apart():
    people, templates, _ = made(30, 4, seed=14)
    searches = Searches(people, templates, templates, replace(HEAD, unit_distance=5.0))
    evidence = prior_evidence(searches, trained_head_cohort(searches))
    gap = evidence.slope
    for z in (0.0, 1.0, gap):
        ratio = (-((z - gap) ** 2) + z**2) / 2
        assert evidence.llr(np.array([z], np.float32))[0] == pytest.approx(ratio, abs=1e-3)


def test_one_class_cannot_calibrate_a_model():
    people, templates, groups = made(1, 5, seed=15)
    with pytest.raises(TrainingError, match="two classes or more, not 1"):
        calibrate(HEAD, people, templates, groups)


def test_the_evidence_rises_with_the_score_between_its_limits(calibrated):
    evidence = calibrated[1].evidence
    z = np.linspace(evidence.low, evidence.high, 20, dtype=np.float32)
    assert (np.diff(evidence.llr(z)) > 0).all()


def test_evidence_stays_finite_if_classes_are_never_confused():
    people, templates, groups = made(60, 4, seed=1, spread=0.1)
    _, calibration = calibrate(HEAD, people, templates, groups)
    evidence = calibration.evidence
    z = np.linspace(evidence.low, evidence.high, 20, dtype=np.float32)
    assert np.abs(evidence.llr(z)).max() < 40
    assert evidence.llr(z)[0] < 0 < evidence.llr(z)[-1]
