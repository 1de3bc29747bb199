"""What became of each combination from run to run: series of what may be joined, and their steps.

A series is of one task and one set of seeds; scores in it were computed by one arithmetic (numerics
key), times and memory on one kind of machine with one software (performance key). Where a fact of
a key is unknown, nothing is joined: unknown equals nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from bench.analysis.costs import slowdown
from bench.analysis.judge import ACCURACY, MEASURES, SECONDS, Measure
from bench.analysis.pairs import Combination, combinations
from bench.analysis.stats import Step, steps
from bench.analysis.table import Facts, Snapshot
from bench.identity import BUCKETS, differences, digest, unknown_facts


class Dot(NamedTuple):
    run: int  # its place among the runs
    value: float
    setup: int  # the kind of machine with its software, by its place in `History.setups`
    apart: str  # why it takes no part in the steps; empty where it does


class Change(NamedTuple):
    name: str  # of the combination
    metric: str
    run: int  # the first at the new level
    before: int  # the last at the old one
    step: Step
    amount: float  # a share for scores, else relative to the level before
    fields: tuple[str, ...]  # facts that differ between the two runs
    machine: float | None  # how much slower the machine itself was, by calibration; of times only


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
    rows: Mapping[int, Combination]  # by the place of the run
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
        return {run: one.failures for run, one in self.rows.items() if one.failures}

    def of(self, metric: str) -> list[Series]:
        return [series for series in self.series if series.metric == metric]


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
    tables = list(runs.values())
    asked = [combinations(run) for run in tables]
    setups, conditions = setups_of(asked)
    setup_of = {key: one.setup for key, one in conditions.items()}
    cells = [_cell(names, rows, conditions) for names, rows in _rows(asked).items()]
    newest = len(tables) - 1

    def newness(cell: CellHistory) -> tuple[int, bool, bool]:
        """The newest change first; then what failed in the newest run; what that has not, last."""
        last_change = max((change.run for change in cell.changes), default=-1)
        return -last_change, newest not in cell.rows, newest not in cell.failures

    return History(
        suite_name=tables[-1].header.suite_name,
        runs=tuple(_marks(runs, asked, setup_of)),
        cells=tuple(sorted(cells, key=newness)),
        setups=setups,
        setup_of=setup_of,
    )


def news(found: History) -> list[News]:
    order = list(MEASURES)

    def newest_first(one: Change) -> tuple[int, int, int]:
        return -one.run, -one.before, order.index(one.metric)

    made = []
    changes = sorted((one for cell in found.cells for one in cell.changes), key=newest_first)
    for _, group in groupby(changes, newest_first):
        largest, *others = sorted(group, key=lambda change: -abs(change.amount))
        metric, run = largest.metric, largest.run
        rows = [cell.rows[run] for cell in found.cells if run in cell.rows]
        num_cells = sum(one.value(metric) is not None for one in rows)
        made.append(News(metric, run, largest.before, (largest, *others), num_cells))
    return made


def _marks(
    runs: Mapping[str, Snapshot],
    asked: Sequence[Sequence[Combination]],
    setup_of: Mapping[str, int],
) -> Iterator[RunMark]:
    last: dict[frozenset[int], Facts] = {}
    for (name, run), of_run in zip(runs.items(), asked, strict=True):
        kind = frozenset(setup_of[one.conditions_key] for one in of_run if one.ok)
        information = run.header.information
        changed = differences(last.get(kind, information), information)
        last[kind] = information
        yield RunMark(name, run.header.started_at, run.header.unstable, tuple(map(str, changed)))


def _rows(asked: Sequence[Sequence[Combination]]) -> dict[tuple[str, str], dict[int, Combination]]:
    """Combinations by names and run; those of the newest run first."""
    found: dict[tuple[str, str], dict[int, Combination]] = {}
    for run in reversed(range(len(asked))):
        for one in asked[run]:
            found.setdefault(one.names, {})[run] = one
    return {names: dict(sorted(rows.items())) for names, rows in found.items()}


class Conditions(NamedTuple):
    setup: int
    numerics: str | None  # hashes of facts; None where one is unknown
    performance: str | None


def _cell(
    names: tuple[str, str], rows: Mapping[int, Combination], conditions: Mapping[str, Conditions]
) -> CellHistory:
    found: list[Series] = []
    for metric in MEASURES.values():
        joined: dict[tuple[str, tuple[int, ...], str | None], list[Dot]] = {}
        for run, one in rows.items():
            value = one.value(metric.name)
            if value is not None and (value > 0 or not metric.relative):
                under = conditions[one.conditions_key]
                key = one.task_key, tuple(one.statuses), _joining(metric, one, under)
                dot = Dot(run, value, under.setup, _apart(metric, one))
                joined.setdefault(key, []).append(dot)
        for (task, seeds, key_), dots in joined.items():
            made = _changes(metric, dots, rows) if key_ else ()
            found.append(Series(metric.name, task, seeds, key_, tuple(dots), tuple(made)))
    return CellHistory(*names, rows, tuple(found))


def _apart(metric: Measure, one: Combination) -> str:
    unstable = one.run.header.unstable
    of_run = f"unstable: {unstable}" if metric.name == SECONDS and unstable else ""
    return one.failures or of_run


def _joining(metric: Measure, one: Combination, under: Conditions) -> str | None:
    if metric.name != ACCURACY:
        return None if one.mixed else under.performance
    mixed = any(BUCKETS.get(path) == "numerics" for path in one.mixed)
    return None if mixed else under.numerics


def _changes(
    metric: Measure, dots: Sequence[Dot], rows: Mapping[int, Combination]
) -> Iterator[Change]:
    counted = [dot for dot in dots if not dot.apart]
    for step in steps([dot.value for dot in counted], metric.floor, metric.relative):
        old, new = counted[step.place - 1], counted[step.place]
        both = rows[old.run], rows[new.run]
        facts = ({**one.conditions, **one.run.header.information} for one in both)
        calibrations = (one.run.header.calibration for one in both)
        machine = slowdown(*calibrations) if metric.name == SECONDS else None
        yield Change(
            name=both[1].name,
            metric=metric.name,
            run=new.run,
            before=old.run,
            step=step,
            amount=step.after / step.before - 1 if metric.relative else step.after - step.before,
            fields=tuple(map(str, differences(*facts))),
            machine=None if machine is None else math.expm1(machine),
        )


def setups_of(
    asked: Sequence[Sequence[Combination]],
) -> tuple[tuple[Setup, ...], dict[str, Conditions]]:
    """The kinds of machine, as they came, and by key of conditions what these mean."""
    machines: dict[str, Facts] = {}  # by hash
    conditions: dict[str, Conditions] = {}
    runs: dict[int, dict[int, None]] = {}
    for run, of_run in enumerate(asked):
        for one in (one for one in of_run if one.ok):
            if (under := one.conditions_key) not in conditions:
                facts = one.conditions
                machine = {k: v for k, v in facts.items() if k.startswith("machine.")}
                machines.setdefault(key := digest(machine), machine)
                numerics = {k: v for k, v in facts.items() if BUCKETS.get(k) == "numerics"}
                setup = list(machines).index(key)
                conditions[under] = Conditions(setup, _key(numerics), _key(facts))
            runs.setdefault(conditions[under].setup, {})[run] = None
    known = list(machines.values())
    setups = [
        Setup(facts, tuple(runs[n]), *_nearest(known[:n], facts)) for n, facts in enumerate(known)
    ]
    return tuple(setups), conditions


def _key(facts: Facts) -> str | None:
    return None if unknown_facts(facts) else digest(facts)


def _nearest(earlier: Sequence[Facts], facts: Facts) -> tuple[int | None, tuple[str, ...]]:
    found = [tuple(map(str, differences(one, facts))) for one in earlier]
    if not found:
        return None, ()
    place = min(reversed(range(len(found))), key=lambda place: len(found[place]))
    return place, found[place]
