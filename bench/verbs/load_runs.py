"""What verbs read from run folders: a trained network, records to report on."""

import difflib
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.analysis.choice import summarise
from bench.analysis.merge import NamedRun, merge
from bench.analysis.table import read
from bench.errors import FolderError, InputError, NotOneTask
from bench.folder import read_records, read_run, read_thumbnails, weights_path
from bench.record import Failure, Result, Run
from bench.report import units
from bench.report.context import Report
from bench.report.sentences import sources
from bench.serving.messages import Trained

# ---- records to report on -------------------------------------------------------------------


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage: among millions of values of records it takes long, and finds none."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def gather(folders: Sequence[Path]) -> Report:
    """The records of run folders, as one run, and what they say.

    Raises FolderError where a folder holds no run or what does not belong to it, NotOneTask where
    the runs are not of one task.
    """
    called = zip(names(folders), folders, strict=True)
    parts = [NamedRun(name, read(folder)) for name, folder in called]
    try:
        merged = merge(parts)
    except NotOneTask:
        raise
    except ValueError as error:  # records that fit their own run, but not another's
        raise FolderError(f"{' and '.join(map(str, folders))}: {error}") from error
    thumbnails = [read_thumbnails(one) for one in folders]
    return Report(
        table=merged.table,
        summary=summarise(merged.table),
        notes=sources(parts, merged),
        repeated=merged.repeated,
        thumbnails={index: jpeg for found in thumbnails[::-1] for index, jpeg in found.items()},
    )


def names(folders: Sequence[Path]) -> list[str]:
    """Each folder by as few of its last names as tell it from the others; no absolute path."""
    parts = [folder.resolve().parts for folder in folders]
    lengths = range(1, max(map(len, parts)) + 1)
    told = (["/".join(one[-length:]) for one in parts] for length in lengths)
    return next(found for found in told if len(set(found)) == len(parts))


# ---- a trained network ----------------------------------------------------------------------


NAMED = 5
"""Cells that are named as those that could be asked for."""


def trained_cell(
    folder: Path, cell_id: str | None, weights: Path | None, *, offline: bool
) -> Trained:
    """The network of a cell, by default of the one that the run chose.

    Raises FolderError where there is no run, InputError where it has no such network.
    """
    run, records = read_run(folder), read_records(folder)
    record = ok_record(folder, run, records, cell_id)
    path = weights_path(folder, record.cell_id)
    if not path.is_file():
        raise InputError(not_kept(folder, run, record.cell_id))
    pipeline = run.preprocessing[record.cell.architecture_label]
    return Trained(record, pipeline, path, backbone_folders(run, weights), offline)


def ok_record(
    folder: Path, run: Run, records: Sequence[Result | Failure], cell_id: str | None
) -> Result:
    """The record of the cell. Raises InputError where there is none, or it is not ok."""
    ok = {record.cell_id: record for record in records if isinstance(record, Result)}
    named = f"ok are: {units.first(list(ok), NAMED) or 'none'}"
    if cell_id is None and (cell_id := summarise(read(folder)).chosen) is None:
        why = "no architecture under any strategy has an ok record for every seed"
        raise InputError([f"{folder}: no cell was chosen: {why}", f"name one with --cell; {named}"])
    if cell_id in ok:
        return ok[cell_id]
    if failed := next((record for record in records if record.cell_id == cell_id), None):
        why = f"is {failed.status} ({failed.kind}): {failed.reason}"
    elif cell_id in run.cells:
        why = "has no record yet, or a damaged one"
    else:
        near = difflib.get_close_matches(cell_id, run.cells, n=2)
        why = "no cell of this run" + (f" – did you mean {' or '.join(near)}?" if near else "")
    raise InputError([f"--cell {cell_id}: {why}", named])


def not_kept(folder: Path, run: Run, cell_id: str) -> list[str]:
    kept = [one for one in run.cells if weights_path(folder, one).is_file()]
    return [
        f"{folder}: the weights of {cell_id} were not kept (the suite has "
        f'keep_weights = "{run.suite.keep_weights}")',
        f"kept are those of: {units.first(kept, NAMED) or 'none'}",
        'set keep_weights = "winner" or "all" in the suite, and run it into a new folder',
    ]


def backbone_folders(run: Run, weights: Path | None) -> tuple[Path, ...]:
    """Where a backbone of one's own may lie: as said, or else as run.json shows it.

    Its hash decides whether it is the one.
    """
    if weights is not None:
        return (weights,)
    shown = run.source.used
    return (Path(os.path.expandvars(shown)).expanduser(),) if "/" in shown else ()
