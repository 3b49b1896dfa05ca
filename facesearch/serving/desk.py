"""What all answers of one run share: the gallery, its threads, photo decoders and uploads."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from facesearch.errors import GalleryError, PhotoError
from facesearch.gallery import Gallery
from facesearch.manifest import subject
from facesearch.model import Model
from facesearch.review.groups import UnnamedFace
from facesearch.serving.decoder import FACE_PX, DecodedPhoto, DecoderProcess
from facesearch.serving.duplicates import Duplicates
from facesearch.serving.review import ReviewSession
from facesearch.serving.thumbnails import Thumbnails
from facesearch.serving.uploads import Uploads
from facesearch.storage.rows import KnownFace

NOTICE_S = 3.0  # how often to check whether another program forgot a person

Result = TypeVar("Result")


class Desk:
    """One open gallery, and everything that answers about it have in common.

    The gallery and both decoder processes serve one call at a time. Each has a thread of its own,
    so that a call waits only for calls of its kind.
    """

    uploads: Uploads  # from `open` on

    def __init__(
        self,
        gallery: Gallery,
        load_model: Callable[[], Model],
        photos: Sequence[Path],
        folders: Sequence[Path],
    ) -> None:
        """Share `gallery`, with a review of `photos` and a search for duplicates in `folders`.

        `load_model` loads the gallery's model in another process, so it must be picklable.
        """
        self.gallery = gallery  # use it within `ask` only
        self.subject = subject(gallery.model.manifest)  # face, drawing or picture
        self.uploads = Uploads()
        self.review = ReviewSession(gallery, photos)
        self.duplicates = Duplicates(gallery, folders)
        self.thumbnails = Thumbnails(gallery.upkeep.index_folder)
        self._decoder = DecoderProcess(load_model)
        self._cropper = DecoderProcess()
        self._gallery_thread = ThreadPoolExecutor(1, "gallery")
        self._decoder_thread = ThreadPoolExecutor(1, "decoder")
        self._cropper_thread = ThreadPoolExecutor(1, "cropper")
        self._newest_forgetting = gallery.history.newest_forgetting()

    def open(self) -> None:
        """Start the decoder processes, and the review if there are photos to review."""
        threading.Thread(target=self._start_decoders, daemon=True).start()
        if self.review.photos:
            self.review.start()

    def _start_decoders(self) -> None:
        self._decoder.start()
        self._cropper.start()

    def close(self) -> None:
        """Stop all work, and delete the uploads."""
        self.review.close()
        self.duplicates.close()
        threads = (self._decoder_thread, self._cropper_thread, self._gallery_thread)
        for thread in threads:
            thread.shutdown(wait=False, cancel_futures=True)
        self._decoder.close()
        self._cropper.close()
        for thread in threads:
            thread.shutdown()
        self.uploads.close()

    async def watch_forgetting(self) -> None:
        """Call `notice_forgetting` every few seconds until cancelled."""
        while True:
            await asyncio.sleep(NOTICE_S)
            with suppress(GalleryError):  # the next answer will report it
                await self.ask(self.notice_forgetting)

    def notice_forgetting(self) -> None:
        """Delete all uploads if a person was forgotten, since any upload may show that person.

        Call it within `ask`.
        """
        newest = self.gallery.history.newest_forgetting()
        if newest != self._newest_forgetting:
            self.uploads.clear()
            self._newest_forgetting = newest

    async def ask(self, work: Callable[[], Result]) -> Result:
        """Run `work` in the gallery's thread and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._gallery_thread, work)

    async def decode(self, path: Path, name: str) -> DecodedPhoto:
        """Return the photo at `path` with the faces in it; see `DecoderProcess.decode`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoder_thread, self._decoder.decode, path, name)

    async def crop(
        self, path: str | None, face: KnownFace | UnnamedFace, side_px: int = FACE_PX
    ) -> bytes:
        """Return a JPEG of a face in the photo at `path`; raises PhotoError."""
        if path is None:
            raise PhotoError("the gallery does not know where this photo is")

        def crop() -> bytes:
            at = self.gallery.faces.as_stored(face)
            return self._cropper.crop(path, at.content_hash, at.box, side_px)

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._cropper_thread, crop)

    async def shrink(self, path: str, content_hash: str) -> bytes:
        """Return a small JPEG of a whole photo; raises PhotoError."""
        loop, shrink = asyncio.get_running_loop(), self._cropper.shrink
        return await loop.run_in_executor(self._cropper_thread, shrink, path, content_hash)
