"""The faces without a name in the photos named on the command line, a group per person."""

from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facesearch.serving.desk import Desk
from facesearch.serving.request_parsing import json_body, path_number, required_text, window_start
from facesearch.web.rendering import Templates, decided, jpeg_or_gone

WINDOW_OF_GROUPS = 20
SHOWN_FACES = 12  # of a group
NO_GROUP = "This group has a name already, or does not exist."


class GroupsPage:
    """Groups to be named."""

    def __init__(self, desk: Desk, templates: Templates) -> None:
        self._desk, self._templates = desk, templates
        self.routes = [
            Route("/groups", self.page),
            Route("/groups/rows", self.rows),
            Route("/groups/progress", self.progress),
            Route("/groups/{group}/name", self.name_group, methods=["POST"]),
            Route("/groups/{group}/faces/{number}/picture", self.face),
        ]

    async def page(self, request: Request) -> Response:
        """Return the page of all groups, or of how many photos were read so far."""
        return self._templates.html("groups.html", **self._some_groups(request))

    async def rows(self, request: Request) -> Response:
        """Return the next groups of the page."""
        return self._templates.html("group_rows.html", **self._some_groups(request))

    def _some_groups(self, request: Request) -> dict[str, Any]:
        review = self._desk.review
        start, every = window_start(request), review.groups()
        # counted among all groups: naming some must not move the others past a window's end
        end = start + WINDOW_OF_GROUPS
        return {
            "unnamed": review.unnamed,
            "unreadable": [Path(p).name for p, _ in review.unnamed.unreadable]
            if review.unnamed
            else [],
            "n_photos": len(review.photos),
            "n_read": review.n_read,
            "groups": [group for group in every[start:end] if review.is_open(group)],
            "n_shown": SHOWN_FACES,
            "more": end if len(every) > end else None,
        }

    async def progress(self, _: Request) -> Response:
        """Return how many photos were read, and whether the groups are found."""
        review = self._desk.review
        return JSONResponse({"looked": review.n_read, "found": review.unnamed is not None})

    async def name_group(self, request: Request) -> Response:
        """Enroll a group under a name, as one decision."""
        group_id = path_number(request, "group")
        name = required_text(await json_body(request), "name")
        group = next((g for g in self._desk.review.groups() if g.id == group_id), None)
        if group is None or not self._desk.review.is_open(group):
            raise HTTPException(404, NO_GROUP)
        decision, n_left_out = await self._desk.review.name(group, name)
        return decided(decision, left_out=n_left_out)

    async def face(self, request: Request) -> Response:
        """Return a JPEG of a face of a group, which is not cached."""
        group, number = path_number(request, "group"), path_number(request, "number")
        face = self._desk.review.face(group, number)
        if face is None:
            raise HTTPException(404, NO_GROUP)
        return await jpeg_or_gone(self._desk.crop(face.photo, face))
