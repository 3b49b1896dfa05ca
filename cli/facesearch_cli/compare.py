"""facesearch verify and search: faces compared, without deciding on a name."""

from pathlib import Path
from typing import Annotated

import typer

from facesearch_cli.options import (
    DEFAULT_MODEL,
    NO,
    AsCsv,
    AsJson,
    Options,
    load_model,
    one_format,
    with_options,
)
from facesearch_cli.render import (
    Column,
    Screen,
    bearer_words,
    complain,
    percent,
    print_csv,
    print_json,
)

Photo = Annotated[Path, typer.Argument(metavar="PHOTO")]


def verify(
    photo_a: Photo,
    photo_b: Photo,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Model name (see facesearch models list) or folder.",
        ),
    ] = DEFAULT_MODEL,
    as_json: AsJson = False,
) -> None:
    """Say whether two photos show the same person, or class; exit 0 if so, 1 if not.

    In a photo with several faces the largest counts. No gallery is used.
    """
    from facesearch import verify as verified
    from facesearch import wire
    from facesearch.manifest import subject

    loaded = load_model(model)
    result = verified(loaded, photo_a, photo_b)
    if as_json:
        print_json(**wire.verification(photo_a, photo_b, result))
    else:
        one, several = bearer_words(subject(loaded.manifest))
        answer = f"the same {one}" if result.same else f"different {several}"
        typer.echo(f"{answer} (probability of the same: {percent(result.probability)})")
    if not result.same:
        raise typer.Exit(NO)


@with_options
def search(
    options: Options,
    photo: Photo,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of enrolled faces to show.")] = 10,
    as_csv: AsCsv = False,
) -> None:
    """Show the enrolled faces nearest to each face of a photo, without deciding on a name.

    The score is the cosine of the embeddings that the model searches by: 1 for the same picture,
    lower for strangers; how much lower depends on the model.
    """
    from facesearch import wire
    from facesearch.manifest import subject

    one_format(options.as_json, as_csv)
    with options.opened() as gallery:
        faces = gallery.search(photo, k)
        what = subject(gallery.model.manifest)
    rows = [
        (number, rank, neighbor.person, round(neighbor.score, 4), neighbor.photo or "")
        for number, (_, neighbors) in enumerate(faces, 1)
        for rank, neighbor in enumerate(neighbors, 1)
    ]
    if options.as_json:
        print_json(**wire.search(photo, faces))
    elif as_csv:
        print_csv(("face", "rank", "person", "score", "photo"), rows)
    elif rows:
        columns = (
            Column(what, right=True),
            Column("rank", right=True),
            Column(bearer_words(what)[0], share=1),
            Column("score", right=True),
            Column("photo", style="dim", share=1.5, keep_end=True),
        )
        Screen().table(columns, [(*row[:3], f"{row[3]:.3f}", row[4]) for row in rows])
    if not rows:
        complain(f"No {what} found in {photo}." if not faces else "The gallery is empty.")
        raise typer.Exit(NO)
