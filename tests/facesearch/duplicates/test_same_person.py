from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from fake_model import COHORT, DIM, FakeModel
from hypothesis import given
from hypothesis import strategies as st

from facesearch.duplicates import same_person as people
from facesearch.duplicates.same_person import (
    Enrolled,
    Mates,
    bare_name,
    expected_wrong,
    probability_for,
    same_faces,
    same_names,
    same_people,
    two_camps,
    two_in_one,
)
from facesearch.head import L1SigmoidHead
from facesearch.openset import Evidence
from facesearch.vectors import unit
from facesearch_indexes.faiss_index import FaissIndex

MODEL = FakeModel()


def photos_of(person, n, variation=0.5, salt=0):
    """Unit rows (n, DIM): so many photos of the person of that number."""
    own = unit(np.random.default_rng([1, person]).normal(size=DIM))
    noise = np.random.default_rng([2, person, salt]).normal(size=(n, DIM))
    return unit((own + variation * unit(noise)).astype(np.float32))


def enrolled_as(ids, owners, rows):
    """Enrolled people, each template from a photo of its own."""
    return Enrolled(np.asarray(ids), np.asarray(owners), rows, 5000 + np.arange(len(owners)))


def gallery_of(*names):
    """Enrolled people: for each name (id) the numbers of who is on its photos."""
    rows, owners = [], []
    for name, shown in names:
        for place, person in enumerate(shown):
            rows.append(photos_of(person, 1, salt=100 * name + place))
            owners.append(name)
    return enrolled_as(10 + np.arange(len(owners)), owners, np.vstack(rows))


CROWD = [(name, [name] * (1 + name % 4)) for name in range(100, 160)]  # nobody twice


def judge_of(enrolled, head=MODEL.head):
    return people.judge_of(enrolled, head, MODEL.evidence, COHORT)


class Counting(FaissIndex):
    """Keeps how many rows were asked for each time."""

    def search(self, rows, k):
        self.__dict__.setdefault("asked", []).append(len(rows))
        return super().search(rows, k)


def pairs_of(found):
    return [pair.people for pair in found.pairs]


# The same person under two names


def test_a_person_under_two_names_is_proposed_and_nobody_else():
    enrolled = gallery_of((1, [1, 1]), (2, [2, 2, 2]), (3, [1]), *CROWD)
    found = same_people(enrolled, judge_of(enrolled))
    assert pairs_of(found) == [(1, 3)]
    assert found.pairs[0].probability > 0.9
    assert [group.people for group in found.groups] == [(1, 3)]
    assert found.n_people == 63


def two_normals(judge, mates, z, n_a, n_b):
    """The log-likelihood ratio, by photos that are their person and noise of their own."""
    own = mates.mean * judge.strangers.score_std / (1 - judge.strangers.score_mean)
    a, b = (np.zeros(1 + n_a + n_b) for _ in range(2))
    a[0] = b[0] = own**0.5
    a[1 : 1 + n_a], b[1 + n_a :] = (1 - own) ** 0.5 / n_a, (1 - own) ** 0.5 / n_b
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    expected = NormalDist(cosine * mates.mean / own, mates.std)
    return float(np.log(expected.pdf(z) / NormalDist().pdf(z)))


def standard_score(judge, a, b):
    a, b = (judge.strangers.centred(unit(x)) for x in (a, b))
    return float(judge.strangers.standard(MODEL.head.scores(a, b[None]))[0])


def test_probabilities_are_bayes_rule_over_every_pair_of_people():
    enrolled = gallery_of((1, [1, 1]), (2, [2, 2, 2]), (3, [1]), (4, [2]), *CROWD)
    judge = judge_of(enrolled)
    found = same_people(enrolled, judge, at_least=0.0)
    ids = np.unique(enrolled.people)
    sums = {i: enrolled.templates[enrolled.people == i].sum(0) for i in ids}
    llrs = {}
    for a, b in combinations(ids.tolist(), 2):
        photos = [(enrolled.people == i).sum() for i in (a, b)]
        z = standard_score(judge, sums[a], sums[b])
        llrs[a, b] = two_normals(judge, judge.mates, z, *photos)
    share, n = 0.01, len(ids)
    for _ in range(200):
        odds = np.exp(list(llrs.values())) * (share / (n - 1)) / (1 - share / (n - 1))
        share = (1 + 2 * (odds / (1 + odds)).sum()) / (100 + n)
    assert found.share == pytest.approx(share, rel=0.01)
    expected = dict(zip(llrs, odds / (1 + odds), strict=True))
    assert set(pairs_of(found)) < set(expected)
    for pair in found.pairs:
        assert pair.probability == pytest.approx(expected[pair.people], rel=0.01)
    missed = set(expected) - set(pairs_of(found))
    assert max(expected[pair] for pair in missed) < 0.01


def test_more_people_make_the_same_likeness_less_probable_deepface_1523():
    few = gallery_of((1, [1]), (2, [1]), *CROWD[:10])
    judge = judge_of(few)  # the same strangers: only the number of people differs
    many = gallery_of((1, [1]), (2, [1]), *CROWD, *((n, [n]) for n in range(1000, 1400)))
    of_few, of_many = (
        next(p.probability for p in same_people(e, judge, at_least=0).pairs if p.people == (1, 2))
        for e in (few, many)
    )
    assert of_many < of_few


def test_pairs_that_a_human_has_parted_never_come_back_nor_by_way_of_a_third():
    enrolled = gallery_of((1, [1, 1]), (2, [1, 1]), (3, [1, 1]), *CROWD)
    judge = judge_of(enrolled)
    assert [g.people for g in same_people(enrolled, judge).groups] == [(1, 2, 3)]
    found = same_people(enrolled, judge, not_same={(1, 3)})
    assert sorted(pairs_of(found)) == [(1, 2), (2, 3)]
    (group,) = found.groups
    assert group.people in {(1, 2), (2, 3)}
    (left,) = group.left_out
    assert {left.people, group.people} == {(1, 2), (2, 3)}


def test_a_weak_link_between_two_groups_is_left_out_and_told():
    """Name 5 holds a photo of each of two people: it must not join all others, immich 6374."""
    enrolled = gallery_of(
        (1, [1] * 4), (2, [1] * 4), (3, [2] * 4), (4, [2] * 4), (5, [1, 2]), *CROWD
    )
    judge = judge_of(enrolled)
    found = same_people(enrolled, judge, at_least=0.01)
    links = {pair for pair in pairs_of(found) if 5 in pair}
    assert not links.isdisjoint({(1, 5), (2, 5)})
    assert not links.isdisjoint({(3, 5), (4, 5)})
    groups = {frozenset(group.people): group for group in found.groups}
    with_five = next(those for those in groups if 5 in those)
    assert set(groups) in (
        {frozenset({1, 2, 5}), frozenset({3, 4})},
        {frozenset({1, 2}), frozenset({3, 4, 5})},
    )
    weak = {pair for pair in links if not with_five.issuperset(pair)}
    for group in found.groups:
        assert {pair.people for pair in group.left_out} == weak


def test_the_least_probable_step_is_the_probability_of_a_group():
    enrolled = gallery_of((1, [1]), (2, [1]), *CROWD)
    found = same_people(enrolled, judge_of(enrolled))
    assert found.groups[0].probability == pytest.approx(found.pairs[0].probability, abs=1e-6)


def test_names_that_are_equal_but_for_accents_are_proposed_and_not_merged():
    enrolled = gallery_of((1, [1]), (2, [2]), *CROWD)
    found = same_people(enrolled, judge_of(enrolled), names={1: "José", 2: "jose", 100: "Ana"})
    (pair,) = found.pairs
    assert (pair.people, pair.same_name) == ((1, 2), True)
    assert pair.probability < 0.1
    assert found.groups == ()
    with_group = gallery_of((1, [1]), (2, [2]), (3, [1]), *CROWD)
    (group,) = same_people(with_group, judge_of(with_group), names={1: "José", 2: "jose"}).groups
    assert (group.people, group.left_out) == ((1, 3), ())
    parted = same_people(
        enrolled, judge_of(enrolled), names={1: "José", 2: "jose"}, not_same={(1, 2)}
    )
    assert parted.pairs == ()


def test_a_likeness_is_not_called_one_of_names_and_names_without_a_photo_are_no_pair():
    enrolled = gallery_of((1, [1]), (2, [1]), *CROWD)
    names = {1: "Ana", 2: "Eva", 8: "Ida", 9: "IDA"}
    (pair,) = same_people(enrolled, judge_of(enrolled), names=names).pairs
    assert (pair.people, pair.same_name) == ((1, 2), False)


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("Jürgen Müller", "JURGEN  MULLER", True),
        ("Jürgen", "Ju\u0308rgen", True),
        ("Straße", "STRASSE", True),
        ("Anna Maria", "Annamaria", True),
        ("\u0130pek", "ipek", True),
        ("が", "か", False),
        ("Jan", "Jana", False),
    ],
)
def test_names_differ_in_nothing_but_case_accents_and_spaces(a, b, equal):
    assert (bare_name(a) == bare_name(b)) is equal


def test_of_three_of_one_name_each_is_paired_with_the_first():
    assert same_names({7: "Ana", 3: "ANA", 5: "Bo", 9: "aná"}) == [(3, 7), (3, 9)]


def test_someone_with_hundreds_of_photos_is_found_under_a_second_name():
    """All nearest templates are the person's own until many more are asked for."""
    many, one = photos_of(1, 300, variation=0.1), photos_of(1, 1, variation=0.8, salt=1)
    crowd = gallery_of(*CROWD)
    rows = np.vstack([many, one, crowd.templates])
    names = np.concatenate([np.full(300, 1), [2], crowd.people])
    enrolled = enrolled_as(np.arange(len(rows)), names, rows)
    judge = judge_of(enrolled)
    assert pairs_of(same_people(enrolled, judge)) == [(1, 2)]
    assert pairs_of(same_people(enrolled, judge, new=range(300))) == [(1, 2)]
    index = Counting.build(enrolled.ids, rows)
    same_people(enrolled, judge, index=index)
    assert index.asked[:2] == [len(rows), 300]  # nobody else is asked for again
    index.upsert(5000 + np.arange(300), many)  # forgotten meanwhile: they are nobody else's
    assert pairs_of(same_people(enrolled, judge, new=range(300), index=index)) == [(1, 2)]


def test_only_what_is_new_is_compared_and_is_found_as_in_the_whole():
    enrolled = gallery_of((1, [1, 1]), (2, [2, 2]), (3, [1]), (4, [2]), *CROWD)
    judge = judge_of(enrolled)
    index = Counting.build(enrolled.ids, enrolled.templates)
    new = enrolled.ids[enrolled.people == 3].tolist()
    found = same_people(enrolled, judge, new=new, index=index)
    assert index.asked[0] == 1
    assert pairs_of(found) == [(1, 3)]
    assert found.share > 0.01
    assert same_people(enrolled, judge, new=[], index=index).pairs == ()


def test_what_an_index_holds_beyond_the_gallery_is_no_person():
    enrolled = gallery_of((1, [1]), (2, [1]), *CROWD)
    judge = judge_of(enrolled)
    index = FaissIndex.build(enrolled.ids, enrolled.templates)
    index.upsert(np.array([1, 5000]), photos_of(1, 2, salt=3))  # forgotten meanwhile
    assert same_people(enrolled, judge, index=index) == same_people(enrolled, judge)


def test_templates_are_asked_for_in_parts_without_a_difference(monkeypatch):
    enrolled = gallery_of((1, [1, 1]), (2, [2]), (3, [1]), (4, [2]), *CROWD)
    judge = judge_of(enrolled)
    whole = same_people(enrolled, judge), same_faces(enrolled)
    monkeypatch.setattr(people, "QUERIES", 7)
    monkeypatch.setattr(people, "PAIRS", 1)
    parts = same_people(enrolled, judge), same_faces(enrolled)
    assert parts[0] == whole[0]
    assert sorted(pairs_of(parts[0])) == [(1, 3), (2, 4)]
    assert parts[1] == whole[1]


def test_a_head_with_an_order_of_its_own_decides_alone():
    """It sees only what differs in the first half of the numbers."""
    head = L1SigmoidHead(None, np.r_[np.ones(DIM // 2), np.zeros(DIM // 2)].astype("f4"), 1.0, 4.6)
    head = L1SigmoidHead(None, head.weights, 1.0, 4.6, exponent=1.5, follows_cosine=False)
    enrolled = gallery_of((1, [1]), (2, [2]), *CROWD)
    rows = enrolled.templates.copy()
    rows[1, : DIM // 2] = rows[0, : DIM // 2]
    enrolled = enrolled_as(enrolled.ids, enrolled.people, unit(rows))
    assert pairs_of(same_people(enrolled, judge_of(enrolled, head)))[:1] == [(1, 2)]
    assert (1, 2) not in pairs_of(same_people(enrolled, judge_of(enrolled)))


@pytest.mark.parametrize("names", [[], [(1, [1])], [(1, [1, 1])]], ids=["nobody", "one", "two"])
def test_one_person_alone_is_nobody_twice(names):
    nothing = np.zeros(0, np.int64)
    none = Enrolled(nothing, nothing, np.zeros((0, DIM), np.float32), nothing)
    enrolled = gallery_of(*names) if names else none
    judge = judge_of(gallery_of(*CROWD))
    assert same_people(enrolled, judge).pairs == ()
    assert two_in_one(enrolled, judge) == ()
    assert same_faces(enrolled) == ()


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(0, 3))
def test_no_more_than_so_many_are_expected_wrong_where_that_is_said(probabilities, wrong):
    least = probability_for(probabilities, wrong)
    inside = [p for p in probabilities if p >= least]
    if least < 1:
        assert (
            expected_wrong(probabilities, least) <= wrong + 1e-9 or probabilities.count(least) > 1
        )
    lower = [p for p in probabilities if p < least]
    if lower:
        assert expected_wrong([*inside, max(lower)], 0) > wrong - 1e-9


def test_the_count_of_what_is_wrong_is_that_of_what_is_shown():
    assert expected_wrong([0.9, 0.5, 0.4], 0.5) == pytest.approx(0.6)
    assert expected_wrong([], 0.5) == 0


@pytest.mark.parametrize("variation", [0.4, 0.7], ids=["portraits", "family album"])
def test_how_alike_mates_are_is_read_from_the_gallery(variation):
    rows = np.vstack([photos_of(person, 4, variation) for person in range(400)])
    enrolled = enrolled_as(np.arange(1600), np.repeat(np.arange(400), 4), rows)
    judge = judge_of(enrolled)
    pairs = [standard_score(judge, *rows[4 * person :][:2]) for person in range(400)]
    trust = 400 / 430
    assert judge.mates.mean == pytest.approx(
        trust * np.mean(pairs) + (1 - trust) * judge.usual.mean, abs=0.1
    )
    assert judge.mates.std == pytest.approx(
        (trust * np.var(pairs) + (1 - trust) * judge.usual.std**2) ** 0.5, rel=0.15
    )
    assert judge.usual == people.usual_mates(MODEL.evidence)


def test_a_middling_score_means_less_where_mates_are_more_alike():
    crowd = gallery_of((1, [1]), *CROWD)
    judge = judge_of(crowd)
    one = np.ones(1)
    llrs = [judge.llrs(np.array([4.0]), one, one, Mates(mean, 1.0))[0] for mean in (4.0, 5.0, 6.0)]
    assert llrs[0] > llrs[1] > llrs[2]


def test_what_a_model_says_of_mates_is_its_evidence_times_the_density_of_strangers():
    normal = Evidence(-(4.0**2) / 2 / 1.5**2 - np.log(1.5), 4 / 1.5**2, 0.5 - 0.5 / 1.5**2, -8, 14)
    usual = people.usual_mates(normal)
    assert (usual.mean, usual.std) == pytest.approx((4.0, 1.5), rel=0.01)


def test_copies_and_people_of_one_photo_say_nothing_of_mates():
    enrolled = enrolled_as([7, 3, 5, 9], [1, 1, 2, 3], photos_of(1, 4, variation=0.1))
    assert [len(rows) for rows in people.mated_rows(enrolled)] == [0, 0]
    judge = judge_of(enrolled)
    assert judge.mates == judge.usual


def test_mates_are_the_first_and_the_middle_photo_by_their_ids():
    rows = np.vstack([photos_of(p, n, variation=2) for p, n in ((1, 5), (2, 1), (3, 2))])
    enrolled = enrolled_as([14, 12, 10, 13, 11, 20, 31, 30], [1, 1, 1, 1, 1, 2, 3, 3], rows)
    first, second = people.mated_rows(enrolled)
    assert enrolled.ids[first].tolist() == [10, 30]
    assert enrolled.ids[second].tolist() == [12, 31]


def test_of_many_people_an_even_sample_tells_how_alike_mates_are(monkeypatch):
    monkeypatch.setattr(people, "MATES_MOST", 5)
    enrolled = gallery_of(*((name, [name] * 2) for name in range(21)))
    first, second = people.mated_rows(enrolled)
    assert enrolled.people[first].tolist() == [0, 5, 10, 15, 20]
    assert enrolled.people[second].tolist() == [0, 5, 10, 15, 20]


def test_a_few_mates_that_are_two_people_hardly_change_what_is_known_of_them():
    scores = np.random.default_rng(0).normal(6, 1, 500)
    mixed = np.append(scores, np.random.default_rng(1).normal(0, 1, 25))
    alone, with_them = (Mates(5.0, 1.5).updated(x) for x in (scores, mixed))
    assert with_them.mean == pytest.approx(alone.mean, abs=0.1)
    assert with_them.std == pytest.approx(alone.std, abs=0.15)


@given(z=st.floats(0, 7), n_a=st.integers(1, 40), n_b=st.integers(1, 40))
def test_scores_of_means_are_those_of_single_photos_and_back(z, n_a, n_b):
    judge = judge_of(gallery_of((1, [1]), *CROWD[:9]))
    counts, one = (np.array([n_a], float), np.array([n_b], float)), np.ones(1)
    of_means = judge._of_means(z, *counts)
    assert of_means[0] >= z - 1e-9
    assert judge.as_of_one_photo(of_means, *counts)[0] == pytest.approx(z, abs=1e-6)
    assert judge.as_of_one_photo(-of_means, *counts)[0] == pytest.approx(-z, abs=1e-6)
    assert judge.as_of_one_photo(np.array([z]), one, one)[0] == pytest.approx(z, abs=1e-6)


@pytest.mark.parametrize("std", [0.4, 1.0, 1.6])
def test_the_more_alike_the_likelier_one_person(std):
    judge = judge_of(gallery_of((1, [1]), *CROWD))
    ones = np.full(200, 2.0)
    llrs = judge.llrs(np.linspace(-12, 15, 200), ones, ones, Mates(4.0, std))
    assert (np.diff(llrs) >= -1e-9).all()
    assert llrs[-1] > 5


# Two people on one photo


def test_two_people_on_one_photo_are_never_one_immich_12921():
    enrolled = gallery_of((1, [1, 1]), (2, [1, 1]), (3, [1, 1]), *CROWD)
    judge = judge_of(enrolled)
    assert sorted(pairs_of(same_people(enrolled, judge))) == [(1, 2), (1, 3), (2, 3)]
    photos = enrolled.photos.copy()
    photos[enrolled.people == 2] = photos[enrolled.people == 3]
    together = Enrolled(enrolled.ids, enrolled.people, enrolled.templates, photos)
    names = {2: "Ana", 3: "ana"}
    found = same_people(together, judge, names=names)
    assert sorted(pairs_of(found)) == [(1, 2), (1, 3)]
    assert all(not {2, 3} <= set(group.people) for group in found.groups)


def test_everyone_on_a_photo_is_apart_from_everyone_else_on_it():
    photos, owners = [7, 7, 7, 8, 8, 9, 9, 6], [3, 1, 2, 3, 4, 5, 5, 9]
    enrolled = Enrolled(np.arange(8), np.array(owners), photos_of(1, 8), np.array(photos))
    assert people.photographed_together(enrolled) == {(1, 2), (1, 3), (2, 3), (3, 4)}


# One name that holds two people


def test_a_name_that_holds_two_people_is_told_with_who_is_which_immich_4439():
    enrolled = gallery_of((1, [4, 1, 1, 4, 1]), *CROWD)
    (two,) = two_in_one(enrolled, judge_of(enrolled))
    assert two.person == 1
    assert two.camps == ((11, 12, 14), (10, 13))
    assert two.probability > 0.9


def test_two_photos_of_two_people_are_two_camps():
    enrolled = gallery_of((1, [1, 4]), *CROWD)
    (two,) = two_in_one(enrolled, judge_of(enrolled))
    assert (two.person, two.camps) == (1, ((10,), (11,)))


def test_the_odds_of_two_people_are_those_against_the_camps_being_one():
    enrolled = gallery_of((1, [1, 4, 1, 1, 4]), *CROWD)
    judge = judge_of(enrolled)
    cases = {two.person: two.probability for two in two_in_one(enrolled, judge, at_least=0)}
    assert len(cases) == 1 + 45  # those of one photo cannot be two
    scores, camps = {}, {}
    for person in np.unique(enrolled.people).tolist():
        rows = enrolled.templates[enrolled.people == person]
        camp = two_camps(judge.strangers.centred(rows))
        if camp is not None:
            camps[person] = int((~camp).sum()), int(camp.sum())
            scores[person] = standard_score(judge, rows[~camp].sum(0), rows[camp].sum(0))
    sizes = np.array(list(camps.values()), float).T
    single = judge.as_of_one_photo(np.array(list(scores.values())), *sizes)
    usual = Mates(judge.usual.mean - people.CAMPS_LOWER_Z, judge.usual.std)
    of_one = usual.updated(single)
    llrs = {i: two_normals(judge, of_one, scores[i], *camps[i]) for i in cases}
    share = (1 + sum(cases.values())) / (100 + len(cases))
    for person, llr in llrs.items():
        odds = cases[person] / (1 - cases[person])
        assert np.log(odds) == pytest.approx(-llr + np.log(share / (1 - share)), rel=0.005)


def test_camps_that_a_human_has_both_confirmed_are_not_proposed():
    enrolled = gallery_of((1, [1, 4, 1, 1, 4]), *CROWD)
    judge = judge_of(enrolled)
    assert len(two_in_one(enrolled, judge, confirmed={10, 12, 13})) == 1
    assert two_in_one(enrolled, judge, confirmed={10, 14}) == ()


@pytest.mark.parametrize("seed", range(5))
def test_everyone_in_a_camp_is_more_like_it_than_like_the_other(seed):
    rows = np.vstack([photos_of(1, 30, 2.5, seed), photos_of(2, 30, 2.5, seed)])
    camp = two_camps(rows)
    middles = unit(np.stack([rows[~camp].sum(0), rows[camp].sum(0)]))
    assert (rows @ middles.T).argmax(1).tolist() == camp.astype(int).tolist()


def test_copies_of_one_photo_are_one_camp():
    assert two_camps(np.repeat(photos_of(1, 1), 5, axis=0)) is None
    assert two_camps(photos_of(1, 1)) is None


# The same face twice


def test_copies_of_a_face_are_found_under_one_name_and_under_two():
    enrolled = gallery_of((1, [1, 1]), (2, [2]), *CROWD)
    rows = enrolled.templates.copy()
    copies = unit(rows[[0, 2]] + 0.1 * photos_of(9, 2, variation=5))
    enrolled = enrolled_as(
        np.append(enrolled.ids, [900, 901]),
        np.append(enrolled.people, [1, 3]),
        np.vstack([rows, copies]),
    )
    found = same_faces(enrolled)
    assert {face.templates: face.people for face in found} == {(10, 900): (1, 1), (12, 901): (2, 3)}
    assert all(people.COPY_COSINE <= face.cosine <= 1 for face in found)
    assert [face.cosine for face in found] == sorted((f.cosine for f in found), reverse=True)


def test_two_photos_of_one_person_are_not_the_same_face():
    rows = photos_of(1, 200, variation=0.35)  # 0.89 alike
    assert same_faces(enrolled_as(np.arange(200), np.ones(200, np.int64), rows)) == ()


def test_a_face_with_many_copies_is_found_with_all_of_them():
    rows = np.vstack([np.repeat(photos_of(1, 1), 12, axis=0), photos_of(2, 3)])
    found = same_faces(enrolled_as(np.arange(15), np.ones(15, np.int64), rows))
    assert {face.templates for face in found} == set(combinations(range(12), 2))
