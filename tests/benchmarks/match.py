"""The same task for both sides of a comparison: images, start values and recipe, written to files.

Weights lie in a folder, as if they were published. Where none are given they are drawn, with
batch-norm statistics of the training images, as published weights have statistics of theirs: a
frozen backbone without them passes little on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from bench.architectures import ARCHITECTURES
from bench.measure.device import Device
from bench.models.build import preprocessing
from bench.models.state import read
from bench.record import Cell
from bench.training.network import start_of
from tests.benchmarks import engine, photographs, tutorial
from tests.benchmarks.tutorial import Loader, Task


class Size(NamedTuple):
    """How much of what is trained."""

    strategy: Literal["feature_extraction", "fine_tuning"]
    architecture: str
    images: int  # in all parts
    classes: int
    picture: tuple[int, int]  # width and height of the files, in pixels
    image_size: int
    batch: int
    epochs: int
    seeds: int


class Match(NamedTuple):
    """What each side is given: bench a suite, the others a task."""

    table: dict[str, Any]
    task: Task


def prepare(size: Size, weights: Path | None, device: Device, folder: Path) -> Match:
    """Write photographs and start values below `folder`; `weights` may be a folder of such."""
    width, height = size.picture
    images = folder / "images"
    photographs.write(images, size.images, num_classes=size.classes, width=width, height=height)
    task = task_of(size, images, device)
    if weights is None:
        weights = folder / "weights"
        write_weights(task, weights)
    table = suite_table(size, images, weights)
    _, cells = engine.assemble(engine.suite_of(table, device), device)
    (file,) = weights.glob(f"{size.architecture}.*")
    starts = write_starts(size.architecture, cells, file, folder / "starts")
    return Match(table, with_recipe(task, cells[0])._replace(starts=starts))


def suite_table(size: Size, images: Path, weights: Path) -> dict[str, Any]:
    """The suite that bench runs."""
    return {
        "name": "versus",
        "architectures": [size.architecture],
        "strategies": [size.strategy],
        "seeds": list(range(size.seeds)),
        "weights": [f"{weights}/"],
        "dataset": {"source": str(images)},
        "recipe": {
            "image_size": size.image_size,
            "epochs": size.epochs,
            "batch_size": size.batch,
        },
    }


def task_of(size: Size, images: Path, device: Device) -> Task:
    """The opponents' task, without start values and rates."""
    row = ARCHITECTURES[size.architecture]
    pipeline = preprocessing(size.architecture, row.pinned, size.image_size)
    return Task(
        folder=str(images),
        architecture=size.architecture,
        head=row.head,
        num_classes=size.classes,
        starts=[],
        resize_size=pipeline.resize_size,
        crop_size=pipeline.crop_size,
        interpolation=pipeline.interpolation,
        mean=list(pipeline.mean),
        std=list(pipeline.std),
        epochs=size.epochs,
        batch_size=size.batch,
        lr=0.0,
        backbone_lr=0.0,
        weight_decay=0.0,
        warmup_epochs=0.0,
        label_smoothing=0.0,
        workers=0,
        device=str(device),
    )


def with_recipe(task: Task, cell: Cell) -> Task:
    """The task under the recipe of bench's cells."""
    recipe = cell.recipe
    return task._replace(
        lr=recipe.lr,
        backbone_lr=recipe.lr * recipe.backbone_lr_scale,
        weight_decay=recipe.weight_decay,
        warmup_epochs=recipe.warmup_epochs,
        label_smoothing=recipe.label_smoothing,
    )


# ---- start values ---------------------------------------------------------------------------


def write_weights(task: Task, folder: Path) -> None:
    """Draw a backbone and write it under the name that a suite's `weights` folder asks for."""
    torch.manual_seed(0)
    model = tutorial.drawn_model(task)
    estimate_statistics(model, tutorial.loader(task, "train", training=False))
    folder.mkdir(parents=True)
    torch.save(model.state_dict(), folder / f"{task.architecture}.pth")


@torch.no_grad()
def estimate_statistics(model: nn.Module, images: Loader) -> None:
    """Set every batch norm's running statistics to their averages over the images, on the CPU.

    Batches hold several classes only if the images are listed so: the average over batches of
    single classes has a variance that is a little too small, which does no harm here.
    """
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # the plain average
    for inputs, _ in images if norms else ():
        model(inputs)


def write_starts(
    architecture: str, cells: Sequence[Cell], weights: Path, folder: Path
) -> list[str]:
    """A file for each seed: the backbone of the weights under the head that bench starts from."""
    folder.mkdir(parents=True)
    backbone = read(weights)
    head = ARCHITECTURES[architecture].head
    starts = []
    for cell in cells:
        layer = start_of(cell, backbone).head.get_submodule("layer")
        values: dict[str, Tensor] = {**backbone}
        values |= {f"{head}.{name}": value for name, value in layer.state_dict().items()}
        path = folder / f"{architecture}-{cell.seed}.pth"
        torch.save(values, path)
        starts.append(str(path))
    return starts
