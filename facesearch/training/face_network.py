"""The network of the recipe `face`: two trunks side by side, the second of which is trained here.

The first trunk is SFace (Zhong et al. 2021), as it ships; the index searches by its code. The
second is a MobileFaceNet (Chen et al. 2018) that starts from weights trained with another loss on
other pictures; only the head reads its code. A template is both codes, one after the other: the
first scaled to length 1, the second to a length inversely proportional to its own. A long code
means that the network sees the face well, and then SFace does so too: the second code helps most
where it is short.
"""

from pathlib import Path
from typing import Any, NamedTuple

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
CODE = 128  # size of each trunk's code
INPUT_MEAN, INPUT_SCALE = 127.5, 128.0  # both trunks read (pixel - INPUT_MEAN) / INPUT_SCALE
FIRST_CODE = "fc1"  # name of the output of SFace's graph
SECOND = "second_"  # prefix of the names of the second trunk's nodes in a model's graph
START = Path(__file__).parent / "mobilefacenet.npz"  # written by scripts/make_start.py
# each block's channels in, inside and out, and its stride
BLOCKS = (
    *[(64, 128, 64, 2), *[(64, 128, 64, 1)] * 4],
    *[(64, 256, 128, 2), *[(128, 256, 128, 1)] * 6],
    *[(128, 512, 128, 2), *[(128, 256, 128, 1)] * 2],
)
SECOND_SCALE = 47.0  # so that a typical second code, of length 67, has length 0.7 in a template
WIDTH = 512  # channels of the last feature map, of 7 x 7 pixels


class Layer(NamedTuple):
    """Weights (out, in, height, width) or (out, in) and bias (out,) of one layer.

    `slopes` (out,) are those of the PReLU after it, None if there is none.
    """

    weights: Floats
    bias: Floats
    slopes: Floats | None = None


class Convolution(nn.Module):
    """A convolution that keeps the side or, with a stride of 2, halves it; then perhaps a PReLU.

    Batch normalization is folded into the weights. Pads as TensorFlow does: with a stride of 2 only
    below and to the right.
    """

    def __init__(
        self, channels_in: int, channels: int, side: int, stride: int = 1, *, act: bool = True
    ) -> None:
        super().__init__()
        depthwise = side > 1 and channels_in == channels
        self.pads = (0, 1) if stride == 2 else (side // 2, side // 2) if side < 7 else (0, 0)
        groups = channels if depthwise else 1
        self.layer = nn.Conv2d(channels_in, channels, side, stride, groups=groups)
        self.act = PReLU(channels) if act else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(F.pad(x, self.pads * 2) if any(self.pads) else x)
        return x if self.act is None else self.act(x)


class Block(nn.Module):
    """An inverted residual: expand, convolve depthwise, project; a shortcut if shapes are equal."""

    def __init__(self, channels_in: int, inside: int, channels: int, stride: int) -> None:
        super().__init__()
        self.skips = stride == 1 and channels_in == channels
        self.parts = nn.Sequential(
            Convolution(channels_in, inside, 1),
            Convolution(inside, inside, 3, stride),
            Convolution(inside, channels, 1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.parts(x)
        return x + y if self.skips else y


class MobileTrunk(nn.Module):
    """The second trunk: crops (n, 3, 112, 112) in [0, 1] -> codes (n, 128), see `join_codes`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Convolution(3, 64, 3, 2),
            Convolution(64, 64, 3),
            Convolution(64, 64, 1, act=False),
        )
        self.blocks = nn.Sequential(*[Block(*block) for block in BLOCKS])
        self.end = nn.Sequential(
            Convolution(BLOCKS[-1][2], WIDTH, 1), Convolution(WIDTH, WIDTH, 7, act=False)
        )
        self.embedding = nn.Linear(WIDTH, CODE)

    def forward(self, crops: Tensor) -> Tensor:
        x = self.end(self.blocks(self.stem((crops * 255 - INPUT_MEAN) / INPUT_SCALE)))
        return self.embedding(x.flatten(1))  # type: ignore[no-any-return]

    @property
    def convolutions(self) -> list[Convolution]:
        """All convolutions, in the order of the data."""
        return [module for module in self.modules() if isinstance(module, Convolution)]

    def load_layers(self, layers: list[Layer]) -> None:
        """Set all weights to those of `layers`, in the order of the data."""
        *convolutions, last = layers
        for module, layer in zip(self.convolutions, convolutions, strict=True):
            self._load(module.layer, layer)
            if module.act is not None and layer.slopes is not None:
                module.act.load_state_dict({"weight": torch.tensor(layer.slopes)})
        self._load(self.embedding, last)

    @staticmethod
    def _load(module: nn.Module, layer: Layer) -> None:
        weights, bias = torch.tensor(layer.weights), torch.tensor(layer.bias)
        module.load_state_dict({"weight": weights, "bias": bias})


class SFaceTrunk(nn.Module):
    """The first trunk: crops (n, 3, 112, 112) in [0, 1] -> codes (n, 128), not yet of length 1.

    It has the layers and weights of the graph; each layer is named after its output there.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        super().__init__()
        values = dequantized(graph)
        self.layers = nn.Sequential()
        for node in graph.node:
            weights = [values[name] for name in node.input[1:] if name in values]
            layer = layer_of(node, weights)
            if layer is not None:
                self.layers.add_module(node.output[0], layer)
            if node.output[0] == FIRST_CODE:
                break

    def forward(self, crops: Tensor) -> Tensor:
        return self.layers((crops * 255 - INPUT_MEAN) / INPUT_SCALE)  # type: ignore[no-any-return]


def layer_of(node: onnx.NodeProto, weights: list[Floats]) -> nn.Module | None:
    """Return the layer for `node` of SFace's graph; None if the node only prepares another."""
    attributes = attributes_of(node)
    tensors = [torch.tensor(array) for array in weights]
    layer: nn.Module
    match node.op_type:
        case "Conv":
            kernel, groups = tensors[0], attributes.get("group", 1)
            channels, inside, height, width = kernel.shape
            layer = nn.Conv2d(
                inside * groups,
                channels,
                (height, width),
                stride=attributes["strides"],
                padding=attributes["pads"][:2],
                groups=groups,
                bias=len(tensors) > 1,
            )
            layer.load_state_dict(dict(zip(("weight", "bias"), tensors, strict=False)))
        case "BatchNormalization":
            kind = nn.BatchNorm1d if node.output[0] == FIRST_CODE else nn.BatchNorm2d
            layer = kind(len(tensors[0]), eps=attributes["epsilon"], track_running_stats=True)
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
            raise ValueError(f"SFace has no node of type {other}")
    return layer


def dequantized(graph: onnx.GraphProto) -> dict[str, Floats]:
    """Return the weights of `graph` by name, including those that it computes from others.

    DequantizeLinear computes (stored - zero point) * scale, with a zero point and a scale for each
    index of an axis or for each block of indices.
    """
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear":
            attributes = attributes_of(node)
            stored, scale, *zero = (values[name].astype(np.float32) for name in node.input)
            axis, block = attributes["axis"], attributes.get("block_size", 0)
            if zero:
                stored = stored - along_axis(zero[0], stored, axis, block)
            values[node.output[0]] = stored * along_axis(scale, stored, axis, block)
        elif node.op_type == "Reshape" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].reshape(values[node.input[1]])
    return values


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of `node` by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def along_axis(values: Floats, stored: Floats, axis: int, block: int) -> Floats:
    """Return `values` so that they broadcast against `stored`.

    There is one value for each `block` indices of `axis`, or for each index if `block` is 0.
    """
    if block:
        return np.take(values, np.arange(stored.shape[axis]) // block, axis)
    return values.reshape([-1 if i == axis else 1 for i in range(stored.ndim)])


class FaceBranch(nn.Module):
    """Crops (n, 3, 112, 112) in [0, 1] -> both codes (n, 256), see `join_codes`.

    In training mode it gives only the second code (n, 128), since the first trunk does not change.
    """

    side_px, dim = SIDE_PX, 2 * CODE

    def __init__(self, model: bytes) -> None:
        super().__init__()
        self.model = model  # the graph of the model that it starts from
        graph = onnx.load_from_string(model).graph
        self.first = SFaceTrunk(graph).requires_grad_(False).eval()
        self.second = MobileTrunk()

    def train(self, mode: bool = True) -> "FaceBranch":
        super().train(mode)
        self.first.eval()
        return self

    def forward(self, crops: Tensor) -> Tensor:
        second: Tensor = self.second(crops).float()
        return second if self.training else join_codes(self.first(crops).float(), second)


def join_codes(first: Tensor, second: Tensor) -> Tensor:
    """Return templates (n, 256) of codes (n, 128).

    The first codes are scaled to length 1, the second to SECOND_SCALE / their length.
    """
    squares = second.square().sum(1, keepdim=True)
    return torch.cat([F.normalize(first), SECOND_SCALE * second / squares], 1)


def start_branch(folder: Path) -> FaceBranch:
    """Return the branch that training starts from, made from the face model in `folder`.

    A model with one trunk must be SFace; its second trunk starts from the weights in START. Raises
    TrainingError if the model is neither SFace nor one with two trunks.
    """
    try:
        branch = FaceBranch((folder / "branch.onnx").read_bytes())
        graph = onnx.load_from_string(branch.model).graph
        branch.second.load_layers(second_layers(graph) or start_layers())
    except (OSError, ValueError, KeyError, RuntimeError, DecodeError) as error:
        raise TrainingError(f"training on faces cannot start from {folder}: {error}") from error
    return branch


def second_layers(graph: onnx.GraphProto) -> list[Layer]:
    """Return the layers of the second trunk in a model's graph; [] if it has only one trunk."""
    values = dequantized(graph)
    layers: list[Layer] = []
    for node in graph.node:
        if not node.name.startswith(SECOND):
            continue
        if node.op_type in ("Conv", "Gemm"):
            layers.append(Layer(values[node.input[1]], values[node.input[2]]))
        elif node.op_type == "PRelu":
            layers[-1] = layers[-1]._replace(slopes=values[node.input[1]].ravel())
    return layers


def start_layers() -> list[Layer]:
    """Return the layers in START, which stores them as float16."""
    with np.load(START) as file:
        arrays = {name: file[name].astype(np.float32) for name in file.files}
    numbers = sorted(name.removeprefix("bias_") for name in arrays if name.startswith("bias_"))
    return [
        Layer(arrays[f"weights_{n}"], arrays[f"bias_{n}"], arrays.get(f"slopes_{n}"))
        for n in numbers
    ]
