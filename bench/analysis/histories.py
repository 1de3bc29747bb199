"""What became of each cell from run to run: series of what may be joined, and their steps.

A series is of one task and one set of seeds; scores in it were computed by one arithmetic (numerics
key), times and memory on one kind of machine with one software (performance key). Where a fact of
a key is unknown, nothing is joined: unknown equals nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.analysis.digest import Facts
from bench.analysis.point import Point, PointRow
from bench.analysis.setups import Setup, differences, setups_of
from bench.analysis.speed import slowdown
from bench.analysis.steps import Step, steps
from bench.analysis.verdict import ACCURACY, MEMORY, SECONDS
from bench.identity import BUCKETS, digest, unknown_facts


class Watched(NamedTuple):
    """A metric, and the least change of it that is told."""

    name: str
    field: str  # of a row of a point
    least: float
    relative: bool


WATCHED = (
    Watched(ACCURACY, "score", 0.005, relative=False),
    Watched(SECONDS, "train_seconds", 0.05, relative=True),
    Watched(MEMORY, "peak_memory_bytes", 0.05, relative=True),
)


class Dot(NamedTuple):
    """A value of one run."""

    run: int  # its place among the runs
    value: float
    under: str  # key of its conditions
    apart: str  # why it takes no part in the steps; empty where it does


class Change(NamedTuple):
    """A step of a series, and what else changed there."""

    architecture: str
    strategy: str
    metric: str
    run: int  # the first at the new level
    before: int  # the last at the old one
    step: Step
    amount: float  # a share for scores, else relative to the level before
    fields: tuple[str, ...]  # facts that differ between the two runs
    machine: float | None  # how much slower the machine itself was, by calibration; of times only

    @property
    def name(self) -> str:
        """Architecture and strategy."""
        return f"{self.architecture} · {self.strategy}"


class Series(NamedTuple):
    """Values of one cell that may be joined, from the oldest to the newest."""

    metric: str
    task: str
    seeds: tuple[int, ...]
    key: str | None  # None: its conditions are not all known, so that its values are not joined
    dots: tuple[Dot, ...]
    changes: tuple[Change, ...]


class CellHistory(NamedTuple):
    """One architecture under one strategy, all seeds together."""

    architecture: str
    strategy: str
    rows: Mapping[int, PointRow]  # by the place of the run
    series: tuple[Series, ...]

    @property
    def name(self) -> str:
        """Architecture and strategy."""
        return f"{self.architecture} · {self.strategy}"

    @property
    def changes(self) -> tuple[Change, ...]:
        """The newest first."""
        found = [change for series in self.series for change in series.changes]
        return tuple(sorted(found, key=lambda change: -change.run))

    @property
    def failures(self) -> dict[int, str]:
        """By run, what became of seeds that are not ok."""
        return {run: row_failure(row) for run, row in self.rows.items() if not row.complete}

    def of(self, metric: str) -> list[Series]:
        """Series of one metric, in the order in which they begin."""
        return [series for series in self.series if series.metric == metric]

    def latest(self, metric: str) -> Dot | None:
        """The newest value."""
        dots = [series.dots[-1] for series in self.of(metric)]
        return max(dots, key=lambda dot: dot.run, default=None)


class RunMark(NamedTuple):
    """A run as the history names it."""

    name: str
    started_at: str
    unstable: str | None
    changed: tuple[str, ...]  # what no key depends on, since the last run on such a machine


class Histories(NamedTuple):
    """All cells of a suite over its finished runs."""

    suite_name: str
    runs: tuple[RunMark, ...]  # from the oldest to the newest
    cells: tuple[CellHistory, ...]  # those with the newest changes first
    setups: tuple[Setup, ...]  # as they came
    setup_of: Mapping[str, int]  # by key of conditions


# ---- from points to series ------------------------------------------------------------------


class Conditions(NamedTuple):
    """A set of conditions, and what may be joined under it."""

    facts: Facts
    numerics: str | None
    performance: str | None


def histories(names: Sequence[str], points: Sequence[Point]) -> Histories:
    """The history of at least one run of a suite, from the oldest to the newest."""
    conditions = known_conditions(points)
    setups, setup_of = setups_of(points)
    cells = [_cell(cell, points, conditions) for cell in _rows(points).items()]
    newest = len(points) - 1
    return Histories(
        suite_name=points[-1].suite_name,
        runs=tuple(_marks(names, points, setup_of)),
        cells=tuple(sorted(cells, key=lambda cell: _newness(cell, newest))),
        setups=setups,
        setup_of=setup_of,
    )


def _marks(
    names: Sequence[str], points: Sequence[Point], setup_of: Mapping[str, int]
) -> Iterator[RunMark]:
    last: dict[frozenset[int], Facts] = {}
    for name, point in zip(names, points, strict=True):
        kind = frozenset(setup_of[under] for under in point.conditions)
        before = last.get(kind, point.information)
        changed = differences(before, point.information)
        last[kind] = point.information
        yield RunMark(name, point.started_at, point.unstable, changed)


def _newness(cell: CellHistory, newest: int) -> tuple[int, bool, bool]:
    """The newest change first; then what failed in the newest run; what that has not, last.

    What is alike stays in the order of the newest run.
    """
    last_change = max((change.run for change in cell.changes), default=-1)
    return -last_change, newest not in cell.rows, newest not in cell.failures


def _rows(points: Sequence[Point]) -> dict[tuple[str, str], dict[int, PointRow]]:
    """Rows by names and run; the cells of the newest run first."""
    found: dict[tuple[str, str], dict[int, PointRow]] = {}
    for run in reversed(range(len(points))):
        for row in points[run].rows:
            found.setdefault((row.architecture, row.strategy), {})[run] = row
    return {names: dict(sorted(rows.items())) for names, rows in found.items()}


def known_conditions(points: Sequence[Point]) -> dict[str, Conditions]:
    """All conditions, by their key."""
    facts = {under: facts for point in points for under, facts in point.conditions.items()}
    return {
        under: Conditions(all_, _key(_numerics(all_)), _key(all_)) for under, all_ in facts.items()
    }


def _numerics(facts: Facts) -> Facts:
    return {path: value for path, value in facts.items() if BUCKETS.get(path) == "numerics"}


def _key(facts: Facts) -> str | None:
    return None if unknown_facts(facts) else digest(facts)


def _cell(
    cell: tuple[tuple[str, str], Mapping[int, PointRow]],
    points: Sequence[Point],
    conditions: Mapping[str, Conditions],
) -> CellHistory:
    names, rows = cell
    found: list[Series] = []
    for watched in WATCHED:
        joined: dict[tuple[str, tuple[int, ...], str | None], list[Dot]] = {}
        for run, row in rows.items():
            value = getattr(row, watched.field)
            if value is not None and (value > 0 or not watched.relative):
                dot = Dot(run, value, row.under, _apart(watched, row, points[run]))
                key = (row.task, row.seeds, _joining(watched, row, conditions))
                joined.setdefault(key, []).append(dot)
        for (task, seeds, key_), dots in joined.items():
            made = _changes(names, watched, dots, points, conditions) if key_ else ()
            found.append(Series(watched.name, task, seeds, key_, tuple(dots), tuple(made)))
    return CellHistory(*names, rows, tuple(found))


def _apart(watched: Watched, row: PointRow, point: Point) -> str:
    if not row.complete:
        return row_failure(row)
    if watched.name == SECONDS and point.unstable:
        return f"unstable: {point.unstable}"
    return ""


def _joining(watched: Watched, row: PointRow, conditions: Mapping[str, Conditions]) -> str | None:
    known = conditions[row.under]
    if watched.name == ACCURACY:
        return (
            None if any(BUCKETS.get(path) == "numerics" for path in row.mixed) else known.numerics
        )
    return None if row.mixed else known.performance


def row_failure(row: PointRow) -> str:
    """`seed 1 diverged, seed 2 missing`."""
    seeds = zip(row.seeds, row.statuses, strict=True)
    return ", ".join(f"seed {seed} {status}" for seed, status in seeds if status != "ok")


# ---- steps ----------------------------------------------------------------------------------


def _changes(
    names: tuple[str, str],
    watched: Watched,
    dots: Sequence[Dot],
    points: Sequence[Point],
    conditions: Mapping[str, Conditions],
) -> Iterator[Change]:
    counted = [dot for dot in dots if not dot.apart]
    for step in steps([dot.value for dot in counted], watched.least, watched.relative):
        old, new = counted[step.place - 1], counted[step.place]
        before, after = points[old.run], points[new.run]
        one, other = (
            {**conditions[dot.under].facts, **points[dot.run].information} for dot in (old, new)
        )
        timed = watched.name == SECONDS
        yield Change(
            *names,
            metric=watched.name,
            run=new.run,
            before=old.run,
            step=step,
            amount=step.after / step.before - 1 if watched.relative else step.after - step.before,
            fields=differences(one, other),
            machine=_slower(before, after) if timed else None,
        )


def _slower(before: Point, after: Point) -> float | None:
    found = slowdown(before.calibration, after.calibration)
    return None if found is None else math.expm1(found)
