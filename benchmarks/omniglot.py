"""The paper's table: one-shot naming and verification on Omniglot, both recipes.

    python -m benchmarks.omniglot [--json]

Trains missing models by these commands into runs/ (git-ignored), and continues trainings that were
interrupted:

    facesearch train omniglot --recipe modern --seed S --out runs/omniglot-modern-S    S = 0, 1, 2
    facesearch train omniglot --recipe koch --out runs/omniglot-koch

Models are trained on the 30 background alphabets, chosen on the ten evaluation alphabets that are
in no trial, and measured here on the ten of Lake's trials. A tie counts as wrong.

- `_400`: Lake's 400 trials: 20 runs of 20 characters of one alphabet, all of a run's support by one
  drawer, all its probes by another.
- `_random_within_alphabet`: 400 random 20-way episodes for each of the ten alphabets, every picture
  by a drawer of its own; mean over alphabets. Harder.
- `verification`: 20,000 pairs, half mated, the others half of one alphabet and half of two; the
  share that the head decides correctly at even odds. No threshold was fitted to them.

By the head unless it says cosine. The exported model folders are measured, 8-bit weights and all,
by OpenCV's engine, as a user would run them.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.report import need, parse_arguments, show
from facesearch import Model
from facesearch.evaluation.pictures import read_lake_trials, read_pictures
from facesearch.evaluation.report import Report, evaluate, model_cropper

SEEDS = (0, 1, 2)
RUNS = Path("runs")


def trained(data: Path, recipe: str, seed: int, folder: Path) -> Model:
    """Return the trained model in `folder`; train it first if it is missing."""
    if not (folder / "model.json").exists():
        command = [sys.executable, "-m", "facesearch_cli", "train", str(data), "--resume"]
        command += ["--recipe", recipe, "--seed", str(seed), "--out", str(folder)]
        print(" ".join(command[2:]), file=sys.stderr)
        subprocess.run(command, check=True, stdout=sys.stderr)
    return Model.load(folder)


def measured(model: Model, data: Path) -> Report:
    """Return the rates of `model` on the alphabets of the trials."""
    trials = read_pictures(data, model_cropper(model), unseen=True)
    return evaluate(model, trials, read_lake_trials(data, trials))


def minutes(model: Model) -> float:
    """Return the minutes that the training of a model took."""
    return float(model.manifest["training"]["minutes"])


def main() -> None:
    arguments = parse_arguments(__doc__)
    data = need(arguments.data / "omniglot")
    models = [trained(data, "modern", seed, RUNS / f"omniglot-modern-{seed}") for seed in SEEDS]
    reports = [measured(model, data) for model in models]
    koch_model = trained(data, "koch", 0, RUNS / "omniglot-koch")
    koch = measured(koch_model, data)
    head = np.array([lake_of(report) for report in reports])
    cosine = np.array([lake_of(report, cosine=True) for report in reports])
    random = np.array([episodes_of(report) for report in reports])
    figures = {
        "koch_400": lake_of(koch),
        "koch_random_within_alphabet": episodes_of(koch),
        "koch_verification": 100 * koch.accuracy,
        "koch_minutes": minutes(koch_model),
        "modern_400_mean": float(head.mean()),
        "modern_400_std": float(head.std(ddof=1)),
        **{f"modern_400_seed_{seed}": float(head[seed]) for seed in SEEDS},
        "modern_cosine_400_mean": float(cosine.mean()),
        "modern_random_within_alphabet": float(random.mean()),
        "modern_random_within_alphabet_std": float(random.std(ddof=1)),
        "modern_cosine_random_within_alphabet": float(
            np.mean([episodes_of(report, cosine=True) for report in reports])
        ),
        "verification": float(np.mean([100 * report.accuracy for report in reports])),
        "modern_minutes": float(np.mean([minutes(model) for model in models])),
    }
    show(
        {name: round(figure, 3) for name, figure in figures.items()},
        "Omniglot, ten alphabets never trained on or chosen by; % right, minutes of training",
        as_json=arguments.json,
    )


def lake_of(report: Report, *, cosine: bool = False) -> float:
    """Return the accuracy on Lake's 400 trials, in %."""
    estimate = (report.cosine if cosine else report.head).lake
    if estimate is None:
        sys.exit("this Omniglot comes without Lake's trials")
    return 100 * estimate.accuracy


def episodes_of(report: Report, *, cosine: bool = False) -> float:
    """Return the accuracy of random episodes within alphabets, in %."""
    estimate = (report.cosine if cosine else report.head).one_shot
    if estimate is None:
        sys.exit("this Omniglot has too few pictures for episodes")
    return 100 * estimate.accuracy


if __name__ == "__main__":
    main()
