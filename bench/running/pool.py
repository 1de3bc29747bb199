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
from bench.errors import Stopped
from bench.folder import read_record, write_record
from bench.identity import cell_id
from bench.metrics import only_answer
from bench.record import Cell, EpochPoint, Failure, Machine, Provenance, Result, UsedWeights
from bench.running import child
from bench.running.child import ChildCrashed
from bench.running.plan import group, workers
from bench.suite import KeepWeights
from bench.training.context import Context

POISONED_EXIT = 70
"""Exit code of a worker whose CUDA context is lost: a fresh one takes over the rest."""

MEMORY_EXIT = 71
"""Exit code of a worker that had no memory for several seeds: each is run once more, alone."""

EXIT_TEXTS = {POISONED_EXIT: "lost its GPU", MEMORY_EXIT: "ran out of memory"}


class Job(NamedTuple):
    folder: Path
    context: Context
    machine: Machine
    commit: str | None
    weights: UsedWeights
    keep_weights: KeepWeights = "none"
    seeds: Mapping[str, Sequence[int]] = {}  # by strategy, in the order of the suite


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


class Noted(NamedTuple):
    text: str


Event = CellStarted | EpochEnded | CellEnded | GroupRetried | Noted
Listener = Callable[[Event], None]


class Death(NamedTuple):
    how: str  # "was killed by SIGKILL"
    out_of_memory: bool

    def __str__(self) -> str:
        return f"its process {self.how}" + (", out of memory" if self.out_of_memory else "")


class Flight:
    """The cells of one worker: which have a record, and which one runs."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._left = {cell_id(cell): cell for cell in cells}
        self._num_cells = len(cells)
        self._current: Cell | None = None
        self.since = time.monotonic()

    @property
    def left(self) -> list[Cell]:
        return list(self._left.values())

    @property
    def current(self) -> Cell | None:
        """The cell in flight, or the first while the worker starts; None between two cells."""
        if self._current is None and len(self._left) == self._num_cells:
            return self.left[0]
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
    waiting = deque[Sequence[Cell]](workers(cells))
    while waiting:  # each worker takes away one cell at least, or divides a group
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


def run_worker(cells: Sequence[Cell], job: Job, listen: Listener) -> list[Sequence[Cell]]:
    """Run cells until the worker ends, well or not.

    Returns those that have no record after it, as they are to be divided among fresh workers.
    """
    flight = Flight(cells)
    kills_before = oom_kills()

    def hear(event: Event) -> None:
        flight.take(event)
        listen(event)

    try:
        child.call("bench.running.worker:main", job, tuple(cells), listen=hear)
    except Stopped as stop:
        cause = Cause("interrupted", "stopped", f"stopped by signal {stop.signal_number}")
        if flight.current is not None:
            record_once(flight.current, cause, job, flight.since)
        raise
    except ChildCrashed as crash:
        if flight.current is not None:
            how = EXIT_TEXTS.get(crash.exitcode or 0, crash.how)
            death = Death(how, oom_kills() > kills_before)
            return after_death(death, flight, flight.current, job, listen)
    return [flight.left] if flight.left else []


def after_death(
    death: Death, flight: Flight, lost: Cell, job: Job, listen: Listener
) -> list[Sequence[Cell]]:
    """Record the cell that its worker took down, or divide its group; what is left to run."""
    seeds = group(flight.left, lost)
    if len(seeds) > 1 and read_record(job.folder, cell_id(lost)) is None:
        name = f"{lost.architecture_label} · {lost.strategy}"
        listen(GroupRetried(name, len(seeds), str(death)))
        others = [cell for cell in flight.left if cell not in seeds]
        return [*([cell] for cell in seeds), *filter(None, [others])]
    ended = record_once(lost, crash_cause(death), job, flight.since)
    flight.take(ended)
    listen(ended)
    return [flight.left] if flight.left else []


def oom_kills() -> int:
    """How often the kernel ended a process of our control group for want of memory; 0 if unknown.

    The count is only ever compared with an earlier one.
    """
    root, own = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
    lines = own.read_text().splitlines() if own.exists() else []
    groups = [line.removeprefix("0::").lstrip("/") for line in lines if line.startswith("0::")]
    for group_path in (*groups[:1], ""):
        path = root / group_path / "memory.events"
        if path.exists():
            counts = dict(line.split() for line in path.read_text().splitlines())
            return int(counts.get("oom_kill", 0))
    return 0


class Cause(NamedTuple):
    status: Literal["failed", "diverged", "interrupted"]
    kind: Literal["data", "weights", "oom_gpu", "oom_host", "crash", "cuda", "training", "stopped"]
    reason: str


def crash_cause(death: Death) -> Cause:
    if death.out_of_memory:
        return Cause("failed", "oom_host", f"out of memory: its process {death.how}")
    return Cause("failed", "crash", f"its process {death.how}; see log.txt beside the record")


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
