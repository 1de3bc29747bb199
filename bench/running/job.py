"""What a worker is given, and what of its records needs no torch."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import bench
from bench.schema import Cell, Failure, Machine, Provenance, Result, cell_id
from bench.training.context import Context


class Job(NamedTuple):
    """What a worker needs besides its cells."""

    folder: Path
    context: Context
    machine: Machine
    commit: str | None


class Cause(NamedTuple):
    """Status and kind of a failure, and one line for the reader."""

    status: Literal["failed", "diverged", "interrupted"]
    kind: Literal["data", "weights", "oom_gpu", "oom_host", "crash", "cuda", "training", "stopped"]
    reason: str


def failure(cell: Cell, cause: Cause, job: Job, *, seconds: float) -> Failure:
    """The record of a cell that was not scored."""
    return Failure(
        cell_id=cell_id(cell),
        status=cause.status,
        kind=cause.kind,
        reason=cause.reason,
        cell=cell,
        seconds=seconds,
        machine=job.machine,
        provenance=provenance(job),
    )


def provenance(job: Job) -> Provenance:
    """When, and by which bench."""
    return Provenance(
        bench=bench.__version__,
        commit=job.commit,
        finished_at=now(),
        device_index=job.context.device.index,
    )


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def summary(record: Result | Failure) -> str:
    """One line for the terminal."""
    if isinstance(record, Failure):
        return f"{record.status} ({record.kind}): {record.reason}"
    metric = record.cell.metric
    val, test = getattr(record.quality.val, metric), getattr(record.quality.test, metric)
    seconds = record.cost.marginal.wall
    return f"{metric} val {val:.3f}  test {test:.3f}  {seconds:.1f} s"
