"""Photo + identified faces -> the picture with a box around each face, and its name.

Convention: sizes and boxes are in pixels of the picture that is drawn, boxes (left, top, right,
bottom) with right and bottom excluded, as in facesearch.detection.base.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from facesearch.identification import IdentifiedFace
from facesearch.photo import Photo

MAX_SIDE_PX = 2048  # of the picture; few screens show more, and files grow large
MAX_LABEL_EM = 16  # a longer name ends in an ellipsis
MIN_FONT_PX = 9  # smaller cannot be read
FONT_STEPS = (1.0, 0.85, 0.7)  # sizes tried where labels crowd each other
RINGS = 6  # a label may be this far from its face, in label heights
SMOOTH = 4  # shapes are drawn this many times larger, then reduced: Pillow draws hard edges

Box = tuple[int, int, int, int]
Boxes = NDArray[np.int64]  # (n, 4)
Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """The colors of an outcome; the contrast of text and label is above 10 : 1."""

    frame: Color
    label: Color
    text: Color


DARK: Color = (13, 20, 24)
NAMED = Look(frame=(74, 222, 158), label=(74, 222, 158), text=DARK)
EITHER = Look(frame=(255, 194, 46), label=(255, 194, 46), text=DARK)  # not blue: color blindness
UNKNOWN = Look(frame=(216, 222, 229), label=(38, 47, 56), text=(232, 237, 242))

# Pillow's own font has little beyond ASCII, not even accented letters. Windows, macOS and Linux
# come with these; Pillow finds them by name in the system's folders.
# fmt: off
_SYSTEM_FONTS = (
    "segoeui.ttf", "HelveticaNeue.ttc", "Arial Unicode.ttf", "arial.ttf",
    "NotoSans-Regular.ttf", "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "FreeSans.ttf",
    "msyh.ttc", "YuGothR.ttc", "malgun.ttf",  # Chinese, Japanese, Korean on Windows
    "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc", "PingFang.ttc",  # and on macOS
    "NotoSansCJK-Regular.ttc", "DroidSansFallbackFull.ttf", "wqy-microhei.ttc", "wqy-zenhei.ttc",
    "NotoSansArabic-Regular.ttf", "NotoSansHebrew-Regular.ttf", "GeezaPro.ttc",
    "Nirmala.ttc", "Nirmala.ttf", "NotoSansDevanagari-Regular.ttf", "Kohinoor.ttc",
    "NotoSansBengali-Regular.ttf", "NotoSansTamil-Regular.ttf", "Lohit-Devanagari.ttf",
    "LeelawUI.ttf", "NotoSansThai-Regular.ttf", "Thonburi.ttc",
)
# fmt: on
_LATIN = re.compile(r"LATIN (SMALL|CAPITAL) LETTER ([A-Z]{1,2})(?: WITH .*)?")


@dataclass(frozen=True, slots=True)
class Label:
    """What is written about one face, and where in the picture."""

    face: int  # its index among the faces
    box: Box
    font_px: int
    name: str  # as drawn: shortened, in letters that `font` has
    font: str  # "" is Pillow's own
    figure: str  # the probability, or empty


def annotated(photo: Photo, faces: Sequence[IdentifiedFace]) -> Image.Image:
    """Return the upright photo in RGB, with a box around each of `faces` and its name beside it.

    Faces that a human dismissed as no face are left out. At most MAX_SIDE_PX on the long side; a
    smaller photo keeps its size. The color of a box tells the outcome: NAMED, EITHER (of several
    people) or UNKNOWN. Raises PhotoError.
    """
    faces = [face for face in faces if face.dismissed_as != "no face"]
    scale = min(1.0, MAX_SIDE_PX / max(photo.width, photo.height))
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    picture = Image.fromarray(photo.pixels(scale))  # a copy: what `pixels` returns is shared
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    boxes = [_frame([edge * scale for edge in face.box], size) for face in faces]
    found = labels(size, boxes, faces)
    for label in found:
        _draw_leader(picture, boxes[label.face], label.box, _look(faces[label.face]).frame)
    for face, box in zip(faces, boxes, strict=True):
        _draw_frame(picture, box, _look(face).frame, _font_px(size, box))
    for label in found:
        _draw_label(picture, label, _look(faces[label.face]))
    return picture


def labels(
    size: tuple[int, int], boxes: Sequence[Box], faces: Sequence[IdentifiedFace]
) -> list[Label]:
    """Return labels for `faces`, whose frames are `boxes`, in a picture of `size`.

    Labels lie inside the picture, never on each other, and on faces only if nothing else is free.
    A face without room for a label gets none. A stranger gets none either if it would cover
    another face: the color of the frame says the same.
    """
    taken = np.zeros((0, 4), np.int64)
    placed: list[Label] = []
    named_first = sorted(
        range(len(faces)),
        key=lambda i: (not faces[i].person, not faces[i].alternatives, -_height(boxes[i])),
    )
    for i in named_first:
        label = _best_label(i, faces[i], boxes, taken, size)
        if label is not None:
            placed.append(label)
            taken = np.vstack([taken, label.box])
    return placed


def _best_label(
    i: int, face: IdentifiedFace, boxes: Sequence[Box], taken: Boxes, size: tuple[int, int]
) -> Label | None:
    """Return the label at the best free place for the face with the frame `boxes[i]`.

    `taken` (n, 4) are the labels already placed. None if there is no room.
    """
    stranger = not (face.person or face.alternatives)
    frames = np.array(boxes, np.int64).reshape(-1, 4)
    best, least = None, np.inf
    for step, shrink in enumerate(FONT_STEPS[stranger:]):
        font_px = max(MIN_FONT_PX, round(shrink * _font_px(size, boxes[i])))
        name, font, figure = _wording(face, i, font_px, size[0])
        width, height = _label_size(name, font, figure, font_px)
        if width > size[0] or height > size[1]:
            continue
        places, away = _places(boxes[i], width, height, size, 0 if stranger else RINGS)
        covered = _overlaps(places, frames) / (width * height)
        cost = 40 * covered.sum(1) + away + 0.8 * step
        cost[_overlaps(places + np.array((-2, -2, 2, 2)), taken).any(1)] = np.inf
        if stranger:
            cost[covered.sum(1) - covered[:, i] > 0.1] = np.inf
        at = int(cost.argmin())
        if cost[at] < least:
            left, top, right, bottom = places[at].tolist()
            least = float(cost[at])
            best = Label(i, (left, top, right, bottom), font_px, name, font, figure)
    return best


def _frame(box: Sequence[float], size: tuple[int, int]) -> Box:
    """Return the frame around a face's box: inside the picture, and large enough to see."""
    left, top, right, bottom = box
    air = 2 + 0.04 * (right - left)
    grow = max(air, (10 - (right - left)) / 2), max(air, (10 - (bottom - top)) / 2)
    width, height = size
    x0 = min(max(0, math.floor(left - grow[0])), width - 1)
    y0 = min(max(0, math.floor(top - grow[1])), height - 1)
    x1 = max(min(width, math.ceil(right + grow[0])), x0 + 1)
    y1 = max(min(height, math.ceil(bottom + grow[1])), y0 + 1)
    return x0, y0, x1, y1


def _font_px(size: tuple[int, int], box: Box) -> int:
    """Return the font size for a face: it grows with the face, but more slowly than pictures do."""
    usual = 0.65 * math.sqrt(max(size))  # 640: 16 px, 2048: 29 px
    return round(max(MIN_FONT_PX, min(max(0.16 * _height(box), 0.75 * usual), usual)))


def _wording(face: IdentifiedFace, place: int, font_px: int, room: int) -> tuple[str, str, str]:
    """Return the name, its font and the probability as drawn; `room` is the picture's width."""
    name, figure = _name_and_figure(face)
    name, font = _drawable(" ".join(name.split()), place)
    most = min(room, MAX_LABEL_EM * font_px, max(0.4 * room, 8 * font_px))
    if _label_size(name, font, figure, font_px)[0] > most:
        dots = "…" if _has(font, "…") else "..."
        kept = name
        while kept and _label_size(kept + dots, font, figure, font_px)[0] > most:
            kept = kept[:-1].rstrip()
        name = kept + dots
        if not kept:  # no room for both
            figure = ""
    return name, font, figure


def _name_and_figure(face: IdentifiedFace) -> tuple[str, str]:
    """Return what a label says of a face: the name or names, and the probability if it has one."""
    if face.person is not None:
        return face.person, _percent(face.probability) if face.decided_by == "machine" else ""
    if face.alternatives:
        of_name = {candidate.person: candidate.probability for candidate in face.candidates}
        shares = [_percent(of_name.get(other, 0.0)) for other in face.alternatives]
        return " or ".join(face.alternatives), " / ".join(shares).replace("%", "", len(shares) - 1)
    if face.also_like is not None:
        return f"also like {face.also_like.person}", _percent(face.also_like.probability)
    if face.probably is not None:
        return f"probably {face.probably.person}", _percent(face.probably.probability)
    # below one half, only the threshold kept the name away: the number would contradict the word
    unknown = face.unknown_probability
    return "unknown", _percent(unknown) if unknown >= 0.5 else ""


def _percent(probability: float) -> str:
    """Return a probability as a whole percentage; never 0% or 100%."""
    if probability >= 0.995:
        return ">99%"
    return "<1%" if probability < 0.01 else f"{100 * probability:.0f}%"


def _label_size(name: str, font: str, figure: str, font_px: int) -> tuple[int, int]:
    """Return a label's (width, height) in pixels."""
    width = 1.0 * font_px + _length(name, font, font_px)
    if figure:
        width += 0.45 * font_px + _length(figure, "", font_px)
    return math.ceil(width), math.ceil(1.6 * font_px)


def _places(
    frame: Box, width: int, height: int, size: tuple[int, int], rings: int
) -> tuple[Boxes, NDArray[np.float64]]:
    """Return places for a label near a frame, and how far from it each is.

    Boxes (n, 4), moved into the picture, and distances (n,) in label heights; the places go
    outwards from below and above the frame.
    """
    left, top, right, bottom = frame
    gap = max(2, height // 6)
    middle, level = (left + right - width) // 2, (top + bottom - height) // 2
    columns = sorted((middle, left, right - width), key=lambda x: abs(x - middle))
    found: list[tuple[int, int, float]] = []
    for ring in range(rings + 1):
        out = gap + ring * (height + gap)
        for y, prefer in ((bottom + out, 0.0), (top - out - height, 0.25)):
            for shift in range(-ring, ring + 1):
                away = 1.5 * (ring + abs(shift)) + prefer
                found += [
                    (x + shift * width // 2, y, away + 0.1 * i) for i, x in enumerate(columns)
                ]
        for x in (right + out, left - out - width):
            found += [(x, y, 1.0 + 1.5 * ring) for y in (level, bottom - height, top)]
    found.append((middle, bottom - height - gap, 0.5))  # on the chin
    placed = np.array(found)
    corners = np.clip(placed[:, :2].astype(np.int64), 0, (size[0] - width, size[1] - height))
    return np.hstack([corners, corners + np.array((width, height))]), placed[:, 2]


def _overlaps(places: Boxes, others: Boxes) -> NDArray[np.int64]:
    """Return the area that each of `places` (n, 4) shares with each of `others` (m, 4): (n, m)."""
    near = np.maximum(places[:, None, :2], others[None, :, :2])
    far = np.minimum(places[:, None, 2:], others[None, :, 2:])
    shared: NDArray[np.int64] = np.maximum(far - near, 0).prod(2)
    return shared


def _height(box: Box) -> int:
    return box[3] - box[1]


def _grown(box: Box, by: int) -> Box:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _look(face: IdentifiedFace) -> Look:
    if face.person is not None:
        return NAMED
    return EITHER if face.alternatives else UNKNOWN


# Fonts


def _drawable(name: str, place: int) -> tuple[str, str]:
    """Return `name` in letters that this machine can draw, and the font that has them.

    If no font has all of them: without symbols (emoji), then without accents, and finally the
    face's number in the result, as "#3", rather than a row of empty boxes.
    """
    plain = "".join(map(_without_accent, name))
    for text in (name, _without_symbols(name), _without_symbols(plain)):
        for font in ("", *_SYSTEM_FONTS):
            if text and _has(font, text):
                return text, font
    return f"#{place + 1}", ""


def _without_symbols(text: str) -> str:
    """Return `text` with only its letters, marks, digits, punctuation and spaces."""
    kept = (c for c in text if unicodedata.category(c)[0] in "LMNPZ" and c != "\ufe0f")
    return " ".join("".join(kept).split())


def _without_accent(character: str) -> str:
    """Return an accented Latin letter without its accent, any other character unchanged."""
    found = _LATIN.fullmatch(unicodedata.name(character, ""))
    if found is None:
        return character
    return found[2] if found[1] == "CAPITAL" else found[2].lower()


def _has(font: str, text: str) -> bool:
    """Return whether `font` is installed and draws all of `text` correctly."""
    opened = _font(font, 20)
    if opened is None:
        return False
    if not features.check("raqm") and any(
        unicodedata.bidirectional(character) in ("R", "AL") for character in text
    ):
        return False  # without that library Pillow writes right-to-left text left to right
    return all(character == " " or _has_glyph(font, character) for character in text)


@lru_cache(maxsize=4096)
def _has_glyph(font: str, character: str) -> bool:
    """Return whether `font` draws `character` unlike a code point that no font has."""
    opened = _font(font, 20)
    return opened is not None and _drawn(opened, character) != _drawn(opened, "\U0010ffff")


def _drawn(font: ImageFont.FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


@lru_cache(maxsize=256)
def _font(name: str, size_px: int) -> ImageFont.FreeTypeFont | None:
    """Return the font, None if it is not installed; "" is Pillow's own."""
    if not name:
        return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size_px))
    try:
        return ImageFont.truetype(name, size_px)
    except OSError:
        return None


def _length(text: str, font: str, font_px: int) -> float:
    opened = _font(font, font_px)
    return opened.getlength(text) if opened is not None else 0.0


# Drawing


def _draw_frame(picture: Image.Image, box: Box, color: Color, font_px: int) -> None:
    """Draw a rounded frame, with a thin dark edge that keeps it visible on light photos."""
    shorter = min(box[2] - box[0], box[3] - box[1])
    line = max(1, min(round(font_px / 7), shorter // 10))
    radius = max(3, round(0.09 * shorter))
    edge = max(1, line // 3)
    _draw_rounded(picture, _grown(box, edge), DARK, radius + edge, line + 2 * edge, 0.5)
    _draw_rounded(picture, box, color, radius, line)


def _draw_rounded(
    picture: Image.Image,
    box: Box,
    color: Color,
    radius: int,
    line: int | None = None,
    opacity: float = 1.0,
) -> None:
    """Draw a smooth rounded rectangle: an outline `line` wide, or filled."""
    width, height = box[2] - box[0], box[3] - box[1]
    mask = Image.new("L", (width * SMOOTH, height * SMOOTH), 0)
    level = round(255 * opacity)
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, mask.width - 1, mask.height - 1),
        radius * SMOOTH,
        fill=level if line is None else None,
        outline=level,
        width=(line or 1) * SMOOTH,
    )
    picture.paste(color, (box[0], box[1]), mask.reduce(SMOOTH))


def _draw_leader(picture: Image.Image, frame: Box, label: Box, color: Color) -> None:
    """Draw a line between a label and its frame unless they are next to each other."""
    x = [min(max((label[0] + label[2]) // 2, frame[0]), frame[2])]
    y = [min(max((label[1] + label[3]) // 2, frame[1]), frame[3])]
    x.append(min(max(x[0], label[0]), label[2]))
    y.append(min(max(y[0], label[1]), label[3]))
    if math.hypot(x[1] - x[0], y[1] - y[0]) <= (label[3] - label[1]) / 2:
        return
    corner = min(x) - 4, min(y) - 4
    size = abs(x[1] - x[0]) + 8, abs(y[1] - y[0]) + 8
    ends = [((a - corner[0]) * SMOOTH, (b - corner[1]) * SMOOTH) for a, b in zip(x, y, strict=True)]
    for ink, line in ((DARK, 4), (color, 2)):
        mask = Image.new("L", (size[0] * SMOOTH, size[1] * SMOOTH), 0)
        ImageDraw.Draw(mask).line(ends, 255 if ink is color else 128, line * SMOOTH)
        picture.paste(ink, corner, mask.reduce(SMOOTH))


def _draw_label(picture: Image.Image, label: Label, look: Look) -> None:
    """Draw a label: the name, a little bolder, and the probability, a little paler."""
    left, top, _, bottom = label.box
    _draw_rounded(picture, label.box, look.label, round(0.4 * label.font_px))
    draw = ImageDraw.Draw(picture)
    baseline = (top + bottom) / 2 + 0.36 * label.font_px  # capitals are then centered
    x = left + 0.5 * label.font_px
    bold = 0.02 * label.font_px  # a bold version of the font may not be installed
    name_font, figure_font = _font(label.font, label.font_px), _font("", label.font_px)
    draw.text((x, baseline), label.name, look.text, name_font, anchor="ls", stroke_width=bold)
    if label.figure:
        x += _length(label.name, label.font, label.font_px) + 0.45 * label.font_px
        draw.text((x, baseline), label.figure, _between(look), figure_font, anchor="ls")


def _between(look: Look) -> Color:
    """Return the text's color mixed with a quarter of the label's."""
    red, green, blue = (
        (3 * text + label) // 4 for text, label in zip(look.text, look.label, strict=True)
    )
    return red, green, blue
