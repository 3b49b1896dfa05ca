"""What all pages share: the gallery and the thread that asks it, photos, pictures, templates."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import jinja2
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, JSONResponse, Response

from facesearch.duplicates.photos import why_kept
from facesearch.errors import GalleryError, PhotoError
from facesearch.gallery import Decision, Gallery
from facesearch.identification import IdentifiedFace
from facesearch.manifest import subject
from facesearch.model import Model
from facesearch.review.groups import UnnamedFace
from facesearch.serving.decoder import FACE_PX, Eyes
from facesearch.serving.duplicates import Duplicates
from facesearch.serving.review import Groups
from facesearch.serving.thumbnails import Thumbnails
from facesearch.serving.uploads import Uploads
from facesearch.storage.rows import KnownFace
from facesearch.web.diagrams import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH

FPIR = 0.01  # as `Gallery.identify` has it, and as the page says
NOTICE_S = 3.0  # until it is noticed that another program forgot somebody
WINDOW = 60  # people or faces that come at once
STATIC = Path(__file__).parent / "static"

Result = TypeVar("Result")


class Desk:
    """The gallery, and all that the pages of one run have in common."""

    def __init__(
        self,
        gallery: Gallery,
        load_model: Callable[[], Model],
        photos: Sequence[Path],
        folders: Sequence[Path],
    ) -> None:
        self.gallery = gallery  # to be asked by `ask` only
        self.what = subject(gallery.model.manifest)  # face, character ...
        self.uploads = Uploads()
        self.groups = Groups(gallery, photos)
        self.duplicates = Duplicates(gallery, folders)
        self.thumbnails = Thumbnails(gallery.upkeep.index_folder)
        self.looking = Eyes(load_model)
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
        self._templates.globals["diagram_area"] = {
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": WIDTH - RIGHT,
            "top": TOP,
            "bottom": HEIGHT - BOTTOM,
        }
        self._templates.filters["percent"] = percent
        self._templates.filters["said"] = said_of
        self._templates.filters["why_kept"] = why_kept
        self._templates.filters["path"] = breakable
        self._newest_forgetting = gallery.history.newest_forgetting()

    def open(self) -> None:
        """Start what works beside the answers."""
        threading.Thread(target=self._start_eyes, daemon=True).start()
        if self.groups.photos:
            self.groups.start()

    def _start_eyes(self) -> None:
        self.looking.start()
        self._cutting.start()

    def close(self) -> None:
        """End all work, and delete the uploads."""
        self.groups.close()
        self.duplicates.close()
        threads = (self._looking_thread, self._cutting_thread, self._gallery_thread)
        for thread in threads:
            thread.shutdown(wait=False, cancel_futures=True)
        self.looking.close()
        self._cutting.close()
        for thread in threads:
            thread.shutdown()
        self.uploads.close()

    async def watch(self) -> None:
        """Look every few seconds whether another program forgot somebody, for ever."""
        while True:
            await asyncio.sleep(NOTICE_S)
            with suppress(GalleryError):  # the next answer will say what is wrong
                await self.ask(self.notice_forgetting)

    def notice_forgetting(self) -> None:
        """Delete the uploads if somebody was forgotten: any may show them. Asks the gallery."""
        newest = self.gallery.history.newest_forgetting()
        if newest != self._newest_forgetting:
            self.uploads.clear()
            self._newest_forgetting = newest

    async def ask(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, which asks the gallery, one after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._gallery_thread, work)

    async def see(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Return what `work` returns, which looks at a photo, one after the other."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._looking_thread, work, *arguments)

    async def cut(
        self, path: str | None, face: KnownFace | UnnamedFace, side_px: int = FACE_PX
    ) -> bytes:
        """Return the JPEG of a face on the photo at `path`; raises PhotoError."""
        if path is None:
            raise PhotoError("nobody knows where the photo is")
        loop, cut_out = asyncio.get_running_loop(), self._cutting.cut_out
        arguments = (path, face.content_hash, face.box, side_px)
        return await loop.run_in_executor(self._cutting_thread, cut_out, *arguments)

    async def shrink(self, path: str, content_hash: str) -> bytes:
        """Return the JPEG of a whole photo, a small one; raises PhotoError."""
        loop, shrink = asyncio.get_running_loop(), self._cutting.shrink
        return await loop.run_in_executor(self._cutting_thread, shrink, path, content_hash)

    def html(self, template: str, status: int = 200, **values: object) -> Response:
        """Return the HTML of a template."""
        return HTMLResponse(self.text(template, **values), status)

    def text(self, template: str, **values: object) -> str:
        """Return the HTML of a template as it is."""
        return self._templates.get_template(template).render(what=self.what, **values)


def percent(share: float) -> str:
    """Return a probability for people: never a certainty that it is not."""
    if share > 0.999:
        return "over 99.9 %"
    return "under 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def breakable(path: str | Path) -> Markup:
    """Return the HTML of a path, of which a line may end after every folder."""
    return escape(str(path)).replace("/", Markup("/<wbr>"))


def said_of(face: IdentifiedFace) -> str:
    """Return whose a face is said to be."""
    if face.person is not None:
        return face.person
    if face.dismissed_as is not None:
        return "a stranger" if face.dismissed_as == "stranger" else "no face"
    return " or ".join(face.alternatives) or "unknown"


def decided(decision: Decision, **more: str | int) -> Response:
    """Return what a script is told of a decision."""
    said = decision.summary[:1].upper() + decision.summary[1:] + "."
    if decision.id is None:
        said = f"Already {decision.summary}; nothing was changed."
    return JSONResponse({"said": said, "undo": decision.id, **more})
