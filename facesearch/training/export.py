"""A trained network -> a model folder, which `Model.load` reads without torch.

The graph is written node by node: it has a dozen kinds of them, and torch's own exporter needs a
package more and changes from version to version. Batch normalisation is folded into the weights.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from facesearch.embedding import Encoder
from facesearch.engine import make_engine
from facesearch.errors import TrainingError
from facesearch.figures import Figures
from facesearch.head import L1SigmoidHead
from facesearch.manifest import FILES
from facesearch.training.calibration import Searches, calibrate
from facesearch.training.face_network import (
    FIRST_CODE,
    GREY,
    RANGE,
    SECOND,
    SHORT,
    Block,
    Convolution,
    FaceBranch,
    MobileTrunk,
)
from facesearch.training.figures import measure
from facesearch.training.network import (
    KochBranch,
    L1Head,
    PReLU,
    ResidualBlock,
    ResidualBranch,
    SiameseNetwork,
    Trunk,
)
from facesearch.training.recipes import TrainingSet

OPSET = 13  # the first whose DequantizeLinear has a scale for each channel
IR_VERSION = 8
PART = 256  # crops that are made at a time
KOCH_LENGTH = 64.0  # sqrt(4096): no embedding of 4096 sigmoids is longer

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """What the manifest says of a model beside what its files say."""

    name: str
    weights_licence: str
    data_licence: str
    training: Mapping[str, Any]  # settings of the recipe, steps done, data, seed
    figures: Mapping[str, float] = field(default_factory=dict)  # what was measured of it
    version: str = "1"
    card: str | None = None  # text of MODEL_CARD.md


def export(network: SiameseNetwork, validation: TrainingSet, folder: Path, about: About) -> None:
    """Write `network` as a model into `folder`, calibrated on `validation`.

    `validation` should have classes that the network was not trained on: where it was, its
    probabilities are too sure. Raises TrainingError as `whole_folder`, or if the validation cannot
    calibrate it.
    """
    with whole_folder(folder) as new:
        write_model(network, validation, new, about)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to write a model into; at the end it takes the place of `folder`.

    The model appears whole or not at all; one that was there is replaced. Raises TrainingError if
    something else is there, or the disk does not take it.
    """
    check_free(folder)
    new: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield new
        for file in new.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        new.chmod(0o777 & ~umask)  # mkdtemp's own is for its maker alone
        replace_folder(new, folder)
    except OSError as error:
        raise TrainingError(f"the model cannot be written to {folder}: {error}") from error
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)


def check_free(folder: Path) -> None:
    """Raise TrainingError if at `folder` is something that is no model, and so not replaced."""
    free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not free and not (folder / "model.json").is_file():
        raise TrainingError(f"{folder} is there and is no model; name another folder")


def replace_folder(new: Path, folder: Path) -> None:
    """Put the folder `new` in the place of `folder`, which may be there; both on one disk.

    It takes two renames, since none replaces a full folder. Killed between them it leaves the old
    model beside, under the name of `new` and .old.
    """
    if not folder.exists():
        new.rename(folder)
        return
    old = new.with_name(f"{new.name}.old")
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_model(
    network: SiameseNetwork, validation: TrainingSet, folder: Path, about: About
) -> None:
    """Write the files of a model into the empty `folder`; raises OSError, TrainingError."""
    channels, side_px = validation.pictures.shape[1:3]
    (folder / "branch.onnx").write_bytes(branch_onnx(network.branch, quantised=True))
    # calibrated with what will run: the graph with its rounded weights
    encoder = Encoder(make_engine("opencv", folder / "branch.onnx"))
    templates = encoder.embed(crops_of(validation.pictures))
    groups = validation.groups[validation.classes]
    head, calibration = calibrate(plain_head(network), validation.classes, templates, groups)
    head.save(folder / "head.npz")
    manifest = {
        "manifest_version": 1,
        "name": about.name,
        "version": about.version,
        "kind": "image",
        "detector": "whole",
        "mirror": False,
        "dim": templates.shape[1],
        "input": {"side_px": side_px, "colours": "RGB", "range": [0, 255]},
        "alignment": "ink" if channels == 1 else "whole",
        "sha256": hashes(folder),
        "licence": {"weights": about.weights_licence, "data": about.data_licence},
        "calibration": calibration.manifest(),
        "training": dict(about.training),
        "figures": dict(about.figures),
    }
    figures = measure(
        Searches(validation.classes, templates, templates, head),
        head,
        calibration.cohort,
        calibration.evidence,
        made_from=calibration.made_from,
        calibrated_on=True,
        groups=groups,
    )
    write_manifest(folder, manifest, figures, about.card)


def hashes(folder: Path) -> dict[str, str]:
    """Return what the manifest of the model in `folder` says of its files: their SHA-256."""
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES}


def write_manifest(
    folder: Path, manifest: dict[str, Any], figures: Figures | None, card: str | None
) -> None:
    """Write what is said of a model beside its files: manifest, figures and card, as there are."""
    (folder / "model.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    if figures is not None:
        figures.save(folder, manifest)
    if card is not None:
        (folder / "MODEL_CARD.md").write_text(card, "utf-8")


def crops_of(pictures: Tensor) -> NDArray[np.uint8]:
    """Return crops (n, side, side, 3) RGB that the graph sees as `pictures`, its training's kind.

    `pictures` (n, channels, side, side) uint8: ink on nothing, or the light of three colours.
    """
    crops = pictures.permute(0, 2, 3, 1).numpy()
    if crops.shape[3] == 1:
        crops = np.repeat(255 - crops, 3, axis=3)
    return np.ascontiguousarray(crops)


def crops_by_part(pictures: Tensor) -> Iterator[NDArray[np.uint8]]:
    """Yield the crops that the graph sees as `pictures`, see `crops_of`, PART at a time."""
    return (crops_of(part) for part in torch.split(pictures, PART))


def plain_head(network: SiameseNetwork) -> L1SigmoidHead:
    """Return the head of `network` in numpy, for the templates that `branch_onnx` makes."""
    head: L1Head = network.head
    weights = array(head.gains)
    projection = None
    if head.projection is not None:  # rounded as in its file
        blocks = torch.block_diag(*head.projection)  # type: ignore[no-untyped-call]
        dense = array(blocks)  # (dim, width)
        projection = dense.astype(np.float16).astype(np.float32)
    if isinstance(network.branch, KochBranch):
        weights = np.append(weights * KOCH_LENGTH, 0.0)  # of the last number, see koch_embedding
    return L1SigmoidHead(
        projection=projection,
        weights=weights.astype(np.float32),
        bias=float(array(head.bias)),
        unit_distance=1.0,  # until it is calibrated
        follows_cosine=False,
    )


# The graph


def branch_onnx(branch: nn.Module, *, quantised: bool) -> bytes:
    """Return the ONNX graph of a KochBranch or ResidualBranch, always the same bytes.

    Input `pictures` (n, 3, side, side) float32 RGB, 0 to 255; output `embeddings` (n, dim), which
    `Encoder` scales to length 1. `quantised`: weights of 8 bits with a scale for each output
    channel, a quarter of the size.
    """
    graph = Graph(quantised)
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
    """Nodes and weights of an ONNX graph, as they are added; names of values are strings."""

    def __init__(self, quantised: bool, prefix: str = "") -> None:
        self._quantised, self._prefix = quantised, prefix
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its one output."""
        output = f"{self._prefix}{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values: NDArray[Any]) -> str:
        """Add `values` as they are; return their name."""
        name = f"{self._prefix}weight_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def floats(self, values: Doubles) -> str:
        return self.constant(values.astype(np.float32))

    def weights(self, values: Doubles) -> str:
        """Add the weights (out, ...) of a layer, quantised if that was asked for."""
        if not self._quantised:
            return self.floats(values)
        flat = np.abs(values.reshape(len(values), -1)).max(1)
        scales = (np.maximum(flat, 1e-12) / 127).astype(np.float32)  # symmetric: no zero point
        whole = np.rint(values / scales.reshape(-1, *[1] * (values.ndim - 1)))
        return self.node(
            "DequantizeLinear",
            self.constant(np.clip(whole, -127, 127).astype(np.int8)),
            self.constant(scales),
            axis=0,
        )

    def convolution(
        self,
        x: str,
        weights: Doubles,
        bias: Doubles,
        stride: int,
        pads: tuple[int, int],  # before, that is above and to the left, and after
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
        return self.node("PRelu", x, self.floats(array(act.weight)[:, None, None]))

    def pictures(self, channels: int) -> str:
        """Add what turns RGB, 0 to 255, into pictures as in training; return their name.

        One channel: ink, 1 - mean / 255; three: light, x / 255. Zero is the background, which
        the padding of the next layer continues: so this cannot be folded into that layer.
        """
        if channels == 3:
            weights, bias = np.eye(3)[:, :, None, None] / 255, np.zeros(3)
        else:
            weights, bias = np.full((1, 3, 1, 1), -1 / (3 * 255)), np.ones(1)
        return self.node("Conv", "pictures", self.floats(weights), self.floats(bias))

    def of_length_one(self, x: str) -> str:
        """Add what scales the rows of `x` (n, numbers) to length 1."""
        return self.node("Div", x, self.node("Sqrt", self.squared_length(x)))

    def squared_length(self, x: str) -> str:
        """Add the squared lengths (n, 1) of the rows of `x` (n, numbers)."""
        axis = self.constant(np.array([1], np.int64))
        return self.node("ReduceSum", self.node("Mul", x, x), axis, keepdims=1)

    def join(self, model: onnx.ModelProto, result: str) -> None:
        """Put the nodes into `model`, whose one output is then `result`, renamed `embeddings`."""
        output = self._end(result)
        model.graph.node.extend(self._nodes)
        model.graph.initializer.extend(self._weights)
        del model.graph.output[:]
        model.graph.output.append(output)

    def _end(self, result: str) -> onnx.ValueInfoProto:
        """Rename `result`, which the last node gives, `embeddings`; return that output."""
        self._nodes[-1].output[0] = "embeddings"
        if self._nodes[-1].name != result:
            raise ValueError(f"{result} is not the last node")
        return helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", "dim"])

    def serialised(self, side_px: int, result: str) -> bytes:
        """Return the graph from `pictures` to `result`, renamed `embeddings`, as bytes."""
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
    """Add a ResidualBranch, up to the embedding before it is scaled to length 1."""
    trunks = [trunk for trunk in branch.trunks if isinstance(trunk, Trunk)]  # that is all of them
    x = graph.pictures(trunks[0].stem.in_channels)
    parts = [trunk_embedding(graph, trunk, x) for trunk in trunks]
    return parts[0] if len(parts) == 1 else graph.node("Concat", *parts, axis=1)


def trunk_embedding(graph: Graph, trunk: Trunk, x: str) -> str:
    """Add one trunk that reads the pictures `x`."""

    def normed(x: str, layer: nn.Conv2d, norm: nn.BatchNorm2d) -> str:
        return graph.convolution(x, *folded(layer, norm), layer.stride[0], even_pads(layer))

    x = graph.prelu(normed(x, trunk.stem, trunk.stem_norm), trunk.stem_act)
    for block in trunk.blocks:
        assert isinstance(block, ResidualBlock)  # for the type checker
        y = graph.prelu(normed(x, block.first, block.first_norm), block.first_act)
        y = normed(y, block.second, block.second_norm)
        if block.shortcut is not None:
            x = normed(x, block.shortcut, block.shortcut_norm)
        x = graph.prelu(graph.node("Add", y, x), block.second_act)
    return graph.linear(x, *folded(trunk.embedding, trunk.embedding_norm))


def koch_embedding(graph: Graph, branch: KochBranch) -> str:
    """Add a KochBranch, with one number more than its 4096 sigmoids s: a template has length 1.

    The paper's head compares s as it is, of any length, while a template has length 1 everywhere
    in this package. So the template is [s, sqrt(4096 - |s|^2)] / 64. Its length is 1 whatever s
    is; the head gives the last number no weight, and its other weights make up for the 64.
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
    square = graph.node("Mul", s, s)
    axis = graph.constant(np.array([1], np.int64))
    used = graph.node("ReduceSum", square, axis, keepdims=1)
    left = graph.node("Sub", graph.floats(np.array([KOCH_LENGTH**2])), used)
    both = graph.node("Concat", s, graph.node("Sqrt", graph.node("Relu", left)), axis=1)
    return graph.node("Mul", both, graph.floats(np.array([1 / KOCH_LENGTH])))


def face_onnx(branch: FaceBranch) -> bytes:
    """Return the graph of both trunks of a face model, always the same bytes.

    The first trunk is the one that the branch was made from, of which no node is touched; its input
    is the whole's. Output `embeddings` (n, 256) as FaceBranch gives them.
    """
    whole = onnx.load_from_string(branch.model)
    until = [node.output[0] for node in whole.graph.node].index(FIRST_CODE) + 1
    del whole.graph.node[until:]
    for tensor in [t for t in whole.graph.initializer if t.name.startswith(SECOND)]:
        whole.graph.initializer.remove(tensor)
    graph = Graph(quantised=True, prefix=SECOND)
    first = graph.of_length_one(FIRST_CODE)
    second = mobile_embedding(graph, branch.second, whole.graph.input[0].name)
    length = graph.node("Div", graph.floats(np.array([SHORT])), graph.squared_length(second))
    second = graph.node("Mul", second, length)
    graph.join(whole, graph.node("Concat", first, second, axis=1))
    onnx.checker.check_model(whole, full_check=True)
    serialised: bytes = whole.SerializeToString(deterministic=True)
    return serialised


def mobile_embedding(graph: Graph, trunk: MobileTrunk, crops: str) -> str:
    """Add a MobileTrunk, up to its code as it comes out."""

    def passed(x: str, part: Convolution) -> str:
        layer = part.layer
        x = graph.convolution(x, *folded(layer), layer.stride[0], part.pads, layer.groups)
        return x if part.act is None else graph.prelu(x, part.act)

    x = graph.node("Sub", crops, graph.floats(np.array([GREY])))
    x = graph.node("Mul", x, graph.floats(np.array([1 / RANGE])))
    for part in (*trunk.stem, *trunk.blocks, *trunk.end):
        if isinstance(part, Block):
            y = x
            for inside in part.parts:
                assert isinstance(inside, Convolution)  # for the type checker
                y = passed(y, inside)
            x = graph.node("Add", x, y) if part.beside else y
        else:
            assert isinstance(part, Convolution)  # for the type checker
            x = passed(x, part)
    return graph.linear(x, *folded(trunk.embedding))


def folded(
    layer: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d | None = None
) -> tuple[Doubles, Doubles]:
    """Return weights and bias of `layer` with the batch normalisation after it worked in."""
    weights = array(layer.weight)
    bias = np.zeros(len(weights)) if layer.bias is None else array(layer.bias)
    if norm is None:
        return weights, bias
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: PT018
    gain = 1 / np.sqrt(array(norm.running_var) + norm.eps)
    shift = -array(norm.running_mean) * gain
    if norm.affine:
        gain, shift = gain * array(norm.weight), shift * array(norm.weight) + array(norm.bias)
    return weights * gain.reshape(-1, *[1] * (weights.ndim - 1)), bias * gain + shift


def even_pads(layer: nn.Conv2d) -> tuple[int, int]:
    """Return how far `layer` pads before and after."""
    return int(layer.padding[0]), int(layer.padding[0])


def array(tensor: Tensor) -> Doubles:
    """Return `tensor` in double precision, so that folding loses nothing."""
    return tensor.detach().cpu().double().numpy()
