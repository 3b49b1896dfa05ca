import numpy as np
import pytest

from facesearch.evaluation import metrics
from facesearch.evaluation.bootstrap import (
    RESAMPLES,
    Answers,
    draws,
    interval,
    rank_1_rates,
    rates,
    tpirs,
)
from facesearch.evaluation.protocols import OpenSetSplit, random_open_set_splits

PEOPLE = 40


def made_up(seed):
    """Return a split of people with 2 to 6 photos, and scores (searches, people) of both kinds."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(PEOPLE), rng.integers(2, 7, PEOPLE))
    (split,) = random_open_set_splits(person, 1, seed)
    scores = {
        kind: rng.normal(size=(len(rows), len(split.gallery)))
        for kind, rows in split.probes.items()
    }
    scores["mated"][np.arange(len(split.owners)), split.owners] += 2.5
    return split, {kind: some.round(1) for kind, some in scores.items()}  # so that some tie


def one_search_each(right):
    """Return a split where people only ask once, and answers that are `right` (n,) or not."""
    n = len(right)
    numbers = {"mated": np.arange(n), "non_mated": np.arange(n)}
    split = OpenSetSplit(np.arange(n), numbers, np.arange(n), numbers)
    return split, Answers(np.asarray(right, bool), np.ones(n), np.zeros(n))


@pytest.mark.parametrize("fpir", [0.0, 0.04, 0.3])
def test_a_person_drawn_twice_counts_with_all_their_searches_twice(fpir):
    split, scores = made_up(0)
    answers, counts = Answers.of(scores, split.owners), draws(PEOPLE)[:50]
    for row, drawn in enumerate(counts):
        mated = np.repeat(np.arange(len(split.owners)), drawn[split.askers["mated"]])
        others = np.repeat(scores["non_mated"], drawn[split.askers["non_mated"]], axis=0)
        asked = scores["mated"][mated], split.owners[mated]
        threshold = metrics.threshold_at(fpir, others)
        assert rank_1_rates(answers, split, counts)[row] == metrics.rank_1_rate(*asked)
        assert tpirs(answers, split, counts, fpir)[row] == metrics.tpir(*asked, threshold)


def test_the_first_value_is_the_measured_mean_of_the_splits():
    splits, scores = zip(*(made_up(seed) for seed in range(3)), strict=True)
    answers = [Answers.of(s, split.owners) for s, split in zip(scores, splits, strict=True)]
    drawn = rates(answers, splits, draws(PEOPLE))
    assert {len(rate) for rate in drawn.values()} == {1 + RESAMPLES}
    measured = [
        metrics.tpir(s["mated"], split.owners, metrics.threshold_at(0.05, s["non_mated"]))
        for s, split in zip(scores, splits, strict=True)
    ]
    assert drawn["tpir_at_fpir_5pct"][0] == pytest.approx(np.mean(measured))
    ranked = [
        metrics.rank_1_rate(s["mated"], p.owners) for s, p in zip(scores, splits, strict=True)
    ]
    assert interval("rank1", drawn["rank1"])["rank1"] == pytest.approx(np.mean(ranked))


def test_the_interval_of_a_paired_difference_agrees_with_that_of_a_mean():
    rng = np.random.default_rng(1)
    ours, theirs = rng.random((2, 2000)) < [[0.9], [0.88]]
    theirs = np.where(rng.random(2000) < 0.7, ours, theirs)  # they mostly err together
    counts = draws(2000)
    drawn = [rank_1_rates(a, s, counts) for s, a in map(one_search_each, (ours, theirs))]
    found = interval("gain", drawn[0] - drawn[1])
    differences = ours.astype(float) - theirs
    half = 1.96 * differences.std() / np.sqrt(2000)  # of the mean of independent differences
    assert found["gain"] == pytest.approx(differences.mean())
    assert found["gain_low"] == pytest.approx(differences.mean() - half, abs=0.15 * half)
    assert found["gain_high"] == pytest.approx(differences.mean() + half, abs=0.15 * half)


def test_more_searches_of_the_same_people_do_not_narrow_the_interval():
    right = np.random.default_rng(2).random(100) < 0.8
    split, answers = one_search_each(right)
    nine = {kind: np.repeat(numbers, 9) for kind, numbers in split.askers.items()}
    often = OpenSetSplit(split.gallery, nine, nine["mated"], nine)
    alike = Answers(np.repeat(right, 9), np.ones(900), np.zeros(900))
    counts = draws(100)
    once = rank_1_rates(answers, split, counts)
    assert np.ptp(once) > 0
    np.testing.assert_allclose(rank_1_rates(alike, often, counts), once)
    (both,) = {len(d) for d in rates([answers, alike], [split, often], counts).values()}
    assert both == 1 + RESAMPLES


def test_every_resample_has_as_many_people_as_there_are():
    counts = draws(30, seed=3)
    assert counts.shape == (1 + RESAMPLES, 30)
    assert (counts.sum(1) == 30).all()
    assert (counts[0] == 1).all()
    assert (counts[1:] != 1).any(1).all()
    assert not np.array_equal(counts, draws(30, seed=4))
