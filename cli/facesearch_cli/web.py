"""facesearch web: the gallery as a page in the browser."""

from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from facesearch_cli.options import (
    DEFAULT_MODEL,
    UNUSABLE,
    GalleryPath,
    ModelName,
    open_gallery,
    photos_and_rest_told,
)
from facesearch_cli.render import complain

if TYPE_CHECKING:
    from socket import socket

WEB_PACKAGES = ("starlette", "uvicorn", "jinja2", "markdown_it")  # what the extra web installs

Paths = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[PHOTO|FOLDER...]",
        exists=True,
        help="Photos to review: the page asks who the people in them are, groups faces without a "
        "name and finds duplicate photos. Folders are walked.",
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        min=1, max=65535, help="Port to listen on, on this machine.", show_default="a free one"
    ),
]
Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="IP address of this machine to listen on. With an address that other machines can "
        "reach, their users can open the page, too.",
    ),
]
NoBrowser = Annotated[
    bool, typer.Option("--no-browser", help="Only print the address, open no browser.")
]
Training = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Show a running training: the folder given to facesearch train as --out.",
    ),
]


def web(
    paths: Paths = None,
    port: Port = None,
    host: Host = "127.0.0.1",
    no_browser: NoBrowser = False,
    training: Training = None,
    gallery: GalleryPath = None,
    model: ModelName = DEFAULT_MODEL,
) -> None:
    """Open the gallery in the browser: drop photos, see who is in them, correct the answers.

    Nothing leaves this machine, and without --host nobody else can connect. Ctrl-C stops it.
    """
    own = own_address(host)
    check_extra()
    listening = listen_or_exit(host, own, port)
    from facesearch import Model
    from facesearch.serving.server import serve
    from facesearch.web.app import make_app

    if not own.is_loopback:
        complain(
            "Warning: anyone who learns the page's address, which holds its key, can see and "
            "change this gallery. The connection is not encrypted: others on the network can read "
            "it."
        )

    def announce(address: str) -> None:
        typer.echo(address)
        whose = "only you can use it" if own.is_loopback else "give it only to people you trust"
        complain(f"Open this address; {whose}. Ctrl-C stops the page.")
        if not no_browser:
            open_browser(address, Path(folder))

    photos, _ = photos_and_rest_told(paths or ())
    private = TemporaryDirectory(prefix="facesearch-open-", ignore_cleanup_errors=True)
    with private as folder, listening, open_gallery(gallery, model, create=True) as opened:
        try:
            load = partial(Model.load, opened.model.folder)
            app = make_app(opened, load, photos, folders=paths or (), training=training)
            serve(app, listening, announce)
        except KeyboardInterrupt:  # the normal way to stop it
            complain("Stopped.")


def check_extra() -> None:
    """Raise typer.Exit unless the page's packages are installed."""
    try:
        import facesearch.serving.server
        import facesearch.web.app  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in WEB_PACKAGES:
            raise
        from facesearch.extras import install_command

        complain(f"Error: the page needs an extra: {install_command('web')}")
        raise typer.Exit(UNUSABLE) from error


def listen_or_exit(host: str, own: IPv4Address | IPv6Address, port: int | None) -> "socket":
    """Return a listening socket; raises typer.Exit."""
    from facesearch.serving.server import listen

    try:
        return listen(port or 0, str(own))
    except OSError as error:
        where = f"port {port} of {host}" if port else host
        complain(
            f"Error: cannot listen on {where} ({error.strerror}); name another --port or --host"
        )
        raise typer.Exit(UNUSABLE) from error


def own_address(host: str) -> IPv4Address | IPv6Address:
    """Return the address in --host; raises typer.BadParameter if it is not of one machine."""
    try:
        address = ip_address(host)
    except ValueError as error:
        raise typer.BadParameter(f"{host} is not an IP address such as 192.168.1.20") from error
    if isinstance(address, IPv6Address):  # ::ffff:0.0.0.0 means all addresses, as 0.0.0.0 does
        address = address.ipv4_mapped or address
    if address.is_unspecified or address.is_multicast:
        raise typer.BadParameter(
            f"{host} is not the address of one machine: the page answers only at its own address"
        )
    return address


def open_browser(address: str, folder: Path) -> None:
    """Open the address in the user's browser, in a thread: starting it may take long.

    The browser is started with a file of `folder` that leads to the address, since other users can
    read the words that a program is started with, and the address holds the key.
    """
    import threading
    import webbrowser

    from facesearch.serving.guard import plain_page

    page = folder / "open.html"
    link = f'<p><a href="{address}">Continue</a></p>'
    head = f'<meta http-equiv="refresh" content="0; url={address}">'
    page.touch(mode=0o600)
    page.write_text(plain_page("facesearch", link, head), "utf-8")
    threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
