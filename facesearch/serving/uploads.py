"""Photos dropped on the page: files of this run, each with the faces found in it.

They lie in a folder of the run. What a killed run left is deleted by the next run, and whenever
somebody is forgotten.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from facesearch.serving.decoder import DecodedPhoto
from facesearch.storage.run_folders import PREFIX, delete_left_behind, locked

MOST_BYTES = 4_000_000_000  # of all photos held; beyond it the oldest are deleted


@dataclass(slots=True, eq=False)
class Upload:
    """A photo of this run."""

    id: str  # random, so that it cannot be guessed
    name: str  # the user's file name
    path: Path
    n_bytes: int = 0
    decoded: DecodedPhoto | None = None  # None until it is decoded


class Uploads:
    """The photos of this run by id, in a folder that is deleted with it."""

    def __init__(self) -> None:
        delete_left_behind()
        self._folder = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        self._lock = locked(Path(self._folder.name) / "lock")
        self._photos = Path(self._folder.name) / "photos"
        self._photos.mkdir()  # only now: without a lock another run would delete it
        self._held: dict[str, Upload] = {}

    @contextmanager
    def receiving(self, name: str) -> Iterator[tuple[Upload, BinaryIO]]:
        """Yield an upload and the file to write it to; it is held unless the block fails."""
        ending = Path(name).suffix.lower()
        ending = ending if ending[1:].isalnum() and ending.isascii() and len(ending) < 6 else ""
        upload = Upload(secrets.token_urlsafe(12), name, self._photos)
        upload.path = upload.path / (upload.id + ending)
        try:
            with upload.path.open("xb") as file:
                yield upload, file
                upload.n_bytes = file.tell()
        except BaseException:
            upload.path.unlink(missing_ok=True)
            raise
        self._held[upload.id] = upload
        while len(self._held) > 1 and self._n_bytes() > MOST_BYTES:
            self.drop(next(iter(self._held)))

    def _n_bytes(self) -> int:
        return sum(upload.n_bytes for upload in self._held.values())

    def get(self, upload_id: str) -> Upload | None:
        """Return the photo with that id, None if it is no longer held."""
        return self._held.get(upload_id)

    def drop(self, upload_id: str) -> None:
        """Delete a photo, if it is held."""
        upload = self._held.pop(upload_id, None)
        if upload is not None:
            with suppress(OSError):
                upload.path.unlink()

    def clear(self) -> None:
        """Delete all photos."""
        for upload_id in list(self._held):
            self.drop(upload_id)

    def close(self) -> None:
        """Delete all photos and the folder."""
        self._held.clear()
        shutil.rmtree(self._photos, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
        self._folder.cleanup()
