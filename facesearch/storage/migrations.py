"""Bringing a gallery up to date, by the steps of schema.py.

One that is up to date opens without this module: sqlite_utils alone costs 0.2 s of CPU.
"""

import sqlite3
from collections.abc import Sequence

from sqlite_utils import Database, Migrations

from facesearch.storage import schema
from facesearch.storage.seals import SEAL_OF, SEALED

migrations = Migrations("facesearch")


@migrations()  # type: ignore[untyped-decorator]  # sqlite_utils has no types here
def m001_people_photos_faces_templates(db: Database) -> None:
    """People, photos, faces, templates, decisions, and the log that an index replays."""
    run(db, schema.SCHEMA_1)


@migrations()  # type: ignore[untyped-decorator]
def m002_stamped_changes_and_due_scrubs(db: Database) -> None:
    """Changes that a restored copy cannot repeat, and the mark of an erasure not yet finished."""
    run(db, schema.SCHEMA_2)


@migrations()  # type: ignore[untyped-decorator]
def m003_curation(db: Database) -> None:
    """What humans said of people, faces and photos; decisions about several people, undoable."""
    run(db, schema.SCHEMA_3)


@migrations()  # type: ignore[untyped-decorator]
def m004_groups_of_the_unnamed(db: Database) -> None:
    """Which faces without a name were one person's, so that groups keep their ids."""
    run(db, schema.SCHEMA_4)


@migrations()  # type: ignore[untyped-decorator]
def m005_dismissals(db: Database) -> None:
    """Faces that a human dismissed: strangers', or no faces at all."""
    run(db, schema.SCHEMA_5)


@migrations()  # type: ignore[untyped-decorator]
def m006_seals(db: Database) -> None:
    """Seals by which damage in a face or template is noticed, and marks of a replaced file."""
    run(db, schema.SCHEMA_6)
    for table, columns in SEALED.items():
        rows = db.execute(f"SELECT {columns} FROM {table}").fetchall()
        db.conn.executemany(
            f"UPDATE {table} SET seal = ? WHERE id = ?",
            [(SEAL_OF[table](row), row[0]) for row in rows],
        )


@migrations()  # type: ignore[untyped-decorator]
def m007_pictures(db: Database) -> None:
    """Keys that metadata cannot change; which pictures the former keys are is noted when seen."""
    run(db, schema.SCHEMA_7)


def run(db: Database, statements: Sequence[str]) -> None:
    """Run `statements` one by one, in the transaction of `migrate`."""
    for statement in statements:
        db.execute(statement)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the gallery behind `connection` up to date; call inside a transaction."""
    # without plugins: other installed programs must not change a gallery
    migrations.apply(Database(connection, recursive_triggers=False, execute_plugins=False))
