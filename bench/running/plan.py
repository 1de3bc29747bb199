"""What will run, in what order, and how much work it is: from cells alone.

Work is counted in forward multiply-adds, weighted by how fast a family gets through them, so
that progress and time left mean the same in the first cell and in the last.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from bench.models.architectures import ARCHITECTURES
from bench.schema import Cell, cell_id
from bench.training.strategies import scored_epochs

DEPTHWISE = ("efficientnet", "mobilenet", "mnasnet", "shufflenet", "regnet_y", "convnext")
"""Families that are bound by memory and not by arithmetic: about a fifth of the multiply-adds
per second of dense networks (efficientnet_b0 107 against resnet50 389 GFLOP/s per core)."""

BACKWARD = 2  # a backward pass is two forward passes
PARTIAL_FORWARDS = 1.45  # forward of all and backward of the last stage: 1.37 to 1.42, measured
CELL_SECONDS = 1.5  # building, drawing batches, writing
WORKER_SECONDS = 6.0  # start, decoding, the latency of the architecture
BYTES_PER_CELL = 60_000  # record and log
BYTES_PER_IMAGE = 30  # of val and test, per record: packed predictions


class WorkerPlan(NamedTuple):
    """The cells of one architecture, run one after another in one process."""

    architecture_label: str
    cells: tuple[Cell, ...]


def workers(cells: Sequence[Cell]) -> list[WorkerPlan]:
    """One worker for each architecture, in the order of the suite."""
    by_label = groupby(cells, key=lambda cell: cell.architecture_label)
    return [WorkerPlan(label, tuple(group)) for label, group in by_label]


Macs = Mapping[tuple[str, int], int | None]
"""Forward multiply-adds of one image by architecture and image size; None where unknown."""


def work(cell: Cell, macs: Macs) -> float:
    """Weighted multiply-adds of one cell run alone."""
    per_image = macs[cell.architecture, cell.image_size] or 1e9
    family = ARCHITECTURES[cell.architecture].name
    weight = 5.0 if family.startswith(DEPTHWISE) else 1.0
    return per_image * weight * image_forwards(cell)


def image_forwards(cell: Cell) -> float:
    """Forward passes over one image that the whole cell amounts to."""
    recipe, data = cell.recipe, cell.data
    frozen = data.num_train * recipe.views + data.num_val + data.num_test
    if cell.kind == "feature_extraction":
        return frozen
    epochs, before = recipe.epochs, 0
    if cell.kind == "two_phase":
        epochs, before = epochs - (recipe.head_epochs or 0), frozen
    per_visit = PARTIAL_FORWARDS if cell.kind == "partial" else 1 + BACKWARD
    per_scoring = data.num_val + (min(data.num_train, 512) if recipe.precise_bn else 0)
    scorings = len(scored_epochs(epochs))
    return before + epochs * data.num_train * per_visit + scorings * per_scoring + data.num_test


def disk_bytes(cells: Sequence[Cell]) -> int:
    """Size of the run folder, about: records, tables and plots."""
    records = sum(
        BYTES_PER_CELL
        + BYTES_PER_IMAGE * (cell.data.num_val + cell.data.num_test)
        + 8 * len(cell.data.classes) ** 2
        for cell in cells
    )
    return records + 3_000_000


def ids(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The id of every cell, in order."""
    return tuple(cell_id(cell) for cell in cells)
