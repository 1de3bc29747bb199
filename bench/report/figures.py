"""Every figure of a report, declared once: report.html and plots/ show what is listed here."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from bench.analysis.choice import Summary
from bench.analysis.table import RunTable
from bench.record import Run
from bench.report import units
from bench.report.charts import choice, cost, quality, training
from bench.report.charts.figure import Chart
from bench.report.text import printable

About = Literal["run", "recommended"]
"""What a figure is of: all rows, or the recommended one."""


class Listed(NamedTuple):
    """A figure: its id, also its stem in plots/; what it is about; what makes it from a run."""

    id: str
    about: About
    make: Callable[[RunTable, Summary], Chart | None]


FIGURES = (
    Listed("accuracy-vs-train-time", "run", cost.against_train_time),
    Listed("accuracy-vs-memory", "run", cost.against_memory),
    Listed("heat-map", "run", choice.heat_map),
    Listed("accuracy", "run", choice.accuracy),
    Listed("learning-curves", "run", training.learning_curves),
    Listed("time-spent", "run", training.time_spent),
    Listed("confusion", "recommended", quality.confusion),
    Listed("recall", "recommended", quality.recall),
    Listed("reliability", "recommended", quality.reliability),
)


def charts(table: RunTable, summary: Summary, about: About | None = None) -> list[Chart]:
    chosen = [one for one in FIGURES if about in (None, one.about)]
    found = (one.make(table, summary) for one in chosen)
    return [chart for chart in found if chart is not None]


def basis(run: Run) -> str:
    data, name = run.data, printable(run.data.name)
    images = f"{data.num_train:,} train, {data.num_val:,} val, {data.num_test:,} test images"
    seeds = units.plural(len(run.suite.seeds), "seed")
    return (
        f"{printable(run.suite_name)}, {printable(units.setting(run))} · {name}: {images} · {seeds}"
    )
