"""Rows of numbers: scaled to length 1, and multiplied on one thread."""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def unit(rows: Floats) -> Floats:
    """Return `rows` (..., d) scaled to length 1; a row of zeros stays zero."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Floats = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def leading(rows: Floats, dim: int) -> Floats:
    """Return the first `dim` numbers of unit `rows` (..., d), rescaled to length 1 if dim < d."""
    return rows if dim == rows.shape[-1] else unit(rows[..., :dim])


def product(a: Floats, b: Floats) -> Floats:
    """Return the matrix product of `a` (n, m) and `b` (m, k), float32, on one thread.

    For products of this program's size, numpy wakes a thread per core, and those spin for 60 ms
    afterwards: 84 ms of CPU for a comparison that takes 3.
    """
    zeros = np.zeros((len(a), b.shape[1]), np.float32)  # gemm adds a third matrix, times 0
    if len(a) == 0:
        return zeros
    return np.asarray(
        cv2.gemm(np.ascontiguousarray(a), np.ascontiguousarray(b), 1.0, zeros, 0.0), np.float32
    )
