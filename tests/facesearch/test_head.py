import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facesearch.errors import EmbeddingMismatch
from facesearch.head import L1SigmoidHead, rotation_code

HEAD = L1SigmoidHead(
    projection=np.array([[1, 0, 2], [0, 1, -1]], np.float32),
    weights=np.array([4, 2, 1], np.float32),
    bias=3.0,
    unit_distance=2.0,
)
SIGNED = L1SigmoidHead(  # the paper's own: no code, weights of either sign
    projection=None,
    weights=np.array([3, -1], np.float32),
    bias=1.0,
    unit_distance=0.5,
    exponent=1.5,
    follows_cosine=False,
)
vectors = arrays(np.float32, 2, elements=st.floats(-1, 1, width=32))


@given(a=vectors, b=vectors)
def test_the_llr_is_the_papers_formula_and_symmetric(a, b):
    distance = 0.0
    for column, weight in enumerate(HEAD.weights):
        code_a = sum(float(a[i]) * float(HEAD.projection[i, column]) for i in range(2))
        code_b = sum(float(b[i]) * float(HEAD.projection[i, column]) for i in range(2))
        distance += float(weight) * abs(code_a - code_b)
    assert HEAD.llr(a, b[None])[0] == pytest.approx(3.0 - distance, abs=1e-4)
    assert HEAD.llr(a, b[None]) == HEAD.llr(b, a[None])
    assert HEAD.scores(a, b[None])[0] == pytest.approx(1 - (distance / 2) ** 2 / 2, abs=1e-4)


def test_scores_and_llr_have_the_same_order():
    rng = np.random.default_rng(0)
    probe, references = rng.normal(size=2).astype("f4"), rng.normal(size=(50, 2)).astype("f4")
    by_llr = np.argsort(-HEAD.llr(probe, references))
    assert by_llr.tolist() == np.argsort(-HEAD.scores(probe, references)).tolist()


@given(a=vectors, b=vectors)
def test_without_a_projection_the_templates_themselves_are_compared(a, b):
    distance = 3 * abs(float(a[0]) - float(b[0])) - abs(float(a[1]) - float(b[1]))
    assert SIGNED.llr(a, b[None])[0] == pytest.approx(1.0 - distance, abs=1e-4)


def test_scores_keep_the_order_if_weights_make_a_distance_negative():
    references = np.array([[0.5, 0], [0, 0.1], [0, 0], [0, 0.9]], np.float32)
    probe = np.zeros(2, np.float32)
    assert SIGNED.llr(probe, references).tolist() == pytest.approx([-0.5, 1.1, 1.0, 1.9])
    assert np.argsort(-SIGNED.scores(probe, references)).tolist() == [3, 1, 2, 0]
    assert SIGNED.scores(probe, references)[0] == pytest.approx(1 - (1.5 / 0.5) ** 1.5 / 2)


@pytest.mark.parametrize("head", [HEAD, SIGNED], ids=["with a code", "without"])
def test_scores_of_many_pairs_are_those_of_each_probe_by_itself(head):
    rng = np.random.default_rng(2)
    probes, references = rng.normal(size=(3, 2)).astype("f4"), rng.normal(size=(300, 2))
    one_by_one = [head.scores(probe, references.astype("f4")) for probe in probes]
    assert head.pair_scores(probes, references.astype("f4")) == pytest.approx(
        np.stack(one_by_one), abs=1e-4
    )
    assert head.pair_scores(probes[:0], references.astype("f4")).shape == (0, 300)
    assert head.pair_scores(probes, references[:0].astype("f4")).shape == (3, 0)


@pytest.mark.parametrize("shape", [(2, 4), (3,)], ids=["another model", "not a batch"])
def test_templates_that_do_not_fit_are_refused(shape):
    with pytest.raises(EmbeddingMismatch, match="enroll the gallery again"):
        HEAD.codes(np.zeros(shape, np.float32))
    with pytest.raises(EmbeddingMismatch, match="enroll the gallery again"):
        SIGNED.codes(np.zeros(shape, np.float32))


@pytest.mark.slow
def test_the_rotation_code_is_made_of_rotations_and_follows_the_cosine():
    code = rotation_code(64, 32, seed=1)
    for block in np.split(code, 32, axis=1):
        assert block @ block.T == pytest.approx(np.eye(64), abs=1e-5)
    rng = np.random.default_rng(3)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 400, 64)))
    l1 = np.abs((a - b) @ code).sum(1)
    euclidean = np.linalg.norm(a - b, axis=1)
    assert (l1 / euclidean).std() / (l1 / euclidean).mean() < 0.012


@pytest.mark.parametrize("head", [HEAD, SIGNED], ids=["with a code", "without"])
def test_a_head_is_loaded_as_saved_without_pickle(head, tmp_path):
    file = tmp_path / "head.npz"
    head.save(file)
    loaded = L1SigmoidHead.load(file)
    probe, references = np.array([1, 0], "f4"), np.array([[0, 1], [1, 0]], "f4")
    assert loaded.llr(probe, references).tolist() == head.llr(probe, references).tolist()
    assert loaded.scores(probe, references).tolist() == head.scores(probe, references).tolist()
    assert math.isclose(loaded.llr(probe, references)[1], head.bias)
    assert loaded.follows_cosine == head.follows_cosine


def test_a_head_that_follows_the_cosine_is_stored_in_the_original_format(tmp_path):
    HEAD.save(tmp_path / "head.npz")
    with np.load(tmp_path / "head.npz") as stored:
        assert sorted(stored) == ["bias", "projection", "unit_distance", "weights"]
        assert stored["projection"].dtype == np.float16
