"""Crops of faces, or photos of people -> who is learned from, and who tells how good a model is.

Two kinds of source, told by their content:

    index.csv, *.bin       crops that are cut already, as `evaluation.protocols.read_crops` reads
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
from facesearch.photo import read_photo, walk_photos
from facesearch.training.recipes import Ids, TrainingSet

INDEX = "index.csv"
KIN = "fiw"  # the source of families
LAST = {"fiw": 400, "twfy": 200}  # source -> people of the training rows who are held out
PART = 256  # crops that are read at a time

Rows = Sequence[Mapping[str, str]]
Skipped = list[tuple[str, str]]  # path, reason


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Crops of people to learn from, and of others to judge by; nobody is in both."""

    learn: TrainingSet
    validation: TrainingSet  # its groups: the set that each person belongs to
    sets: tuple[str, ...]  # the names of these groups
    skipped: tuple[tuple[str, str], ...] = ()  # (path, reason) of photos that could not serve
    kin: tuple[str, ...] = ()  # those of the sets in which many are kin, and so no strangers


# Crops that are cut already


def are_crops(source: Path) -> bool:
    """Return whether `source` holds crops in shards, and no photos."""
    return (source / INDEX).is_file()


def read_shards(source: Path, advance: Callable[[int], object] | None = None) -> Faces:
    """Return the people of the training rows of `source`, less those who are held out, and these.

    `advance` is called after each crop with the number of all there are. Raises DataError if the
    index or a crop cannot be read, or one of the two has less than two people.
    """
    try:
        with (source / INDEX).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        held = held_out(rows)
        nobodys = set().union(*held.values())
        learn = [r for r in rows if r["split"] == "train" and int(r["identity"]) not in nobodys]
        set_of = {
            person: name
            for name, people in held.items()
            if len(people) > 1  # among one there is nobody to search
            for person in people
        }
        judge = [row for row in rows if int(row["identity"]) in set_of]
        for part in (learn, judge):
            if len({row["identity"] for row in part}) < 2:
                raise DataError(
                    f"the index of {source} has too few people: it takes two of the split train to "
                    "learn from and two of the split val to judge by"
                )
        total = len(learn) + len(judge)
        pictures = [read_all(source, part, total, advance) for part in (learn, judge)]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"the crops in {source} cannot be read: {error!r}") from error
    learners, classes = np.unique(identities(learn), return_inverse=True)
    judges, judged = np.unique(identities(judge), return_inverse=True)
    names = list(dict.fromkeys(set_of.values()))
    own = [*LAST]  # sources by themselves: so that few families are not lost among many others
    of_person = np.zeros(len(learners), np.int64)
    of_person[classes] = [1 + own.index(s) if s in own else 0 for s in (r["source"] for r in learn)]
    groups = np.array([names.index(set_of[int(person)]) for person in judges])
    return Faces(
        learn=TrainingSet(pictures[0], classes, of_person, drawn=False),
        validation=TrainingSet(pictures[1], judged, groups, drawn=False),
        sets=tuple(names),
        kin=(KIN,),
    )


def identities(rows: Rows) -> Ids:
    """Return the number of the person on each crop of `rows`."""
    return np.array([int(row["identity"]) for row in rows], np.int64)


def read_all(
    source: Path, rows: Rows, total: int, advance: Callable[[int], object] | None
) -> torch.Tensor:
    """Return the crops of `rows` as networks take them: (n, 3, side, side) uint8."""
    side_px = read_crops(source, rows[:1]).shape[1]
    crops = np.empty((len(rows), 3, side_px, side_px), np.uint8)  # one block: they are many
    for start in range(0, len(rows), PART):
        part = read_crops(source, rows[start : start + PART])
        crops[start : start + len(part)] = part.transpose(0, 3, 1, 2)
        if advance is not None:
            for _ in part:
                advance(total)
    return torch.from_numpy(crops)


def held_out(rows: Sequence[Mapping[str, str]]) -> dict[str, set[int]]:
    """Return the identities that no model is trained on, by the set that they are measured in.

    `rows` are those of the crops' index.csv. "val" are the people of that split; CelebA gives
    most of them, so families and politicians are held out beside: of each source in LAST the last
    people, by number, whom the training rows have. All crops of these people are held out, of
    whatever source.
    """
    sets = {"val": {int(row["identity"]) for row in rows if row["split"] == "val"}}
    for source, most in LAST.items():
        own = (row for row in rows if (row["split"], row["source"]) == ("train", source))
        sets[source] = set(sorted({int(row["identity"]) for row in own})[-most:])
    return sets


# Photos of people


def read_people(
    source: Path, model: Model, advance: Callable[[int], object] | None = None
) -> Pictures:
    """Return the faces of the people who have a folder in `source`, cut for `model`.

    Of a photo with several faces the one is taken that enrollment would take. What cannot serve is
    in `skipped`. `advance` is called after each photo with the number of all there are. Raises
    DataError if `source` is no folder, or there are less than two people whose photos can serve.
    """
    skipped: Skipped = []
    photos = photos_of_people(source, skipped)
    total = sum(map(len, photos.values()))
    crops: list[NDArray[np.uint8]] = []
    of: list[str] = []
    for person, paths in photos.items():
        seen = []
        for path in paths:
            try:
                seen.append((path, look(read_photo(path), model)))
            except PhotoError as error:
                skipped.append((str(path), str(error)))
            if advance is not None:
                advance(total)
        mine = list(chosen_crops(seen, skipped))
        crops += mine
        of += [person] * len(mine)
    names = tuple(dict.fromkeys(of))
    if len(names) < 2:
        first = f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise DataError(
            f"in {source} are photos of {len(names)} people that can serve{first}; it takes two "
            "people or more, each a folder of photos"
        )
    number = {name: place for place, name in enumerate(names)}
    return Pictures(
        crops=np.stack(crops),
        classes=np.array([number[name] for name in of], np.int64),
        drawers=np.full(len(of), -1),
        class_names=names,
        groups=np.zeros(len(names), np.int64),
        group_names=("",),
        skipped=tuple(skipped),
    )


def photos_of_people(source: Path, skipped: Skipped) -> dict[str, list[Path]]:
    """Return the photos of each person: all below a folder of `source` are of one.

    Photos beside these folders are added to `skipped`. Raises DataError if `source` is no folder.
    """
    try:
        entries = sorted(entry for entry in source.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{source} is no folder of people: {error.strerror}") from error
    folders = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
    loose = [path for path in walk_photos([source]) if path.parent == source]
    skipped += [(str(path), "it lies beside the people's folders: whose is it?") for path in loose]
    return {folder.name: list(walk_photos([folder])) for folder in folders}


def chosen_crops(
    seen: Sequence[tuple[Path, Seen]], skipped: Skipped
) -> Iterator[NDArray[np.uint8]]:
    """Yield the crop of the person on each of their photos; those without go to `skipped`."""
    choices = choose_faces([(photo.faces, photo.embeddings) for _, photo in seen], None)
    for (path, photo), choice in zip(seen, choices, strict=True):
        if choice.face is None:
            skipped.append((str(path), choice.remark or "no face of the person"))
        else:
            yield photo.crops[choice.face]
