"""Which pairs, probes and galleries a published protocol uses."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

FOLDS = 10
MOST_PROBES = 10  # photos 2 to 10 of the enrolled, 1 to 10 of the others


@dataclass(frozen=True, slots=True, eq=False)
class OpenSetSplit:
    """Who is enrolled and who searches, as rows of an embedding matrix."""

    gallery: Ids  # (people,) one photo each
    probes: Mapping[str, Ids]  # "mated" and "non_mated"
    owners: Ids  # (mated searches,) the person's place in `gallery`


def read_crops(folder: Path, rows: Sequence[Mapping[str, str]]) -> NDArray[np.uint8]:
    """Return the crops (n, 112, 112, 3) RGB that rows of an index.csv in `folder` name.

    A row says shard, offset and bytes: where in which file the encoded picture lies.
    """
    crops = []
    for row in rows:
        with (folder / row["shard"]).open("rb") as shard:
            shard.seek(int(row["offset"]))
            picture = Image.open(io.BytesIO(shard.read(int(row["bytes"]))))
        crops.append(np.asarray(picture.convert("RGB")))
    return np.stack(crops)


def verification_accuracy(pairs_file: Path, place: Mapping[str, int], rows: Floats) -> float:
    """Return the accuracy on LFW's 6,000 pairs: mean over 10 folds by cosine.

    Each fold is decided at the threshold that is best on the other nine (Huang et al. 2007).
    `place` gives the row of each image name, `rows` (n, dim) are unit embeddings.
    """
    first, second, same = [], [], []
    with pairs_file.open() as stream:
        lines = [line.split() for line in stream][1:]
    for words in lines:
        # three words: one person's photos i and j; four: a's photo i and b's photo j
        a, i, b, j = (*words[:2], words[0], words[2]) if len(words) == 3 else words
        first.append(place[f"{a}_{int(i):04d}"])
        second.append(place[f"{b}_{int(j):04d}"])
        same.append(len(words) == 3)
    scores = (rows[first] * rows[second]).sum(1)
    truth = np.array(same)
    fold = np.arange(len(scores)) * FOLDS // len(scores)
    accuracies = []
    for number in range(FOLDS):
        others = fold != number
        threshold = best_threshold(scores[others], truth[others])
        accuracies.append(np.mean((scores[~others] >= threshold) == truth[~others]))
    return float(np.mean(accuracies))


def best_threshold(scores: Floats, same: NDArray[np.bool_]) -> float:
    """Return the score that, as threshold, decides most of the pairs rightly."""
    order = np.argsort(-scores)
    right = np.cumsum(np.where(same[order], 1, -1))  # gain of accepting the first i + 1 pairs
    best = int(right.argmax())
    below = scores[order[best + 1]] if best + 1 < len(order) else scores[order[best]]
    return float((scores[order[best]] + below) / 2)


def open_set_splits(folder: Path, place: Mapping[str, int]) -> list[OpenSetSplit]:
    """Return the splits of `folder`'s identities.csv and open_set_splits.csv, in order."""
    photos: dict[str, list[tuple[int, int]]] = {}
    with (folder / "identities.csv").open() as stream:
        for row in csv.DictReader(stream):
            if row["use"] == "yes":
                photos.setdefault(row["person"], []).append(
                    (int(row["photo"]), place[row["image"]])
                )
    with (folder / "open_set_splits.csv").open() as stream:
        table = list(csv.DictReader(stream))
    columns = [name for name in table[0] if name != "person"]
    splits = []
    for column in columns:
        gallery: list[int] = []
        mated: list[int] = []
        owners: list[int] = []
        non_mated: list[int] = []
        for row in table:
            mine = sorted(photos[row["person"]])[:MOST_PROBES]
            if row[column] == "1":
                mated += [at for _, at in mine[1:]]
                owners += [len(gallery)] * (len(mine) - 1)
                gallery.append(mine[0][1])
            else:
                non_mated += [at for _, at in mine]
        splits.append(
            OpenSetSplit(
                np.array(gallery),
                {"mated": np.array(mated), "non_mated": np.array(non_mated)},
                np.array(owners),
            )
        )
    return splits
