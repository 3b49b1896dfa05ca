"""facesearch dedupe: duplicate photos in folders, duplicate people and faces in a gallery."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from facesearch_cli.dedupe_people import dedupe_faces, dedupe_people
from facesearch_cli.dedupe_photos import Keep, PhotoSearch, mark_different, undo_photos
from facesearch_cli.options import Options, stdin_is_terminal, with_options


class What(StrEnum):
    """Kinds of duplicates."""

    PHOTOS = "photos"
    PEOPLE = "people"
    FACES = "faces"


PHOTO_OPTIONS = ("folders", "keep", "bursts", "trash", "undo_trash", "not_same")
MISPLACED = {  # parameters that have no meaning for a kind of duplicates
    What.PHOTOS: ("at_least",),
    What.PEOPLE: PHOTO_OPTIONS,
    What.FACES: (*PHOTO_OPTIONS, "at_least", "apply", "yes"),
}

Folders = Annotated[
    list[Path] | None, typer.Argument(metavar="FOLDER...", help="Folders of photos.")
]
WhatOption = Annotated[
    What,
    typer.Option(
        "--what",
        help="Duplicates to find: photos in folders; people of the gallery (one person under two "
        "names, two people under one name); faces that are enrolled twice.",
    ),
]
AtLeast = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, metavar="P", help="Propose and merge people from this probability on."
    ),
]
KeepOption = Annotated[
    Keep,
    typer.Option(
        "--keep",
        help="Photo of a group to keep. A GIF, or a cropped, mirrored, grayscale or sepia version, "
        "is never kept if a better copy exists. Of the others, best keeps the one with the most "
        "pixels, then with the camera's data (time, place), then with files that belong to it "
        "(.mov, .xmp, .aae, .json), then the largest file, then the oldest. An enlarged copy has "
        "more pixels, too.",
    ),
]
Bursts = Annotated[
    bool, typer.Option("--bursts", help="Also group the shots of one burst or series.")
]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page that shows the duplicates."),
]
Apply = Annotated[
    bool,
    typer.Option(
        "--apply",
        help="Move duplicate photos to the trash folder, or merge duplicate people. A photo that "
        "differs in one spot (closed eyes, a caption), in exposure or in the camera's data stays: "
        "look at it, best with --html. Files that belong to a photo go along.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Trash = Annotated[
    Path | None,
    typer.Option(
        "--trash",
        metavar="FOLDER",
        help="Trash folder.",
        show_default="facesearch-trash in the first FOLDER, beside it if it holds only folders",
    ),
]
UndoTrash = Annotated[
    bool, typer.Option("--undo-trash", help="Move back the photos that the last --apply moved.")
]
NotSame = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--not-same",
        metavar="PHOTO PHOTO",
        help="Remember that two photos are different pictures; they are never grouped.",
    ),
]


@with_options
def dedupe(
    options: Options,
    context: typer.Context,
    folders: Folders = None,
    what: WhatOption = What.PHOTOS,
    at_least: AtLeast = 0.5,
    keep: KeepOption = Keep.BEST,
    bursts: Bursts = False,
    html: Html = None,
    apply: Apply = False,
    yes: Yes = False,
    trash: Trash = None,
    undo_trash: UndoTrash = False,
    not_same: NotSame = None,
) -> None:
    """Find duplicates: photos of the same picture, people under two names, faces enrolled twice.

    Nothing is changed without --apply, and that can be undone.
    """
    refuse_misplaced(context, what)
    if what is What.FACES:
        dedupe_faces(html, options)
    elif what is What.PEOPLE:
        need_an_answer(apply, yes, options, "merge people")
        dedupe_people(at_least, html, options, apply=apply, yes=yes)
    elif not_same is not None:
        mark_different(not_same, options)
    elif undo_trash:
        undo_photos(folders or [], trash, options)
    elif not folders:
        raise typer.BadParameter("in which folders are the photos?")
    else:
        need_an_answer(apply, yes, options, "move files")
        search = PhotoSearch(folders, keep, bursts, trash)
        search.run(html, options, apply=apply, yes=yes)


def refuse_misplaced(context: typer.Context, what: What) -> None:
    """Raise typer.BadParameter if a parameter was given that has no meaning for `what`."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        given = source is not None and source.name == "COMMANDLINE"
        if parameter.name in MISPLACED[what] and given:
            name = "FOLDER" if parameter.name == "folders" else parameter.opts[0]
            raise typer.BadParameter(f"{name} does not go with --what {what}")


def need_an_answer(apply: bool, yes: bool, options: Options, to_do: str) -> None:
    """Raise typer.BadParameter if --apply would ask a question that nobody can answer."""
    if apply and not yes and (options.as_json or not stdin_is_terminal()):
        raise typer.BadParameter(f"give --yes to {to_do} without a question")
