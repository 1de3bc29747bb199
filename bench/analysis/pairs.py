"""Which cells of two runs belong together, and in what they differ.

A cell here is an architecture under a strategy, all seeds together: cells pair by their identity
without the seed. What is not of one task is told with the fields that differ.
"""

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.analysis.accuracy import Scored
from bench.analysis.judge import MEASURES
from bench.analysis.table import Facts, Snapshot
from bench.identity import BUCKETS, differences, digest


@cache
def _past_key(task: str, seeds: tuple[int, ...], conditions: str) -> str:
    """Of a thousand cells in a hundred runs these take seconds to make, and few of them differ."""
    return digest([task, seeds, json.loads(conditions)])


@dataclass(frozen=True, eq=False)
class Side:
    """A cell of one run: the places of its seeds in the run's table."""

    run: Snapshot
    architecture: str
    strategy: str
    places: tuple[int, ...]

    @property
    def cell(self) -> tuple[str, str]:
        return self.architecture, self.strategy

    @cached_property
    def statuses(self) -> dict[int, str]:
        """By seed, in the order of the suite; "missing" has no record."""
        return dict(zip(self.column("seed"), self.column("status"), strict=True))

    @cached_property
    def ok(self) -> tuple[int, ...]:
        return tuple(at for at in self.places if self.run.columns["status"][at] == "ok")

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted(self.ok_column("seed")))

    def column(self, name: str) -> list[Any]:
        return [self.run.columns[name][at] for at in self.places]

    def ok_column(self, name: str) -> list[Any]:
        return [self.run.columns[name][at] for at in self.ok]

    # ---- who it is --------------------------------------------------------------------------

    @property
    def task_key(self) -> str:
        """Hash of the task without the seed; empty where no seed has a record."""
        return str(self.run.columns["task_key"][self.places[0]])

    @cached_property
    def task(self) -> Facts:
        """What the cell asks for, without the seed; {} where no seed has a record."""
        known = (at for at in self.places if self.run.columns["status"][at] != "missing")
        return next((self.run.task(at) for at in known), {})

    @cached_property
    def conditions(self) -> Facts:
        """Numerics and performance of the first ok seed; {} without one."""
        return self.run.conditions(self.ok[0]) if self.ok else {}

    @property
    def conditions_key(self) -> str:
        """Hash of these; only of a cell with an ok seed."""
        return str(self.run.columns["conditions_key"][self.ok[0]])

    @cached_property
    def mixed(self) -> tuple[str, ...]:
        if len(set(self.ok_column("conditions_key"))) < 2:
            return ()
        facts = [self.run.conditions(at) for at in self.ok]
        paths = sorted({path for one in facts for path in one})
        return tuple(path for path in paths if len({one.get(path) for one in facts}) > 1)

    @cached_property
    def past_key(self) -> str:
        """Names the task, the seeds, and all else that costs depend on."""
        texts, key = self.run.condition_texts, self.conditions_key if self.ok else ""
        if key not in texts:
            texts[key] = json.dumps(self.conditions)
        return _past_key(self.task_key, self.seeds, texts[key])

    # ---- what came out ----------------------------------------------------------------------

    def value(self, metric: str) -> float | None:
        """A metric over the ok seeds; None where it is unknown for one, or was not all spent."""
        one = MEASURES[metric]
        values = self.ok_column(one.column)
        is_spent = metric == "accuracy" or all(self.ok_column("whole_costs"))
        if not values or None in values or not is_spent:
            return None
        return float(one.over_seeds(values))

    @property
    def images_per_second(self) -> float | None:
        """Training throughput, the median over all seeds; None unless the whole network trains."""
        values = self.column("images_per_second")
        if None in values or not all(self.column("trains_all")):
            return None
        return float(median(values))

    @property
    def scored(self) -> Scored:
        ids = self.ok_column("cell_id")
        right_SN = np.stack([self.run.right_N(one) for one in ids])
        return Scored(tuple(self.ok_column("seed")), tuple(self.ok_column("test_score")), right_SN)


def sides_of(run: Snapshot) -> list[Side]:
    return [Side(run, *names, tuple(places)) for names, places in run.rows.items()]


class Pair(NamedTuple):
    before: Side
    after: Side

    @property
    def cell(self) -> tuple[str, str]:
        return self.after.cell

    @property
    def name(self) -> str:
        return " · ".join(self.cell)


class Match(NamedTuple):
    pairs: tuple[Pair, ...]  # of one task
    other_task: tuple[Pair, ...]  # of the same names only
    missing: tuple[Side, ...]
    new: tuple[Side, ...]


def matched(baseline: Snapshot, candidate: Snapshot) -> Match:
    """Cells by their task and, where several have the same one, their names; the rest by names."""
    left = sides_of(candidate)
    pairs, others, missing = list[Pair](), list[Pair](), list[Side]()
    for before, after in _nearest(sides_of(baseline), left):
        if after is None:
            missing.append(before)
            continue
        # A cell without any record has no task to differ in.
        same = before.task_key == after.task_key or not (before.task_key and after.task_key)
        (pairs if same else others).append(Pair(before, after))
    return Match(tuple(pairs), tuple(others), tuple(missing), tuple(left))


LIKENESSES: tuple[Callable[[Side], Hashable], ...] = (
    lambda side: (side.task_key, *side.cell),
    lambda side: side.task_key or id(side),
    lambda side: side.cell,
)
"""What pairs two cells, the closest first."""


def _nearest(sides: Sequence[Side], left: list[Side]) -> list[tuple[Side, Side | None]]:
    """Each cell with the one that belongs to it, which is taken out of what is left."""
    found: dict[int, Side] = {}
    for likeness in LIKENESSES:
        there: dict[Hashable, list[Side]] = {}
        for side in left:
            there.setdefault(likeness(side), []).append(side)
        for place, side in enumerate(sides):
            if place not in found and there.get(likeness(side)):
                found[place] = there[likeness(side)].pop(0)
        taken = set(map(id, found.values()))
        left[:] = [side for side in left if id(side) not in taken]
    return [(side, found.get(place)) for place, side in enumerate(sides)]


def same_run(one: Snapshot, other: Snapshot) -> bool:
    """Whether two are the same run: a baseline file, and the folder that it was made of."""
    took, took_too = (
        {
            (key, seed): seconds
            for key, seed, seconds in zip(
                *(run.columns[name] for name in ("task_key", "seed", "train_seconds")), strict=True
            )
        }
        for run in (one, other)
    )
    started = one.header.started_at == other.header.started_at
    return started and took == took_too and any(took.values())


# ---- in what two cells differ ---------------------------------------------------------------


def task_differences(pair: Pair) -> tuple[str, ...]:
    return tuple(map(str, differences(pair.before.task, pair.after.task)))


COUNTED = ("total_parameters", "trainable_parameters", "forward_macs")
"""Where one differs, the network is another: the same in every run of a task."""


def count_differences(pair: Pair) -> tuple[str, ...]:
    """Parameters and MACs that are not the same, where both are known."""
    if not all(side.ok for side in pair):
        return ()
    both = [(name, *(side.ok_column(name)[0] for side in pair)) for name in COUNTED]
    return tuple(
        f"{name}: {int(ours):,} and {int(theirs):,}"
        for name, ours, theirs in both
        if None not in (ours, theirs) and ours != theirs
    )


def numerics_differences(pair: Pair) -> tuple[str, ...]:
    """Facts of the arithmetic that differ, or are unknown on both sides."""
    return tuple(text for path, text in _conditions(pair) if BUCKETS.get(path) == "numerics")


def performance_differences(pair: Pair) -> tuple[str, ...]:
    """Facts of the arithmetic and of the machine that differ, or are unknown on both sides."""
    return tuple(text for _, text in _conditions(pair))


def _conditions(pair: Pair) -> list[tuple[str, str]]:
    found = differences(pair.before.conditions, pair.after.conditions, unknown_differs=True)
    mixed = sorted({*pair.before.mixed, *pair.after.mixed})
    several = [(path, f"{path}: not the same for all seeds") for path in mixed]
    return [(one.path, str(one)) for one in found] + several


def untold(pair: Pair) -> list[str]:
    """Facts that costs depend on and only the candidate knows, on one kind of device."""
    one, other = pair.before.conditions, pair.after.conditions
    if one.get("machine.device") != other.get("machine.device"):
        return []
    return sorted(path for path in other if one.get(path) is None and other[path] is not None)
