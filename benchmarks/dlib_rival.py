"""Crops -> embeddings by dlib's face ResNet, which benchmarks measure too if it is installed.

    pip install dlib-bin face_recognition_models

King, "High quality face recognition with deep metric learning" (blog.dlib.net, 2017). dlib cuts its
own picture of a face by its own landmarks. Here that picture is cut from the aligned crop, so that
all models see the same faces; what lies beyond the crop repeats its border.
"""

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facesearch.vectors import Floats

SIDE_PX = 150  # of the network's input
# centers of the eyes, (x, y) in pixels, in a crop and in dlib's picture
EYES = np.array([[38.3, 51.7], [73.5, 51.5]])
EYES_OF_DLIB = np.array([[47.7, 47.1], [100.3, 47.1]])
WEIGHTS = "models/dlib_face_recognition_resnet_model_v1.dat"


def is_installed() -> bool:
    """Return whether dlib and its weights are installed."""
    return all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))


class DlibModel:
    """dlib's network, ready to use."""

    def __init__(self) -> None:
        import dlib

        spec = importlib.util.find_spec("face_recognition_models")
        if spec is None or spec.origin is None:
            raise ImportError("face_recognition_models, which has the weights, is not installed")
        weights = (
            Path(spec.origin).parent / WEIGHTS
        )  # found without importing it, which needs setuptools
        self._network: Any = dlib.face_recognition_model_v1(str(weights))

    def embed(self, crops: NDArray[np.uint8]) -> Floats:
        """Return the embeddings (n, 128), not of unit length, of `crops` (n, 112, 112, 3) RGB."""
        return np.array(self._network.compute_face_descriptor([*chips(crops)]), np.float32)


def chips(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return dlib's pictures (n, 150, 150, 3) of `crops` (n, 112, 112, 3)."""
    way = from_crop()
    size = (SIDE_PX, SIDE_PX)
    cut = [cv2.warpAffine(c, way, size, borderMode=cv2.BORDER_REPLICATE) for c in crops]
    return np.stack(cut).astype(np.uint8)


def from_crop() -> NDArray[np.float64]:
    """Return the similarity (2, 3) that maps the eyes of a crop to their places in dlib's."""
    # as complex numbers: z -> turn * z + shift
    (left, right), (left_there, right_there) = (eyes @ [1, 1j] for eyes in (EYES, EYES_OF_DLIB))
    turn = (right_there - left_there) / (right - left)
    shift = left_there - turn * left
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def scores(probes: Floats, references: Floats) -> Floats:
    """Return the negative squared distances (n, m): higher is more alike."""
    lengths = (probes**2).sum(1)[:, None] + (references**2).sum(1)
    return np.asarray(2 * probes @ references.T - lengths, np.float32)
