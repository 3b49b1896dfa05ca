"""Crops -> embeddings: one convolutional branch, run by an engine."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from facesearch.alignment import realigned
from facesearch.detection import Detector
from facesearch.engine import Engine
from facesearch.vectors import Floats, unit

Embed = Callable[[NDArray[np.uint8]], Floats]  # crops (n, h, w, 3) -> unit rows (n, dim)

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


def closer(
    embed: Embed, detector: Detector, crops: NDArray[np.uint8], embeddings: Floats, views: int
) -> Floats:
    """Return embeddings (n, dim) averaged over 2 to 4 `views` of each of `crops` (n, 112, 112, 3).

    The first is the crop as it is (its `embeddings` are given), the second the mirror image of the
    crop cut again by landmarks that are found once more: in both ways another picture. The other
    two are the mirror image of the first, and the second unmirrored.
    """
    again = realigned(crops, detector)
    others = (again[:, :, ::-1], crops[:, :, ::-1], again)[: views - 1]
    return unit(embeddings + sum(embed(view) for view in others))


def all_looks(
    embed: Embed,
    parts: Iterable[NDArray[np.uint8]],
    *closer_ones: Callable[[NDArray[np.uint8], Floats], Floats],
) -> list[Floats]:
    """Return the embeddings (n, dim) of many crops: of one look at each, and of closer ones.

    `parts` gives the crops, some at a time: they need not fit into memory together. Each of
    `closer_ones` makes embeddings of crops and their embeddings of one look.
    """
    looks: list[list[Floats]] = [[] for _ in (embed, *closer_ones)]
    for crops in parts:
        once = embed(crops)
        for look, made in zip(looks, (once, *(f(crops, once) for f in closer_ones)), strict=True):
            look.append(made)
    return [np.concatenate(look) for look in looks]
