"""What the page answers: photos come in, cards and panels of HTML go out, decisions are made.

Every answer is the gallery's: this file asks it, in the one thread that may, and hands what it says
to a template. Photos are decoded elsewhere, see `eyes`; files come and go in `uploads`.
"""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jinja2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from facesearch.curation import Decision, folded, person_name
from facesearch.dedupe.unnamed import UnnamedFace
from facesearch.errors import (
    FaceError,
    FacesearchError,
    PhotoError,
    Refused,
    UnknownPerson,
)
from facesearch.gallery import Gallery
from facesearch.identification import IdentifiedFace
from facesearch.model import Model, subject
from facesearch.photo import MAX_BYTES
from facesearch.storage.store import KnownFace
from facesearch.web.eyes import Eyes, Looked
from facesearch.web.groups import Groups
from facesearch.web.guard import refusal
from facesearch.web.thumbnails import Thumbnails
from facesearch.web.uploads import Upload, Uploads

FPIR = 0.01  # as `Gallery.identify` has it, and as the page says
IDLE_S = 30.0  # after which an upload that brings nothing is given up
MAX_TOLD_BYTES = 64_000  # of what a script tells in JSON
PROPOSED_NAMES = 12
WINDOW = 60  # people or faces that come at once
WINDOW_OF_GROUPS = 20
SHOWN_FACES = 12  # of a group
SHOWN_DECISIONS = 30  # on a person's page, from the newest
STATIC = Path(__file__).parent / "static"

Result = TypeVar("Result")
log = logging.getLogger(__name__)


def make_app(
    gallery: Gallery, load_model: Callable[[], Model], photos: Sequence[Path]
) -> Starlette:
    """Return the application; it is to be called by a guard only. See `server.serve`."""
    page = Page(gallery, load_model, photos)
    return Starlette(
        routes=[
            Route("/", page.identify),
            Route("/photos", page.receive, methods=["POST"]),
            Route("/photos/{photo}", page.card),
            Route("/photos/{photo}/picture", page.picture),
            Route("/photos/{photo}/faces/{number}", page.panel),
            Route("/photos/{photo}/faces/{number}/picture", page.upload_face),
            Route("/photos/{photo}/faces/{number}/is", page.say_who, methods=["POST"]),
            Route("/photos/{photo}/faces/{number}/is-not", page.say_who_not, methods=["POST"]),
            Route("/people", page.people),
            Route("/people/rows", page.people_rows),
            Route("/people/{person}", page.person),
            Route("/people/{person}/faces", page.person_faces),
            Route("/people/{person}/rename", page.rename, methods=["POST"]),
            Route("/people/{person}/merge", page.merge, methods=["POST"]),
            Route("/people/{person}/forget", page.forget, methods=["POST"]),
            Route("/groups", page.groups),
            Route("/groups/rows", page.group_rows),
            Route("/groups/progress", page.progress),
            Route("/groups/{group}/name", page.name_group, methods=["POST"]),
            Route("/groups/{group}/faces/{number}/picture", page.group_face),
            Route("/undo", page.undo, methods=["POST"]),
            Route("/names", page.names),
            Route("/faces/{face}/picture", page.face),
            Route("/favicon.ico", favicon),  # which browsers ask for on plain pages
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        lifespan=page.lifespan,
        exception_handlers={
            HTTPException: on_http_error,
            ClientDisconnect: on_disconnect,
            FacesearchError: on_library_error,
            ValueError: on_value_error,
            Exception: on_bug,
        },
    )


class Page:
    """The answers to all requests of one run."""

    def __init__(
        self, gallery: Gallery, load_model: Callable[[], Model], photos: Sequence[Path]
    ) -> None:
        self._gallery = gallery
        self._what = subject(gallery.model.manifest)
        self._uploads = Uploads()
        self._groups = Groups(gallery, photos)
        self._thumbnails = Thumbnails(gallery.index_folder)
        self._looking = Eyes(load_model)
        self._cutting = Eyes()
        # one thread each, so that one waits for its like and for nothing else
        self._gallery_thread = ThreadPoolExecutor(1, "gallery")
        self._looking_thread = ThreadPoolExecutor(1, "looking")
        self._cutting_thread = ThreadPoolExecutor(1, "cutting")
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("facesearch.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["has_groups"] = bool(photos)
        self._templates.filters["percent"] = percent
        self._templates.filters["said"] = said_of

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=self._start_eyes, daemon=True).start()
        if self._groups.photos:
            self._groups.start()
        try:
            yield
        finally:
            self._groups.close()
            threads = (self._looking_thread, self._cutting_thread, self._gallery_thread)
            for thread in threads:
                thread.shutdown(wait=False, cancel_futures=True)
            self._looking.close()
            self._cutting.close()
            for thread in threads:
                thread.shutdown()
            self._uploads.close()

    def _start_eyes(self) -> None:
        self._looking.start()
        self._cutting.start()

    # Identify

    async def identify(self, _: Request) -> Response:
        """Return the page on which photos are dropped."""
        info = await self._ask(self._gallery.info)
        return self._html("identify.html", n_people=info["person"], max_bytes=MAX_BYTES)

    async def receive(self, request: Request) -> Response:
        """Take a photo and return its card: who is there."""
        of_type(request, "application/octet-stream")
        name = Path(request.query_params.get("name", "")).name[:200] or "photo"
        with self._uploads.receiving(name) as (upload, file):
            async for chunk in chunks(request, MAX_BYTES):
                file.write(chunk)
        try:
            upload.looked = await self._see(self._looking.look, upload.path, name)
        except PhotoError:
            self._uploads.drop(upload.id)
            raise
        return await self._card(upload, 201)

    async def card(self, request: Request) -> Response:
        """Return the card of a photo as the gallery knows it now."""
        return await self._card(self._upload(request)[0])

    async def picture(self, request: Request) -> Response:
        """Return the upright photo as a JPEG."""
        return Response(self._upload(request)[1].picture, media_type="image/jpeg")

    async def _card(self, upload: Upload, status: int = 200) -> Response:
        looked = upload.looked
        assert looked is not None
        faces = await self._ask(lambda: self._named(looked))
        return self._html("card.html", status, photo=upload, seen=looked.seen, faces=faces)

    def _named(self, looked: Looked) -> list[IdentifiedFace]:
        return self._gallery.identify_faces(looked.seen, fpir=FPIR)

    def _upload(self, request: Request) -> tuple[Upload, Looked]:
        upload = self._uploads.get(request.path_params["photo"])
        if upload is None or upload.looked is None:
            raise HTTPException(404, "This photo is not held any more; drop it again.")
        return upload, upload.looked

    async def panel(self, request: Request) -> Response:
        """Return all that is known of whose a face is, with the ways to say it."""
        upload, looked, number = self._upload_face(request)

        def known() -> dict[str, Any]:
            face = self._named(looked)[number - 1]
            people = list(dict.fromkeys(candidate.person for candidate in face.candidates))
            covers = {name: self._cover(name) for name in [*people, *filter(None, [face.person])]}
            return {"face": face, "covers": covers, "n_people": len(self._gallery.names())}

        values = await self._ask(known)
        return self._html("panel.html", photo=upload, number=number, fpir=FPIR, **values)

    def _cover(self, name: str) -> int | None:
        """Return the id of the face that stands for a person."""
        faces = self._gallery.faces_of(name)
        return faces[0][1].id if faces else None

    async def upload_face(self, request: Request) -> Response:
        """Return the JPEG of a face on a photo of this run."""
        _, looked, number = self._upload_face(request)
        return Response(looked.faces[number - 1], media_type="image/jpeg")

    async def say_who(self, request: Request) -> Response:
        """Say that a face is a person's, and enroll it; with `new` of somebody not there yet."""
        upload, looked, number = self._upload_face(request)
        said = await told(request)
        name, new = text_of(said, "name"), said.get("new") is True
        content_hash = looked.seen.content_hash

        def decide() -> Decision:
            if not new:
                self._gallery.faces_of(name)  # nobody of that name: nothing need be copied
            person_name(name)
            photo = self._gallery.keep_photo(upload.path, content_hash)
            decision = self._gallery.curation.confirm(photo, name, number, new=new)
            self._gallery.keep_photo(upload.path, content_hash)
            return decision

        return decided(await self._ask(decide))

    async def say_who_not(self, request: Request) -> Response:
        """Say that a face is not a person's, for ever."""
        upload, _, number = self._upload_face(request)
        name = text_of(await told(request), "name")
        curation = self._gallery.curation
        return decided(await self._ask(lambda: curation.reject(upload.path, name, number)))

    def _upload_face(self, request: Request) -> tuple[Upload, Looked, int]:
        upload, looked = self._upload(request)
        number = number_in(request, "number")
        if number > len(looked.seen.faces):
            raise HTTPException(404, f"This photo has no such {self._what}.")
        return upload, looked, number

    # People

    async def people(self, request: Request) -> Response:
        """Return the page of everybody, of whom the first are on it."""
        return self._html("people.html", **await self._some_people(request))

    async def people_rows(self, request: Request) -> Response:
        """Return the next people, to be added to the page."""
        return self._html("people_rows.html", **await self._some_people(request))

    async def _some_people(self, request: Request) -> dict[str, Any]:
        searched = request.query_params.get("search", "")[:200]
        start = start_in(request)

        def found() -> dict[str, Any]:
            every = [p for p in self._gallery.people() if folded(searched) in folded(p.name)]
            some = every[start : start + WINDOW]
            covers = {person.id: self._cover(person.name) for person in some}
            more = start + WINDOW if len(every) > start + WINDOW else None
            return {"people": some, "covers": covers, "n_found": len(every), "more": more}

        return {"searched": searched, **await self._ask(found)}

    async def person(self, request: Request) -> Response:
        """Return the page of a person."""

        def known(name: str) -> dict[str, Any]:
            faces = self._gallery.faces_of(name)
            history = self._gallery.curation.history(name, SHOWN_DECISIONS)
            return {"name": name, "n_faces": len(faces), "history": history, **window(faces, 0)}

        person, values = await self._of_person(request, known)
        return self._html("person.html", person=person, **values)

    async def person_faces(self, request: Request) -> Response:
        """Return a person's next faces, to be added to the page."""
        start = start_in(request)
        person, values = await self._of_person(
            request, lambda name: window(self._gallery.faces_of(name), start)
        )
        return self._html("person_faces.html", person=person, **values)

    async def rename(self, request: Request) -> Response:
        """Give a person another name."""
        new_name = text_of(await told(request), "name")
        _, decision = await self._of_person(
            request, lambda name: self._gallery.rename(name, new_name)
        )
        return decided(decision)

    async def merge(self, request: Request) -> Response:
        """Make a person one with another; the answer says where that one is."""
        into = text_of(await told(request), "name")

        def decide(name: str) -> tuple[Decision, int]:
            decision = self._gallery.curation.merge([name], into)
            return decision, self._gallery.person_id(into)

        _, (decision, target) = await self._of_person(request, decide)
        return decided(decision, go=f"/people/{target}")

    async def forget(self, request: Request) -> Response:
        """Delete every trace of a person, whose name has to be told once more."""
        again = text_of(await told(request), "name")

        def delete(name: str) -> dict[str, int]:
            if person_name(again) != name:
                raise Refused(f"{again} is not the name of {name}; nothing was deleted")
            self._uploads.clear()  # any of them may show the person
            return self._gallery.forget(name)

        _, gone = await self._of_person(request, delete)
        deleted = ", ".join(f"{number:,} {kind}" for kind, number in gone.items())
        return JSONResponse({"said": f"Forgot {again}. Deleted: {deleted}.", "undo": None})

    async def _of_person(
        self, request: Request, work: Callable[[str], Result]
    ) -> tuple[int, Result]:
        """Return the id of the person in the address, and what `work` returns for the name."""
        person = number_in(request, "person")

        def asked() -> Result:
            name = self._gallery.name_of(person)
            if name is None:
                raise UnknownPerson("This person is not in the gallery any more.")
            return work(name)

        return person, await self._ask(asked)

    # Groups

    async def groups(self, request: Request) -> Response:
        """Return the page of the faces without a name, or of how far they are looked for."""
        return self._html("groups.html", **self._some_groups(request))

    async def group_rows(self, request: Request) -> Response:
        """Return the next groups, to be added to the page."""
        return self._html("group_rows.html", **self._some_groups(request))

    def _some_groups(self, request: Request) -> dict[str, Any]:
        start, every = start_in(request), self._groups.unnamed()
        more = start + WINDOW_OF_GROUPS if len(every) > start + WINDOW_OF_GROUPS else None
        return {
            "found": self._groups.found,
            "n_photos": len(self._groups.photos),
            "n_looked": self._groups.n_looked,
            "groups": every[start : start + WINDOW_OF_GROUPS],
            "n_shown": SHOWN_FACES,
            "more": more,
        }

    async def progress(self, _: Request) -> Response:
        """Return how many photos were looked at, and whether that is all."""
        found = self._groups.found is not None
        return JSONResponse({"looked": self._groups.n_looked, "found": found})

    async def name_group(self, request: Request) -> Response:
        """Enroll a group under one name, as one decision."""
        group_id = number_in(request, "group")
        name = text_of(await told(request), "name")
        group = next((g for g in self._groups.unnamed() if g.id == group_id), None)
        if group is None:
            raise HTTPException(404, "There is no such group without a name.")
        work = self._groups.naming(group, name)
        loop = asyncio.get_running_loop()
        decision, n_left_out = await loop.run_in_executor(self._groups.thread, work)
        return decided(decision, left_out=n_left_out)

    async def group_face(self, request: Request) -> Response:
        """Return the JPEG of a face of a group, which is kept nowhere."""
        face = self._groups.face(number_in(request, "group"), number_in(request, "number"))
        if face is None:
            raise HTTPException(404, "There is no such group without a name.")
        try:
            jpeg = await self._cut(face.photo, face)
        except PhotoError:
            return FileResponse(STATIC / "gone.svg")
        return Response(jpeg, media_type="image/jpeg")

    # What is decided and who is enrolled

    async def undo(self, request: Request) -> Response:
        """Undo the decision with that number."""
        number = (await told(request)).get("number")
        if type(number) is not int or not 0 < number < 2**62:
            raise HTTPException(400, "Say the number of a decision.")
        decision = await self._ask(lambda: self._gallery.curation.undo(number))
        self._groups.undone(number)
        return decided(decision)

    async def names(self, request: Request) -> Response:
        """Return the names that what was typed may become, those that begin with it first."""
        typed = folded(request.query_params.get("typed", ""))
        every = await self._ask(self._gallery.names)
        found = [(folded(name).find(typed) > 0, name) for name in every if typed in folded(name)]
        return JSONResponse([name for _, name in sorted(found)[:PROPOSED_NAMES]])

    async def face(self, request: Request) -> Response:
        """Return the thumbnail of an enrolled face, or that its photo is gone."""
        face_id = number_in(request, "face")
        found = await self._ask(lambda: self._gallery.face(face_id))
        if found is None:
            raise HTTPException(404, f"This {self._what} is not enrolled any more.")
        path, face = found
        jpeg = self._thumbnails.get(face)
        if jpeg is None:
            try:
                jpeg = await self._cut(path, face)
            except PhotoError:
                return FileResponse(STATIC / "gone.svg")
            self._thumbnails.keep(face, jpeg)
            if await self._ask(lambda: self._gallery.face(face_id)) is None:
                self._thumbnails.drop(face)  # they were forgotten while it was made
        return Response(jpeg, media_type="image/jpeg")

    async def _cut(self, path: str | None, face: KnownFace | UnnamedFace) -> bytes:
        if path is None:
            raise PhotoError("nobody knows where the photo is")
        loop, cut_out = asyncio.get_running_loop(), self._cutting.cut_out
        arguments = (path, face.content_hash, face.box)
        return await loop.run_in_executor(self._cutting_thread, cut_out, *arguments)

    # What all answers share

    async def _ask(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, which asks the gallery, one after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._gallery_thread, work)

    async def _see(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Return what `work` returns, which looks at a photo, one after the other."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._looking_thread, work, *arguments)

    def _html(self, template: str, status: int = 200, **values: object) -> Response:
        text = self._templates.get_template(template).render(what=self._what, **values)
        return HTMLResponse(text, status)


async def favicon(_: Request) -> Response:
    """Return the icon of the page."""
    return FileResponse(STATIC / "icon.svg")


def percent(share: float) -> str:
    """Return a probability for people: never a certainty that it is not."""
    if share > 0.999:
        return "over 99.9 %"
    return "under 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def said_of(face: IdentifiedFace) -> str:
    """Return whose a face is said to be."""
    if face.person is not None:
        return face.person
    return " or ".join(face.alternatives) or "unknown"


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


def decided(decision: Decision, **more: str | int) -> Response:
    """Return what a script is told of a decision."""
    said = decision.summary[:1].upper() + decision.summary[1:] + "."
    if decision.id is None:
        said = f"Already {decision.summary}; nothing was changed."
    return JSONResponse({"said": said, "undo": decision.id, **more})


# What comes in


def of_type(request: Request, content_type: str) -> None:
    """Raise HTTPException unless the request brings that."""
    if request.headers["content-type"].partition(";")[0].strip().lower() != content_type:
        raise HTTPException(415, f"This comes as {content_type}.")


async def chunks(request: Request, most: int) -> AsyncIterator[bytes]:
    """Yield what a request brings; raises HTTPException if that is more than `most` bytes.

    The length that a client promises is believed only if it is too long.
    """
    too_long = HTTPException(413, f"More than {most:,} bytes.", {"Connection": "close"})
    if int(request.headers.get("content-length", 0)) > most:
        raise too_long
    n_bytes = 0
    stream = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), IDLE_S)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise HTTPException(408, "Nothing came.", {"Connection": "close"}) from None
        n_bytes += len(chunk)
        if n_bytes > most:
            raise too_long
        yield chunk


def number_in(request: Request, name: str) -> int:
    """Return the number that stands in an address; raises HTTPException if there is none."""
    digits = request.path_params[name]
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19 and int(digits) > 0):
        raise HTTPException(404)
    return int(digits)


def start_in(request: Request) -> int:
    """Return where a window of a list begins, 0 if the request does not say."""
    digits = request.query_params.get("start", "0")
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else 0


def text_of(said: dict[str, Any], key: str) -> str:
    """Return a text that a script told; raises HTTPException if there is none."""
    value = said.get(key)
    if not isinstance(value, str) or not value.strip():
        raise HTTPException(400, f"The {key} is missing.")
    return value


async def told(request: Request) -> dict[str, Any]:
    """Return what a script tells in JSON, an object."""
    of_type(request, "application/json")
    data = b"".join([chunk async for chunk in chunks(request, MAX_TOLD_BYTES)])
    try:
        value = json.loads(data or b"{}")
    except ValueError as error:
        raise HTTPException(400, "This is no JSON.") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "This is no JSON object.")
    return value


# What goes wrong


async def on_http_error(request: Request, error: Exception) -> Response:
    """Return the refusal that a handler asked for, or that there is nothing at an address."""
    assert isinstance(error, HTTPException)
    sentence = error.detail if error.status_code != 404 else found_nothing(error)
    response = refusal(request.scope, error.status_code, sentence)
    response.headers.update(error.headers or {})
    return response


def found_nothing(error: HTTPException) -> str:
    """Return the sentence for what is not there."""
    return "There is nothing at this address." if error.detail == "Not Found" else error.detail


async def on_disconnect(_: Request, error: Exception) -> Response:
    """Return what nobody reads: the client left while it was still sending."""
    return Response(status_code=400)


async def on_library_error(request: Request, error: Exception) -> Response:
    """Return the sentence that the library said; nothing was changed."""
    status = 503
    for kind, code in ((UnknownPerson, 404), (Refused, 409), (PhotoError, 422), (FaceError, 422)):
        if isinstance(error, kind):
            status = code
    return refusal(request.scope, status, str(error))


async def on_value_error(request: Request, error: Exception) -> Response:
    """Return the sentence of a name that is none."""
    return refusal(request.scope, 400, str(error))


async def on_bug(request: Request, error: Exception) -> Response:
    """Return that something is broken; the server's log has the traceback."""
    return refusal(request.scope, 500, "This is a bug in facesearch; the terminal shows more.")
