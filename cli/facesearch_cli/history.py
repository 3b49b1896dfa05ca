"""facesearch history and undo: the decisions about the people of a gallery."""

from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.options import NO, Options, stdin_is_terminal, usable_name, with_options
from facesearch_cli.render import Column, Screen, complain, counted, print_json, printable

if TYPE_CHECKING:
    from facesearch.gallery import Decision, Gallery


@with_options
def history(
    options: Options,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only decisions about this person.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of decisions, newest first.")] = 20,
) -> None:
    """List the decisions about people, newest first: number, when, by whom, what."""
    from facesearch import wire

    with options.opened() as gallery:
        person = None if name is None else usable_name(name)
        decisions = gallery.history.list(person, limit)
    if options.as_json:
        print_json(decisions=[wire.decision(decision) for decision in decisions])
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
        complain("No decisions yet.")


def row_of(decision: "Decision") -> tuple[object, ...]:
    """Return the cells of a decision's row."""
    what: object = decision.summary
    if decision.undone_by is not None:
        what = (f"{decision.summary} (undone by {decision.undone_by})", "dim")
    when = decision.made_at[:19].replace("T", " ")
    return decision.id, when, decision.made_by, what, decision.photo or ""


@with_options
def undo(
    options: Options,
    number: Annotated[
        int | None,
        typer.Argument(
            metavar="[ID]",
            help="Number of the decision, see facesearch history.",
            show_default="the last one",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be undone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Undo a decision. An undo is a decision too: undo it by its number.

    It asks first if the decision is about several people, or was not named by its number.
    """
    with options.opened() as gallery:
        if not (yes or dry_run):
            ask_to_undo(gallery, number)
        report_decision(gallery.history.undo(number, dry_run=dry_run), options, dry_run=dry_run)


def ask_to_undo(gallery: "Gallery", number: int | None) -> None:
    """Ask before what may surprise: an undo for several people, or of whatever came last.

    Raises typer.Exit at a no, and typer.BadParameter where nobody can be asked and no number says
    what is meant.
    """
    n_people = gallery.history.people_of(number)
    if number is not None and (n_people < 2 or not stdin_is_terminal()):
        return
    planned = gallery.history.undo(number, dry_run=True)
    concerned = counted(n_people, "person", "people")
    what = printable(f"{reworded(planned.summary, 'undo', 'redo')}; it concerns {concerned}")
    if not stdin_is_terminal():
        raise typer.BadParameter(f"this would {what}. Give --yes to do so")
    if not typer.confirm(f"{capitalized(what)}. Go on", err=True):
        complain("Nothing was changed.")
        raise typer.Exit(NO)


def reworded(summary: str, undo: str, redo: str) -> str:
    """Return the summary of an undo, "undid 3: ..." or "redid 3: ...", with another verb."""
    for past, verb in (("undid ", undo), ("redid ", redo)):
        if summary.startswith(past):
            return f"{verb} {summary.removeprefix(past)}"
    return summary


def report_decision(decision: "Decision", options: Options, *, dry_run: bool = False) -> None:
    """Print what was decided, and on stderr how to undo it."""
    from facesearch import wire

    if options.as_json:
        print_json(**wire.decision(decision), dry_run=dry_run)
    elif dry_run:
        done = reworded(decision.summary, "undone", "redone")
        typer.echo(f"Would have {printable(done)}. Nothing was changed.")
    elif decision.id is None:
        typer.echo(f"Already {printable(decision.summary)}. Nothing was changed.")
    else:
        typer.echo(f"{printable(capitalized(decision.summary))}.")
    if decision.id is not None:
        say_how_to_undo(decision.id, options)


def say_how_to_undo(number: int, options: Options) -> None:
    """Print on stderr the command that undoes a decision in this gallery."""
    complain(f"To undo: facesearch undo {number}{options.repeated()}")


def capitalized(text: str) -> str:
    """Return `text` with its first letter in upper case; names in it stay as they are."""
    return text[:1].upper() + text[1:]
