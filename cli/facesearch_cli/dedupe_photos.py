"""facesearch dedupe: duplicate photos in folders, moved to a trash folder and back."""

import shlex
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from facesearch_cli.history import report_decision
from facesearch_cli.options import (
    INTERRUPTED,
    NO,
    UNREADABLE,
    Options,
    gallery_path,
    photos_and_rest_told,
)
from facesearch_cli.render import (
    Column,
    Screen,
    complain,
    counted,
    list_problems,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from facesearch.duplicates.photo_cache import PhotoFile
    from facesearch.duplicates.photos import PhotoReport
    from facesearch.duplicates.report_page import Picture
    from facesearch.duplicates.trash import Outcome


class Keep(StrEnum):
    """Rules for the photo of a group to keep."""

    BEST = "best"
    OLDEST = "oldest"
    NEWEST = "newest"
    FIRST_FOLDER = "first-folder"


@dataclass(frozen=True, slots=True)
class PhotoSearch:
    """A search for duplicate photos, as the options describe it."""

    folders: list[Path]
    keep: Keep
    bursts: bool
    trash: Path | None

    def run(self, html: Path | None, options: Options, *, apply: bool, yes: bool) -> None:
        """Report the duplicate photos; with `apply` move them to the trash."""
        from facesearch import wire

        trash = trash_folder(self.folders, self.trash)
        handle_unfinished(trash, finish=apply)
        screen = Screen()
        _, rest = photos_and_rest_told(self.folders)
        report = self.report(options, screen)
        if html is not None:
            html.write_text(photo_page(report), "utf-8")
        if not options.as_json:
            show_photos(report, screen)
        outcome = moved(report, trash, yes=yes) if apply else None
        if options.as_json:
            print_json(**wire.duplicate_photos(report, outcome), left_out_of_folders=rest.counts())
        elif outcome is not None:
            n_moved = counted(len(outcome.moved), "file")
            screen.line(f"Moved {n_moved} to {printable(outcome.folder)}.")
        if outcome is not None:
            list_problems("Left alone:", outcome.left)
            complain(f"To undo: facesearch dedupe --undo-trash --trash {shlex.quote(str(trash))}")
        list_problems("Not read:", report.unreadable)
        if report.unreadable or (outcome is not None and outcome.left):
            raise typer.Exit(UNREADABLE)

    def report(self, options: Options, screen: Screen) -> "PhotoReport":
        """Return the groups of duplicates, with progress bars; raises typer.Exit at Ctrl-C."""
        from facesearch.duplicates.photos import find_duplicates
        from facesearch.gallery import gallery_file, index_folder

        file = gallery_file(gallery_path(options.gallery))
        steps = Steps(screen)
        try:
            return find_duplicates(
                self.folders,
                index_folder(file) / "photos.cache",
                keep=self.keep.value,
                bursts=self.bursts,
                different=different_photos(file, options),
                progress=steps.progress,
            )
        except KeyboardInterrupt:
            complain("Interrupted: the same command goes on from here. Nothing was changed.")
            raise typer.Exit(INTERRUPTED) from None
        finally:
            steps.end()


def different_photos(file: Path, options: Options) -> set[frozenset[str]]:
    """Return the pairs of pictures that a human marked as different pictures."""
    if not file.exists():
        return set()
    with options.opened() as gallery:
        return gallery.duplicates.different_photos()


def mark_different(photos: tuple[Path, Path], options: Options) -> None:
    """Remember in the gallery that two photos are different pictures."""
    from facesearch.photo import read_photo

    first, second = (read_photo(photo).identity for photo in photos)
    with options.opened(create=True) as gallery:
        report_decision(gallery.duplicates.not_same_photos([(first, second)]), options)


class Steps:
    """Progress through the steps of a search, one bar per step."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.what = ""
        self.done = 0
        self.bar = ExitStack()
        self.advance: Callable[[], None] = lambda: None

    def progress(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done in the step `what`."""
        if what != self.what:
            self.bar.close()
            self.what, self.done = what, 0
            self.advance = self.bar.enter_context(self.screen.progress(what, total))
        for _ in range(done - self.done):
            self.advance()
        self.done = done

    def end(self) -> None:
        """Remove the bar."""
        self.bar.close()


# The trash


def trash_folder(folders: list[Path], trash: Path | None) -> Path:
    """Return the trash folder: the one given, or that of the first folder."""
    from facesearch.duplicates.trash import default_trash

    if trash is not None:
        return trash.absolute()
    if not folders:
        raise typer.BadParameter("which trash? Give --trash FOLDER, or the searched FOLDER")
    return default_trash(folders[0])


def handle_unfinished(trash: Path, *, finish: bool) -> None:
    """Report moves that were interrupted, or finish them if `finish`."""
    from facesearch.duplicates import trash as operations

    unfinished = operations.unfinished(trash)
    if not unfinished:
        return
    if finish:
        for outcome in operations.finish(trash):
            complain(f"Finished an interrupted move to {printable(outcome.folder)}.")
            list_problems("Left alone:", outcome.left)
        return
    quoted = shlex.quote(str(trash))
    for move in unfinished:
        complain(
            f"A move of {counted(move.files, 'file')} to {printable(move.folder)} was interrupted; "
            f"no file is lost. --apply finishes it, "
            f"facesearch dedupe --undo-trash --trash {quoted} moves the files back."
        )


def moved(report: "PhotoReport", trash: Path, *, yes: bool) -> "Outcome | None":
    """Move the duplicates to the trash; return what was moved, None if there are none.

    Unless `yes`, it asks first; raises typer.Exit at a no.
    """
    from facesearch.duplicates.photos import sure_files_of
    from facesearch.duplicates.trash import apply, companions_along
    from facesearch.errors import TrashError

    n_files = sure_files_of(report.groups)
    if not n_files:
        return None
    n_along = len(companions_along(report.groups))
    along = f", with {counted(n_along, 'file')} that belong to them," if n_along else ""
    question = f"Move {counted(n_files, 'file')}{along} to {printable(trash)}"
    if not yes and not typer.confirm(question, err=True):
        complain("Nothing was changed.")
        raise typer.Exit(NO)
    try:
        return apply(report.groups, trash)
    except (TrashError, KeyboardInterrupt):
        handle_unfinished(trash, finish=False)
        raise


def undo_photos(folders: list[Path], trash: Path | None, options: Options) -> None:
    """Move back the photos that the last --apply moved."""
    from facesearch import wire
    from facesearch.duplicates.trash import undo

    outcome = undo(trash_folder(folders, trash))
    if options.as_json:
        print_json(undone=wire.trash_outcome(outcome))
    else:
        typer.echo(f"Moved {counted(len(outcome.moved), 'file')} back.")
    list_problems("Left in the trash:", outcome.left)
    if outcome.left:
        raise typer.Exit(UNREADABLE)


# The report


def show_photos(report: "PhotoReport", screen: Screen) -> None:
    """Print the groups: the photo to keep, its duplicates and why; a summary on stderr."""
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
    n_duplicates = files_of(report.groups)
    found = f"{counted(n_duplicates, 'duplicate')} in {counted(len(rows), 'file')}"
    if not rows:
        found = "No duplicates"
    complain(f"{found}, {counted(report.photos, 'photo')} looked at.")
    unsure = n_duplicates - sure_files_of(report.groups)
    if unsure:
        complain(f"Not sure of {unsure:,} of them: --apply leaves those, look at them with --html.")
    if report.same_files:
        complain(f"Skipped {counted(len(report.same_files), 'link')} to files already looked at.")
    for first, second, score in report.doubtful:
        complain(f"Perhaps the same, not grouped ({score:.3f}): {first} {second}")


def photo_page(report: "PhotoReport") -> str:
    """Return the report as an HTML page."""
    from facesearch.duplicates.photos import files_of
    from facesearch.duplicates.report_page import page

    groups = []
    for number, group in enumerate(report.groups, 1):
        pictures = [pictured(group.keeper, "keep", keep=True)]
        for twin in group.duplicates:
            note = f"{twin.score:.3f}, {twin.reason}"
            pictures.append(
                pictured(twin.file, note if twin.sure else f"{note}: --apply leaves it to you")
            )
        groups.append((f"Group {number}", pictures))
    n_files = files_of(report.groups)
    summary = f"{counted(n_files, 'duplicate')} among {counted(report.photos, 'photo')}."
    return page("Duplicate photos", summary, groups)


def pictured(file: "PhotoFile", note: str, *, keep: bool = False) -> "Picture":
    """Return a photo for the page, with its path and size as the caption."""
    from facesearch.duplicates.report_page import Picture

    size = f"{file.width} x {file.height}, {file.state.size:,} bytes"
    return Picture(file.path, f"{file.path} ({size})", note, keep)
