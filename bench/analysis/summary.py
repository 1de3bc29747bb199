"""From records to a choice: which row won, which are tied with it, and which to take.

Val chooses; test is carried along and never read by a choice. Rows that are not told apart from
the best are tied with it, and among those the tie-break that the suite declared picks a
recommendation: a preference, not a finding about accuracy.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.analysis import paired, pareto, power
from bench.analysis.machines import machine_of
from bench.analysis.paired import Contrasts, Difference, Outcomes
from bench.analysis.power import Settling
from bench.analysis.rows import (
    Missing,
    Row,
    best,
    grouped,
    in_order,
    missing_cells,
    preferred,
    results,
    rows_of,
    score_of,
    val_mean,
    within,
)
from bench.analysis.task import check_one_task
from bench.analysis.tied import Tied, simultaneous
from bench.record import Failure, Metric, Result, Run


class Comparison(NamedTuple):
    """One complete row against the leader on val.

    The p values are two-sided and take the leader for given; Holm's adjustment is over all
    comparisons of the summary. Who is tied is decided by the stricter simultaneous comparison,
    which does not.
    """

    row: Row
    behind: Difference  # leader minus row
    p_value: float
    p_adjusted: float
    tied: bool
    settling: Settling | None  # of tied rows only


class Summary(NamedTuple):
    """Rows in the order of the suite, and what was chosen among them on val."""

    metric: Metric
    tie_break: tuple[str, ...]
    margin: float  # practical: a difference below it counts as a tie
    rows: tuple[Row, ...]
    leader: Row | None  # highest mean val score of the complete rows
    tied: tuple[Row, ...]  # the leader first, then by val; empty without a leader
    winner: Row | None  # the leader, where nothing is tied with it
    recommended: Row | None  # of the tied, by the tie-break
    chosen: str | None  # cell_id of the recommended row's seed with the best val score
    cheapest: Row | None  # by the tie-break, of rows whose mean val is within the margin
    comparisons: tuple[Comparison, ...]  # complete rows but the leader, by val, best first
    front: tuple[Row, ...]  # noise-aware: val score, train time, memory, parameters, latency
    visible_difference: float | None  # a share; see `bench.analysis.power`
    best_by_strategy: Mapping[str, Row | None]
    best_by_architecture: Mapping[str, Row | None]
    failures: tuple[Failure, ...]
    missing: tuple[Missing, ...]
    mixed_machines: bool  # ok cells ran on more than one machine, or with other threads

    @property
    def disqualified(self) -> tuple[Row, ...]:
        """Rows with a seed that is not ok."""
        return tuple(row for row in self.rows if not row.complete)

    @property
    def ranked(self) -> tuple[Row, ...]:
        """Rows by mean val score, best first; the disqualified after the others."""
        return tuple(sorted(self.rows, key=lambda row: (not row.complete, -val_mean(row))))


def summarise(run: Run, records: Sequence[Result | Failure]) -> Summary:
    """The summary of a run folder, finished or not.

    Raises ValueError if a record belongs to no cell of the run or is there twice, or if records are
    of different tasks.
    """
    metric = run.suite.metric
    tie_break = tuple(run.suite.tie_break)
    margin = run.suite.margin
    missing = missing_cells(run, records)
    cells = grouped(run, records, missing)
    check_one_task(cells.values())
    rows = rows_of(cells, metric)
    found = {names: results(filter(None, of_row)) for names, of_row in cells.items()}
    leader = best((row for row in rows if row.complete), tie_break)
    judged = NOTHING if leader is None else judge(rows, found, leader, metric, margin)
    tied = judged.tied
    recommended = preferred(tied, tie_break)
    return Summary(
        metric=metric,
        tie_break=tie_break,
        margin=margin,
        rows=rows,
        leader=leader,
        tied=tied,
        winner=leader if len(tied) == 1 else None,
        recommended=recommended,
        chosen=None if recommended is None else _best_seed(found[recommended[:2]], metric),
        cheapest=None if leader is None else preferred(within(rows, leader, margin), tie_break),
        comparisons=judged.comparisons,
        front=judged.front,
        visible_difference=judged.visible_difference,
        best_by_strategy=_best_by(lambda row: row.strategy, rows, tie_break),
        best_by_architecture=_best_by(lambda row: row.architecture, rows, tie_break),
        failures=tuple(record for record in in_order(run, records) if isinstance(record, Failure)),
        missing=missing,
        mixed_machines=len({machine_of(one) for row in found.values() for one in row}) > 1,
    )


class Judged(NamedTuple):
    """What the val images and seeds say of the complete rows."""

    tied: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    front: tuple[Row, ...]
    visible_difference: float | None


NOTHING = Judged((), (), (), None)


def judge(
    rows: Iterable[Row],
    found: Mapping[tuple[str, str], Sequence[Result]],
    leader: Row,
    metric: Metric,
    margin: float,
) -> Judged:
    """The complete rows against the leader; `found` holds the ok records by their names."""
    others = [row for row in rows if row.complete and row is not leader]
    by_val = sorted(others, key=val_mean, reverse=True)
    complete = [leader, *by_val]
    outcomes = paired.outcomes([found[row[:2]] for row in complete], metric)
    behind = paired.contrasts(outcomes)
    told = simultaneous(outcomes, behind, margin)
    comparisons = compare(complete, outcomes, behind, told, margin)
    return Judged(
        tied=(leader, *(one.row for one in comparisons if one.tied)),
        comparisons=comparisons,
        front=pareto.front(complete, outcomes, told.last_limit, margin),
        visible_difference=power.visible_difference(behind, told.rows_R, told.last_limit, margin),
    )


def compare(
    complete: Sequence[Row], outcomes: Outcomes, behind: Contrasts, told: Tied, margin: float
) -> tuple[Comparison, ...]:
    """Each complete row but the leader, which is the first."""
    p_values = behind.p_values_R.tolist()
    adjusted = [1.0, *paired.holm(p_values[1:])]
    return tuple(
        Comparison(
            row=row,
            behind=paired.difference(outcomes, behind, place),
            p_value=p_values[place],
            p_adjusted=adjusted[place],
            tied=bool(told.rows_R[place]),
            settling=power.settling(outcomes, behind, place, told.last_limit, margin)
            if told.rows_R[place]
            else None,
        )
        for place, row in enumerate(complete[1:], start=1)
    )


def _best_seed(ok: Sequence[Result], metric: Metric) -> str:
    """The cell with the best val score, the earlier seed of equal ones."""
    return max(ok, key=lambda one: score_of(one.quality.val, metric)).cell_id


def _best_by(
    name_of: Callable[[Row], str], rows: Iterable[Row], tie_break: Sequence[str]
) -> dict[str, Row | None]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(name_of(row), []).extend([row] if row.complete else [])
    return {name: best(group, tie_break) for name, group in groups.items()}
