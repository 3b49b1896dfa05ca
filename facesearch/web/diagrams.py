"""Numbers -> diagrams: what the template `diagram.html` draws as SVG, with a table of the same.

Coordinates are those of the drawing: x to the right and y downwards, WIDTH by HEIGHT units, of
which LEFT, RIGHT, TOP and BOTTOM are around the field of the two axes. Colours are the style
sheet's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 440, 320
LEFT, RIGHT, TOP, BOTTOM = 76, 22, 12, 48  # room for the ticks and titles of the axes

Values = Sequence[float] | NDArray[np.floating] | NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Axis:
    """What is told along one side of a diagram."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]  # value, what is written at it
    log: bool = False

    def share(self, value: float) -> float:
        """Return how far `value` is from low to high, held within 0 and 1."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = log10(max(value, low)), log10(low), log10(high)
        return min(max((value - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Points that belong together. Its number says colour, dashes and shape of the points."""

    name: str
    number: int  # from 1 to 4; 0 for what is only there to compare with
    x: Values
    y: Values
    filled: bool = False  # down to the axis
    joined: bool = True
    pointed: bool = False  # with a shape at every point


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the x axis of which something is to be said."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of a diagram for who does not see it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Diagram:
    """Two axes and what is between them."""

    title: str
    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    table: Table
    marks: tuple[Mark, ...] = field(default=())

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where the point (x, y) is drawn."""
        across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return (
            round(LEFT + across * self.x.share(x), 1),
            round(TOP + down * (1 - self.y.share(y)), 1),
        )

    def places(self, series: Series) -> list[tuple[float, float]]:
        """Return where the points of a series are drawn."""
        return [self.place(float(x), float(y)) for x, y in zip(series.x, series.y, strict=True)]

    def path(self, series: Series) -> str:
        """Return the line through the points of a series, closed along the axis if it is filled."""
        points = self.places(series)
        if series.filled:
            ground = HEIGHT - BOTTOM
            points = [(points[0][0], ground), *points, (points[-1][0], ground)]
        line = "L".join(f"{x:g} {y:g}" for x, y in points)
        return f"M{line}Z" if series.filled else f"M{line}"


def linear(
    title: str, low: float, high: float, unit: str = "", *, scale: float = 1.0, most: int = 6
) -> Axis:
    """Return an axis from `low` to `high` with at most `most` ticks at round numbers.

    Written are the values times `scale`, with `unit` behind them.
    """
    width = max((high - low) * scale, 1e-9)
    step = 10 ** floor(log10(width / most))
    step *= next(times for times in (1, 2, 5, 10, 20) if width / (step * times) <= most)
    first, last = ceil(low * scale / step - 1e-9), floor(high * scale / step + 1e-9)
    ticks = tuple(
        (number * step / scale, f"{number * step:,.10g}{unit}") for number in range(first, last + 1)
    )
    return Axis(title, low, high, ticks)


def decades(title: str, low: float, high: float) -> Axis:
    """Return a logarithmic axis of shares, in per cent, with a tick at each power of ten."""
    first, last = floor(log10(low) + 1e-9), ceil(log10(high) - 1e-9)
    ticks = tuple((10.0**power, share_text(10.0**power)) for power in range(first, last + 1))
    return Axis(title, 10.0**first, 10.0**last, ticks, log=True)


def share_text(share: float) -> str:
    """Return a share as it is written on axes and in tables: three digits, per cent."""
    return f"{100 * share:.3g} %"
