"""One-shot classification: which of several pictures, one of each class, is of the probe's class?

`scores` below is any comparison: rows of n probes and of m support pictures -> (n, m) numbers,
higher is more alike. It is called trial by trial, so that no matrix of all pictures is needed. A
tie with the right class counts as wrong: otherwise a network that gives all pictures the same
embedding would always be right.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.evaluation.metrics import on_top
from facesearch.evaluation.omniglot import Ids
from facesearch.evaluation.pictures import LakeTrials

Scores = Callable[[Ids, Ids], NDArray[np.floating]]
Z95 = 1.959964  # 95% of the normal distribution are within this many standard deviations
# The same for Student's t with 1 to 10 degrees of freedom (Abramowitz and Stegun, table 26.10,
# column 0.975)
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True, slots=True)
class Estimate:
    """An accuracy, 0 to 1, and its 95% confidence interval."""

    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """How often each class was probed, and recognized, in random episodes."""

    asked: Ids  # (classes,)
    right: Ids  # (classes,)
    groups: Ids  # (classes,)
    ways: int  # classes in the largest episode
    fewest_ways: int  # in the smallest

    @property
    def accuracy(self) -> float:
        """The mean over groups of the share of a group's probes that were recognized."""
        return float(np.mean(self._by_group()))

    def estimate(self) -> Estimate:
        """Return the accuracy with Student's interval over groups, clipped to 0 and 1.

        The units are groups, since classes of one alphabet are equally hard, or classes if there is
        only one group. The interval is for other units of the kind, and is wide if there are few.
        If all units have the same accuracy, Student's interval would be empty: then it is Wilson's
        for as many trials as there are units.
        """
        units = self._by_group()
        if len(units) == 1:
            asked = self.asked > 0
            units = self.right[asked] / self.asked[asked]
        if units.min() == units.max():
            return wilson_interval(float(units.sum()), len(units))
        reach = student_quantile(len(units) - 1) * float(units.std(ddof=1)) / math.sqrt(len(units))
        accuracy = self.accuracy
        return Estimate(accuracy, max(0.0, accuracy - reach), min(1.0, accuracy + reach))

    def _by_group(self) -> NDArray[np.float64]:
        asked = np.bincount(self.groups, self.asked)
        right = np.bincount(self.groups, self.right)
        return right[asked > 0] / asked[asked > 0]


def play_episodes(
    scores: Scores,
    classes: Ids,
    groups: Ids,
    *,
    ways: int = 20,
    trials: int = 400,
    seed: int = 7,
) -> Episodes:
    """Return the outcome of `trials` random one-shot episodes within each group.

    `classes` (n,) is the class of each picture, `groups` (classes,) the group of each class. An
    episode takes `ways` classes of a group, or all if there are fewer. Of each class one random
    picture is support and another one is a probe, compared with all the support; a class with one
    picture is support only. This is harder than Lake's trials, in which one drawer made all the
    support and another all the probes. Unlike in `verification_pairs`, the two pictures may be
    exact copies. Raises ValueError if no group is `playable`.
    """
    groups_played = playable(classes, groups)
    if not groups_played:
        raise ValueError("an episode takes a group of two classes, one with two pictures")
    order = np.argsort(classes, kind="stable")
    n_pictures = np.bincount(classes, minlength=len(groups))
    first = np.cumsum(n_pictures) - n_pictures  # place in `order` of each class's first picture
    asked, right = np.zeros(len(groups), np.int64), np.zeros(len(groups), np.int64)
    for group, members in groups_played.items():
        rng = np.random.default_rng((seed, group))
        for _ in range(trials):
            chosen = rng.permutation(members)[:ways]
            n = n_pictures[chosen]
            first_drawn = rng.integers(n)
            other = (first_drawn + 1 + rng.integers(np.maximum(n - 1, 1))) % n
            probed = np.flatnonzero(n > 1)
            support = order[first[chosen] + first_drawn]
            probes = order[(first[chosen] + other)[probed]]
            asked[chosen[probed]] += 1
            right[chosen[probed]] += on_top(scores(probes, support), probed)
    sizes = [min(ways, len(members)) for members in groups_played.values()]
    return Episodes(asked, right, groups, max(sizes), min(sizes))


def playable(classes: Ids, groups: Ids) -> dict[int, Ids]:
    """Return the classes of each group that allows an episode: at least two, one with two pictures.

    `classes` and `groups` as in `play_episodes`.
    """
    n_pictures = np.bincount(classes, minlength=len(groups))
    found = {}
    for group in np.unique(groups):
        members = np.flatnonzero((groups == group) & (n_pictures > 0))
        if len(members) > 1 and n_pictures[members].max() > 1:
            found[int(group)] = members
    return found


def lake_accuracy(scores: Scores, trials: LakeTrials) -> Estimate:
    """Return the accuracy on Lake's 400 trials, with Wilson's interval."""
    n_right = sum(
        int(on_top(scores(probes, support), answers).sum())
        for support, probes, answers in zip(
            trials.support, trials.probes, trials.answers, strict=True
        )
    )
    return wilson_interval(n_right, trials.answers.size)


def wilson_interval(n_right: float, n: int) -> Estimate:
    """Return the share `n_right` / `n` with Wilson's 95% interval for a proportion.

    Wilson, JASA 22 (1927), 209-212; recommended by Brown, Cai and DasGupta, "Interval estimation
    for a binomial proportion" (2001), as its coverage is near 95% even close to 0 and 1. It assumes
    independent trials. Raises ValueError if `n` is 0.
    """
    if n == 0:
        raise ValueError("an accuracy over no trials has no value")
    share = n_right / n
    center = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    reach = Z95 / (1 + Z95**2 / n) * math.sqrt(share * (1 - share) / n + (Z95 / (2 * n)) ** 2)
    return Estimate(share, max(0.0, center - reach), min(1.0, center + reach))


def student_quantile(freedom: int) -> float:
    """Return the 0.975 quantile of Student's t: 95% are within this many standard deviations.

    From 11 degrees of freedom on by the first terms of Abramowitz and Stegun, 26.7.5, with an error
    of at most 0.0021.
    """
    if freedom <= len(T95):
        return T95[freedom - 1]
    second = (5 * Z95**5 + 16 * Z95**3 + 3 * Z95) / 96
    return Z95 + (Z95**3 + Z95) / 4 / freedom + second / freedom**2
