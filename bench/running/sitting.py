"""One sitting of a run: everything found out first, then every cell that has no good record.

Up to `assign` and `begin` nothing is written; `train` fills the run folder.
"""

import csv
import io
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.data import sources
from bench.data.dataset import Dataset
from bench.data.decoded import Making, Resize, missing_bytes, resize_of, stored
from bench.data.split import Split, duplicates, make_split, rows
from bench.errors import Problem, Stopped, SuiteError
from bench.expand import Facts, cells, needs_weights, size_problems
from bench.folder import (
    Damaged,
    check_usable,
    read_record,
    read_run,
    remove_records,
    set_aside_damaged,
    write_run,
    write_text,
)
from bench.identity import cell_id
from bench.measure.hardware import usable_cores
from bench.record import Cell, Data, Preprocessing, Result, Run
from bench.running import child, ends, plan
from bench.running.events import CellEnded, Event, Noted
from bench.running.findings import Hardware, Prepared, Speed, Wanted
from bench.running.job import Job, now
from bench.running.local import Listener, run_cells
from bench.running.resume import go_on
from bench.suite import Suite, labels_of, without_paths
from bench.training.context import Context


class Images(NamedTuple):
    """The images of a suite, split."""

    dataset: Dataset
    split: Split
    data: Data


class Assignment(NamedTuple):
    """Everything that is decided before the first cell trains."""

    suite: Suite
    hardware: Hardware
    images: Images
    prepared: Prepared
    pipelines: Mapping[tuple[str, int], Preprocessing]  # by architecture label and image size
    macs: Mapping[plan.Sizes, int]
    cells: Sequence[Cell]
    reuse_features: bool = False  # of frozen backbones, from run to run

    @property
    def preprocessing(self) -> dict[str, Preprocessing]:
        """The eval pipeline of each architecture, at the size of its first cell."""
        first: dict[str, Preprocessing] = {}
        for (label, _size), pipeline in self.pipelines.items():
            first.setdefault(label, pipeline)
        return first

    def resize(self, cell: Cell) -> Resize:
        """How the squares are made that the cell uses."""
        return resize_of(self.pipelines[cell.architecture_label, cell.image_size])

    @property
    def resizes(self) -> set[Resize]:
        """All that the suite asks for."""
        return {self.resize(cell) for cell in self.cells}


# ---- finding out ----------------------------------------------------------------------------


def find_hardware(asked: str) -> Hardware:
    """The device that --device names, and the machine. Raises DeviceError."""
    hardware: Hardware = child.call("bench.running.preflight:find_hardware", asked)
    return hardware


def open_images(suite: Suite) -> Images:
    """Scan and split the images. Raises DataError with every problem that needs no decoding."""
    table = suite.dataset
    dataset = sources.scan(table.source)
    defaults = sources.source_of(table.source)
    split = make_split(
        dataset,
        _said(table.train_per_class, defaults.train_per_class),
        _said(table.val_per_class, defaults.val_per_class),
        table.split_seed,
    )
    data = Data(
        name=dataset.name,
        classes=dataset.classes,
        content_sha256=dataset.content_sha256,
        split_sha256=split.sha256,
        num_train=len(split.train),
        num_val=len(split.val),
        num_test=len(split.test),
    )
    return Images(dataset, split, data)


def _said(said: int | None, default: int | None) -> int | None:
    return default if said is None else said


def check_images(images: Images) -> float:
    """Decode every image and keep nothing; the seconds it took. Raises DataError."""
    before = time.monotonic()
    sources.check_images(images.dataset, usable_cores())
    return time.monotonic() - before


def decode_images(assignment: Assignment, tell: Callable[[str | int], None]) -> Making:
    """Every image decoded into the cache, if it is not there. Raises DataError.

    `tell` hears lines to say, and how many images are decoded.
    """
    images, device = assignment.images, assignment.hardware.device
    made: Making = child.call(
        "bench.data.decoded:make", images.dataset, assignment.resizes, device, listen=tell
    )
    return made


def cache_bytes(assignment: Assignment) -> int:
    """What decoding the images will add to the cache."""
    return missing_bytes(assignment.images.dataset, assignment.resizes)


def wanted_weights(suite: Suite, *, offline: bool, pinned_source: str | None) -> Wanted:
    """What the suite asks of the weights."""
    requests = {label: (entry.name, entry.weights) for label, entry in labels_of(suite).items()}
    return Wanted(requests, suite.weights, pinned_source, needs_weights(suite), offline)


def fetch_weights(wanted: Wanted) -> Prepared:
    """The weights with every file on this machine. Raises WeightsError."""
    prepared: Prepared = child.call("bench.running.preflight:fetch_weights", wanted)
    return prepared


def survey_weights(wanted: Wanted) -> Prepared:
    """The same without fetching anything."""
    prepared: Prepared = child.call("bench.running.preflight:survey_weights", wanted)
    return prepared


def assign(
    suite: Suite, place: str, hardware: Hardware, images: Images, prepared: Prepared
) -> Assignment:
    """The cells of the suite, resolved. Raises SuiteError where a size does not fit a network."""
    facts = Facts(images.data, images.dataset.photographs, prepared.weights, prepared.native_size)
    found = cells(suite, facts)
    if problems := [*size_problems(found), *same_ids(found)]:
        raise SuiteError(place, problems)
    sizes = sorted({plan.sizes_of(cell) for cell in found})
    macs: Mapping[plan.Sizes, int] = child.call(
        "bench.running.preflight:forward_macs", sizes, len(images.data.classes)
    )
    pipelines: Mapping[tuple[str, int], Preprocessing] = child.call(
        "bench.running.preflight:pipelines", found, prepared
    )
    return Assignment(suite, hardware, images, prepared, pipelines, macs, found)


def same_ids(found: Sequence[Cell]) -> list[Problem]:
    """Cells that no name tells apart."""
    twice = [name for name, count in Counter(map(cell_id, found)).items() if count > 1]
    return [Problem("", f"two cells would both be {name}: rename one") for name in twice]


def weights_bytes(assignment: Assignment) -> int:
    """What trained weights will take on the disk while the suite runs, at the most."""
    sizes: Sequence[int] = child.call("bench.running.preflight:trained_sizes", assignment.cells)
    return plan.weights_bytes(assignment.cells, sizes, assignment.suite.keep_weights)


def predicted_seconds(assignment: Assignment, decoding_seconds: float) -> float:
    """Wall time of the run, from a few real steps of each architecture on this device.

    `decoding_seconds` is the time to decode every image, where the cache does not have them.
    """
    speeds: Mapping[plan.Sizes, Speed] = child.call(
        "bench.running.preflight:measure_speeds", assignment.cells, assignment.hardware.device
    )
    decoding = decoding_seconds if cache_bytes(assignment) else 0.0
    return plan.seconds(assignment.cells, speeds) + decoding


# ---- the run folder -------------------------------------------------------------------------


def earlier_run(folder: Path) -> Run | None:
    """The run that the folder holds already, or None. Raises FolderError."""
    check_usable(folder)
    return read_run(folder) if (folder / "run.json").exists() else None


def begin(assignment: Assignment, earlier: Run | None) -> Run:
    """run.json of this sitting. Raises FolderError where the earlier run was another task."""
    fresh = new_run(assignment)
    return fresh if earlier is None else go_on(earlier, fresh)


def new_run(assignment: Assignment) -> Run:
    """run.json of a run that starts now."""
    suite, images, prepared = assignment.suite, assignment.images, assignment.prepared
    return Run(
        suite_name=suite.name,
        suite=without_paths(suite, images.dataset.name, prepared.source.wanted),
        profile=assignment.hardware.device.profile,
        machine=assignment.hardware.machine,
        data=images.data,
        data_notes=images.dataset.notes,
        duplicates=duplicates(images.dataset, images.split),
        source=prepared.source,
        preprocessing=assignment.preprocessing,
        cells=tuple(cell_id(cell) for cell in assignment.cells),
        status="running",
        started_at=now(),
    )


def write_split(folder: Path, images: Images) -> None:
    """split.csv: which image is in which part."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "class", "part", "sha256"))
    writer.writerows(rows(images.dataset, images.split))
    write_text(folder / "split.csv", text.getvalue())


# ---- training -------------------------------------------------------------------------------


class Todo(NamedTuple):
    """Which cells have a good record already, and which run now."""

    done: Sequence[Cell]
    left: Sequence[Cell]
    damaged: Sequence[Damaged]


def todo(folder: Path, assignment: Assignment) -> Todo:
    """Cells without an ok record run again; their stale records are taken away."""
    damaged = set_aside_damaged(folder, (cell_id(cell) for cell in assignment.cells))
    done: list[Cell] = []
    left: list[Cell] = []
    for cell in assignment.cells:
        record = read_record(folder, cell_id(cell))
        (done if isinstance(record, Result) else left).append(cell)
    remove_records(folder, (cell_id(cell) for cell in left))
    return Todo(done, left, damaged)


def train(
    folder: Path,
    run: Run,
    assignment: Assignment,
    made: Making,
    left: Sequence[Cell],
    listen: Listener,
) -> Run:
    """Run the cells that are left, and return the finished run. The folder must be locked."""
    images, prepared = assignment.images, assignment.prepared
    context = Context(
        assignment.hardware.device,
        images.dataset,
        images.split,
        prepared.files,
        prepared.pipelines,
        reuse_features=assignment.reuse_features,
        images=stored(made, Counter(map(assignment.resize, left))),
    )
    device, sittings = assignment.hardware.device, run.sittings

    def tell(text: str) -> None:
        listen(Noted(text))

    def write(status: str, finished_at: str | None, seconds: float) -> Run:
        update = {"status": status, "finished_at": finished_at, "sittings": sittings}
        now_known = run.model_copy(update={**update, "wall_seconds": run.wall_seconds + seconds})
        write_run(folder, now_known)
        return now_known

    def note(event: Event) -> None:
        if isinstance(event, CellEnded):
            # So that a sitting that is killed still counts its time.
            write("running", None, time.monotonic() - started)
        listen(event)

    write_split(folder, images)
    write("running", None, 0.0)
    started = time.monotonic()
    try:
        if left:
            sittings = (*sittings, ends.begun(device, tell))
            write("running", None, 0.0)
            started = time.monotonic()
        run_cells(left, job_of(folder, run, assignment, context), note)
        seconds = time.monotonic() - started
        if left:
            sittings = (*sittings[:-1], ends.ended(sittings[-1], device, tell))
    except Stopped:
        write("interrupted", now(), time.monotonic() - started)
        raise
    return write("finished", now(), seconds)


def job_of(folder: Path, run: Run, assignment: Assignment, context: Context) -> Job:
    """What every worker of this sitting is given."""
    suite, hardware = assignment.suite, assignment.hardware
    return Job(
        folder,
        context,
        hardware.machine,
        hardware.commit,
        run.source,
        suite.keep_weights,
        tuple(suite.seeds),
    )
