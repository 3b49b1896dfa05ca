"""A cache of small pictures of enrolled faces, kept from run to run.

It lies in the folder of the gallery's index files, whose content `forget` deletes. Each thumbnail
is a file of its own, so that two servers, and a `forget` beside them, need no agreement.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from facesearch.private import make_private_file, make_private_folder
from facesearch.storage.rows import KnownFace


class Thumbnails:
    """JPEGs by the photo's content hash and the box of the face in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, face: KnownFace) -> bytes | None:
        """Return the thumbnail of a face, None if there is none."""
        with suppress(OSError):
            return self._file(face).read_bytes()
        return None

    def keep(self, face: KnownFace, jpeg: bytes) -> None:
        """Keep the thumbnail of a face; do nothing if the folder cannot be written."""
        file = self._file(face)
        unfinished = file.with_suffix(f".{os.getpid()}.unfinished")
        with suppress(OSError):
            make_private_folder(self._folder)
            make_private_file(unfinished)
            unfinished.write_bytes(jpeg)
            unfinished.replace(file)

    def drop(self, face: KnownFace) -> None:
        """Delete the thumbnail of a face."""
        with suppress(OSError):
            self._file(face).unlink(missing_ok=True)

    def _file(self, face: KnownFace) -> Path:
        place = f"{face.content_hash} {face.box}".encode()
        return self._folder / f"face-{hashlib.sha256(place).hexdigest()[:32]}.jpg"
