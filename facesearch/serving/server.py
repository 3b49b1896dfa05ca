"""The gallery as a page on this machine, until somebody ends it."""

import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from facesearch.gallery import Gallery
from facesearch.model import Model
from facesearch.serving.guard import Guard
from facesearch.web.app import make_app

HOST = "127.0.0.1"
LEAVE_S = 2  # how long answers that are under way may still take at the end


def listen(port: int = 0, host: str = HOST) -> socket.socket:
    """Return a socket that listens on `port` of an IP address of this machine, 0 for a free one.

    Raises OSError if the port is in use, or not for everybody's use, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two programs have one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening


def serve(
    gallery: Gallery,
    load_model: Callable[[], Model],
    listening: socket.socket,
    announce: Callable[[str], None],
    photos: Sequence[Path] = (),
    folders: Sequence[Path] = (),
    training: Path | None = None,
) -> None:
    """Serve the page of `gallery` on a socket from `listen`, until Ctrl-C or SIGTERM.

    `load_model` returns the gallery's model once more, in another process, so it is pickled. The
    page groups the faces without a name on `photos`, looks for photos that are twice in `folders`,
    and shows the training in the folder `training`. `announce` gets the address to open, when it
    can be opened. Raises KeyboardInterrupt at Ctrl-C.
    """
    app = make_app(gallery, load_model, photos, folders, training)
    server, address = server_of(app, listening)
    announce(address)  # who comes early waits in the socket's queue
    server.run(sockets=[listening])


def server_of(app: Starlette, listening: socket.socket) -> tuple[uvicorn.Server, str]:
    """Return what serves the application on that socket alone, and its address with the token."""
    host, port = listening.getsockname()[:2]
    names = names_of(host)
    token = secrets.token_urlsafe(24)
    guarded = Guard(app, names=names, port=port, token=token)
    config = uvicorn.Config(
        guarded,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # addresses hold what was searched for
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=LEAVE_S,
    )
    return uvicorn.Server(config), f"http://{names[0]}:{port}/?token={token}"


def names_of(host: str) -> tuple[str, ...]:
    """Return what a browser may call an IP address: no name that somebody else can give it."""
    if host == HOST:
        return HOST, "localhost"
    return (f"[{host}]",) if ":" in host else (host,)
