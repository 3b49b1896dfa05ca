"""Folders with the photos of one run of the page, which are deleted even if the run was killed.

A run holds a lock in its folder while it lives. Any folder with photos whose lock nobody holds is
what a killed run left.
"""

import os
import shutil
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

PREFIX = "facesearch-page-"  # of a run's folder in the system's temporary folder


def delete_left_behind() -> None:
    """Delete the photos that killed runs of this user left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if not is_ours(folder) or not (folder / "photos").is_dir():
                continue
            lock = locked(folder / "lock")
            if lock is not None:
                shutil.rmtree(folder / "photos", ignore_errors=True)
                lock.close()
                shutil.rmtree(folder, ignore_errors=True)


def is_ours(folder: Path) -> bool:
    """Return whether this user made a folder; somebody else's may be a link to anywhere."""
    found = folder.lstat()  # one call, so that no link can replace the folder between two
    return S_ISDIR(found.st_mode) and (os.name == "nt" or found.st_uid == os.getuid())


def locked(file: Path) -> sqlite3.Connection | None:
    """Return a connection that locks a file until it is closed or the process ends.

    None if another process holds the lock. SQLite locks on every system and leaves the file empty.
    """
    lock = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error:
        lock.close()
        return None
    return lock
