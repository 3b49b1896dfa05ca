"""A model and pictures in classes -> its verification and one-shot rates, by head and by cosine.

The cosine is that of the search codes, by which the index proposes candidates. The difference
between the two is what the head adds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.embedding import BATCH
from facesearch.evaluation import metrics
from facesearch.evaluation.omniglot import Ids
from facesearch.evaluation.one_shot import (
    Episodes,
    Estimate,
    Scores,
    lake_accuracy,
    play_episodes,
    playable,
)
from facesearch.evaluation.pairs import Pairs, verification_pairs
from facesearch.evaluation.pictures import Cropper, LakeTrials, Pictures
from facesearch.identification import cut
from facesearch.model import Model
from facesearch.photo import Photo
from facesearch.vectors import Floats, product

Comparer = Callable[[Floats, Floats], Floats]  # rows (n, dim), one side may be one row -> (n,)

FARS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # at which the ROC is reported
CHUNK = 512  # pairs compared at once: their 2 MB of codes stay in the cache

# Published accuracies on Omniglot: system, verification, 20-way one-shot on Lake's 400 trials. The
# first three are from Koch, Zemel and Salakhutdinov (2015), tables 1 and 2.
PUBLISHED = (
    ("Humans (Lake et al. 2013)", None, 0.955),
    ("Hierarchical Bayesian program learning (Lake et al. 2013)", None, 0.952),
    ("Siamese network (Koch et al. 2015)", 0.9342, 0.920),
    ("Attentive recurrent comparators (Shyam et al. 2017)", None, 0.985),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rates of one way to compare embeddings, from 0 to 1."""

    auc: float
    eer: float
    best_accuracy: float  # at the threshold that is best for these very pairs
    roc: tuple[tuple[float, float | None], ...]  # (FAR, TAR); None: too few pairs
    one_shot: Estimate | None  # random episodes within groups; None if no group allows one
    lake: Estimate | None  # Lake's 400 trials; None if the source has none

    def tar_at(self, far: float) -> float | None:
        """Return the TAR at one of FARS."""
        return dict(self.roc)[far]


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The rates of a model on pictures in classes."""

    head: Comparison
    cosine: Comparison  # of the search codes
    accuracy: float  # share of all pairs that the head decides correctly at even odds
    ways: int | None  # classes in the largest episode; None if no group allows one
    fewest_ways: int | None  # in the smallest
    pairs: Pairs
    llrs: Floats  # (pairs,) the head's


def model_cropper(model: Model) -> Cropper:
    """Return a cropper for `model`: it cuts the largest face, or the drawing or picture."""

    def crop(photo: Photo) -> NDArray[np.uint8] | None:
        largest = model.detector.detect(photo)[:1]
        return cut(photo, largest, model)[0] if largest else None

    return crop


def pairs_needed(far: float) -> int:
    """Return how many pairs, half of them non-mated, it takes to report the TAR at a FAR.

    The rule of 3 (ISO/IEC 19795-1): even without an error in n pairs the rate may be 3 / n.
    """
    return 2 * math.ceil(round(3 / far, 6))


def evaluate(
    model: Model,
    pictures: Pictures,
    lake: LakeTrials | None = None,
    *,
    n_pairs: int = 20_000,
    ways: int = 20,
    seed: int = 0,
    advance: Callable[[int], object] | None = None,
) -> Report:
    """Return the rates of `model` on `pictures`, which its `model_cropper` has cut.

    `n_pairs` and `seed` as in `verification_pairs`, `ways` as in `play_episodes`; `lake` has rows
    of `pictures`. `advance` is called after each picture with the number of all pictures. Raises
    DataError if there are no pairs to verify.
    """
    pairs = verification_pairs(pictures, n_pairs, seed)
    embeddings = _embedded(model, pictures.crops, advance)
    codes = model.head.codes(embeddings)  # once per picture; `model.compare` would do so per pair
    weights, bias = model.head.weights[:, None], np.float32(model.head.bias)

    def llr(a: Floats, b: Floats) -> Floats:
        return bias - product(np.abs(a - b), weights)[:, 0]

    def cosine(a: Floats, b: Floats) -> Floats:
        return np.asarray((a * b).sum(1), np.float32)

    llrs = _of_pairs(llr, codes, pairs)
    settings = pictures, lake, pairs, ways, seed
    by_head, episodes = _compared(llrs, _matrix(llr, codes), *settings)
    searched = model.search_codes(embeddings)
    cosines = _of_pairs(cosine, searched, pairs)
    by_cosine, _ = _compared(cosines, _matrix(cosine, searched), *settings)
    accuracy = float(
        np.mean((llrs > 0) == pairs.mated)
    )  # as `Gallery.verify` decides, from one view
    widest, narrowest = (episodes.ways, episodes.fewest_ways) if episodes else (None, None)
    return Report(by_head, by_cosine, accuracy, widest, narrowest, pairs, llrs)


def _compared(
    pair_scores: Floats,
    scores: Scores,
    pictures: Pictures,
    lake: LakeTrials | None,
    pairs: Pairs,
    ways: int,
    seed: int,
) -> tuple[Comparison, Episodes | None]:
    """Return the rates of one way to compare, and its episodes if a group allows any."""
    classes, groups = pictures.classes, pictures.groups
    episodes = None
    if playable(classes, groups):
        episodes = play_episodes(scores, classes, groups, ways=ways, seed=seed)
    mated = pairs.mated
    comparison = Comparison(
        auc=metrics.auc(pair_scores, mated),
        eer=metrics.eer(pair_scores, mated),
        best_accuracy=metrics.best_accuracy(pair_scores, mated),
        roc=tuple((far, _tar(pair_scores, mated, far)) for far in FARS),
        one_shot=episodes.estimate() if episodes else None,
        lake=lake_accuracy(scores, lake) if lake else None,
    )
    return comparison, episodes


def _tar(pair_scores: Floats, mated: NDArray[np.bool_], far: float) -> float | None:
    enough = len(mated) >= pairs_needed(far)
    return metrics.tar_at_far(pair_scores, mated, far) if enough else None


def _of_pairs(score: Comparer, rows: Floats, pairs: Pairs) -> Floats:
    """Return the scores (n,) of pairs, computed CHUNK at a time."""
    starts = range(0, len(pairs), CHUNK)
    parts = [(pairs.first[i : i + CHUNK], pairs.second[i : i + CHUNK]) for i in starts]
    return np.concatenate([score(rows[first], rows[second]) for first, second in parts])


def _matrix(score: Comparer, rows: Floats) -> Scores:
    """Return the comparison of some of `rows` with others, for one-shot trials."""

    def scores(probes: Ids, support: Ids) -> Floats:
        return np.stack([score(rows[probe], rows[support]) for probe in probes])

    return scores


def _embedded(
    model: Model, crops: NDArray[np.uint8], advance: Callable[[int], object] | None
) -> Floats:
    """Return the embeddings (n, dim) of `crops`; `advance` as in `evaluate`."""
    parts = []
    for start in range(0, len(crops), BATCH):
        parts.append(model.embed(crops[start : start + BATCH]))
        if advance is not None:
            for _ in parts[-1]:
                advance(len(crops))
    return np.concatenate(parts)
