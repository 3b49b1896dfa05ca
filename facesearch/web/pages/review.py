"""The undecided faces in the photos named on the command line, one question after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facesearch.gallery import Decision, Gallery
from facesearch.review.queue import Waiting
from facesearch.serving.desk import Desk
from facesearch.serving.request_parsing import json_body, path_number, required_text, window_start
from facesearch.web.rendering import Templates, decided, jpeg_or_gone

WINDOW_OF_ITEMS = 6  # items sent at once
CHECKED_AT_ONCE = 1000  # items checked for one window, if all are decided already: 0.2 s
SHOWN_FACES = 12  # of a group
CROP_PX = 640  # side of the face to decide about


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An entry of the queue, as the page shows it."""

    number: int  # in the queue, from 1
    waiting: Waiting
    faces: Sequence[int]  # numbers of the undecided faces, from 1
    photo: str  # file name of the first face's photo
    covers: dict[str, int | None]  # name of a proposed person -> id of a face to show


class ReviewPage:
    """Faces and groups to decide about, in the review's order."""

    def __init__(self, desk: Desk, templates: Templates) -> None:
        self._desk, self._templates = desk, templates
        self.routes = [
            Route("/review", self.page),
            Route("/review/items", self.items),
            Route("/review/{item}", self.item),
            Route("/review/{item}/faces/{number}/picture", self.face),
            Route("/review/{item}/is", self.confirm, methods=["POST"]),
            Route("/review/{item}/is-not", self.reject, methods=["POST"]),
            Route("/review/{item}/stranger", self.dismiss_stranger, methods=["POST"]),
            Route("/review/{item}/no-face", self.dismiss_no_face, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Return the page with the first items, or how many photos were read so far."""
        review = self._desk.review
        return self._templates.html(
            "review.html",
            is_found=review.unnamed is not None,
            n_photos=len(review.photos),
            n_read=review.n_read,
            **await self._some_items(0),
        )

    async def items(self, request: Request) -> Response:
        """Return the next items, which the page holds ready."""
        return self._templates.html(
            "review_items.html", **await self._some_items(window_start(request))
        )

    async def _some_items(self, start: int) -> dict[str, Any]:
        """Return a window of the queue from place `start`, as the gallery holds it now."""
        n_items = len(self._desk.review.queue)

        def shown() -> dict[str, Any]:
            items: list[ShownItem] = []
            place = min(start, n_items)
            while place < min(start + CHECKED_AT_ONCE, n_items) and len(items) < WINDOW_OF_ITEMS:
                item = self._shown(place)
                items += [item] if item is not None else []
                place += 1
            more = place if place < n_items else None
            return {"items": items, "more": more, "n_left": n_items - place}

        return {"n_shown": SHOWN_FACES, **await self._desk.ask(shown)}

    def _shown(self, place: int) -> ShownItem | None:
        """Return the item at that place, None if it is decided; call it within `Desk.ask`."""
        every = self._desk.review.queue[place]
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
        """Return an item as the gallery holds it now; 404 if it is decided."""
        place = self._place(request)
        item = await self._desk.ask(lambda: self._shown(place))
        if item is None:
            raise HTTPException(404, "This was decided in the meantime.")
        return self._templates.html("review_item.html", item=item, n_shown=SHOWN_FACES)

    def _place(self, request: Request) -> int:
        place = path_number(request, "item") - 1
        if place >= len(self._desk.review.queue):
            raise HTTPException(404, f"No such {self._desk.subject} is waiting.")
        return place

    async def face(self, request: Request) -> Response:
        """Return a large JPEG of a face, which is not cached."""
        faces = self._desk.review.queue[self._place(request)].faces
        number = path_number(request, "number")
        if number > len(faces):
            raise HTTPException(404, f"No such {self._desk.subject} is waiting.")
        face = faces[number - 1]
        return await jpeg_or_gone(self._desk.crop(face.photo, face, CROP_PX))

    async def confirm(self, request: Request) -> Response:
        """Confirm who it is and enroll it; `known` allows only the name of an enrolled person."""
        body = await json_body(request)
        name, known = required_text(body, "name"), body.get("known") is True
        return await self._decide(
            request, lambda gallery, it: gallery.review.name_waiting(it, name, known=known)
        )

    async def reject(self, request: Request) -> Response:
        """Reject a proposed person; the rejection is remembered."""
        name = required_text(await json_body(request), "name")
        return await self._decide(
            request, lambda gallery, it: gallery.review.reject(it.faces, name)
        )

    async def dismiss_stranger(self, request: Request) -> Response:
        """Dismiss it as a stranger."""
        await json_body(request)
        return await self._decide(
            request, lambda gallery, it: gallery.review.dismiss(it.faces, "stranger")
        )

    async def dismiss_no_face(self, request: Request) -> Response:
        """Dismiss it as not a face."""
        await json_body(request)
        return await self._decide(
            request, lambda gallery, it: gallery.review.dismiss(it.faces, "no face")
        )

    async def _decide(
        self, request: Request, decide: Callable[[Gallery, Waiting], Decision]
    ) -> Response:
        return decided(await self._desk.review.decide(self._place(request), decide))
