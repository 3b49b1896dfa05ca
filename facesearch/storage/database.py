"""The port to whatever holds the tables of a gallery: SQL in, rows out.

The schema (migrations.py) and the SQL of this package are SQLite's dialect. What is left to an
implementation is where the tables lie, how writers take turns, and how bytes are erased.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from facesearch.errors import GalleryError


class Database(Protocol):
    """The tables of one gallery. Every method raises GalleryError, in one sentence for the user.

    Threads take turns: inside `transaction` and `snapshot` no other thread reads or writes. Those
    two do not nest.
    """

    path: Path  # names the gallery in messages
    read_only: bool  # it cannot be written

    @property
    def schema_version(self) -> int:
        """How many migrations the tables have been through."""

    def transaction(self) -> AbstractContextManager[None]:
        """Store everything that happens inside, on the disk, at the end; after an error nothing.

        Raises GalleryError at once if the gallery is read-only or another program is writing.
        """

    def snapshot(self) -> AbstractContextManager[None]:
        """Read everything inside as of one moment, whoever writes meanwhile."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return the rows that `sql` selects, as tuples."""

    def rows_for(self, sql: str, ids: Iterable[int]) -> Iterator[Any]:
        """Yield the rows of `sql`, in which `IN (?)` stands for all of `ids`, in batches."""

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        """Insert a row, column -> value; return its id."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement that returns nothing."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each of `rows`, the values it takes."""

    def erase(self) -> None:
        """Remove the last byte of deleted rows from the disk.

        Raises GalleryError if another program prevents it or the disk has no room for a second
        copy.
        """

    def copy(self, target: Path, change: str, *values: Any) -> None:
        """Write a SQLite file `target` with the same rows, but for what the SQL `change` changes.

        `target` is there when it is complete and on the disk, not before. Raises GalleryError.
        """

    def check(self) -> list[str]:
        """Return what is damaged or refers to a missing row, a sentence each."""

    def close(self) -> None:
        """Close the gallery; committed rows stay."""


def damaged(path: Path, why: object) -> GalleryError:
    """Return the error for a gallery at `path` that cannot be used any more."""
    return GalleryError(
        f"{path} is damaged or not a gallery ({why}); facesearch gallery restore "
        "FILE puts back a copy made by facesearch gallery export"
    )


def marks(values: Iterable[Any]) -> str:
    """Return a question mark for each of `values`, with commas, as SQL's IN takes them."""
    return ",".join("?" for _ in values)
