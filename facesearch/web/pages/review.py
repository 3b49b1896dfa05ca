"""What no human decided about on the photos that the command line named, one after the other."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from facesearch.errors import PhotoError
from facesearch.gallery import Decision, Gallery
from facesearch.review.queue import Waiting
from facesearch.serving.incoming import number_in, start_in, text_of, told
from facesearch.web.desk import STATIC, Desk, decided

WINDOW_OF_ITEMS = 6  # that come at once
ASKED_AT_ONCE = 1000  # at most, all of which may be decided: 0.2 s
SHOWN_FACES = 12  # of a group
CROP_PX = 640  # side of the picture that one decides by


@dataclass(frozen=True, slots=True)
class ShownItem:
    """Who waits, as the page shows it."""

    number: int  # in the queue, from 1
    waiting: Waiting
    faces: Sequence[int]  # the numbers of those who still wait, from 1
    photo: str  # what that of the first face is called
    covers: dict[str, int | None]  # name -> face that stands for a person who is proposed


class ReviewPage:
    """Faces and groups that wait for a decision, what tells most first."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/review", self.page),
            Route("/review/items", self.items),
            Route("/review/{item}", self.item),
            Route("/review/{item}/faces/{number}/picture", self.face),
            Route("/review/{item}/is", self.say_who, methods=["POST"]),
            Route("/review/{item}/is-not", self.say_who_not, methods=["POST"]),
            Route("/review/{item}/stranger", self.say_stranger, methods=["POST"]),
            Route("/review/{item}/no-face", self.say_no_face, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Return the page with those who come first, or how far they are looked for."""
        groups = self._desk.groups
        return self._desk.html(
            "review.html",
            is_found=groups.found is not None,
            n_photos=len(groups.photos),
            n_looked=groups.n_looked,
            **await self._some_items(0),
        )

    async def items(self, request: Request) -> Response:
        """Return the next who wait, to be held ready by the page."""
        return self._desk.html("review_items.html", **await self._some_items(start_in(request)))

    async def _some_items(self, start: int) -> dict[str, Any]:
        """Return a window of the queue from the place `start`, as the gallery knows it now."""
        n_items = len(self._desk.groups.queue)

        def shown() -> dict[str, Any]:
            items: list[ShownItem] = []
            place = min(start, n_items)
            while place < min(start + ASKED_AT_ONCE, n_items) and len(items) < WINDOW_OF_ITEMS:
                item = self._shown(place)
                items += [item] if item is not None else []
                place += 1
            more = place if place < n_items else None
            return {"items": items, "more": more, "n_left": n_items - place}

        return {"n_shown": SHOWN_FACES, **await self._desk.ask(shown)}

    def _shown(self, place: int) -> ShownItem | None:
        """Return who waits at that place, None if nobody does any more; asks the gallery."""
        every = self._desk.groups.queue[place]
        waiting = self._desk.gallery.review.still_waiting(every)
        if waiting is None:
            return None
        number_of = {face: number for number, face in enumerate(every.faces, 1)}
        return ShownItem(
            place + 1,
            waiting,
            [number_of[face] for face in waiting.faces],
            Path(waiting.faces[0].photo).name,
            {p.person: self._desk.gallery.people.cover(p.person) for p in waiting.proposals},
        )

    async def item(self, request: Request) -> Response:
        """Return who waits, as the gallery knows it now; that nobody does is a 404."""
        place = self._place(request)
        item = await self._desk.ask(lambda: self._shown(place))
        if item is None:
            raise HTTPException(404, "That was decided meanwhile.")
        return self._desk.html("review_item.html", item=item, n_shown=SHOWN_FACES)

    def _place(self, request: Request) -> int:
        place = number_in(request, "item") - 1
        if place >= len(self._desk.groups.queue):
            raise HTTPException(404, f"No such {self._desk.what} waits.")
        return place

    async def face(self, request: Request) -> Response:
        """Return a large JPEG of a face, which is kept nowhere."""
        faces = self._desk.groups.queue[self._place(request)].faces
        number = number_in(request, "number")
        if number > len(faces):
            raise HTTPException(404, f"No such {self._desk.what} waits.")
        face = faces[number - 1]
        try:
            jpeg = await self._desk.cut(face.photo, face, CROP_PX)
        except PhotoError:
            return FileResponse(STATIC / "gone.svg")
        return Response(jpeg, media_type="image/jpeg")

    async def say_who(self, request: Request) -> Response:
        """Say who it is, and enroll it; with `known` that is somebody who is enrolled."""
        said = await told(request)
        name, known = text_of(said, "name"), said.get("known") is True
        return await self._decide(
            request, lambda gallery, it: gallery.review.name_waiting(it, name, known=known)
        )

    async def say_who_not(self, request: Request) -> Response:
        """Say who it is not, for ever."""
        name = text_of(await told(request), "name")
        return await self._decide(
            request, lambda gallery, it: gallery.review.reject(it.faces, name)
        )

    async def say_stranger(self, request: Request) -> Response:
        """Say that nobody needs to know who it is."""
        await told(request)
        return await self._decide(
            request, lambda gallery, it: gallery.review.dismiss(it.faces, "stranger")
        )

    async def say_no_face(self, request: Request) -> Response:
        """Say that it is no face at all."""
        await told(request)
        return await self._decide(
            request, lambda gallery, it: gallery.review.dismiss(it.faces, "no face")
        )

    async def _decide(
        self, request: Request, decide: Callable[[Gallery, Waiting], Decision]
    ) -> Response:
        groups = self._desk.groups
        work = groups.answering(self._place(request), decide)
        return decided(await asyncio.get_running_loop().run_in_executor(groups.thread, work))
