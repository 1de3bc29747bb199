"""Workers on this machine, one after another; a worker that dies costs one cell, not the run.

One that dies while it trains the heads of several seeds together, or has no memory for them, costs
none of them yet: each seed is run once more, alone.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import bench
from bench.errors import OutOfMemory, Stopped
from bench.folder import read_record, write_record
from bench.identity import cell_id
from bench.metrics import only_answer
from bench.record import (
    Cell,
    EpochPoint,
    Failure,
    FailureKind,
    Machine,
    Provenance,
    Result,
    UsedWeights,
)
from bench.running import child
from bench.running.child import ChildCrashed
from bench.running.plan import group, workers
from bench.running.watch import Limits, Watch
from bench.suite import KeepWeights
from bench.training.context import Context

EXITS: Mapping[FailureKind, int] = {"cuda": 70, "oom_gpu": 71, "oom_host": 72}
"""Exit codes of a worker that leaves its cell to a fresh one, without a record: its CUDA context is
lost, or it had no memory for several seeds at once, or for whole batches."""


class Job(NamedTuple):
    folder: Path
    context: Context
    machine: Machine
    commit: str | None
    weights: UsedWeights
    keep_weights: KeepWeights = "none"
    seeds: Mapping[str, Sequence[int]] = {}  # by strategy, in the order of the suite
    limits: Limits = Limits()
    oom: Literal["fail", "halve"] = "fail"
    passes: int = 1  # of each batch of the cells that a worker is given


class Batch(NamedTuple):
    """The cells of one worker, and in how many passes each of their batches goes."""

    cells: tuple[Cell, ...]
    passes: int = 1


class CellStarted(NamedTuple):
    cell_id: str


class EpochEnded(NamedTuple):
    cell_id: str
    point: EpochPoint
    images_per_second: float


class CellEnded(NamedTuple):
    cell_id: str
    status: str
    summary: str  # one line: the scores, or what went wrong


class GroupRetried(NamedTuple):
    strategy: str  # with its architecture
    num_seeds: int
    death: str  # how the worker ended


class BatchHalved(NamedTuple):
    cell: str
    batch_size: int
    passes: int  # from now on
    death: str


class Noted(NamedTuple):
    text: str


Event = CellStarted | EpochEnded | CellEnded | GroupRetried | BatchHalved | Noted
Listener = Callable[[Event], None]


class Death(NamedTuple):
    how: str  # "its process was killed by SIGKILL"
    kind: FailureKind

    @property
    def is_memory(self) -> bool:
        return self.kind in ("oom_gpu", "oom_host")


class Flight:
    """The cells of one worker: which have a record, and which one runs."""

    def __init__(self, batch: Batch) -> None:
        self._left = {cell_id(cell): cell for cell in batch.cells}
        self._num_cells, self._passes = len(batch.cells), batch.passes
        self._current: Cell | None = None
        self.since = time.monotonic()

    @property
    def left(self) -> Batch:
        return Batch(tuple(self._left.values()), self._passes)

    @property
    def current(self) -> Cell | None:
        """The cell in flight, or the first while the worker starts; None between two cells."""
        if self._current is None and len(self._left) == self._num_cells:
            return self.left.cells[0]
        return self._current

    def take(self, event: Event) -> None:
        if isinstance(event, CellStarted):
            self._current, self.since = self._left[event.cell_id], time.monotonic()
        elif isinstance(event, CellEnded):
            self._current = None
            del self._left[event.cell_id]


def run_cells(cells: Sequence[Cell], job: Job, listen: Listener) -> None:
    """Run every cell to a record.

    Raises Stopped, with a record of the cell it interrupted, and FolderError where the disk does
    not take a record.
    """
    listen = once(listen)
    waiting = deque[Batch](Batch(tuple(own)) for own in workers(cells))
    while waiting:  # each worker takes away one cell at least, divides a group, or halves a batch
        left = run_worker(waiting.popleft(), job, listen)
        waiting.extendleft(reversed(left))


def once(listen: Listener) -> Listener:
    """The listener, without notes that it heard before: every worker reads the same images."""
    heard: set[str] = set()

    def hear(event: Event) -> None:
        if isinstance(event, Noted):
            if event.text in heard:
                return
            heard.add(event.text)
        listen(event)

    return hear


def run_worker(batch: Batch, job: Job, listen: Listener) -> list[Batch]:
    """Run cells until the worker ends, well or not.

    Returns those that have no record after it, as they are to be divided among fresh workers.
    """
    flight, watch = Flight(batch), Watch(job.folder, job.limits)

    def hear(event: Event) -> None:
        watch.heard()
        if isinstance(event, CellStarted):
            watch.begins(event.cell_id)
        flight.take(event)
        listen(event)

    told = job._replace(passes=batch.passes)
    try:
        child.call("bench.running.worker:main", told, batch.cells, listen=hear, watch=watch.look)
    except Stopped as stop:
        cause = Cause("interrupted", "stopped", f"stopped by signal {stop.signal_number}")
        if flight.current is not None:
            record_once(flight.current, cause, job, flight.since)
        raise
    except (ChildCrashed, OutOfMemory) as crash:
        if flight.current is not None:
            return after_death(death_of(crash, watch), flight, flight.current, job, listen)
    return [flight.left] if flight.left.cells else []


def death_of(crash: ChildCrashed | OutOfMemory, watch: Watch) -> Death:
    if watch.overdue is not None:
        return Death(watch.overdue.reason, watch.overdue.kind)
    if isinstance(crash, OutOfMemory):
        return Death(crash.problems[0], "oom_host")
    kinds = {code: kind for kind, code in EXITS.items()}
    match kinds.get(crash.exitcode or 0):
        case "oom_gpu":
            return Death("out of GPU memory", "oom_gpu")
        case "oom_host":
            return Death("out of memory", "oom_host")
        case "cuda":
            return Death("its process lost its GPU", "crash")
    return Death(f"its process {crash.how}", "crash")


def after_death(
    death: Death, flight: Flight, lost: Cell, job: Job, listen: Listener
) -> list[Batch]:
    """Record the cell that its worker took down, or try its group or itself in another way."""
    left, passes = flight.left, flight.left.passes
    if read_record(job.folder, cell_id(lost)) is None:
        name = f"{lost.architecture_label} · {lost.strategy}"
        seeds = group(left.cells, lost)
        others = Batch(tuple(cell for cell in left.cells if cell not in seeds), passes)
        rest = [others] if others.cells else []
        if len(seeds) > 1:
            listen(GroupRetried(name, len(seeds), death.how))
            return [*(Batch((cell,), passes) for cell in seeds), *rest]
        if death.is_memory and job.oom == "halve" and (more := halved(lost, passes)):
            listen(BatchHalved(f"{name} s{lost.seed}", lost.recipe.batch_size, more, death.how))
            # Others that need as much will tell so themselves.
            return [Batch((lost,), more), *([others._replace(passes=1)] if rest else [])]
    ended = record_once(lost, crash_cause(death, passes), job, flight.since)
    flight.take(ended)
    listen(ended)
    return [flight.left] if flight.left.cells else []


MOST_PASSES = 64


def halved(cell: Cell, passes: int) -> int | None:
    """Twice as many passes for each batch; None where they would leave too few images to each.

    Batch norm needs two, and so few that more of them would hardly save memory are no help.
    """
    more, batch_size = 2 * passes, min(cell.recipe.batch_size, cell.data.num_train)
    return more if more <= MOST_PASSES and batch_size >= 2 * more else None


class Cause(NamedTuple):
    status: Literal["failed", "diverged", "timeout", "interrupted"]
    kind: FailureKind
    reason: str


def crash_cause(death: Death, passes: int) -> Cause:
    if death.kind in ("stalled", "time_limit"):
        return Cause("timeout", death.kind, death.how)
    if death.is_memory:
        tried = f", also with each batch in {passes} passes" if passes > 1 else ""
        return Cause("failed", death.kind, death.how + tried)
    return Cause("failed", "crash", f"{death.how}; see log.txt beside the record")


def record_once(cell: Cell, cause: Cause, job: Job, since: float) -> CellEnded:
    """Record why a cell did not end, unless its worker managed to write its record before."""
    record = read_record(job.folder, cell_id(cell))
    if record is None:
        record = failure(cell, cause, job, seconds=time.monotonic() - since)
        write_record(job.folder, record)
    return CellEnded(record.cell_id, record.status, summary(record))


def failure(cell: Cell, cause: Cause, job: Job, *, seconds: float) -> Failure:
    """The record of a cell that was not scored; its reason names no folder of this machine."""
    dataset = job.context.dataset
    told = cause.reason.replace(f"{dataset.source}/", f"{dataset.name}/")
    return Failure(
        cell_id=cell_id(cell),
        status=cause.status,
        kind=cause.kind,
        reason=re.sub(r"(?<![\w.:/~])/(?:[^\s/:'\"]+/)+([^\s/:'\"]+)", r".../\1", told),
        cell=cell,
        seconds=seconds,
        machine=job.machine,
        provenance=provenance(job),
    )


def provenance(job: Job) -> Provenance:
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
    if isinstance(record, Failure):
        return f"{record.status} ({record.kind}): {record.reason}"
    metric = record.cell.metric
    val, test = getattr(record.quality.val, metric), getattr(record.quality.test, metric)
    seconds, only = record.cost.marginal.wall, only_answer(record.quality.val.confusion)
    always = "" if only is None else f"  always {record.cell.data.classes[only]}"
    return f"{metric} val {val:.3f}  test {test:.3f}  {seconds:.1f} s{always}"
