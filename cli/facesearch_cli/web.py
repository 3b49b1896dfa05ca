"""facesearch web: the gallery as a page in the browser."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from facesearch_cli.options import UNUSABLE, GalleryPath, ModelName, open_gallery, photos_in
from facesearch_cli.render import complain


def web(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PHOTO|FOLDER...]",
            help="Group the faces without a name on these, and look for those that are there "
            "twice; folders are walked.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Where to listen on this machine.", show_default="a free one"
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address to open.")
    ] = False,
    gallery: GalleryPath = None,
    model: ModelName = "default",
) -> None:
    """Open the gallery in the browser: drop photos, see who is there, correct it.

    Nothing leaves this machine, and nobody else can connect. Ctrl-C ends it.
    """
    try:
        from facesearch.web.server import listen, serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "jinja2"):
            raise
        complain("Error: the page needs an extra, pip install 'facesearch[web]'")
        raise typer.Exit(UNUSABLE) from error
    from facesearch import Model

    try:
        listening = listen(port or 0)
    except OSError as error:
        complain(f"Error: cannot listen on port {port} ({error.strerror}); name another --port")
        raise typer.Exit(UNUSABLE) from error

    def announce(address: str) -> None:
        typer.echo(address)
        complain("Open this address; it is yours alone. Ctrl-C ends the page.")
        if not no_browser:
            open_browser(address)

    photos = list(photos_in(paths or ()))
    with listening, open_gallery(gallery, model, create=True) as opened:
        try:
            serve(opened, partial(Model.load, model), listening, announce, photos, paths or ())
        except KeyboardInterrupt:  # the way to end it, not an accident
            complain("Ended.")


def open_browser(address: str) -> None:
    """Open the address in the user's browser, which may take its time."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
