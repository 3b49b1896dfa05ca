"""The gallery's schema, step by step: appended, never edited.

SCHEMA_VERSION of sqlite.py is the number of steps. A gallery carries its own in `user_version`, so
that one that is up to date opens without this module (sqlite_utils alone costs 0.2 s of CPU).
"""

import sqlite3

from sqlite_utils import Database, Migrations

from facesearch.storage.sqlite import APPLICATION_ID

migrations = Migrations("facesearch")


@migrations()  # type: ignore[untyped-decorator]  # sqlite_utils has no types here
def m001_people_photos_faces_templates(db: Database) -> None:
    """People, photos, faces, templates, decisions, and the log that an index replays."""
    statements = [
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
    ]
    for statement in statements:
        db.execute(statement)


@migrations()  # type: ignore[untyped-decorator]
def m002_stamped_changes_and_due_scrubs(db: Database) -> None:
    """Changes that a restored copy cannot repeat, and the mark of an erasure not yet finished."""
    statements = [
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
    ]
    for statement in statements:
        db.execute(statement)


@migrations()  # type: ignore[untyped-decorator]
def m003_curation(db: Database) -> None:
    """What humans said of people, faces and photos; decisions about several people, undoable."""
    statements = [
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
    ]
    for statement in statements:
        db.execute(statement)


@migrations()  # type: ignore[untyped-decorator]
def m004_groups_of_the_unnamed(db: Database) -> None:
    """Which faces without a name were one person's, so that groups keep their ids."""
    statements = [
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
    ]
    for statement in statements:
        db.execute(statement)


@migrations()  # type: ignore[untyped-decorator]
def m005_dismissals(db: Database) -> None:
    """Faces that a human dismissed: strangers', or no faces at all."""
    statements = [
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
    ]
    for statement in statements:
        db.execute(statement)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the gallery behind `connection` up to date; call inside a transaction."""
    # without plugins: other installed programs must not change a gallery
    migrations.apply(Database(connection, recursive_triggers=False, execute_plugins=False))
