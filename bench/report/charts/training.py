"""Figures of how the cells ran: what they learnt by epoch, and where their seconds went."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.analysis.choice import Row, Summary
from bench.analysis.table import RunTable
from bench.report import units
from bench.report.charts import canvas, lettering
from bench.report.charts.canvas import Box, Place, middle
from bench.report.charts.figure import AXIS, INK, MUTED, ON_STAGE, STAGES, Chart, told
from bench.report.charts.lettering import SMALL, TEXT
from bench.report.charts.shown import (
    JOINT,
    best_names,
    best_rows,
    look,
    machine,
    metric,
    named,
    not_drawn,
    seeds,
    sentences,
    without_costs,
)
from bench.report.text import printable

# ---- learning curves ------------------------------------------------------------------------

HEAD, GAP, FOOT = 46.0, 30.0, 50.0
"""Heights above the scores, between scores and losses, and below the losses of a panel."""

SCORES, LOSSES = 150.0, 76.0


class Epoch(NamedTuple):
    """One epoch of a row: mean and range over its seeds."""

    epoch: int
    mean: float
    low: float
    high: float


class Curves(NamedTuple):
    """What one row learnt; scores in percent, losses in nats."""

    architecture: str
    scores: Sequence[Epoch]
    losses: Sequence[Epoch]


class Panel(NamedTuple):
    """The curves of one strategy, and the first epoch of each phase where there are several."""

    strategy: str
    curves: Sequence[Curves]
    phases: Mapping[str, int]


class Limits(NamedTuple):
    epochs: int
    scores: Place | None  # None where val was never scored while training
    losses: Place


def learning_curves(table: RunTable, summary: Summary) -> Chart | None:
    """A panel per strategy, val score above train loss; None where no cell has a curve."""
    shown = best_names(summary, 12, 12)
    panels = _panels(table, shown.rows)
    if not panels:
        return None
    drawn = {(panel.strategy, curves.architecture) for panel in panels for curves in panel.curves}
    missing = [row for row in shown.rows if (row.strategy, row.architecture) not in drawn]
    return Chart(
        "learning-curves",
        "Learning curves by strategy",
        sentences(
            "Lines: mean over the seeds that are ok; bands: their range."
            if len(table.run.suite.seeds) > 1
            else "One seed: one line per cell.",
            "All panels share their axes. Above: val score; below: train loss.",
            "Dashed: a new phase begins." if any(len(p.phases) > 1 for p in panels) else "",
            shown.note,
            not_drawn(missing, "no cell is ok"),
        ),
        "; ".join(_described(panel) for panel in panels) + ".",
        lambda width: _curve_figure(width, summary, panels, _limits(panels)),
    )


def _panels(table: RunTable, rows: Sequence[Row]) -> list[Panel]:
    cells = dict(iter(table.curves.groupby("cell_id", sort=False)))
    panels = []
    for strategy in dict.fromkeys(row.strategy for row in rows):
        mine = {r.architecture: [cells[i] for i in r.ok if i in cells] for r in rows
                if r.strategy == strategy}  # fmt: skip
        curves = [
            Curves(name, _epochs(of, "val_score", 100), _epochs(of, "train_loss", 1))
            for name, of in mine.items()
            if of
        ]
        known = [each for each in curves if each.losses]
        if known:
            longest = max((curve for of in mine.values() for curve in of), key=len)
            begins = longest.groupby("phase")["epoch"].min().sort_values()
            phases = {str(phase): int(epoch) for phase, epoch in begins.items()}
            panels.append(Panel(strategy, known, phases))
    return panels


def _epochs(curves: Sequence[pd.DataFrame], column: str, unit: float) -> list[Epoch]:
    """Epochs that every seed has a value of: a mean over fewer would be another quantity."""
    values = pd.concat(curves).groupby("epoch")[column]
    found = unit * values.agg(["mean", "min", "max"])[values.count() == len(curves)]
    return [
        Epoch(int(epoch), *map(float, row))
        for epoch, row in zip(found.index, found.to_numpy(), strict=True)
    ]


def _limits(panels: Sequence[Panel]) -> Limits:
    curves = [each for panel in panels for each in panel.curves]
    scores = [value for each in curves for e in each.scores for value in (e.low, e.high)]
    losses = [value for each in curves for e in each.losses for value in (e.low, e.high)]
    highest = max(losses)
    return Limits(
        max(each.losses[-1].epoch for each in curves),
        canvas.percent_limits(scores) if scores else None,
        (min(0.0, *losses), highest if highest > 0 else 1.0),
    )


def _described(panel: Panel) -> str:
    ends = (
        f"{printable(each.architecture)} ends at {each.scores[-1].mean:.1f} % on val"
        if each.scores
        else f"{printable(each.architecture)} ends at loss {each.losses[-1].mean:.3g}"
        for each in panel.curves
    )
    return f"{printable(panel.strategy)}: {', '.join(ends)}"


def _curve_figure(
    width: float, summary: Summary, panels: Sequence[Panel], limits: Limits
) -> Figure:
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
    longest = max(lettering.width(printable(each.architecture), SMALL) for each in panel.curves)
    room = min(0.36 * wide, longest)
    left, right, epochs = area.left + 32, area.right - room - 24, (1, max(2, limits.epochs))
    canvas.name(figure, area.left, area.top - 30, panel.strategy, wide, fontsize=TEXT,
                fontweight="bold")  # fmt: skip
    bottom = area.bottom + GAP
    below = canvas.axes(figure, Box(left, bottom, right, bottom + LOSSES), epochs, limits.losses)
    canvas.write(figure, area.left + 6, bottom - 10, "train loss (nats)", color=MUTED)
    below.yaxis.set_major_locator(canvas.ticks(3))
    below.xaxis.set_major_locator(canvas.ticks(5, whole=True))
    below.set_xlabel("epoch")
    above = below
    if limits.scores:
        above = canvas.axes(figure, area._replace(left=left, right=right), epochs, limits.scores)
        canvas.write(
            figure, area.left + 6, area.top - 10, f"{metric(summary, 'val')} (%)", color=MUTED
        )
        above.yaxis.set_major_locator(canvas.ticks(5))
        above.set_xticks([])
        above.spines["bottom"].set_visible(False)
    for each in panel.curves:
        colour = colours[each.architecture]
        _curve(below, each.losses, colour, f"{printable(each.architecture)}: train loss")
        if above is not below:
            _curve(above, each.scores, colour, f"{printable(each.architecture)}: val score")
    _phases(panel.phases, above, below)
    ends = [(c.architecture, c.scores if limits.scores else c.losses) for c in panel.curves]
    _names(above, {name: steps[-1] for name, steps in ends if steps}, colours, room)


def _curve(ax: Axes, epochs: Sequence[Epoch], colour: str, words: str) -> None:
    if not epochs:
        return
    x, mean = [e.epoch for e in epochs], [e.mean for e in epochs]
    if len(epochs) == 1:
        ax.plot([x[0]] * 2, [epochs[0].low, epochs[0].high], color=colour, linewidth=1.25)
        ax.plot(x, mean, **canvas.look(colour, size=0.8))
        return
    if any(e.low < e.high for e in epochs):
        low, high = [e.low for e in epochs], [e.high for e in epochs]
        ax.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
    (line,) = ax.plot(x, mean, color=colour, linewidth=1.75)
    told(line, words)


def _names(ax: Axes, ends: Mapping[str, Epoch], colours: Mapping[str, str], room: float) -> None:
    figure = ax.get_figure(root=True)
    assert figure is not None
    (right, bottom), (_, top) = (
        canvas.pixel(ax, ax.get_xlim()[1], value) for value in ax.get_ylim()
    )
    starts = {name: canvas.pixel(ax, end.epoch, end.mean) for name, end in ends.items()}
    places = canvas.spread_out([y for _, y in starts.values()], 13.5, top, bottom)
    for (name, start), y in zip(starts.items(), places, strict=True):
        corners = [start, (right + 3, start[1]), (right + 13, y), (right + 17, y)]
        canvas.line(figure, corners, colours[name])
        words = f"{printable(name)}: {ends[name].mean:.3g} at epoch {ends[name].epoch}"
        canvas.dot(figure, start, colours[name], size=0.6, words=words)
        canvas.name(figure, right + 20, middle(y, SMALL), name, room + 2)


def _phases(phases: Mapping[str, int], above: Axes, below: Axes) -> None:
    """A dashed line where a phase begins, and the names of the phases."""
    begins = list(phases.items())
    figure = above.get_figure(root=True)
    assert figure is not None
    for i, (phase, epoch) in enumerate(begins if len(begins) > 1 else ()):
        low = above.get_ylim()[0]
        start = canvas.pixel(above, epoch - 0.5 if i else 1, low)
        later = begins[i + 1][1] - 0.5 if i + 1 < len(begins) else above.get_xlim()[1]
        after = canvas.pixel(above, later, low)[0] + (60 if i + 1 == len(begins) else 0)
        if i:
            for ax in (above, below):
                ax.axvline(epoch - 0.5, color=AXIS, linewidth=1, linestyle=(0, (4, 3)))
        if (room := after - start[0] - 6) > 20:
            looks: dict[str, Any] = {"color": MUTED, "halo": True}
            canvas.name(figure, start[0] + 4, start[1] - 5, phase, room, **looks)


# ---- where the seconds went -----------------------------------------------------------------

PARTS = ("data", "build", "warmup", "train", "eval")
"""Fields of record.Seconds that add up to the wall time, in the order in which they happen."""

BARS = 100
"""Bars that are drawn at most."""


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
    shown = best_rows(summary, BARS)
    bars = _bars(table, shown.rows)
    if not bars:
        return None
    drawn = {bar.row for bar in bars}
    several = any(bar.walls[0] < bar.walls[1] for bar in bars)
    return Chart(
        "time-spent",
        "Where the seconds went",
        sentences(
            f"Wall time of one cell as if it ran alone, {seeds(len(table.run.suite.seeds))}.",
            "Thin lines: range over seeds." if several else "",
            "data: decode and cache; warmup: capture and compile.",
            machine(table, summary),
            shown.note,
            without_costs([row for row in shown.rows if row not in drawn]),
        ),
        "; ".join(bar.words for bar in bars) + ".",
        lambda width: _time_figure(width, summary, bars),
    )


def _bars(table: RunTable, rows: Iterable[Row]) -> list[Bar]:
    measured = {one.cell_id: one.cost.attributed for one in table.measured}
    bars = []
    for row in rows:
        mine = [measured[cell_id] for cell_id in row.ok if cell_id in measured]
        if mine and row.complete and not row.features_reused:
            means = {part: fmean(getattr(each, part) for each in mine) for part in PARTS}
            walls = [each.wall for each in mine]
            bars.append(Bar(row, means, (min(walls), max(walls))))
    return sorted((bar for bar in bars if bar.total > 0), key=lambda bar: -bar.total)


def _time_figure(width: float, summary: Summary, bars: Sequence[Bar]) -> Figure:
    narrow, best = width < 500, summary.recommended
    names = max(lettering.width(named(bar.row), bold=bar.row == best) for bar in bars)
    room = width - 20 if narrow else min(0.34 * width, names)
    left = 2.0 if narrow else room + 26
    totals = max(lettering.width(units.duration(bar.total), SMALL) for bar in bars)
    longest = max(max(bar.total, bar.walls[1]) for bar in bars)
    step, below_name = (38.0, 17.0) if narrow else (22.0, 0.0)
    bottom = 24 + step * len(bars)
    figure = canvas.blank(width, bottom + 4)
    box = Box(left, 24, width - totals - 10, bottom)
    ax = canvas.axes(figure, box, (0, longest), (bottom, 24))  # upwards in pixels
    ax.set_axis_off()
    _part_names(figure, left)
    for i, bar in enumerate(bars):
        top = 24 + step * i
        looks: dict[str, Any] = {
            "fontsize": TEXT,
            "fontweight": "bold" if bar.row == best else "normal",
        }
        canvas.dot(figure, (6, top + 9), look(summary).colours[bar.row.architecture])
        short = lettering.joined(
            (bar.row.architecture, bar.row.strategy), JOINT, room, bold=bar.row == best
        )
        canvas.write(figure, 15, middle(top + 9), short, full=named(bar.row), **looks)
        _bar(ax, bar, top + below_name, (box.right - box.left) / longest)
    return figure


def _part_names(figure: Figure, x: float) -> None:
    for part, colour in zip(PARTS, STAGES, strict=True):
        canvas.line(figure, [(x, 8.5), (x + 9, 8.5)], colour, 9)
        canvas.write(figure, x + 13, 12.5, part)
        x += 27 + lettering.width(part, SMALL)


def _bar(ax: Axes, bar: Bar, top: float, per_second: float) -> None:
    start = 0.0
    for seconds, colour in zip(bar.seconds.values(), STAGES, strict=True):
        if seconds <= 0:
            continue
        # A hair between the parts tells them apart without their colours.
        wide = max(0.3, seconds * per_second - 0.7) / per_second
        part = Rectangle((start, top + 1), wide, 16, facecolor=colour)
        told(part, bar.words)
        ax.add_artist(part)
        duration = units.duration(seconds)
        if lettering.width(duration, SMALL) + 8 <= seconds * per_second:
            at = (start + seconds / 2, top + 9)
            drawn = ax.text(*at, duration, color=ON_STAGE, ha="center", va="center_baseline")
            told(drawn, bar.words)
        start += seconds
    if bar.walls[0] < bar.walls[1]:
        ax.plot(bar.walls, [top + 18.5] * 2, color=INK, linewidth=1)
    total = ax.annotate(
        units.duration(bar.total), (max(bar.total, bar.walls[1]), top + 9), (5, 0),
        textcoords="offset points", color=MUTED, va="center_baseline",
    )  # fmt: skip
    told(total, bar.words)
