"""Workers on this machine, one after another; a worker that dies costs one cell, not the run.

One that dies while it trains the heads of several seeds together, or has no memory for them, costs
none of them yet: each seed is run once more, alone.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.errors import FolderError, Stopped
from bench.folder import read_record, write_record
from bench.identity import cell_id
from bench.record import Cell
from bench.running import child
from bench.running.child import Child
from bench.running.events import CellEnded, CellStarted, Event, GroupRetried, Noted
from bench.running.job import MEMORY_EXIT, POISONED_EXIT, Cause, Job, failure, summary
from bench.running.plan import group, workers

Listener = Callable[[Event], None]

EXIT_TEXTS = {POISONED_EXIT: "lost its GPU", MEMORY_EXIT: "ran out of memory"}
"""How a worker ended that chose its exit code."""


class Death(NamedTuple):
    """How a worker ended in the middle of a cell."""

    how: str  # "was killed by SIGKILL"
    out_of_memory: bool

    def __str__(self) -> str:
        return f"its process {self.how}" + (", out of memory" if self.out_of_memory else "")


class Flight:
    """The cells of one worker: which came to a record, and which is on its way."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._left = {cell_id(cell): cell for cell in cells}
        self._num_cells = len(cells)
        self._current: Cell | None = None
        self.since = time.monotonic()

    @property
    def left(self) -> list[Cell]:
        """Cells without a record, in order."""
        return list(self._left.values())

    @property
    def current(self) -> Cell | None:
        """The cell in flight, or the first while the worker starts; None between two cells."""
        if self._current is None and len(self._left) == self._num_cells:
            return self.left[0]
        return self._current

    def take(self, event: Event) -> None:
        """Note one event."""
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
    waiting = deque[Sequence[Cell]](plan.cells for plan in workers(cells))
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
    worker = child.start("bench.running.worker:main", job, tuple(cells))
    try:
        for event in events(worker):
            flight.take(event)
            listen(event)
    except Stopped as stop:
        worker.process.kill()
        # What it told before, and nobody had heard yet; the stop may have cut a message in two.
        with contextlib.suppress(Exception):
            for event in events(worker):
                flight.take(event)
        cause = Cause("interrupted", "stopped", f"stopped by signal {stop.signal_number}")
        if flight.current is not None:
            record_once(flight.current, cause, job, flight.since)
        raise
    finally:
        kill(worker)
    if flight.current is None:
        return together(flight.left)
    death = Death(exit_text(worker.process.exitcode), oom_kills() > kills_before)
    return after_death(death, flight, flight.current, job, listen)


def after_death(
    death: Death, flight: Flight, lost: Cell, job: Job, listen: Listener
) -> list[Sequence[Cell]]:
    """Record the cell that its worker took down, or divide its group; what is left to run."""
    seeds = group(flight.left, lost)
    if len(seeds) > 1 and read_record(job.folder, cell_id(lost)) is None:
        name = f"{lost.architecture_label} · {lost.strategy}"
        listen(GroupRetried(name, len(seeds), str(death)))
        alone = [[cell] for cell in seeds]
        return [*alone, *together([cell for cell in flight.left if cell not in seeds])]
    ended = record_once(lost, crash_cause(death), job, flight.since)
    flight.take(ended)
    listen(ended)
    return together(flight.left)


def together(cells: Sequence[Cell]) -> list[Sequence[Cell]]:
    """All of them in one worker, if there are any."""
    return [cells] if cells else []


def events(worker: Child) -> Iterator[Event]:
    """What the worker tells, until it ends. Raises FolderError where it did."""
    while True:
        try:
            event: Event | FolderError = worker.messages.recv()
        except (EOFError, OSError):  # OSError: it ended in the middle of a message
            worker.process.join()
            return
        if isinstance(event, FolderError):
            raise event
        yield event


def kill(worker: Child) -> None:
    """End the worker, if it has not ended by itself."""
    worker.process.kill()
    worker.process.join()
    worker.messages.close()


def record_once(cell: Cell, cause: Cause, job: Job, since: float) -> CellEnded:
    """Record why a cell did not end, unless its worker managed to write its record before."""
    record = read_record(job.folder, cell_id(cell))
    if record is None:
        record = failure(cell, cause, job, seconds=time.monotonic() - since)
        write_record(job.folder, record)
    return CellEnded(record.cell_id, record.status, summary(record))


def exit_text(exitcode: int | None) -> str:
    """How a worker ended, in words."""
    return EXIT_TEXTS.get(exitcode or 0) or child.exit_text(exitcode)


def crash_cause(death: Death) -> Cause:
    """Why a cell has no result, where its worker ended in the middle of it."""
    if death.out_of_memory:
        return Cause("failed", "oom_host", f"out of memory: its process {death.how}")
    return Cause("failed", "crash", f"its process {death.how}; see log.txt beside the record")


def oom_kills() -> int:
    """How often the kernel ended a process of our control group for want of memory; 0 if unknown.

    The count is only ever compared with an earlier one.
    """
    for path in (control_group() / "memory.events", Path("/sys/fs/cgroup/memory.events")):
        if path.exists():
            counts = dict(line.split() for line in path.read_text().splitlines())
            return int(counts.get("oom_kill", 0))
    return 0


def control_group() -> Path:
    """The folder of this process's control group, version 2."""
    root, own = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
    lines = own.read_text().splitlines() if own.exists() else []
    paths = [line.removeprefix("0::").lstrip("/") for line in lines if line.startswith("0::")]
    return root / paths[0] if paths else root
