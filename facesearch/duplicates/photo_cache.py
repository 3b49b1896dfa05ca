"""What was computed from photos, kept from run to run: a cache, losing it costs time only.

One SQLite file. It holds small pictures and embeddings of people, so it lies in the folder of the
gallery's index files, whose content `forget` deletes. A file of another version, or a damaged one,
is deleted.
"""

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
from numpy.typing import NDArray

from facesearch.duplicates.camera import NO_CAMERA, Camera, camera_from_text, camera_text
from facesearch.duplicates.picture import CODE_BYTES, RADIUS, SIDE, Likeness, Look, compare
from facesearch.private import make_private_file, make_private_folder

# A picture's identity, orientation, width and height; the faces in it, and their embeddings
PackedSeen = tuple[str, int, int, int, bytes, bytes]

VERSION = 5  # of the tables, and of everything that looks and likenesses depend on
COMMIT_AFTER_S = 1.0  # the most work a kill may cost
BUSY_TIMEOUT_S = 60.0  # how long to wait while another program writes
_LOOKS = 4096  # looks held in memory, 36 MB
_BATCH = 1024  # new pictures compared with all others per commit: the most a kill may cost there
_NEAREST = 8  # neighbors of each code; copies of one picture find each other

_Coded = tuple[int, NDArray[np.uint8]]  # id of a picture, its codes

_SCHEMA = """
CREATE TABLE file (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode TEXT, content_hash TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE picture (
    id INTEGER PRIMARY KEY, content_hash TEXT UNIQUE, identity TEXT, width INTEGER, height INTEGER,
    colourless INTEGER, colours REAL, plain INTEGER, grey BLOB, codes BLOB, camera TEXT,
    compared INTEGER DEFAULT 0
) STRICT;
CREATE TABLE seen (
    content_hash TEXT, fingerprint TEXT, identity TEXT, orientation INTEGER, width INTEGER,
    height INTEGER, faces BLOB, embeddings BLOB,
    PRIMARY KEY (content_hash, fingerprint)
) STRICT;
CREATE TABLE near (
    first INTEGER, second INTEGER, bits INTEGER, PRIMARY KEY (first, second)
) STRICT, WITHOUT ROWID;
CREATE TABLE likeness (
    first INTEGER, second INTEGER, score REAL, mirrored INTEGER, turned INTEGER,
    area REAL, exposure REAL, burst INTEGER, PRIMARY KEY (first, second)
) STRICT, WITHOUT ROWID;
CREATE TABLE closely (
    first INTEGER, second INTEGER, differing REAL, PRIMARY KEY (first, second)
) STRICT, WITHOUT ROWID;
CREATE TABLE equal (
    first INTEGER, second INTEGER, equal INTEGER, PRIMARY KEY (first, second)
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class FileState:
    """Size, time and inode: while these are equal, a file is taken to be unchanged."""

    size: int
    mtime_ns: int
    inode: str  # device and inode

    @classmethod
    def of(cls, status: os.stat_result) -> "FileState":
        """Return the state in an answer of `os.stat`."""
        return cls(status.st_size, status.st_mtime_ns, f"{status.st_dev}:{status.st_ino}")


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo that was read, and the state it was read in."""

    path: str  # absolute
    content_hash: str
    identity: str  # of its picture, see picture_identity.py
    state: FileState
    width: int  # upright, in pixels
    height: int
    picture: int  # id in the cache
    folder: int  # place of its folder among those searched, from 0
    camera: Camera = NO_CAMERA
    companions: tuple[str, ...] = ()  # files beside it that belong to it, by path


class PhotoCache:
    """Files, their looks, which are near each other and how alike; ids are this cache's own."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the cache at `path`; in memory if it is None or cannot be written."""
        self._db = _opened(path)
        self._committed = monotonic()
        self._look = lru_cache(_LOOKS)(self._read_look)

    def commit(self) -> None:
        """Keep what was computed; until then no other program can write here."""
        self._db.commit()
        self._committed = monotonic()

    def close(self) -> None:
        """Keep what was computed and close the file."""
        with contextlib.suppress(sqlite3.Error):  # a full disk: the cache has lost something
            self._db.commit()
        self._db.close()

    def hash_of(self, path: str, state: FileState) -> str | None:
        """Return the content hash of the file in that state, None if it was not read in it."""
        row = self._db.execute(
            "SELECT content_hash FROM file WHERE (path, size, mtime_ns, inode) = (?, ?, ?, ?)",
            (os.fsencode(path), state.size, state.mtime_ns, state.inode),
        ).fetchone()
        return row and str(row[0])

    def add_file(self, path: str, state: FileState, content_hash: str) -> None:
        """Keep the content hash of the file in that state."""
        values = (os.fsencode(path), state.size, state.mtime_ns, state.inode, content_hash)
        self._write("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)", values)

    def picture_id(self, content_hash: str) -> int | None:
        """Return the id of a picture, None if its look is not kept."""
        row = self._db.execute(
            "SELECT id FROM picture WHERE content_hash = ?", (content_hash,)
        ).fetchone()
        return row and int(row[0])

    def add_picture(self, content_hash: str, identity: str, look: Look, camera: Camera) -> int:
        """Keep the look of a picture and what its camera wrote; return its id."""
        cursor = self._write(
            "INSERT INTO picture (content_hash, identity, width, height, colourless, colours, "
            "plain, grey, codes, camera) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                content_hash,
                identity,
                look.width,
                look.height,
                look.grayscale,
                look.colors,
                look.plain,
                _packed(look.gray),
                look.codes.tobytes(),
                camera_text(camera),
            ),
        )
        return int(cursor.lastrowid or 0)

    def look(self, picture: int) -> Look:
        """Return the look of a picture that is kept."""
        return self._look(picture)

    def _read_look(self, picture: int) -> Look:
        row = self._db.execute(
            "SELECT width, height, colourless, colours, plain, grey, codes FROM picture "
            "WHERE id = ?",
            (picture,),
        ).fetchone()
        if row is None:
            raise sqlite3.DatabaseError("another run has deleted a picture")
        width, height, grayscale, colors, plain, jpeg, codes = row
        unpacked = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        if unpacked is None or unpacked.shape != (SIDE, SIDE):
            raise sqlite3.DatabaseError("a small picture in the cache is damaged")
        small = np.asarray(unpacked, np.uint8)
        codes = _unpacked_codes(codes)
        return Look(width, height, bool(grayscale), colors, bool(plain), small, codes)

    def identity_and_camera(self, picture: int) -> tuple[str, Camera]:
        """Return the identity of a picture that is kept, and what the camera wrote into it."""
        row = self._db.execute(
            "SELECT identity, camera FROM picture WHERE id = ?", (picture,)
        ).fetchone()
        if row is None:
            raise sqlite3.DatabaseError("another run has deleted a picture")
        return str(row[0]), camera_from_text(row[1])

    def seen(self, content_hash: str, fingerprint: str) -> PackedSeen | None:
        """Return what the model with that fingerprint saw in a photo; None if it never looked."""
        row = self._db.execute(
            "SELECT identity, orientation, width, height, faces, embeddings FROM seen "
            "WHERE (content_hash, fingerprint) = (?, ?)",
            (content_hash, fingerprint),
        ).fetchone()
        return row and (str(row[0]), int(row[1]), int(row[2]), int(row[3]), row[4], row[5])

    def add_seen(self, content_hash: str, fingerprint: str, packed: PackedSeen) -> None:
        """Keep what the model with that fingerprint saw in a photo."""
        values = (content_hash, fingerprint, *packed)
        self._write("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def compare_new(self) -> Iterator[tuple[int, int]]:
        """Find the pictures near every new one; yield how many are done, and of how many."""
        if self._db.execute("SELECT 1 FROM picture WHERE NOT compared").fetchone() is None:
            return
        rows = self._db.execute("SELECT id, compared, codes FROM picture ORDER BY id").fetchall()
        kept = [(i, done, _unpacked_codes(codes)) for i, done, codes in rows if codes]
        new = [(i, codes) for i, done, codes in kept if not done]
        known = [(i, codes) for i, done, codes in kept if done]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._find(batch, known + batch)
            for place in range(
                0, len(known), _BATCH
            ):  # one of their windows may be a whole new one
                self._find(known[place : place + _BATCH], batch)
            known += batch
            self._db.executemany(
                "UPDATE picture SET compared = 1 WHERE id = ?", [(i,) for i, _ in batch]
            )
            self.commit()
            yield min(start + _BATCH, len(new)), len(new)

    def _find(self, asking: list[_Coded], asked: list[_Coded]) -> None:
        """Keep which pictures `asked` are, as a whole, near any code of the pictures `asking`."""
        from facesearch_indexes.binary import near_codes  # loads faiss

        if not asking or not asked:
            return
        ways = len(asking[0][1])
        asking_ids, asked_ids = (np.array([i for i, _ in some]) for some in (asking, asked))
        queries = np.concatenate([codes for _, codes in asking])
        wholes = np.stack([codes[0] for _, codes in asked])
        for rows, places, bits in near_codes(queries, wholes, RADIUS, _NEAREST):
            pairs = np.stack([asking_ids[rows // ways], asked_ids[places]])
            pairs.sort(axis=0)
            values = np.vstack([pairs, bits])[:, pairs[0] != pairs[1]]
            self._db.executemany(
                "INSERT INTO near VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
                "SET bits = min(bits, excluded.bits)",
                values.T.tolist(),
            )

    def near(self, pictures: Collection[int]) -> NDArray[np.int64]:
        """Return (n, 3): bits, first, second of the pairs that may be the same, nearest first."""
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (picture INTEGER PRIMARY KEY)")
        self._db.execute("DELETE FROM temp.wanted")
        self._db.executemany("INSERT INTO temp.wanted VALUES (?)", ((i,) for i in pictures))
        rows = self._db.execute(
            "SELECT bits, first, second FROM near "
            "JOIN temp.wanted AS one ON one.picture = first "
            "JOIN temp.wanted AS two ON two.picture = second ORDER BY 1, 2, 3"
        )
        return np.fromiter(
            rows, np.dtype((np.int64, 3))
        )  # compact: there may be ten pairs per picture

    def likeness(self, first: int, second: int) -> Likeness | None:
        """Return how alike two pictures are, None if they are different; computed only once."""
        one, two = min(first, second), max(first, second)
        row = self._db.execute(
            "SELECT score, mirrored, turned, area, exposure, burst FROM likeness "
            "WHERE (first, second) = (?, ?)",
            (one, two),
        ).fetchone()
        if row is None:
            found = compare(self.look(one), self.look(two))
            row = (
                (found.score, found.mirrored, found.turned, found.area, found.exposure, found.burst)
                if found
                else (0.0, 0, 0, 1.0, 1.0, 0)
            )
            self._write("INSERT INTO likeness VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (one, two, *row))
        score, mirrored, turned, area, exposure, burst = row
        if score == 0 and not burst:
            return None
        if first != one:
            area = 1 / area
        return Likeness(score, bool(mirrored), bool(turned), area, exposure, bool(burst))

    def differing(self, first: int, second: int) -> float | None:
        """Return the kept answer of `look_closely` for two pictures, None if there is none."""
        row = self._db.execute(
            "SELECT differing FROM closely WHERE (first, second) = (?, ?)",
            (min(first, second), max(first, second)),
        ).fetchone()
        return row and float(row[0])

    def add_differing(self, first: int, second: int, differing: float) -> None:
        """Keep the answer of `look_closely` for two pictures."""
        values = (min(first, second), max(first, second), differing)
        self._write("INSERT OR REPLACE INTO closely VALUES (?, ?, ?)", values)

    def equal(self, first: int, second: int) -> bool | None:
        """Return whether two pictures are equal in every pixel, None if that is not known."""
        row = self._db.execute(
            "SELECT equal FROM equal WHERE (first, second) = (?, ?)",
            (min(first, second), max(first, second)),
        ).fetchone()
        return row and bool(row[0])

    def add_equal(self, first: int, second: int, equal: bool) -> None:
        """Keep whether two pictures are equal in every pixel."""
        values = (min(first, second), max(first, second), equal)
        self._write("INSERT OR REPLACE INTO equal VALUES (?, ?, ?)", values)

    def prune(self, roots: Collection[str], found: AbstractSet[str]) -> None:
        """Delete the files under `roots` that are not in `found`, and what only they needed."""
        inside = tuple(os.path.join(os.fsencode(root), b"") for root in roots)  # noqa: PTH118
        gone = [
            (path,)
            for (path,) in self._db.execute("SELECT path FROM file")
            if (path.startswith(inside) or os.fsdecode(path) in roots)
            and os.fsdecode(path) not in found
        ]
        self._db.executemany("DELETE FROM file WHERE path = ?", gone)
        self._db.execute(
            "DELETE FROM seen WHERE content_hash NOT IN (SELECT content_hash FROM file)"
        )
        kept = "(SELECT id FROM picture)"
        self._db.execute(
            "DELETE FROM picture WHERE content_hash NOT IN (SELECT content_hash FROM file)"
        )
        for table in ("near", "likeness", "closely", "equal"):
            self._db.execute(
                f"DELETE FROM {table} WHERE first NOT IN {kept} OR second NOT IN {kept}"
            )
        self._look.cache_clear()  # ids may be reused
        self.commit()

    def _write(self, sql: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        cursor = self._db.execute(sql, values)
        if monotonic() - self._committed > COMMIT_AFTER_S:
            self.commit()
        return cursor


def _packed(gray: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def _unpacked_codes(codes: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(codes, np.uint8).reshape(-1, CODE_BYTES)


def _opened(path: Path | None) -> sqlite3.Connection:
    """Return the cache; one that is damaged or of another version is deleted and created again."""
    if path is None:
        return _created(":memory:")
    try:
        make_private_folder(path.parent)
        for _ in range(2):
            db = None
            try:
                make_private_file(path)  # SQLite gives its logs the mode of the file
                db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
                version = db.execute("PRAGMA user_version").fetchone()[0]
                if version == VERSION and db.execute("PRAGMA quick_check").fetchone() == ("ok",):
                    db.execute("PRAGMA synchronous = NORMAL")
                    return db
                if version == 0 and not db.execute("SELECT * FROM sqlite_schema").fetchall():
                    db.close()
                    return _created(str(path))
            except sqlite3.OperationalError:  # locked, read-only or full: not damaged
                if db is not None:
                    db.close()
                return _created(":memory:")
            except sqlite3.DatabaseError:
                pass
            if db is not None:
                db.close()
            remove_cache(path)
    except OSError:
        pass
    return _created(":memory:")


def _created(place: str) -> sqlite3.Connection:
    db = sqlite3.connect(place, timeout=BUSY_TIMEOUT_S)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    return db


def remove_cache(path: Path) -> None:
    """Delete the cache at `path` with its logs, if it exists."""
    for ending in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
