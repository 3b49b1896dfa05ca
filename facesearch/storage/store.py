"""The gallery file: people, photos, faces, templates, and what humans said of them.

The log of decisions is read and written in decisions.py, people are forgotten in forgetting.py, by
the same connection.

Connections are plain sqlite3 in autocommit mode; what belongs together runs inside
`Store.transaction`, which takes the writer's lock at once, so that what it reads stays true.
What a method of a finished transaction said is stored has reached the disk (synchronous=FULL).
"""

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesearch.errors import GalleryError, NewerGallery
from facesearch.storage.journal import Journal

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

APPLICATION_ID = 0x46534731  # "FSG1": what tells a gallery from another program's SQLite file
SCHEMA_VERSION = 5
BUSY_TIMEOUT_S = 60.0
SCRUB_TIMEOUT_S = 5.0  # how long erasing waits for other programs before it is left for later
READ_ONLY = "it cannot be written here; choose another place with --gallery"
VARIABLES = 500  # ids in one statement; SQLite's own limit is far above
SAME_FACE = 0.5  # boxes of one photo that overlap more (intersection over union) are one face

Box = tuple[float, float, float, float]  # as in facesearch.detection
BOX_COLUMNS = ("box_left", "box_top", "box_right", "box_bottom")
KNOWN_FACE = (
    f"name, {', '.join(BOX_COLUMNS)}, assigned_by, face.id, person_id, content_hash "
    "FROM face JOIN photo ON photo.id = photo_id JOIN person ON person.id = person_id"
)
PERSON_ROW = """SELECT person.id, name, count(template.id), count(DISTINCT photo_id), created_at,
    min(face.id) FROM person LEFT JOIN face ON face.person_id = person.id
    LEFT JOIN template ON template.face_id = face.id"""


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person of the gallery and how much is stored of them."""

    id: int
    name: str
    templates: int
    photos: int
    created_at: str
    cover: int | None  # the id of the face that stands for them, None without any


@dataclass(frozen=True, slots=True, eq=False)
class FaceRow:
    """A face to be stored."""

    box: Box
    landmarks: Floats  # (5, 2)
    score: float
    sharpness: float


@dataclass(frozen=True, slots=True)
class KnownFace:
    """An enrolled face of a photo: where it is and whose."""

    person: str
    box: Box
    assigned_by: str
    id: int
    person_id: int
    content_hash: str  # of the photo's bytes


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a human said: the face at `box` is not that person."""

    id: int
    content_hash: str
    box: Box
    person_id: int


@dataclass(frozen=True, slots=True)
class Dismissal:
    """What a human said: nobody is to be named at `box`."""

    id: int
    content_hash: str
    box: Box
    verdict: str  # "stranger", or "no face": what was taken for one


@dataclass(frozen=True, slots=True)
class UnnamedRow:
    """A face that nobody had named when its group was kept."""

    id: int
    group: int
    box: Box


class Store:
    """One gallery file; see `Store.open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only  # the file, or its folder, cannot be written
        self.db = connection  # for this module and its neighbours
        self._lock = threading.RLock()  # one connection: threads take turns

    @classmethod
    def open(cls, path: Path, *, model: str, fingerprint: str, create: bool) -> "Store":
        """Open the gallery file at `path`, made for that model if `create` and it is not there.

        Where nothing can be written the gallery can still be read. Raises GalleryError if it is
        missing, damaged, not a gallery or cannot be opened, NewerGallery if a later facesearch
        wrote it.
        """
        with reported(path):
            if path.is_dir():
                raise GalleryError(f"{path} is a folder, not a gallery file")
            exists = path.exists() and path.stat().st_size > 0
            if not exists and not create:
                raise GalleryError(f"there is no gallery at {path}; facesearch enroll makes one")
            if not exists:
                path.parent.mkdir(parents=True, exist_ok=True)
            store = cls.open_to_read(path) if exists and not writable(path) else None
            store = store or cls(path, connect(path), read_only=False)
            try:
                version = check_is_gallery(store.db, path)
                if not store.read_only:
                    prepare_to_write(store.db)
                if version < SCHEMA_VERSION:
                    store._bring_up_to_date()
                if store.rows("SELECT count(*) FROM gallery") == [(0,)]:
                    with store.transaction():
                        store.db.execute(
                            "INSERT OR IGNORE INTO gallery VALUES (1, ?, ?, ?, ?)",
                            (secrets.token_hex(8), model, fingerprint, now()),
                        )
            except BaseException:
                store.close()
                raise
            return store

    @classmethod
    def open_to_read(cls, path: Path) -> "Store":
        """Open the gallery file at `path` and promise to change nothing, its schema included.

        Raises what `open` raises.
        """
        with reported(path):
            if not path.exists():
                raise GalleryError(f"there is no gallery at {path}")
            log = path.with_name(path.name + "-wal")
            # What is in the log has to be read too. Without a log SQLite would want to make one,
            # which it cannot here, unless told that nobody changes the file.
            db = connect(path, "mode=ro" if log.exists() else "immutable=1")
            store = cls(path, db, read_only=True)
            try:
                check_is_gallery(store.db, path)
            except BaseException:
                store.close()
                raise
            return store

    @classmethod
    def made_by(cls, path: Path) -> str | None:
        """Return the fingerprint of the model that made the gallery at `path`, None without one.

        Nor where it cannot be read: whoever opens it is told what is wrong with it.
        """
        with suppress(GalleryError), closing(cls.open_to_read(path)) as store:
            for (fingerprint,) in store.rows("SELECT fingerprint FROM gallery"):
                return str(fingerprint)
        return None

    def _bring_up_to_date(self) -> None:
        if self.read_only:
            raise GalleryError(
                f"an older facesearch wrote {self.path} and it cannot be brought up to date, "
                "since it cannot be written here; copy it to another place"
            )
        from facesearch.storage.migrations import migrate  # 0.2 s of CPU

        with self.transaction():
            migrate(self.db)

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one step: all of it is stored at the end, or nothing."""
        if self.read_only:
            raise GalleryError(f"the gallery {self.path}: {READ_ONLY}")
        with self._lock, reported(self.path):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything that is read inside be of one moment, whoever writes meanwhile."""
        with self._lock, reported(self.path):
            self.db.execute("BEGIN")
            try:
                yield
            finally:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that `sql` selects."""
        with self._lock, reported(self.path):
            return self.db.execute(sql, values).fetchall()

    def rows_for(self, sql: str, ids: Iterable[int]) -> Iterator[Any]:
        """Yield the rows of `sql`, whose one `IN (?)` stands for all of `ids`, in batches."""
        every = [int(i) for i in ids]
        for start in range(0, len(every), VARIABLES):
            some = every[start : start + VARIABLES]
            yield from self.rows(sql.replace("(?)", f"({','.join('?' * len(some))})"), some)

    # What the gallery is

    def about(self) -> dict[str, str]:
        """Return the gallery's generation, model name, fingerprint and date."""
        (row,) = self.rows("SELECT generation, model, fingerprint, created_at FROM gallery")
        return dict(zip(("generation", "model", "fingerprint", "created_at"), row, strict=True))

    def seq(self) -> int:
        """Return the number of the last change to the templates, 0 before the first."""
        ((seq,),) = self.rows("SELECT coalesce(max(seq), 0) FROM change")
        return int(seq)

    def stamp(self, seq: int) -> str | None:
        """Return what names the gallery as it was after change `seq`; None if it never was there.

        Hexadecimal. A gallery that was restored from a copy gives the numbers of lost changes to
        others, but not their stamps.
        """
        if seq == 0:
            return self.about()["generation"]
        rows = self.rows(
            "SELECT generation || token FROM gallery JOIN change WHERE seq = ?", (seq,)
        )
        return str(rows[0][0]) if rows else None

    def counts(self) -> dict[str, int]:
        """Return how many people, photos, faces, templates and decisions there are."""
        tables = ("person", "photo", "face", "template", "decision")
        return {t: int(self.rows(f"SELECT count(*) FROM {t}")[0][0]) for t in tables}

    # People

    def people(self) -> list[PersonRow]:
        """Return everyone, by name."""
        rows = self.rows(f"{PERSON_ROW} GROUP BY person.id ORDER BY name")
        return [PersonRow(*row) for row in rows]

    def some_people(self, person_ids: Sequence[int]) -> list[PersonRow]:
        """Return those of `person_ids` who are there, in that order."""
        rows = self.rows_for(f"{PERSON_ROW} WHERE person.id IN (?) GROUP BY person.id", person_ids)
        found = {row[0]: PersonRow(*row) for row in rows}
        return [found[person] for person in person_ids if person in found]

    def person_id(self, name: str) -> int | None:
        """Return the id of the person called `name`, None if there is none."""
        rows = self.rows("SELECT id FROM person WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else None

    def names(self, person_ids: Iterable[int]) -> dict[int, str]:
        """Return the names of those of `person_ids` who are there."""
        return dict(self.rows_for("SELECT id, name FROM person WHERE id IN (?)", person_ids))

    def add_person(self, name: str) -> int:
        """Store a person; return the id."""
        cursor = self.db.execute(
            "INSERT INTO person (name, created_at) VALUES (?, ?)", (name, now())
        )
        return int(cursor.lastrowid or 0)

    def n_people(self) -> int:
        """Return how many people there are."""
        return int(self.rows("SELECT count(*) FROM person")[0][0])

    def cover(self, name: str) -> int | None:
        """Return the id of the face that stands for who is called `name`, None without any."""
        sql = "SELECT min(face.id) FROM face JOIN person ON person.id = person_id WHERE name = ?"
        ((cover,),) = self.rows(sql, (name,))
        return None if cover is None else int(cover)

    def ids_by_name(self) -> list[tuple[int, str]]:
        """Return the ids and names of everyone, by name."""
        return self.rows("SELECT id, name FROM person ORDER BY name")

    def every_name(self) -> list[str]:
        """Return all names, in their order."""
        return [name for (name,) in self.rows("SELECT name FROM person ORDER BY name")]

    def faces_of(self, person_id: int) -> list[tuple[str | None, KnownFace]]:
        """Return the photo paths and faces of a person, in order of enrollment."""
        rows = self.rows(
            f"SELECT path, {KNOWN_FACE} WHERE person_id = ? ORDER BY face.id", (person_id,)
        )
        return [(path, known_face(row)) for path, *row in rows]

    # Photos, faces, templates

    def journal(self) -> Journal:
        """Return what makes and notes the row changes of one decision."""
        return Journal(self.db)

    def enrolled_bytes(self) -> set[tuple[str, str]]:
        """Return (person's name, content hash) of everything that is enrolled."""
        return set(
            self.rows(
                "SELECT DISTINCT name, content_hash FROM face JOIN photo ON photo.id = photo_id "
                "JOIN person ON person.id = person_id"
            )
        )

    def known_faces(self, content_hash: str) -> list[KnownFace]:
        """Return the enrolled faces of the photo with these bytes."""
        rows = self.rows(f"SELECT {KNOWN_FACE} WHERE content_hash = ?", (content_hash,))
        return [known_face(row) for row in rows]

    def photo_path(self, content_hash: str) -> str | None:
        """Return where the photo with these bytes was enrolled from; None if that is not kept."""
        rows = self.rows("SELECT path FROM photo WHERE content_hash = ?", (content_hash,))
        return rows[0][0] if rows else None

    def photos_with_paths(self) -> set[str]:
        """Return the content hashes of the photos of which it is kept where they are."""
        rows = self.rows("SELECT content_hash FROM photo WHERE path IS NOT NULL")
        return {content_hash for (content_hash,) in rows}

    def face(self, face_id: int) -> KnownFace | None:
        """Return a face, None if it is gone."""
        rows = self.rows(f"SELECT {KNOWN_FACE} WHERE face.id = ?", (face_id,))
        return known_face(rows[0]) if rows else None

    def insert_face(
        self,
        journal: Journal,
        person_id: int,
        photo: tuple[str, str, int, int],
        face: FaceRow,
        template: Floats,
        fingerprint: str,
        assigned_by: str,
    ) -> int:
        """Insert a face, its template and, if need be, its photo; return the id of the face.

        `photo` is (content hash, path, width, height); one that is there already is used.
        """
        known = self.rows("SELECT id FROM photo WHERE content_hash = ?", (photo[0],))
        photo_id = known[0][0] if known else None
        if photo_id is None:
            columns = ("content_hash", "path", "width", "height", "added_at")
            values = (photo[0], readable(photo[1]), *photo[2:], now())
            photo_id = journal.insert("photo", dict(zip(columns, values, strict=True)))
        face_id = journal.insert(
            "face",
            {
                "photo_id": photo_id,
                "person_id": person_id,
                "assigned_by": assigned_by,
                **dict(zip(BOX_COLUMNS, face.box, strict=True)),
                "landmarks": face.landmarks.astype("<f4").tobytes(),
                "score": face.score,
                "sharpness": face.sharpness,
            },
        )
        vector = template.astype("<f2").tobytes()
        journal.insert(
            "template", {"face_id": face_id, "fingerprint": fingerprint, "vector": vector}
        )
        return face_id

    def remove_face(self, journal: Journal, face_id: int) -> None:
        """Delete a face with its templates, and its photo if it was the last face on it."""
        for (template,) in self.rows("SELECT id FROM template WHERE face_id = ?", (face_id,)):
            journal.delete("template", template)
        ((photo,),) = self.rows("SELECT photo_id FROM face WHERE id = ?", (face_id,))
        journal.delete("face", face_id)
        if not journal.is_used("photo", photo):
            journal.delete("photo", photo)

    def templates(self, ids: Iterable[int] | None = None) -> tuple[Ids, Floats]:
        """Return ids (n,) and unit rows (n, dim) of the templates with `ids`, or of all."""
        sql = "SELECT id, vector FROM template"
        if ids is None:
            rows = self.rows(sql + " ORDER BY id")
        else:
            rows = list(self.rows_for(sql + " WHERE id IN (?)", ids))
        return np.array([row[0] for row in rows], np.int64), self._vectors(rows)

    def _vectors(self, rows: Sequence[tuple[int, bytes]]) -> Floats:
        try:
            return vectors([vector for _, vector in rows])
        except (TypeError, ValueError) as error:
            raise damaged(self.path, error) from error

    def people_of_templates(self, ids: Iterable[int]) -> dict[int, int]:
        """Return template id -> person id for those of `ids` that are there."""
        return dict(
            self.rows_for(
                "SELECT template.id, person_id FROM template JOIN face ON face.id = face_id "
                "WHERE template.id IN (?)",
                ids,
            )
        )

    def templates_of_people(self, person_ids: Iterable[int]) -> tuple[Ids, Floats]:
        """Return person ids (n,) and rows (n, dim) of all templates of these people."""
        rows = list(
            self.rows_for(
                "SELECT person_id, vector FROM face JOIN template ON face_id = face.id "
                "WHERE person_id IN (?) ORDER BY template.id",
                person_ids,
            )
        )
        return np.array([row[0] for row in rows], np.int64), self._vectors(rows)

    def faces_of_people(self, person_ids: Iterable[int]) -> tuple[Ids, Ids, Floats]:
        """Return face ids (n,), person ids (n,) and rows (n, dim) of all templates of these."""
        rows = list(
            self.rows_for(
                "SELECT face.id, person_id, vector FROM face JOIN template ON face_id = face.id "
                "WHERE person_id IN (?) ORDER BY face.id",
                person_ids,
            )
        )
        faces, people = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
        return faces, people, self._vectors([row[1:] for row in rows])

    def n_templates(self) -> dict[int, int]:
        """Return person id -> number of templates, of all who have one, ids rising."""
        return dict(
            self.rows(
                "SELECT person_id, count(*) FROM face JOIN template ON face_id = face.id "
                "GROUP BY person_id ORDER BY person_id"
            )
        )

    def people_with_templates(self) -> list[int]:
        """Return the ids of all people who have a template, rising."""
        rows = self.rows(
            "SELECT DISTINCT person_id FROM face JOIN template ON face_id = face.id ORDER BY 1"
        )
        return [int(row[0]) for row in rows]

    def enrolled_faces(self, template_ids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
        """Return template id -> (person's name, photo path) for those that are there."""
        rows = self.rows_for(
            "SELECT template.id, name, path FROM template JOIN face ON face.id = face_id "
            "JOIN person ON person.id = person_id JOIN photo ON photo.id = photo_id "
            "WHERE template.id IN (?)",
            template_ids,
        )
        return {template: (name, path) for template, name, path in rows}

    def changes_since(self, seq: int) -> tuple[list[int], list[int]]:
        """Return the template ids added and removed by the changes after number `seq`."""
        last: dict[int, int] = dict(
            self.rows("SELECT template_id, added FROM change WHERE seq > ? ORDER BY seq", (seq,))
        )
        return [i for i, added in last.items() if added], [i for i, a in last.items() if not a]

    # What humans said

    def rejections(self, content_hash: str) -> list[Rejection]:
        """Return whom a human said the faces of a photo are not."""
        return self._rejections("content_hash = ?", content_hash)

    def rejections_of(self, person_id: int) -> list[Rejection]:
        """Return which faces a human said are not this person."""
        return self._rejections("person_id = ?", person_id)

    def rejection(self, row: int) -> list[Rejection]:
        """Return the rejection with that id, if there is one."""
        return self._rejections("id = ?", row)

    def _rejections(self, where: str, value: str | int) -> list[Rejection]:
        rows = self.rows(
            f"SELECT id, content_hash, {', '.join(BOX_COLUMNS)}, person_id FROM rejection "
            f"WHERE {where} ORDER BY id",
            (value,),
        )
        return [Rejection(row, photo, tuple(box), by) for row, photo, *box, by in rows]

    def dismissals(self, content_hash: str) -> list[Dismissal]:
        """Return of which faces of a photo a human said that nobody is to be named."""
        return self._dismissals("content_hash = ?", content_hash)

    def dismissal(self, row: int) -> list[Dismissal]:
        """Return the dismissal with that id, if there is one."""
        return self._dismissals("id = ?", row)

    def _dismissals(self, where: str, value: str | int) -> list[Dismissal]:
        rows = self.rows(
            f"SELECT id, content_hash, {', '.join(BOX_COLUMNS)}, verdict FROM dismissal "
            f"WHERE {where} ORDER BY id",
            (value,),
        )
        return [Dismissal(row, photo, tuple(box), verdict) for row, photo, *box, verdict in rows]

    def not_same(self) -> list[tuple[int, int, int]]:
        """Return (row id, person id, larger person id) of who a human said are two people."""
        return self.rows("SELECT id, person_a, person_b FROM not_same ORDER BY id")

    def not_same_photos(self) -> set[tuple[str, str]]:
        """Return the content hashes, smaller first, of what a human said are two pictures."""
        return set(self.rows("SELECT hash_a, hash_b FROM not_same_photo"))

    # Who nobody named

    def unnamed(self, content_hash: str) -> list[UnnamedRow]:
        """Return the faces of a photo that were in a group when nobody had named them."""
        rows = self.rows(
            f"SELECT id, group_id, {', '.join(BOX_COLUMNS)} FROM unnamed_face "
            "WHERE content_hash = ?",
            (content_hash,),
        )
        return [UnnamedRow(row, group, tuple(box)) for row, group, *box in rows]

    def next_unnamed_group(self) -> int:
        """Return an id that no group of unnamed faces ever had."""
        rows = self.rows("SELECT seq FROM sqlite_sequence WHERE name = 'unnamed_group'")
        return int(rows[0][0]) + 1 if rows else 1

    def keep_unnamed(
        self, groups: Mapping[int, Sequence[tuple[str, Box]]], instead_of: Iterable[int]
    ) -> None:
        """Keep which faces, (content hash, box), form which group, id -> faces.

        They replace the rows with the ids `instead_of`. Call inside a transaction.
        """
        self.db.executemany("DELETE FROM unnamed_face WHERE id = ?", [(row,) for row in instead_of])
        self.db.executemany(
            "INSERT OR IGNORE INTO unnamed_group VALUES (?)", [(group,) for group in groups]
        )
        self.db.executemany(
            f"INSERT INTO unnamed_face (group_id, content_hash, {', '.join(BOX_COLUMNS)}) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(group, photo, *box) for group, faces in groups.items() for photo, box in faces],
        )
        self.db.execute(
            "DELETE FROM unnamed_group WHERE id NOT IN (SELECT group_id FROM unnamed_face)"
        )

    # Erasing

    def scrub_is_due(self) -> bool:
        """Return whether the file still holds bytes of what was deleted."""
        return bool(self.rows("SELECT 1 FROM scrub_due LIMIT 1"))

    def scrub(self) -> None:
        """Rewrite the file without a trace of what was deleted, the write-ahead log included.

        Raises GalleryError, with `scrub_is_due` as before, if another program prevents it or the
        disk has no room for a second copy.
        """
        with self._lock, reported(self.path):
            ((due,),) = self.rows("SELECT coalesce(max(id), 0) FROM scrub_due")
            try:
                self.db.execute(f"PRAGMA busy_timeout = {round(SCRUB_TIMEOUT_S * 1000)}")
                self.db.execute("VACUUM")
                busy, _, _ = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError as error:
                if not (error.sqlite_errorname or "").startswith("SQLITE_BUSY"):
                    raise
                busy = 1
            finally:
                self.db.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")
            if busy:
                raise GalleryError(
                    f"{self.path} is in use by another program, so it still holds bytes of what "
                    "was deleted; close that program and run facesearch gallery check"
                )
            self.db.execute("DELETE FROM scrub_due WHERE id <= ?", (due,))

    # The file as a whole

    def problems(self) -> list[str]:
        """Return what is wrong with the file, a sentence each; an empty list where nothing is."""
        found = [str(row[0]) for row in self.rows("PRAGMA integrity_check") if row[0] != "ok"]
        found += [
            f"a row of {row[0]} refers to a row of {row[2]} that is not there"
            for row in self.rows("PRAGMA foreign_key_check")
        ]
        # SQLite takes `added` from the row that has the greatest seq
        last = "SELECT template_id, added, max(seq) FROM change GROUP BY template_id"
        checks = {
            "face(s) without a template": "SELECT count(*) FROM face WHERE id NOT IN "
            "(SELECT face_id FROM template)",
            "template(s) of another model than the gallery's": "SELECT count(*) FROM template "
            "WHERE fingerprint <> (SELECT fingerprint FROM gallery)",
            "photo(s) without a face": "SELECT count(*) FROM photo WHERE id NOT IN "
            "(SELECT photo_id FROM face)",
            "template(s) that the change log does not end on": "SELECT count(*) FROM template "
            f"LEFT JOIN ({last}) ON template_id = template.id WHERE added IS NOT 1",
            "template(s) of the change log that are not there": f"SELECT count(*) FROM ({last}) "
            "WHERE added = 1 AND template_id NOT IN (SELECT id FROM template)",
        }
        if self.rows("PRAGMA user_version") >= [(3,)]:  # an export may be older
            checks |= {
                "decision(s) that cannot be read": "SELECT count(*) FROM decision "
                "WHERE NOT json_valid(payload)",
                "decision(s) that undo a later one": "SELECT count(*) FROM decision "
                "WHERE undoes >= id",
                "face(s) enrolled as somebody who they are not, as a human said": "SELECT count(*) "
                "FROM rejection JOIN photo USING (content_hash) JOIN face ON photo_id = photo.id "
                "WHERE face.person_id = rejection.person_id "
                + " ".join(f"AND face.{c} = rejection.{c}" for c in BOX_COLUMNS),
            }
        if self.rows("PRAGMA user_version") >= [(5,)]:
            checks["enrolled face(s) of which a human said that nobody is to be named"] = (
                "SELECT count(*) FROM dismissal JOIN photo USING (content_hash) "
                "JOIN face ON photo_id = photo.id "
                "WHERE " + " AND ".join(f"face.{c} = dismissal.{c}" for c in BOX_COLUMNS)
            )
        for sentence, sql in checks.items():
            ((count,),) = self.rows(sql)
            if count:
                found.append(f"{count} {sentence}")
        try:
            self.templates()
        except GalleryError as error:
            found.append(str(error))
        return found

    def copy_to(self, target: Path) -> None:
        """Write the whole gallery to the new file `target`, as another generation.

        `target` is there when it is complete and on the disk, and not before. Raises GalleryError.
        """
        unfinished = target.with_name(target.name + ".unfinished")
        with reported(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                unfinished.unlink(missing_ok=True)
                with self._lock:
                    self.db.execute("VACUUM INTO ?", (str(unfinished),))
                copy = connect(unfinished)
                try:
                    copy.execute("UPDATE gallery SET generation = ?", (secrets.token_hex(8),))
                finally:
                    copy.close()
                with unfinished.open("rb+") as file:
                    os.fsync(file.fileno())
                if target.exists():
                    raise GalleryError(f"{target} is there already; name a new file")
                unfinished.replace(target)
            finally:
                unfinished.unlink(missing_ok=True)


def known_face(row: Sequence[Any]) -> KnownFace:
    """Return the face in a row of the columns KNOWN_FACE."""
    name, *box, assigned_by, face, person, content_hash = row
    place = (box[0], box[1], box[2], box[3])
    return KnownFace(name, place, assigned_by, face, person, content_hash)


def same_place(a: Box, b: Box) -> bool:
    """Return whether two boxes of one photo are the same face."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return shared > SAME_FACE * (areas - shared)


def connect(path: Path, how: str = "mode=rwc") -> sqlite3.Connection:
    """Return a connection to `path`, opened as SQLite's URI parameters `how` say."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )


def prepare_to_write(db: sqlite3.Connection) -> None:
    """Set every pragma that a gallery relies on."""
    give_up = monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # two programs that make one gallery: here SQLite does not wait by itself
            if error.sqlite_errorname != "SQLITE_BUSY" or monotonic() > give_up:
                raise
            sleep(0.01)
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        db.execute(f"PRAGMA {pragma}")


def check_is_gallery(db: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of the gallery in `db`, 0 where there is nothing yet."""
    db.execute("BEGIN")  # the three of one moment, while another program makes the gallery
    try:
        ((application,),) = db.execute("PRAGMA application_id")
        ((version,),) = db.execute("PRAGMA user_version")
        ((tables,),) = db.execute("SELECT count(*) FROM sqlite_master")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    if application != APPLICATION_ID and (application or version or tables):
        raise GalleryError(f"{path} is a SQLite file of another program, not a gallery")
    if version > SCHEMA_VERSION:
        raise NewerGallery(
            f"{path} was written by a newer facesearch (schema {version}, this one reads "
            f"{SCHEMA_VERSION}); update facesearch"
        )
    return int(version)


def writable(path: Path) -> bool:
    """Return whether the file `path` and its folder, where SQLite keeps its log, can be written."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say of `path` into one sentence for the user."""
    try:
        yield
    except sqlite3.OperationalError as error:
        reasons = {
            "SQLITE_FULL": "the disk is full; nothing was lost, free some space and go on",
            "SQLITE_BUSY": "another program is writing to it for too long; try again",
            "SQLITE_READONLY": READ_ONLY,
            "SQLITE_CANTOPEN": "it cannot be opened here; is the folder there, and writable?",
            "SQLITE_IOERR": "the disk failed to read or write it",
        }
        code = getattr(error, "sqlite_errorname", None) or ""
        reason = next((r for name, r in reasons.items() if code.startswith(name)), str(error))
        raise GalleryError(f"the gallery {path}: {reason}") from error
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # ours to repair, not the file's
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # SQLite quotes damaged text
        raise damaged(path, " ".join(str(error).split())) from error
    except OSError as error:
        raise GalleryError(f"the gallery {path}: {error.strerror or error}") from error


def damaged(path: Path, why: object) -> GalleryError:
    """Return the error that says that `path` cannot be used any more."""
    return GalleryError(
        f"{path} is damaged or not a gallery ({why}); restore a copy made by "
        "facesearch gallery export"
    )


def vectors(blobs: Sequence[bytes]) -> Floats:
    """Return stored vectors as unit rows (n, dim).

    Raises TypeError, ValueError if they are no vectors of one length with a direction.
    """
    if not blobs:
        return np.zeros((0, 0), np.float32)
    if len({len(blob) for blob in blobs}) != 1:
        raise ValueError("templates of several lengths")
    rows = np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), -1).astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("templates that are no numbers")
    rows /= lengths  # in place: a large gallery has no room for another copy
    return rows


def readable(path: str) -> str:
    """Return `path` as text that can be stored; bytes that are no text become question marks."""
    return path.encode("utf-8", "replace").decode("utf-8")


def now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
