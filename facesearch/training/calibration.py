"""Templates of people no network was trained on -> what turns its scores into probabilities.

Three things are fitted, each to what it is used for: the head's bias and slope to single pairs at
prior 1/2, the cohort to strangers, the evidence to whole simulated searches. `calibrate` does all
three for a head that was trained with its branch, `calibrate_by_cosine` for embeddings that were
made for the cosine, as those of faces. Nothing here imports torch. People are classes here:
whatever one name is given to.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from facesearch.errors import TrainingError
from facesearch.evaluation.metrics import fpir, rank_1_rate, threshold_at, tpir
from facesearch.evaluation.protocols import centred_scores, random_open_set_splits
from facesearch.figures import SearchFigures
from facesearch.head import L1SigmoidHead, rotation_code
from facesearch.openset import (
    Cohort,
    Evidence,
    PairHead,
    Strangers,
    fit_strangers,
    posterior,
    third_moment,
)
from facesearch.vectors import Floats, unit

GALLERY_SIZES = (20, 100, 1000)
COHORT_WEIGHT = 10.0  # people; chosen on the val people, docs/decisions/0005
CANDIDATES = 10  # people whose scores a search looks at
MOST_PROBES = 10  # photos of one person that play the probe
PAIRS = 20_000  # mated ones, and about as many others
SEED = 20151
ASKED = (0.001, 0.01, 0.05)  # false-positive rates that are tried
BINS = 15  # of probabilities, in a report
SPLITS, FPIR = 10, 0.01  # of open-set rates: people into enrolled and strangers, and at which rate

# For a head that was trained with its branch
FEWEST_PEOPLE = 40  # with two pictures or more: a gallery of 20 and 20 strangers to it
EXPONENTS = (0.5, 4.0)  # of the score, see fit_exponent; between them it is searched
USUAL_EXPONENT = 1.5  # taken from Omniglot, where there are too few people to fit it
USUAL_STD = 0.25  # of strangers' scores, the same
USUAL_GAP = 3.0  # standard deviations from strangers' scores to mates', the same
USUAL_WEIGHT = 2.0  # what is usual counts as so many people
USUAL_SPREAD = np.array([5.0, 2.0, 0.5])  # of offset, slope and bend from model to model

Ids = NDArray[np.int64]
Pairs = tuple[NDArray[np.intp], NDArray[np.bool_]]  # (n, 2) rows, (n,) whether of one person


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What a manifest says of probabilities."""

    evidence: Evidence
    cohort: Cohort
    made_from: str
    note: str | None = None  # what there was too little data for

    def manifest(self) -> dict[str, Any]:
        """Return it as the manifest of a model has it."""
        mean = [round(float(x), 6) for x in self.cohort.mean]
        stored: dict[str, Any] = {
            "evidence": asdict(self.evidence),
            "cohort": asdict(self.cohort) | {"mean": mean},
            "made_from": self.made_from,
        }
        return stored if self.note is None else stored | {"note": self.note}


class Searches:
    """Simulated searches: galleries of one reference a person, probes of them and of others.

    Row for row `people` (n,), and unit templates (n, dim) of them in the role of the `probes` and
    of the `references`: the same ones where a model does not look at references more closely.
    """

    def __init__(
        self, people: Ids, probes: Floats, references: Floats, head: PairHead | None = None
    ) -> None:
        self.people = people
        self.probes, self.references = probes, references
        self.head = head  # None: one that follows the cosine
        order = np.argsort(people, kind="stable")
        ids, starts = np.unique(people[order], return_index=True)
        self.rows = dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))

    def compared_by(self, head: L1SigmoidHead) -> "Searches":
        """Return the same searches with scores by `head`."""
        return Searches(self.people, self.probes, self.references, head)

    def with_several(self) -> list[NDArray[np.intp]]:
        """Return the rows of each person who has two or more."""
        return [rows for rows in self.rows.values() if len(rows) > 1]

    def sizes(self) -> list[int]:
        """Return the GALLERY_SIZES for which there are people enough."""
        return [size for size in GALLERY_SIZES if 2 * size <= len(self.rows)]

    def scores(self, probes: Floats, references: Floats) -> Floats:
        """Return the scores (n, m) of `probes` (n, dim) with `references` (m, dim)."""
        if self.head is None:
            scores: Floats = probes @ references.T
            return scores
        return self.head.pair_scores(probes, references)

    def simulate(
        self, size: int, seed: int, cohort: Cohort
    ) -> tuple[Strangers, Floats, Ids, Floats]:
        """Return the fit, mated standard scores (m, size), their people (m,), non-mated scores."""
        rng = np.random.default_rng(seed)
        ids = rng.permutation(list(self.rows))
        gallery, mated, owners, non_mated = [], [], [], []
        for number, person in enumerate(ids[: 2 * size + 500]):
            rows = rng.permutation(self.rows[person])
            if number < size:
                gallery.append(rows[0])
                mated += rows[1:MOST_PROBES].tolist()
                owners += [number] * len(rows[1:MOST_PROBES])
            else:
                non_mated += rows[:MOST_PROBES].tolist()
        people = self.references[gallery]
        strangers = fit_strangers(people, size, cohort, self.head)
        references = strangers.centred(people)

        def z(rows: list[int]) -> Floats:
            probes = strangers.centred(self.probes[rows])
            return strangers.standard(self.scores(probes, references))

        return strangers, z(mated), np.array(owners, np.int64), z(non_mated)


def logistic(
    features: NDArray[Any],
    mated: NDArray[Any],
    towards: NDArray[np.float64] | None = None,
    strength: float = 0.0,
) -> NDArray[np.float64]:
    """Return the weights of a logistic regression at prior 1/2, by Newton's method.

    `strength` / 2 times the square of the way to `towards` is added to the mean cross-entropy.
    """
    share = np.where(mated, 0.5 / mated.sum(), 0.5 / (~mated).sum())
    start = np.zeros(features.shape[1]) if towards is None else towards

    def loss(weights: NDArray[np.float64]) -> float:
        cross_entropies = np.logaddexp(0, np.where(mated, -1, 1) * (features @ weights))
        way = weights - start
        return float(share @ cross_entropies + strength / 2 * way @ way)

    weights = start.copy()
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(features @ weights, -50, 50)))
        gradient = features.T @ (share * (p - mated)) + strength * (weights - start)
        curvature = (features * (share * p * (1 - p))[:, None]).T @ features
        step = np.linalg.solve(curvature + (strength + 1e-12) * np.eye(len(weights)), gradient)
        # where all is sure the curvature is next to nothing, and a whole step goes much too far
        for _ in range(50):
            if loss(weights - step) <= loss(weights) + 1e-12:
                break
            step = step / 2
        weights -= step
    return weights


def natural_pairs(searches: Searches, groups: Ids | None = None, n_pairs: int = PAIRS) -> Pairs:
    """Return pairs as they come: `n_pairs` mated ones, each person as often, and others.

    `groups` (n,) says of each template which group its person is of; then half of the others are
    of two people of one group, so that they are not all easy.
    """
    rng = np.random.default_rng(SEED)
    n = len(searches.people)
    several = searches.with_several()
    mated = np.zeros((0, 2), np.intp)
    if several:
        mated = np.stack(
            [
                rng.choice(several[i], 2, replace=False)
                for i in rng.integers(len(several), size=n_pairs)
            ]
        )
    others = rng.integers(n, size=(n_pairs, 2))
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        starts, sizes = np.searchsorted(groups[order], groups), np.bincount(groups)[groups]
        near = others[::2]
        near[:, 1] = order[starts[near[:, 0]] + near[:, 1] % sizes[near[:, 0]]]
    others = others[searches.people[others[:, 0]] != searches.people[others[:, 1]]]
    both = np.concatenate([mated, others])
    return both, np.arange(len(both)) < len(mated)


def fit_cohort(searches: Searches) -> Cohort:
    """Return what strangers look like to this model, from one reference of each person."""
    one_each = searches.references[[rows[0] for rows in searches.rows.values()]]
    mean = one_each.mean(0)
    centred = unit(one_each[:3000] - mean)
    scores = (centred @ centred.T)[np.triu_indices(len(centred), 1)]
    return Cohort(
        mean=mean.astype(np.float32),
        score_mean=float(scores.mean()),
        score_std=float(scores.std()),
        weight=COHORT_WEIGHT,
        probe_length=float((searches.probes * searches.references).sum(1).mean()),
        score_skew=third_moment(scores),
    )


def fit_evidence(searches: Searches, cohort: Cohort, usual: Evidence | None = None) -> Evidence:
    """Return the log-likelihood ratio as a function of the standard score.

    `usual`, if given, holds it with the weight of USUAL_WEIGHT people: where scores part mates from
    strangers without an error, nothing else keeps it from being infinitely sure.

    It is fitted to what is shown in the end: the probabilities of whole searches, mated and
    non-mated alike many, in galleries of all GALLERY_SIZES. (Fitted to single pairs it is right
    where pairs are many and half a nat off where a large gallery decides.)
    """
    cases: list[tuple[int, Floats, Ids, float]] = []  # size, top scores, right column, weight
    for size in searches.sizes():
        seeds = range(max(2, 400 // size))
        for seed in seeds:
            _, mated, owners, non_mated = searches.simulate(size, seed, cohort)
            for z, owner in ((mated, owners), (non_mated, np.full(len(non_mated), -1))):
                nearest = np.argsort(-z, axis=1)[:, :CANDIDATES]
                top = np.take_along_axis(z, nearest, 1)
                hit = nearest == owner[:, None]
                column = np.where(hit.any(1), hit.argmax(1), CANDIDATES)  # else: unknown
                cases.append((size, top, column, 1 / len(seeds) / len(z)))
    low = float(np.quantile(np.concatenate([top[:, -1] for _, top, _, _ in cases]), 0.001))
    high = float(np.quantile(np.concatenate([top[:, 0] for _, top, _, _ in cases]), 0.999))

    def loss(weights: NDArray[np.float64]) -> float:
        total = 0.0
        for size, top, column, weight in cases:
            llrs = weights[0] + weights[1] * top + weights[2] * top**2
            others = np.log(max(size - CANDIDATES, 1e-9)) + np.minimum(llrs[:, -1:], 0)
            unknown = np.logaddexp(others - np.log(size), 0.0)
            logs = np.hstack([llrs - np.log(size), unknown])
            chosen = np.take_along_axis(logs, column[:, None], 1)[:, 0]
            total += weight * float((np.logaddexp.reduce(logs, axis=1) - chosen).sum())
        if usual is not None:
            way = (weights - (usual.offset, usual.slope, usual.bend)) / USUAL_SPREAD
            total += USUAL_WEIGHT / len(searches.rows) * float(way @ way) / 2
        return total

    found = minimize(loss, np.array([-6.5, 2.5, 0.15]), method="Nelder-Mead").x
    turn = -found[1] / (2 * found[2])  # hold the parabola where it turns
    if found[2] > 0:
        low = max(low, float(turn))
    elif found[2] < 0:
        high = min(high, float(turn))
    offset, slope, bend = (round(float(weight), 4) for weight in found)
    return Evidence(offset, slope, bend, low=round(low, 2), high=round(high, 2))


def report(searches: Searches, cohort: Cohort, evidence: Evidence) -> dict[str, float]:
    """Return what the calibration gives on people it was not made from."""
    figures: dict[str, float] = {}
    for measured in search_figures(searches, cohort, evidence):
        size = measured.people
        figures[f"ece_n{size}"] = round(measured.calibration_error, 4)
        for asked, reached in zip(measured.asked, measured.reached, strict=True):
            figures[f"fpir_asked_{asked}_n{size}"] = reached
    return figures


@dataclass(frozen=True, slots=True)
class Rates:
    """What open-set searches give, shares from 0 to 1."""

    rank_1: float  # mated searches with their person on top
    tpir: float  # and above the threshold that a share FPIR of the strangers' exceeds


def open_set_rates(searches: Searches, cohort: Cohort) -> Rates:
    """Return what random open-set searches by the cosine give: the mean of SPLITS splits."""
    people = np.unique(searches.people, return_inverse=True)[1]
    each = []
    for split in random_open_set_splits(people, SPLITS):
        scores = centred_scores(split, searches.probes, searches.references, cohort)
        limit = threshold_at(FPIR, scores["non_mated"])
        mated = scores["mated"]
        each.append((rank_1_rate(mated, split.owners), tpir(mated, split.owners, limit)))
    return Rates(*np.mean(each, axis=0).tolist())


def search_figures(
    searches: Searches, cohort: Cohort, evidence: Evidence
) -> tuple[SearchFigures, ...]:
    """Return what simulated searches give, one for each size of gallery there are people for."""
    return tuple(figures_of_size(searches, size, cohort, evidence) for size in searches.sizes())


def figures_of_size(
    searches: Searches, size: int, cohort: Cohort, evidence: Evidence
) -> SearchFigures:
    """Return what simulated searches in galleries of `size` people give."""
    got: dict[float, list[float]] = {asked: [] for asked in ASKED}
    confidence, right = [], []
    n_mated = n_non_mated = 0
    for seed in range(100, 100 + max(2, 600 // size)):
        strangers, mated, owners, non_mated = searches.simulate(size, seed, cohort)
        n_non_mated += len(non_mated)
        for asked, shares in got.items():
            shares.append(fpir(non_mated, strangers.threshold(asked)))
        n = min(len(mated), len(non_mated))  # as many mated as non-mated: the prior 1/2
        n_mated += n
        for z, owner in ((mated[:n], owners[:n]), (non_mated[:n], np.full(n, -1))):
            best = np.argsort(-z, axis=1)[:, :CANDIDATES]
            llrs = evidence.llr(np.take_along_axis(z, best, 1))
            confidence += [float(posterior(row, size, 0.5)[0][0]) for row in llrs]
            right += (best[:, 0] == owner).tolist()
    place = np.minimum((np.array(confidence) * BINS).astype(int), BINS - 1)
    return SearchFigures(
        people=size,
        mated=n_mated,
        non_mated=n_non_mated,
        asked=ASKED,
        reached=tuple(round(float(np.mean(got[asked])), 5) for asked in ASKED),
        n=np.bincount(place, minlength=BINS),
        stated=np.asarray(np.bincount(place, confidence, BINS), np.float64).round(4),
        true=np.bincount(place, right, BINS).astype(np.int64),
    )


# Embeddings that were made for the cosine


def calibrate_by_cosine(searches: Searches, rotations: int) -> tuple[L1SigmoidHead, Calibration]:
    """Return the head that follows the cosine, and the calibration, fitted to `searches`.

    `rotations` as in `cosine_head`.
    """
    cohort = fit_cohort(searches)
    evidence = fit_evidence(searches, cohort)
    made_from = f"{len(searches.rows)} people, {len(searches.probes)} faces"
    return cosine_head(searches, cohort, rotations), Calibration(evidence, cohort, made_from)


def cosine_head(searches: Searches, cohort: Cohort, rotations: int) -> L1SigmoidHead:
    """Return the rotation code with the bias and weight that calibrate it on natural pairs.

    Of references, which come nearer to what `verify` compares than probes do.
    """
    embeddings = cohort.centred(searches.references)
    projection = rotation_code(embeddings.shape[1], rotations, SEED).astype(np.float16)
    code = embeddings @ projection.astype(np.float32)
    both, is_mated = natural_pairs(searches)
    distance = np.concatenate(
        [np.abs(code[part[:, 0]] - code[part[:, 1]]).sum(1) for part in np.array_split(both, 40)]
    )
    euclid = np.linalg.norm(embeddings[both[:, 0]] - embeddings[both[:, 1]], axis=1)
    bias, slope = logistic(np.stack([np.ones_like(distance), distance], 1), is_mated)
    return L1SigmoidHead(
        projection=projection.astype(np.float32),
        weights=np.full(projection.shape[1], -slope, np.float32),
        bias=float(bias),
        unit_distance=float(-slope * (distance / euclid).mean()),
    )


# A head that was trained with its branch


def calibrate(
    head: L1SigmoidHead, people: Ids, templates: Floats, groups: Ids
) -> tuple[L1SigmoidHead, Calibration]:
    """Return `head` with the bias, slope and scale that suit these people, and the calibration.

    `people` (n,) of unit `templates` (n, dim), nobody of whom it was trained on, and their
    `groups` (n,). Where there are less than FEWEST_PEOPLE, the usual shape stands in for what they
    are too few to fit, and a note says so. Raises TrainingError if there are less than two.
    """
    searches = Searches(people, templates, templates)
    n_people = len(searches.rows)
    if n_people < 2:
        raise TrainingError(f"a model is calibrated on two classes or more, not on {n_people}")
    pairs, mated = natural_pairs(searches, groups)
    head = fit_pairs(head, searches, pairs, mated)
    strangers = pair_distances(head, templates, pairs[~mated])
    n_several = len(searches.with_several())
    if n_several < FEWEST_PEOPLE:
        head = scaled(head, strangers, USUAL_EXPONENT)
        searches = searches.compared_by(head)
        cohort = own_cohort(searches)
        evidence = usual_evidence(searches, cohort)
        note: str | None = (
            f"of {n_several} classes with two pictures or more it cannot be fitted how evidence "
            f"depends on scores, it takes {FEWEST_PEOPLE}: the usual shape is taken"
        )
    else:
        head = scaled(head, strangers, fit_exponent(searches, head, strangers))
        searches = searches.compared_by(head)
        cohort = own_cohort(searches)
        evidence = fit_evidence(searches, cohort, usual_evidence(searches, cohort))
        note = None
    made_from = f"{n_people} classes, {len(people)} pictures"
    return head, Calibration(evidence, cohort, made_from, note)


def pair_distances(
    head: L1SigmoidHead, templates: Floats, pairs: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the head's distances (n,) of the `pairs` (n, 2) of rows of `templates`."""
    codes = head.codes(templates)
    parts = np.array_split(pairs, max(1, len(pairs) // 500))
    gaps = [np.abs(codes[part[:, 0]] - codes[part[:, 1]]) @ head.weights for part in parts]
    return np.concatenate(gaps).astype(np.float64)


def fit_pairs(
    head: L1SigmoidHead, searches: Searches, pairs: NDArray[np.intp], mated: NDArray[np.bool_]
) -> L1SigmoidHead:
    """Return `head` with its logit stretched and shifted so that it is a log-likelihood ratio.

    It is held to what it was with the force of one pair of people, so that a few cannot carry it
    away: a head that tells a few people apart without an error would be infinitely sure.
    """
    if not mated.any():
        return head
    logits = head.bias - pair_distances(head, searches.probes, pairs)
    shift, stretch = logistic(
        np.stack([np.ones_like(logits), logits], 1),
        mated,
        towards=np.array([0.0, 1.0]),
        strength=1 / len(searches.with_several()) ** 2,
    )
    # a network that has learned nothing: nearly no evidence, but in the order it was trained for
    stretch = max(float(stretch), 0.01)
    return replace(
        head, bias=shift + stretch * head.bias, weights=np.float32(stretch) * head.weights
    )


def scaled(head: L1SigmoidHead, distances: NDArray[np.float64], exponent: float) -> L1SigmoidHead:
    """Return `head` with scores of that exponent, whose mean is 0 at strangers' `distances`."""
    mean = float((np.abs(distances) ** exponent).mean())
    unit_distance = max((mean / 2) ** (1 / exponent), 1e-6)
    return replace(head, exponent=exponent, unit_distance=unit_distance)


def fit_exponent(searches: Searches, head: L1SigmoidHead, distances: NDArray[np.float64]) -> float:
    """Return the exponent with which strangers get a name as often as was asked for.

    A larger one makes the tail of strangers' scores shorter. The logarithms of rate got to rate
    asked, over all sizes of galleries, have to add up to zero: found by halving the interval.
    """
    low, high = EXPONENTS
    while high - low > 0.02:
        middle = (low + high) / 2
        searches = searches.compared_by(scaled(head, distances, middle))
        cohort = own_cohort(searches)
        excess = 0.0
        for size in searches.sizes():
            for seed in range(max(2, 100 // size)):
                strangers, _, _, non_mated = searches.simulate(size, seed, cohort)
                for asked in (0.01, 0.05):
                    got = fpir(non_mated, strangers.threshold(asked))
                    excess += np.log((got + asked / 10) / (1.1 * asked))
        low, high = (middle, high) if excess > 0 else (low, middle)
    return round((low + high) / 2, 2)


def own_cohort(searches: Searches) -> Cohort:
    """Return what strangers look like to a head of its own order: from many references of each.

    The spread is that of these people, and of USUAL_WEIGHT people at USUAL_STD.
    """
    each = max(1, 1000 // len(searches.rows))
    rows = np.concatenate([rows[:each] for rows in list(searches.rows.values())[:1000]])
    templates, people = searches.references[rows], searches.people[rows]
    scores = searches.scores(templates, templates)[people[:, None] != people]
    n = len(searches.rows)
    variance = (USUAL_WEIGHT * USUAL_STD**2 + n * scores.var()) / (USUAL_WEIGHT + n)
    return Cohort(
        mean=np.zeros(templates.shape[1], np.float32),  # nothing is subtracted for such a head
        score_mean=float(scores.mean()),
        score_std=float(np.sqrt(variance)),
        weight=COHORT_WEIGHT,
        probe_length=1.0,
    )


def usual_evidence(searches: Searches, cohort: Cohort) -> Evidence:
    """Return the evidence if mates' scores are normal, as wide as strangers' and a gap away.

    The gap is that of these people, and of USUAL_WEIGHT people at USUAL_GAP.
    """
    gaps = []
    for rows in searches.with_several():
        scores = searches.scores(searches.probes[rows[:1]], searches.references[rows[1:]])
        gaps.append(float(((scores - cohort.score_mean) / cohort.score_std).mean()))
    gap = (USUAL_WEIGHT * USUAL_GAP + sum(gaps)) / (USUAL_WEIGHT + len(gaps))
    slope = float(np.clip(gap, 0.5, 5.0))
    offset = -slope * slope / 2
    return Evidence(round(offset, 4), round(slope, 4), 0.0, low=-1.0, high=round(slope + 1, 2))
