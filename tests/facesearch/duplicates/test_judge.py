import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_people import (
    CROWD,
    MODEL,
    enrolled_as,
    gallery_of,
    judge_of,
    photos_of,
    standard_score,
)

from facesearch.duplicates import judge as judge_module
from facesearch.duplicates.judge import Mates, mated_rows, mates_from_evidence
from facesearch.openset import Evidence


@pytest.mark.parametrize("variation", [0.4, 0.7], ids=["portraits", "family album"])
def test_how_alike_mates_are_is_measured_in_the_gallery(variation):
    rows = np.vstack([photos_of(person, 4, variation) for person in range(400)])
    enrolled = enrolled_as(np.arange(1600), np.repeat(np.arange(400), 4), rows)
    judge = judge_of(enrolled)
    pairs = [standard_score(judge, *rows[4 * person :][:2]) for person in range(400)]
    trust = 400 / 430
    assert judge.mates.mean == pytest.approx(
        trust * np.mean(pairs) + (1 - trust) * judge.model_mates.mean, abs=0.1
    )
    assert judge.mates.std == pytest.approx(
        (trust * np.var(pairs) + (1 - trust) * judge.model_mates.std**2) ** 0.5, rel=0.15
    )
    assert judge.model_mates == mates_from_evidence(MODEL.evidence)


def test_a_middling_score_is_weaker_evidence_where_mates_are_more_alike():
    crowd = gallery_of((1, [1]), *CROWD)
    judge = judge_of(crowd)
    one = np.ones(1)
    llrs = [judge.llrs(np.array([4.0]), one, one, Mates(mean, 1.0))[0] for mean in (4.0, 5.0, 6.0)]
    assert llrs[0] > llrs[1] > llrs[2]


def test_mates_by_a_models_evidence_are_its_ratio_times_strangers_density():
    normal = Evidence(-(4.0**2) / 2 / 1.5**2 - np.log(1.5), 4 / 1.5**2, 0.5 - 0.5 / 1.5**2, -8, 14)
    usual = mates_from_evidence(normal)
    assert (usual.mean, usual.std) == pytest.approx((4.0, 1.5), rel=0.01)


def test_copies_and_people_with_one_photo_do_not_count_as_mates():
    enrolled = enrolled_as([7, 3, 5, 9], [1, 1, 2, 3], photos_of(1, 4, variation=0.1))
    assert [len(rows) for rows in mated_rows(enrolled)] == [0, 0]
    judge = judge_of(enrolled)
    assert judge.mates == judge.model_mates


def test_mates_are_the_first_and_the_middle_photo_by_id():
    rows = np.vstack([photos_of(p, n, variation=2) for p, n in ((1, 5), (2, 1), (3, 2))])
    enrolled = enrolled_as([14, 12, 10, 13, 11, 20, 31, 30], [1, 1, 1, 1, 1, 2, 3, 3], rows)
    first, second = mated_rows(enrolled)
    assert enrolled.ids[first].tolist() == [10, 30]
    assert enrolled.ids[second].tolist() == [12, 31]


def test_mates_are_an_even_sample_of_many_people(monkeypatch):
    monkeypatch.setattr(judge_module, "MAX_MATED_PEOPLE", 5)
    enrolled = gallery_of(*((name, [name] * 2) for name in range(21)))
    first, second = mated_rows(enrolled)
    assert enrolled.people[first].tolist() == [0, 5, 10, 15, 20]
    assert enrolled.people[second].tolist() == [0, 5, 10, 15, 20]


def test_a_few_mates_that_are_two_people_hardly_change_the_estimate():
    scores = np.random.default_rng(0).normal(6, 1, 500)
    mixed = np.append(scores, np.random.default_rng(1).normal(0, 1, 25))
    alone, with_them = (Mates(5.0, 1.5).updated(x) for x in (scores, mixed))
    assert with_them.mean == pytest.approx(alone.mean, abs=0.1)
    assert with_them.std == pytest.approx(alone.std, abs=0.15)


@pytest.mark.slow
@given(z=st.floats(0, 7), n_a=st.integers(1, 40), n_b=st.integers(1, 40))
def test_single_photo_scores_invert_the_scores_of_means(z, n_a, n_b):
    judge = judge_of(gallery_of((1, [1]), *CROWD[:9]))
    counts, one = (np.array([n_a], float), np.array([n_b], float)), np.ones(1)
    of_means = judge._scores_of_means(z, *counts)
    assert of_means[0] >= z - 1e-9
    assert judge.single_photo_scores(of_means, *counts)[0] == pytest.approx(z, abs=1e-6)
    assert judge.single_photo_scores(-of_means, *counts)[0] == pytest.approx(-z, abs=1e-6)
    assert judge.single_photo_scores(np.array([z]), one, one)[0] == pytest.approx(z, abs=1e-6)


@pytest.mark.parametrize("std", [0.4, 1.0, 1.6])
def test_a_higher_score_never_makes_one_person_less_likely(std):
    judge = judge_of(gallery_of((1, [1]), *CROWD))
    ones = np.full(200, 2.0)
    llrs = judge.llrs(np.linspace(-12, 15, 200), ones, ones, Mates(4.0, std))
    assert (np.diff(llrs) >= -1e-9).all()
    assert llrs[-1] > 5
