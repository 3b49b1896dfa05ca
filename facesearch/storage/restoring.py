"""A copy of a gallery -> the rows of the gallery it was made of, while others have that open."""

import secrets
from pathlib import Path

from facesearch.storage.sqlite import SQLiteFile

# filled by triggers while other rows go and come, so it is replaced after them
LAST = "change"


def replace_rows(db: SQLiteFile, copy: Path, keep: Path) -> None:
    """Replace all rows of the gallery in `db` by those of `copy`, a sound one of its schema.

    It is one transaction, which other programs see like any other: the gallery stays the same
    file of the same lineage, and gets another generation, so that they read everything again. The
    rows that were there go to the new gallery file `keep` first, under the same lock: nothing that
    another program stores meanwhile is lost. Raises GalleryError.
    """
    db.execute("ATTACH ? AS restored", (str(copy),))
    try:
        with db.transaction():
            db.execute("PRAGMA defer_foreign_keys = ON")
            current = SQLiteFile.open_to_read(db.path)
            try:
                change = "UPDATE gallery SET generation = ?, lineage = ?"
                current.copy(keep, change, secrets.token_hex(8), secrets.token_hex(8))
            finally:
                current.close()
            ((lineage, writes),) = db.rows("SELECT lineage, writes FROM main.gallery")
            tables = [
                name
                for (name,) in db.rows(
                    "SELECT name FROM main.sqlite_schema WHERE type = 'table' "
                    "AND name NOT LIKE '%sqlite_%' ORDER BY name = ?",
                    (LAST,),
                )
            ]
            for table in tables:
                if table != LAST:
                    db.execute(f"DELETE FROM main.{table}")
            for table in tables:
                if table == LAST:
                    db.execute(f"DELETE FROM main.{table}")
                db.execute(f"INSERT INTO main.{table} SELECT * FROM restored.{table}")
            db.execute(
                "UPDATE main.gallery SET generation = ?, lineage = ?, writes = ?",
                (secrets.token_hex(8), lineage, writes),
            )
    finally:
        db.execute("DETACH restored")
