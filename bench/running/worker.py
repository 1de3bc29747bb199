"""A worker: the cells of one architecture, one after another, each record written as it ends."""

import faulthandler
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from bench.cache import SPARE_BYTES, Tell, reason
from bench.errors import DataError, WeightsError, first_line, is_out_of_memory
from bench.folder import (
    cell_folder,
    check_there,
    disk_errors,
    read_record,
    remove_weights,
    weights_path,
    whole,
    write_record,
)
from bench.identity import cell_id, keys
from bench.record import Cell, EpochPoint, Failure, Quality, Result
from bench.running import pool
from bench.running.plan import group
from bench.training.evaluate import Diverged
from bench.training.network import num_bytes, save, whole_network
from bench.training.placement import prepare_device
from bench.training.run_cell import run_cell
from bench.training.shared import Shared, backbone_key, keys_of

Listen = Callable[[pool.Event], None]


def main(job: pool.Job, cells: tuple[Cell, ...], listen: Listen) -> None:
    """Run the cells in order. Raises FolderError where the disk does not take a record."""
    log_to(job, cells[0])
    faulthandler.enable()
    try:
        run_all(job, cells, listen)
    except Exception:
        traceback.print_exc()  # into the log
        raise


def run_all(job: pool.Job, cells: tuple[Cell, ...], listen: Listen) -> None:
    """Run the cells in order, or leave by an exit code of `pool.EXITS`."""
    prepare_device(job.context.device)
    label = cells[0].architecture_label
    shared = Shared(job.context, cells, lambda text: listen(pool.Noted(text)), job.passes)
    keeper = Keeper(job, shared, lambda text: listen(pool.Noted(f"{label}: {text}")))
    for index, cell in enumerate(cells):
        listen(pool.CellStarted(cell_id(cell)))
        log_to(job, cell)
        record = attempt(cell, shared, job, listen, keeper)
        code = pool.EXITS.get(record.kind) if record.kind else None
        if code and may_run_again(cell, cells[index:], record, shared, job):
            os._exit(code)  # without a record
        shared.release(cell)
        write_record(job.folder, record)
        if isinstance(record, Result):
            keeper.drop_beaten_by(record)
        listen(pool.CellEnded(record.cell_id, record.status, pool.summary(record)))
        if record.kind == "cuda":
            os._exit(pool.EXITS["cuda"])


def may_run_again(
    cell: Cell, left: Sequence[Cell], record: Result | Failure, shared: Shared, job: pool.Job
) -> bool:
    """Whether the cell is tried alone, after its seeds failed together, or in smaller passes."""
    together = shared.made(keys_of(cell).heads) is None or record.kind == "cuda"
    if together and len(group(left, cell)) > 1:
        return True
    is_memory = record.kind in ("oom_gpu", "oom_host")
    return is_memory and job.oom == "halve" and pool.halved(cell, job.passes) is not None


def attempt(
    cell: Cell, shared: Shared, job: pool.Job, listen: Listen, keeper: "Keeper"
) -> Result | Failure:
    started = time.perf_counter()

    def report(point: EpochPoint, images_per_second: float) -> None:
        listen(pool.EpochEnded(cell_id(cell), point, images_per_second))

    try:
        outcome = run_cell(cell, shared, report, partial(keeper.keep, cell))
        return Result(
            cell_id=cell_id(cell),
            cell=cell,
            **outcome._asdict(),
            machine=job.machine,
            keys=keys(cell, outcome.execution, job.machine),
            provenance=pool.provenance(job),
        )
    except Exception as error:  # the one place where anything that goes wrong becomes a record
        traceback.print_exc()
        return pool.failure(cell, cause_of(error), job, seconds=time.perf_counter() - started)


def log_to(job: pool.Job, cell: Cell) -> None:
    """Append what this process and its native code print to the cell's log. Raises FolderError."""
    path = cell_folder(job.folder, cell_id(cell)) / "log.txt"
    sys.stdout.flush()
    sys.stderr.flush()
    check_there(job.folder)
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)


POISONED = ("CUDA error", "device-side assert", "cuDNN error", "CUBLAS_STATUS")
"""After any of these the CUDA context of the process may be unusable."""


def cause_of(error: Exception) -> pool.Cause:
    reason = first_line(error)[:300]
    match error:
        case Diverged():
            return pool.Cause("diverged", "training", reason)
        case DataError():
            return pool.Cause("failed", "data", reason)
        case WeightsError():
            return pool.Cause("failed", "weights", reason)
        case torch.OutOfMemoryError():
            return pool.Cause("failed", "oom_gpu", f"out of GPU memory: {reason}")
        case RuntimeError() if "ALLOC_FAILED" in str(error):  # of cuBLAS or cuDNN
            return pool.Cause("failed", "oom_gpu", f"out of GPU memory: {reason}")
        case _ if is_out_of_memory(error):
            return pool.Cause("failed", "oom_host", f"out of memory: {reason}")
        case RuntimeError() if any(mark in str(error) for mark in POISONED):
            return pool.Cause("failed", "cuda", reason)
    return pool.Cause("failed", "training", f"{type(error).__name__}: {reason}")


class Keeper:
    """Keeps the weights of one worker's cells as the suite asks; says once where it cannot.

    A file is on the disk before the record is: a cell with a record is never run again, so weights
    that came later could be lost for good. That they cannot be kept costs no cell its record.
    """

    def __init__(self, job: pool.Job, shared: Shared, tell: Tell) -> None:
        self._job, self._shared, self._tell = job, shared, tell
        self._told = False

    def keep(self, cell: Cell, quality: Quality, module: nn.Module) -> None:
        try:
            if self._wants(cell, quality):
                self._write(cell, module)
        except Exception as error:  # whatever it is, the cell was scored
            traceback.print_exc()
            if not self._told:
                name, why = f"{cell.strategy} s{cell.seed}", reason(error).splitlines()[0]
                self._tell(f"the weights of {name} are not kept: {why}")
            self._told = True

    def drop_beaten_by(self, record: Result) -> None:
        """Take away the weights of the seeds that this one beats; its record is on the disk.

        Raises FolderError.
        """
        few = self._job.keep_weights in ("winner", "best")
        if few and self._wants(record.cell, record.quality):
            with disk_errors(self._job.folder):
                for seed in self._job.seeds[record.cell.strategy]:
                    if seed != record.cell.seed:
                        other = cell_id(with_seed(record.cell, seed))
                        remove_weights(self._job.folder, other)

    def _wants(self, cell: Cell, quality: Quality) -> bool:
        if self._job.keep_weights in ("all", "none"):
            return self._job.keep_weights == "all"
        scores = {}
        for seed in self._job.seeds[cell.strategy]:
            if seed == cell.seed:
                scores[seed] = getattr(quality.val, cell.metric)
                continue
            record = read_record(self._job.folder, cell_id(with_seed(cell, seed)))
            if isinstance(record, Result):
                scores[seed] = getattr(record.quality.val, cell.metric)
        return max(scores, key=scores.__getitem__) == cell.seed  # of equals the first

    def _write(self, cell: Cell, module: nn.Module) -> None:
        path = weights_path(self._job.folder, cell_id(cell))
        need = num_bytes(self._shared.outline(cell))
        free = shutil.disk_usage(self._job.folder).free
        if need + SPARE_BYTES > free:  # records and the report come first
            need, free, spare = (round(size / 1e6) for size in (need, free, SPARE_BYTES))
            raise OSError(f"they need {need} MB; {free} MB are free, {spare} of them for records")
        with whole(path) as temporary:
            backbone = self._shared.made(backbone_key(cell))
            save(temporary, cell, whole_network(cell, module, backbone))


def with_seed(cell: Cell, seed: int) -> Cell:
    return cell.model_copy(update={"seed": seed})
