"""The FAISS index against brute force in numpy, and one test per known trap."""

import io
import os
import subprocess
import sys

import faiss
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from facesearch_indexes import faiss_index
from facesearch_indexes.faiss_index import FaissIndex, kind_for

every_kind = pytest.mark.parametrize("kind", ["flat", "fp16", "pq"])
DIM = 64  # what pq can cut in 64 parts


def whole_numbers(count, seed=0):
    """Rows (count, DIM) of small whole numbers: exact in half precision, and full of ties."""
    return np.random.default_rng(seed).integers(-3, 4, (count, DIM)).astype(np.float32)


def unit_rows(count, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, 128)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def filled(kind, count=700):
    """An index of ids 1000, 1001, ... and its rows."""
    rows = whole_numbers(count)
    return FaissIndex.build(np.arange(1000, 1000 + count), rows, kind), rows


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
    """Whatever was upserted and removed in whatever order, a search equals brute force."""

    kind: str
    known_ids: int
    first: int

    @initialize()
    def start(self):
        self.index = FaissIndex(DIM, self.kind)
        self.truth = {}
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
    def write_and_read(self):
        stream = io.BytesIO()
        self.index.write(stream)
        stream.seek(0)
        self.index = FaissIndex.read(stream, DIM, self.kind, len(self.index))

    @invariant()
    def search_is_brute_force(self):
        probes = whole_numbers(2, seed=len(self.truth))
        assert_answers_as_brute_force(self.index, self.truth, probes, k=9)

    def some_ids(self):
        span = st.tuples(st.integers(0, self.known_ids), st.integers(0, self.known_ids))
        few = st.lists(st.integers(0, self.known_ids), max_size=6, unique=True)
        return few | span.map(lambda ends: list(range(min(ends), max(ends))))


def history(kind, known_ids, first=0, examples=25):
    machine = type(kind, (AnyHistory,), {"kind": kind, "known_ids": known_ids, "first": first})
    machine.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=12,
        deadline=None,
        derandomize=True,
        database=None,
    )
    return machine.TestCase


TestFlatHistory = history("flat", 40)
TestFp16History = history("fp16", 40)
TestPqHistory = history("pq", 700, first=640, examples=12)


@every_kind
def test_removal_leaves_every_other_id_with_its_own_row(kind):
    index, rows = filled(kind)
    index.remove(np.arange(1000, 1020))  # too few to be cleared away
    truth = {1000 + place: rows[place] for place in range(20, 700)}
    assert_answers_as_brute_force(index, truth, rows[15:25], k=10)
    index.remove(np.arange(1020, 1300))  # enough
    truth = {1000 + place: rows[place] for place in range(300, 700)}
    assert_answers_as_brute_force(index, truth, rows[295:305], k=10)


@every_kind
def test_a_replaced_id_is_found_by_its_new_row_only(kind):
    index, rows = filled(kind)
    index.upsert(np.array([1003]), 2 * rows[3:4])
    index.upsert(np.array([1003]), -rows[3:4])
    truth = {1000 + place: row for place, row in enumerate(rows)} | {1003: -rows[3]}
    assert_answers_as_brute_force(index, truth, np.stack([rows[3], -rows[3]]), k=5)


@every_kind
def test_k_live_rows_come_back_though_the_nearest_hundred_are_removed(kind):
    index, rows = filled(kind)
    order = np.argsort(-(rows @ rows[0]), kind="stable")
    index.remove(1000 + order[:100])
    truth = {1000 + place: rows[place] for place in order[100:].tolist()}
    assert_answers_as_brute_force(index, truth, rows[:2], k=3)


@every_kind
def test_removed_rows_do_not_pile_up(kind):
    index, _ = filled(kind)
    for seed in range(20):
        index.upsert(np.arange(1000, 1700), whole_numbers(700, seed))
    assert index._rows.ntotal == len(index._ids) == 700


@every_kind
def test_ids_that_are_not_there_are_ignored_by_remove(kind):
    index, _ = filled(kind)
    index.remove(np.array([1, 2, 3]))
    assert len(index) == 700


@every_kind
def test_k_beyond_the_rows_is_filled_with_minus_one_and_minus_infinity(kind):
    index, rows = filled(kind)
    index.remove(np.arange(1002, 1700))
    truth = {1000: rows[0], 1001: rows[1]}
    assert_answers_as_brute_force(index, truth, rows[:3], k=5)


def test_a_place_that_faiss_does_not_fill_names_no_id(monkeypatch):
    index, rows = filled("flat", count=2)
    answer = np.array([[1, 0]], np.float32), np.array([[0, -1]])
    monkeypatch.setattr(index, "_nearest", lambda rows, k: answer)
    assert index.search(rows[:1], 2).ids.tolist() == [[1000, -1]]


@every_kind
def test_an_empty_index_answers_with_nothing(kind):
    never_filled = FaissIndex(DIM, kind)
    emptied, rows = filled(kind)
    emptied.remove(np.arange(1000, 1700))
    for index in (never_filled, emptied):
        assert_answers_as_brute_force(index, {}, rows[:2], k=3)


@every_kind
def test_zero_queries_have_zero_answers(kind):
    index, rows = filled(kind)
    assert index.search(rows[:0], 3).ids.shape == (0, 3)


@every_kind
def test_upserting_and_removing_nothing_changes_nothing(kind):
    nothing = np.empty(0, np.int64), np.empty((0, DIM), np.float32)
    index = FaissIndex(DIM, kind)
    index.upsert(*nothing)
    index.remove(nothing[0])
    assert len(index) == 0


@every_kind
def test_an_emptied_index_can_be_filled_again(kind):
    index, rows = filled(kind)
    index.remove(np.arange(1000, 1700))
    index.upsert(np.array([7]), rows[:1])
    assert_answers_as_brute_force(index, {7: rows[0]}, rows[:2], k=2)


@every_kind
def test_a_batch_answers_as_its_queries_one_by_one(kind):
    index, rows = filled(kind)
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
@every_kind
def test_what_does_not_fit_is_refused_and_changes_nothing(kind, ids, rows):
    index, held = filled(kind)
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
def test_a_search_that_makes_no_sense_is_refused(probes, k):
    index, _ = filled("flat")
    with pytest.raises(ValueError, match="row"):
        index.search(probes, k)


def test_removing_a_negative_id_is_refused():
    index, _ = filled("flat")
    with pytest.raises(ValueError, match="never negative"):
        index.remove(np.array([-1]))


def test_build_refuses_rows_that_are_no_batch():
    with pytest.raises(ValueError, match=r"rows are \(n, dim\)"):
        FaissIndex.build(np.array([1]), np.ones(DIM, np.float32))


def test_a_kind_or_dimension_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="flat, fp16, pq, not 'hnsw'"):
        FaissIndex(DIM, "hnsw")
    with pytest.raises(ValueError, match="0 numbers"):
        FaissIndex(0)
    with pytest.raises(ValueError, match="pq index cannot hold rows of 100 numbers"):
        FaissIndex(100, "pq")


def test_pq_refuses_too_few_rows_to_learn_from_and_stays_empty():
    index = FaissIndex(DIM, "pq")
    with pytest.raises(ValueError, match="at least 624 first rows, got 623"):
        index.upsert(np.arange(623), whole_numbers(623))
    assert len(index) == 0
    index.upsert(np.arange(624), whole_numbers(624))
    assert len(index) == 624


def test_pq_finds_99_of_100_true_neighbours_among_5000():
    rows, probes = unit_rows(5000), unit_rows(100, seed=1)
    found = FaissIndex.build(np.arange(5000), rows, "pq").search(probes, 10)
    true_ids = np.argsort(-(probes @ rows.T), axis=1)[:, :10]
    hits = [len(set(a) & set(b)) for a, b in zip(found.ids, true_ids, strict=True)]
    assert np.mean(hits) / 10 >= 0.99
    assert np.allclose(found.scores, np.take_along_axis(probes @ rows.T, found.ids, 1), atol=2e-3)


def test_pq_learns_the_same_from_the_same_rows():
    rows = unit_rows(5000)
    written = [io.BytesIO(), io.BytesIO()]
    for stream in written:
        FaissIndex.build(np.arange(5000), rows, "pq").write(stream)
    assert written[0].getvalue() == written[1].getvalue()


@pytest.mark.parametrize(
    ("count", "kind"),
    [
        (0, "flat"),
        (200_000, "flat"),
        (200_001, "fp16"),
        (1_000_000, "fp16"),
        (1_000_001, "pq"),
    ],
)
def test_the_kind_follows_the_number_of_rows(count, kind):
    assert kind_for(count) == kind


def test_build_chooses_the_kind_that_suits_the_rows(monkeypatch):
    monkeypatch.setattr(faiss_index, "kind_for", lambda count: {3: "fp16"}[count])
    index = FaissIndex.build(np.arange(3), whole_numbers(3))
    assert (index.kind, index.dim, len(index)) == ("fp16", DIM, 3)


@every_kind
def test_a_removed_row_is_not_in_what_is_written(kind):
    index, rows = filled(kind)
    row = np.arange(DIM, dtype=np.float32)
    index.upsert(np.array([5]), row[None])
    index.remove(np.array([5]))
    stream = io.BytesIO()
    index.write(stream)
    stored = rows[3].astype("<f4" if kind == "flat" else "<f2").tobytes()
    assert stored in stream.getvalue()
    assert row.astype("<f4" if kind == "flat" else "<f2").tobytes() not in stream.getvalue()


def test_small_batches_are_matrix_products():
    assert faiss.cvar.distance_compute_blas_threshold == 1024


@pytest.mark.parametrize(("given", "seen"), [(None, "passive"), ("active", "active")])
def test_idle_threads_are_told_to_sleep_before_faiss_loads(tmp_path, given, seen):
    (tmp_path / "faiss.py").write_text("import os; raise SystemExit(os.environ['OMP_WAIT_POLICY'])")
    result = in_a_process("import facesearch_indexes.faiss_index", tmp_path, given)
    assert result.stderr.strip() == seen


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_searches_instead_of_waiting_for_ever(tmp_path):
    program = """
import os, numpy as np
from facesearch_indexes.faiss_index import FaissIndex, faiss
faiss.omp_set_num_threads(2)
rows = np.random.default_rng(0).normal(size=(5000, 64)).astype("f4")
indexes = [FaissIndex.build(np.arange(5000), rows, kind) for kind in ("flat", "fp16", "pq")]
for index in indexes:
    index.search(rows[:500], 3)
child = os.fork()
if not child:
    os._exit(sum((index.search(rows[:500], 1).ids >= 0).all() for index in indexes))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert in_a_process(program, tmp_path).stdout.strip() == "3"


def test_the_package_alone_does_not_load_faiss(tmp_path):
    program = "import sys, facesearch_indexes; print('faiss' in sys.modules)"
    assert in_a_process(program, tmp_path).stdout.strip() == "False"


def in_a_process(program, folder, wait_policy=None):
    """Run `program` in a fresh Python that finds the modules of `folder` first."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    environment.pop("OMP_WAIT_POLICY", None)
    if wait_policy:
        environment["OMP_WAIT_POLICY"] = wait_policy
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
