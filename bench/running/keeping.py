"""Which trained weights of a run are kept: a file beside the record, whole or absent.

A file is on the disk before the record is: a cell with a record is never run again, so weights
that came later could be lost for good. That they cannot be kept costs no cell its record.
"""

import shutil
import traceback

from torch import nn

from bench.cache import SPARE_BYTES, Tell, reason
from bench.folder import disk_errors, read_record, remove_weights, weights_path, whole
from bench.identity import cell_id
from bench.record import Cell, Quality, Result
from bench.running.job import Job
from bench.training.cell import Keep
from bench.training.shared import Shared
from bench.training.trained import save, trained_bytes


class Keeper:
    """Keeps the weights of one worker's cells as the suite asks; says once where it cannot."""

    def __init__(self, job: Job, shared: Shared, tell: Tell) -> None:
        self._job, self._shared, self._tell = job, shared, tell
        self._told = False

    def of(self, cell: Cell) -> Keep:
        """What is to be done with the network of a cell."""

        def keep(quality: Quality, module: nn.Module) -> None:
            try:
                if self._wants(cell, quality):
                    self._write(cell, module)
            except Exception as error:  # whatever it is, the cell was scored
                traceback.print_exc()
                if not self._told:
                    name, why = f"{cell.strategy} s{cell.seed}", reason(error).splitlines()[0]
                    self._tell(f"the weights of {name} are not kept: {why}")
                self._told = True

        return keep

    def drop_beaten_by(self, record: Result) -> None:
        """Take away the weights of the seeds that this one beats; its record is on the disk.

        Raises FolderError.
        """
        if self._job.keep_weights == "winner" and self._wants(record.cell, record.quality):
            with disk_errors(self._job.folder):
                for seed in self._job.seeds:
                    if seed != record.cell.seed:
                        other = cell_id(with_seed(record.cell, seed))
                        remove_weights(self._job.folder, other)

    def _wants(self, cell: Cell, quality: Quality) -> bool:
        if self._job.keep_weights != "winner":
            return self._job.keep_weights == "all"
        scores = {}
        for seed in self._job.seeds:
            known = quality if seed == cell.seed else self._recorded(with_seed(cell, seed))
            if known is not None:
                scores[seed] = getattr(known.val, cell.metric)
        return max(scores, key=scores.__getitem__) == cell.seed  # of equals the first

    def _recorded(self, cell: Cell) -> Quality | None:
        record = read_record(self._job.folder, cell_id(cell))
        return record.quality if isinstance(record, Result) else None

    def _write(self, cell: Cell, module: nn.Module) -> None:
        path = weights_path(self._job.folder, cell_id(cell))
        need = trained_bytes(cell, self._shared.outline(cell))
        free = shutil.disk_usage(self._job.folder).free
        if need + SPARE_BYTES > free:  # records and the report come first
            need, free, spare = (round(size / 1e6) for size in (need, free, SPARE_BYTES))
            raise OSError(f"they need {need} MB; {free} MB are free, {spare} of them for records")
        with whole(path) as temporary:
            save(temporary, cell, self._shared, module)


def with_seed(cell: Cell, seed: int) -> Cell:
    """The same cell with another seed."""
    return cell.model_copy(update={"seed": seed})
