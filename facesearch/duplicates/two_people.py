"""Enrolled people -> names whose photos are probably of two people.

The templates of a name fall into two camps, the two clusters that are least alike. A `Judge` says
how likely the camps are one person; how alike the camps of one person are is read from the gallery,
where nearly every name is one person.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facesearch.duplicates.judge import (
    Doubles,
    Enrolled,
    Ids,
    Judge,
    estimated_share,
    log_odds,
    sigmoid,
)
from facesearch.vectors import Floats, unit

# The camps of one person score this much lower than two photos of one person, as they are the
# halves that are least alike. Counts only while a gallery has few people, see MATES_WEIGHT.
CAMPS_LOWER_Z = 1.0

CAMP_ROUNDS = 20  # of two-means; it converges after about five


@dataclass(frozen=True, slots=True)
class TwoPeople:
    """A name that may hold two people."""

    person: int
    probability: float
    camps: tuple[tuple[int, ...], tuple[int, ...]]  # template ids, the larger camp first


@dataclass(frozen=True, slots=True, eq=False)
class Camps:
    """The two camps of every person who has two, and how alike they are."""

    people: list[int]  # (n,) ids, rising
    templates: list[tuple[Ids, Ids]]  # (n,) ids of the templates of each camp
    z: Doubles  # (n,) standard scores of the camps' means
    sizes: tuple[Doubles, Doubles]  # (n,) templates of each camp


def two_in_one(
    enrolled: Enrolled,
    judge: Judge,
    *,
    at_least: float = 0.5,
    confirmed: Collection[int] = (),
) -> tuple[TwoPeople, ...]:
    """Return the people whose templates are of two with a probability of `at_least`.

    Most probable first. By Bayes' rule: the prior odds that a name holds two people are
    share / (1 - share), divided by the likelihood ratio that its camps are one person. `confirmed`
    are ids of templates that a human has said to be of their person: people are not proposed if
    both camps hold such a template.
    """
    found = camps_of_everyone(enrolled, judge)
    if not found.people:
        return ()
    usual = replace(judge.model_mates, mean=judge.model_mates.mean - CAMPS_LOWER_Z)
    of_one = usual.updated(judge.single_photo_scores(found.z, *found.sizes))
    against = -judge.llrs(found.z, *found.sizes, of_one)
    share = estimated_share(against, len(found.people), 1, people_per_case=1)
    probabilities = sigmoid(against + log_odds(share)).tolist()
    confirmed = frozenset(confirmed)
    proposed = []
    for person, both, p in zip(found.people, found.templates, probabilities, strict=True):
        camps = [tuple(sorted(ids.tolist())) for ids in both]
        if p < at_least or not any(confirmed.isdisjoint(ids) for ids in camps):
            continue
        larger, smaller = sorted(camps, key=lambda ids: (-len(ids), ids))
        proposed.append(TwoPeople(person, p, (larger, smaller)))
    return tuple(sorted(proposed, key=lambda two: (-two.probability, two.person)))


def camps_of_everyone(enrolled: Enrolled, judge: Judge) -> Camps:
    """Return the camps of all people `enrolled`; whoever has only one camp is left out."""
    people: list[int] = []
    templates: list[tuple[Ids, Ids]] = []
    sums: list[tuple[Floats, Floats]] = []
    order = np.argsort(enrolled.people, kind="stable")
    ids, starts = np.unique(enrolled.people[order], return_index=True)
    for person, rows in zip(ids.tolist(), np.split(order, starts)[1:], strict=True):
        second = two_camps(judge.strangers.centered(enrolled.templates[rows]))
        if second is not None:
            camps = rows[~second], rows[second]
            people.append(person)
            templates.append((enrolled.ids[camps[0]], enrolled.ids[camps[1]]))
            sums.append((enrolled.templates[camps[0]].sum(0), enrolled.templates[camps[1]].sum(0)))
    if not people:
        return Camps([], [], np.zeros(0), (np.zeros(0), np.zeros(0)))
    a, b = (judge.strangers.centered(unit(np.stack(side))) for side in zip(*sums, strict=True))
    sizes = np.array([(len(one), len(other)) for one, other in templates], np.float64).T
    return Camps(people, templates, judge.scores(a, b), (sizes[0], sizes[1]))


def two_camps(centered: Floats) -> NDArray[np.bool_] | None:
    """Return which of the unit rows (n, dim) are in the second of two camps; None if there is one.

    Two-means by the cosine, starting from the row least like all others and the row least like it.
    """
    if len(centered) < 2:
        return None
    odd = int((centered @ centered.sum(0)).argmin())
    middles = centered[[odd, int((centered @ centered[odd]).argmin())]]
    camp = np.zeros(len(centered), bool)
    for _ in range(CAMP_ROUNDS):
        nearer = centered @ middles[1] > centered @ middles[0]
        if nearer.all() or not nearer.any():
            return None  # all rows are the same
        if (nearer == camp).all():
            break
        camp = nearer
        middles = unit(np.stack([centered[~camp].sum(0), centered[camp].sum(0)]))
    return camp
