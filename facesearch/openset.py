"""Scores -> evidence, threshold and probabilities for a gallery of a given size.

From verification to identification: a stranger compared with N people has N chances to look like
one of them. The people of a gallery are strangers to each other, so the gallery itself shows how
strangers score against it, better than anything else (figures and alternatives:
docs/decisions/0005-thresholds-from-the-gallery.md).
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facesearch.vectors import Floats, product, unit

SAMPLED_STRANGERS = 300  # people of the gallery who stand in for strangers
SAMPLED_PEOPLE = 2000  # people each of them is compared with
HEAD_STRANGERS, HEAD_PEOPLE = 200, 1000  # for a head of its own order: takes a tenth of a second
TRUST_BEYOND = 0.01  # nats per standard deviation beyond the range the evidence was fitted on
SKEW_WEIGHT = 100.0  # people; in a smaller gallery the cohort's skewness counts more than its own
SKEW_MOST = 0.25  # of either sign; more is an artifact of a few pairs
Z_MOST = 12.0  # scores further out are corrected for skewness as this one
SAME_PERSON_Z = 5.5  # strangers hardly ever score this high: one person under two names, or kin


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """How strangers scored when the model was calibrated: stands in while a gallery is small.

    Computed by scripts/calibrate.py from development data and stored in the model's manifest.
    """

    mean: Floats  # (dim,) mean of unit templates of people
    score_mean: float  # of centered pairs of two people
    score_std: float
    weight: float  # the cohort counts as this many people of a gallery
    probe_length: float  # mean cosine of a probe and the reference made from the same crop
    score_skew: float = 0.0  # skewness of these scores; older manifests leave it out

    def centered(self, templates: Floats) -> Floats:
        """Return unit `templates` (..., dim) less what all people share, where no gallery is."""
        return unit(templates - self.mean)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A pair's log-likelihood ratio from its score's distance to the scores of strangers.

    llr = offset + slope * z + bend * z**2, z being the strangers' standard score. Outside
    [low, high] there was too little data: there it only grows by TRUST_BEYOND per unit, to keep
    the order.
    """

    offset: float
    slope: float
    bend: float
    low: float
    high: float

    def llr(self, z: Floats) -> Floats:
        """Return the log-likelihood ratios of standard scores `z`, in the same shape."""
        known = np.clip(z, self.low, self.high)
        ratio = self.offset + self.slope * known + self.bend * known * known
        with np.errstate(invalid="ignore"):  # -inf stands for a pair that was not compared
            return np.asarray(ratio + TRUST_BEYOND * (z - known), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Strangers:
    """How strangers score against one gallery, and the center that is subtracted for scoring."""

    people: int  # enrolled people, N
    center: Floats  # (dim,), subtracted from probe and references before they are compared
    score_mean: float
    score_std: float
    score_skew: float = 0.0

    def centered(self, templates: Floats) -> Floats:
        """Return unit `templates` (..., dim) without what all people of the gallery share."""
        return unit(templates - self.center)

    def standard(self, scores: Floats) -> Floats:
        """Return `scores` as distances from the strangers' mean in standard deviations.

        A skewed distribution is made normal by the skewness terms of Cornish and Fisher (1938): at
        4.5 deviations, a skewness of 0.06 more than doubles the share of strangers.
        """
        z = (scores - self.score_mean) / self.score_std
        with np.errstate(invalid="ignore"):  # -inf stands for a pair that was not compared
            near, skew = np.clip(z, -Z_MOST, Z_MOST), self.score_skew
            first, second = near**2 - 1, 4 * near**3 - 7 * near
            normal = z - skew / 6 * first + skew**2 / 36 * second
        return np.asarray(normal, np.float32)

    def threshold(self, fpir: float) -> float:
        """Return the standard score that a share `fpir` of searches for strangers reaches.

        FPIR(N) = 1 - (1 - FMR)**N, with FMR from a normal distribution of strangers' scores.
        Raises ValueError unless 0 < fpir < 1.
        """
        if not 0 < fpir < 1:
            raise ValueError(f"a false-positive rate lies between 0 and 1, not at {fpir}")
        fmr = -np.expm1(np.log1p(-fpir) / max(self.people, 1))
        return -NormalDist().inv_cdf(float(fmr))


class PairHead(Protocol):
    """Compares two templates, see facesearch.head."""

    @property
    def follows_cosine(self) -> bool:
        """Whether its scores are nearly those of the cosine."""
        ...

    def pair_scores(self, probes: Floats, references: Floats) -> Floats:
        """Return the scores (n, m) of each of n probes with each of m references."""
        ...


def fit_strangers(
    people: Floats, enrolled: int, cohort: Cohort, head: PairHead | None = None
) -> Strangers:
    """Return how strangers score against a gallery of `enrolled` people.

    `people` (n, dim), unit rows, are the references of all of them or of an even sample. `head`
    gives the scores; None stands for one that follows the cosine. A head with an order of its own
    was trained on templates as they are, so nothing is subtracted for it: the center is zero.

    Some of the people stand in for strangers: each is taken out of the gallery and compared with
    the others. Pairs that score higher than strangers do (one person under two names) are left out
    of the fit.
    """
    n = len(people)
    weight = cohort.weight
    if head is None or head.follows_cosine:
        head, center = None, (people.sum(0) + weight * cohort.mean) / (n + weight)
    else:
        center = np.zeros(people.shape[1])
    if n < 2:
        usual = (cohort.score_mean, cohort.score_std, skewness(0, 0.0, cohort))
        return Strangers(enrolled, center.astype(np.float32), *usual)
    if head is None:
        scores = cosines_of_strangers(people, cohort)
    else:
        scores = scores_of_strangers(people, head)
    middle, spread = np.median(scores), np.subtract(*np.percentile(scores, [75, 25])) / 1.349
    plausible = scores[np.abs(scores - middle) <= SAME_PERSON_Z * max(float(spread), 0.03)]
    trust = n / (n + weight)
    mean = trust * plausible.mean() + (1 - trust) * cohort.score_mean
    variance = trust * plausible.var() + (1 - trust) * cohort.score_std**2
    skew, std = skewness(n, third_moment(plausible), cohort), float(np.sqrt(variance))
    return Strangers(enrolled, center.astype(np.float32), float(mean), std, skew)


def third_moment(scores: Floats) -> float:
    """Return the skewness of `scores`, their standardized third moment."""
    return float(((scores - scores.mean()) ** 3).mean() / max(scores.std() ** 3, 1e-9))


def skewness(n: int, seen: float, cohort: Cohort) -> float:
    """Return the skewness of strangers' scores if it was `seen` among `n` people.

    Mixed with the cohort's: it takes many more people to tell skewness from chance than variance.
    """
    trust = n / (n + SKEW_WEIGHT)
    return float(np.clip(trust * seen + (1 - trust) * cohort.score_skew, -SKEW_MOST, SKEW_MOST))


def scores_of_strangers(people: Floats, head: PairHead) -> Floats:
    """Return the scores (pairs,) by `head` of people (n, dim) who stand in for strangers."""
    strangers = evenly(len(people), HEAD_STRANGERS)
    others = evenly(len(people), HEAD_PEOPLE)
    scores = head.pair_scores(people[strangers], people[others])
    pairs: Floats = scores[strangers[:, None] != others[None]]
    return pairs


def cosines_of_strangers(people: Floats, cohort: Cohort) -> Floats:
    """Return the cosines (pairs,) of people (n, dim) who stand in for strangers with the others.

    Each is taken out of the gallery, out of its center too, and made as short as a probe.
    """
    n, weight = len(people), cohort.weight
    strangers, others = evenly(n, SAMPLED_STRANGERS), evenly(n, SAMPLED_PEOPLE)
    # With person i gone the center is c - s * p_i, so i's probe is a = f * p_i - c + s * p_i and
    # the reference of j is b = p_j - c + s * p_i; their cosine needs only products of rows.
    share = 1 / (n - 1 + weight)
    rest = (people.sum(0) + weight * cohort.mean) * share
    own, reference = people[strangers], people[others] - rest
    probe = (cohort.probe_length + share) * own - rest
    dots = product(probe, reference.T) + share * (probe * own).sum(1, keepdims=True)
    squares = (reference**2).sum(1) + 2 * share * product(own, reference.T) + share**2
    lengths = np.linalg.norm(probe, axis=1, keepdims=True) * np.sqrt(np.maximum(squares, 1e-12))
    cosines: Floats = (dots / lengths)[strangers[:, None] != others[None]]
    return cosines


def evenly(n: int, most: int) -> NDArray[np.intp]:
    """Return at most `most` of the numbers 0 to `n` - 1, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, most).astype(np.intp))


def posterior(llrs: Floats, people: int, prior: float) -> tuple[Floats, float]:
    """Return each candidate's probability (k,) and that of a stranger, by Bayes' rule.

    `llrs` (k,) are those of the candidates, the most alike of `people`. `prior` is the probability
    that a face is of someone enrolled, the same for each person. Enrolled people who are not
    candidates count as much as the weakest candidate, with a likelihood ratio of at most 1.
    """
    if people == 0 or len(llrs) == 0:
        return np.zeros(len(llrs), np.float32), 1.0
    logs = log_weights(llrs, people, prior)
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    return shares[:-2].astype(np.float32), float(shares[-1])


def log_weights(llrs: Floats, people: int, prior: float) -> NDArray[np.float64]:
    """Return the logarithms (..., k + 2) of what Bayes' rule makes shares of, see `posterior`.

    They are those of k candidates with the log-likelihood ratios `llrs` (..., k), then of the
    other enrolled people together, then of a stranger.
    """
    each = np.log(prior / people)
    left = people - llrs.shape[-1]
    weakest = np.minimum(0.0, llrs.min(-1, keepdims=True)).astype(np.float64)
    others = np.log(left) + weakest + each if left > 0 else np.full_like(weakest, -np.inf)
    stranger = np.full_like(weakest, np.log(1 - prior))
    return np.concatenate([llrs.astype(np.float64) + each, others, stranger], axis=-1)


def assign(gains: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return each row's column, or -1 for none, no column twice, with the largest total gain.

    `gains` (rows, columns) may hold -inf for a pair that is not allowed; gains below zero are
    never taken. The Hungarian method with potentials (Kuhn 1955, Munkres 1957); each row may also
    stay alone at no gain, so that a matching always exists.
    """
    result = np.full(len(gains), -1, np.intp)
    able = np.flatnonzero((gains > 0).any(1))  # often only a few of many faces
    gains = gains[able]
    rows, columns = gains.shape
    finite = np.where(np.isfinite(gains), gains, -1.0)
    cost = np.hstack([-np.maximum(finite, -1.0), np.zeros((rows, rows))])  # own column: stay alone
    width = columns + rows
    row_potential, column_potential = np.zeros(rows + 1), np.zeros(width + 1)
    owner = np.zeros(width + 1, np.intp)  # column -> row, from 1; column 0 is the row being placed
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        shortest, came_from = np.full(width + 1, np.inf), np.zeros(width + 1, np.intp)
        done = np.zeros(width + 1, bool)
        while owner[column] != 0:
            done[column] = True
            at = owner[column]
            slack = cost[at - 1] - row_potential[at] - column_potential[1:]
            better = ~done[1:] & (slack < shortest[1:])
            shortest[1:][better] = slack[better]
            came_from[1:][better] = column
            nearest = int(np.where(done[1:], np.inf, shortest[1:]).argmin()) + 1
            step = shortest[nearest]
            row_potential[owner[done]] += step
            column_potential[done] -= step
            shortest[~done] -= step
            column = nearest
        while column:
            owner[column] = owner[came_from[column]]
            column = int(came_from[column])
    for column in range(1, columns + 1):
        if owner[column] and gains[owner[column] - 1, column - 1] > 0:
            result[able[owner[column] - 1]] = column - 1
    return result
