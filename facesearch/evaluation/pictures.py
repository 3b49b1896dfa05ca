"""Pictures sorted into classes -> crops with a class each, for training and evaluation.

The kind of source is recognized by its content:

    classes/Ann/1.jpg          a folder of classes, which may be nested, as in Omniglot:
    Greek/character01/1.png    the folder around a class's folder is its group
    omniglot.npz.xz            Omniglot packed, or a folder with Lake's zips, see omniglot.py
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
from facesearch.photo import Photo, read_photo
from facesearch.photo_files import walk_photos

Cropper = Callable[[Photo], NDArray[np.uint8] | None]  # None: the photo shows nothing to cut


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Crops of n pictures, each of one class, each class of one group."""

    crops: NDArray[np.uint8]  # (n, side, side, 3 or 1)
    classes: Ids  # (n,) index into class_names
    drawers: Ids  # (n,) 1 to 20 for Omniglot; -1 if unknown
    class_names: tuple[str, ...]  # "Ann", or with its group "Greek/character01"
    groups: Ids  # (classes,) index into group_names
    group_names: tuple[str, ...]  # ("",) for a plain folder of classes
    skipped: tuple[tuple[str, str], ...]  # (path, reason) of what cannot be used

    def only(self, classes: Iterable[int]) -> "Pictures":
        """Return only those `classes`, renumbered in the order given; groups likewise."""
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

    Pictures that cannot be read or show nothing are in `skipped`, and so are classes without a
    usable picture. With `unseen`, only the ten alphabets of Lake's trials are read of Omniglot:
    models are neither trained nor chosen on these. Other sources are always read completely: only
    the user knows whether a model was trained on them. `advance` is called after each picture with
    the number of all pictures. Raises DataError if `source` does not exist or is not understood,
    mixes Omniglot with other classes, or fewer than two classes remain.
    """
    entries, skipped = _entries(source)
    if unseen and omniglot.are_characters((e.group, e.class_name) for e in entries):
        entries = [entry for entry in entries if entry.group in omniglot.TRIAL]
        if not entries:
            raise DataError(
                f"{source} has none of the ten Omniglot alphabets of Lake's trials, which models "
                "are tested on; the others are for training and validation"
            )
    kept: list[Entry] = []
    crops = np.zeros((0, 0, 0, 3), np.uint8)
    for entry in entries:
        try:
            crop = cropper(entry.read())
            if crop is None:
                skipped.append((entry.path, "it shows nothing to compare"))
            else:
                if not kept:  # filled one by one: stacking a list would take twice the memory
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
    """Return up to `n` decoded photos, spread evenly over `source`; unreadable ones are left out.

    They show what kind of pictures the source has before these are cut. Raises DataError if
    `source` does not exist or is not understood.
    """
    entries, _ = _entries(source)
    photos = []
    for place in np.unique(np.linspace(0, len(entries), n, endpoint=False, dtype=int)):
        with suppress(PhotoError, IndexError):  # `read_pictures` reports it; there is no entry
            photo = entries[place].read()
            photo.pixels()
            photos.append(photo)
    return photos


def omniglot_parts(pictures: Pictures) -> dict[str, Ids]:
    """Return the classes to train on, validate with and test on; {} if this is not Omniglot.

    "background" has the 30 alphabets that Lake gives for training, "validation" the ten evaluation
    alphabets that are in no trial, "trial" the ten of his 400 trials. They are recognized by their
    names. Raises DataError if only some classes are Omniglot's.
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
    """Return the rows of each of `n_classes` in `classes` (n,), in order."""
    order = np.argsort(classes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(classes, minlength=n_classes))[:-1])


@dataclass(frozen=True, slots=True, eq=False)
class LakeTrials:
    """Lake's 400 one-shot trials as rows of the Pictures they were read for."""

    support: Ids  # (20, 20) run, class: the one picture of each class
    probes: Ids  # (20, 20) run, item: the picture to classify
    answers: Ids  # (20, 20) run, item: the right column of `support`


def read_lake_trials(source: Path, pictures: Pictures) -> LakeTrials | None:
    """Return Lake's 400 trials as rows of `pictures`, read from `source`; None if it has none.

    `pictures` may be a part of those in `source`. Raises DataError if a drawing of the trials is
    missing in them.
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
    """Return the pictures of a source in order of class, and those that belong to no class.

    Raises DataError before any picture is read, also if only some classes are Omniglot's.
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
    except PhotoError as error:  # it does not exist
        raise DataError(str(error)) from error
    # a folder that cannot be listed comes as itself, and reading it raises the reason
    found = [(path, path if path.is_dir() else path.parent) for path in paths]
    holders = {folder for _, folder in found}
    entries: list[Entry] = []
    skipped: Skipped = []
    seen: set[Drawn] = set()
    for path, folder in found:
        if folder == source:
            skipped.append((str(path), "it is not in a class's folder"))
            continue
        inside = folder.relative_to(source)
        outermost_first = [*reversed(inside.parents), inside][1:]
        # pictures below a character's folder are of that character; otherwise pictures below a
        # folder with pictures are of that folder's class: Ann/2020/1.jpg is of Ann
        characters = (f for f in outermost_first if omniglot.is_character(*_named(f)))
        held = (f for f in outermost_first if source / f in holders)
        class_folder = next(characters, None) or next(held)
        swallowed = (
            str(source / class_folder),
            "it holds pictures, so everything below it is one class",
        )
        if class_folder != inside and swallowed not in skipped:
            skipped.append(swallowed)
        group, name = _named(class_folder)
        drawer = omniglot.drawer_of(path.stem) if omniglot.is_character(group, name) else -1
        if (
            drawer > 0 and (name, drawer) in seen
        ):  # images_background_small1 next to images_background
            skipped.append(
                (str(path), f"another drawing of {name} by drawer {drawer} was found before")
            )
            continue
        seen.add((name, drawer))
        entries.append(Entry(str(path), group, name, drawer, _reader(path)))
    return _without_trials(entries), skipped


def _without_trials(entries: list[Entry]) -> list[Entry]:
    """Return `entries` without the pictures of Lake's trials, if they are of Omniglot."""
    is_trial = omniglot.TRIAL_PICTURE.fullmatch
    others = [entry for entry in entries if not is_trial(Path(entry.path).as_posix())]
    known = any(omniglot.is_character(entry.group, entry.class_name) for entry in others)
    return others if known else entries


def _named(folder: Path) -> tuple[str, str]:
    """Return group and name of the class in `folder`, a path relative to the source.

    Folders around an alphabet of Omniglot, such as images_background, are dropped, so that a class
    has the same name in every form of Omniglot.
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
    """Return the error for fewer than two classes, which says what was found and what it takes."""
    wanted = "it takes two or more, each a folder of pictures"
    if not entries:
        return DataError(f"{source} has no classes; {wanted}")
    if not kept:
        path, reason = skipped[0]
        why = reason if path in reason else f"{path}: {reason}"
        return DataError(f"none of the {len(entries)} pictures in {source} can be used: {why}")
    return DataError(f"{source} has only one class, {kept[0].class_name}; {wanted}")
