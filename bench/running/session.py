"""One sitting of a run: every cell that has no good record yet, trained into the run folder.

Up to `begin` nothing is written; `train` fills the folder.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from bench.cache import Tell
from bench.data.decoded import Making, stored
from bench.data.split import duplicates, rows
from bench.errors import FolderError, InputError, first
from bench.folder import (
    check_there,
    check_usable,
    is_formula,
    read_record,
    read_run,
    remove_records,
    set_aside_damaged,
    write_run,
    write_text,
)
from bench.identity import cell_id, differences, flat, slug
from bench.measure.device import Device
from bench.record import Cell, Result, Run, Sitting
from bench.running import child
from bench.running.child import ChildCrashed
from bench.running.plan import End, Images, Plan
from bench.running.pool import CellEnded, Event, Job, Listener, Noted, now, run_cells
from bench.suite import without_paths
from bench.training.context import Context


def earlier_run(folder: Path) -> Run | None:
    """The run that the folder holds already, or None. Raises FolderError."""
    check_usable(folder)
    return read_run(folder) if (folder / "run.json").exists() else None


def newest_stopped(results: Path, suite_name: str, folder: Path | None) -> Path:
    """The newest run of a suite below the results that did not end. Raises InputError.

    A folder that was named as well is one too many.
    """
    if folder is not None:
        raise InputError([f"--resume and --out {folder}: name one of them"])
    found = sorted((results / slug(suite_name)).glob("*/run.json"), reverse=True)
    for path in found:
        with suppress(FolderError):
            if read_run(path.parent).status != "finished":
                return path.parent
    raise InputError([f"--resume: no run of {suite_name} below {results} was stopped"])


def begin(plan: Plan, earlier: Run | None) -> Run:
    """The run to train: a new one, or the earlier one that is continued. Raises FolderError."""
    suite, images, source = plan.suite, plan.images, plan.chosen.source
    fresh = Run(
        suite_name=suite.name,
        suite=without_paths(suite, images.dataset.name, source.wanted),
        profile=plan.hardware.device.profile,
        machine=plan.hardware.machine,
        data=images.data,
        data_notes=images.dataset.notes,
        duplicates=duplicates(images.dataset, images.split),
        source=source,
        preprocessing=plan.preprocessing,
        pretrained_on=dict(plan.chosen.pretrained_on),
        cells=tuple(cell_id(cell) for cell in plan.cells),
        status="running",
        started_at=now(),
    )
    return fresh if earlier is None else go_on(earlier, fresh)


TASK = {
    "profile": "the device profile",
    "suite": "the suite",
    "data": "the images or their split",
    "protocol_version": "bench's protocol",
    "cells": "the weights or a default",
}
"""Fields of run.json that both sittings must agree on."""


def go_on(earlier: Run, fresh: Run) -> Run:
    """The earlier run, to be continued. Raises FolderError where it was another task."""
    # Of the list of weights, a run keeps what it found first.
    fresh_suite = fresh.suite.model_copy(update={"weights": earlier.suite.weights})
    # Keys that change no cell: the later sitting's count.
    wanted_now = {"keep_weights": fresh_suite.keep_weights, "compare": fresh_suite.compare}
    suite = earlier.suite.model_copy(update=wanted_now)
    continued = earlier.model_copy(update={"suite": suite})
    then, asked = (
        run.model_dump(include=set(TASK))
        for run in (continued, fresh.model_copy(update={"suite": fresh_suite}))
    )
    for field, name in TASK.items():
        if changes := differences(flat(field, then[field]), flat(field, asked[field])):
            texts = first([str(change) for change in changes], 3, ";")
            raise FolderError(
                f"--out: the run in this folder was another task: {name} changed since "
                f"({texts}); name a new folder"
            )
    return continued


class Todo(NamedTuple):
    done: Sequence[Cell]
    left: Sequence[Cell]
    damaged: Mapping[str, str]  # new name of each damaged record, by cell


def todo(folder: Path, cells: Sequence[Cell]) -> Todo:
    """Cells without an ok record run again; their stale records are removed."""
    damaged = set_aside_damaged(folder, map(cell_id, cells))
    is_ok = {cell: isinstance(read_record(folder, cell_id(cell)), Result) for cell in cells}
    left = [cell for cell in cells if not is_ok[cell]]
    remove_records(folder, map(cell_id, left))
    return Todo([cell for cell in cells if is_ok[cell]], left, damaged)


def train(
    folder: Path, run: Run, plan: Plan, made: Making, left: Sequence[Cell], listen: Listener
) -> Run:
    """Run the cells that are left, and return the finished run. The folder must be locked."""
    device, sittings = plan.hardware.device, run.sittings

    def tell(text: str) -> None:
        listen(Noted(text))

    def write(status: str, seconds: float, finished_at: str | None = None) -> Run:
        check_there(folder)
        update = {"status": status, "finished_at": finished_at, "sittings": sittings}
        known = run.model_copy(update={**update, "wall_seconds": run.wall_seconds + seconds})
        write_run(folder, known)
        return known

    def note(event: Event) -> None:
        if isinstance(event, CellEnded):  # so that a sitting that is killed still counts its time
            write("running", time.monotonic() - started)
        listen(event)

    started = time.monotonic()
    try:
        write_text(folder / "split.csv", split_csv(plan.images))
        write("running", 0.0)
        if not left:
            return write("finished", 0.0, now())
        sittings = (*sittings, begun(device, tell))
        write("running", 0.0)
        started = time.monotonic()
        run_cells(left, job_of(folder, run, plan, made, left), note)
        seconds = time.monotonic() - started
        sittings = (*sittings[:-1], ended(sittings[-1], device, tell))
    except BaseException:
        with suppress(FolderError):  # the one that is raised tells more
            write("interrupted", time.monotonic() - started, now())
        raise
    return write("finished", seconds, now())


def split_csv(images: Images) -> str:
    """The parts as a file that a spreadsheet runs nothing of; `./` leaves a path as it is."""
    safe = [
        (f"./{key}" if is_formula(key) else key, f"'{name}" if is_formula(name) else name, *others)
        for key, name, *others in rows(images.dataset, images.split)
    ]
    frame = pd.DataFrame(safe, columns=["image", "class", "part", "sha256"])
    return frame.to_csv(index=False, lineterminator="\n")


def job_of(folder: Path, run: Run, plan: Plan, made: Making, left: Sequence[Cell]) -> Job:
    suite, hardware = plan.suite, plan.hardware
    seeds = {strategy.name: suite.seeds_for(strategy) for strategy in suite.strategies}
    context = Context(
        hardware.device,
        plan.images.dataset,
        plan.images.split,
        plan.chosen.files,
        plan.chosen.pipelines,
        reuse_features=plan.reuse_features,
        images=stored(made, Counter(map(plan.resize, left))),
    )
    return Job(
        folder, context, hardware.machine, hardware.commit, run.source, suite.keep_weights, seeds
    )


# Calibration: before the first cell and after the last, in a child each time. No cell runs
# meanwhile, and its time counts neither for a cell nor for the run. If it fails, the run goes on.


def begun(device: Device, tell: Tell) -> Sitting:
    end = _measured(device, None, tell)
    if end is None:
        return Sitting(start=None)
    foreign = end.foreign_gpu_processes
    return Sitting(
        start=end.calibration, load=end.load, foreign_gpu_processes=foreign, before=end.readings
    )


def ended(sitting: Sitting, device: Device, tell: Tell) -> Sitting:
    if sitting.start is None:
        return sitting
    end = _measured(device, sitting.start.sizes, tell)
    return sitting if end is None else completed(sitting, end)


def completed(sitting: Sitting, end: End) -> Sitting:
    counts = (sitting.foreign_gpu_processes, end.foreign_gpu_processes)
    most = max((n for n in counts if n is not None), default=None)
    update = {"end": end.calibration, "after": end.readings, "foreign_gpu_processes": most}
    return sitting.model_copy(update=update)


def _measured(device: Device, sizes: Mapping[str, int] | None, tell: Tell) -> End | None:
    try:
        end: End = child.call("bench.running.examine:measure", device, sizes)
    except ChildCrashed as error:
        tell(f"calibration failed: its process {error.how}")
        return None
    for problem in end.problems:
        tell(f"calibration without {problem}")
    return end
