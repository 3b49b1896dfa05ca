"""A Database that keeps a gallery in memory, written as unlike SQLiteFile as it can be.

Transactions are savepoints, threads wait for a condition, the ids of many rows travel as one JSON
text, and erasing moves the rows to another connection. Connections are made by another factory.
"""

import json
import sqlite3
import threading
from contextlib import closing, contextmanager

from facesearch.errors import GalleryError
from facesearch.storage.database import damaged
from facesearch.storage.migrations import migrate


class Connection(sqlite3.Connection):
    """In memory, in autocommit mode, with references that hold."""

    def __init__(self, *_, **__):
        super().__init__(":memory:", check_same_thread=False, isolation_level=None)
        self.execute("PRAGMA foreign_keys = ON")


class MemoryDatabase:
    """See facesearch.storage.database.Database."""

    def __init__(self, path):
        self.path = path
        self.read_only = False
        self.connection = sqlite3.connect("", factory=Connection)
        self._turn = threading.Condition()
        self._owner, self._depth = None, 0
        self._in_step = False
        with self.transaction():
            migrate(self.connection)

    @property
    def schema_version(self):
        return self.rows("SELECT user_version FROM pragma_user_version")[0][0]

    @contextmanager
    def _my_turn(self):
        me = threading.get_ident()
        with self._turn:
            self._turn.wait_for(lambda: self._owner in (None, me))
            self._owner, self._depth = me, self._depth + 1
        try:
            yield
        except sqlite3.OperationalError as error:
            raise GalleryError(f"the gallery {self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            raise damaged(self.path, error) from error
        finally:
            with self._turn:
                self._depth -= 1
                self._owner = me if self._depth else None
                self._turn.notify_all()

    @contextmanager
    def _step(self, end):
        with self._my_turn():
            if self._in_step:
                raise GalleryError(f"the gallery {self.path}: a step inside a step")
            self._in_step = True
            self.connection.execute("SAVEPOINT step")
            try:
                yield
            except BaseException:
                self.connection.execute("ROLLBACK TO step")
                raise
            else:
                self.connection.execute(end)
            finally:
                self.connection.execute("RELEASE step")
                self._in_step = False

    def transaction(self):
        if self.read_only:
            raise GalleryError(f"the gallery {self.path}: it cannot be written here")
        return self._step("SELECT 'done'")

    def snapshot(self):
        return self._step("ROLLBACK TO step")

    def rows(self, sql, values=()):
        with self._my_turn():
            return list(self.connection.execute(sql, tuple(values)))

    def rows_for(self, sql, ids):
        values = json.dumps([int(i) for i in ids])
        yield from self.rows(sql.replace("(?)", "(SELECT value FROM json_each(?))"), (values,))

    def insert(self, table, row):
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING rowid"
        with self._my_turn():
            return self.connection.execute(sql, dict(row)).fetchone()[0]

    def execute(self, sql, values=()):
        self.rows(sql, values)

    def executemany(self, sql, rows):
        with self._my_turn():
            for row in rows:
                self.connection.execute(sql, tuple(row))

    def erase(self):
        with self._my_turn():
            lines = ["PRAGMA foreign_keys = OFF", *self.connection.iterdump()]
            for pragma in ("application_id", "user_version"):
                ((value,),) = self.rows(f"PRAGMA {pragma}")
                lines.append(f"PRAGMA {pragma} = {value}")
            self.connection.close()
            self.connection = sqlite3.connect("", factory=Connection)
            self.connection.executescript(";\n".join([*lines, "PRAGMA foreign_keys = ON"]))

    def copy(self, target, change, *values):
        part = target.with_suffix(".part")
        if target.exists():
            raise GalleryError(f"{target} is there already; name a new file")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._my_turn(), closing(sqlite3.connect(part)) as copy:
                self.connection.backup(copy)
                copy.execute(change, values)
                copy.commit()
            part.rename(target)
        except OSError as error:
            raise GalleryError(f"{target}: {error}") from error

    def check(self):
        (answer,), *more = self.rows("PRAGMA quick_check")
        wrong = [] if answer == "ok" else [answer, *(row[0] for row in more)]
        sql = 'SELECT "table", parent FROM pragma_foreign_key_check'
        return wrong + [
            f"a row of {table} refers to a row of {parent} that is not there"
            for table, parent in self.rows(sql)
        ]

    def close(self):
        """Keep the rows: who opens the path again finds them."""


class MemoryFiles:
    """Stands in for SQLiteFile: every path is a gallery in memory."""

    def __init__(self):
        self.galleries = {}

    def open(self, path, *, create):
        if path not in self.galleries:
            if not create:
                raise GalleryError(f"there is no gallery at {path}; facesearch enroll makes one")
            self.galleries[path] = MemoryDatabase(path)
        return self.galleries[path]

    def open_to_read(self, path):
        return self.open(path, create=False)
