"""Folders -> the photo files in them, and a note of what was left out.

Some folders hold copies, thumbnails or deleted files, made by a program and not by the user: a
trash, a NAS's previews, our own output. Their photos would be people and photos a second time.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from facesearch.errors import PhotoError

TRASH_PLAN = "facesearch-plan.jsonl"  # the files beside it have been moved to the trash
DEFAULT_TRASH = "facesearch-trash"
OUTPUT_LIST = ".facesearch-output"  # names of the pictures and folders beside it that we made

_ENDINGS = re.compile(
    r"\.(jpe?g|jpe|jfif|mpo|a?png|webp|avif|hei[cf]|hif|tiff?|gif|bmp|p[bgnp]m|pfm"
    r"|dng|nef|nrw|cr[23w]|arw|sr[2fw]|rw2|orf|raf|pef|3fr|iiq|x3f|mrw|erf|kdc|dcr|mef|mos)",
    re.IGNORECASE,
)
# By name, whole and in any case; hidden ones (.Trash-1000, .thumbnails, .stversions) need no entry.
_NO_CONTENT = frozenset(
    (
        *(DEFAULT_TRASH, "__macosx", "lost+found", "network trash folder", "temporary items"),
        *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
        *("@eadir", "@tmp", "#recycle", "#snapshot", "@sharesnap", "@synoeastream"),  # Synology
        *("@recycle", "@recently-snapshot", "@__thumb", "@transcode"),  # QNAP
        *("ipod photo cache", "lost.dir"),  # iTunes, Android
    )
)
_SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini"))  # not worth a word
_OF_A_GALLERY = re.compile(r"(.+)-(index|photos)")  # folders beside a gallery file
MAX_NAMED = 10  # folders and links in a message


@dataclass(slots=True)
class LeftOut:
    """What walks did not yield, by kind."""

    endings: Counter[str] = field(default_factory=Counter)  # of files that are read as no photo
    hidden: int = 0  # photos and folders whose name starts with a dot
    own: int = 0  # pictures that facesearch made
    folders: list[Path] = field(default_factory=list)  # that hold no content, see the module
    links: list[Path] = field(default_factory=list)  # to folders

    def add(self, other: "LeftOut") -> None:
        """Add what another walk did not yield."""
        self.endings += other.endings
        self.hidden += other.hidden
        self.own += other.own
        self.folders += other.folders
        self.links += other.links

    def counts(self) -> dict[str, int]:
        """Return the number of files, folders or links of each kind that was found."""
        kinds = {
            "other files": self.endings.total(),
            "hidden": self.hidden,
            "made by facesearch": self.own,
            "folders without content": len(self.folders),
            "links to folders": len(self.links),
        }
        return {kind: number for kind, number in kinds.items() if number}

    def lines(self) -> list[str]:
        """Return a line about each kind that was found, with numbers and names."""
        found = []
        if self.endings:
            kinds = [f"{n:,} {ending}" for ending, n in sorted(self.endings.items(), key=_largest)]
            number = self.endings.total()
            what = "file that is not a photo" if number == 1 else "files that are not photos"
            found.append(f"{number:,} {what} in a format that is read: {_cut(kinds)}")
        if self.hidden:
            what = "photo or folder" if self.hidden == 1 else "photos or folders"
            found.append(f"{self.hidden:,} hidden {what} (the name starts with a dot)")
        if self.own:
            found.append(f"{self.own:,} made by facesearch itself (--annotate, demo)")
        if self.folders:
            names = _cut([str(path) for path in self.folders])
            found.append(f"{_number(self.folders, 'folder')} for trash or thumbnails: {names}")
        if self.links:
            names = _cut([str(path) for path in self.links])
            found.append(
                f"{_number(self.links, 'link')} to a folder: {names}; "
                "to include it, give the folder that the link leads to"
            )
        return found


def walk_photos(paths: Iterable[Path], left_out: LeftOut | None = None) -> Iterator[Path]:
    """Yield the given files, and the files with a photo's ending in the given folders, sorted.

    Folders are searched recursively, without hidden files and folders, folders that hold no content
    (see the module) and links to folders; all these are added to `left_out`. A folder that cannot
    be listed is itself yielded, so that reading it gives the reason and the rest goes on. Raises
    PhotoError, before the first photo, for a path that does not exist.
    """
    paths = list(paths)
    left_out = LeftOut() if left_out is None else left_out
    for path in paths:
        try:
            path.stat()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or str(error)
            raise PhotoError(f"cannot read {path}: {reason}") from error
    for path in paths:
        if path.is_dir():
            yield from _walk_folder(path, left_out)
        else:
            yield path


def content_of(folder: Path, left_out: LeftOut) -> tuple[list[Path], list[Path]]:
    """Return the photos and the subfolders that lie in `folder` itself, sorted.

    What a walk leaves out is added to `left_out`. Raises OSError.
    """
    content = _content(folder, left_out)
    photos = [path for path, is_folder in content if not is_folder]
    return photos, [path for path, is_folder in content if is_folder]


def holds_photos(folder: Path) -> bool:
    """Return whether a photo lies in `folder` itself; False if it cannot be listed."""
    try:
        return not all(is_folder for _, is_folder in _content(folder, LeftOut()))
    except OSError:
        return False


def remember_output(folder: Path, names: Iterable[str]) -> None:
    """Note that facesearch made the files or folders `names` in `folder`: walks leave them out."""
    with (folder / OUTPUT_LIST).open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"{name}\n" for name in names)


def _walk_folder(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    try:
        content = _content(folder, left_out)
    except OSError:
        yield folder
        return
    for path, is_folder in content:
        if is_folder:
            yield from _walk_folder(path, left_out)
        else:
            yield path


def _content(folder: Path, left_out: LeftOut) -> list[tuple[Path, bool]]:
    """Return the photos and subfolders (True) in a folder, sorted by name; raises OSError."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    names = {entry.name for entry in entries}
    if TRASH_PLAN in names:
        left_out.folders.append(folder)
        return []
    own = _own_output(folder) if OUTPUT_LIST in names else frozenset[str]()
    found = []
    for entry in entries:
        path = folder / entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        is_content = is_folder or bool(_ENDINGS.fullmatch(path.suffix))
        if not is_folder and entry.is_symlink() and entry.is_dir():
            left_out.links.append(path)
        elif not is_content:
            if not entry.name.startswith(".") and entry.name.lower() not in _SYSTEM_FILES:
                left_out.endings[path.suffix.lower() or "without an ending"] += 1
        elif entry.name in own:
            left_out.own += 1
        elif entry.name.startswith("."):
            left_out.hidden += 1
        elif is_folder and _holds_no_content(entry.name, names):
            left_out.folders.append(path)
        else:
            found.append((path, is_folder))
    return found


def _holds_no_content(name: str, siblings: set[str]) -> bool:
    of_a_gallery = _OF_A_GALLERY.fullmatch(name)
    if of_a_gallery and of_a_gallery[1] in siblings:
        return of_a_gallery[1].endswith((".db", ".sqlite"))
    return name.lower() in _NO_CONTENT


def _own_output(folder: Path) -> frozenset[str]:
    try:
        text = (folder / OUTPUT_LIST).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return frozenset()
    return frozenset(text.splitlines())


def _largest(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _cut(names: list[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _number(found: list[Path], noun: str) -> str:
    return f"{len(found):,} {noun}{'' if len(found) == 1 else 's'}"
