"""The folder of a training -> its progress, for readers in other processes.

log.jsonl     a line per evaluation: step, seconds, loss, one_shot_validation, best, ...; whatever
              the recipe measures is called one_shot_validation, and now.json says what it is
now.json      the last step, replaced every few seconds
worst.json    the pairs that the head gets most wrong in the last evaluation, with their pictures

The trainer (facesearch.training.loop) may be writing them while they are read: an incomplete line
is ignored, and an unreadable file counts as missing.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

LOG = "log.jsonl"
NOW = "now.json"
WORST = "worst.json"
NUMBERS = ("step", "seconds", "loss", "one_shot_validation", "best", "pictures_per_s")


@dataclass(frozen=True, slots=True)
class WorstPair:
    """Two validation pictures on which the head errs."""

    mated: bool  # of one class
    probability: float  # that they are mated, by the network's head, not yet calibrated
    pictures: tuple[str, str]  # PNG, in base64


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """The content of a training's folder."""

    evaluations: tuple[dict[str, float], ...]  # NUMBERS of each, in order of the steps
    now: dict[str, Any] | None  # the content of now.json; None if it is missing
    worst_step: int | None  # the step that `worst` is from; None if worst.json is missing
    worst: tuple[WorstPair, ...]


def replace_file(file: Path, content: object) -> None:
    """Replace `file` with `content` as JSON, completely or not at all.

    No other work depends on the file, so a disk error is ignored and nothing waits for the disk.
    """
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    with suppress(OSError):
        try:
            new.write_text(json.dumps(content), "utf-8")
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)


def training_folder(named: Path) -> Path | None:
    """Return the folder of the training `named`; None if it does not exist yet.

    `named` is that folder itself or the model folder next to it.
    """
    for folder in (named.resolve(), named.resolve().with_name(f"{named.resolve().name}-training")):
        if (folder / LOG).is_file():
            return folder
    return None


def read_training(folder: Path) -> Training:
    """Return the current content of a training's folder."""
    now = read_json(folder / NOW)
    step: int | None = None
    worst: tuple[WorstPair, ...] = ()
    with suppress(KeyError, TypeError, ValueError):
        stored = read_json(folder / WORST) or {}
        pairs = tuple(pair_of(pair) for pair in stored["pairs"])
        step, worst = int(stored["step"]), pairs
    return Training(read_log(folder / LOG), now, step, worst)


def pair_of(stored: dict[str, Any]) -> WorstPair:
    """Return a pair as worst.json stores it. Raises KeyError, TypeError or ValueError."""
    a, b = map(str, stored["pictures"])
    return WorstPair(stored["mated"] is True, float(stored["probability"]), (a, b))


def read_log(file: Path) -> tuple[dict[str, float], ...]:
    """Return the NUMBERS of each complete line; lines without all of them are skipped."""
    lines = []
    with suppress(OSError):
        for line in file.read_bytes().split(b"\n")[
            :-1
        ]:  # what follows the last newline is incomplete
            with suppress(ValueError, KeyError, TypeError):
                stored = json.loads(line)
                numbers = {name: float(stored[name]) for name in NUMBERS}
                if all(map(isfinite, numbers.values())):
                    lines.append(numbers)
    return tuple(lines)


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if there is none."""
    with suppress(OSError, ValueError):
        value = json.loads(file.read_bytes())
        return value if isinstance(value, dict) else None
    return None
