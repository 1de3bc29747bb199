"""What a worker is given, and what of its records needs no torch."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import bench
from bench.identity import cell_id
from bench.record import Cell, Failure, Machine, Provenance, Result, Source
from bench.suite import KeepWeights
from bench.training.context import Context

POISONED_EXIT = 70
"""Exit code of a worker whose CUDA context is lost: a fresh one takes over the rest."""

MEMORY_EXIT = 71
"""Exit code of a worker that had no memory for several seeds: each is run once more, alone."""


class Job(NamedTuple):
    """What a worker needs besides its cells."""

    folder: Path
    context: Context
    machine: Machine
    commit: str | None
    weights: Source
    keep_weights: KeepWeights = "none"
    seeds: tuple[int, ...] = ()  # of the suite, in its order


class Cause(NamedTuple):
    """Status and kind of a failure, and one line for the reader."""

    status: Literal["failed", "diverged", "interrupted"]
    kind: Literal["data", "weights", "oom_gpu", "oom_host", "crash", "cuda", "training", "stopped"]
    reason: str


def failure(cell: Cell, cause: Cause, job: Job, *, seconds: float) -> Failure:
    """The record of a cell that was not scored; its reason names no folder of this machine."""
    dataset = job.context.dataset
    return Failure(
        cell_id=cell_id(cell),
        status=cause.status,
        kind=cause.kind,
        reason=without_folders(cause.reason.replace(f"{dataset.source}/", f"{dataset.name}/")),
        cell=cell,
        seconds=seconds,
        machine=job.machine,
        provenance=provenance(job),
    )


def without_folders(text: str) -> str:
    """The text with absolute paths cut down to their last name."""
    return re.sub(r"(?<![\w.:/~])/(?:[^\s/:'\"]+/)+([^\s/:'\"]+)", r".../\1", text)


def provenance(job: Job) -> Provenance:
    """When, and by which bench."""
    return Provenance(
        bench=bench.__version__,
        commit=job.commit,
        finished_at=now(),
        weights_wanted=job.weights.wanted[0] if job.weights.fell_back else None,
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
