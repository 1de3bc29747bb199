"""What will run, in what order, and how much work it is; without torch.

The values here are what child processes with torch are asked and answer.
"""

from collections.abc import Hashable, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

from bench.architectures import TIMM
from bench.data.dataset import Dataset
from bench.data.decoded import missing_bytes, resize_of
from bench.data.pictures import Resize
from bench.data.split import Split
from bench.measure.device import Device
from bench.predictions import MISTAKES
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
from bench.strategies import STRATEGIES, live_scored_epochs, scoring_passes
from bench.suite import KeepWeights, Suite
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
    batch_norm: Mapping[str, bool]
    pretrained_on: Mapping[str, str]
    downloads: tuple[tuple[str, float | None], ...]  # file and size in MB, where not fetched yet


class NetworkSize(NamedTuple):
    macs: int  # multiply-adds of one image's forward pass
    parameters: int


class Plan(NamedTuple):
    suite: Suite
    hardware: Hardware
    images: Images
    chosen: Chosen
    pipelines: Mapping[Sizes, Preprocessing]  # by architecture label and image size
    networks: Mapping[Sizes, NetworkSize]
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


def workers(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells of each architecture, for a process of their own, in the order of running."""
    by_label = groupby(cells, key=lambda cell: cell.architecture_label)
    return [_in_running_order(list(own)) for _, own in by_label]


def _in_running_order(cells: Sequence[Cell]) -> list[Cell]:
    """Cells by image size, kind and strategy, and else as they come: seeds lie together.

    Strategies that share work lie side by side, and no features take room on the device while a
    step is captured: two_phase needs them first, feature_extraction shares them.
    """
    strategies = list(dict.fromkeys(cell.strategy for cell in cells))

    def rank(cell: Cell) -> tuple[int, bool, bool, bool, int]:
        kind, place = STRATEGIES[cell.kind], strategies.index(cell.strategy)
        return cell.image_size, not kind.whole, not kind.live, kind.starts_frozen, place

    return sorted(cells, key=rank)


def group(cells: Sequence[Cell], of: Cell) -> list[Cell]:
    """The cells whose heads are trained in one product with those of one of them.

    They are the seeds of a strategy that begins with a head-only phase; else the cell alone.
    """
    if not STRATEGIES[of.kind].starts_frozen:
        return [of]
    name = (of.architecture_label, of.strategy)
    return [cell for cell in cells if (cell.architecture_label, cell.strategy) == name]


class Pace(NamedTuple):
    """How long a network of some family takes, in multiply-adds of a dense one's forward pass."""

    forward: float  # per multiply-add of a forward pass
    train: float  # per multiply-add of the forward pass of an image that is trained on
    update: float  # per parameter and step: the optimiser, and weights laid out anew


DENSE = Pace(forward=1, train=5, update=480)
PACES: Mapping[str, Pace] = {
    "vit": Pace(forward=1, train=3, update=120),
    **dict.fromkeys(
        ("efficientnet", "mobilenet", "mnasnet", "shufflenet", "regnet", "convnext"),
        Pace(forward=4, train=27, update=450),
    ),
}
"""By the start of a name: matrix products train at the pace of their forward pass, and depthwise
convolutions wait for memory. From the capstone on two AVX2 cores (32 px, batch 16), where a unit is
0.03 ns: resnet18, resnet50, vit_b_16 and efficientnet_b4 are within 20 % of it, efficientnet_b0 and
mobilenet_v3_small take half as long again."""

PARTIAL_SHARE = 0.5  # of a full training step: 5.2 of 10.7 GFLOP in resnet18, 46 of 105 in vit_b_16
CELL_SECONDS = 0.5  # building the network, writing the record
WORKER_SECONDS = 4.0  # starting, loading the images, measuring the latency
REPORT_SECONDS = 3.0
RECORD_BYTES = 30_000
BYTES_PER_SCORED_IMAGE = 8  # packed labels, predictions and confidences
REPORT_BYTES = 4_000_000
THUMBNAIL_BYTES = 2_000


class Visits(NamedTuple):
    trained: float
    forwarded: float


def visits(cells: Sequence[Cell]) -> list[Visits]:
    """Visits of each cell; shared features count for the one that runs first alone."""
    cached: set[Hashable] = set()
    counted: dict[Cell, Visits] = {}
    for cell in chain(*workers(cells)):
        strategy, recipe, data = STRATEGIES[cell.kind], cell.recipe, cell.data
        trained, forwarded = 0.0, 0
        features = (cell.architecture_label, cell.image_size, recipe.views)
        if strategy.starts_frozen and features not in cached:
            cached.add(features)
            forwarded = data.num_train * recipe.views + data.num_val + data.num_test
        if strategy.live:
            epochs = recipe.epochs - (recipe.head_epochs or 0)
            trained = epochs * data.num_train * (1.0 if strategy.whole else PARTIAL_SHARE)
            scorings = len(live_scored_epochs(epochs, recipe, data))
            forwarded += scorings * scoring_passes(recipe, data) + data.num_test
        counted[cell] = Visits(trained, forwarded)
    return [counted[cell] for cell in cells]


def work(cells: Sequence[Cell], networks: Mapping[Sizes, NetworkSize]) -> list[float]:
    """Relative work of each cell: multiply-adds of a dense network's forward pass."""
    return [
        _work(cell, seen, networks[sizes_of(cell)])
        for cell, seen in zip(cells, visits(cells), strict=True)
    ]


HEAD_WIDTH = 4096
"""Features of an image, at the most: what a head takes in."""


def longest_stretch(cells: Sequence[Cell], networks: Mapping[Sizes, NetworkSize]) -> float:
    """Work that a cell does at most before it tells something: an epoch, or a pass over all images.

    The heads of all seeds train for all epochs before the first of them is told.
    """
    stretches = []
    for cell in cells:
        recipe, data = cell.recipe, cell.data
        passed = data.num_train * (recipe.views + 1) + data.num_val + data.num_test
        epoch = Visits(data.num_train, passed)
        heads = 3 * (recipe.head_epochs or recipe.epochs) * HEAD_WIDTH * len(data.classes)
        trained = heads * data.num_train * len(group(cells, cell))
        frozen = trained if STRATEGIES[cell.kind].starts_frozen else 0.0
        stretches.append(_work(cell, epoch, networks[sizes_of(cell)]) + frozen)
    return max(stretches)


WORK_TIMES = 2.0
"""Seconds of a multiply-add of training over those of a multiply-add of a matrix product."""


def work_seconds(matmul_flops: float) -> float:
    """Seconds of a unit of work, which is a multiply-add, where products run at so many FLOP/s."""
    return WORK_TIMES * 2 / matmul_flops


def _work(cell: Cell, seen: Visits, network: NetworkSize) -> float:
    name = cell.architecture.removeprefix(TIMM)
    pace = next((one for start, one in PACES.items() if name.startswith(start)), DENSE)
    passes = pace.train * seen.trained + pace.forward * seen.forwarded
    steps = seen.trained / min(cell.recipe.batch_size, cell.data.num_train)
    return passes * network.macs + pace.update * network.parameters * steps


def seconds(cells: Sequence[Cell], speeds: Mapping[Sizes, Speed]) -> float:
    total = REPORT_SECONDS + WORKER_SECONDS * len(workers(cells)) + CELL_SECONDS * len(cells)
    for cell, seen in zip(cells, visits(cells), strict=True):
        speed = speeds[sizes_of(cell)]
        total += seen.trained * speed.train + seen.forwarded * speed.forward
    return total


def sizes_of(cell: Cell) -> Sizes:
    return cell.architecture, cell.image_size


def weights_bytes(cells: Sequence[Cell], sizes: Sequence[int], keep: KeepWeights) -> int:
    """What kept weights take at the most, by the size of each cell's.

    Those of the best seed of each row, and one file more while a better one takes the place of
    another.
    """
    if keep in ("all", "none"):
        return sum(sizes) if keep == "all" else 0
    by_row: dict[tuple[str, str], list[int]] = {}
    for cell, size in zip(cells, sizes, strict=True):
        by_row.setdefault((cell.architecture_label, cell.strategy), []).append(size)
    replaced = (seeds[0] for seeds in by_row.values() if len(seeds) > 1)
    return sum(seeds[0] for seeds in by_row.values()) + max(replaced, default=0)


def disk_bytes(cells: Sequence[Cell]) -> int:
    """Size of the run folder, about: records, thumbnails, tables and plots.

    The cache and kept weights are counted apart.
    """
    records = (
        RECORD_BYTES
        + BYTES_PER_SCORED_IMAGE * (cell.data.num_val + cell.data.num_test)
        + 8 * len(cell.data.classes) ** 2
        for cell in cells
    )
    mistakes = MISTAKES * len(cells)
    thumbnails = THUMBNAIL_BYTES * min([mistakes, *(cell.data.num_test for cell in cells)])
    return REPORT_BYTES + sum(records) + thumbnails
