"""Enrolled people -> who is enrolled twice, which name holds two people, which face is there twice.

Only proposals come from here, each with a probability: nothing is changed. Who may be one person is
asked of the index, never n x n; how likely it is the model's head says, and how alike strangers to
this gallery are (facesearch.openset). What a human has decided is not proposed again.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.head import L1SigmoidHead
from facesearch.openset import Evidence, Strangers
from facesearch.vectors import Floats, unit
from facesearch_indexes.base import VectorIndex

Ids = NDArray[np.int64]
Doubles = NDArray[np.float64]

QUERIES = 4096  # searched in one go: large products are quick, and memory stays bounded
NEAREST = 16  # templates asked of the index at first; more while they are all of the person
COPIES = 4  # the same for copies of a face: few have more
PAIRS = 1000  # compared by the head in one go: their codes take 16 MB
ALIKE_Z = 3.0  # pairs whose cosine is less far out are not worth the head's time

# What evidence says of two photos is too much for two people with several: their mean templates
# are less noisy, so one person's score higher and a middling score says less. log(photos) of the
# two, averaged, times this is taken off; fitted to development people parted at random, where it
# brings the calibration error of proposals from .042 to .014.
SEVERAL_PHOTOS = 1.5

# How many people are enrolled twice, or hold two, is read from the gallery itself: the share at
# which the probabilities add up to it. A usual share counts as so many people.
USUAL_SHARE = 0.01
USUAL_WEIGHT = 100.0
ROUNDS = 100  # until the share stands still

CAMP_ROUNDS = 20  # of two means; they stand still after five or so

# Templates this alike are of one picture: none of 3,521 pairs of different photos of one person in
# the development faces; of copies made of 112-pixel crops 96 % at half the size, all at JPEG
# quality 90, 80 % at 50, 99 % with landmarks found a little elsewhere (benchmarks.dedupe_people).
COPY_COSINE = 0.96


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """All templates of a gallery, row for row."""

    ids: Ids  # (n,) of the templates
    people: Ids  # (n,) whose they are
    templates: Floats  # (n, dim) unit rows


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What tells one person from two: a model's head and evidence, and a gallery's strangers."""

    head: L1SigmoidHead
    evidence: Evidence
    strangers: Strangers

    def llrs(self, a: Floats, b: Floats, photos_a: Doubles, photos_b: Doubles) -> Doubles:
        """Return the log-likelihood ratios (m,) that a[i] and b[i] are one person.

        `a` and `b` (m, dim) are centred unit means of so many photos (m,) each.
        """
        nothing = np.zeros(a.shape[1], np.float32)
        parts = [slice(start, start + PAIRS) for start in range(0, len(a), PAIRS)]
        # the head's code is linear: a pair is as far apart as its difference is from nothing
        scores = [self.head.scores(nothing, a[part] - b[part]) for part in parts]
        z = self.strangers.standard(np.concatenate([np.zeros(0, np.float32), *scores]))
        several = SEVERAL_PHOTOS * np.log(photos_a * photos_b) / 2
        return self.evidence.llr(z).astype(np.float64) - several


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
    share: float  # of the people in a gallery like this who are enrolled twice
    n_people: int


@dataclass(frozen=True, slots=True)
class TwoPeople:
    """A name that may hold two people."""

    person: int
    probability: float
    camps: tuple[tuple[int, ...], tuple[int, ...]]  # template ids, the larger camp first


@dataclass(frozen=True, slots=True)
class SameFace:
    """Two templates that are copies of one picture of a face."""

    templates: tuple[int, int]  # ids, rising
    people: tuple[int, int]  # whose they are, in the same order
    cosine: float


@dataclass(frozen=True, slots=True, eq=False)
class Everybody:
    """Everyone enrolled as they are compared: rows by person."""

    ids: Ids  # (N,) rising
    sums: Floats  # (N, dim) of unit templates
    photos: Doubles  # (N,) how many


def expected_wrong(probabilities: Iterable[float], at_least: float) -> float:
    """Return how many of the proposals at this probability or above are wrong, on average."""
    return sum(1 - p for p in probabilities if p >= at_least)


def probability_for(probabilities: Iterable[float], wrong: float) -> float:
    """Return the lowest probability at which no more than `wrong` proposals are expected wrong.

    1.0 if even the most probable one is too much.
    """
    lowest, so_far = 1.0, 0.0
    for p in sorted(probabilities, reverse=True):
        so_far += 1 - p
        if so_far > wrong:
            break
        lowest = p
    return lowest


# The same person under two names


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

    By Bayes' rule with the prior share / (N - 1) for a pair: a share of the N people is enrolled
    twice, each of the others is equally likely to be the second one. `not_same` are pairs of ids,
    rising, that a human has parted; they are neither proposed nor grouped. Of `names` (by person
    id) those equal but for case, accents or spaces are proposed whatever their probability, which
    is that of the faces; such a pair is in a group only if its faces say so. `index` holds the
    templates by id; without one it is made. With `new`, ids of templates, only their neighbours are
    asked for, and the share is that of the people who have them.
    """
    people = by_person(enrolled)
    n = len(people.ids)
    asking = np.arange(len(enrolled.ids))
    if new is not None:
        asking = asking[np.isin(enrolled.ids, list(new))]
    pairs = candidate_pairs(enrolled, people, judge, asking, index)
    namesakes = [] if names is None else same_names(names)
    pairs = with_pairs(pairs, people.ids, namesakes)
    if not_same and len(pairs):
        ids = people.ids[pairs].tolist()
        pairs = pairs[[(a, b) not in not_same for a, b in ids]]
    llrs = pair_llrs(people, judge, pairs)
    others = max(n - 1, 1)
    if new is None:
        share = estimated_share(llrs, n, others, people_a_case=2)
    else:  # of a pair one is new, as a rule
        n_new = len(np.unique(enrolled.people[asking]))
        share = estimated_share(llrs, n_new, others, people_a_case=1)
    prior = log_odds(share / others)
    probabilities = sigmoid(llrs + prior)
    of_one_name = set(namesakes)
    found = []
    for (a, b), p in zip(people.ids[pairs].tolist(), probabilities.tolist(), strict=True):
        if p >= at_least or (a, b) in of_one_name:
            found.append(SamePerson((a, b), p, (a, b) in of_one_name))
    found.sort(key=lambda pair: (-pair.probability, pair.people))
    alike = [pair for pair in found if pair.probability >= at_least]
    groups = people_groups(alike, people, judge, prior, at_least, not_same)
    return SamePeople(tuple(found), tuple(groups), share, n)


def by_person(enrolled: Enrolled) -> Everybody:
    """Return the enrolled templates summed up by person."""
    if len(enrolled.ids) == 0:
        return Everybody(np.zeros(0, np.int64), np.zeros_like(enrolled.templates), np.zeros(0))
    order = np.argsort(enrolled.people, kind="stable")
    ids, starts, counts = np.unique(enrolled.people[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(enrolled.templates[order], starts, axis=0)
    return Everybody(ids.astype(np.int64), sums, counts.astype(np.float64))


def candidate_pairs(
    enrolled: Enrolled,
    people: Everybody,
    judge: Judge,
    asking: NDArray[np.intp],
    index: VectorIndex | None,
) -> NDArray[np.intp]:
    """Return the pairs (m, 2) of rows of `people` of whom some templates are near each other.

    The first of a pair is the lower. The templates in the rows `asking` find them; each looks
    further while all it finds are its own person's. For a head that follows the cosine, pairs whose
    means are no more alike than many strangers are left out.
    """
    n = len(people.ids)
    if n < 2 or len(asking) == 0:
        return np.zeros((0, 2), np.intp)
    index = the_index(enrolled, index)
    order = np.argsort(enrolled.ids)
    sorted_ids = enrolled.ids[order]
    owner = np.searchsorted(people.ids, enrolled.people)  # (templates,) row of `people`
    centred = judge.strangers.centred(unit(people.sums))
    found: list[NDArray[np.intp]] = []
    for start in range(0, len(asking), QUERIES):
        rows = asking[start : start + QUERIES]
        nearest = NEAREST
        while len(rows):
            ids = index.search(enrolled.templates[rows], nearest).ids
            places = np.minimum(np.searchsorted(sorted_ids, ids), len(sorted_ids) - 1)
            known = sorted_ids[places] == ids  # an index may hold what is gone meanwhile
            others = owner[order[places]]  # (rows, nearest)
            other = known & (others != owner[rows, None])
            one, two = np.repeat(owner[rows], other.sum(1)), others[other]
            keys = np.unique(np.minimum(one, two) * n + np.maximum(one, two))
            pairs = np.stack([keys // n, keys % n], 1)
            if judge.head.follows_cosine:
                cosines = (centred[pairs[:, 0]] * centred[pairs[:, 1]]).sum(1)
                pairs = pairs[judge.strangers.standard(cosines) >= ALIKE_Z]
            found.append(pairs)
            if nearest >= len(index):
                break
            rows = rows[~other.any(1)]
            nearest = min(4 * nearest, len(index))
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


def pair_llrs(people: Everybody, judge: Judge, pairs: NDArray[np.intp]) -> Doubles:
    """Return the log-likelihood ratios (m,) that `pairs` (m, 2) of rows are one person each."""
    centred = judge.strangers.centred(unit(people.sums))
    first, second = pairs.T
    return judge.llrs(centred[first], centred[second], people.photos[first], people.photos[second])


def estimated_share(llrs: Doubles, n: int, among: int, people_a_case: int) -> float:
    """Return the share of `n` people at which the cases with `llrs` add up to that share.

    Of a person `share / among` is the prior of one case; `people_a_case` people have a part in
    one. This is expectation maximisation of a mixture's weight, with USUAL_SHARE as USUAL_WEIGHT
    people beside the gallery's own.
    """
    share = USUAL_SHARE
    for _ in range(ROUNDS):
        expected = people_a_case * float(sigmoid(llrs + log_odds(share / among)).sum())
        share = (USUAL_WEIGHT * USUAL_SHARE + expected) / (USUAL_WEIGHT + n)
        share = min(share, 0.9)
    return share


def people_groups(
    pairs: Sequence[SamePerson],
    people: Everybody,
    judge: Judge,
    prior: float,
    at_least: float,
    not_same: Set[tuple[int, int]],
) -> list[PeopleGroup]:
    """Return the groups that `pairs`, most probable first, join; largest first.

    A pair joins the groups its two are in only if these as wholes, all templates of each together,
    are as probably one person. So nobody comes in by one likeness that the others contradict, nor
    beside someone whom a human has told apart.
    """
    group_of: dict[int, int] = {}  # person id -> the id that names the group
    members: dict[int, list[int]] = {}
    sums: dict[int, Floats] = {}
    photos: dict[int, float] = {}
    least: dict[int, float] = {}
    for person in {person for pair in pairs for person in pair.people}:
        row = int(np.searchsorted(people.ids, person))
        group_of[person], members[person], least[person] = person, [person], 1.0
        sums[person], photos[person] = people.sums[row], float(people.photos[row])
    left_out: list[SamePerson] = []
    for pair in pairs:
        a, b = sorted(group_of[person] for person in pair.people)
        if a == b:
            continue
        parted = any((min(x, y), max(x, y)) in not_same for x in members[a] for y in members[b])
        centred = judge.strangers.centred(unit(np.stack([sums[a], sums[b]])))
        together = judge.llrs(
            centred[:1], centred[1:], np.array([photos[a]]), np.array([photos[b]])
        )
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
    """Return the pairs of person ids, rising, whose names differ in nothing but case and the like.

    Of more than two of one name, each is paired with the first.
    """
    first: dict[str, int] = {}
    pairs = []
    for person in sorted(names):
        one = first.setdefault(bare_name(names[person]), person)
        if one != person:
            pairs.append((one, person))
    return pairs


def bare_name(name: str) -> str:
    """Return `name` without case, accents and spaces; what is told apart by them is equal then."""
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    # 200 and up are the accents; below are marks that make another letter, as in Japanese
    kept = (c for c in parts if unicodedata.combining(c) < 200 and not c.isspace())
    return unicodedata.normalize("NFC", "".join(kept))


# One name that holds two people


def two_in_one(
    enrolled: Enrolled,
    judge: Judge,
    *,
    at_least: float = 0.5,
    confirmed: Collection[int] = (),
) -> tuple[TwoPeople, ...]:
    """Return the people whose templates are of two with a probability of `at_least`.

    Most probable first. The templates of a person are parted into the two camps that are least
    alike; by Bayes' rule these are two people with the odds of share / (1 - share), over the
    likelihood ratio that they are one. `confirmed` are ids of templates that a human has said to
    be of their person: camps that both hold one are not proposed.
    """
    if len(enrolled.ids) == 0:
        return ()
    confirmed = frozenset(confirmed)
    order = np.argsort(enrolled.people, kind="stable")
    people, starts = np.unique(enrolled.people[order], return_index=True)
    cases: list[tuple[int, Ids, Ids]] = []
    first, second = [], []
    for person, rows in zip(people.tolist(), np.split(order, starts[1:]), strict=True):
        centred = judge.strangers.centred(enrolled.templates[rows])
        camp = two_camps(centred)
        if camp is None:
            continue
        cases.append((person, enrolled.ids[rows[~camp]], enrolled.ids[rows[camp]]))
        first.append(enrolled.templates[rows[~camp]].sum(0))
        second.append(enrolled.templates[rows[camp]].sum(0))
    if not cases:
        return ()
    sizes = np.array([(len(a), len(b)) for _, a, b in cases], np.float64)
    means = [judge.strangers.centred(unit(np.stack(sums))) for sums in (first, second)]
    against = -judge.llrs(means[0], means[1], sizes[:, 0], sizes[:, 1])
    share = estimated_share(against, len(cases), 1, people_a_case=1)
    found = []
    for (person, a, b), p in zip(cases, sigmoid(against + log_odds(share)).tolist(), strict=True):
        camps = [tuple(sorted(ids.tolist())) for ids in (a, b)]
        if p < at_least or not any(confirmed.isdisjoint(ids) for ids in camps):
            continue
        larger, smaller = sorted(camps, key=lambda ids: (-len(ids), ids))
        found.append(TwoPeople(person, p, (larger, smaller)))
    return tuple(sorted(found, key=lambda two: (-two.probability, two.person)))


def two_camps(centred: Floats) -> NDArray[np.bool_] | None:
    """Return which of the unit rows (n, dim) are in the second of two camps; None if there is one.

    Two means by the cosine, begun with the row least like all others and the one least like it.
    """
    if len(centred) < 2:
        return None
    odd = int((centred @ centred.sum(0)).argmin())
    middles = centred[[odd, int((centred @ centred[odd]).argmin())]]
    camp = np.zeros(len(centred), bool)
    for _ in range(CAMP_ROUNDS):
        nearer = centred @ middles[1] > centred @ middles[0]
        if nearer.all() or not nearer.any():
            return None  # they are all the same
        if (nearer == camp).all():
            break
        camp = nearer
        middles = unit(np.stack([centred[~camp].sum(0), centred[camp].sum(0)]))
    return camp


# The same face twice


def same_faces(enrolled: Enrolled, *, index: VectorIndex | None = None) -> tuple[SameFace, ...]:
    """Return the pairs of templates that are copies of one picture of a face, most alike first.

    Resized, recompressed or the very same; under one name or two. `index` as in `same_people`.
    """
    if len(enrolled.ids) < 2:
        return ()
    index = the_index(enrolled, index)
    owners = dict(zip(enrolled.ids.tolist(), enrolled.people.tolist(), strict=True))
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(enrolled.ids), QUERIES):
        rows = np.arange(start, min(start + QUERIES, len(enrolled.ids)))
        nearest = min(COPIES, len(index))
        while len(rows):
            matches = index.search(enrolled.templates[rows], nearest)
            query, column = np.nonzero(matches.scores >= COPY_COSINE)
            asked, copies = (
                enrolled.ids[rows[query]].tolist(),
                matches.ids[query, column].tolist(),
            )
            scores = matches.scores[query, column].tolist()
            for a, b, cosine in zip(asked, copies, scores, strict=True):
                if a != b and b in owners:
                    found[min(a, b), max(a, b)] = min(cosine, 1.0)
            if nearest >= len(index):
                break
            rows = rows[matches.scores[:, -1] >= COPY_COSINE]
            nearest = min(4 * nearest, len(index))
    faces = [SameFace((a, b), (owners[a], owners[b]), cosine) for (a, b), cosine in found.items()]
    return tuple(sorted(faces, key=lambda face: (-face.cosine, face.templates)))


def the_index(enrolled: Enrolled, index: VectorIndex | None) -> VectorIndex:
    """Return `index`, or one made of the templates if there is none."""
    if index is not None:
        return index
    from facesearch_indexes.faiss_index import (
        FaissIndex,
    )  # 0.2 s: only where it is needed

    return FaissIndex.build(enrolled.ids, enrolled.templates)


def sigmoid(logits: Doubles) -> Doubles:
    """Return 1 / (1 + exp(-logits)), without overflow."""
    probabilities: Doubles = (1 + np.tanh(logits / 2)) / 2
    return probabilities


def log_odds(probability: float) -> float:
    """Return log(p / (1 - p))."""
    return float(np.log(probability) - np.log1p(-probability))
