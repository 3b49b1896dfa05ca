"""The faces without a name on the photos that the command line named, in groups."""

import asyncio
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from facesearch.errors import PhotoError
from facesearch.serving.incoming import number_in, start_in, text_of, told
from facesearch.web.desk import STATIC, Desk, decided

WINDOW_OF_GROUPS = 20
SHOWN_FACES = 12  # of a group


class GroupsPage:
    """Groups that wait for a name."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/groups", self.page),
            Route("/groups/rows", self.rows),
            Route("/groups/progress", self.progress),
            Route("/groups/{group}/name", self.name_group, methods=["POST"]),
            Route("/groups/{group}/faces/{number}/picture", self.face),
        ]

    async def page(self, request: Request) -> Response:
        """Return the page of the faces without a name, or of how far they are looked for."""
        return self._desk.html("groups.html", **self._some_groups(request))

    async def rows(self, request: Request) -> Response:
        """Return the next groups, to be added to the page."""
        return self._desk.html("group_rows.html", **self._some_groups(request))

    def _some_groups(self, request: Request) -> dict[str, Any]:
        found = self._desk.groups.found
        start, every = start_in(request), self._desk.groups.unnamed()
        more = start + WINDOW_OF_GROUPS if len(every) > start + WINDOW_OF_GROUPS else None
        return {
            "found": found,
            "unreadable": [Path(photo).name for photo, _ in found.unreadable] if found else [],
            "n_photos": len(self._desk.groups.photos),
            "n_looked": self._desk.groups.n_looked,
            "groups": every[start : start + WINDOW_OF_GROUPS],
            "n_shown": SHOWN_FACES,
            "more": more,
        }

    async def progress(self, _: Request) -> Response:
        """Return how many photos were looked at, and whether that is all."""
        found = self._desk.groups.found is not None
        return JSONResponse({"looked": self._desk.groups.n_looked, "found": found})

    async def name_group(self, request: Request) -> Response:
        """Enroll a group under one name, as one decision."""
        group_id = number_in(request, "group")
        name = text_of(await told(request), "name")
        group = next((g for g in self._desk.groups.unnamed() if g.id == group_id), None)
        if group is None:
            raise HTTPException(404, "There is no such group without a name.")
        work = self._desk.groups.naming(group, name)
        loop = asyncio.get_running_loop()
        decision, n_left_out = await loop.run_in_executor(self._desk.groups.thread, work)
        return decided(decision, left_out=n_left_out)

    async def face(self, request: Request) -> Response:
        """Return the JPEG of a face of a group, which is kept nowhere."""
        face = self._desk.groups.face(number_in(request, "group"), number_in(request, "number"))
        if face is None:
            raise HTTPException(404, "There is no such group without a name.")
        try:
            jpeg = await self._desk.cut(face.photo, face)
        except PhotoError:
            return FileResponse(STATIC / "gone.svg")
        return Response(jpeg, media_type="image/jpeg")
