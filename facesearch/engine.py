"""How a graph runs: one Protocol, two engines.

OpenCV DNN is always there and starts fastest; OpenVINO (extra `openvino`) needs half a second to
start and then does more faces per CPU second. `tests/facesearch/test_engine.py` holds them equal.
An engine object belongs to one thread; `Model` keeps one set a thread.
"""

import importlib.util
import os
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facesearch.errors import ModelError

Floats = NDArray[np.float32]
ENGINES = ("opencv", "openvino")


class Engine(Protocol):
    """A graph that is ready to run; any batch size, and any height and width the graph admits."""

    def run(self, batch: Floats) -> Mapping[str, Floats]:
        """Return the graph's outputs by name for `batch` (n, channels, height, width)."""
        ...


class OpenCVEngine:
    """The graph in OpenCV's DNN module, block-quantised weights included."""

    def __init__(self, onnx_file: Path) -> None:
        try:
            self._net = cv2.dnn.readNetFromONNX(np.fromfile(onnx_file, np.uint8))
        except (cv2.error, OSError) as error:
            raise ModelError(f"{onnx_file} is not a graph that OpenCV can run: {error}") from error
        self._outputs = list(self._net.getUnconnectedOutLayersNames())

    def run(self, batch: Floats) -> Mapping[str, Floats]:
        self._net.setInput(batch)
        results: Any = self._net.forward(self._outputs)
        # forward returns views of the net's own buffers, which the next call overwrites
        return {name: np.array(r) for name, r in zip(self._outputs, results, strict=True)}


class OpenVINOEngine:
    """The graph in OpenVINO, its weights unfolded to float32 first.

    All engines of one file share one compiled graph, with a stream for each core.
    """

    def __init__(self, onnx_file: Path) -> None:
        if not openvino_is_installed():
            raise ModelError(
                "the OpenVINO engine is not installed; pip install 'facesearch[openvino]' adds it"
            )
        with _COMPILING:
            compiled, self._outputs = _compiled(onnx_file)
        self._request = compiled.create_infer_request()

    def run(self, batch: Floats) -> Mapping[str, Floats]:
        results = self._request.infer([batch], share_inputs=True)
        return {name: np.array(results[i]) for i, name in enumerate(self._outputs)}


_COMPILING = threading.Lock()  # so that two threads do not compile one graph twice


@cache
def _compiled(onnx_file: Path) -> tuple[Any, list[str]]:
    """Return the graph compiled by OpenVINO, which takes about half a second, and its outputs."""
    import openvino  # 0.4 s, so only here

    # OpenVINO fills a table at the first call of this. Two threads that are there first wait for
    # each other for ever: one has the table's lock and wants Python's, the other has that.
    openvino.Tensor(np.zeros(1, np.float32)).element_type.to_dtype()
    core = openvino.Core()
    source = unfolded(onnx_file)
    graph = core.read_model(source.SerializeToString())
    batch, channels, height, width = graph.inputs[0].partial_shape
    if (height, width) == (640, 640):  # a detector takes any picture, one at a time
        graph.reshape([batch, channels, -1, -1])
    else:
        graph.reshape([-1, channels, height, width])
    cores = os.cpu_count() or 1
    options = {"NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
    # a tensor of OpenVINO may have several names, in no order: take the file's
    return core.compile_model(graph, "CPU", options), [o.name for o in source.graph.output]


def openvino_is_installed() -> bool:
    """Return whether the extra `openvino` is there, without importing it."""
    return all(importlib.util.find_spec(name) is not None for name in ("openvino", "onnx"))


def engine_for_many() -> str:
    """Return the engine that is quickest for many crops, of those that are installed."""
    return "openvino" if openvino_is_installed() else "opencv"


def make_engine(kind: str, onnx_file: Path) -> Engine:
    """Return an engine of `kind`, one of ENGINES, for the graph in `onnx_file`."""
    if kind == "opencv":
        return OpenCVEngine(onnx_file)
    if kind == "openvino":
        return OpenVINOEngine(onnx_file)
    raise ModelError(f"there is no engine {kind!r}; there are {', '.join(ENGINES)}")


def unfolded(onnx_file: Path) -> Any:
    """Return the graph (onnx.ModelProto) with each DequantizeLinear of weights worked out.

    ONNX operator DequantizeLinear, opset 21: y = (x - zero_point) * scale, where each scale
    serves `block_size` entries along `axis` (or all of a slice where there is no block size).
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(onnx_file)
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear":
            kept.append(node)
            continue
        quantised, scale = (weights[name] for name in node.input[:2])
        zero = weights[node.input[2]] if len(node.input) > 2 else np.zeros_like(scale)
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        axis, block = options.get("axis", 1), options.get("block_size", 0)
        if block:
            entries = np.arange(quantised.shape[axis]) // block
            scale, zero = np.take(scale, entries, axis), np.take(zero, entries, axis)
        elif scale.ndim == 1:
            along = [-1 if i == axis else 1 for i in range(quantised.ndim)]
            scale, zero = scale.reshape(along), zero.reshape(along)
        result = (quantised.astype(np.float32) - zero.astype(np.float32)) * scale
        weights[node.output[0]] = result.astype(np.float32)
    used = {name for node in kept for name in node.input}
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(
        numpy_helper.from_array(w, name) for name, w in weights.items() if name in used
    )
    return model
