"""An application -> a guarded server on this machine, until Ctrl-C or SIGTERM."""

import secrets
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from facesearch.serving.guard import Guard

HOST = "127.0.0.1"
LEAVE_S = 2  # how long unfinished answers may still take at the end


def listen(port: int = 0, host: str = HOST) -> socket.socket:
    """Return a socket that listens on an IP address of this machine; port 0 means any free one.

    Raises OSError if the port is in use or reserved, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # on Windows two programs could share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening


def serve(app: Starlette, listening: socket.socket, announce: Callable[[str], None]) -> None:
    """Serve `app` on a socket from `listen` until SIGTERM; raises KeyboardInterrupt at Ctrl-C.

    `announce` gets the address to open as soon as it can be opened.
    """
    server, address = server_of(app, listening)
    announce(address)  # requests that come early wait in the socket's queue
    server.run(sockets=[listening])


def server_of(app: Starlette, listening: socket.socket) -> tuple[uvicorn.Server, str]:
    """Return a server of `app` on that socket alone, and its address with the token."""
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
        access_log=False,  # addresses contain searched names
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=LEAVE_S,
    )
    return uvicorn.Server(config), f"http://{names[0]}:{port}/?token={token}"


def names_of(host: str) -> tuple[str, ...]:
    """Return the hosts by which a browser may reach an IP address: no name that others control."""
    if host == HOST:
        return HOST, "localhost"
    return (f"[{host}]",) if ":" in host else (host,)
