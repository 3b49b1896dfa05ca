import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facesearch.detection.factory import YUNET_FILE
from facesearch.embedding import Encoder
from facesearch.engine import (
    OpenCVEngine,
    _compiled,
    dequantized,
    make_engine,
    openvino_is_installed,
)
from facesearch.errors import ModelError
from facesearch.shipped import SHIPPED

BRANCH = SHIPPED / "sface" / "branch.onnx"
needs_openvino = pytest.mark.skipif(
    not openvino_is_installed(), reason="the extra openvino is not installed"
)


def crops(n: int) -> np.ndarray:
    """Smooth blobs with noise: not faces, but every layer of the net has work to do."""
    rng = np.random.default_rng(n)
    y, x = np.mgrid[:112, :112]
    pictures = [
        127
        + 90 * np.sin(x / rng.uniform(5, 20))[..., None] * np.cos(y / 9)[..., None] * rng.random(3)
        for _ in range(n)
    ]
    return (np.stack(pictures) + rng.normal(0, 8, (n, 112, 112, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.slow
@needs_openvino
def test_both_engines_give_the_same_embeddings():
    batch = crops(5)
    ours = Encoder(make_engine("opencv", BRANCH)).embed(batch)
    theirs = Encoder(make_engine("openvino", BRANCH)).embed(batch)
    # where the machine has bf16: 0.99994 of photos, 0.9997 of these made pictures
    assert (ours * theirs).sum(1).min() > 0.9995


@needs_openvino
def test_both_engines_find_the_same_faces_at_any_picture_size():
    opencv, openvino = make_engine("opencv", YUNET_FILE), make_engine("openvino", YUNET_FILE)
    for height, width in ((96, 160), (320, 256)):
        picture = np.random.default_rng(0).integers(0, 256, (1, 3, height, width))
        batch = picture.astype(np.float32)
        ours, theirs = opencv.run(batch), openvino.run(batch)
        assert sorted(ours) == sorted(theirs)
        for name in ours:
            # of noise, and where the machine has bf16 (8 bits of mantissa): 0.14 of 3.2 was seen
            assert theirs[name] == pytest.approx(ours[name].reshape(theirs[name].shape), abs=0.2)


@pytest.mark.slow
@needs_openvino
def test_engines_of_one_graph_share_the_compiled_graph():
    _compiled.cache_clear()
    batch = crops(2).transpose(0, 3, 1, 2).astype(np.float32)
    first, second = make_engine("openvino", BRANCH), make_engine("openvino", BRANCH)
    assert _compiled.cache_info().misses == 1
    kept = first.run(batch)["fc1"].tolist()
    second.run(batch * 0)
    assert first.run(batch)["fc1"].tolist() == kept


@pytest.mark.slow
def test_a_crop_has_the_same_embedding_alone_and_in_a_batch():
    batch = crops(34)  # more than one run of the net
    encoder = Encoder(OpenCVEngine(BRANCH))
    together = encoder.embed(batch)
    assert together.shape == (34, 128)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(34), abs=1e-5)
    for row in (0, 31, 33):
        assert encoder.embed(batch[row : row + 1])[0] == pytest.approx(together[row], abs=1e-4)


def test_results_of_one_run_are_not_overwritten_by_the_next():
    engine = OpenCVEngine(BRANCH)
    first = engine.run(crops(1).transpose(0, 3, 1, 2).astype(np.float32))
    kept = {name: values.copy() for name, values in first.items()}
    engine.run(np.zeros((1, 3, 112, 112), np.float32))
    for name, values in first.items():
        assert values.tolist() == kept[name].tolist()


def test_dequantized_weights_are_the_scaled_integers():
    onnx = pytest.importorskip("onnx", reason="the extra openvino is not installed")
    plain = dequantized(BRANCH)
    assert not [node for node in plain.graph.node if node.op_type == "DequantizeLinear"]
    # the oracle: onnx's own reference implementation of the operator on one weight
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.ops.op_dequantize_linear import DequantizeLinear_21  # noqa: F401

    model = onnx.load(BRANCH)
    node = next(n for n in model.graph.node if n.op_type == "DequantizeLinear")
    inputs = [w for w in model.graph.initializer if w.name in node.input]
    graph = onnx.helper.make_graph(
        [node], "one", [], [onnx.helper.make_empty_tensor_value_info(node.output[0])], inputs
    )
    one = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    (expected,) = ReferenceEvaluator(one).run(None, {})
    weights = {w.name: numpy_helper.to_array(w) for w in plain.graph.initializer}
    assert weights[node.output[0]] == pytest.approx(expected)


def test_a_file_that_is_not_a_graph_is_refused_in_a_sentence(tmp_path):
    file = tmp_path / "branch.onnx"
    file.write_bytes(b"not a graph")
    with pytest.raises(ModelError, match="not a graph that OpenCV can run"):
        make_engine("opencv", file)
    with pytest.raises(ModelError, match="there is no engine 'tpu'"):
        make_engine("tpu", Path(BRANCH))


FIRST_RUNS = """
import sys, threading
import numpy as np
from facesearch.engine import make_engine
from facesearch.detection.factory import YUNET_FILE

make_engine("openvino", YUNET_FILE)  # one thread has made an engine, then four run their first
import openvino
meet = threading.Barrier(4)
def ask():
    meet.wait()
    openvino.Type.f32.to_dtype()
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.slow
@needs_openvino
def test_threads_that_run_openvino_for_the_first_time_do_not_deadlock():
    """Enrollments hung: most such starts did unless one thread ran first, alone."""
    command = [sys.executable, "-c", FIRST_RUNS]
    for process in [subprocess.Popen(command) for _ in range(3)]:
        with process:
            try:
                assert process.wait(timeout=60) == 0
            finally:
                process.kill()
