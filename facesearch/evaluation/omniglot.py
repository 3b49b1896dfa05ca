"""Omniglot's files -> its drawings, one by one, and Lake's 400 one-shot trials.

    omniglot.npz.xz            everything packed into one file, or a folder with this file
    images_background.zip      as Brenden Lake publishes it: a folder with either or both of these
    images_evaluation.zip      zips, and perhaps
    all_runs.zip               his trials; or any of the three unpacked

Lake, Salakhutdinov and Tenenbaum, "Human-level concept learning through probabilistic program
induction", Science 350 (2015), 1332-1338. In every form a drawing is identified by its character,
"Greek/character01", and its drawer, 1 to 20.
"""

import io
import lzma
import re
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from facesearch.errors import DataError, PhotoError
from facesearch.photo import Photo, photo_from_bytes

Ids = NDArray[np.int64]
Drawn = tuple[str, int]  # character and drawer
Skipped = list[tuple[str, str]]  # path and reason
Opener = Callable[[], IO[bytes]]

PACKED = "omniglot.npz.xz"
IMAGE_ZIPS = ("images_background.zip", "images_evaluation.zip")
TRIALS_ZIP = "all_runs.zip"
TRIAL_PICTURE = re.compile(r"(?:.*/)?run\d\d/(?:training/class|test/item)\d\d\.png")  # unpacked
XZ = b"\xfd7zXZ\x00"  # the first bytes of every .xz file

SIDE_PX = 105
DRAWERS = 20
RUNS, WAYS = 20, 20  # of the trials: a run has 20 characters of one alphabet, each probed once
# Drawings have 150 to 300 bytes, Lake's zips 10 MB; the packed file has 45 MB unpacked and takes 65
# MB of xz's memory. Anything far larger is damaged or a decompression bomb.
MAX_DRAWING_BYTES, MAX_DRAWING_PIXELS = 100_000, 1_000_000
MAX_ARCHIVE_BYTES, MAX_XZ_MEMORY = 200_000_000, 256_000_000

# The alphabets, by the names of Lake's folders: 30 for training (background) and 20 for evaluation.
# His trials use ten of the latter; the other ten serve to validate models.
BACKGROUND = frozenset(
    {
        "Alphabet_of_the_Magi",
        "Anglo-Saxon_Futhorc",
        "Arcadian",
        "Armenian",
        "Asomtavruli_(Georgian)",
        "Balinese",
        "Bengali",
        "Blackfoot_(Canadian_Aboriginal_Syllabics)",
        "Braille",
        "Burmese_(Myanmar)",
        "Cyrillic",
        "Early_Aramaic",
        "Futurama",
        "Grantha",
        "Greek",
        "Gujarati",
        "Hebrew",
        "Inuktitut_(Canadian_Aboriginal_Syllabics)",
        "Japanese_(hiragana)",
        "Japanese_(katakana)",
        "Korean",
        "Latin",
        "Malay_(Jawi_-_Arabic)",
        "Mkhedruli_(Georgian)",
        "N_Ko",
        "Ojibwe_(Canadian_Aboriginal_Syllabics)",
        "Sanskrit",
        "Syriac_(Estrangelo)",
        "Tagalog",
        "Tifinagh",
    }
)
VALIDATION = frozenset(
    {
        "Angelic",
        "Atemayar_Qelisayer",
        "Aurek-Besh",
        "Avesta",
        "Keble",
        "Mongolian",
        "Oriya",
        "Sylheti",
        "Syriac_(Serto)",
        "ULOG",
    }
)
TRIAL = frozenset(
    {
        "Atlantean",
        "Ge_ez",
        "Glagolitic",
        "Gurmukhi",
        "Kannada",
        "Malayalam",
        "Manipuri",
        "Old_Church_Slavonic_(Cyrillic)",
        "Tengwar",
        "Tibetan",
    }
)
ALPHABETS = BACKGROUND | VALIDATION | TRIAL

PACKED_ARRAYS = (
    "character_alphabet",
    "alphabet_names",
    "character_lake_id",
    "drawings",
    "trial_train",
    "trial_test",
    "trial_answer",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture in a source, not yet read."""

    path: str  # for messages
    group: str  # for Omniglot: the alphabet
    class_name: str  # for Omniglot: alphabet/character
    drawer: int  # 1 to 20; -1 if unknown
    read: Callable[[], Photo]  # raises PhotoError


def is_character(group: str, class_name: str) -> bool:
    """Return whether a class is one of Omniglot's characters, judging by its name."""
    return group in ALPHABETS and bool(
        re.fullmatch(rf"{re.escape(group)}/character\d\d", class_name)
    )


def are_characters(classes: Iterable[tuple[str, str]]) -> bool:
    """Return whether `classes`, pairs of group and class name, are Omniglot's characters.

    Raises DataError if only some are: they would be split at random, and the characters of Lake's
    trials would be trained on.
    """
    examples = {is_character(group, name): name for group, name in reversed([*classes])}
    if len(examples) == 2:
        raise DataError(
            f"{examples[True]} is a character of Omniglot, but {examples[False]} is not; keep "
            "Omniglot in a folder of its own, without other pictures"
        )
    return True in examples


def drawer_of(stem: str) -> int:
    """Return the drawer of the drawing named `stem`: 3 for "0709_03"; -1 for other names."""
    match = re.fullmatch(r"\d{4}_(\d\d)", stem)
    return int(match[1]) if match else -1


def has_zips(source: Path) -> bool:
    """Return whether `source` is a folder with Lake's drawings in zips."""
    return any((source / name).is_file() for name in IMAGE_ZIPS)


def packed_file(source: Path) -> Path | None:
    """Return the file with the packed Omniglot, `source` or a file in it; None if there is none.

    Raises DataError if the file cannot be read.
    """
    file = source / PACKED if source.is_dir() else source
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream:
            return file if stream.read(len(XZ)) == XZ else None
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


# ---- packed


def packed_entries(file: Path) -> list[Entry]:
    """Return all drawings of the packed Omniglot in order. Raises DataError if it is damaged."""
    arrays = _packed_arrays(file)
    entries = []
    for number, character in enumerate(_characters(arrays)):
        lake_id = int(arrays["character_lake_id"][number])
        for drawer in range(1, DRAWERS + 1):
            path = f"{character}/{lake_id:04d}_{drawer:02d}.png"
            read = _unpacker(path, arrays["drawings"][number, drawer - 1])
            entries.append(Entry(path, character.split("/")[0], character, drawer, read))
    return entries


def packed_trials(file: Path) -> tuple[list[Drawn], list[Drawn], Ids]:
    """Return support, probes and answers of Lake's trials, as `lake_trials` does."""
    arrays = _packed_arrays(file)
    characters = _characters(arrays)
    support, probes = (
        [(characters[int(d) // DRAWERS], int(d) % DRAWERS + 1) for d in arrays[part].ravel()]
        for part in ("trial_train", "trial_test")
    )
    return support, probes, arrays["trial_answer"].astype(np.int64)


def _packed_arrays(file: Path) -> dict[str, NDArray[np.generic]]:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_XZ_MEMORY)
    packed = _bytes(file)
    try:
        content = decompressor.decompress(packed, MAX_ARCHIVE_BYTES)
        if not decompressor.eof:
            raise ValueError("it is truncated or far too large")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_ARCHIVE_BYTES:
                raise ValueError("it is far too large")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            missing = [name for name in PACKED_ARRAYS if name not in stored.files]
            if missing:
                raise ValueError(f"it lacks {missing[0]}")
            arrays = {name: stored[name] for name in PACKED_ARRAYS}
        names, n = arrays["alphabet_names"], arrays["character_alphabet"].size
        if names.ndim != 1 or not set(names.tolist()) <= ALPHABETS:
            raise ValueError("alphabet_names has names that are not Omniglot's")
        trials = RUNS, WAYS
        expected = {  # shape, and upper limit of all numbers (excluded)
            "character_alphabet": ((n,), len(names)),
            "drawings": ((n, DRAWERS, (SIDE_PX**2 + 7) // 8), 256),
            "character_lake_id": ((n,), 10_000),
            "trial_train": (trials, n * DRAWERS),
            "trial_test": (trials, n * DRAWERS),
            "trial_answer": (trials, WAYS),
        }
        for name, (shape, limit) in expected.items():
            array = arrays[name]
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, not {shape}")
            if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= limit:
                raise ValueError(f"{name} has values other than integers from 0 to {limit - 1}")
        return arrays
    except Exception as error:  # damaged files make numpy and zipfile raise almost anything
        raise DataError(f"{file} is not the packed Omniglot, or damaged ({error})") from error


def _characters(arrays: dict[str, NDArray[np.generic]]) -> list[str]:
    """Return the name of each character; those of an alphabet are numbered from 01 in order."""
    names: list[str] = []
    seen: dict[str, int] = {}
    for number in arrays["character_alphabet"].astype(int):
        alphabet = str(arrays["alphabet_names"][number])
        seen[alphabet] = seen.get(alphabet, 0) + 1
        names.append(f"{alphabet}/character{seen[alphabet]:02d}")
    return names


def _unpacker(path: str, bits: NDArray[np.generic]) -> Callable[[], Photo]:
    def read() -> Photo:
        ink = np.unpackbits(bits.astype(np.uint8), count=SIDE_PX**2).reshape(SIDE_PX, SIDE_PX)
        grey = np.where(ink == 1, 0, 255).astype(np.uint8)  # black on white, as in Lake's files
        return Photo.from_pixels(path, np.repeat(grey[:, :, None], 3, 2))

    return read


# ---- Lake's zips


def zipped_entries(source: Path) -> tuple[list[Entry], Skipped]:
    """Return the drawings of the zips in a folder in order, and misplaced pictures in them.

    Raises DataError if a zip is damaged.
    """
    entries: list[Entry] = []
    skipped: Skipped = []
    for zip_name in IMAGE_ZIPS:
        if not (source / zip_name).is_file():
            continue
        file = source / zip_name
        archive = _zip(file)
        place = re.compile(
            rf"{zip_name.removesuffix('.zip')}/([^/]+)/(character\d\d)/(\d{{4}}_\d\d)\.png"
        )
        for name in sorted(archive.namelist()):
            match = place.fullmatch(name)
            if match and match[1] in ALPHABETS:
                character, drawer = f"{match[1]}/{match[2]}", drawer_of(match[3])
                path = f"{file}/{name}"
                read = partial(_drawing, partial(archive.open, name), path)
                entries.append(Entry(path, match[1], character, drawer, read))
            elif name.endswith(".png") and not name.startswith("__MACOSX/"):
                skipped.append((f"{file}/{name}", "Omniglot has no drawing of that name"))
    return entries, skipped


# ---- Lake's trials


def trial_runs(source: Path) -> Path | None:
    """Return all_runs.zip or the folder that has run01; None if `source` has no trials."""
    if (source / TRIALS_ZIP).is_file():
        return source / TRIALS_ZIP
    tests = sorted(source.rglob("run[0-9][0-9]/test"))
    return tests[0].parent.parent if tests else None


def lake_trials(runs: Path, entries: Iterable[Entry]) -> tuple[list[Drawn], list[Drawn], Ids]:
    """Return the trials in `runs`: the 400 support drawings, the 400 probes and the answers.

    Both lists are in order of the runs; answers (20, 20) give for run and item the class in the
    run. Pictures of trials have no names of characters, so they are looked up among the drawings,
    `entries`, by their pixels. Raises DataError.
    """
    drawn = {}
    for entry in entries:
        try:
            drawn[entry.read().pixels().tobytes()] = (entry.class_name, entry.drawer)
        except PhotoError:
            continue  # reported when drawings are read; an error below if a trial needs it
    files = _run_files(runs)
    support: list[Drawn] = []
    probes: list[Drawn] = []
    answers = np.zeros((RUNS, WAYS), np.int64)
    try:
        for run in range(1, RUNS + 1):
            name = f"run{run:02d}/class_labels.txt"
            labels = _content(files[name], f"{runs}/{name}").decode()
            pairs = dict(line.split() for line in labels.splitlines() if line.strip())
            items, classes = sorted(pairs), sorted(set(pairs.values()))
            if (len(items), len(classes)) != (WAYS, WAYS):
                raise DataError(f"{runs}: run {run} does not have {WAYS} items and {WAYS} classes")
            for found, wanted in ((support, classes), (probes, items)):
                for name in wanted:
                    pixels = _drawing(files[_in_run(name)], f"{runs}/{name}").pixels()
                    found.append(drawn[pixels.tobytes()])
            answers[run - 1] = [classes.index(pairs[item]) for item in items]
    except (KeyError, ValueError, PhotoError) as error:
        reason = "a file or a drawing is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{runs} does not hold Lake's trials of these drawings: {reason}"
        ) from error
    return support, probes, answers


def _run_files(runs: Path) -> dict[str, Opener]:
    """Return openers of the files of the trials by name, starting with the run: "run01/..."."""
    if runs.is_dir():
        files = (file for file in runs.glob("run[0-9][0-9]/**/*") if file.is_file())
        return {file.relative_to(runs).as_posix(): _opener(file) for file in files}
    archive = _zip(runs)
    return {_in_run(name): partial(archive.open, name) for name in archive.namelist()}


def _opener(file: Path) -> Opener:
    return lambda: file.open("rb")


def _in_run(name: str) -> str:
    """Return a name in all_runs.zip without the folder that some copies have around the runs."""
    return name.removeprefix("all_runs/")


# ---- files and their content


def _zip(file: Path) -> zipfile.ZipFile:
    """Return a zip that is read into memory, so that no file stays open. Raises DataError."""
    try:
        return zipfile.ZipFile(io.BytesIO(_bytes(file)))
    except (ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is not a zip, or damaged ({error})") from error


def _bytes(file: Path) -> bytes:
    """Return a file's content. Raises DataError if it is far larger than Omniglot."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_ARCHIVE_BYTES + 1)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > MAX_ARCHIVE_BYTES:
        raise DataError(f"{file} is too large to be part of Omniglot")
    return content


def _drawing(open_it: Opener, name: str) -> Photo:
    return photo_from_bytes(_content(open_it, name), name, max_pixels=MAX_DRAWING_PIXELS)


def _content(open_it: Opener, name: str) -> bytes:
    """Return a small file's content. Raises PhotoError if it is larger, without reading it all."""
    try:
        with open_it() as stream:
            data = stream.read(MAX_DRAWING_BYTES + 1)
    except Exception as error:  # damaged files make zipfile raise almost anything
        raise PhotoError(f"cannot read {name}: {error}") from error
    if len(data) > MAX_DRAWING_BYTES:
        raise PhotoError(f"cannot read {name}: it is too large for a drawing")
    return data
