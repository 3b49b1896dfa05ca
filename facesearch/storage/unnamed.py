"""Which faces without a name are one person's, so that groups keep their ids from run to run."""

from collections.abc import Iterable, Mapping, Sequence

from facesearch.boxes import FacePlace
from facesearch.storage.database import Database
from facesearch.storage.rows import BOX, UnnamedRow


class UnnamedGroups:
    """The rows of the tables unnamed_face and unnamed_group."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def in_photo(self, content_hash: str) -> list[UnnamedRow]:
        """Return the faces of a photo that were in a group when nobody had named them."""
        sql = f"SELECT id, group_id, {BOX} FROM unnamed_face WHERE content_hash = ?"
        rows = self._db.rows(sql, (content_hash,))
        return [UnnamedRow(row, group, tuple(box)) for row, group, *box in rows]

    def next_id(self) -> int:
        """Return an id that no group ever had."""
        rows = self._db.rows("SELECT seq FROM sqlite_sequence WHERE name = 'unnamed_group'")
        return int(rows[0][0]) + 1 if rows else 1

    def keep(self, groups: Mapping[int, Sequence[FacePlace]], instead_of: Iterable[int]) -> None:
        """Keep which faces form which group, id -> faces.

        They replace the rows with the ids `instead_of`. Call inside a transaction.
        """
        self._db.executemany(
            "DELETE FROM unnamed_face WHERE id = ?", [(row,) for row in instead_of]
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO unnamed_group VALUES (?)", [(group,) for group in groups]
        )
        self._db.executemany(
            f"INSERT INTO unnamed_face (group_id, content_hash, {BOX}) VALUES (?, ?, ?, ?, ?, ?)",
            [(group, at.content_hash, *at.box) for group, faces in groups.items() for at in faces],
        )
        self._db.execute(
            "DELETE FROM unnamed_group WHERE id NOT IN (SELECT group_id FROM unnamed_face)"
        )
