"""Crops of faces, or photos of people -> people to train on, and others to validate with.

There are two kinds of source, recognized by their content:

    index.csv, *.bin       crops that are already cut, as `evaluation.protocols.read_crops` reads
    people/Ann/1.jpg       a folder of people with photos, as `facesearch enroll` takes it
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facesearch.errors import DataError, PhotoError
from facesearch.evaluation.pictures import Pictures
from facesearch.evaluation.protocols import read_crops
from facesearch.face_choice import choose_faces
from facesearch.identification import Seen, look
from facesearch.model import Model
from facesearch.photo import read_photo
from facesearch.photo_files import walk_photos
from facesearch.training.data import Ids, TrainingSet

INDEX = "index.csv"
FAMILIES = "fiw"  # the source whose people are relatives
HELD_OUT = {"fiw": 400, "twfy": 200}  # source -> number of people of its training rows
PART = 256  # crops that are read at once

Rows = Sequence[Mapping[str, str]]
Skipped = list[tuple[str, str]]  # path, reason


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Crops of people to train on, and of others to validate with; nobody is in both."""

    training: TrainingSet
    validation: TrainingSet  # its groups are sets of people that are measured separately
    sets: tuple[str, ...]  # the names of these groups
    skipped: tuple[tuple[str, str], ...] = ()  # (path, reason) of photos that cannot be used
    relatives: tuple[str, ...] = ()  # sets with many relatives, who are not typical strangers


# Crops that are already cut


def are_crops(source: Path) -> bool:
    """Return whether `source` holds crops in shards, not photos."""
    return (source / INDEX).is_file()


def read_shards(source: Path, advance: Callable[[int], object] | None = None) -> Faces:
    """Return the people of the training rows of `source`, with the held-out people as validation.

    `advance` is called after each crop with the number of all crops. Raises DataError if the index
    or a crop cannot be read, or there are fewer than two people to train on or to validate with.
    """
    try:
        with (source / INDEX).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        held = held_out(rows)
        unseen = set().union(*held.values())
        training = [r for r in rows if r["split"] == "train" and int(r["identity"]) not in unseen]
        set_of = {
            person: name
            for name, people in held.items()
            if len(people) > 1  # one person alone allows no search
            for person in people
        }
        validation = [row for row in rows if int(row["identity"]) in set_of]
        for part in (training, validation):
            if len({row["identity"] for row in part}) < 2:
                raise DataError(
                    f"the index of {source} has too few people: it takes two of the split train to "
                    "train on and two of the split val to validate with"
                )
        total = len(training) + len(validation)
        pictures = [read_all(source, part, total, advance) for part in (training, validation)]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"the crops in {source} cannot be read: {error!r}") from error
    people, classes = np.unique(identities(training), return_inverse=True)
    # the sources in HELD_OUT are groups of their own, so that they are drawn as often as the rest
    groups = np.zeros(len(people), np.int64)
    number = {source: place for place, source in enumerate(HELD_OUT, 1)}
    groups[classes] = [number.get(row["source"], 0) for row in training]
    others, other_classes = np.unique(identities(validation), return_inverse=True)
    names = list(dict.fromkeys(set_of.values()))
    other_groups = np.array([names.index(set_of[int(person)]) for person in others])
    return Faces(
        training=TrainingSet(pictures[0], classes, groups, drawn=False),
        validation=TrainingSet(pictures[1], other_classes, other_groups, drawn=False),
        sets=tuple(names),
        relatives=(FAMILIES,),
    )


def identities(rows: Rows) -> Ids:
    """Return the number of the person in each crop of `rows`."""
    return np.array([int(row["identity"]) for row in rows], np.int64)


def read_all(
    source: Path, rows: Rows, total: int, advance: Callable[[int], object] | None
) -> torch.Tensor:
    """Return the crops (n, 3, side, side) uint8 of `rows`."""
    side_px = read_crops(source, rows[:1]).shape[1]
    # filled part by part: stacking a list would take twice the memory
    crops = np.empty((len(rows), 3, side_px, side_px), np.uint8)
    for start in range(0, len(rows), PART):
        part = read_crops(source, rows[start : start + PART])
        crops[start : start + len(part)] = part.transpose(0, 3, 1, 2)
        if advance is not None:
            for _ in part:
                advance(total)
    return torch.from_numpy(crops)


def held_out(rows: Sequence[Mapping[str, str]]) -> dict[str, set[int]]:
    """Return the identities that no model is trained on, by the set that measures them.

    `rows` are those of the crops' index.csv. The set "val" has the people of that split. Most of
    them are from CelebA, so each source in HELD_OUT (families, politicians) adds a set: the people
    with the highest numbers in its training rows. All crops of these people are held out, whatever
    their source.
    """
    sets = {"val": {int(row["identity"]) for row in rows if row["split"] == "val"}}
    for source, n_people in HELD_OUT.items():
        own = (row for row in rows if (row["split"], row["source"]) == ("train", source))
        sets[source] = set(sorted({int(row["identity"]) for row in own})[-n_people:])
    return sets


# Photos of people


def read_people(
    source: Path, model: Model, advance: Callable[[int], object] | None = None
) -> Pictures:
    """Return the faces of the people who have a folder in `source`, cut for `model`.

    From a photo with several faces it takes the one that enrollment would take. Photos that cannot
    be used are in `skipped`. `advance` is called after each photo with the number of all photos.
    Raises DataError if `source` is not a folder, or fewer than two people have usable photos.
    """
    skipped: Skipped = []
    photos = photos_of_people(source, skipped)
    total = sum(map(len, photos.values()))
    crops: list[NDArray[np.uint8]] = []
    owners: list[str] = []
    for person, paths in photos.items():
        seen = []
        for path in paths:
            try:
                seen.append((path, look(read_photo(path), model)))
            except PhotoError as error:
                skipped.append((str(path), str(error)))
            if advance is not None:
                advance(total)
        chosen = list(chosen_crops(seen, skipped))
        crops += chosen
        owners += [person] * len(chosen)
    names = tuple(dict.fromkeys(owners))
    if len(names) < 2:
        first = f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise DataError(
            f"{source} has usable photos of {len(names)} people{first}; training takes two people "
            "or more, each with a folder of photos"
        )
    number = {name: place for place, name in enumerate(names)}
    return Pictures(
        crops=np.stack(crops),
        classes=np.array([number[name] for name in owners], np.int64),
        drawers=np.full(len(owners), -1),
        class_names=names,
        groups=np.zeros(len(names), np.int64),
        group_names=("",),
        skipped=tuple(skipped),
    )


def photos_of_people(source: Path, skipped: Skipped) -> dict[str, list[Path]]:
    """Return the photos of each person: all those below a folder of `source`.

    Photos outside these folders are added to `skipped`. Raises DataError if `source` is not a
    folder.
    """
    try:
        entries = sorted(entry for entry in source.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{source} is not a folder of people: {error.strerror}") from error
    folders = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
    loose = [path for path in walk_photos([source]) if path.parent == source]
    skipped += [(str(path), "it is not in a person's folder") for path in loose]
    return {folder.name: list(walk_photos([folder])) for folder in folders}


def chosen_crops(
    seen: Sequence[tuple[Path, Seen]], skipped: Skipped
) -> Iterator[NDArray[np.uint8]]:
    """Yield the crop of the person in each of their photos; photos without go to `skipped`."""
    choices = choose_faces([(photo.faces, photo.embeddings) for _, photo in seen], None)
    for (path, photo), choice in zip(seen, choices, strict=True):
        if choice.face is None:
            skipped.append((str(path), choice.remark or "no face of the person"))
        else:
            yield photo.crops[choice.face]
