"""facesearch identify: photos -> who is in them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch_cli.options import (
    NO,
    UNREADABLE,
    AsCsv,
    AsJson,
    GalleryPath,
    ModelName,
    one_format,
    open_gallery,
    photos_in,
    workers,
)
from facesearch_cli.render import (
    Column,
    Screen,
    bearer,
    complain,
    counted,
    csv_line,
    finite,
    of_photo,
    percent,
    printable,
    to_json,
)

if TYPE_CHECKING:
    from facesearch import IdentifiedFace, IdentifiedPhoto

CSV_HEADING = (
    *("photo", "face", "left", "top", "right", "bottom", "score", "person", "probability"),
    *("unknown_probability", "runner_up", "runner_up_probability", "alternatives", "decided_by"),
    *("dismissed_as", "error"),
)
RUNNER_UP_FROM = 0.01  # probability; below, a name in the table would only distract
MAX_STEM_BYTES = 200  # file systems end at 255


def a_rate(value: float) -> float:
    """Return `value`; raises typer.BadParameter unless it lies between 0 and 1."""
    if not 0 < value < 1:
        raise typer.BadParameter(f"{value} does not lie between 0 and 1")
    return value


def identify(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PHOTO|FOLDER...", help="Folders are walked.")
    ],
    fpir: Annotated[
        float,
        typer.Option(
            callback=a_rate,
            help="How many strangers may get a name: 0.01 is one of a hundred searched against "
            "this gallery. Lower is stricter.",
        ),
    ] = 0.01,
    prior: Annotated[
        float,
        typer.Option(callback=a_rate, help="How likely it is beforehand that a face is enrolled."),
    ] = 0.5,
    annotate: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            file_okay=False,
            help="Write each photo there as a JPEG with boxes and names; no file is overwritten.",
        ),
    ] = None,
    gallery: GalleryPath = None,
    model: ModelName = "default",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Say who is in photos: names with probabilities, or unknown.

    Faces are numbered from the largest. Nobody gets two faces of one photo.
    """
    from facesearch.manifest import subject

    one_format(as_json, as_csv)
    photos = list(photos_in(paths))
    if annotate is not None:
        annotate.mkdir(parents=True, exist_ok=True)
    screen = Screen()
    errors: list[str] = []
    n_faces = n_known = 0
    with ExitStack() as stack:
        opened = stack.enter_context(open_gallery(gallery, model, photos=len(photos)))
        what = subject(opened.model.manifest)
        rows = TableRows(screen, [str(photo) for photo in photos], what)
        if as_csv:
            screen.line(csv_line(CSV_HEADING))
        advance = stack.enter_context(screen.progress("Identifying", len(photos)))
        results = opened.identify(photos, fpir=fpir, prior=prior, workers=workers(len(photos)))
        for result in results:
            advance()
            n_faces += len(result.faces)
            n_known += sum(bool(face.person or face.alternatives) for face in result.faces)
            if result.error:
                errors.append(of_photo(result.photo, result.error))
            elif annotate is not None and result.faces:
                errors += save_annotated(result, annotate)
            if as_json:
                screen.line(to_json(**as_object(result)))
            elif as_csv:
                for row in csv_rows(result):
                    screen.line(csv_line(row))
            else:
                rows.print(result)
        if n_faces and not n_known and not opened.people.all():
            complain(f"{opened.path} is empty; facesearch enroll fills it.")
    if len(photos) > 1 and not (as_json or as_csv):
        faces = counted(n_faces, what)
        complain(f"{counted(len(photos), 'photo')}, {faces}: {n_known:,} known.")
    if errors:
        complain("\n".join(["Could not be used:", *(f"  {printable(e)}" for e in errors)]))
        raise typer.Exit(UNREADABLE)
    if not n_known:
        raise typer.Exit(NO)


class TableRows:
    """The rows of the table, photo by photo as the answers come."""

    def __init__(self, screen: Screen, photos: list[str], what: str) -> None:
        """Begin the table of `photos`, in each of which `what` ("face") is looked for."""
        self._screen, self._what = screen, what
        columns = (
            Column("photo", share=2, keep_end=True),
            Column(what, right=True),
            Column(bearer(what)[0], share=2),
            Column("prob.", right=True),
            Column("runner-up", style="dim", share=2),
        )
        self._streamed = screen.stream(columns, [photos, ["99"], [], [">99.9 %", "enrolled"], []])

    def print(self, result: "IdentifiedPhoto") -> None:
        """Print the rows of one photo; on a terminal its name only once."""
        photo: object = result.photo
        rows = []
        for number, face in enumerate(result.faces, 1):
            rows.append((photo, number, *who(face)))
            photo = "" if self._screen.is_terminal else photo
        nothing = ("cannot be used", "red") if result.error else (f"no {self._what} found", "dim")
        self._streamed(rows or [(photo, "", nothing, "", "")])


def who(face: "IdentifiedFace") -> tuple[object, str, str]:
    """Return person, probability and runner-up, as cells."""
    others = [c for c in face.candidates if c.person not in (face.person, *face.alternatives)]
    second = ""
    if others and others[0].probability >= RUNNER_UP_FROM:
        second = f"{others[0].person} {percent(others[0].probability)}"
    if face.dismissed_as is not None:
        return (face.dismissed_as, "dim"), "decided", second
    if face.decided_by == "human":
        return (face.person, "bold green"), "enrolled", second
    if face.person is not None:
        return (face.person, "bold green"), percent(face.probability), second
    if face.alternatives:
        return (" or ".join(face.alternatives), "yellow"), percent(face.probability), second
    return ("unknown", "dim"), percent(face.unknown_probability), second


def as_object(result: "IdentifiedPhoto") -> dict[str, Any]:
    """Return the JSON of one photo."""
    return {
        "photo": result.photo,
        "width": result.width,
        "height": result.height,
        "faces": [
            {
                "box": [round(side, 2) for side in face.box],
                "score": round(face.score, 4),
                "person": face.person,
                "probability": round(face.probability, 6),
                "unknown_probability": round(face.unknown_probability, 6),
                "margin": finite(face.margin),
                "alternatives": list(face.alternatives),
                "decided_by": face.decided_by,
                "dismissed_as": face.dismissed_as,
                "candidates": [
                    {"person": c.person, "probability": round(c.probability, 6)}
                    for c in face.candidates
                ],
            }
            for face in result.faces
        ],
        "error": result.error,
    }


def csv_rows(result: "IdentifiedPhoto") -> Iterator[tuple[object, ...]]:
    """Yield one row a face; one without a face if the photo has none."""
    for number, face in enumerate(result.faces, 1):
        others = [c for c in face.candidates if c.person != face.person]
        yield (
            *(result.photo, number, *(round(side, 2) for side in face.box), round(face.score, 4)),
            *(face.person, round(face.probability, 6), round(face.unknown_probability, 6)),
            *((others[0].person, round(others[0].probability, 6)) if others else ("", "")),
            *(" or ".join(face.alternatives), face.decided_by),
            *(face.dismissed_as, ""),
        )
    if not result.faces:
        yield (result.photo, *[""] * (len(CSV_HEADING) - 2), result.error or "")


def save_annotated(result: "IdentifiedPhoto", folder: Path) -> list[str]:
    """Write the photo with boxes and names into `folder`; return why not, if it cannot be read."""
    from facesearch import PhotoError
    from facesearch.annotation import annotated
    from facesearch.photo import read_photo

    try:
        picture = annotated(read_photo(result.photo), result.faces)
    except PhotoError as error:  # it has changed since
        return [of_photo(result.photo, str(error))]
    stem = Path(result.photo).stem
    while len(os.fsencode(stem)) > MAX_STEM_BYTES:
        stem = stem[:-1]
    number, target = 1, folder / f"{stem}.jpg"
    while True:
        try:
            file = target.open("xb")  # never over a file, be it the photo or another's picture
            break
        except FileExistsError:
            number += 1
            target = folder / f"{stem}-{number}.jpg"
    try:
        with file:
            picture.save(file, "JPEG", quality=92)
    except BaseException:  # a full disk, Ctrl-C
        target.unlink()
        raise
    return []
