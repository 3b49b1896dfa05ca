"""facesearch identify: photos -> the people in them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.options import (
    NO,
    UNREADABLE,
    AsCsv,
    Options,
    one_format,
    photos_and_rest_told,
    with_options,
    workers,
)
from facesearch_cli.render import (
    Column,
    Screen,
    bearer_words,
    complain,
    counted,
    csv_line,
    list_problems,
    percent,
    photo_problem,
    printable,
)

if TYPE_CHECKING:
    from facesearch import IdentifiedFace, IdentifiedPhoto

CSV_HEADING = (
    *("photo", "face", "left", "top", "right", "bottom", "score", "person", "probability"),
    *("unknown_probability", "runner_up", "runner_up_probability", "alternatives", "decided_by"),
    *("dismissed_as", "error"),
)
RUNNER_UP_FROM = 0.01  # probability; less likely people would only clutter the table
MAX_STEM_BYTES = 200  # of a file name; file systems allow 255 in all


def between_0_and_1(value: float) -> float:
    """Return `value`; raises typer.BadParameter unless it lies between 0 and 1, both excluded."""
    if not 0 < value < 1:
        raise typer.BadParameter(f"{value} is not between 0 and 1")
    return value


Paths = Annotated[
    list[Path], typer.Argument(metavar="PHOTO|FOLDER...", help="Photos; folders are walked.")
]
Fpir = Annotated[
    float,
    typer.Option(
        callback=between_0_and_1,
        help="Largest share of strangers who may get a name (false positive identification rate), "
        "measured against this gallery: 0.01 is one in a hundred. Lower is stricter.",
    ),
]
Prior = Annotated[
    float,
    typer.Option(
        callback=between_0_and_1,
        help="Share of the faces that you expect to belong to enrolled people.",
    ),
]
Annotate = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        file_okay=False,
        help="Write each photo there as a JPEG with boxes and names; no file is overwritten.",
    ),
]


@with_options
def identify(
    options: Options,
    paths: Paths,
    fpir: Fpir = 0.01,
    prior: Prior = 0.5,
    annotate: Annotate = None,
    as_csv: AsCsv = False,
) -> None:
    """Name the people in photos, with probabilities, or say unknown.

    Faces are numbered from the largest. Each person gets at most one face per photo.
    """
    from facesearch.manifest import subject

    one_format(options.as_json, as_csv)
    photos, _ = photos_and_rest_told(paths)
    if annotate is not None:
        annotate.mkdir(parents=True, exist_ok=True)
    with options.opened(photos=len(photos)) as gallery:
        what = subject(gallery.model.manifest)
        answers = Answers(Screen(), photos, what, fpir, as_json=options.as_json, as_csv=as_csv)
        with answers.screen.progress("Identifying", len(photos)) as advance:
            for result in gallery.identify(
                photos, fpir=fpir, prior=prior, workers=workers(len(photos))
            ):
                advance()
                if annotate is not None and result.faces and not result.error:
                    answers.problems += save_annotated(result, annotate)
                answers.add(result)
        if answers.n_faces and not answers.n_known and not gallery.people.all():
            complain(f"{gallery.path} is empty; facesearch enroll fills it.")
    answers.finish()


class Answers:
    """Prints an answer per photo as it comes, and counts them for the exit code."""

    def __init__(
        self,
        screen: Screen,
        photos: list[Path],
        what: str,
        fpir: float,
        *,
        as_json: bool,
        as_csv: bool,
    ) -> None:
        """Start the output about `photos`; `what` is what they show: face, drawing or picture."""
        self.screen = screen
        self.problems: list[str] = []
        self._remarks: list[tuple[str, str]] = []
        self.n_faces = self.n_known = 0
        self._n_photos, self._what, self._fpir = len(photos), what, fpir
        self._as_json, self._as_csv = as_json, as_csv
        columns = (
            Column("photo", share=2, keep_end=True),
            Column(what, right=True),
            Column(bearer_words(what)[0], share=2),
            Column("prob.", right=True),
            Column("runner-up", style="dim", share=2),
        )
        samples = [[str(photo) for photo in photos], ["99"], [], [">99.9%", "enrolled"], []]
        self._print_rows = screen.stream(columns, samples)
        if as_csv:
            screen.line(csv_line(CSV_HEADING))

    def add(self, result: "IdentifiedPhoto") -> None:
        """Print the answer for one photo."""
        from facesearch import wire

        self.n_faces += len(result.faces)
        self.n_known += sum(bool(face.person or face.alternatives) for face in result.faces)
        if result.remark:
            self._remarks.append((result.photo, result.remark))
        if result.error:
            self.problems.append(photo_problem(result.photo, result.error))
        if self._as_json:
            self.screen.line(wire.to_json(**wire.identified_photo(result)))
        elif self._as_csv:
            for row in csv_rows(result):
                self.screen.line(csv_line(row))
        else:
            self._print_rows(self._rows(result))

    def _rows(self, result: "IdentifiedPhoto") -> list[tuple[object, ...]]:
        """Return the table's rows for one photo; on a terminal only the first has its path."""
        photo: object = result.photo
        rows: list[tuple[object, ...]] = []
        for number, face in enumerate(result.faces, 1):
            rows.append((photo, number, *name_cells(face, self._fpir)))
            photo = "" if self.screen.is_terminal else photo
        nothing = ("cannot be used", "red") if result.error else (f"no {self._what} found", "dim")
        return rows or [(photo, "", nothing, "", "")]

    def finish(self) -> None:
        """Print the totals and the problems on stderr; raises typer.Exit unless all is done."""
        if self._n_photos > 1 and not (self._as_json or self._as_csv):
            faces = counted(self.n_faces, self._what)
            complain(f"{counted(self._n_photos, 'photo')}, {faces}: {self.n_known:,} known.")
        list_problems("Read, but not as usual:", self._remarks)
        if self.problems:
            lines = [f"  {printable(problem)}" for problem in self.problems]
            complain("\n".join(["Could not be used:", *lines]))
            raise typer.Exit(UNREADABLE)
        if not self.n_known:
            raise typer.Exit(NO)


def name_cells(face: "IdentifiedFace", fpir: float) -> tuple[object, str, str]:
    """Return the cells for person, probability and runner-up."""
    first = face.also_like or face.probably
    told = (face.person, *face.alternatives, first.person if first else None)
    others = [c for c in face.candidates if c.person not in told]
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
    if face.also_like is not None:
        also = f"also looks like {face.also_like.person}, who is named in this photo already"
        return (also, "yellow"), percent(face.also_like.probability), second
    if face.probably is not None:
        below = f"probably {face.probably.person}, below the limit for {100 * fpir:g}% false names"
        return (below, "yellow"), percent(face.probably.probability), second
    return ("unknown", "dim"), percent(face.unknown_probability), second


def csv_rows(result: "IdentifiedPhoto") -> Iterator[tuple[object, ...]]:
    """Yield one row per face, or one row without a face if the photo has none."""
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
    """Write the photo with boxes and names into `folder`; return the problem, if there was one."""
    from facesearch import PhotoError
    from facesearch.annotation import annotated
    from facesearch.photo import read_photo
    from facesearch.photo_files import remember_output

    try:
        picture = annotated(read_photo(result.photo), result.faces)
    except PhotoError as error:  # the file has changed since it was identified
        return [photo_problem(result.photo, str(error))]
    stem = Path(result.photo).stem
    while len(os.fsencode(stem)) > MAX_STEM_BYTES:
        stem = stem[:-1]
    number, target = 1, folder / f"{stem}.jpg"
    while True:
        try:
            file = target.open("xb")  # never over a file: it may be the photo, or another's picture
            break
        except FileExistsError:
            number += 1
            target = folder / f"{stem}-{number}.jpg"
    try:
        remember_output(folder, [target.name])
        with file:
            picture.save(file, "JPEG", quality=92)
    except BaseException:  # a full disk, Ctrl-C
        target.unlink()
        raise
    return []
