"""Numbers -> diagrams, which the template `diagram.html` draws as SVG beside a table.

Coordinates are those of the drawing, WIDTH by HEIGHT units, with x to the right and y downwards;
LEFT, RIGHT, TOP and BOTTOM are the margins around the field of the two axes. The style sheet has
the colors.
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
    """One axis of a diagram."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]  # value, label
    log: bool = False

    def share(self, value: float) -> float:
        """Return where `value` lies from low (0) to high (1), clipped to that range."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = log10(max(value, low)), log10(low), log10(high)
        return min(max((value - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Points of one curve. The number selects its color, dashes and shape of points."""

    name: str
    number: int  # from 1 to 4; 0 for a reference line
    x: Values
    y: Values
    filled: bool = False  # down to the axis
    joined: bool = True
    pointed: bool = False  # draws a shape at every point


@dataclass(frozen=True, slots=True)
class Mark:
    """A labeled place on the x axis."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of a diagram, for readers who cannot see it or want exact values."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Diagram:
    """Two axes with curves, marks and a table of the numbers."""

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

    Each tick's label is its value times `scale`, followed by `unit`.
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
    """Return a logarithmic axis of shares, labeled in percent, with a tick at each power of ten."""
    first, last = floor(log10(low) + 1e-9), ceil(log10(high) - 1e-9)
    ticks = tuple((10.0**power, share_text(10.0**power)) for power in range(first, last + 1))
    return Axis(title, 10.0**first, 10.0**last, ticks, log=True)


def share_text(share: float) -> str:
    """Return a share as axes and tables show it: a percentage of three digits."""
    return f"{100 * share:.3g}%"
