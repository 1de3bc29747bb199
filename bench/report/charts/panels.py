"""What the chart of a cell's history shows of each metric, and on which axis."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench.analysis.histories import CellHistory, Dot, Series
from bench.analysis.verdict import ACCURACY, MEMORY, SECONDS
from bench.report.charts import scales


class Measure(NamedTuple):
    """How a metric is drawn: its name, its unit in words and in numbers."""

    metric: str
    title: str
    words: str
    unit: float


MEASURES = (
    Measure(ACCURACY, "test score", "%", 0.01),
    Measure(SECONDS, "train time", "s", 1.0),
    Measure(MEMORY, "peak memory", "MiB", 2.0**20),
)

FAR_APART = 1.5
"""Ratio of two series from which each is drawn relative to its own median, so that both show."""

LEAST_SPAN = 0.2
"""Height of an axis of times or memory, as a share of its values: noise should look like noise."""


class Line(NamedTuple):
    """A series as far as it is drawn, and what one on its axis is."""

    series: Series
    dots: Sequence[Dot]
    unit: float


class Panel(NamedTuple):
    """One metric of a cell."""

    measure: Measure
    lines: Sequence[Line]
    relative: bool

    @property
    def title(self) -> str:
        """The heading of the axis."""
        unit = "% of median" if self.relative else self.measure.words
        return f"{self.measure.title} ({unit})"

    @property
    def limits(self) -> tuple[float, float]:
        """Both ends of the axis."""
        values = [dot.value / line_.unit for line_ in self.lines for dot in line_.dots]
        low, high = min(values), max(values)
        if self.measure.metric == ACCURACY:
            return scales.percent_limits(low, high)
        span = max(1.15 * (high - low), LEAST_SPAN * (high + low) / 2)
        return max(0.0, (low + high - span) / 2), (low + high + span) / 2


def panels(cell: CellHistory, first: int) -> list[Panel]:
    """The metrics that have a value from a run on."""
    found = []
    for measure in MEASURES:
        shown = [(s, [dot for dot in s.dots if dot.run >= first]) for s in cell.of(measure.metric)]
        middles = [median(dot.value for dot in dots) for _, dots in shown if dots]
        far = measure.metric != ACCURACY and max(middles, default=1) > FAR_APART * min(
            middles, default=1
        )
        lines = [
            Line(series, dots, median(d.value for d in dots) / 100 if far else measure.unit)
            for series, dots in shown
            if dots
        ]
        found += [Panel(measure, lines, far)] if lines else []
    return found
