"""Make the Omniglot model that ships from a training of the recipe modern.

    facesearch train omniglot.npz.xz --recipe modern --seed 0 --out runs/omniglot-modern-0
    python scripts/ship_omniglot.py runs/omniglot-modern-0

Measures the trained model on the ten alphabets of Lake's trials and writes it, with these figures,
its curves and its card, to facesearch/models/omniglot. Seed 0 ships, whatever the figures of other
seeds. Needs Omniglot in $FACESEARCH_DATA or ../shared/data, and the
extra `dev`.
"""

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

from facesearch import Model
from facesearch.evaluation.pictures import read_lake_trials, read_pictures
from facesearch.evaluation.report import evaluate, model_cropper
from facesearch.training.figures import measure
from facesearch.training.figures import report as rates
from facesearch.training.searches import Searches

ROOT = Path(__file__).resolve().parent.parent
NAME = "omniglot"
DATA = Path(os.environ.get("FACESEARCH_DATA", ROOT.parent / "shared" / "data")) / NAME

CARD = """# omniglot: handwritten characters from one drawing each

A Siamese network whose branch turns a drawing into {dim} numbers and whose L1-sigmoid head, trained
with it, says how alike two drawings are. It names characters of scripts it has never seen.

- **For**: one-shot naming of hand-drawn characters, and as an example of what `facesearch train`
  makes. One drawing a picture; strokes on paper, dark on light or light on dark.
- **Not for**: reading text, signatures or who wrote something, printed fonts of many styles, photos
  of pages with uneven light. A turned character is another character.
- **Data**: Omniglot (Lake, Salakhutdinov and Tenenbaum 2015; MIT), {classes} characters of the 30
  background alphabets, {pictures:,} drawings by 20 people. Weights chosen and calibrated on the ten
  evaluation alphabets that are in none of Lake's trials. Licence of the weights: Apache-2.0.
- **Training**: `facesearch train omniglot.npz.xz --recipe modern --seed {seed}`, {steps:,} batches;
  `python -m benchmarks.training_speed` says how long that takes.

## Figures

On the ten alphabets of Lake's trials, never trained on nor chosen by; `scripts/ship_omniglot.py`
prints them. A tie counts as wrong.

| | by the head | by the cosine |
|---|---|---|
{rows}

Of strangers searched against {size} characters: {fpir_5:.1f} % named when 5 % was asked,
{fpir_1:.1f} % when 1 % was. Calibration error of the shown probability: {ece:.3f}.

## Known failures

Characters that differ by a dot or by how long a stroke is; very simple ones (a line, a circle),
which many alphabets share; drawings of several characters, which are taken for one.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="the folder of a training of the recipe modern")
    source: Path = parser.parse_args().model
    model = Model.load(source)
    trials = read_pictures(DATA, model_cropper(model), unseen=True)
    report = evaluate(model, trials, read_lake_trials(DATA, trials))
    templates = model.embed(trials.crops)
    searches = Searches(trials.classes, templates, templates, model.head)
    promised = rates(searches, model.cohort, model.evidence)
    size = max(searches.sizes())
    figures: dict[str, float] = {"verification": round(report.accuracy, 4)}
    rows = []
    for title, key, pick in (
        ("Lake's 400 one-shot trials, 20 ways", "lake_400", "lake"),
        ("random 20-way trials within an alphabet", "random_within_alphabet", "one_shot"),
    ):
        shares = [getattr(side, pick) for side in (report.head, report.cosine)]
        figures |= {
            key: round(shares[0].accuracy, 4),
            f"{key}_cosine": round(shares[1].accuracy, 4),
        }
        cells = (
            f"{100 * s.accuracy:.2f} % ({100 * s.low:.1f} to {100 * s.high:.1f})" for s in shares
        )
        rows.append(f"| {title} | {' | '.join(cells)} |")
    rows.append(f"| pairs decided rightly at even odds | {100 * report.accuracy:.2f} % | |")
    training = model.manifest["training"]
    card = CARD.format(
        dim=model.dim,
        classes=training["classes"],
        pictures=training["pictures"],
        seed=training["seed"],
        steps=training["steps"],
        rows="\n".join(rows),
        size=size,
        fpir_5=100 * promised[f"fpir_asked_0.05_n{size}"],
        fpir_1=100 * promised[f"fpir_asked_0.01_n{size}"],
        ece=promised[f"ece_n{size}"],
    )
    ship(source, dict(model.manifest), figures | promised, card)
    curves = measure(
        searches,
        model.head,
        model.cohort,
        model.evidence,
        made_from=f"{len(searches.rows)} characters of ten alphabets, {len(templates):,} drawings",
        calibrated_on=False,
        groups=trials.groups[trials.classes],
    )
    assert curves is not None  # each character has several drawings
    curves.save(ROOT / "facesearch" / "models" / NAME, model.manifest)
    print(card)


def ship(source: Path, manifest: dict[str, Any], figures: dict[str, float], card: str) -> None:
    """Copy the model with its new manifest and card into the package."""
    target = ROOT / "facesearch" / "models" / NAME
    target.mkdir(exist_ok=True)
    for file in ("branch.onnx", "head.npz"):
        shutil.copyfile(source / file, target / file)
    manifest = manifest | {
        "name": NAME,
        "licence": {
            "weights": "Apache-2.0 (facesearch)",
            "data": "MIT (Omniglot, (c) 2015 Brenden Lake)",
        },
        "figures": manifest["figures"] | figures,
    }
    (target / "model.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    (target / "MODEL_CARD.md").write_text(card, "utf-8")


if __name__ == "__main__":
    main()
