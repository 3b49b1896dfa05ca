"""facesearch web: the gallery as a page in the browser."""

from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
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
            exists=True,
            help="Ask who is on these, group who has no name yet, and look for photos that are "
            "there twice; folders are walked.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Where to listen on this machine.", show_default="a free one"
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="An IP address of this machine that others reach, who may open the page then.",
        ),
    ] = "127.0.0.1",
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address to open.")
    ] = False,
    training: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Show a training as it runs: what facesearch train has as --out."
        ),
    ] = None,
    gallery: GalleryPath = None,
    model: ModelName = "default",
) -> None:
    """Open the gallery in the browser: drop photos, see who is there, correct it.

    Nothing leaves this machine, and without --host nobody else can connect. Ctrl-C ends it.
    """
    own = own_address(host)
    try:
        from facesearch.serving.server import listen, serve
        from facesearch.web.app import make_app
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn", "jinja2", "markdown_it"):
            raise
        complain("Error: the page needs an extra, pip install 'facesearch[web]'")
        raise typer.Exit(UNUSABLE) from error
    from facesearch import Model

    try:
        listening = listen(port or 0, str(own))
    except OSError as error:
        where = f"port {port} of {host}" if port else host
        complain(
            f"Error: cannot listen on {where} ({error.strerror}); name another --port or --host"
        )
        raise typer.Exit(UNUSABLE) from error
    if not own.is_loopback:
        complain(
            "Warning: whoever learns the address of the page, key and all, can see and change this "
            "gallery, and the network between can read along, since nothing is encrypted."
        )

    def announce(address: str) -> None:
        typer.echo(address)
        whose = "it is yours alone" if own.is_loopback else "tell it only to whom you trust"
        complain(f"Open this address; {whose}. Ctrl-C ends the page.")
        if not no_browser:
            open_browser(address)

    photos = list(photos_in(paths or ()))
    with listening, open_gallery(gallery, model, create=True) as opened:
        try:
            load = partial(Model.load, opened.model.folder)
            app = make_app(opened, load, photos, folders=paths or (), training=training)
            serve(app, listening, announce)
        except KeyboardInterrupt:  # the way to end it, not an accident
            complain("Ended.")


def own_address(host: str) -> IPv4Address | IPv6Address:
    """Return the address that `--host` says; raises BadParameter if it is none of one machine."""
    try:
        address = ip_address(host)
    except ValueError as error:
        raise typer.BadParameter(f"{host} is no IP address, as 192.168.1.20 is") from error
    if isinstance(address, IPv6Address):  # ::ffff:0.0.0.0 is all of this machine, too
        address = address.ipv4_mapped or address
    if address.is_unspecified or address.is_multicast:
        raise typer.BadParameter(f"{host} is not one machine: the page answers to its address only")
    return address


def open_browser(address: str) -> None:
    """Open the address in the user's browser, which may take its time."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
