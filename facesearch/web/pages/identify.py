"""Photos come in; who is on them goes out, and what people say of it comes back."""

from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facesearch.errors import PhotoError
from facesearch.gallery import Decision, person_name
from facesearch.gallery.faces import Who
from facesearch.identification import IdentifiedFace
from facesearch.photo import MAX_BYTES
from facesearch.serving.decoder import Looked
from facesearch.serving.incoming import chunks, number_in, of_type, text_of, told
from facesearch.serving.uploads import Upload
from facesearch.web.desk import FPIR, Desk, decided


class IdentifyPage:
    """Photos that are dropped on the page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.routes = [
            Route("/", self.page),
            Route("/photos", self.receive, methods=["POST"]),
            Route("/photos/{photo}", self.card),
            Route("/photos/{photo}/picture", self.picture),
            Route("/photos/{photo}/faces/{number}", self.panel),
            Route("/photos/{photo}/faces/{number}/picture", self.face),
            Route("/photos/{photo}/faces/{number}/is", self.say_who, methods=["POST"]),
            Route("/photos/{photo}/faces/{number}/is-not", self.say_who_not, methods=["POST"]),
        ]

    async def page(self, _: Request) -> Response:
        """Return the page on which photos are dropped."""
        n_people = await self._desk.ask(self._desk.gallery.people.count)
        return self._desk.html("identify.html", n_people=n_people, max_bytes=MAX_BYTES)

    async def receive(self, request: Request) -> Response:
        """Take a photo and return its card: who is there."""
        of_type(request, "application/octet-stream")
        name = Path(request.query_params.get("name", "")).name[:200] or "photo"
        with self._desk.uploads.receiving(name) as (upload, file):
            async for chunk in chunks(request, MAX_BYTES):
                file.write(chunk)
        try:
            upload.looked = await self._desk.see(self._desk.looking.look, upload.path, name)
        except PhotoError:
            self._desk.uploads.drop(upload.id)
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
        faces = await self._desk.ask(lambda: self._named(looked))
        return self._desk.html("card.html", status, photo=upload, seen=looked.seen, faces=faces)

    def _named(self, looked: Looked) -> list[IdentifiedFace]:
        return self._desk.gallery.identify_faces(looked.seen, fpir=FPIR)

    def _upload(self, request: Request) -> tuple[Upload, Looked]:
        upload = self._desk.uploads.get(request.path_params["photo"])
        if upload is None or upload.looked is None:
            raise HTTPException(404, "This photo is not held any more; drop it again.")
        return upload, upload.looked

    async def panel(self, request: Request) -> Response:
        """Return all that is known of whose a face is, with the ways to say it."""
        upload, looked, number = self._upload_face(request)

        def known() -> dict[str, Any]:
            face = self._named(looked)[number - 1]
            people = list(dict.fromkeys(candidate.person for candidate in face.candidates))
            covers = {
                name: self._desk.gallery.people.cover(name)
                for name in [*people, *filter(None, [face.person])]
            }
            return {"face": face, "covers": covers, "n_people": self._desk.gallery.people.count()}

        values = await self._desk.ask(known)
        return self._desk.html("panel.html", photo=upload, number=number, fpir=FPIR, **values)

    async def face(self, request: Request) -> Response:
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
                self._desk.gallery.people.id_of(name)  # nobody of that name: copy nothing
            person_name(name)
            photo = self._desk.gallery.faces.keep_photo(upload.path, content_hash)
            face = self._desk.gallery.faces.look_at(photo, number)
            who: Who = "enrolled or new" if new else "enrolled"
            decision = self._desk.gallery.faces.confirm([face], name, who=who)
            self._desk.gallery.faces.keep_photo(upload.path, content_hash)
            return decision

        return decided(await self._desk.ask(decide))

    async def say_who_not(self, request: Request) -> Response:
        """Say that a face is not a person's, for ever."""
        upload, _, number = self._upload_face(request)
        name = text_of(await told(request), "name")
        faces = self._desk.gallery.faces

        def decide() -> Decision:
            return faces.reject([faces.locate(upload.path, number, name)], name)

        return decided(await self._desk.ask(decide))

    def _upload_face(self, request: Request) -> tuple[Upload, Looked, int]:
        upload, looked = self._upload(request)
        number = number_in(request, "number")
        if number > len(looked.seen.faces):
            raise HTTPException(404, f"This photo has no such {self._desk.what}.")
        return upload, looked, number
