import numpy as np
import pytest
from made_up_people import CROWD, gallery_of, judge_of, photos_of, standard_score, two_normals

from facesearch.duplicates.judge import Mates
from facesearch.duplicates.two_people import CAMPS_LOWER_Z, two_camps, two_in_one
from facesearch.vectors import unit


def test_a_name_that_holds_two_people_is_proposed_with_the_photos_of_each_immich_4439():
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
    assert len(cases) == 1 + 45  # people with one photo have one camp
    scores, camps = {}, {}
    for person in np.unique(enrolled.people).tolist():
        rows = enrolled.templates[enrolled.people == person]
        camp = two_camps(judge.strangers.centered(rows))
        if camp is not None:
            camps[person] = int((~camp).sum()), int(camp.sum())
            scores[person] = standard_score(judge, rows[~camp].sum(0), rows[camp].sum(0))
    sizes = np.array(list(camps.values()), float).T
    single = judge.single_photo_scores(np.array(list(scores.values())), *sizes)
    usual = Mates(judge.model_mates.mean - CAMPS_LOWER_Z, judge.model_mates.std)
    of_one = usual.updated(single)
    llrs = {i: two_normals(judge, of_one, scores[i], *camps[i]) for i in cases}
    share = (1 + sum(cases.values())) / (100 + len(cases))
    for person, llr in llrs.items():
        odds = cases[person] / (1 - cases[person])
        assert np.log(odds) == pytest.approx(-llr + np.log(share / (1 - share)), rel=0.005)


def test_a_name_with_a_confirmed_face_in_both_camps_is_not_proposed():
    enrolled = gallery_of((1, [1, 4, 1, 1, 4]), *CROWD)
    judge = judge_of(enrolled)
    assert len(two_in_one(enrolled, judge, confirmed={10, 12, 13})) == 1
    assert two_in_one(enrolled, judge, confirmed={10, 14}) == ()


@pytest.mark.parametrize("seed", range(5))
def test_every_template_is_more_like_its_own_camp_than_the_other(seed):
    rows = np.vstack([photos_of(1, 30, 2.5, seed), photos_of(2, 30, 2.5, seed)])
    camp = two_camps(rows)
    middles = unit(np.stack([rows[~camp].sum(0), rows[camp].sum(0)]))
    assert (rows @ middles.T).argmax(1).tolist() == camp.astype(int).tolist()


def test_copies_of_one_photo_are_one_camp():
    assert two_camps(np.repeat(photos_of(1, 1), 5, axis=0)) is None
    assert two_camps(photos_of(1, 1)) is None
