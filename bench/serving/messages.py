"""What verbs ask of child processes about trained networks, and the answers; without torch."""

from pathlib import Path
from typing import NamedTuple

from bench.record import Preprocessing, Result


class Trained(NamedTuple):
    record: Result
    pipeline: Preprocessing  # of its architecture, as run.json has it
    kept: Path  # its weights file
    folders: tuple[Path, ...]  # where an older run's own backbone file may be
    offline: bool


class Published(NamedTuple):
    architecture: str
    offline: bool


class Prediction(NamedTuple):
    """The classes of an image by number with their probabilities, the likeliest first.

    Empty where the image could not be read; `problem` then says why.
    """

    top: tuple[tuple[int, float], ...]
    problem: str | None = None


class Predictions(NamedTuple):
    classes: tuple[str, ...]
    images: tuple[Prediction, ...]


class Check(NamedTuple):
    largest_difference: float
    tolerance: float


class Written(NamedTuple):
    name: str
    num_bytes: int
    sha256: str
    check: Check | None


class Exported(NamedTuple):
    files: tuple[Written, ...]
    images: str  # which these are, or why there are none
    num_images: int
    as_recorded: int | None  # how many of them get the class on record; None for other images
