"""Duplicates of people, faces and photos, a card each, to be decided one after the other."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facesearch.duplicates.enrolled import PerhapsTwo
from facesearch.duplicates.photos import PhotoGroup
from facesearch.duplicates.trash import Outcome, newest, unfinished
from facesearch.gallery import Decision
from facesearch.serving.desk import Desk
from facesearch.serving.duplicate_cards import Card, CardView
from facesearch.serving.duplicates import KINDS
from facesearch.serving.request_parsing import (
    json_body,
    path_number,
    required_numbers,
    required_text,
    side_number,
    window_start,
)
from facesearch.web.rendering import Templates, counted, decided, jpeg_or_gone

SHOWN_FACES = 12  # of one side of a card
MAX_LISTED = 3  # name this many files that were not moved, then "and 7 more"

Result = TypeVar("Result")


class DuplicatesPage:
    """The stacks of cards, one stack for each kind of duplicate."""

    def __init__(self, desk: Desk, templates: Templates) -> None:
        self._desk, self._templates = desk, templates
        self._found = desk.duplicates
        self.routes = [
            Route("/duplicates", self.page),
            Route("/duplicates/look", self.look, methods=["POST"]),
            Route("/duplicates/progress", self.progress),
            Route("/duplicates/cards/{card}", self.card),
            Route("/duplicates/cards/{card}/same", self.same, methods=["POST"]),
            Route("/duplicates/cards/{card}/not-same", self.not_same, methods=["POST"]),
            Route("/duplicates/cards/{card}/move", self.move, methods=["POST"]),
            Route("/duplicates/cards/{card}/photos/{number}/picture", self.photo),
            Route("/duplicates/trash/move-all", self.move_all, methods=["POST"]),
            Route("/duplicates/trash/move-back", self.move_back, methods=["POST"]),
            Route("/duplicates/trash/finish", self.finish, methods=["POST"]),
            Route("/duplicates/{kind}/next", self.next),
        ]

    async def page(self, request: Request) -> Response:
        """Return the page with one of the stacks, or with the progress of the search."""
        found = self._found
        kinds = [kind for kind in KINDS if kind != "photos" or found.folders]
        undecided = (kind for kind in kinds if found.n_open(kind))
        kind = request.query_params.get("of") or next(undecided, KINDS[0])
        if kind not in KINDS:
            raise HTTPException(404)
        return self._templates.html(
            "duplicates.html",
            kind=kind,
            kinds=kinds,
            found=found,
            **(self._trash() if kind == "photos" and found.folders else {}),
        )

    def _trash(self) -> dict[str, Any]:
        place = self._found.trash
        assert place is not None
        return {"interrupted": unfinished(place), "to_undo": newest(place) is not None}

    async def look(self, _: Request) -> Response:
        """Start a search for duplicates."""
        self._found.search()
        return JSONResponse({})

    async def progress(self, _: Request) -> Response:
        """Return whether a search is running, and what it is doing."""
        found = self._found
        return JSONResponse({"looking": found.searching, "doing": found.progress})

    async def next(self, request: Request) -> Response:
        """Return the next undecided card of a stack, or the end of the stack."""
        kind, after = request.path_params["kind"], window_start(request)
        if kind not in KINDS:
            raise HTTPException(404)
        found, gallery = self._found, self._desk.gallery
        view = await self._desk.ask(lambda: found.next_after(gallery, kind, after))
        if view is not None:
            return self._shown(view)
        skipped = await self._desk.ask(lambda: found.next_after(gallery, kind, 0)) is not None
        return self._templates.html("duplicates_end.html", kind=kind, found=found, skipped=skipped)

    async def card(self, request: Request) -> Response:
        """Return a card as it is now."""
        card = self._card(request)
        view = await self._desk.ask(lambda: self._found.view(self._desk.gallery, card))
        if view is None:
            raise HTTPException(404, "There is nothing left to decide here.")
        return self._shown(view)

    def _shown(self, view: CardView) -> Response:
        is_photos = isinstance(view.card.proposal, PhotoGroup)
        return self._templates.html(
            "duplicate_photos.html" if is_photos else "duplicate.html",
            view=view,
            found=self._found,
            place=self._found.place(view.card),
            n_shown=SHOWN_FACES,
        )

    async def same(self, request: Request) -> Response:
        """Decide that both sides are the same."""
        card, body = self._card(request), await json_body(request)
        if isinstance(card.proposal, PhotoGroup):  # copies of photos are moved instead
            raise HTTPException(404)
        stamp, keep = required_text(body, "stamp"), side_number(body, "keep")
        found, gallery = self._found, self._desk.gallery
        return await self._decide(card, lambda: found.same(gallery, card, stamp, keep))

    async def not_same(self, request: Request) -> Response:
        """Decide that the sides are not the same."""
        card, body = self._card(request), await json_body(request)
        stamp, keep = required_text(body, "stamp"), side_number(body, "keep")
        name = required_text(body, "name") if isinstance(card.proposal, PerhapsTwo) else ""
        found, gallery = self._found, self._desk.gallery
        return await self._decide(card, lambda: found.not_same(gallery, card, stamp, keep, name))

    async def _decide(self, card: Card, decide: Callable[[], Decision]) -> Response:
        return decided(await self._desk.ask(decide), card=card.id)

    async def move(self, request: Request) -> Response:
        """Move the selected photos of a card to the trash."""
        card, chosen = self._card(request), required_numbers(await json_body(request), "photos")
        if not isinstance(card.proposal, PhotoGroup):
            raise HTTPException(404)
        outcome = await on_files(lambda: self._found.move_to_trash(card, chosen))
        return self._moved(outcome, card=card.id)

    async def move_all(self, _: Request) -> Response:
        """Move the sure duplicates of all cards to the trash."""
        return self._moved(await on_files(self._found.move_all_to_trash))

    async def move_back(self, request: Request) -> Response:
        """Move back what an operation moved, the newest one if the request gives no number."""
        number = (await json_body(request)).get("operation")
        if number is not None and type(number) is not int:
            raise HTTPException(400, "The number of an operation is missing.")
        outcome = await on_files(lambda: self._found.move_back(number))
        said = f"Moved {counted(len(outcome.moved), 'photo')} back."
        return JSONResponse({"said": said + not_moved(outcome)})

    async def finish(self, _: Request) -> Response:
        """Finish the interrupted moves."""
        outcomes = await on_files(self._found.finish_interrupted)
        n_moved = sum(len(outcome.moved) for outcome in outcomes)
        said = f"Finished: {counted(n_moved, 'photo')} moved."
        return JSONResponse({"said": said + "".join(map(not_moved, outcomes))})

    def _moved(self, outcome: Outcome, **more: int) -> Response:
        said = f"Moved {counted(len(outcome.moved), 'photo')} to {outcome.folder}."
        operation = self._found.operation(outcome) if outcome.moved else None
        return JSONResponse({"said": said + not_moved(outcome), "operation": operation, **more})

    async def photo(self, request: Request) -> Response:
        """Return a JPEG of a photo of a card, which is not cached; number 1 is the one to keep."""
        card, number = self._card(request), path_number(request, "number")
        if not isinstance(card.proposal, PhotoGroup) or number > len(card.proposal.duplicates) + 1:
            raise HTTPException(404)
        file = [card.proposal.keeper, *(twin.file for twin in card.proposal.duplicates)][number - 1]
        return await jpeg_or_gone(self._desk.shrink(file.path, file.content_hash))

    def _card(self, request: Request) -> Card:
        card = self._found.card(path_number(request, "card"))
        if card is None:
            raise HTTPException(404, "This proposal no longer exists.")
        return card


async def on_files(work: Callable[[], Result]) -> Result:
    """Run `work`, which moves files and may take long, in a thread; return its result."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


def not_moved(outcome: Outcome) -> str:
    """Return which files were not moved and why, as another sentence; empty if all were moved."""
    if not outcome.left:
        return ""
    some = [f"{path}: {why}" for path, why in outcome.left[:MAX_LISTED]]
    more = len(outcome.left) - len(some)
    return " Not moved: " + "; ".join(some + ([f"and {more:,} more"] if more else [])) + "."
