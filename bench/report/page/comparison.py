"""The table of all rows as the page shows it: the best val score first, folded where it is long."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from bench.analysis.rows import Row, Score, comparable_cost, status_counts
from bench.analysis.summary import Summary
from bench.report import certainty, units
from bench.report.charts import figure
from bench.report.charts.shown import Look, look

SHOWN = 100
"""Rows that a page can hold; the files in tables/ have all."""


class Number(NamedTuple):
    """A number for reading, and what stands below it in small."""

    text: str
    below: str = ""


class Line(NamedTuple):
    """One row of the table."""

    architecture: str
    strategy: str
    key: Markup  # the mark that the row has in the charts
    standing: str  # class of the line: "tied" (the leader as well), "behind" or "disqualified"
    recommended: bool
    on_front: bool
    verdict: str
    numbers: tuple[Number, ...]


HEADER = (
    ("Val", "%, 95 %"),
    ("Test", "%, 95 %"),
    ("Train", "s"),
    ("Memory", "MiB"),
    ("Params", "M"),
    ("Trained", "%"),
    ("Latency", "ms"),
)
"""Title and unit of each number."""


def lines(summary: Summary) -> list[Line]:
    """The first rows of the table."""
    style = look(summary)
    tied, front = set(summary.tied), set(summary.front)
    verdicts = certainty.verdicts(summary)
    return [
        Line(
            architecture=row.architecture,
            strategy=row.strategy,
            key=key(row, style),
            standing=_standing(row, tied),
            recommended=row is summary.recommended and row is not summary.winner,
            on_front=row in front,
            verdict=verdicts[row] if row.complete else f"seeds ok: {status_counts(row)}",
            numbers=numbers(row),
        )
        for row in summary.ranked[:SHOWN]
    ]


def _standing(row: Row, tied: set[Row]) -> str:
    if not row.complete:
        return "disqualified"
    return "tied" if row in tied else "behind"


def numbers(row: Row) -> tuple[Number, ...]:
    """The numbers of a row, in the order of HEADER."""
    return (
        _score(row.val),
        _score(row.test),
        Number(units.train_seconds(row)),
        Number(units.memory(row)),
        Number(units.millions(row.total_parameters)),
        Number(units.share(row.trainable_share)),
        Number(units.milliseconds(comparable_cost(row, "latency_seconds"))),
    )


def _score(score: Score | None) -> Number:
    if score is None:
        return Number(units.UNKNOWN)
    return Number(units.score(score), units.interval(score.interval))


def key(row: Row, style: Look) -> Markup:
    """The colour of the architecture in the shape of the strategy."""
    return figure.key(style.colours[row.architecture], style.shapes[row.strategy])


class Best(NamedTuple):
    """The best row of a strategy or of an architecture; None where no row is complete."""

    of: str
    key: Markup
    found: str
    val: str
    test: str


def by_strategy(summary: Summary) -> list[Best]:
    """For each strategy the architecture with the best val score."""
    return _best(
        [(name, row, row and row.architecture) for name, row in summary.best_by_strategy.items()],
        summary,
    )


def by_architecture(summary: Summary) -> list[Best]:
    """For each architecture the strategy with the best val score."""
    return _best(
        [(name, row, row and row.strategy) for name, row in summary.best_by_architecture.items()],
        summary,
    )


def _best(found: Sequence[tuple[str, Row | None, str | None]], summary: Summary) -> list[Best]:
    style = look(summary)
    return [
        Best(
            of=of,
            key=key(row, style) if row else Markup(),
            found=name or "none: not every seed is ok",
            val=units.score(row.val) if row else units.UNKNOWN,
            test=units.score(row.test) if row else units.UNKNOWN,
        )
        for of, row, name in found
    ]
