"""One colour per architecture and one shape per strategy, the same in every chart.

The colours themselves stand in style.css, once for light pages and once for dark ones.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from markupsafe import Markup

from bench.analysis.summary import Summary
from bench.report.charts.svg import element, path

NUM_COLOURS = 12
HEAT_STEPS = 7
"""Classes of a colour scale, from few to many: h0 .. h6."""


class Look(NamedTuple):
    """Class of each architecture's colour, and number of each strategy's shape."""

    colours: Mapping[str, str]
    shapes: Mapping[str, int]


def look(summary: Summary) -> Look:
    """Colours and shapes in the order of the suite; they repeat beyond twelve."""
    architectures = dict.fromkeys(row.architecture for row in summary.rows)
    strategies = dict.fromkeys(row.strategy for row in summary.rows)
    return Look(
        {name: f"a{i % NUM_COLOURS}" for i, name in enumerate(architectures)},
        {name: i % len(SHAPES) for i, name in enumerate(strategies)},
    )


def heat(value: float, low: float, high: float) -> int:
    """Step of a value on the colour scale from low to high; the middle where these are one."""
    if high <= low:
        return HEAT_STEPS // 2
    return min(HEAT_STEPS - 1, max(0, int(HEAT_STEPS * (value - low) / (high - low))))


def _polygon(corners: int, radius: float, turn: float = 0.0) -> list[tuple[float, float]]:
    angles = (2 * math.pi * (i / corners + turn) - math.pi / 2 for i in range(corners))
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _star(corners: int, inner: float) -> list[tuple[float, float]]:
    long, short = _polygon(corners, 1.3), _polygon(corners, inner, 0.5 / corners)
    return [point for pair in zip(long, short, strict=True) for point in pair]


_PLUS = [(0.35, 1.15), (0.35, 0.35), (1.15, 0.35)]
_CROSS_QUARTERS = ((1, 1, False), (1, -1, True), (-1, -1, False), (-1, 1, True))
_CROSS = [
    (a * x, b * y)
    for a, b, back in _CROSS_QUARTERS
    for x, y in (reversed(_PLUS) if back else _PLUS)
]

SHAPES: tuple[list[tuple[float, float]], ...] = (
    [],  # a circle
    _polygon(4, 1.25, 1 / 8),
    _polygon(3, 1.3),
    _polygon(4, 1.25),
    _polygon(3, 1.3, 1 / 2),
    _CROSS,
    [((x - y) * 0.75, (x + y) * 0.75) for x, y in _CROSS],
    _polygon(3, 1.3, 1 / 4),
    _polygon(3, 1.3, -1 / 4),
    _polygon(5, 1.2),
    _star(5, 0.55),
    _star(4, 0.5),
)
"""Corners around the middle, for a radius of one, all of about the same area."""


def mark(shape: int, x: float, y: float, radius: float, class_: str) -> Markup:
    """The shape of a strategy, centred."""
    if not SHAPES[shape]:
        return element("circle", cx=x, cy=y, r=radius, class_=class_)
    corners = [(x + radius * dx, y + radius * dy) for dx, dy in SHAPES[shape]]
    return path(corners, class_, end="Z")
