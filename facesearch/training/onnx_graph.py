"""A trained branch -> an ONNX graph, written node by node.

There are only a dozen kinds of nodes, and torch's own exporter needs one more package and changes
from version to version. Batch normalization is folded into the weights.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from facesearch.training.face_network import (
    FIRST_CODE,
    INPUT_MEAN,
    INPUT_SCALE,
    SECOND,
    SECOND_SCALE,
    Block,
    Convolution,
    FaceBranch,
    MobileTrunk,
)
from facesearch.training.network import KochBranch, PReLU, ResidualBlock, ResidualBranch, Trunk

OPSET = 13  # the first whose DequantizeLinear has a scale for each channel
IR_VERSION = 8
KOCH_LENGTH = 64.0  # sqrt(4096): no embedding of 4096 sigmoids is longer

Doubles = NDArray[np.float64]


def branch_onnx(branch: nn.Module, *, quantized: bool) -> bytes:
    """Return the ONNX graph of a KochBranch or ResidualBranch; the bytes are reproducible.

    Input `pictures` (n, 3, side, side) float32 RGB, 0 to 255; output `embeddings` (n, dim), which
    `Encoder` scales to length 1. If `quantized`, weights have 8 bits and a scale for each output
    channel, which is a quarter of the size.
    """
    graph = Graph(quantized)
    if isinstance(branch, ResidualBranch):
        side_px = branch.side_px
        result = residual_embedding(graph, branch)
    elif isinstance(branch, KochBranch):
        side_px = branch.side_px
        result = koch_embedding(graph, branch)
    else:
        raise TypeError(f"there is no graph for a {type(branch).__name__}")
    return graph.serialised(side_px, result)


class Graph:
    """The nodes and weights of an ONNX graph; values are referred to by name."""

    def __init__(self, quantized: bool, prefix: str = "") -> None:
        self._quantized, self._prefix = quantized, prefix
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; return the output's name."""
        output = f"{self._prefix}{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values: NDArray[Any]) -> str:
        """Add `values` unchanged; return their name."""
        name = f"{self._prefix}weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def floats(self, values: Doubles) -> str:
        return self.constant(values.astype(np.float32))

    def weights(self, values: Doubles) -> str:
        """Add the weights (out, ...) of a layer, quantized if the graph is; return their name."""
        if not self._quantized:
            return self.floats(values)
        largest = np.abs(values.reshape(len(values), -1)).max(1)
        scales = (np.maximum(largest, 1e-12) / 127).astype(np.float32)  # symmetric: no zero point
        rounded = np.rint(values / scales.reshape(-1, *[1] * (values.ndim - 1)))
        return self.node(
            "DequantizeLinear",
            self.constant(np.clip(rounded, -127, 127).astype(np.int8)),
            self.constant(scales),
            axis=0,
        )

    def convolution(
        self,
        x: str,
        weights: Doubles,
        bias: Doubles,
        stride: int,
        pads: tuple[int, int],  # above and to the left; below and to the right
        groups: int = 1,
    ) -> str:
        return self.node(
            "Conv",
            x,
            self.weights(weights),
            self.floats(bias),
            kernel_shape=weights.shape[2:],
            strides=[stride] * 2,
            pads=[pads[0]] * 2 + [pads[1]] * 2,
            group=groups,
        )

    def linear(self, x: str, weights: Doubles, bias: Doubles) -> str:
        flat = self.node("Flatten", x, axis=1)
        return self.node("Gemm", flat, self.weights(weights), self.floats(bias), transB=1)

    def prelu(self, x: str, act: PReLU) -> str:
        return self.node("PRelu", x, self.floats(doubles(act.weight)[:, None, None]))

    def pictures(self, channels: int) -> str:
        """Add the conversion of RGB, 0 to 255, to pictures as in training; return their name.

        One channel is ink, 1 - mean / 255; three channels are light, x / 255. This cannot be folded
        into the next layer, which pads with 0: that has to mean background.
        """
        if channels == 3:
            weights, bias = np.eye(3)[:, :, None, None] / 255, np.zeros(3)
        else:
            weights, bias = np.full((1, 3, 1, 1), -1 / (3 * 255)), np.ones(1)
        return self.node("Conv", "pictures", self.floats(weights), self.floats(bias))

    def normalized(self, x: str) -> str:
        """Add the scaling of the rows of `x` (n, numbers) to length 1."""
        return self.node("Div", x, self.node("Sqrt", self.squared_length(x)))

    def squared_length(self, x: str) -> str:
        """Add the squared lengths (n, 1) of the rows of `x` (n, numbers)."""
        axis = self.constant(np.array([1], np.int64))
        return self.node("ReduceSum", self.node("Mul", x, x), axis, keepdims=1)

    def join(self, model: onnx.ModelProto, result: str) -> None:
        """Append the nodes to `model`; its only output becomes `result`, renamed `embeddings`."""
        output = self._end(result)
        model.graph.node.extend(self._nodes)
        model.graph.initializer.extend(self._weights)
        del model.graph.output[:]
        model.graph.output.append(output)

    def _end(self, result: str) -> onnx.ValueInfoProto:
        """Rename `result`, the output of the last node, to `embeddings`; return that output."""
        self._nodes[-1].output[0] = "embeddings"
        if self._nodes[-1].name != result:
            raise ValueError(f"{result} is not the output of the last node")
        return helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", "dim"])

    def serialised(self, side_px: int, result: str) -> bytes:
        """Return the graph from input `pictures` to `result`, renamed `embeddings`, as bytes."""
        output = self._end(result)
        graph = helper.make_graph(
            self._nodes,
            "branch",
            [
                helper.make_tensor_value_info(
                    "pictures", TensorProto.FLOAT, ["n", 3, side_px, side_px]
                )
            ],
            [output],
            self._weights,
        )
        model = helper.make_model(
            graph,
            producer_name="facesearch",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
        return data


def residual_embedding(graph: Graph, branch: ResidualBranch) -> str:
    """Add a ResidualBranch up to its embedding, not yet scaled to length 1."""
    trunks = [trunk for trunk in branch.trunks if isinstance(trunk, Trunk)]  # all are
    x = graph.pictures(trunks[0].stem.in_channels)
    parts = [trunk_embedding(graph, trunk, x) for trunk in trunks]
    return parts[0] if len(parts) == 1 else graph.node("Concat", *parts, axis=1)


def trunk_embedding(graph: Graph, trunk: Trunk, x: str) -> str:
    """Add one trunk that reads the pictures `x`; return the name of its embedding."""

    def convolved(x: str, layer: nn.Conv2d, norm: nn.BatchNorm2d) -> str:
        return graph.convolution(x, *folded(layer, norm), layer.stride[0], even_pads(layer))

    x = graph.prelu(convolved(x, trunk.stem, trunk.stem_norm), trunk.stem_act)
    for block in trunk.blocks:
        assert isinstance(block, ResidualBlock)  # for the type checker
        y = graph.prelu(convolved(x, block.first, block.first_norm), block.first_act)
        y = convolved(y, block.second, block.second_norm)
        if block.shortcut is not None:
            x = convolved(x, block.shortcut, block.shortcut_norm)
        x = graph.prelu(graph.node("Add", y, x), block.second_act)
    return graph.linear(x, *folded(trunk.embedding, trunk.embedding_norm))


def koch_embedding(graph: Graph, branch: KochBranch) -> str:
    """Add a KochBranch: its 4096 sigmoids s and one more number, so that the length is 1.

    The paper's head compares s, of any length, but templates have length 1 in this package. So the
    template is [s, sqrt(4096 - |s|^2)] / 64. The head gives the last number the weight 0, and its
    other weights are 64 times as large.
    """
    x = graph.pictures(branch.features[0].in_channels)  # type: ignore[arg-type]
    for layer in branch.features:
        if isinstance(layer, nn.Conv2d):
            x = graph.convolution(x, *folded(layer), layer.stride[0], even_pads(layer))
        elif isinstance(layer, nn.ReLU):
            x = graph.node("Relu", x)
        else:
            x = graph.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    s = graph.node("Sigmoid", graph.linear(x, *folded(branch.embedding)))
    used = graph.squared_length(s)
    rest = graph.node("Sub", graph.floats(np.array([KOCH_LENGTH**2])), used)
    extended = graph.node("Concat", s, graph.node("Sqrt", graph.node("Relu", rest)), axis=1)
    return graph.node("Mul", extended, graph.floats(np.array([1 / KOCH_LENGTH])))


def face_onnx(branch: FaceBranch) -> bytes:
    """Return the ONNX graph of both trunks of a face model; the bytes are reproducible.

    The nodes of the first trunk are those of the model that the branch started from, unchanged.
    Input is that model's; output `embeddings` (n, 256) as FaceBranch gives them.
    """
    model = onnx.load_from_string(branch.model)
    end = [node.output[0] for node in model.graph.node].index(FIRST_CODE) + 1
    del model.graph.node[end:]
    for tensor in [t for t in model.graph.initializer if t.name.startswith(SECOND)]:
        model.graph.initializer.remove(tensor)
    graph = Graph(quantized=True, prefix=SECOND)
    first = graph.normalized(FIRST_CODE)
    second = mobile_embedding(graph, branch.second, model.graph.input[0].name)
    scale = graph.node("Div", graph.floats(np.array([SECOND_SCALE])), graph.squared_length(second))
    second = graph.node("Mul", second, scale)
    graph.join(model, graph.node("Concat", first, second, axis=1))
    onnx.checker.check_model(model, full_check=True)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def mobile_embedding(graph: Graph, trunk: MobileTrunk, crops: str) -> str:
    """Add a MobileTrunk; return the name of its code."""

    def convolved(x: str, part: Convolution) -> str:
        layer = part.layer
        x = graph.convolution(x, *folded(layer), layer.stride[0], part.pads, layer.groups)
        return x if part.act is None else graph.prelu(x, part.act)

    x = graph.node("Sub", crops, graph.floats(np.array([INPUT_MEAN])))
    x = graph.node("Mul", x, graph.floats(np.array([1 / INPUT_SCALE])))
    for part in (*trunk.stem, *trunk.blocks, *trunk.end):
        if isinstance(part, Block):
            y = x
            for layer in part.parts:
                assert isinstance(layer, Convolution)  # for the type checker
                y = convolved(y, layer)
            x = graph.node("Add", x, y) if part.skips else y
        else:
            assert isinstance(part, Convolution)  # for the type checker
            x = convolved(x, part)
    return graph.linear(x, *folded(trunk.embedding))


def folded(
    layer: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d | None = None
) -> tuple[Doubles, Doubles]:
    """Return weights and bias of `layer`, with the batch normalization after it folded in."""
    weights = doubles(layer.weight)
    bias = np.zeros(len(weights)) if layer.bias is None else doubles(layer.bias)
    if norm is None:
        return weights, bias
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: PT018
    gain = 1 / np.sqrt(doubles(norm.running_var) + norm.eps)
    shift = -doubles(norm.running_mean) * gain
    if norm.affine:
        gain, shift = gain * doubles(norm.weight), shift * doubles(norm.weight) + doubles(norm.bias)
    return weights * gain.reshape(-1, *[1] * (weights.ndim - 1)), bias * gain + shift


def even_pads(layer: nn.Conv2d) -> tuple[int, int]:
    """Return the padding of `layer` before and after."""
    return int(layer.padding[0]), int(layer.padding[0])


def doubles(tensor: Tensor) -> Doubles:
    """Return `tensor` in double precision, in which folding loses nothing."""
    return tensor.detach().cpu().double().numpy()
