"""The grid of all enrolled people, and a page for each person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facesearch.errors import GalleryError, Refused, UnknownPerson
from facesearch.gallery import Decision
from facesearch.names import person_name
from facesearch.serving.desk import Desk
from facesearch.serving.request_parsing import (
    json_body,
    path_number,
    required_numbers,
    required_text,
    window_start,
)
from facesearch.storage.rows import KnownFace
from facesearch.web.rendering import TWICE, WINDOW, Templates, decided

SHOWN_DECISIONS = 30  # on a person's page, the newest first
ALIKE_FROM = 0.001  # nobody would see likeness below this probability
SHOWN_ALIKE = 6  # similar people on a person's page
SIDE_BY_SIDE = 4  # faces of each of them
LATER = (
    "The search for duplicates is still reading the gallery file: "
    "the last bytes are erased from it as soon as the search ends."
)

Result = TypeVar("Result")


class PeoplePages:
    """The grid of people, and the page of a person."""

    def __init__(self, desk: Desk, templates: Templates) -> None:
        self._desk, self._gallery, self._templates = desk, desk.gallery, templates
        self.routes = [
            Route("/people", self.people),
            Route("/people/rows", self.people_rows),
            Route("/people/{person}", self.person),
            Route("/people/{person}/faces", self.person_faces),
            Route("/people/{person}/alike", self.alike),
            Route("/people/{person}/give", self.give, methods=["POST"]),
            Route("/people/{person}/reject", self.reject, methods=["POST"]),
            Route("/people/{person}/not-same", self.not_same, methods=["POST"]),
            Route("/people/{person}/rename", self.rename, methods=["POST"]),
            Route("/people/{person}/merge", self.merge, methods=["POST"]),
            Route("/people/{person}/forget", self.forget, methods=["POST"]),
        ]

    async def people(self, request: Request) -> Response:
        """Return the grid with the first people."""
        return self._templates.html("people.html", **await self._some_people(request))

    async def people_rows(self, request: Request) -> Response:
        """Return the next people of the grid."""
        return self._templates.html("people_rows.html", **await self._some_people(request))

    async def _some_people(self, request: Request) -> dict[str, Any]:
        searched = request.query_params.get("search", "")[:200]
        start = window_start(request)

        def found() -> dict[str, Any]:
            some, n_found = self._gallery.people.find(searched, start, WINDOW)
            more = start + WINDOW if n_found > start + WINDOW else None
            return {"people": some, "n_found": n_found, "more": more}

        return {"searched": searched, **await self._desk.ask(found)}

    async def person(self, request: Request) -> Response:
        """Return the page of a person."""

        def values_of(name: str) -> dict[str, Any]:
            faces = self._gallery.people.faces_of(name)
            history = self._gallery.history.list(name, SHOWN_DECISIONS)
            return {"name": name, "n_faces": len(faces), "history": history, **window(faces, 0)}

        person, values = await self._of_person(request, values_of)
        return self._templates.html("person.html", person=person, **values)

    async def person_faces(self, request: Request) -> Response:
        """Return the next faces of a person."""
        start = window_start(request)
        person, values = await self._of_person(
            request, lambda name: window(self._gallery.people.faces_of(name), start)
        )
        return self._templates.html("person_faces.html", person=person, **values)

    async def alike(self, request: Request) -> Response:
        """Return the people who look most like a person, with some of their faces."""

        def values_of(name: str) -> dict[str, Any]:
            alike = self._gallery.duplicates.look_alikes(name)
            others = []
            for one in [a for a in alike if a.apart or a.probability >= ALIKE_FROM][:SHOWN_ALIKE]:
                faces = [face.id for _, face in self._gallery.people.faces_of(one.person)]
                others.append((one, self._gallery.people.id_of(one.person), faces[:SIDE_BY_SIDE]))
            return {"name": name, "alike": others}

        person, values = await self._of_person(request, values_of)
        return self._templates.html("person_alike.html", person=person, **values)

    async def give(self, request: Request) -> Response:
        """Move some of a person's faces to another person, enrolled or new."""
        body = await json_body(request)
        other, chosen = required_text(body, "name"), required_numbers(body, "faces")
        give, twice = self._gallery.people.give, body.get(TWICE) is True

        def decide(name: str) -> Decision:
            return give(self._faces(chosen), name, other, same_person_twice=twice)

        return await self._decide(request, decide)

    async def reject(self, request: Request) -> Response:
        """Remove some of a person's faces, which are somebody else's."""
        chosen = required_numbers(await json_body(request), "faces")
        reject = self._gallery.faces.reject
        return await self._decide(request, lambda name: reject(self._faces(chosen), name))

    def _faces(self, ids: Sequence[int]) -> list[KnownFace]:
        found = [self._gallery.faces.get(face) for face in ids]
        if None in found:
            raise Refused(f"one {self._desk.subject} is no longer enrolled; nothing was changed")
        return [face for _, face in filter(None, found)]

    async def not_same(self, request: Request) -> Response:
        """Decide that two people are not the same; this is remembered."""
        other = required_text(await json_body(request), "name")
        not_same = self._gallery.people.not_same
        return await self._decide(request, lambda name: not_same(name, other))

    async def rename(self, request: Request) -> Response:
        """Give a person another name."""
        new_name = required_text(await json_body(request), "name")
        return await self._decide(request, lambda name: self._gallery.people.rename(name, new_name))

    async def _decide(self, request: Request, decide: Callable[[str], Decision]) -> Response:
        return decided((await self._of_person(request, decide))[1])

    async def merge(self, request: Request) -> Response:
        """Merge a person into another, whose page the answer names."""
        body = await json_body(request)
        into, twice = required_text(body, "name"), body.get(TWICE) is True

        def decide(name: str) -> tuple[Decision, int]:
            decision = self._gallery.people.merge([name], into, same_person_twice=twice)
            return decision, self._gallery.people.id_of(into)

        _, (decision, target) = await self._of_person(request, decide)
        return decided(decision, go=f"/people/{target}")

    async def forget(self, request: Request) -> Response:
        """Delete every trace of a person; the request must repeat the name."""
        again = required_text(await json_body(request), "name")

        def delete(name: str) -> str:
            if person_name(again) != name:
                raise Refused(f"{again} is not the name of {name}; nothing was deleted")
            self._desk.uploads.clear()  # any of them may show the person
            try:
                gone = self._gallery.forget(name)
            except GalleryError:
                if not self._desk.duplicates.searching or name in self._gallery.people.names():
                    raise
                return LATER
            finally:
                self._desk.notice_forgetting()  # our own, so the watch need not act on it
            return "Deleted: " + ", ".join(f"{n:,} {kind}" for kind, n in gone.items()) + "."

        _, deleted = await self._of_person(request, delete)
        return JSONResponse({"said": f"Forgot {again}. {deleted}", "undo": None})

    async def _of_person(
        self, request: Request, work: Callable[[str], Result]
    ) -> tuple[int, Result]:
        """Return the id of the person in the address, and what `work` returns for the name."""
        person = path_number(request, "person")

        def asked() -> Result:
            name = self._gallery.people.names_of([person]).get(person)
            if name is None:
                raise UnknownPerson("This person is no longer in the gallery.")
            return work(name)

        return person, await self._desk.ask(asked)


@dataclass(frozen=True, slots=True)
class ShownFace:
    """An enrolled face on a person's page."""

    id: int
    photo: str  # file name of its photo
    folder: str  # of the photo, for the user to read; nothing opens it
    is_there: bool


def window(faces: Sequence[tuple[str | None, KnownFace]], start: int) -> dict[str, Any]:
    """Return a window of a person's faces, and where the next window starts."""
    shown = []
    for path, face in faces[start : start + WINDOW]:
        file = Path(path) if path else None
        own = file is not None and file.stem != face.content_hash
        called, folder = (
            (file.name, str(file.parent)) if file and own else ("dropped on this page", "")
        )
        shown.append(ShownFace(face.id, called, folder, file is not None and file.is_file()))
    return {"faces": shown, "more": start + WINDOW if len(faces) > start + WINDOW else None}
