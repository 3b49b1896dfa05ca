"""Copies of photos that were enrolled from where they do not last, as a browser's uploads.

One file a photo, named by its content hash, in a folder beside the gallery file. A copy stays as
long as the gallery says where its photo is, which it does not of a photo of somebody forgotten.
"""

import os
import shutil
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from facesearch.photo import file_hash


def kept_at(folder: Path, source: Path, content_hash: str) -> Path:
    """Return where in `folder` the photo `source` with that hash is kept."""
    return folder / (content_hash + source.suffix)


def keep(folder: Path, source: Path, content_hash: str) -> Path:
    """Return the copy of `source` in `folder`, made if need be; it is on the disk then.

    A kill leaves a whole copy or none. Raises OSError, also if the copy has other bytes.
    """
    target = kept_at(folder, source, content_hash)
    if file_hash(target) == content_hash:
        return target
    folder.mkdir(mode=0o700, exist_ok=True)
    unfinished = folder / f"{content_hash}.{os.getpid()}.unfinished"
    try:
        shutil.copyfile(source, unfinished)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        if file_hash(unfinished) != content_hash:
            raise OSError(0, "it changed while it was copied", str(source))
        unfinished.replace(target)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    with suppress(OSError):  # Windows cannot open folders, and needs not
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return target


def sweep(folder: Path, wanted: Set[str]) -> int:
    """Delete the copies of photos whose content hashes are not `wanted`; return how many."""
    n_files = 0
    for file in folder.glob("*"):
        if file.stem not in wanted:
            file.unlink(missing_ok=True)
            n_files += 1
    return n_files
