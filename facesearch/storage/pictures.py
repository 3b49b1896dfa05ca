"""Under which key a gallery keeps what is said of a picture, and which it knew by their bytes.

The key is the picture's identity. Up to schema 6 it was the hash of the file's bytes, which any
other program changes that writes a rating: such a key stays, and the table former_hash notes which
picture it is, as soon as the file is seen.
"""

from collections.abc import Callable, Collection
from functools import partial

from facesearch.boxes import Box, FacePlace
from facesearch.pictures import AS_STORED, KeptPicture, Picture, stored_size, turned_box
from facesearch.storage.database import Database

# where a key may stand besides the decisions: table, column
KEYS = (
    *(("photo", "content_hash"), ("rejection", "content_hash"), ("dismissal", "content_hash")),
    *(("unnamed_face", "content_hash"), ("not_same_photo", "hash_a"), ("not_same_photo", "hash_b")),
)
ANY_KEY = " UNION ".join(f"SELECT {column} FROM {table}" for table, column in KEYS)


class Pictures:
    """The rows of the table former_hash."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def kept(self, picture: Picture) -> KeptPicture:
        """Return a picture as the gallery knows it, or would know it."""
        rows = self._db.rows(
            "SELECT content_hash, orientation FROM former_hash "
            "WHERE identity = ? OR content_hash = ? ORDER BY rowid LIMIT 1",
            (picture.identity, picture.file_hash),
        )
        for key, orientation in rows:
            return KeptPicture(key, picture, orientation or picture.orientation)
        return KeptPicture(picture.identity, picture, AS_STORED)

    def is_new(self, picture: Picture) -> bool:
        """Return whether the gallery knows these bytes, but not yet which picture they are."""
        sql = "SELECT 1 FROM former_hash WHERE content_hash = ? AND identity IS NULL"
        return bool(self._db.rows(sql, (picture.file_hash,)))

    def note(self, picture: Picture) -> None:
        """Keep which picture the bytes are that the gallery knows; call inside a transaction."""
        size = stored_size(picture.width, picture.height, picture.orientation)
        self._db.execute(
            "UPDATE former_hash SET identity = ?, orientation = ?, width = ?, height = ? "
            "WHERE content_hash = ? AND identity IS NULL",
            (picture.identity, picture.orientation, *size, picture.file_hash),
        )

    def as_stored(self, place: FacePlace) -> FacePlace:
        """Return a kept place by the picture's identity and as stored, as far as that is known."""
        for identity, orientation, *size in self._noted(place.content_hash):
            box = turned_box(place.box, (size[0], size[1]), orientation, AS_STORED)
            return FacePlace(identity, box)
        return place

    def identity_of(self, key: str) -> str:
        """Return the identity of the picture that has that key, the key itself if not known."""
        return next((row[0] for row in self._noted(key)), key)

    def others(self, key: str) -> list[tuple[str, Callable[[Box], Box]]]:
        """Return the other keys of the same picture, whose bytes differed.

        Each with what makes one of its boxes one as `key` keeps them.
        """
        found: list[tuple[str, Callable[[Box], Box]]] = []
        for identity, own, width, height in self._noted(key):
            sql = "SELECT content_hash, orientation FROM former_hash WHERE identity = ?"
            for other, turn in self._db.rows(sql, (identity,)):
                if other != key:
                    size = width, height
                    found.append((other, partial(turned_box, size=size, before=turn, after=own)))
        return found

    def _noted(self, key: str) -> list[tuple[str, int, int, int]]:
        sql = (
            "SELECT identity, orientation, width, height FROM former_hash "
            "WHERE content_hash = ? AND identity IS NOT NULL"
        )
        return self._db.rows(sql, (key,))

    def forget_unused(self, in_decisions: Collection[str]) -> None:
        """Delete which picture a key is, for keys that nothing uses any more."""
        unused = self._db.rows(f"SELECT content_hash FROM former_hash EXCEPT {ANY_KEY}")
        self._db.executemany(
            "DELETE FROM former_hash WHERE content_hash = ?",
            [(key,) for (key,) in unused if key not in in_decisions],
        )
