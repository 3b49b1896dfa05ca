"""Crops -> embeddings: one convolutional branch, run by an engine."""

import numpy as np
from numpy.typing import NDArray

from facesearch.engine import Engine

Floats = NDArray[np.float32]
BATCH = 32  # crops a run; more only costs memory


class Encoder:
    """The Siamese network's branch: crops in, unit-length embeddings out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def embed(self, crops: NDArray[np.uint8]) -> Floats:
        """Return the embeddings (n, dim), each of length 1, of `crops` (n, h, w, 3) uint8 RGB.

        The graph does its own scaling of 0 to 255. A crop's result does not depend on the others.
        """
        runs = [self._run(crops[start : start + BATCH]) for start in range(0, len(crops), BATCH)]
        raw = np.concatenate(runs)
        lengths = np.linalg.norm(raw, axis=1, keepdims=True)
        embeddings: Floats = raw / np.maximum(lengths, np.finfo(np.float32).tiny)
        return embeddings

    def _run(self, crops: NDArray[np.uint8]) -> Floats:
        batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)  # (n, 3, h, w)
        (embeddings,) = self._engine.run(batch).values()
        return embeddings


def unit(rows: Floats) -> Floats:
    """Return `rows` (n, d) with each row scaled to length 1; a row of zeros stays."""
    scaled: Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return scaled
