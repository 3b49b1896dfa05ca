"""The names of index files, and deleting them: erasing needs no FAISS."""

import re
from pathlib import Path

SAVED = re.compile(r"(?P<generation>[0-9a-f]+)-(?P<seq>[0-9]+)-(?P<sha256>[0-9a-f]{64})\.index")
UNFINISHED = re.compile(r"[0-9a-f]+-[0-9]+-[a-z0-9_]+\.tmp")


def erase(folder: Path) -> int:
    """Delete all index files in `folder`, unfinished ones too; return how many there were.

    Raises OSError if one cannot be deleted.
    """
    n_files = 0
    for path in folder.glob("*"):
        ours = SAVED.fullmatch(path.name) or UNFINISHED.fullmatch(path.name)
        if ours and (path.is_symlink() or not path.is_dir()):
            path.unlink(missing_ok=True)
            n_files += 1
    return n_files
