"""The gallery as a page on this machine, until somebody ends it."""

import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from facesearch.gallery import Gallery
from facesearch.model import Model
from facesearch.web.app import make_app
from facesearch.web.guard import Guard

HOST = "127.0.0.1"
LEAVE_S = 2  # how long answers that are under way may still take at the end


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on `port` of this machine, 0 for a free one.

    Raises OSError if the port is in use, or not for everybody's use.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two programs have one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
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
) -> None:
    """Serve the page of `gallery` on a socket from `listen`, until Ctrl-C or SIGTERM.

    `load_model` returns the gallery's model once more, in another process, so it is pickled. The
    page groups the faces without a name on `photos`, and looks for photos that are twice in
    `folders`. `announce` gets the address to open, when it
    can be opened. Raises KeyboardInterrupt at Ctrl-C.
    """
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(24)
    guarded = Guard(make_app(gallery, load_model, photos, folders), port=port, token=token)
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
    announce(f"http://{HOST}:{port}/?token={token}")  # who comes early waits in the socket's queue
    uvicorn.Server(config).run(sockets=[listening])
