"""What is asked of, and told by, the children that rebuild networks; without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.record import Preprocessing, Result


class Trained(NamedTuple):
    """A network that a run trained, and where its values lie."""

    record: Result
    pipeline: Preprocessing  # of its architecture, as run.json has it
    kept: Path  # what training made of it
    folders: tuple[Path, ...]  # where a backbone that came from a file of one's own may lie
    offline: bool


class Published(NamedTuple):
    """An architecture with its pinned weights, as torchvision publishes them."""

    architecture: str
    offline: bool


class Prediction(NamedTuple):
    """What an image shows: classes by number with their probabilities, the likeliest first.

    Empty where the image could not be read; `problem` then says why.
    """

    top: tuple[tuple[int, float], ...]
    problem: str | None = None


class Predictions(NamedTuple):
    """The predictions of some images, in their order, and the names of the classes."""

    classes: tuple[str, ...]
    images: tuple[Prediction, ...]


class Images(NamedTuple):
    """Images that an export is checked on."""

    source: str | None  # folder that the keys are below; "digits"; None: there are none
    keys: tuple[str, ...]
    hashes: tuple[str | None, ...]  # SHA-256 of each, where it must be that one
    positions: tuple[int, ...]  # in the val part; empty where they are other images
    said: str  # what they are, in words


class Check(NamedTuple):
    """How far the logits of a written file lie from those of the network that a run trained."""

    largest_difference: float
    tolerance: float


class Written(NamedTuple):
    """One file of an export; `check` is None where there were no images to check it on."""

    name: str
    num_bytes: int
    sha256: str
    check: Check | None


class Exported(NamedTuple):
    """What an export wrote, and on which images it was checked."""

    files: tuple[Written, ...]
    description: Mapping[str, Any]  # of model.json
    num_images: int
    as_recorded: int | None  # of those images, how many have the predicted class on record
