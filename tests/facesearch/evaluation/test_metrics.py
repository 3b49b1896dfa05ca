import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facesearch.evaluation.metrics import (
    expected_calibration_error,
    fpir,
    rank_1_rate,
    threshold_at,
    tpir,
)

MATED = np.array([[0.9, 0.2, 0.1], [0.3, 0.5, 0.4], [0.6, 0.1, 0.2], [0.7, 0.1, 0.7]])
OWNERS = np.array([0, 2, 0, 2])
table = arrays(np.float64, (12, 4), elements=st.floats(0, 1))


def test_rates_of_a_table_that_can_be_counted_by_eye():
    # right on top: search 0 and 2; search 1 is wrong; search 3 is a tie, which is an error
    assert rank_1_rate(MATED, OWNERS) == 0.5
    assert tpir(MATED, OWNERS, 0.6) == 0.25  # 0.6 itself is not above
    assert fpir(MATED, 0.6) == 0.75  # but a stranger at the threshold counts


def test_the_threshold_for_a_rate_is_the_score_at_its_place():
    scores = np.arange(10)[:, None] / 10
    assert threshold_at(0.2, scores) == 0.7
    assert (scores.max(1) > threshold_at(0.2, scores)).mean() == 0.2
    assert threshold_at(1.0, scores) == 0.0


@given(table, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_names_more(scores, a, b):
    low, high = sorted([a, b])
    owners = np.arange(12) % 4
    assert fpir(scores, high) <= fpir(scores, low)
    assert tpir(scores, owners, high) <= tpir(scores, owners, low)
    assert tpir(scores, owners, low) <= rank_1_rate(scores, owners)


def test_calibration_error_is_the_gap_between_said_and_true():
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
