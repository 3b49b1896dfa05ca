"""facesearch people: who is enrolled, and what a human says of them; forget them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from facesearch_cli.history import told
from facesearch_cli.options import (
    NO,
    AsCsv,
    AsJson,
    GalleryPath,
    ModelName,
    examples,
    one_format,
    open_gallery,
    usable_name,
)
from facesearch_cli.render import (
    Column,
    Screen,
    bearer,
    complain,
    counted,
    csv_line,
    print_json,
    printable,
)

app = typer.Typer(
    help="List people, say who is who (all of which can be undone), and forget them.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME")]
Photo = Annotated[Path, typer.Argument(metavar="PHOTO")]
Photos = Annotated[
    list[Path],
    typer.Argument(metavar="PHOTO...", help="The enrolled photos; their old paths if they moved."),
]
FaceNumber = Annotated[
    int | None,
    typer.Option("--face", metavar="N", help="Which face, as facesearch identify numbers them."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@app.command("list", epilog=examples("facesearch people list", "facesearch people list --csv"))
def list_people(
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List everyone who is enrolled."""
    from facesearch.manifest import subject

    one_format(as_json, as_csv)
    with open_gallery(gallery, model) as opened:
        people = opened.people.all()
        what = subject(opened.model.manifest)
    rows = [(p.name, p.photos, p.templates, p.created_at) for p in people]
    keys = ("person", "photos", "templates", "enrolled_at")
    if as_json:
        print_json(people=[dict(zip(keys, row, strict=True)) for row in rows])
    elif as_csv:
        for row in (keys, *rows):
            typer.echo(csv_line(row))
    elif rows:
        columns = (
            Column(bearer(what)[0], share=1),
            Column("photos", right=True),
            Column("since", style="dim"),
        )
        Screen().table(columns, [(p.name, p.photos, p.created_at[:10]) for p in people])
    else:
        complain("The gallery is empty; facesearch enroll fills it.")


@app.command(epilog=examples("facesearch people show 'Ann Lee'"))
def show(
    name: Name,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Show the photos that a person is enrolled from; by a hash, if their path was forgotten."""
    name = usable_name(name)
    with open_gallery(gallery, model) as opened:
        faces = opened.people.faces_of(name)
    if as_json:
        print_json(
            person=name,
            faces=[
                {
                    "photo": path,
                    "hash": face.content_hash,
                    "box": [round(side, 2) for side in face.box],
                    "assigned_by": face.assigned_by,
                }
                for path, face in faces
            ],
        )
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
def rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME")],
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Give a person another name."""
    name, new_name = usable_name(name), usable_name(new_name)
    with open_gallery(gallery, model) as opened:
        names = {person.name for person in opened.people.all()}
        if name in names and new_name in names - {name}:
            raise typer.BadParameter(f"there is somebody called {printable(new_name)} already")
        told(opened.people.rename(name, new_name), gallery, model, as_json)


@app.command(
    epilog=examples(
        "facesearch people merge Annie 'Ann L.' --into 'Ann Lee' --dry-run",
        "facesearch people merge Annie --into 'Ann Lee'",
    )
)
def merge(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Who is somebody else.")],
    into: Annotated[str, typer.Option("--into", metavar="NAME", help="Who they are.")],
    dry_run: DryRun = False,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Say that people of several names are one: all that is theirs goes to one name."""
    names, into = [usable_name(name) for name in names], usable_name(into)
    with open_gallery(gallery, model) as opened:
        told(opened.people.merge(names, into, dry_run=dry_run), gallery, model, as_json, dry_run)


@app.command(
    epilog=examples(
        "facesearch people show Ann                  lists the photos",
        "facesearch people split Ann beach.jpg sea.jpg --as Bea",
    )
)
def split(
    name: Name,
    photos: Photos,
    new_name: Annotated[str, typer.Option("--as", metavar="NAME", help="Who is on them.")],
    dry_run: DryRun = False,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Say that some photos of a person show somebody new, who is enrolled from them."""
    name, new_name = usable_name(name), usable_name(new_name)
    with open_gallery(gallery, model) as opened:
        decision = opened.people.split(name, photos, new_name, dry_run=dry_run)
        told(decision, gallery, model, as_json, dry_run)


@app.command(epilog=examples("facesearch people move beach.jpg sea.jpg --from Ann --to Bea"))
def move(
    photos: Photos,
    name: Annotated[str, typer.Option("--from", metavar="NAME", help="Who is not on them.")],
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Who is.")],
    dry_run: DryRun = False,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Say that some photos of a person show another who is enrolled."""
    name, to = usable_name(name), usable_name(to)
    with open_gallery(gallery, model) as opened:
        told(
            opened.people.move(photos, name, to, dry_run=dry_run),
            gallery,
            model,
            as_json,
            dry_run,
        )


@app.command(
    epilog=examples(
        "facesearch people confirm party.jpg Ann --face 2",
        "facesearch people confirm party.jpg Zoe --face 3 --new",
    )
)
def confirm(
    photo: Photo,
    name: Name,
    face: FaceNumber = None,
    new: Annotated[
        bool, typer.Option("--new", help="Nobody of that name is enrolled yet.")
    ] = False,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Say who a face is: it is enrolled as theirs and keeps that name whatever the machine says."""
    name = usable_name(name)
    with open_gallery(gallery, model) as opened:
        told(
            opened.faces.confirm(
                [opened.faces.look_at(photo, face)],
                name,
                who="enrolled or new" if new else "enrolled",
            ),
            gallery,
            model,
            as_json,
        )


@app.command(epilog=examples("facesearch people reject party.jpg Ann --face 2"))
def reject(
    photo: Photo,
    name: Name,
    face: FaceNumber = None,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Say who a face is not: it never gets that name again, nor is enrolled under it."""
    name = usable_name(name)
    with open_gallery(gallery, model) as opened:
        told(
            opened.faces.reject([opened.faces.locate(photo, face, name)], name),
            gallery,
            model,
            as_json,
        )


@app.command(epilog=examples("facesearch people stranger party.jpg --face 3"))
def stranger(
    photo: Photo,
    face: FaceNumber = None,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Say that a face is a stranger's: it gets no name and is asked for no more."""
    with open_gallery(gallery, model) as opened:
        told(
            opened.faces.dismiss([opened.faces.locate(photo, face)], "stranger"),
            gallery,
            model,
            as_json,
        )


@app.command("no-face", epilog=examples("facesearch people no-face party.jpg --face 4"))
def no_face(
    photo: Photo,
    face: FaceNumber = None,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Say that what was taken for a face is none."""
    with open_gallery(gallery, model) as opened:
        told(
            opened.faces.dismiss([opened.faces.locate(photo, face)], "no face"),
            gallery,
            model,
            as_json,
        )


@app.command("not-same", epilog=examples("facesearch people not-same Ann 'Ann Lee'"))
def not_same(
    name: Name,
    other: Annotated[str, typer.Argument(metavar="NAME")],
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Say that two people are not one: nothing proposes or allows to merge them any more."""
    name, other = usable_name(name), usable_name(other)
    with open_gallery(gallery, model) as opened:
        told(opened.people.not_same(name, other), gallery, model, as_json)


@app.command(
    epilog=examples(
        "facesearch people forget 'Ann Lee' --dry-run", "facesearch people forget 'Ann Lee' --yes"
    )
)
def forget(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Delete every trace of a person from the gallery, for good.

    The photos themselves are not touched.
    """
    from facesearch.manifest import subject

    name = usable_name(name)
    with open_gallery(gallery, model) as opened:
        faces = [] if opened.history.gone_person(name) else opened.people.faces_of(name)
        enrolled = counted(len(faces), f"enrolled {subject(opened.model.manifest)}")
        what = f"{printable(name)} ({enrolled})"
        if dry_run:
            if as_json:
                print_json(person=name, dry_run=True, forgotten={"templates": len(faces)})
            else:
                typer.echo(f"Would forget {what}. Nothing was changed.")
            return
        if not yes:
            if not stdin_is_terminal():
                raise typer.BadParameter(
                    "forgetting cannot be undone: say --yes to do it without being asked"
                )
            question = f"Forget {what}? This cannot be undone except by enrolling again"
            if not typer.confirm(question, err=True):
                complain("Nothing was changed.")
                raise typer.Exit(NO)
        receipt = opened.forget(name)
    if as_json:
        print_json(person=name, dry_run=False, forgotten=receipt)
        return
    typer.echo(f"Forgot {printable(name)}. Deleted:")
    for kind, number in receipt.items():
        typer.echo(f"  {number:,} {kind}")
    complain("This cannot be undone; enrolling the photos again would start afresh.")


def stdin_is_terminal() -> bool:
    """Return whether somebody is there to answer a question."""
    return sys.stdin.isatty()
