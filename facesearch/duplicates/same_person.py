"""Enrolled people -> who is enrolled twice, which name holds two people, which face is there twice.

Only proposals come from here, each with a probability: nothing is changed. Who may be one person is
asked of the index, never n x n; how likely it is the model's head says, and how alike strangers
and photos of one person are in this gallery. What a human has decided is not proposed again.

How alike photos of one person are differs more from gallery to gallery than from model to model:
standard scores of 4.3 on the average in family albums over decades, of 6.3 in portraits of
politicians. A score between is one person in the one and a chance likeness in the other. So it is
read from the gallery's own people with several photos; the model's evidence stands in while they
are few. `python -m benchmarks.dedupe_tuning` measures what that is worth. Identical twins are one
person to all of this: where a gallery has some, they are proposed at any probability.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from facesearch.head import L1SigmoidHead
from facesearch.openset import Cohort, Evidence, Strangers, evenly, fit_strangers
from facesearch.vectors import Floats, leading, unit
from facesearch_indexes import VectorIndex, build_index

Ids = NDArray[np.int64]
Doubles = NDArray[np.float64]

QUERIES = 4096  # searched in one go: large products are quick, and memory stays bounded
NEAREST = 16  # templates asked of the index at first; more while they are all of the person
COPIES = 4  # the same for copies of a face: few have more
PAIRS = 1000  # compared by the head in one go: their codes take 16 MB
ALIKE_Z = 3.0  # pairs whose cosine is less far out are not worth the head's time

# How alike a gallery's mates are is read from so many of its people. What the model says of it
# counts as MATES_WEIGHT of them; 5 to 100 are as good (benchmarks.dedupe_tuning).
MATES_MOST = 2000
MATES_WEIGHT = 30.0

# The camps of one person are the halves that are least alike, by so much less than two photos of
# that person; only while a gallery has few people, see MATES_WEIGHT.
CAMPS_LOWER_Z = 1.0

# How many people are enrolled twice, or hold two, is read from the gallery itself: the share at
# which the probabilities add up to it. A usual share counts as so many people.
USUAL_SHARE = 0.01
USUAL_WEIGHT = 100.0
ROUNDS = 100  # until the share stands still

CAMP_ROUNDS = 20  # of two means; they stand still after five or so

# Search codes this alike are of one picture: 2 of 3,521 pairs of different photos of one person in
# the development faces; of copies made of 112-pixel crops 96 % at half the size, 94 % at JPEG
# quality 50, all at 90 and with landmarks found a little elsewhere (benchmarks.dedupe_people).
COPY_COSINE = 0.96


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """All templates of a gallery, row for row."""

    ids: Ids  # (n,) of the templates
    people: Ids  # (n,) whose they are
    templates: Floats  # (n, dim) unit rows
    photos: Ids  # (n,) of the photos they were made from
    search_dim: int | None = None  # as of a Model; None: all numbers of a template

    def codes(self, rows: NDArray[np.intp] | slice) -> Floats:
        """Return the search codes (m, search_dim), unit rows, of the templates in `rows`."""
        return leading(self.templates[rows], self.search_dim or self.templates.shape[1])


@dataclass(frozen=True, slots=True)
class Mates:
    """How alike one photo of a person is to another one: standard scores, nearly normal."""

    mean: float
    std: float

    def updated(self, scores: Doubles) -> "Mates":
        """Return what is known after `scores` (n,) of as many people, of whom a few are wrong."""
        if len(scores) == 0:
            return self
        low, middle, high = np.percentile(scores, [25, 50, 75])
        trust = len(scores) / (len(scores) + MATES_WEIGHT)
        variance = trust * ((high - low) / 1.349) ** 2 + (1 - trust) * self.std**2
        mean = trust * middle + (1 - trust) * self.mean
        return Mates(float(mean), float(np.sqrt(variance)))


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What tells one person from two in a gallery; `judge_of` makes it."""

    head: L1SigmoidHead
    strangers: Strangers
    usual: Mates  # of the model
    mates: Mates  # of the gallery

    def scores(self, a: Floats, b: Floats) -> Doubles:
        """Return the standard scores (m,) of a[i] with b[i], centred unit rows (m, dim)."""
        nothing = np.zeros(a.shape[1], np.float32)
        parts = [slice(start, start + PAIRS) for start in range(0, len(a), PAIRS)]
        # the head's code is linear: a pair is as far apart as its difference is from nothing
        scores = [self.head.scores(nothing, a[part] - b[part]) for part in parts]
        z = self.strangers.standard(np.concatenate([np.zeros(0, np.float32), *scores]))
        return z.astype(np.float64)

    def llrs(self, z: Doubles, photos_a: Doubles, photos_b: Doubles, mates: Mates) -> Doubles:
        """Return the log-likelihood ratios (m,) of one person against two with the scores `z` (m,).

        They are of means of so many photos (m,) each. Strangers' scores are normal around 0 with
        deviation 1 whatever the number, mates' around what it makes of their mean.
        """
        expected = self._of_means(mates.mean, photos_a, photos_b)
        # where the wider of two normals has overtaken the narrower one, more says nothing more
        if mates.std < 1:
            z = np.minimum(z, expected / (1 - mates.std**2))
        elif mates.std > 1:
            z = np.maximum(z, -expected / (mates.std**2 - 1))
        away = (z - expected) / mates.std
        ratio: Doubles = (z**2 - away**2) / 2 - np.log(mates.std)
        return ratio

    def _of_means(self, z: float, photos_a: Doubles, photos_b: Doubles) -> Doubles:
        """Return the score (m,) of two means of so many photos of which any two score `z`.

        A photo is its person and noise: of its square the share `own` is the person's, and a mean
        of n has an nth of the noise.
        """
        own = np.maximum(self._own_share(np.array(z)), 0)
        lengths = (own + (1 - own) / photos_a) * (own + (1 - own) / photos_b)
        return self._standard(own / np.sqrt(lengths))

    def as_of_one_photo(self, z: Doubles, photos_a: Doubles, photos_b: Doubles) -> Doubles:
        """Return what single photos of them would score (m,): the inverse of `_of_means`."""
        score = self._own_share(z)
        a, b, square = 1 / photos_a, 1 / photos_b, score**2
        # own^2 = square * (own + (1 - own) a) (own + (1 - own) b), solved for own
        x = 1 - square * (1 - a) * (1 - b)
        y = square * (a * (1 - b) + b * (1 - a))
        own = np.sign(score) * (y + np.sqrt(y * y + 4 * x * square * a * b)) / (2 * x)
        return self._standard(own)

    def _own_share(self, z: Doubles) -> Doubles:
        """Return scores as they are on the scale on which strangers have 0 and copies 1."""
        share: Doubles = z * self.strangers.score_std / (1 - self.strangers.score_mean)
        return np.clip(share, -0.999, 0.999)

    def _standard(self, share: Doubles) -> Doubles:
        z: Doubles = share * (1 - self.strangers.score_mean) / self.strangers.score_std
        return z


def judge_of(enrolled: Enrolled, head: L1SigmoidHead, evidence: Evidence, cohort: Cohort) -> Judge:
    """Return what tells one person from two among `enrolled`, by a model's `head`.

    `evidence` and `cohort` are the model's, too.
    """
    means = unit(by_person(enrolled).sums)
    strangers = fit_strangers(means, len(means), cohort, head)
    usual = usual_mates(evidence)
    judge = Judge(head, strangers, usual, usual)
    first, second = mated_rows(enrolled)
    a, b = (strangers.centred(enrolled.templates[rows]) for rows in (first, second))
    return replace(judge, mates=usual.updated(judge.scores(a, b)))


def usual_mates(evidence: Evidence) -> Mates:
    """Return how mates score where `evidence` is right: its ratio times strangers' density."""
    z = np.linspace(evidence.low, evidence.high, 1001)
    logs = evidence.llr(z.astype(np.float32)) - z**2 / 2
    density = np.exp(logs - logs.max())
    mean = float((z * density).sum() / density.sum())
    return Mates(mean, float(np.sqrt(((z - mean) ** 2 * density).sum() / density.sum())))


def mated_rows(enrolled: Enrolled) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows (m,) and (m,) of two photos each of at most MATES_MOST people, an even sample.

    The first and the middle one by their ids, lest they be of one moment. Copies of one picture
    say nothing of two.
    """
    order = np.lexsort((enrolled.ids, enrolled.people))
    _, starts, counts = np.unique(enrolled.people[order], return_index=True, return_counts=True)
    first, second = order[starts], order[starts + counts // 2]
    cosines = (enrolled.codes(first) * enrolled.codes(second)).sum(1)
    several = np.flatnonzero((counts > 1) & (cosines < COPY_COSINE))
    if len(several):
        several = several[evenly(len(several), MATES_MOST)]
    return first[several], second[several]


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
    cosine: float  # of the search codes


@dataclass(frozen=True, slots=True, eq=False)
class Everybody:
    """Everyone enrolled as they are compared: rows by person."""

    ids: Ids  # (N,) rising
    sums: Floats  # (N, dim) of unit templates
    n_photos: Doubles  # (N,)


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
    search codes by id; without one it is made. With `new`, ids of templates, only their neighbours
    are asked for, and the share is that of the people who have them.

    Two people on one photo are two, whatever their faces and names say: collages and mirrors are
    rarer than siblings, and one person cannot be enrolled twice from one photo.
    """
    people = by_person(enrolled)
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
    groups = people_groups(alike, people, judge, prior, at_least, apart)
    return SamePeople(tuple(found), tuple(groups), share, n)


def by_person(enrolled: Enrolled) -> Everybody:
    """Return the enrolled templates summed up by person."""
    if len(enrolled.ids) == 0:
        return Everybody(np.zeros(0, np.int64), np.zeros_like(enrolled.templates), np.zeros(0))
    order = np.argsort(enrolled.people, kind="stable")
    ids, starts, counts = np.unique(enrolled.people[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(enrolled.templates[order], starts, axis=0)
    return Everybody(ids.astype(np.int64), sums, counts.astype(np.float64))


def photographed_together(enrolled: Enrolled) -> set[tuple[int, int]]:
    """Return the pairs of person ids, rising, that are on one photo."""
    on_photo = np.unique(np.stack([enrolled.photos, enrolled.people], 1), axis=0)
    _, starts, counts = np.unique(on_photo[:, 0], return_index=True, return_counts=True)
    together: set[tuple[int, int]] = set()
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        together.update(combinations(on_photo[start : start + count, 1].tolist(), 2))
    return together


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
            ids = index.search(enrolled.codes(rows), nearest).ids
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
    z = judge.scores(centred[first], centred[second])
    return judge.llrs(z, people.n_photos[first], people.n_photos[second], judge.mates)


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
    apart: Set[tuple[int, int]],
) -> list[PeopleGroup]:
    """Return the groups that `pairs`, most probable first, join; largest first.

    A pair joins the groups its two are in only if these as wholes, all templates of each together,
    are as probably one person. So nobody comes in by one likeness that the others contradict, nor
    beside someone they are known to be `apart` from.
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
        centred = judge.strangers.centred(unit(np.stack([sums[a], sums[b]])))
        z = judge.scores(centred[:1], centred[1:])
        together = judge.llrs(z, np.array([photos[a]]), np.array([photos[b]]), judge.mates)
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
    likelihood ratio that they are one. How alike camps of one person are is read from those of the
    gallery, nearly all of which are. `confirmed` are ids of templates that a human has said to
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
    z, (first_sizes, second_sizes) = judge.scores(means[0], means[1]), sizes.T
    usual = replace(judge.usual, mean=judge.usual.mean - CAMPS_LOWER_Z)
    of_one = usual.updated(judge.as_of_one_photo(z, first_sizes, second_sizes))
    against = -judge.llrs(z, first_sizes, second_sizes, of_one)
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
            matches = index.search(enrolled.codes(rows), nearest)
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
    """Return `index`, or one made of the search codes if there is none."""
    if index is not None:
        return index
    return build_index(enrolled.ids, enrolled.codes(slice(None)))


def sigmoid(logits: Doubles) -> Doubles:
    """Return 1 / (1 + exp(-logits)), without overflow."""
    probabilities: Doubles = (1 + np.tanh(logits / 2)) / 2
    return probabilities


def log_odds(probability: float) -> float:
    """Return log(p / (1 - p))."""
    return float(np.log(probability) - np.log1p(-probability))
