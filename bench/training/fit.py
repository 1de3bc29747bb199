"""The training loop: one phase, from a fresh optimiser to its last step."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from bench.strategies import PhasePlan
from bench.training.step import Step


class Diverged(ArithmeticError):
    """The loss or the logits of a cell stopped being finite."""


class Epoch(NamedTuple):
    """One epoch of a phase, just trained."""

    number: int  # 1, 2, ... within the phase
    train_loss: float
    images: int  # that were trained on, counting repeats


def fit(
    step: Step, phase: PhasePlan, warmup_epochs: float, generator: torch.Generator
) -> Iterator[Epoch]:
    """Train the step's network in place over the epochs of a phase, yielding after each.

    Full batches of an order that is new in every epoch; linear warm-up, then a cosine to zero. The
    host waits for the device once per epoch, to check that the loss is finite: Diverged is raised
    if it is not.
    """
    num_images = len(step.feed.labels_N)
    steps = steps_per_epoch(num_images, step.batch_size)
    scale = warmup_cosine(steps * min(warmup_epochs, phase.epochs / 2), steps * phase.epochs)
    for number in range(1, phase.epochs + 1):
        step.begin_epoch(generator)
        order_N = torch.randperm(num_images, generator=generator)
        batches = batches_of(order_N.to(step.feed.labels_N.device), step.batch_size)
        for taken, indices_B in enumerate(batches, start=steps * (number - 1)):
            step.run(indices_B, scale(taken))
        train_loss = step.loss_sum() / steps
        if not math.isfinite(train_loss):
            raise Diverged(f"training loss is {train_loss} in epoch {number} of phase {phase.name}")
        yield Epoch(number, train_loss, steps * step.batch_size)


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Full batches only: a last batch of one image would break batch norm.

    Fewer images than one batch make a single batch of all of them.
    """
    return max(1, num_images // batch_size)


def batches_of(order_N: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Consecutive full batches along the last dimension; the rest is left out."""
    num_images = order_N.shape[-1]
    size = min(batch_size, num_images)
    for start in range(0, steps_per_epoch(num_images, batch_size) * size, size):
        yield order_N[..., start : start + size]


def warmup_cosine(warmup_steps: float, total_steps: int) -> Callable[[int], float]:
    """Rate of each step relative to its peak: a line up, then half a cosine to zero."""

    def scale(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

    return scale
