"""Index -> file -> index: a cache that may be lost at any moment, but never gives a wrong index.

A file is `<generation>-<seq>-<sha256 of the whole file>.index`, the generation being the stamp of
an `IndexStore`. It holds one line of JSON that repeats generation and seq (which exposes a renamed
file), then what `FaissIndex.write` wrote. Files with other names are left alone.
"""

import errno
import hashlib
import json
import logging
import os
import re
import tempfile
from pathlib import Path

from facesearch_indexes.base import IndexDamaged
from facesearch_indexes.faiss_index import FaissIndex
from facesearch_indexes.file_names import SAVED, UNFINISHED

_log = logging.getLogger(__name__)

_FORMAT = 1
_LONGEST_HEADER = 1000  # bytes


def save(index: FaissIndex, folder: Path, generation: str, seq: int) -> Path:
    """Write `index` as it is after change `seq` of `generation` (hex); return the file's path.

    Whenever the process dies, the folder holds only complete files, and unfinished ones that are
    never read. At the end, older files, files of other generations and unfinished ones are deleted,
    and with them the rows removed since. Raises ValueError for a generation that is not lower-case
    hex or a negative seq, OSError if the disk is full or the folder cannot be written. Another
    process that saves into the folder at the same time can cause an OSError, too; then its file is
    kept.
    """
    if not re.fullmatch("[0-9a-f]+", generation) or seq < 0:
        raise ValueError(f"{generation!r} and {seq} do not name a state of a gallery")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(".tmp", f"{generation}-{seq}-", folder)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            header = _header(generation, seq, index.dim, index.kind, len(index))
            file.write(header)
            index.write(file)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        path = folder / f"{generation}-{seq}-{sha256}.index"
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(folder)
    for other in folder.iterdir():
        saved = SAVED.fullmatch(other.name)
        newer = saved and saved["generation"] == generation and int(saved["seq"]) > seq
        if other != path and not newer and (saved or UNFINISHED.fullmatch(other.name)):
            _delete(other)
    return path


def load_newest(
    folder: Path, generation: str, dim: int, newest_seq: int
) -> tuple[FaissIndex, int] | None:
    """Return the newest sound index of `generation` and its seq, or None if there is none.

    Files that are damaged, unreadable, of another generation or dimension, or ahead of `newest_seq`
    (the gallery's newest change) are deleted with a warning and never used.
    """
    found: tuple[FaissIndex, int] | None = None
    for seq, name, path in sorted(_saved(folder), key=lambda item: item[0], reverse=True):
        try:
            if name["generation"] != generation:
                raise IndexDamaged("it belongs to another generation")
            if seq > newest_seq:
                raise IndexDamaged("it is ahead of the gallery")
            if found is None:
                found = _load(path, name["sha256"], generation, seq, dim), seq
        except IndexDamaged as error:
            _log.warning("index file %s is deleted and not used: %s", path.name, error)
            _delete(path)
    return found


def saved_states(folder: Path) -> list[tuple[int, str]]:
    """Return the seq and generation that each index file in `folder` names, in no order."""
    return [(seq, name["generation"]) for seq, name, _ in _saved(folder)]


def _saved(folder: Path) -> list[tuple[int, re.Match[str], Path]]:
    """Return seq, parsed name and path of each finished index file in `folder`."""
    try:
        names = [(SAVED.fullmatch(path.name), path) for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warning("the index folder cannot be read: %s", error.strerror)
        return []
    return [(int(name["seq"]), name, path) for name, path in names if name]


def _load(path: Path, sha256: str, generation: str, seq: int, dim: int) -> FaissIndex:
    try:
        with path.open("rb") as file:
            # First, since FAISS loads a flipped bit silently, or crashes. The same open file is
            # then read, so that another process cannot replace it in between.
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise IndexDamaged("its bytes do not have the checksum in its name")
            file.seek(0)
            header = file.readline(_LONGEST_HEADER)
            try:
                kind, count = (json.loads(header)[key] for key in ("kind", "count"))
            except (ValueError, KeyError, TypeError) as error:
                raise IndexDamaged("it does not begin like an index file") from error
            if header != _header(generation, seq, dim, kind, count):
                raise IndexDamaged("it is of another format, generation, seq or dimension")
            return FaissIndex.read(file, dim, kind, count)
    except OSError as error:
        raise IndexDamaged(f"it cannot be read: {error.strerror}") from error


def _header(generation: str, seq: int, dim: int, kind: str, count: int) -> bytes:
    header = {
        "facesearch_index": _FORMAT,
        "generation": generation,
        "seq": seq,
        "dim": dim,
        "kind": kind,
        "count": count,
    }
    return json.dumps(header).encode() + b"\n"


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power failure, if the system can."""
    if os.name == "nt":  # Windows opens no folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(descriptor)


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # read-only, or open in another process on Windows
        _log.warning("index file %s cannot be deleted: %s", path.name, error.strerror)
