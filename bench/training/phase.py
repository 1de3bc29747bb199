"""One phase of a cell: from a fresh optimiser to its last step, val scored along the way.

Dimensions: N images, K classes.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.measure.meters import Clock
from bench.record import Cell
from bench.strategies import PRECISE_BN_IMAGES, PhasePlan, live_scored_epochs
from bench.training import evaluate
from bench.training.feeds import Batch, batches_of, steps_per_epoch
from bench.training.network import derived_seed
from bench.training.placement import untrained_batch
from bench.training.step import Step

Logits = NDArray[np.float32]


class Point(NamedTuple):
    epoch: int  # 1, 2, ... within the phase
    train_loss: float
    val_score: float | None  # of the suite's metric, where val was scored
    seconds: float  # of training since the phase began
    images_per_second: float


class Checkpoint(NamedTuple):
    val_score: float
    val_logits_NK: Logits
    values: Mapping[str, Tensor]  # none where it is the network as the phase leaves it


class Course(NamedTuple):
    plan: PhasePlan
    points: tuple[Point, ...]
    checkpoint: Checkpoint  # the network that counts
    steps: int  # per epoch
    trainable_parameters: int  # as the optimiser held them


def replaces(score: float, held: Checkpoint | None, wanted: Literal["last", "best"]) -> bool:
    """Whether a network just scored replaces the one held: always, unless the best is wanted."""
    return held is None or wanted == "last" or score > held.val_score


def learn(
    cell: Cell,
    plan: PhasePlan,
    step: Step,
    val: evaluate.Exam,
    crops: Batch | None,
    clock: Clock,
    note: Callable[[Point], None],
) -> Course:
    """Train the step's network to the end of the phase, and leave it as it is to be scored.

    `crops` are shuffled train images to re-estimate batch-norm statistics from before each scoring;
    None: statistics stay as trained. `note` is told of every epoch as it ends.
    """
    generator = torch.Generator().manual_seed(derived_seed(cell.seed, "batches"))
    torch.manual_seed(derived_seed(cell.seed, "dropout"))
    scored, since = live_scored_epochs(plan.epochs, cell.recipe, cell.data), clock.seconds["train"]
    passes = step.placement.execution.passes
    at_once = untrained_batch(cell.recipe.batch_size, cell.image_size) // passes
    points: list[Point] = []
    held: Checkpoint | None = None
    epochs = fit(step, plan, cell.recipe.warmup_epochs, generator)
    for number in range(1, plan.epochs + 1):
        value, before = None, time.perf_counter()
        with clock.part("train"):
            epoch = next(epochs)
        seconds = time.perf_counter() - before
        if number in scored:
            with clock.part("eval"):
                val_logits_NK = score_val(step, val, crops, at_once)
                value = evaluate.metric_of(val_logits_NK, val.labels_N, cell.metric)
                if replaces(value, held, cell.recipe.checkpoint):
                    best = cell.recipe.checkpoint == "best"
                    state = step.network.state_dict() if best else {}
                    values = {name: tensor.clone() for name, tensor in state.items()}
                    held = Checkpoint(value, val_logits_NK, values)
        trained, rate = clock.seconds["train"] - since, epoch.images / seconds
        points.append(Point(number, epoch.train_loss, value, trained, rate))
        note(points[-1])
    assert held is not None, "the last epoch is always scored"
    if held.values:
        step.network.load_state_dict(held.values)
    steps = steps_per_epoch(len(step.feed.labels_N), step.batch_size)
    return Course(plan, tuple(points), held, steps, step.trainable_parameters)


def score_val(step: Step, val: evaluate.Exam, crops: Batch | None, at_once: int) -> Logits:
    """Logits of val, after re-estimating the batch-norm statistics that trained.

    These come from so many images at once, on every device, as they depend on that.
    """
    if crops is not None:
        num_images = min(PRECISE_BN_IMAGES, len(step.feed.labels_N))
        norms = evaluate.trained_norms(step.network)
        evaluate.estimate_statistics(
            step.network, norms, crops, num_images, at_once, step.placement
        )
    return evaluate.logits(step.network, val, step.placement)


class Epoch(NamedTuple):
    train_loss: float
    images: int  # that were trained on, counting repeats


def fit(
    step: Step, phase: PhasePlan, warmup_epochs: float, generator: torch.Generator
) -> Iterator[Epoch]:
    """Train the step's network in place over the epochs of a phase, yielding after each.

    Full batches of an order that is new in every epoch; linear warm-up, then a cosine to zero. The
    host waits for the device once per epoch, to check that the loss is finite. Raises Diverged if
    it is not.
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
        check_loss(train_loss, number, phase)
        yield Epoch(train_loss, steps * step.batch_size)


def check_loss(train_loss: float, epoch: int, phase: PhasePlan) -> None:
    if not math.isfinite(train_loss):
        raise evaluate.Diverged(
            f"training loss is {train_loss} in epoch {epoch} of phase {phase.name}"
        )


def warmup_cosine(warmup_steps: float, total_steps: int) -> Callable[[int], float]:
    """Rate of each step relative to its peak: a line up, then half a cosine to zero."""

    def scale(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

    return scale
