"""facesearch cluster: groups of faces without a name; give a group its name."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.history import report_decision, say_how_to_undo
from facesearch_cli.options import (
    INTERRUPTED,
    UNREADABLE,
    Options,
    Twice,
    photos_and_rest_told,
    usable_name,
    with_options,
    workers,
)
from facesearch_cli.render import (
    Column,
    Screen,
    bearer_words,
    complain,
    counted,
    list_problems,
    print_json,
)

if TYPE_CHECKING:
    from facesearch import Decision, Gallery
    from facesearch.photo_files import LeftOut
    from facesearch.review.groups import Unnamed, UnnamedGroup

MAX_LISTED = 3  # photos of a group in the table, then "and 7 more"; JSON has all
MAX_SHOWN = 6  # faces of a group on the page


@with_options
def cluster(
    options: Options,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PHOTO|FOLDER...", help="Photos; folders are walked.")
    ],
    name: Annotated[
        tuple[int, str] | None,
        typer.Option(
            "--name",
            metavar="GROUP NAME",
            help="Enroll the faces of this group as NAME, a new or an enrolled person.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page that shows the faces."),
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="Also group faces under 32 pixels, as in crowds.")
    ] = False,
    same_person_twice: Twice = False,
) -> None:
    """Group the faces of people who are not enrolled: one group per person, largest first.

    A group keeps its number when photos are added. Photos seen before are not analyzed again.
    """
    from facesearch.manifest import subject

    number, person = (None, "") if name is None else (name[0], usable_name(name[1], new=True))
    photos, rest = photos_and_rest_told(paths)
    screen = Screen()
    with options.opened(photos=len(photos), create=True) as gallery:
        what = subject(gallery.model.manifest)
        found = clustered(gallery, photos, screen, small=small)
        group = None if number is None else group_with_id(number, found)
        if html is not None:
            html.write_text(page_of(found, what, gallery), "utf-8")
        decision: Decision | None = None
        left_out: Sequence[tuple[str, str]] = ()
        if group is not None:
            decision = gallery.review.name_group(
                group,
                person,
                same_person_twice=same_person_twice,
                workers=workers(len(group.faces)),
            )
            left_out = decision.left_out
    if options.as_json:
        answer_in_json(found, decision, left_out, rest, options)
    elif decision is not None:
        report_decision(decision, options)
    else:
        show(found, what, screen)
        if found.groups:
            say_how_to_name(paths, options)
    list_problems("Left out:", left_out)
    list_problems("Could not be used:", found.unreadable)
    if found.unreadable or left_out:
        raise typer.Exit(UNREADABLE)


def answer_in_json(
    found: "Unnamed",
    decision: "Decision | None",
    left_out: Sequence[tuple[str, str]],
    rest: "LeftOut",
    options: Options,
) -> None:
    """Print the groups and the decision, if one was made, as JSON."""
    from facesearch import wire

    named = decision and wire.decision(decision)
    print_json(
        **wire.unnamed(found),
        named=named,
        left_out=wire.failures(left_out),
        left_out_of_folders=rest.counts(),
    )
    if decision is not None and decision.id is not None:
        say_how_to_undo(decision.id, options)


def say_how_to_name(paths: Sequence[Path], options: Options) -> None:
    """Print on stderr the command that names a group."""
    quoted = [shlex.quote(str(path)) for path in paths]
    where = " ".join(quoted if len(quoted) <= MAX_LISTED else ["..."]) + options.repeated()
    complain(f"To name one: facesearch cluster {where} --name GROUP NAME")


def clustered(gallery: "Gallery", photos: list[Path], screen: Screen, *, small: bool) -> "Unnamed":
    """Return the groups, with a progress bar; raises typer.Exit at Ctrl-C."""
    try:
        with screen.progress("Looking", len(photos)) as advance:
            return gallery.review.cluster(
                photos, workers=workers(len(photos)), small=small, advance=advance
            )
    except KeyboardInterrupt:
        complain("Interrupted: the same command goes on from here.")
        raise typer.Exit(INTERRUPTED) from None


def group_with_id(number: int, found: "Unnamed") -> "UnnamedGroup":
    """Return the group with that number; raises typer.BadParameter if there is none."""
    for group in found.groups:
        if group.id == number:
            return group
    raise typer.BadParameter(f"there is no group {number} in these photos")


def show(found: "Unnamed", what: str, screen: Screen) -> None:
    """Print the groups with a few photos of each, and a summary on stderr."""
    columns = (
        Column("group", right=True),
        Column(f"{what}s", right=True),
        Column("photo", share=1, keep_end=True),
        Column(what, right=True),
    )
    rows: list[tuple[object, ...]] = []
    for group in found.groups:
        n_faces = len(group.faces)
        rows += [(group.id, n_faces, face.photo, face.number) for face in group.faces[:MAX_LISTED]]
        if n_faces > MAX_LISTED:
            rows.append((group.id, n_faces, f"and {n_faces - MAX_LISTED:,} more", ""))
    screen.table(columns, rows)
    complain(summary(found, what))


def summary(found: "Unnamed", what: str) -> str:
    """Return the totals in words; `what` is face, drawing or picture."""
    groups = counted(len(found.groups), "group") if found.groups else "No group"
    several = bearer_words(what)[1]
    dismissed = f", {found.dismissed:,} dismissed" if found.dismissed else ""
    small = ""
    if found.small:
        small = f" {counted(found.small, what)} under 32 pixels not grouped; --small groups them."
    return (
        f"{groups} of {what}s without a name in {counted(found.photos, 'photo')}. "
        f"{counted(found.alone, what)} found only once, {found.named:,} of enrolled {several}"
        f"{dismissed}.{small}"
    )


def page_of(found: "Unnamed", what: str, gallery: "Gallery") -> str:
    """Return an HTML page with the faces of each group side by side."""
    from facesearch.duplicates.report_page import Picture, cut_out, page

    groups = (  # lazy: all faces at once would fill the memory
        (
            f"Group {group.id}: {counted(len(group.faces), what)}",
            (
                Picture(cut_out(face.photo, gallery.faces.as_stored(face)), face.photo, "")
                for face in group.faces[:MAX_SHOWN]
            ),
        )
        for group in found.groups
    )
    return page("People without a name", summary(found, what), groups)
