"""What systems answered to open-set searches -> their rates, and how sure a difference is.

Searches of one person stand or fall together, and the splits ask for the same people again. So
people are drawn, not searches: as many as there are, with replacement, and who is drawn twice
brings all of their searches of all splits twice (Efron's bootstrap, by cluster). The threshold is
set anew by the strangers drawn; the galleries stay as they are. All systems see the same drawings,
so that a difference is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.evaluation.metrics import Scores, named_rightly
from facesearch.evaluation.protocols import Ids, OpenSetSplit

RESAMPLES = 1000
FPIRS = {"0.1": 0.001, "1": 0.01, "5": 0.05}  # in percent, and as shares

Drawn = NDArray[np.float64]  # (1 + RESAMPLES,): as measured, then in each drawing


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one system answered to the searches of one split."""

    right: NDArray[np.bool_]  # (mated searches,) their person is alone on top
    mated: Scores  # (mated searches,) the top scores
    non_mated: Scores  # (non-mated searches,) likewise

    @classmethod
    def of(cls, scores: Mapping[str, Scores], owners: Ids) -> "Answers":
        """Return the answers that `scores`, (searches, people) of either kind, give."""
        right = named_rightly(scores["mated"], owners)
        return cls(right, scores["mated"].max(1), scores["non_mated"].max(1))


def draws(people: int, seed: int = 0) -> Ids:
    """Return how often each of `people` counts: (1 + RESAMPLES, people).

    In the first row everybody counts once: that is what was measured.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(people, np.full(people, 1 / people), size=RESAMPLES)
    return np.concatenate([np.ones((1, people), np.int64), drawn])


def rank_1_rates(answers: Answers, split: OpenSetSplit, counts: Ids) -> Drawn:
    """Return the share of the mated searches with their person on top, for each row of `counts`."""
    weights = counts[:, split.askers["mated"]]  # (draws, searches)
    return np.asarray(weights[:, answers.right].sum(1) / weights.sum(1))


def tpirs(answers: Answers, split: OpenSetSplit, counts: Ids, fpir: float) -> Drawn:
    """Return the share that is also above the threshold of `fpir`, for each row of `counts`.

    The threshold is that of `metrics.threshold_at` over the non-mated searches as often as they
    count.
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
    """Return rank1 and the TPIR at each of FPIRS, as means over `splits`, one of `answers` each."""
    pairs = [*zip(answers, splits, strict=True)]
    means = {"rank1": np.mean([rank_1_rates(a, s, counts) for a, s in pairs], axis=0)}
    for percent, fpir in FPIRS.items():
        each = [tpirs(a, s, counts, fpir) for a, s in pairs]
        means[f"tpir_at_fpir_{percent}pct"] = np.mean(each, axis=0)
    return means


def interval(name: str, drawn: Drawn) -> dict[str, float]:
    """Return what was measured as `name`, and as _low and _high where 95 % of the drawings lie."""
    low, high = np.percentile(drawn[1:], [2.5, 97.5])
    return {name: float(drawn[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
