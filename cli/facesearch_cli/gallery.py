"""facesearch gallery: inspect, check, back up and migrate a whole gallery."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.options import (
    INTERRUPTED,
    UNUSABLE,
    AsJson,
    GalleryPath,
    Options,
    examples,
    gallery_path,
    load_model,
    with_options,
    workers,
)
from facesearch_cli.render import (
    Column,
    Screen,
    bearer_words,
    complain,
    counted,
    list_problems,
    print_json,
    printable,
)

if TYPE_CHECKING:
    from facesearch import Gallery

app = typer.Typer(
    help="Inspect, check, rebuild, export, import, restore and migrate a gallery.",
    no_args_is_help=True,
)
File = Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)]


@app.command(epilog=examples("facesearch gallery info", "facesearch gallery info -g family.db"))
@with_options
def info(options: Options) -> None:
    """Show what the gallery holds."""
    with options.opened() as gallery:
        facts = gallery.upkeep.info()
    if options.as_json:
        print_json(**facts)
    else:
        columns = (Column("", style="dim"), Column("", share=1))
        Screen().table(columns, [(key.replace("_", " "), fact) for key, fact in facts.items()])


@app.command(epilog=examples("facesearch gallery check"))
@with_options
def check(options: Options) -> None:
    """Check the gallery for damage; exit 4 if there is any."""
    with options.opened() as gallery:
        problems = gallery.upkeep.check()
        templates = sum(person.templates for person in gallery.people.all())
    if options.as_json:
        print_json(path=str(gallery.path), templates=templates, problems=problems)
    elif not problems:
        typer.echo(f"{printable(gallery.path)} is sound: {templates:,} templates, all found.")
    for problem in problems:
        complain(f"Error: {problem}")
    if problems:
        complain(
            "facesearch gallery rebuild repairs the index; for the rest, facesearch gallery "
            "restore FILE puts back a copy made by facesearch gallery export."
        )
        raise typer.Exit(UNUSABLE)


@app.command(epilog=examples("facesearch gallery rebuild"))
@with_options
def rebuild(options: Options) -> None:
    """Rebuild the index; nothing that is enrolled changes."""
    with options.opened() as gallery:
        templates = gallery.upkeep.rebuild()
    if options.as_json:
        print_json(path=str(gallery.path), templates=templates)
    else:
        typer.echo(f"Rebuilt the index from {counted(templates, 'template')}.")


@app.command(epilog=examples("facesearch gallery export backup.db"))
@with_options
def export(options: Options, target: File) -> None:
    """Write the whole gallery to a new file, which is itself a gallery."""
    if target.exists():
        raise typer.BadParameter(f"{printable(target)} exists already; name a new file")
    with options.opened() as gallery:
        gallery.upkeep.export(target)
        n_people, people = counted_people(gallery)
    if options.as_json:
        print_json(path=str(target), people=n_people)
    else:
        typer.echo(f"Wrote {people} to {printable(target)}; facesearch gallery import reads it.")


@app.command("import", epilog=examples("facesearch gallery import backup.db --gallery family.db"))
@with_options
def import_(options: Options, source: File) -> None:
    """Create a gallery from an exported file; an existing gallery is never overwritten."""
    from facesearch import import_gallery
    from facesearch.gallery import gallery_file, model_for

    target = gallery_file(gallery_path(options.gallery))
    if target.exists():
        raise typer.BadParameter(
            f"there is a gallery at {printable(target)} already; name another with --gallery"
        )
    model = load_model(model_for(source, options.model))
    with import_gallery(source, target, model) as gallery:
        n_people, people = counted_people(gallery)
    if options.as_json:
        print_json(path=str(target), people=n_people)
    else:
        typer.echo(f"Imported {people} into {printable(target)}.")


@app.command(epilog=examples("facesearch gallery restore backup.db --gallery family.db"))
@with_options
def restore(options: Options, source: File) -> None:
    """Make the gallery what an exported file holds; what it held is kept as a file beside it.

    Programs that have the gallery open may stay open.
    """
    from facesearch.gallery import gallery_file, model_for, restore_gallery

    target = gallery_file(gallery_path(options.gallery))
    model = load_model(model_for(source, options.model))
    opened, kept = restore_gallery(source, target, model)
    with opened as gallery:
        n_people, people = counted_people(gallery)
    if options.as_json:
        print_json(path=str(target), people=n_people, kept=None if kept is None else str(kept))
        return
    typer.echo(f"Restored {people} into {printable(target)}.")
    if kept is not None:
        complain(
            f"What it held before is kept in {printable(kept)}, also people who were forgotten "
            "since; delete that file when you no longer need it. Whoever was forgotten after the "
            "copy was made is enrolled again."
        )


def counted_people(gallery: "Gallery") -> tuple[int, str]:
    """Return the number of people in the gallery, and the same in words."""
    from facesearch.manifest import subject

    n_people = len(gallery.people.all())
    return n_people, counted(n_people, *bearer_words(subject(gallery.model.manifest)))


@app.command(
    epilog=examples(
        "facesearch gallery migrate --model mymodel",
        "facesearch gallery migrate --model default --leave-out",
    )
)
def migrate(
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="MODEL", help="The new model: a name or a folder."),
    ],
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out", help="Remove faces whose photos are missing, instead of refusing."
        ),
    ] = False,
    gallery: GalleryPath = None,
    as_json: AsJson = False,
) -> None:
    """Migrate the gallery to another model; people and decisions stay as they are.

    Every photo is analyzed again. The gallery changes only when all of them are done; the same
    command continues an interrupted migration.
    """
    from facesearch import Refused, wire
    from facesearch.gallery.migration import migrate_gallery, photos_to_see

    path = gallery_path(gallery)
    n_photos = photos_to_see(path, load_model(model))
    loaded = load_model(model, n_photos)
    try:
        with Screen().progress("Looking", n_photos) as advance:
            done = migrate_gallery(
                path, loaded, leave_out=leave_out, workers=workers(n_photos), advance=advance
            )
    except KeyboardInterrupt:
        complain("Interrupted: nothing has changed yet; the same command goes on from here.")
        raise typer.Exit(INTERRUPTED) from None
    except Refused as error:
        raise Refused(f"{error} with --leave-out") from None
    if as_json:
        print_json(**wire.migration(done, loaded.name))
    elif done.former == loaded.name and not done.templates:
        typer.echo(f"The gallery already uses the model {printable(loaded.name)}.")
    else:
        typer.echo(
            f"Migrated {counted(done.templates, 'template')} from {printable(done.former)} to "
            f"{printable(loaded.name)}."
        )
    list_problems("Left out:", [(face.photo or face.person, face.why) for face in done.left_out])
