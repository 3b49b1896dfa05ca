"""Small pictures of enrolled faces, kept from run to run: losing them costs time only.

They lie in the folder of the gallery's index files, whose content `forget` deletes. Files of their
own, so that two pages, and a `forget` beside them, need not agree on anything.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from facesearch.storage.rows import KnownFace


class Thumbnails:
    """JPEGs by what they show: a place on the photo with certain bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, face: KnownFace) -> bytes | None:
        """Return the thumbnail of a face, None if there is none yet."""
        with suppress(OSError):
            return self._file(face).read_bytes()
        return None

    def keep(self, face: KnownFace, jpeg: bytes) -> None:
        """Keep the thumbnail of a face, if that is possible."""
        file = self._file(face)
        unfinished = file.with_suffix(f".{os.getpid()}.unfinished")
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            unfinished.write_bytes(jpeg)
            unfinished.replace(file)

    def drop(self, face: KnownFace) -> None:
        """Delete the thumbnail of a face."""
        with suppress(OSError):
            self._file(face).unlink(missing_ok=True)

    def _file(self, face: KnownFace) -> Path:
        place = f"{face.content_hash} {face.box}".encode()
        return self._folder / f"face-{hashlib.sha256(place).hexdigest()[:32]}.jpg"
