import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesearch.evaluation.one_shot import (
    Episodes,
    lake_accuracy,
    play_episodes,
    student_quantile,
    wilson_interval,
)
from facesearch.evaluation.pictures import LakeTrials

# two groups: of three classes with three pictures each, and of two with two pictures each
CLASSES = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4])
GROUPS = np.array([0, 0, 0, 1, 1])


def by_classes(classes, probes, support):
    return (classes[probes][:, None] == classes[support]).astype(float)


def by_class(probes, support):
    return by_classes(CLASSES, probes, support)


def all_alike(probes, support):
    return np.ones((len(probes), len(support)))


def test_a_comparison_that_knows_the_classes_recognizes_every_probe():
    assert play_episodes(by_class, CLASSES, GROUPS).accuracy == 1.0


def test_a_comparison_that_scores_all_pictures_alike_recognizes_no_probe():
    assert play_episodes(all_alike, CLASSES, GROUPS).accuracy == 0.0


def test_random_scores_reach_chance_averaged_over_groups():
    rng = np.random.default_rng(1)
    by_chance = play_episodes(
        lambda probes, support: rng.random((len(probes), len(support))),
        CLASSES,
        GROUPS,
        trials=3000,
    )
    # 3 standard errors: .013
    assert by_chance.accuracy == pytest.approx((1 / 3 + 1 / 2) / 2, abs=0.015)


def asked_of(classes, groups, **settings):
    """Return (probes, support) of each episode, and its outcome, with all pictures alike."""
    asked = []

    def scores(probes, support):
        asked.append((probes, support))
        return np.zeros((len(probes), len(support)))

    episodes = play_episodes(scores, classes, groups, **settings)
    return asked, episodes


def test_an_episode_is_one_picture_of_each_class_of_a_group_and_another_as_probe():
    asked, episodes = asked_of(CLASSES, GROUPS, trials=50)
    assert len(asked) == 100
    for probes, support in asked:
        assert CLASSES[probes].tolist() == CLASSES[support].tolist()
        assert sorted(CLASSES[support]) in ([0, 1, 2], [3, 4])
        assert not set(probes) & set(support)
    pairs = {
        (int(p), int(s)) for probes, support in asked for p, s in zip(probes, support, strict=True)
    }
    assert len(pairs) == 3 * 6 + 2 * 2  # every ordered pair of two pictures of a class comes up
    assert episodes.asked.tolist() == [50] * 5
    assert episodes.right.tolist() == [0] * 5
    assert (episodes.ways, episodes.fewest_ways) == (3, 2)


def test_an_episode_has_at_most_ways_classes_and_all_classes_come_up():
    asked, episodes = asked_of(CLASSES, GROUPS, ways=2, trials=60)
    assert {len(support) for _, support in asked} == {2}
    assert (episodes.ways, episodes.fewest_ways) == (2, 2)
    assert (episodes.asked[:3] > 20).all()
    assert episodes.asked[:3].sum() == 120


def test_the_seed_decides_the_episodes():
    first, again, other = (
        np.concatenate(
            [support for _, support in asked_of(CLASSES, GROUPS, trials=9, seed=seed)[0]]
        )
        for seed in (1, 1, 2)
    )
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_a_class_with_one_picture_is_support_only():
    classes = np.array([0, 1, 1, 2])
    shown = []

    def scores(probes, support):
        shown.append(classes[[*probes, *support]].tolist())
        return by_classes(classes, probes, support)

    episodes = play_episodes(scores, classes, np.array([0, 0, 0]), trials=10)
    assert all(rows[0] == 1 and sorted(rows[1:]) == [0, 1, 2] for rows in shown)
    assert episodes.asked.tolist() == [0, 10, 0]
    assert episodes.accuracy == 1.0


@pytest.mark.parametrize(
    ("classes", "groups"),
    [([0, 1], [0, 0]), ([0, 0, 1, 1], [0, 1]), ([], [])],
    ids=["one picture each", "one class a group", "nothing"],
)
def test_an_episode_takes_a_probe_and_a_second_class(classes, groups):
    with pytest.raises(ValueError, match="two classes, one with two pictures"):
        play_episodes(by_class, np.array(classes, int), np.array(groups, int))


def test_the_accuracy_is_the_mean_over_groups_whatever_their_size():
    episodes = Episodes(
        asked=np.array([10, 10, 10, 0, 10]),
        right=np.array([10, 9, 8, 0, 1]),
        groups=np.array([0, 0, 0, 1, 1]),
        ways=3,
        fewest_ways=1,
    )
    assert episodes.accuracy == pytest.approx((27 / 30 + 1 / 10) / 2)
    found = episodes.estimate()  # two groups, 0.4 off their mean: cut off at what can be
    assert (found.low, found.accuracy, found.high) == (0.0, pytest.approx(0.5), 1.0)


@pytest.mark.parametrize("n_groups", [2, 3, 5, 10, 20])
def test_95_of_100_intervals_hold_the_mean_of_other_groups(n_groups):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        shares = rng.normal(0.5, 0.01, n_groups)
        asked = np.full(n_groups, 10**8)
        right = np.rint(asked * shares).astype(int)
        found = Episodes(asked, right, np.arange(n_groups), 20, 20).estimate()
        held += found.low <= 0.5 <= found.high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)  # 3 standard errors


def test_a_group_that_allows_no_episode_is_ignored():
    classes, groups = np.append(CLASSES, [5, 6, 6]), np.array([0, 0, 0, 1, 2, 3, 3])
    episodes = play_episodes(partial(by_classes, classes), classes, groups, trials=5)
    assert episodes.asked.tolist() == [5, 5, 5, 0, 0, 0, 5]
    assert (episodes.accuracy, episodes.ways, episodes.fewest_ways) == (1.0, 3, 2)
    assert episodes.estimate().low == wilson_interval(2, 2).low


def test_the_quantiles_agree_with_students():
    stats = pytest.importorskip("scipy.stats")
    for freedom in range(1, 100):
        assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=0.0021)


def test_the_interval_of_one_group_is_around_its_accuracy_and_of_the_classes_asked():
    # classes asked unequally often: the group's share is 100 / 120, their mean is 0.5
    asked, right = np.array([100, 10, 10, 0]), np.array([98, 2, 0, 0])
    found = Episodes(asked, right, np.zeros(4, int), 4, 4).estimate()
    assert found.accuracy == pytest.approx(100 / 120)
    reach = 4.303 * np.std([0.98, 0.2, 0.0], ddof=1) / math.sqrt(3)
    assert found.low == pytest.approx(max(0, 100 / 120 - reach))
    assert found.high == 1.0
    close = Episodes(asked * 1000, asked * 500 + [0, 90, 0, 0], np.zeros(4, int), 4, 4).estimate()
    assert (close.low + close.high) / 2 == pytest.approx(close.accuracy)
    assert close.high - close.low == pytest.approx(2 * 4.303 * 0.009 / math.sqrt(3) / math.sqrt(3))


def test_the_interval_of_many_groups_is_that_of_their_mean():
    shares = np.random.default_rng(0).uniform(0.5, 0.9, 200)
    asked = np.full(200, 1000)
    right = np.rint(1000 * shares).astype(int)
    found = Episodes(asked, right, np.arange(200), 20, 20).estimate()
    reach = 1.96 * shares.std() / math.sqrt(200)  # as the central limit theorem has it
    assert found.low == pytest.approx(shares.mean() - reach, abs=0.002)
    assert found.high == pytest.approx(shares.mean() + reach, abs=0.002)
    one_group = Episodes(asked, right, np.zeros(200, int), 20, 20).estimate()
    assert (one_group.low, one_group.high) == pytest.approx((found.low, found.high), abs=0.003)


def test_the_interval_is_not_empty_if_all_groups_are_perfect():
    found = Episodes(np.full(4, 10), np.full(4, 10), np.arange(4), 4, 4).estimate()
    assert (found.accuracy, found.high) == (1.0, pytest.approx(1.0))
    assert found.low == wilson_interval(4, 4).low < 0.6


def lake_trials():
    """20 runs whose support is rows 0 to 19 and whose probes are rows 20 to 39, turned round."""
    support = np.tile(np.arange(20), (20, 1))
    return LakeTrials(support, support + 20, np.tile(np.arange(20)[::-1], (20, 1)))


def lake_scores(probes, support):
    return -np.abs((39 - probes)[:, None] - support).astype(float)  # of probes: their class


def test_in_lakes_trials_a_tie_with_the_right_class_is_an_error():
    assert lake_accuracy(lake_scores, lake_trials()).accuracy == 1.0

    def tied(probes, support):  # class 0 and 1 look alike, to two probes of 20
        return lake_scores(np.where(probes == 38, 39, probes), np.where(support == 1, 0, support))

    assert lake_accuracy(tied, lake_trials()).accuracy == pytest.approx(0.9)


def test_wilsons_interval_holds_the_shares_that_a_score_test_does_not_reject():
    # its definition: the p with |share - p| <= z * sqrt(p (1 - p) / n), here by trying
    for n_right, n in ((368, 400), (0, 10), (10, 10), (1, 3)):
        p = np.linspace(0, 1, 1_000_001)
        inside = p[np.abs(n_right / n - p) <= 1.959964 * np.sqrt(p * (1 - p) / n) + 1e-12]
        found = wilson_interval(n_right, n)
        assert (found.low, found.high) == pytest.approx((inside[0], inside[-1]), abs=2e-6)
    assert wilson_interval(368, 400).low == pytest.approx(0.8892, abs=2e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_contains_the_share_and_stays_within_0_and_1(trial):
    found = wilson_interval(*trial)
    assert 0 <= found.low <= found.accuracy + 1e-9
    assert found.accuracy - 1e-9 <= found.high <= 1


def test_an_accuracy_over_nothing_is_refused():
    with pytest.raises(ValueError, match="has no value"):
        wilson_interval(0, 0)
