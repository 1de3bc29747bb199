"""A run boiled down to what a comparison needs: small enough to be committed and reviewed.

A row is an architecture under a strategy, its seeds together: cells pair by identity without the
seed. What all rows share stands once.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from math import fsum, isclose
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench import identity
from bench.analysis.information import information_of
from bench.analysis.rows import grouped, missing_cells, peak_memory_bytes, score_of
from bench.analysis.stability import unstable
from bench.analysis.stats import weights
from bench.analysis.task import check_one_task
from bench.identity import cell_identity, key_facts
from bench.predictions import pack_bits, pack_column, unpack_column
from bench.record import Calibration, Cost, Failure, Result, Run, Seconds, Value
from bench.suite import Metric

Facts = dict[str, Any]
"""By dotted path: see `bench.identity.BUCKETS`."""


class SeedDigest(Value):
    """One cell; without a result all but the status is null."""

    seed: int
    status: str  # of the record, or "missing"
    score: float | None = None  # of the run's metric, on test
    right: str | None = None  # a bit for each test image, packed: see `bench.predictions`
    train_seconds: float | None = None  # attributed; null where `costs_are_whole` is not so
    peak_memory_bytes: int | None = None  # likewise
    images_per_second: float | None = None  # in training, where all epochs train all parameters


class RowDigest(Value):
    """One architecture under one strategy."""

    architecture: str
    strategy: str
    key: str  # of the task without the seed
    task: Facts  # what is not in the digest's
    conditions: Facts  # numerics and performance, likewise; of the first ok seed
    mixed: tuple[str, ...] = ()  # conditions in which its seeds differ
    counts: dict[str, int | None]
    seeds: tuple[SeedDigest, ...]

    @property
    def ok(self) -> list[SeedDigest]:
        """Seeds with a result."""
        return [one for one in self.seeds if one.status == "ok"]


class Digest(Value):
    """One run."""

    suite_name: str
    started_at: str
    finished_at: str | None
    status: str
    device: str
    metric: Metric
    margin: float
    compare: dict[str, Any]  # the suite's [compare] table
    labels: str  # true classes of the test images, packed
    num_images: int
    task: Facts  # that all rows share
    conditions: Facts
    rows: tuple[RowDigest, ...]
    calibration: Calibration | None
    unstable: str | None  # why its times are good for nothing
    information: Facts = Field(default_factory=dict)  # that no key has; {} in older baselines


class PastRow(Value):
    """What a row cost in a past run: see `PAST`."""

    train_seconds: float | None
    peak_memory_bytes: float | None


class PastRun(Value):
    """A finished run as a point of the history; rows by `past_key`."""

    started_at: str
    finished_at: str
    rows: dict[str, PastRow]


COUNTS = ("total_parameters", "trainable_parameters", "forward_macs")
"""Where one differs, the network is another: the same in every run of a task."""


# ---- making one -----------------------------------------------------------------------------


def digest_of(run: Run, records: Sequence[Result | Failure]) -> Digest:
    """The digest of a run. Raises ValueError where its records contradict it or themselves."""
    cells = grouped(run, records, missing_cells(run, records))
    check_one_task(cells.values())
    metric: Metric = run.suite.metric
    first = next((one for one in records if isinstance(one, Result)), None)
    packed = first.quality.test.predictions if first else None
    labels_N = unpack_column("labels", packed.labels, packed.num_images) if packed else NO_LABELS
    rows = [
        _row(names, _task(run, of_row), run.suite.seeds, of_row, labels_N, metric)
        for names, of_row in cells.items()
    ]
    task, conditions = (_shared([getattr(row, name) for row in rows]) for name in FACTS)
    return Digest(
        suite_name=run.suite_name,
        started_at=run.started_at,
        finished_at=run.finished_at,
        status=run.status,
        device=run.machine.device,
        metric=metric,
        margin=run.suite.margin,
        compare=run.suite.compare.model_dump(),
        labels=pack_column(labels_N),
        num_images=len(labels_N),
        task=task,
        conditions=conditions,
        rows=tuple(_without(row, task, conditions) for row in rows),
        calibration=_calibration(run),
        unstable=unstable(run),
        information=information_of(run, records),
    )


NO_LABELS: NDArray[np.uint16] = np.zeros(0, np.uint16)
FACTS = ("task", "conditions")


def _row(
    names: tuple[str, str],
    task: Facts,
    seeds: Sequence[int],
    records: Sequence[Result | Failure | None],
    labels_N: NDArray[np.uint16],
    metric: Metric,
) -> RowDigest:
    ok = [one for one in records if isinstance(one, Result)]
    conditions = [key_facts(one.execution, one.machine, "performance") for one in _distinct(ok)]
    paths = sorted({path for facts in conditions for path in facts})
    whole = costs_are_whole(ok)
    return RowDigest(
        architecture=names[0],
        strategy=names[1],
        key=identity.digest(task) if task else "",
        task=task,
        conditions=_plain(conditions[0]) if conditions else {},
        mixed=tuple(path for path in paths if len({facts.get(path) for facts in conditions}) > 1),
        counts={name: getattr(ok[0].cost, name) for name in COUNTS} if ok else {},
        seeds=tuple(
            SeedDigest(seed=seed, status="missing" if record is None else record.status)
            if not isinstance(record, Result)
            else _seed(record, labels_N, metric, whole)
            for seed, record in zip(_seeds(seeds, records), records, strict=True)
        ),
    )


def _task(run: Run, records: Sequence[Result | Failure | None]) -> Facts:
    """What a row asks for, without the seed, and how its images are prepared; {} if unknown."""
    some = next((one for one in records if one is not None), None)
    if some is None:
        return {}
    pipeline = run.preprocessing[some.cell.architecture_label].model_dump(exclude=SIZES)
    facts = {**cell_identity(some.cell), **{f"preprocessing.{k}": v for k, v in pipeline.items()}}
    facts.pop("cell.seed", None)
    return _plain(facts)


SIZES = {"resize_size", "crop_size"}
"""Follow from the cell's own image size; run.json has those of the architecture's first cell."""


def _seeds(asked: Sequence[int], records: Sequence[Result | Failure | None]) -> list[int]:
    left = iter([s for s in asked if s not in {one.cell.seed for one in records if one}])
    return [next(left) if one is None else one.cell.seed for one in records]


def _distinct(ok: Sequence[Result]) -> list[Result]:
    """One result of each way to run: most rows have one."""
    found: dict[Hashable, Result] = {}
    for one in ok:
        found.setdefault((one.execution, one.machine), one)
    return list(found.values())


def costs_are_whole(ok: Sequence[Result]) -> bool:
    """Whether a row's cells cost what they would again: no features of an earlier run served.

    Heads of all seeds train together; in a run that was resumed fewer of them did.
    """
    if any(one.cost.features == "reused" for one in ok):
        return False
    return len({one.cost.shared_by for one in ok if one.cost.features is not None}) <= 1


def _seed(one: Result, labels_N: NDArray[np.uint16], metric: Metric, whole: bool) -> SeedDigest:
    packed = one.quality.test.predictions
    try:
        own_N = unpack_column("labels", packed.labels, packed.num_images)
        classes_N = unpack_column("classes", packed.classes, packed.num_images)
    except ValueError as error:
        raise ValueError(f"{one.cell_id}: {error}") from error
    if not np.array_equal(own_N, labels_N):
        raise ValueError(f"{one.cell_id}: was scored on other test images than the rest of its run")
    score, right_N = score_of(one.quality.test, metric), classes_N == labels_N
    check_score(one.cell_id, score, right_N, labels_N, metric)
    check_seconds(one.cell_id, one.cost.attributed)
    return SeedDigest(
        seed=one.cell.seed,
        status="ok",
        score=score,
        right=pack_bits(right_N),
        train_seconds=one.cost.attributed.train if whole else None,
        peak_memory_bytes=peak_memory_bytes(one.memory, one.machine) if whole else None,
        images_per_second=_images_per_second(one.cost),
    )


def _images_per_second(cost: Cost) -> float | None:
    whole = cost.phases and all(phase.trainable_share == 1 for phase in cost.phases)
    return cost.images_per_second.median if whole and cost.images_per_second else None


def check_score(
    name: str,
    score: float,
    right_N: NDArray[np.bool_],
    labels_N: NDArray[np.uint16],
    metric: Metric,
) -> None:
    """Raise ValueError where a score is not that of its predictions: somebody edited one."""
    found = float(np.mean(right_N * weights(labels_N, metric)))
    if abs(found - score) > 1e-6:
        raise ValueError(
            f"{name}: its {metric} is {score:.4f}, but its predictions give {found:.4f}; "
            "was the file edited?"
        )


def check_seconds(name: str, spent: Seconds) -> None:
    """Raise ValueError where the wall time is not the sum of its parts: somebody edited one."""
    parts = (getattr(spent, part) for part in Seconds.model_fields if part != "wall")
    if not isclose(found := fsum(parts), spent.wall, rel_tol=1e-6):
        raise ValueError(
            f"{name}: its wall time is {spent.wall:.4f} s, but its parts give {found:.4f} s; "
            "was the file edited?"
        )


def _shared(rows: Sequence[Facts]) -> Facts:
    """Facts that all rows have alike; rows without any are not asked."""
    told = [row for row in rows if row]
    if not told:
        return {}
    return {
        path: value
        for path, value in told[0].items()
        if all(path in row and row[path] == value for row in told)
    }


def _without(row: RowDigest, task: Facts, conditions: Facts) -> RowDigest:
    own = {path: value for path, value in row.task.items() if path not in task}
    under = {path: value for path, value in row.conditions.items() if path not in conditions}
    return row.model_copy(update={"task": own, "conditions": under})


def _plain(facts: Mapping[str, Any]) -> Facts:
    """As JSON would give them back."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in facts.items()}


def _calibration(run: Run) -> Calibration | None:
    """Of the last sitting that has one at its start."""
    return next((one.start for one in reversed(run.sittings) if one.start is not None), None)


# ---- reading one ----------------------------------------------------------------------------


def task_of(digest: Digest, row: RowDigest) -> Facts:
    """All facts of a row's task."""
    return {**digest.task, **row.task}


def conditions_of(digest: Digest, row: RowDigest) -> Facts:
    """All facts of a row's numerics and performance."""
    return {**digest.conditions, **row.conditions}


PAST: Mapping[str, Callable[[Sequence[float]], float]] = {
    "train_seconds": median,
    "peak_memory_bytes": max,
}
"""What the cost of a row is made of those of its seeds by."""


def past_key(digest: Digest, row: RowDigest) -> str:
    """Names a row's task, its seeds and all else that its costs depend on."""
    seeds = sorted(one.seed for one in row.ok)
    return identity.digest([row.key, seeds, conditions_of(digest, row)])


def images_per_second_of(row: RowDigest) -> float | None:
    """The median over the seeds; None where it is unknown for one."""
    values = [one.images_per_second for one in row.seeds]
    known = [value for value in values if value is not None]
    return median(known) if known and len(known) == len(values) else None


def cost_of(row: RowDigest, name: str) -> float | None:
    """A cost over the ok seeds; None where it is unknown for one."""
    values = [getattr(one, name) for one in row.ok]
    return None if not values or None in values else float(PAST[name](values))
