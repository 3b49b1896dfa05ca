"""Enrolled people -> a `Judge`: how likely it is that two of them are one person.

The score is the model's head's. What it means depends on how alike strangers and photos of one
person (mates) are in this gallery. Mates differ more from gallery to gallery than from model to
model: their mean standard score is 4.3 in family albums over decades and 6.3 in portraits of
politicians, so a score between the two is one person here and a chance likeness there. It is
therefore read from the gallery's own people with several photos; the model's evidence stands in
while they are few. `python -m benchmarks.dedupe_tuning` measures what that is worth.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facesearch.head import L1SigmoidHead
from facesearch.openset import Cohort, Evidence, Strangers, evenly, fit_strangers
from facesearch.vectors import Floats, leading, unit

Ids = NDArray[np.int64]
Doubles = NDArray[np.float64]

PAIRS_AT_ONCE = 1000  # pairs given to the head in one call: their codes take 16 MB

# Mates are measured on at most MAX_MATED_PEOPLE of the gallery's people. The model's evidence
# counts as much as MATES_WEIGHT of them; 5 to 100 are as good (benchmarks.dedupe_tuning).
MAX_MATED_PEOPLE = 2000
MATES_WEIGHT = 30.0

# The share of people who are enrolled twice, or whose name holds two people, is estimated from the
# gallery: it is the share at which the probabilities add up to it. USUAL_SHARE is the prior, worth
# as much as USUAL_WEIGHT people.
USUAL_SHARE = 0.01
USUAL_WEIGHT = 100.0
MAX_SHARE = 0.9  # an estimate of 1 would make every case certain
SHARE_ROUNDS = 100  # of expectation maximisation, enough to converge

# Two templates whose search codes have at least this cosine come from one picture. Above it are
# 2 of 3,521 pairs of different photos of one person among the development faces. Of copies made of
# 112-pixel crops it finds 96% at half the size, 94% at JPEG quality 50, and all at quality 90 and
# with slightly shifted landmarks (benchmarks.dedupe_people).
COPY_COSINE = 0.96


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """All templates of a gallery, row for row."""

    ids: Ids  # (n,) of the templates
    people: Ids  # (n,) ids of the people they belong to
    templates: Floats  # (n, dim) unit rows
    photos: Ids  # (n,) ids of the photos they were made from
    search_dim: int | None = None  # as of a Model; None: all numbers of a template

    def codes(self, rows: NDArray[np.intp] | slice) -> Floats:
        """Return the search codes (m, search_dim), unit rows, of the templates in `rows`."""
        return leading(self.templates[rows], self.search_dim or self.templates.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class PersonSums:
    """The templates of a gallery summed up, one row per person."""

    ids: Ids  # (N,) rising
    sums: Floats  # (N, dim) of unit templates
    n_photos: Doubles  # (N,)


@dataclass(frozen=True, slots=True)
class Mates:
    """How alike two photos of one person are: standard scores, nearly normal."""

    mean: float
    std: float

    def updated(self, scores: Doubles) -> "Mates":
        """Return the estimate after `scores` (n,), one per person; a few wrong ones do no harm."""
        if len(scores) == 0:
            return self
        low, middle, high = np.percentile(scores, [25, 50, 75])
        trust = len(scores) / (len(scores) + MATES_WEIGHT)
        variance = trust * ((high - low) / 1.349) ** 2 + (1 - trust) * self.std**2
        mean = trust * middle + (1 - trust) * self.mean
        return Mates(float(mean), float(np.sqrt(variance)))


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Tells one person from two in a gallery; made by `judge_of`."""

    head: L1SigmoidHead
    strangers: Strangers
    model_mates: Mates  # by the model's evidence alone
    mates: Mates  # in this gallery

    def scores(self, a: Floats, b: Floats) -> Doubles:
        """Return the standard scores (m,) of a[i] with b[i], centered unit rows (m, dim)."""
        nothing = np.zeros(a.shape[1], np.float32)
        parts = [slice(start, start + PAIRS_AT_ONCE) for start in range(0, len(a), PAIRS_AT_ONCE)]
        # the head's code is linear: a pair is as far apart as its difference is from zero
        scores = [self.head.scores(nothing, a[part] - b[part]) for part in parts]
        z = self.strangers.standard(np.concatenate([np.zeros(0, np.float32), *scores]))
        return z.astype(np.float64)

    def llrs(self, z: Doubles, photos_a: Doubles, photos_b: Doubles, mates: Mates) -> Doubles:
        """Return the log-likelihood ratios (m,) of one person against two, given scores `z` (m,).

        Each score compares the mean of photos_a[i] templates with the mean of photos_b[i].
        Strangers' scores have mean 0 and deviation 1 whatever these numbers are; mates' have the
        mean that `_scores_of_means` gives.
        """
        expected = self._scores_of_means(mates.mean, photos_a, photos_b)
        # beyond the point where the wider normal overtakes the narrower, a score says nothing more
        if mates.std < 1:
            z = np.minimum(z, expected / (1 - mates.std**2))
        elif mates.std > 1:
            z = np.maximum(z, -expected / (mates.std**2 - 1))
        away = (z - expected) / mates.std
        ratio: Doubles = (z**2 - away**2) / 2 - np.log(mates.std)
        return ratio

    def _scores_of_means(self, z: float, photos_a: Doubles, photos_b: Doubles) -> Doubles:
        """Return the scores (m,) of the means of so many photos, any two of which score `z`.

        A template is its person plus noise: the share `own` of its square is the person's, and a
        mean of n templates has an nth of the noise.
        """
        own = np.maximum(self._own_share(np.array(z)), 0)
        lengths = (own + (1 - own) / photos_a) * (own + (1 - own) / photos_b)
        return self._standard(own / np.sqrt(lengths))

    def single_photo_scores(self, z: Doubles, photos_a: Doubles, photos_b: Doubles) -> Doubles:
        """Return what single photos would score (m,): the inverse of `_scores_of_means`."""
        score = self._own_share(z)
        a, b, square = 1 / photos_a, 1 / photos_b, score**2
        # own^2 = square * (own + (1 - own) a) (own + (1 - own) b), solved for own
        x = 1 - square * (1 - a) * (1 - b)
        y = square * (a * (1 - b) + b * (1 - a))
        own = np.sign(score) * (y + np.sqrt(y * y + 4 * x * square * a * b)) / (2 * x)
        return self._standard(own)

    def _own_share(self, z: Doubles) -> Doubles:
        """Return scores on the scale on which strangers have 0 and copies 1."""
        share: Doubles = z * self.strangers.score_std / (1 - self.strangers.score_mean)
        return np.clip(share, -0.999, 0.999)

    def _standard(self, share: Doubles) -> Doubles:
        z: Doubles = share * (1 - self.strangers.score_mean) / self.strangers.score_std
        return z


def judge_of(enrolled: Enrolled, head: L1SigmoidHead, evidence: Evidence, cohort: Cohort) -> Judge:
    """Return the judge of people `enrolled`; `head`, `evidence` and `cohort` are the model's."""
    means = unit(sum_by_person(enrolled).sums)
    strangers = fit_strangers(means, len(means), cohort, head)
    model_mates = mates_from_evidence(evidence)
    judge = Judge(head, strangers, model_mates, model_mates)
    return replace(judge, mates=model_mates.updated(mated_scores(enrolled, judge)))


def mates_from_evidence(evidence: Evidence) -> Mates:
    """Return how mates score by `evidence`: its likelihood ratio times strangers' density."""
    z = np.linspace(evidence.low, evidence.high, 1001)
    logs = evidence.llr(z.astype(np.float32)) - z**2 / 2
    density = np.exp(logs - logs.max())
    mean = float((z * density).sum() / density.sum())
    return Mates(mean, float(np.sqrt(((z - mean) ** 2 * density).sum() / density.sum())))


def mated_scores(enrolled: Enrolled, judge: Judge) -> Doubles:
    """Return the standard scores (m,) of two photos of one person, of the people `mated_rows`."""
    first, second = mated_rows(enrolled)
    a, b = (judge.strangers.centered(enrolled.templates[rows]) for rows in (first, second))
    return judge.scores(a, b)


def mated_rows(enrolled: Enrolled) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows (m,) and (m,): two photos each of at most MAX_MATED_PEOPLE, evenly sampled.

    These are the first and the middle photo by id, so that they rarely show one moment. People
    whose two are copies of one picture are left out: copies tell nothing of two photos.
    """
    order = np.lexsort((enrolled.ids, enrolled.people))
    _, starts, counts = np.unique(enrolled.people[order], return_index=True, return_counts=True)
    first, second = order[starts], order[starts + counts // 2]
    cosines = (enrolled.codes(first) * enrolled.codes(second)).sum(1)
    several = np.flatnonzero((counts > 1) & (cosines < COPY_COSINE))
    if len(several):
        several = several[evenly(len(several), MAX_MATED_PEOPLE)]
    return first[several], second[several]


def sum_by_person(enrolled: Enrolled) -> PersonSums:
    """Return the enrolled templates summed up by person."""
    if len(enrolled.ids) == 0:
        return PersonSums(np.zeros(0, np.int64), np.zeros_like(enrolled.templates), np.zeros(0))
    order = np.argsort(enrolled.people, kind="stable")
    ids, starts, counts = np.unique(enrolled.people[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(enrolled.templates[order], starts, axis=0)
    return PersonSums(ids.astype(np.int64), sums, counts.astype(np.float64))


def pair_llrs(people: PersonSums, judge: Judge, pairs: NDArray[np.intp]) -> Doubles:
    """Return the log-likelihood ratios (m,) that the rows of `pairs` (m, 2) are one person each."""
    centered = judge.strangers.centered(unit(people.sums))
    first, second = pairs.T
    z = judge.scores(centered[first], centered[second])
    return judge.llrs(z, people.n_photos[first], people.n_photos[second], judge.mates)


def estimated_share(llrs: Doubles, n: int, among: int, people_per_case: int) -> float:
    """Return the share of `n` people at which the cases with `llrs` add up to that share.

    The prior of one case is `share / among`; `people_per_case` people take part in it. This is
    expectation maximisation of a mixture's weight, in which USUAL_WEIGHT people with USUAL_SHARE
    count beside the gallery's own.
    """
    share = USUAL_SHARE
    for _ in range(SHARE_ROUNDS):
        expected = people_per_case * float(sigmoid(llrs + log_odds(share / among)).sum())
        share = (USUAL_WEIGHT * USUAL_SHARE + expected) / (USUAL_WEIGHT + n)
        share = min(share, MAX_SHARE)
    return share


def sigmoid(logits: Doubles) -> Doubles:
    """Return 1 / (1 + exp(-logits)), without overflow."""
    probabilities: Doubles = (1 + np.tanh(logits / 2)) / 2
    return probabilities


def log_odds(probability: float) -> float:
    """Return log(p / (1 - p))."""
    return float(np.log(probability) - np.log1p(-probability))
