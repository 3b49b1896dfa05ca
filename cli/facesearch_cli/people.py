"""facesearch people: list people, correct who is who, forget somebody."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.history import report_decision
from facesearch_cli.options import (
    NO,
    AsCsv,
    Options,
    Twice,
    examples,
    one_format,
    stdin_is_terminal,
    usable_name,
    with_options,
)
from facesearch_cli.render import (
    Column,
    Screen,
    bearer_words,
    complain,
    counted,
    list_problems,
    print_csv,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from facesearch import Gallery
    from facesearch.gallery.faces import Who

app = typer.Typer(
    help="List people, correct who is who (every correction can be undone), and forget people.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME")]
Photo = Annotated[Path, typer.Argument(metavar="PHOTO")]
Photos = Annotated[
    list[Path],
    typer.Argument(
        metavar="PHOTO...", help="Photos they are enrolled from; if files moved, their old paths."
    ),
]
FaceNumber = Annotated[
    int | None,
    typer.Option(
        "--face",
        metavar="N",
        help="Number of the face, see facesearch identify. Needed if the photo has several.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command("list", epilog=examples("facesearch people list", "facesearch people list --csv"))
@with_options
def list_people(options: Options, as_csv: AsCsv = False) -> None:
    """List everyone who is enrolled."""
    from facesearch import wire
    from facesearch.manifest import subject

    one_format(options.as_json, as_csv)
    with options.opened() as gallery:
        people = gallery.people.all()
        what = subject(gallery.model.manifest)
    rows = [wire.person_row(row) for row in people]
    if options.as_json:
        print_json(people=rows)
    elif as_csv:
        print_csv(wire.PERSON_KEYS, [list(row.values()) for row in rows])
    elif rows:
        columns = (
            Column(bearer_words(what)[0], share=1),
            Column("photos", right=True),
            Column("since", style="dim"),
        )
        Screen().table(columns, [(p.name, p.photos, p.created_at[:10]) for p in people])
    else:
        complain("The gallery is empty; facesearch enroll fills it.")


@app.command(epilog=examples("facesearch people show 'Ann Lee'"))
@with_options
def show(options: Options, name: Name) -> None:
    """Show the photos a person is enrolled from; a photo without a known path by its hash."""
    from facesearch import wire

    name = usable_name(name)
    with options.opened() as gallery:
        faces = gallery.people.faces_of(name)
    if options.as_json:
        print_json(**wire.person_faces(name, faces))
        return
    columns = (
        Column("photo", share=1, keep_end=True),
        Column("height in pixels", right=True),
        Column("named by", style="dim"),
    )
    Screen().table(
        columns,
        [
            (path or face.content_hash, round(face.box[3] - face.box[1]), face.assigned_by)
            for path, face in faces
        ],
    )


@app.command(epilog=examples("facesearch people rename Ann 'Ann Lee'"))
@with_options
def rename(
    options: Options, name: Name, new_name: Annotated[str, typer.Argument(metavar="NEW_NAME")]
) -> None:
    """Give a person another name."""
    name, new_name = usable_name(name), usable_name(new_name, new=True)
    with options.opened() as gallery:
        names = {person.name for person in gallery.people.all()}
        if name in names and new_name in names - {name}:
            raise typer.BadParameter(f"somebody called {printable(new_name)} is enrolled already")
        report_decision(gallery.people.rename(name, new_name), options)


@app.command(
    epilog=examples(
        "facesearch people merge Annie 'Ann L.' --into 'Ann Lee' --dry-run",
        "facesearch people merge Annie --into 'Ann Lee'",
    )
)
@with_options
def merge(
    options: Options,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names to merge.")],
    into: Annotated[str, typer.Option("--into", metavar="NAME", help="Name to keep.")],
    dry_run: DryRun = False,
    same_person_twice: Twice = False,
) -> None:
    """Merge people: the faces and decisions of all these names move to one."""
    names, into = [usable_name(name) for name in names], usable_name(into)
    with options.opened() as gallery:
        decision = gallery.people.merge(
            names, into, dry_run=dry_run, same_person_twice=same_person_twice
        )
        report_decision(decision, options, dry_run=dry_run)


@app.command(
    epilog=examples(
        "facesearch people show Ann                  lists the photos",
        "facesearch people split Ann beach.jpg sea.jpg --as Bea",
    )
)
@with_options
def split(
    options: Options,
    name: Name,
    photos: Photos,
    new_name: Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the new person.")],
    dry_run: DryRun = False,
) -> None:
    """Split a person: some of their photos show somebody new, who is enrolled from them."""
    name, new_name = usable_name(name), usable_name(new_name, new=True)
    with options.opened() as gallery:
        decision = gallery.people.split(name, photos, new_name, dry_run=dry_run)
        report_decision(decision, options, dry_run=dry_run)


@app.command(epilog=examples("facesearch people move beach.jpg sea.jpg --from Ann --to Bea"))
@with_options
def move(
    options: Options,
    photos: Photos,
    name: Annotated[str, typer.Option("--from", metavar="NAME", help="Person they are now under.")],
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Enrolled person they show.")],
    dry_run: DryRun = False,
    same_person_twice: Twice = False,
) -> None:
    """Move photos of one person to another person who is enrolled."""
    name, to = usable_name(name), usable_name(to)
    with options.opened() as gallery:
        decision = gallery.people.move(
            photos, name, to, dry_run=dry_run, same_person_twice=same_person_twice
        )
        report_decision(decision, options, dry_run=dry_run)


@app.command(
    epilog=examples(
        "facesearch people confirm party.jpg Ann --face 2",
        "facesearch people confirm party.jpg Zoe --face 3 --new",
    )
)
@with_options
def confirm(
    options: Options,
    photo: Photo,
    name: Name,
    face: FaceNumber = None,
    new: Annotated[
        bool, typer.Option("--new", help="Enroll a new person if nobody has that name yet.")
    ] = False,
    same_person_twice: Twice = False,
) -> None:
    """Confirm whose face this is: it is enrolled, and always gets this name from now on."""
    name = usable_name(name, new=new)
    with options.opened() as gallery:
        faces = [gallery.faces.look_at(photo, face)]
        who: Who = "enrolled or new" if new else "enrolled"
        decision = gallery.faces.confirm(faces, name, who=who, same_person_twice=same_person_twice)
        report_decision(decision, options)


@app.command(epilog=examples("facesearch people reject party.jpg Ann --face 2"))
@with_options
def reject(options: Options, photo: Photo, name: Name, face: FaceNumber = None) -> None:
    """Say whose face this is not: it never gets this name, nor is it enrolled under it."""
    name = usable_name(name)
    with options.opened() as gallery:
        face = face or number_of_bearer(gallery, photo, name)
        faces = [gallery.faces.locate(photo, face, enrolled_as=name)]
        report_decision(gallery.faces.reject(faces, name), options)


def number_of_bearer(gallery: "Gallery", photo: Path, name: str) -> int | None:
    """Return the number of the one face in `photo` that bears `name`, confirmed or proposed.

    None if there is no such face, or several, or the file is gone.
    """
    if not photo.exists():
        return None
    (answer,) = gallery.identify([photo])
    bearers = [
        number
        for number, face in enumerate(answer.faces, 1)
        if name == face.person or name in face.alternatives
    ]
    return bearers[0] if len(bearers) == 1 else None


@app.command(epilog=examples("facesearch people stranger party.jpg --face 3"))
@with_options
def stranger(options: Options, photo: Photo, face: FaceNumber = None) -> None:
    """Mark a face as a stranger's: it gets no name, and you are not asked about it again."""
    with options.opened() as gallery:
        faces = [gallery.faces.locate(photo, face)]
        report_decision(gallery.faces.dismiss(faces, "stranger"), options)


@app.command("no-face", epilog=examples("facesearch people no-face party.jpg --face 4"))
@with_options
def no_face(options: Options, photo: Photo, face: FaceNumber = None) -> None:
    """Mark a detection as wrong: it is not a face."""
    with options.opened() as gallery:
        faces = [gallery.faces.locate(photo, face)]
        report_decision(gallery.faces.dismiss(faces, "no face"), options)


@app.command("not-same", epilog=examples("facesearch people not-same Ann 'Ann Lee'"))
@with_options
def not_same(
    options: Options,
    name: Name,
    other: Annotated[str, typer.Argument(metavar="NAME")],
) -> None:
    """Say that two names are different people: they can no longer be merged, nor are proposed."""
    name, other = usable_name(name), usable_name(other)
    with options.opened() as gallery:
        report_decision(gallery.people.not_same(name, other), options)


@app.command(
    epilog=examples(
        "facesearch people forget 'Ann Lee' --dry-run", "facesearch people forget 'Ann Lee' --yes"
    )
)
@with_options
def forget(
    options: Options,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Delete every trace of a person from the gallery, permanently.

    The photos themselves are not touched.
    """
    name = usable_name(name)
    with options.opened() as gallery:
        n_faces = 0 if gallery.history.gone_person(name) else len(gallery.people.faces_of(name))
        what = described(name, n_faces, gallery)
        if dry_run:
            if options.as_json:
                print_json(person=name, dry_run=True, forgotten={"templates": n_faces})
            else:
                typer.echo(f"Would forget {what}. Nothing was changed.")
            return
        if not yes:
            ask_to_forget(what)
        receipt = gallery.forget(name)
        foreign = [str(folder) for folder in gallery.upkeep.foreign_folders()]
    tell_what_forgetting_leaves(foreign)
    if options.as_json:
        print_json(person=name, dry_run=False, forgotten=receipt)
        return
    typer.echo(f"Forgot {printable(name)}. Deleted:")
    for kind, number in receipt.items():
        typer.echo(f"  {number:,} {kind}")
    complain("This cannot be undone; enrolling the photos again would start from nothing.")


def tell_what_forgetting_leaves(foreign: Sequence[str]) -> None:
    """Name what may still hold somebody who was forgotten; `foreign`: folders beside the index."""
    list_problems(
        "Left, since facesearch did not make them; delete them if they hold small pictures:",
        [(folder, "a folder of another program") for folder in foreign],
    )
    complain(
        "Not reached, since the gallery does not know where they are: the photos themselves, "
        "exports and backups of the gallery, pictures and reports written with --annotate, --html, "
        "--json or --csv, files beside photos (.xmp, .json), and the plan in each facesearch-trash "
        "folder, which keeps the paths of photos."
    )


def described(name: str, n_faces: int, gallery: "Gallery") -> str:
    """Return a person with the number of their enrolled faces."""
    from facesearch.manifest import subject

    enrolled = counted(n_faces, f"enrolled {subject(gallery.model.manifest)}")
    return f"{printable(name)} ({enrolled})"


def ask_to_forget(what: str) -> None:
    """Ask on the terminal; raises typer.Exit at a no, typer.BadParameter without a terminal."""
    if not stdin_is_terminal():
        raise typer.BadParameter("forgetting cannot be undone: give --yes to skip the question")
    question = f"Forget {what}? This cannot be undone except by enrolling again"
    if not typer.confirm(question, err=True):
        complain("Nothing was changed.")
        raise typer.Exit(NO)
