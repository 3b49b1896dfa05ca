"""figures.json of a model folder -> measured curves of the model.

{
  "figures_version": 1,
  "sha256": {"branch.onnx": ..., "head.npz": ...},  of the measured files
  "made_from": "2,000 people, 9,000 faces",
  "calibrated_on": true if the model's calibration was made from the same people
  "pairs": {"low": -20.0, "step": 0.2, "mated": [...], "non_mated": [...]},
  "searches": [{"people": 20, "mated": 900, "non_mated": 900,
                "asked": [0.001, ...], "reached": [0.0012, ...],
                "n": [...], "stated": [...], "true": [...]}, ...]
}

`pairs` counts log-likelihood ratios in bins of equal width. Each of `searches` is of one gallery
size, with the shown probabilities in bins of equal width from 0 to 1. The file is optional: a model
without it works, but its page shows no curves.
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
    """Histograms of the log-likelihood ratios of mated and of non-mated pairs."""

    low: float  # lower edge of the first bin, in nats
    step: float  # width of a bin, in nats
    mated: Counts  # (bins,)
    non_mated: Counts  # (bins,)

    @classmethod
    def of(cls, llrs: Floats, mated: NDArray[np.bool_], bins: int = 160) -> "PairFigures":
        """Return the histograms of pairs with `llrs` (n,); `mated` (n,) tells the kinds apart."""
        low, high = float(np.floor(llrs.min())), float(np.floor(llrs.max())) + 1
        step = (high - low) / bins
        place = np.minimum(((llrs - low) / step).astype(np.int64), bins - 1)
        counts = [np.bincount(place[kind], minlength=bins) for kind in (mated, ~mated)]
        return cls(low, step, *counts)

    @property
    def edges(self) -> Shares:
        """The edges (bins + 1,) of the bins, in nats."""
        edges: Shares = self.low + self.step * np.arange(len(self.mated) + 1, dtype=np.float64)
        return edges

    def at_least(self, counts: Counts) -> Shares:
        """Return the share (bins + 1,) of `counts` (bins,) at or above each edge, from 1 to 0."""
        shares: Shares = np.append(np.cumsum(counts[::-1])[::-1], 0) / counts.sum()
        return shares

    def strangers_above(self, llr: float) -> float:
        """Return the share of non-mated pairs at or above `llr`, interpolated within a bin."""
        return float(np.interp(llr, self.edges, self.at_least(self.non_mated)))

    def density(self, counts: Counts) -> Shares:
        """Return the density (bins,) of `counts` (bins,): the share in each bin, per nat."""
        density: Shares = counts / counts.sum() / self.step
        return density

    def reliability(self, bins: int = 10) -> tuple[Counts, Shares, Shares]:
        """Return the pairs, the mean stated probability and the true share of each bin.

        Mated and non-mated pairs are weighted as if there were equally many, which is what the
        probability assumes. Bins without a pair are left out.
        """
        stated = 1 / (1 + np.exp(-(self.edges[:-1] + self.step / 2)))
        place = np.minimum((stated * bins).astype(np.int64), bins - 1)
        mated, non_mated = self.mated / self.mated.sum(), self.non_mated / self.non_mated.sum()
        n = np.bincount(place, self.mated + self.non_mated, bins).astype(np.int64)
        weight = np.bincount(place, mated + non_mated, bins)
        expected = np.bincount(place, (mated + non_mated) * stated, bins)
        true = np.bincount(place, mated, bins)
        some = n > 0
        return n[some], expected[some] / weight[some], true[some] / weight[some]


@dataclass(frozen=True, slots=True, eq=False)
class SearchFigures:
    """The results of searches in galleries of one size."""

    people: int  # in the gallery
    mated: int  # searches whose person is enrolled
    non_mated: int  # searches by strangers, all galleries together
    asked: tuple[float, ...]  # false-positive rates
    reached: tuple[float, ...]  # the rates of non-mated searches, the mean of the galleries
    n: Counts  # (bins,) searches by the shown probability, as many mated as non-mated
    stated: Shares  # (bins,) the sum of those probabilities
    true: Counts  # (bins,) searches in which it was that person

    @property
    def calibration_error(self) -> float:
        """The mean gap between stated probability and true share."""
        return float(np.abs(self.stated - self.true).sum() / self.n.sum())

    def reliability(self) -> tuple[Counts, Shares, Shares]:
        """Return searches, mean stated probability and true share of each bin that has any."""
        some = self.n > 0
        n = self.n[some]
        return n, self.stated[some] / n, self.true[some] / n


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """The content of figures.json."""

    made_from: str
    calibrated_on: bool
    pairs: PairFigures
    searches: tuple[SearchFigures, ...]  # smallest gallery first; () if there were too few people

    def save(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Write them into the model's `folder`, for the files that `manifest` names."""
        stored = asdict(self) | {"figures_version": VERSION, "sha256": manifest["sha256"]}
        text = json.dumps(stored, default=lambda array: array.tolist())
        (folder / FILE).write_text(text + "\n", "utf-8")


def read_figures(folder: Path, manifest: Mapping[str, Any]) -> Figures | None:
    """Return the figures of the model in `folder`; None if it has none.

    Raises ModelError if they cannot be read or belong to other files.
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
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{FILE} of {manifest['name']} cannot be read ({error!r})") from error


def arrays(stored: dict[str, Any]) -> dict[str, Any]:
    """Return stored fields with lists as arrays, but lists of rates as tuples."""
    return {
        key: value
        if not isinstance(value, list)
        else tuple(map(float, value))
        if key in ("asked", "reached")
        else np.array(value)
        for key, value in stored.items()
    }


def check(figures: Figures) -> None:
    """Raise ValueError unless the figures can be drawn."""
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
