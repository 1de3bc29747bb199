"""A worker: the cells of one architecture, one after another, each record written as it ends."""

import contextlib
import faulthandler
import os
import sys
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from bench import store
from bench.running.events import CellEnded, CellStarted, EpochEnded
from bench.running.failure import cause_of
from bench.running.job import Job, failure, provenance
from bench.schema import Cell, EpochPoint, Failure, Result, cell_id, keys
from bench.training.cell import Outcome, run_cell
from bench.training.shared import Shared
from bench.training.step import prepare_device

POISONED_EXIT = 70
"""Exit code of a worker whose CUDA context is lost: a fresh one takes over the rest."""


def main(sender: Connection, job: Job, cells: tuple[Cell, ...]) -> None:
    """Run the cells in order. Whatever they print goes to their logs."""
    prepare_device(job.context.device)
    shared = Shared(job.context, cells)
    for cell in cells:
        sender.send(CellStarted(cell_id(cell)))
        with logged(store.cell_folder(job.folder, cell_id(cell)) / "log.txt"):
            record = attempt(cell, shared, job, sender)
        store.write_record(job.folder, record)
        sender.send(CellEnded(record.cell_id, record.status, summary(record)))
        if record.kind == "cuda":
            os._exit(POISONED_EXIT)


def attempt(cell: Cell, shared: Shared, job: Job, sender: Connection) -> Result | Failure:
    """The record of one cell, whatever happens to it short of the end of the process."""
    started = time.perf_counter()

    def report(point: EpochPoint, images_per_second: float) -> None:
        sender.send(EpochEnded(cell_id(cell), point, images_per_second))

    try:
        return result(cell, run_cell(cell, shared, report), job)
    except Exception as error:  # the one place where anything that goes wrong becomes a record
        traceback.print_exc()
        return failure(cell, cause_of(error), job, seconds=time.perf_counter() - started)


def result(cell: Cell, outcome: Outcome, job: Job) -> Result:
    """The record of a cell that was scored."""
    return Result(
        cell_id=cell_id(cell),
        cell=cell,
        quality=outcome.quality,
        curve=outcome.curve,
        cost=outcome.cost,
        memory=outcome.memory,
        energy=outcome.energy,
        machine=job.machine,
        execution=outcome.execution,
        keys=keys(cell, outcome.execution, job.machine),
        provenance=provenance(job),
    )


def summary(record: Result | Failure) -> str:
    """One line for the terminal."""
    if isinstance(record, Failure):
        return f"{record.status} ({record.kind}): {record.reason}"
    metric = record.cell.metric
    val, test = getattr(record.quality.val, metric), getattr(record.quality.test, metric)
    seconds = record.cost.marginal.wall
    return f"{metric} val {val:.3f}  test {test:.3f}  {seconds:.1f} s"


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """Send what this process prints, crashes of native code too, to the end of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        faulthandler.enable(file=log)
        try:
            yield
        finally:
            faulthandler.disable()
            sys.stdout.flush()
            sys.stderr.flush()
            for number, duplicate in zip((1, 2), kept, strict=True):
                os.dup2(duplicate, number)
                os.close(duplicate)
