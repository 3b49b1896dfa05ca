"""What only the FAISS index does, and one test per known trap; see test_index_contract.py."""

import io
import os
import subprocess
import sys

import faiss
import numpy as np
import pytest

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


@every_kind
def test_replaced_rows_do_not_pile_up(kind):
    index, _ = filled(kind)
    for seed in range(20):
        index.upsert(np.arange(1000, 1700), whole_numbers(700, seed))
    assert index._rows.ntotal == len(index._ids) == 700


def test_a_position_that_faiss_does_not_fill_has_no_id(monkeypatch):
    index, rows = filled("flat", count=2)
    answer = np.array([[1, 0]], np.float32), np.array([[0, -1]])
    monkeypatch.setattr(index, "_nearest", lambda rows, k: answer)
    assert index.search(rows[:1], 2).ids.tolist() == [[1000, -1]]


def test_build_refuses_rows_that_are_not_a_batch():
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


def test_pq_finds_99_of_100_true_neighbors_among_5000():
    rows, probes = unit_rows(5000), unit_rows(100, seed=1)
    found = FaissIndex.build(np.arange(5000), rows, "pq").search(probes, 10)
    true_ids = np.argsort(-(probes @ rows.T), axis=1)[:, :10]
    hits = [len(set(a) & set(b)) for a, b in zip(found.ids, true_ids, strict=True)]
    assert np.mean(hits) / 10 >= 0.99
    assert np.allclose(found.scores, np.take_along_axis(probes @ rows.T, found.ids, 1), atol=2e-3)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_searches_instead_of_waiting_forever(tmp_path):
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


def test_the_package_and_its_store_do_not_load_faiss_when_imported(tmp_path):
    program = "import sys, facesearch_indexes.index_store; print('faiss' in sys.modules)"
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
