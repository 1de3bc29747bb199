"""What became of each cell from run to run: series of what may be joined, and their steps.

A series is of one task and one set of seeds; scores in it were computed by one arithmetic (numerics
key), times and memory on one kind of machine with one software (performance key). Where a fact of
a key is unknown, nothing is joined: unknown equals nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.analysis.costs import slowdown
from bench.analysis.judge import ACCURACY, MEASURES, SECONDS, Measure
from bench.analysis.pairs import Side, sides_of
from bench.analysis.stats import Step, steps
from bench.analysis.table import Facts, Snapshot
from bench.identity import BUCKETS, differences, digest, unknown_facts


class Dot(NamedTuple):
    run: int  # its place among the runs
    value: float
    setup: int  # the kind of machine with its software, by its place in `History.setups`
    apart: str  # why it takes no part in the steps; empty where it does


class Change(NamedTuple):
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
        return f"{self.architecture} · {self.strategy}"


class Series(NamedTuple):
    metric: str
    task: str
    seeds: tuple[int, ...]
    key: str | None  # None: its conditions are not all known, so that its values are not joined
    dots: tuple[Dot, ...]
    changes: tuple[Change, ...]


class CellHistory(NamedTuple):
    architecture: str
    strategy: str
    rows: Mapping[int, Side]  # by the place of the run
    series: tuple[Series, ...]

    @property
    def name(self) -> str:
        return f"{self.architecture} · {self.strategy}"

    @property
    def changes(self) -> tuple[Change, ...]:
        """The newest first."""
        found = [change for series in self.series for change in series.changes]
        return tuple(sorted(found, key=lambda change: -change.run))

    @property
    def failures(self) -> dict[int, str]:
        return {run: failure(side) for run, side in self.rows.items() if failure(side)}

    def of(self, metric: str) -> list[Series]:
        return [series for series in self.series if series.metric == metric]

    def latest(self, metric: str) -> Dot | None:
        dots = [series.dots[-1] for series in self.of(metric)]
        return max(dots, key=lambda dot: dot.run, default=None)


class Setup(NamedTuple):
    """A kind of machine with its software, of which at least one fact is another elsewhere."""

    facts: Facts
    runs: tuple[int, ...]
    nearest: int | None  # the one before it that differs least; None for the first
    fields: tuple[str, ...]  # in which it differs from that


class RunMark(NamedTuple):
    name: str
    started_at: str
    unstable: str | None
    changed: tuple[str, ...]  # what no key depends on, since the last run on such a machine


class History(NamedTuple):
    suite_name: str
    runs: tuple[RunMark, ...]  # from the oldest to the newest
    cells: tuple[CellHistory, ...]  # those with the newest changes first
    setups: tuple[Setup, ...]  # as they came
    setup_of: Mapping[str, int]  # by key of conditions


class News(NamedTuple):
    metric: str
    run: int
    before: int
    changes: tuple[Change, ...]  # the largest first
    num_cells: int  # that have a value in this run


def history(runs: Mapping[str, Snapshot]) -> History:
    names, tables = list(runs), list(runs.values())
    sides = [sides_of(run) for run in tables]
    conditions = known_conditions(sides)
    setups, setup_of = setups_of(sides)
    cells = [_cell(cell, rows, conditions, setup_of) for cell, rows in _rows(sides).items()]
    newest = len(tables) - 1
    return History(
        suite_name=tables[-1].header.suite_name,
        runs=tuple(_marks(names, sides, tables, setup_of)),
        cells=tuple(sorted(cells, key=lambda cell: _newness(cell, newest))),
        setups=setups,
        setup_of=setup_of,
    )


def news(found: History) -> list[News]:
    together: dict[tuple[int, int, int], list[Change]] = {}
    order = list(MEASURES)
    for cell in found.cells:
        for change in cell.changes:
            key = -change.run, -change.before, order.index(change.metric)
            together.setdefault(key, []).append(change)
    return [
        News(
            metric=changes[0].metric,
            run=changes[0].run,
            before=changes[0].before,
            changes=tuple(sorted(changes, key=lambda change: -abs(change.amount))),
            num_cells=sum(_has_value(cell, changes[0]) for cell in found.cells),
        )
        for _, changes in sorted(together.items())
    ]


def _has_value(cell: CellHistory, change: Change) -> bool:
    return change.run in cell.rows and cell.rows[change.run].value(change.metric) is not None


def _marks(
    names: Sequence[str],
    sides: Sequence[Sequence[Side]],
    runs: Sequence[Snapshot],
    setup_of: Mapping[str, int],
) -> Iterator[RunMark]:
    last: dict[frozenset[int], Facts] = {}
    for name, of_run, run in zip(names, sides, runs, strict=True):
        kind = frozenset(setup_of[side.conditions_key] for side in of_run if side.ok)
        information = run.header.information
        changed = differences(last.get(kind, information), information)
        last[kind] = information
        yield RunMark(name, run.header.started_at, run.header.unstable, tuple(map(str, changed)))


def _newness(cell: CellHistory, newest: int) -> tuple[int, bool, bool]:
    """The newest change first; then what failed in the newest run; what that has not, last.

    What is alike stays in the order of the newest run.
    """
    last_change = max((change.run for change in cell.changes), default=-1)
    return -last_change, newest not in cell.rows, newest not in cell.failures


def _rows(sides: Sequence[Sequence[Side]]) -> dict[tuple[str, str], dict[int, Side]]:
    """Cells by names and run; those of the newest run first."""
    found: dict[tuple[str, str], dict[int, Side]] = {}
    for run in reversed(range(len(sides))):
        for side in sides[run]:
            found.setdefault(side.cell, {})[run] = side
    return {cell: dict(sorted(rows.items())) for cell, rows in found.items()}


def failure(side: Side) -> str:
    """`seed 1 diverged, seed 2 missing`; empty where every seed is ok."""
    return ", ".join(f"seed {s} {status}" for s, status in side.statuses.items() if status != "ok")


# ---- what may be joined ---------------------------------------------------------------------


class Conditions(NamedTuple):
    facts: Facts
    numerics: str | None
    performance: str | None


def known_conditions(sides: Sequence[Sequence[Side]]) -> dict[str, Conditions]:
    first = {side.conditions_key: side for of_run in sides for side in of_run if side.ok}
    found = {key: side.conditions for key, side in first.items()}
    return {key: Conditions(all_, _key(_numerics(all_)), _key(all_)) for key, all_ in found.items()}


def _numerics(facts: Facts) -> Facts:
    return {path: value for path, value in facts.items() if BUCKETS.get(path) == "numerics"}


def _key(facts: Facts) -> str | None:
    return None if unknown_facts(facts) else digest(facts)


def _cell(
    cell: tuple[str, str],
    rows: Mapping[int, Side],
    conditions: Mapping[str, Conditions],
    setup_of: Mapping[str, int],
) -> CellHistory:
    found: list[Series] = []
    for metric in MEASURES.values():
        joined: dict[tuple[str, tuple[int, ...], str | None], list[Dot]] = {}
        for run, side in rows.items():
            value = side.value(metric.name)
            if value is not None and (value > 0 or not metric.relative):
                setup = setup_of[side.conditions_key]
                key = side.task_key, tuple(side.statuses), _joining(metric, side, conditions)
                joined.setdefault(key, []).append(Dot(run, value, setup, _apart(metric, side)))
        for (task, seeds, key_), dots in joined.items():
            made = _changes(metric, dots, rows) if key_ else ()
            found.append(Series(metric.name, task, seeds, key_, tuple(dots), tuple(made)))
    return CellHistory(*cell, rows, tuple(found))


def _apart(metric: Measure, side: Side) -> str:
    if why := failure(side):
        return why
    unstable = side.run.header.unstable
    return f"unstable: {unstable}" if metric.name == SECONDS and unstable else ""


def _joining(metric: Measure, side: Side, conditions: Mapping[str, Conditions]) -> str | None:
    known = conditions[side.conditions_key]
    if metric.name != ACCURACY:
        return None if side.mixed else known.performance
    mixed = any(BUCKETS.get(path) == "numerics" for path in side.mixed)
    return None if mixed else known.numerics


def _changes(metric: Measure, dots: Sequence[Dot], rows: Mapping[int, Side]) -> Iterator[Change]:
    counted = [dot for dot in dots if not dot.apart]
    for step in steps([dot.value for dot in counted], metric.floor, metric.relative):
        old, new = counted[step.place - 1], counted[step.place]
        before, after = rows[old.run], rows[new.run]
        changed = differences(
            *({**side.conditions, **side.run.header.information} for side in (before, after))
        )
        yield Change(
            *after.cell,
            metric=metric.name,
            run=new.run,
            before=old.run,
            step=step,
            amount=step.after / step.before - 1 if metric.relative else step.after - step.before,
            fields=tuple(map(str, changed)),
            machine=_slower(before, after) if metric.name == SECONDS else None,
        )


def _slower(before: Side, after: Side) -> float | None:
    found = slowdown(before.run.header.calibration, after.run.header.calibration)
    return None if found is None else math.expm1(found)


# ---- machines and versions ------------------------------------------------------------------


def setups_of(sides: Sequence[Sequence[Side]]) -> tuple[tuple[Setup, ...], dict[str, int]]:
    machines: dict[str, Facts] = {}  # by hash
    setup_of: dict[str, int] = {}
    runs: dict[int, dict[int, None]] = {}
    for run, of_run in enumerate(sides):
        for side in (one for one in of_run if one.ok):
            if (under := side.conditions_key) not in setup_of:
                machine = {k: v for k, v in side.conditions.items() if k.startswith("machine.")}
                machines.setdefault(key := digest(machine), machine)
                setup_of[under] = list(machines).index(key)
            runs.setdefault(setup_of[under], {})[run] = None
    facts = list(machines.values())
    setups = [
        Setup(facts[n], tuple(runs[n]), *_nearest(facts[:n], facts[n])) for n in range(len(facts))
    ]
    return tuple(setups), setup_of


def _nearest(earlier: Sequence[Facts], facts: Facts) -> tuple[int | None, tuple[str, ...]]:
    found = [tuple(map(str, differences(one, facts))) for one in earlier]
    if not found:
        return None, ()
    place = min(reversed(range(len(found))), key=lambda place: len(found[place]))
    return place, found[place]
