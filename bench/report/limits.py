"""What somebody can afford, or would give up, and which row that leaves: plain sentences."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.budget import LIMITED, Budget, best_within, cheapest_within, fits
from bench.analysis.rows import Row, comparable_cost, within
from bench.analysis.summary import Summary
from bench.report import findings, units
from bench.report.formats import one_line


class Limits(NamedTuple):
    """What was asked: a budget, and how much of the val score may be given up, a share."""

    budget: Budget = Budget()
    within: float | None = None


MEASURES = {
    "train_seconds": (1.0, "s of training"),
    "peak_memory_bytes": (2.0**20, "MiB of memory"),
    "total_parameters": (1e6, "M parameters"),
    "latency_seconds": (1e-3, "ms of latency"),
}
"""What a cost is divided by to be read, and its unit in words."""


def answers(summary: Summary, limits: Limits) -> list[str]:
    """A sentence for each question that was asked."""
    asked = [within_budget(summary, limits.budget)] if any_limit(limits.budget) else []
    if limits.within is not None:
        asked.append(within_margin(summary, limits.within))
    return asked


def any_limit(budget: Budget) -> bool:
    """Whether the budget limits anything."""
    return any(limit is not None for limit in budget)


def within_budget(summary: Summary, budget: Budget) -> str:
    """The best row within a budget; or that there is none, and what the least would be."""
    limited = {
        name: limit for name, limit in zip(LIMITED, budget, strict=True) if limit is not None
    }
    asked = f"With at most {joined([_limit(name, limit) for name, limit in limited.items()])}"
    complete = [row for row in summary.rows if row.complete]
    row = best_within(summary, budget)
    if row is None:
        return f"{asked}, no complete row fits{_least(complete, list(limited))}."
    fitting = sum(fits(one, budget) for one in complete)
    return (
        f"{asked}, the highest mean val {units.METRICS[summary.metric]} is that of {_name(row)}: "
        f"{numbers(row, list(limited))}. {fitting:,} of "
        f"{units.plural(len(complete), 'complete row')} fit{_unknown(complete, list(limited))}."
    )


def within_margin(summary: Summary, share: float) -> str:
    """The row that the tie-break prefers among those not far below the best."""
    asked = f"Within {100 * share:g} {'point' if share == 0.01 else 'points'} of the best"
    row = cheapest_within(summary, share)
    if row is None or summary.leader is None:
        return f"{asked}, nothing can be named: no row is complete."
    near = within(summary.rows, summary.leader, share)
    order = findings.lowest(summary, near)
    if row == summary.leader:
        return (
            f"{asked}, the {order} is that of the best itself, {_name(row)}"
            f"{_lacking(summary, near)}."
        )
    return (
        f"{asked}, the {order} is that of {_name(row)}: {numbers(row, summary.tie_break)}; "
        f"the best, {_name(summary.leader)}: {numbers(summary.leader, summary.tie_break)}"
        f"{_lacking(summary, near)}."
    )


def _lacking(summary: Summary, near: Sequence[Row]) -> str:
    lacking = {cost: findings.unknown_for(cost, near) for cost in summary.tie_break}
    return "".join(f"; {units.COSTS[cost]} {text}" for cost, text in lacking.items() if text)


def numbers(row: Row, costs: Sequence[str]) -> str:
    """Both scores of a row, and some of its costs."""
    scores = f"val {units.score(row.val)} %, test {units.score(row.test)} %"
    return ", ".join([scores, *(_cost(name, comparable_cost(row, name)) for name in costs)])


def _name(row: Row) -> str:
    return one_line(row.name)


def _cost(name: str, value: float | None) -> str:
    scale, unit = MEASURES[name]
    if value is None:
        return f"{units.COSTS[name]} unknown"
    return f"{units.three_digits(value / scale)} {unit}"


def _limit(name: str, value: float) -> str:
    scale, unit = MEASURES[name]
    return f"{value / scale:,.6g} {unit}"


def _least(complete: Sequence[Row], costs: Sequence[str]) -> str:
    lowest = []
    for name in costs:
        known = [cost for row in complete if (cost := comparable_cost(row, name)) is not None]
        lowest.append(_cost(name, min(known, default=None)))
    return f"; the least of any is {joined(lowest)}" if complete else ""


def _unknown(complete: Sequence[Row], costs: Sequence[str]) -> str:
    count = sum(any(comparable_cost(row, name) is None for name in costs) for row in complete)
    return f"; of {count:,} a cost is unknown, which does not fit" if count else ""


def joined(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
