"""Enrolled people -> pairs and groups of names that are probably one person.

These are proposals, each with a probability; nothing is changed. Pairs come from the index, never
from comparing everybody with everybody; a `Judge` says how likely each is. What a human has decided
is not proposed again. Identical twins look like one person to all of this: where a gallery has
some, they are proposed at any probability.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from facesearch.duplicates.judge import (
    Enrolled,
    Ids,
    Judge,
    PersonSums,
    estimated_share,
    log_odds,
    pair_llrs,
    sigmoid,
    sum_by_person,
)
from facesearch.duplicates.neighbors import index_of, search_deeper
from facesearch.names import folded
from facesearch.vectors import Floats, unit
from facesearch_indexes.base import Matches, VectorIndex

NEAREST = 16  # neighbors of a template searched first; more while all of them are its own person's
MIN_MEANS_Z = 3.0  # pairs whose mean templates score less are not worth the head's time


@dataclass(frozen=True, slots=True)
class SamePerson:
    """Two enrolled people who may be one."""

    people: tuple[int, int]  # ids, rising
    probability: float
    same_name: bool  # their names are equal but for case, accents or spaces


@dataclass(frozen=True, slots=True)
class PeopleGroup:
    """People who are probably one, held together by more than one pair's likeness."""

    people: tuple[int, ...]  # ids, rising
    probability: float  # of the least probable of the steps that joined them
    left_out: tuple[SamePerson, ...]  # weak links: a pair is alike, the groups as wholes are not


@dataclass(frozen=True, slots=True)
class SamePeople:
    """Who may be enrolled twice: pairs, most probable first, and the groups they make."""

    pairs: tuple[SamePerson, ...]
    groups: tuple[PeopleGroup, ...]
    share: float  # estimated share of the people who are enrolled twice
    n_people: int


def expected_wrong(probabilities: Iterable[float], at_least: float) -> float:
    """Return how many of the proposals at this probability or above are wrong, on average."""
    return sum(1 - p for p in probabilities if p >= at_least)


def probability_for(probabilities: Iterable[float], wrong: float) -> float:
    """Return the lowest probability at which at most `wrong` proposals are expected to be wrong.

    1.0 if even the most probable proposal exceeds that.
    """
    lowest, so_far = 1.0, 0.0
    for p in sorted(probabilities, reverse=True):
        so_far += 1 - p
        if so_far > wrong:
            break
        lowest = p
    return lowest


def same_people(
    enrolled: Enrolled,
    judge: Judge,
    *,
    at_least: float = 0.5,
    not_same: Set[tuple[int, int]] = frozenset(),
    names: Mapping[int, str] | None = None,
    new: Collection[int] | None = None,
    index: VectorIndex | None = None,
) -> SamePeople:
    """Return the pairs that are one person with a probability of `at_least`, and their groups.

    By Bayes' rule; the prior of a pair is share / (N - 1): a share of the N people is enrolled
    twice, and each of the others is equally likely to be the second one. `not_same` are pairs of
    ids, rising, that a human has called two people; they are neither proposed nor grouped.
    `names` are by person id: pairs whose names differ only in case, accents or spaces are proposed
    whatever their probability, which is that of the faces alone; they join a group only if the
    faces agree. `index` holds the search codes by id; without one it is built. With `new`, ids of
    templates, only their neighbors are searched, and the share is that of their people.

    Two people in one photo are two, whatever their faces and names say: siblings are more common
    than collages and mirrors, and one person cannot be enrolled twice from one photo.
    """
    people = sum_by_person(enrolled)
    apart = not_same | photographed_together(enrolled)
    n = len(people.ids)
    asking = np.arange(len(enrolled.ids))
    if new is not None:
        asking = asking[np.isin(enrolled.ids, list(new))]
    pairs = candidate_pairs(enrolled, people, judge, asking, index)
    namesakes = [] if names is None else same_names(names)
    pairs = with_pairs(pairs, people.ids, namesakes)
    if apart and len(pairs):
        pairs = pairs[[(a, b) not in apart for a, b in people.ids[pairs].tolist()]]
    llrs = pair_llrs(people, judge, pairs)
    others = max(n - 1, 1)
    if new is None:
        share = estimated_share(llrs, n, others, people_per_case=2)
    else:  # usually one of a pair is new
        n_new = len(np.unique(enrolled.people[asking]))
        share = estimated_share(llrs, n_new, others, people_per_case=1)
    prior = log_odds(share / others)
    probabilities = sigmoid(llrs + prior)
    of_one_name = set(namesakes)
    found = []
    for (a, b), p in zip(people.ids[pairs].tolist(), probabilities.tolist(), strict=True):
        if p >= at_least or (a, b) in of_one_name:
            found.append(SamePerson((a, b), p, (a, b) in of_one_name))
    found.sort(key=lambda pair: (-pair.probability, pair.people))
    alike = [pair for pair in found if pair.probability >= at_least]
    groups = people_groups(alike, people, judge, prior, at_least, apart)
    return SamePeople(tuple(found), tuple(groups), share, n)


def photographed_together(enrolled: Enrolled) -> set[tuple[int, int]]:
    """Return the pairs of person ids, rising, that are in one photo."""
    in_photo = np.unique(np.stack([enrolled.photos, enrolled.people], 1), axis=0)
    _, starts, counts = np.unique(in_photo[:, 0], return_index=True, return_counts=True)
    together: set[tuple[int, int]] = set()
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        together.update(combinations(in_photo[start : start + count, 1].tolist(), 2))
    return together


def candidate_pairs(
    enrolled: Enrolled,
    people: PersonSums,
    judge: Judge,
    asking: NDArray[np.intp],
    index: VectorIndex | None,
) -> NDArray[np.intp]:
    """Return the pairs (m, 2) of rows of `people` that have templates near each other.

    The lower row of a pair comes first. The templates in the rows `asking` are searched for; each
    looks further while it finds only its own person. For a head that follows the cosine, pairs are
    left out whose mean templates are no more alike than those of many strangers.
    """
    n = len(people.ids)
    if n < 2 or len(asking) == 0:
        return np.zeros((0, 2), np.intp)
    order = np.argsort(enrolled.ids)
    sorted_ids = enrolled.ids[order]
    owner = np.searchsorted(people.ids, enrolled.people)  # (templates,) row of `people`
    centered = judge.strangers.centered(unit(people.sums))
    found: list[NDArray[np.intp]] = []

    def take(rows: NDArray[np.intp], matches: Matches) -> NDArray[np.bool_]:
        """Note the pairs of people among `matches`; return which rows found their own person."""
        places = np.minimum(np.searchsorted(sorted_ids, matches.ids), len(sorted_ids) - 1)
        known = sorted_ids[places] == matches.ids  # the index may hold templates deleted since
        others = owner[order[places]]  # (rows, nearest)
        other = known & (others != owner[rows, None])
        one, two = np.repeat(owner[rows], other.sum(1)), others[other]
        keys = np.unique(np.minimum(one, two) * n + np.maximum(one, two))
        pairs = np.stack([keys // n, keys % n], 1)
        if judge.head.follows_cosine:
            cosines = (centered[pairs[:, 0]] * centered[pairs[:, 1]]).sum(1)
            pairs = pairs[judge.strangers.standard(cosines) >= MIN_MEANS_Z]
        found.append(pairs)
        only_own: NDArray[np.bool_] = ~other.any(1)
        return only_own

    search_deeper(index_of(enrolled, index), enrolled, asking, NEAREST, take)
    return np.unique(np.concatenate(found), axis=0)


def with_pairs(
    pairs: NDArray[np.intp], ids: Ids, more: Sequence[tuple[int, int]]
) -> NDArray[np.intp]:
    """Return `pairs` (m, 2) of places in `ids`, and those of `more` whose two ids are there."""
    present = set(ids.tolist())
    known = [pair for pair in more if present.issuperset(pair)]
    if not known:
        return pairs
    places = np.searchsorted(ids, np.array(known, np.int64))
    return np.unique(np.concatenate([pairs, places]), axis=0)


def people_groups(
    pairs: Sequence[SamePerson],
    people: PersonSums,
    judge: Judge,
    prior: float,
    at_least: float,
    apart: Set[tuple[int, int]],
) -> list[PeopleGroup]:
    """Return the groups that `pairs`, most probable first, join; largest first.

    A pair joins the groups of its two people only if these groups as wholes, all templates of each
    together, are one person with a probability of `at_least`. So one likeness that the others
    contradict adds nobody, and nobody joins someone they are known to be `apart` from.
    """
    group_of: dict[int, int] = {}  # person id -> the id that names the group
    members: dict[int, list[int]] = {}
    sums: dict[int, Floats] = {}
    photos: dict[int, float] = {}
    least: dict[int, float] = {}
    for person in {person for pair in pairs for person in pair.people}:
        row = int(np.searchsorted(people.ids, person))
        group_of[person], members[person], least[person] = person, [person], 1.0
        sums[person], photos[person] = people.sums[row], float(people.n_photos[row])
    left_out: list[SamePerson] = []
    for pair in pairs:
        a, b = sorted(group_of[person] for person in pair.people)
        if a == b:
            continue
        parted = any((min(x, y), max(x, y)) in apart for x in members[a] for y in members[b])
        both = PersonSums(
            np.array([a, b]), np.stack([sums[a], sums[b]]), np.array([photos[a], photos[b]])
        )
        together = pair_llrs(both, judge, np.array([[0, 1]]))
        probability = float(sigmoid(together + prior)[0])
        if parted or probability < at_least:
            left_out.append(pair)
            continue
        for person in members[b]:
            group_of[person] = a
        members[a] += members.pop(b)
        sums[a] = sums[a] + sums[b]
        photos[a] += photos[b]
        least[a] = min(least[a], least[b], probability)
    groups = [
        PeopleGroup(
            tuple(sorted(those)),
            least[name],
            tuple(pair for pair in left_out if not set(pair.people).isdisjoint(those)),
        )
        for name, those in members.items()
        if len(those) > 1
    ]
    return sorted(groups, key=lambda group: (-len(group.people), group.people))


def same_names(names: Mapping[int, str]) -> list[tuple[int, int]]:
    """Return the pairs of person ids, rising, whose names differ only in case, accents or spaces.

    Where more than two share a name, each is paired with the first.
    """
    first: dict[str, int] = {}
    pairs = []
    for person in sorted(names):
        one = first.setdefault(folded(names[person]), person)
        if one != person:
            pairs.append((one, person))
    return pairs
