"""People enrolled twice, names that hold two people, unnamed groups: on LFW, and at 100,000 faces.

    python -m benchmarks.dedupe_people [--json]

Crops of `lfw/` in the data folder, aligned, labels with the errata applied: 13,226 faces of 5,724
people. LFW is a test set: nothing was trained or chosen on it. People are enrolled with all their
photos, with templates as a gallery holds them.

- Twice: half of the people with four photos or more are split into two names, at a random place.
  Wrong pairs with a probability of 99% or more are printed: LFW's labels are taken as they are. Of
  the four, one is one person by eye (Harold Scott and Jeff Roehm), three are twin sisters (Olsen,
  Mowry, Moraes) whose faces do not differ.
- Two in one: a tenth of the people with two photos or more get the name of another person.
- The same face: edited copies of development faces (`faces/`), and the pairs of LFW that are called
  copies.
- Unnamed: all faces are grouped, nobody is enrolled. Beside it DBSCAN and HDBSCAN of scikit-learn,
  if installed, with the settings that were best for them on development faces
  (benchmarks.dedupe_tuning).
- 100,000 faces: LFW's and synthetic ones with the means and covariances of LFW's, between people
  and within, and as many photos per person; scores of both are printed for comparison.
"""

import csv
import io
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.lfw import embed_all
from benchmarks.report import need, parse_arguments, show
from facesearch import Model
from facesearch.duplicates.judge import COPY_COSINE, Enrolled, Judge, judge_of, sum_by_person
from facesearch.duplicates.same_face import same_faces
from facesearch.duplicates.same_person import expected_wrong, probability_for, same_people
from facesearch.duplicates.two_people import two_in_one
from facesearch.engine import engine_for_many
from facesearch.evaluation.metrics import expected_calibration_error
from facesearch.evaluation.protocols import read_crops
from facesearch.identification import REFERENCE_VIEWS, look_again
from facesearch.openset import fit_strangers
from facesearch.review.clusters import group_faces
from facesearch.vectors import Floats, unit
from facesearch_indexes.faiss_index import FaissIndex

Ids = NDArray[np.int64]
Crop = NDArray[np.uint8]

SEEDS = range(5)
PHOTOS_TO_SPLIT = 4  # of people who are split into two names
THRESHOLDS = (0.5, 0.9, 0.99)
SECOND = 1_000_000  # added to a person's id for the second name
TEMPLATES_AT_SCALE = 100_000
NEW = 1000  # of them, for the search of new templates alone
COPIES = 200  # faces that are copied
# The best on 11,005 development faces, among cosine distances from .44 to .65, two or three faces
# in a neighborhood, raw and centered templates
DBSCAN_DISTANCE, DBSCAN_FACES = 0.54, 2
IMMICH_DISTANCE, IMMICH_FACES = 0.5, 3  # what Immich ships, for another model


def read_lfw(model: Model, folder: Path) -> tuple[list[str], Ids, Floats, Floats]:
    """Return names, and each face's person (n,), embedding (n, dim) and reference (n, dim)."""
    place, looks = embed_all(model, folder)
    numbers: dict[str, int] = {}
    rows, people = [], []
    with (folder / "identities.csv").open() as stream:
        for row in csv.DictReader(stream):
            if row["use"] == "yes":
                rows.append(place[row["image"]])
                people.append(numbers.setdefault(row["person"], len(numbers)))
    return list(numbers), np.array(people, np.int64), looks.once[rows], looks.references[rows]


def enrolled_as(people: Ids, templates: Floats) -> Enrolled:
    """Return a gallery in which template i is of `people[i]`, alone in photo i."""
    return Enrolled(np.arange(len(people)), people, templates, np.arange(len(people)))


def judge_with(model: Model, enrolled: Enrolled) -> Judge:
    """Return the judge that `model` makes of people `enrolled`."""
    return judge_of(enrolled, model.head, model.evidence, model.cohort)


def found_at(scores: NDArray[Any], true: NDArray[np.bool_], cases: int, wrong: float) -> float:
    """Return the share of `cases` found at the lowest threshold with at most `wrong` wrong ones.

    `true` (n,) says which proposals, with `scores` (n,), are right. In a tie the wrong come first.
    """
    order = np.lexsort((true, -scores))
    accepted = np.cumsum(~true[order]) <= wrong
    return float(true[order][accepted].sum() / cases)


def calibration_error(probabilities: NDArray[Any], true: NDArray[np.bool_]) -> float:
    """Return the ECE of proposals, 0 if there are none."""
    if len(probabilities) == 0:
        return 0.0
    return expected_calibration_error(probabilities, true, np.ones(len(probabilities)))


def split_in_two(people: Ids, fewest: int, seed: int) -> tuple[Ids, int]:
    """Return `people` (n,) with half of those with `fewest` photos split, and how many these are.

    A random part of such a person's photos gets a second name.
    """
    rng = np.random.default_rng(seed)
    several = rng.permutation(np.flatnonzero(np.bincount(people) >= fewest))
    names = people.copy()
    for person in several[: len(several) // 2]:
        rows = rng.permutation(np.flatnonzero(people == person))
        names[rows[rng.integers(1, len(rows)) :]] += SECOND
    return names, len(several) // 2


def measure_twice(
    judged: Callable[[Enrolled], Judge], names: Ids, n_split: int, templates: Floats
) -> tuple[dict[str, float], dict[tuple[int, int], float]]:
    """Return how well people under two `names` (n,) are found, and the most certain wrong pairs."""
    enrolled = enrolled_as(names, templates)
    found = same_people(enrolled, judged(enrolled), at_least=0.0)
    ids = np.array([pair.people for pair in found.pairs])
    p = np.array([pair.probability for pair in found.pairs])
    true: NDArray[np.bool_] = np.equal(ids[:, 0], ids[:, 1] % SECOND)
    summed = sum_by_person(enrolled)
    means, places = unit(summed.sums), np.searchsorted(summed.ids, ids)
    cosines = (means[places[:, 0]] * means[places[:, 1]]).sum(1)
    thousands = found.n_people / 1000
    figures = {
        "people_found_at_1_per_1000": found_at(p, true, n_split, thousands),
        "people_found_at_1_per_1000_cosine": found_at(cosines, true, n_split, thousands),
        "people_candidates_found": float(true.sum() / n_split),
        "people_share_parted": 2 * n_split / found.n_people,
        "people_share_estimated": found.share,
    }
    at_1_per_1000 = probability_for(p.tolist(), thousands)
    for name, least in {
        **{f"at_{round(100 * t)}pct": t for t in THRESHOLDS},
        "where_1_per_1000_is_told": at_1_per_1000,
    }.items():
        proposed = p >= least
        figures |= {
            f"people_found_{name}": float(true[proposed].sum() / n_split),
            f"people_wrong_per_1000_{name}": float((~true[proposed]).sum() / thousands),
            f"people_wrong_told_per_1000_{name}": expected_wrong(p.tolist(), least) / thousands,
        }
    proposed = p >= THRESHOLDS[0]
    figures["people_ece"] = calibration_error(p[proposed], true[proposed])
    certain = np.flatnonzero(~true & (p >= THRESHOLDS[-1]))
    pairs = (ids[certain] % SECOND).tolist()
    return figures, {
        (min(a, b), max(a, b)): pair
        for (a, b), pair in zip(pairs, p[certain].tolist(), strict=True)
    }


def measure_two_in_one(
    judged: Callable[[Enrolled], Judge], people: Ids, templates: Floats, seed: int
) -> dict[str, float]:
    """Return how well names that hold two people are found, in one random draw."""
    rng = np.random.default_rng(seed)
    several = rng.permutation(np.flatnonzero(np.bincount(people) >= 2))
    mixed, guests = np.split(several[: len(several) // 10 * 2], 2)
    host = np.arange(people.max() + 1)
    host[guests] = mixed
    enrolled = enrolled_as(host[people], templates)
    found = two_in_one(enrolled, judged(enrolled), at_least=0.0)
    p = np.array([case.probability for case in found])
    true = np.isin(np.array([case.person for case in found]), mixed)
    whole = np.array(
        [all(len({int(people[i]) for i in camp}) == 1 for camp in case.camps) for case in found]
    )
    thousands = len(np.unique(enrolled.people)) / 1000
    proposed = p >= THRESHOLDS[0]
    return {
        "two_found_at_1_per_1000": found_at(p, true, len(mixed), thousands),
        "two_found_at_50pct": float(true[proposed].sum() / len(mixed)),
        "two_wrong_per_1000_at_50pct": float((~true[proposed]).sum() / thousands),
        "two_wrong_told_per_1000_at_50pct": expected_wrong(p.tolist(), 0.5) / thousands,
        "two_ece": calibration_error(p[proposed], true[proposed]),
        "two_camps_right": float(whole[proposed & true].mean()),
    }


def measure_copies(people: Ids, templates: Floats) -> dict[str, float]:
    """Return how many pairs are called copies of one picture among faces that were not copied.

    Those of one person may be copies nevertheless: some photos are in LFW twice.
    """
    found = same_faces(enrolled_as(people, templates))
    of_one = sum(face.people[0] == face.people[1] for face in found)
    photos = np.bincount(people).astype(float)
    return {
        "faces_called_same_of_one_person": float(of_one),
        "faces_called_same_of_two_people": float(len(found) - of_one),
        "faces_pairs_of_one_person": float((photos * (photos - 1) / 2).sum()),
    }


def jpeg(crop: Crop, quality: int) -> Crop:
    """Return `crop` (side, side, 3) after JPEG compression."""
    stream = io.BytesIO()
    Image.fromarray(crop).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def resized(crop: Crop, scale: float) -> Crop:
    """Return `crop` (side, side, 3) made smaller and enlarged again."""
    side = len(crop)
    small = cv2.resize(crop, (round(scale * side),) * 2, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def aligned_again(crop: Crop, rng: np.random.Generator) -> Crop:
    """Return `crop` (side, side, 3) as slightly shifted landmarks would cut it."""
    side = len(crop)
    place = cv2.getRotationMatrix2D(
        (side / 2, side / 2), rng.normal(0, 0.8), 1 + rng.normal(0, 0.012)
    )
    place = place + np.array([[0, 0, rng.normal(0, 0.6)], [0, 0, rng.normal(0, 0.6)]])
    moved = cv2.warpAffine(crop, place, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, np.uint8)


def measure_edited_copies(model: Model, folder: Path) -> dict[str, float]:
    """Return the share of copies of a face that is found, by edit, on development people.

    Also how often two of their photos are called copies.
    """
    rng = np.random.default_rng(0)
    with (folder / "index.csv").open() as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["split"] == "val" and int(row["identity"]) % 4 == 0
        ]
    crops = read_crops(folder, rows)
    people = np.array([int(row["identity"]) for row in rows], np.int64)

    def templates(of: NDArray[np.uint8]) -> Floats:
        return look_again(model, of, model.embed(of), REFERENCE_VIEWS)

    edits: dict[str, Callable[[Crop], Crop]] = {
        "jpeg_90": lambda crop: jpeg(crop, 90),
        "jpeg_50": lambda crop: jpeg(crop, 50),
        "half_size": lambda crop: resized(crop, 0.5),
        "aligned_again": lambda crop: aligned_again(crop, rng),
        "aligned_again_jpeg_75": lambda crop: jpeg(aligned_again(crop, rng), 75),
    }
    originals = templates(crops)
    unedited = measure_copies(people, originals)
    chosen = rng.permutation(len(crops))[:COPIES]
    figures = {f"development_{name}": figure for name, figure in unedited.items()}
    for name, edit in edits.items():
        edited = templates(np.stack([edit(crop) for crop in crops[chosen]]))
        alike = (edited * originals[chosen]).sum(1)
        figures[f"faces_found_{name}"] = float((alike >= COPY_COSINE).mean())
    return figures


def grouping(labels: Ids, people: Ids) -> dict[str, float]:
    """Return how good the groups `labels` (n,) of faces of `people` (n,) are.

    BCubed after Bagga and Baldwin (1998): a face's precision is the share of its group that is its
    person's, its recall the share of its person that is in its group. `wrong_merges` counts the
    people beyond the first in every group.
    """
    labels, people = (
        np.unique(x, return_inverse=True)[1].astype(np.int64) for x in (labels, people)
    )
    _, cell, shared = np.unique(
        labels * (people.max() + 1) + people, return_inverse=True, return_counts=True
    )
    in_group, of_person = np.bincount(labels), np.bincount(people)
    precision = float((shared[cell] / in_group[labels]).mean())
    recall = float((shared[cell] / of_person[people]).mean())
    pairs_right, pairs_said, pairs_true = (
        float((x * (x - 1) / 2).sum()) for x in (shared, in_group, of_person)
    )
    return {
        "bcubed_f": 2 * precision * recall / (precision + recall),
        "bcubed_precision": precision,
        "bcubed_recall": recall,
        "pairwise_f": 2 * pairs_right / max(pairs_said + pairs_true, 1),
        "wrong_merges": float(len(shared) - len(in_group)),
    }


def with_own_labels(labels: Ids) -> Ids:
    """Return `labels` (n,) with each label below 0, noise, as a group of its own."""
    alone = labels < 0
    return np.where(alone, labels.max() + np.cumsum(alone), labels)


def measure_groups(model: Model, people: Ids, faces: Floats) -> dict[str, float]:
    """Return how well unnamed faces are grouped, by us and by rivals."""
    nobody = fit_strangers(faces[:0], 0, model.cohort)
    figures: dict[str, float] = {}

    def measure(suffix: str, work: Callable[[], Ids]) -> None:
        start = process_time()
        labels = work()
        seconds = process_time() - start
        found = grouping(with_own_labels(labels), people)
        figures.update({f"{k}{suffix}": v for k, v in found.items()})
        figures[f"cluster_cpu_s{suffix}"] = seconds

    def ours() -> Ids:
        labels, rows = np.zeros(len(faces), np.int64), np.arange(len(faces))  # one face a photo
        for number, group in enumerate(group_faces(rows, faces, rows, model.cohort)):
            labels[list(group)] = number
        return labels

    measure("", ours)
    if find_spec("sklearn") is None:
        print("scikit-learn is not installed: no DBSCAN, no HDBSCAN", file=sys.stderr)
        return figures
    rivals = import_module("sklearn.cluster")
    centered = nobody.centered(faces)

    def dbscan(rows: Floats, distance: float, least: int) -> Ids:
        euclidean = (2 * distance) ** 0.5  # of unit rows whose cosine is 1 - distance
        return np.array(rivals.DBSCAN(eps=euclidean, min_samples=least).fit_predict(rows))

    measure("_dbscan", lambda: dbscan(centered, DBSCAN_DISTANCE, DBSCAN_FACES))
    measure("_dbscan_immich", lambda: dbscan(faces, IMMICH_DISTANCE, IMMICH_FACES))
    hdbscan = rivals.HDBSCAN(min_cluster_size=2, min_samples=1, copy=True)
    measure("_hdbscan", lambda: np.array(hdbscan.fit_predict(centered)))
    return figures


def extended(people: Ids, templates: Floats, count: int) -> tuple[Ids, Floats]:
    """Return the people (count,) of templates (count, dim): the given ones, then synthetic ones.

    A synthetic person is a normal draw from the covariance between people, a photo one from the
    covariance within; numbers of photos are drawn from those of the real people.
    """
    rng = np.random.default_rng(0)
    photos = np.bincount(people)
    means = sum_by_person(enrolled_as(people, templates)).sums / photos[:, None]
    several = photos[people] > 1
    within = np.cov((templates - means[people])[several].T)
    within *= several.sum() / (
        several.sum() - (photos > 1).sum()
    )  # the means were fitted to the same photos
    between = np.cov(means.T) - within * (1 / photos).mean()
    values, axes = np.linalg.eigh(between)
    spread = axes * np.sqrt(np.maximum(values, 0))
    noise = np.linalg.cholesky(within + 1e-9 * np.eye(len(within)))
    numbers = np.repeat(np.arange(count), photos[rng.integers(len(photos), size=count)])
    numbers = numbers[: count - len(people)]
    centers = means.mean(0) + rng.normal(size=(numbers[-1] + 1, len(spread))) @ spread.T
    rows = centers[numbers] + rng.normal(size=(len(numbers), len(noise))) @ noise.T
    return (
        np.concatenate([people, len(photos) + numbers]),
        np.concatenate([templates, unit(rows.astype(np.float32))]),
    )


def standard_scores(model: Model, people: Ids, templates: Floats) -> dict[str, float]:
    """Return the distribution of standard scores of one person's and of two people's photos."""
    rng = np.random.default_rng(0)
    strangers = judge_with(model, enrolled_as(people, templates)).strangers
    centered = strangers.centered(templates)
    order = np.argsort(people, kind="stable")
    nexts = np.stack([order[:-1], order[1:]])
    one = nexts[:, people[nexts[0]] == people[nexts[1]]]
    other = rng.integers(len(people), size=(2, 200_000))
    other = other[:, people[other[0]] != people[other[1]]]
    z = {
        kind: strangers.standard((centered[a] * centered[b]).sum(1))
        for kind, (a, b) in (("mated", one), ("stranger", other))
    }
    return {
        f"{kind}_z_{name}": float(f(values))
        for kind, values in z.items()
        for name, f in (
            ("mean", np.mean),
            ("std", np.std),
            ("1_of_1000", lambda v: np.quantile(v, 0.999)),
        )
    }


def all_pairs(people: Ids, templates: Floats) -> dict[str, float]:
    """Return what the proposals for a whole gallery cost; run in its own process."""
    import resource  # not on Windows

    model = Model.load("default")
    enrolled = enrolled_as(people, templates)
    judges = judge_with(model, enrolled)
    start, cpu = perf_counter(), process_time()
    found = same_people(enrolled, judges)
    seconds, cpu = perf_counter() - start, process_time() - cpu
    index = FaissIndex.build(enrolled.ids, enrolled.templates)  # a gallery has one
    start = perf_counter()
    same_people(enrolled, judges, new=range(len(people) - NEW, len(people)), index=index)
    return {
        "all_pairs_100k_s": seconds,
        "all_pairs_100k_cpu_s": cpu,
        "new_1000_at_100k_s": perf_counter() - start,
        "all_pairs_100k_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "all_pairs_100k_people": float(found.n_people),
        "all_pairs_100k_proposed": float(len(found.pairs)),
    }


def measure_scale(model: Model, people: Ids, templates: Floats) -> dict[str, float]:
    """Return the cost at 100,000 templates, and the scores of real and synthetic ones."""
    many, rows = extended(people, templates, TEMPLATES_AT_SCALE)
    synthetic = slice(len(people), None)
    figures = {
        f"{kind}_{name}": figure
        for kind, (whose, those) in {
            "real": (people, templates),
            "synthetic": (many[synthetic], rows[synthetic]),
        }.items()
        for name, figure in standard_scores(model, whose, those).items()
    }
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return figures | pool.submit(all_pairs, many, rows).result()


def averaged(draws: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each figure over `draws`, and the deviation of the goal figures."""
    figures = {name: float(np.mean([draw[name] for draw in draws])) for name in draws[0]}
    for name in draws[0]:
        if "1_per_1000" in name and "found" in name:
            figures[f"{name}_std"] = float(np.std([draw[name] for draw in draws]))
    return figures


def figures_of(
    model: Model, names: list[str], people: Ids, once: Floats, references: Floats
) -> dict[str, float]:
    """Return the figures for faces of `people` (n,), numbers of `names`."""
    wrong: dict[tuple[int, int], float] = {}

    def judged(enrolled: Enrolled) -> Judge:
        return judge_with(model, enrolled)

    draws = []
    for seed in SEEDS:
        figures, certain = measure_twice(
            judged, *split_in_two(people, PHOTOS_TO_SPLIT, seed), references
        )
        draws.append(figures)
        wrong |= certain
    for (a, b), p in sorted(wrong.items(), key=lambda case: -case[1]):
        print(f"called one person at {p:.4f}: {names[a]}, {names[b]}", file=sys.stderr)
    return {
        **averaged(draws),
        **averaged([measure_two_in_one(judged, people, references, seed) for seed in SEEDS]),
        **measure_copies(people, references),
        **measure_groups(model, people, once),
        **measure_scale(model, people, references),
    }


def people(data: Path) -> dict[str, float]:
    """Return every figure of this benchmark."""
    model = Model.load("default", engine=engine_for_many())
    figures = figures_of(model, *read_lfw(model, need(data / "lfw")))
    figures |= measure_edited_copies(model, need(data / "faces"))
    return {name: round(figure, 5) for name, figure in figures.items()}


def main() -> None:
    arguments = parse_arguments(__doc__)
    show(
        people(need(arguments.data)),
        "LFW, aligned crops; fractions; mean over 5 draws of people",
        as_json=arguments.json,
    )


if __name__ == "__main__":
    main()
