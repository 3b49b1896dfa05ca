"""Folders of photos -> groups of files that show the same picture, each with one to keep.

Identical bytes are the same; other pictures if `facesearch.duplicates.picture` says so. Groups are
connected by sure links. A doubtful link joins too, but not two groups of several pictures each
that nothing else connects. What is proposed to go was itself compared with what stays.
"""

import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from facesearch.duplicates.photo_cache import FileState, PhotoCache, remove_cache
from facesearch.duplicates.picture import (
    EVERYWHERE,
    SIDE,
    SURE,
    Grey,
    Likeness,
    look_at,
    look_closely,
)
from facesearch.errors import PhotoError
from facesearch.photo import Photo, read_photo, walk_photos

Keep = Literal["best", "oldest", "newest", "first-folder"]
Progress = Callable[[str, int, int], None]  # what is done, how many of it, of how many

TRASH_PLAN = "facesearch-plan.jsonl"  # what lies beside it was moved to the trash already
_SHOWS_LESS = 0.93  # of the scene that another shows: under it a photo counts as a crop


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo that was read, in the state in which it was."""

    path: str  # absolute
    content_hash: str
    state: FileState
    width: int  # upright, in pixels
    height: int
    picture: int  # id in the cache
    folder: int  # which of the folders given it is from, from 0


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A file that shows what its group's keeper shows."""

    file: PhotoFile
    score: float  # 0 to 1, 1 for identical bytes
    sure: bool  # False if a closer look finds a place that differs: for a human to decide
    reason: str  # in words: identical bytes, smaller, mirrored, ...


@dataclass(frozen=True, slots=True)
class PhotoGroup:
    """Files of one picture: the one to keep, and the others."""

    keeper: PhotoFile
    duplicates: tuple[Duplicate, ...]  # by path


@dataclass(frozen=True, slots=True)
class PhotoReport:
    """What was found among the photos."""

    groups: tuple[PhotoGroup, ...]  # by the keeper's path
    photos: int  # files read, each file once
    unreadable: tuple[tuple[str, str], ...]  # path, reason
    same_files: tuple[tuple[str, str], ...]  # a link or another name, and what it is a name of
    doubtful: tuple[tuple[str, str, float], ...]  # two paths that look alike, the score


def find_duplicates(
    folders: Sequence[Path],
    cache: Path | None = None,
    *,
    keep: Keep = "best",
    bursts: bool = False,
    different: AbstractSet[frozenset[str]] = frozenset(),
    progress: Progress = lambda what, done, total: None,
) -> PhotoReport:
    """Return the groups of photos in `folders` that show the same picture; changes no photo.

    `cache` is the file to keep in what was computed; a run that was cut short goes on from there.
    `bursts` also joins frames of one series. Pairs of content hashes in `different`, which a human
    told apart, never come into one group. Kept is a photo that is no grey, GIF, cropped or mirrored
    one of another; among those the one `keep` says, by default that of most pixels, then of most
    bytes, then the oldest, then the first by path. A duplicate is `sure` if it was looked at
    closely and no spot differs. Raises PhotoError for a folder that is not there.
    """
    for attempt in ("with what is kept", "anew"):
        opened = PhotoCache(cache)
        try:
            finder = _Finder(opened, keep, bursts, different, progress)
            return finder.report(folders)
        except sqlite3.DatabaseError:
            if attempt == "anew" or cache is None:
                raise
        finally:
            opened.close()
        remove_cache(cache)  # damaged where opening does not look
    raise AssertionError("unreachable")


class _Finder:
    """One search, for what all of its steps need."""

    def __init__(
        self,
        cache: PhotoCache,
        keep: Keep,
        bursts: bool,
        different: AbstractSet[frozenset[str]],
        progress: Progress,
    ) -> None:
        self.cache = cache
        self.keep = keep
        self.bursts = bursts
        self.different = different
        self.progress = progress
        self.unreadable: list[tuple[str, str]] = []
        self.same_files: list[tuple[str, str]] = []

    def report(self, folders: Sequence[Path]) -> PhotoReport:
        paths = self.distinct(folders)
        files = self.read(paths)
        for done, total in self.cache.compare_new():
            self.progress("Comparing", done, total)
        groups, doubtful = self.groups(files)
        settled = self.read_again(files)
        if settled is not files:  # some changed while the others were compared
            for _ in self.cache.compare_new():
                pass
            groups, doubtful = self.groups(settled)
        self.cache.prune([os.path.abspath(folder) for folder in folders], {p for p, _ in paths})  # noqa: PTH100
        return PhotoReport(
            tuple(self.looked_at_closely(sorted(groups, key=lambda group: group.keeper.path))),
            len(settled),
            tuple(sorted(self.unreadable)),
            tuple(sorted(self.same_files)),
            tuple(doubtful),
        )

    # Files

    def distinct(self, folders: Sequence[Path]) -> list[tuple[str, int]]:
        """Return every file once, with the number of its folder, however many names it has."""
        names: dict[str, tuple[str, int]] = {}
        trash: dict[Path, bool] = {}  # folder -> whether it is one of an operation of the trash
        found = []
        for number, folder in enumerate(folders):
            for path in walk_photos([folder]):
                name = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links
                if path.parent not in trash:
                    trash[path.parent] = (path.parent / TRASH_PLAN).exists()
                if trash[path.parent]:
                    continue
                if path != folder and path.is_symlink():
                    self.same_files.append((name, os.path.realpath(path)))
                    continue
                try:
                    status = path.stat()
                except OSError as error:
                    self.unreadable.append((name, error.strerror or str(error)))
                    continue
                found.append((name, number, status))
        for name, number, status in sorted(found, key=lambda item: (item[1], item[0])):
            # Some file systems number no files: there a file has one name only.
            inode = FileState.of(status).inode if status.st_ino else os.path.realpath(name)
            other, _ = names.setdefault(inode, (name, number))
            if other != name:
                self.same_files.append((name, other))
        return list(names.values())

    def read(self, paths: Sequence[tuple[str, int]]) -> list[PhotoFile]:
        """Return the photos that can be read; what is kept of one in this state is not read."""
        files = []
        for done, (path, folder) in enumerate(paths, 1):
            try:
                files.append(self.file(path, folder))
            except PhotoError as error:
                self.unreadable.append((path, str(error)))
            self.progress("Reading", done, len(paths))
        return files

    def file(self, path: str, folder: int) -> PhotoFile:
        try:
            state = FileState.of(Path(path).stat())
        except OSError as error:
            raise PhotoError(f"cannot read {path}: {error.strerror or error}") from error
        content_hash = self.cache.hash_of(path, state)
        picture = self.cache.picture_id(content_hash) if content_hash else None
        if content_hash is None or picture is None:
            photo = read_photo(path)
            content_hash = photo.content_hash
            picture = self.cache.picture_id(content_hash)
            if picture is None:
                picture = self.cache.add_picture(content_hash, look_at(photo))
            # Known is only what was stable while it was read: this state before and after.
            if state == FileState.of(Path(path).stat()):
                self.cache.add_file(path, state, content_hash)
        look = self.cache.look(picture)
        return PhotoFile(path, content_hash, state, look.width, look.height, picture, folder)

    def read_again(self, files: list[PhotoFile]) -> list[PhotoFile]:
        """Return `files` itself, or a new list if some changed or vanished since they were read."""
        changed = {file.path for file in files if not unchanged(file)}
        if not changed:
            return files
        again = self.read([(file.path, file.folder) for file in files if file.path in changed])
        return [file for file in files if file.path not in changed] + again

    # Groups

    def groups(
        self, files: Iterable[PhotoFile]
    ) -> tuple[list[PhotoGroup], list[tuple[str, str, float]]]:
        by_picture: dict[int, list[PhotoFile]] = defaultdict(list)
        for file in files:
            by_picture[file.picture].append(file)
        parts, weak = self.connected(by_picture)
        groups = []
        for part in parts:
            while len(part) > 1:
                group, part = self.around_keeper([f for p in part for f in by_picture[p]])
                groups += [group] if group.duplicates else []
            groups += [self.around_keeper(by_picture[p])[0] for p in part if len(by_picture[p]) > 1]
        doubtful = [(by_picture[a][0].path, by_picture[b][0].path, score) for a, b, score in weak]
        return groups, doubtful

    def connected(
        self, by_picture: dict[int, list[PhotoFile]]
    ) -> tuple[list[set[int]], list[tuple[int, int, float]]]:
        """Return the sets of pictures that links connect, and the weak links that do not."""
        enemies: dict[int, set[int]] = defaultdict(set)
        numbers = {files[0].content_hash: picture for picture, files in by_picture.items()}
        for pair in self.different:
            known = [numbers[content_hash] for content_hash in pair if content_hash in numbers]
            if len(known) == 2:
                enemies[known[0]].add(known[1])
                enemies[known[1]].add(known[0])
        parts = {picture: {picture} for picture in by_picture}

        def join(first: int, second: int) -> None:
            one, two = parts[first], parts[second]
            if one is two or any(enemies[picture] & two for picture in one if picture in enemies):
                return
            small, large = sorted((one, two), key=len)
            large |= small
            for picture in small:
                parts[picture] = large

        weak: list[tuple[float, int, int]] = []
        near = self.cache.near(set(by_picture))
        for done, row in enumerate(near, 1):
            _, first, second = map(int, row)
            self.progress("Checking", done, len(near))
            if parts[first] is parts[second]:
                continue  # connected by surer links already
            likeness = self.alike(first, second)
            if likeness is None:
                continue
            if likeness.score >= SURE or likeness.burst:
                join(first, second)
            else:
                weak.append((likeness.score, first, second))
        alone: list[tuple[int, int, float]] = []
        for score, first, second in sorted(weak, reverse=True):
            one, two = parts[first], parts[second]
            if one is two:
                continue
            links = sum({id(parts[a]), id(parts[b])} == {id(one), id(two)} for _, a, b in weak)
            if min(len(one), len(two)) > 1 and links < 2:
                alone.append((first, second, score))
            else:
                join(first, second)
        return list({id(part): part for part in parts.values()}.values()), alone

    def alike(self, first: int, second: int) -> Likeness | None:
        likeness = self.cache.likeness(first, second)
        return None if likeness is None or (likeness.burst and not self.bursts) else likeness

    def around_keeper(self, files: list[PhotoFile]) -> tuple[PhotoGroup, set[int]]:
        """Return the group of the best of `files`, and the pictures that are not like that one."""
        best = min(files, key=lambda file: self.rank(file, "best"))
        likenesses = {
            picture: self.alike(best.picture, picture)
            for picture in {file.picture for file in files} - {best.picture}
        }
        keeper = min(files, key=self.worth(best, files, likenesses))
        duplicates, left = [], set()
        for file in sorted(files, key=lambda file: file.path):
            if file is keeper:
                continue
            if file.picture == keeper.picture:
                duplicates.append(Duplicate(file, 1.0, True, "identical bytes"))
                continue
            likeness = self.alike(keeper.picture, file.picture)
            if likeness is None:
                left.add(file.picture)
            else:
                reason = self.reason(keeper, file, likeness)
                duplicates.append(Duplicate(file, likeness.score, True, reason))
        return PhotoGroup(keeper, tuple(duplicates)), left

    def looked_at_closely(self, groups: Sequence[PhotoGroup]) -> Iterator[PhotoGroup]:
        """Yield the groups with what a closer look at each file beside its keeper finds."""
        for done, group in enumerate(groups, 1):
            keeper: list[Photo] = []  # read once, and only if there is somebody to compare with
            duplicates = []
            for twin in group.duplicates:
                doubt = self.doubt(group.keeper, twin.file, keeper)
                if doubt:
                    twin = replace(twin, sure=False, reason=f"{twin.reason}, {doubt}")
                duplicates.append(twin)
            self.progress("Looking closely", done, len(groups))
            yield replace(group, duplicates=tuple(duplicates))

    def doubt(self, keeper: PhotoFile, file: PhotoFile, read: list[Photo]) -> str:
        """Return why a human has to look at the two, an empty text if nobody need."""
        likeness = self.alike(keeper.picture, file.picture)
        if keeper.picture == file.picture or (likeness and likeness.burst):
            return ""  # frames of a series differ as they must, and were asked for
        if self.cache.look(keeper.picture).plain or self.cache.look(file.picture).plain:
            return "perhaps print that differs"
        return "" if self.differing(keeper, file, read) >= EVERYWHERE else "a spot differs"

    def differing(self, keeper: PhotoFile, file: PhotoFile, read: list[Photo]) -> float:
        """Return the answer of `look_closely`, kept or new; -1 if a file is not as it was."""
        known = self.cache.differing(keeper.picture, file.picture)
        if known is not None:
            return known
        try:
            if not read:
                read.append(read_photo(keeper.path))
            photos = read[0], read_photo(file.path)
            if [p.content_hash for p in photos] != [keeper.content_hash, file.content_hash]:
                return -1.0
            looks = self.cache.look(keeper.picture), self.cache.look(file.picture)
            found = look_closely(photos, looks)
        except PhotoError:
            return -1.0
        self.cache.add_differing(keeper.picture, file.picture, found)
        return found

    def worth(
        self, best: PhotoFile, files: list[PhotoFile], likenesses: dict[int, Likeness | None]
    ) -> Callable[[PhotoFile], tuple[object, ...]]:
        """Return the key by which the photo to keep comes first."""
        looks = {file.picture: self.cache.look(file.picture) for file in files}
        shown = {best.picture: content_share(looks[best.picture].grey)}
        laid = {best.picture: (False, False)}
        for picture, likeness in likenesses.items():
            if likeness is not None:
                shown[picture] = content_share(looks[picture].grey) / likeness.area
                laid[picture] = likeness.mirrored, likeness.turned
        usual = Counter(laid[file.picture] for file in files if file.picture in laid)
        often = max(usual.values())
        colour = any(not look.colourless for look in looks.values())

        def key(file: PhotoFile) -> tuple[object, ...]:
            return (
                file.picture not in shown,
                colour and looks[file.picture].colourless,
                Path(file.path).suffix.lower() == ".gif",  # 256 colours: made from a better one
                shown.get(file.picture, 0.0) < _SHOWS_LESS * max(shown.values()),
                usual[laid.get(file.picture, (True, True))] < often,
                *self.rank(file, self.keep),
            )

        return key

    def rank(self, file: PhotoFile, keep: Keep) -> tuple[object, ...]:
        first: dict[str, int] = {
            "best": 0,
            "oldest": file.state.mtime_ns,
            "newest": -file.state.mtime_ns,
            "first-folder": file.folder,
        }
        pixels = file.width * file.height
        return first[keep], -pixels, -file.state.size, file.state.mtime_ns, file.path

    def reason(self, keeper: PhotoFile, file: PhotoFile, likeness: Likeness) -> str:
        kept, other = self.cache.look(keeper.picture), self.cache.look(file.picture)
        words = ["a frame of the same series" if likeness.burst else "the same picture"]
        if (file.width, file.height) != (keeper.width, keeper.height):
            words.append(
                f"{file.width} x {file.height} instead of {keeper.width} x {keeper.height}"
            )
        shown = content_share(kept.grey) * likeness.area / content_share(other.grey)
        words += ["cropped"] if shown * _SHOWS_LESS > 1 else []
        words += ["grey"] if other.colourless and not kept.colourless else []
        words += ["mirrored"] if likeness.mirrored else []
        words += ["turned"] if likeness.turned else []
        return ", ".join(words)


def why_kept(group: PhotoGroup) -> str:
    """Return in words what the keeper of a group has before the others.

    Of one from `find_duplicates` that keeps the best.
    """
    keeper, others = group.keeper, [twin.file for twin in group.duplicates]
    pixels = [file.width * file.height - keeper.width * keeper.height for file in others]
    if max(pixels) > 0:
        return "those of more pixels are a GIF, grey, cropped, mirrored or turned"
    rivals = [file for file, more in zip(others, pixels, strict=True) if more == 0]
    if not rivals:
        return "it has most pixels"
    sizes = [file.state.size for file in rivals]
    if max(sizes) < keeper.state.size:
        return "it has most bytes"
    if max(sizes) > keeper.state.size:
        return "those of more bytes are a GIF, grey, cropped, mirrored or turned"
    equal = [file for file in rivals if file.state.size == keeper.state.size]
    if all(file.state.mtime_ns > keeper.state.mtime_ns for file in equal):
        return "it is the oldest"
    return "its name comes first"


def unchanged(file: PhotoFile) -> bool:
    """Return whether a file is still in the state in which it was read."""
    try:
        return FileState.of(Path(file.path).stat()) == file.state
    except OSError:
        return False


def content_share(grey: Grey) -> float:
    """Return the share of a small picture that lies within a frame of one grey, 1 if none."""
    share = 1.0
    for picture in (grey, grey.T):
        edges = [_even_lines(picture), _even_lines(picture[::-1])]
        share *= max(1, SIDE - sum(edges)) / SIDE
    return share


def _even_lines(picture: Grey) -> int:
    """Return how many of the first rows are of one grey, all the same."""
    rows = picture.astype(np.float32)
    even = (rows.std(axis=1) < 3) & (np.abs(rows.mean(axis=1) - rows[0].mean()) < 4)
    return int(np.argmin(even)) if not even.all() else len(even)


def files_of(groups: Collection[PhotoGroup]) -> int:
    """Return how many files are not the keeper of their group."""
    return sum(len(group.duplicates) for group in groups)


def sure_files_of(groups: Collection[PhotoGroup]) -> int:
    """Return how many files may go without anybody looking at them."""
    return sum(twin.sure for group in groups for twin in group.duplicates)
