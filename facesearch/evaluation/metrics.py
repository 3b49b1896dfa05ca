"""Rates of ISO/IEC 19795-1, in pure numpy on scores; higher scores are more alike.

`fpir`, `tpir` and `rank_1_rate` are rates of searches, one against many. `roc` and what follows
from it are rates of pairs: FAR is the accepted share of the non-mated pairs, TAR that of the mated.
Each docstring names the denominator. An empty denominator raises ValueError, never gives 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
Ids = NDArray[np.integer]


def _need(count: int, what: str) -> None:
    if count == 0:
        raise ValueError(f"a rate over no {what} has no value")


def rank_1_rate(scores: Scores, owners: Ids) -> float:
    """Return the share of all mated searches whose person is on top, whatever the score.

    `scores` (searches, people); `owners` (searches,) are the right columns. Among equal scores the
    right person counts as last, so that a tie at the top is an error.
    """
    _need(len(scores), "mated searches")
    return float(on_top(scores, owners).mean())


def tpir(scores: Scores, owners: Ids, threshold: float) -> float:
    """Return the share of all mated searches whose person is on top and above `threshold`.

    1 - FNIR at rank 1. A score at the threshold does not count; ties as in `rank_1_rate`.
    """
    _need(len(scores), "mated searches")
    return float((on_top(scores, owners) & (scores.max(1) > threshold)).mean())


def fpir(scores: Scores, threshold: float) -> float:
    """Return the share of non-mated searches with any person at or above `threshold`."""
    _need(len(scores), "non-mated searches")
    return float((scores.max(1) >= threshold).mean())


def threshold_at(rate: float, scores: Scores) -> float:
    """Return the threshold that at most a share `rate` of non-mated searches exceeds.

    `scores` (searches, people). Of the n top scores in falling order it is the one at place
    floor(rate * n), counted from 0. Scores strictly above it are accepted.
    """
    _need(len(scores), "non-mated searches")
    top = np.sort(scores.max(1))[::-1]
    return float(top[min(int(np.floor(rate * len(top))), len(top) - 1)])


def expected_calibration_error(
    probabilities: Scores, outcomes: NDArray[np.bool_], weights: Scores, bins: int = 15
) -> float:
    """Return the weighted mean gap between stated probability and true share.

    `probabilities` (n,) in [0, 1], `outcomes` (n,), `weights` (n,); bins of equal width, after Guo
    et al. (2017), equation 3. 0 is perfect.
    """
    _need(len(probabilities), "probabilities")
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    stated = np.bincount(place, weights * probabilities, bins)
    true = np.bincount(place, weights * outcomes, bins)
    return float(np.abs(stated - true).sum() / weights.sum())


def on_top(scores: Scores, owners: Ids) -> NDArray[np.bool_]:
    """Return which searches (n,) have the person in `owners` (n,) alone on top of `scores`."""
    right = scores[np.arange(len(scores)), owners]
    at_least = (scores >= right[:, None]).sum(1)  # the right person and ties
    return np.asarray((at_least == 1) & np.isfinite(right))


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """FAR and TAR at every threshold that changes them, from accepting no pair to accepting all."""

    thresholds: NDArray[np.float64]  # falling, from infinity; a pair at the threshold is accepted
    far: NDArray[np.float64]  # rising from 0 to 1
    tar: NDArray[np.float64]  # rising from 0 to 1


def roc(scores: Scores, mated: NDArray[np.bool_]) -> Roc:
    """Return the ROC of pairs with `scores` (n,); `mated` (n,) is true for pairs of one class.

    Pairs with equal scores are accepted together, so that their order does not matter. Raises
    ValueError if there are no mated or no non-mated pairs, or a score is not a number.
    """
    mated = np.asarray(mated, bool)
    _need(int(mated.sum()), "mated pairs")
    _need(int((~mated).sum()), "non-mated pairs")
    if np.isnan(scores).any():
        raise ValueError("a score that is not a number cannot be compared with a threshold")
    order = np.argsort(-scores, kind="stable")
    falling, mated = scores[order], mated[order]
    last = np.append(falling[1:] != falling[:-1], True)  # the last of equal scores
    return Roc(
        thresholds=np.concatenate([[np.inf], falling[last]]),
        far=np.concatenate([[0.0], np.cumsum(~mated)[last] / (~mated).sum()]),
        tar=np.concatenate([[0.0], np.cumsum(mated)[last] / mated.sum()]),
    )


def auc(scores: Scores, mated: NDArray[np.bool_]) -> float:
    """Return the area under the ROC: the probability that a mated pair outscores a non-mated one.

    A tie counts one half, as straight lines between the points of `roc` imply.
    """
    curve = roc(scores, mated)
    return float((np.diff(curve.far) * (curve.tar[1:] + curve.tar[:-1]) / 2).sum())


def eer(scores: Scores, mated: NDArray[np.bool_]) -> float:
    """Return the equal error rate: the FAR where it equals 1 - TAR.

    If no threshold makes them equal, it is interpolated between the two nearest points.
    """
    curve = roc(scores, mated)
    excess = curve.far - (1 - curve.tar)  # rises from -1 to 1
    after = int((excess >= 0).argmax())
    share = -excess[after - 1] / (excess[after] - excess[after - 1])
    return float(curve.far[after - 1] + share * (curve.far[after] - curve.far[after - 1]))


def tar_at_far(scores: Scores, mated: NDArray[np.bool_], far: float) -> float:
    """Return the highest TAR of a threshold whose FAR is at most `far`, without interpolation."""
    curve = roc(scores, mated)
    return float(curve.tar[curve.far <= far].max())


def best_accuracy(scores: Scores, mated: NDArray[np.bool_]) -> float:
    """Return the share of all pairs decided correctly at the threshold that is best for them.

    The threshold is chosen on these very pairs, so this is an upper bound of the accuracy.
    """
    curve = roc(scores, mated)
    share = np.mean(mated)
    return float((share * curve.tar + (1 - share) * (1 - curve.far)).max())
