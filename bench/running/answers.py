"""Questions for child processes that import torch, and their answers; nothing here imports it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.data.dataset import Dataset
from bench.data.decoded import Resize, missing_bytes, resize_of
from bench.data.split import Split
from bench.measure.device import Device
from bench.record import (
    Calibration,
    Cell,
    Data,
    Execution,
    Machine,
    Preprocessing,
    Readings,
    UsedWeights,
    Weights,
)
from bench.suite import Suite
from bench.suite_file import SuiteFile

Sizes = tuple[str, int]
"""Architecture and image size: what the cost of one image depends on."""


class Request(NamedTuple):
    file: SuiteFile
    device: str  # auto, cpu, cuda or cuda:N
    offline: bool
    pinned_source: str | None = None  # the weights of an earlier sitting
    reuse_features: bool = False


class Hardware(NamedTuple):
    device: Device
    machine: Machine
    commit: str | None


class Images(NamedTuple):
    dataset: Dataset
    split: Split
    data: Data


class Chosen(NamedTuple):
    source: UsedWeights
    weights: Mapping[str, Weights]
    files: Mapping[str, Path | None]
    pipelines: Mapping[str, str]  # the enum member whose transforms apply
    native_size: Mapping[str, int]
    downloads: tuple[tuple[str, float], ...]  # file and size in MB, where not fetched yet


class Plan(NamedTuple):
    suite: Suite
    hardware: Hardware
    images: Images
    chosen: Chosen
    pipelines: Mapping[Sizes, Preprocessing]  # by architecture label and image size
    macs: Mapping[Sizes, int]
    cells: Sequence[Cell]
    reuse_features: bool  # of frozen backbones, from run to run

    @property
    def preprocessing(self) -> dict[str, Preprocessing]:
        first: dict[str, Preprocessing] = {}
        for (label, _size), pipeline in self.pipelines.items():
            first.setdefault(label, pipeline)
        return first

    def resize(self, cell: Cell) -> Resize:
        return resize_of(self.pipelines[cell.architecture_label, cell.image_size])

    @property
    def resizes(self) -> set[Resize]:
        return {self.resize(cell) for cell in self.cells}

    @property
    def cache_bytes(self) -> int:
        return missing_bytes(self.images.dataset, self.resizes)


class Speed(NamedTuple):
    train: float
    forward: float


class Survey(NamedTuple):
    plan: Plan
    seconds: float  # predicted wall time
    weights_bytes: int  # of trained weights on the disk, at the most


class End(NamedTuple):
    calibration: Calibration
    readings: Readings
    load: float | None
    foreign_gpu_processes: int | None
    problems: tuple[str, ...]  # why probes are null that need not be


class Examination(NamedTuple):
    device: Device
    machine: Machine
    execution: Execution  # of a dense network, whose precision is the device's own choice
    end: End
    missing: Mapping[str, str]  # why a field of machine, execution or readings is null
    weights_folder: Path
