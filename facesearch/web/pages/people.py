"""Everybody who is enrolled, and the page of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facesearch.curation import Decision, person_name
from facesearch.errors import GalleryError, Refused, UnknownPerson
from facesearch.serving.incoming import number_in, numbers_of, start_in, text_of, told
from facesearch.storage.rows import KnownFace
from facesearch.web.desk import WINDOW, Desk, decided

SHOWN_DECISIONS = 30  # on a person's page, from the newest
ALIKE_FROM = 0.001  # below, nobody would see it
SHOWN_ALIKE = 6  # who looks like them
SIDE_BY_SIDE = 4  # faces of each of these
LATER = (
    "The page is looking for what is there twice, which reads the file: "
    "as soon as that ends, the last bytes are erased from it."
)

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
            Route("/people/{person}/alike", self.alike),
            Route("/people/{person}/give", self.give, methods=["POST"]),
            Route("/people/{person}/reject", self.reject, methods=["POST"]),
            Route("/people/{person}/not-same", self.not_same, methods=["POST"]),
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

    async def alike(self, request: Request) -> Response:
        """Return who of the others looks most like a person, with some of their faces."""

        def known(name: str) -> dict[str, Any]:
            alike = self._desk.gallery.look_alikes(name)
            others = []
            for one in [a for a in alike if a.apart or a.probability >= ALIKE_FROM][:SHOWN_ALIKE]:
                faces = [face.id for _, face in self._desk.gallery.faces_of(one.person)]
                others.append((one, self._desk.gallery.person_id(one.person), faces[:SIDE_BY_SIDE]))
            return {"name": name, "alike": others}

        person, values = await self._of_person(request, known)
        return self._desk.html("person_alike.html", person=person, **values)

    async def give(self, request: Request) -> Response:
        """Give some of a person's faces to another one, who is there or new."""
        said = await told(request)
        other, chosen = text_of(said, "name"), numbers_of(said, "faces")
        _, decision = await self._of_person(
            request,
            lambda name: self._desk.gallery.curation.give(self._faces(chosen), name, other),
        )
        return decided(decision)

    async def reject(self, request: Request) -> Response:
        """Say of some of a person's faces that they are not this person, and take them out."""
        chosen = numbers_of(await told(request), "faces")
        _, decision = await self._of_person(
            request,
            lambda name: self._desk.gallery.curation.reject_faces(self._faces(chosen), name),
        )
        return decided(decision)

    def _faces(self, ids: Sequence[int]) -> list[KnownFace]:
        found = [self._desk.gallery.face(face) for face in ids]
        if None in found:
            raise Refused(f"one {self._desk.what} is not enrolled any more; nothing was changed")
        return [face for _, face in filter(None, found)]

    async def not_same(self, request: Request) -> Response:
        """Say that a person and another one are two, for ever."""
        other = text_of(await told(request), "name")
        _, decision = await self._of_person(
            request, lambda name: self._desk.gallery.curation.not_same(name, other)
        )
        return decided(decision)

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

        def delete(name: str) -> str:
            if person_name(again) != name:
                raise Refused(f"{again} is not the name of {name}; nothing was deleted")
            self._desk.uploads.clear()  # any of them may show the person
            try:
                gone = self._desk.gallery.forget(name)
            except GalleryError:
                if not self._desk.duplicates.looking or name in self._desk.gallery.names():
                    raise
                return LATER
            finally:
                self._desk.notice_forgetting()  # of which there is nothing more to notice
            return "Deleted: " + ", ".join(f"{n:,} {kind}" for kind, n in gone.items()) + "."

        _, deleted = await self._of_person(request, delete)
        return JSONResponse({"said": f"Forgot {again}. {deleted}", "undo": None})

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
    folder: str  # where it lies, for the user to read; nothing opens it
    is_there: bool


def window(faces: Sequence[tuple[str | None, KnownFace]], start: int) -> dict[str, Any]:
    """Return some of a person's faces as the page shows them, and where the next begin."""
    shown = []
    for path, face in faces[start : start + WINDOW]:
        file = Path(path) if path else None
        own = file is not None and file.stem != face.content_hash
        called, folder = (file.name, str(file.parent)) if file and own else ("dropped here", "")
        shown.append(ShownFace(face.id, called, folder, file is not None and file.is_file()))
    return {"faces": shown, "more": start + WINDOW if len(faces) > start + WINDOW else None}
