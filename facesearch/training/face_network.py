"""The network of the recipe `face`: two trunks side by side, of which one is trained here.

The first is SFace (Zhong et al. 2021), as it ships: its code is what FAISS searches by. The second
is a MobileFaceNet (Chen et al. 2018), at first with the weights of one that learned faces by
another loss and from other pictures; its code is read by the head alone. A template is both codes
side by side, the first of length 1. The second is as long as it came out short: one through its
length. That a face gives a long code says that this network sees it well, and then so does SFace;
the second code is worth most where it is short.
"""

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
GREY, RANGE = 127.5, 128.0  # both trunks take pixels x as (x - GREY) / RANGE
FIRST_CODE = "fc1"  # what SFace's graph calls its output
SECOND = "second_"  # begins the names of all nodes of the second trunk in a model's graph
START = Path(__file__).parent / "mobilefacenet.npz"  # made by scripts/make_start.py
# channels of each block before, inside and after, and its stride
BLOCKS = (
    *[(64, 128, 64, 2), *[(64, 128, 64, 1)] * 4],
    *[(64, 256, 128, 2), *[(128, 256, 128, 1)] * 6],
    *[(128, 512, 128, 2), *[(128, 256, 128, 1)] * 2],
)
SHORT = 47.0  # so that a usual face's second code, 67 long, is .7 long in a template
WIDTH = 512  # channels of the last picture, of 7 x 7 pixels


class Layer(NamedTuple):
    """Weights (out, in, height, width) or (out, in) and bias (out,) of one layer.

    `slopes` (out,) of the PReLU behind it, None without.
    """

    weights: Floats
    bias: Floats
    slopes: Floats | None = None


class Convolution(nn.Module):
    """A convolution that keeps the side, or halves it, and a PReLU behind it if it `bends`.

    Batch normalisation is worked into the weights. As TensorFlow pads it: with a stride of 2 below
    and to the right alone.
    """

    def __init__(
        self, before: int, after: int, side: int, stride: int = 1, *, bends: bool = True
    ) -> None:
        super().__init__()
        apart = side > 1 and before == after  # each channel by itself
        self.pads = (0, 1) if stride == 2 else (side // 2, side // 2) if side < 7 else (0, 0)
        self.layer = nn.Conv2d(before, after, side, stride, groups=after if apart else 1)
        self.act = PReLU(after) if bends else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(F.pad(x, self.pads * 2) if any(self.pads) else x)
        return x if self.act is None else self.act(x)


class Block(nn.Module):
    """Wider, each channel by itself, narrower again; beside the picture itself, if alike."""

    def __init__(self, before: int, inside: int, after: int, stride: int) -> None:
        super().__init__()
        self.beside = stride == 1 and before == after
        self.parts = nn.Sequential(
            Convolution(before, inside, 1),
            Convolution(inside, inside, 3, stride),
            Convolution(inside, after, 1, bends=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.parts(x)
        return x + y if self.beside else y


class MobileTrunk(nn.Module):
    """The second trunk: crops (n, 3, 112, 112) in [0, 1] -> codes (n, 128), see `both`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Convolution(3, 64, 3, 2),
            Convolution(64, 64, 3),
            Convolution(64, 64, 1, bends=False),
        )
        self.blocks = nn.Sequential(*[Block(*block) for block in BLOCKS])
        self.end = nn.Sequential(
            Convolution(BLOCKS[-1][2], WIDTH, 1), Convolution(WIDTH, WIDTH, 7, bends=False)
        )
        self.embedding = nn.Linear(WIDTH, CODE)

    def forward(self, crops: Tensor) -> Tensor:
        x = self.end(self.blocks(self.stem((crops * 255 - GREY) / RANGE)))
        return self.embedding(x.flatten(1))  # type: ignore[no-any-return]

    @property
    def convolutions(self) -> list[Convolution]:
        """All of them, in the order in which a picture passes them."""
        return [module for module in self.modules() if isinstance(module, Convolution)]

    def take(self, layers: list[Layer]) -> None:
        """Begin with `layers`, in the order in which a picture passes them."""
        *convolutions, last = layers
        for mine, layer in zip(self.convolutions, convolutions, strict=True):
            self._take(mine.layer, layer)
            if mine.act is not None and layer.slopes is not None:
                mine.act.load_state_dict({"weight": torch.tensor(layer.slopes)})
        self._take(self.embedding, last)

    @staticmethod
    def _take(mine: nn.Module, layer: Layer) -> None:
        weights, bias = torch.tensor(layer.weights), torch.tensor(layer.bias)
        mine.load_state_dict({"weight": weights, "bias": bias})


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
        return self.layers((crops * 255 - GREY) / RANGE)  # type: ignore[no-any-return]


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
    """Crops (n, 3, 112, 112) in [0, 1] -> both codes (n, 256) as `both` puts them together.

    While it is trained it gives the second code alone (n, 128), for the first trunk stays as it is.
    """

    normalised = False  # as a whole
    side_px, dim = SIDE_PX, 2 * CODE

    def __init__(self, model: bytes) -> None:
        super().__init__()
        self.model = model  # the graph of the model that it begins with: its first trunk stays
        graph = onnx.load_from_string(model).graph
        self.first = SFaceTrunk(graph).requires_grad_(False).eval()
        self.second = MobileTrunk()

    def train(self, mode: bool = True) -> "FaceBranch":
        super().train(mode)
        self.first.eval()
        return self

    def forward(self, crops: Tensor) -> Tensor:
        second: Tensor = self.second(crops).float()
        return second if self.training else both(self.first(crops).float(), second)


def both(first: Tensor, second: Tensor) -> Tensor:
    """Return codes (n, 128) side by side: the first unit, the second SHORT / its length long."""
    squares = second.square().sum(1, keepdim=True)
    return torch.cat([F.normalize(first), SHORT * second / squares], 1)


def start_branch(folder: Path) -> FaceBranch:
    """Return the branch that a training begins with, from the face model in `folder`.

    A model with one trunk is SFace: beside it the second one begins with the weights in START.
    Raises TrainingError if the model is none of these two.
    """
    try:
        branch = FaceBranch((folder / "branch.onnx").read_bytes())
        branch.second.take(second_layers(onnx.load_from_string(branch.model).graph) or stored())
    except (OSError, ValueError, KeyError, RuntimeError, DecodeError) as error:
        raise TrainingError(f"a training of faces cannot begin with {folder}: {error}") from error
    return branch


def second_layers(graph: onnx.GraphProto) -> list[Layer]:
    """Return the layers of the second trunk in the graph of a model; none if it has one trunk."""
    values = dequantised(graph)
    layers: list[Layer] = []
    for node in graph.node:
        if not node.name.startswith(SECOND):
            continue
        if node.op_type in ("Conv", "Gemm"):
            layers.append(Layer(values[node.input[1]], values[node.input[2]]))
        elif node.op_type == "PRelu":
            layers[-1] = layers[-1]._replace(slopes=values[node.input[1]].ravel())
    return layers


def stored() -> list[Layer]:
    """Return the layers in START, where they are of float16."""
    with np.load(START) as file:
        arrays = {name: file[name].astype(np.float32) for name in file.files}
    numbers = sorted(name.removeprefix("bias_") for name in arrays if name.startswith("bias_"))
    return [
        Layer(arrays[f"weights_{n}"], arrays[f"bias_{n}"], arrays.get(f"slopes_{n}"))
        for n in numbers
    ]
