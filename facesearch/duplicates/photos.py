"""Folders of photos -> groups of files that show the same picture, each with one to keep.

Files of identical bytes are the same picture; others if `picture` says so. `photo_links` connects
them to groups, `keeper` says which file stays. Every file that is proposed to go was itself
compared with the one that stays.
"""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from facesearch.duplicates.camera import camera_of, why_two_shots
from facesearch.duplicates.companions import Companions
from facesearch.duplicates.keeper import (
    Keep,
    choose_keeper,
    difference,
    may_be_original,
    rank,
    why_missed,
)
from facesearch.duplicates.photo_cache import FileState, PhotoCache, PhotoFile, remove_cache
from facesearch.duplicates.photo_links import connect
from facesearch.duplicates.picture import Likeness, look_at, look_closely, why_unsure
from facesearch.errors import PhotoError
from facesearch.photo import Photo, read_photo
from facesearch.photo_files import walk_photos

Progress = Callable[[str, int, int], None]  # the step, how many are done, of how many

_EQUAL = 0.98  # least score at which all pixels may be equal: small decodes of a JPEG differ a bit


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A file that shows the same picture as its group's keeper."""

    file: PhotoFile
    score: float  # 0 to 1, 1 for identical bytes
    sure: bool  # False if the closer look finds a difference: a human has to decide
    reason: str  # in words: identical bytes, 200 x 200 instead of 512 x 512, mirrored, ...


@dataclass(frozen=True, slots=True)
class PhotoGroup:
    """Files of one picture: the one to keep, and its duplicates."""

    keeper: PhotoFile
    duplicates: tuple[Duplicate, ...]  # by path


@dataclass(frozen=True, slots=True)
class PhotoReport:
    """The groups found among some photos."""

    groups: tuple[PhotoGroup, ...]  # by the keeper's path
    photos: int  # files read, each file once
    unreadable: tuple[tuple[str, str], ...]  # path, reason
    same_files: tuple[tuple[str, str], ...]  # a link or another name, and the file it names
    doubtful: tuple[tuple[str, str, float], ...]  # two paths that look alike but are not grouped


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

    `cache` is the file that keeps what was computed; an interrupted run continues from it.
    `bursts` also groups frames of one burst. Pairs of content hashes in `different`, which a human
    called different pictures, never come into one group. The keeper is the best copy: never a GIF,
    colorless, cropped or mirrored version if there is another; among the rest the one that `keep`
    says, by default that with the most pixels, then the most of what a camera writes (time, place,
    maker's note), the most companions, the most bytes, then the oldest, then the first by path. A
    duplicate is `sure` if a closer look found no difference, neither in exposure nor in what the
    cameras wrote, and it has nothing that the keeper lacks. Raises PhotoError for a folder that
    does not exist.
    """
    for attempt in ("with the cache", "without"):
        opened = PhotoCache(cache)
        try:
            finder = _Finder(opened, keep, bursts, different, progress)
            return finder.report(folders)
        except sqlite3.DatabaseError:
            if attempt == "without" or cache is None:
                raise
        finally:
            opened.close()
        remove_cache(cache)  # damage that opening does not notice
    raise AssertionError("unreachable")


class _Finder:
    """One search: what all of its steps share."""

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
        self.companions = Companions()
        self.unreadable: list[tuple[str, str]] = []
        self.same_files: list[tuple[str, str]] = []

    def report(self, folders: Sequence[Path]) -> PhotoReport:
        """Carry out the search."""
        paths = self.distinct(folders)
        files = self.read(paths)
        for done, total in self.cache.compare_new():
            self.progress("Comparing", done, total)
        groups, doubtful = self.groups(files)
        settled = self.read_again(files)
        if settled is not files:  # some changed during the comparison
            for _ in self.cache.compare_new():
                pass
            groups, doubtful = self.groups(settled)
        self.cache.prune([os.path.abspath(folder) for folder in folders], {p for p, _ in paths})  # noqa: PTH100
        groups.sort(key=lambda group: group.keeper.path)
        return PhotoReport(
            tuple(with_companions_named(list(self.looked_at_closely(groups)))),
            len(settled),
            tuple(sorted(self.unreadable)),
            tuple(sorted(self.same_files)),
            tuple(doubtful),
        )

    # Files

    def distinct(self, folders: Sequence[Path]) -> list[tuple[str, int]]:
        """Return every file once, whatever names it has, with the number of its folder."""
        names: dict[str, tuple[str, int]] = {}
        found = []
        for number, folder in enumerate(folders):
            for path in walk_photos([folder]):
                name = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links
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
            # Some file systems have no inodes: there a file has only one name.
            inode = FileState.of(status).inode if status.st_ino else os.path.realpath(name)
            other, _ = names.setdefault(inode, (name, number))
            if other != name:
                self.same_files.append((name, other))
        return list(names.values())

    def read(self, paths: Sequence[tuple[str, int]]) -> list[PhotoFile]:
        """Return the readable photos; those that the cache knows in their state are not read."""
        files = []
        for done, (path, folder) in enumerate(paths, 1):
            try:
                files.append(self.file(path, folder))
            except PhotoError as error:
                self.unreadable.append((path, str(error)))
            self.progress("Reading", done, len(paths))
        return files

    def file(self, path: str, folder: int) -> PhotoFile:
        """Return a photo by what the cache knows of it, else read it; raises PhotoError."""
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
                picture = self.cache.add_picture(
                    content_hash, photo.identity, look_at(photo), camera_of(photo)
                )
            # Keep the hash only if the file did not change while it was read.
            if state == FileState.of(Path(path).stat()):
                self.cache.add_file(path, state, content_hash)
        look = self.cache.look(picture)
        identity, camera = self.cache.identity_and_camera(picture)
        return PhotoFile(
            path=path,
            content_hash=content_hash,
            identity=identity,
            state=state,
            width=look.width,
            height=look.height,
            picture=picture,
            folder=folder,
            camera=camera,
            companions=self.companions.of(path),
        )

    def read_again(self, files: list[PhotoFile]) -> list[PhotoFile]:
        """Return `files` itself, or a new list if some have changed or gone since."""
        changed = {file.path for file in files if not unchanged(file)}
        if not changed:
            return files
        again = self.read([(file.path, file.folder) for file in files if file.path in changed])
        return [file for file in files if file.path not in changed] + again

    # Groups

    def groups(
        self, files: Iterable[PhotoFile]
    ) -> tuple[list[PhotoGroup], list[tuple[str, str, float]]]:
        """Return the groups of `files`, and the pairs of paths that look alike but join none."""
        by_picture: dict[int, list[PhotoFile]] = defaultdict(list)
        for file in files:
            by_picture[file.picture].append(file)
        pictures_of: dict[str, set[int]] = defaultdict(set)
        for picture, same in by_picture.items():
            pictures_of[same[0].content_hash].add(picture)
            pictures_of[same[0].identity].add(picture)
        pairs = [[pictures_of.get(h, set()) for h in pair] for pair in self.different]
        different = [pair for ones, others in pairs for pair in product(ones, others)]
        parts, weak = connect(by_picture, self.near(by_picture), self.alike, different)
        groups = []
        for part in parts:
            while len(part) > 1:
                group, part = self.around_keeper([f for p in part for f in by_picture[p]])
                groups += [group] if group.duplicates else []
            groups += [self.around_keeper(by_picture[p])[0] for p in part if len(by_picture[p]) > 1]
        doubtful = [(by_picture[a][0].path, by_picture[b][0].path, score) for a, b, score in weak]
        return groups, doubtful

    def near(self, pictures: Collection[int]) -> Iterator[tuple[int, int]]:
        """Yield the pairs of pictures that may be the same, nearest first."""
        near = self.cache.near(pictures)
        for done, (_, first, second) in enumerate(near, 1):
            self.progress("Checking", done, len(near))
            yield int(first), int(second)

    def alike(self, first: int, second: int) -> Likeness | None:
        """Return how alike two pictures are; None if they differ, or for a burst unless asked."""
        likeness = self.cache.likeness(first, second)
        return None if likeness is None or (likeness.burst and not self.bursts) else likeness

    def around_keeper(self, files: list[PhotoFile]) -> tuple[PhotoGroup, set[int]]:
        """Return the group around the best of `files`, and the pictures that are not like it."""
        best = min(files, key=lambda file: rank(file, "best"))
        looks = {file.picture: self.cache.look(file.picture) for file in files}
        likenesses = {
            picture: self.alike(best.picture, picture) for picture in looks.keys() - {best.picture}
        }
        keeper = choose_keeper(files, best, likenesses, looks, self.keep)
        if self.keep == "best":
            keeper = self.original_of(keeper, files)
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
                reason = difference(keeper, file, looks, likeness)
                duplicates.append(Duplicate(file, likeness.score, True, reason))
        return PhotoGroup(keeper, tuple(duplicates)), left

    def original_of(self, keeper: PhotoFile, files: Sequence[PhotoFile]) -> PhotoFile:
        """Return the file that the keeper was made of without loss, the keeper itself if none."""
        for file in sorted(files, key=lambda file: rank(file, "best")):
            if may_be_original(file, keeper):
                likeness = self.alike(keeper.picture, file.picture)
                laid = likeness and (likeness.mirrored or likeness.turned)
                if likeness and likeness.score > _EQUAL and not laid and self.equal(keeper, file):
                    return file
        return keeper

    def equal(self, one: PhotoFile, other: PhotoFile) -> bool:
        """Return whether two pictures are equal in every pixel; no if one cannot be read."""
        known = self.cache.equal(one.picture, other.picture)
        if known is None:
            try:
                pixels = read_photo(one.path).pixels(), read_photo(other.path).pixels()
            except PhotoError:
                return False
            known = bool(np.array_equal(*pixels))
            self.cache.add_equal(one.picture, other.picture, known)
        return known

    def looked_at_closely(self, groups: Sequence[PhotoGroup]) -> Iterator[PhotoGroup]:
        """Yield the groups; duplicates in which a closer look finds a difference are not sure."""
        for done, group in enumerate(groups, 1):
            keeper: list[Photo] = []  # read at most once, when first compared
            duplicates = []
            for twin in group.duplicates:
                doubt = self.doubt(group.keeper, twin.file, keeper)
                if doubt:
                    twin = replace(twin, sure=False, reason=f"{twin.reason}, {doubt}")
                duplicates.append(twin)
            self.progress("Looking closely", done, len(groups))
            yield replace(group, duplicates=tuple(duplicates))

    def doubt(self, keeper: PhotoFile, file: PhotoFile, read: list[Photo]) -> str:
        """Return why a human has to look at the two, "" if none need to."""
        likeness = self.alike(keeper.picture, file.picture)
        if keeper.picture == file.picture or likeness is None:
            return ""
        looks = self.cache.look(keeper.picture), self.cache.look(file.picture)
        return (
            why_two_shots(keeper.camera, file.camera, burst=self.bursts)
            or why_missed(keeper, file, {keeper.picture: looks[0], file.picture: looks[1]})
            or why_unsure(looks, likeness, lambda: self.differing(keeper, file, read))
        )

    def differing(self, keeper: PhotoFile, file: PhotoFile, read: list[Photo]) -> float:
        """Return the answer of `look_closely`, kept or new; -1 if a file has changed or gone."""
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


def with_companions_named(groups: Sequence[PhotoGroup]) -> Iterator[PhotoGroup]:
    """Yield the groups; the reason of a duplicate says which companions go along with it."""
    beside: dict[str, list[str]] = defaultdict(list)
    twins = [twin.file.path for group in groups for twin in group.duplicates]
    for companion, photos in Companions().along(twins):
        beside[photos[0]].append(Path(companion).name)
    for group in groups:
        duplicates = [
            replace(twin, reason=", ".join([twin.reason, f"with {' and '.join(names)}"]))
            if (names := beside.get(twin.file.path))
            else twin
            for twin in group.duplicates
        ]
        yield replace(group, duplicates=tuple(duplicates))


_LARGEST = "it is the largest file"
_MEASURES: tuple[tuple[str, Callable[[PhotoFile], int]], ...] = (  # in the order of `rank`
    ("it has the camera's data", lambda file: file.camera.marks),
    ("other files belong to it", lambda file: len(file.companions)),
    (_LARGEST, lambda file: file.state.size),
    ("it is the oldest", lambda file: -file.state.mtime_ns),
)


def why_kept(group: PhotoGroup) -> str:
    """Return in words why the keeper of a group is kept, if `find_duplicates` kept the best."""
    keeper, others = group.keeper, [twin.file for twin in group.duplicates]
    pixels = [file.width * file.height - keeper.width * keeper.height for file in others]
    worse = "GIF, colorless, cropped, mirrored or rotated"
    if max(pixels) > 0:
        return f"the larger pictures are {worse}"
    rivals = [file for file, more in zip(others, pixels, strict=True) if more == 0]
    if not rivals:
        return "it has the most pixels"
    for reason, measure in _MEASURES:
        if max(map(measure, rivals)) > measure(keeper):
            larger = "larger files" if reason == _LARGEST else "others"
            return f"the {larger} are {worse}, or made of this one"
        rivals = [file for file in rivals if measure(file) == measure(keeper)]
        if not rivals:
            return reason
    return "its path comes first"


def unchanged(file: PhotoFile) -> bool:
    """Return whether a file is still in the state it was read in."""
    try:
        return FileState.of(Path(file.path).stat()) == file.state
    except OSError:
        return False


def files_of(groups: Collection[PhotoGroup]) -> int:
    """Return how many files of `groups` are duplicates."""
    return sum(len(group.duplicates) for group in groups)


def sure_files_of(groups: Collection[PhotoGroup]) -> int:
    """Return how many files of `groups` may be moved without a human looking at them."""
    return sum(twin.sure for group in groups for twin in group.duplicates)
