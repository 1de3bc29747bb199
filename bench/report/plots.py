"""The four plots of a run: scores, score against time, score against memory, learning curves.

What has no number is named as missing and drawn nowhere.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.analysis.summary import Summary, results
from bench.report import canvas
from bench.report.cost_plot import TRAIN_TIME, against_cost, memory_axis
from bench.report.curve_plot import learning_curves
from bench.report.score_plot import by_strategy
from bench.schema import Failure, Result, Run


def draw(run: Run, records: Sequence[Result | Failure], summary: Summary) -> dict[str, Figure]:
    """Every plot of the run by file stem; none where no cell is ok."""
    found = results(records)
    if not found:
        return {}
    with mpl.rc_context(canvas.STYLE):
        return {
            "accuracy": by_strategy(run, found, summary),
            "accuracy-vs-train-time": against_cost(run, found, summary, TRAIN_TIME),
            "accuracy-vs-memory": against_cost(run, found, summary, memory_axis(run)),
            "learning-curves": learning_curves(run, found, summary),
        }


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG; the same figure gives the same SVG."""
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    with mpl.rc_context(canvas.STYLE):
        figure.savefig(paths[0])
        figure.savefig(paths[1], metadata={"Date": None})
    return paths
