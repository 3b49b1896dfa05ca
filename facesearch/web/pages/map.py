"""Where the enrolled faces lie for the model, to find those that lie wrong."""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facesearch.face_map import EnrolledFaces, Stray, places, strays
from facesearch.vectors import Floats
from facesearch.web.desk import Desk

MOST_FACES = 5_000  # on the map
SHOWN_STRAYS = 60
GRID = 10_000  # steps along each side of the map, in which places are told


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A map, and what it is of."""

    key: bytes
    at: Floats  # (n, 2)
    strays: list[Stray]


class MapPage:
    """The map, worked out anew when the gallery has changed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._thread = ThreadPoolExecutor(1, "map")  # so that other answers need not wait for it
        self._drawn: Drawn | None = None  # used in that thread only
        self.routes = [Route("/model/map", self.page), Route("/model/map/points", self.points)]

    async def page(self, _: Request) -> Response:
        """Return the page, onto which the points come."""
        return self._desk.html("map.html")

    async def points(self, _: Request) -> Response:
        """Return every face on the map, who is who, and the strays."""
        enrolled, names = await self._desk.ask(self._enrolled)
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
                "what": self._desk.what,
                "n_faces": enrolled.n_faces,
                "n_people": enrolled.n_people,
                "strays": self._desk.text(
                    "map_strays.html",
                    strays=drawn.strays[:SHOWN_STRAYS],
                    n_strays=len(drawn.strays),
                    names=names,
                ),
            }
        )

    def _enrolled(self) -> tuple[EnrolledFaces, dict[int, str]]:
        enrolled = self._desk.gallery.faces.sample(MOST_FACES)
        return enrolled, self._desk.gallery.people.names_of(set(enrolled.people.tolist()))

    def _draw(self, enrolled: EnrolledFaces) -> Drawn:
        """Return the map of these faces, the last one if they are the same."""
        digest = hashlib.sha256()
        for array in (enrolled.faces, enrolled.people, enrolled.rows):
            digest.update(array.tobytes())
        drawn = self._drawn
        if drawn is None or drawn.key != digest.digest():
            found = strays(enrolled, self._desk.gallery.model)
            drawn = Drawn(digest.digest(), places(enrolled.rows), found)
            self._drawn = drawn
        return drawn
