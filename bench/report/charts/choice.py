"""Figures of the choice: the scores of every architecture under every strategy."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from bench.analysis.choice import Row, Summary
from bench.analysis.table import RunTable
from bench.report import units
from bench.report.charts import canvas, lettering
from bench.report.charts.canvas import Box, middle
from bench.report.charts.figure import AXIS, HEAT, INK, MUTED, ON_HEAT, PAPER, Chart, told
from bench.report.charts.lettering import LINE, SMALL, TEXT
from bench.report.charts.shown import (
    best_names,
    heat,
    look,
    metric,
    named,
    seeds,
    sentences,
    shortfall,
    unique,
)
from bench.report.text import printable

Rows = Mapping[tuple[str, str], Row]


def row_names(figure: Figure, names: Mapping[str, str], left: float, tops: Sequence[float]) -> None:
    for (name, colour), y in zip(names.items(), tops, strict=True):
        canvas.dot(figure, (6, y), colour)
        canvas.name(figure, 15, middle(y), name, left - 22, fontsize=TEXT)


# ---- val scores as a table ------------------------------------------------------------------

ROW = 30.0
NARROWEST, WIDEST = 33.0, 92.0
"""Widths of a cell: at least a number, at most a word."""


def heat_map(table: RunTable, summary: Summary) -> Chart | None:
    """The val score of each architecture under each strategy; None where no row is complete."""
    run, shown = table.run, best_names(summary, 40, 24)
    rows = {(row.architecture, row.strategy): row for row in shown.rows}
    known = [100 * row.val.seeds.mean for row in rows.values() if row.complete and row.val]
    if not known:
        return None
    return Chart(
        "heat-map",
        f"{metric(summary, 'val').capitalize()} by architecture and strategy, in percent",
        sentences(
            f"Val score, {seeds(len(run.suite.seeds))}, of {run.data.num_val:,} images.",
            "◤ best of its row, ◥ best of its column. Framed: recommended; underlined: tied with "
            "the best.",
            "No colour: not every seed is ok." if any(not r.complete for r in shown.rows) else "",
            shown.note,
        ),
        "; ".join(f"{named(row)}: {_val(row)}" for row in rows.values()) + ".",
        lambda width: _heat_map(width, summary, rows, (min(known), max(known))),
    )


def _val(row: Row) -> str:
    return units.percent(row.val.seeds.mean) if row.complete and row.val else shortfall(row)


def _heat_map(width: float, summary: Summary, rows: Rows, limits: tuple[float, float]) -> Figure:
    figure = canvas.blank(width, 100)
    architectures, strategies = (unique(names) for names in zip(*rows, strict=True))
    colours = {name: look(summary).colours[name] for name in architectures}
    left = min(max(lettering.width(printable(n)) for n in architectures), 0.3 * width) + 26
    columns = max(1, int((width - left - 2) // NARROWEST))
    columns = -(-len(strategies) // -(-len(strategies) // columns))  # blocks of like width
    bottom = 0.0
    for start in range(0, len(strategies), columns):
        block = strategies[start : start + columns]
        wide = min(WIDEST, (width - left - 2) / len(block))
        top = column_names(figure, block, left, wide, bottom) + 6
        row_names(figure, colours, left, [top + ROW * (i + 0.5) for i in range(len(colours))])
        bottom = top + ROW * len(architectures)
        ax = cells(
            figure, Box(left, top, left + wide * len(block), bottom), len(colours), len(block)
        )
        for i, architecture in enumerate(architectures):
            for j, strategy in enumerate(block):
                _cell(ax, (j, i), wide, rows.get((architecture, strategy)), summary, limits)
        bottom += 16
    _colour_scale(figure, left, bottom, limits)
    return canvas.resize(figure, bottom + 30)


def cells(figure: Figure, box: Box, num_rows: int, num_columns: int) -> Axes:
    """Axes of a table: a unit is a cell, the first row on top."""
    ax = canvas.axes(figure, box, (-0.5, num_columns - 0.5), (num_rows - 0.5, -0.5))
    ax.set_axis_off()
    return ax


def fill(ax: Axes, at: tuple[int, int], hair: float, words: str, **looks: Any) -> None:
    """Fill a cell but for a hair of paper around it, as a share of its sides."""
    (x, y), side = at, 1 - 2 * hair
    drawn = Rectangle((x - side / 2, y - side / 2), side, side, **looks)
    told(drawn, words)
    ax.add_artist(drawn)


def column_names(
    figure: Figure, names: Sequence[str], left: float, wide: float, top: float
) -> float:
    """Names above their columns, broken into lines where that fits, else turned; where they end."""
    full = [printable(name) for name in names]
    wrapped = [lettering.wrap(name, wide - 6, SMALL) for name in full]
    middles = [left + wide * (j + 0.5) for j in range(len(names))]
    if all(len(lines) <= 3 and "…" not in "".join(lines) for lines in wrapped):
        bottom = top + SMALL * LINE * max(map(len, wrapped))
        for x, lines in zip(middles, wrapped, strict=True):
            for i, words in enumerate(reversed(lines)):
                canvas.write(figure, x, bottom - SMALL * LINE * i - 3, words, ha="center")
        return bottom
    bottom = top + min(110.0, max(lettering.width(name, SMALL) for name in full)) + 4
    for x, name in zip(middles, names, strict=True):
        canvas.name(figure, x + 4, bottom, name, 110, rotation=90)
    return bottom


def _cell(
    ax: Axes, at: tuple[int, int], wide: float, row: Row | None, summary: Summary,
    limits: tuple[float, float],
) -> None:  # fmt: skip
    words = units.UNKNOWN if row is None else _val(row)
    tip = words if row is None else f"{named(row)}: {words}"
    x, y = at
    looks: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": SMALL}
    if row is None or not row.complete or row.val is None:
        fill(ax, at, 0.03, tip, facecolor=PAPER, edgecolor=AXIS, linestyle=(0, (3, 3)))
        fits = lettering.width(words, SMALL) <= wide - 6
        told(ax.text(x, y, words if fits else "–", color=MUTED, **looks), tip)
        return
    step = heat(100 * row.val.seeds.mean, *limits)
    fill(ax, at, 0.03, tip, facecolor=HEAT[step])
    looks |= {"fontsize": SMALL if wide < 40 else TEXT}
    told(ax.text(x, y, words, color=ON_HEAT[step], **looks), tip)
    for best, side in (
        (summary.best_by_architecture[row.architecture], -1),
        (summary.best_by_strategy[row.strategy], 1),
    ):
        if row == best:
            corner, along, down = x + 0.47 * side, -side * 7 / wide, 7 / ROW
            flag = [(corner, y - 0.47), (corner + along, y - 0.47), (corner, y - 0.47 + down)]
            ax.add_artist(Polygon(flag, facecolor=ON_HEAT[step]))
    if row in summary.tied:
        half = lettering.width(words, TEXT) / wide / 2
        ax.plot([x - half, x + half], [y + 0.25] * 2, color=ON_HEAT[step], linewidth=1)
    if row == summary.recommended:
        for hair, colour, thick in ((0.06, PAPER, 1.75), (0.0, INK, 2.5)):  # on dark cells as well
            fill(ax, at, hair, tip, fill=False, edgecolor=colour, linewidth=thick, zorder=4,
                 clip_on=False)  # fmt: skip


def _colour_scale(figure: Figure, left: float, top: float, limits: tuple[float, float]) -> None:
    low, high = (f"{value:.1f}" for value in limits)
    if low == high:
        return
    start = left + lettering.width(low, SMALL) + 6
    end = start + 20 * len(HEAT)
    ax = cells(figure, Box(start, top, end, top + 10), 1, len(HEAT))
    for k, colour in enumerate(HEAT):
        fill(ax, (k, 0), 0, "", facecolor=colour)
    canvas.line(figure, [(start, top + 10.5), (end, top + 10.5)], AXIS)
    canvas.write(figure, left, top + 9, low, color=MUTED)
    canvas.write(figure, end + 6, top + 9, high, color=MUTED)


# ---- test scores and their intervals --------------------------------------------------------


def accuracy(table: RunTable, summary: Summary) -> Chart | None:
    """The test score of each row with its seeds and its interval; None where nothing is ok."""
    shown = best_names(summary, 24, 12)
    rows = {(row.architecture, row.strategy): row for row in shown.rows}
    scores = table.cells["test_score"]
    values = {names: [100 * float(v) for v in scores[[*row.ok]]] for names, row in rows.items()}
    if not any(values.values()):
        return None
    several = len(table.run.suite.seeds) > 1
    best = "winner" if summary.winner else "best"
    return Chart(
        "accuracy",
        f"{metric(summary, 'test').capitalize()} by architecture and strategy, in percent",
        sentences(
            "Bars and numbers: means over seeds; dots: seeds." if several else "",
            f"Thin lines: 95 % Wilson intervals{' of the means' if several else ''} over "
            f"{table.run.data.num_test:,} test images.",
            f"Bold: {best} on val." if summary.leader else "",
            "Hollow: not every seed is ok." if several and summary.disqualified else "",
            shown.note,
        ),
        "; ".join(_test(row) for row in rows.values()) + ".",
        lambda width: _accuracy(width, summary, rows, values),
    )


def _test(row: Row) -> str:
    if not row.complete or row.test is None:
        return f"{named(row)}: {shortfall(row)}"
    return (
        f"{named(row)}: {units.percent(row.test.seeds.mean)} % on test, "
        f"{units.between(*row.test.interval)}"
    )


NUMBERS = 38.0
"""Room for a number at the right of a panel."""


def _accuracy(
    width: float, summary: Summary, rows: Rows, values: Mapping[tuple[str, str], Sequence[float]]
) -> Figure:
    figure = canvas.blank(width, 100)
    architectures, strategies = (unique(names) for names in zip(*rows, strict=True))
    colours = {name: look(summary).colours[name] for name in architectures}
    left = min(max(lettering.width(printable(n)) for n in architectures), 0.3 * width) + 26
    columns = max(1, min(len(strategies), int((width - left) // 150)))
    columns = -(-len(strategies) // -(-len(strategies) // columns))
    wide, high = min(260.0, (width - left) / columns), 20.0 * len(architectures)
    ends = [100 * e for r in rows.values() if r.complete and r.test for e in r.test.interval]
    limits = canvas.percent_limits([*ends, *(v for found in values.values() for v in found)])
    for j, strategy in enumerate(strategies):
        x, top = left + wide * (j % columns), 24 + (high + 48) * (j // columns)
        box = Box(x, top, x + wide - NUMBERS - 14, top + high)
        canvas.name(figure, x, top - 8, strategy, wide - 14, fontweight="bold")
        ax = canvas.axes(figure, box, limits, (len(architectures) - 0.5, -0.5))
        ax.set_yticks([])
        ax.xaxis.set_major_locator(canvas.ticks(4))
        if j % columns == 0:
            tops = [top + 20 * (i + 0.5) for i in range(len(architectures))]
            row_names(figure, colours, left, tops)
        for i, architecture in enumerate(architectures):
            if row := rows.get((architecture, strategy)):
                found = values[architecture, strategy]
                _interval(ax, i, row, colours[architecture], found, bold=row == summary.leader)
    lines = -(-len(strategies) // columns)
    return canvas.resize(figure, 24 + (high + 48) * lines - 16)


def _interval(
    ax: Axes, y: int, row: Row, colour: str, values: Sequence[float], *, bold: bool
) -> None:
    note, complete = shortfall(row), row.complete and row.test is not None
    if row.complete and row.test is not None:
        note = units.percent(row.test.seeds.mean)
        low, high = row.test.interval
        mean = 100 * row.test.seeds.mean
        (bar,) = ax.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=1.25)
        (tick,) = ax.plot([mean, mean], [y - 0.25, y + 0.25], color=colour, linewidth=2.5)
        told(bar, _test(row))
        told(tick, _test(row))
    if len(row.statuses) > 1:  # below the interval, which would hide them
        looks = canvas.look(colour, size=0.5, hollow=not complete)
        ax.plot(values, [y + 0.32] * len(values), linestyle="none", **looks)
    drawn = ax.annotate(
        note, (1, y), (NUMBERS, 0), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", va="center_baseline",
        color=INK if complete else MUTED, fontweight="bold" if bold else "normal",
    )  # fmt: skip
    told(drawn, _test(row))
