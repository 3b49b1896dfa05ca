"""Rows -> a table on a terminal, tab-separated lines in a pipe, or CSV; warnings on stderr.

Only this module asks whether stdout is a terminal. rich is imported only if it is: its start-up
would slow down every pipe.
"""

import csv
import errno
import io
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

MAX_LISTED = 20  # unusable pictures that are listed by path, then "and 7 more"; JSON has all
BAR_FROM = 4  # photos; fewer are done before anyone has read a progress bar
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV Injection"
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: object) -> str:
    """Return `text` on one line, with everything escaped that a terminal cannot show or would obey.

    Escaped are control characters, undecodable bytes of file names (surrogates), line separators
    and marks that change the writing direction. Joiners stay: some scripts and emoji need them.
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
    """Return a probability in percent; nothing is shown as quite certain or impossible."""
    if probability > 0.999:
        return ">99.9%"
    return "<0.1%" if probability < 0.001 else f"{100 * probability:.1f}%"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: "1 photo", "2,000 photos"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def bearer_words(subject: str) -> tuple[str, str]:
    """Return the singular and plural word for what is named, by what the model looks at.

    `subject` is "face", "drawing" or "picture": faces belong to people, the others to classes.
    """
    return ("person", "people") if subject == "face" else ("class", "classes")


def complain(text: str) -> None:
    """Print a warning or an error on stderr, safe for a terminal."""
    lines = text.split("\n")
    typer.echo("\n".join(printable(line) for line in lines), err=True)


def photo_problem(photo: str, trouble: str) -> str:
    """Return "photo: reason" for a list, without the photo that the library's messages repeat."""
    reason = trouble.removeprefix(f"cannot read {photo}: ")
    if reason == os.strerror(errno.EISDIR):
        reason = "there is no photo in this folder"
    return f"{photo}: {reason}"


def list_problems(heading: str, problems: Sequence[tuple[str, str]]) -> None:
    """List (photo, reason) pairs on stderr, at most MAX_LISTED of them."""
    lines = [f"  {printable(photo_problem(*pair))}" for pair in problems]
    more = [f"  and {len(lines) - MAX_LISTED:,} more"] if len(lines) > MAX_LISTED else []
    if lines:
        complain("\n".join([heading, *lines[:MAX_LISTED], *more]))


def print_json(**fields: Any) -> None:
    """Print one JSON object as the answer; its keys are those of facesearch.wire."""
    from facesearch.wire import to_json

    typer.echo(to_json(**fields))


def csv_line(cells: Sequence[object]) -> str:
    """Return one row of CSV without its end of line; text is guarded by `csv_cell`."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([csv_cell(cell) for cell in cells])
    return line.getvalue()


def print_csv(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a whole table as CSV."""
    for row in (heading, *rows):
        typer.echo(csv_line(row))


def csv_cell(cell: object) -> object:
    """Return a cell that no spreadsheet runs as a formula and that any encoding can hold."""
    if not isinstance(cell, str):
        return cell  # numbers may be negative
    text = "".join(_escaped(c) if "\ud800" <= c <= "\udfff" else c for c in cell)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    With a `share` it may be narrower than its texts: the width that the columns without one leave
    is divided in proportion to the shares.
    """

    heading: str
    style: str = ""
    right: bool = False
    share: float | None = None
    keep_end: bool = False  # shorten texts at their front, as paths are


class Screen:
    """Stdout for a command's answer, the terminal for its progress."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()

    @cached_property
    def console(self) -> "Console":
        """The terminal: stdout, or stderr (for progress) if stdout is not a terminal."""
        from rich.console import Console

        return Console(
            stderr=not self.is_terminal, highlight=False, markup=False, emoji=False, soft_wrap=False
        )

    def line(self, text: str) -> None:
        """Print one line of the answer as it is, above the progress bar if one is shown."""
        if self.is_terminal and "console" in self.__dict__:
            self.console.print(text, soft_wrap=True)
        else:
            typer.echo(text)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        """Print a table: drawn on a terminal, else tab-separated without a heading.

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
        """Return a function that prints further rows of one table as they come.

        The widths fit `samples`, a list of texts per column; a column with none gets what is left.
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
        """Show a progress bar on a terminal; yield a function that counts one more photo."""
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
    """Return the printable text of a cell, which may be (text, style)."""
    return printable(cell[0] if isinstance(cell, tuple) else cell)


def drawn(
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    width: int,
    *,
    heading: bool = True,
    widths: Sequence[int] | None = None,
) -> "RenderableType":
    """Return a rich table at most `width` cells wide; `widths` sets the columns' widths."""
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
    """Return each column's width: as its texts need, less if the table would exceed `width`."""
    needed = [
        max(cell_len(column.heading), *(cell_len(row[i]) for row in texts), 1)
        if texts
        else max(cell_len(column.heading), 1)
        for i, column in enumerate(columns)
    ]
    flexible = [i for i, column in enumerate(columns) if column.share is not None]
    room = width - 2 * len(columns) - sum(n for i, n in enumerate(needed) if i not in flexible)
    shares = {i: columns[i].share or 0.0 for i in flexible}
    for i in sorted(flexible, key=lambda i: needed[i] / shares[i]):  # narrowest first
        given = max(6, int(room * shares[i] / sum(shares.values())))
        needed[i] = min(needed[i], given)
        room -= needed[i]
        del shares[i]
    return needed


def end_of(path: str, room: int, cell_len: Callable[[str], int]) -> str:
    """Return `path`, its front replaced by an ellipsis if it is wider than `room` cells.

    The cut is moved to the next folder name, if there is one.
    """
    if cell_len(path) <= room:
        return path
    end = path
    while end and cell_len(end) > room - 1:
        end = end[1:]
    return f"…{end[max(0, end.find('/')) :]}"
