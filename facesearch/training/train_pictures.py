"""Pictures sorted into classes -> a model folder, step by step.

pictures -> training and validation classes -> training -> export and curves
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
from facesearch.training.data import Ids, TrainingSet
from facesearch.training.export import About, check_replaceable, export
from facesearch.training.kernels import avoid_faulty_kernels
from facesearch.training.koch import Koch
from facesearch.training.loop import LOG, Progress, TrainingResult, train
from facesearch.training.modern import Modern
from facesearch.training.recipe import Recipe

RECIPES: dict[str, type[Koch] | type[Modern]] = {"koch": Koch, "modern": Modern}

DRAWING_SAMPLE = 32  # pictures looked at to decide whether all are drawings
MAX_COLOR_SPREAD = 24  # of 255, between the channels of a pixel of a drawing
MAX_MIDTONES = 0.2  # share of a drawing's pixels that are neither paper nor ink
VALIDATION_SHARE = 0.15  # of the classes
MIN_CLASSES_TO_SPLIT = 8  # with two pictures; fewer are both trained on and validated with


@dataclass(frozen=True, slots=True, eq=False)
class PictureTraining:
    """The result of training a model on pictures."""

    trained: TrainingResult
    pictures: Pictures
    training_classes: int
    validation_classes: int
    disjoint: bool  # no validation class was trained on
    curves: Path | None  # None if the training was interrupted: then there is no model either


def make_recipe(name: str, *, seed: int = 0, steps: int | None = None) -> Recipe:
    """Return the recipe of that name, one of RECIPES; `steps` if not the recipe's own."""
    recipe: Recipe = RECIPES[name](seed=seed)
    return recipe if steps is None else replace(recipe, steps=steps)


def train_on_pictures(
    source: Path,
    recipe: Recipe,
    model: Path,
    *,
    resume: bool = False,
    reading: Callable[[int], object] | None = None,
    watch: Callable[[Progress], object] = lambda progress: None,
) -> PictureTraining:
    """Train `recipe` on the pictures in `source`; write the model folder `model`.

    Checkpoint, log and curves are in a folder next to it, "<model>-training". Raises DataError if
    the pictures cannot be used, TrainingError if the training fails or `model` cannot be written.
    """
    avoid_faulty_kernels()
    model = model.resolve()
    check_destination(model, source, resume=resume)
    drawn = are_drawings(sample_photos(source, DRAWING_SAMPLE))
    cut = cropper("ink" if drawn else "whole", recipe.side_px)
    pictures = read_pictures(source, cut, advance=reading)
    classes, held_out, disjoint = split(pictures, recipe.seed)
    folder = model.with_name(f"{model.name}-training")
    validation = one_group(training_set(pictures.only(held_out), drawn))
    trained = train(
        one_group(training_set(pictures.only(classes), drawn)),
        validation,
        recipe,
        folder,
        resume=resume,
        watch=watch,
    )
    if trained.ended == "interrupted":
        return PictureTraining(trained, pictures, len(classes), len(held_out), disjoint, None)
    about = describe(trained, recipe, pictures, classes, model.name, disjoint=disjoint)
    export(trained.network, validation, model, about)
    curves = draw_curves(folder / LOG, folder / "curves.png", recipe.validated_by)
    return PictureTraining(trained, pictures, len(classes), len(held_out), disjoint, curves)


def check_destination(model: Path, source: Path, *, resume: bool) -> None:
    """Raise TrainingError, before hours of work, if no model can be written to `model`."""
    if not model.name:
        raise TrainingError(f"{model} is not a valid folder for a model")
    check_replaceable(model)
    if (model / "model.json").exists() and not resume:
        raise TrainingError(f"there already is a model in {model}; name another folder")
    if source.is_dir() and model.is_relative_to(source.resolve()):
        raise TrainingError(f"{model} is inside the pictures' folder {source}; name another folder")


def describe(
    trained: TrainingResult,
    recipe: Recipe,
    pictures: Pictures,
    classes: Ids,
    name: str,
    *,
    disjoint: bool,
) -> About:
    """Return what the manifest of a model says about its training on `classes`."""
    omniglot = bool(omniglot_parts(pictures))
    return About(
        name=name,
        weights_licence="not stated; they belong to whoever trained them",
        data_licence="MIT (Omniglot, Lake et al. 2015)" if omniglot else "of its owner",
        training={
            "recipe": recipe.name,
            **asdict(recipe),
            "classes": len(classes),
            "pictures": int(np.isin(pictures.classes, classes).sum()),
            "steps_done": trained.step,
            "best_step": trained.best_step,
            "minutes": round(trained.seconds / 60, 1),
            "validation_is_disjoint": disjoint,
        },
        figures={"one_shot_validation": round(trained.accuracy, 4)},
    )


def cropper(alignment: str, side_px: int) -> Cropper:
    """Return the cropper for models of that alignment, "ink" or "whole"."""
    return partial(picture_crop, alignment=alignment, side_px=side_px)


def are_drawings(photos: list[Photo]) -> bool:
    """Return whether most photos are strokes on paper: no colors, and few tones between two."""

    def is_drawing(pixels: NDArray[np.uint8]) -> bool:
        low, high = (part.astype(int) for part in (pixels.min(2), pixels.max(2)))
        if (high - low > MAX_COLOR_SPREAD).mean() > 0.01 or high.max() - low.min() < 64:
            return False
        tone = (high - low.min()) / (high.max() - low.min())
        return bool(((tone > 0.2) & (tone < 0.8)).mean() <= MAX_MIDTONES)

    verdicts = [is_drawing(decode_for_ink(photo)) for photo in photos]
    return bool(verdicts) and sum(verdicts) > len(verdicts) / 2


def split(pictures: Pictures, seed: int, n_validation: int = 2) -> tuple[Ids, Ids, bool]:
    """Return the classes to train on, those to validate with, and whether no class is in both.

    Omniglot is split as in the literature: into the background alphabets and the evaluation
    alphabets that are in no trial. Other classes are split at random, with at least `n_validation`
    to validate with. Raises DataError if there are too few.
    """
    parts = omniglot_parts(pictures)
    if parts:
        if not (len(parts["background"]) and len(parts["validation"])):
            raise DataError(
                "training on Omniglot takes background alphabets and, to validate with, evaluation "
                "alphabets that are in no trial"
            )
        return parts["background"], parts["validation"], True
    counts = np.bincount(pictures.classes, minlength=len(pictures.class_names))
    with_mates = np.flatnonzero(counts > 1)
    if len(with_mates) < 2:
        raise DataError("training takes two classes or more that have two pictures or more")
    everything = np.arange(len(counts))
    if len(with_mates) < MIN_CLASSES_TO_SPLIT:
        return everything, everything, False
    shuffled = np.random.default_rng(seed).permutation(with_mates)
    n_validation = max(n_validation, round(VALIDATION_SHARE * len(with_mates)))
    validation = np.sort(shuffled[:n_validation])
    return np.setdiff1d(everything, validation), validation, True


def one_group(data: TrainingSet) -> TrainingSet:
    """Return `data` with all classes in one group, if each of its groups has only one class.

    Classes of different groups would otherwise never be compared.
    """
    if np.bincount(data.groups).max() > 1:
        return data
    return replace(data, groups=np.zeros_like(data.groups))


def training_set(pictures: Pictures, drawn: bool) -> TrainingSet:
    """Return `pictures` as a TrainingSet: one channel of ink if `drawn`, else three of color."""
    crops = pictures.crops
    crops = 255 - crops[..., :1] if drawn else crops
    return TrainingSet(
        pictures=torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))),
        classes=pictures.classes,
        groups=pictures.groups,
        drawn=drawn,
    )


def draw_curves(log: Path, picture: Path, validated_by: str) -> Path:
    """Write a PNG of loss and validation over steps, from a training's log; return its path."""
    from matplotlib.figure import Figure  # not pyplot, which has global state

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
