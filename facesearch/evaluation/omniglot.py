"""Omniglot's files -> its drawings, one by one, and Lake's 400 one-shot trials.

    omniglot.npz.xz            everything packed into one file, or a folder that has it
    images_background.zip      as Brenden Lake publishes it: a folder with this or
    images_evaluation.zip      this, or both,
    all_runs.zip               and his trials; or any of these unpacked

Lake, Salakhutdinov and Tenenbaum, "Human-level concept learning through probabilistic program
induction", Science 350 (2015), 1332-1338. In every form a drawing is named by its character,
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
RUNS, WAYS = 20, 20  # of the trials: a run is 20 characters of one alphabet, each to be named once
# Drawings have 150 to 300 bytes, Lake's zips 10 MB, the packed file 45 MB unpacked and 65 MB of
# xz's memory: what is far beyond is damaged or a bomb.
MAX_DRAWING_BYTES, MAX_DRAWING_PIXELS = 100_000, 1_000_000
MAX_ARCHIVE_BYTES, MAX_XZ_MEMORY = 200_000_000, 256_000_000

# The alphabets as Lake's folders are called. He gives 30 as background, to learn from, and 20 for
# evaluation. His trials use ten of those; the ten others are free to choose models by.
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
    """A picture that a source has, not yet read."""

    path: str  # for messages
    group: str  # of Omniglot: the alphabet
    class_name: str  # of Omniglot: alphabet/character
    drawer: int  # 1 to 20, -1 where nothing says it
    read: Callable[[], Photo]  # raises PhotoError


def is_character(group: str, class_name: str) -> bool:
    """Return whether a class is one of Omniglot's characters, by the names."""
    return group in ALPHABETS and bool(
        re.fullmatch(rf"{re.escape(group)}/character\d\d", class_name)
    )


def are_characters(classes: Iterable[tuple[str, str]]) -> bool:
    """Return whether `classes`, (group, class name) each, are Omniglot's; raises DataError if some.

    What is half of Omniglot would be split by chance, and its trials would be trained on.
    """
    told = {is_character(group, name): name for group, name in reversed([*classes])}
    if len(told) == 2:
        raise DataError(
            f"{told[False]} is no character of Omniglot, as {told[True]} is; keep Omniglot in a "
            "folder of its own, without other pictures"
        )
    return True in told


def drawer_of(stem: str) -> int:
    """Return who made the drawing that Lake calls "0709_03" (3), or -1."""
    match = re.fullmatch(r"\d{4}_(\d\d)", stem)
    return int(match[1]) if match else -1


def has_zips(source: Path) -> bool:
    """Return whether `source` is a folder with Lake's drawings in zips."""
    return any((source / name).is_file() for name in IMAGE_ZIPS)


def packed_file(source: Path) -> Path | None:
    """Return the packed Omniglot that `source` is, or has; None if it is something else.

    Raises DataError if it cannot be read.
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
    """Return all drawings of the packed Omniglot in order; raises DataError if it is not that."""
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
    """Return the 400 drawings given, the 400 to name and the answers, as `lake_trials` does."""
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
            raise ValueError("it is cut short or far too large")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_ARCHIVE_BYTES:
                raise ValueError("it is far too large")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            missing = [name for name in PACKED_ARRAYS if name not in stored.files]
            if missing:
                raise ValueError(f"it has no {missing[0]}")
            arrays = {name: stored[name] for name in PACKED_ARRAYS}
        names, n = arrays["alphabet_names"], arrays["character_alphabet"].size
        if names.ndim != 1 or not set(names.tolist()) <= ALPHABETS:
            raise ValueError("alphabet_names has names that are none of Omniglot's")
        trials = RUNS, WAYS
        expected = {  # shape, and what all numbers are below
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
                raise ValueError(f"{name} has the shape {array.shape}, not {shape}")
            if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= limit:
                raise ValueError(f"{name} has not only whole numbers from 0 to {limit - 1}")
        return arrays
    except Exception as error:  # bad bytes make numpy and zipfile raise nearly anything
        raise DataError(f"{file} is not the packed Omniglot, or damaged ({error})") from error


def _characters(arrays: dict[str, NDArray[np.generic]]) -> list[str]:
    """Return the name of each character: those of an alphabet are numbered from 01 in order."""
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
    """Return the drawings of the zips in a folder in order, and pictures out of place there.

    Raises DataError if one is no zip.
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
    """Return where Lake's trials are: all_runs.zip, or the folder that has run01; None: nowhere."""
    if (source / TRIALS_ZIP).is_file():
        return source / TRIALS_ZIP
    tests = sorted(source.rglob("run[0-9][0-9]/test"))
    return tests[0].parent.parent if tests else None


def lake_trials(runs: Path, entries: Iterable[Entry]) -> tuple[list[Drawn], list[Drawn], Ids]:
    """Return the trials in `runs`: the 400 drawings given, the 400 to name, the answers.

    Both lists go run by run; answers (20, 20): run, item -> which class of the run. The pictures
    there carry no names, so they are found among the drawings, `entries`, by their pixels. Raises
    DataError.
    """
    drawn = {}
    for entry in entries:
        try:
            drawn[entry.read().pixels().tobytes()] = (entry.class_name, entry.drawer)
        except PhotoError:
            continue  # told where the drawings are read for good; if a trial needs it, below
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
                raise DataError(f"{runs}: run {run} has not {WAYS} items and {WAYS} classes")
            for found, wanted in ((support, classes), (probes, items)):
                for name in wanted:
                    pixels = _drawing(files[_in_run(name)], f"{runs}/{name}").pixels()
                    found.append(drawn[pixels.tobytes()])
            answers[run - 1] = [classes.index(pairs[item]) for item in items]
    except (KeyError, ValueError, PhotoError) as error:
        what = "a file or a drawing is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{runs} does not hold Lake's trials with these drawings: {what}"
        ) from error
    return support, probes, answers


def _run_files(runs: Path) -> dict[str, Opener]:
    """Return what opens each file of the trials, by its name from run01 on."""
    if runs.is_dir():
        files = (file for file in runs.glob("run[0-9][0-9]/**/*") if file.is_file())
        return {file.relative_to(runs).as_posix(): _opener(file) for file in files}
    archive = _zip(runs)
    return {_in_run(name): partial(archive.open, name) for name in archive.namelist()}


def _opener(file: Path) -> Opener:
    return lambda: file.open("rb")


def _in_run(name: str) -> str:
    """Return the end of a name in all_runs.zip from run01 on: some copies have a folder around."""
    return name.removeprefix("all_runs/")


# ---- files and what is in them


def _zip(file: Path) -> zipfile.ZipFile:
    """Return a zip whose content is in memory: no file stays open; raises DataError."""
    try:
        return zipfile.ZipFile(io.BytesIO(_bytes(file)))
    except (ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is no zip, or damaged ({error})") from error


def _bytes(file: Path) -> bytes:
    """Return a file's content; raises DataError if it is far larger than Omniglot."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_ARCHIVE_BYTES + 1)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > MAX_ARCHIVE_BYTES:
        raise DataError(f"{file} is too large to be of Omniglot")
    return content


def _drawing(open_it: Opener, name: str) -> Photo:
    return photo_from_bytes(_content(open_it, name), name, max_pixels=MAX_DRAWING_PIXELS)


def _content(open_it: Opener, name: str) -> bytes:
    """Return a small file's content; raises PhotoError before a large one fills the memory."""
    try:
        with open_it() as stream:
            data = stream.read(MAX_DRAWING_BYTES + 1)
    except Exception as error:  # bad bytes make zipfile raise nearly anything
        raise PhotoError(f"cannot read {name}: {error}") from error
    if len(data) > MAX_DRAWING_BYTES:
        raise PhotoError(f"cannot read {name}: it is too large for a drawing")
    return data
