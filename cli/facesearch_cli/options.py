"""What several commands share: options, the gallery and model that they mean, exit codes."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from facesearch import Gallery, Model

# Exit codes; 0 is done, and 2 (wrong usage) is Typer's own
NO = 1  # ran, and the answer is no
UNREADABLE = 3  # some input could not be used; the rest was done
UNUSABLE = 4  # the gallery, the model or the machine
INTERRUPTED = 130  # 128 + SIGINT, as a shell says it
READER_GONE = 141  # 128 + SIGPIPE

WORKERS_FROM = 4  # photos; fewer are done before threads have started
OPENVINO_FROM = 32  # photos; wins back its start-up soon with bf16, at about 80 on plain AVX2

GalleryPath = Annotated[
    Path | None,
    typer.Option(
        "--gallery",
        "-g",
        envvar="FACESEARCH_HOME",
        metavar="PATH",
        help="The gallery: a file, or a folder for its gallery.db.",
        show_default="the user's data folder",
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A model's name (facesearch models list) or folder. Unless you name one, a gallery "
        "that is there is opened with its own, if that comes with facesearch.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AsCsv = Annotated[
    bool,
    typer.Option(
        "--csv",
        help="Print CSV. Text that starts with = + - @, a tab or a carriage return gets an "
        "apostrophe in front, so that a spreadsheet takes it for no formula.",
    ),
]


def examples(*lines: str) -> str:
    """Return a help page's last part: one example a line."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def gallery_path(path: Path | None) -> Path:
    """Return the gallery that `--gallery` and FACESEARCH_HOME mean, else the user's own."""
    if path is not None:
        return path
    from platformdirs import user_data_path

    return user_data_path("facesearch", appauthor=False)


def load_model(name: str, photos: int = 1) -> "Model":
    """Return the model in the engine that does `photos` photos soonest; raises ModelError."""
    from facesearch import Model
    from facesearch.engine import openvino_is_installed

    many = photos >= OPENVINO_FROM and openvino_is_installed()
    return Model.load(name, engine="openvino" if many else "opencv")


def open_gallery(
    path: Path | None, model: str, *, photos: int = 1, create: bool = False
) -> "Gallery":
    """Return the gallery, ready for `photos` photos; raises GalleryError, ModelError."""
    from facesearch import Gallery
    from facesearch.gallery import model_for

    where = gallery_path(path)
    return Gallery(where, load_model(model_for(where, model), photos), create=create)


def workers(photos: int) -> int:
    """Return how many threads look at `photos` photos."""
    return (os.cpu_count() or 1) if photos >= WORKERS_FROM else 1


def photos_in(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the photos that `paths` mean; one that is not there as itself: reading it says why.

    So does a folder without any photo.
    """
    from facesearch import PhotoError
    from facesearch.photo import walk_photos

    for path in paths:
        try:
            found = list(walk_photos([path]))
        except PhotoError:
            found = []
        yield from found or [path]


def usable_name(name: str) -> str:
    """Return `name` as the gallery stores it; raises typer.BadParameter if it is no name."""
    from facesearch.gallery import person_name

    try:
        return person_name(name)
    except ValueError as error:
        raise typer.BadParameter(f"{name!a} is no name for a person") from error


def one_format(as_json: bool, as_csv: bool) -> None:
    """Raise typer.BadParameter if both are wanted."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
