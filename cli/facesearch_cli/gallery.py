"""facesearch gallery: the gallery as a whole."""

from pathlib import Path
from typing import Annotated

import typer

from facesearch_cli.options import (
    UNUSABLE,
    AsJson,
    GalleryPath,
    ModelName,
    examples,
    gallery_path,
    load_model,
    open_gallery,
)
from facesearch_cli.render import Column, Screen, bearer, complain, counted, print_json, printable

app = typer.Typer(
    help="Inspect, check, rebuild, export and import a gallery.", no_args_is_help=True
)
File = Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)]


@app.command(epilog=examples("facesearch gallery info", "facesearch gallery info -g family.db"))
def info(
    gallery: GalleryPath = None, model: ModelName = "default", as_json: AsJson = False
) -> None:
    """Show what the gallery holds."""
    with open_gallery(gallery, model) as opened:
        facts = opened.info()
    if as_json:
        print_json(**facts)
    else:
        columns = (Column("", style="dim"), Column("", share=1))
        Screen().table(columns, [(key.replace("_", " "), fact) for key, fact in facts.items()])


@app.command(epilog=examples("facesearch gallery check"))
def check(
    gallery: GalleryPath = None, model: ModelName = "default", as_json: AsJson = False
) -> None:
    """Check that the gallery is sound; exit 4 if it is not."""
    with open_gallery(gallery, model) as opened:
        problems = opened.check()
        templates = sum(person.templates for person in opened.people())
    if as_json:
        print_json(path=str(opened.path), templates=templates, problems=problems)
    elif not problems:
        typer.echo(f"{printable(opened.path)} is sound: {templates:,} templates, all found.")
    for problem in problems:
        complain(f"Error: {problem}")
    if problems:
        complain("facesearch gallery rebuild mends the index; for the rest, import a copy.")
        raise typer.Exit(UNUSABLE)


@app.command(epilog=examples("facesearch gallery rebuild"))
def rebuild(
    gallery: GalleryPath = None, model: ModelName = "default", as_json: AsJson = False
) -> None:
    """Make the index anew; nothing that is enrolled changes."""
    with open_gallery(gallery, model) as opened:
        templates = opened.rebuild()
    if as_json:
        print_json(path=str(opened.path), templates=templates)
    else:
        typer.echo(f"Made the index anew from {counted(templates, 'template')}.")


@app.command(epilog=examples("facesearch gallery export backup.db"))
def export(
    target: File,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Write the whole gallery to a new file, which is a gallery itself."""
    from facesearch.model import subject

    if target.exists():
        raise typer.BadParameter(f"{printable(target)} is there already; name a new file")
    with open_gallery(gallery, model) as opened:
        opened.export(target)
        people = len(opened.people())
        words = bearer(subject(opened.model.manifest))
    if as_json:
        print_json(path=str(target), people=people)
    else:
        counts = counted(people, *words)
        typer.echo(f"Wrote {counts} to {printable(target)}; facesearch gallery import reads it.")


@app.command("import", epilog=examples("facesearch gallery import backup.db --gallery family.db"))
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)],
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Make a gallery from an exported file; one that is there already is never overwritten."""
    from facesearch import import_gallery
    from facesearch.gallery import gallery_file
    from facesearch.model import subject

    target = gallery_file(gallery_path(gallery))
    if target.exists():
        raise typer.BadParameter(
            f"there is a gallery at {printable(target)} already; name another with --gallery"
        )
    with import_gallery(source, target, load_model(model)) as opened:
        people = len(opened.people())
        words = bearer(subject(opened.model.manifest))
    if as_json:
        print_json(path=str(target), people=people)
    else:
        typer.echo(f"Imported {counted(people, *words)} into {printable(target)}.")
