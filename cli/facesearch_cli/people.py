"""facesearch people: who is enrolled; rename them, forget them."""

import shlex
import sys
from typing import Annotated

import typer

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

app = typer.Typer(help="List, show, rename and forget people.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME")]


@app.command("list", epilog=examples("facesearch people list", "facesearch people list --csv"))
def list_people(
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List everyone who is enrolled."""
    from facesearch.model import subject

    one_format(as_json, as_csv)
    with open_gallery(gallery, model) as opened:
        people = opened.people()
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
    """Show the photos that a person is enrolled from."""
    name = usable_name(name)
    with open_gallery(gallery, model) as opened:
        faces = opened.faces_of(name)
    if as_json:
        print_json(
            person=name,
            faces=[
                {
                    "photo": path,
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
            (path or "(path forgotten)", round(face.box[3] - face.box[1]), face.assigned_by)
            for path, face in faces
        ],
    )


@app.command(epilog=examples("facesearch people rename Ann 'Ann Lee'"))
def rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME")],
    gallery: GalleryPath = None,
    model: ModelName = "default",
) -> None:
    """Give a person another name."""
    name, new_name = usable_name(name), usable_name(new_name)
    with open_gallery(gallery, model) as opened:
        names = {person.name for person in opened.people()}
        if name in names and new_name in names - {name}:
            raise typer.BadParameter(f"there is somebody called {printable(new_name)} already")
        opened.rename(name, new_name)
    typer.echo(f"{printable(name)} is now {printable(new_name)}.")
    back = f"facesearch people rename {shlex.quote(new_name)} {shlex.quote(name)}"
    complain(f"To undo: {back}")


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
    from facesearch.model import subject

    name = usable_name(name)
    with open_gallery(gallery, model) as opened:
        faces = opened.faces_of(name)
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
