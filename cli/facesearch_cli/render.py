"""Results -> a table on a terminal, plain tab-separated lines in a pipe, JSON or CSV.

Only this module knows whether somebody is looking. rich draws on terminals and is imported there
alone: in a pipe it would cost its start-up for nothing.
"""

import csv
import errno
import io
import json
import math
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SCHEMA_VERSION = 1  # of all JSON; keys are added without a new number, never renamed or taken away
LISTED = 20  # pictures that could not be used, by name; the JSON has all
BAR_FROM = 4  # photos; fewer are done before a bar has been read
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV Injection"
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: object) -> str:
    """Return `text` with what a terminal would not show, or would obey, escaped: on one line.

    Control characters, undecodable bytes of file names (surrogates), line separators and marks
    that turn the direction of writing; joiners stay, some scripts and emoji need them.
    """
    string = str(text)
    return string if string.isprintable() else "".join(map(_escaped, string))


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # os.fsdecode's stand-in for a byte
        return f"\\x{ord(character) - 0xDC00:02x}"
    unsafe = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    if unsafe or character in BIDI_CONTROLS:
        return character.encode("unicode_escape").decode()
    return character


def percent(probability: float) -> str:
    """Return a probability for people; nothing is ever said to be quite certain or impossible."""
    if probability > 0.999:
        return ">99.9 %"
    return "<0.1 %" if probability < 0.001 else f"{100 * probability:.1f} %"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return for example "1 photo" or "2,000 photos"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def bearer(subject: str) -> tuple[str, str]:
    """Return what bears a name where `subject` (face, drawing, picture) is shown: one, several."""
    return ("person", "people") if subject == "face" else ("class", "classes")


def complain(text: str) -> None:
    """Print a warning or an error on stderr, safe for a terminal."""
    lines = text.split("\n")
    typer.echo("\n".join(printable(line) for line in lines), err=True)


def of_photo(photo: str, trouble: str) -> str:
    """Return "photo: trouble" for a list; the library's sentences name the photo themselves."""
    reason = trouble.removeprefix(f"cannot read {photo}: ")
    if reason == os.strerror(errno.EISDIR):
        reason = "there is no photo in this folder"
    return f"{photo}: {reason}"


def complain_of_skipped(heading: str, skipped: Sequence[tuple[str, str]]) -> None:
    """List (path, reason) of what could not be used on stderr, at most LISTED of them."""
    lines = [f"  {printable(of_photo(*pair))}" for pair in skipped]
    more = [f"  and {len(lines) - LISTED:,} more"] if len(lines) > LISTED else []
    if lines:
        complain("\n".join([heading, *lines[:LISTED], *more]))


def to_json(**fields: Any) -> str:
    """Return one JSON object on one line, in ASCII; infinite numbers become null."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **fields}, allow_nan=False)


def finite(number: float, digits: int = 6) -> float | None:
    """Return `number` rounded for JSON and CSV, None if it is infinite."""
    return round(number, digits) if math.isfinite(number) else None


def print_json(**fields: Any) -> None:
    """Print one JSON object as an answer."""
    typer.echo(to_json(**fields))


def csv_line(cells: Sequence[object]) -> str:
    """Return one row of CSV without the end of line; see `csv_cell` for the guard."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([csv_cell(cell) for cell in cells])
    return line.getvalue()


def csv_cell(cell: object) -> object:
    """Return a cell that a spreadsheet takes for no formula, and a pipe for text."""
    if not isinstance(cell, str):
        return cell  # numbers may be negative
    text = "".join(_escaped(c) if "\ud800" <= c <= "\udfff" else c for c in cell)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `share` of what room the columns without one leave, if not None."""

    heading: str
    style: str = ""
    right: bool = False
    share: float | None = None
    keep_end: bool = False  # crop the front, as of a path


class Screen:
    """Where a command's answer goes, and its progress."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()

    @cached_property
    def console(self) -> "Console":
        """The terminal: stdout, or stderr (for progress) where stdout is none."""
        from rich.console import Console

        return Console(
            stderr=not self.is_terminal, highlight=False, markup=False, emoji=False, soft_wrap=False
        )

    def line(self, text: str) -> None:
        """Print one line of the answer, as it is, around a progress bar if there is one."""
        if self.is_terminal and "console" in self.__dict__:
            self.console.print(text, soft_wrap=True)
        else:
            typer.echo(text)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        """Print a whole table: drawn on a terminal, tab-separated without a heading elsewhere.

        A cell may be (text, style).
        """
        if self.is_terminal:
            self.console.print(drawn(columns, rows, self.console.width))
        else:
            for row in rows:
                typer.echo("\t".join(cell_text(cell) for cell in row))

    def stream(
        self, columns: Sequence[Column], samples: Sequence[Sequence[str]]
    ) -> Callable[[Sequence[Sequence[object]]], None]:
        """Return what prints further rows of one table, below each other as they come.

        `samples` are texts of each column to fit its width to; none: as wide as there is room.
        """
        if not self.is_terminal:
            return lambda rows: self.table(columns, rows)
        from rich.cells import cell_len

        texts = [[printable(text) for text in column] for column in samples]
        longest = [max(column, key=cell_len) if column else " " * 30 for column in texts]
        widths = fitted(columns, [longest], self.console.width, cell_len)
        heading = [True]

        def print_rows(rows: Sequence[Sequence[object]]) -> None:
            self.console.print(
                drawn(columns, rows, self.console.width, heading=heading[0], widths=widths)
            )
            heading[0] = False

        return print_rows

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """Show progress with rate and time left on a terminal; yield what counts one photo."""
        if total < BAR_FROM or not sys.stderr.isatty():
            yield lambda: None
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                speed = task.finished_speed or task.speed
                return Text("" if speed is None else f"{speed:.1f} photos/s", style="dim")

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)


def cell_text(cell: object) -> str:
    """Return the text of a cell, which may be (text, style)."""
    return printable(cell[0] if isinstance(cell, tuple) else cell)


def drawn(
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    width: int,
    *,
    heading: bool = True,
    widths: Sequence[int] | None = None,
) -> "RenderableType":
    """Return a rich table of at most `width` cells; `widths` fixes the columns' own."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    texts = [[cell_text(cell) for cell in row] for row in rows]
    if widths is None:
        widths = fitted(columns, texts, width, cell_len)
    heading = heading and any(column.heading for column in columns)
    table = Table(
        box=None, show_header=heading, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0)
    )
    for column, cells in zip(columns, widths, strict=True):
        table.add_column(
            column.heading,
            width=cells,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=column.keep_end,
        )
    for row, line in zip(rows, texts, strict=True):
        drawn_cells = []
        for column, room, cell, text in zip(columns, widths, row, line, strict=True):
            style = cell[1] if isinstance(cell, tuple) else column.style
            shown = end_of(text, room, cell_len) if column.keep_end else text
            drawn_cells.append(Text(shown, style=style))
        table.add_row(*drawn_cells)
    return table


def fitted(
    columns: Sequence[Column],
    texts: Sequence[Sequence[str]],
    width: int,
    cell_len: Callable[[str], int],
) -> list[int]:
    """Return each column's width: what its texts need, less where `width` does not hold them."""
    needed = [
        max(cell_len(column.heading), *(cell_len(row[i]) for row in texts), 1)
        if texts
        else max(cell_len(column.heading), 1)
        for i, column in enumerate(columns)
    ]
    flexible = [i for i, column in enumerate(columns) if column.share is not None]
    room = width - 2 * len(columns) - sum(n for i, n in enumerate(needed) if i not in flexible)
    shares = {i: columns[i].share or 0.0 for i in flexible}
    for i in sorted(flexible, key=lambda i: needed[i] / shares[i]):  # who needs least is served
        given = max(6, int(room * shares[i] / sum(shares.values())))
        needed[i] = min(needed[i], given)
        room -= needed[i]
        del shares[i]
    return needed


def end_of(path: str, room: int, cell_len: Callable[[str], int]) -> str:
    """Return `path`, its front replaced by an ellipsis if it has more than `room` cells.

    Cut at a folder's name where there is one to cut at.
    """
    if cell_len(path) <= room:
        return path
    end = path
    while end and cell_len(end) > room - 1:
        end = end[1:]
    return f"…{end[max(0, end.find('/')) :]}"
