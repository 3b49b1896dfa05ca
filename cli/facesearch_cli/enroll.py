"""facesearch enroll: photos -> people in the gallery."""

import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.history import say_how_to_undo
from facesearch_cli.options import (
    INTERRUPTED,
    NO,
    UNREADABLE,
    AsJson,
    GalleryPath,
    ModelName,
    open_gallery,
    photos_in,
    usable_name,
    workers,
)
from facesearch_cli.render import Screen, bearer, complain, counted, of_photo, printable, to_json

if TYPE_CHECKING:
    from facesearch import Enrollment, Gallery


def enroll(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER|PHOTO...", help="A folder with one subfolder a person."),
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="Everything given shows this person."),
    ] = None,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Enroll people from photos of them, or classes from drawings or pictures.

    A photo that is enrolled already adds nothing, so a run that was interrupted can be started
    again.
    """
    from facesearch import Enrollment
    from facesearch.manifest import subject

    jobs, strays = people_in(paths) if name is None else (all_of(usable_name(name), paths), [])
    screen = Screen()
    counts: Counter[str] = Counter()
    unused, remarked, alike = [], [], []
    with open_gallery(gallery, model, photos=len(jobs), create=True) as opened:
        before = len(opened.people.all())
        try:
            with screen.progress("Enrolling", len(jobs)) as advance:
                for result in opened.enroll(jobs, workers=workers(len(jobs))):
                    advance()
                    counts[result.status] += 1
                    if result.status in ("skipped", "unreadable"):
                        unused.append(result)
                    elif result.remark:
                        remarked.append(result)
                    if result.look_alikes:
                        alike.append(result)
                    if as_json:
                        screen.line(as_line(result))
        except KeyboardInterrupt:
            stored = counted(counts["enrolled"], "photo")
            complain(f"Interrupted: {stored} stored; the same command goes on from here.")
            raise typer.Exit(INTERRUPTED) from None
        for path, reason in strays:
            stray = Enrollment(str(path), "", "skipped", reason)
            counts["skipped"] += 1
            unused.append(stray)
            if as_json:
                screen.line(as_line(stray))
        people = len(opened.people.all())
        words = bearer(subject(opened.model.manifest))
        if not as_json:
            total = counted(people, *words)
            screen.line(summary(counts, people - before, total, opened.path))
        for result in alike:
            complain(warning_of(result, opened, words[0], model))
        newest = opened.history.list(limit=1)
    if counts["enrolled"] and newest[0].id is not None:
        say_how_to_undo(newest[0].id, gallery, model)
    complain_of("Enrolled, but worth a look", remarked)
    complain_of("Not enrolled", unused)
    if counts["unreadable"]:
        raise typer.Exit(UNREADABLE)
    if not counts["enrolled"] + counts["already"]:
        raise typer.Exit(NO)
    if unused:
        raise typer.Exit(UNREADABLE)


def all_of(person: str, paths: Iterable[Path]) -> list[tuple[str, Path]]:
    """Return (name, photo) for the photos that `paths` mean, all of one person."""
    return [(person, photo) for photo in photos_in(paths)]


def people_in(folders: Iterable[Path]) -> tuple[list[tuple[str, Path]], list[tuple[Path, str]]]:
    """Return (name, photo) for the subfolders of `folders`, and what serves for nobody, with why.

    Raises typer.BadParameter for a photo, or a folder that holds photos and no subfolder.
    """
    jobs: list[tuple[str, Path]] = []
    strays: list[tuple[Path, str]] = []
    for folder in folders:
        if not folder.is_dir():
            if folder.exists():
                raise typer.BadParameter(
                    f"who or what is in {printable(folder)}? Say so with --name, or give a folder "
                    "with one subfolder a name"
                )
            strays.append((folder, "there is no such file or folder"))
            continue
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        subfolders = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
        loose = [photo for photo in photos_in([folder]) if photo.parent == folder]
        if loose and not subfolders:
            raise typer.BadParameter(
                f"who or what is in {printable(folder)}? If it is one: add --name "
                f"{shlex.quote(printable(folder.absolute().name))}. If several: make a subfolder "
                "for each, named after it"
            )
        if not subfolders:
            strays.append((folder, "there is no photo in it"))
        strays += [(photo, "it lies beside the people's folders: whose is it?") for photo in loose]
        for subfolder in subfolders:
            try:
                person = usable_name(subfolder.name)
            except typer.BadParameter as error:
                strays.append((subfolder, error.message))
            else:
                jobs += [(person, photo) for photo in photos_in([subfolder])]
    return jobs, strays


def as_line(result: "Enrollment") -> str:
    """Return what became of one photo as a JSON line."""
    return to_json(
        photo=result.photo,
        person=result.person or None,
        status=result.status,
        remark=result.remark,
        look_alikes=[
            {"person": person, "probability": round(probability, 6)}
            for person, probability in result.look_alikes
        ],
    )


def summary(counts: Counter[str], new_people: int, people: str, path: Path) -> str:
    """Return what was done, in two lines; `people` is how many there are now, in words."""
    done = [f"Enrolled {counted(counts['enrolled'], 'photo')}"]
    done += [f"{counts['already']:,} there already"] if counts["already"] else []
    unused = counts["skipped"] + counts["unreadable"]
    done += [f"{unused:,} not usable"] if unused else []
    return f"{', '.join(done)}.\n{people} in {printable(path)}, {new_people:,} of them new."


def warning_of(result: "Enrollment", gallery: "Gallery", person: str, model: str) -> str:
    """Return that somebody looks like others of the gallery, and how to find out.

    `person` is the word for it, `model` what was given as --model.
    """
    from facesearch.shipped import DEFAULT

    lines = []
    # verify does not ask the gallery which model is its own
    named = gallery.model.folder.name if model == "default" else model
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


def complain_of(heading: str, results: Iterable["Enrollment"]) -> None:
    """List photos with a remark on stderr, if there are any."""
    lines = [f"  {of_photo(result.photo, result.remark or '')}" for result in results]
    if lines:
        complain("\n".join([f"{heading}:", *map(printable, lines)]))
