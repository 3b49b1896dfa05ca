"""The photos from which faces are enrolled: what they are, and where they were."""

from facesearch.storage.database import Database
from facesearch.storage.rows import readable


class Photos:
    """The rows of the table photo. The path of a photo is None once it was forgotten."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def by_id(self) -> dict[int, tuple[str, str | None]]:
        """Return id -> (content hash, path) of all photos."""
        rows = self._db.rows("SELECT id, content_hash, path FROM photo")
        return {photo: (content_hash, path) for photo, content_hash, path in rows}

    def id_of(self, content_hash: str) -> int | None:
        """Return the id of the photo with these bytes, None if no face is enrolled from it."""
        rows = self._db.rows("SELECT id FROM photo WHERE content_hash = ?", (content_hash,))
        return int(rows[0][0]) if rows else None

    def path_of(self, content_hash: str) -> str | None:
        """Return where the photo with these bytes was enrolled from; None if that is not kept."""
        rows = self._db.rows("SELECT path FROM photo WHERE content_hash = ?", (content_hash,))
        return rows[0][0] if rows else None

    def move(self, content_hash: str, path: str) -> None:
        """Store that the photo with that key is at `path` now, unless its path was forgotten."""
        self._db.execute(
            "UPDATE photo SET path = ? WHERE content_hash = ? AND path IS NOT NULL",
            (readable(path), content_hash),
        )

    def hashes_with_path(self) -> set[str]:
        """Return the content hashes of the photos whose paths are kept."""
        rows = self._db.rows("SELECT content_hash FROM photo WHERE path IS NOT NULL")
        return {content_hash for (content_hash,) in rows}
