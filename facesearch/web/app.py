"""What the page answers: photos come in, cards and panels of HTML go out, decisions are made.

Every answer is the gallery's: this file asks it, in the one thread that may, and hands what it says
to a template. Photos are decoded elsewhere, see `eyes`; files come and go in `uploads`.
"""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import jinja2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from facesearch.curation import Decision
from facesearch.errors import (
    FaceError,
    FacesearchError,
    PhotoError,
    Refused,
    UnknownPerson,
)
from facesearch.gallery import Gallery
from facesearch.identification import IdentifiedFace
from facesearch.model import Model, subject
from facesearch.photo import MAX_BYTES
from facesearch.web.eyes import Eyes, Looked
from facesearch.web.guard import refusal
from facesearch.web.uploads import Upload, Uploads

FPIR = 0.01  # as `Gallery.identify` has it, and as the page says
IDLE_S = 30.0  # after which an upload that brings nothing is given up
MAX_TOLD_BYTES = 64_000  # of what a script tells in JSON

Result = TypeVar("Result")
log = logging.getLogger(__name__)


def make_app(gallery: Gallery, load_model: Callable[[], Model]) -> Starlette:
    """Return the application; it is to be called by a guard only. See `server.serve`."""
    page = Page(gallery, load_model)
    return Starlette(
        routes=[
            Route("/", page.identify),
            Route("/photos", page.receive, methods=["POST"]),
            Route("/photos/{photo}", page.card),
            Route("/photos/{photo}/picture", page.picture),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        lifespan=page.lifespan,
        exception_handlers={
            HTTPException: on_http_error,
            ClientDisconnect: on_disconnect,
            FacesearchError: on_library_error,
            ValueError: on_value_error,
            Exception: on_bug,
        },
    )


class Page:
    """The answers to all requests of one run."""

    def __init__(self, gallery: Gallery, load_model: Callable[[], Model]) -> None:
        self._gallery = gallery
        self._what = subject(gallery.model.manifest)
        self._uploads = Uploads()
        self._looking = Eyes(load_model)
        # one thread each, so that one waits for its like and for nothing else
        self._gallery_thread = ThreadPoolExecutor(1, "gallery")
        self._looking_thread = ThreadPoolExecutor(1, "looking")
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("facesearch.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["percent"] = percent
        self._templates.filters["said"] = said_of

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=self._looking.start, daemon=True).start()
        try:
            yield
        finally:
            self._looking.close()
            self._looking_thread.shutdown(cancel_futures=True)
            self._gallery_thread.shutdown(cancel_futures=True)
            self._uploads.close()

    # Identify

    async def identify(self, _: Request) -> Response:
        """Return the page on which photos are dropped."""
        info = await self._ask(self._gallery.info)
        return self._html("identify.html", n_people=info["person"], max_bytes=MAX_BYTES)

    async def receive(self, request: Request) -> Response:
        """Take a photo and return its card: who is there."""
        of_type(request, "application/octet-stream")
        name = Path(request.query_params.get("name", "")).name[:200] or "photo"
        with self._uploads.receiving(name) as (upload, file):
            async for chunk in chunks(request, MAX_BYTES):
                file.write(chunk)
        try:
            upload.looked = await self._see(self._looking.look, upload.path, name)
        except PhotoError:
            self._uploads.drop(upload.id)
            raise
        return await self._card(upload, 201)

    async def card(self, request: Request) -> Response:
        """Return the card of a photo as the gallery knows it now."""
        return await self._card(self._upload(request)[0])

    async def picture(self, request: Request) -> Response:
        """Return the upright photo as a JPEG."""
        return Response(self._upload(request)[1].picture, media_type="image/jpeg")

    async def _card(self, upload: Upload, status: int = 200) -> Response:
        looked = upload.looked
        assert looked is not None
        faces = await self._ask(lambda: self._named(looked))
        return self._html("card.html", status, photo=upload, seen=looked.seen, faces=faces)

    def _named(self, looked: Looked) -> list[IdentifiedFace]:
        return self._gallery.identify_faces(looked.seen, fpir=FPIR)

    def _upload(self, request: Request) -> tuple[Upload, Looked]:
        upload = self._uploads.get(request.path_params["photo"])
        if upload is None or upload.looked is None:
            raise HTTPException(404, "This photo is not held any more; drop it again.")
        return upload, upload.looked

    # What all answers share

    async def _ask(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, which asks the gallery, one after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._gallery_thread, work)

    async def _see(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Return what `work` returns, which looks at a photo, one after the other."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._looking_thread, work, *arguments)

    def _html(self, template: str, status: int = 200, **values: object) -> Response:
        text = self._templates.get_template(template).render(what=self._what, **values)
        return HTMLResponse(text, status)


def percent(share: float) -> str:
    """Return a probability for people: never a certainty that it is not."""
    if share > 0.999:
        return "over 99.9 %"
    return "under 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def said_of(face: IdentifiedFace) -> str:
    """Return whose a face is said to be."""
    if face.person is not None:
        return face.person
    return " or ".join(face.alternatives) or "unknown"


def decided(decision: Decision) -> Response:
    """Return what a script is told of a decision."""
    said = decision.summary[:1].upper() + decision.summary[1:] + "."
    if decision.id is None:
        said = f"Already {decision.summary}; nothing was changed."
    return JSONResponse({"said": said, "undo": decision.id})


# What comes in


def of_type(request: Request, content_type: str) -> None:
    """Raise HTTPException unless the request brings that."""
    if request.headers["content-type"].partition(";")[0].strip().lower() != content_type:
        raise HTTPException(415, f"This comes as {content_type}.")


async def chunks(request: Request, most: int) -> AsyncIterator[bytes]:
    """Yield what a request brings; raises HTTPException if that is more than `most` bytes.

    The length that a client promises is believed only if it is too long.
    """
    too_long = HTTPException(413, f"More than {most:,} bytes.", {"Connection": "close"})
    if int(request.headers.get("content-length", 0)) > most:
        raise too_long
    n_bytes = 0
    stream = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), IDLE_S)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise HTTPException(408, "Nothing came.", {"Connection": "close"}) from None
        n_bytes += len(chunk)
        if n_bytes > most:
            raise too_long
        yield chunk


async def told(request: Request) -> dict[str, Any]:
    """Return what a script tells in JSON, an object."""
    of_type(request, "application/json")
    data = b"".join([chunk async for chunk in chunks(request, MAX_TOLD_BYTES)])
    try:
        value = json.loads(data or b"{}")
    except ValueError as error:
        raise HTTPException(400, "This is no JSON.") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "This is no JSON object.")
    return value


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
    for kind, code in ((UnknownPerson, 404), (Refused, 409), (PhotoError, 422), (FaceError, 422)):
        if isinstance(error, kind):
            status = code
    return refusal(request.scope, status, str(error))


async def on_value_error(request: Request, error: Exception) -> Response:
    """Return the sentence of a name that is none."""
    return refusal(request.scope, 400, str(error))


async def on_bug(request: Request, error: Exception) -> Response:
    """Return that something is broken; the server's log has the traceback."""
    return refusal(request.scope, 500, "This is a bug in facesearch; the terminal shows more.")
