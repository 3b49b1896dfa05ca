"""Templates of people -> pairs to compare and searches to simulate: what calibration is made from.

People are classes here: anything that one name is given to. Nothing here imports torch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.candidates import CANDIDATES
from facesearch.evaluation.metrics import rank_1_rate, threshold_at, tpir
from facesearch.evaluation.protocols import centred_scores, random_open_set_splits
from facesearch.head import L1SigmoidHead
from facesearch.openset import Cohort, PairHead, Strangers, fit_strangers
from facesearch.vectors import Floats

GALLERY_SIZES = (20, 100, 1000)
MAX_PROBES = 10  # photos of one person that play the probe
PAIRS = 20_000  # mated pairs, and about as many non-mated pairs
SEED = 20151
SPLITS, FPIR = 10, 0.01  # random splits and false-positive rate of `open_set_rates`

Ids = NDArray[np.int64]
Pairs = tuple[NDArray[np.intp], NDArray[np.bool_]]  # (n, 2) rows, (n,) whether they are mated


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSearches:
    """Searches in one random gallery; scores are standard scores (searches, people)."""

    strangers: Strangers  # as fitted to the gallery
    mated: Floats
    owners: Ids  # (mated searches,) the right column of `mated`
    non_mated: Floats


class Searches:
    """The people and templates that galleries and probes are drawn from.

    Row by row: `people` (n,), and their unit templates (n, dim) in the role of `probes` and of
    `references`. The two are the same if the model embeds references from no more views than
    probes. `head` is None if the model's head follows the cosine.
    """

    def __init__(
        self, people: Ids, probes: Floats, references: Floats, head: PairHead | None = None
    ) -> None:
        self.people = people
        self.probes, self.references = probes, references
        self.head = head
        order = np.argsort(people, kind="stable")
        ids, starts = np.unique(people[order], return_index=True)
        self.rows = dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))

    def compared_by(self, head: L1SigmoidHead) -> "Searches":
        """Return the same searches with scores by `head`."""
        return Searches(self.people, self.probes, self.references, head)

    def rows_of_mates(self) -> list[NDArray[np.intp]]:
        """Return the rows of each person who has two or more."""
        return [rows for rows in self.rows.values() if len(rows) > 1]

    def sizes(self) -> list[int]:
        """Return the GALLERY_SIZES that leave at least as many people to be strangers."""
        return [size for size in GALLERY_SIZES if 2 * size <= len(self.rows)]

    def scores(self, probes: Floats, references: Floats) -> Floats:
        """Return the scores (n, m) of `probes` (n, dim) with `references` (m, dim)."""
        if self.head is None:
            scores: Floats = probes @ references.T
            return scores
        return self.head.pair_scores(probes, references)

    def simulate(self, size: int, seed: int, cohort: Cohort) -> SimulatedSearches:
        """Return searches in a random gallery of `size` people, one reference each."""
        rng = np.random.default_rng(seed)
        ids = rng.permutation(list(self.rows))
        gallery, mated, owners, non_mated = [], [], [], []
        for number, person in enumerate(ids[: 2 * size + 500]):
            rows = rng.permutation(self.rows[person])
            if number < size:
                gallery.append(rows[0])
                mated += rows[1:MAX_PROBES].tolist()
                owners += [number] * len(rows[1:MAX_PROBES])
            else:
                non_mated += rows[:MAX_PROBES].tolist()
        enrolled = self.references[gallery]
        strangers = fit_strangers(enrolled, size, cohort, self.head)
        references = strangers.centered(enrolled)

        def standard_scores(rows: list[int]) -> Floats:
            probes = strangers.centered(self.probes[rows])
            return strangers.standard(self.scores(probes, references))

        return SimulatedSearches(
            strangers,
            standard_scores(mated),
            np.array(owners, np.int64),
            standard_scores(non_mated),
        )


def top_candidates(z: Floats) -> tuple[Ids, Floats]:
    """Return columns and scores (n, CANDIDATES) of the best of the scores `z` (n, people).

    Best first; fewer columns if there are fewer people.
    """
    columns = np.argsort(-z, axis=1)[:, :CANDIDATES]
    return columns, np.take_along_axis(z, columns, 1)


def natural_pairs(searches: Searches, groups: Ids | None = None, n_pairs: int = PAIRS) -> Pairs:
    """Return `n_pairs` mated pairs, each person equally often, and about as many non-mated pairs.

    Non-mated pairs are drawn at random. With `groups`, the group (n,) of each template's person,
    every second one is drawn within a group, so that not all of them are easy.
    """
    rng = np.random.default_rng(SEED)
    n = len(searches.people)
    rows_of_mates = searches.rows_of_mates()
    mated = np.zeros((0, 2), np.intp)
    if rows_of_mates:
        mated = np.stack(
            [
                rng.choice(rows_of_mates[i], 2, replace=False)
                for i in rng.integers(len(rows_of_mates), size=n_pairs)
            ]
        )
    non_mated = rng.integers(n, size=(n_pairs, 2))
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        starts, sizes = np.searchsorted(groups[order], groups), np.bincount(groups)[groups]
        within = non_mated[::2]
        within[:, 1] = order[starts[within[:, 0]] + within[:, 1] % sizes[within[:, 0]]]
    non_mated = non_mated[searches.people[non_mated[:, 0]] != searches.people[non_mated[:, 1]]]
    pairs = np.concatenate([mated, non_mated])
    return pairs, np.arange(len(pairs)) < len(mated)


def pair_distances(
    head: L1SigmoidHead, templates: Floats, pairs: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the head's distances (n,) of `pairs` (n, 2) of rows of `templates`."""
    codes = head.codes(templates)
    parts = np.array_split(pairs, max(1, len(pairs) // 500))
    distances = [np.abs(codes[part[:, 0]] - codes[part[:, 1]]) @ head.weights for part in parts]
    return np.concatenate(distances).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of open-set searches, from 0 to 1."""

    rank_1: float  # mated searches with their person on top
    tpir: float  # those also above the threshold of false-positive rate FPIR


def open_set_rates(searches: Searches, cohort: Cohort) -> Rates:
    """Return the mean rates of SPLITS random open-set splits, by the cosine."""
    people = np.unique(searches.people, return_inverse=True)[1]
    rates = []
    for split in random_open_set_splits(people, SPLITS):
        scores = centred_scores(split, searches.probes, searches.references, cohort)
        threshold = threshold_at(FPIR, scores["non_mated"])
        mated = scores["mated"]
        rates.append((rank_1_rate(mated, split.owners), tpir(mated, split.owners, threshold)))
    return Rates(*np.mean(rates, axis=0).tolist())
