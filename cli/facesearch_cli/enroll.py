"""facesearch enroll: photos -> people in the gallery."""

import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.history import say_how_to_undo
from facesearch_cli.options import (
    DEFAULT_MODEL,
    INTERRUPTED,
    NO,
    UNREADABLE,
    Options,
    photos_in,
    say_left_out,
    stdin_is_terminal,
    usable_name,
    with_options,
    workers,
)
from facesearch_cli.render import (
    Screen,
    bearer_words,
    complain,
    counted,
    photo_problem,
    printable,
)

if TYPE_CHECKING:
    from facesearch import Enrollment, Gallery
    from facesearch.photo_files import LeftOut

MAX_LISTED = 10  # photos or folders in a list on stderr
FIRST_COMPARED = 6  # photos of a person
Strays = list[tuple[Path, str]]  # files and folders that belong to no person, with the reason


@with_options
def enroll(
    options: Options,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER|PHOTO...", help="A folder with one subfolder of photos per person."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="All photos given show this person."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Take each folder as one person, even if it does not look like it."
        ),
    ] = False,
) -> None:
    """Enroll people from photos, or classes from drawings or pictures.

    Photos that are enrolled already are skipped, so an interrupted run can simply be repeated.
    """
    from facesearch.photo_files import LeftOut

    left_out = LeftOut()
    if name is None:
        jobs, strays = people_in(paths, left_out)
        if not yes:
            ask_about_nested(jobs, paths)
    else:
        jobs, strays = all_of(usable_name(name, new=True), paths, left_out), []
    say_left_out(left_out)
    outcome = Outcome(Screen(), as_json=options.as_json)
    with options.opened(photos=len(jobs), create=True) as gallery:
        n_before = len(gallery.people.all())
        try:
            with outcome.screen.progress("Enrolling", len(jobs)) as advance:
                for result in gallery.enroll(
                    jobs, workers=workers(len(jobs)), doubt=None if yes else is_one_person
                ):
                    advance()
                    outcome.add(result)
        except KeyboardInterrupt:
            stored = counted(outcome.counts["enrolled"], "photo")
            complain(f"Interrupted: {stored} stored; the same command goes on from here.")
            raise typer.Exit(INTERRUPTED) from None
        outcome.add_strays(strays)
        outcome.report(gallery, n_before, options)
    outcome.finish()


class Outcome:
    """What became of the photos: printed as JSON as it comes, else summed up at the end."""

    def __init__(self, screen: Screen, *, as_json: bool) -> None:
        self.screen = screen
        self.counts: Counter[str] = Counter()
        self._as_json = as_json
        self._unused: list[Enrollment] = []
        self._remarked: list[Enrollment] = []
        self._alike: list[Enrollment] = []

    def add(self, result: "Enrollment") -> None:
        """Count one photo; print it as a line of JSON if asked to."""
        from facesearch import wire

        self.counts[result.status] += 1
        if result.status in ("skipped", "unreadable"):
            self._unused.append(result)
        elif result.remark:
            self._remarked.append(result)
        if result.look_alikes:
            self._alike.append(result)
        if self._as_json:
            self.screen.line(wire.to_json(**wire.enrollment(result)))

    def add_strays(self, strays: Iterable[tuple[Path, str]]) -> None:
        """Count files and folders that belong to no person, with the reason."""
        from facesearch import Enrollment

        for path, reason in strays:
            self.add(Enrollment(str(path), "", "skipped", reason))

    def report(self, gallery: "Gallery", n_before: int, options: Options) -> None:
        """Print totals, look-alikes and how to undo; `n_before` people were enrolled before."""
        from facesearch.manifest import subject

        n_people = len(gallery.people.all())
        words = bearer_words(subject(gallery.model.manifest))
        if not self._as_json:
            people = counted(n_people, *words)
            self.screen.line(summary(self.counts, n_people - n_before, people, gallery.path))
        for result in self._alike[:MAX_LISTED]:
            complain(look_alike_warning(result, gallery, words[0], options.model))
        if len(self._alike) > MAX_LISTED:
            complain(f"and {len(self._alike) - MAX_LISTED:,} more look-alikes.")
        newest = gallery.history.list(limit=1)
        if self.counts["enrolled"] and newest[0].id is not None:
            say_how_to_undo(newest[0].id, options)

    def finish(self) -> None:
        """List remarks and unused photos on stderr; raises typer.Exit unless all were used."""
        list_remarks("Enrolled, but worth a look", self._remarked)
        list_remarks("Not enrolled", self._unused)
        if self.counts["unreadable"]:
            raise typer.Exit(UNREADABLE)
        if not self.counts["enrolled"] + self.counts["already"]:
            raise typer.Exit(NO)
        if self._unused:
            raise typer.Exit(UNREADABLE)


def is_one_person(name: str, alike: int, clear: int) -> bool:
    """Ask whether photos of different people are to be one person; without a terminal: no."""
    found = f"{printable(name)}: only {alike:,} of the first {clear:,} photos show the same person"
    if stdin_is_terminal():
        return typer.confirm(f"{found}. Enroll them as one person", err=True)
    complain(f"{found}, so none is enrolled; --yes enrolls them as one person.")
    return False


def ask_about_nested(jobs: Iterable[tuple[str, Path]], folders: Iterable[Path]) -> None:
    """Ask about people whose photos lie in folders of folders.

    Raises typer.Exit at a no, typer.BadParameter without a terminal.
    """
    holders = [folder for folder in folders if folder.is_dir()]
    nested: dict[Path, None] = {}
    for _, photo in jobs:
        for holder in holders:
            if photo.is_relative_to(holder) and len(photo.relative_to(holder).parts) > 2:
                nested[holder / photo.relative_to(holder).parts[0]] = None
    if not nested:
        return
    first = shlex.quote(printable(next(iter(nested))))
    complain("\n".join(["These folders hold folders:", *cut([f"  {path}" for path in nested])]))
    if not stdin_is_terminal():
        raise typer.BadParameter(
            "is each of these one person? Then add --yes. If the folders in them are the people, "
            f"give those that hold them: facesearch enroll {first}"
        )
    if not typer.confirm("Is each of these one person", err=True):
        complain(f"Nothing was enrolled. If the people are inside: facesearch enroll {first}")
        raise typer.Exit(NO)


def all_of(person: str, paths: Iterable[Path], left_out: "LeftOut") -> list[tuple[str, Path]]:
    """Return (name, photo) for all photos at `paths`, which show one person."""
    return [(person, photo) for photo in some_from_all_over_first(photos_in(paths, left_out))]


def people_in(
    folders: Iterable[Path], left_out: "LeftOut"
) -> tuple[list[tuple[str, Path]], Strays]:
    """Return (name, photo) for the subfolders of `folders`, and (path, reason) for the rest.

    Raises typer.BadParameter for a photo, and for a folder with photos but without subfolders.
    """
    from facesearch.photo_files import LeftOut, content_of

    jobs: list[tuple[str, Path]] = []
    strays: list[tuple[Path, str]] = []
    for folder in folders:
        if not folder.is_dir():
            if folder.exists():
                raise typer.BadParameter(
                    f"who or what is in {printable(folder)}? Add --name NAME, or give a folder "
                    "with one subfolder per name"
                )
            strays.append((folder, "there is no such file or folder"))
            continue
        beside = LeftOut()
        try:
            loose, subfolders = content_of(folder, beside)
        except OSError as error:
            strays.append((folder, error.strerror or str(error)))
            continue
        strays += [
            (link, "it is a link to a folder; give the folder itself") for link in beside.links
        ]
        beside.links = []
        left_out.add(beside)
        if loose and not subfolders:
            raise typer.BadParameter(
                f"who or what is in {printable(folder)}? If it is one person or thing, add --name "
                f"{shlex.quote(printable(folder.absolute().name))}. If there are several, make a "
                "subfolder for each, named after it"
            )
        if not subfolders:
            strays.append((folder, "there is no photo in it"))
        strays += [(photo, "it is beside the people's folders, not in one") for photo in loose]
        for subfolder in subfolders:
            try:
                person = usable_name(subfolder.name, new=True)
            except typer.BadParameter as error:
                strays.append((subfolder, error.message))
            else:
                jobs += photos_of(person, subfolder, left_out, strays)
    return jobs, strays


def photos_of(
    person: str, folder: Path, left_out: "LeftOut", strays: Strays
) -> list[tuple[str, Path]]:
    """Return (name, photo) for a person's folder; a folder without photos is one of `strays`."""
    from facesearch.photo_files import walk_photos

    n_own = left_out.own
    n_folders = len(left_out.folders)
    photos = list(walk_photos([folder], left_out))
    if not photos and (n_own, n_folders) == (left_out.own, len(left_out.folders)):
        strays.append((folder, "there is no photo in it"))
    return [(person, photo) for photo in some_from_all_over_first(photos)]


def some_from_all_over_first(photos: Iterable[Path]) -> list[Path]:
    """Return `photos` in their order, but for a few, evenly from all of them, at the beginning.

    The first are compared before any is stored; photos side by side often show one person where
    the folder shows several.
    """
    every = list(photos)
    first = every[:: max(1, len(every) // FIRST_COMPARED)][:FIRST_COMPARED]
    early = set(first)
    return first + [photo for photo in every if photo not in early]


def cut(lines: list[str]) -> list[str]:
    """Return the first `lines`, and how many more there are."""
    more = len(lines) - MAX_LISTED
    return lines[:MAX_LISTED] + ([f"  and {more:,} more"] if more > 0 else [])


def summary(counts: Counter[str], n_new: int, people: str, path: Path) -> str:
    """Return the outcome in two lines; `people` is the gallery's total, in words."""
    done = [f"Enrolled {counted(counts['enrolled'], 'photo')}"]
    done += [f"{counts['already']:,} enrolled already"] if counts["already"] else []
    unused = counts["skipped"] + counts["unreadable"]
    done += [f"{unused:,} not usable"] if unused else []
    return f"{', '.join(done)}.\n{people} in {printable(path)}, {n_new:,} of them new."


def look_alike_warning(result: "Enrollment", gallery: "Gallery", person: str, model: str) -> str:
    """Return whom a newly enrolled person looks like, with the command that compares them.

    `person` is the word for a person or class, `model` the value of --model.
    """
    from facesearch.shipped import DEFAULT

    lines = []
    # verify does not ask the gallery for its model
    named = gallery.model.folder.name if model == DEFAULT_MODEL else model
    option = "" if named == DEFAULT else f" --model {shlex.quote(named)}"
    for other, probability in result.look_alikes:
        photos = [path for path, _ in gallery.people.faces_of(other) if path]
        check = ""
        if photos:
            pair = f"{shlex.quote(result.photo)} {shlex.quote(photos[0])}"
            check = f"\n  facesearch verify {pair}{option}"
        lines.append(
            f"{result.person} looks like {other} ({probability:.2f}): "
            f"one {person} under two names?{check}"
        )
    return "\n".join(lines)


def list_remarks(heading: str, results: Iterable["Enrollment"]) -> None:
    """List photos with their remarks on stderr, if there are any."""
    ordered = sorted(results, key=lambda result: result.photo)
    lines = [f"  {photo_problem(result.photo, result.remark or '')}" for result in ordered]
    if lines:
        complain("\n".join([f"{heading}:", *map(printable, cut(lines))]))
