import tracemalloc
from collections import Counter

import numpy as np
import pytest

from facesearch import DataError
from facesearch.evaluation import pairs as pairs_module
from facesearch.evaluation.pairs import verification_pairs
from facesearch.evaluation.pictures import Pictures


def pictures_of(n_of_class, groups, crops=None):
    """Return Pictures with so many of each class, every one another crop unless given."""
    classes = np.repeat(np.arange(len(n_of_class)), n_of_class)
    if crops is None:
        crops = np.arange(len(classes))
    crops = np.asarray(crops, np.uint16).reshape(-1, 1, 1, 1).view(np.uint8)
    return Pictures(
        crops=crops.reshape(len(classes), 1, 2, 1),
        classes=classes,
        drawers=np.full(len(classes), -1),
        class_names=tuple(f"class {c}" for c in range(len(n_of_class))),
        groups=np.array(groups),
        group_names=tuple(f"group {g}" for g in range(max(groups) + 1)),
        skipped=(),
    )


FOUR_GROUPS = pictures_of([20] * 40, np.repeat(np.arange(4), 10))


def test_half_of_the_pairs_are_mated():
    pairs = verification_pairs(FOUR_GROUPS, 2000, seed=0)
    assert len(pairs) == 2000
    assert pairs.mated.sum() == 1000
    one_class = FOUR_GROUPS.classes[pairs.first] == FOUR_GROUPS.classes[pairs.second]
    assert (one_class == pairs.mated).all()


def test_no_pair_is_of_one_picture_and_none_comes_twice():
    pairs = verification_pairs(FOUR_GROUPS, 4000, seed=0)
    assert (pairs.first != pairs.second).all()
    both = [frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True)]
    assert len(set(both)) == 4000


def test_half_of_the_non_mated_pairs_are_within_a_group():
    pairs = verification_pairs(FOUR_GROUPS, 2000, seed=0)
    groups = FOUR_GROUPS.groups[FOUR_GROUPS.classes]
    within = groups[pairs.first] == groups[pairs.second]
    assert within[~pairs.mated].sum() == 500


@pytest.mark.parametrize(
    ("groups", "within"), [([0, 0, 0], True), ([0, 1, 2], False)], ids=["one group", "one each"]
)
def test_all_non_mated_pairs_are_of_one_kind_if_groups_allow_only_that(groups, within):
    pictures = pictures_of([9, 9, 9], groups)
    pairs = verification_pairs(pictures, 100, seed=0)
    assert pairs.mated.sum() == 50
    of = pictures.groups[pictures.classes]
    assert ((of[pairs.first] == of[pairs.second])[~pairs.mated] == within).all()


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([1, 1] + [20] * 49, [0, 0, *range(1, 50)]),  # one pair within a group
        ([20] * 51, [0, *range(50)]),  # 400, of 500 wanted
        ([1, 40, 40], [0, 1, 1]),  # 80 across, of 500 wanted
    ],
    ids=["nearly none within", "few within", "few across"],
)
def test_more_pairs_of_one_kind_replace_a_scarce_kind(sizes, groups):
    pairs = verification_pairs(pictures_of(sizes, groups), 2000, seed=0)
    assert pairs.mated.sum() == (~pairs.mated).sum() == 1000


def test_other_classes_are_drawn_equally_often_whatever_their_order():
    pictures = pictures_of([200] * 6, [0, 1, 0, 1, 0, 2])
    pairs = verification_pairs(pictures, 6000, seed=0)
    first, second = (pictures.classes[rows[~pairs.mated]] for rows in (pairs.first, pairs.second))
    drawn = Counter(zip(first.tolist(), second.tolist(), strict=True))
    # a class is drawn, then one of its rivals, or the other way round: 1,500 times within, of the
    # five classes that have a rival there, and 1,500 times across, of all six
    shares = dict.fromkeys([(0, 2), (0, 4), (2, 4)], 1 / 5 * 1 / 2 + 1 / 5 * 1 / 2)
    shares |= {(1, 3): 1 / 5 + 1 / 5}
    shares |= dict.fromkeys(
        [(a, b) for a in (0, 2, 4) for b in (1, 3)], 1 / 6 * 1 / 3 + 1 / 6 * 1 / 4
    )
    shares = {tuple(sorted(pair)): share for pair, share in shares.items()}
    shares |= dict.fromkeys([(0, 5), (2, 5), (4, 5)], 1 / 6 * 1 / 3 + 1 / 6 * 1 / 5)
    shares |= dict.fromkeys([(1, 5), (3, 5)], 1 / 6 * 1 / 4 + 1 / 6 * 1 / 5)
    assert set(drawn) == set(shares)
    for pair, share in shares.items():
        assert drawn[pair] == pytest.approx(1500 * share, rel=0.25)


def test_many_classes_need_no_memory_for_all_pairs_of_classes():
    pictures = pictures_of([2] * 4000, np.repeat(np.arange(8), 500))
    tracemalloc.start()
    verification_pairs(pictures, 20, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000  # 4000 x 4000 truth values alone are 16 MB


def test_the_seed_decides_the_pairs():
    first, again, other = (verification_pairs(FOUR_GROUPS, 100, seed).first for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_a_class_with_many_pictures_is_drawn_no_more_often_than_others():
    pictures = pictures_of([200, 20, 20, 20], [0] * 4)
    pairs = verification_pairs(pictures, 400, seed=0)
    for kind in (pairs.mated, ~pairs.mated):
        drawn = Counter(pictures.classes[np.append(pairs.first[kind], pairs.second[kind])])
        assert 70 < drawn[0] < 130  # of 400; 308 if pictures were drawn


def test_exact_copies_are_never_a_pair():
    crops = [5, 5, 6, 5, 7, 7]  # one of class 0 is in class 1 too
    pictures = pictures_of([3, 3], [0, 0], crops)
    pairs = verification_pairs(pictures, 100, seed=0)
    found = {frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True)}
    mated = {frozenset(pair) for pair in ((0, 2), (1, 2), (3, 4), (3, 5))}
    assert mated <= found
    assert not found & {frozenset(pair) for pair in ((0, 1), (4, 5), (0, 3), (1, 3))}
    assert pairs.mated.sum() == 4


def test_drawing_stops_soon_after_all_pairs_are_found_but_not_before(monkeypatch):
    crops = np.arange(4) + 7
    digests = []

    class Counted(list):
        def __getitem__(self, row):
            digests.append(row)
            return super().__getitem__(row)

    monkeypatch.setattr(pairs_module, "_digests", lambda crops: Counted(map(bytes, crops[:, 0])))
    pairs = verification_pairs(pictures_of([2, 2], [0, 0], crops), 20_000, seed=0)
    assert len(pairs) == 4
    assert len(digests) < 10 * pairs_module.MAX_FAILED_DRAWS  # two per draw
    many = verification_pairs(pictures_of([30] * 3, [0] * 3), 2600, seed=0)
    assert many.mated.sum() > 1290  # of 1,305 that exist


def test_data_without_a_non_mated_pair_is_refused():
    with pytest.raises(DataError, match="no two classes have different pictures"):
        verification_pairs(pictures_of([3], [0]), 10, seed=0)


def test_small_data_gives_fewer_pairs_half_of_them_mated():
    pairs = verification_pairs(pictures_of([2, 1, 1], [0, 0, 0]), 1000, seed=0)
    assert pairs.mated.tolist() == [True, False]
    pairs = verification_pairs(pictures_of([4, 1], [0, 0]), 1000, seed=0)  # of two only 4
    assert pairs.mated.tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize("crops", [[1, 2, 3], [1, 1, 2]], ids=["singles", "a double"])
def test_data_without_a_mated_pair_is_refused(crops):
    sizes = [1, 1, 1] if crops == [1, 2, 3] else [2, 1]
    with pytest.raises(DataError, match="no class has two different pictures"):
        verification_pairs(pictures_of(sizes, [0] * len(sizes), crops), 10, seed=0)
