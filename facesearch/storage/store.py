"""The gallery file: every SQL statement that reads or writes people, photos, faces, templates.

Connections are plain sqlite3 in autocommit mode; what belongs together runs inside
`Store.transaction`, which takes the writer's lock at once, so that what it reads stays true.
What a method of a finished transaction said is stored has reached the disk (synchronous=FULL).
"""

import json
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesearch.errors import GalleryError, NewerGallery

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

APPLICATION_ID = 0x46534731  # "FSG1": what tells a gallery from another program's SQLite file
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 60.0
VARIABLES = 500  # ids in one statement; SQLite's own limit is far above


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person of the gallery and how much is stored of them."""

    id: int
    name: str
    templates: int
    photos: int
    created_at: str


@dataclass(frozen=True, slots=True, eq=False)
class FaceRow:
    """A face to be stored, or one that is; boxes as in facesearch.detection."""

    box: tuple[float, float, float, float]
    landmarks: Floats  # (5, 2)
    score: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class KnownFace:
    """An enrolled face of a photo: where it is and whose."""

    person: str
    box: tuple[float, float, float, float]
    assigned_by: str


class Store:
    """One gallery file; see `Store.open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection

    @classmethod
    def open(cls, path: Path, *, model: str, fingerprint: str, create: bool) -> "Store":
        """Open the gallery file at `path`, made for that model if `create` and it is not there.

        Raises GalleryError if it is missing, damaged, not a gallery or cannot be read or written,
        NewerGallery if a later facesearch wrote it.
        """
        with reported(path):
            exists = path.exists() and path.stat().st_size > 0
            if not exists and not create:
                raise GalleryError(f"there is no gallery at {path}; facesearch enroll makes one")
            if not exists:
                path.parent.mkdir(parents=True, exist_ok=True)
            version = check_is_gallery(path) if exists else 0
            if version < SCHEMA_VERSION:
                from facesearch.storage.migrations import migrate  # 0.2 s of CPU

                migrate(str(path))
            store = cls(path, connect(path))
            if store._db.execute("SELECT count(*) FROM gallery").fetchone() == (0,):
                with store.transaction():
                    store._db.execute(
                        "INSERT OR IGNORE INTO gallery VALUES (1, ?, ?, ?, ?)",
                        (secrets.token_hex(8), model, fingerprint, now()),
                    )
            return store

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one step: all of it is stored at the end, or nothing."""
        with reported(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with reported(self.path):
            return self._db.execute(sql, values).fetchall()

    def _rows_for(self, sql: str, ids: Iterable[int]) -> Iterator[Any]:
        """Yield the rows of `sql`, whose one `IN (?)` stands for all of `ids`, in batches."""
        every = [int(i) for i in ids]
        for start in range(0, len(every), VARIABLES):
            some = every[start : start + VARIABLES]
            yield from self._rows(sql.replace("(?)", f"({','.join('?' * len(some))})"), some)

    # What the gallery is

    def about(self) -> dict[str, str]:
        """Return the gallery's generation, model name, fingerprint and date."""
        (row,) = self._rows("SELECT generation, model, fingerprint, created_at FROM gallery")
        return dict(zip(("generation", "model", "fingerprint", "created_at"), row, strict=True))

    def seq(self) -> int:
        """Return the number of the last change to the templates, 0 before the first."""
        ((seq,),) = self._rows("SELECT coalesce(max(seq), 0) FROM change")
        return int(seq)

    def counts(self) -> dict[str, int]:
        """Return how many people, photos, faces, templates and decisions there are."""
        tables = ("person", "photo", "face", "template", "decision")
        return {t: int(self._rows(f"SELECT count(*) FROM {t}")[0][0]) for t in tables}

    # People

    def people(self) -> list[PersonRow]:
        """Return everyone, by name."""
        return [
            PersonRow(*row)
            for row in self._rows(
                """SELECT person.id, name, count(template.id), count(DISTINCT photo_id), created_at
                FROM person LEFT JOIN face ON face.person_id = person.id
                LEFT JOIN template ON template.face_id = face.id
                GROUP BY person.id ORDER BY name"""
            )
        ]

    def person_id(self, name: str) -> int | None:
        """Return the id of the person called `name`, None if there is none."""
        rows = self._rows("SELECT id FROM person WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else None

    def names(self, person_ids: Iterable[int]) -> dict[int, str]:
        """Return the names of those of `person_ids` who are there."""
        return dict(self._rows_for("SELECT id, name FROM person WHERE id IN (?)", person_ids))

    def add_person(self, name: str) -> int:
        """Store a person; return the id."""
        cursor = self._db.execute(
            "INSERT INTO person (name, created_at) VALUES (?, ?)", (name, now())
        )
        return int(cursor.lastrowid or 0)

    def rename_person(self, person_id: int, name: str) -> None:
        """Change a person's name; raises sqlite3.IntegrityError if it is taken."""
        self._db.execute("UPDATE person SET name = ? WHERE id = ?", (name, person_id))

    def faces_of(self, person_id: int) -> list[tuple[str | None, KnownFace]]:
        """Return the photo paths and faces of a person, in order of enrollment."""
        rows = self._rows(
            """SELECT path, name, box_left, box_top, box_right, box_bottom, assigned_by
            FROM face JOIN photo ON photo.id = photo_id JOIN person ON person.id = person_id
            WHERE person_id = ? ORDER BY face.id""",
            (person_id,),
        )
        return [(path, KnownFace(name, tuple(box), by)) for path, name, *box, by in rows]

    # Photos, faces, templates

    def enrolled_bytes(self) -> set[tuple[str, str]]:
        """Return (person's name, content hash) of everything that is enrolled."""
        return set(
            self._rows(
                "SELECT DISTINCT name, content_hash FROM face JOIN photo ON photo.id = photo_id "
                "JOIN person ON person.id = person_id"
            )
        )

    def known_faces(self, content_hash: str) -> list[KnownFace]:
        """Return the enrolled faces of the photo with these bytes."""
        rows = self._rows(
            """SELECT name, box_left, box_top, box_right, box_bottom, assigned_by
            FROM photo JOIN face ON photo_id = photo.id JOIN person ON person.id = person_id
            WHERE content_hash = ?""",
            (content_hash,),
        )
        return [KnownFace(name, tuple(box), by) for name, *box, by in rows]

    def add_face(
        self,
        person_id: int,
        photo: tuple[str, str, int, int],
        face: FaceRow,
        template: Floats,
        fingerprint: str,
        assigned_by: str,
    ) -> int:
        """Store a face and its template; return the template's id.

        `photo` is (content hash, path, width, height); one that is there already is used.
        """
        self._db.execute(
            """INSERT INTO photo (content_hash, path, width, height, added_at)
            VALUES (?, ?, ?, ?, ?) ON CONFLICT (content_hash) DO NOTHING""",
            (*photo, now()),
        )
        cursor = self._db.execute(
            """INSERT INTO face (photo_id, person_id, assigned_by, box_left, box_top, box_right,
            box_bottom, landmarks, score, sharpness)
            SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM photo WHERE content_hash = ?""",
            (
                person_id,
                assigned_by,
                *face.box,
                face.landmarks.astype("<f4").tobytes(),
                face.score,
                face.sharpness,
                photo[0],
            ),
        )
        face_id = cursor.lastrowid
        cursor = self._db.execute(
            "INSERT INTO template (face_id, fingerprint, vector) VALUES (?, ?, ?)",
            (face_id, fingerprint, template.astype("<f2").tobytes()),
        )
        self.decide("enroll", assigned_by, person_id=person_id, face_id=face_id)
        return int(cursor.lastrowid or 0)

    def templates(self, ids: Iterable[int] | None = None) -> tuple[Ids, Floats]:
        """Return ids (n,) and unit rows (n, dim) of the templates with `ids`, or of all."""
        sql = "SELECT id, vector FROM template"
        if ids is None:
            rows = self._rows(sql + " ORDER BY id")
        else:
            rows = list(self._rows_for(sql + " WHERE id IN (?)", ids))
        return np.array([row[0] for row in rows], np.int64), vectors([row[1] for row in rows])

    def people_of_templates(self, ids: Iterable[int]) -> dict[int, int]:
        """Return template id -> person id for those of `ids` that are there."""
        return dict(
            self._rows_for(
                "SELECT template.id, person_id FROM template JOIN face ON face.id = face_id "
                "WHERE template.id IN (?)",
                ids,
            )
        )

    def templates_of_people(self, person_ids: Iterable[int]) -> tuple[Ids, Floats]:
        """Return person ids (n,) and rows (n, dim) of all templates of these people."""
        rows = list(
            self._rows_for(
                "SELECT person_id, vector FROM face JOIN template ON face_id = face.id "
                "WHERE person_id IN (?) ORDER BY template.id",
                person_ids,
            )
        )
        return np.array([row[0] for row in rows], np.int64), vectors([row[1] for row in rows])

    def people_with_templates(self) -> list[int]:
        """Return the ids of all people who have a template, rising."""
        rows = self._rows(
            "SELECT DISTINCT person_id FROM face JOIN template ON face_id = face.id ORDER BY 1"
        )
        return [int(row[0]) for row in rows]

    def enrolled_faces(self, template_ids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
        """Return template id -> (person's name, photo path) for those that are there."""
        rows = self._rows_for(
            "SELECT template.id, name, path FROM template JOIN face ON face.id = face_id "
            "JOIN person ON person.id = person_id JOIN photo ON photo.id = photo_id "
            "WHERE template.id IN (?)",
            template_ids,
        )
        return {template: (name, path) for template, name, path in rows}

    def changes_since(self, seq: int) -> tuple[list[int], list[int]]:
        """Return the template ids added and removed by the changes after number `seq`."""
        last: dict[int, int] = dict(
            self._rows("SELECT template_id, added FROM change WHERE seq > ? ORDER BY seq", (seq,))
        )
        return [i for i, added in last.items() if added], [i for i, a in last.items() if not a]

    # Decisions

    def decide(
        self,
        kind: str,
        made_by: str = "human",
        *,
        person_id: int | None = None,
        face_id: int | None = None,
        payload: dict[str, Any] | None = None,
    ) -> None:
        """Append to the log of decisions."""
        self._db.execute(
            "INSERT INTO decision (made_at, made_by, kind, person_id, face_id, payload) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (now(), made_by, kind, person_id, face_id, json.dumps(payload or {})),
        )

    def forget_person(self, person_id: int) -> dict[str, int]:
        """Delete a person and all that only they were the reason for; return what went.

        Call `scrub` after the transaction: only then are the bytes gone from the file.
        """
        gone = {}
        gone["templates"] = self._db.execute(
            "DELETE FROM template WHERE face_id IN (SELECT id FROM face WHERE person_id = ?)",
            (person_id,),
        ).rowcount
        photos = "(SELECT photo_id FROM face WHERE person_id = ?)"
        # the path of a photo of several people may be in the forgotten person's folder
        self._db.execute(f"UPDATE photo SET path = NULL WHERE id IN {photos}", (person_id,))
        gone["photos"] = self._db.execute(
            f"""DELETE FROM photo WHERE id IN {photos} AND NOT EXISTS
            (SELECT 1 FROM face WHERE photo_id = photo.id AND person_id <> ?)""",
            (person_id, person_id),
        ).rowcount
        self._db.execute("DELETE FROM face WHERE person_id = ?", (person_id,))
        gone["decisions"] = self._db.execute(
            "DELETE FROM decision WHERE person_id = ?", (person_id,)
        ).rowcount
        self._db.execute("DELETE FROM person WHERE id = ?", (person_id,))
        self.decide("forget")
        return gone

    def scrub(self) -> None:
        """Rewrite the file without a trace of what was deleted, the write-ahead log included."""
        with reported(self.path):
            self._db.execute("VACUUM")
            busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise GalleryError(
                    f"{self.path} is in use by another program, so its log still holds deleted "
                    "data; close that program and run facesearch gallery check"
                )

    # The file as a whole

    def problems(self) -> list[str]:
        """Return what is wrong with the file, a sentence each; an empty list where nothing is."""
        found = [str(row[0]) for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]
        found += [
            f"a row of {row[0]} refers to a row of {row[2]} that is not there"
            for row in self._rows("PRAGMA foreign_key_check")
        ]
        checks = {
            "face(s) without a template": "SELECT count(*) FROM face WHERE id NOT IN "
            "(SELECT face_id FROM template)",
            "template(s) of another model than the gallery's": "SELECT count(*) FROM template "
            "WHERE fingerprint <> (SELECT fingerprint FROM gallery)",
            "template(s) that the change log does not end on": "SELECT count(*) FROM template "
            "WHERE (SELECT added FROM change WHERE template_id = template.id "
            "ORDER BY seq DESC LIMIT 1) IS NOT 1",
        }
        for sentence, sql in checks.items():
            ((count,),) = self._rows(sql)
            if count:
                found.append(f"{count} {sentence}")
        return found

    def copy_to(self, target: Path) -> None:
        """Write the whole gallery to the new file `target`."""
        with reported(target):
            self._db.execute("VACUUM INTO ?", (str(target),))

    def new_generation(self) -> None:
        """Give the gallery another generation: no index of the former one fits it."""
        with self.transaction():
            self._db.execute("UPDATE gallery SET generation = ?", (secrets.token_hex(8),))


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection with every pragma that a gallery relies on."""
    db = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        db.execute(f"PRAGMA {pragma}")
    return db


def check_is_gallery(path: Path) -> int:
    """Return the schema version of the gallery at `path`, 0 where creation was interrupted."""
    if path.is_dir():
        raise GalleryError(f"{path} is a folder, not a gallery file")
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    try:
        ((application,),) = db.execute("PRAGMA application_id")
        ((version,),) = db.execute("PRAGMA user_version")
        ((tables,),) = db.execute(
            "SELECT count(*) FROM sqlite_master WHERE name NOT LIKE '\\_%' ESCAPE '\\'"
        )
    finally:
        db.close()
    if application != APPLICATION_ID and (tables or version):
        raise GalleryError(f"{path} is a SQLite file of another program, not a gallery")
    if version > SCHEMA_VERSION:
        raise NewerGallery(
            f"{path} was written by a newer facesearch (schema {version}, this one reads "
            f"{SCHEMA_VERSION}); update facesearch"
        )
    return int(version)


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say of `path` into one sentence for the user."""
    try:
        yield
    except sqlite3.OperationalError as error:
        reasons = {
            "SQLITE_FULL": "the disk is full; nothing was lost, free some space and go on",
            "SQLITE_BUSY": "another program is writing to it for too long; try again",
            "SQLITE_READONLY": "it cannot be written here; choose another place with --gallery",
            "SQLITE_CANTOPEN": "it cannot be opened here; is the folder there, and writable?",
            "SQLITE_IOERR": "the disk failed to read or write it",
        }
        code = getattr(error, "sqlite_errorname", "") or ""
        reason = next((r for name, r in reasons.items() if code.startswith(name)), str(error))
        raise GalleryError(f"the gallery {path}: {reason}") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise GalleryError(
            f"{path} is damaged or not a gallery ({error}); restore a copy made by "
            "facesearch gallery export"
        ) from error
    except OSError as error:
        raise GalleryError(f"the gallery {path}: {error.strerror or error}") from error


def vectors(blobs: Sequence[bytes]) -> Floats:
    """Return stored vectors as unit rows (n, dim)."""
    if not blobs:
        return np.zeros((0, 0), np.float32)
    rows = np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), -1).astype(np.float32)
    unit_rows: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit_rows


def now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
