"""facesearch history and undo: what was decided about the people of a gallery, and back again."""

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.options import AsJson, GalleryPath, ModelName, open_gallery, usable_name
from facesearch_cli.render import Column, Screen, complain, print_json, printable

if TYPE_CHECKING:
    from facesearch.gallery import Decision


def history(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only about them.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, from the newest.")] = 20,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """List what was decided about people, newest first: number, when, by whom, what."""
    with open_gallery(gallery, model) as opened:
        asked = None if name is None else usable_name(name)
        decisions = opened.history.list(asked, limit)
    if as_json:
        print_json(decisions=[asdict(decision) for decision in decisions])
        return
    columns = (
        Column("no.", right=True),
        Column("when (UTC)", style="dim"),
        Column("by", style="dim"),
        Column("what", share=2),
        Column("photo", style="dim", share=1, keep_end=True),
    )
    Screen().table(columns, [row_of(decision) for decision in decisions])
    if not decisions:
        complain("Nothing was decided yet.")


def row_of(decision: "Decision") -> tuple[object, ...]:
    """Return a decision as the cells of its row."""
    what: object = decision.summary
    if decision.undone_by is not None:
        what = (f"{decision.summary} (undone by {decision.undone_by})", "dim")
    when = decision.made_at[:19].replace("T", " ")
    return decision.id, when, decision.made_by, what, decision.photo or ""


def undo(
    number: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", help="A number of facesearch history; else the last."),
    ] = None,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Undo a decision, the last one unless you name it. An undo can be undone by its number."""
    with open_gallery(gallery, model) as opened:
        told(opened.history.undo(number), gallery, model, as_json)


def told(
    decision: "Decision", gallery: Path | None, model: str, as_json: bool, dry_run: bool = False
) -> None:
    """Print what was decided with this --gallery and --model, and how to undo it."""
    if as_json:
        print_json(**asdict(decision), dry_run=dry_run)
    elif dry_run:
        typer.echo(f"Would have {printable(decision.summary)}. Nothing was changed.")
    elif decision.id is None:
        typer.echo(f"Already {printable(decision.summary)}. Nothing was changed.")
    else:
        typer.echo(f"{printable(capitalised(decision.summary))}.")
    if decision.id is not None:
        say_how_to_undo(decision.id, gallery, model)


def say_how_to_undo(number: int, gallery: Path | None, model: str) -> None:
    """Tell on stderr which command undoes a decision made with this --gallery and --model."""
    complain(f"To undo: facesearch undo {number}{same_options(gallery, model)}")


def capitalised(text: str) -> str:
    """Return `text` with a capital first letter; the rest, with its names, as it is."""
    return text[:1].upper() + text[1:]


def same_options(gallery: Path | None, model: str) -> str:
    """Return the options by which another command means this --gallery and --model."""
    named = gallery is not None and str(gallery) != os.environ.get("FACESEARCH_HOME")
    where = f" --gallery {shlex.quote(str(gallery))}" if named else ""
    option = "" if model == "default" else f" --model {shlex.quote(model)}"
    return where + option
