"""figures.json of a model folder -> curves of what the model was measured to do.

{
  "figures_version": 1,
  "sha256": {"branch.onnx": ..., "head.npz": ...},  of the files that were measured
  "made_from": "2,000 people, 9,000 faces",
  "calibrated_on": true if the model's calibration was made from the same people
  "pairs": {"low": -20.0, "step": 0.2, "mated": [...], "non_mated": [...]},
  "searches": [{"people": 20, "mated": 900, "non_mated": 900,
                "asked": [0.001, ...], "reached": [0.0012, ...],
                "n": [...], "stated": [...], "true": [...]}, ...]
}

`pairs` counts log-likelihood ratios in bins of one width; `searches` are those of one size of
gallery, with the shown probabilities in bins of one width from 0 to 1. The file is no part of what
makes a model: without it everything works and there is less to see.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesearch.errors import ModelError
from facesearch.vectors import Floats

FILE = "figures.json"
VERSION = 1

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PairFigures:
    """How many pairs of one person, and of two, got which log-likelihood ratio."""

    low: float  # where the first bin begins, in nats
    step: float  # width of each
    mated: Counts  # (bins,)
    non_mated: Counts  # (bins,)

    @classmethod
    def of(cls, llrs: Floats, mated: NDArray[np.bool_], bins: int = 160) -> "PairFigures":
        """Return the counts of pairs with these `llrs` (n,); `mated` (n,) says of which kind."""
        low, high = float(np.floor(llrs.min())), float(np.floor(llrs.max())) + 1
        step = (high - low) / bins
        place = np.minimum(((llrs - low) / step).astype(np.int64), bins - 1)
        counts = [np.bincount(place[kind], minlength=bins) for kind in (mated, ~mated)]
        return cls(low, step, *counts)

    @property
    def edges(self) -> Shares:
        """The log-likelihood ratios (bins + 1,) at which bins meet."""
        edges: Shares = self.low + self.step * np.arange(len(self.mated) + 1, dtype=np.float64)
        return edges

    def at_least(self, counts: Counts) -> Shares:
        """Return the share (bins + 1,) of `counts` (bins,) at or above each edge, from 1 to 0."""
        shares: Shares = np.append(np.cumsum(counts[::-1])[::-1], 0) / counts.sum()
        return shares

    def strangers_above(self, llr: float) -> float:
        """Return the share of pairs of two people at or above `llr`; even within a bin."""
        return float(np.interp(llr, self.edges, self.at_least(self.non_mated)))

    def density(self, counts: Counts) -> Shares:
        """Return what share (bins,) of `counts` (bins,) lies in each bin, a nat of width."""
        density: Shares = counts / counts.sum() / self.step
        return density

    def reliability(self, bins: int = 10) -> tuple[Counts, Shares, Shares]:
        """Return the pairs, the mean probability and the share that came true of each bin.

        As if mated and non-mated pairs were alike many, which is what the probability means.
        Bins without a pair are left out.
        """
        stated = 1 / (1 + np.exp(-(self.edges[:-1] + self.step / 2)))
        place = np.minimum((stated * bins).astype(np.int64), bins - 1)
        mated, non_mated = self.mated / self.mated.sum(), self.non_mated / self.non_mated.sum()
        n = np.bincount(place, self.mated + self.non_mated, bins).astype(np.int64)
        weight = np.bincount(place, mated + non_mated, bins)
        said = np.bincount(place, (mated + non_mated) * stated, bins)
        true = np.bincount(place, mated, bins)
        some = n > 0
        return n[some], said[some] / weight[some], true[some] / weight[some]


@dataclass(frozen=True, slots=True, eq=False)
class SearchFigures:
    """What searches in galleries of one size gave, as many mated as non-mated ones."""

    people: int  # in the gallery
    mated: int  # searches whose person is enrolled
    non_mated: int  # searches by strangers, all galleries together
    asked: tuple[float, ...]  # false-positive rates
    reached: tuple[float, ...]  # what strangers got, the mean of the galleries
    n: Counts  # (bins,) searches by the probability that was shown, from 0 to 1
    stated: Shares  # (bins,) the sum of those probabilities
    true: Counts  # (bins,) in how many it was that person

    @property
    def calibration_error(self) -> float:
        """The mean gap between stated probability and share that came true."""
        return float(np.abs(self.stated - self.true).sum() / self.n.sum())

    def reliability(self) -> tuple[Counts, Shares, Shares]:
        """Return searches, mean probability and share that came true of each bin with any."""
        some = self.n > 0
        n = self.n[some]
        return n, self.stated[some] / n, self.true[some] / n


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """All of it."""

    made_from: str
    calibrated_on: bool
    pairs: PairFigures
    searches: tuple[SearchFigures, ...]  # smallest galleries first; none if people were too few

    def save(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Write them into the model folder with that manifest."""
        stored = asdict(self) | {"figures_version": VERSION, "sha256": manifest["sha256"]}
        text = json.dumps(stored, default=lambda array: array.tolist())
        (folder / FILE).write_text(text + "\n", "utf-8")


def read_figures(folder: Path, manifest: Mapping[str, Any]) -> Figures | None:
    """Return the figures of the model in `folder`, None if it has none.

    Raises ModelError if they cannot be read or are those of other files.
    """
    file = folder / FILE
    try:
        stored = json.loads(file.read_text("utf-8"))
        if stored["figures_version"] != VERSION:
            raise ValueError(f"version {stored['figures_version']}")
        if stored["sha256"] != manifest["sha256"]:
            raise ModelError(f"{FILE} of {manifest['name']} belongs to other files of that name")
        figures = Figures(
            made_from=str(stored["made_from"]),
            calibrated_on=stored["calibrated_on"] is True,
            pairs=PairFigures(**arrays(stored["pairs"])),
            searches=tuple(SearchFigures(**arrays(some)) for some in stored["searches"]),
        )
        check(figures)
        return figures
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{FILE} of {manifest['name']} cannot be read ({error!r})") from error


def arrays(stored: dict[str, Any]) -> dict[str, Any]:
    """Return stored fields with their lists as arrays; those of rates stay lists, as tuples."""
    return {
        key: value
        if not isinstance(value, list)
        else tuple(map(float, value))
        if key in ("asked", "reached")
        else np.array(value)
        for key, value in stored.items()
    }


def check(figures: Figures) -> None:
    """Raise ValueError unless there are numbers enough to draw."""
    pairs = figures.pairs
    if not len(pairs.mated) == len(pairs.non_mated) > 0 or not pairs.step > 0:
        raise ValueError("pairs")
    if min(pairs.mated.sum(), pairs.non_mated.sum()) <= 0:
        raise ValueError("no pairs")
    for some in figures.searches:
        if not len(some.n) == len(some.stated) == len(some.true) or some.n.sum() <= 0:
            raise ValueError("searches")
        if len(some.asked) != len(some.reached):
            raise ValueError("rates")
