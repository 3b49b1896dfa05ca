"""How a network's graph is run: one protocol, two engines.

OpenCV DNN is always installed and starts fastest; OpenVINO (extra `openvino`) needs half a second
to start, then embeds more faces per CPU second. `tests/facesearch/test_engine.py` makes sure that
their results agree. An engine belongs to one thread; `Model` keeps a set for each thread.
"""

import importlib.util
import os
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from facesearch.errors import ModelError
from facesearch.extras import install_command
from facesearch.vectors import Floats

ENGINES = ("opencv", "openvino")


class Engine(Protocol):
    """A graph that is ready to run, with any batch size, height and width that the graph admits."""

    def run(self, batch: Floats) -> Mapping[str, Floats]:
        """Return the graph's outputs by name for `batch` (n, channels, height, width)."""
        ...


class OpenCVEngine:
    """The graph in OpenCV's DNN module, block-quantized weights included."""

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
    """The graph in OpenVINO, its weights dequantized to float32 first.

    All engines of one file share one compiled graph, with a stream per core.
    """

    def __init__(self, onnx_file: Path) -> None:
        if not openvino_is_installed():
            raise ModelError(
                f"the OpenVINO engine is not installed; {install_command('openvino')} adds it"
            )
        with _COMPILING:
            compiled, self._outputs = _compiled(onnx_file)
        self._request = compiled.create_infer_request()

    def run(self, batch: Floats) -> Mapping[str, Floats]:
        results = self._request.infer([batch], share_inputs=True)
        return {name: np.array(results[i]) for i, name in enumerate(self._outputs)}


_COMPILING = threading.Lock()  # or two threads would compile one graph twice


@cache
def _compiled(onnx_file: Path) -> tuple[Any, list[str]]:
    """Return the graph compiled by OpenVINO, which takes about half a second, and its outputs."""
    openvino = import_openvino()
    # The first call of this fills a table of OpenVINO's. If two threads make it at once, they
    # deadlock: one has the table's lock and waits for Python's, the other the reverse.
    openvino.Tensor(np.zeros(1, np.float32)).element_type.to_dtype()
    core = openvino.Core()
    source = dequantized(onnx_file)
    graph = core.read_model(source.SerializeToString())
    batch, channels, height, width = graph.inputs[0].partial_shape
    if (height, width) == (640, 640):  # a detector: one picture at a time, of any size
        graph.reshape([batch, channels, -1, -1])
    else:
        graph.reshape([-1, channels, height, width])
    cores = os.cpu_count() or 1
    options = {"NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
    # OpenVINO gives a tensor several names in no order: use those in the file
    return core.compile_model(graph, "CPU", options), [o.name for o in source.graph.output]


def import_openvino() -> Any:
    """Return the module openvino, imported so that nothing leaves this machine.

    By itself the import looks up an analytics host, sends an event to it, and keeps an id of the
    user in ~/intel. Without its telemetry package it does neither. tests/cli/test_offline.py.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # not to be found
    import openvino  # takes 0.4 s, so only if it is used

    return openvino


def openvino_is_installed() -> bool:
    """Return whether the extra `openvino` is installed, without importing it."""
    return all(importlib.util.find_spec(name) is not None for name in ("openvino", "onnx"))


def engine_for_many() -> str:
    """Return the installed engine that is fastest for many crops."""
    return "openvino" if openvino_is_installed() else "opencv"


def make_engine(kind: str, onnx_file: Path) -> Engine:
    """Return an engine of `kind`, one of ENGINES, for the graph in `onnx_file`."""
    if kind == "opencv":
        return OpenCVEngine(onnx_file)
    if kind == "openvino":
        return OpenVINOEngine(onnx_file)
    raise ModelError(f"there is no engine {kind!r}; there are {', '.join(ENGINES)}")


def dequantized(onnx_file: Path) -> Any:
    """Return the graph (onnx.ModelProto) with float32 weights in place of DequantizeLinear nodes.

    ONNX operator DequantizeLinear, opset 21: y = (x - zero_point) * scale, where each scale
    applies to `block_size` entries along `axis` (to a whole slice if there is no block size).
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
        quantized, scale = (weights[name] for name in node.input[:2])
        zero = weights[node.input[2]] if len(node.input) > 2 else np.zeros_like(scale)
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        axis, block = options.get("axis", 1), options.get("block_size", 0)
        if block:
            entries = np.arange(quantized.shape[axis]) // block
            scale, zero = np.take(scale, entries, axis), np.take(zero, entries, axis)
        elif scale.ndim == 1:
            along = [-1 if i == axis else 1 for i in range(quantized.ndim)]
            scale, zero = scale.reshape(along), zero.reshape(along)
        result = (quantized.astype(np.float32) - zero.astype(np.float32)) * scale
        weights[node.output[0]] = result.astype(np.float32)
    used = {name for node in kept for name in node.input}
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(
        numpy_helper.from_array(w, name) for name, w in weights.items() if name in used
    )
    return model
