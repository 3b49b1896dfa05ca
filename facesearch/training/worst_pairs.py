"""A network and validation pictures -> the pairs that it gets most wrong, for who watches."""

import base64
import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facesearch.training.network import L1Head
from facesearch.training.recipes import Ids, TrainingSet
from facesearch.training_log import WorstPair

CLASSES = 100  # from which pairs are taken, always the same ones
EACH = 2  # pictures of each
SHOWN = 6  # pairs of one class, and of two
ROWS = 4  # compared with all others at a time: a head without a code needs memory for it


def sampled_rows(data: TrainingSet) -> Ids:
    """Return rows of `data`: EACH pictures of at most CLASSES classes, evenly from all of them."""
    order = np.argsort(data.classes, kind="stable")
    starts = np.unique(data.classes[order], return_index=True)[1]
    counts = np.diff(np.append(starts, len(order)))
    several = np.flatnonzero(counts >= EACH)
    if len(several) > CLASSES:
        several = several[np.linspace(0, len(several) - 1, CLASSES).astype(np.intp)]
    rows = [order[starts[place] : starts[place] + EACH] for place in several]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *rows]))


@torch.no_grad()
def worst_pairs(
    head: L1Head, embeddings: Tensor, rows: Ids, data: TrainingSet
) -> tuple[WorstPair, ...]:
    """Return the pairs of `rows` (n,) of `data` on which `head` errs most; no class pair twice.

    `embeddings` (n, dim) are theirs. First those of one class, least probable first; then those
    of two, most probable first.
    """
    if len(rows) < 2:
        return ()
    parts = [head.all_pairs(part, embeddings) for part in torch.split(embeddings, ROWS)]
    logits: NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    a, b = np.triu_indices(len(rows), 1)
    first, second = data.classes[rows[a]], data.classes[rows[b]]
    pairs = logits[a, b]
    found = []
    for mated in (True, False):
        kind = np.flatnonzero((first == second) == mated)
        order = kind[np.argsort(pairs[kind] if mated else -pairs[kind], kind="stable")]
        seen: set[tuple[int, int]] = set()
        for place in order.tolist():
            both = (int(first[place]), int(second[place]))
            if both in seen:
                continue
            seen.add(both)
            pictures = (png(data, rows[a[place]]), png(data, rows[b[place]]))
            probability = 1 / (1 + np.exp(-np.float64(pairs[place])))
            found.append(WorstPair(mated, float(probability), pictures))
            if len(seen) == SHOWN:
                break
    return tuple(found)


def png(data: TrainingSet, row: int) -> str:
    """Return a picture of `data` as PNG in base64, as people drew it: dark on light."""
    pixels = data.pictures[row].numpy()
    pixels = 255 - pixels if data.drawn else pixels
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).copy())
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return base64.b64encode(encoded.getvalue()).decode("ascii")
