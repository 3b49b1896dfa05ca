"""Files and folders of a gallery: only their owner may read them, whatever the umask.

They hold what faces are compared by, names and pictures. What exists already keeps its mode: who
shares a gallery on purpose has said so.
"""

import os
from contextlib import suppress
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Make `folder`, and those above it that are missing, for the owner alone; raises OSError."""
    for missing in reversed([folder, *folder.parents]):
        if not missing.is_dir():
            with suppress(FileExistsError):  # another program was faster
                missing.mkdir(mode=0o700)
                missing.chmod(0o700)  # the umask may have taken more away
    if not folder.is_dir():
        raise NotADirectoryError(20, "it is a file, not a folder", str(folder))


def make_private_file(file: Path) -> None:
    """Make an empty `file` for the owner alone, unless it exists; raises OSError."""
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        file.chmod(0o600)
