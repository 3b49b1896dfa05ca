"""A network and validation pictures -> the pairs that it gets most wrong, for the training page."""

import base64
import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facesearch.training.data import Ids, TrainingSet
from facesearch.training.network import L1Head
from facesearch.training_log import WorstPair

CLASSES = 100  # classes that pairs are taken from, the same in every validation
PICTURES_PER_CLASS = 2
SHOWN = 6  # mated pairs, and as many non-mated pairs
ROWS = 4  # rows compared with all others at once: a head without a code needs much memory


def sampled_rows(data: TrainingSet) -> Ids:
    """Return PICTURES_PER_CLASS rows of each of at most CLASSES classes, spread evenly over all.

    Classes with fewer pictures are left out.
    """
    order = np.argsort(data.classes, kind="stable")
    starts = np.unique(data.classes[order], return_index=True)[1]
    counts = np.diff(np.append(starts, len(order)))
    large = np.flatnonzero(counts >= PICTURES_PER_CLASS)
    if len(large) > CLASSES:
        large = large[np.linspace(0, len(large) - 1, CLASSES).astype(np.intp)]
    rows = [order[starts[place] : starts[place] + PICTURES_PER_CLASS] for place in large]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *rows]))


@torch.no_grad()
def worst_pairs(
    head: L1Head, embeddings: Tensor, rows: Ids, data: TrainingSet
) -> tuple[WorstPair, ...]:
    """Return the pairs of `rows` (n,) of `data` on which `head` errs most, of each kind SHOWN.

    `embeddings` (n, dim) are those of `rows`. Mated pairs come first, least probable first, then
    non-mated pairs, most probable first. No two pairs are of the same two classes.
    """
    if len(rows) < 2:
        return ()
    parts = [head.all_pairs(part, embeddings) for part in torch.split(embeddings, ROWS)]
    logits: NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    a, b = np.triu_indices(len(rows), 1)
    first, second = data.classes[rows[a]], data.classes[rows[b]]
    pair_logits = logits[a, b]
    found = []
    for mated in (True, False):
        kind = np.flatnonzero((first == second) == mated)
        worst_first = np.argsort(pair_logits[kind] if mated else -pair_logits[kind], kind="stable")
        seen: set[tuple[int, int]] = set()
        for place in kind[worst_first].tolist():
            classes = (int(first[place]), int(second[place]))
            if classes in seen:
                continue
            seen.add(classes)
            pictures = (png(data, rows[a[place]]), png(data, rows[b[place]]))
            probability = 1 / (1 + np.exp(-np.float64(pair_logits[place])))
            found.append(WorstPair(mated, float(probability), pictures))
            if len(seen) == SHOWN:
                break
    return tuple(found)


def png(data: TrainingSet, row: int) -> str:
    """Return a picture of `data` as PNG in base64; a drawing dark on light, as it was drawn."""
    pixels = data.pictures[row].numpy()
    pixels = 255 - pixels if data.drawn else pixels
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).copy())
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return base64.b64encode(encoded.getvalue()).decode("ascii")
