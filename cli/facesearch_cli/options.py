"""What the commands share: exit codes, common options, opening a gallery, finding photos."""

import functools
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facesearch_cli.render import complain, printable

if TYPE_CHECKING:
    from facesearch import Gallery, Model
    from facesearch.photo_files import LeftOut

# Exit codes; 0 is done, and 2 (wrong usage) is Typer's own
NO = 1  # ran, and the answer is no
UNREADABLE = 3  # some input could not be used; the rest was done
UNUSABLE = 4  # the gallery, the model or the machine
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
READER_GONE = 141  # 128 + SIGPIPE

WORKERS_FROM = 4  # photos; fewer are done before threads have started
OPENVINO_FROM = 32  # photos; with bf16 its start-up pays off soon, on plain AVX2 at about 80
DEFAULT_MODEL = "default"

GalleryPath = Annotated[
    Path | None,
    typer.Option(
        "--gallery",
        "-g",
        envvar="FACESEARCH_HOME",
        metavar="PATH",
        help="Gallery file, or the folder that holds its gallery.db.",
        show_default="the user's data folder",
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Model name (see facesearch models list) or folder.",
        show_default="the gallery's own, if it comes with facesearch",
    ),
]
Twice = Annotated[
    bool,
    typer.Option(
        "--same-person-twice",
        help="The photo is a mirror or a collage: it may show the person twice.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AsCsv = Annotated[
    bool,
    typer.Option(
        "--csv",
        help="Print CSV. Text that starts with = + - @, a tab or a carriage return gets a leading "
        "apostrophe, so that spreadsheets do not run it as a formula.",
    ),
]


@dataclass(frozen=True, slots=True)
class Options:
    """The values of --gallery, --model and --json."""

    gallery: Path | None
    model: str
    as_json: bool

    def opened(self, *, photos: int = 1, create: bool = False) -> "Gallery":
        """Return the gallery, ready for `photos` photos; raises GalleryError, ModelError."""
        return open_gallery(self.gallery, self.model, photos=photos, create=create)

    def repeated(self) -> str:
        """Return the options that make another command use this gallery and model."""
        named = self.gallery is not None and str(self.gallery) != os.environ.get("FACESEARCH_HOME")
        where = f" --gallery {shlex.quote(str(self.gallery))}" if named else ""
        other = self.model != DEFAULT_MODEL
        return where + (f" --model {shlex.quote(self.model)}" if other else "")


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with --gallery, --model and --json in place of its parameter `options`.

    They are listed last in the help page, just before --csv.
    """

    @functools.wraps(command)
    def parsed(*, gallery: Path | None, model: str, as_json: bool, **others: Any) -> None:
        command(Options(gallery, model, as_json), **others)

    def common(
        *, gallery: GalleryPath = None, model: ModelName = DEFAULT_MODEL, as_json: AsJson = False
    ) -> None: ...

    def parameters(function: Callable[..., None]) -> dict[str, inspect.Parameter]:
        found = inspect.signature(function).parameters
        return {name: found[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in found}

    own = parameters(command)
    del own["options"]
    csv = {name: own.pop(name) for name in ("as_csv",) if name in own}
    every = [*own.values(), *parameters(common).values(), *csv.values()]
    parsed.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    parsed.__annotations__ = {each.name: each.annotation for each in every}
    return parsed


def examples(*lines: str) -> str:
    """Return the end of a help page, one example per line."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def gallery_path(path: Path | None) -> Path:
    """Return the value of --gallery or FACESEARCH_HOME, else the user's own gallery."""
    if path is not None:
        return path
    from platformdirs import user_data_path

    return user_data_path("facesearch", appauthor=False)


def load_model(name: str, photos: int = 1) -> "Model":
    """Return the model on the engine that is fastest for `photos` photos; raises ModelError."""
    from facesearch import Model
    from facesearch.engine import openvino_is_installed

    many = photos >= OPENVINO_FROM and openvino_is_installed()
    return Model.load(name, engine="openvino" if many else "opencv")


def open_gallery(
    path: Path | None, model: str, *, photos: int = 1, create: bool = False
) -> "Gallery":
    """Return the gallery, ready for `photos` photos; raises GalleryError, ModelError."""
    from facesearch import Gallery, GalleryError
    from facesearch.gallery import galleries_in, gallery_file, model_for

    where = gallery_path(path)
    file = gallery_file(where)
    if not create and not file.exists():
        here = ", ".join(other.name for other in galleries_in(Path()))
        if here:
            said = f"there is no gallery at {file}. Galleries here: {here}; name one with --gallery"
            raise GalleryError(said)
    return Gallery(where, load_model(model_for(where, model), photos), create=create)


def workers(photos: int) -> int:
    """Return the number of threads for `photos` photos."""
    return (os.cpu_count() or 1) if photos >= WORKERS_FROM else 1


def photos_in(paths: Iterable[Path], left_out: "LeftOut | None" = None) -> Iterator[Path]:
    """Yield the photos at `paths`, folders walked; what is not yielded is added to `left_out`.

    A path that does not exist, and a folder without photos, is yielded itself: reading it fails
    with the reason.
    """
    from facesearch import PhotoError
    from facesearch.photo_files import walk_photos

    for path in paths:
        try:
            found = list(walk_photos([path], left_out))
        except PhotoError:
            found = []
        yield from found or [path]


def photos_and_rest_told(paths: Iterable[Path]) -> "tuple[list[Path], LeftOut]":
    """Return the photos at `paths`, folders walked, and what was left out, said on stderr, too."""
    from facesearch.photo_files import LeftOut

    left_out = LeftOut()
    photos = list(photos_in(paths, left_out))
    say_left_out(left_out)
    return photos, left_out


def say_rest_of_classes(folder: Path) -> None:
    """Say on stderr what reading a folder of classes leaves out; nothing of Omniglot's archives."""
    from facesearch.evaluation.omniglot import has_zips

    if folder.is_dir() and not has_zips(folder):
        photos_and_rest_told([folder])


def say_left_out(left_out: "LeftOut") -> None:
    """Say on stderr, by kind and number, what a walk left out."""
    lines = [f"  {printable(line)}" for line in left_out.lines()]
    if lines:
        complain("\n".join(["Left out of the folders:", *lines]))


def stdin_is_terminal() -> bool:
    """Return whether a question can be answered."""
    return sys.stdin is not None and sys.stdin.isatty()


def usable_name(name: str, *, new: bool = False) -> str:
    """Return `name` as the gallery stores it; raises typer.BadParameter if it is not valid.

    `new` names may be those of people who are not enrolled yet.
    """
    from facesearch.names import new_person_name, person_name

    try:
        return new_person_name(name) if new else person_name(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def one_format(as_json: bool, as_csv: bool) -> None:
    """Raise typer.BadParameter if both formats are asked for."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
