"""Simulated searches -> what a model and its calibration achieve, see facesearch.figures.

`measure` makes the curves of a model folder's figures.json, `report` the figures of its manifest.
"""

import numpy as np

from facesearch.evaluation.metrics import fpir
from facesearch.figures import Figures, PairFigures, SearchFigures
from facesearch.head import L1SigmoidHead
from facesearch.openset import Cohort, Evidence, posterior
from facesearch.training.searches import (
    Ids,
    Searches,
    natural_pairs,
    pair_distances,
    top_candidates,
)

PAIRS = 100_000  # mated pairs drawn, and about as many non-mated pairs; repeats are dropped
ASKED_FPIRS = (0.001, 0.01, 0.05)  # false-positive rates whose thresholds are tried
BINS = 15  # of probabilities, all of one width


def measure(
    searches: Searches,
    head: L1SigmoidHead,
    cohort: Cohort,
    evidence: Evidence,
    *,
    made_from: str,
    calibrated_on: bool,
    groups: Ids | None = None,
) -> Figures | None:
    """Return what `head` and its calibration achieve on these people.

    None if there is no mated or no non-mated pair. `groups` as in `natural_pairs`. `calibrated_on`
    says whether the calibration was fitted to the same people, which flatters it.
    """
    pairs, mated = natural_pairs(searches, groups, PAIRS)
    pairs, first = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
    mated = mated[first]
    if not mated.any() or mated.all():
        return None
    llrs = head.bias - pair_distances(head, cohort.centered(searches.references), pairs)
    return Figures(
        made_from=made_from,
        calibrated_on=calibrated_on,
        pairs=PairFigures.of(llrs.astype(np.float32), mated),
        searches=search_figures(searches, cohort, evidence),
    )


def report(searches: Searches, cohort: Cohort, evidence: Evidence) -> dict[str, float]:
    """Return calibration errors and false-positive rates under their keys in a manifest.

    To be honest, `searches` should be of people whom the calibration was not fitted to.
    """
    figures: dict[str, float] = {}
    for measured in search_figures(searches, cohort, evidence):
        size = measured.people
        figures[f"ece_n{size}"] = round(measured.calibration_error, 4)
        for asked, reached in zip(measured.asked, measured.reached, strict=True):
            figures[f"fpir_asked_{asked}_n{size}"] = reached
    return figures


def search_figures(
    searches: Searches, cohort: Cohort, evidence: Evidence
) -> tuple[SearchFigures, ...]:
    """Return the figures of simulated searches, for each gallery size that has enough people."""
    return tuple(figures_of_size(searches, size, cohort, evidence) for size in searches.sizes())


def figures_of_size(
    searches: Searches, size: int, cohort: Cohort, evidence: Evidence
) -> SearchFigures:
    """Return the figures of simulated searches in galleries of `size` people."""
    reached: dict[float, list[float]] = {asked: [] for asked in ASKED_FPIRS}
    probabilities, right = [], []
    n_mated = n_non_mated = 0
    for seed in range(100, 100 + max(2, 600 // size)):
        simulated = searches.simulate(size, seed, cohort)
        mated, non_mated = simulated.mated, simulated.non_mated
        n_non_mated += len(non_mated)
        for asked, rates in reached.items():
            rates.append(fpir(non_mated, simulated.strangers.threshold(asked)))
        n = min(len(mated), len(non_mated))  # equal numbers, as the prior is 1/2
        n_mated += n
        for z, owner in ((mated[:n], simulated.owners[:n]), (non_mated[:n], np.full(n, -1))):
            columns, scores = top_candidates(z)
            llrs = evidence.llr(scores)
            probabilities += [float(posterior(row, size, 0.5)[0][0]) for row in llrs]
            right += (columns[:, 0] == owner).tolist()
    place = np.minimum((np.array(probabilities) * BINS).astype(int), BINS - 1)
    return SearchFigures(
        people=size,
        mated=n_mated,
        non_mated=n_non_mated,
        asked=ASKED_FPIRS,
        reached=tuple(round(float(np.mean(reached[asked])), 5) for asked in ASKED_FPIRS),
        n=np.bincount(place, minlength=BINS),
        stated=np.asarray(np.bincount(place, probabilities, BINS), np.float64).round(4),
        true=np.bincount(place, right, BINS).astype(np.int64),
    )
