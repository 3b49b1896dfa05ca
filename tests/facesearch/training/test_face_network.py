"""The two trunks: as the graphs that they come from, and back into a graph."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("torch", reason="training needs the extra train")

import torch

from facesearch.engine import OpenCVEngine
from facesearch.errors import TrainingError
from facesearch.shipped import SHIPPED
from facesearch.training.face_network import Convolution, dequantized, start_branch
from facesearch.training.onnx_graph import face_onnx
from facesearch.vectors import unit

SFACE = SHIPPED / "sface"


def noise(n, seed=0):
    """Return crops (n, 112, 112, 3) uint8 with structure at several sizes."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (n, 14, 14, 3)).repeat(8, 1).repeat(8, 2)
    return ((coarse + random.integers(0, 256, (n, 112, 112, 3))) // 2).astype(np.uint8)


def as_pictures(crops):
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255


def by_engine(file, crops):
    batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
    (found,) = OpenCVEngine(file).run(batch).values()
    return found


@pytest.fixture(scope="module")
def branch():
    return start_branch(SFACE).eval()


def test_the_first_trunk_is_sface(branch):
    crops = noise(8)
    with torch.no_grad():
        codes = branch.first(as_pictures(crops)).numpy()
    np.testing.assert_allclose(
        unit(codes), unit(by_engine(SFACE / "branch.onnx", crops)), atol=1e-4
    )


def test_the_face_graph_agrees_with_the_branch(branch, tmp_path):
    crops = noise(8)
    file = tmp_path / "branch.onnx"
    file.write_bytes(face_onnx(branch))
    with torch.no_grad():
        expected = branch(as_pictures(crops)).numpy()
    found = by_engine(file, crops)
    np.testing.assert_allclose(found[:, :128], expected[:, :128], atol=1e-5)
    alike = (unit(found[:, 128:]) * unit(expected[:, 128:])).sum(1)
    assert alike.min() > 0.95  # weights of 8 bits
    lengths = np.linalg.norm(found[:, 128:], axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(expected[:, 128:], axis=1), rtol=0.1)
    np.testing.assert_allclose(np.linalg.norm(found[:, :128], axis=1), 1, atol=1e-5)


def test_the_length_of_the_second_code_is_inverted(branch):
    crops = as_pictures(noise(4))
    with torch.no_grad():
        first, second = branch.first(crops).numpy(), branch.second(crops).numpy()
        codes = branch(crops).numpy()
    np.testing.assert_allclose(codes[:, :128], unit(first), atol=1e-6)
    lengths = np.linalg.norm(second, axis=1, keepdims=True)
    np.testing.assert_allclose(codes[:, 128:], unit(second) * 47 / lengths, rtol=1e-4, atol=1e-6)


def test_training_can_start_from_the_graph_of_another_training(branch, tmp_path):
    (tmp_path / "branch.onnx").write_bytes(face_onnx(branch))
    again = start_branch(tmp_path).eval()
    crops = noise(8)
    with torch.no_grad():
        codes = again(as_pictures(crops)).numpy()
    np.testing.assert_allclose(codes, by_engine(tmp_path / "branch.onnx", crops), atol=1e-5)
    graph = onnx.load_from_string(face_onnx(again)).graph
    names = [tensor.name for tensor in graph.initializer] + [node.name for node in graph.node]
    assert len(names) == len(set(names))  # nothing of the former second trunk is left


def test_sfaces_nodes_and_weights_stay_unchanged(branch):
    before = onnx.load(SFACE / "branch.onnx").graph
    after = onnx.load_from_string(face_onnx(branch)).graph
    assert list(after.node)[: len(before.node)] == list(before.node)
    assert list(after.initializer)[: len(before.initializer)] == list(before.initializer)


def test_training_does_not_change_the_first_trunk(branch):
    before = {name: tensor.clone() for name, tensor in branch.first.state_dict().items()}
    branch.train()
    try:
        codes = branch(as_pictures(noise(4)))
        codes.sum().backward()
    finally:
        branch.eval()
    assert codes.shape == (4, 128)
    assert all(torch.equal(before[k], v) for k, v in branch.first.state_dict().items())
    assert all(p.grad is None for p in branch.first.parameters())


# Weights in 8 bits


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("block", [0, 4])
def test_weights_of_8_bits_are_dequantized_as_the_operator_defines(axis, block):
    random = np.random.default_rng(0)
    stored = random.integers(-128, 128, (8, 12)).astype(np.int8)
    shape = [*stored.shape]
    shape[axis] = shape[axis] // 4 if block else shape[axis]
    shape = shape if block else [shape[axis]]
    scale = random.random(shape).astype(np.float32)
    zero = random.integers(-9, 9, shape).astype(np.int8)
    said = {"axis": axis} | ({"block_size": block} if block else {})
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], **said)],
        "weights",
        [],
        [helper.make_tensor_value_info("w", TensorProto.FLOAT, stored.shape)],
        [numpy_helper.from_array(a, n) for a, n in ((stored, "q"), (scale, "s"), (zero, "z"))],
    )
    expected = np.empty(stored.shape, np.float32)
    for row, column in np.ndindex(stored.shape):
        place = [row, column]
        place[axis] //= block or 1
        at = tuple(place) if block else place[axis]
        expected[row, column] = (float(stored[row, column]) - float(zero[at])) * scale[at]
    np.testing.assert_allclose(dequantized(graph)["w"], expected, rtol=1e-6)


# The weights that the second trunk begins with


def test_the_second_trunk_starts_as_the_network_whose_weights_it_loads():
    """The cosines are those that TensorFlow Lite's own runtime, LiteRT 2.3.0, gives these crops."""
    trunk = start_branch(SFACE).second.eval()
    with torch.no_grad():
        codes = unit(trunk(as_pictures(noise(4))).numpy())
    cosines = (codes @ codes.T)[np.triu_indices(4, 1)]
    np.testing.assert_allclose(cosines, [0.9179, 0.9549, 0.9403, 0.9665, 0.9303, 0.9361], atol=2e-3)


def test_a_convolution_with_a_stride_is_padded_below_and_to_the_right():
    convolution = Convolution(3, 8, 3, 2, act=False)
    x = torch.rand(1, 3, 6, 6)
    weights, bias = convolution.layer.weight.detach(), convolution.layer.bias.detach()
    wider = torch.zeros(1, 3, 7, 7)
    wider[:, :, :6, :6] = x
    expected = torch.zeros(1, 8, 3, 3)
    for row, column in np.ndindex(3, 3):
        window = wider[0, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        expected[0, :, row, column] = (weights * window).sum((1, 2, 3)) + bias
    np.testing.assert_allclose(convolution(x).detach(), expected, atol=1e-5)


def test_a_second_trunk_of_another_shape_is_refused(branch, tmp_path):
    model = onnx.load_from_string(face_onnx(branch))
    lost = [node for node in model.graph.node if node.name.startswith("second_conv")][-1]
    model.graph.node.remove(lost)
    (tmp_path / "branch.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(TrainingError, match="cannot start from"):
        start_branch(tmp_path)


def test_starting_from_another_kind_of_model_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="cannot start from"):
        start_branch(SHIPPED / "omniglot")
    (tmp_path / "branch.onnx").write_bytes(b"no graph")
    with pytest.raises(TrainingError, match="cannot start from"):
        start_branch(tmp_path)
