from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from facesearch.head import L1SigmoidHead
from facesearch.openset import (
    Cohort,
    Evidence,
    Strangers,
    assign,
    fit_strangers,
    posterior,
)
from facesearch.vectors import unit

COHORT = Cohort(np.full(32, 0.02, np.float32), 0.0, 0.2, weight=10.0, probe_length=0.97)
EVIDENCE = Evidence(offset=-6.0, slope=2.5, bend=0.15, low=-3.0, high=9.0)


def crowd(n: int, seed: int = 0) -> np.ndarray:
    """Unit rows that share a direction, as faces of strangers do."""
    return unit(np.random.default_rng(seed).normal(0.25, 1, (n, 32)).astype(np.float32))


# How strangers score


def two_codes(n: int) -> np.ndarray:
    """Unit rows of two codes side by side, each of a crowd, the second of weight 0.4."""
    first, second = (unit(crowd(n, seed)[:, :16]) for seed in (1, 2))
    return unit(np.concatenate([first, 0.4 * second], axis=1))


@pytest.mark.parametrize("people", [crowd(25), two_codes(25)], ids=["one code", "two codes"])
def test_the_fit_equals_taking_each_person_out_and_searching_for_them(people):
    scores = []
    for i in range(len(people)):
        others = np.delete(people, i, axis=0)
        center = (others.sum(0) + 10 * COHORT.mean) / (24 + 10)
        probe = unit(0.97 * people[i] - center)
        scores += (unit(others - center) @ probe).tolist()
    trust = 25 / 35
    fit = fit_strangers(people, 25, COHORT)
    assert fit.score_mean == pytest.approx(trust * np.mean(scores), abs=1e-5)
    variance = trust * np.var(scores) + (1 - trust) * 0.2**2
    assert fit.score_std == pytest.approx(np.sqrt(variance), rel=1e-4)
    assert fit.center == pytest.approx((people.sum(0) + 10 * COHORT.mean) / 35, abs=1e-6)


TRAINED = L1SigmoidHead(  # an order of its own: some directions count more than others
    projection=None,
    weights=np.linspace(0, 2, 32, dtype=np.float32),
    bias=2.0,
    unit_distance=4.0,
    exponent=1.5,
    follows_cosine=False,
)


def test_the_fit_for_a_trained_head_equals_searching_for_each_person_with_it():
    people = crowd(25)
    scores = [
        float(TRAINED.scores(people[i], people[j][None])[0])
        for i in range(25)
        for j in range(25)
        if i != j
    ]
    fit = fit_strangers(people, 25, COHORT, TRAINED)
    trust = 25 / 35
    assert fit.score_mean == pytest.approx(trust * np.mean(scores), abs=1e-5)
    variance = trust * np.var(scores) + (1 - trust) * 0.2**2
    assert fit.score_std == pytest.approx(np.sqrt(variance), rel=1e-4)


def test_a_trained_head_gets_uncentered_templates():
    people = crowd(25)
    fit = fit_strangers(people, 25, COHORT, TRAINED)
    assert fit.centered(people) == pytest.approx(people, abs=1e-6)
    nobody = fit_strangers(people[:0], 0, COHORT, TRAINED)
    assert nobody.centered(people) == pytest.approx(people, abs=1e-6)


def test_a_head_that_follows_the_cosine_is_fitted_by_cosines():
    people = crowd(25)
    follower = replace(TRAINED, follows_cosine=True)
    by_head, plain = fit_strangers(people, 25, COHORT, follower), fit_strangers(people, 25, COHORT)
    assert (by_head.score_mean, by_head.score_std) == (plain.score_mean, plain.score_std)
    assert by_head.center.tolist() == plain.center.tolist()


def test_a_trained_head_compares_only_a_sample_of_a_large_gallery():
    compared = []

    class Counting:
        follows_cosine = False

        def pair_scores(self, probes, references):
            compared.append((len(probes), len(references)))
            return TRAINED.pair_scores(probes, references)

    large, part = crowd(3000), crowd(3000)[::10]
    fit = fit_strangers(large, 3000, COHORT, Counting())
    assert compared == [(200, 1000)]
    assert fit.score_mean == pytest.approx(
        fit_strangers(part, 300, COHORT, TRAINED).score_mean, abs=0.02
    )


@pytest.mark.parametrize("skew", [-0.2, 0.1, 0.2])
def test_skewed_scores_are_made_normal(skew):
    """Normal scores skewed after Cornish and Fisher (1938) become normal again."""
    normal = np.linspace(-3.5, 3.5, 29)
    way = skew / 6 * (normal**2 - 1) - skew**2 / 36 * (2 * normal**3 - 5 * normal)
    strangers = Strangers(100, np.zeros(2, np.float32), 0.3, 0.1, skew)
    found = strangers.standard(0.3 + 0.1 * (normal + way))
    np.testing.assert_allclose(found, normal, atol=0.08)


def test_a_small_gallery_uses_the_cohorts_skewness():
    rng = np.random.default_rng(7)
    people = unit(rng.normal(size=(2000, 64)))  # whose scores are not skewed
    cohort = Cohort(np.zeros(64, np.float32), 0.0, 0.12, 10.0, 1.0, score_skew=0.1)
    skews = [fit_strangers(people[:n], n, cohort).score_skew for n in (0, 1, 30, 300, 2000)]
    assert skews[:2] == pytest.approx([0.1, 0.1], abs=2e-3)
    assert skews[2] == pytest.approx(0.1 * 100 / 130, abs=0.03)
    assert skews[3] == pytest.approx(0.1 * 100 / 400, abs=0.02)
    assert skews[4] == pytest.approx(0.0, abs=0.02)
    unknown = Cohort(np.zeros(64, np.float32), 0.0, 0.12, 10.0, 1.0)
    assert fit_strangers(people[:0], 0, unknown).score_skew == 0


@pytest.mark.parametrize("skewed", [False, True], ids=["normal scores", "skewed scores"])
def test_strangers_get_a_name_as_often_as_the_fpir_says(skewed):
    rng = np.random.default_rng(1)
    # skewed features make pairs skewed: their skewness is that of the features squared / sqrt(400)
    rows = rng.gamma(3.3, size=(8000, 400)) if skewed else rng.normal(0.1, 1, (8000, 400))
    rows = rows.astype(np.float32)
    people, strangers = unit(rows[:1500]), unit(rows[1500:])
    cohort = Cohort(np.zeros(400, np.float32), 0.0, 0.05, 10.0, probe_length=1.0)
    fit = fit_strangers(people, 1500, cohort)
    z = fit.standard(fit.centered(strangers) @ fit.centered(people).T).max(1)
    for asked in (0.01, 0.05):
        assert asked / 1.6 < (z >= fit.threshold(asked)).mean() < asked * 1.6


def test_one_person_under_two_names_does_not_spoil_the_fit():
    people = unit(np.random.default_rng(5).normal(size=(40, 128)).astype(np.float32))
    again = unit(people[:4] + 0.05 * np.random.default_rng(6).normal(size=(4, 128)))
    cohort = Cohort(np.zeros(128, np.float32), 0.0, 0.09, 10.0, 1.0)
    doubled = fit_strangers(np.concatenate([people, again]), 44, cohort)
    assert doubled.score_std == pytest.approx(fit_strangers(people, 40, cohort).score_std, rel=0.03)


@pytest.mark.parametrize("n", [0, 1], ids=["nobody", "one person"])
def test_a_very_small_gallery_relies_on_the_models_cohort(n):
    fit = fit_strangers(crowd(n).reshape(n, 32), n, COHORT)
    assert (fit.score_mean, fit.score_std, fit.people) == (0.0, 0.2, n)


@given(st.floats(0.0001, 0.4), st.integers(1, 10**6))
def test_the_threshold_rises_with_the_gallery_and_falls_with_the_rate_deepface_1523(fpir, people):
    def threshold(n, rate):
        return Strangers(n, np.zeros(1, "f4"), 0.0, 1.0).threshold(rate)

    assert threshold(2 * people, fpir) > threshold(people, fpir)
    assert threshold(people, 2 * fpir) < threshold(people, fpir)


@pytest.mark.parametrize("fpir", [0, 1, -0.1, float("nan")], ids=str)
def test_a_rate_outside_zero_and_one_is_refused(fpir):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Strangers(5, np.zeros(1, "f4"), 0.0, 1.0).threshold(fpir)


# Evidence and probability


@given(st.floats(-20, 20), st.floats(0.01, 5))
def test_a_higher_score_is_never_less_evidence(z, more):
    low, high = EVIDENCE.llr(np.array([z, z + more], np.float32))
    assert high > low


def test_a_pair_that_was_not_compared_has_no_evidence():
    assert EVIDENCE.llr(np.array([-np.inf], np.float32))[0] == -np.inf


def test_the_posterior_is_bayes_rule_by_hand():
    llrs = np.log(np.array([8.0, 2.0], np.float32))
    probabilities, unknown = posterior(llrs, people=2, prior=0.5)
    total = 0.25 * 8 + 0.25 * 2 + 0.5  # each person's share of the prior is a quarter
    assert probabilities.tolist() == pytest.approx([2 / total, 0.5 / total])
    assert unknown == pytest.approx(0.5 / total)


def test_people_who_are_not_candidates_count_as_the_weakest_candidate():
    few, _ = posterior(np.array([3.0, -2.0], np.float32), people=2, prior=0.5)
    all_shown, _ = posterior(np.array([3.0] + [-2.0] * 9, np.float32), people=10, prior=0.5)
    shown, unknown = posterior(np.array([3.0, -2.0], np.float32), people=10, prior=0.5)
    assert shown[0] == pytest.approx(all_shown[0])
    assert shown[0] < few[0]
    assert shown.sum() + unknown < 1


@given(st.floats(-5, 20), st.integers(2, 10**5))
def test_the_more_people_are_enrolled_the_less_certain_a_name_is_compreface_117(llr, people):
    def probability(n):
        return posterior(np.array([llr], np.float32), n, 0.5)[0][0]

    assert probability(2 * people) <= probability(people)


@given(arrays(np.float32, 5, elements=st.floats(-30, 60, width=32)))
def test_probabilities_are_shares_and_keep_the_order(llrs):
    probabilities, unknown = posterior(llrs, 5, 0.5)
    assert probabilities.sum() + unknown == pytest.approx(1, abs=1e-5)
    assert (np.diff(probabilities[np.argsort(llrs)]) >= 0).all()


def test_in_an_empty_gallery_a_face_is_certainly_unknown():
    assert posterior(np.zeros(0, np.float32), 0, 0.5)[1] == 1.0


# Assignment

gains = arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.one_of(st.just(-np.inf), st.integers(-3, 6).map(float)),
)


@given(gains)
def test_the_assignment_has_the_largest_total_gain(gain):
    columns = assign(gain)
    taken = [c for c in columns if c >= 0]
    assert len(taken) == len(set(taken))
    assert all(gain[row, c] > 0 for row, c in enumerate(columns) if c >= 0)
    total = sum(gain[row, c] for row, c in enumerate(columns) if c >= 0)
    # the oracle: scipy, with a column of no gain for each row
    padded = np.hstack([np.where(np.isfinite(gain), gain, -1e6), np.zeros((len(gain), len(gain)))])
    best = linear_sum_assignment(padded, maximize=True)
    assert total == pytest.approx(padded[best].sum())


def test_a_face_is_assigned_at_any_gain_and_at_no_loss():
    assert assign(np.array([[-0.5], [0.001], [0.0]])).tolist() == [-1, 0, -1]


def test_if_two_faces_match_one_person_the_better_gets_the_name_immich_12921():
    assert assign(np.array([[5.0, -np.inf], [9.0, -np.inf]])).tolist() == [-1, 0]


def test_a_face_with_a_second_choice_gives_way():
    assert assign(np.array([[5.0, 4.0], [5.0, -np.inf]])).tolist() == [1, 0]
