"""Photos that were dropped on the page: files of this run, each with what was seen on it."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from facesearch.web.eyes import Looked

MOST_BYTES = 4_000_000_000  # of all that is held; what was dropped first goes first


@dataclass(slots=True, eq=False)
class Upload:
    """A photo of this run."""

    id: str  # drawn, so that it tells nothing
    name: str  # what the user calls it
    path: Path
    n_bytes: int = 0
    looked: Looked | None = None  # None: nobody looked yet


class Uploads:
    """The photos of this run, by id, in a folder that goes with it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="facesearch-", ignore_cleanup_errors=True)
        self._held: dict[str, Upload] = {}

    @contextmanager
    def receiving(self, name: str) -> Iterator[tuple[Upload, BinaryIO]]:
        """Give an upload and the file to write it to; it is held unless the block fails."""
        ending = Path(name).suffix.lower()
        ending = ending if ending[1:].isalnum() and ending.isascii() and len(ending) < 6 else ""
        upload = Upload(secrets.token_urlsafe(12), name, Path(self._folder.name))
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
        """Return the photo with that id, None if it is not held any more."""
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
        self._folder.cleanup()
