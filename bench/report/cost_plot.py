"""Test score against a cost: what another percent has to be paid with."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import Bbox

from bench.analysis.rows import Row, comparable_cost, peak_memory_bytes
from bench.analysis.summary import Summary
from bench.record import Result, Run
from bench.report import canvas, units


class CostAxis(NamedTuple):
    """A cost in the unit of its axis: of a row, and of one cell for the range over seeds."""

    title: str
    label: str
    of_row: Callable[[Row], float | None]
    of_result: Callable[[Result], float | None]


TRAIN_TIME = CostAxis(
    "train time",
    "train time of one cell, as if it ran alone (s)",
    lambda row: comparable_cost(row, "train_seconds"),
    lambda result: result.cost.attributed.train,
)


def memory_axis(run: Run) -> CostAxis:
    """Peak memory, labelled with what it is on the run's device."""
    on_gpu = run.machine.device == "cuda"
    what = "GPU memory allocated by torch" if on_gpu else "resident memory above the cell's start"
    return CostAxis(
        "peak memory",
        f"peak {what} (MiB)",
        lambda row: _mebibytes(comparable_cost(row, "peak_memory_bytes")),
        lambda result: _mebibytes(peak_memory_bytes(result.memory, result.machine)),
    )


def _mebibytes(value: float | None) -> float | None:
    return None if value is None else value / 2**20


def against_cost(run: Run, found: Sequence[Result], summary: Summary, cost: CostAxis) -> Figure:
    """Test score against a cost on a log axis: a point per row, with its range over seeds.

    `found` are results on the reference machine: the ranges of costs are of one machine, as their
    means are.
    """
    style = canvas.look(summary)
    figure = canvas.blank(width=7.2, height=max(4.0, 0.9 + 0.19 * sum(map(len, style))))
    ax = figure.subplots()
    points = {}
    for row in summary.rows:
        x = cost.of_row(row)
        # A log axis has no place for zero; such a row is named below the plot instead.
        if x is not None and x > 0 and row.test is not None and row.complete:
            points[row] = (x, 100 * row.test.seeds.mean)
            _point(ax, row, points[row], found, cost, style)
    _log_axis(ax, [x for x, _ in points.values()])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.margins(y=0.1)
    ax.set_xlabel(cost.label)
    ax.set_ylabel(f"test {units.METRICS[summary.metric]} (%)")
    left_out = [row for row in summary.rows if row not in points]
    canvas.caption(
        figure,
        f"Test {units.METRICS[summary.metric]} against {cost.title}",
        f"{canvas.basis(run, summary)}\n{_range_legend(run)}{canvas.not_shown(left_out)}",
    )
    texts = {row: _point_label(row, summary) for row in points}
    if len(points) > 8 or not _label_all(figure, ax, texts, points):
        canvas.legends(figure, style)
        chosen = (summary.leader, summary.recommended)
        _label(figure, ax, {row: texts[row] for row in chosen if row in points}, points)
    return figure


def _range_legend(run: Run) -> str:
    several = len(run.suite.seeds) > 1
    return "Points: means over seeds. Lines: range over seeds." if several else "A point per cell."


def _point(
    ax: Axes,
    row: Row,
    at: tuple[float, float],
    found: Sequence[Result],
    cost: CostAxis,
    style: canvas.Look,
) -> None:
    colour = style.colours[row.architecture]
    marker = style.markers[row.strategy]
    ax.scatter(*at, s=34, c=colour, marker=marker, edgecolors="white", linewidths=0.6, zorder=3)
    assert row.test is not None
    seeds = row.test.seeds
    mine = (r for r in found if r.cell.strategy == row.strategy)
    costs = [cost.of_result(r) for r in mine if r.cell.architecture_label == row.architecture]
    known = [value for value in costs if value]
    if seeds.n > 1 and known:
        spread: Any = {"color": colour, "linewidth": 0.8, "alpha": 0.55, "zorder": 2}
        ax.plot([at[0], at[0]], [100 * seeds.minimum, 100 * seeds.maximum], **spread)
        ax.plot([min(known), max(known)], [at[1], at[1]], **spread)


def _log_axis(ax: Axes, values: Sequence[float]) -> None:
    ax.set_xscale("log")
    if values:
        low, high = min(values) / 1.35, max(values) * 1.35
        if high / low < 8:  # too narrow to read as a log axis without more ticks around
            low, high = low / 2, high * 2
        ax.set_xlim(low, high)
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        steps = (1, 2, 5) if high / low < 3000 else (1,)
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))


def _point_label(row: Row, summary: Summary) -> str:
    best = "winner" if summary.winner else "best"
    roles = [f"{best} on val"] if row == summary.leader else []
    roles += ["recommended"] if row == summary.recommended else []
    name = f"{canvas.short(row.architecture)} · {canvas.short(row.strategy)}"
    return f"{name}\n{', '.join(roles)}" if roles else name


def _label_all(
    figure: Figure, ax: Axes, texts: Mapping[Row, str], points: Mapping[Row, tuple[float, float]]
) -> bool:
    """Label every point and return True, or label none and return False."""
    labels = _label(figure, ax, texts, points)
    if len(labels) == len(texts):
        return True
    for label in labels:
        label.remove()
    return False


def _label(
    figure: Figure, ax: Axes, texts: Mapping[Row, str], points: Mapping[Row, tuple[float, float]]
) -> list[Annotation]:
    """Write each label near its point where it covers no point and no label, if there is room."""
    figure.draw_without_rendering()  # fixes the layout, so that places in pixels are known
    radius = 5 * figure.dpi / 72
    centres = [ax.transData.transform(at) for at in points.values()]
    taken = [Bbox([(x - radius, y - radius), (x + radius, y + radius)]) for x, y in centres]
    taken += [line.get_window_extent() for line in ax.lines]
    inside, labels = ax.get_window_extent(), []
    for row, text in texts.items():
        for distance, (right, up) in product(LABEL_DISTANCES, LABEL_SIDES):
            label = _annotation(ax, text, points[row], distance * right, distance * up)
            label.get_window_extent()  # places the text; the leader line is in its extent
            box = Text.get_window_extent(label)
            corners_inside = inside.count_contains(box.corners()) == 4
            if corners_inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                labels.append(label)
                break
            label.remove()
    return labels


LABEL_DISTANCES = (7, 20, 34, 50)
"""Points from the marker to its label, in the order in which they are tried."""

LABEL_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))


def _annotation(ax: Axes, text: str, at: tuple[float, float], dx: float, dy: float) -> Annotation:
    label = ax.annotate(
        text,
        at,
        (dx, dy),
        textcoords="offset points",
        ha="left" if dx > 0 else "right" if dx < 0 else "center",
        va="bottom" if dy > 0 else "top" if dy < 0 else "center",
        fontsize=7,
        linespacing=1.1,
        zorder=5,
        arrowprops={"arrowstyle": "-", "lw": 0.6, "color": canvas.GREY, "shrinkA": 0, "shrinkB": 3}
        if max(abs(dx), abs(dy)) > LABEL_DISTANCES[0]
        else None,
    )
    label.set_in_layout(False)
    return label
