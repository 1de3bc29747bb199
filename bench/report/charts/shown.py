"""What the figures of a run have in common: colours and shapes, the rows they show, their notes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.analysis.choice import Row, Summary, status_counts
from bench.analysis.table import RunTable
from bench.errors import first
from bench.metrics import METRICS
from bench.report import units
from bench.report.charts.canvas import isolated
from bench.report.charts.figure import SERIES
from bench.report.text import printable

JOINT = " · "


class Look(NamedTuple):
    colours: Mapping[str, str]
    shapes: Mapping[str, int]


def look(summary: Summary) -> Look:
    """Colours and shapes in the order of the suite; they repeat beyond twelve."""
    architectures = unique(row.architecture for row in summary.rows)
    strategies = unique(row.strategy for row in summary.rows)
    return Look(
        {name: SERIES[i % len(SERIES)] for i, name in enumerate(architectures)},
        {name: i for i, name in enumerate(strategies)},
    )


def best_rows(summary: Summary, limit: int) -> tuple[list[Row], str]:
    """Rows in the order of the suite, and a note where some are left out."""
    kept = set(_first(summary)[:limit])
    rows = [row for row in summary.rows if row in kept]
    note = f"Only the {limit} of {len(summary.rows):,} rows with the best val scores are drawn."
    return rows, note if len(rows) < len(summary.rows) else ""


def best_names(
    summary: Summary, num_architectures: int, num_strategies: int
) -> tuple[list[Row], str]:
    first = _first(summary)
    architectures = unique(row.architecture for row in first)[:num_architectures]
    strategies = unique(row.strategy for row in first)[:num_strategies]
    rows = [r for r in summary.rows if r.architecture in architectures and r.strategy in strategies]
    note = (
        f"Only {len(architectures)} architectures and {len(strategies)} strategies, those with "
        "the best val scores, are drawn."
    )
    return rows, note if len(rows) < len(summary.rows) else ""


def _first(summary: Summary) -> list[Row]:
    return [row for row in dict.fromkeys((summary.recommended, *summary.ranked)) if row is not None]


def unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def named(row: Row) -> str:
    return JOINT.join(isolated(printable(name)) for name in (row.architecture, row.strategy))


def shortfall(row: Row) -> str:
    """What became of a row that is not complete: `diverged`, or `1/2 ok`."""
    statuses = set(row.statuses)
    return statuses.pop() if len(statuses) == 1 else status_counts(row).split(" ")[0] + " ok"


def metric(summary: Summary, part: str) -> str:
    """`val top-1 accuracy`."""
    return f"{part} {METRICS[summary.metric].title}"


def seeds(count: str) -> str:
    """What a number is that may be a mean over so many seeds: `3 seeds`, `1 to 3 seeds`."""
    return "one seed" if count == "1 seed" else f"mean over {count}"


def sentences(*parts: str) -> str:
    return " ".join(filter(None, parts))


def machine(table: RunTable, summary: Summary) -> str:
    """The machine, without which no cost can be read."""
    run, measured = table.run, table.measured
    device = units.device(measured[0].machine if measured else run.machine)
    others = " Cells of other machines are left out." if summary.mixed_machines else ""
    return f"Costs: {run.profile.upper()} profile, {printable(device)}.{others}"


def not_drawn(rows: Sequence[Row], why: str) -> str:
    return f"Not drawn, {why}: {first([named(row) for row in rows], 4)}." if rows else ""


def without_costs(rows: Sequence[Row]) -> str:
    complete = [row for row in rows if row.complete]
    odd = [row for row in complete if row.odd_costs]
    unknown = [row for row in complete if not row.odd_costs]
    marks = " ".join(sorted({units.odd_mark(row.odd_costs) for row in odd}))
    return sentences(
        not_drawn([row for row in rows if not row.complete], "not every seed is ok"),
        not_drawn(odd, f"their costs are of other work ({marks})"),
        not_drawn(unknown, "the cost is unknown or zero"),
    )
