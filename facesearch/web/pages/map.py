"""A map of the enrolled faces, on which alike faces lie close together, and likely mistakes."""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facesearch.face_map import EnrolledFaces, Stray, places, strays
from facesearch.serving.desk import Desk
from facesearch.vectors import Floats
from facesearch.web.rendering import Templates

MOST_FACES = 5_000  # on the map; more points would cover each other
SHOWN_STRAYS = 60
GRID = 10_000  # steps along each side of the map; places are whole numbers of them


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A map, and a hash of the faces it was computed from."""

    key: bytes
    at: Floats  # (n, 2)
    strays: list[Stray]


class MapPage:
    """The map, computed again when the gallery has changed."""

    def __init__(self, desk: Desk, templates: Templates) -> None:
        self._desk, self._templates = desk, templates
        self._thread = ThreadPoolExecutor(1, "map")  # so that other answers do not wait for it
        self._drawn: Drawn | None = None  # used in that thread only
        self.routes = [Route("/model/map", self.page), Route("/model/map/points", self.points)]

    async def page(self, _: Request) -> Response:
        """Return the page without its points."""
        return self._templates.html("map.html")

    async def points(self, _: Request) -> Response:
        """Return every face on the map, the names of their people, and the likely mistakes."""
        enrolled, names = await self._desk.ask(self._read)
        loop = asyncio.get_running_loop()
        drawn = await loop.run_in_executor(self._thread, self._draw, enrolled)
        at = (drawn.at * GRID).astype(int)
        return JSONResponse(
            {
                "faces": enrolled.faces.tolist(),
                "people": enrolled.people.tolist(),
                "x": at[:, 0].tolist(),
                "y": at[:, 1].tolist(),
                "grid": GRID,
                "names": {
                    person: names.get(person, "") for person in set(enrolled.people.tolist())
                },
                "what": self._desk.subject,
                "n_faces": enrolled.n_faces,
                "n_people": enrolled.n_people,
                "strays": self._templates.text(
                    "map_strays.html",
                    strays=drawn.strays[:SHOWN_STRAYS],
                    n_strays=len(drawn.strays),
                    names=names,
                ),
            }
        )

    def _read(self) -> tuple[EnrolledFaces, dict[int, str]]:
        enrolled = self._desk.gallery.faces.sample(MOST_FACES)
        return enrolled, self._desk.gallery.people.names_of(set(enrolled.people.tolist()))

    def _draw(self, enrolled: EnrolledFaces) -> Drawn:
        """Return the map of these faces, which is kept until they change."""
        digest = hashlib.sha256()
        for array in (enrolled.faces, enrolled.people, enrolled.rows):
            digest.update(array.tobytes())
        drawn = self._drawn
        if drawn is None or drawn.key != digest.digest():
            found = strays(enrolled, self._desk.gallery.model)
            drawn = Drawn(digest.digest(), places(enrolled.rows), found)
            self._drawn = drawn
        return drawn
