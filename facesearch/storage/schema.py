"""The gallery's schema, step by step: appended, never edited; and whether a file has it.

A gallery stores the text of its tables, spaces included: two of one schema have the same text.
"""

import sqlite3
from contextlib import closing
from functools import cache
from typing import NamedTuple

APPLICATION_ID = 0x46534731  # "FSG1": distinguishes a gallery from another program's SQLite file
MIGRATIONS_TABLE = "_sqlite_migrations"  # made by sqlite_utils; its text differs by version

SCHEMA_1 = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    """CREATE TABLE gallery (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            generation TEXT NOT NULL,   -- changes when a gallery is copied or restored
            model TEXT NOT NULL,        -- the name, for people
            fingerprint TEXT NOT NULL,  -- the model, for machines
            created_at TEXT NOT NULL
        ) STRICT""",
    """CREATE TABLE person (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            created_at TEXT NOT NULL
        ) STRICT""",
    """CREATE TABLE photo (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            content_hash TEXT NOT NULL UNIQUE,  -- SHA-256 of the file's bytes
            path TEXT,                          -- where it was when enrolled; null when forgotten
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            added_at TEXT NOT NULL
        ) STRICT""",
    """CREATE TABLE face (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            photo_id INTEGER NOT NULL REFERENCES photo ON DELETE CASCADE,
            person_id INTEGER NOT NULL REFERENCES person ON DELETE CASCADE,
            assigned_by TEXT NOT NULL CHECK (assigned_by IN ('human', 'machine')),
            box_left REAL NOT NULL,
            box_top REAL NOT NULL,
            box_right REAL NOT NULL,
            box_bottom REAL NOT NULL,
            landmarks BLOB NOT NULL,  -- (5, 2) little-endian float32
            score REAL NOT NULL,      -- the detector's
            sharpness REAL NOT NULL   -- of the crop
        ) STRICT""",
    "CREATE INDEX face_of_photo ON face (photo_id)",
    "CREATE INDEX face_of_person ON face (person_id)",
    """CREATE TABLE template (
            id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the id in the index, never used again
            face_id INTEGER NOT NULL REFERENCES face ON DELETE CASCADE,
            fingerprint TEXT NOT NULL,
            vector BLOB NOT NULL                   -- (dim,) little-endian float16
        ) STRICT""",
    "CREATE INDEX template_of_face ON template (face_id)",
    """CREATE TABLE decision (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            made_at TEXT NOT NULL,
            made_by TEXT NOT NULL CHECK (made_by IN ('human', 'machine')),
            kind TEXT NOT NULL,       -- enroll, rename, forget, ...
            person_id INTEGER,        -- no reference: a decision outlives what it was about
            face_id INTEGER,
            payload TEXT NOT NULL,    -- JSON
            undoes INTEGER REFERENCES decision
        ) STRICT""",
    "CREATE INDEX decision_of_person ON decision (person_id)",
    """CREATE TABLE change (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            template_id INTEGER NOT NULL,
            added INTEGER NOT NULL CHECK (added IN (0, 1))
        ) STRICT""",
    """CREATE TRIGGER template_added AFTER INSERT ON template BEGIN
            INSERT INTO change (template_id, added) VALUES (new.id, 1);
        END""",
    """CREATE TRIGGER template_removed AFTER DELETE ON template BEGIN
            INSERT INTO change (template_id, added) VALUES (old.id, 0);
        END""",
    "PRAGMA user_version = 1",
)

SCHEMA_2 = (
    "ALTER TABLE change ADD COLUMN token TEXT NOT NULL DEFAULT ''",  # random, in hex
    "DROP TRIGGER template_added",
    "DROP TRIGGER template_removed",
    """CREATE TRIGGER template_added AFTER INSERT ON template BEGIN
            INSERT INTO change (template_id, added, token)
            VALUES (new.id, 1, lower(hex(randomblob(8))));
        END""",
    """CREATE TRIGGER template_removed AFTER DELETE ON template BEGIN
            INSERT INTO change (template_id, added, token)
            VALUES (old.id, 0, lower(hex(randomblob(8))));
        END""",
    "CREATE TABLE scrub_due (id INTEGER PRIMARY KEY AUTOINCREMENT) STRICT",
    "PRAGMA user_version = 2",
)

SCHEMA_3 = (
    """CREATE TABLE not_same (  -- two people, not one under two names
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            person_a INTEGER NOT NULL REFERENCES person ON DELETE CASCADE,
            person_b INTEGER NOT NULL REFERENCES person ON DELETE CASCADE,
            UNIQUE (person_a, person_b),
            CHECK (person_a < person_b)
        ) STRICT""",
    "CREATE INDEX not_same_b ON not_same (person_b)",
    """CREATE TABLE rejection (  -- this face is not this person, whether enrolled or not
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            content_hash TEXT NOT NULL,  -- of the photo, which need not be in the gallery
            box_left REAL NOT NULL,
            box_top REAL NOT NULL,
            box_right REAL NOT NULL,
            box_bottom REAL NOT NULL,
            person_id INTEGER NOT NULL REFERENCES person ON DELETE CASCADE
        ) STRICT""",
    "CREATE INDEX rejection_of_photo ON rejection (content_hash)",
    "CREATE INDEX rejection_of_person ON rejection (person_id)",
    """CREATE TABLE not_same_photo (  -- two pictures, not copies of one
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            hash_a TEXT NOT NULL,
            hash_b TEXT NOT NULL,
            UNIQUE (hash_a, hash_b),
            CHECK (hash_a < hash_b)
        ) STRICT""",
    """CREATE TABLE decision_person (  -- whom a decision is about besides its person_id
            decision_id INTEGER NOT NULL REFERENCES decision ON DELETE CASCADE,
            person_id INTEGER NOT NULL,  -- no reference, as in decision
            PRIMARY KEY (decision_id, person_id)
        ) STRICT""",
    "CREATE INDEX decision_of_other_person ON decision_person (person_id)",
    "CREATE INDEX decision_of_face ON decision (face_id)",
    "CREATE INDEX undoing_decision ON decision (undoes) WHERE undoes IS NOT NULL",
    # the first of those that were made at once; no reference: that one may be forgotten
    "ALTER TABLE decision ADD COLUMN run INTEGER",
    "CREATE INDEX decision_of_run ON decision (coalesce(run, id))",
    "CREATE INDEX decision_that_notes ON decision (id) WHERE kind <> 'enroll'",
    # A face that changes hands changes no template, but what is kept in memory of two people.
    """CREATE TRIGGER face_moved AFTER UPDATE OF person_id ON face
        WHEN old.person_id <> new.person_id BEGIN
            INSERT INTO change (template_id, added, token)
            SELECT id, 1, lower(hex(randomblob(8))) FROM template WHERE face_id = new.id;
        END""",
    """UPDATE decision SET payload = json_object(
            'summary', 'renamed ' || (payload ->> 'from') || ' to ' || (payload ->> 'to'),
            'changes', json_array(json_array(
                'person', person_id,
                json_object('name', payload ->> 'from'), json_object('name', payload ->> 'to')
            ))
        ) WHERE kind = 'rename' AND json_valid(payload)""",
    "PRAGMA user_version = 3",
)

SCHEMA_4 = (
    """CREATE TABLE unnamed_group (
            id INTEGER PRIMARY KEY AUTOINCREMENT  -- never used again
        ) STRICT""",
    """CREATE TABLE unnamed_face (  -- no template: what is known of strangers is a place
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            group_id INTEGER NOT NULL REFERENCES unnamed_group ON DELETE CASCADE,
            content_hash TEXT NOT NULL,  -- of the photo, which need not be in the gallery
            box_left REAL NOT NULL,
            box_top REAL NOT NULL,
            box_right REAL NOT NULL,
            box_bottom REAL NOT NULL
        ) STRICT""",
    "CREATE INDEX unnamed_face_of_photo ON unnamed_face (content_hash)",
    "CREATE INDEX unnamed_face_of_group ON unnamed_face (group_id)",
    "PRAGMA user_version = 4",
)

SCHEMA_5 = (
    """CREATE TABLE dismissal (  -- no template, as of those whom nobody named
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            content_hash TEXT NOT NULL,  -- of the photo, which need not be in the gallery
            box_left REAL NOT NULL,
            box_top REAL NOT NULL,
            box_right REAL NOT NULL,
            box_bottom REAL NOT NULL,
            verdict TEXT NOT NULL CHECK (verdict IN ('stranger', 'no face'))
        ) STRICT""",
    "CREATE INDEX dismissal_of_photo ON dismissal (content_hash)",
    "PRAGMA user_version = 5",
)

SCHEMA_6 = (
    "ALTER TABLE face ADD COLUMN seal BLOB NOT NULL DEFAULT x''",  # see seals.py
    "ALTER TABLE template ADD COLUMN seal BLOB NOT NULL DEFAULT x''",
    # a random name of this file for all its life, and how often it was written
    "ALTER TABLE gallery ADD COLUMN lineage TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE gallery ADD COLUMN writes INTEGER NOT NULL DEFAULT 0",
    "UPDATE gallery SET lineage = lower(hex(randomblob(8)))",
    "PRAGMA user_version = 6",
)

SCHEMA_7 = (
    # From here on content_hash is a picture's identity, which other programs' metadata leave as it
    # is, and boxes are as the file stores the picture. Before it was the hash of the file's bytes,
    # and boxes were as the picture was shown: such keys stay, and are noted here.
    """CREATE TABLE former_hash (
            content_hash TEXT PRIMARY KEY,
            identity TEXT,        -- of the picture; null until the file is seen
            orientation INTEGER,  -- of the boxes, as in EXIF
            width INTEGER,        -- as stored
            height INTEGER
        ) STRICT""",
    "CREATE INDEX former_hash_of_picture ON former_hash (identity) WHERE identity IS NOT NULL",
    """INSERT INTO former_hash (content_hash)
            SELECT content_hash FROM photo UNION SELECT content_hash FROM rejection
            UNION SELECT content_hash FROM dismissal UNION SELECT content_hash FROM unnamed_face
            UNION SELECT hash_a FROM not_same_photo UNION SELECT hash_b FROM not_same_photo""",
    # how boxes of the photo are turned to be shown: 1 where they are kept as shown
    "ALTER TABLE photo ADD COLUMN orientation INTEGER NOT NULL DEFAULT 1",
    "PRAGMA user_version = 7",
)

STEPS = (SCHEMA_1, SCHEMA_2, SCHEMA_3, SCHEMA_4, SCHEMA_5, SCHEMA_6, SCHEMA_7)
SCHEMA_VERSION = len(STEPS)  # a gallery carries its own in `user_version`


class Item(NamedTuple):
    """A table, index, trigger or view of a file."""

    kind: str
    name: str
    text: str | None  # the SQL that makes it; None for an index of a UNIQUE column


@cache
def ours(version: int) -> frozenset[Item]:
    """Return what the file of a gallery of that schema holds, but for the migrations' table."""
    with closing(sqlite3.connect(":memory:")) as empty:
        steps = [statement for step in STEPS[:version] for statement in step]
        empty.executescript(";".join(["BEGIN", *steps, "COMMIT"]))
        return items_of(empty)


def items_of(connection: sqlite3.Connection) -> frozenset[Item]:
    """Return every table, index, trigger and view, but for the migrations' table."""
    rows = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema "
        "WHERE NOT (tbl_name = ? AND type IN ('table', 'index'))",
        (MIGRATIONS_TABLE,),
    )
    return frozenset(Item(*row) for row in rows)


def foreign_items(connection: sqlite3.Connection, version: int) -> list[str]:
    """Return what a file of schema `version` holds too much, lacks or has in another form.

    Kind and name each, sorted. A trigger of somebody else's could change what is stored, a table
    or a view could keep or hide it.
    """
    return sorted({f"{item.kind} {item.name}" for item in items_of(connection) ^ ours(version)})
