"""The row changes of one decision: made, noted in its payload, and reverted.

Every change is (table, id, before, after): before is None for a row that was inserted, after for
one that was deleted. Only what undoing needs is kept: of an update the columns that changed, of an
insertion those that a later decision may change, of a deletion all. So an undo is nothing but the
inverse changes, made through the same journal, and can be undone by the same code.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple

from facesearch.errors import EmbeddingMismatch
from facesearch.storage.database import Database
from facesearch.storage.rows import BOX_COLUMNS
from facesearch.storage.seals import row_is_sound, seal

Row = dict[str, Any]

# All columns but the id, in the schema's order
COLUMNS = {
    "person": ("name", "created_at"),
    "photo": ("content_hash", "path", "width", "height", "added_at", "orientation"),
    "face": (
        *("photo_id", "person_id", "assigned_by", *BOX_COLUMNS),
        *("landmarks", "score", "sharpness"),
    ),
    "template": ("face_id", "fingerprint", "vector"),
    "not_same": ("person_a", "person_b"),
    "rejection": ("content_hash", *BOX_COLUMNS, "person_id"),
    "not_same_photo": ("hash_a", "hash_b"),
    "dismissal": ("content_hash", *BOX_COLUMNS, "verdict"),
}
# The columns in which rows may change; in all others they stay as they were inserted
CHANGING = {
    "person": ("name",),
    "photo": (),
    "face": ("person_id", "assigned_by"),
    "template": (),
    "not_same": ("person_a", "person_b"),
    "rejection": ("person_id",),
    "not_same_photo": (),
    "dismissal": (),
}
# Column -> table of the row that it refers to, which has to exist
PARENTS = {
    "face": {"photo_id": "photo", "person_id": "person"},
    "template": {"face_id": "face"},
    "not_same": {"person_a": "person", "person_b": "person"},
    "rejection": {"person_id": "person"},
}

# faces that a human said are a second one of their person in a photo: in a mirror, a collage
TWICE_ON_PURPOSE = (
    "SELECT face FROM (SELECT json_extract(change.value, '$[1]') AS face "
    "FROM (SELECT CASE WHEN json_valid(payload) THEN payload ELSE '{}' END AS said FROM decision) "
    "JOIN json_each(said, '$.changes') AS change "
    "WHERE json_extract(said, '$.same_person_twice') "
    "AND json_extract(change.value, '$[0]') = 'face')"
)


class Change(NamedTuple):
    """The change of one row; see the module."""

    table: str
    id: int
    before: Row | None
    after: Row | None


class NotAsLeft(Exception):
    """A row has changed since a decision left it, or another one took its place."""

    def __init__(self, table: str, row: int) -> None:
        super().__init__(f"{table} {row}")
        self.table, self.row = table, row


class NameTaken(Exception):
    """Somebody else has the name now."""


class Journal:
    """Makes changes and notes them; use inside a transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.changes: list[Change] = []

    def insert(self, table: str, row: Row) -> int:
        """Insert `row`, under its own id if it has one; return the id.

        Raises NotAsLeft if a row that it refers to is missing, or another is in its place,
        NameTaken if it is a person's, EmbeddingMismatch for a template of another model.
        """
        self._check_free(table, row)
        self._check_parents(table, row)
        self._check_model(table, row)
        new = self._db.insert(table, row)
        seal(self._db, table, new)
        self.changes.append(Change(table, new, None, {c: row[c] for c in CHANGING[table]}))
        return new

    def update(self, table: str, row_id: int, **columns: Any) -> None:
        """Set `columns` of an existing row; raises NotAsLeft, NameTaken as `insert` does."""
        self._check_free(table, {"id": row_id, **columns})
        self._check_parents(table, columns)
        before = self._row(table, row_id)
        places = ", ".join(f"{column} = ?" for column in columns)
        was_sound = row_is_sound(self._db, table, row_id)
        self._db.execute(f"UPDATE {table} SET {places} WHERE id = ?", [*columns.values(), row_id])
        if was_sound:  # a damaged row stays one
            seal(self._db, table, row_id)
        self.changes.append(Change(table, row_id, {c: before[c] for c in columns}, columns))

    def delete(self, table: str, row_id: int) -> None:
        """Delete a row; raises NotAsLeft if others refer to it: no row goes unnoted."""
        if self.is_used(table, row_id):
            raise NotAsLeft(table, row_id)
        before = self._row(table, row_id)
        self._db.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))
        self.changes.append(Change(table, row_id, before, None))

    def revert(self, changes: Sequence[Change]) -> None:
        """Make the inverse of `changes`, last first.

        Raises NotAsLeft, NameTaken: then roll the transaction back.
        """
        for table, row_id, before, after in reversed(changes):
            if after is None and before is not None:
                self.insert(table, {"id": row_id, **before})
                continue
            now = self._row(table, row_id)
            if any(now[column] != value for column, value in (after or {}).items()):
                raise NotAsLeft(table, row_id)
            if before is not None:
                self.update(table, row_id, **before)
            elif table != "photo":
                self.delete(table, row_id)
        # A photo goes with the last face on it, whichever decision brought it.
        for photo in {
            c.before["photo_id"]
            for c in self.changes
            if c.table == "face" and c.before and c.after is None
        }:
            if not self.is_used("photo", photo):
                self.delete("photo", photo)

    def is_used(self, table: str, row_id: int) -> bool:
        """Return whether other rows refer to this one."""
        return any(
            self._db.rows(f"SELECT 1 FROM {child} WHERE {column} = ? LIMIT 1", (row_id,))
            for child, parents in PARENTS.items()
            for column, parent in parents.items()
            if parent == table
        )

    def _row(self, table: str, row_id: int) -> Row:
        """Return all columns but the id; raises NotAsLeft if the row is gone."""
        columns = COLUMNS[table]
        rows = self._db.rows(f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?", (row_id,))
        if not rows:
            raise NotAsLeft(table, row_id)
        return dict(zip(columns, rows[0], strict=True))

    def _check_parents(self, table: str, row: Row) -> None:
        for column, parent in PARENTS.get(table, {}).items():
            if column in row:
                self._row(parent, row[column])

    def _check_model(self, table: str, row: Row) -> None:
        """Raise EmbeddingMismatch for a template of another model than the gallery's."""
        if table != "template":
            return
        ((fingerprint, model),) = self._db.rows("SELECT fingerprint, model FROM gallery")
        if row["fingerprint"] != fingerprint:
            raise EmbeddingMismatch(
                f"the gallery was migrated to the model {model}, so templates of another model "
                "cannot be stored in it"
            )

    def _check_free(self, table: str, row: Row) -> None:
        """Raise NameTaken, NotAsLeft if another row has the same unique columns."""
        unique = {
            "person": ("name",),
            "photo": ("content_hash",),
            "not_same": ("person_a", "person_b"),
            "not_same_photo": ("hash_a", "hash_b"),
        }.get(table, ())
        if not unique or not set(unique) <= row.keys():
            return
        same = " AND ".join(f"{column} = ?" for column in unique)
        others = self._db.rows(
            f"SELECT id FROM {table} WHERE {same} AND id IS NOT ?",
            [*(row[column] for column in unique), row.get("id")],
        )
        if others and table == "person":
            raise NameTaken(row["name"])
        if others:
            raise NotAsLeft(table, others[0][0])


def pack(payload: dict[str, Any]) -> str:
    """Return `payload` as compact JSON: text in UTF-8, unescaped, bytes in base64."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), default=_in_base64)


def _in_base64(blob: bytes) -> dict[str, str]:
    return {"base64": b64encode(blob).decode()}


def unpack(payload: str) -> dict[str, Any]:
    """Return what was packed, with its changes as Change."""
    unpacked: dict[str, Any] = _DECODER.decode(payload)
    unpacked["changes"] = [Change(*change) for change in unpacked.get("changes", ())]
    return unpacked


def _bytes_of(packed: Row) -> Any:
    return b64decode(packed["base64"]) if packed.keys() == {"base64"} else packed


_DECODER = json.JSONDecoder(object_hook=_bytes_of)  # made once: a history has thousands


def key(table: str, row_id: int) -> str:
    """Return the text that a packed payload contains if and only if it changes that row."""
    return f'["{table}",{row_id},'
