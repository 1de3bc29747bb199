"""Heads on a frozen backbone: those of all seeds train together, one batched product per step.

A head is one linear layer (or 1x1 convolution) after an optional dropout. Each seed has its own
start, batches, views and dropped units, from its own generators, so its head is the one that it
would train alone. Heads and their features are fp32, whatever the backbone ran in.

Dimensions: S seeds, V views, N images, B batch, P positions (1, or the pixels of SqueezeNet's
maps), D features, K classes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.measure.meters import Clock
from bench.models import build
from bench.models.build import Network
from bench.record import Cell, Recipe
from bench.strategies import PhasePlan, phases, scored_epochs
from bench.training.evaluate import Diverged, finite, host, metric_of
from bench.training.features import Features
from bench.training.feeds import Parts, batches_of, steps_per_epoch
from bench.training.network import derived_seed
from bench.training.phase import Checkpoint, Course, Point, check_loss, replaces, warmup_cosine
from bench.training.placement import threads_for
from bench.training.step import captured_if_possible, forget_moments

LAYER = "layer"
"""Name of the layer that learns, in the head of a network."""


class Seeded(NamedTuple):
    head: nn.Sequential
    order: torch.Generator  # of batches and views, on the CPU
    dropout: torch.Generator  # on the device


class FeatureExam(NamedTuple):
    features_N: Tensor
    labels_N: NDArray[np.int64]


class TrainedHeads(NamedTuple):
    courses: Mapping[int, Course | Diverged]
    captured: bool

    def of(self, seed: int) -> Course:
        """The head-only phase of one seed. Raises Diverged."""
        course = self.courses[seed]
        if isinstance(course, Diverged):
            raise course
        return course


def trained_heads(
    cell: Cell,
    seeds: Sequence[int],
    like: Network,
    parts: Parts,
    features: Features,
    captures: bool,
    clock: Clock,
) -> TrainedHeads:
    """The heads of all seeds of the cell's strategy; `like` gives their names and shapes."""
    device = features.val_N.device
    with clock.part("build"):
        starts = [
            Seeded(
                build.head(like, derived_seed(seed, "head")),
                torch.Generator().manual_seed(derived_seed(seed, "batches")),
                torch.Generator(device).manual_seed(derived_seed(seed, "dropout")),
            )
            for seed in seeds
        ]
        labels_N = parts.train.labels_N.to(device)
        heads = Heads(starts, features.train_VN, labels_N, cell.recipe)
    if captures:
        with clock.part("warmup"):
            heads.capture()
    plan = phases(cell.kind, cell.recipe, ())[0]
    val = FeatureExam(features.val_N, host(parts.val.labels_N))
    courses = train_heads(heads, plan, cell.recipe, val, cell.metric, clock)
    return TrainedHeads(dict(zip(seeds, courses, strict=True)), heads.captured)


class Heads:
    """The heads of several seeds as one stack of matrices, on the device of the features.

    `features_VN` is [V, N, D] or [V, N, D, H, W], float32.
    """

    def __init__(
        self, seeds: Sequence[Seeded], features_VN: Tensor, labels_N: Tensor, recipe: Recipe
    ) -> None:
        device, first = features_VN.device, seeds[0].head
        self.seeds = seeds
        self.batch_size = min(recipe.batch_size, len(labels_N))
        self.num_images = len(labels_N)
        self.captured = False
        self._run = self._step
        self._rows_VNPD, self._labels_N = rows_of(features_VN, 2), labels_N
        self._label_smoothing = recipe.label_smoothing
        names = [name for name, _ in first.named_children()]
        self._rest = nn.Sequential(*list(first.children())[names.index(LAYER) + 1 :])
        dropouts = (module for module in first.children() if isinstance(module, nn.Dropout))
        self._drop = sum(module.p for module in dropouts)  # of the one there is, if any
        self._map_shape = features_VN.shape[3:]
        self._values = stacked([seed.head for seed in seeds], device)
        self._parameters = {n: nn.Parameter(value.clone()) for n, value in self._values.items()}
        self._rate = torch.tensor(recipe.lr, device=device)
        self._peak = recipe.lr
        decays = {"weight": recipe.weight_decay, "bias": 0.0}
        groups = [
            {"params": [parameter], "lr": self._rate, "weight_decay": decays[name]}
            for name, parameter in self._parameters.items()
        ]
        self._optimiser = torch.optim.AdamW(groups, fused=True, capturable=device.type == "cuda")
        batch = (len(seeds), self.batch_size)
        self._view_SN = torch.zeros(len(seeds), self.num_images, dtype=torch.int64, device=device)
        self._indices_SB = torch.zeros(batch, dtype=torch.int64, device=device)
        dropped = (*batch, *self._rows_VNPD.shape[2:]) if self._drop else (0,)
        self._kept_SBPD = torch.zeros(dropped, device=device)
        self._losses_S = torch.zeros(len(seeds), device=device)

    @property
    def trainable_parameters(self) -> int:
        return sum(parameter[0].numel() for parameter in self._parameters.values())

    @property
    def step_macs(self) -> int:
        num_positions = self._rows_VNPD.shape[2]
        return self.batch_size * num_positions * self._parameters["weight"].numel()

    def begin_epoch(self) -> Tensor:
        """Draw the views of an epoch. Returns the order of its images for each seed, [S, N]."""
        num_views, shape = len(self._rows_VNPD), (self.num_images,)
        if num_views > 1:
            views = [torch.randint(num_views, shape, generator=seed.order) for seed in self.seeds]
            self._view_SN.copy_(torch.stack(views))
        orders = [torch.randperm(self.num_images, generator=seed.order) for seed in self.seeds]
        self._losses_S.zero_()
        return torch.stack(orders).to(self._labels_N.device)

    def run(self, indices_SB: Tensor, scale: float) -> None:
        self._indices_SB.copy_(indices_SB)
        self._rate.fill_(self._peak * scale)
        self._run()

    def loss_sums(self) -> list[float]:
        """Sum of the losses of the epoch's steps, by seed; waits for the device."""
        sums: list[float] = self._losses_S.tolist()
        return sums

    @torch.no_grad()
    def logits(self, features_N: Tensor) -> NDArray[np.float32]:
        """Logits of the same images by every head, [S, N, K], on the host."""
        rows_NPD = rows_of(features_N, 1)
        weight_SKD, bias_SK = self._parameters["weight"], self._parameters.get("bias")
        flat_NPK = functional.linear(
            rows_NPD, weight_SKD.flatten(0, 1), None if bias_SK is None else bias_SK.flatten()
        )
        split_NPSK = flat_NPK.view(*rows_NPD.shape[:2], *weight_SKD.shape[:2])
        logits_SNK = self._pooled(split_NPSK.permute(2, 0, 1, 3))
        array_SNK: NDArray[np.float32] = logits_SNK.cpu().numpy()
        return array_SNK

    def values(self, seed: int) -> Mapping[str, Tensor]:
        """A copy of the present values of one head, under the names of its state dict."""
        state = self.seeds[seed].head.state_dict()
        return {
            f"{LAYER}.{name}": parameter[seed].detach().clone().view_as(state[f"{LAYER}.{name}"])
            for name, parameter in self._parameters.items()
        }

    def capture(self) -> None:
        """Record the step as a CUDA graph if possible, and set the heads back to their start."""
        dropout = [seed.dropout for seed in self.seeds]
        before = [generator.initial_seed() for generator in dropout]
        replay = captured_if_possible(self._step, self._labels_N.device, dropout)
        self.captured = replay is not None
        self._run = replay or self._step
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(self._values[name])
        if replay is None:
            self._optimiser.state.clear()  # memory may have run out while it was made
        forget_moments(self._optimiser)
        for generator, seed in zip(dropout, before, strict=True):
            generator.manual_seed(seed)

    def _step(self) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        view_SB = self._view_SN.gather(1, self._indices_SB)
        rows_SBPD = self._dropped(self._rows_VNPD[view_SB, self._indices_SB])
        weight_SDK, bias_SK = self._parameters["weight"].mT, self._parameters.get("bias")
        flat_SMK = torch.bmm(rows_SBPD.flatten(1, 2), weight_SDK)
        if bias_SK is not None:
            flat_SMK = flat_SMK + bias_SK[:, None]
        logits_SBK = self._pooled(flat_SMK.view(*rows_SBPD.shape[:3], -1))
        losses = functional.cross_entropy(
            logits_SBK.flatten(0, 1),
            self._labels_N[self._indices_SB].flatten(),
            label_smoothing=self._label_smoothing,
            reduction="none",
        )
        losses_S = losses.view(self._indices_SB.shape).mean(1)
        losses_S.sum().backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._losses_S.add_(losses_S.detach())

    def _dropped(self, rows_SBPD: Tensor) -> Tensor:
        if not self._drop:
            return rows_SBPD
        keep = 1 - self._drop
        for kept_BPD, seed in zip(self._kept_SBPD, self.seeds, strict=True):
            kept_BPD.bernoulli_(keep, generator=seed.dropout)
        return rows_SBPD * self._kept_SBPD / keep

    def _pooled(self, outputs_SNPK: Tensor) -> Tensor:
        """Logits [S, N, K] from the layer's outputs, by the rest of the head."""
        if not self._map_shape:
            return outputs_SNPK.squeeze(2)
        num_seeds, num_images, _, num_classes = outputs_SNPK.shape
        maps = outputs_SNPK.mT.reshape(-1, num_classes, *self._map_shape)
        pooled: Tensor = self._rest(maps)
        return pooled.view(num_seeds, num_images, num_classes)


def rows_of(features: Tensor, num_leading: int) -> Tensor:
    """Features [..., D] or [..., D, H, W] with `num_leading` leading dimensions, as [..., P, D]."""
    if features.ndim == num_leading + 1:
        return features.unsqueeze(-2)
    return features.flatten(num_leading + 1).mT.contiguous()


def stacked(heads: Sequence[nn.Sequential], device: torch.device) -> dict[str, Tensor]:
    """Weights [S, K, D] and, where there are any, biases [S, K] of the heads' layers."""
    layers = [head.get_submodule(LAYER) for head in heads]
    return {
        name: torch.stack([layer.get_parameter(name).detach() for layer in layers])
        .flatten(2 if name == "weight" else 1)
        .to(device)
        for name, _ in layers[0].named_parameters()
    }


def train_heads(
    heads: Heads, plan: PhasePlan, recipe: Recipe, val: FeatureExam, metric: str, clock: Clock
) -> list[Course | Diverged]:
    """Train every seed through a head-only phase; their courses in order.

    Rates and batches as in `fit`. A head whose loss or logits stop being finite ends as Diverged,
    and the others go on.
    """
    steps, num_seeds = steps_per_epoch(heads.num_images, heads.batch_size), len(heads.seeds)
    scale = warmup_cosine(steps * min(recipe.warmup_epochs, plan.epochs / 2), steps * plan.epochs)
    scored, since = scored_epochs(plan.epochs), clock.seconds["train"]
    points: list[list[Point]] = [[] for _ in range(num_seeds)]
    held: dict[int, Checkpoint] = {}
    faults: dict[int, Diverged] = {}
    for epoch in range(1, plan.epochs + 1):
        begun = clock.seconds["train"]
        with clock.part("train"), threads_for(heads.step_macs):
            batches = batches_of(heads.begin_epoch(), heads.batch_size)
            for taken, indices_SB in enumerate(batches, start=steps * (epoch - 1)):
                heads.run(indices_SB, scale(taken))
            losses = [loss / steps for loss in heads.loss_sums()]
        trained = clock.seconds["train"]
        rate = steps * heads.batch_size / (trained - begun)
        with clock.part("eval"):
            logits_SNK = heads.logits(val.features_N) if epoch in scored else None
            for seed, loss in enumerate(losses):
                value = None
                try:
                    check_loss(loss, epoch, plan)
                    if logits_SNK is not None:
                        logits_NK = finite(logits_SNK[seed])
                        value = metric_of(logits_NK, val.labels_N, metric)
                        if replaces(value, held.get(seed), recipe.checkpoint):
                            held[seed] = Checkpoint(value, logits_NK, heads.values(seed))
                except Diverged as fault:
                    faults.setdefault(seed, fault)
                points[seed].append(Point(epoch, loss, value, trained - since, rate))
    size = heads.trainable_parameters
    return [
        faults.get(seed) or Course(plan, tuple(points[seed]), held[seed], steps, size)
        for seed in range(num_seeds)
    ]
