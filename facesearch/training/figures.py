"""Templates of people -> the curves that a model folder keeps, see facesearch.figures."""

import numpy as np

from facesearch.figures import Figures, PairFigures
from facesearch.head import L1SigmoidHead
from facesearch.openset import Cohort, Evidence
from facesearch.training.calibration import (
    Ids,
    Searches,
    natural_pairs,
    pair_distances,
    search_figures,
)

DRAWN_PAIRS = 100_000  # mated ones, and about as many others; what is drawn twice counts once


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
    """Return what `head` and its calibration give on these people; None without a mated pair.

    `groups` as in `natural_pairs`. `calibrated_on` says whether the calibration was made from the
    same people, which flatters it.
    """
    pairs, mated = natural_pairs(searches, groups, DRAWN_PAIRS)
    pairs, first = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
    mated = mated[first]
    if not mated.any() or mated.all():
        return None
    llrs = head.bias - pair_distances(head, cohort.centred(searches.references), pairs)
    return Figures(
        made_from=made_from,
        calibrated_on=calibrated_on,
        pairs=PairFigures.of(llrs.astype(np.float32), mated),
        searches=search_figures(searches, cohort, evidence),
    )
