"""Pictures sorted into classes -> crops with a class each: what training and evaluation work on.

A source is told by its content:

    classes/Ann/1.jpg          a folder of classes; they may lie deeper, as in Omniglot:
    Greek/character01/1.png    what holds the class's folder is its group
    omniglot.npz.xz            Omniglot packed, or a folder with Lake's zips: see omniglot.py
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.errors import DataError, PhotoError
from facesearch.evaluation import omniglot
from facesearch.evaluation.omniglot import Drawn, Entry, Ids, Skipped
from facesearch.photo import Photo, read_photo, walk_photos

Cropper = Callable[[Photo], NDArray[np.uint8] | None]  # None: there is nothing to see in it


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Crops of n pictures, each of one class, each class of one group."""

    crops: NDArray[np.uint8]  # (n, side, side, 3 or 1)
    classes: Ids  # (n,) index into class_names
    drawers: Ids  # (n,) who drew it, 1 to 20 for Omniglot; -1 where nothing says it
    class_names: tuple[str, ...]  # "Ann", or with its group "Greek/character01"
    groups: Ids  # (classes,) index into group_names
    group_names: tuple[str, ...]  # ("",) for a plain folder of classes
    skipped: tuple[tuple[str, str], ...]  # (path, reason) of what could not serve

    def only(self, classes: Iterable[int]) -> "Pictures":
        """Return the part with those `classes`, numbered anew in the order given, groups too."""
        kept = np.fromiter(classes, np.int64)
        number = np.full(len(self.class_names), -1)
        number[kept] = np.arange(len(kept))
        rows = np.flatnonzero(number[self.classes] >= 0)
        used, groups = np.unique(self.groups[kept], return_inverse=True)
        return Pictures(
            crops=self.crops[rows],
            classes=number[self.classes[rows]],
            drawers=self.drawers[rows],
            class_names=tuple(self.class_names[c] for c in kept),
            groups=groups.astype(np.int64),
            group_names=tuple(self.group_names[g] for g in used),
            skipped=self.skipped,
        )


def read_pictures(
    source: Path,
    cropper: Cropper,
    *,
    unseen: bool = False,
    advance: Callable[[int], object] | None = None,
) -> Pictures:
    """Return the pictures of `source`, cut by `cropper`, in order of class.

    What cannot be read or shows nothing is in `skipped`, and so is a class of which nothing was
    left. `unseen` leaves of Omniglot only what no model may have learned from or been chosen by:
    the ten alphabets of Lake's trials. Of anything else all is read; whether a model was trained
    on it, its owner has to know. `advance` is called after each picture with the number of all
    there are. Raises DataError if `source` is not there or not understood, has only some classes
    of Omniglot's, or less than two classes remain.
    """
    entries, skipped = _entries(source)
    if unseen and omniglot.are_characters((e.group, e.class_name) for e in entries):
        entries = [entry for entry in entries if entry.group in omniglot.TRIAL]
        if not entries:
            raise DataError(
                "a model is tested on the ten Omniglot alphabets of Lake's trials, and none is in "
                f"{source}; the others are for training and for choosing models"
            )
    kept: list[Entry] = []
    crops = np.zeros((0, 0, 0, 3), np.uint8)
    for entry in entries:
        try:
            crop = cropper(entry.read())
            if crop is None:
                skipped.append((entry.path, "there is nothing to see in it"))
            else:
                if not kept:  # one block for all: to stack a list would need the room twice
                    crops = np.empty((len(entries), *crop.shape), np.uint8)
                crops[len(kept)] = crop
                kept.append(entry)
        except PhotoError as error:
            skipped.append((entry.path, str(error)))
        if advance is not None:
            advance(len(entries))
    used = {entry.class_name for entry in kept}
    lost = [name for name in dict.fromkeys(e.class_name for e in entries) if name not in used]
    skipped += [(name, "no picture of this class can be used") for name in lost]
    if len(used) < 2:
        raise _too_few(source, entries, kept, skipped)
    return _pictures(crops[: len(kept)], kept, skipped)


def sample_photos(source: Path, n: int) -> list[Photo]:
    """Return up to `n` photos of `source`, decoded, evenly from first to last; only what is whole.

    To look at what the source has before its pictures are cut. Raises DataError if it is not there
    or not understood.
    """
    entries, _ = _entries(source)
    photos = []
    for place in np.unique(np.linspace(0, len(entries), n, endpoint=False, dtype=int)):
        with suppress(PhotoError, IndexError):  # `read_pictures` tells; no entry at all
            photo = entries[place].read()
            photo.pixels()
            photos.append(photo)
    return photos


def omniglot_parts(pictures: Pictures) -> dict[str, Ids]:
    """Return the classes to learn from, to choose models by and to test on; {} if not Omniglot.

    "background": the 30 alphabets that Lake gives for learning; "validation": the ten of his
    evaluation alphabets that are in no trial; "trial": the ten of his 400 trials. Told by names.
    Raises DataError if only some classes are Omniglot's.
    """
    groups = [pictures.group_names[group] for group in pictures.groups]
    if not omniglot.are_characters(zip(groups, pictures.class_names, strict=True)):
        return {}
    parts = {
        "background": omniglot.BACKGROUND,
        "validation": omniglot.VALIDATION,
        "trial": omniglot.TRIAL,
    }
    return {
        part: np.array([c for c, group in enumerate(groups) if group in alphabets], np.int64)
        for part, alphabets in parts.items()
    }


def rows_by_class(classes: Ids, n_classes: int) -> list[Ids]:
    """Return for each of `n_classes` the rows of its pictures in `classes` (n,), in order."""
    order = np.argsort(classes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(classes, minlength=n_classes))[:-1])


@dataclass(frozen=True, slots=True, eq=False)
class LakeTrials:
    """Lake's 400 one-shot trials as rows of the Pictures they were read for."""

    support: Ids  # (20, 20) run, class: the one picture of each class
    probes: Ids  # (20, 20) run, item: the picture to name
    answers: Ids  # (20, 20) run, item: the column of `support` that is right


def read_lake_trials(source: Path, pictures: Pictures) -> LakeTrials | None:
    """Return Lake's 400 trials as rows of `pictures`, read from `source`; None if it has none.

    `pictures` may be a part of what `source` has. Raises DataError if a drawing of the trials is
    not among them.
    """
    if (packed := omniglot.packed_file(source)) is not None:
        support, probes, answers = omniglot.packed_trials(packed)
    elif omniglot_parts(pictures) and (runs := omniglot.trial_runs(source)) is not None:
        wanted = set(pictures.class_names)
        drawings = (entry for entry in _entries(source)[0] if entry.class_name in wanted)
        support, probes, answers = omniglot.lake_trials(runs, drawings)
    else:
        return None
    row_of = {
        (pictures.class_names[number], int(drawer)): row
        for row, (number, drawer) in enumerate(zip(pictures.classes, pictures.drawers, strict=True))
    }
    missing = [drawn for drawn in (*support, *probes) if drawn not in row_of]
    if missing:
        character, drawer = missing[0]
        raise DataError(
            f"the drawing of {character} by drawer {drawer}, which Lake's trials need, "
            f"is missing in {source}"
        )
    shape = (omniglot.RUNS, omniglot.WAYS)
    return LakeTrials(
        support=np.array([row_of[drawn] for drawn in support]).reshape(shape),
        probes=np.array([row_of[drawn] for drawn in probes]).reshape(shape),
        answers=answers,
    )


def _entries(source: Path) -> tuple[list[Entry], Skipped]:
    """Return the pictures of a source in order of class, and what is no picture of a class.

    Raises DataError, also if only some classes are Omniglot's: before anything is read.
    """
    if (packed := omniglot.packed_file(source)) is not None:
        return omniglot.packed_entries(packed), []
    if omniglot.has_zips(source):
        return omniglot.zipped_entries(source)
    if source.is_file():
        raise DataError(f"{source} is neither a folder of classes nor the packed Omniglot")
    entries, skipped = _folder_entries(source)
    omniglot.are_characters((entry.group, entry.class_name) for entry in entries)
    return entries, skipped


def _folder_entries(source: Path) -> tuple[list[Entry], Skipped]:
    try:
        paths = list(walk_photos([source]))
    except PhotoError as error:  # it is not there
        raise DataError(str(error)) from error
    # a folder that may not be listed comes as itself: reading it says why
    found = [(path, path if path.is_dir() else path.parent) for path in paths]
    holders = {folder for _, folder in found}
    entries: list[Entry] = []
    skipped: Skipped = []
    drawn: set[Drawn] = set()
    for path, folder in found:
        if folder == source:
            skipped.append((str(path), "it lies in no class's folder"))
            continue
        inside = folder.relative_to(source)
        outermost_first = [*reversed(inside.parents), inside][1:]
        # all below a character's folder is of that character; else all below a folder with
        # pictures is of that folder's class, as Ann/2020/1.jpg of Ann
        characters = (f for f in outermost_first if omniglot.is_character(*_named(f)))
        held = (f for f in outermost_first if source / f in holders)
        class_folder = next(characters, None) or next(held)
        swallowed = (str(source / class_folder), "it holds pictures: all below it is one class")
        if class_folder != inside and swallowed not in skipped:
            skipped.append(swallowed)
        group, name = _named(class_folder)
        drawer = omniglot.drawer_of(path.stem) if omniglot.is_character(group, name) else -1
        if drawer > 0 and (name, drawer) in drawn:  # images_background_small1 beside the whole
            skipped.append((str(path), f"another drawing of {name} by drawer {drawer} came first"))
            continue
        drawn.add((name, drawer))
        entries.append(Entry(str(path), group, name, drawer, _reader(path)))
    return _without_trials(entries), skipped


def _without_trials(entries: list[Entry]) -> list[Entry]:
    """Return `entries` less the pictures of Lake's trials, if there are characters of Omniglot."""
    is_trial = omniglot.TRIAL_PICTURE.fullmatch
    others = [entry for entry in entries if not is_trial(Path(entry.path).as_posix())]
    known = any(omniglot.is_character(entry.group, entry.class_name) for entry in others)
    return others if known else entries


def _named(folder: Path) -> tuple[str, str]:
    """Return group and name of the class whose folder, seen from the source, is `folder`.

    What is around an alphabet of Omniglot (images_background, or wherever it was unpacked) says
    nothing that its name does not, and without it a class is called the same in every form.
    """
    alphabet = folder.parent.name
    if omniglot.is_character(alphabet, f"{alphabet}/{folder.name}"):
        return alphabet, f"{alphabet}/{folder.name}"
    return "/".join(folder.parts[:-1]), "/".join(folder.parts)


def _reader(path: Path) -> Callable[[], Photo]:
    return lambda: read_photo(path)


def _pictures(crops: NDArray[np.uint8], kept: list[Entry], skipped: Skipped) -> Pictures:
    group_of = {entry.class_name: entry.group for entry in kept}  # in order of class
    class_number = {name: number for number, name in enumerate(group_of)}
    group_number = {name: n for n, name in enumerate(dict.fromkeys(group_of.values()))}
    return Pictures(
        crops=crops,
        classes=np.array([class_number[entry.class_name] for entry in kept], np.int64),
        drawers=np.array([entry.drawer for entry in kept], np.int64),
        class_names=tuple(group_of),
        groups=np.array([group_number[group] for group in group_of.values()], np.int64),
        group_names=tuple(group_number),
        skipped=tuple(skipped),
    )


def _too_few(source: Path, entries: list[Entry], kept: list[Entry], skipped: Skipped) -> DataError:
    """Return the error for less than two classes: what is there, and what should be."""
    wanted = "it takes two or more, each a folder of pictures"
    if not entries:
        return DataError(f"there are no classes in {source}; {wanted}")
    if not kept:
        path, reason = skipped[0]
        why = reason if path in reason else f"{path}: {reason}"
        return DataError(f"none of the {len(entries)} pictures in {source} can be used: {why}")
    return DataError(f"there is one class only in {source}, {kept[0].class_name}; {wanted}")
