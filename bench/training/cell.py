"""One cell, from its first image to its last score."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.measure.meters import Clock, combine
from bench.models.build import Network, build
from bench.schema import (
    Cell,
    Cost,
    Energy,
    EpochPoint,
    Execution,
    Memory,
    Metric,
    Phase,
    Quality,
    Throughput,
)
from bench.training.fit import Epoch, fit
from bench.training.freezing import trained_norms
from bench.training.inference import estimate_statistics, logits
from bench.training.placement import Placement
from bench.training.scores import score
from bench.training.shared import Meters, Shared
from bench.training.stage import Exam, Inputs, Stage, stage_of
from bench.training.strategies import (
    PRECISE_BN_IMAGES,
    STARTS_FROZEN,
    PhasePlan,
    phases,
    scored_epochs,
)

Logits = NDArray[np.float32]


Report = Callable[[EpochPoint, float], None]
"""Told of every epoch: its point of the learning curve, and its images per second."""


class Outcome(NamedTuple):
    """What a cell came to, before it is put into a record."""

    quality: Quality
    curve: tuple[EpochPoint, ...]
    cost: Cost
    memory: Memory
    energy: Energy
    execution: Execution


def run_cell(cell: Cell, shared: Shared, report: Report) -> Outcome:
    """Train and score one cell. Raises Diverged, and whatever torch raises."""
    images = shared.images(cell)
    backbone = None if cell.weights.source == "scratch" else shared.backbone(cell)
    warmup = shared.warmup(cell)
    features = shared.features(cell) if cell.kind in STARTS_FROZEN else None
    pieces = [piece for piece in (images, backbone, warmup, features) if piece is not None]
    inputs = Inputs(images.value, features.value if features else None, shared.preprocessing(cell))

    meters = Meters(shared.context.device)
    place = shared.placement(cell)
    with meters.clock.part("build"):
        network = start_of(cell, backbone.value if backbone else None)
        place.place(network)
    training = Training(cell, network, place, meters.clock, report)
    training.seconds_before = sum(piece.spent.seconds["train"] for piece in pieces)
    for plan in phases(cell.kind, cell.recipe, network.stages):
        training.run_phase(plan, stage_of(plan, network, inputs, cell.recipe))
    quality = training.quality()
    combined = combine(meters.spent(), [(piece.spent, piece.sharers) for piece in pieces])
    cost = Cost(
        attributed=combined.attributed,
        marginal=combined.marginal,
        shared_by=combined.shared_by,
        images_per_second=throughput(training.rates),
        latency=shared.latency(cell, network),
        total_parameters=training.total_parameters,
        trainable_parameters=training.phases[-1].trainable_parameters,
        trainable_share=training.phases[-1].trainable_share,
        phases=tuple(training.phases),
        forward_macs=shared.forward_macs(cell),
        seconds_to_target=training.seconds_to_target,
        images="bypassed",
        features="computed" if cell.kind in STARTS_FROZEN else None,
    )
    curve = tuple(training.curve)
    return Outcome(quality, curve, cost, combined.memory, combined.energy, place.execution)


def start_of(cell: Cell, state: Mapping[str, Tensor] | None) -> Network:
    """The network before its first step: backbone values as given, or drawn from the seed."""
    return build(
        cell.architecture,
        len(cell.data.classes),
        cell.image_size,
        state=state,
        backbone_seed=derived_seed(cell.seed, "backbone"),
        head_seed=derived_seed(cell.seed, "head"),
    )


def derived_seed(seed: int, purpose: str) -> int:
    """A seed of its own for each use of randomness, so that none depends on another's draws."""
    return int(hashlib.sha256(f"{seed} {purpose}".encode()).hexdigest()[:12], 16)


class Kept(NamedTuple):
    """The scored network that counts: its val logits, and its values if later epochs change it."""

    val_score: float
    val_logits_NK: Logits
    state: Mapping[str, Tensor] | None


class Training:
    """The phases of one cell, and what they leave behind: curve, rates, the network to score."""

    def __init__(
        self,
        cell: Cell,
        network: Network,
        place: Placement,
        clock: Clock,
        report: Report,
    ) -> None:
        self.phases: list[Phase] = []
        self.curve: list[EpochPoint] = []
        self.rates: list[float] = []  # images per second of every live epoch but a phase's first
        self.seconds_to_target: float | None = None
        self.seconds_before = 0.0  # training time that was spent on shared work
        self.total_parameters = sum(parameter.numel() for parameter in network.parameters())
        self._cell, self._place, self._clock, self._report = cell, place, clock, report
        self._order = torch.Generator().manual_seed(derived_seed(cell.seed, "batches"))
        self._kept: Kept | None = None
        self._stage: Stage | None = None
        torch.manual_seed(derived_seed(cell.seed, "dropout"))

    def run_phase(self, plan: PhasePlan, stage: Stage) -> None:
        """Train one phase to its end, scoring val along the way."""
        recipe = self._cell.recipe
        self._kept, self._stage = None, stage
        scored = scored_epochs(plan.epochs)
        for epoch, seconds in timed(
            fit(stage.module, stage.feed, plan, recipe, self._place, self._order), self._clock
        ):
            rate = epoch.images / seconds
            if epoch.number > 1 and not plan.head_only:
                self.rates.append(rate)
            value = self._score(stage) if epoch.number in scored else None
            self._note(plan, epoch, rate, value)
        self.phases.append(self._phase(plan, epoch))

    def quality(self) -> Quality:
        """Scores of the network that counts. Test is read here, once."""
        kept, stage = self._kept, self._stage
        assert kept is not None, "phases run first"
        assert stage is not None, "phases run first"
        with self._clock.part("eval"):
            if kept.state is not None:
                stage.module.load_state_dict(kept.state)
            test_logits_NK = self._logits(stage, stage.test)
            return Quality(
                val=score(kept.val_logits_NK, stage.val.labels_N),
                test=score(test_logits_NK, stage.test.labels_N),
            )

    def _score(self, stage: Stage) -> float:
        """Score val, and keep this network if it is the one that counts so far."""
        with self._clock.part("eval"):
            if stage.crops is not None:
                num_images = min(PRECISE_BN_IMAGES, len(stage.feed.labels_N))
                norms = trained_norms(stage.module)
                estimate_statistics(stage.module, norms, stage.crops, num_images, self._place)
            val_logits_NK = self._logits(stage, stage.val)
            value = metric_of(val_logits_NK, stage.val.labels_N, self._cell.metric)
            best = self._cell.recipe.checkpoint == "best"
            if self._kept is None or not best or value > self._kept.val_score:
                state = snapshot(stage) if best else None
                self._kept = Kept(value, val_logits_NK, state)
        return value

    def _logits(self, stage: Stage, exam: Exam) -> Logits:
        return logits(stage.module, exam.batch, len(exam.labels_N), self._place)

    def _note(self, plan: PhasePlan, epoch: Epoch, rate: float, value: float | None) -> None:
        number = sum(phase.epochs for phase in self.phases) + epoch.number
        point = EpochPoint(
            phase=plan.name, epoch=number, train_loss=epoch.train_loss, val_score=value
        )
        self.curve.append(point)
        if value is not None and value >= self._cell.target and self.seconds_to_target is None:
            self.seconds_to_target = self.seconds_before + self._clock.seconds["train"]
        self._report(point, rate)

    def _phase(self, plan: PhasePlan, last: Epoch) -> Phase:
        return Phase(
            name=plan.name,
            epochs=plan.epochs,
            trainable_parameters=last.trainable_parameters,
            trainable_share=last.trainable_parameters / self.total_parameters,
            steps=last.steps * plan.epochs,
            frozen_cached=plan.head_only,
        )


def timed(epochs: Iterator[Epoch], clock: Clock) -> Iterator[tuple[Epoch, float]]:
    """Each epoch with its seconds, counted as training."""
    while True:
        before = time.perf_counter()
        with clock.part("train"):
            epoch = next(epochs, None)
        if epoch is None:
            return
        yield epoch, time.perf_counter() - before


def snapshot(stage: Stage) -> Mapping[str, Tensor]:
    """A copy of the values of what trains."""
    return {name: value.clone() for name, value in stage.module.state_dict().items()}


def metric_of(logits_NK: Logits, labels_N: NDArray[np.int64], metric: Metric) -> float:
    """The suite's metric on one part."""
    value: float = getattr(score(logits_NK, labels_N), metric)
    return value


def throughput(rates: Sequence[float]) -> Throughput | None:
    """Median and quartiles of the epochs' rates; None where no epoch trained on images."""
    if not rates:
        return None
    lower, median, upper = np.quantile(rates, [0.25, 0.5, 0.75])
    return Throughput(
        median=float(median),
        lower_quartile=float(lower),
        upper_quartile=float(upper),
        num_epochs=len(rates),
    )
