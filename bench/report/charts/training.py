"""Figures of how the cells ran: what they learnt by epoch, and where their seconds went."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.analysis.choice import Row, Summary
from bench.analysis.table import RunTable
from bench.report import units
from bench.report.charts import canvas, shown
from bench.report.charts.canvas import Box, Place, middle, text_width
from bench.report.charts.figure import AXIS, INK, MUTED, ON_STAGE, SMALL, STAGES, TEXT, Chart, told
from bench.report.charts.shown import JOINT, look, metric, named, sentences
from bench.report.text import printable

# Heights above the scores, between scores and losses, and below the losses of a panel.
HEAD, GAP, FOOT = 46.0, 33.0, 50.0
SCORES, LOSSES = 150.0, 76.0


class Curves(NamedTuple):
    """What one row learnt: by epoch, mean, min and max over its seeds."""

    architecture: str
    scores: pd.DataFrame  # percent; empty where val was never scored while training
    losses: pd.DataFrame  # nats


class Panel(NamedTuple):
    """The curves of one strategy, and the first epoch of each phase."""

    strategy: str
    curves: Sequence[Curves]
    phases: Mapping[str, int]


class Limits(NamedTuple):
    epochs: Place
    scores: Place | None  # None where no row has a val score
    losses: Place


def learning_curves(table: RunTable, summary: Summary) -> Chart | None:
    """A panel per strategy, val score above train loss; None where no cell has a curve."""
    rows, note = shown.best_names(summary, 12, 12)
    panels = _panels(table, rows)
    if not panels:
        return None
    drawn = {(panel.strategy, curves.architecture) for panel in panels for curves in panel.curves}
    missing = [row for row in rows if (row.strategy, row.architecture) not in drawn]
    return Chart(
        "learning-curves",
        "Learning curves by strategy",
        sentences(
            "Lines: mean over the seeds that are ok; bands: their range."
            if table.run.suite.seed_counts != {1}
            else "One seed: one line per cell.",
            "All panels share their axes. Above: val score; below: train loss.",
            "Dashed: a new phase begins." if any(len(p.phases) > 1 for p in panels) else "",
            note,
            shown.not_drawn(missing, "no cell is ok"),
        ),
        "; ".join(_described(panel) for panel in panels) + ".",
        lambda width: _curve_figure(width, summary, panels),
    )


def _panels(table: RunTable, rows: Sequence[Row]) -> list[Panel]:
    cells = dict(iter(table.curves.groupby("cell_id", sort=False)))
    panels = []
    for strategy in shown.unique(row.strategy for row in rows):
        curves, longest = [], pd.DataFrame()
        for row in rows:
            mine = [cells[i] for i in row.ok if i in cells] if row.strategy == strategy else []
            if not mine:
                continue
            losses = _over_seeds(mine, "train_loss")
            if len(losses):
                curves.append(
                    Curves(row.architecture, 100 * _over_seeds(mine, "val_score"), losses)
                )
            longest = max(longest, *mine, key=len)
        if curves:
            begins = longest.groupby("phase")["epoch"].min().sort_values()
            panels.append(Panel(strategy, curves, {str(p): int(e) for p, e in begins.items()}))
    return panels


def _over_seeds(curves: Sequence[pd.DataFrame], column: str) -> pd.DataFrame:
    """Epochs that every seed has a value of: a mean over fewer would be another quantity."""
    values = pd.concat(curves).groupby("epoch")[column]
    return values.agg(["mean", "min", "max"])[values.count() == len(curves)]


def _limits(panels: Sequence[Panel]) -> Limits:
    curves = [each for panel in panels for each in panel.curves]
    scores = pd.concat([each.scores for each in curves])
    losses = pd.concat([each.losses for each in curves])
    lowest, highest = min(0.0, losses["min"].min()), losses["max"].max()
    return Limits(
        (1, max(2, losses.index.max())),
        canvas.percent_limits([scores["min"].min(), scores["max"].max()]) if len(scores) else None,
        (lowest, highest if highest > 0 else 1.0),
    )


def _described(panel: Panel) -> str:
    ends = (
        f"{printable(name)} ends at {scores['mean'].iloc[-1]:.1f} % on val"
        if len(scores)
        else f"{printable(name)} ends at loss {losses['mean'].iloc[-1]:.3g}"
        for name, scores, losses in panel.curves
    )
    return f"{printable(panel.strategy)}: {', '.join(ends)}"


def _curve_figure(width: float, summary: Summary, panels: Sequence[Panel]) -> Figure:
    limits = _limits(panels)
    columns = 1 if width < 500 or len(panels) == 1 else 2
    wide = min(480.0, (width - 16 * (columns - 1)) / columns)
    # The names at the ends of the lines need a line of text each.
    high = max(SCORES, 14.0 * max(len(panel.curves) for panel in panels)) if limits.scores else 0.0
    step = HEAD + high + GAP + LOSSES + FOOT
    figure = canvas.blank(width, step * -(-len(panels) // columns))
    for i, panel in enumerate(panels):
        left, top = (wide + 16) * (i % columns), step * (i // columns)
        area = Box(left, top + HEAD, left + wide, top + HEAD + high)
        _panel(figure, area, panel, summary, limits)
    return figure


def _panel(figure: Figure, area: Box, panel: Panel, summary: Summary, limits: Limits) -> None:
    colours, wide = look(summary).colours, area.right - area.left
    room = min(0.36 * wide, canvas.longest((each.architecture for each in panel.curves), SMALL))
    left, right, bottom = area.left + 32, area.right - room - 24, area.bottom + GAP
    canvas.name(figure, area.left, area.top - 30, panel.strategy, wide, fontsize=TEXT,
                fontweight="bold")  # fmt: skip
    canvas.write(figure, area.left + 6, bottom - 10, "train loss (nats)", color=MUTED)
    box = Box(left, bottom, right, bottom + LOSSES)
    below = above = canvas.axes(figure, box, limits.epochs, limits.losses)
    below.yaxis.set_major_locator(canvas.ticks(3))
    below.xaxis.set_major_locator(canvas.ticks(5, whole=True))
    below.set_xlabel("epoch")
    if limits.scores:
        title = f"{metric(summary, 'val')} (%)"
        canvas.write(figure, area.left + 6, area.top - 10, title, color=MUTED)
        box = area._replace(left=left, right=right)
        above = canvas.axes(figure, box, limits.epochs, limits.scores)
        above.yaxis.set_major_locator(canvas.ticks(5))
        above.set_xticks([])
        above.spines["bottom"].set_visible(False)
    ends = {}
    for name, scores, losses in panel.curves:
        _curve(below, losses, colours[name], f"{printable(name)}: train loss")
        if limits.scores:
            _curve(above, scores, colours[name], f"{printable(name)}: val score")
        if len(last := scores if limits.scores else losses):
            ends[name] = (int(last.index[-1]), float(last["mean"].iloc[-1]))
    _phases(figure, panel.phases, above, below)
    _names(figure, above, ends, colours, room)


def _curve(ax: Axes, epochs: pd.DataFrame, colour: str, words: str) -> None:
    x, low, high = epochs.index, epochs["min"], epochs["max"]
    if len(epochs) == 1:
        canvas.plot(ax, [x[0]] * 2, [low.iloc[0], high.iloc[0]], color=colour)
        ax.plot(x, epochs["mean"], **canvas.look(colour, size=0.8))
    elif len(epochs):
        if (low < high).any():
            ax.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        canvas.plot(ax, x, epochs["mean"], words, color=colour, linewidth=1.75)


def _names(
    figure: Figure, ax: Axes, ends: Mapping[str, Place], colours: Mapping[str, str], room: float
) -> None:
    """The names of the curves beside their last epochs, at which they stand with their values."""
    (right, bottom), (_, top) = (canvas.pixel(ax, ax.get_xlim()[1], y) for y in ax.get_ylim())
    starts = [canvas.pixel(ax, *end) for end in ends.values()]
    places = canvas.spread_out([y for _, y in starts], 13.5, top, bottom)
    for (name, (epoch, mean)), start, y in zip(ends.items(), starts, places, strict=True):
        corners = [start, (right + 3, start[1]), (right + 13, y), (right + 17, y)]
        canvas.line(figure, corners, color=colours[name])
        words = f"{printable(name)}: {mean:.3g} at epoch {epoch}"
        canvas.dot(figure, start, colours[name], size=0.6, words=words)
        canvas.name(figure, right + 20, middle(y, SMALL), name, room + 2)


def _phases(figure: Figure, phases: Mapping[str, int], above: Axes, below: Axes) -> None:
    """A dashed line where a phase begins, and the names of the phases above the losses."""
    if len(phases) < 2:
        return
    starts = [1, *(epoch - 0.5 for epoch in [*phases.values()][1:]), below.get_xlim()[1]]
    places = [canvas.pixel(below, start, below.get_ylim()[1]) for start in starts]
    for i, phase in enumerate(phases):
        if i:
            for ax in (above, below):
                ax.axvline(starts[i], color=AXIS, linewidth=1, linestyle=(0, (4, 3)))
        (x, y), room = places[i], places[i + 1][0] - places[i][0] - 6
        room += 60 if i + 1 == len(phases) else 0
        if room > 20:
            canvas.name(figure, x + 4, y - 23, phase, room, color=MUTED)


PARTS = ("data", "build", "warmup", "train", "eval")
"""Fields of record.Seconds that add up to the wall time, in the order in which they happen."""


class Bar(NamedTuple):
    """Mean seconds of a row by part, and the range of its wall time over seeds."""

    row: Row
    seconds: Mapping[str, float]
    walls: Place

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def words(self) -> str:
        parts = ", ".join(f"{part} {units.duration(s)}" for part, s in self.seconds.items())
        return f"{named(self.row)}: {units.duration(self.total)} ({parts})"


def time_spent(table: RunTable, summary: Summary) -> Chart | None:
    """A bar per complete row, the longest first; None where no row has known times."""
    rows, note = shown.best_rows(summary, 100)
    bars = _bars(table, rows)
    if not bars:
        return None
    drawn = {bar.row for bar in bars}
    several = any(bar.walls[0] < bar.walls[1] for bar in bars)
    return Chart(
        "time-spent",
        "Where the seconds went",
        sentences(
            "Wall time of one cell as if it ran alone, "
            f"{shown.seeds(units.seeds(table.run.suite))}.",
            "Thin lines: range over seeds." if several else "",
            "data: decode and cache; warmup: capture and compile.",
            shown.machine(table, summary),
            note,
            shown.without_costs([row for row in rows if row not in drawn]),
        ),
        "; ".join(bar.words for bar in bars) + ".",
        lambda width: _time_figure(width, summary, bars),
    )


def _bars(table: RunTable, rows: Sequence[Row]) -> list[Bar]:
    measured = {one.cell_id: one.cost.attributed for one in table.measured}
    bars = []
    for row in rows:
        mine = [measured[cell_id] for cell_id in row.ok if cell_id in measured]
        if mine and row.complete and not row.odd_costs:
            means = {part: fmean(getattr(each, part) for each in mine) for part in PARTS}
            walls = [each.wall for each in mine]
            bars.append(Bar(row, means, (min(walls), max(walls))))
    return sorted((bar for bar in bars if bar.total > 0), key=lambda bar: -bar.total)


def _time_figure(width: float, summary: Summary, bars: Sequence[Bar]) -> Figure:
    narrow, best, colours = width < 500, summary.recommended, look(summary).colours
    names = max(text_width(named(bar.row), bold=bar.row == best) for bar in bars)
    room = width - 20 if narrow else min(0.34 * width, names)
    left = 2.0 if narrow else room + 26
    totals = max(text_width(units.duration(bar.total), SMALL) for bar in bars)
    longest = max(max(bar.total, bar.walls[1]) for bar in bars)
    step, below_name = (38.0, 17.0) if narrow else (22.0, 0.0)
    bottom = 24 + step * len(bars)
    figure = canvas.blank(width, bottom + 4)
    box = Box(left, 24, width - totals - 10, bottom)
    ax = canvas.axes(figure, box, (0, longest), (bottom, 24))  # upwards in pixels
    ax.set_axis_off()
    x = left
    for part, colour in zip(PARTS, STAGES, strict=True):
        canvas.line(figure, [(x, 8.5), (x + 9, 8.5)], color=colour, linewidth=9)
        canvas.write(figure, x + 13, 12.5, part)
        x += 27 + text_width(part, SMALL)
    for i, bar in enumerate(bars):
        row, y, bold = bar.row, 24 + step * i + 9, bar.row == best
        canvas.dot(figure, (6, y), colours[row.architecture])
        short = canvas.joined((row.architecture, row.strategy), JOINT, room, bold=bold)
        canvas.write(figure, 15, middle(y), short, full=named(row), fontsize=TEXT,
                     fontweight="bold" if bold else "normal")  # fmt: skip
        _bar(ax, bar, y + below_name, (box.right - box.left) / longest)
    return figure


def _bar(ax: Axes, bar: Bar, y: float, per_second: float) -> None:
    start = 0.0
    for seconds, colour in zip(bar.seconds.values(), STAGES, strict=True):
        if seconds <= 0:
            continue
        # A hair between the parts tells them apart without their colours.
        wide = max(0.3, seconds * per_second - 0.7) / per_second
        part = Rectangle((start, y - 8), wide, 16, facecolor=colour)
        told(part, bar.words)
        ax.add_artist(part)
        duration = units.duration(seconds)
        if text_width(duration, SMALL) + 8 <= seconds * per_second:
            looks: dict[str, Any] = {"color": ON_STAGE, "ha": "center", "va": "center_baseline"}
            told(ax.text(start + seconds / 2, y, duration, **looks), bar.words)
        start += seconds
    if bar.walls[0] < bar.walls[1]:
        ax.plot(bar.walls, [y + 9.5] * 2, color=INK, linewidth=1)
    total = ax.annotate(
        units.duration(bar.total), (max(bar.total, bar.walls[1]), y), (5, 0),
        textcoords="offset points", color=MUTED, va="center_baseline",
    )  # fmt: skip
    told(total, bar.words)
