"""facesearch train: pictures sorted into classes, or photos of people -> a model of your own."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch_cli.options import (
    INTERRUPTED,
    NO,
    UNREADABLE,
    UNUSABLE,
    AsJson,
    say_rest_of_classes,
)
from facesearch_cli.render import (
    Screen,
    complain,
    counted,
    list_problems,
    percent,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from facesearch.training.loop import Progress, TrainingResult
    from facesearch.training.train_faces import FaceTraining
    from facesearch.training.train_pictures import PictureTraining

NEEDED = ("torch", "safetensors", "onnx", "scipy", "matplotlib")  # what the extra train installs


class RecipeName(StrEnum):
    """Names of the recipes; facesearch.training has a module for each."""

    KOCH = "koch"
    MODERN = "modern"
    FACE = "face"


Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder with one subfolder of pictures per class, or of photos per person; or "
        "Omniglot: packed, unpacked, or as Lake's zips.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="FOLDER",
        help="Folder to write the model to; its name is the model's.",
    ),
]
RecipeOption = Annotated[
    RecipeName | None,
    typer.Option(
        help="modern: a small residual network; koch: the network of Koch et al., 2015; face: a "
        "second trunk beside SFace's, for faces.",
        show_default="modern; face with --from",
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="MODEL",
        help="Model of faces to adapt to these people: a name, a folder or default.",
    ),
]
Steps = Annotated[
    int | None, typer.Option(min=1, help="Batches to train on.", show_default="the recipe's")
]
Seed = Annotated[int, typer.Option(min=0, max=2**31, help="The same seed gives the same result.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")]


def train(
    data: Data,
    out: Out,
    recipe: RecipeOption = None,
    start: Start = None,
    steps: Steps = None,
    seed: Seed = 0,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Train a Siamese network on pictures sorted into classes, and write a model folder.

    Some classes are set apart from training: they decide which weights are kept, and calibrate the
    scores. With --from a model of faces is adapted to your people; it is written only if it is
    better on those of them it was not trained on. Checkpoint, log and curves go to a folder beside
    the model's. Ctrl-C saves the state. To watch a training, run facesearch web --training FOLDER
    in another terminal.
    """
    if any(find_spec(name) is None for name in NEEDED):
        from facesearch.extras import install_command

        complain(f"Error: training is not installed; {install_command('train')} adds it")
        raise typer.Exit(UNUSABLE)
    if start is not None and recipe not in (None, RecipeName.FACE):
        raise typer.BadParameter(f"--from is for models of faces, not for the recipe {recipe}")
    if start is not None or recipe is RecipeName.FACE:
        train_faces(data, out, start, steps=steps, seed=seed, resume=resume, as_json=as_json)
        return
    from facesearch.training.train_pictures import make_recipe, train_on_pictures

    say_rest_of_classes(data)
    screen = Screen()
    chosen = make_recipe((recipe or RecipeName.MODERN).value, seed=seed, steps=steps)
    with watching(screen, chosen.validated_by) as (reading, watch):
        course = train_on_pictures(data, chosen, out, resume=resume, reading=reading, watch=watch)
    if as_json:
        print_json(**pictures_as_object(course, out))
    elif course.trained.ended != "interrupted":
        screen.line(pictures_summary(course, out))
    list_problems("Not used:", course.pictures.skipped)
    leave_if_interrupted(course.trained)
    if course.pictures.skipped:
        raise typer.Exit(UNREADABLE)


def leave_if_interrupted(trained: "TrainingResult") -> None:
    """Raise typer.Exit if a training was interrupted, after saying how to continue it."""
    if trained.ended == "interrupted":
        complain(f"Interrupted at step {trained.step:,}; the same command with --resume continues.")
        raise typer.Exit(INTERRUPTED)


def pictures_as_object(course: "PictureTraining", out: Path) -> dict[str, Any]:
    """Return the JSON of a training on pictures."""
    figures = {
        "one_shot_validation": round(course.trained.accuracy, 5),
        "training_classes": course.training_classes,
        "validation_classes": course.validation_classes,
        "validation_is_disjoint": course.disjoint,
    }
    model = out if course.curves else None
    return as_object(course.trained, model, figures, course.curves, course.pictures.skipped)


def as_object(
    trained: "TrainingResult",
    model: Path | None,
    figures: dict[str, Any],
    curves: Path | None,
    skipped: Iterable[tuple[str, str]],
) -> dict[str, Any]:
    """Return the JSON of any training."""
    return {
        "model": model and str(model),
        "ended": trained.ended,
        "step": trained.step,
        **figures,
        "pictures_per_s": round(trained.pictures_per_s, 1),
        "data_share": round(trained.data_share, 4),
        "curves": curves and str(curves),
        "skipped": [list(pair) for pair in skipped],
    }


def pictures_summary(course: "PictureTraining", out: Path) -> str:
    """Return what was trained, how accurate it is, and what to do next."""
    trained = course.trained
    others = "" if course.disjoint else " (too few to set some apart: trained on, too)"
    return (
        f"Trained on {counted(course.training_classes, 'class', 'classes')}, {steps_of(trained)}.\n"
        f"One-shot accuracy on {counted(course.validation_classes, 'class', 'classes')}{others}: "
        f"{percent(trained.accuracy)}.\n{next_steps(out, course.curves, 'PICTURE')}"
    )


def steps_of(trained: "TrainingResult") -> str:
    """Return the number of steps, and whether it ended early."""
    early = ", ended early: no more gain" if trained.ended == "early" else ""
    return f"{trained.step:,} steps{early}"


def next_steps(out: Path, curves: Path | None, picture: str) -> str:
    """Return where the model is and the commands that use it; `picture` stands for a file."""
    model = printable(out)
    return (
        f"The model is in {model}, its curves in {printable(curves)}. Next:\n"
        f"  facesearch enroll FOLDER --model {model} --gallery my.db\n"
        f"  facesearch identify {picture} --model {model} --gallery my.db"
    )


def train_faces(
    data: Path,
    out: Path,
    start: str | None,
    *,
    steps: int | None,
    seed: int,
    resume: bool,
    as_json: bool,
) -> None:
    """Train a model of faces; with `start` adapt that model, and write it only if it is better."""
    from facesearch.training.face_recipe import Face
    from facesearch.training.faces import are_crops
    from facesearch.training.train_faces import train_on_faces

    screen = Screen()
    if are_crops(data):
        complain("Every face is analyzed before the first step: minutes if there are thousands.")
    else:
        say_rest_of_classes(data)
    recipe = Face(seed=seed) if start is None else Face(seed=seed, start=start)
    with watching(screen, recipe.validated_by) as (reading, watch):
        course = train_on_faces(
            data,
            recipe,
            out,
            adapt=start is not None,
            steps=steps,
            resume=resume,
            reading=reading,
            watch=watch,
        )
    if as_json:
        print_json(**faces_as_object(course, out))
    elif course.written:
        screen.line(faces_summary(course, out))
    list_problems("Not used:", course.faces.skipped)
    leave_if_interrupted(course.trained)
    if not course.written:
        complain(refusal(course))
        raise typer.Exit(NO)
    if course.faces.skipped:
        raise typer.Exit(UNREADABLE)


def faces_as_object(course: "FaceTraining", out: Path) -> dict[str, Any]:
    """Return the JSON of a training on faces."""
    from facesearch.training.train_faces import rate_figures

    faces = course.faces
    figures = {
        "training_people": len(faces.training.groups),
        "training_faces": len(faces.training.classes),
        "validation_people": len(faces.validation.groups),
        "figures": None if course.after is None else rate_figures(course.after),
        "figures_before": None if course.before is None else rate_figures(course.before),
    }
    model = out if course.written else None
    return as_object(course.trained, model, figures, course.curves, faces.skipped)


def faces_summary(course: "FaceTraining", out: Path) -> str:
    """Return what was trained, how accurate it is on each set, and what to do next."""
    faces = course.faces
    lines = [
        f"Trained on {counted(len(faces.training.groups), 'person', 'people')}, "
        f"{counted(len(faces.training.classes), 'face')}, {steps_of(course.trained)}.",
        f"On {counted(len(faces.validation.groups), 'person', 'people')} not trained on, rank 1 "
        "and TPIR at FPIR 1%:",
    ]
    for name, rates in (course.after or {}).items():
        line = f"  {name}: {percent(rates.rank_1)}, {percent(rates.tpir)}"
        if course.before is not None:
            was = course.before[name]
            line += f"; before: {percent(was.rank_1)}, {percent(was.tpir)}"
        lines.append(line)
    return "\n".join([*lines, next_steps(out, course.curves, "PHOTO")])


def refusal(course: "FaceTraining") -> str:
    """Return why an adapted model was not written."""
    from facesearch.training.train_faces import mean_tpir

    assert course.after is not None  # for the type checker: it was not interrupted
    assert course.before is not None  # it was an adaptation
    people = counted(len(course.faces.validation.groups), "person", "people")
    return (
        f"No model was written, since it is not better: of {people} not trained on, it finds "
        f"{percent(mean_tpir(course.after))} (TPIR at FPIR 1%), the model before found "
        f"{percent(mean_tpir(course.before))}."
    )


@contextmanager
def watching(screen: Screen, validated_by: str) -> Iterator[tuple[Any, Any]]:
    """Yield functions that show reading and training as bars on a terminal.

    Elsewhere each validation prints a line on stderr. `validated_by` names its figure.
    """
    if not sys.stderr.isatty():
        yield None, partial(plain_line, validated_by)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=screen.console, transient=True) as bars:
        reading = bars.add_task("Reading", total=None, figures="")
        training = bars.add_task("Training", total=None, figures="", visible=False)

        def read(total: int) -> None:
            bars.update(reading, total=total, advance=1)

        def watch(progress: "Progress") -> None:
            bars.update(reading, visible=False)
            bars.update(
                training,
                total=progress.steps,
                completed=progress.step,
                figures=figures_of(validated_by, progress),
                visible=True,
            )

        yield read, watch


def figures_of(validated_by: str, progress: "Progress") -> str:
    """Return loss, speed and the figure of the last validation."""
    text = f"loss {progress.loss:.3f}  {progress.pictures_per_s:,.0f} pictures/s"
    if progress.best is None:
        return text
    reached = f"{percent(progress.accuracy or 0.0)} (best {percent(progress.best)})"
    return f"{text}  {validated_by} {reached}"


def plain_line(validated_by: str, progress: "Progress") -> None:
    """Print a line after each validation."""
    if progress.validated:
        left = f"{progress.seconds_left / 60:.1f} min left"
        figures = figures_of(validated_by, progress)
        complain(f"step {progress.step:,} of {progress.steps:,}  {figures}  {left}")
