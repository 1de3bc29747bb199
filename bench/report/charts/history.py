"""The history of one cell: score, train time and peak memory over the runs, with their levels."""

from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.history import CellHistory, Change, Dot, History, Series
from bench.analysis.judge import ACCURACY, MEASURES, Measure
from bench.report import history as texts
from bench.report.charts import canvas
from bench.report.charts.canvas import Box, Place, middle, pixel, text_width
from bench.report.charts.figure import AXIS, INK, MUTED, PAPER, SERIES, SMALL, Chart, told
from bench.report.comparison import TITLES, level
from bench.report.text import printable

SHOWN = 200  # runs that a chart has room for: the newest

# Heights above the first panel, of a panel, between panels, and below the last.
TOP, HIGH, GAP, FOOT = 36.0, 78.0, 34.0, 24.0
LEFT, RIGHT = 44.0, 62.0  # room for the numbers of an axis, and for the newest value
LIFT = 10.0  # distance of a panel's heading from it


def chart(cell: CellHistory, found: History, number: int) -> Chart:
    last = len(found.runs) - 1
    runs = range(max(0, last - SHOWN + 1), last + 1)
    panels = _panels(cell, runs.start)
    changes = [
        f"{TITLES[one.metric]} {texts.of_change(one)} on "
        f"{texts.day(found.runs[one.run].started_at)}"
        for one in cell.changes
    ]
    return Chart(
        f"history-{number}",
        printable(cell.name),
        "",
        f"{len(cell.rows)} runs; {'; '.join(changes) or 'no change of level'}.",
        lambda width: _draw(width, cell, found, panels, runs),
    )


def colour(setup: int) -> str:
    return SERIES[setup % len(SERIES)]


class Line(NamedTuple):
    """A series as far as it is drawn, and what one on its axis is."""

    series: Series
    dots: Sequence[Dot]
    unit: float


class Panel(NamedTuple):
    """One metric of a cell, and the pixels where it is drawn."""

    measure: Measure
    lines: Sequence[Line]
    relative: bool
    top: float
    limits: Place

    def y(self, value: float) -> float:
        low, high = self.limits
        return self.top + HIGH * (high - value) / (high - low)


def _panels(cell: CellHistory, first: int) -> list[Panel]:
    found: list[Panel] = []
    for name, measure in MEASURES.items():
        dots = [[dot for dot in series.dots if dot.run >= first] for series in cell.of(name)]
        drawn = [pair for pair in zip(cell.of(name), dots, strict=True) if pair[1]]
        if not drawn:
            continue
        middles = [median(dot.value for dot in dots) for _, dots in drawn]
        # Series that are far apart are drawn relative to their own medians, so that both show.
        relative = max(middles) > 1.5 * min(middles) and name != ACCURACY
        lines = [
            Line(*pair, middle_ / 100 if relative else measure.scale)
            for pair, middle_ in zip(drawn, middles, strict=True)
        ]
        values = [dot.value / line.unit for line in lines for dot in line.dots]
        top = TOP + len(found) * (HIGH + GAP)
        found.append(Panel(measure, lines, relative, top, _limits(name, values)))
    return found


def _limits(metric: str, values: Sequence[float]) -> Place:
    if metric == ACCURACY:
        return canvas.percent_limits(values)
    low, high = min(values), max(values)
    span = max(1.15 * (high - low), 0.1 * (high + low))  # noise should look like noise
    return max(0.0, (low + high - span) / 2), (low + high + span) / 2


def _draw(
    width: float, cell: CellHistory, found: History, panels: Sequence[Panel], runs: range
) -> Figure:
    """All panels on the same axes, whose y is in pixels: axes of their own would take long."""
    if not panels:
        return canvas.only_words(width, "No value in the runs that are drawn.")
    bottom = panels[-1].top + HIGH
    figure = canvas.blank(width, bottom + FOOT)
    across = (runs.start - 0.5, max(runs[-1], runs.start + 1) + 0.5)
    ax = canvas.axes(figure, Box(LEFT, TOP, width - RIGHT, bottom), across, (bottom, TOP))
    dates = _dates(found, runs, 3 if width < 500 else 6)
    ax.set_xticks([*dates], [*dates.values()])
    ax.grid(visible=False, axis="x")
    marked = {panel.y(value): words for panel in panels for value, words in _ticks(panel)}
    ax.set_yticks([*marked], [*marked.values()])
    _beginnings(figure, ax, panels, [one for one in _news(cell, found) if one.run >= runs.start])
    for panel in panels:
        _panel(figure, ax, panel, found)
    for run, what in cell.failures.items():
        if run in runs:  # a cross at the foot of the first panel: a seed is not ok
            y, words = panels[0].top + HIGH - 5, _in_run(found, run, what)
            canvas.plot(ax, run, y, words, marker="X", markersize=7, color=INK,
                        markeredgecolor="none", linestyle="none")  # fmt: skip
    return figure


def _in_run(found: History, run: int, what: str) -> str:
    return printable(f"{texts.day(found.runs[run].started_at)} {found.runs[run].name}: {what}")


def _ticks(panel: Panel) -> list[tuple[float, str]]:
    low, high = panel.limits
    values = [float(v) for v in canvas.ticks(4).tick_values(low, high)]
    digits = max(len(f"{value:.8g}".partition(".")[2]) for value in values)
    return [(v, f"{v:,.{digits}f}") for v in values if low <= v <= high]


def _dates(found: History, runs: range, count: int) -> dict[int, str]:
    times = {run: found.runs[run].started_at for run in runs}
    one_day = len({texts.day(time) for time in times.values()}) == 1
    write = texts.clock if one_day else texts.day
    written = {run: write(time) for run, time in times.items()}
    step = max(1, (len(runs) - 1) // max(1, count - 1))
    first = {written[run]: run for run in reversed(runs[::step])}  # each date once
    return {run: date for date, run in reversed(first.items())}


def _panel(figure: Figure, ax: Axes, panel: Panel, found: History) -> None:
    measure = panel.measure
    title = f"{measure.title} ({'% of median' if panel.relative else measure.unit})"
    canvas.write(figure, 4, panel.top - LIFT, title, color=MUTED)
    taken = [(0.0, 4 + text_width(title, SMALL) + 10)]
    for line in panel.lines:
        _values(ax, panel, line, found)
        for change in reversed(line.series.changes):
            if change.run >= ax.get_xlim()[0]:
                _step(figure, ax, panel, line, change, taken)
    newest = max(panel.lines, key=lambda one: one.dots[-1].run)
    end = newest.dots[-1].value
    words = level(end, measure.name) + (f" {measure.unit}" if panel.relative else "")
    y = min(max(panel.y(end / newest.unit), panel.top + 4), panel.top + HIGH - 4)
    right = pixel(ax, ax.get_xlim()[1], 0)[0]
    canvas.write(figure, right + 5, middle(y, SMALL), words, fontweight="bold")


def _values(ax: Axes, panel: Panel, line: Line, found: History) -> None:
    """A dot for each value, hollow where it takes no part in the levels; the others are joined."""
    counted = [dot for dot in line.dots if not dot.apart]
    if line.series.key is not None and len(counted) > 1:
        setups = {dot.setup for dot in counted}
        shade = colour(setups.pop()) if len(setups) == 1 else MUTED
        heights = [panel.y(dot.value / line.unit) for dot in counted]
        ax.plot([dot.run for dot in counted], heights, color=shade, linewidth=1, alpha=0.55)
    dense = pixel(ax, 1, 0)[0] - pixel(ax, 0, 0)[0] < 5.5
    shades = [colour(dot.setup) for dot in line.dots]
    drawn = ax.scatter(
        [dot.run for dot in line.dots],
        [panel.y(dot.value / line.unit) for dot in line.dots],
        s=7 if dense else 25,
        facecolors=[PAPER if d.apart else c for d, c in zip(line.dots, shades, strict=True)],
        edgecolors=shades,
        linewidths=[1.25 if dot.apart else 0 for dot in line.dots],
        zorder=3,
    )
    values = [f"{level(d.value, panel.measure.name)} {panel.measure.unit}" for d in line.dots]
    words = [f"{v}; {d.apart}" if d.apart else v for v, d in zip(values, line.dots, strict=True)]
    told(drawn, *(_in_run(found, d.run, w) for d, w in zip(line.dots, words, strict=True)))


def _step(
    figure: Figure, ax: Axes, panel: Panel, line: Line, change: Change, taken: list[Place]
) -> None:
    """Both levels of a change, the riser between them, and by how much where there is room."""
    counted = [dot.run for dot in line.series.dots if not dot.apart]
    at = counted.index(change.run)
    start, end = counted[at - change.step.num_before], counted[at + change.step.num_after - 1]
    riser = max((change.before + change.run) / 2, ax.get_xlim()[0])
    before, after = (panel.y(v / line.unit) for v in (change.step.before, change.step.after))
    words = texts.of_change(change)
    canvas.plot(ax, [start, riser, riser, end], [before, before, after, after],
                f"{TITLES[change.metric]} {words}", color=INK, alpha=0.75)  # fmt: skip
    half = text_width(words, SMALL, bold=True) / 2
    right = pixel(ax, ax.get_xlim()[1], 0)[0]
    x = min(max(pixel(ax, riser, 0)[0], taken[0][1] + half), right - half)
    if not any(x - half < last and first < x + half for first, last in taken):
        taken.append((x - half - 4, x + half + 4))
        canvas.write(figure, x, panel.top - LIFT, words, ha="center", fontweight="bold")


class Beginning(NamedTuple):
    run: int
    name: str
    words: str


def _beginnings(
    figure: Figure, ax: Axes, panels: Sequence[Panel], found: Sequence[Beginning]
) -> None:
    """A dashed line with a letter where another machine or software, or another task, begins."""
    free_from = 0.0
    tops = [panel.top for panel in panels]
    for run, grouped in groupby(found, key=lambda one: one.run):
        news = list(grouped)
        words = printable("; ".join(dict.fromkeys(one.words for one in news)))
        lines = ax.vlines(
            [run - 0.5] * len(tops), tops, [top + HIGH for top in tops],
            colors=AXIS, linewidths=1, linestyles=(0, (4, 3)),
        )  # fmt: skip
        told(lines, *[words] * len(tops))
        name = ", ".join(dict.fromkeys(one.name for one in news))
        x, half = pixel(ax, run - 0.5, 0)[0], text_width(name, SMALL) / 2
        if x - half > free_from:
            free_from = x + half + 4
            canvas.write(figure, x, 10, name, color=MUTED, ha="center", full=words)


def _news(cell: CellHistory, found: History) -> list[Beginning]:
    """Whatever is new, from the second of each kind on, by run."""
    setups: dict[int, Beginning] = {}
    tasks: dict[tuple[str, tuple[int, ...]], Beginning] = {}
    for run, row in cell.rows.items():
        if row.ok and (setup := found.setup_of[row.conditions_key]) not in setups:
            words = f"{texts.letter(setup)}: {texts.other_than(found.setups[setup])}"
            setups[setup] = Beginning(run, texts.letter(setup), words)
        if row.task_key:
            new = Beginning(run, f"task {len(tasks) + 1}", "another task or seeds")
            tasks.setdefault((row.task_key, tuple(row.statuses)), new)
    return sorted([*setups.values()][1:] + [*tasks.values()][1:], key=lambda one: one.run)
