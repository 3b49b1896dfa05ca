"""A small real model of kind `image`: a folder as training writes it, made without training.

Its branch averages the crop over squares of 4x4 pixels and turns the result at random, which is
enough to tell letters apart that OpenCV draws. Also those letters, and what stands in for a
calibration: how other letters score against each other.
"""

import hashlib
import json

import cv2
import numpy as np
from PIL import Image

from facesearch.head import L1SigmoidHead, rotation_code
from facesearch.ink import ink_crop, whole_crop
from facesearch.model import Model
from facesearch.vectors import unit

SIDE_PX = 32
DIM = 128
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX)
OTHERS = "BDGJPQSUW23456789&?#@+"  # what the calibration knows; no test enrolls them


def letter(text="R", side=105, size=2.0, thickness=3, at=(0.25, 0.7), font=FONTS[0], **colours):
    """Return a letter (side, side, 3) as OpenCV draws it, `at` shares of the page."""
    paper, ink = colours.get("paper", (255, 255, 255)), colours.get("ink", (0, 0, 0))
    pixels = np.full((side, side, 3), paper, np.uint8)
    times = side / 105
    corner = (round(side * at[0]), round(side * at[1]))
    thick = max(1, round(thickness * times))
    cv2.putText(pixels, text, corner, font, size * times, ink, thick, cv2.LINE_AA)
    return pixels


def write_model(folder, alignment="ink", *, follows_cosine=True, graph=None, dim=DIM, **changes):
    """Write the model into `folder`, with `changes` to its manifest; return `folder`.

    A head that does not follow the cosine weighs the numbers of the templates, as a trained one.
    `graph` is the bytes of another branch, which gives `dim` numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "branch.onnx").write_bytes(graph or branch())
    code = rotation_code(dim, 8, seed=0) if follows_cosine else np.eye(dim, dtype=np.float32)
    weights = np.ones(code.shape[1], np.float32)
    if not follows_cosine:
        weights += np.arange(dim, dtype=np.float32) % 3
    a, b = unit(np.random.default_rng(0).normal(size=(2, 300, dim))).astype(np.float32)
    per_unit = float((np.abs((a - b) @ code) @ weights / np.linalg.norm(a - b, axis=1)).mean())
    L1SigmoidHead(
        projection=code if follows_cosine else None,
        weights=weights,
        bias=0.5 * per_unit,  # half a unit apart is as likely one letter as two
        unit_distance=per_unit,
        exponent=2.0 if follows_cosine else 1.0,
        follows_cosine=follows_cosine,
    ).save(folder / "head.npz")
    cohort = {"mean": [0.0] * dim, "score_mean": 0.0, "score_std": 0.1}
    manifest = {
        "manifest_version": 1,
        "name": "letters",
        "version": "1",
        "kind": "image",
        "detector": "whole",
        "alignment": alignment,
        "mirror": False,
        "dim": dim,
        "input": {"side_px": SIDE_PX, "colours": "RGB", "range": [0, 255]},
        "sha256": {
            file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
            for file in ("branch.onnx", "head.npz")
        },
        "licence": {"weights": "none", "data": "none"},
        "calibration": {
            "evidence": {"offset": -6.0, "slope": 2.0, "bend": 0.3, "low": -0.5, "high": 8.0},
            "cohort": cohort | {"weight": 10.0, "probe_length": 1.0},
        },
    }
    file = folder / "model.json"
    file.write_text(json.dumps(manifest))
    manifest["calibration"]["cohort"] |= strangers(Model.load(folder), alignment)
    file.write_text(json.dumps(manifest | changes))
    return folder


def branch():
    """Return the graph (n, 3, 32, 32) -> (n, DIM) as the bytes of an ONNX file."""
    n_squares = 3 * 15 * 15
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(n_squares, n_squares)))[0][:, :DIM]
    return pooled(-turn / 255, turn.sum(0), kernel_px=4, stride_px=2)  # of 1 - x/255


def pooled(weights, bias, kernel_px, stride_px):
    """Return the graph that multiplies means over squares with `weights` (squares, dim)."""
    from onnx import TensorProto, helper, numpy_helper

    kernel, strides = [kernel_px] * 2, [stride_px] * 2
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["crops"], ["squares"], kernel_shape=kernel, strides=strides
            ),
            helper.make_node("Flatten", ["squares"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["embeddings"]),
        ],
        "letters",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", len(bias)])],
        [
            numpy_helper.from_array(np.asarray(values, np.float32), name)
            for name, values in (("weights", weights), ("bias", bias))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def strangers(model, alignment):
    """Return what the cohort of a manifest says of OTHERS: mean, and scores of different ones."""
    cut = ink_crop if alignment == "ink" else whole_crop
    rows = model.embed(np.stack([cut(letter(text), SIDE_PX) for text in OTHERS]))
    centered = unit(rows - rows.mean(0)) if model.head.follows_cosine else rows
    scores = [model.head.scores(row, np.delete(centered, i, 0)) for i, row in enumerate(centered)]
    return {
        "mean": rows.mean(0).tolist(),
        "score_mean": float(np.mean(scores)),
        "score_std": float(np.std(scores)),
    }


def save_letters(folder, names="AX"):
    """Return (name, file) of each letter, drawn into a photo in `folder`."""
    for name in names:
        Image.fromarray(letter(name, size=1.5, at=(0.3, 0.8))).save(folder / f"{name}.png")
    return [(name, folder / f"{name}.png") for name in names]
