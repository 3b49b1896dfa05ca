"""Choose the constants of duplicates.judge and review.clusters, on development faces.

    python -m benchmarks.dedupe_tuning [--json]

Crops of `faces/` in the data folder, of people the model was not calibrated on; never LFW. Each set
is used whole, and thinned out as LFW is: seven people in ten keep one photo.

- People, source by source: the model's evidence is replaced by the scores of mates in all other
  sources, and the gallery is of the source left out. This shows what measuring mates in the gallery
  is worth where they differ, for several MATES_WEIGHT; `never` does not measure them.
- Camps of one person: how much less alike they are than two photos, for CAMPS_LOWER_Z.
- Unnamed groups, all sources except the family albums (relatives): ours, and DBSCAN and HDBSCAN if
  scikit-learn is installed, each with the setting that is best by the mean BCubed F over both sets.
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
    measure_twice,
    measure_two_in_one,
    split_in_two,
    with_own_labels,
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
EVERY = {"celeba_crop", "celeba_half"}  # one in four of their people is plenty
SEEDS = range(3)
WEIGHTS = (5.0, 10.0, 30.0, 100.0)
NEVER = 1e9
FIGURES = ("people_ece", "people_wrong_per_1000_at_50pct", "people_wrong_told_per_1000_at_50pct")
TWO_FIGURES = ("two_ece", "two_found_at_1_per_1000", "two_wrong_per_1000_at_50pct")


def read_development(model: Model, folder: Path) -> tuple[Ids, Ids, Floats, Floats]:
    """Return person (n,), source (n,), embedding and reference template (n, dim) of each face."""
    with (folder / "index.csv").open() as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["split"] in ("train", "val")
            and int(row["identity"]) % 4 != 0  # the model was calibrated on these
            and (row["source"] not in EVERY or int(row["identity"]) % 4 == 1)
        ]
    numbers = np.array([int(row["identity"]) for row in rows], np.int64)
    sources = np.array([row["source"] for row in rows])
    looks = embed_rows(model, folder, rows, "development")
    return numbers, sources, looks.once, looks.references


def thinned(numbers: Ids, seed: int) -> Ids:
    """Return the rows that stay if seven people in ten keep one photo."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(numbers))
    first = order[np.unique(numbers[order], return_index=True)[1]]
    several = np.isin(numbers, np.unique(numbers)[rng.random(len(first)) < 0.3])
    return np.union1d(first, np.flatnonzero(several))


def as_evidence(mates: Mates) -> Evidence:
    """Return the evidence in which strangers' and mates' scores are two normals."""
    variance = mates.std**2
    offset = -(mates.mean**2) / 2 / variance - float(np.log(mates.std))
    return Evidence(offset, mates.mean / variance, 0.5 - 0.5 / variance, -8.0, 14.0)


def scores_of_mates(model: Model, numbers: Ids, templates: Floats) -> Doubles:
    """Return the standard scores (m,) of two photos of one person, in a gallery of all people."""
    enrolled = enrolled_as(numbers, templates)
    return mated_scores(enrolled, judge_with(model, enrolled))


def camps_below(model: Model, numbers: Ids, templates: Floats) -> float:
    """Return how much lower camps of one person score than two photos, by their medians."""
    enrolled = enrolled_as(numbers, templates)
    judged = judge_with(model, enrolled)
    camps = camps_of_everyone(enrolled, judged)
    single = judged.single_photo_scores(camps.z, *camps.sizes)
    return float(np.median(mated_scores(enrolled, judged)) - np.median(single))


def tune_people(model: Model, numbers: Ids, sources: Ids, templates: Floats) -> dict[str, float]:
    """Return the figures of `twice` and `two in one`, by source, set and weight."""
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
                draw, _ = measure_twice(judged, *split_in_two(whose[rows], 2, seed), shown)
                draws.append(draw | measure_two_in_one(judged, whose[rows], shown, seed))
            label = "never" if weight == NEVER else f"{weight:g}"
            for name in (*FIGURES, *TWO_FIGURES):
                mean = float(np.mean([draw[name] for draw in draws]))
                figures[f"{source}, {way}, weight {label}: {name}"] = mean
                each.setdefault(f"all, weight {label}: {name}", []).append(mean)
    return figures | {name: float(np.mean(means)) for name, means in each.items()}


def tune_groups(model: Model, numbers: Ids, faces: Floats) -> dict[str, float]:
    """Return the mean BCubed F of the whole and the thinned set, by method and setting."""
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
                nobody.centered(rows), np.arange(len(rows)), nobody
            ),
        )
    if find_spec("sklearn") is None:
        print("scikit-learn is not installed: no DBSCAN, no HDBSCAN", file=sys.stderr)
        return figures
    rivals = import_module("sklearn.cluster")
    for centered, fewest, distance in product((False, True), (2, 3), np.arange(0.44, 0.60, 0.02)):
        dbscan = rivals.DBSCAN(eps=(2 * distance) ** 0.5, min_samples=fewest)
        measure(
            f"DBSCAN, {'centred' if centered else 'raw'}, {fewest} faces, distance {distance:.2f}",
            lambda rows, c=centered, d=dbscan: with_own_labels(  # type: ignore[misc]
                d.fit_predict(nobody.centered(rows) if c else rows)
            ),
        )
    for smallest, fewest in ((2, 1), (2, 2), (3, 2)):
        hdbscan = rivals.HDBSCAN(min_cluster_size=smallest, min_samples=fewest, copy=True)
        measure(
            f"HDBSCAN, centred, groups of {smallest}, {fewest} faces",
            lambda rows, h=hdbscan: with_own_labels(h.fit_predict(nobody.centered(rows))),  # type: ignore[misc]
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
