"""facesearch dedupe: the same photo twice, the same face twice, the same person twice."""

import shlex
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.history import told
from facesearch_cli.options import (
    INTERRUPTED,
    NO,
    UNREADABLE,
    AsJson,
    GalleryPath,
    ModelName,
    gallery_path,
    open_gallery,
)
from facesearch_cli.people import stdin_is_terminal
from facesearch_cli.render import (
    Column,
    Screen,
    complain,
    complain_of_skipped,
    counted,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from facesearch.duplicates.photos import PhotoReport
    from facesearch.duplicates.trash import Outcome


class What(StrEnum):
    """What may be there twice."""

    PHOTOS = "photos"
    PEOPLE = "people"
    FACES = "faces"


OF_PHOTOS = ("folders", "keep", "bursts", "trash", "undo_trash", "not_same")
MISPLACED = {  # parameters that say nothing where people, faces or photos are looked for
    What.PHOTOS: ("at_least",),
    What.PEOPLE: OF_PHOTOS,
    What.FACES: (*OF_PHOTOS, "at_least", "apply", "yes"),
}


class Keep(StrEnum):
    """Which photo of a group stays."""

    BEST = "best"
    OLDEST = "oldest"
    NEWEST = "newest"
    FIRST_FOLDER = "first-folder"


def dedupe(
    context: typer.Context,
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER...", help="Where the photos lie.")
    ] = None,
    what: Annotated[
        What,
        typer.Option(
            "--what",
            help="What may be there twice: photos in folders; people of the gallery (one under two "
            "names, two under one); faces that are enrolled twice.",
        ),
    ] = What.PHOTOS,
    at_least: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="P", help="Propose, and apply, people from this probability."
        ),
    ] = 0.5,
    keep: Annotated[
        Keep,
        typer.Option(
            "--keep",
            help="Which photo of a group stays. Never a GIF, a grey, a cropped or a mirrored one "
            "if another is there that is none. Among those best means: most pixels, then most "
            "bytes, then the oldest. A copy that was enlarged has more pixels, too.",
        ),
    ] = Keep.BEST,
    bursts: Annotated[
        bool, typer.Option("--bursts", help="Also group the frames of one series of shots.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page to look through.")
    ] = None,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Move the duplicates to the trash folder. Those of which a spot differs (a closed "
            "eye, a caption) stay: look at them, best with --html. People are merged.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    trash: Annotated[
        Path | None,
        typer.Option(
            "--trash",
            metavar="FOLDER",
            help="The trash folder.",
            show_default="facesearch-trash beside the first FOLDER",
        ),
    ] = None,
    undo_trash: Annotated[
        bool, typer.Option("--undo-trash", help="Move back what the last --apply moved.")
    ] = False,
    not_same: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--not-same",
            metavar="PHOTO PHOTO",
            help="Say that two photos are not the same picture; they never come into one group.",
        ),
    ] = None,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Find what is there twice: photos that are the same picture, people under two names, faces.

    Nothing is changed without --apply, and that can be undone.
    """
    refuse_misplaced(context, what)
    if what is not What.PHOTOS:
        from facesearch_cli.dedupe_people import dedupe_faces, dedupe_people

        if what is What.FACES:
            dedupe_faces(html, gallery, model, as_json)
            return
        ask_or_be_told(apply, yes, as_json, "merge people")
        dedupe_people(at_least, html, apply, yes, gallery, model, as_json)
        return
    if not_same is not None:
        tell_apart(not_same, gallery, model, as_json=as_json)
    elif undo_trash:
        undo_photos(folders or [], trash, as_json=as_json)
    elif not folders:
        raise typer.BadParameter("in which folders are the photos?")
    else:
        ask_or_be_told(apply, yes, as_json, "move files")
        dedupe_photos(folders, keep, bursts, html, apply, yes, trash, gallery, model, as_json)


def refuse_misplaced(context: typer.Context, what: What) -> None:
    """Raise typer.BadParameter if a parameter was given that says nothing of `what`."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        given = source is not None and source.name == "COMMANDLINE"
        if parameter.name in MISPLACED[what] and given:
            name = "FOLDER" if parameter.name == "folders" else parameter.opts[0]
            raise typer.BadParameter(f"{name} does not go with --what {what}")


def ask_or_be_told(apply: bool, yes: bool, as_json: bool, to_do: str) -> None:
    """Raise typer.BadParameter if nobody is there to be asked about --apply."""
    if apply and not yes and (as_json or not stdin_is_terminal()):
        raise typer.BadParameter(f"say --yes to {to_do} without being asked")


def tell_apart(
    photos: tuple[Path, Path], gallery: Path | None, model: str, *, as_json: bool
) -> None:
    """Remember in the gallery that two photos are not the same picture."""
    from facesearch.photo import read_photo

    first, second = (read_photo(photo).content_hash for photo in photos)
    with open_gallery(gallery, model, create=True) as opened:
        told(opened.curation.not_same_photos([(first, second)]), gallery, model, as_json)


def told_apart(gallery: Path | None, model: str) -> set[frozenset[str]]:
    """Return the pairs of content hashes that a human told apart."""
    from facesearch.gallery import gallery_file

    if not gallery_file(gallery_path(gallery)).exists():
        return set()
    with open_gallery(gallery, model) as opened:
        return opened.curation.different_photos()


def dedupe_photos(
    folders: list[Path],
    keep: Keep,
    bursts: bool,
    html: Path | None,
    apply: bool,
    yes: bool,
    trash: Path | None,
    gallery: Path | None,
    model: str,
    as_json: bool,
) -> None:
    """Report the photos that are there twice; with `apply` move them to the trash."""
    from facesearch.duplicates.photos import sure_files_of

    place = trash_of(folders, trash)
    look_for_unfinished(place, finish=apply)
    screen = Screen()
    different = told_apart(gallery, model)
    report = found_photos(folders, keep, bursts, different, gallery, screen)
    if html is not None:
        html.write_text(photo_page(report), "utf-8")
    n_files = sure_files_of(report.groups)
    outcome = None
    if not as_json:
        show_photos(report, screen)
    question = f"Move {counted(n_files, 'file')} to {printable(place)}"
    if apply and n_files:
        if not yes and not typer.confirm(question, err=True):
            complain("Nothing was changed.")
            raise typer.Exit(NO)
        outcome = moved(report, place)
    if as_json:
        print_json(**photos_as_json(report, outcome))
    elif outcome is not None:
        screen.line(f"Moved {counted(len(outcome.moved), 'file')} to {printable(outcome.folder)}.")
    if outcome is not None:
        complain_of_skipped("Left alone:", outcome.left)
        complain(f"To undo: facesearch dedupe --undo-trash --trash {shlex.quote(str(place))}")
    complain_of_skipped("Not read:", report.unreadable)
    if report.unreadable or (outcome is not None and outcome.left):
        raise typer.Exit(UNREADABLE)


def moved(report: "PhotoReport", place: Path) -> "Outcome":
    """Move the duplicates to the trash; tell what has become of them where that is cut short."""
    from facesearch.duplicates.trash import apply
    from facesearch.errors import TrashError

    try:
        return apply(report.groups, place)
    except (TrashError, KeyboardInterrupt):
        look_for_unfinished(place, finish=False)
        raise


def found_photos(
    folders: list[Path],
    keep: Keep,
    bursts: bool,
    different: set[frozenset[str]],
    gallery: Path | None,
    screen: Screen,
) -> "PhotoReport":
    """Return the report, with progress on a terminal; leaves with 130 at Ctrl-C."""
    from facesearch.duplicates.photos import find_duplicates
    from facesearch.gallery import gallery_file

    file = gallery_file(gallery_path(gallery))
    cache = file.with_name(file.name + "-index") / "photos.cache"
    steps = Steps(screen)
    try:
        return find_duplicates(
            folders,
            cache,
            keep=keep.value,
            bursts=bursts,
            different=different,
            progress=steps.progress,
        )
    except KeyboardInterrupt:
        complain("Interrupted: the same command goes on from here. Nothing was changed.")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        steps.end()


class Steps:
    """Progress through the steps of a search, a bar each."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.what = ""
        self.done = 0
        self.bar = ExitStack()
        self.advance: Callable[[], None] = lambda: None

    def progress(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        if what != self.what:
            self.bar.close()
            self.what, self.done = what, 0
            self.advance = self.bar.enter_context(self.screen.progress(what, total))
        for _ in range(done - self.done):
            self.advance()
        self.done = done

    def end(self) -> None:
        """Take the bar away."""
        self.bar.close()


def trash_of(folders: list[Path], trash: Path | None) -> Path:
    """Return the trash folder: the one given, or `facesearch-trash` beside the first folder."""
    from facesearch.duplicates.trash import DEFAULT_NAME

    if trash is not None:
        return trash.absolute()
    if not folders:
        raise typer.BadParameter("which trash? Give --trash FOLDER, or the FOLDER it lies beside")
    return folders[0].resolve().parent / DEFAULT_NAME


def look_for_unfinished(trash: Path, *, finish: bool) -> None:
    """Tell of moves that were cut short, or carry them out to the end if `finish`."""
    from facesearch.duplicates import trash as operations

    cut_short = operations.unfinished(trash)
    if not cut_short:
        return
    if finish:
        for outcome in operations.finish(trash):
            complain(f"Finished what was cut short in {printable(outcome.folder)}.")
            complain_of_skipped("Left alone:", outcome.left)
        return
    there = shlex.quote(str(trash))
    for cut in cut_short:
        complain(
            f"Moving {counted(cut.files, 'file')} was cut short in {printable(cut.folder)}; "
            f"nothing is lost: --apply finishes it, "
            f"facesearch dedupe --undo-trash --trash {there} moves them back."
        )


def undo_photos(folders: list[Path], trash: Path | None, *, as_json: bool) -> None:
    """Move back what the last --apply moved."""
    from facesearch.duplicates.trash import undo

    outcome = undo(trash_of(folders, trash))
    if as_json:
        print_json(undone=outcome_as_json(outcome))
    else:
        typer.echo(f"Moved {counted(len(outcome.moved), 'file')} back.")
    complain_of_skipped("Left in the trash:", outcome.left)
    if outcome.left:
        raise typer.Exit(UNREADABLE)


def show_photos(report: "PhotoReport", screen: Screen) -> None:
    """Print the groups: what stays, what could go, and why; a summary on stderr."""
    from facesearch.duplicates.photos import files_of, sure_files_of

    columns = (
        Column("group", right=True),
        Column("", style="bold"),
        Column("photo", share=2, keep_end=True),
        Column("score", right=True),
        Column("", style="dim", share=1),
    )
    rows: list[tuple[object, ...]] = []
    for number, group in enumerate(report.groups, 1):
        rows.append((number, "keep", group.keeper.path, "", ""))
        rows += [
            (number, "", twin.file.path, f"{twin.score:.3f}", twin.reason)
            for twin in group.duplicates
        ]
    screen.table(columns, rows)
    found = f"{counted(files_of(report.groups), 'duplicate')} in {counted(len(rows), 'file')}"
    if not rows:
        found = "No duplicates"
    complain(f"{found}, {counted(report.photos, 'photo')} looked at.")
    unsure = files_of(report.groups) - sure_files_of(report.groups)
    if unsure:
        complain(f"Not sure of {unsure:,} of them: --apply leaves those, look at them with --html.")
    if report.same_files:
        complain(f"{counted(len(report.same_files), 'link')} to files passed over.")
    for first, second, score in report.doubtful:
        complain(f"Perhaps the same, not grouped ({score:.3f}): {first} {second}")


def photo_page(report: "PhotoReport") -> str:
    """Return the report as an HTML page."""
    from facesearch.duplicates.photo_cache import PhotoFile
    from facesearch.duplicates.photos import files_of
    from facesearch.duplicates.report_page import Picture, page

    def shown(file: PhotoFile, note: str, *, keep: bool = False) -> Picture:
        size = f"{file.width} x {file.height}, {file.state.size:,} bytes"
        return Picture(file.path, f"{file.path} ({size})", note, keep)

    groups = [
        (
            f"Group {number}",
            [
                shown(group.keeper, "keep", keep=True),
                *(
                    shown(
                        twin.file,
                        f"{twin.score:.3f}, {twin.reason}"
                        + ("" if twin.sure else ": --apply leaves it to you"),
                    )
                    for twin in group.duplicates
                ),
            ],
        )
        for number, group in enumerate(report.groups, 1)
    ]
    n_files = files_of(report.groups)
    summary = f"{counted(n_files, 'duplicate')} of {counted(report.photos, 'photo')}."
    return page("Photos that are there twice", summary, groups)


def photos_as_json(report: "PhotoReport", outcome: "Outcome | None") -> dict[str, object]:
    """Return the fields of the JSON answer."""
    from facesearch.duplicates.photo_cache import PhotoFile

    def of(file: PhotoFile) -> dict[str, object]:
        return {
            "photo": file.path,
            "sha256": file.content_hash,
            "bytes": file.state.size,
            "width": file.width,
            "height": file.height,
        }

    return {
        "what": "photos",
        "photos": report.photos,
        "groups": [
            {
                "keep": of(group.keeper),
                "duplicates": [
                    {
                        **of(twin.file),
                        "score": round(twin.score, 6),
                        "sure": twin.sure,
                        "reason": twin.reason,
                    }
                    for twin in group.duplicates
                ],
            }
            for group in report.groups
        ],
        "doubtful": [
            {"photos": [first, second], "score": round(score, 6)}
            for first, second, score in report.doubtful
        ],
        "same_files": [{"photo": name, "is": file} for name, file in report.same_files],
        "unreadable": [{"photo": path, "error": reason} for path, reason in report.unreadable],
        "applied": outcome and outcome_as_json(outcome),
    }


def outcome_as_json(outcome: "Outcome") -> dict[str, object]:
    """Return what became of an operation of the trash."""
    return {
        "trash": str(outcome.folder),
        "moved": list(outcome.moved),
        "left": [{"photo": path, "reason": reason} for path, reason in outcome.left],
    }
