"""One run as one table: a row for each cell that its suite asks for, with its scores and costs.

`read` takes a run folder, `table` a run and its records. A record that contradicts itself is none
(`bench.damage`); what contradicts the run or another record is refused here, so nothing that reads
a table has to look again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from bench import identity
from bench.analysis import consistency
from bench.analysis.consistency import Contradiction, images, score_of
from bench.analysis.stability import unstable
from bench.errors import FolderError
from bench.folder import cell_folder, read_records, read_run
from bench.identity import BUCKETS, OF_GPU, ONCE, leaves
from bench.predictions import Unpacked, pack_bits, pack_column, unpack, unpack_bits, unpack_column
from bench.record import (
    Calibration,
    Cell,
    Execution,
    Failure,
    Machine,
    Memory,
    Part,
    Predictions,
    Record,
    Result,
    Run,
    Scores,
    Value,
)
from bench.suite import CompareTable

Facts = dict[str, Any]
"""Values by dotted path: see `bench.identity.BUCKETS`."""


class Meaning(NamedTuple):
    """What a column of `cells` holds; unknown is None, in the frame NaN for a number."""

    unit: str  # "" for text
    path: str  # in record.json; "" where it is worked out from several fields
    about: str


COLUMNS: Mapping[str, Meaning] = {
    "architecture": Meaning("", "cell.architecture_label", "label, unique in the suite"),
    "strategy": Meaning("", "cell.strategy", "name in the suite"),
    "seed": Meaning("integer", "cell.seed", "seed of the training"),
    "status": Meaning("", "status", "ok, failed, diverged, timeout, interrupted, or missing"),
    "kind": Meaning("", "kind", "kind of failure"),
    "reason": Meaning("", "reason", "why it failed"),
    "val_score": Meaning("share", "quality.val.METRIC", "the suite's metric on val"),
    "test_score": Meaning("share", "quality.test.METRIC", "the suite's metric on test"),
    "train_seconds": Meaning("s", "cost.attributed.train", "training, as if the cell ran alone"),
    "wall_seconds": Meaning("s", "cost.attributed.wall", "all of the cell, as if it ran alone"),
    "peak_memory_bytes": Meaning("byte", "", "GPU: allocated; CPU: RSS above the cell's start"),
    "latency_seconds": Meaning("s", "cost.latency.batch1_p50_seconds", "one image, median"),
    "images_per_second": Meaning("1/s", "cost.images_per_second.median", "training, per epoch"),
    "total_parameters": Meaning("count", "cost.total_parameters", "trained or not"),
    "trainable_parameters": Meaning("count", "cost.trainable_parameters", "in the last phase"),
    "trainable_share": Meaning("share", "cost.trainable_share", "of all, in the last phase"),
    "forward_macs": Meaning("count", "cost.forward_macs", "multiply-accumulates for one image"),
    "features": Meaning("", "cost.features", "of the frozen backbone: computed, reused, or none"),
    "shared_by": Meaning("count", "cost.shared_by", "cells that divided the largest shared work"),
    "trains_all": Meaning("bool", "cost.phases", "every phase trains every parameter"),
    "whole_costs": Meaning("bool", "", "a new run would cost the same: no seed skipped work"),
    "machine_key": Meaning("", "", "cells with one key ran on like machines, with as many threads"),
    "on_reference": Meaning("bool", "", "ran on the machine of most ok cells: costs compare there"),
    "task_key": Meaning("", "", "hash of the task without the seed; empty without a record"),
    "conditions_key": Meaning("", "", "hash of numerics and performance; None without a result"),
}
"""The named columns. Beside them stand all scalar fields of a record by their dotted path
(`SCALARS`), and what prepares the images of a cell (`preprocessing.*`)."""


class Header(Value):
    """What a comparison or a history must know of a run as a whole."""

    protocol: int
    suite_name: str
    started_at: str
    finished_at: str | None
    status: str
    device: str
    metric: str
    margin: float
    compare: CompareTable
    calibration: Calibration | None  # at the start of the last sitting that has one
    unstable: str | None  # why its times are not to be relied on
    # In no key, but it may explain a change: drivers, the system, bench; {} in older baselines.
    information: Facts = Field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """What is kept of a run for comparisons: its header, its cells, and which test images
    each cell got right.
    """

    header: Header
    columns: Mapping[str, Sequence[Any]]  # by name, `cell_id` among them; values as in the record
    labels: str  # true classes of the test images, packed
    num_images: int  # of test
    right: Mapping[str, str]  # packed bits of the test images, by the id of each ok cell

    @cached_property
    def cells(self) -> pd.DataFrame:
        """A row per cell in the order of the suite, indexed by `cell_id`; see `COLUMNS`."""
        numbers = {name for name, one in COLUMNS.items() if one.unit not in ("", "bool")}
        columns = {
            name: np.array(values, np.float64) if name in numbers and None in values else values
            for name, values in self.columns.items()
        }
        return pd.DataFrame(columns).set_index("cell_id")

    @cached_property
    def rows(self) -> dict[tuple[str, str], list[int]]:
        """Places of the seeds of each architecture and strategy, in the order of the suite."""
        found: dict[tuple[str, str], list[int]] = {}
        names = zip(self.columns["architecture"], self.columns["strategy"], strict=True)
        for place, name in enumerate(names):
            found.setdefault(name, []).append(place)
        return found

    @cached_property
    def labels_N(self) -> NDArray[np.uint16]:
        """True classes of the test images. Raises ValueError where they are damaged."""
        return unpack_column("labels", self.labels, self.num_images)

    def right_N(self, cell_id: str) -> NDArray[np.bool_]:
        """Test images that an ok cell got right. Raises ValueError where the bits are damaged."""
        return unpack_bits(self.right[cell_id], self.num_images)

    def task(self, place: int) -> Facts:
        """What the cell in this place asks for, without its seed; it must have a record."""
        found = {path: self.columns[path][place] for path in TASK if path in self.columns}
        return {"protocol": self.header.protocol, **found}

    def conditions(self, place: int) -> Facts:
        """Numerics and performance of an ok cell, as `identity.key_facts` has them."""
        beside = OF_GPU if self.columns["machine.device"][place] == "cpu" else frozenset()
        found = {path: self.columns[path][place] for path in CONDITIONS if path in self.columns}
        told = {path: v for path, v in found.items() if (path, v) not in ONCE.items()}
        return {path: v for path, v in told.items() if not (v is None and path in beside)}


@dataclass(frozen=True)
class RunTable(Snapshot):
    run: Run
    records: Mapping[str, Record]  # by cell id, in the order of the suite
    val: consistency.Images

    @cached_property
    def curves(self) -> pd.DataFrame:
        """A row per ok cell and epoch; `val_score` is NaN where val was not scored."""
        fields = ("phase", "epoch", "train_loss", "val_score")
        points = [(one.cell_id, point) for one in self.results for point in one.curve]
        columns = {name: [getattr(point, name) for _, point in points] for name in fields}
        return pd.DataFrame({"cell_id": [cell_id for cell_id, _ in points], **columns})

    @cached_property
    def results(self) -> list[Result]:
        return [one for one in self.records.values() if isinstance(one, Result)]

    @cached_property
    def measured(self) -> list[Result]:
        """The records of the ok cells whose costs compare: those of the reference machine."""
        here = zip(self.columns["cell_id"], self.columns["on_reference"], strict=True)
        return [self.result(cell_id) for cell_id, is_here in here if is_here]

    def result(self, cell_id: str) -> Result:
        record = self.records[cell_id]
        assert isinstance(record, Result)
        return record

    def predictions(self, cell_id: str, part: Part) -> Unpacked:
        """True class, predicted class and confidence of each image of an ok cell."""
        scores: Scores = getattr(self.result(cell_id).quality, part)
        return unpack(scores.predictions)


def read(folder: Path) -> RunTable:
    """The table of a run folder.

    Raises FolderError where it holds no run, or a record that does not fit: the file is named.
    """
    run, records = read_run(folder), read_records(folder)
    try:
        return table(run, records)
    except Contradiction as error:
        path = cell_folder(folder, error.cell_id) / "record.json"
        raise FolderError(
            f"{path}: {error.problem}; move the folder of this cell out of cells/, and the command "
            "that made the run does it again"
        ) from error
    except ValueError as error:
        raise FolderError(f"{folder}: {error}") from error


def table(run: Run, records: Sequence[Record]) -> RunTable:
    """The table of a run. Raises ValueError where its records contradict it or each other."""
    consistency.check_cells(run, records)
    by_id = {record.cell_id: record for record in records}
    ordered = {cell_id: by_id[cell_id] for cell_id in run.cells if cell_id in by_id}
    consistency.check_one_task(ordered.values())
    metric: str = run.suite.metric
    ok = [one for one in ordered.values() if isinstance(one, Result)]
    test = images(ok, "test")
    found = [ordered.get(cell_id) for cell_id in run.cells]
    columns = _fields(found, (*SCALARS, CLASSES))
    columns["cell_id"] = list(run.cells)
    columns["status"] = ["missing" if one is None else one.status for one in found]
    asked = ("cell.architecture_label", "cell.strategy", "cell.seed")  # known without a record too
    columns |= dict(zip(asked, map(list, zip(*run.suite.asked, strict=True)), strict=True))
    pipelines = [one and run.preprocessing[one.cell.architecture_label] for one in found]
    columns |= {f"preprocessing.{k}": v for k, v in _fields(pipelines, PREPARED).items()}
    columns |= {name: columns[c.path] for name, c in COLUMNS.items() if c.path in columns}
    columns |= _derived(run, found, metric)
    return RunTable(
        header=_header(run, records, metric),
        columns=columns,
        labels=pack_column(test.labels_N),
        num_images=len(test.labels_N),
        right={cell_id: pack_bits(right_N) for cell_id, right_N in test.right.items()},
        run=run,
        records=ordered,
        val=images(ok, "val"),
    )


def _header(run: Run, records: Sequence[Record], metric: str) -> Header:
    machine = {path: value for path, value, _ in leaves(run.machine, "machine.")}
    versions = sorted({one.provenance.bench for one in records})
    commits = sorted({one.provenance.commit for one in records if one.provenance.commit})
    information = {
        **{path: value for path, value in machine.items() if BUCKETS[path] == "information"},
        "bench.version": " and ".join(versions) or None,
        "bench.commit": " and ".join(commits) or None,
    }
    return Header(
        protocol=run.protocol_version,
        suite_name=run.suite_name,
        started_at=run.started_at,
        finished_at=run.finished_at,
        status=run.status,
        device=run.machine.device,
        metric=metric,
        margin=run.suite.margin,
        compare=run.suite.compare,
        calibration=next((s.start for s in reversed(run.sittings) if s.start is not None), None),
        unstable=unstable(run),
        information=information,
    )


def _derived(run: Run, found: Sequence[Record | None], metric: str) -> dict[str, list[Any]]:
    results = [one if isinstance(one, Result) else None for one in found]
    machines = [one and machine_of(one) for one in results]
    counts = Counter(filter(None, machines))
    # Of equally many always the same, in whatever order.
    most = min(counts, key=lambda one: (-counts[one], repr(one)), default=None)
    names = [asked[:2] for asked in run.suite.asked]
    rows: dict[tuple[str, str], list[Record]] = {}
    for name, record in zip(names, found, strict=True):
        rows.setdefault(name, []).extend([record] if record else [])
    tasks = {name: _task_key(run, row[0].cell) if row else "" for name, row in rows.items()}
    whole = {name: _are_whole(row) for name, row in rows.items()}

    @cache
    def conditions(execution: Execution, machine: Machine) -> str:
        return identity.digest(identity.key_facts(execution, machine, "performance"))

    return {
        "val_score": [one and score_of(one.quality.val, metric) for one in results],
        "test_score": [one and score_of(one.quality.test, metric) for one in results],
        "peak_memory_bytes": [
            one and peak_memory_bytes(one.memory, one.machine) for one in results
        ],
        "trains_all": [
            one and {p.trainable_share for p in one.cost.phases} == {1} for one in results
        ],
        "machine_key": [one and identity.digest(repr(one)) for one in machines],
        "on_reference": [one is not None and one == most for one in machines],
        "task_key": [tasks[name] for name in names],
        "whole_costs": [whole[name] for name in names],
        "conditions_key": [one and conditions(one.execution, one.machine) for one in results],
    }


def _task_key(run: Run, cell: Cell) -> str:
    """Hash of what a cell asks for, without the seed, and of how its images are prepared."""
    pipeline = run.preprocessing[cell.architecture_label]
    task = identity.cell_identity(cell, run.protocol_version)
    task |= {f"preprocessing.{name}": getattr(pipeline, name) for name in PREPARED}
    task.pop("cell.seed", None)
    return identity.digest(task)


def _are_whole(row: Sequence[Record]) -> bool:
    """Whether a new run would cost the same: no features of an earlier run served, batches were
    whole, and the heads of all seeds trained together; in a run that was resumed fewer of them did.
    """
    halved = any(one.execution.passes > 1 for one in row if isinstance(one, Result))
    costs = [one.cost for one in row if isinstance(one, Result)]
    shared_by = {cost.shared_by for cost in costs if cost.features is not None}
    is_reused = any(cost.features == "reused" for cost in costs)
    return bool(costs) and not is_reused and not halved and len(shared_by) <= 1


def concat(tables: Mapping[str, Snapshot]) -> pd.DataFrame:
    """The cells of several runs in one frame; `run` is the name of the run, as given."""
    runs = {name: one.cells.reset_index() for name, one in tables.items()}
    return pd.concat(runs, names=["run"]).reset_index(level="run").reset_index(drop=True)


def scalar_fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The fields that hold one value by dotted path, in the order of declaration.

    Lists (curve, confusion matrix, recall, phases) and packed predictions stay in the records.
    """
    for name, field in model.model_fields.items():
        arms = get_args(field.annotation) or (field.annotation,)
        models = (arm for arm in arms if isinstance(arm, type) and issubclass(arm, BaseModel))
        inner = next(models, None)
        if get_origin(field.annotation) is tuple or inner is Predictions:
            continue
        if inner is None:
            yield f"{prefix}{name}", field
        else:
            yield from scalar_fields(inner, f"{prefix}{name}.")


SCALARS = tuple({**dict(scalar_fields(Result)), **dict(scalar_fields(Failure))})
"""Dotted paths of every scalar of a record: the columns of results.csv."""

CLASSES = "cell.data.classes"
"""The one list that a task depends on."""

PREPARED = ("interpolation", "antialias", "mean", "std")
"""Of the preprocessing. Its sizes follow from the cell's own image size; run.json has those of the
architecture's first cell.
"""

TASK = (
    *(path for path in (*SCALARS, CLASSES) if BUCKETS.get(path) == "task" and path != "cell.seed"),
    *(f"preprocessing.{name}" for name in PREPARED),
)
"""Columns that make up a task."""

CONDITIONS = tuple(path for path in SCALARS if BUCKETS.get(path) in ("numerics", "performance"))
"""Columns that costs depend on."""


def _fields(found: Sequence[BaseModel | None], paths: Iterable[str]) -> dict[str, list[Any]]:
    """The values at dotted paths, one for each record, tuples as lists; None below null."""
    holders: dict[str, list[Any]] = {"": list(found)}

    def values(path: str) -> list[Any]:
        parent, _, name = path.rpartition(".")
        if parent not in holders:
            holders[parent] = values(parent)
        here = (getattr(one, name, None) for one in holders[parent])
        return [list(value) if isinstance(value, tuple) else value for value in here]

    return {path: values(path) for path in paths}


def peak_memory_bytes(memory: Memory, machine: Machine) -> int | None:
    """The headline peak: allocated on a GPU, RSS above the cell's start on a CPU."""
    if machine.device == "cuda":
        return memory.gpu_allocated_bytes
    return memory.cpu_rss_above_start_bytes


COMPARED = tuple(
    path.removeprefix("machine.")
    for path, bucket in BUCKETS.items()
    if path.startswith("machine.") and bucket != "information"
)
"""Facts of a machine that its costs depend on."""


def compared_facts(machine: Machine) -> tuple[object, ...]:
    return tuple(getattr(machine, name) for name in COMPARED)


def machine_of(result: Result) -> tuple[object, ...]:
    """What two cells must share for their costs to compare: the machine, and the threads."""
    # Where a fact is unknown, a machine is like no other: only its own name tells it.
    own = result.machine.id if result.keys.performance is None else None
    return (*compared_facts(result.machine), own, result.execution.threads)
