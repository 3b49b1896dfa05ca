"""Everybody who is enrolled, and the page of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facesearch.curation import Decision, person_name
from facesearch.errors import Refused, UnknownPerson
from facesearch.storage.store import KnownFace
from facesearch.web.desk import WINDOW, Desk, decided
from facesearch.web.incoming import number_in, start_in, text_of, told

SHOWN_DECISIONS = 30  # on a person's page, from the newest

Result = TypeVar("Result")


class PeoplePages:
    """The grid of people, and a person."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/people", self.people),
            Route("/people/rows", self.people_rows),
            Route("/people/{person}", self.person),
            Route("/people/{person}/faces", self.person_faces),
            Route("/people/{person}/rename", self.rename, methods=["POST"]),
            Route("/people/{person}/merge", self.merge, methods=["POST"]),
            Route("/people/{person}/forget", self.forget, methods=["POST"]),
        ]

    async def people(self, request: Request) -> Response:
        """Return the page of everybody, of whom the first are on it."""
        return self._desk.html("people.html", **await self._some_people(request))

    async def people_rows(self, request: Request) -> Response:
        """Return the next people, to be added to the page."""
        return self._desk.html("people_rows.html", **await self._some_people(request))

    async def _some_people(self, request: Request) -> dict[str, Any]:
        searched = request.query_params.get("search", "")[:200]
        start = start_in(request)

        def found() -> dict[str, Any]:
            some, n_found = self._desk.gallery.find_people(searched, start, WINDOW)
            more = start + WINDOW if n_found > start + WINDOW else None
            return {"people": some, "n_found": n_found, "more": more}

        return {"searched": searched, **await self._desk.ask(found)}

    async def person(self, request: Request) -> Response:
        """Return the page of a person."""

        def known(name: str) -> dict[str, Any]:
            faces = self._desk.gallery.faces_of(name)
            history = self._desk.gallery.curation.history(name, SHOWN_DECISIONS)
            return {"name": name, "n_faces": len(faces), "history": history, **window(faces, 0)}

        person, values = await self._of_person(request, known)
        return self._desk.html("person.html", person=person, **values)

    async def person_faces(self, request: Request) -> Response:
        """Return a person's next faces, to be added to the page."""
        start = start_in(request)
        person, values = await self._of_person(
            request, lambda name: window(self._desk.gallery.faces_of(name), start)
        )
        return self._desk.html("person_faces.html", person=person, **values)

    async def rename(self, request: Request) -> Response:
        """Give a person another name."""
        new_name = text_of(await told(request), "name")
        _, decision = await self._of_person(
            request, lambda name: self._desk.gallery.rename(name, new_name)
        )
        return decided(decision)

    async def merge(self, request: Request) -> Response:
        """Make a person one with another; the answer says where that one is."""
        into = text_of(await told(request), "name")

        def decide(name: str) -> tuple[Decision, int]:
            decision = self._desk.gallery.curation.merge([name], into)
            return decision, self._desk.gallery.person_id(into)

        _, (decision, target) = await self._of_person(request, decide)
        return decided(decision, go=f"/people/{target}")

    async def forget(self, request: Request) -> Response:
        """Delete every trace of a person, whose name has to be told once more."""
        again = text_of(await told(request), "name")

        def delete(name: str) -> dict[str, int]:
            if person_name(again) != name:
                raise Refused(f"{again} is not the name of {name}; nothing was deleted")
            self._desk.uploads.clear()  # any of them may show the person
            try:
                return self._desk.gallery.forget(name)
            finally:
                self._desk.notice_forgetting()  # of which there is nothing more to notice

        _, gone = await self._of_person(request, delete)
        deleted = ", ".join(f"{number:,} {kind}" for kind, number in gone.items())
        return JSONResponse({"said": f"Forgot {again}. Deleted: {deleted}.", "undo": None})

    async def _of_person(
        self, request: Request, work: Callable[[str], Result]
    ) -> tuple[int, Result]:
        """Return the id of the person in the address, and what `work` returns for the name."""
        person = number_in(request, "person")

        def asked() -> Result:
            name = self._desk.gallery.name_of(person)
            if name is None:
                raise UnknownPerson("This person is not in the gallery any more.")
            return work(name)

        return person, await self._desk.ask(asked)


@dataclass(frozen=True, slots=True)
class ShownFace:
    """An enrolled face on a person's page."""

    id: int
    photo: str  # what its photo is called
    is_there: bool


def window(faces: Sequence[tuple[str | None, KnownFace]], start: int) -> dict[str, Any]:
    """Return some of a person's faces as the page shows them, and where the next begin."""
    shown = []
    for path, face in faces[start : start + WINDOW]:
        file = Path(path) if path else None
        called = file.name if file and file.stem != face.content_hash else "dropped here"
        shown.append(ShownFace(face.id, called, file is not None and file.is_file()))
    return {"faces": shown, "more": start + WINDOW if len(faces) > start + WINDOW else None}
