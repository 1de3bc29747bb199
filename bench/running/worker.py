"""A worker: the cells of one architecture, one after another, each record written as it ends."""

import faulthandler
import os
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from bench.errors import FolderError
from bench.folder import cell_folder, disk_errors, write_record
from bench.identity import cell_id, keys
from bench.record import Cell, EpochPoint, Failure, Result
from bench.running.events import CellEnded, CellStarted, EpochEnded, Noted
from bench.running.failure import cause_of
from bench.running.job import MEMORY_EXIT, POISONED_EXIT, Job, failure, provenance, summary
from bench.running.keeping import Keeper
from bench.running.plan import group
from bench.training.cell import Outcome, run_cell
from bench.training.placement import prepare_device
from bench.training.shared import Shared

EXITS = {"cuda": POISONED_EXIT, "oom_gpu": MEMORY_EXIT, "oom_host": MEMORY_EXIT}
"""Exit codes by the kinds of failure that several seeds together may have, and each alone not."""


def main(sender: Connection, job: Job, cells: tuple[Cell, ...]) -> None:
    """Run the cells in order; stop where the disk does not take a record."""
    try:
        log_to(log_of(job, cells[0]))
        faulthandler.enable()
        prepare_device(job.context.device)
        label = cells[0].architecture_label

        def tell(text: str) -> None:
            sender.send(Noted(text))

        def tell_of(text: str) -> None:
            tell(f"{label}: {text}")

        shared = Shared(job.context, cells, tell)
        keeper = Keeper(job, shared, tell_of)
        for index, cell in enumerate(cells):
            sender.send(CellStarted(cell_id(cell)))
            log_to(log_of(job, cell))
            record = attempt(cell, shared, job, sender, keeper)
            code = exit_code(record, cell, shared)
            if code and len(group(cells[index:], cell)) > 1:
                os._exit(code)  # without a record: its seeds are run once more
            shared.release(cell)
            write_record(job.folder, record)
            if isinstance(record, Result):
                keeper.drop_beaten_by(record)
            sender.send(CellEnded(record.cell_id, record.status, summary(record)))
            if record.kind == "cuda":
                os._exit(POISONED_EXIT)
    except FolderError as error:
        sender.send(error)


def exit_code(record: Result | Failure, cell: Cell, shared: Shared) -> int | None:
    """By which a worker ends whose seeds may have failed together and not alone; None otherwise."""
    is_own = shared.has_heads(cell) and record.kind != "cuda"
    return None if is_own else EXITS.get(record.kind or "")


def log_of(job: Job, cell: Cell) -> Path:
    """Where what happens during one cell is written."""
    return cell_folder(job.folder, cell_id(cell)) / "log.txt"


def attempt(
    cell: Cell, shared: Shared, job: Job, sender: Connection, keeper: Keeper
) -> Result | Failure:
    """The record of one cell, whatever happens to it short of the end of the process."""
    started = time.perf_counter()

    def report(point: EpochPoint, images_per_second: float) -> None:
        sender.send(EpochEnded(cell_id(cell), point, images_per_second))

    try:
        return result(cell, run_cell(cell, shared, report, keeper.of(cell)), job)
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


def log_to(path: Path) -> None:
    """From now on, what this process and its native code print lands at the end of the file.

    Raises FolderError.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
