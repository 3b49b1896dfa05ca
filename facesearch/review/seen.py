"""What a model saw in photos, remembered from run to run; losing it costs time only."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facesearch.detection import Face
from facesearch.duplicates.photo_cache import FileState, PackedSeen, PhotoCache, remove_cache
from facesearch.identification import NO_CROPS, Seen
from facesearch.pictures import Picture
from facesearch.storage.codec import TemplateCodec

_FACE_NUMBERS = 15  # kept of a face: its box, its score, five landmarks


class SeenBefore:
    """What one model saw in photos in earlier runs, by file; kept in a cache of photos."""

    def __init__(self, file: Path, fingerprint: str) -> None:
        self._file = file
        self._fingerprint = fingerprint
        self._cache = PhotoCache(file)

    def recall(self, path: str, state: FileState) -> Seen | None:
        """Return what was seen in the file in that state, without crops; None if nothing was."""
        seen: Seen | None = None
        with self._replacing_a_broken_cache():
            file_hash = self._cache.hash_of(path, state)
            if file_hash is not None:
                packed = self._cache.seen(file_hash, self._fingerprint)
                seen = packed and unpack_seen(file_hash, packed)
        return seen

    def keep(self, path: str, state: FileState, seen: Seen) -> None:
        """Keep what is seen in the file, which had that state before it was read."""
        with self._replacing_a_broken_cache():
            file_hash = seen.picture.file_hash
            self._cache.add_seen(file_hash, self._fingerprint, pack_seen(seen))
            if state_of(path) == state:
                self._cache.add_file(path, state, file_hash)
            self._cache.commit()  # the next photo takes long, and another run may want to write

    def close(self) -> None:
        """Write everything to disk and close the cache."""
        self._cache.close()

    @contextlib.contextmanager
    def _replacing_a_broken_cache(self) -> Iterator[None]:
        """Go on with a cache in memory if the file fails; delete the file only if it is damaged."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            with contextlib.suppress(sqlite3.Error):
                self._cache.close()
            if not isinstance(error, sqlite3.OperationalError):  # locked, read-only or full: sound
                with contextlib.suppress(OSError):
                    remove_cache(self._file)
            self._cache = PhotoCache(None)


def state_of(path: str) -> FileState | None:
    """Return the state of a file, None if it cannot be read."""
    try:
        return FileState.of(Path(path).stat())
    except OSError:
        return None


def pack_seen(seen: Seen) -> PackedSeen:
    """Return what was seen in a photo as the cache keeps it, without crops."""
    faces = [[*face.box, face.score, *face.landmarks.ravel()] for face in seen.faces]
    packed = np.array(faces, np.float64).tobytes()
    shown = seen.picture
    numbers = shown.identity, shown.orientation, shown.width, shown.height
    return *numbers, packed, TemplateCodec().encode_exactly(seen.embeddings)


def unpack_seen(file_hash: str, packed: PackedSeen) -> Seen:
    """Return what `pack_seen` was given, without crops.

    Raises sqlite3.DatabaseError if the bytes are damaged.
    """
    identity, *shown, face_bytes, embedding_bytes = packed
    try:
        numbers = np.frombuffer(face_bytes, np.float64).reshape(-1, _FACE_NUMBERS)
        embeddings = TemplateCodec().decode_exactly(embedding_bytes, len(numbers))
    except ValueError as error:
        raise sqlite3.DatabaseError("what was seen in a photo is damaged") from error
    faces = [
        Face((left, top, right, bottom), np.array(landmarks, np.float32).reshape(5, 2), score)
        for left, top, right, bottom, score, *landmarks in numbers.tolist()
    ]
    return Seen(Picture(identity, file_hash, *shown), faces, NO_CROPS, embeddings)
