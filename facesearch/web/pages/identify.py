"""Photos dropped on the page -> the people in them, to be confirmed or corrected."""

from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facesearch.errors import PhotoError
from facesearch.gallery import Decision
from facesearch.gallery.faces import Who
from facesearch.identification import IdentifiedFace
from facesearch.names import new_person_name
from facesearch.photo import MAX_BYTES
from facesearch.serving.decoder import DecodedPhoto
from facesearch.serving.desk import Desk
from facesearch.serving.request_parsing import (
    body_chunks,
    json_body,
    path_number,
    require_type,
    required_text,
)
from facesearch.serving.uploads import Upload
from facesearch.web.rendering import FPIR, TWICE, Templates, decided


class IdentifyPage:
    """The page for dropped photos, and a card for each photo."""

    def __init__(self, desk: Desk, templates: Templates) -> None:
        self._desk, self._gallery, self._templates = desk, desk.gallery, templates
        self.routes = [
            Route("/", self.page),
            Route("/photos", self.receive, methods=["POST"]),
            Route("/photos/{photo}", self.card),
            Route("/photos/{photo}/picture", self.picture),
            Route("/photos/{photo}/faces/{number}", self.panel),
            Route("/photos/{photo}/faces/{number}/picture", self.face),
            Route("/photos/{photo}/faces/{number}/is", self.confirm, methods=["POST"]),
            Route("/photos/{photo}/faces/{number}/is-not", self.reject, methods=["POST"]),
        ]

    async def page(self, _: Request) -> Response:
        """Return the page for dropping photos."""
        n_people = await self._desk.ask(self._gallery.people.count)
        return self._templates.html("identify.html", n_people=n_people, max_bytes=MAX_BYTES)

    async def receive(self, request: Request) -> Response:
        """Store a photo for this run and return its card."""
        require_type(request, "application/octet-stream")
        name = Path(request.query_params.get("name", "")).name[:200] or "photo"
        with self._desk.uploads.receiving(name) as (upload, file):
            async for chunk in body_chunks(request, MAX_BYTES):
                file.write(chunk)
        try:
            upload.decoded = await self._desk.decode(upload.path, name)
        except PhotoError:
            self._desk.uploads.drop(upload.id)
            raise
        return await self._card(upload, 201)

    async def card(self, request: Request) -> Response:
        """Return a photo's card with the names that the gallery gives now."""
        return await self._card(self._upload(request)[0])

    async def picture(self, request: Request) -> Response:
        """Return the upright photo as a JPEG."""
        return Response(self._upload(request)[1].picture, media_type="image/jpeg")

    async def _card(self, upload: Upload, status: int = 200) -> Response:
        decoded = upload.decoded
        assert decoded is not None
        faces = await self._desk.ask(lambda: self._identify(decoded))
        values = {"photo": upload, "seen": decoded.seen, "faces": faces, "fpir": FPIR}
        return self._templates.html("card.html", status, **values)

    def _identify(self, photo: DecodedPhoto) -> list[IdentifiedFace]:
        return self._gallery.identify_faces(photo.seen, fpir=FPIR)

    def _upload(self, request: Request) -> tuple[Upload, DecodedPhoto]:
        upload = self._desk.uploads.get(request.path_params["photo"])
        if upload is None or upload.decoded is None:
            raise HTTPException(404, "This photo is no longer held; drop it again.")
        return upload, upload.decoded

    async def panel(self, request: Request) -> Response:
        """Return the details of a face: all candidates, with buttons to confirm or correct."""
        upload, decoded, number = self._upload_face(request)

        def known() -> dict[str, Any]:
            face = self._identify(decoded)[number - 1]
            people = {c.person for c in face.candidates} | set(filter(None, [face.person]))
            covers = {name: self._gallery.people.cover(name) for name in people}
            return {"face": face, "covers": covers, "n_people": self._gallery.people.count()}

        values = await self._desk.ask(known)
        return self._templates.html("panel.html", photo=upload, number=number, fpir=FPIR, **values)

    async def face(self, request: Request) -> Response:
        """Return a JPEG of a face in a photo of this run."""
        _, decoded, number = self._upload_face(request)
        return Response(decoded.faces[number - 1], media_type="image/jpeg")

    async def confirm(self, request: Request) -> Response:
        """Confirm who a face is and enroll it; `new` allows a name that nobody has yet."""
        upload, decoded, number = self._upload_face(request)
        body = await json_body(request)
        name, new = required_text(body, "name"), body.get("new") is True
        twice = body.get(TWICE) is True
        picture = decoded.seen.picture

        def decide() -> Decision:
            # both raise before the photo is copied
            _ = new_person_name(name) if new else self._gallery.people.id_of(name)
            photo = self._gallery.faces.keep_photo(upload.path, picture)
            face = self._gallery.faces.look_at(photo, number)
            who: Who = "enrolled or new" if new else "enrolled"
            decision = self._gallery.faces.confirm([face], name, who=who, same_person_twice=twice)
            self._gallery.faces.keep_photo(upload.path, picture)
            return decision

        return decided(await self._desk.ask(decide))

    async def reject(self, request: Request) -> Response:
        """Reject a person for a face; the rejection is remembered."""
        upload, _, number = self._upload_face(request)
        name = required_text(await json_body(request), "name")
        faces = self._gallery.faces

        def decide() -> Decision:
            return faces.reject([faces.locate(upload.path, number, name)], name)

        return decided(await self._desk.ask(decide))

    def _upload_face(self, request: Request) -> tuple[Upload, DecodedPhoto, int]:
        upload, decoded = self._upload(request)
        number = path_number(request, "number")
        if number > len(decoded.seen.faces):
            raise HTTPException(404, f"This photo has no {self._desk.subject} {number}.")
        return upload, decoded, number
