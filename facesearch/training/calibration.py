"""Templates of people no network was trained on -> what turns scores into probabilities.

Three things are fitted, each to what it is used for: the head's bias and slope to single pairs at
prior 1/2, the cohort to strangers, the evidence to whole simulated searches. `calibrate` does all
three for a head that was trained with its branch, `calibrate_by_cosine` for embeddings that were
trained for the cosine, as those of faces. People are classes here, as in `searches`. Nothing here
imports torch.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from facesearch.candidates import CANDIDATES
from facesearch.errors import TrainingError
from facesearch.evaluation.metrics import fpir
from facesearch.head import L1SigmoidHead, rotation_code
from facesearch.openset import Cohort, Evidence, log_weights, third_moment
from facesearch.training.searches import (
    SEED,
    Ids,
    Searches,
    natural_pairs,
    pair_distances,
    top_candidates,
)
from facesearch.vectors import Floats, unit

COHORT_WEIGHT = 10.0  # people; chosen on the val people, docs/decisions/0005

# For a head that was trained with its branch. The priors are typical of models of Omniglot.
MIN_PEOPLE = 40  # with two pictures or more: enough for galleries of 20, and 20 strangers to them
EXPONENTS = (0.5, 4.0)  # limits of the score's exponent, see fit_exponent
PRIOR_EXPONENT = 1.5  # used where there are fewer than MIN_PEOPLE
PRIOR_STD = 0.25  # of strangers' scores
PRIOR_GAP = 3.0  # from strangers' mean score to mates', in standard deviations of strangers
PRIOR_WEIGHT = 2.0  # a prior counts as much as this many people
PRIOR_SPREAD = np.array([5.0, 2.0, 0.5])  # by how much offset, slope and bend differ among models


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What a manifest holds under "calibration"."""

    evidence: Evidence
    cohort: Cohort
    made_from: str
    note: str | None = None  # what could not be fitted because there were too few people

    def manifest(self) -> dict[str, Any]:
        """Return the entry "calibration" of a model's manifest."""
        mean = [round(float(x), 6) for x in self.cohort.mean]
        stored: dict[str, Any] = {
            "evidence": asdict(self.evidence),
            "cohort": asdict(self.cohort) | {"mean": mean},
            "made_from": self.made_from,
        }
        return stored if self.note is None else stored | {"note": self.note}


def logistic(
    features: NDArray[Any],
    mated: NDArray[Any],
    prior: NDArray[np.float64] | None = None,
    strength: float = 0.0,
) -> NDArray[np.float64]:
    """Return the weights of a logistic regression at prior 1/2, by Newton's method.

    `strength` / 2 times the squared distance of the weights from `prior` is added to the mean
    cross-entropy.
    """
    share = np.where(mated, 0.5 / mated.sum(), 0.5 / (~mated).sum())
    start = np.zeros(features.shape[1]) if prior is None else prior

    def loss(weights: NDArray[np.float64]) -> float:
        cross_entropies = np.logaddexp(0, np.where(mated, -1, 1) * (features @ weights))
        deviation = weights - start
        return float(share @ cross_entropies + strength / 2 * deviation @ deviation)

    weights = start.copy()
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(features @ weights, -50, 50)))
        gradient = features.T @ (share * (p - mated)) + strength * (weights - start)
        curvature = (features * (share * p * (1 - p))[:, None]).T @ features
        step = np.linalg.solve(curvature + (strength + 1e-12) * np.eye(len(weights)), gradient)
        # where every pair is certain the curvature is almost 0 and a whole step goes much too far
        for _ in range(50):
            if loss(weights - step) <= loss(weights) + 1e-12:
                break
            step = step / 2
        weights -= step
    return weights


def fit_evidence(searches: Searches, cohort: Cohort, prior: Evidence | None = None) -> Evidence:
    """Return the log-likelihood ratio as a function of the standard score.

    It is fitted to what users see: the probabilities of whole searches, with equal weight on mated
    and non-mated searches, in galleries of all GALLERY_SIZES. (Fitted to single pairs it is right
    for pairs, and half a nat off where a large gallery decides.)

    `prior`, if given, counts as much as PRIOR_WEIGHT people: where scores separate mates from
    strangers without an error, nothing else keeps the evidence finite.
    """
    cases: list[tuple[int, Floats, Ids, float]] = []  # size, top scores, right column, weight
    for size in searches.sizes():
        seeds = range(max(2, 400 // size))
        for seed in seeds:
            simulated = searches.simulate(size, seed, cohort)
            for z, owner in (
                (simulated.mated, simulated.owners),
                (simulated.non_mated, np.full(len(simulated.non_mated), -1)),
            ):
                columns, top = top_candidates(z)
                hit = columns == owner[:, None]
                column = np.where(hit.any(1), hit.argmax(1), CANDIDATES)  # the last: unknown
                cases.append((size, top, column, 1 / len(seeds) / len(z)))
    low = float(np.quantile(np.concatenate([top[:, -1] for _, top, _, _ in cases]), 0.001))
    high = float(np.quantile(np.concatenate([top[:, 0] for _, top, _, _ in cases]), 0.999))

    def loss(weights: NDArray[np.float64]) -> float:
        total = 0.0
        for size, top, column, weight in cases:
            llrs = weights[0] + weights[1] * top + weights[2] * top**2
            logs = log_weights(llrs, size, 0.5)
            unknown = np.logaddexp(logs[:, -2:-1], logs[:, -1:])
            logs = np.hstack([logs[:, :-2], unknown])
            right = np.take_along_axis(logs, column[:, None], 1)[:, 0]
            total += weight * float((np.logaddexp.reduce(logs, axis=1) - right).sum())
        if prior is not None:
            deviation = (weights - (prior.offset, prior.slope, prior.bend)) / PRIOR_SPREAD
            total += PRIOR_WEIGHT / len(searches.rows) * float(deviation @ deviation) / 2
        return total

    weights = minimize(loss, np.array([-6.5, 2.5, 0.15]), method="Nelder-Mead").x
    vertex = -weights[1] / (2 * weights[2])  # beyond it the parabola would reverse the order
    if weights[2] > 0:
        low = max(low, float(vertex))
    elif weights[2] < 0:
        high = min(high, float(vertex))
    offset, slope, bend = (round(float(weight), 4) for weight in weights)
    return Evidence(offset, slope, bend, low=round(low, 2), high=round(high, 2))


# Embeddings that were trained for the cosine


def calibrate_by_cosine(searches: Searches, rotations: int) -> tuple[L1SigmoidHead, Calibration]:
    """Return the head that follows the cosine and the calibration, both fitted to `searches`.

    The head's code consists of `rotations` random rotations of the embedding.
    """
    cohort = fit_cohort(searches)
    evidence = fit_evidence(searches, cohort)
    made_from = f"{len(searches.rows)} people, {len(searches.probes)} faces"
    return cosine_head(searches, cohort, rotations), Calibration(evidence, cohort, made_from)


def fit_cohort(searches: Searches) -> Cohort:
    """Return how strangers score by this model, from one reference of each person."""
    references = searches.references[[rows[0] for rows in searches.rows.values()]]
    mean = references.mean(0)
    centered = unit(references[:3000] - mean)
    scores = (centered @ centered.T)[np.triu_indices(len(centered), 1)]
    return Cohort(
        mean=mean.astype(np.float32),
        score_mean=float(scores.mean()),
        score_std=float(scores.std()),
        weight=COHORT_WEIGHT,
        probe_length=float((searches.probes * searches.references).sum(1).mean()),
        score_skew=third_moment(scores),
    )


def cosine_head(searches: Searches, cohort: Cohort, rotations: int) -> L1SigmoidHead:
    """Return the rotation code with the bias and weight that calibrate it on natural pairs.

    The pairs are of references, which are closer to what `verify` compares than probes are.
    """
    embeddings = cohort.centered(searches.references)
    projection = rotation_code(embeddings.shape[1], rotations, SEED).astype(np.float16)
    code = embeddings @ projection.astype(np.float32)
    pairs, mated = natural_pairs(searches)
    distance = np.concatenate(
        [np.abs(code[part[:, 0]] - code[part[:, 1]]).sum(1) for part in np.array_split(pairs, 40)]
    )
    euclidean = np.linalg.norm(embeddings[pairs[:, 0]] - embeddings[pairs[:, 1]], axis=1)
    bias, slope = logistic(np.stack([np.ones_like(distance), distance], 1), mated)
    return L1SigmoidHead(
        projection=projection.astype(np.float32),
        weights=np.full(projection.shape[1], -slope, np.float32),
        bias=float(bias),
        unit_distance=float(-slope * (distance / euclidean).mean()),
    )


# A head that was trained with its branch


def calibrate(
    head: L1SigmoidHead, people: Ids, templates: Floats, groups: Ids
) -> tuple[L1SigmoidHead, Calibration]:
    """Return `head` with bias, slope and scale fitted to these people, and the calibration.

    `people` (n,) and their `groups` (n,) belong to unit `templates` (n, dim); the head should have
    been trained on none of them. With fewer than MIN_PEOPLE, priors replace what so few people
    cannot determine, and a note says so. Raises TrainingError if there are fewer than two.
    """
    searches = Searches(people, templates, templates)
    n_people = len(searches.rows)
    if n_people < 2:
        raise TrainingError(f"calibrating a model takes two classes or more, not {n_people}")
    pairs, mated = natural_pairs(searches, groups)
    head = fit_pairs(head, searches, pairs, mated)
    distances = pair_distances(head, templates, pairs[~mated])
    n_with_mates = len(searches.rows_of_mates())
    enough = n_with_mates >= MIN_PEOPLE
    exponent = fit_exponent(searches, head, distances) if enough else PRIOR_EXPONENT
    head = scaled(head, distances, exponent)
    searches = searches.compared_by(head)
    cohort = trained_head_cohort(searches)
    evidence = prior_evidence(searches, cohort)
    note: str | None = None
    if enough:
        evidence = fit_evidence(searches, cohort, evidence)
    else:
        note = (
            f"{n_with_mates} classes with two pictures or more are too few to fit how evidence "
            f"depends on scores, which takes {MIN_PEOPLE}: the usual shape is used"
        )
    made_from = f"{n_people} classes, {len(people)} pictures"
    return head, Calibration(evidence, cohort, made_from, note)


def fit_pairs(
    head: L1SigmoidHead, searches: Searches, pairs: NDArray[np.intp], mated: NDArray[np.bool_]
) -> L1SigmoidHead:
    """Return `head` with its logit scaled and shifted so that it is a log-likelihood ratio.

    The trained scale and shift count as much as one pair of people: otherwise a head that tells a
    few people apart without an error would become infinitely certain.
    """
    if not mated.any():
        return head
    logits = head.bias - pair_distances(head, searches.probes, pairs)
    shift, scale = logistic(
        np.stack([np.ones_like(logits), logits], 1),
        mated,
        prior=np.array([0.0, 1.0]),
        strength=1 / len(searches.rows_of_mates()) ** 2,
    )
    # a network that has learned nothing: almost no evidence, but in the order it was trained for
    scale = max(float(scale), 0.01)
    return replace(head, bias=shift + scale * head.bias, weights=np.float32(scale) * head.weights)


def scaled(head: L1SigmoidHead, distances: NDArray[np.float64], exponent: float) -> L1SigmoidHead:
    """Return `head` with scores of that exponent, whose mean is 0 at strangers' `distances`."""
    mean = float((np.abs(distances) ** exponent).mean())
    unit_distance = max((mean / 2) ** (1 / exponent), 1e-6)
    return replace(head, exponent=exponent, unit_distance=unit_distance)


def fit_exponent(searches: Searches, head: L1SigmoidHead, distances: NDArray[np.float64]) -> float:
    """Return the exponent with which strangers are named as often as was asked for.

    A larger exponent shortens the upper tail of strangers' scores. Bisection finds where the
    logarithms of reached rate to asked rate add up to zero, over galleries of all sizes.
    """
    low, high = EXPONENTS
    while high - low > 0.02:
        middle = (low + high) / 2
        searches = searches.compared_by(scaled(head, distances, middle))
        cohort = trained_head_cohort(searches)
        excess = 0.0
        for size in searches.sizes():
            for seed in range(max(2, 100 // size)):
                simulated = searches.simulate(size, seed, cohort)
                for asked in (0.01, 0.05):
                    reached = fpir(simulated.non_mated, simulated.strangers.threshold(asked))
                    excess += np.log((reached + asked / 10) / (1.1 * asked))
        low, high = (middle, high) if excess > 0 else (low, middle)
    return round((low + high) / 2, 2)


def trained_head_cohort(searches: Searches) -> Cohort:
    """Return how strangers score by a trained head, from many references of each person.

    The variance is that of these people, averaged with PRIOR_WEIGHT people at PRIOR_STD.
    """
    per_person = max(1, 1000 // len(searches.rows))
    rows = np.concatenate([rows[:per_person] for rows in list(searches.rows.values())[:1000]])
    templates, people = searches.references[rows], searches.people[rows]
    scores = searches.scores(templates, templates)[people[:, None] != people]
    n = len(searches.rows)
    variance = (PRIOR_WEIGHT * PRIOR_STD**2 + n * scores.var()) / (PRIOR_WEIGHT + n)
    return Cohort(
        mean=np.zeros(templates.shape[1], np.float32),  # such a head compares templates uncentered
        score_mean=float(scores.mean()),
        score_std=float(np.sqrt(variance)),
        weight=COHORT_WEIGHT,
        probe_length=1.0,
    )


def prior_evidence(searches: Searches, cohort: Cohort) -> Evidence:
    """Return the evidence if mates' scores are normal, as wide as strangers' and a gap away.

    The gap is that of these people, averaged with PRIOR_WEIGHT people at PRIOR_GAP.
    """
    gaps = []
    for rows in searches.rows_of_mates():
        scores = searches.scores(searches.probes[rows[:1]], searches.references[rows[1:]])
        gaps.append(float(((scores - cohort.score_mean) / cohort.score_std).mean()))
    gap = (PRIOR_WEIGHT * PRIOR_GAP + sum(gaps)) / (PRIOR_WEIGHT + len(gaps))
    slope = float(np.clip(gap, 0.5, 5.0))
    offset = -slope * slope / 2
    return Evidence(round(offset, 4), round(slope, 4), 0.0, low=-1.0, high=round(slope + 1, 2))
