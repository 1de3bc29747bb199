"""A finished run as a point of the history: what a list of thousands of runs must know of each."""

from collections.abc import Iterable
from statistics import fmean

from bench.analysis.digest import (
    Digest,
    Facts,
    PastRow,
    PastRun,
    RowDigest,
    conditions_of,
    cost_of,
    past_key,
)
from bench.identity import BUCKETS, digest
from bench.record import PROTOCOL_VERSION, SCHEMA_VERSION, Calibration, Value


class PointRow(Value):
    """One architecture under one strategy, all seeds together."""

    architecture: str
    strategy: str
    task: str  # key of the task without the seed; empty where no cell has a record
    under: str  # key of its conditions in the run's; empty without an ok seed
    mixed: tuple[str, ...]  # conditions in which its seeds differ
    past: str  # see `bench.analysis.digest.past_key`
    seeds: tuple[int, ...]
    statuses: tuple[str, ...]  # one per seed; "missing" has no record
    score: float | None  # mean of the run's metric on test, over the ok seeds
    train_seconds: float | None  # null where it is unknown for one of the ok seeds
    peak_memory_bytes: float | None

    @property
    def complete(self) -> bool:
        """Whether every seed is ok: a mean over others would be another quantity."""
        return set(self.statuses) == {"ok"}


class Point(Value):
    """One finished run."""

    suite_name: str
    started_at: str
    finished_at: str
    unstable: str | None
    calibration: Calibration | None
    information: Facts  # see `bench.analysis.information`
    conditions: dict[str, Facts]  # numerics and performance, by key
    rows: tuple[PointRow, ...]


MEANING = digest([SCHEMA_VERSION, PROTOCOL_VERSION, BUCKETS])
"""Of kept points, beside the code that makes them: another bench sorts facts in another way."""


# ---- making one -----------------------------------------------------------------------------


def point_of(run: Digest) -> Point | None:
    """The point of a digest; None where the run has not finished."""
    if run.status != "finished" or run.finished_at is None:
        return None
    conditions = {_under(run, row): conditions_of(run, row) for row in run.rows if row.ok}
    return Point(
        suite_name=run.suite_name,
        started_at=run.started_at,
        finished_at=run.finished_at,
        unstable=run.unstable,
        calibration=run.calibration,
        information=run.information,
        conditions=conditions,
        rows=tuple(_row(run, row) for row in run.rows),
    )


def _row(run: Digest, row: RowDigest) -> PointRow:
    known = [one.score for one in row.ok if one.score is not None]
    return PointRow(
        architecture=row.architecture,
        strategy=row.strategy,
        task=row.key,
        under=_under(run, row) if row.ok else "",
        mixed=row.mixed,
        past=past_key(run, row),
        seeds=tuple(one.seed for one in row.seeds),
        statuses=tuple(one.status for one in row.seeds),
        score=fmean(known) if known else None,
        train_seconds=cost_of(row, "train_seconds"),
        peak_memory_bytes=cost_of(row, "peak_memory_bytes"),
    )


def _under(run: Digest, row: RowDigest) -> str:
    return digest(conditions_of(run, row))


# ---- what `bench compare` takes of it -------------------------------------------------------


def past_run(point: Point) -> PastRun:
    """What a run took, by which later ones are judged; no times of an unsteady machine."""
    rows = {
        row.past: PastRow(
            train_seconds=None if point.unstable else row.train_seconds,
            peak_memory_bytes=row.peak_memory_bytes,
        )
        for row in point.rows
        if row.under and not row.mixed
    }
    return PastRun(started_at=point.started_at, finished_at=point.finished_at, rows=rows)


def distinct(runs: Iterable[PastRun]) -> list[PastRun]:
    """Each run once, in the order of time: a baseline's own lies in the folder of runs as well.

    It is the same that began in the same second and took the same for a cell: a run that was
    started again ends at another time. The one that knows most of its cells stays.
    """
    found: dict[str, list[PastRun]] = {}
    for run in sorted(runs, key=lambda run: -len(run.rows)):
        others = found.setdefault(run.started_at, [])
        if not any(is_same(run, other) for other in others):
            others.append(run)
    return [run for start in sorted(found) for run in found[start]]


def is_same(one: PastRun, other: PastRun) -> bool:
    """Whether two pasts are of one run."""
    return one.started_at == other.started_at and any(
        other.rows.get(key) == row
        for key, row in one.rows.items()
        if row.train_seconds is not None or row.peak_memory_bytes is not None
    )


def past_run_of(run: Digest) -> PastRun | None:
    """The same of a digest; None where it has not finished."""
    point = point_of(run)
    return None if point is None else past_run(point)
