"""The default model on people whom nobody trained on, by source, beside SFace and dlib.

    python -m benchmarks.twin [--model NAME] [--json [FILE]]

Three sets of people of `faces/` in the data folder (facesearch/training/faces.py): the 500 of the
split val, nearly all from CelebA; 400 of fiw, families; 200 of twfy, politicians over the years.
In each, 10 random open-set splits: half enrolled by one photo, up to 9 more photos as mated
searches, up to 10 of each of the others as non-mated ones. On these people models are chosen, so
the figures flatter; `benchmarks.lfw` is the test.

- `cosine_`: by the cosine of the search codes; `head_`: by the head on whole templates. Both with
  references of two views and less the gallery's center, one look at each probe. `whole_`: that, and
  a second look near a threshold; `second_look_`: whole less head.
- `head_gain_`: head less cosine. `over_sface_`: the head less SFace's head, `over_sface_whole_`:
  the whole less SFace's whole. `_low` and `_high`:
  where 95 % of 1,000 drawings of people lie (facesearch/evaluation/bootstrap.py).
- Without the name of a set: the mean of the three. `sface_`: the same of SFace. `dlib_`: dlib's
  ResNet by its distance, one photo each (benchmarks/dlib_rival.py), where it is installed.
- `families_fmr`: the share of pairs of relatives above the threshold that 0.01 % of all pairs of
  two people of fiw reach. The index does not tell the families, so it has no value. Yet its numbers
  go through the families one by one: `fiw_neighbours_fmr` is that share of people at most two
  numbers apart, many of whom are kin. By the cosine of whole templates.
- `ms_ENGINE_N`: CPU milliseconds of a crop, N at a time, on one thread, median of turns in turn;
  `ms_vs_sface_...`: as a multiple of SFace's; `ms_vs_sface` is that of OpenCV, 32 at a time.
"""

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import dlib_rival
from benchmarks.lfw import (
    Looks,
    Rows,
    centred_orders,
    dlib_answers,
    embed_by_dlib,
    embed_rows,
    gains,
    strangers_to,
    whole_scores,
)
from benchmarks.report import argument_parser, need, show
from facesearch import Model
from facesearch.engine import ENGINES, engine_for_many, openvino_is_installed
from facesearch.evaluation.bootstrap import Answers, Drawn, draws, rates
from facesearch.evaluation.protocols import random_open_set_splits, read_crops
from facesearch.training.faces import held_out
from facesearch.vectors import Floats

SPLITS = 10
FMR = 1e-4
NEIGHBOURS = 2  # numbers apart; further apart the share falls fast, to none beyond six
BATCHES = (1, 32)
TURNS = 15

Rates = dict[str, Drawn]


class People:
    """The crops of one set, who is on them, and the splits: the same for every model."""

    def __init__(self, folder: Path, name: str, rows: Rows, seed: int) -> None:
        self.folder, self.name, self.rows = folder, name, rows
        numbers = np.array([int(row["identity"]) for row in rows])
        self.person = np.unique(numbers, return_inverse=True)[1]  # (n,) from 0, as the numbers go
        self.splits = random_open_set_splits(self.person, SPLITS)
        self.counts = draws(self.person.max() + 1, seed)  # of each set by itself

    def rates(self, model: Model) -> dict[str, Rates]:
        """Return the rates of `model`: by its search code's cosine, by its head, and as a whole."""
        looks = self.embedded(model)
        each = []
        for split in self.splits:
            strangers = strangers_to(model, split, looks)
            whole = whole_scores(model, strangers, split, looks)
            answers = centred_orders(model, split, looks)
            each.append(answers | {"whole": Answers.of(whole, split.owners)})
        names = {"cosine": "centred_cosine", "head": "centred_head", "whole": "whole"}
        return {
            system: rates([one[name] for one in each], self.splits, self.counts)
            for system, name in names.items()
        }

    def rates_of_dlib(self) -> Rates:
        """Return the rates of dlib's network."""
        embedded = embed_by_dlib(self.folder, self.rows, self.name)
        return rates(dlib_answers(self.splits, embedded), self.splits, self.counts)

    def embedded(self, model: Model) -> Looks:
        """Return the embeddings of the crops."""
        return embed_rows(model, self.folder, self.rows, self.name)


def read_sets(folder: Path) -> list[People]:
    """Return the sets of people whom nobody trained on."""
    with (folder / "index.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return [
        People(folder, name, [row for row in rows if int(row["identity"]) in identities], seed)
        for seed, (name, identities) in enumerate(held_out(rows).items())
    ]


def accuracy(model: Model, sface: Model, sets: Sequence[People]) -> dict[str, float]:
    """Return the rates of both models and what lies between them, by set and in the mean."""
    figures: dict[str, float] = {}
    each: dict[str, list[Rates]] = {}
    for people in sets:
        systems = people.rates(model)
        systems |= {f"sface_{system}": drawn for system, drawn in people.rates(sface).items()}
        if dlib_rival.is_installed():
            systems["dlib"] = people.rates_of_dlib()
        figures |= {f"{people.name}_{n}": f for n, f in compared(systems).items()}
        for system, drawn in systems.items():
            each.setdefault(system, []).append(drawn)
    return compared({system: mean(drawn) for system, drawn in each.items()}) | figures


def mean(drawn: Sequence[Rates]) -> Rates:
    """Return the mean of several sets' rates; their drawings have nothing in common."""
    return {rate: np.mean([one[rate] for one in drawn], axis=0) for rate in drawn[0]}


def compared(systems: Mapping[str, Rates]) -> dict[str, float]:
    """Return each system's rates as measured, and the differences with their intervals."""
    figures = {
        f"{system}_{rate}": float(drawn[0])
        for system, its in systems.items()
        for rate, drawn in its.items()
    }
    figures |= gains("head_gain", systems["head"], systems["cosine"])
    figures |= gains("sface_head_gain", systems["sface_head"], systems["sface_cosine"])
    figures |= gains("over_sface_whole", systems["whole"], systems["sface_whole"])
    figures |= gains("second_look", systems["whole"], systems["head"])
    figures |= gains("sface_second_look", systems["sface_whole"], systems["sface_head"])
    return figures | gains("over_sface", systems["head"], systems["sface_head"])


def neighbours_fmr(people: People, templates: Floats) -> float:
    """Return the share of the pairs of two neighbors above the threshold that is FMR for all."""
    first, second = np.triu_indices(len(templates), 1)
    apart = np.abs(people.person[first] - people.person[second])
    cosines = (templates @ templates.T)[first, second]
    threshold = np.quantile(cosines[apart > 0], 1 - FMR)
    return float((cosines[(apart > 0) & (apart <= NEIGHBOURS)] > threshold).mean())


def speed(model: Model, sface: Model, crops: NDArray[np.uint8]) -> dict[str, float]:
    """Return the CPU milliseconds a crop of both models, and their ratio, by engine and batch."""
    figures: dict[str, float] = {}
    for engine in ENGINES:
        if engine == "openvino" and not openvino_is_installed():
            continue
        models = [Model.load(m.folder, engine=engine) for m in (model, sface)]
        for batch in BATCHES:
            ours, theirs = interleaved_ms(models, crops[:batch])
            figures[f"ms_{engine}_{batch}"] = ours
            figures[f"sface_ms_{engine}_{batch}"] = theirs
            figures[f"ms_vs_sface_{engine}_{batch}"] = ours / theirs
    return {"ms_vs_sface": figures["ms_vs_sface_opencv_32"]} | figures


def interleaved_ms(models: Sequence[Model], crops: NDArray[np.uint8]) -> list[float]:
    """Return the median CPU milliseconds a crop that each model takes, in turns, on one thread."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # OpenVINO gives one request one core of itself
    took: list[list[float]] = [[] for _ in models]
    for turn in range(1 + TURNS):
        for model, times in zip(models, took, strict=True):
            start = time.process_time()
            model.embed(crops)
            if turn:  # the first makes the engine
                times.append(1000 * (time.process_time() - start) / len(crops))
    cv2.setNumThreads(threads)
    return [float(np.median(times)) for times in took]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", default="default", help="name or folder")
    arguments = parser.parse_args()
    folder = need(arguments.data / "faces")
    engine = engine_for_many()
    model, sface = (Model.load(name, engine=engine) for name in (arguments.model, "sface"))
    sets = read_sets(folder)
    figures: dict[str, float | None] = {**accuracy(model, sface, sets), "families_fmr": None}
    for people in sets:
        if people.name == "fiw":
            figures["fiw_neighbours_fmr"] = neighbours_fmr(people, people.embedded(model).once)
            figures["sface_fiw_neighbours_fmr"] = neighbours_fmr(
                people, people.embedded(sface).once
            )
    figures |= speed(model, sface, read_crops(folder, sets[0].rows[: max(BATCHES)]))
    show(
        {name: None if f is None else round(f, 5) for name, f in figures.items()},
        f"{model.name} on people nobody trained on; fractions, milliseconds; mean of 10 splits",
        as_json=arguments.json,
    )


if __name__ == "__main__":
    main()
