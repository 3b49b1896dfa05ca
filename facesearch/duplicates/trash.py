"""Duplicate files -> a trash folder and back, each time as one journaled operation.

An operation is a numbered folder in the trash: clocks are set back, numbers are not. Its plan,
written and synced before the first move, has every file's path, content hash and name in the trash;
the files lie beside it. What has been moved is read from the files themselves, so a kill leaves
nothing half written: a file is in its place, in the trash, or in both while it is moved. The files
`moved` and `undone` mark a finished operation.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from facesearch.duplicates.companions import Companions
from facesearch.duplicates.photos import PhotoGroup
from facesearch.errors import TrashError
from facesearch.photo import file_hash
from facesearch.photo_files import DEFAULT_TRASH, TRASH_PLAN, holds_photos

_PLAN = TRASH_PLAN
_MOVED, _BEGUN, _UNDONE = "moved", "undoing", "undone"
_VERSION = 2
_READ = (1, 2)  # versions: the first had no companions, and a time in place of the number
_PHOTO_STAYS = "its photo stays where it is"
_NAME_BYTES = 200  # of a file's own name that its name in the trash keeps, after a number


def default_trash(folder: Path) -> Path:
    """Return the trash for the duplicates in `folder`, which need not exist yet.

    It lies in a folder that holds photos: beside it, among the folders of people, it would look
    like a person. It lies beside a folder that holds only folders, for the same reason. Earlier
    versions put it beside every folder: where it lies there already, it is used.
    """
    folder = folder.resolve()
    inside, beside = folder / DEFAULT_TRASH, folder.parent / DEFAULT_TRASH
    if not inside.is_dir() and (beside.is_dir() or not holds_photos(folder)):
        return beside
    return inside


@dataclass(frozen=True, slots=True)
class Move:
    """A file to move, its content, and the file that stays instead."""

    path: str
    content_hash: str
    keeper: str
    keeper_hash: str
    kept_as: str  # its name in the operation's folder
    belongs_to: tuple[str, ...] = ()  # of a companion: `kept_as` of its photos, which go before it


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one operation."""

    folder: Path
    moved: tuple[str, ...]  # paths moved to the trash, or back to their place
    left: tuple[tuple[str, str], ...]  # paths left alone, and why


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An operation that was interrupted."""

    folder: Path
    files: int
    undoing: bool  # interrupted while files were moved back


def apply(groups: Sequence[PhotoGroup], trash: Path) -> Outcome:
    """Move the sure duplicates of `groups`, and their companions, to a new folder in `trash`.

    A companion that also belongs to a file that stays is left where it is. A file that has gone or
    changed since the report is left alone, and so is every file of a group whose keeper has. Raises
    TrashError before any file is touched if the trash cannot be written, or when it is full: files
    that were moved until then stay in the trash and can be moved back.
    """
    with _as_trash_error(trash):
        new = [path for path in (trash, *trash.parents) if not path.exists()]
        trash.mkdir(parents=True, exist_ok=True)
        folder = _new_operation(trash)
        moves = list(_planned(groups))
        lines = [{"facesearch_trash": _VERSION, "files": len(moves)}]
        lines += [{name: getattr(move, name) for name in Move.__slots__} for move in moves]
        text = "".join(json.dumps(line) + "\n" for line in lines)  # ASCII: surrogates are escaped
        _write(folder / _PLAN, text.encode())
        for path in (folder, trash, *(path.parent for path in new)):
            _sync_folder(path)
    return _finish(folder, moves)


def companions_along(groups: Sequence[PhotoGroup]) -> list[str]:
    """Return the companions that `apply` moves along with the sure duplicates of `groups`."""
    twins = [twin.file.path for group in groups for twin in group.duplicates if twin.sure]
    return [companion for companion, _ in Companions().along(twins)]


def unfinished(trash: Path) -> list[Unfinished]:
    """Return the operations in `trash` that were interrupted, oldest first."""
    found = []
    for folder in _operations(trash):
        undone, moved = ((folder / name).exists() for name in (_UNDONE, _MOVED))
        undoing = (folder / _BEGUN).exists()
        if not undone and (undoing or not moved):
            found.append(Unfinished(folder, len(_read_plan(folder)), undoing))
    return found


def finish(trash: Path) -> list[Outcome]:
    """Finish every interrupted operation in `trash`; return their results."""
    return [
        undo(trash, cut.folder) if cut.undoing else _finish(cut.folder, _read_plan(cut.folder))
        for cut in unfinished(trash)
    ]


def undo(trash: Path, folder: Path | None = None) -> Outcome:
    """Move every file of an operation back, by default of the newest that is not undone.

    Never over another file: the outcome then lists the path, and the moved file stays in the trash.
    Raises TrashError if there is nothing to undo.
    """
    folder = folder or newest(trash)
    if folder is None:
        raise TrashError(f"there is nothing to undo in {trash}")
    moves = _read_plan(folder)
    moved, left_alone = [], []
    with _as_trash_error(trash):
        _write(folder / _BEGUN, b"")
        for move in moves:
            kept = folder / move.kept_as
            if kept.exists() and any((folder / photo).exists() for photo in move.belongs_to):
                left_alone.append((move.path, _PHOTO_STAYS))
                continue
            reason = _back(kept, Path(move.path), move.content_hash)
            if reason is None:
                moved.append(move.path)
            elif reason:
                left_alone.append((move.path, reason))
        _write(folder / (_MOVED if left_alone else _UNDONE), b"")
        (folder / _BEGUN).unlink()  # files left alone may be moved back later
        for part in folder.glob(".facesearch-*.part"):  # left by an apply that was killed
            part.unlink()
    return Outcome(folder, tuple(moved), tuple(left_alone))


def newest(trash: Path) -> Path | None:
    """Return the folder of the newest operation that is not undone, None if there is none."""
    left = [one for one in _operations(trash) if not (one / _UNDONE).exists()]
    return left[-1] if left else None


def _new_operation(trash: Path) -> Path:
    """Create the folder of the next operation."""
    last = max((_number(path) for path in trash.iterdir()), default=0)
    for number in count(last + 1):
        with suppress(FileExistsError):  # another program has just taken it
            folder = trash / f"{number:06}"
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")


def _number(folder: Path) -> int:
    """Return the number of an operation, 0 if its name is a time: it is older than all numbers."""
    return int(folder.name) if folder.name.isdecimal() and folder.name.isascii() else 0


def _planned(groups: Sequence[PhotoGroup]) -> Iterator[Move]:
    """Yield the moves of the sure duplicates, then those of the companions that go along."""
    going: dict[str, Move] = {}
    for group in groups:
        keeper = group.keeper
        for duplicate in group.duplicates:
            if duplicate.sure:
                file = duplicate.file
                kept_as = _kept_as(len(going) + 1, file.path)
                move = Move(file.path, file.content_hash, keeper.path, keeper.content_hash, kept_as)
                going[file.path] = move
                yield move
    for number, (path, photos) in enumerate(Companions().along(going), len(going) + 1):
        first = going[photos[0]]
        yield Move(
            path,
            file_hash(path) or "",
            first.keeper,
            first.keeper_hash,
            _kept_as(number, path),
            tuple(going[photo].kept_as for photo in photos),
        )


def _kept_as(number: int, path: str) -> str:
    """Return the name in the trash of a file, the operation's `number`th."""
    name = os.fsencode(Path(path).name)
    return f"{number:06}-" + name[-_NAME_BYTES:].decode("utf-8", "replace")


def _finish(folder: Path, moves: Sequence[Move]) -> Outcome:
    """Move the files that a plan names and that are not in the trash yet."""
    moved, left = [], []
    intact: dict[str, bool] = {}  # keeper -> whether it is unchanged: read once per operation
    with _as_trash_error(folder.parent):
        for move in moves:
            if move.keeper not in intact:
                intact[move.keeper] = file_hash(move.keeper) == move.keeper_hash
            if (folder / move.kept_as).exists() and not os.path.lexists(move.path):
                moved.append(move.path)  # before the interruption
                continue
            reason = "the file to keep is gone or has changed"
            if not all((folder / photo).exists() for photo in move.belongs_to):
                reason = _PHOTO_STAYS
            elif intact[move.keeper]:
                reason = _away(Path(move.path), folder / move.kept_as, move)
            if reason:
                left.append((move.path, reason))
            else:
                moved.append(move.path)
        _write(folder / _MOVED, b"")
    return Outcome(folder, tuple(moved), tuple(left))


def _away(path: Path, target: Path, move: Move) -> str:
    """Move a file to the trash; return "" if it was moved, else the reason why not."""
    if path.is_symlink():
        return "it has become a link"
    content_hash = file_hash(path)
    if content_hash is None:
        return "it is gone or cannot be read"
    if content_hash != move.content_hash:
        return "it has changed"
    with suppress(OSError):
        if path.samefile(move.keeper):
            return "it is the file to keep under another name"
    if target.exists():  # copied before an interruption
        if file_hash(target) != move.content_hash:
            return f"{target} is another file"
    else:
        try:
            path.replace(target)
            _sync_folder(target.parent)
            _sync_folder(path.parent)
            return ""
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT):
                return f"it cannot be moved: {error.strerror}"
            if error.errno != errno.EXDEV:
                raise
        _copy(path, target, move.content_hash)
    try:
        path.unlink()
    except OSError as error:
        target.unlink()
        return f"it cannot be moved: {error.strerror}"
    _sync_folder(path.parent)
    return ""


def _back(kept: Path, path: Path, content_hash: str) -> str | None:
    """Move a file back; return None if it was moved, "" if it need not be, else why not."""
    if not os.path.lexists(kept):
        return ""  # it was never moved, or is back already
    if os.path.lexists(path):
        if file_hash(path) != content_hash or path.is_symlink():
            return "another file is in its place now"
        kept.unlink()  # interrupted between copy and removal: both are the same
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(kept, path)  # unlike a rename it never replaces a file that has just appeared
        except OSError as error:
            if isinstance(error, FileExistsError):
                return "another file is in its place now"
            if error.errno == errno.EXDEV:
                _copy(kept, path, content_hash)
            else:  # a file system without hard links
                kept.rename(path)
    except OSError as error:
        return f"it cannot be moved back: {error.strerror}"
    _sync_folder(path.parent)
    kept.unlink(missing_ok=True)
    _sync_folder(kept.parent)
    return None


def _copy(source: Path, target: Path, content_hash: str) -> None:
    """Copy a file with its times to another file system, complete and verified, or not at all."""
    # after a kill the next attempt overwrites this file and removes it
    part = target.with_name(f".facesearch-{content_hash[:16]}.part")
    try:
        with source.open("rb") as reading, part.open("wb") as writing:
            shutil.copyfileobj(reading, writing)
            writing.flush()
            os.fsync(writing.fileno())
        shutil.copystat(source, part)
        if file_hash(part) != content_hash:
            raise OSError(errno.EIO, "the copy differs from the file", str(source))
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _operations(trash: Path) -> list[Path]:
    """Return the folders of operations, oldest first; one without a plan has moved nothing."""
    with suppress(OSError):
        folders = [path.parent for path in trash.glob(f"*/{_PLAN}")]
        return sorted(folders, key=lambda folder: (_number(folder), folder.name))
    return []


def _read_plan(folder: Path) -> list[Move]:
    """Return the moves of an operation; raises TrashError if its plan is damaged."""
    try:
        head, *lines = map(json.loads, (folder / _PLAN).read_text("utf-8").splitlines())
        if head not in [{"facesearch_trash": v, "files": len(lines)} for v in _READ]:
            raise ValueError
        return [Move(**line) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise TrashError(f"{folder / _PLAN} is not a plan that facesearch wrote") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file completely, synced to disk, or not at all."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system allows it."""
    if os.name == "nt":  # Windows cannot open a folder
        return
    with suppress(OSError):  # some network file systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _as_trash_error(trash: Path) -> Iterator[None]:
    """Turn an OSError about the trash into a TrashError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise TrashError(f"cannot use the trash folder {trash}: {reason}") from error
