"""Learning curves: val score and train loss by epoch."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis.summary import Summary
from bench.record import EpochPoint, Result, Run
from bench.report import canvas, units


def learning_curves(run: Run, found: Sequence[Result], summary: Summary) -> Figure:
    """A column per strategy: val score above, train loss below, a line per architecture."""
    style = canvas.look(summary)
    count = len(style.markers)
    figure = canvas.blank(width=max(5.2, 2.1 + 1.62 * count), height=4.3)
    axes = figure.subplots(2, count, sharex="col", sharey="row", squeeze=False)
    for column, strategy in enumerate(style.markers):
        mine = [result for result in found if result.cell.strategy == strategy]
        _curve_panels(axes[0, column], axes[1, column], mine, style)
        axes[0, column].set_title(canvas.short(strategy), pad=14)
        axes[1, column].set_xlabel("epoch")
        axes[1, column].xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axes[0, 0].set_ylabel(f"val {units.METRICS[summary.metric]} (%)")
    axes[1, 0].set_ylabel("train loss (nats)")
    several = len(run.suite.seeds) > 1
    phased = any(len({point.phase for point in result.curve}) > 1 for result in found)
    lines = "Thick lines: means over seeds. Thin lines: seeds." if several else "One line per cell."
    canvas.caption(
        figure,
        "Learning curves by strategy",
        f"{canvas.basis(run, summary)}\n{lines}{' Dashed: a new phase begins.' if phased else ''}"
        + canvas.not_shown([row for row in summary.rows if row.val is None]),
    )
    figure.legend(
        handles=[canvas.patch(colour, "o", name) for name, colour in style.colours.items()],
        loc="outside right upper",
        title="architecture",
        alignment="left",
    )
    return figure


def _curve_panels(above: Axes, below: Axes, mine: Sequence[Result], style: canvas.Look) -> None:
    for architecture, colour in style.colours.items():
        curves = [r.curve for r in mine if r.cell.architecture_label == architecture]
        for ax, value in ((above, _val_percent), (below, _train_loss)):
            if len(curves) > 1:
                _seeds(ax, curves, value, color=colour, lw=0.5, alpha=0.45)
            _mean(ax, curves, value, color=colour, lw=1.4, marker=".", ms=3)
    if mine:
        _mark_phases(above, below, mine[0].curve)


def _seeds(
    ax: Axes,
    curves: Sequence[Sequence[EpochPoint]],
    value: Callable[[EpochPoint], float | None],
    **line: Any,
) -> None:
    # One line with gaps: thousands of lines would take minutes to draw.
    epochs: list[float] = []
    values: list[float] = []
    for curve in curves:
        known = [(point.epoch, found) for point in curve if (found := value(point)) is not None]
        epochs += [*(epoch for epoch, _ in known), math.nan]
        values += [*(found for _, found in known), math.nan]
    ax.plot(epochs, values, **line)


def _mean(
    ax: Axes,
    curves: Sequence[Sequence[EpochPoint]],
    value: Callable[[EpochPoint], float | None],
    **line: Any,
) -> None:
    by_epoch: dict[int, list[float]] = {}
    for point in (point for curve in curves for point in curve):
        if (known := value(point)) is not None:
            by_epoch.setdefault(point.epoch, []).append(known)
    epochs = sorted(by_epoch)
    ax.plot(epochs, [float(np.mean(by_epoch[epoch])) for epoch in epochs], **line)


def _val_percent(point: EpochPoint) -> float | None:
    return None if point.val_score is None else 100 * point.val_score


def _train_loss(point: EpochPoint) -> float:
    return point.train_loss


def _mark_phases(above: Axes, below: Axes, curve: Sequence[EpochPoint]) -> None:
    begins = {point.phase: point.epoch for point in reversed(curve)}
    if len(begins) < 2:
        return
    for phase, epoch in sorted(begins.items(), key=lambda item: item[1]):
        at = epoch - 0.5
        if epoch > 1:
            for ax in (above, below):
                ax.axvline(at, color=canvas.GREY, lw=0.8, ls=(0, (4, 3)), zorder=1)
        above.annotate(
            canvas.short(phase), (max(at, 1.0), 1.02), xycoords=("data", "axes fraction"),
            fontsize=6.5, color=canvas.GREY, va="bottom",
        )  # fmt: skip
