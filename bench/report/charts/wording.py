"""Sentences that several charts say: what the numbers stand on, and what is not drawn and why."""

from collections.abc import Sequence

from bench.analysis.machines import reference
from bench.analysis.rows import Row, results
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report import units
from bench.report.charts.lettering import isolated, printable

JOINT = " · "


def named(row: Row) -> str:
    """A row by its architecture and strategy, in full."""
    return JOINT.join(isolated(printable(name)) for name in (row.architecture, row.strategy))


def metric(summary: Summary, part: str) -> str:
    """`val top-1 accuracy`."""
    return f"{part} {units.METRICS[summary.metric]}"


def seeds(count: int) -> str:
    """Where a number comes from that may be a mean."""
    return "one seed" if count == 1 else f"mean over {count} seeds"


def machine(run: Run, records: Sequence[Result | Failure], summary: Summary) -> str:
    """The machine, without which no cost may be read."""
    measured = reference(results(records))
    device = units.device(measured[0].machine if measured else run.machine)
    others = " Cells of other machines are left out." if summary.mixed_machines else ""
    return f"Costs: {run.profile.upper()} profile, {printable(device)}.{others}"


def spread(run: Run) -> str:
    """What the thin lines of a score are."""
    if len(run.suite.seeds) > 1:
        return "Marks are means over seeds, thin lines the range over seeds."
    return "One seed: thin lines are 95 % Wilson intervals over the val images."


def not_drawn(rows: Sequence[Row], why: str) -> str:
    """A sentence that names rows without a place in a chart; empty if there are none."""
    if not rows:
        return ""
    more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
    return f"Not drawn, {why}: {', '.join(map(named, rows[:4]))}{more}."


def without_costs(rows: Sequence[Row]) -> str:
    """Sentences for rows that have no place in a chart of costs, by reason."""
    incomplete = [row for row in rows if not row.complete]
    reused = [row for row in rows if row.complete and row.features_reused]
    unknown = [row for row in rows if row.complete and not row.features_reused]
    return sentences(
        not_drawn(incomplete, "not every seed is ok"),
        not_drawn(reused, "features of an earlier run made them cheaper (†)"),
        not_drawn(unknown, "the cost is unknown or zero"),
    )


def sentences(*parts: str) -> str:
    """Those that are not empty, one after the other."""
    return " ".join(part for part in parts if part)
