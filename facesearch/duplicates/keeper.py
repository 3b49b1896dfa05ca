"""Files of one picture -> the one to keep, and what is worse about the others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from facesearch.duplicates.photo_cache import PhotoFile
from facesearch.duplicates.picture import ONE_TONE, SIDE, Gray, Likeness, Look

Keep = Literal["best", "oldest", "newest", "first-folder"]

_SHOWS_LESS = 0.93  # a photo that shows less than this share of the scene counts as a crop
_LOSSLESS = (".png", ".apng", ".bmp", ".tif", ".tiff", ".pbm", ".pgm", ".pnm", ".ppm")


def rank(file: PhotoFile, keep: Keep) -> tuple[object, ...]:
    """Return a key by which files of equal versions sort, the one that `keep` prefers first.

    Then by most pixels, most of what the camera wrote, most companions, most bytes, oldest, path.
    """
    first: dict[str, int] = {
        "best": 0,
        "oldest": file.state.mtime_ns,
        "newest": -file.state.mtime_ns,
        "first-folder": file.folder,
    }
    pixels = file.width * file.height
    return (
        *(first[keep], -pixels, -file.camera.marks, -len(file.companions)),
        *(-file.state.size, file.state.mtime_ns, file.path),
    )


def choose_keeper(
    files: Sequence[PhotoFile],
    best: PhotoFile,
    likenesses: Mapping[int, Likeness | None],
    looks: Mapping[int, Look],
    keep: Keep,
) -> PhotoFile:
    """Return the file to keep: never a GIF, cropped or mirrored one if there is another.

    `likenesses` says how alike `best` is to each other picture of `files`, None if it is another
    picture; such files come last. `looks` is by picture. Never a colorless one either, if there is
    one in color that has as much of what the camera wrote. Among equal versions `keep` decides.
    """
    shown = {best.picture: content_share(looks[best.picture].gray)}  # of the scene of `best`
    laid = {best.picture: (False, False)}
    for picture, likeness in likenesses.items():
        if likeness is not None:
            shown[picture] = content_share(looks[picture].gray) / likeness.area
            laid[picture] = likeness.mirrored, likeness.turned
    counts = Counter(laid[file.picture] for file in files if file.picture in laid)
    colorless = without_color(looks)
    marks = max((f.camera.marks for f in files if f.picture not in colorless), default=-1)

    def key(file: PhotoFile) -> tuple[object, ...]:
        return (
            file.picture not in shown,
            file.picture in colorless and file.camera.marks <= marks,
            Path(file.path).suffix.lower() == ".gif",  # 256 colors: made from a better file
            shown.get(file.picture, 0.0) < _SHOWS_LESS * max(shown.values()),
            counts[laid.get(file.picture, (True, True))] < max(counts.values()),
            *rank(file, keep),
        )

    return min(files, key=key)


def without_color(looks: Mapping[int, Look]) -> set[int]:
    """Return the pictures that are gray or in one tone while others of these show colors."""
    most = max(0.0 if look.grayscale else look.colors for look in looks.values())
    return {
        picture
        for picture, look in looks.items()
        if most > 0 and (look.grayscale or look.colors < min(ONE_TONE, most / 2))
    }


def may_be_original(file: PhotoFile, keeper: PhotoFile) -> bool:
    """Return whether `keeper` may be `file` itself, decoded and saved again without loss.

    It is if both are equal in every pixel: no JPEG shows exactly what a PNG does, unless the PNG
    was made of it. What would make either of them the better copy is the same in both.
    """
    return (
        Path(keeper.path).suffix.lower() in _LOSSLESS
        and Path(file.path).suffix.lower() not in (*_LOSSLESS, ".gif")
        and rank(file, "best")[1:4] == rank(keeper, "best")[1:4]
        and (file.width, file.height) == (keeper.width, keeper.height)
    )


def why_missed(keeper: PhotoFile, file: PhotoFile, looks: Mapping[int, Look]) -> str:
    """Return what `file` has and the keeper of its group lacks, "" if nothing."""
    if file.camera.marks and not keeper.camera.marks:
        return "only this one has the camera's data"
    colorless = without_color({p: looks[p] for p in (keeper.picture, file.picture)})
    return "in color" if keeper.picture in colorless and file.picture not in colorless else ""


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
    colorless = without_color({keeper.picture: kept, file.picture: other})
    if file.picture in colorless and keeper.picture not in colorless:
        words.append("grayscale" if other.grayscale else "in one tone")
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
