"""Make SFace's head and calibration from development faces, and write them into its model folder.

    python scripts/calibrate.py                   # $FACESEARCH_DATA or ../shared/data; an hour
    python scripts/calibrate.py --report          # also says how well it does on held-out people

Reads `faces/` of the data folder (never LFW), splits its people in two, fits on one half and
reports on the other. Embeddings are kept in runs/ and reused. Writes facesearch/models/sface:
head.npz (the rotation code with its bias) and model.json. What was tried:
docs/decisions/0004-the-head.md and 0005-thresholds-from-the-gallery.md.

Needs: pip install "facesearch[dev]"
"""

import argparse
import csv
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from facesearch.alignment import TEMPLATE
from facesearch.embedding import Encoder
from facesearch.engine import make_engine, openvino_is_installed
from facesearch.evaluation.metrics import expected_calibration_error, fpir
from facesearch.evaluation.protocols import read_crops
from facesearch.head import L1SigmoidHead, rotation_code
from facesearch.openset import (
    Cohort,
    Evidence,
    Strangers,
    fit_strangers,
    posterior,
)
from facesearch.vectors import Floats, unit

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "facesearch" / "models" / "sface"
ROTATIONS, SEED = 32, 20151
GALLERY_SIZES = (20, 100, 1000)
COHORT_WEIGHT = 10.0  # people; chosen on the val people, docs/decisions/0005
CANDIDATES = 10  # people whose scores a search looks at
MOST_PROBES = 10  # photos of one person that play the probe

Ids = NDArray[np.int64]


def embeddings(rows: list[dict[str, str]], folder: Path, cache: Path) -> tuple[Floats, Floats]:
    """Return unit embeddings (n, 128) of the crops and of their mirror images."""
    if cache.exists():
        with np.load(cache) as stored:
            if len(stored["plain"]) == len(rows):
                return stored["plain"], stored["mirrored"]
    engine = make_engine(
        "openvino" if openvino_is_installed() else "opencv", FOLDER / "branch.onnx"
    )
    encoder = Encoder(engine)
    plain, mirrored = [], []
    for start in range(0, len(rows), 256):
        batch = read_crops(folder, rows[start : start + 256])
        plain.append(encoder.embed(batch))
        mirrored.append(encoder.embed(batch[:, :, ::-1]))
        print(f"\r{start + len(batch):,} of {len(rows):,} crops", end="", flush=True)
    print()
    cache.parent.mkdir(exist_ok=True)
    np.savez(cache, plain=np.concatenate(plain), mirrored=np.concatenate(mirrored))
    return np.concatenate(plain), np.concatenate(mirrored)


def logistic(features: NDArray[Any], mated: NDArray[Any]) -> NDArray[np.float64]:
    """Return the weights of a logistic regression at prior 1/2, by Newton's method."""
    share = np.where(mated, 0.5 / mated.sum(), 0.5 / (~mated).sum())
    weights = np.zeros(features.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(features @ weights, -50, 50)))
        gradient = features.T @ (share * (p - mated))
        curvature = (features * (share * p * (1 - p))[:, None]).T @ features
        weights -= np.linalg.solve(curvature + 1e-12 * np.eye(len(weights)), gradient)
    return weights


class Searches:
    """Simulated searches: galleries of one reference a person, probes of them and of others."""

    def __init__(self, people: Ids, plain: Floats, mirrored: Floats) -> None:
        self.people = people
        self.plain = plain
        self.references = unit(plain + mirrored)
        order = np.argsort(people, kind="stable")
        ids, starts = np.unique(people[order], return_index=True)
        self.rows = dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))

    def simulate(
        self, size: int, seed: int, cohort: Cohort
    ) -> tuple[Strangers, Floats, Ids, Floats]:
        """Return the fit, mated standard scores (m, size), their people (m,), non-mated scores."""
        rng = np.random.default_rng(seed)
        ids = rng.permutation(list(self.rows))
        gallery, mated, owners, non_mated = [], [], [], []
        for number, person in enumerate(ids[: 2 * size + 500]):
            rows = rng.permutation(self.rows[person])
            if number < size:
                gallery.append(rows[0])
                mated += rows[1:MOST_PROBES].tolist()
                owners += [number] * len(rows[1:MOST_PROBES])
            else:
                non_mated += rows[:MOST_PROBES].tolist()
        people = self.references[gallery]
        strangers = fit_strangers(people, size, cohort)
        references = strangers.centred(people)

        def z(rows: list[int]) -> Floats:
            return strangers.standard(strangers.centred(self.plain[rows]) @ references.T)

        return strangers, z(mated), np.array(owners, np.int64), z(non_mated)


def fit_cohort(searches: Searches, sides: tuple[Floats, Floats]) -> Cohort:
    """Return what strangers look like to this model, from one reference of each person."""
    one_each = searches.references[[rows[0] for rows in searches.rows.values()]]
    mean = one_each.mean(0)
    centred = unit(one_each[:3000] - mean)
    scores = (centred @ centred.T)[np.triu_indices(len(centred), 1)]
    return Cohort(
        mean=mean.astype(np.float32),
        score_mean=float(scores.mean()),
        score_std=float(scores.std()),
        weight=COHORT_WEIGHT,
        probe_length=float(np.linalg.norm((sides[0] + sides[1]) / 2, axis=1).mean()),
    )


def fit_evidence(searches: Searches, cohort: Cohort) -> Evidence:
    """Return the log-likelihood ratio as a function of the standard score.

    It is fitted to what is shown in the end: the probabilities of whole searches, mated and
    non-mated alike many, in galleries of all GALLERY_SIZES. (Fitted to single pairs it is right
    where pairs are many and half a nat off where a large gallery decides.)
    """
    cases: list[tuple[int, Floats, Ids, float]] = []  # size, top scores, right column, weight
    for size in GALLERY_SIZES:
        if 2 * size > len(searches.rows):
            continue
        seeds = range(max(2, 400 // size))
        for seed in seeds:
            _, mated, owners, non_mated = searches.simulate(size, seed, cohort)
            for z, owner in ((mated, owners), (non_mated, np.full(len(non_mated), -1))):
                nearest = np.argsort(-z, axis=1)[:, :CANDIDATES]
                top = np.take_along_axis(z, nearest, 1)
                hit = nearest == owner[:, None]
                column = np.where(hit.any(1), hit.argmax(1), CANDIDATES)  # else: unknown
                cases.append((size, top, column, 1 / len(seeds) / len(z)))
    low = float(np.quantile(np.concatenate([top[:, -1] for _, top, _, _ in cases]), 0.001))
    high = float(np.quantile(np.concatenate([top[:, 0] for _, top, _, _ in cases]), 0.999))

    def loss(weights: NDArray[np.float64]) -> float:
        total = 0.0
        for size, top, column, weight in cases:
            llrs = weights[0] + weights[1] * top + weights[2] * top**2
            others = np.log(max(size - CANDIDATES, 1e-9)) + np.minimum(llrs[:, -1:], 0)
            unknown = np.logaddexp(others - np.log(size), 0.0)
            logs = np.hstack([llrs - np.log(size), unknown])
            chosen = np.take_along_axis(logs, column[:, None], 1)[:, 0]
            total += weight * float((np.logaddexp.reduce(logs, axis=1) - chosen).sum())
        return total

    found = minimize(loss, np.array([-6.5, 2.5, 0.15]), method="Nelder-Mead").x
    turn = -found[1] / (2 * found[2])  # hold the parabola where it turns
    if found[2] > 0:
        low = max(low, float(turn))
    elif found[2] < 0:
        high = min(high, float(turn))
    offset, slope, bend = (round(float(weight), 4) for weight in found)
    return Evidence(offset, slope, bend, low=round(low, 2), high=round(high, 2))


def fit_head(searches: Searches, pairs: int = 20_000) -> L1SigmoidHead:
    """Return the rotation code with the bias and weight that calibrate it on natural pairs."""
    rng = np.random.default_rng(SEED)
    projection = rotation_code(searches.plain.shape[1], ROTATIONS, SEED).astype(np.float16)
    code = searches.plain @ projection.astype(np.float32)
    several = [rows for rows in searches.rows.values() if len(rows) > 1]
    mated = np.stack(
        [rng.choice(several[i], 2, replace=False) for i in rng.integers(len(several), size=pairs)]
    )
    others = rng.integers(len(code), size=(pairs, 2))
    others = others[searches.people[others[:, 0]] != searches.people[others[:, 1]]]
    both = np.concatenate([mated, others])
    distance = np.concatenate(
        [np.abs(code[part[:, 0]] - code[part[:, 1]]).sum(1) for part in np.array_split(both, 40)]
    )
    euclid = np.linalg.norm(searches.plain[both[:, 0]] - searches.plain[both[:, 1]], axis=1)
    is_mated = np.arange(len(both)) < len(mated)
    bias, slope = logistic(np.stack([np.ones_like(distance), distance], 1), is_mated)
    return L1SigmoidHead(
        projection=projection.astype(np.float32),
        weights=np.full(projection.shape[1], -slope, np.float32),
        bias=float(bias),
        unit_distance=float(-slope * (distance / euclid).mean()),
    )


def report(searches: Searches, cohort: Cohort, evidence: Evidence) -> dict[str, float]:
    """Return what the calibration gives on people it was not made from."""
    figures: dict[str, float] = {}
    for size in GALLERY_SIZES:
        if 2 * size > len(searches.rows):
            continue
        got: dict[float, list[float]] = {0.001: [], 0.01: [], 0.05: []}
        confidence, right = [], []
        for seed in range(100, 100 + max(2, 600 // size)):
            strangers, mated, owners, non_mated = searches.simulate(size, seed, cohort)
            for asked, shares in got.items():
                shares.append(fpir(non_mated, strangers.threshold(asked)))
            n = min(len(mated), len(non_mated))  # as many mated as non-mated: the prior 1/2
            for z, owner in ((mated[:n], owners[:n]), (non_mated[:n], np.full(n, -1))):
                best = np.argsort(-z, axis=1)[:, :CANDIDATES]
                llrs = evidence.llr(np.take_along_axis(z, best, 1))
                confidence += [float(posterior(row, size, 0.5)[0][0]) for row in llrs]
                right += (best[:, 0] == owner).tolist()
        error = expected_calibration_error(
            np.array(confidence), np.array(right), np.ones(len(right))
        )
        figures[f"ece_n{size}"] = round(error, 4)
        for asked, shares in got.items():
            figures[f"fpir_asked_{asked}_n{size}"] = round(float(np.mean(shares)), 5)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="figures on held-out people")
    arguments = parser.parse_args()
    data = Path(os.environ.get("FACESEARCH_DATA", ROOT.parent / "shared" / "data")) / "faces"
    with (data / "index.csv").open() as stream:
        # every second person of the training split is plenty, and the val people
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["split"] == "val" or (row["split"] == "train" and int(row["identity"]) % 2 == 0)
        ]
    sides = embeddings(rows, data, ROOT / "runs" / "calibration_embeddings.npz")
    people = np.array([int(row["identity"]) for row in rows])
    fitting = people % 4 == 0  # held out: the other half
    searches = Searches(people[fitting], sides[0][fitting], sides[1][fitting])
    cohort = fit_cohort(searches, sides)
    evidence = fit_evidence(searches, cohort)
    head = fit_head(searches)
    np.savez(
        FOLDER / "head.npz",
        projection=head.projection.astype(np.float16),
        weights=head.weights,
        bias=np.float32(head.bias),
        unit_distance=np.float32(head.unit_distance),
    )
    manifest: dict[str, Any] = {
        "manifest_version": 1,
        "name": "sface",
        "version": "2021dec-1",
        "kind": "face",
        "detector": "yunet",
        "dim": 128,
        "input": {"side_px": 112, "colours": "RGB", "range": [0, 255]},
        "alignment": TEMPLATE.tolist(),
        "sha256": {
            file: hashlib.sha256((FOLDER / file).read_bytes()).hexdigest()
            for file in ("branch.onnx", "head.npz")
        },
        "licence": {
            "weights": "Apache-2.0 (OpenCV Zoo, SFace by Zhong and Deng)",
            "data": "public research face sets (Zhong et al., SFace, 2021); "
            "calibration: research sets, no image of which is in this folder",
        },
        "calibration": {
            "evidence": asdict(evidence),
            "cohort": asdict(cohort) | {"mean": [round(float(x), 6) for x in cohort.mean]},
            "made_from": f"{len(searches.rows)} people, {len(searches.plain)} faces",
        },
    }
    print(json.dumps(manifest["calibration"]["evidence"], indent=1))
    print(f"bias {head.bias:.3f}, weight {head.weights[0]:.5f}, unit {head.unit_distance:.4f}")
    if arguments.report:
        rest = Searches(people[~fitting], sides[0][~fitting], sides[1][~fitting])
        manifest["figures"] = report(rest, cohort, evidence)
        for name, figure in manifest["figures"].items():
            print(f"{name:24} {figure}")
    (FOLDER / "model.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
