"""Fit SFace's head and calibration to development faces, and write them into its model folder.

    python scripts/calibrate.py                   # $FACESEARCH_DATA or ../shared/data; an hour
    python scripts/calibrate.py --report          # also report figures of held-out people
    python scripts/calibrate.py --figures         # only measure the shipped model, see below

Reads `faces/` of the data folder (never LFW), splits its people in two, fits on one half and
reports on the other, see facesearch/training/calibration.py. Embeddings are cached in runs/.
Writes facesearch/models/sface: head.npz (the rotation code with its bias), model.json, and
figures.json, curves of the model on the people that it was not calibrated on.
Alternatives: docs/decisions/0004-the-head.md and 0005-thresholds-from-the-gallery.md.

Needs: pip install "facesearch[dev]"
"""

import argparse
import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from facesearch import Model
from facesearch.alignment import CROP_LANDMARKS
from facesearch.embedding import embed_by_views
from facesearch.engine import engine_for_many
from facesearch.evaluation.protocols import crops_in_parts
from facesearch.identification import REFERENCE_VIEWS
from facesearch.manifest import read_manifest
from facesearch.training.calibration import calibrate_by_cosine
from facesearch.training.export import hashes
from facesearch.training.figures import measure, report
from facesearch.training.searches import Searches
from facesearch.vectors import Floats

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "facesearch" / "models" / "sface"
ROTATIONS = 32


def embeddings(rows: list[dict[str, str]], folder: Path, cache: Path) -> tuple[Floats, Floats]:
    """Return unit embeddings (n, 128) of the crops as probes and as references."""
    if cache.exists():
        with np.load(cache) as stored:
            if len(stored["once"]) == len(rows):
                return stored["once"], stored["references"]
    model = Model.load(FOLDER, engine_for_many())

    def show_progress(n_done: int) -> None:
        print(f"\r{n_done:,} of {len(rows):,} crops", end="", flush=True)

    detector = model.detector
    parts = crops_in_parts(folder, rows, show_progress)
    once, references = embed_by_views(model.embed, detector, parts, REFERENCE_VIEWS)
    print()
    cache.parent.mkdir(exist_ok=True)
    np.savez(cache, once=once, references=references)
    return once, references


def write_figures(held_out: Searches) -> None:
    """Measure the model in FOLDER on people it was not calibrated on; write its figures.json."""
    model = Model.load(FOLDER)
    figures = measure(
        held_out,
        model.head,
        model.cohort,
        model.evidence,
        made_from=f"{len(held_out.rows):,} people, {len(held_out.probes):,} faces, "
        "of public research sets (never LFW)",
        calibrated_on=False,
    )
    assert figures is not None  # they have several faces each
    figures.save(FOLDER, read_manifest(FOLDER))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="report figures of held-out people")
    parser.add_argument("--figures", action="store_true", help="write figures.json, nothing else")
    arguments = parser.parse_args()
    data = Path(os.environ.get("FACESEARCH_DATA", ROOT.parent / "shared" / "data")) / "faces"
    with (data / "index.csv").open() as stream:
        # every second person of the training split is enough, plus the val people
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["split"] == "val" or (row["split"] == "train" and int(row["identity"]) % 2 == 0)
        ]
    looks = embeddings(rows, data, ROOT / "runs" / "calibration_views.npz")
    people = np.array([int(row["identity"]) for row in rows])
    fitting = people % 4 == 0  # held out: the other half
    searches, rest = (
        Searches(people[part], looks[0][part], looks[1][part]) for part in (fitting, ~fitting)
    )
    if arguments.figures:
        write_figures(rest)
        return
    head, calibration = calibrate_by_cosine(searches, ROTATIONS)
    head.save(FOLDER / "head.npz")
    manifest: dict[str, Any] = {
        "manifest_version": 1,
        "name": "sface",
        "version": "2021dec-1",
        "kind": "face",
        "detector": "yunet",
        "dim": 128,
        "input": {"side_px": 112, "colours": "RGB", "range": [0, 255]},
        "alignment": CROP_LANDMARKS.tolist(),
        "sha256": hashes(FOLDER),
        "licence": {
            "weights": "Apache-2.0 (OpenCV Zoo, SFace by Zhong and Deng)",
            "data": "public research face sets (Zhong et al., SFace, 2021); "
            "calibration: research sets, no image of which is in this folder",
        },
        "calibration": calibration.manifest(),
    }
    print(json.dumps(manifest["calibration"]["evidence"], indent=1))
    print(f"bias {head.bias:.3f}, weight {head.weights[0]:.5f}, unit {head.unit_distance:.4f}")
    if arguments.report:
        manifest["figures"] = report(rest, calibration.cohort, calibration.evidence)
        for name, figure in manifest["figures"].items():
            print(f"{name:24} {figure}")
    (FOLDER / "model.json").write_text(json.dumps(manifest, indent=1) + "\n")
    write_figures(rest)


if __name__ == "__main__":
    main()
