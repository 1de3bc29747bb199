"""The phase of a cell that trains on images, scoring val along the way."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.measure.meters import Clock
from bench.record import Cell
from bench.strategies import PRECISE_BN_IMAGES, PhasePlan, scored_epochs
from bench.training.course import Course, Kept, Logits, Point, is_better
from bench.training.feeds import Batch
from bench.training.fit import Epoch, fit, steps_per_epoch
from bench.training.freezing import trained_norms
from bench.training.inference import estimate_statistics, logits
from bench.training.scores import metric_of
from bench.training.seeds import derived_seed
from bench.training.stage import Exam
from bench.training.step import Step


class Scoring(NamedTuple):
    """How a network is scored on val while it trains."""

    val: Exam
    crops: Batch | None  # shuffled train crops to re-estimate batch-norm statistics from


def learn(
    cell: Cell,
    plan: PhasePlan,
    step: Step,
    scoring: Scoring,
    clock: Clock,
    note: Callable[[Point], None],
) -> Course:
    """Train the step's network to the end of the phase; it is left as it is to be scored.

    `note` is told of every epoch as it ends.
    """
    generator = torch.Generator().manual_seed(derived_seed(cell.seed, "batches"))
    torch.manual_seed(derived_seed(cell.seed, "dropout"))
    scored, since = scored_epochs(plan.epochs), clock.seconds["train"]
    points: list[Point] = []
    kept: Kept | None = None
    epochs = fit(step, plan, cell.recipe.warmup_epochs, generator)
    for epoch, seconds in timed(epochs, clock):
        value = None
        if epoch.number in scored:
            with clock.part("eval"):
                val_logits_NK = score_val(step, scoring)
                value = metric_of(val_logits_NK, scoring.val.labels_N, cell.metric)
                if is_better(value, kept, cell.recipe.checkpoint):
                    best = cell.recipe.checkpoint == "best"
                    values = snapshot(step.network) if best else None
                    kept = Kept(value, val_logits_NK, values)
        trained, rate = clock.seconds["train"] - since, epoch.images / seconds
        points.append(Point(epoch.number, epoch.train_loss, value, trained, rate))
        note(points[-1])
    assert kept is not None, "the last epoch is always scored"
    if kept.values is not None:
        step.network.load_state_dict(kept.values)
    steps = steps_per_epoch(len(step.feed.labels_N), step.batch_size)
    return Course(plan, tuple(points), kept, steps, step.trainable_parameters)


def score_val(step: Step, scoring: Scoring) -> Logits:
    """Logits of val, after batch-norm statistics that trained were estimated anew."""
    if scoring.crops is not None:
        num_images = min(PRECISE_BN_IMAGES, len(step.feed.labels_N))
        norms = trained_norms(step.network)
        estimate_statistics(step.network, norms, scoring.crops, num_images, step.placement)
    return logits(step.network, scoring.val.batch, len(scoring.val.labels_N), step.placement)


def timed(epochs: Iterator[Epoch], clock: Clock) -> Iterator[tuple[Epoch, float]]:
    """Each epoch with its seconds, counted as training."""
    while True:
        before = time.perf_counter()
        with clock.part("train"):
            epoch = next(epochs, None)
        if epoch is None:
            return
        yield epoch, time.perf_counter() - before


def snapshot(network: nn.Module) -> Mapping[str, Tensor]:
    """A copy of a network's values."""
    return {name: value.clone() for name, value in network.state_dict().items()}
