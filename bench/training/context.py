"""What every cell of a run has in common; without torch, so that the main process can name it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.data.dataset import Dataset
from bench.data.decoded import Stored
from bench.data.pictures import Resize
from bench.data.split import Split
from bench.measure.device import Device


class Context(NamedTuple):
    device: Device
    dataset: Dataset
    split: Split
    files: Mapping[str, Path | None]  # weights file by architecture label; None: drawn
    pipelines: Mapping[str, str]  # enum member whose transforms apply, by architecture label
    reuse_features: bool = False  # keep features for later runs, and use those of earlier ones
    images: Mapping[Resize, Stored] = {}  # in the cache; workers decode what is not
