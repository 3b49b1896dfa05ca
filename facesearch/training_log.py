"""The folder of a training -> how far it is, for who watches from elsewhere.

log.jsonl     a line an evaluation: step, seconds, loss, one_shot_validation, best, ...; whatever
              the recipe is validated by is called one_shot_validation, and now.json says what it is
now.json      the step that was done last, replaced every few seconds
worst.json    the pairs of the last evaluation that the head gets most wrong, with their pictures

The trainer writes them (facesearch.training.loop), and whoever reads them may come in the middle
of it: half a line is no line yet, and what cannot be read is as if it were not there.
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
    """Two pictures of the validation on which the head errs."""

    mated: bool  # of one class
    probability: float  # that they are, as the network says now; not calibrated yet
    pictures: tuple[str, str]  # PNG, in base64


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What a training's folder tells."""

    evaluations: tuple[dict[str, float], ...]  # NUMBERS of each, in order of the steps
    now: dict[str, Any] | None  # what `write_now` was given
    worst_step: int | None  # the step of the pairs
    worst: tuple[WorstPair, ...]


def replace_file(file: Path, content: object) -> None:
    """Write `content` as JSON in the place of `file`, whole or not at all; without a disk, not.

    Nothing depends on it, so nothing waits for the disk and nobody is told.
    """
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    with suppress(OSError):
        try:
            new.write_text(json.dumps(content), "utf-8")
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)


def training_folder(named: Path) -> Path | None:
    """Return the folder of the training that `named` means; None if there is none yet.

    Itself, or the one beside the model folder of that name.
    """
    for folder in (named.resolve(), named.resolve().with_name(f"{named.resolve().name}-training")):
        if (folder / LOG).is_file():
            return folder
    return None


def read_training(folder: Path) -> Training:
    """Return what is told in a training's folder by now."""
    now = read_json(folder / NOW)
    step: int | None = None
    worst: tuple[WorstPair, ...] = ()
    with suppress(KeyError, TypeError, ValueError):
        stored = read_json(folder / WORST) or {}
        pairs = tuple(pair_of(pair) for pair in stored["pairs"])
        step, worst = int(stored["step"]), pairs
    return Training(read_log(folder / LOG), now, step, worst)


def pair_of(stored: dict[str, Any]) -> WorstPair:
    a, b = map(str, stored["pictures"])
    return WorstPair(stored["mated"] is True, float(stored["probability"]), (a, b))


def read_log(file: Path) -> tuple[dict[str, float], ...]:
    """Return the NUMBERS of each whole line; a line that is none is passed over."""
    lines = []
    with suppress(OSError):
        for line in file.read_bytes().split(b"\n")[:-1]:  # behind the last end nothing is whole
            with suppress(ValueError, KeyError, TypeError):
                told = json.loads(line)
                numbers = {name: float(told[name]) for name in NUMBERS}
                if all(map(isfinite, numbers.values())):
                    lines.append(numbers)
    return tuple(lines)


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the object in a file, None if there is none."""
    with suppress(OSError, ValueError):
        value = json.loads(file.read_bytes())
        return value if isinstance(value, dict) else None
    return None
