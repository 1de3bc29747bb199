"""A worker whose images are noise that is on the device already: what its cells do is compute.

Dimensions: N images, C channels, H, W pixels, B batch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor
from torchvision import models

from bench.architectures import ARCHITECTURES
from bench.data.dataset import Dataset
from bench.data.images import Images
from bench.data.split import Split
from bench.expand import recipe
from bench.measure.device import Device
from bench.measure.meters import Clock, Spent
from bench.models.build import preprocessing
from bench.record import Cell, Data, Weights
from bench.suite import Kind
from bench.training.context import Context
from bench.training.feeds import Parts, eval_batch
from bench.training.shared import UNCOUNTED, Key, Piece
from tests.benchmarks import engine

T = TypeVar("T")
WEIGHTS = "folder"


class Size(NamedTuple):
    """How much of what a worker has."""

    architecture: str
    image_size: int
    num_train: int
    num_val: int
    num_test: int
    num_classes: int
    batch: int
    epochs: int
    augment: bool


def cell_of(size: Size, kind: Kind, weights: Path | None, seed: int = 0) -> Cell:
    """A cell on images that are not there as files; None as weights: from scratch."""
    said = {
        "epochs": size.epochs,
        "batch_size": size.batch,
        "augment": "standard" if size.augment else "none",
    }
    return Cell(
        architecture=size.architecture,
        architecture_label=size.architecture,
        weights=Weights(source="scratch", name="scratch")
        if weights is None
        else Weights(source=WEIGHTS, name=weights.name),
        strategy=kind,
        kind=kind,
        recipe=recipe(
            kind, said, photographs=True, batch_norm=ARCHITECTURES[size.architecture].batch_norm
        ),
        image_size=size.image_size,
        data=Data(
            name="noise",
            classes=tuple(f"class-{label}" for label in range(size.num_classes)),
            content_sha256="0" * 64,
            split_sha256="0" * 64,
            num_train=size.num_train,
            num_val=size.num_val,
            num_test=size.num_test,
        ),
        seed=seed,
    )


def write_weights(architecture: str, image_size: int, folder: Path) -> Path:
    """Start values of a backbone, drawn, under the name that a suite's `weights` asks for."""
    path = folder / f"{architecture}.pth"
    size = {"image_size": image_size} if architecture.startswith("vit") else {}
    torch.save(models.get_model(architecture, **size).state_dict(), path)
    return path


class Worker(engine.Worker):
    """The pieces of a worker on given images."""

    def __init__(self, parts: Parts, cells: list[Cell], weights: Path | None, device: Device):
        label = cells[0].architecture_label
        nothing = Dataset("noise", "noise", cells[0].data.classes, (), True, ())
        context = Context(
            device,
            nothing,
            Split((), (), (), ""),
            {label: weights},
            {label: ARCHITECTURES[cells[0].architecture].pinned},
        )
        super().__init__(context, cells)
        self.parts = parts

    def once(self, key: Key, make: Callable[[Clock], T]) -> Piece[T]:
        """As in every run, but for the given images, which cost nothing."""
        given = {"images": self.parts, "squares": self.parts.train.squares_NCHW}
        if key[0] not in given:
            return super().once(key, make)
        return Piece(cast(T, given[str(key[0])]), Spent({}, UNCOUNTED, None), 1)


def parts_of(size: Size, device: Device) -> Parts:
    """Noise on the device, in all the sizes that the cells take."""
    row = ARCHITECTURES[size.architecture]
    pipeline = preprocessing(size.architecture, row.pinned, size.image_size)
    crop, square = pipeline.crop_size, pipeline.resize_size

    def images(number: int, *, squares: bool) -> Images:
        return Images(
            noise(number, crop, device),
            noise(number, square, device) if squares else None,
            torch.arange(number, device=str(device)) % size.num_classes,
        )

    return Parts(
        train=images(size.num_train, squares=size.augment),
        val=images(size.num_val, squares=False),
        test=images(size.num_test, squares=False),
        resident=True,
        how="cold",
    )


def noise(number: int, side: int, device: Device) -> Tensor:
    """Random bytes, [N, C, H, W]."""
    generator = torch.Generator(str(device)).manual_seed(0)
    shape = (number, 3, side, side)
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8, device=str(device))


def batches_of(cell: Cell, worker: Worker, number: int, size: int) -> list[tuple[Tensor, Tensor]]:
    """Distinct batches of normalised images in the layout of the cell, with their labels."""
    place, train = worker.placement(cell), worker.parts.train
    batch = eval_batch(train, worker.pipeline(cell))
    found = []
    for first in range(number):
        order = torch.arange(first * size, (first + 1) * size, device=place.device)
        indices_B = order % len(train.labels_N)
        found.append((place.lay_out(batch(indices_B)), train.labels_N[indices_B]))
    return found
