"""facesearch cluster: the faces of people whom nobody has named, in groups; name one."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.history import same_options, say_how_to_undo, told
from facesearch_cli.options import (
    INTERRUPTED,
    UNREADABLE,
    AsJson,
    GalleryPath,
    ModelName,
    open_gallery,
    photos_in,
    usable_name,
    workers,
)
from facesearch_cli.render import (
    Column,
    Screen,
    bearer,
    complain,
    complain_of_skipped,
    counted,
    print_json,
)

if TYPE_CHECKING:
    from facesearch import Decision, Gallery
    from facesearch.review.groups import Unnamed, UnnamedGroup

LISTED = 3  # photos of a group in the table; the JSON has all
SHOWN = 6  # faces of a group on the page


def cluster(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PHOTO|FOLDER...", help="Folders are walked.")
    ],
    name: Annotated[
        tuple[int, str] | None,
        typer.Option(
            "--name",
            metavar="GROUP NAME",
            help="Enroll the faces of that group as NAME, who may be enrolled already.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page to look through.")
    ] = None,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Group the faces of people who are not enrolled, one group a person, most frequent first.

    A group keeps its number when photos are added. Only new photos take long.
    """
    from facesearch.manifest import subject

    number, person = (None, "") if name is None else (name[0], usable_name(name[1]))
    photos = list(photos_in(paths))
    screen = Screen()
    with open_gallery(gallery, model, photos=len(photos), create=True) as opened:
        what = subject(opened.model.manifest)
        found = clustered(opened, photos, screen)
        group = None if number is None else group_called(number, found)
        if html is not None:
            html.write_text(page_of(found, what), "utf-8")
        decision: Decision | None = None
        left_out: list[tuple[str, str]] = []
        if group is not None:
            decision = opened.review.name_group(group, person, workers=workers(len(group.faces)))
            left_out = list(decision.left_out)
    if as_json:
        named = None if decision is None else as_object(decision)
        print_json(**as_object(found), named=named, left_out=as_objects(left_out))
        if decision is not None and decision.id is not None:
            say_how_to_undo(decision.id, gallery, model)
    elif decision is not None:
        told(decision, gallery, model, as_json=False)
    else:
        show(found, what, screen)
        if found.groups:
            same = [shlex.quote(str(path)) for path in paths]
            where = " ".join(same if len(same) <= LISTED else ["..."])
            where += same_options(gallery, model)
            complain(f"To name one: facesearch cluster {where} --name GROUP NAME")
    complain_of_skipped("Left out:", left_out)
    complain_of_skipped("Could not be used:", found.unreadable)
    if found.unreadable or left_out:
        raise typer.Exit(UNREADABLE)


def clustered(opened: "Gallery", photos: list[Path], screen: Screen) -> "Unnamed":
    """Return the groups, with progress on a terminal; leaves with 130 at Ctrl-C."""
    try:
        with screen.progress("Looking", len(photos)) as advance:
            return opened.review.cluster(photos, workers=workers(len(photos)), advance=advance)
    except KeyboardInterrupt:
        complain("Interrupted: the same command goes on from here.")
        raise typer.Exit(INTERRUPTED) from None


def group_called(number: int, found: "Unnamed") -> "UnnamedGroup":
    """Return the group with that number; raises typer.BadParameter."""
    for group in found.groups:
        if group.id == number:
            return group
    raise typer.BadParameter(f"there is no group {number} on these photos")


def show(found: "Unnamed", what: str, screen: Screen) -> None:
    """Print the groups, a few photos of each; a summary on stderr."""
    columns = (
        Column("group", right=True),
        Column(f"{what}s", right=True),
        Column("photo", share=1, keep_end=True),
        Column(what, right=True),
    )
    rows: list[tuple[object, ...]] = []
    for group in found.groups:
        n_faces = len(group.faces)
        rows += [(group.id, n_faces, face.photo, face.number) for face in group.faces[:LISTED]]
        if n_faces > LISTED:
            rows.append((group.id, n_faces, f"and {n_faces - LISTED:,} more", ""))
    screen.table(columns, rows)
    complain(summary(found, what))


def summary(found: "Unnamed", what: str) -> str:
    """Return what was found in a sentence."""
    groups = counted(len(found.groups), "group") if found.groups else "No group"
    dismissed = f"{found.dismissed:,} dismissed; " if found.dismissed else ""
    return (
        f"{groups} of {what}s without a name, {counted(found.alone, what)} like no other, "
        f"{found.named:,} of enrolled {bearer(what)[1]}; "
        f"{dismissed}"
        f"{counted(found.photos, 'photo')} looked at."
    )


def page_of(found: "Unnamed", what: str) -> str:
    """Return the groups as an HTML page, the faces side by side."""
    from facesearch.duplicates.report_page import Picture, cut_out, page

    groups = (  # a face is cut out when it is its turn: all of them at once fill the memory
        (
            f"Group {group.id}: {counted(len(group.faces), what)}",
            (
                Picture(cut_out(face.photo, face.content_hash, face.box), face.photo, "")
                for face in group.faces[:SHOWN]
            ),
        )
        for group in found.groups
    )
    return page("Who has no name yet", summary(found, what), groups)


def as_object(found: "Unnamed") -> dict[str, object]:
    """Return the fields of the JSON answer."""
    return {
        "groups": [
            {
                "group": group.id,
                "faces": [
                    {
                        "photo": face.photo,
                        "face": face.number,
                        "box": [round(side, 2) for side in face.box],
                        "score": round(face.score, 4),
                        "sha256": face.content_hash,
                    }
                    for face in group.faces
                ],
            }
            for group in found.groups
        ],
        "alone": found.alone,
        "enrolled": found.named,
        "dismissed": found.dismissed,
        "photos": found.photos,
        "unreadable": as_objects(found.unreadable),
    }


def as_objects(skipped: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Return photos that could not be used, as JSON has them."""
    return [{"photo": photo, "error": reason} for photo, reason in skipped]
