"""Crops -> embeddings: one convolutional branch, run by an engine."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from facesearch.engine import Engine
from facesearch.vectors import Floats, unit

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
        return unit(np.concatenate(runs))

    def _run(self, crops: NDArray[np.uint8]) -> Floats:
        batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)  # (n, 3, h, w)
        (embeddings,) = self._engine.run(batch).values()
        return embeddings


def both_sides(
    embed: Callable[[NDArray[np.uint8]], Floats], parts: Iterable[NDArray[np.uint8]]
) -> tuple[Floats, Floats]:
    """Return the embeddings (n, dim) of many crops, and of their mirror images.

    `parts` gives the crops, some at a time: they need not fit into memory together.
    """
    pairs = [(embed(crops), embed(crops[:, :, ::-1])) for crops in parts]
    plain, mirrored = zip(*pairs, strict=True)
    return np.concatenate(plain), np.concatenate(mirrored)
