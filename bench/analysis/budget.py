"""The best row that one can afford."""

from typing import NamedTuple

from bench.analysis.rows import Row, best, comparable_cost, preferred, within
from bench.analysis.summary import Summary


class Budget(NamedTuple):
    """What a row may cost at most; None where it may cost anything."""

    max_seconds: float | None = None  # of training, attributed, mean over seeds
    max_memory_bytes: float | None = None
    max_parameters: float | None = None  # trained or not
    max_latency_seconds: float | None = None  # of one image


LIMITED = ("train_seconds", "peak_memory_bytes", "total_parameters", "latency_seconds")
"""The cost that each field of a budget limits, in their order."""


def best_within(summary: Summary, budget: Budget) -> Row | None:
    """The best val score among complete rows within the budget; an unknown cost does not fit."""
    affordable = [row for row in summary.rows if row.complete and fits(row, budget)]
    return best(affordable, summary.tie_break)


def fits(row: Row, budget: Budget) -> bool:
    """Whether every limited cost of the row is known and within its limit."""
    for name, limit in zip(LIMITED, budget, strict=True):
        cost = comparable_cost(row, name)
        if limit is not None and (cost is None or cost > limit):
            return False
    return True


def cheapest_within(summary: Summary, share: float) -> Row | None:
    """What the tie-break prefers among rows whose mean val is within `share` of the leader's."""
    if summary.leader is None:
        return None
    return preferred(within(summary.rows, summary.leader, share), summary.tie_break)
