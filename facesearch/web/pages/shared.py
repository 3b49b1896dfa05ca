"""Answers that several pages need: undo, completed names, pictures of enrolled faces."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from facesearch.errors import PhotoError
from facesearch.names import folded
from facesearch.serving.desk import Desk
from facesearch.serving.guard import refusal
from facesearch.serving.request_parsing import json_body, path_number
from facesearch.web.rendering import STATIC, decided

PROPOSED_NAMES = 12
SEVERAL = "several"  # key of a request: an undo may be about several people


class SharedAnswers:
    """Answers that belong to no page alone."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/undo", self.undo, methods=["POST"]),
            Route("/names", self.names),
            Route("/faces/{face}/picture", self.face),
            Route("/favicon.ico", favicon),  # which browsers ask for on plain pages
        ]

    async def undo(self, request: Request) -> Response:
        """Undo the decision with that number.

        Where `several` is false, one that is about several people is refused with the question.
        """
        body = await json_body(request)
        number = body.get("number")
        if type(number) is not int or not 0 < number < 2**62:
            raise HTTPException(400, "The number of a decision is missing.")
        history = self._desk.gallery.history
        if body.get(SEVERAL) is False:
            n_people = await self._desk.ask(lambda: history.people_of(number))
            if n_people > 1:
                question = f"This undo is about {n_people:,} people, not only one. Undo it?"
                return refusal(request.scope, 409, question, SEVERAL)
        decision = await self._desk.ask(lambda: history.undo(number))
        self._desk.review.reopen(number)
        self._desk.duplicates.reopen(number)
        return decided(decision)

    async def names(self, request: Request) -> Response:
        """Return names that contain the typed text, those that begin with it first."""
        typed = folded(request.query_params.get("typed", ""))
        every = await self._desk.ask(self._desk.gallery.people.names)
        found = [(folded(name).find(typed) > 0, name) for name in every if typed in folded(name)]
        return JSONResponse([name for _, name in sorted(found)[:PROPOSED_NAMES]])

    async def face(self, request: Request) -> Response:
        """Return the thumbnail of an enrolled face, or the drawing of a missing photo."""
        face_id = path_number(request, "face")
        found = await self._desk.ask(lambda: self._desk.gallery.faces.get(face_id))
        if found is None:
            raise HTTPException(404, f"This {self._desk.subject} is no longer enrolled.")
        path, face = found
        jpeg = self._desk.thumbnails.get(face)
        if jpeg is None:
            try:
                jpeg = await self._desk.crop(path, face)
            except PhotoError:
                return FileResponse(STATIC / "gone.svg")
            self._desk.thumbnails.keep(face, jpeg)
            if await self._desk.ask(lambda: self._desk.gallery.faces.get(face_id)) is None:
                self._desk.thumbnails.drop(face)  # the person was forgotten in the meantime
        return Response(jpeg, media_type="image/jpeg")


async def favicon(_: Request) -> Response:
    """Return the icon of the page."""
    return FileResponse(STATIC / "icon.svg")
