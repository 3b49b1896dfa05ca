"""Copies of enrolled photos whose own files do not last, such as a browser's uploads.

One file a photo, named by its key in the gallery, in a folder beside the gallery file. A copy
stays as long as the gallery keeps the photo's path; forgetting a person deletes the paths of their
photos.
"""

import os
import shutil
from collections.abc import Iterable, Set
from contextlib import suppress
from pathlib import Path

from facesearch.photo import file_hash
from facesearch.private import make_private_file, make_private_folder


def copy_path(folder: Path, source: Path, key: str) -> Path:
    """Return where in `folder` the copy of `source`, with that key, is or would be."""
    return folder / (key + source.suffix)


def keep_copy(folder: Path, source: Path, key: str, content_hash: str) -> Path:
    """Return the copy of `source` in `folder`, made if it is missing; then it is on the disk.

    `content_hash` is that of its bytes. A kill leaves a whole copy or none. Raises OSError, also if
    the copy has other bytes.
    """
    target = copy_path(folder, source, key)
    if file_hash(target) == content_hash:
        return target
    make_private_folder(folder)
    unfinished = folder / f"{key}.{os.getpid()}.unfinished"
    try:
        make_private_file(unfinished)
        shutil.copyfile(source, unfinished)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        if file_hash(unfinished) != content_hash:
            raise OSError(0, "it changed while it was copied", str(source))
        unfinished.replace(target)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    with suppress(OSError):  # Windows cannot open folders, and need not
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return target


def delete_copies_except(folder: Path, wanted: Set[str]) -> tuple[int, list[str]]:
    """Delete the copies of photos whose keys are not in `wanted`; see `delete_files`."""
    return delete_files(file for file in folder.glob("*") if file.stem not in wanted)


def delete_files(paths: Iterable[Path]) -> tuple[int, list[str]]:
    """Delete the files among `paths`; return how many, and "path: reason" of each that stays.

    Folders stay and are not counted: nothing here makes any, but a storage device may.
    """
    n_files, stay = 0, []
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            continue
        try:
            path.unlink(missing_ok=True)
            n_files += 1
        except OSError as error:
            stay.append(f"{path}: {error.strerror or error}")
    return n_files, stay
