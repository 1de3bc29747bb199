"""The training loop: one phase, from a fresh optimiser to its last step."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.schema import Recipe
from bench.training.feeds import Batch, Feed
from bench.training.freezing import freeze, param_groups, set_train_mode
from bench.training.placement import Placement
from bench.training.strategies import PhasePlan, lr_scales


class Diverged(ArithmeticError):
    """The loss or the logits of a cell stopped being finite."""


class Epoch(NamedTuple):
    """One epoch of a phase, just trained."""

    number: int  # 1, 2, ... within the phase
    train_loss: float
    steps: int
    images: int  # that were trained on, counting repeats
    trainable_parameters: int  # as the optimiser holds them


def fit(
    network: nn.Module,
    feed: Feed,
    phase: PhasePlan,
    recipe: Recipe,
    placement: Placement,
    generator: torch.Generator,
) -> Iterator[Epoch]:
    """Train `network` in place under the rules of `phase`, yielding after every epoch.

    AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), linear warm-up, then a cosine to zero;
    cross-entropy with label smoothing. The host waits for the device once per epoch, to check
    that the loss is finite: Diverged is raised if it is not.
    """
    scales = lr_scales((name for name, _ in network.named_parameters()), phase.rules)
    freeze(network, scales)
    groups = param_groups(network, scales, lr=recipe.lr, weight_decay=recipe.weight_decay)
    optimiser = torch.optim.AdamW(groups, fused=True)
    trainable = sum(p.numel() for group in optimiser.param_groups for p in group["params"])
    steps = steps_per_epoch(len(feed.labels_N), recipe.batch_size)
    visits = steps * min(recipe.batch_size, len(feed.labels_N))
    schedule = warmup_cosine(
        steps * min(recipe.warmup_epochs, phase.epochs / 2), steps * phase.epochs
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule)
    for number in range(1, phase.epochs + 1):
        set_train_mode(network)
        loss_sum = torch.zeros((), device=placement.device)
        batch = feed.epoch(generator)
        for indices_B in batches(len(feed.labels_N), recipe.batch_size, generator, placement):
            loss = training_loss(
                network, batch, feed.labels_N, indices_B, recipe.label_smoothing, placement
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            scheduler.step()
            loss_sum += loss.detach()
        train_loss = loss_sum.item() / steps
        if not math.isfinite(train_loss):
            raise Diverged(f"training loss is {train_loss} in epoch {number} of phase {phase.name}")
        yield Epoch(number, train_loss, steps, visits, trainable)


def training_loss(
    network: nn.Module,
    batch: Batch,
    labels_N: Tensor,
    indices_B: Tensor,
    label_smoothing: float,
    placement: Placement,
) -> Tensor:
    """Mean cross-entropy of one batch, computed in fp32 whatever the network ran in."""
    inputs = placement.lay_out(batch(indices_B))
    with placement.autocast():
        logits_BK = network(inputs)
    return functional.cross_entropy(
        logits_BK.float(), labels_N[indices_B], label_smoothing=label_smoothing
    )


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Full batches only: a last batch of one image would break batch norm."""
    return max(1, num_images // batch_size)


def batches(
    num_images: int, batch_size: int, generator: torch.Generator, placement: Placement
) -> Iterator[Tensor]:
    """Indices of each full batch of one epoch, in a new random order; the rest is left out.

    Fewer images than one batch make a single batch of all of them.
    """
    order_N = torch.randperm(num_images, generator=generator)
    order_N = order_N.to(placement.device, non_blocking=True)
    size = min(batch_size, num_images)
    for start in range(0, steps_per_epoch(num_images, batch_size) * size, size):
        yield order_N[start : start + size]


def warmup_cosine(warmup_steps: float, total_steps: int) -> Callable[[int], float]:
    """Rate of each step relative to its peak: a line up, then half a cosine to zero."""

    def scale(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

    return scale
