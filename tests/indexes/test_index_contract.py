"""What every `VectorIndex` and every `IndexStore` must do, run over each of ours.

To add an implementation, add it to IMPLEMENTATIONS; it must pass everything here.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy_index import MemoryStore, NumpyIndex

from facesearch_indexes import FaissFiles, IndexStore, VectorIndex
from facesearch_indexes.faiss_index import FaissIndex

DIM = 64  # what pq can cut in 64 parts


@dataclass(frozen=True)
class Implementation:
    empty: Callable[[int], VectorIndex]  # dim -> an index of the kind under test
    store: Callable[[Path], IndexStore]  # a folder of its own -> a store that keeps nothing yet
    reopened: Callable[[IndexStore, Path], IndexStore]  # the same store in the program's next run


def faiss_of(kind):
    return Implementation(
        empty=lambda dim: FaissIndex(dim, kind),
        store=FaissFiles,
        reopened=lambda store, folder: FaissFiles(folder),
    )


IMPLEMENTATIONS = {
    "flat": faiss_of("flat"),
    "fp16": faiss_of("fp16"),
    "pq": faiss_of("pq"),
    "numpy": Implementation(
        empty=NumpyIndex,
        store=lambda folder: MemoryStore(),
        reopened=lambda store, folder: store,
    ),
}


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request):
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
def filled(implementation):
    """Returns a function that makes an index of ids 1000, 1001, ... and its rows."""

    def fill(count=700, seed=0):
        rows, index = whole_numbers(count, seed), implementation.empty(DIM)
        index.upsert(np.arange(1000, 1000 + count), rows)
        return index, rows

    return fill


def whole_numbers(count, seed=0):
    """Rows (count, DIM) of small whole numbers: exact in half precision, and full of ties."""
    return np.random.default_rng(seed).integers(-3, 4, (count, DIM)).astype(np.float32)


def assert_answers_as_brute_force(index, truth, probes, k):
    """`truth` is a dict of id to row; which of several equal scores comes last is left open."""
    assert len(index) == len(truth)
    found = index.search(probes, k)
    assert found.ids.shape == found.scores.shape == (len(probes), k)
    assert (found.ids.dtype, found.scores.dtype) == (np.int64, np.float32)
    for probe, ids, scores in zip(probes, found.ids, found.scores, strict=True):
        held = min(k, len(truth))
        true_scores = {id_: float(row @ probe) for id_, row in truth.items()}
        assert scores[:held].tolist() == sorted(true_scores.values(), reverse=True)[:held]
        assert [true_scores[id_] for id_ in ids[:held].tolist()] == scores[:held].tolist()
        assert len(set(ids[:held].tolist())) == held
        in_order = list(zip(-scores, ids, strict=True))
        assert in_order == sorted(in_order)  # equal scores go by id
        assert (ids[held:] == -1).all()
        assert (scores[held:] == -np.inf).all()


class AnyHistory(RuleBasedStateMachine):
    """However rows were upserted, removed, kept and opened, a search equals brute force."""

    implementation: Implementation
    known_ids: int
    first: int

    def __init__(self):
        super().__init__()
        self.home = tempfile.TemporaryDirectory()

    def teardown(self):
        self.home.cleanup()

    @initialize()
    def start(self):
        self.index = self.implementation.empty(DIM)
        self.truth = {}
        self.seq = 0
        self.folder = Path(self.home.name)
        self.store = self.implementation.store(self.folder)
        if self.first:  # what pq needs to train on
            self.upsert(list(range(self.first)), 0)

    @rule(data=st.data(), seed=st.integers(1, 1000))
    def upsert_some(self, data, seed):
        self.upsert(data.draw(self.some_ids()), seed)

    def upsert(self, ids, seed):
        rows = whole_numbers(len(ids), seed)
        self.index.upsert(np.array(ids, np.int64), rows)
        self.truth.update(zip(ids, rows, strict=True))

    @rule(data=st.data())
    def remove_some(self, data):
        ids = data.draw(self.some_ids())
        self.index.remove(np.array(ids, np.int64))
        for id_ in ids:
            self.truth.pop(id_, None)

    @rule()
    def keep_and_open(self):
        self.seq += 1
        self.store.keep(self.index, f"{self.seq:x}", self.seq)
        self.store = self.implementation.reopened(self.store, self.folder)
        self.index, seq = self.store.open(DIM, self.seq, lambda seq: f"{seq:x}")
        assert seq == self.seq

    @invariant()
    def search_is_brute_force(self):
        probes = whole_numbers(2, seed=len(self.truth))
        assert_answers_as_brute_force(self.index, self.truth, probes, k=9)

    def some_ids(self):
        span = st.tuples(st.integers(0, self.known_ids), st.integers(0, self.known_ids))
        few = st.lists(st.integers(0, self.known_ids), max_size=6, unique=True)
        return few | span.map(lambda ends: list(range(min(ends), max(ends))))


def history(name, known_ids, first=0, examples=25):
    given = {
        "implementation": IMPLEMENTATIONS[name],
        "known_ids": known_ids,
        "first": first,
    }
    machine = type(name, (AnyHistory,), given)
    machine.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=12,
        deadline=None,
        derandomize=True,
        database=None,
    )
    return pytest.mark.slow(machine.TestCase)


TestFlatHistory = history("flat", 40)
TestFp16History = history("fp16", 40)
TestPqHistory = history("pq", 700, first=640, examples=12)
TestNumpyHistory = history("numpy", 40)


def test_removal_leaves_every_other_id_with_its_own_row(filled):
    index, rows = filled()
    index.remove(np.arange(1000, 1020))  # too few to be cleared away
    truth = {1000 + place: rows[place] for place in range(20, 700)}
    assert_answers_as_brute_force(index, truth, rows[15:25], k=10)
    index.remove(np.arange(1020, 1300))  # enough
    truth = {1000 + place: rows[place] for place in range(300, 700)}
    assert_answers_as_brute_force(index, truth, rows[295:305], k=10)


def test_a_replaced_id_is_found_by_its_new_row_only(filled):
    index, rows = filled()
    index.upsert(np.array([1003]), 2 * rows[3:4])
    index.upsert(np.array([1003]), -rows[3:4])
    truth = {1000 + place: row for place, row in enumerate(rows)} | {1003: -rows[3]}
    assert_answers_as_brute_force(index, truth, np.stack([rows[3], -rows[3]]), k=5)


def test_k_rows_come_back_even_if_the_nearest_hundred_were_removed(filled):
    index, rows = filled()
    order = np.argsort(-(rows @ rows[0]), kind="stable")
    index.remove(1000 + order[:100])
    truth = {1000 + place: rows[place] for place in order[100:].tolist()}
    assert_answers_as_brute_force(index, truth, rows[:2], k=3)


def test_remove_ignores_ids_that_are_not_held(filled):
    index, _ = filled()
    index.remove(np.array([1, 2, 3]))
    assert len(index) == 700


def test_answers_beyond_the_rows_held_are_minus_one_and_minus_infinity(filled):
    index, rows = filled()
    index.remove(np.arange(1002, 1700))
    truth = {1000: rows[0], 1001: rows[1]}
    assert_answers_as_brute_force(index, truth, rows[:3], k=5)


def test_an_empty_index_answers_with_nothing(implementation, filled):
    never_filled = implementation.empty(DIM)
    emptied, rows = filled()
    emptied.remove(np.arange(1000, 1700))
    for index in (never_filled, emptied):
        assert_answers_as_brute_force(index, {}, rows[:2], k=3)


def test_zero_queries_have_zero_answers(filled):
    index, rows = filled()
    assert index.search(rows[:0], 3).ids.shape == (0, 3)


def test_upserting_and_removing_nothing_changes_nothing(implementation):
    nothing = np.empty(0, np.int64), np.empty((0, DIM), np.float32)
    index = implementation.empty(DIM)
    index.upsert(*nothing)
    index.remove(nothing[0])
    assert len(index) == 0


def test_an_emptied_index_can_be_filled_again(filled):
    index, rows = filled()
    index.remove(np.arange(1000, 1700))
    index.upsert(np.array([7]), rows[:1])
    assert_answers_as_brute_force(index, {7: rows[0]}, rows[:2], k=2)


def test_a_batch_scores_as_its_queries_do_one_by_one(filled):
    index, rows = filled()
    batch = index.search(rows[:50], 5)
    singles = [index.search(row[None], 5) for row in rows[:50]]
    assert np.array_equal(batch.scores, np.concatenate([single.scores for single in singles]))


@pytest.mark.parametrize(
    ("ids", "rows"),
    [
        ([1, 1], np.ones((2, DIM))),
        ([1, -1], np.ones((2, DIM))),
        ([1, 2.5], np.ones((2, DIM))),
        ([[1], [2]], np.ones((2, DIM))),
        ([1, 2, 3], np.ones((2, DIM))),
        ([1, 2], np.ones((2, DIM - 1))),
        ([1, 2], np.ones(DIM)),
        ([1, 2], np.full((2, DIM), np.nan)),
        ([1, 2], np.full((2, DIM), -np.inf)),
        ([1, 2], np.full((2, DIM), 65536.0)),
    ],
    ids=[
        "an id twice",
        "a negative id",
        "half an id",
        "ids not in one row",
        "more ids than rows",
        "another dimension",
        "one row, not a batch",
        "not a number",
        "infinite",
        "infinite in half precision",
    ],
)
def test_rows_and_ids_that_do_not_fit_are_refused_and_change_nothing(filled, ids, rows):
    index, held = filled()
    with pytest.raises(ValueError, match=r"\b(id|ids|row|rows)\b"):
        index.upsert(np.array(ids), rows.astype(np.float32))
    truth = {1000 + place: row for place, row in enumerate(held)}
    assert_answers_as_brute_force(index, truth, held[:1], k=3)


@pytest.mark.parametrize(
    ("probes", "k"),
    [
        (np.ones((1, DIM), "f4"), 0),
        (np.ones((1, DIM), "f4"), -1),
        (np.ones((1, DIM + 1), "f4"), 1),
        (np.full((1, DIM), np.nan, "f4"), 1),
    ],
    ids=["k of zero", "negative k", "another dimension", "not a number"],
)
def test_a_search_for_no_rows_or_by_a_wrong_row_is_refused(filled, probes, k):
    index, _ = filled()
    with pytest.raises(ValueError, match="row"):
        index.search(probes, k)


def test_removing_a_negative_id_is_refused(filled):
    index, _ = filled()
    with pytest.raises(ValueError, match="negative"):
        index.remove(np.array([-1]))


# Index stores

STAMPS = {0: "beef", 3: "beef03", 5: "beef05"}  # the gallery's changes so far, and their stamps


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "Gesichter ü 顔"


@pytest.fixture
def store(implementation, folder):
    return implementation.store(folder)


@pytest.fixture
def opened(implementation, store, folder):
    """Returns a function that opens what `store` kept, in the program's next run."""

    def open_(dim=DIM, newest_seq=5, stamps=STAMPS):
        return implementation.reopened(store, folder).open(dim, newest_seq, stamps.get)

    return open_


def assert_same(index, other):
    found, expected = (one.search(whole_numbers(5, seed=99), 800) for one in (index, other))
    assert (index.kind, index.dim, len(index)) == (other.kind, other.dim, len(other))
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.scores, expected.scores)


def test_a_store_that_kept_nothing_opens_nothing(opened):
    assert opened() is None


def test_a_kept_index_is_opened_with_its_seq_and_can_be_changed(store, opened, filled):
    index, rows = filled()
    store.keep(index, STAMPS[5], 5)
    again, seq = opened()
    assert seq == 5
    assert_same(again, index)
    for one in (index, again):
        one.upsert(np.array([1, 1001]), rows[5:7])
        one.remove(np.arange(1100, 1400))
    assert_same(again, index)


def test_changes_after_keeping_are_not_kept(store, opened, filled):
    (index, _), (unchanged, _) = filled(), filled()
    store.keep(index, STAMPS[5], 5)
    index.remove(np.array([1000]))
    assert_same(opened()[0], unchanged)


def test_an_index_behind_the_gallery_is_opened_with_its_own_seq(store, opened, filled):
    index, _ = filled()
    store.keep(index, STAMPS[3], 3)
    again, seq = opened()
    assert seq == 3
    assert_same(again, index)


def test_the_newest_index_replaces_what_was_kept_before(store, opened, filled):
    (old, _), (new, _) = filled(), filled(seed=1)
    store.keep(old, STAMPS[3], 3)
    store.keep(new, STAMPS[5], 5)
    again, seq = opened()
    assert seq == 5
    assert_same(again, new)
    assert opened(newest_seq=3, stamps={0: "beef", 3: "beef03"}) is None


@pytest.mark.parametrize(
    "asked",
    [
        {"stamps": {0: "beef", 3: "beef03", 5: "cafe05"}},
        {"newest_seq": 3, "stamps": {0: "beef", 3: "beef03"}},
        {"newest_seq": 4},
        {"dim": DIM + 1},
    ],
    ids=["after a restore", "without that change", "ahead of the gallery", "another dimension"],
)
def test_an_index_of_another_state_or_dimension_is_not_opened(store, opened, filled, asked):
    store.keep(filled()[0], STAMPS[5], 5)
    assert opened(**asked) is None


def test_an_erased_index_is_not_opened(store, opened, filled):
    assert store.erase() == 0
    store.keep(filled()[0], STAMPS[5], 5)
    assert store.erase() == 1
    assert opened() is None
    assert store.erase() == 0


@pytest.mark.parametrize(("stamp", "seq"), [("../x", 1), ("BEEF", 1), ("", 1), ("beef", -1)])
def test_a_state_that_no_gallery_has_is_refused(store, opened, filled, stamp, seq):
    store.keep(filled()[0], STAMPS[5], 5)
    with pytest.raises(ValueError, match="name a state"):
        store.keep(filled()[0], stamp, seq)
    assert opened()[1] == 5


def test_an_index_of_another_store_is_refused(implementation, store):
    foreign = NumpyIndex(DIM) if isinstance(store, FaissFiles) else FaissIndex(DIM)
    with pytest.raises(ValueError, match="index"):
        store.keep(foreign, STAMPS[5], 5)


def test_a_store_makes_indexes_that_it_can_keep(store, opened):
    store.preload()
    rows = whole_numbers(20)
    empty, built = store.empty(DIM), store.build(np.arange(20), rows)
    assert (len(empty), empty.dim) == (0, DIM)
    assert_answers_as_brute_force(built, dict(enumerate(rows)), rows[:2], k=5)
    for index in (empty, built):
        store.keep(index, STAMPS[5], 5)
        assert_same(opened()[0], index)


def test_building_from_rows_that_do_not_fit_is_refused(store):
    with pytest.raises(ValueError, match="id"):
        store.build(np.array([1, 1]), whole_numbers(2))
