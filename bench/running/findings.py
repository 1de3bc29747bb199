"""What is asked of, and found out by, the children that have torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.measure.device import Device
from bench.record import Calibration, Execution, Machine, Readings, Source, Weights


class Hardware(NamedTuple):
    """The device that was chosen, and the machine around it."""

    device: Device
    machine: Machine
    commit: str | None


class Wanted(NamedTuple):
    """What a suite asks of the weights."""

    requests: Mapping[str, tuple[str, str | None]]  # label -> architecture, exact weights
    preference: Sequence[str]
    pinned_source: str | None  # the source of an earlier sitting
    needed: bool  # False: every strategy starts from scratch
    offline: bool


class Prepared(NamedTuple):
    """The weights of a suite and what follows from them, by architecture label."""

    source: Source
    weights: Mapping[str, Weights]
    files: Mapping[str, Path | None]
    pipelines: Mapping[str, str]
    native_size: Mapping[str, int]
    downloads: tuple[tuple[str, float], ...]  # file and size in MB, where not fetched yet


class Speed(NamedTuple):
    """Measured seconds per image of one architecture at one size."""

    train: float
    forward: float


class End(NamedTuple):
    """One end of a sitting."""

    calibration: Calibration
    readings: Readings
    load: float | None
    foreign_gpu_processes: int | None
    problems: tuple[str, ...]  # why probes are null that need not be


class Examination(NamedTuple):
    """What `bench doctor` finds out."""

    device: Device
    machine: Machine
    execution: Execution  # of a dense network, whose precision is the device's own choice
    end: End
    missing: Mapping[str, str]  # why a field of machine, execution or readings is null
    weights_folder: Path
