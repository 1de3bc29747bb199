"""Small cells on scikit-learn's digits, and the pieces that a worker would give them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from bench.architectures import ARCHITECTURES
from bench.data.dataset import Dataset
from bench.data.images import Images
from bench.data.sources import scan_digits
from bench.data.split import Split
from bench.measure.device import Device
from bench.record import Cell, Data, EpochPoint, Latency, Preprocessing, Recipe, Weights
from bench.suite import Kind
from bench.training.context import Context
from bench.training.features import Features
from bench.training.heads import TrainedHeads
from bench.training.network import State
from bench.training.placement import Placement, placement
from bench.training.run_cell import Outcome, pieces_of, run_cell
from bench.training.shared import Key, Piece, Shared

CPU = torch.device("cpu")
T = TypeVar("T")
RECIPE = Recipe(
    epochs=2, batch_size=8, lr=1e-3, backbone_lr_scale=1.0, weight_decay=0.05, warmup_epochs=0.5,
    label_smoothing=0.1, augment="standard", flip=False, views=1, precise_bn=True,
    checkpoint="last", precision="fp32",
)  # fmt: skip
OF_KIND: dict[Kind, dict[str, Any]] = {
    "feature_extraction": {"backbone_lr_scale": 0.0, "lr": 1e-2},
    "two_phase": {"backbone_lr_scale": 0.1, "head_epochs": 1},
    "partial": {"stages": 1},
    "fine_tuning": {},
    "from_scratch": {},
}
UNIT = Preprocessing(
    resize_size=8, crop_size=8, interpolation="bilinear", antialias=True,
    mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
)  # fmt: skip


def recipe(**changed: Any) -> Recipe:
    """The small recipe with some values changed."""
    return RECIPE.model_copy(update=changed)


def place(device: torch.device = CPU) -> Placement:
    """fp32 on a CPU."""
    return placement("resnet18", RECIPE, 32, device)


def few(dataset: Dataset, *per_class: int) -> Split:
    """The first images of each class, so many for train, val and test; sorted by class."""
    parts: list[list[int]] = [[], [], []]
    for label in range(len(dataset.classes)):
        images = [i for i, item in enumerate(dataset.items) if item.label == label]
        for part, number in zip(parts, per_class, strict=True):
            part += images[:number]
            images = images[number:]
    return Split(tuple(parts[0]), tuple(parts[1]), tuple(parts[2]), "0" * 64)


def context(*architectures: str, split: Split | None = None) -> Context:
    """Digits for a worker of these architectures; by default 2, 2 and 3 of each class."""
    dataset = scan_digits("digits")
    return Context(
        Device("cpu", None),
        dataset,
        split or few(dataset, 2, 2, 3),
        dict.fromkeys(architectures),
        {name: ARCHITECTURES[name].pinned for name in architectures},
    )


def cell(
    kind: Kind,
    architecture: str = "resnet18",
    *,
    seed: int = 0,
    metric: Any = "top1",
    target: float = 0.9,
    split: Split | None = None,
    **changed: Any,
) -> Cell:
    """A cell at 32 px on the digits of `context`."""
    split = split or few(scan_digits("digits"), 2, 2, 3)
    scratch = kind == "from_scratch"
    data = Data(
        name="digits", classes=tuple("0123456789"), content_sha256="c" * 64,
        split_sha256=split.sha256, num_train=len(split.train), num_val=len(split.val),
        num_test=len(split.test),
    )  # fmt: skip
    return Cell(
        architecture=architecture,
        architecture_label=architecture,
        weights=Weights(source="scratch", name="scratch")
        if scratch
        else Weights(source="random", name="random", init_seed=0),
        strategy=kind,
        kind=kind,
        recipe=recipe(**(OF_KIND[kind] | changed)),
        image_size=32,
        data=data,
        seed=seed,
        metric=metric,
        target=target,
    )


LATENCY = Latency(
    batch1_p50_seconds=1, batch1_p95_seconds=1, num_calls=1, batch_size=1, images_per_second=1
)


class Worker(Shared):
    """A worker that does not spend the seconds that measuring the latency takes."""

    def fact(self, key: Key, find: Callable[[], T]) -> T:
        return super().fact(key, (lambda: cast(T, LATENCY)) if key[0] == "latency" else find)


def worker(cells: Sequence[Cell], split: Split | None = None) -> Worker:
    """A fresh worker for these cells."""
    return Worker(context(*{one.architecture for one in cells}, split=split), cells)


def features_of(one: Cell, shared: Shared) -> Piece[Features]:
    """The features of a cell, made if they are not there yet."""
    features = pieces_of(one, shared).features
    assert features is not None
    return features


def backbone_of(one: Cell, shared: Shared) -> Piece[State]:
    """The given backbone of a cell."""
    backbone = pieces_of(one, shared).backbone
    assert backbone is not None
    return backbone


def heads_of(one: Cell, shared: Shared) -> Piece[TrainedHeads]:
    """The heads of all seeds of a cell's strategy."""
    heads = pieces_of(one, shared).heads
    assert heads is not None
    return heads


def ignore(point: EpochPoint, images_per_second: float) -> None:
    """Nobody watches."""


def run(one: Cell, shared: Shared | None = None) -> Outcome:
    """The outcome of a cell, in a fresh worker unless one is given."""
    return run_cell(one, shared or worker([one]), ignore)


def pictures(num_images: int, size: int, num_classes: int = 10) -> Images:
    """Noise, each class of its own brightness; the squares are the crops."""
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(num_images) % num_classes
    shape = (num_images, 3, size, size)
    noise_NCHW = torch.randint(100, shape, generator=generator, dtype=torch.uint8)
    crops_NCHW = noise_NCHW + (labels_N * 150 // num_classes).to(torch.uint8)[:, None, None, None]
    return Images(crops_NCHW, crops_NCHW, labels_N)


def crops_of(images: Images) -> Tensor:
    """The crops of all images."""
    return images.crops_NCHW[torch.arange(len(images.crops_NCHW))]
