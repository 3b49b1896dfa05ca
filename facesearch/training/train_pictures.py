"""Pictures sorted into classes -> a model folder: the whole course on one screen.

pictures -> what to learn from and what to choose by -> training -> export, curves
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facesearch.errors import DataError, TrainingError
from facesearch.evaluation.pictures import (
    Cropper,
    Pictures,
    omniglot_parts,
    read_pictures,
    sample_photos,
)
from facesearch.ink import decode_for_ink, picture_crop
from facesearch.photo import Photo
from facesearch.training.export import About, check_free, export
from facesearch.training.loop import LOG, Progress, Trained, train
from facesearch.training.recipes import Recipe, TrainingSet

DRAWING_SAMPLE = 32  # pictures that tell whether all are drawings
COLOURLESS = 24  # grey levels between the channels of a drawing's pixel, at most
BETWEEN = 0.2  # share of a drawing's pixels that are neither paper nor ink, at most
VALIDATION_SHARE = 0.15  # of the classes
FEWEST_TO_SPLIT = 8  # classes with two pictures; below, all are trained on and validated by

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What came of training a model on pictures."""

    trained: Trained
    pictures: Pictures
    training_classes: int
    validation_classes: int
    disjoint: bool  # no class of the validation was trained on
    curves: Path | None  # None if the training was interrupted, as then there is no model


def run_course(
    source: Path,
    recipe: Recipe,
    model: Path,
    *,
    resume: bool = False,
    reading: Callable[[int], object] | None = None,
    watch: Callable[[Progress], object] = lambda progress: None,
) -> Course:
    """Train `recipe` on the pictures in `source`; write the model folder `model`.

    What the run needs (checkpoint, log, curves) lies in a folder beside it, "<model>-training".
    Raises DataError if the pictures cannot serve, TrainingError if the training cannot go on, or
    `model` is something else already.
    """
    model = model.resolve()
    check_place(model, source, resume=resume)
    drawn = are_drawings(sample_photos(source, DRAWING_SAMPLE))
    cut = cropper("ink" if drawn else "whole", recipe.side_px)
    pictures = read_pictures(source, cut, advance=reading)
    learn, choose, disjoint = split(pictures, recipe.seed)
    folder = model.with_name(f"{model.name}-training")
    validation = one_group(training_set(pictures.only(choose), drawn))
    trained = train(
        one_group(training_set(pictures.only(learn), drawn)),
        validation,
        recipe,
        folder,
        resume=resume,
        watch=watch,
    )
    if trained.ended == "interrupted":
        return Course(trained, pictures, len(learn), len(choose), disjoint, None)
    said = about(trained, recipe, pictures, learn, model.name, disjoint=disjoint)
    export(trained.network, validation, model, said)
    curves = draw_curves(folder / LOG, folder / "curves.png", recipe.validated_by)
    return Course(trained, pictures, len(learn), len(choose), disjoint, curves)


def check_place(model: Path, source: Path, *, resume: bool) -> None:
    """Raise TrainingError unless a model can be written to `model`, before hours were spent."""
    if not model.name:
        raise TrainingError(f"{model} is no name for a model's folder")
    check_free(model)
    if (model / "model.json").exists() and not resume:
        raise TrainingError(f"there is a model in {model} already; name another folder")
    if source.is_dir() and model.is_relative_to(source.resolve()):
        raise TrainingError(f"{model} lies among the pictures in {source}; name another folder")


def about(
    trained: Trained, recipe: Recipe, pictures: Pictures, learn: Ids, name: str, *, disjoint: bool
) -> About:
    """Return what the manifest and the card of a model say of its training."""
    omniglot = bool(omniglot_parts(pictures))
    return About(
        name=name,
        weights_licence="not stated; they belong to whoever trained them",
        data_licence="MIT (Omniglot, Lake et al. 2015)" if omniglot else "of its owner",
        training={
            "recipe": recipe.name,
            **asdict(recipe),
            "classes": len(learn),
            "pictures": int(np.isin(pictures.classes, learn).sum()),
            "steps_done": trained.step,
            "best_step": trained.best_step,
            "minutes": round(trained.seconds / 60, 1),
            "validation_is_disjoint": disjoint,
        },
        figures={"one_shot_validation": round(trained.accuracy, 4)},
    )


def cropper(alignment: str, side_px: int) -> Cropper:
    """Return what cuts a picture as models of that alignment, "ink" or "whole", take it."""
    return partial(picture_crop, alignment=alignment, side_px=side_px)


def are_drawings(photos: list[Photo]) -> bool:
    """Return whether pictures are strokes on paper: no colours, and hardly a tone between two."""

    def is_drawing(pixels: NDArray[np.uint8]) -> bool:
        low, high = (part.astype(int) for part in (pixels.min(2), pixels.max(2)))
        if (high - low > COLOURLESS).mean() > 0.01 or high.max() - low.min() < 64:
            return False
        tone = (high - low.min()) / (high.max() - low.min())
        return bool(((tone > 0.2) & (tone < 0.8)).mean() <= BETWEEN)

    verdicts = [is_drawing(decode_for_ink(photo)) for photo in photos]
    return bool(verdicts) and sum(verdicts) > len(verdicts) / 2


def split(pictures: Pictures, seed: int, fewest: int = 2) -> tuple[Ids, Ids, bool]:
    """Return the classes to train on, those to validate by, and whether no class is in both.

    Omniglot as its literature does: the background alphabets, and the evaluation alphabets that
    are in no trial. Else by chance, whole classes, `fewest` or more to validate by.
    """
    parts = omniglot_parts(pictures)
    if parts:
        if not (len(parts["background"]) and len(parts["validation"])):
            raise DataError(
                "of Omniglot it takes background alphabets to learn from and, to choose by, "
                "evaluation alphabets that are in no trial"
            )
        return parts["background"], parts["validation"], True
    counts = np.bincount(pictures.classes, minlength=len(pictures.class_names))
    several = np.flatnonzero(counts > 1)
    if len(several) < 2:
        raise DataError("training needs two classes or more that have two pictures or more")
    everything = np.arange(len(counts))
    if len(several) < FEWEST_TO_SPLIT:
        return everything, everything, False
    shuffled = np.random.default_rng(seed).permutation(several)
    choose = np.sort(shuffled[: max(fewest, round(VALIDATION_SHARE * len(several)))])
    return np.setdiff1d(everything, choose), choose, True


def one_group(data: TrainingSet) -> TrainingSet:
    """Return `data` with all classes in one group, if no group of its own has two of them.

    Families of one, years: their classes would never be compared.
    """
    if np.bincount(data.groups).max() > 1:
        return data
    return replace(data, groups=np.zeros_like(data.groups))


def training_set(pictures: Pictures, drawn: bool) -> TrainingSet:
    """Return `pictures` as networks take them: ink on nothing, or colours."""
    crops = pictures.crops
    crops = 255 - crops[..., :1] if drawn else crops
    return TrainingSet(
        pictures=torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))),
        classes=pictures.classes,
        groups=pictures.groups,
        drawn=drawn,
    )


def draw_curves(log: Path, picture: Path, validated_by: str) -> Path:
    """Write a PNG of loss and validation over the steps of a training's log."""
    from matplotlib.figure import Figure  # without pyplot: no window, no state

    lines: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [line["step"] for line in lines]
    figure = Figure(figsize=(8, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [line["loss"] for line in lines], ".-", color="#35618f")
    left.set(title="Loss", xlabel="step")
    right.plot(steps, [100 * line["one_shot_validation"] for line in lines], ".-", color="#b8561f")
    right.set(title=f"Validation: {validated_by}, %", xlabel="step")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=120)
    return picture
