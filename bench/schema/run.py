"""The run as a whole: what was asked, on what, and how it ended."""

from typing import Any, Literal

from bench.schema.cell import Data
from bench.schema.machine import Machine, Profile, Sitting
from bench.schema.value import PROTOCOL_VERSION, SCHEMA_VERSION, Value


class MissingWeights(Value):
    """A pretrained file that could not be had: where it is published, where it is looked for."""

    architecture: str
    file: str
    address: str | None
    folder: str  # as the user would write it, never an absolute path
    why: str


class Source(Value):
    """Which entry of the preference list serves the suite, and what the earlier ones lacked."""

    wanted: tuple[str, ...]
    used: str
    missing: tuple[MissingWeights, ...] = ()

    @property
    def fell_back(self) -> bool:
        """Whether an earlier entry of the list could not be had by all architectures."""
        return self.used != self.wanted[0]


class Preprocessing(Value):
    """The eval pipeline of one architecture, as its weights define it."""

    resize_size: int
    crop_size: int
    interpolation: str
    antialias: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Run(Value):
    """run.json: what was asked, on what, and how it ended."""

    schema_version: int = SCHEMA_VERSION
    protocol_version: int = PROTOCOL_VERSION
    suite_name: str
    suite: dict[str, Any]  # the suite as resolved for this profile
    profile: Profile
    machine: Machine
    data: Data
    data_notes: tuple[str, ...]
    duplicates: dict[str, int]  # "train/test" -> images of identical bytes on both sides
    source: Source
    preprocessing: dict[str, Preprocessing]  # by architecture label
    cells: tuple[str, ...]  # every cell id that the suite asks for, in order
    status: Literal["running", "finished", "interrupted"]
    started_at: str
    finished_at: str | None = None
    wall_seconds: float = 0.0  # over all sittings of a resumed run, without their calibrations
    sittings: tuple[Sitting, ...] = ()
