"""An invented alphabet -> its characters as drawn by different hands.

The characters belong to no known script, and no model was trained on them. A hand has a tool, a
slant and a rotation. Every drawing varies in the points of the strokes, in size and in place on the
page; the variation is seeded, so a drawing is the same each time.

Points are (x, y) in hundredths of the square that a character fills, origin at the upper left
corner; pages are (h, w, 3) RGB uint8.
"""

from dataclasses import dataclass
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (n, 2) x, y

PAGE_PX = 240
SMOOTH = 4  # drawn this many times larger, then reduced, for soft edges
TREMOR = 0.02  # standard deviation of a point's position, in sides of the character
STEPS = 16  # line segments from one point of a curve to the next


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line drawn without lifting the pen; a single point is a dot."""

    points: tuple[tuple[int, int], ...]  # a closed one ends where it began
    curved: bool


@dataclass(frozen=True, slots=True)
class Hand:
    """The tool of somebody who draws, and how their characters deviate."""

    name: str
    tool: str
    ink: tuple[int, int, int]
    paper: tuple[int, int, int]
    width: float  # of the stroke, in sides of the character, as are slant and sway
    slant: float  # how far the top leans to the right
    turn_deg: float  # clockwise
    sway: float  # how far straight lines bend


def line(*points: tuple[int, int]) -> Stroke:
    """Return a stroke of straight lines from point to point."""
    return Stroke(points, curved=False)


def curve(*points: tuple[int, int]) -> Stroke:
    """Return a smooth stroke through `points`."""
    return Stroke(points, curved=True)


def ring(x: int, y: int, radius: int) -> Stroke:
    """Return a circle of four points; with more, tremor would spoil its shape."""
    top, right, bottom, left = (x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)
    return curve(top, right, bottom, left, top)


GLYPHS: dict[str, tuple[Stroke, ...]] = {
    "Avo": (  # a snail that leaves its shell, and a dot
        curve((50, 52), (60, 44), (64, 58), (48, 66), (34, 52), (42, 32), (66, 28), (82, 46)),
        curve((82, 46), (80, 72), (98, 96)),
        line((10, 14)),
    ),
    "Bru": (  # two peaks over a bowl
        line((4, 48), (26, 6), (48, 48), (74, 6), (96, 48)),
        curve((4, 70), (30, 94), (70, 94), (96, 70)),
    ),
    "Cet": (  # a ring on a leaning stick with two twigs
        ring(30, 24, 20),
        line((42, 40), (78, 98)),
        line((54, 60), (92, 44)),
        line((66, 79), (98, 66)),
    ),
    "Dul": (  # a hook, with a hanging ball and a bar across
        curve((92, 96), (88, 40), (62, 6), (28, 14), (16, 44)),
        ring(17, 60, 15),
        line((52, 58), (99, 42)),
    ),
    "Efi": (  # a square snail
        line((4, 96), (4, 6), (94, 6), (94, 78), (36, 78), (36, 40), (66, 40)),
    ),
    "Gam": (  # two arches, one in the other, and a pole through both
        curve((4, 70), (14, 26), (44, 8), (76, 26), (86, 70)),
        curve((24, 72), (30, 46), (46, 34), (62, 46), (66, 72)),
        line((46, 2), (46, 98), (98, 98)),
    ),
    "Hok": (  # a triangle whose thread makes a loop
        line((4, 50), (56, 38), (38, 96), (4, 50)),
        curve((56, 38), (72, 10), (92, 12), (90, 36), (70, 32), (66, 56), (96, 82)),
    ),
    "Ilu": (  # a wave, an anchor's rope below it, a dot at either side
        curve((2, 22), (16, 4), (32, 24), (48, 42), (66, 22), (82, 4), (98, 24)),
        line((48, 42), (48, 96)),
        line((20, 74)),
        line((78, 74)),
    ),
    "Jor": (  # three steps, a ball on top, a sling below
        line((2, 84), (32, 84), (32, 58), (62, 58), (62, 32), (94, 32)),
        ring(80, 14, 13),
        curve((48, 84), (60, 99), (82, 94), (92, 62)),
    ),
    "Kep": (  # a moon with three rays
        curve((52, 4), (14, 20), (4, 52), (16, 84), (54, 97)),
        curve((52, 4), (36, 30), (33, 54), (38, 76), (54, 97)),
        line((58, 30), (96, 12)),
        line((56, 52), (98, 52)),
        line((58, 74), (96, 92)),
    ),
    "Lum": (  # a comb on its side, with a curled back and teeth of four lengths
        curve((98, 2), (86, 20), (82, 42), (86, 66), (98, 82), (88, 97), (74, 92)),
        line((86, 20), (44, 6)),
        line((82, 42), (2, 34)),
        line((86, 66), (30, 64)),
        line((86, 66), (14, 92)),
    ),
    "Moz": (  # an eight lying down, a stick through one half, a dot over the other
        curve((50, 58), (26, 36), (4, 58), (26, 82), (50, 58), (74, 36), (97, 58), (74, 82)),
        curve((74, 82), (60, 76), (50, 58)),
        line((26, 14), (26, 99)),
        line((76, 10)),
    ),
}

PEN = Hand("pen", "pen", (28, 36, 84), (252, 250, 243), 0.045, 0.0, 0, 0.015)
HANDS = (  # the other hands; the drawings by PEN are enrolled
    Hand("brush", "broad brush", (16, 16, 18), (255, 255, 255), 0.10, -0.10, 4, 0.025),
    Hand("pencil", "hasty pencil", (98, 98, 104), (255, 255, 255), 0.028, 0.28, -5, 0.04),
    Hand("chalk", "chalk", (232, 238, 228), (36, 68, 56), 0.065, -0.18, 6, 0.03),
)


def drawn_by(hand: Hand, name: str) -> NDArray[np.uint8]:
    """Return the page (PAGE_PX, PAGE_PX, 3) with the character `name` of GLYPHS."""
    chance = np.random.default_rng(crc32(f"{name} by {hand.name}".encode()))
    side = chance.uniform(0.55, 0.72) * PAGE_PX * SMOOTH
    strokes = on_page(strokes_of(GLYPHS[name], chance), hand, side, chance)
    page = np.full((PAGE_PX * SMOOTH, PAGE_PX * SMOOTH, 3), hand.paper, np.uint8)
    width = round(hand.width * side)
    for stroke in strokes:
        if len(stroke) == 1:  # a dot is a little wider than the stroke
            x, y = np.rint(stroke[0]).astype(int).tolist()
            cv2.circle(page, (x, y), round(0.9 * width + 0.015 * side), hand.ink, cv2.FILLED)
        else:
            path = np.rint(stroke).astype(np.int32)[:, None]
            cv2.polylines(page, [path], isClosed=False, color=hand.ink, thickness=width)
    size = (PAGE_PX, PAGE_PX)
    return np.asarray(cv2.resize(page, size, interpolation=cv2.INTER_AREA), np.uint8)


def strokes_of(glyph: tuple[Stroke, ...], chance: np.random.Generator) -> list[Points]:
    """Return the strokes of a character, 0 to 1, with tremor; shared points stay shared."""
    shaken = {
        point: np.array(point) / 100 + chance.normal(0, TREMOR, 2)
        for point in dict.fromkeys(point for stroke in glyph for point in stroke.points)
    }
    strokes = []
    for stroke in glyph:
        points = np.stack([shaken[point] for point in stroke.points])
        strokes.append(smooth(points) if stroke.curved else finely(points))
    return strokes


def smooth(points: Points) -> Points:
    """Return a Catmull-Rom spline through `points`; a closed curve is smooth at its end, too."""
    closed = np.array_equal(points[0], points[-1])
    before, after = (points[-2], points[1]) if closed else (points[0], points[-1])
    framed = np.vstack([before, points, after])
    t = np.linspace(0, 1, STEPS, endpoint=False)[:, None]
    parts = [
        p1
        + t / 2 * (p2 - p0)
        + t**2 * (p0 - 2.5 * p1 + 2 * p2 - p3 / 2)
        + t**3 / 2 * (3 * p1 - p0 - 3 * p2 + p3)
        for p0, p1, p2, p3 in zip(framed, framed[1:], framed[2:], framed[3:], strict=False)
    ]
    return np.vstack([*parts, points[-1:]])


def finely(points: Points) -> Points:
    """Return `points` with more points between them, so that straight lines can be bent."""
    ends = np.arange(len(points))
    places = np.linspace(0, len(points) - 1, STEPS * (len(points) - 1) + 1)
    return np.stack([np.interp(places, ends, axis) for axis in points.T], 1)


def on_page(
    strokes: list[Points], hand: Hand, side: float, chance: np.random.Generator
) -> list[Points]:
    """Return `strokes` bent, slanted and rotated by `hand`, placed on the page, in pixels."""
    angle = np.deg2rad(hand.turn_deg + chance.normal(0, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shape = turn @ [[chance.uniform(0.88, 1.0), -hand.slant], [0, chance.uniform(0.88, 1.0)]]
    phase = chance.uniform(0, 2 * np.pi, 2)
    bent = [  # moved sideways by a wave along the other axis, so strokes stay connected
        points + hand.sway * np.sin(np.pi * 1.5 * points[:, ::-1] + phase) for points in strokes
    ]
    placed = [(points - 0.5) @ shape.T * side for points in bent]
    everything = np.vstack(placed)
    low, high = everything.min(0), everything.max(0)
    margin = hand.width * side
    corner = chance.uniform(margin, PAGE_PX * SMOOTH - margin - (high - low))
    return [points - low + corner for points in placed]
