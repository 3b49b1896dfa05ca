from itertools import combinations

import numpy as np
import pytest
from fake_model import COHORT, DIM, FakeModel
from hypothesis import given
from hypothesis import strategies as st

from facesearch.dedupe import people
from facesearch.dedupe.people import (
    Enrolled,
    Judge,
    bare_name,
    by_person,
    expected_wrong,
    probability_for,
    same_faces,
    same_names,
    same_people,
    two_camps,
    two_in_one,
)
from facesearch.head import L1SigmoidHead
from facesearch.openset import fit_strangers
from facesearch.vectors import unit
from facesearch_indexes.faiss_index import FaissIndex

MODEL = FakeModel()


def photos_of(person, n, variation=0.5, salt=0):
    """Unit rows (n, DIM): so many photos of the person of that number."""
    own = unit(np.random.default_rng([1, person]).normal(size=DIM))
    noise = np.random.default_rng([2, person, salt]).normal(size=(n, DIM))
    return unit((own + variation * unit(noise)).astype(np.float32))


def gallery_of(*names):
    """Enrolled people: for each name (id) the numbers of who is on its photos."""
    rows, owners = [], []
    for name, shown in names:
        for place, person in enumerate(shown):
            rows.append(photos_of(person, 1, salt=100 * name + place))
            owners.append(name)
    return Enrolled(10 + np.arange(len(owners)), np.array(owners), np.vstack(rows))


CROWD = [(name, [name] * (1 + name % 4)) for name in range(100, 160)]  # nobody twice


def judge_of(enrolled, head=MODEL.head):
    means = unit(by_person(enrolled).sums)
    return Judge(head, MODEL.evidence, fit_strangers(means, len(means), COHORT, head))


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


def test_probabilities_are_bayes_rule_over_every_pair_of_people():
    enrolled = gallery_of((1, [1, 1]), (2, [2, 2, 2]), (3, [1]), (4, [2]), *CROWD)
    judge = judge_of(enrolled)
    found = same_people(enrolled, judge, at_least=0.0)
    ids = np.unique(enrolled.people)
    means = {i: unit(enrolled.templates[enrolled.people == i].sum(0)) for i in ids}
    llrs = {}
    for a, b in combinations(ids.tolist(), 2):
        score = MODEL.head.scores(
            judge.strangers.centred(means[a]), judge.strangers.centred(means[b])[None]
        )
        photos = [(enrolled.people == i).sum() for i in (a, b)]
        evidence = float(MODEL.evidence.llr(judge.strangers.standard(score))[0])
        llrs[a, b] = evidence - people.SEVERAL_PHOTOS * np.log(np.sqrt(np.prod(photos)))
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
    enrolled = Enrolled(np.arange(len(rows)), names, rows)
    judge = judge_of(enrolled)
    assert pairs_of(same_people(enrolled, judge)) == [(1, 2)]
    assert pairs_of(same_people(enrolled, judge, new=range(300))) == [(1, 2)]
    index = FaissIndex.build(enrolled.ids, rows)
    index.upsert(5000 + np.arange(300), many)  # forgotten meanwhile: they are nobody else's
    assert pairs_of(same_people(enrolled, judge, new=range(300), index=index)) == [(1, 2)]


def test_only_what_is_new_is_compared_and_is_found_as_in_the_whole():
    enrolled = gallery_of((1, [1, 1]), (2, [2, 2]), (3, [1]), (4, [2]), *CROWD)
    judge = judge_of(enrolled)
    asked = []

    class Counting(FaissIndex):
        def search(self, rows, k):
            asked.append(len(rows))
            return super().search(rows, k)

    index = Counting.build(enrolled.ids, enrolled.templates)
    new = enrolled.ids[enrolled.people == 3].tolist()
    found = same_people(enrolled, judge, new=new, index=index)
    assert asked[0] == 1
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
    enrolled = Enrolled(enrolled.ids, enrolled.people, unit(rows))
    assert pairs_of(same_people(enrolled, judge_of(enrolled, head)))[:1] == [(1, 2)]
    assert (1, 2) not in pairs_of(same_people(enrolled, judge_of(enrolled)))


@pytest.mark.parametrize("names", [[], [(1, [1])], [(1, [1, 1])]], ids=["nobody", "one", "two"])
def test_one_person_alone_is_nobody_twice(names):
    none = Enrolled(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, DIM), np.float32))
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
    shown = np.array([0, 1, 0, 0, 1])
    rows = enrolled.templates[:5]
    a, b = (judge.strangers.centred(unit(rows[shown == i].sum(0))) for i in (0, 1))
    z = judge.strangers.standard(MODEL.head.scores(a, b[None]))
    llr = float(MODEL.evidence.llr(z)[0]) - people.SEVERAL_PHOTOS * np.log(np.sqrt(3 * 2))
    share = (1 + sum(cases.values())) / (100 + len(cases))
    odds = cases[1] / (1 - cases[1])
    assert np.log(odds) == pytest.approx(-llr + np.log(share / (1 - share)), abs=0.01)


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
    enrolled = Enrolled(
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
    assert same_faces(Enrolled(np.arange(200), np.ones(200, np.int64), rows)) == ()


def test_a_face_with_many_copies_is_found_with_all_of_them():
    rows = np.vstack([np.repeat(photos_of(1, 1), 12, axis=0), photos_of(2, 3)])
    found = same_faces(Enrolled(np.arange(15), np.ones(15, np.int64), rows))
    assert {face.templates for face in found} == set(combinations(range(12), 2))
