"""Choose the constants of duplicates.judge and review.clusters, on development faces.

    python -m benchmarks.dedupe_tuning [--json]

Crops of `faces/` in the data folder, of people on whom the model was not calibrated: never LFW.
Each set is there whole, and thinned out as LFW is: of seven people in ten one photo is left.

- People, source by source: the model's evidence is replaced by what mates score in all other
  sources, and the gallery is of the one that is left out. So it shows what reading the gallery's
  own mates is worth where they differ, for several MATES_WEIGHT; `never` does not read them.
- Camps of people who are one: how much less alike they are than two photos, for CAMPS_LOWER_Z.
- Groups of the unnamed, all sources but the family albums (relatives): ours, and DBSCAN and HDBSCAN
  if scikit-learn is installed, each with the setting that is best by the mean BCubed F over both.
"""

import csv
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.dedupe_people import (
    Ids,
    enrolled_as,
    grouping,
    judge_with,
    labelled,
    parted,
    twice,
    two,
)
from benchmarks.lfw import embed_rows
from benchmarks.report import need, parse_arguments, show
from facesearch import Model
from facesearch.duplicates import judge as judge_module
from facesearch.duplicates.judge import Doubles, Enrolled, Judge, Mates, judge_of, mated_scores
from facesearch.duplicates.two_people import camps_of_everyone
from facesearch.engine import engine_for_many
from facesearch.openset import Evidence, fit_strangers
from facesearch.review import clusters
from facesearch.vectors import Floats

SOURCES = {
    "celebrities": {"celeba_crop"},
    "celebrities, small": {"celeba_half"},
    "celebrities, in the wild": {"celeba_wild"},
    "families": {"fiw"},
    "politicians": {"twfy"},
    "actors": {"bolly100", "bolly34"},
}
EVERY = {"celeba_crop", "celeba_half"}  # of their people one in four is plenty
SEEDS = range(3)
WEIGHTS = (5.0, 10.0, 30.0, 100.0)
NEVER = 1e9
FIGURES = ("people_ece", "people_wrong_per_1000_at_50pct", "people_wrong_told_per_1000_at_50pct")
TWO_FIGURES = ("two_ece", "two_found_at_1_per_1000", "two_wrong_per_1000_at_50pct")


def read_development(model: Model, folder: Path) -> tuple[Ids, Ids, Floats, Floats]:
    """Return person (n,), source (n,), embedding (n, dim) and that as a reference."""
    with (folder / "index.csv").open() as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["split"] in ("train", "val")
            and int(row["identity"]) % 4 != 0  # these have calibrated the model
            and (row["source"] not in EVERY or int(row["identity"]) % 4 == 1)
        ]
    numbers = np.array([int(row["identity"]) for row in rows], np.int64)
    sources = np.array([row["source"] for row in rows])
    looks = embed_rows(model, folder, rows, "development")
    return numbers, sources, looks.once, looks.references


def thinned(numbers: Ids, seed: int) -> Ids:
    """Return the rows that stay if of seven people in ten one photo is left."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(numbers))
    first = order[np.unique(numbers[order], return_index=True)[1]]
    several = np.isin(numbers, np.unique(numbers)[rng.random(len(first)) < 0.3])
    return np.union1d(first, np.flatnonzero(several))


def as_evidence(mates: Mates) -> Evidence:
    """Return the evidence that has strangers' scores and those of `mates` as two normals."""
    variance = mates.std**2
    offset = -(mates.mean**2) / 2 / variance - float(np.log(mates.std))
    return Evidence(offset, mates.mean / variance, 0.5 - 0.5 / variance, -8.0, 14.0)


def scores_of_mates(model: Model, numbers: Ids, templates: Floats) -> Doubles:
    """Return the standard scores (m,) of two photos of as many people, in a gallery of them all."""
    enrolled = enrolled_as(numbers, templates)
    return mated_scores(enrolled, judge_with(model, enrolled))


def camps_below(model: Model, numbers: Ids, templates: Floats) -> float:
    """Return how much less alike the camps of people are than two of their photos, as medians."""
    enrolled = enrolled_as(numbers, templates)
    judged = judge_with(model, enrolled)
    camps = camps_of_everyone(enrolled, judged)
    single = judged.single_photo_scores(camps.z, *camps.sizes)
    return float(np.median(mated_scores(enrolled, judged)) - np.median(single))


def tune_people(model: Model, numbers: Ids, sources: Ids, templates: Floats) -> dict[str, float]:
    """Return the figures of people twice and two in one, by source, way and weight."""
    of_source = {name: np.isin(sources, list(those)) for name, those in SOURCES.items()}
    mates = {n: scores_of_mates(model, numbers[k], templates[k]) for n, k in of_source.items()}
    figures: dict[str, float] = {}
    each: dict[str, list[float]] = {}
    for source, kept in of_source.items():
        others = np.concatenate([mates[other] for other in mates if other != source])
        evidence = as_evidence(Mates(float(others.mean()), float(others.std())))
        figures[f"{source}: mates"] = float(np.median(mates[source]))
        figures[f"{source}: camps lower by"] = camps_below(model, numbers[kept], templates[kept])

        def judged(enrolled: Enrolled, evidence: Evidence = evidence) -> Judge:
            return judge_of(enrolled, model.head, evidence, model.cohort)

        whose = np.unique(numbers[kept], return_inverse=True)[1].astype(np.int64)
        for way, weight in product(("whole", "thin"), (*WEIGHTS, NEVER)):
            judge_module.MATES_WEIGHT = weight
            print(f"{source}, {way}, {weight:g}", file=sys.stderr)
            draws = []
            for seed in SEEDS:
                rows = thinned(whose, seed) if way == "thin" else np.arange(len(whose))
                shown = templates[kept][rows]
                draw, _ = twice(judged, *parted(whose[rows], 2, seed), shown)
                draws.append(draw | two(judged, whose[rows], shown, seed))
            label = "never" if weight == NEVER else f"{weight:g}"
            for name in (*FIGURES, *TWO_FIGURES):
                mean = float(np.mean([draw[name] for draw in draws]))
                figures[f"{source}, {way}, weight {label}: {name}"] = mean
                each.setdefault(f"all, weight {label}: {name}", []).append(mean)
    return figures | {name: float(np.mean(means)) for name, means in each.items()}


def tune_groups(model: Model, numbers: Ids, faces: Floats) -> dict[str, float]:
    """Return the mean BCubed F over the whole set and the thin one, by method and setting."""
    nobody = fit_strangers(faces[:0], 0, model.cohort)
    sets = [np.arange(len(numbers)), thinned(numbers, 0)]
    figures: dict[str, float] = {}

    def measure(name: str, method: Callable[[Floats], Ids]) -> None:
        scores = [grouping(method(faces[rows]), numbers[rows])["bcubed_f"] for rows in sets]
        figures[name] = float(np.mean(scores))
        print(f"{name}: {figures[name]:.4f}", file=sys.stderr)

    for share, least in product((0.1, 0.03, 0.01), (2.75, 3.0, 3.25)):
        clusters.STRANGERS_AS_ALIKE, clusters.LEAST_Z = share, least
        measure(
            f"ours, {share} as alike, least z {least}",
            lambda rows: clusters.average_linkage(
                nobody.centred(rows), np.arange(len(rows)), nobody
            ),
        )
    if find_spec("sklearn") is None:
        print("scikit-learn is not installed: no DBSCAN, no HDBSCAN", file=sys.stderr)
        return figures
    rivals = import_module("sklearn.cluster")
    for centred, fewest, distance in product((False, True), (2, 3), np.arange(0.44, 0.60, 0.02)):
        dbscan = rivals.DBSCAN(eps=(2 * distance) ** 0.5, min_samples=fewest)
        measure(
            f"DBSCAN, {'centred' if centred else 'raw'}, {fewest} faces, distance {distance:.2f}",
            lambda rows, c=centred, d=dbscan: labelled(  # type: ignore[misc]
                d.fit_predict(nobody.centred(rows) if c else rows)
            ),
        )
    for smallest, fewest in ((2, 1), (2, 2), (3, 2)):
        hdbscan = rivals.HDBSCAN(min_cluster_size=smallest, min_samples=fewest, copy=True)
        measure(
            f"HDBSCAN, centred, groups of {smallest}, {fewest} faces",
            lambda rows, h=hdbscan: labelled(h.fit_predict(nobody.centred(rows))),  # type: ignore[misc]
        )
    return figures


def main() -> None:
    arguments = parse_arguments(__doc__)
    folder = need(arguments.data / "faces")
    model = Model.load("default", engine=engine_for_many())
    numbers, sources, once, references = read_development(model, folder)
    figures = tune_people(model, numbers, sources, references)
    others = sources != "fiw"
    figures |= tune_groups(model, numbers[others], once[others])
    show(
        {name: round(figure, 4) for name, figure in figures.items()},
        "development faces; mean over 3 draws of people",
        as_json=arguments.json,
    )


if __name__ == "__main__":
    main()
