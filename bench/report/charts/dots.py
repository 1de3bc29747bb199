"""Rows of a name, a share with its interval on one scale, and a count: what lists are drawn as."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from bench.analysis.stats import Interval
from bench.report.charts import axes, lettering, palette, scales
from bench.report.charts.chart import Drawing, Sheet
from bench.report.charts.lettering import SMALL
from bench.report.charts.svg import Box, Label, group, joined, line, middle


class Dot(NamedTuple):
    """One row; the share and its interval from 0 to 1. Several names are joined by arrows."""

    names: tuple[str, ...]
    share: float
    interval: Interval
    counted: str

    @property
    def name(self) -> str:
        """The names in full."""
        return ARROW.join(lettering.isolated(lettering.printable(name)) for name in self.names)


class Reference(NamedTuple):
    """A value that all rows are compared with."""

    share: float
    name: str


ARROW = " → "
TOP = 40.0
"""Height of the axis above the rows."""


class Row(NamedTuple):
    """Where the parts of a row lie: its name beside the dot, or above it where that is narrow."""

    step: float
    name_x: float
    name_y: float  # from the top of the row, as dot_y
    dot_y: float
    room: float


def draw(
    sheet: Sheet, dots: Sequence[Dot], colour: str, axis: str, reference: Reference | None = None
) -> Drawing:
    """The rows in the given order, under one axis in percent."""
    longest, most = max(lettering.width(dot.name) for dot in dots), 0.34 * sheet.width
    counts = max(lettering.width(dot.counted, SMALL) for dot in dots)
    row = Row(20, 0, 10, 10, min(longest, most))
    left = row.room + 14
    if sheet.narrow and longest > most:
        row, left = Row(36, 4, 12, 26, sheet.width - 8), 12.0
    box = Box(left, TOP, sheet.width - counts - 12, TOP + row.step * len(dots))
    low, high = scales.percent_limits(
        100 * min(dot.interval.low for dot in dots), 100 * max(dot.interval.high for dot in dots)
    )
    x = scales.Linear(low, high, box.left, box.right)
    ticks = scales.linear_ticks(low, high, 4 if sheet.narrow else 6)
    marks = [axes.top(axes.Frame(box, x, x), ticks, axis)]
    marks += [_reference(x, box, reference)] if reference else []
    marks += [_row(dot, TOP + row.step * i, row, box, x, colour) for i, dot in enumerate(dots)]
    return Drawing(box.bottom + (22 if reference else 8), marks)


def _row(dot: Dot, top: float, row: Row, box: Box, x: scales.Linear, colour: str) -> Markup:
    y = top + row.dot_y
    low, high = (x(100 * end) for end in dot.interval)
    at, anchor = (row.name_x, "start") if row.name_x else (box.left - 8, "end")
    text = lettering.joined(dot.names, ARROW, row.room)
    return group(
        Label(at, middle(top + row.name_y), text, "halo", anchor, full=dot.name).svg,
        line((box.left, y), (box.right, y), "grid"),
        line((low, y), (high, y), f"range {colour}"),
        palette.mark(0, x(100 * dot.share), y, 4.5, f"mark {colour}"),
        Label(box.right + 10, middle(y, SMALL), dot.counted, "muted", size=SMALL).svg,
        title=f"{dot.name}: {100 * dot.share:.1f} %, {dot.counted}",
    )


def _reference(x: scales.Linear, box: Box, reference: Reference) -> Markup:
    place = x(100 * reference.share)
    half = lettering.width(reference.name, SMALL) / 2
    at = max(box.left + half, min(box.right - half, place))
    return joined(
        [
            line((place, box.top), (place, box.bottom + 4), "reference"),
            Label(at, box.bottom + 15, reference.name, "", "middle", SMALL).svg,
        ]
    )
