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
from bench.errors import FolderError, OutOfMemory, first
from bench.folder import (
    check_there,
    is_formula,
    read_record,
    remove_records,
    set_aside,
    set_aside_damaged,
    write_run,
    write_text,
)
from bench.identity import cell_id
from bench.measure.device import Device
from bench.record import Calibration, Cell, Result, Run, Sitting
from bench.running import child
from bench.running.child import ChildCrashed
from bench.running.earlier import Row, earlier_rows, earlier_run, go_on, image_changes
from bench.running.plan import End, Images, Plan, longest_stretch, work_seconds
from bench.running.pool import CellEnded, Event, Job, Listener, Noted, now, run_cells
from bench.running.watch import Limits, time_text
from bench.suite import seconds_of, without_paths
from bench.training.context import Context


def begin(plan: Plan, folder: Path, earlier: Run | None) -> Run:
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
    if earlier is None:
        return fresh
    now_there = map(Row._make, rows(images.dataset, images.split))
    return go_on(earlier, fresh, image_changes(earlier_rows(folder), now_there))


STALL_SECONDS, STALL_TIMES = 600.0, 10
"""A cell is stuck if it is silent for longer than both: these seconds, and so many times the
longest stretch of its work that is predicted."""


class Todo(NamedTuple):
    run: Run
    done: Sequence[Cell]
    left: Sequence[Cell]
    damaged: Mapping[str, str]  # new name of each damaged record, by cell
    lost: str | None = None  # new name of a damaged run.json


def todo(folder: Path, run: Run, cells: Sequence[Cell]) -> Todo:
    """Cells without an ok record run again; their stale records are removed.

    Where run.json was lost, what records tell of the time before stands in the new one.
    Raises FolderError, also where records of other cells show that it was another run.
    """
    is_lost = earlier_run(folder) is None
    lost = None
    if is_lost and (folder / "run.json").exists():
        check_no_others(folder, cells)
        lost = set_aside(folder / "run.json")
    damaged = set_aside_damaged(folder, map(cell_id, cells))
    records = {cell: read_record(folder, cell_id(cell)) for cell in cells}
    ok = {cell: record for cell, record in records.items() if isinstance(record, Result)}
    left = [cell for cell in cells if cell not in ok]
    remove_records(folder, map(cell_id, left))
    if is_lost and ok:
        seconds = sum(record.cost.marginal.wall for record in ok.values())
        before = {"wall_seconds": seconds, "sittings": (Sitting(start=None),)}
        run = run.model_copy(update=before)
    return Todo(run, [*ok], left, damaged, lost)


def check_no_others(folder: Path, cells: Sequence[Cell]) -> None:
    known = set(map(cell_id, cells))
    found = {path.parent.name for path in (folder / "cells").glob("*/record.json")}
    if others := sorted(found - known):
        raise FolderError(
            f"{folder}: its run.json is damaged, and its records are of other cells than this "
            f"suite's ({first(others, 3)}); name the suite that it ran, or a new folder"
        )


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
        limits = limits_of(plan, left, sittings[-1].start)
        tell(limits_text(limits))
        started = time.monotonic()
        run_cells(left, job_of(folder, run, plan, made, left, limits), note)
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


def limits_of(plan: Plan, left: Sequence[Cell], start: Calibration | None) -> Limits:
    """How long a cell may be silent and may take, as the suite says or else as it is predicted."""
    table = plan.suite.run
    timeout = None if table.timeout is None else seconds_of(table.timeout)
    if table.stall is not None:
        return Limits(seconds_of(table.stall), timeout)
    if start is None or start.matmul_fp32_flops is None:
        return Limits(None, timeout)
    stretch = longest_stretch(left, plan.networks) * work_seconds(start.matmul_fp32_flops)
    return Limits(max(STALL_SECONDS, STALL_TIMES * stretch), timeout)


def limits_text(limits: Limits) -> str:
    stall = "a cell may be silent for as long as it likes: the machine was not calibrated"
    if limits.stall is not None:
        stall = f"a cell is ended after {time_text(limits.stall)} without a sign of life"
    most = f", or {time_text(limits.timeout)} in all" if limits.timeout else ""
    return stall + most


def job_of(
    folder: Path, run: Run, plan: Plan, made: Making, left: Sequence[Cell], limits: Limits
) -> Job:
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
        folder,
        context,
        hardware.machine,
        hardware.commit,
        run.source,
        suite.keep_weights,
        seeds,
        limits,
        suite.run.oom,
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
    except OutOfMemory as error:
        tell(f"calibration failed: {error.problems[0]}")
        return None
    for problem in end.problems:
        tell(f"calibration without {problem}")
    return end
