"""The four plots of a run: scores, score against time, score against memory, learning curves.

What has no number is named as missing and drawn nowhere.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.analysis.machines import reference
from bench.analysis.rows import results
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report import canvas
from bench.report.cost_plot import TRAIN_TIME, against_cost, memory_axis
from bench.report.curve_plot import learning_curves
from bench.report.fonts import families
from bench.report.score_plot import by_strategy


def draw(run: Run, records: Sequence[Result | Failure], summary: Summary) -> dict[str, Figure]:
    """Every plot of the run by file stem; none where no cell is ok."""
    ok = results(records)
    if not ok:
        return {}
    shown = fitting(summary)
    found, measured = _of_rows(shown, ok), _of_rows(shown, reference(ok))
    with mpl.rc_context(style(run, shown)):
        return {
            "accuracy": by_strategy(run, found, shown),
            "accuracy-vs-train-time": against_cost(run, measured, shown, TRAIN_TIME),
            "accuracy-vs-memory": against_cost(run, measured, shown, memory_axis(run)),
            "learning-curves": learning_curves(run, found, shown),
        }


def _of_rows(summary: Summary, found: Sequence[Result]) -> list[Result]:
    rows = {(row.architecture, row.strategy) for row in summary.rows}
    return [one for one in found if (one.cell.architecture_label, one.cell.strategy) in rows]


def fitting(summary: Summary) -> Summary:
    """The summary with as many rows as a picture can hold: what is recommended, and the best."""
    first = [row for row in (summary.recommended, *summary.ranked) if row is not None]
    architectures = list(dict.fromkeys(row.architecture for row in first))[:MOST_ARCHITECTURES]
    strategies = list(dict.fromkeys(row.strategy for row in first))[:MOST_STRATEGIES]
    rows = (r for r in summary.rows if r.architecture in architectures and r.strategy in strategies)
    return summary._replace(rows=tuple(rows))


MOST_ARCHITECTURES = len(canvas.COLOURS)
MOST_STRATEGIES = 8


def style(run: Run, summary: Summary) -> dict[Any, Any]:
    """The style of all plots, with fonts for every name that they show."""
    rows = [name for row in summary.rows for name in (row.architecture, row.strategy)]
    return {**canvas.STYLE, "font.family": families([*rows, run.suite_name, run.data.name])}


def paths(stem: Path) -> tuple[Path, Path]:
    """The files of a plot: PNG and SVG."""
    return stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as PNG and SVG; the same figure gives the same SVG."""
    png, svg = paths(stem)
    with mpl.rc_context(canvas.STYLE):
        figure.savefig(png)
        figure.savefig(svg, metadata={"Date": None})
