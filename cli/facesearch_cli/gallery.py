"""facesearch gallery: the gallery as a whole."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from facesearch_cli.options import (
    INTERRUPTED,
    UNUSABLE,
    AsJson,
    GalleryPath,
    ModelName,
    examples,
    gallery_path,
    load_model,
    open_gallery,
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
    printable,
)

app = typer.Typer(
    help="Inspect, check, rebuild, export, import and migrate a gallery.", no_args_is_help=True
)
File = Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)]


@app.command(epilog=examples("facesearch gallery info", "facesearch gallery info -g family.db"))
def info(
    gallery: GalleryPath = None, model: ModelName = "default", as_json: AsJson = False
) -> None:
    """Show what the gallery holds."""
    with open_gallery(gallery, model) as opened:
        facts = opened.upkeep.info()
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
        problems = opened.upkeep.check()
        templates = sum(person.templates for person in opened.people.all())
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
        templates = opened.upkeep.rebuild()
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
    from facesearch.manifest import subject

    if target.exists():
        raise typer.BadParameter(f"{printable(target)} is there already; name a new file")
    with open_gallery(gallery, model) as opened:
        opened.upkeep.export(target)
        people = len(opened.people.all())
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
    from facesearch.gallery import gallery_file, model_for
    from facesearch.manifest import subject

    target = gallery_file(gallery_path(gallery))
    if target.exists():
        raise typer.BadParameter(
            f"there is a gallery at {printable(target)} already; name another with --gallery"
        )
    with import_gallery(source, target, load_model(model_for(source, model))) as opened:
        people = len(opened.people.all())
        words = bearer(subject(opened.model.manifest))
    if as_json:
        print_json(path=str(target), people=people)
    else:
        typer.echo(f"Imported {counted(people, *words)} into {printable(target)}.")


@app.command(
    epilog=examples(
        "facesearch gallery migrate --model mymodel",
        "facesearch gallery migrate --model default --leave-out",
    )
)
def migrate(
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="MODEL", help="The other model: a name or a folder."),
    ],
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out", help="Take out the faces whose photos are gone, in place of refusing."
        ),
    ] = False,
    gallery: GalleryPath = None,
    as_json: AsJson = False,
) -> None:
    """Make the gallery anew with another model: people and decisions stay as they are.

    Every photo is looked at again. Until all is done the gallery is as it was; if it is
    interrupted, the same command goes on from there.
    """
    from facesearch import Refused
    from facesearch.gallery.migration import migrate_gallery, photos_to_see

    path = gallery_path(gallery)
    n_photos = photos_to_see(path, load_model(model))
    made_with = load_model(model, n_photos)
    try:
        with Screen().progress("Looking", n_photos) as advance:
            done = migrate_gallery(
                path, made_with, leave_out=leave_out, workers=workers(n_photos), advance=advance
            )
    except KeyboardInterrupt:
        complain("Interrupted: nothing was changed yet; the same command goes on from here.")
        raise typer.Exit(INTERRUPTED) from None
    except Refused as error:
        raise Refused(f"{error} with --leave-out") from None
    if as_json:
        print_json(**asdict(done), model=made_with.name)
    elif done.former == made_with.name and not done.templates:
        typer.echo(f"The gallery is of the model {printable(made_with.name)} already.")
    else:
        typer.echo(
            f"Made {counted(done.templates, 'template')} anew: {printable(done.former)} before, "
            f"{printable(made_with.name)} now."
        )
    complain_of_skipped("Left out:", [(f.photo or f.person, f.why) for f in done.left_out])
