from itertools import combinations

import numpy as np
import pytest
from fake_model import DIM
from hypothesis import given
from hypothesis import strategies as st
from made_up_people import (
    CROWD,
    enrolled_as,
    gallery_of,
    judge_of,
    photos_of,
    standard_score,
    two_normals,
)

from facesearch.duplicates.judge import Enrolled
from facesearch.duplicates.same_face import same_faces
from facesearch.duplicates.same_person import (
    expected_wrong,
    photographed_together,
    probability_for,
    same_names,
    same_people,
)
from facesearch.duplicates.two_people import two_in_one
from facesearch.head import L1SigmoidHead
from facesearch.vectors import unit
from facesearch_indexes.faiss_index import FaissIndex


class Counting(FaissIndex):
    """Keeps how many rows each search was for."""

    def search(self, rows, k):
        self.__dict__.setdefault("asked", []).append(len(rows))
        return super().search(rows, k)


def pairs_of(found):
    return [pair.people for pair in found.pairs]


def test_a_person_under_two_names_is_proposed_and_nobody_else():
    enrolled = gallery_of((1, [1, 1]), (2, [2, 2, 2]), (3, [1]), *CROWD)
    found = same_people(enrolled, judge_of(enrolled))
    assert pairs_of(found) == [(1, 3)]
    assert found.pairs[0].probability > 0.9
    assert [group.people for group in found.groups] == [(1, 3)]
    assert found.n_people == 63


def test_probabilities_follow_bayes_rule_over_every_pair_of_people():
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


def test_pairs_a_human_called_two_people_are_never_proposed_nor_grouped_through_a_third():
    enrolled = gallery_of((1, [1, 1]), (2, [1, 1]), (3, [1, 1]), *CROWD)
    judge = judge_of(enrolled)
    assert [g.people for g in same_people(enrolled, judge).groups] == [(1, 2, 3)]
    found = same_people(enrolled, judge, not_same={(1, 3)})
    assert sorted(pairs_of(found)) == [(1, 2), (2, 3)]
    (group,) = found.groups
    assert group.people in {(1, 2), (2, 3)}
    (left,) = group.left_out
    assert {left.people, group.people} == {(1, 2), (2, 3)}


def test_a_weak_link_between_two_groups_is_left_out_and_listed():
    """Name 5 holds a photo of each of two people: it must not join everyone, immich 6374."""
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


def test_a_group_has_the_probability_of_its_least_probable_step():
    enrolled = gallery_of((1, [1]), (2, [1]), *CROWD)
    found = same_people(enrolled, judge_of(enrolled))
    assert found.groups[0].probability == pytest.approx(found.pairs[0].probability, abs=1e-6)


def test_names_that_differ_only_in_accents_are_proposed_but_not_grouped():
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


def test_alike_faces_are_not_reported_as_equal_names_nor_names_without_a_photo_paired():
    enrolled = gallery_of((1, [1]), (2, [1]), *CROWD)
    names = {1: "Ana", 2: "Eva", 8: "Ida", 9: "IDA"}
    (pair,) = same_people(enrolled, judge_of(enrolled), names=names).pairs
    assert (pair.people, pair.same_name) == ((1, 2), False)


def test_three_people_with_one_name_are_each_paired_with_the_first():
    assert same_names({7: "Ana", 3: "ANA", 5: "Bo", 9: "aná"}) == [(3, 7), (3, 9)]


def test_someone_with_hundreds_of_photos_is_found_under_a_second_name():
    """All nearest templates are the person's own until many more are searched."""
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
    assert index.asked[:2] == [len(rows), 300]  # only these are searched again
    index.upsert(5000 + np.arange(300), many)  # deleted from the gallery since
    assert pairs_of(same_people(enrolled, judge, new=range(300), index=index)) == [(1, 2)]


def test_only_new_templates_are_searched_and_find_the_same_pairs():
    enrolled = gallery_of((1, [1, 1]), (2, [2, 2]), (3, [1]), (4, [2]), *CROWD)
    judge = judge_of(enrolled)
    index = Counting.build(enrolled.ids, enrolled.templates)
    new = enrolled.ids[enrolled.people == 3].tolist()
    found = same_people(enrolled, judge, new=new, index=index)
    assert index.asked[0] == 1
    assert pairs_of(found) == [(1, 3)]
    assert found.share > 0.01
    assert same_people(enrolled, judge, new=[], index=index).pairs == ()


def test_templates_that_only_the_index_holds_are_ignored():
    enrolled = gallery_of((1, [1]), (2, [1]), *CROWD)
    judge = judge_of(enrolled)
    index = FaissIndex.build(enrolled.ids, enrolled.templates)
    index.upsert(np.array([1, 5000]), photos_of(1, 2, salt=3))  # deleted from the gallery since
    assert same_people(enrolled, judge, index=index) == same_people(enrolled, judge)


def test_searching_in_batches_changes_no_proposal(monkeypatch):
    enrolled = gallery_of((1, [1, 1]), (2, [2]), (3, [1]), (4, [2]), *CROWD)
    judge = judge_of(enrolled)
    whole = same_people(enrolled, judge), same_faces(enrolled)
    monkeypatch.setattr("facesearch.duplicates.neighbors.QUERIES_AT_ONCE", 7)
    monkeypatch.setattr("facesearch.duplicates.judge.PAIRS_AT_ONCE", 1)
    parts = same_people(enrolled, judge), same_faces(enrolled)
    assert parts[0] == whole[0]
    assert sorted(pairs_of(parts[0])) == [(1, 3), (2, 4)]
    assert parts[1] == whole[1]


def test_a_head_that_does_not_follow_the_cosine_decides_alone():
    """It compares only the first half of the numbers."""
    head = L1SigmoidHead(None, np.r_[np.ones(DIM // 2), np.zeros(DIM // 2)].astype("f4"), 1.0, 4.6)
    head = L1SigmoidHead(None, head.weights, 1.0, 4.6, exponent=1.5, follows_cosine=False)
    enrolled = gallery_of((1, [1]), (2, [2]), *CROWD)
    rows = enrolled.templates.copy()
    rows[1, : DIM // 2] = rows[0, : DIM // 2]
    enrolled = enrolled_as(enrolled.ids, enrolled.people, unit(rows))
    assert pairs_of(same_people(enrolled, judge_of(enrolled, head)))[:1] == [(1, 2)]
    assert (1, 2) not in pairs_of(same_people(enrolled, judge_of(enrolled)))


@pytest.mark.parametrize("names", [[], [(1, [1])], [(1, [1, 1])]], ids=["nobody", "one", "two"])
def test_a_gallery_of_at_most_one_person_has_no_proposals(names):
    nothing = np.zeros(0, np.int64)
    none = Enrolled(nothing, nothing, np.zeros((0, DIM), np.float32), nothing)
    enrolled = gallery_of(*names) if names else none
    judge = judge_of(gallery_of(*CROWD))
    assert same_people(enrolled, judge).pairs == ()
    assert two_in_one(enrolled, judge) == ()
    assert same_faces(enrolled) == ()


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(0, 3))
def test_probability_for_keeps_expected_wrong_proposals_at_the_limit(probabilities, wrong):
    least = probability_for(probabilities, wrong)
    inside = [p for p in probabilities if p >= least]
    if least < 1:
        assert (
            expected_wrong(probabilities, least) <= wrong + 1e-9 or probabilities.count(least) > 1
        )
    lower = [p for p in probabilities if p < least]
    if lower:
        assert expected_wrong([*inside, max(lower)], 0) > wrong - 1e-9


def test_expected_wrong_counts_only_proposals_at_or_above_the_probability():
    assert expected_wrong([0.9, 0.5, 0.4], 0.5) == pytest.approx(0.6)
    assert expected_wrong([], 0.5) == 0


# Two people in one photo


def test_two_people_in_one_photo_are_never_proposed_as_one_immich_12921():
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


def test_everyone_in_a_photo_is_apart_from_everyone_else_in_it():
    photos, owners = [7, 7, 7, 8, 8, 9, 9, 6], [3, 1, 2, 3, 4, 5, 5, 9]
    enrolled = Enrolled(np.arange(8), np.array(owners), photos_of(1, 8), np.array(photos))
    assert photographed_together(enrolled) == {(1, 2), (1, 3), (2, 3), (3, 4)}
