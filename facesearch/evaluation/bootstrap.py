"""The answers of systems to open-set searches -> their rates with confidence intervals.

Searches of one person succeed or fail together, and all splits have the same people. So people are
resampled, not searches (Efron's bootstrap, by cluster): as many as there are, with replacement, and
a person drawn twice counts with all their searches of all splits twice. Each resample sets the
threshold by its own strangers; the galleries stay unchanged. All systems get the same resamples, so
that a difference between two is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.evaluation.metrics import Scores, on_top
from facesearch.evaluation.protocols import Ids, OpenSetSplit

RESAMPLES = 1000
FPIRS = {"0.1": 0.001, "1": 0.01, "5": 0.05}  # percent, as in names of rates -> share

Drawn = NDArray[np.float64]  # (1 + RESAMPLES,): a rate as measured, then in each resample


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The answers of one system to the searches of one split."""

    right: NDArray[np.bool_]  # (mated searches,) whether their person is alone on top
    mated: Scores  # (mated searches,) the top scores
    non_mated: Scores  # (non-mated searches,) the top scores

    @classmethod
    def of(cls, scores: Mapping[str, Scores], owners: Ids) -> "Answers":
        """Return the answers by `scores` (searches, people) of "mated" and "non_mated" searches."""
        right = on_top(scores["mated"], owners)
        return cls(right, scores["mated"].max(1), scores["non_mated"].max(1))


def draws(people: int, seed: int = 0) -> Ids:
    """Return how often each of `people` counts in each resample: (1 + RESAMPLES, people).

    In the first row everybody counts once: those are the rates as measured.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(people, np.full(people, 1 / people), size=RESAMPLES)
    return np.concatenate([np.ones((1, people), np.int64), drawn])


def rank_1_rates(answers: Answers, split: OpenSetSplit, counts: Ids) -> Drawn:
    """Return the rank-1 rate of the mated searches, for each row of `counts`."""
    weights = counts[:, split.askers["mated"]]  # (draws, searches)
    return np.asarray(weights[:, answers.right].sum(1) / weights.sum(1))


def tpirs(answers: Answers, split: OpenSetSplit, counts: Ids, fpir: float) -> Drawn:
    """Return the TPIR at `fpir`, for each row of `counts`.

    The threshold is that of `metrics.threshold_at` with each non-mated search repeated as often as
    it counts.
    """
    falling = np.argsort(-answers.non_mated, kind="stable")
    above = np.cumsum(counts[:, split.askers["non_mated"][falling]], axis=1)  # (draws, searches)
    first = (above > np.floor(fpir * above[:, -1:])).argmax(1)
    thresholds = answers.non_mated[falling][first]
    weights = counts[:, split.askers["mated"]]
    found = answers.right & (answers.mated > thresholds[:, None])
    return np.asarray((weights * found).sum(1) / weights.sum(1))


def rates(
    answers: Sequence[Answers], splits: Sequence[OpenSetSplit], counts: Ids
) -> dict[str, Drawn]:
    """Return rank1 and the TPIR at each of FPIRS: means over `splits`, each with its `answers`."""
    pairs = [*zip(answers, splits, strict=True)]
    means = {"rank1": np.mean([rank_1_rates(a, s, counts) for a, s in pairs], axis=0)}
    for percent, fpir in FPIRS.items():
        each = [tpirs(a, s, counts, fpir) for a, s in pairs]
        means[f"tpir_at_fpir_{percent}pct"] = np.mean(each, axis=0)
    return means


def interval(name: str, drawn: Drawn) -> dict[str, float]:
    """Return the measured rate as `name`, and its 95% interval as `name`_low and `name`_high."""
    low, high = np.percentile(drawn[1:], [2.5, 97.5])
    return {name: float(drawn[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
