"""Which combinations of two runs belong together, and in what they differ.

A combination is an architecture under a strategy, all its seeds together. Two pair by identity
without the seed. What is not of one task is told with the fields that differ.
"""

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.analysis.accuracy import Scored
from bench.analysis.judge import MEASURES, SIZE, Verdict
from bench.analysis.table import Facts, Snapshot
from bench.identity import BUCKETS, Bucket, differences, digest


@dataclass(frozen=True, eq=False)
class Combination:
    """A combination of one run: the places of its seeds in the run's table."""

    run: Snapshot
    architecture: str
    strategy: str
    places: tuple[int, ...]

    @property
    def names(self) -> tuple[str, str]:
        return self.architecture, self.strategy

    @property
    def name(self) -> str:
        return " · ".join(self.names)

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

    @property
    def failures(self) -> str:
        """`seed 1 diverged, seed 2 missing`; empty where every seed is ok."""
        return by_seed({seed: status for seed, status in self.statuses.items() if status != "ok"})

    def column(self, name: str) -> list[Any]:
        return [self.run.columns[name][at] for at in self.places]

    def ok_column(self, name: str) -> list[Any]:
        return [self.run.columns[name][at] for at in self.ok]

    @property
    def task_key(self) -> str:
        """Hash of the task without the seed; empty where no seed has a record."""
        return str(self.run.columns["task_key"][self.places[0]])

    @cached_property
    def task(self) -> Facts:
        """What it asks for, without the seed; {} where no seed has a record."""
        return self.run.task(self.places[0])

    @cached_property
    def conditions(self) -> Facts:
        """Numerics and performance of the first ok seed; {} without one."""
        return self.run.conditions(self.ok[0]) if self.ok else {}

    @property
    def conditions_key(self) -> str:
        """Hash of these; only with an ok seed."""
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
        return _past_key(self.task_key, self.seeds, tuple(self.conditions.items()))

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
        right_SN = np.stack([self.run.right_N(one) for one in self.ok_column("cell_id")])
        return Scored(tuple(self.ok_column("seed")), tuple(self.ok_column("test_score")), right_SN)


def by_seed(statuses: Mapping[int, str]) -> str:
    return ", ".join(f"seed {seed} {status}" for seed, status in statuses.items())


def combinations(run: Snapshot) -> list[Combination]:
    return [Combination(run, *names, tuple(places)) for names, places in run.rows.items()]


def is_mixed(run: Snapshot) -> bool:
    return any(one.mixed for one in combinations(run))


@cache
def _past_key(task: str, seeds: tuple[int, ...], conditions: tuple[tuple[str, Any], ...]) -> str:
    """Of a thousand combinations in a hundred runs these take seconds to make, and few differ."""
    return digest([task, seeds, dict(conditions)])


class Pair(NamedTuple):
    before: Combination
    after: Combination

    @property
    def names(self) -> tuple[str, str]:
        return self.after.names

    def told(self, verdict: Verdict, metric: str) -> Verdict:
        """A verdict on a metric of this pair, with its values in both runs."""
        before, after = (one.value(metric) for one in self)
        return verdict._replace(baseline=before, candidate=after).of(self.names, metric)


class Match(NamedTuple):
    pairs: tuple[Pair, ...]  # of one task
    other_task: tuple[Pair, ...]  # of the same names only
    missing: tuple[Combination, ...]
    new: tuple[Combination, ...]


def matched(baseline: Snapshot, candidate: Snapshot) -> Match:
    """Pairs by task and, where several have the same one, by name; the rest by names."""
    ones, left = combinations(baseline), combinations(candidate)
    found: dict[int, Combination] = {}
    for likeness in LIKENESSES:
        there: dict[Hashable, list[Combination]] = {}
        for other in left:
            there.setdefault(likeness(other), []).append(other)
        for place, one in enumerate(ones):
            if place not in found and there.get(likeness(one)):
                found[place] = there[likeness(one)].pop(0)
                left.remove(found[place])
    pairs, others = list[Pair](), list[Pair]()
    for place in sorted(found):
        pair = Pair(ones[place], found[place])
        # What has no record has no task to differ in.
        tasks = {one.task_key for one in pair} - {""}
        (pairs if len(tasks) < 2 else others).append(pair)
    missing = [one for place, one in enumerate(ones) if place not in found]
    return Match(tuple(pairs), tuple(others), tuple(missing), tuple(left))


LIKENESSES: tuple[Callable[[Combination], Hashable], ...] = (
    lambda one: (one.task_key, *one.names),
    lambda one: one.task_key or id(one),
    lambda one: one.names,
)
"""What makes two combinations a pair, the closest first."""


def count_verdict(pair: Pair) -> Verdict:
    """Whether parameters and MACs are the same where both are known: else it is another network."""
    counts = ("total_parameters", "trainable_parameters", "forward_macs")
    names = counts if all(one.ok for one in pair) else ()
    both = [(name, *(one.ok_column(name)[0] for one in pair)) for name in names]
    fields = tuple(
        f"{name}: {int(ours):,} and {int(theirs):,}"
        for name, ours, theirs in both
        if None not in (ours, theirs) and ours != theirs
    )
    made = Verdict("not_comparable", "another network", fields=fields)
    return (made if fields else Verdict("pass")).of(pair.names, SIZE)


def condition_differences(
    pair: Pair, buckets: Collection[Bucket] = ("numerics", "performance")
) -> tuple[str, ...]:
    """Facts that differ, are unknown on both sides, or are not the same for all seeds."""
    before, after = pair
    found = differences(before.conditions, after.conditions, buckets=buckets, unknown_differs=True)
    mixed = sorted(p for p in {*before.mixed, *after.mixed} if BUCKETS.get(p) in buckets)
    return (*map(str, found), *(f"{path}: not the same for all seeds" for path in mixed))
