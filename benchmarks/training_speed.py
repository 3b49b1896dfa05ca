"""Training throughput of the recipe modern against the plain loop, in one run.

    python -m benchmarks.training_speed [--json]

Both train the same network on batches of Omniglot's background alphabets. The plain loop is what
one writes first: float32, torch's memory layout, nn.PReLU, AdamW. Ours is
facesearch.training.loop.Run: bfloat16 where the processor has it, channels last, a PReLU of
cheaper parts, averaged weights. In turn, a few steps each, medians; one warm-up each is left out.
`data_share`: making batches (rows, quarter turns, affine and elastic distortion), of all the time
of ours. `recipe_minutes`: what all steps and evaluations of the recipe take at this speed; reading
the pictures, calibration and export, about two minutes, come on top.
"""

import time
from pathlib import Path
from statistics import median

import torch
from torch import nn

from benchmarks.report import need, parse_arguments, show
from facesearch.evaluation.pictures import omniglot_parts, read_pictures
from facesearch.training.data import TrainingSet
from facesearch.training.loop import Run
from facesearch.training.modern import Modern
from facesearch.training.network import PReLU
from facesearch.training.recipe import Batch, Lesson
from facesearch.training.train_pictures import cropper, training_set

ROUNDS, STEPS = 7, 4


class PlainLoop:
    """The training step in its simplest form."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson
        for module in list(lesson.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, PReLU):
                    setattr(module, name, nn.PReLU(len(child.weight)))
        self.adam = torch.optim.AdamW(lesson.parameters(), lr=1e-3)

    def advance(self, batch: Batch) -> None:
        """Do one step."""
        embeddings = self.lesson.network.branch(batch.pictures)
        loss = self.lesson.loss(embeddings, batch.classes)
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()


def alphabets(data: Path, side_px: int) -> tuple[TrainingSet, TrainingSet]:
    """Return the background alphabets, ready to train on, and those that are evaluated on."""
    pictures = read_pictures(data, cropper("ink", side_px))
    parts = omniglot_parts(pictures)
    learn, choose = (pictures.only(parts[part]) for part in ("background", "validation"))
    return training_set(learn, drawn=True), training_set(choose, drawn=True)


def main() -> None:
    arguments = parse_arguments(__doc__)
    recipe = Modern()
    data, validation = alphabets(need(arguments.data / "omniglot"), recipe.side_px)
    run, plain = Run(data, validation, recipe, "cpu"), PlainLoop(recipe.lesson(data))
    speeds: dict[str, list[float]] = {"plain": [], "ours": []}
    shares, step = [], 0
    for _ in range(ROUNDS + 1):
        for name, seconds in speeds.items():
            making = total = 0.0
            pictures = 0
            for _ in range(STEPS):
                started = time.perf_counter()
                batch = run.lesson.batch(step)
                making += time.perf_counter() - started
                if name == "ours":
                    run.advance(batch.pictures, batch.classes)
                else:
                    plain.advance(batch)
                total += time.perf_counter() - started
                pictures += len(batch.pictures)
                step += 1
            seconds.append(pictures / total)
            if name == "ours":
                shares.append(making / total)
    figures = {f"{name}_pictures_per_s": median(speeds[name][1:]) for name in speeds}
    figures["speed_up"] = median(
        ours / other for ours, other in zip(speeds["ours"][1:], speeds["plain"][1:], strict=True)
    )
    figures["data_share"] = median(shares[1:])
    started = time.perf_counter()
    run.evaluate()
    evaluations = recipe.steps / recipe.evaluate_every * (time.perf_counter() - started)
    steps = recipe.steps * len(batch.pictures) / figures["ours_pictures_per_s"]
    figures["recipe_minutes"] = (steps + evaluations) / 60
    figures["threads"] = torch.get_num_threads()
    show(
        {name: round(figure, 3) for name, figure in figures.items()},
        f"Training the recipe modern, pictures of {recipe.side_px} px",
        as_json=arguments.json,
    )


if __name__ == "__main__":
    main()
