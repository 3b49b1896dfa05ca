"""The pairs, probes and galleries of published protocols."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesearch.openset import Cohort, fit_strangers

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

FOLDS = 10
PART = 256  # crops read at once
MAX_PHOTOS = 10  # of each person: probes are 2 to 10 of the enrolled, 1 to 10 of the others


@dataclass(frozen=True, slots=True, eq=False)
class OpenSetSplit:
    """The enrolled photos and the probes, as rows of an embedding matrix."""

    gallery: Ids  # (people,) one photo each
    probes: Mapping[str, Ids]  # "mated" and "non_mated"
    owners: Ids  # (mated searches,) the person's place in `gallery`
    askers: Mapping[str, Ids]  # the person of each probe, by a number that all splits share


def read_crops(folder: Path, rows: Sequence[Mapping[str, str]]) -> NDArray[np.uint8]:
    """Return the crops (n, 112, 112, 3) RGB uint8 of rows of an index.csv in `folder`.

    "shard", "offset" and "bytes" of a row say in which file and where the encoded picture is.
    """
    crops = []
    for row in rows:
        with (folder / row["shard"]).open("rb") as shard:
            shard.seek(int(row["offset"]))
            picture = Image.open(io.BytesIO(shard.read(int(row["bytes"]))))
        crops.append(np.asarray(picture.convert("RGB")))
    return np.stack(crops)


def crops_in_parts(
    folder: Path,
    rows: Sequence[Mapping[str, str]],
    advance: Callable[[int], object] = lambda n_done: None,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the crops of `rows`, see `read_crops`, PART at a time.

    After each part `advance` is called with the number of crops done.
    """
    for start in range(0, len(rows), PART):
        crops = read_crops(folder, rows[start : start + PART])
        yield crops
        advance(start + len(crops))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of photos to verify, as rows of an embedding matrix, in the order of the folds."""

    first: Ids  # (n,)
    second: Ids
    mated: NDArray[np.bool_]


def lfw_pairs(pairs_file: Path, place: Mapping[str, int]) -> Pairs:
    """Return LFW's 6,000 pairs; `place` gives the row of each image name."""
    first, second, mated = [], [], []
    with pairs_file.open() as stream:
        lines = [line.split() for line in stream][1:]
    for words in lines:
        # three words: one person's photos i and j; four: a's photo i and b's photo j
        a, i, b, j = (*words[:2], words[0], words[2]) if len(words) == 3 else words
        first.append(place[f"{a}_{int(i):04d}"])
        second.append(place[f"{b}_{int(j):04d}"])
        mated.append(len(words) == 3)
    return Pairs(np.array(first), np.array(second), np.array(mated))


def verification_accuracy(scores: Floats, mated: NDArray[np.bool_]) -> float:
    """Return the accuracy of `scores` (n,) on LFW's pairs: mean over 10 folds.

    Each fold is decided at the threshold that is best on the other nine (Huang et al. 2007).
    """
    fold = np.arange(len(scores)) * FOLDS // len(scores)
    accuracies = []
    for number in range(FOLDS):
        others = fold != number
        threshold = best_threshold(scores[others], mated[others])
        accuracies.append(np.mean((scores[~others] >= threshold) == mated[~others]))
    return float(np.mean(accuracies))


def best_threshold(scores: Floats, same: NDArray[np.bool_]) -> float:
    """Return the threshold that decides most of the pairs correctly."""
    order = np.argsort(-scores)
    gain = np.cumsum(np.where(same[order], 1, -1))  # of accepting the first i + 1 pairs
    best = int(gain.argmax())
    below = scores[order[best + 1]] if best + 1 < len(order) else scores[order[best]]
    return float((scores[order[best]] + below) / 2)


def open_set_splits(folder: Path, place: Mapping[str, int]) -> list[OpenSetSplit]:
    """Return the splits in `folder`'s identities.csv and open_set_splits.csv, in order.

    `place` gives the row of each image name.
    """
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
    in_order = [sorted(photos[row["person"]]) for row in table]
    people = [np.array([at for _, at in own], np.int64) for own in in_order]
    return [
        open_set_split(people, np.array([row[column] == "1" for row in table]))
        for column in columns
    ]


def random_open_set_splits(people: Ids, n_splits: int, seed: int = 0) -> list[OpenSetSplit]:
    """Return splits in which a random half of the people is enrolled, by one random photo each.

    `people` (n,) are the people of the rows of an embedding matrix, numbered from 0.
    """
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(people == person) for person in range(people.max() + 1)]
    splits = []
    for _ in range(n_splits):
        enrolled = rng.permutation(len(rows)) < len(rows) // 2
        splits.append(open_set_split([rng.permutation(own) for own in rows], enrolled))
    return splits


def open_set_split(people: Sequence[Ids], enrolled: NDArray[np.bool_]) -> OpenSetSplit:
    """Return the split in which the people marked in `enrolled` (people,) are enrolled.

    Of the rows of an enrolled person the first is the reference and the next nine are probes; of
    the others the first ten are probes.
    """
    gallery: list[int] = []
    owners: list[int] = []
    probes: dict[str, list[int]] = {"mated": [], "non_mated": []}
    askers: dict[str, list[int]] = {"mated": [], "non_mated": []}
    for person, rows in enumerate(people):
        asking = rows[:MAX_PHOTOS].tolist()
        if enrolled[person]:
            reference, *asking = asking
            owners += [len(gallery)] * len(asking)
            gallery.append(reference)
        kind = "mated" if enrolled[person] else "non_mated"
        probes[kind] += asking
        askers[kind] += [person] * len(asking)
    return OpenSetSplit(
        np.array(gallery),
        {kind: np.array(rows) for kind, rows in probes.items()},
        np.array(owners),
        {kind: np.array(numbers) for kind, numbers in askers.items()},
    )


def centred_scores(
    split: OpenSetSplit, probes: Floats, references: Floats, cohort: Cohort
) -> dict[str, Floats]:
    """Return the centered cosines (searches, people) of both kinds of search, as in a gallery.

    `probes` and `references` (n, dim) are the unit templates of all photos in either role, row by
    row; the center of the gallery is subtracted from both.
    """
    gallery = references[split.gallery]
    strangers = fit_strangers(gallery, len(gallery), cohort)
    people = strangers.centered(gallery).T
    return {kind: strangers.centered(probes[rows]) @ people for kind, rows in split.probes.items()}
