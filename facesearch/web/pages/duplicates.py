"""What is there twice: people, faces and photos, a card each, to be decided one after the other."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from facesearch.duplicates.enrolled import PerhapsTwo
from facesearch.duplicates.photos import PhotoGroup
from facesearch.duplicates.trash import Outcome, newest, unfinished
from facesearch.errors import PhotoError
from facesearch.gallery import Decision
from facesearch.serving.duplicates import KINDS, Card
from facesearch.serving.incoming import number_in, numbers_of, side_of, start_in, text_of, told
from facesearch.web.desk import STATIC, Desk, decided

SHOWN_FACES = 12  # of one side of a card
SAID_PATHS = 3  # of what was left alone

Result = TypeVar("Result")


class DuplicatesPage:
    """The stacks of cards."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
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
        """Return the page with one of the stacks, or with how far the looking is."""
        found = self._desk.duplicates
        kinds = [kind for kind in KINDS if kind != "photos" or found.folders]
        waiting = (kind for kind in kinds if found.n_found(kind) > found.n_answered(kind))
        kind = request.query_params.get("of") or next(waiting, KINDS[0])
        if kind not in KINDS:
            raise HTTPException(404)
        return self._desk.html(
            "duplicates.html",
            kind=kind,
            kinds=kinds,
            found=found,
            **(self._trash() if kind == "photos" and found.folders else {}),
        )

    def _trash(self) -> dict[str, Any]:
        place = self._desk.duplicates.trash
        assert place is not None
        return {"cut_short": unfinished(place), "to_undo": newest(place) is not None}

    async def look(self, _: Request) -> Response:
        """Begin to look for what is there twice."""
        self._desk.duplicates.look()
        return JSONResponse({})

    async def progress(self, _: Request) -> Response:
        """Return what is being looked for, and whether that is all."""
        found = self._desk.duplicates
        return JSONResponse({"looking": found.looking, "doing": found.doing})

    async def next(self, request: Request) -> Response:
        """Return the next card of a stack that is to be decided, or that there is none."""
        kind, after = request.path_params["kind"], start_in(request)
        if kind not in KINDS:
            raise HTTPException(404)
        found, gallery = self._desk.duplicates, self._desk.gallery
        sight = await self._desk.ask(lambda: found.next_after(gallery, kind, after))
        if sight is not None:
            return self._shown(sight)
        skipped = await self._desk.ask(lambda: found.next_after(gallery, kind, 0)) is not None
        return self._desk.html("duplicates_end.html", kind=kind, found=found, skipped=skipped)

    async def card(self, request: Request) -> Response:
        """Return a card as it is now."""
        card, found = self._card(request), self._desk.duplicates
        sight = await self._desk.ask(lambda: found.seen(self._desk.gallery, card))
        if sight is None:
            raise HTTPException(404, "There is nothing to decide here any more.")
        return self._shown(sight)

    def _shown(self, sight: Any) -> Response:
        found, what = self._desk.duplicates, sight.card.what
        template = "duplicate_photos.html" if isinstance(what, PhotoGroup) else "duplicate.html"
        values = {"sight": sight, "found": found, "place": found.place(sight.card)}
        return self._desk.html(template, n_shown=SHOWN_FACES, **values)

    async def same(self, request: Request) -> Response:
        """Say that what stands side by side is the same."""
        card, said = self._card(request), await told(request)
        if isinstance(card.what, PhotoGroup):  # of which the copies are moved
            raise HTTPException(404)
        stamp, keep = text_of(said, "stamp"), side_of(said, "keep")
        return await self._decide(
            card, lambda: self._desk.duplicates.same(self._desk.gallery, card, stamp, keep)
        )

    async def not_same(self, request: Request) -> Response:
        """Say that it is not."""
        card, said = self._card(request), await told(request)
        stamp, keep = text_of(said, "stamp"), side_of(said, "keep")
        name = text_of(said, "name") if isinstance(card.what, PerhapsTwo) else ""
        found, gallery = self._desk.duplicates, self._desk.gallery
        return await self._decide(card, lambda: found.not_same(gallery, card, stamp, keep, name))

    async def _decide(self, card: Card, decide: Callable[[], Decision]) -> Response:
        return decided(await self._desk.ask(decide), card=card.id)

    async def move(self, request: Request) -> Response:
        """Move the chosen photos of a card to the trash."""
        card, chosen = self._card(request), numbers_of(await told(request), "photos")
        if not isinstance(card.what, PhotoGroup):
            raise HTTPException(404)
        outcome = await on_files(lambda: self._desk.duplicates.move_away(card, chosen))
        return self._moved(outcome, card=card.id)

    async def move_all(self, _: Request) -> Response:
        """Move the sure duplicates of all cards to the trash."""
        return self._moved(await on_files(self._desk.duplicates.move_all_away))

    async def move_back(self, request: Request) -> Response:
        """Move back what an operation moved, without a number whatever was moved last."""
        number = (await told(request)).get("operation")
        if number is not None and type(number) is not int:
            raise HTTPException(400, "Say the number of an operation.")
        outcome = await on_files(lambda: self._desk.duplicates.move_back(number))
        said = f"Moved {counted(len(outcome.moved))} back to where they were."
        return JSONResponse({"said": said + left_alone(outcome)})

    async def finish(self, _: Request) -> Response:
        """Carry out to the end what was cut short."""
        outcomes = await on_files(self._desk.duplicates.finish_moving)
        said = f"Finished: {counted(sum(len(outcome.moved) for outcome in outcomes))} moved."
        return JSONResponse({"said": said + "".join(map(left_alone, outcomes))})

    def _moved(self, outcome: Outcome, **more: int) -> Response:
        said = f"Moved {counted(len(outcome.moved))} to {outcome.folder}."
        operation = self._desk.duplicates.operation(outcome) if outcome.moved else None
        return JSONResponse({"said": said + left_alone(outcome), "operation": operation, **more})

    async def photo(self, request: Request) -> Response:
        """Return the JPEG of a photo of a card, which is kept nowhere; 1 is the one to keep."""
        card, number = self._card(request), number_in(request, "number")
        if not isinstance(card.what, PhotoGroup) or number > len(card.what.duplicates) + 1:
            raise HTTPException(404)
        file = [card.what.keeper, *(twin.file for twin in card.what.duplicates)][number - 1]
        try:
            jpeg = await self._desk.shrink(file.path, file.content_hash)
        except PhotoError:
            return FileResponse(STATIC / "gone.svg")
        return Response(jpeg, media_type="image/jpeg")

    def _card(self, request: Request) -> Card:
        card = self._desk.duplicates.card(number_in(request, "card"))
        if card is None:
            raise HTTPException(404, "There is no such proposal any more.")
        return card


async def on_files(work: Callable[[], Result]) -> Result:
    """Return what `work` returns, which moves files and may take its time."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


def counted(n_photos: int) -> str:
    """Return so many photos in words."""
    return f"{n_photos:,} photo{'' if n_photos == 1 else 's'}"


def left_alone(outcome: Outcome) -> str:
    """Return what was left alone and why, as more of a sentence; empty if nothing was."""
    if not outcome.left:
        return ""
    some = [f"{path}: {why}" for path, why in outcome.left[:SAID_PATHS]]
    more = len(outcome.left) - len(some)
    return " Left alone: " + "; ".join(some + ([f"and {more:,} more"] if more else [])) + "."
