"""The application: which page answers at which address, and what is said when something goes wrong.

Every answer is the gallery's: the pages, in `pages`, ask it and hand what it says to a template.
What they share is in `desk`; photos are decoded elsewhere, see `eyes`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from facesearch.errors import (
    FaceError,
    FacesearchError,
    PhotoError,
    Refused,
    TrashError,
    UnknownPerson,
)
from facesearch.gallery import Gallery
from facesearch.model import Model
from facesearch.serving.guard import refusal
from facesearch.web.desk import STATIC, Desk
from facesearch.web.pages.duplicates import DuplicatesPage
from facesearch.web.pages.groups import GroupsPage
from facesearch.web.pages.identify import IdentifyPage
from facesearch.web.pages.map import MapPage
from facesearch.web.pages.model import ModelPage
from facesearch.web.pages.people import PeoplePages
from facesearch.web.pages.review import ReviewPage
from facesearch.web.pages.shared import SharedAnswers
from facesearch.web.pages.training import TrainingPage
from facesearch.web.pages.verify import VerifyPage


def make_app(
    gallery: Gallery,
    load_model: Callable[[], Model],
    photos: Sequence[Path],
    folders: Sequence[Path] = (),
    training: Path | None = None,
) -> Starlette:
    """Return the application; it is to be called by a guard only. See `server.serve`."""
    desk = Desk(gallery, load_model, photos, folders)
    pages = (
        IdentifyPage(desk),
        PeoplePages(desk),
        GroupsPage(desk),
        ReviewPage(desk),
        DuplicatesPage(desk),
        VerifyPage(desk),
        ModelPage(desk),
        MapPage(desk),
        TrainingPage(desk, training),
        SharedAnswers(desk),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        desk.open()
        watching = asyncio.create_task(desk.watch())
        try:
            yield
        finally:
            watching.cancel()
            desk.close()

    return Starlette(
        routes=[
            *(route for page in pages for route in page.routes),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        lifespan=lifespan,
        exception_handlers={
            HTTPException: on_http_error,
            ClientDisconnect: on_disconnect,
            FacesearchError: on_library_error,
            ValueError: on_value_error,
            Exception: on_bug,
        },
    )


# What goes wrong


async def on_http_error(request: Request, error: Exception) -> Response:
    """Return the refusal that a handler asked for, or that there is nothing at an address."""
    assert isinstance(error, HTTPException)
    sentence = error.detail if error.status_code != 404 else found_nothing(error)
    response = refusal(request.scope, error.status_code, sentence)
    response.headers.update(error.headers or {})
    return response


def found_nothing(error: HTTPException) -> str:
    """Return the sentence for what is not there."""
    return "There is nothing at this address." if error.detail == "Not Found" else error.detail


async def on_disconnect(_: Request, error: Exception) -> Response:
    """Return what nobody reads: the client left while it was still sending."""
    return Response(status_code=400)


async def on_library_error(request: Request, error: Exception) -> Response:
    """Return the sentence that the library said; nothing was changed."""
    status = 503
    codes = {UnknownPerson: 404, Refused: 409, TrashError: 409, PhotoError: 422, FaceError: 422}
    for kind, code in codes.items():
        if isinstance(error, kind):
            status = code
    return refusal(request.scope, status, str(error))


async def on_value_error(request: Request, error: Exception) -> Response:
    """Return the sentence of a name that is none."""
    return refusal(request.scope, 400, str(error))


async def on_bug(request: Request, error: Exception) -> Response:
    """Return that something is broken; the server's log has the traceback."""
    return refusal(request.scope, 500, "This is a bug in facesearch; the terminal shows more.")
