"""What is left out of a chart that would be too full to read: the rows of the lowest val scores."""

from collections.abc import Callable
from typing import NamedTuple

from bench.analysis.rows import Row
from bench.analysis.summary import Summary


class Shown(NamedTuple):
    """Rows in the order of the suite, and a sentence if they are not all."""

    rows: tuple[Row, ...]
    note: str


def best_rows(summary: Summary, limit: int) -> Shown:
    """At most `limit` rows, those with the best val scores."""
    kept = set(summary.ranked[:limit])
    note = f"Only the {limit} of {len(summary.rows):,} rows with the best val scores are drawn."
    return Shown(
        tuple(row for row in summary.rows if row in kept),
        note if len(summary.rows) > limit else "",
    )


def best_names(summary: Summary, num_architectures: int, num_strategies: int) -> Shown:
    """Rows of so many architectures and strategies at most, those that have the best val scores."""
    architectures = _best(summary, lambda row: row.architecture, num_architectures)
    strategies = _best(summary, lambda row: row.strategy, num_strategies)
    rows = [r for r in summary.rows if r.architecture in architectures and r.strategy in strategies]
    note = (
        f"Only {len(architectures)} architectures and {len(strategies)} strategies, those with "
        "the best val scores, are drawn."
    )
    return Shown(tuple(rows), note if len(rows) < len(summary.rows) else "")


def _best(summary: Summary, name: Callable[[Row], str], limit: int) -> set[str]:
    return set(list(dict.fromkeys(map(name, summary.ranked)))[:limit])
