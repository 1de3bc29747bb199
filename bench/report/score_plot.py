"""Test scores by architecture and strategy, with the spread of the seeds."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from bench.analysis.rows import Row, score_of, status_counts
from bench.analysis.summary import Summary
from bench.record import Result, Run
from bench.report import canvas, units


def by_strategy(run: Run, found: Sequence[Result], summary: Summary) -> Figure:
    """A panel per strategy, a line per architecture: seeds, mean and interval of the test score."""
    style = canvas.look(summary)
    columns = min(6, len(style.markers))
    lines = -(-len(style.markers) // columns)
    num_rows = len(style.colours)
    figure = canvas.blank(
        width=max(4.8, 1.5 + 1.62 * columns), height=1.05 + lines * (0.5 + 0.27 * num_rows)
    )
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for spare in axes[len(style.markers) :]:
        spare.set_axis_off()
    low, high = _score_limits(summary)
    for ax, strategy in zip(axes, style.markers, strict=False):
        _panel(ax, strategy, found, summary)
    axes[0].set_xlim(low, high + 0.24 * (high - low))  # room for the column of numbers
    axes[0].xaxis.set_major_locator(FixedLocator(_percent_ticks(low, high)))
    axes[0].set_yticks(range(num_rows), [canvas.short(name) for name in style.colours])
    axes[0].set_ylim(num_rows - 0.4, -0.6)
    canvas.caption(
        figure,
        f"Test {units.METRICS[summary.metric]} (%) by architecture and strategy",
        f"{canvas.basis(run, summary)}\n{_score_legend(run, summary)}",
    )
    return figure


def _score_legend(run: Run, summary: Summary) -> str:
    several = len(run.suite.seeds) > 1
    seeds = "Bar and number: mean over seeds. Dots: seeds. " if several else ""
    line = f"Line: 95 % Wilson interval{' of the mean' if several else ''}. "
    best = "winner" if summary.winner else "best"
    bold = f"Bold: {best} on val. " if summary.leader else ""
    hollow = "Hollow: not every seed is ok." if several and summary.disqualified else ""
    return f"{seeds}{line}{bold}{hollow}"


def _panel(ax: Axes, strategy: str, found: Sequence[Result], summary: Summary) -> None:
    ax.set_title(canvas.short(strategy))
    ax.grid(axis="y", linewidth=3, color="#f3f3f3")
    ax.tick_params(labelbottom=True)
    colours = canvas.look(summary).colours
    for row in summary.rows:
        if row.strategy == strategy:
            y, colour = list(colours).index(row.architecture), colours[row.architecture]
            _seeds(ax, y, colour, row, found)
            if row.complete:
                _mean(ax, y, colour, row)
            _note(ax, y, row, bold=row == summary.leader)


def _seeds(ax: Axes, y: int, colour: str, row: Row, found: Sequence[Result]) -> None:
    if len(row.statuses) > 1:
        values = [100 * value for value in _test_scores(row, found)]
        face = colour if row.complete else "none"
        heights = np.full(len(values), y + 0.27)  # below the interval, which would hide them
        ax.scatter(values, heights, s=7, c=face, edgecolors=colour, linewidths=0.7, zorder=4)


def _mean(ax: Axes, y: int, colour: str, row: Row) -> None:
    assert row.test is not None
    low, high = row.test.interval
    ax.plot([100 * low, 100 * high], [y, y], color=colour, lw=1, zorder=2)
    ax.plot(100 * row.test.seeds.mean, y, "|", color=colour, ms=8, mew=2, zorder=3)


def _note(ax: Axes, y: int, row: Row, *, bold: bool) -> None:
    ax.annotate(
        units.percent(row.test.seeds.mean) if row.complete and row.test else _shortfall(row),
        (0.99, y),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="center",
        fontsize=6.5,
        fontweight="bold" if bold else "normal",
        color="black" if row.complete else canvas.GREY,
    )


def _shortfall(row: Row) -> str:
    statuses = set(row.statuses)
    return statuses.pop() if len(statuses) == 1 else status_counts(row).split(" ")[0] + " ok"


def _test_scores(row: Row, found: Sequence[Result]) -> list[float]:
    return [
        score_of(result.quality.test, result.cell.metric)
        for result in found
        if (result.cell.architecture_label, result.cell.strategy)
        == (row.architecture, row.strategy)
    ]


def _score_limits(summary: Summary) -> tuple[float, float]:
    known = [row.test for row in summary.rows if row.test is not None]
    lowest = min(min(score.interval.low, score.seeds.minimum) for score in known)
    highest = max(max(score.interval.high, score.seeds.maximum) for score in known)
    margin = max(0.02, 0.05 * (highest - lowest))
    return 100 * max(0.0, lowest - margin), 100 * min(1.0, highest + margin)


def _percent_ticks(low: float, high: float) -> list[float]:
    ticks = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low <= tick <= high]
