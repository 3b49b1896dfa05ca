"""The application: the pages with their addresses, and the answers when something goes wrong.

Each page in `pages` asks the gallery, through the desk, and renders a template with its answer.
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
    NamedTwice,
    PhotoError,
    Refused,
    TrashError,
    UnknownPerson,
)
from facesearch.gallery import Gallery
from facesearch.model import Model
from facesearch.serving.desk import Desk
from facesearch.serving.guard import refusal
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
from facesearch.web.rendering import STATIC, TWICE, Templates


def make_app(
    gallery: Gallery,
    load_model: Callable[[], Model],
    photos: Sequence[Path],
    folders: Sequence[Path] = (),
    training: Path | None = None,
) -> Starlette:
    """Return the application of a gallery, for a server that puts a guard before it.

    The page reviews the faces in `photos`, looks for duplicates of the photos in `folders`, and
    shows the training in the folder `training`. `load_model` loads the gallery's model in another
    process, so it must be picklable.
    """
    desk = Desk(gallery, load_model, photos, folders)
    templates = Templates(desk)
    pages = (
        IdentifyPage(desk, templates),
        PeoplePages(desk, templates),
        GroupsPage(desk, templates),
        ReviewPage(desk, templates),
        DuplicatesPage(desk, templates),
        VerifyPage(desk, templates),
        ModelPage(desk, templates),
        MapPage(desk, templates),
        TrainingPage(templates, training),
        SharedAnswers(desk),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        desk.open()
        watching = asyncio.create_task(desk.watch_forgetting())
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


# Errors


async def on_http_error(request: Request, error: Exception) -> Response:
    """Return the refusal that a page raised, or that no page has this address."""
    assert isinstance(error, HTTPException)
    sentence = error.detail
    if sentence == "Not Found":  # Starlette's own
        sentence = "There is nothing at this address."
    response = refusal(request.scope, error.status_code, sentence)
    response.headers.update(error.headers or {})
    return response


async def on_disconnect(_: Request, error: Exception) -> Response:
    """Return an answer nobody reads: the client left while it was still sending."""
    return Response(status_code=400)


async def on_library_error(request: Request, error: Exception) -> Response:
    """Return the message of a library error, which changed nothing."""
    status = 503
    codes = {UnknownPerson: 404, Refused: 409, TrashError: 409, PhotoError: 422, FaceError: 422}
    for kind, code in codes.items():
        if isinstance(error, kind):
            status = code
    ask = TWICE if isinstance(error, NamedTwice) else None
    return refusal(request.scope, status, str(error), ask)


async def on_value_error(request: Request, error: Exception) -> Response:
    """Return the message about a name that is not valid."""
    return refusal(request.scope, 400, str(error))


async def on_bug(request: Request, error: Exception) -> Response:
    """Return that this is a bug; the traceback is in the server's log."""
    sentence = "This is a bug in facesearch; see the terminal for details."
    return refusal(request.scope, 500, sentence)
