"""Workers on this machine, one after another; a worker that dies costs one cell, not the run."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import store
from bench.running import child
from bench.running.events import CellEnded, CellStarted, Event
from bench.running.job import Cause, Job, failure
from bench.running.plan import workers
from bench.schema import Cell, cell_id

Listener = Callable[[Event], None]


class Stopped(BaseException):
    """A signal asked the run to stop; not an Exception, so that nothing swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def run_cells(cells: Sequence[Cell], job: Job, listen: Listener) -> None:
    """Run every cell to a record. Raises Stopped, with a record of the cell it interrupted."""
    for plan in workers(cells):
        remaining = list(plan.cells)
        while remaining:
            ended = _run_worker(remaining, job, listen)
            remaining = [cell for cell in remaining if cell_id(cell) not in ended]


def _run_worker(cells: Sequence[Cell], job: Job, listen: Listener) -> set[str]:
    """Ids of the cells that came to a record before the worker ended, at least one."""
    by_id = {cell_id(cell): cell for cell in cells}
    ended: set[str] = set()
    current, since = cells[0], time.monotonic()
    kills_before = oom_kills()
    worker = child.start("bench.running.worker:main", job, tuple(cells))
    try:
        while True:
            try:
                event: Event = worker.messages.recv()
            except EOFError:
                break
            if isinstance(event, CellStarted):
                current, since = by_id[event.cell_id], time.monotonic()
            elif isinstance(event, CellEnded):
                ended.add(event.cell_id)
            listen(event)
        worker.process.join()
    except Stopped as stop:
        worker.process.kill()
        worker.process.join()
        cause = Cause("interrupted", "stopped", f"stopped by signal {stop.signal_number}")
        _record(current, cause, job, since)
        raise
    left = [cell for cell in cells if cell_id(cell) not in ended]
    lost_in_flight = left and (cell_id(current) not in ended or not ended)
    if lost_in_flight:
        cause = crash_cause(child.exit_text(worker.process.exitcode), oom_kills() > kills_before)
        _record(current, cause, job, since)
        ended.add(cell_id(current))
        listen(CellEnded(cell_id(current), cause.status, f"failed ({cause.kind}): {cause.reason}"))
    return ended


def _record(cell: Cell, cause: Cause, job: Job, since: float) -> None:
    if store.read_record(job.folder, cell_id(cell)) is None:
        record = failure(cell, cause, job, seconds=time.monotonic() - since)
        store.write_record(job.folder, record)


def crash_cause(how: str, out_of_memory: bool) -> Cause:
    """Why a worker ended in the middle of a cell."""
    if out_of_memory:
        return Cause("failed", "oom_host", f"out of memory: its process was {how}")
    return Cause("failed", "crash", f"its process was {how}; see log.txt beside the record")


def oom_kills() -> int:
    """How often the kernel ended a process of our control group for want of memory."""
    path = Path("/sys/fs/cgroup/memory.events")
    if not path.exists():
        return 0
    counts = dict(line.split() for line in path.read_text().splitlines())
    return int(counts.get("oom_kill", 0))
