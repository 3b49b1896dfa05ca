"""facesearch verify and search: faces compared, no names decided."""

from pathlib import Path
from typing import Annotated

import typer

from facesearch_cli.options import (
    NO,
    AsCsv,
    AsJson,
    GalleryPath,
    ModelName,
    load_model,
    one_format,
    open_gallery,
)
from facesearch_cli.render import Column, Screen, bearer, complain, csv_line, percent, print_json


def verify(
    photo_a: Annotated[Path, typer.Argument(metavar="PHOTO")],
    photo_b: Annotated[Path, typer.Argument(metavar="PHOTO")],
    model: ModelName = "default",
    as_json: AsJson = False,
) -> None:
    """Say whether two photos show one person, or one class; exit 0 if so, 1 if not.

    Of several faces in a photo the largest counts. The gallery plays no part.
    """
    from facesearch import verify as compare
    from facesearch.manifest import subject

    loaded = load_model(model)
    result = compare(loaded, photo_a, photo_b)
    if as_json:
        print_json(
            photo_a=str(photo_a),
            photo_b=str(photo_b),
            same=result.same,
            probability=round(result.probability, 6),
            llr=round(result.llr, 4),
        )
    else:
        one, several = bearer(subject(loaded.manifest))
        answer = f"the same {one}" if result.same else f"different {several}"
        typer.echo(f"{answer} (probability of the same: {percent(result.probability)})")
    if not result.same:
        raise typer.Exit(NO)


def search(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many enrolled faces to show.")] = 10,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show the enrolled faces nearest to each face of a photo, with no name decided.

    The score is the cosine of what the model searches by, two embeddings or a part of each: 1 for
    the same picture, lower for strangers, how far depends on the model.
    """
    from facesearch.manifest import subject

    one_format(as_json, as_csv)
    with open_gallery(gallery, model) as opened:
        faces = opened.search(photo, k)
        what = subject(opened.model.manifest)
    rows = [
        (number, rank, neighbour.person, round(neighbour.score, 4), neighbour.photo or "")
        for number, (_, neighbours) in enumerate(faces, 1)
        for rank, neighbour in enumerate(neighbours, 1)
    ]
    if as_json:
        print_json(
            photo=str(photo),
            faces=[
                {
                    "box": [round(side, 2) for side in face.box],
                    "score": round(face.score, 4),
                    "neighbours": [
                        {"person": n.person, "score": round(n.score, 4), "photo": n.photo}
                        for n in neighbours
                    ],
                }
                for face, neighbours in faces
            ],
        )
    elif as_csv:
        for row in (("face", "rank", "person", "score", "photo"), *rows):
            typer.echo(csv_line(row))
    elif rows:
        columns = (
            Column(what, right=True),
            Column("rank", right=True),
            Column(bearer(what)[0], share=1),
            Column("score", right=True),
            Column("photo", style="dim", share=1.5, keep_end=True),
        )
        Screen().table(columns, [(*row[:3], f"{row[3]:.3f}", row[4]) for row in rows])
    if not rows:
        complain(f"No {what} found in {photo}." if not faces else "The gallery is empty.")
        raise typer.Exit(NO)
