"""Crops -> embeddings: one convolutional branch, run by an engine."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from facesearch.alignment import realigned
from facesearch.detection import Detector
from facesearch.engine import Engine
from facesearch.vectors import Floats, unit

Embed = Callable[[NDArray[np.uint8]], Floats]  # crops (n, h, w, 3) -> unit rows (n, dim)

BATCH = 32  # crops per run; more only take memory


class Encoder:
    """The Siamese network's branch: crops in, unit-length embeddings out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def embed(self, crops: NDArray[np.uint8]) -> Floats:
        """Return the embeddings (n, dim), each of length 1, of `crops` (n, h, w, 3) uint8 RGB.

        The graph scales 0 to 255 itself. A crop's embedding does not depend on the other crops.
        """
        runs = [self._run(crops[start : start + BATCH]) for start in range(0, len(crops), BATCH)]
        return unit(np.concatenate(runs))

    def _run(self, crops: NDArray[np.uint8]) -> Floats:
        batch = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)  # (n, 3, h, w)
        (embeddings,) = self._engine.run(batch).values()
        return embeddings


def average_views(
    embed: Embed, detector: Detector, crops: NDArray[np.uint8], embeddings: Floats, views: int
) -> Floats:
    """Return embeddings (n, dim) averaged over 2 to 4 `views` of each of `crops` (n, 112, 112, 3).

    The first view is the crop itself, with the given `embeddings`; for the others see
    `other_views`.
    """
    others = other_views(crops, detector)[: views - 1]
    return unit(embeddings + sum(embed(view) for view in others))


def other_views(crops: NDArray[np.uint8], detector: Detector) -> tuple[NDArray[np.uint8], ...]:
    """Return three more views of `crops` (n, 112, 112, 3), the most informative first.

    First the mirror image of the crop cut again (`realigned`), which differs in two ways; then the
    crop's own mirror image, and the crop cut again, not mirrored.
    """
    again = realigned(crops, detector)
    return again[:, :, ::-1], crops[:, :, ::-1], again


def embed_by_views(
    embed: Embed, detector: Detector, parts: Iterable[NDArray[np.uint8]], *views: int
) -> list[Floats]:
    """Return embeddings (n, dim) of many crops: of one view, then of each number of `views`.

    `parts` yields the crops, some at a time, so that they need not fit into memory together.
    """
    looks: list[list[Floats]] = [[] for _ in (1, *views)]
    for crops in parts:
        once = embed(crops)
        others = [embed(view) for view in other_views(crops, detector)[: max(views) - 1]]
        looks[0].append(once)
        for look, n in zip(looks[1:], views, strict=True):
            look.append(unit(once + sum(others[: n - 1])))
    return [np.concatenate(look) for look in looks]
