"""stdin, stdout and stderr as a command finds them: closed, on a full disk, or without a reader."""

import io
import os
import sys
from typing import Any


class LossyFile(io.FileIO):
    """A file that drops what cannot be written."""

    def write(self, data: Any) -> int:
        """Write `data`; return how many bytes of it count as written."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare_streams() -> None:
    """Make the three streams usable, whatever the program was started with.

    A closed stream reads and writes nothing. An error that stderr does not take must not replace
    the exit code, so what cannot be written there is dropped. A character that the terminal lacks
    is escaped.
    """
    open_closed_streams()
    if os.name != "nt":  # a Windows console is no file
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(LossyFile(sys.stderr.fileno(), "w", closefd=False)),
            encoding=sys.stderr.encoding,
            line_buffering=True,
        )
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def open_closed_streams() -> None:
    """Open the null device for each stream that is closed.

    Otherwise the next file that is opened, a gallery perhaps, would get the number of stderr, and
    a library that prints there would write into it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # to the end


def drop_unwritten() -> None:
    """Discard what stdout does not take: Python would try again at the end, and exit with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
