import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facesearch.evaluation.metrics import (
    auc,
    best_accuracy,
    eer,
    expected_calibration_error,
    fpir,
    rank_1_rate,
    roc,
    tar_at_far,
    threshold_at,
    tpir,
)

MATED = np.array([[0.9, 0.2, 0.1], [0.3, 0.5, 0.4], [0.6, 0.1, 0.2], [0.7, 0.1, 0.7]])
OWNERS = np.array([0, 2, 0, 2])
table = arrays(np.float64, (12, 4), elements=st.floats(0, 1))


def test_rates_of_a_small_table_agree_with_values_counted_by_hand():
    # right on top: search 0 and 2; search 1 is wrong; search 3 is a tie, which is an error
    assert rank_1_rate(MATED, OWNERS) == 0.5
    assert tpir(MATED, OWNERS, 0.6) == 0.25  # 0.6 itself is not above
    assert fpir(MATED, 0.6) == 0.75  # but a stranger at the threshold counts


def test_the_threshold_for_a_rate_is_the_score_at_that_place():
    scores = np.arange(10)[:, None] / 10
    assert threshold_at(0.2, scores) == 0.7
    assert (scores.max(1) > threshold_at(0.2, scores)).mean() == 0.2
    assert threshold_at(1.0, scores) == 0.0


@given(table, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_raises_fpir_or_tpir(scores, a, b):
    low, high = sorted([a, b])
    owners = np.arange(12) % 4
    assert fpir(scores, high) <= fpir(scores, low)
    assert tpir(scores, owners, high) <= tpir(scores, owners, low)
    assert tpir(scores, owners, low) <= rank_1_rate(scores, owners)


def test_calibration_error_is_the_gap_between_stated_probability_and_true_share():
    said = np.array([0.9] * 10 + [0.1] * 10)
    true = np.array([True] * 6 + [False] * 4 + [True] * 1 + [False] * 9)
    assert expected_calibration_error(said, true, np.ones(20)) == pytest.approx(0.15)
    only_second = np.repeat([0.0, 1.0], 10)
    assert expected_calibration_error(said, true, only_second) == pytest.approx(0, abs=1e-9)
    assert expected_calibration_error(np.ones(3), np.ones(3, bool), np.ones(3)) == 0


@pytest.mark.parametrize(
    "rate",
    [
        lambda: rank_1_rate(np.zeros((0, 2)), np.zeros(0, int)),
        lambda: fpir(np.zeros((0, 2)), 0.5),
        lambda: threshold_at(0.1, np.zeros((0, 2))),
    ],
    ids=["rank 1", "fpir", "threshold"],
)
def test_a_rate_over_nothing_is_refused(rate):
    with pytest.raises(ValueError, match="has no value"):
        rate()


# ---- pairs: (score, mated), few different scores so that ties are common
pairs = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 2.0]), st.booleans()), min_size=2, max_size=30
).filter(lambda some: len({mated for _, mated in some}) == 2)


def arrays_of(some):
    scores, mated = zip(*some, strict=True)
    return np.array(scores), np.array(mated)


def rates_at(some, threshold):
    """Return FAR and TAR by counting: what is at the threshold is accepted."""
    accepted = [mated for score, mated in some if score >= threshold]
    n_mated = sum(mated for _, mated in some)
    tar = sum(accepted) / n_mated
    return (len(accepted) - sum(accepted)) / (len(some) - n_mated), tar


def thresholds_of(some):
    return [np.inf, *sorted({score for score, _ in some}, reverse=True)]


@given(pairs)
def test_the_roc_agrees_with_counting_at_each_threshold(some):
    curve = roc(*arrays_of(some))
    assert curve.thresholds.tolist() == thresholds_of(some)
    far, tar = zip(*(rates_at(some, t) for t in thresholds_of(some)), strict=True)
    assert curve.far == pytest.approx(far)
    assert curve.tar == pytest.approx(tar)


@given(pairs)
def test_the_auc_is_the_share_of_comparisons_that_the_mated_pair_wins(some):
    wins = [
        (a > b) + (a == b) / 2
        for a, a_mated in some
        for b, b_mated in some
        if a_mated and not b_mated
    ]
    assert auc(*arrays_of(some)) == pytest.approx(sum(wins) / len(wins))


@given(pairs, st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_tar_at_far_is_the_best_among_thresholds_with_at_most_that_far(some, far):
    kept = [tar for f, tar in (rates_at(some, t) for t in thresholds_of(some)) if f <= far]
    assert tar_at_far(*arrays_of(some), far) == pytest.approx(max(kept))


@given(pairs)
def test_the_best_accuracy_is_the_best_among_all_thresholds(some):
    shares = [np.mean([(s >= t) == mated for s, mated in some]) for t in thresholds_of(some)]
    assert best_accuracy(*arrays_of(some)) == pytest.approx(max(shares))


@given(pairs)
def test_the_equal_error_rate_is_where_interpolated_far_and_frr_cross(some):
    # by bisection along the polygon of (FAR, FRR), whose difference rises from -1 to 1
    points = np.array([(f, 1 - tar) for f, tar in (rates_at(some, t) for t in thresholds_of(some))])
    low, high = 0.0, len(points) - 1.0
    place = np.arange(len(points))
    for _ in range(60):
        middle = (low + high) / 2
        far, frr = (np.interp(middle, place, points[:, i]) for i in (0, 1))
        low, high = (middle, high) if far < frr else (low, middle)
    assert eer(*arrays_of(some)) == pytest.approx(far, abs=1e-6)


@given(pairs)
def test_rates_of_pairs_do_not_depend_on_the_order(some):
    for rate in (auc, eer, best_accuracy):
        assert rate(*arrays_of(some[::-1])) == pytest.approx(rate(*arrays_of(some)))


def test_rates_of_four_pairs_agree_with_values_counted_by_hand():
    scores, mated = np.array([0.9, 0.6, 0.6, 0.1]), np.array([True, True, False, False])
    assert auc(scores, mated) == 0.875  # of four comparisons three are won, one is a tie
    assert tar_at_far(scores, mated, 0.4) == 0.5
    assert tar_at_far(scores, mated, 0.5) == 1.0
    assert best_accuracy(scores, mated) == 0.75
    assert eer(scores, mated) == 0.25  # half way from (0, 0.5) to (0.5, 0)


@pytest.mark.parametrize("rate", [roc, auc, eer, best_accuracy], ids=lambda rate: rate.__name__)
@pytest.mark.parametrize(
    ("mated", "what"),
    [([], "mated"), ([True, True], "non-mated"), ([False, False], "mated")],
    ids=["none", "no non-mated", "no mated"],
)
def test_a_rate_over_pairs_of_one_kind_is_refused(rate, mated, what):
    with pytest.raises(ValueError, match=f"no {what} pairs has no value"):
        rate(np.zeros(len(mated)), np.array(mated, bool))


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        auc(np.array([0.5, np.nan]), np.array([True, False]))
