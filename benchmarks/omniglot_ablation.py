"""What each part of the recipe modern contributes, on Omniglot's validation alphabets.

    python -m benchmarks.omniglot_ablation [--json] [--steps 400]

Each row trains one of the recipe's two trunks, for time, with one thing changed, on the 30
background alphabets, and names random 20-way episodes within the ten evaluation alphabets that are
in no trial: % right by the head and by the cosine. A short training: rows compare, they do not say
what the recipe reaches, and what keeps a long training from learning by heart costs a short one.
One seed; rows less than half a point apart are alike.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.report import STDOUT, argument_parser, need, write_json
from facesearch.evaluation.one_shot import play_episodes
from facesearch.evaluation.pictures import Pictures, omniglot_parts, read_pictures
from facesearch.training.loop import train
from facesearch.training.modern import Modern
from facesearch.training.train_pictures import cropper, training_set
from facesearch.training.validation import embed, one_shot_accuracy

CHANGES: dict[str, dict[str, Any]] = {
    "one trunk of the recipe": {},
    "two trunks: the recipe": {"trunks": 2},
    "pictures as they are, ink neither centred nor scaled": {},
    "48 pixels instead of 56": {"side_px": 48},
    "no quarter turns as further classes": {"quarter_turns": False},
    "no elastic distortion": {"distortion": replace(Modern().distortion, elastic=0.0)},
    "no distortion at all": {"distortion": replace(Modern().distortion, probability=0.0)},
    "no spliced characters": {"spliced": 0.0},
    "one block a stage instead of two": {"depths": (1, 1, 1)},
    "without the margin softmax": {"class_weight": 0.0},
    "without the matching of episodes": {"matching_weight": 0.0},
    "without the pairs' cross-entropy": {"pair_weight": 0.0},
    "matching and pairs off: the head stays random": {"matching_weight": 0.0, "pair_weight": 0.0},
    "the contrastive loss beside the others": {"contrastive_weight": 1.0},
    "the contrastive loss in place of the others, the head stays random": {
        "class_weight": 0.0,
        "matching_weight": 0.0,
        "pair_weight": 0.0,
        "contrastive_weight": 1.0,
    },
}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    data = need(arguments.data / "omniglot")
    crops: dict[tuple[str, int], Pictures] = {}
    figures: dict[str, dict[str, float]] = {}
    for name, changed in CHANGES.items():
        recipe = replace(
            Modern(trunks=1, steps=arguments.steps, evaluate_every=arguments.steps), **changed
        )
        alignment = "whole" if "as they are" in name else "ink"
        key = (alignment, recipe.side_px)
        if key not in crops:
            crops[key] = read_pictures(data, cropper(*key))
        figures[name] = trial(recipe, crops[key])
        if arguments.json != STDOUT:
            line = "  ".join(f"{rate:6.2f}" for rate in figures[name].values())
            print(f"{line}  {name}", flush=True)
    if arguments.json is not None:
        write_json(figures, arguments.json)


def trial(recipe: Modern, pictures: Pictures) -> dict[str, float]:
    """Return what a training reaches on the validation alphabets, by head and by cosine, in %."""
    parts = omniglot_parts(pictures)
    learn = training_set(pictures.only(parts["background"]), drawn=True)
    choose = training_set(pictures.only(parts["validation"]), drawn=True)
    with tempfile.TemporaryDirectory() as folder:
        network = train(learn, choose, recipe, Path(folder)).network
    embeddings = embed(network.branch, choose).cpu().numpy()
    cosine = play_episodes(
        lambda probes, support: embeddings[probes] @ embeddings[support].T,
        choose.classes,
        choose.groups,
    )
    head = one_shot_accuracy(network, choose, trials=400)
    return {"head": 100 * head, "cosine": 100 * cosine.accuracy}


if __name__ == "__main__":
    main()
