"""The row changes of one decision: made, noted in its payload, and reverted.

Every change is (table, id, before, after): before is None for a row that was inserted, after for
one that was deleted. Only what undoing needs is kept: of an update the columns that changed, of an
insertion those that a later decision may change, of a deletion all. So an undo is nothing but the
inverse changes, made through the same journal, and can be undone by the same code.
"""

import json
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple

from facesearch.errors import EmbeddingMismatch

Row = dict[str, Any]

# The columns in which rows may change; in all others they stay as they were inserted.
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
# Column -> table of the row that has to be there, too
PARENTS = {
    "face": {"photo_id": "photo", "person_id": "person"},
    "template": {"face_id": "face"},
    "not_same": {"person_a": "person", "person_b": "person"},
    "rejection": {"person_id": "person"},
}


class Change(NamedTuple):
    """What became of one row; see the module."""

    table: str
    id: int
    before: Row | None
    after: Row | None


class NotAsLeft(Exception):
    """A row that is not any more as a decision left it, or stands in its way."""

    def __init__(self, table: str, row: int) -> None:
        super().__init__(f"{table} {row}")
        self.table, self.row = table, row


class NameTaken(Exception):
    """A name that somebody else bears meanwhile."""


class Journal:
    """Makes changes and notes them; use inside a transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
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
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        cursor = self._db.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values())
        )
        new = int(cursor.lastrowid or 0)
        self.changes.append(Change(table, new, None, {c: row[c] for c in CHANGING[table]}))
        return new

    def update(self, table: str, row_id: int, **columns: Any) -> None:
        """Set `columns` of a row that is there; raises NameTaken if one is a person's."""
        self._check_free(table, {"id": row_id, **columns})
        self._check_parents(table, columns)
        before = self._row(table, row_id)
        places = ", ".join(f"{column} = ?" for column in columns)
        self._db.execute(f"UPDATE {table} SET {places} WHERE id = ?", [*columns.values(), row_id])
        self.changes.append(Change(table, row_id, {c: before[c] for c in columns}, columns))

    def delete(self, table: str, row_id: int) -> None:
        """Delete a row; raises NotAsLeft if others still refer to it: nothing goes unnoted."""
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
            self._db.execute(f"SELECT 1 FROM {child} WHERE {column} = ?", (row_id,)).fetchone()
            for child, parents in PARENTS.items()
            for column, parent in parents.items()
            if parent == table
        )

    def _row(self, table: str, row_id: int) -> Row:
        """Return all columns but the id; raises NotAsLeft if the row is not there."""
        cursor = self._db.execute(f"SELECT * FROM {table} WHERE id = ?", (row_id,))
        values = cursor.fetchone()
        if values is None:
            raise NotAsLeft(table, row_id)
        columns = [column for column, *_ in cursor.description]
        return {c: v for c, v in zip(columns, values, strict=True) if c != "id"}

    def _check_parents(self, table: str, row: Row) -> None:
        for column, parent in PARENTS.get(table, {}).items():
            if column in row:
                self._row(parent, row[column])

    def _check_model(self, table: str, row: Row) -> None:
        """Raise EmbeddingMismatch for a template of another model than the gallery's."""
        if table != "template":
            return
        ((fingerprint, model),) = self._db.execute("SELECT fingerprint, model FROM gallery")
        if row["fingerprint"] != fingerprint:
            raise EmbeddingMismatch(
                f"the gallery is of the model {model} by now: what another model saw cannot be "
                "stored in it"
            )

    def _check_free(self, table: str, row: Row) -> None:
        """Raise NameTaken, NotAsLeft if another row has what only one may have."""
        unique = {
            "person": ("name",),
            "photo": ("content_hash",),
            "not_same": ("person_a", "person_b"),
            "not_same_photo": ("hash_a", "hash_b"),
        }.get(table, ())
        if not unique or not set(unique) <= row.keys():
            return
        same = " AND ".join(f"{column} = ?" for column in unique)
        other = self._db.execute(
            f"SELECT id FROM {table} WHERE {same} AND id IS NOT ?",
            [*(row[column] for column in unique), row.get("id")],
        ).fetchone()
        if other and table == "person":
            raise NameTaken(row["name"])
        if other:
            raise NotAsLeft(table, other[0])


def pack(payload: dict[str, Any]) -> str:
    """Return `payload` as JSON: compact, in UTF-8 as it is, bytes in base64."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), default=_in_base64)


def _in_base64(blob: bytes) -> dict[str, str]:
    return {"base64": b64encode(blob).decode()}


def unpack(payload: str) -> dict[str, Any]:
    """Return what `pack` was given, with the changes as such."""
    unpacked: dict[str, Any] = _DECODER.decode(payload)
    unpacked["changes"] = [Change(*change) for change in unpacked.get("changes", ())]
    return unpacked


def _bytes_of(packed: Row) -> Any:
    return b64decode(packed["base64"]) if packed.keys() == {"base64"} else packed


_DECODER = json.JSONDecoder(object_hook=_bytes_of)  # once: a run of decisions has thousands


def key(table: str, row_id: int) -> str:
    """Return what a packed payload contains if and only if it changes that row."""
    return f'["{table}",{row_id},'
