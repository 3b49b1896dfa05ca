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


def test_scores_and_llr_keep_one_order():
    rng = np.random.default_rng(0)
    probe, references = rng.normal(size=2).astype("f4"), rng.normal(size=(50, 2)).astype("f4")
    by_llr = np.argsort(-HEAD.llr(probe, references))
    assert by_llr.tolist() == np.argsort(-HEAD.scores(probe, references)).tolist()


@pytest.mark.parametrize("shape", [(2, 4), (3,)], ids=["another model", "not a batch"])
def test_templates_that_do_not_fit_are_refused(shape):
    with pytest.raises(EmbeddingMismatch, match="enroll the gallery again"):
        HEAD.codes(np.zeros(shape, np.float32))


def test_the_rotation_code_is_made_of_rotations_and_follows_the_cosine():
    code = rotation_code(64, 32, seed=1)
    for block in np.split(code, 32, axis=1):
        assert block @ block.T == pytest.approx(np.eye(64), abs=1e-5)
    rng = np.random.default_rng(3)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 400, 64)))
    l1 = np.abs((a - b) @ code).sum(1)
    euclidean = np.linalg.norm(a - b, axis=1)
    assert (l1 / euclidean).std() / (l1 / euclidean).mean() < 0.012


def test_a_head_survives_its_file_and_needs_no_pickle(tmp_path):
    file = tmp_path / "head.npz"
    np.savez(
        file,
        projection=HEAD.projection.astype(np.float16),
        weights=HEAD.weights,
        bias=np.float32(HEAD.bias),
        unit_distance=np.float32(HEAD.unit_distance),
    )
    loaded = L1SigmoidHead.load(file)
    probe, references = np.array([1, 0], "f4"), np.array([[0, 1], [1, 0]], "f4")
    assert loaded.llr(probe, references).tolist() == HEAD.llr(probe, references).tolist()
    assert math.isclose(loaded.llr(probe, references)[1], 3.0)
