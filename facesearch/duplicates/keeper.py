"""Files of one picture -> the one to keep, and what is worse about the others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from facesearch.duplicates.photo_cache import PhotoFile
from facesearch.duplicates.picture import SIDE, Gray, Likeness, Look

Keep = Literal["best", "oldest", "newest", "first-folder"]

_SHOWS_LESS = 0.93  # a photo that shows less than this share of the scene counts as a crop


def rank(file: PhotoFile, keep: Keep) -> tuple[object, ...]:
    """Return a key by which files of equal versions sort, the one that `keep` prefers first.

    Then by most pixels, most bytes, oldest and path.
    """
    first: dict[str, int] = {
        "best": 0,
        "oldest": file.state.mtime_ns,
        "newest": -file.state.mtime_ns,
        "first-folder": file.folder,
    }
    pixels = file.width * file.height
    return first[keep], -pixels, -file.state.size, file.state.mtime_ns, file.path


def choose_keeper(
    files: Sequence[PhotoFile],
    best: PhotoFile,
    likenesses: Mapping[int, Likeness | None],
    looks: Mapping[int, Look],
    keep: Keep,
) -> PhotoFile:
    """Return the file to keep: never a gray, GIF, cropped or mirrored one if there is another.

    `likenesses` says how alike `best` is to each other picture of `files`, None if it is another
    picture; such files come last. `looks` is by picture. Among equal versions `keep` decides.
    """
    shown = {best.picture: content_share(looks[best.picture].gray)}  # of the scene of `best`
    laid = {best.picture: (False, False)}
    for picture, likeness in likenesses.items():
        if likeness is not None:
            shown[picture] = content_share(looks[picture].gray) / likeness.area
            laid[picture] = likeness.mirrored, likeness.turned
    counts = Counter(laid[file.picture] for file in files if file.picture in laid)
    color = any(not look.grayscale for look in looks.values())

    def key(file: PhotoFile) -> tuple[object, ...]:
        return (
            file.picture not in shown,
            color and looks[file.picture].grayscale,
            Path(file.path).suffix.lower() == ".gif",  # 256 colors: made from a better file
            shown.get(file.picture, 0.0) < _SHOWS_LESS * max(shown.values()),
            counts[laid.get(file.picture, (True, True))] < max(counts.values()),
            *rank(file, keep),
        )

    return min(files, key=key)


def difference(
    keeper: PhotoFile, file: PhotoFile, looks: Mapping[int, Look], likeness: Likeness
) -> str:
    """Return in words how `file` differs from the `keeper` of its group."""
    kept, other = looks[keeper.picture], looks[file.picture]
    words = ["another frame of the burst" if likeness.burst else "the same picture"]
    if (file.width, file.height) != (keeper.width, keeper.height):
        words.append(f"{file.width} x {file.height} instead of {keeper.width} x {keeper.height}")
    shown = content_share(kept.gray) * likeness.area / content_share(other.gray)
    words += ["cropped"] if shown * _SHOWS_LESS > 1 else []
    words += ["grayscale"] if other.grayscale and not kept.grayscale else []
    words += ["mirrored"] if likeness.mirrored else []
    words += ["rotated"] if likeness.turned else []
    return ", ".join(words)


def content_share(gray: Gray) -> float:
    """Return the share of a small picture that lies within a frame of one gray, 1 if none."""
    share = 1.0
    for picture in (gray, gray.T):
        edges = [_even_lines(picture), _even_lines(picture[::-1])]
        share *= max(1, SIDE - sum(edges)) / SIDE
    return share


def _even_lines(picture: Gray) -> int:
    """Return how many of the first rows are one and the same gray."""
    rows = picture.astype(np.float32)
    even = (rows.std(axis=1) < 3) & (np.abs(rows.mean(axis=1) - rows[0].mean()) < 4)
    return int(np.argmin(even)) if not even.all() else len(even)
