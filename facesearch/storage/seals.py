"""Seals of faces and templates: eight bytes that change with every bit of the row.

SQLite does not notice a bit that flips in a row: another person_id is another name, another vector
another face. A seal has no key, since it is against damage: who can write the file can seal.
"""

import logging
import struct
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from facesearch.storage.database import Database
from facesearch.storage.rows import BOX_COLUMNS

SEAL_BYTES = 8
SINCE_SCHEMA = 6

# Table -> the columns of a row that is checked, its seal last. Text as bytes: damaged text may be
# none that can be read.
SEALED = {
    "face": ", ".join(
        f"CAST(face.{column} AS BLOB)" if column == "assigned_by" else f"face.{column}"
        for column in (
            *("id", "photo_id", "person_id", "assigned_by", *BOX_COLUMNS),
            *("score", "sharpness", "landmarks", "seal"),
        )
    ),
    "template": "template.id, template.face_id, CAST(template.fingerprint AS BLOB), "
    "template.vector, template.seal",
}
N_COLUMNS = {"face": 12, "template": 5}
_FACE_NUMBERS = struct.Struct("<3q6d")
_TEMPLATE_NUMBERS = struct.Struct("<2q")

log = logging.getLogger(__name__)


def face_seal(row: Sequence[Any]) -> bytes:
    """Return the seal of a row of the columns SEALED["face"]; raises TypeError, struct.error."""
    face, photo, person, assigned_by, *numbers, landmarks, _ = row
    packed = _FACE_NUMBERS.pack(face, photo, person, *numbers)
    return blake2b(packed + landmarks + assigned_by, digest_size=SEAL_BYTES).digest()


def template_seal(row: Sequence[Any]) -> bytes:
    """Return the seal of a row of SEALED["template"]; raises TypeError, struct.error."""
    template, face, fingerprint, vector, _ = row
    packed = _TEMPLATE_NUMBERS.pack(template, face)
    return blake2b(packed + vector + fingerprint, digest_size=SEAL_BYTES).digest()


SEAL_OF = {"face": face_seal, "template": template_seal}


def is_sound(table: str, row: Sequence[Any]) -> bool:
    """Return whether a row of the columns SEALED[table] is as it was sealed."""
    try:
        return bool(SEAL_OF[table](row) == row[-1])
    except (TypeError, ValueError, struct.error):  # damage may leave another type
        return False


def seal(db: Database, table: str, row_id: int) -> None:
    """Seal a row as it is now; of a table without seals do nothing."""
    if table in SEALED:
        ((*columns, _),) = db.rows(f"SELECT {SEALED[table]} FROM {table} WHERE id = ?", (row_id,))
        made = SEAL_OF[table]([*columns, b""])
        db.execute(f"UPDATE {table} SET seal = ? WHERE id = ?", (made, row_id))


def row_is_sound(db: Database, table: str, row_id: int) -> bool:
    """Return whether an existing row is as it was sealed; true of a table without seals."""
    if table not in SEALED:
        return True
    rows = db.rows(f"SELECT {SEALED[table]} FROM {table} WHERE id = ?", (row_id,))
    return all(is_sound(table, row) for row in rows)


def broken(db: Database, table: str) -> list[int]:
    """Return the ids of the rows of a table that are not as they were sealed."""
    rows = db.rows(f"SELECT {SEALED[table]} FROM {table} ORDER BY id")
    return [row[0] for row in rows if not is_sound(table, row)]


class Seals:
    """Leaves out damaged rows, and tells of each once."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._told: set[tuple[str, int]] = set()

    def sound(self, table: str, rows: Iterable[Sequence[Any]], at: int = 0) -> Iterator[Any]:
        """Yield those of `rows` whose columns SEALED[table], from column `at` on, are sound."""
        for row in rows:
            sealed = row[at : at + N_COLUMNS[table]]
            if is_sound(table, sealed):
                yield row
            else:
                self._tell(table, sealed[0])

    def _tell(self, table: str, row_id: int) -> None:
        if (table, row_id) not in self._told:
            self._told.add((table, row_id))
            log.warning(
                "%s is damaged: %s %s is not as it was stored, so nobody is named by it; "
                "facesearch gallery check lists all such rows",
                *(self._db.path, table, row_id),
            )
