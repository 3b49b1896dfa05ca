"""The Database in a SQLite file: opened, written, erased and copied so that faults lose nothing.

Connections are plain sqlite3 in autocommit mode; `transaction` takes the writer's lock at once, so
that what it reads stays true. Committed rows have reached the disk (synchronous=FULL).
"""

import ctypes
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from facesearch.errors import GalleryError, NewerGallery
from facesearch.private import make_private_file, make_private_folder
from facesearch.storage.database import damaged, marks
from facesearch.storage.schema import APPLICATION_ID, SCHEMA_VERSION, foreign_items

BUSY_TIMEOUT_S = 60.0  # how long a writer waits for another program; a bulk enrollment takes 2 s
ERASE_TIMEOUT_S = 5.0  # how long erasing waits for other programs before it is left for later
READ_ONLY = "it cannot be written here; choose another place with --gallery"
VARIABLES = 500  # ids in one statement; SQLite's own limit is far above
MAX_LISTED = 3  # foreign parts of a file that a message names


class SQLiteFile:
    """A Database in one SQLite file; see `SQLiteFile.open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only  # the file, or its folder, cannot be written
        self.connection = connection  # for migrations
        self._lock = threading.RLock()  # one connection: threads take turns
        self._file = path.absolute()  # the working folder may change
        self._opened = self._state()
        self._replaced = False
        self._mark: tuple[str, int] | None = mark_of(connection)

    @classmethod
    def open(cls, path: Path, *, create: bool) -> "SQLiteFile":
        """Open the gallery file at `path`; with `create` an empty one is made if it is missing.

        A file that cannot be written is opened read-only. The schema may be an older one. Raises
        GalleryError if the file is missing, damaged, not a gallery or cannot be opened,
        NewerGallery if a later facesearch wrote it.
        """
        with reported(path):
            if path.is_dir():
                raise GalleryError(f"{path} is a folder, not a gallery file")
            exists = path.exists() and path.stat().st_size > 0
            if not exists and not create:
                raise GalleryError(f"there is no gallery at {path}; facesearch enroll makes one")
            if not exists:
                make_private_folder(path.parent)
                make_private_file(path)  # SQLite gives its logs the mode of the file
            if exists and not writable(path):
                return cls.open_to_read(path)
            file = cls._checked(path, connect(path), read_only=False)
            try:
                prepare_to_write(file.connection)
            except BaseException:
                file.close()
                raise
            return file

    @classmethod
    def open_to_read(cls, path: Path) -> "SQLiteFile":
        """Open the gallery file at `path` and change nothing in it, its schema included.

        Raises what `open` raises.
        """
        with reported(path):
            if not path.exists():
                raise GalleryError(f"there is no gallery at {path}")
            # Rows may still be in SQLite's log. Without a log SQLite would try to make one, which
            # fails in a read-only folder, unless it is promised that nobody changes the file.
            connection = connect(path, "mode=ro" if log_size(path) >= 0 else "immutable=1")
            return cls._checked(path, connection, read_only=True)

    @classmethod
    def _checked(
        cls, path: Path, connection: sqlite3.Connection, *, read_only: bool
    ) -> "SQLiteFile":
        """Return the open file; raises GalleryError, and closes it, if it is not a gallery."""
        try:
            check_is_gallery(connection, path)
        except BaseException:
            connection.close()
            raise
        return cls(path, connection, read_only=read_only)

    @property
    def schema_version(self) -> int:
        """How many migrations the tables have been through; 0 in a new file."""
        ((version,),) = self.rows("PRAGMA user_version")
        return int(version)

    def close(self) -> None:
        """Close the file; committed rows stay."""
        with suppress(GalleryError):
            self._require_same_file()
        if self._replaced:
            # Closing would delete the logs by name, which are those of the file there now.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.connection))
        else:
            self.connection.close()

    def _state(self) -> tuple[int, ...]:
        """Return device and inode of the file, then what differs once it was written."""
        now = self._file.stat()
        return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, log_size(self._file)

    def _require_same_file(self) -> None:
        """Raise GalleryError if the file of this name is no longer the one that was opened.

        It may have been moved away, deleted, or replaced by another. Where it is only read, a file
        that has changed is opened again: SQLite was promised that it would not.
        """
        try:
            now = self._state()
        except FileNotFoundError:
            self._replaced = True
            raise GalleryError(
                f"{self.path} was deleted or moved away while it was open, so nothing more is "
                "read or stored; put it back and start this program again"
            ) from None
        if self.read_only:
            if now != self._opened:
                again = type(self).open_to_read(self.path)
                self.connection.close()
                self.connection, self._opened = again.connection, again._opened
        elif self._replaced or now[:2] != self._opened[:2] or self._was_copied_over(now):
            self._replaced = True
            raise GalleryError(
                f"{self.path} was replaced by another file while it was open, so nothing more is "
                "read or stored, and neither file was changed; start this program again to use "
                "the new one"
            )

    def _was_copied_over(self, now: tuple[int, ...]) -> bool:
        """Return whether another gallery, or an older copy, was written into the file.

        Other programs may write to it, too; then the file has the same lineage and was written
        more often. SQLite does not look at the file again until a program has used its log.
        """
        if now[2:4] == self._opened[2:4] or self._mark is None:
            return False
        with closing(connect(self._file, "mode=rw")) as other:
            mark = mark_of(other)
        if mark is None or mark[0] != self._mark[0] or mark[1] < self._mark[1]:
            return True
        self._opened, self._mark = now, mark
        return False

    def _between_steps(self) -> None:
        """Check the file before a statement of its own; inside a step that was done."""
        if not self.connection.in_transaction:
            self._require_same_file()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Store everything that happens inside, or nothing; see `Database.transaction`."""
        if self.read_only:
            raise GalleryError(f"the gallery {self.path}: {READ_ONLY}")
        with self._lock, reported(self.path):
            self._between_steps()
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._require_same_file()
                if self.schema_version >= SCHEMA_VERSION:
                    self.connection.execute("UPDATE gallery SET writes = writes + 1")
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            self._empty_log()
            self._opened, self._mark = self._state(), mark_of(self.connection)

    def _empty_log(self) -> None:
        """Move what was stored from SQLite's log to the file, unless another program is reading.

        So a copy of the file alone is complete, and a log that a kill leaves has nothing to mix
        into another copy that is put in the file's place.
        """
        try:
            self.connection.execute("PRAGMA busy_timeout = 0")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError:
            pass  # it is stored already; the next transaction tries again
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read everything inside as of one moment, whoever writes meanwhile."""
        with self._lock, reported(self.path):
            self._between_steps()
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that `sql` selects."""
        with self._lock, reported(self.path):
            self._between_steps()
            return self.connection.execute(sql, values).fetchall()

    def rows_for(self, sql: str, ids: Iterable[int]) -> Iterator[Any]:
        """Yield the rows of `sql`, in which `IN (?)` stands for all of `ids`, in batches."""
        every = [int(i) for i in ids]
        for start in range(0, len(every), VARIABLES):
            some = every[start : start + VARIABLES]
            yield from self.rows(sql.replace("(?)", f"({marks(some)})"), some)

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        """Insert a row, column -> value; return its id."""
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks(row)})"
        with self._lock, reported(self.path):
            self._between_steps()
            return int(self.connection.execute(sql, list(row.values())).lastrowid or 0)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement that returns nothing."""
        with self._lock, reported(self.path):
            self._between_steps()
            self.connection.execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each of `rows`, the values it takes."""
        with self._lock, reported(self.path):
            self._between_steps()
            self.connection.executemany(sql, rows)

    def erase(self) -> None:
        """Rewrite the file without a trace of deleted rows, the write-ahead log included.

        Raises GalleryError; see `Database.erase`.
        """
        with self._lock, reported(self.path):
            self._between_steps()
            try:
                self.connection.execute(f"PRAGMA busy_timeout = {round(ERASE_TIMEOUT_S * 1000)}")
                self.connection.execute("VACUUM")
                checkpoint = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy, _, _ = checkpoint.fetchone()
            except sqlite3.OperationalError as error:
                if not (error.sqlite_errorname or "").startswith("SQLITE_BUSY"):
                    raise
                busy = 1
            finally:
                self.connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1000)}")
        if busy:
            raise GalleryError(
                f"{self.path} is in use by another program, so it still holds bytes of what "
                "was deleted; close that program and run facesearch gallery check"
            )

    def copy(self, target: Path, change: str, *values: Any) -> None:
        """Write a SQLite file `target` with the same rows, but for `change`; see `Database`."""
        unfinished = target.with_name(target.name + ".unfinished")
        with reported(target):
            make_private_folder(target.parent)
            try:
                unfinished.unlink(missing_ok=True)
                make_private_file(unfinished)
                with self._lock:
                    self.connection.execute("VACUUM INTO ?", (str(unfinished),))
                with closing(connect(unfinished)) as copy:
                    copy.execute(change, values)
                with unfinished.open("rb+") as file:
                    os.fsync(file.fileno())
                if target.exists():
                    raise GalleryError(f"{target} is there already; name a new file")
                unfinished.replace(target)
            finally:
                unfinished.unlink(missing_ok=True)

    def check(self) -> list[str]:
        """Return what is damaged or refers to a missing row, a sentence each."""
        found = [str(row[0]) for row in self.rows("PRAGMA integrity_check") if row[0] != "ok"]
        return found + [
            f"a row of {row[0]} refers to a row of {row[2]} that is not there"
            for row in self.rows("PRAGMA foreign_key_check")
        ]


def connect(path: Path, how: str = "mode=rwc") -> sqlite3.Connection:
    """Return a connection to `path`, opened as SQLite's URI parameters `how` say."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA trusted_schema = OFF")  # the file may be somebody else's
    return connection


def prepare_to_write(connection: sqlite3.Connection) -> None:
    """Set every pragma that a gallery relies on."""
    give_up = monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # two programs create one gallery: SQLite does not wait here by itself
            if error.sqlite_errorname != "SQLITE_BUSY" or monotonic() > give_up:
                raise
            sleep(0.01)
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def check_is_gallery(connection: sqlite3.Connection, path: Path) -> None:
    """Raise GalleryError unless a facesearch made the file, NewerGallery if it is a later one.

    A gallery that holds a table, index, trigger or view of somebody else's is not opened, either.
    """
    connection.execute("BEGIN")  # read all of it at one moment: a program may be creating it
    try:
        ((application,),) = connection.execute("PRAGMA application_id")
        ((version,),) = connection.execute("PRAGMA user_version")
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_schema")
        foreign = foreign_items(connection, version)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if application != APPLICATION_ID and (application or version or tables):
        raise GalleryError(f"{path} is a SQLite file of another program, not a gallery")
    if version > SCHEMA_VERSION:
        raise NewerGallery(
            f"{path} was written by a newer facesearch (schema {version}, this one reads "
            f"{SCHEMA_VERSION}); update facesearch"
        )
    if foreign:
        more = f" and {len(foreign) - MAX_LISTED} more" if len(foreign) > MAX_LISTED else ""
        raise GalleryError(
            f"{path} is not as facesearch makes a gallery ({', '.join(foreign[:MAX_LISTED])}{more}"
            "), so it could change or keep what is stored; ask for a copy made by facesearch "
            "gallery export"
        )


def mark_of(connection: sqlite3.Connection) -> tuple[str, int] | None:
    """Return the lineage of the gallery and how often it was written; None of a former schema."""
    try:
        return connection.execute("SELECT lineage, writes FROM gallery").fetchone()  # type: ignore[no-any-return]
    except sqlite3.OperationalError:
        return None


def log_size(path: Path) -> int:
    """Return the size in bytes of SQLite's log beside the file `path`, -1 if there is none."""
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except OSError:
        return -1


def writable(path: Path) -> bool:
    """Return whether the file `path` and its folder, where SQLite keeps its log, can be written."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and the system about `path` into a GalleryError of one sentence."""
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
        if str(error).startswith("Could not decode"):  # damaged text, which it quotes
            raise damaged(path, "it holds text that cannot be read") from error
        code = getattr(error, "sqlite_errorname", None) or ""
        reason = next((r for name, r in reasons.items() if code.startswith(name)), str(error))
        raise GalleryError(f"the gallery {path}: {reason}") from error
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # a fault of this program, not of the file
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # SQLite quotes damaged text
        raise damaged(path, " ".join(str(error).split())) from error
    except OSError as error:
        raise GalleryError(f"the gallery {path}: {error.strerror or error}") from error
