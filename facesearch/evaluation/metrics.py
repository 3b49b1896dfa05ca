"""Rates of ISO/IEC 19795-1, in pure numpy on scores; higher scores are more alike.

Who is in the denominator stands in each docstring. An empty denominator is a ValueError, never 0.
"""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
Ids = NDArray[np.integer]


def _need(count: int, what: str) -> None:
    if count == 0:
        raise ValueError(f"a rate over no {what} has no value")


def rank_1_rate(scores: Scores, owners: Ids) -> float:
    """Return the share of all mated searches whose person is on top, whatever the score.

    `scores` (searches, people), `owners` (searches,) the right column of each. Of people with
    equal scores the right one counts last, so that a tie at the top is an error.
    """
    _need(len(scores), "mated searches")
    return float(_on_top(scores, owners).mean())


def tpir(scores: Scores, owners: Ids, threshold: float) -> float:
    """Return the share of all mated searches whose person is on top and above `threshold`.

    1 - FNIR at rank 1. A score at the threshold does not count; ties as in `rank_1_rate`.
    """
    _need(len(scores), "mated searches")
    return float((_on_top(scores, owners) & (scores.max(1) > threshold)).mean())


def fpir(scores: Scores, threshold: float) -> float:
    """Return the share of non-mated searches with anybody at or above `threshold`."""
    _need(len(scores), "non-mated searches")
    return float((scores.max(1) >= threshold).mean())


def threshold_at(rate: float, scores: Scores) -> float:
    """Return the threshold that at most a share `rate` of non-mated searches exceeds.

    `scores` (searches, people): with the n top scores in falling order, the one at place
    floor(rate * n), counted from 0. What lies strictly above it is accepted.
    """
    _need(len(scores), "non-mated searches")
    top = np.sort(scores.max(1))[::-1]
    return float(top[min(int(np.floor(rate * len(top))), len(top) - 1)])


def expected_calibration_error(
    probabilities: Scores, outcomes: NDArray[np.bool_], weights: Scores, bins: int = 15
) -> float:
    """Return the weighted mean gap between stated probability and share that came true.

    `probabilities` (n,) in [0, 1], `outcomes` (n,), `weights` (n,); equal-width bins, after Guo
    et al. (2017), equation 3. 0 is perfect.
    """
    _need(len(probabilities), "probabilities")
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    stated = np.bincount(place, weights * probabilities, bins)
    true = np.bincount(place, weights * outcomes, bins)
    return float(np.abs(stated - true).sum() / weights.sum())


def _on_top(scores: Scores, owners: Ids) -> NDArray[np.bool_]:
    right = scores[np.arange(len(scores)), owners]
    at_least = (scores >= right[:, None]).sum(1)  # the right one itself, and its ties
    return np.asarray((at_least == 1) & np.isfinite(right))
