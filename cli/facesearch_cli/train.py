"""facesearch train: pictures sorted into classes -> a model of one's own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch_cli.options import INTERRUPTED, UNREADABLE, UNUSABLE, AsJson
from facesearch_cli.render import (
    Screen,
    complain,
    complain_of_skipped,
    counted,
    percent,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from facesearch.training.course import Course
    from facesearch.training.train import Progress

NEEDED = ("torch", "safetensors", "onnx", "scipy", "matplotlib")  # what the extra `train` brings


class RecipeName(StrEnum):
    """The recipes by name; facesearch.training.recipes says what they are."""

    KOCH = "koch"
    MODERN = "modern"


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A folder with a subfolder of pictures for each class, or Omniglot: packed, "
            "unpacked, or as Lake's zips.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="The model's folder, named as the model."
        ),
    ],
    recipe: Annotated[
        RecipeName,
        typer.Option(help="modern: a small residual network; koch: the paper's of 2015."),
    ] = RecipeName.MODERN,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Batches to train on.", show_default="the recipe's")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="One seed, one result.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where this training was interrupted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a Siamese network on pictures sorted into classes; write a model folder.

    Classes that are not trained on tell which weights are best and how much a score says. The run
    keeps its checkpoint, log and curves in a folder beside the model's. Ctrl-C saves. To watch it,
    run facesearch web --training FOLDER in another terminal.
    """
    if any(find_spec(name) is None for name in NEEDED):
        complain("Error: training is not installed; pip install 'facesearch[train]' adds it")
        raise typer.Exit(UNUSABLE)
    from facesearch.training.course import run_course
    from facesearch.training.recipes import make_recipe

    screen = Screen()
    with watching(screen) as (reading, watch):
        course = run_course(
            data,
            make_recipe(recipe.value, seed=seed, steps=steps),
            out,
            resume=resume,
            reading=reading,
            watch=watch,
        )
    if as_json:
        print_json(**as_object(course, out))
    elif course.trained.ended != "interrupted":
        screen.line(summary(course, out))
    complain_of_skipped("Not used:", course.pictures.skipped)
    if course.trained.ended == "interrupted":
        complain(
            f"Interrupted at step {course.trained.step:,}; the same command with --resume goes on."
        )
        raise typer.Exit(INTERRUPTED)
    if course.pictures.skipped:
        raise typer.Exit(UNREADABLE)


def as_object(course: "Course", out: Path) -> dict[str, Any]:
    """Return the JSON of a training."""
    trained = course.trained
    return {
        "model": str(out) if course.curves else None,
        "ended": trained.ended,
        "step": trained.step,
        "one_shot_validation": round(trained.accuracy, 5),
        "training_classes": course.training_classes,
        "validation_classes": course.validation_classes,
        "validation_is_disjoint": course.disjoint,
        "pictures_per_s": round(trained.pictures_per_s, 1),
        "data_share": round(trained.data_share, 4),
        "curves": str(course.curves) if course.curves else None,
        "skipped": [list(pair) for pair in course.pictures.skipped],
    }


def summary(course: "Course", out: Path) -> str:
    """Return what was trained and what to do with it."""
    trained = course.trained
    others = "" if course.disjoint else " (too few classes to set some apart: trained on, too)"
    early = ", ended early: no gain any more" if trained.ended == "early" else ""
    return (
        f"Trained on {counted(course.training_classes, 'class', 'classes')}, "
        f"{trained.step:,} steps{early}.\n"
        f"One-shot accuracy on {counted(course.validation_classes, 'class', 'classes')}{others}: "
        f"{percent(trained.accuracy)}.\n"
        f"The model is in {printable(out)}, its curves in {printable(course.curves)}. Next:\n"
        f"  facesearch enroll FOLDER --model {printable(out)} --gallery my.db\n"
        f"  facesearch identify PICTURE --model {printable(out)} --gallery my.db"
    )


@contextmanager
def watching(screen: Screen) -> Iterator[tuple[Any, Any]]:
    """Show reading and training on a terminal; elsewhere a line on stderr at each validation."""
    if not sys.stderr.isatty():
        yield None, plain_line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=screen.console, transient=True) as bars:
        reading = bars.add_task("Reading", total=None, said="")
        training = bars.add_task("Training", total=None, said="", visible=False)

        def read(total: int) -> None:
            bars.update(reading, total=total, advance=1)

        def watch(progress: "Progress") -> None:
            bars.update(reading, visible=False)
            bars.update(
                training,
                total=progress.steps,
                completed=progress.step,
                said=said(progress),
                visible=True,
            )

        yield read, watch


def said(progress: "Progress") -> str:
    """Return loss, speed and accuracy for a line."""
    text = f"loss {progress.loss:.3f}  {progress.pictures_per_s:,.0f} pictures/s"
    if progress.best is None:
        return text
    return f"{text}  one-shot {percent(progress.accuracy or 0.0)} (best {percent(progress.best)})"


def plain_line(progress: "Progress") -> None:
    """Print a line whenever a validation has been done."""
    if progress.validated:
        left = progress.seconds_left / 60
        complain(
            f"step {progress.step:,} of {progress.steps:,}  {said(progress)}  {left:.1f} min left"
        )
