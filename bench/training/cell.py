"""One cell, from its first image to its last score."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from bench.data.images import Pixels
from bench.measure.meters import Clock, Spent, combine
from bench.models import build
from bench.models.build import Network
from bench.record import (
    Cell,
    Cost,
    Energy,
    EpochPoint,
    Execution,
    Memory,
    Phase,
    Quality,
    Throughput,
)
from bench.strategies import STARTS_FROZEN, live_phase
from bench.training.course import Course, Point
from bench.training.feeds import shuffled_crops
from bench.training.fit import Diverged
from bench.training.inference import logits
from bench.training.kept import Features
from bench.training.live import Scoring, learn
from bench.training.piece import UNCOUNTED, Meters, Piece
from bench.training.placement import Placement
from bench.training.scores import score
from bench.training.seeds import derived_seed
from bench.training.shared import Shared, State, TrainedHeads
from bench.training.stage import Exam, Parts, feature_exam, image_exam
from bench.training.step import Step

Report = Callable[[EpochPoint, float], None]
"""Told of every epoch: its point of the learning curve, and its images per second."""

Keep = Callable[[Quality, nn.Module], None]
"""Given the scores and what was trained, the network or the head alone, at no cost of the cell's;
the next cell may train it further."""


def forget(quality: Quality, module: nn.Module) -> None:
    """Keep nothing of what was trained."""


class Outcome(NamedTuple):
    """What a cell came to, before it is put into a record."""

    quality: Quality
    curve: tuple[EpochPoint, ...]
    cost: Cost
    memory: Memory
    energy: Energy
    execution: Execution


class Work(NamedTuple):
    """The shared pieces of a cell; None for those that it does without."""

    images: Piece[Parts]
    squares: Piece[Pixels] | None  # where train is augmented
    backbone: Piece[State] | None
    warmup: Piece[None]
    step: Piece[Step] | None  # where the live phase is captured
    features: Piece[Features] | None
    heads: Piece[TrainedHeads] | None

    @property
    def pieces(self) -> list[Piece[Any]]:
        """Those that there are."""
        return [piece for piece in self if piece is not None]

    @property
    def spent(self) -> list[tuple[Spent, int]]:
        """What they cost, and how many cells share each; decoding came before the workers."""
        decoding = [
            (Spent({"data": share.seconds}, UNCOUNTED, share.joules), share.sharers)
            for share in self.images.value.shares
        ]
        return [(piece.spent, piece.sharers) for piece in self.pieces] + decoding

    @property
    def seconds_before(self) -> float:
        """Training time before the first phase: of the features."""
        return 0.0 if self.features is None else self.features.spent.seconds["train"]


class Trained(NamedTuple):
    """What a cell trained, and how it is scored."""

    module: nn.Module
    placement: Placement
    val: Exam
    test: Exam
    execution: Execution


def run_cell(cell: Cell, shared: Shared, report: Report, keep: Keep = forget) -> Outcome:
    """Train and score one cell. Raises Diverged, and whatever torch raises."""
    work = work_of(cell, shared)
    meters = Meters(shared.context.device)
    curve = Curve(cell, work.seconds_before, report)
    courses: list[Course] = []
    if work.heads is not None:
        courses.append(head_course(cell, work.heads.value))
        curve.add(courses[0].plan.name, *courses[0].points)
    if cell.kind == "feature_extraction":
        trained = trained_head(cell, shared, work, courses[0], meters.clock)
    else:
        step = started_step(cell, shared, work, courses, meters.clock)
        trained = live(cell, shared, work, step)
        courses.append(live_course(cell, shared, step, trained, curve, meters.clock))
    quality = quality_of(trained, courses[-1], meters.clock)
    combined = combine(meters.spent(), work.spent)
    total_parameters = sum(p.numel() for p in shared.outline(cell).parameters())
    phases = [phase_of(course, total_parameters) for course in courses]
    cost = Cost(
        attributed=combined.attributed,
        marginal=combined.marginal,
        shared_by=combined.shared_by,
        images_per_second=throughput(courses[-1]),
        latency=shared.latency(cell),
        total_parameters=total_parameters,
        trainable_parameters=phases[-1].trainable_parameters,
        trainable_share=phases[-1].trainable_share,
        phases=tuple(phases),
        forward_macs=shared.forward_macs(cell),
        seconds_to_target=curve.seconds_to_target,
        images=work.images.value.how,
        features=None if work.features is None else work.features.value.how,
    )
    points = tuple(curve.points)
    keep(quality, trained.module)
    return Outcome(quality, points, cost, combined.memory, combined.energy, trained.execution)


def work_of(cell: Cell, shared: Shared) -> Work:
    """Everything that the cell shares, made if it is not there yet.

    In an order that keeps peaks low: features would take room while a step is captured.
    """
    starts_frozen, is_live = cell.kind in STARTS_FROZEN, cell.kind != "feature_extraction"
    return Work(
        images=shared.images(cell),
        squares=shared.squares(cell),
        backbone=None if cell.weights.source == "scratch" else shared.backbone(cell),
        warmup=shared.warmup(cell),
        step=shared.captured_step(cell) if is_live else None,
        features=shared.features(cell) if starts_frozen else None,
        heads=shared.heads(cell) if starts_frozen else None,
    )


class Curve:
    """The learning curve of a cell through all of its phases, told to `report` as it grows."""

    def __init__(self, cell: Cell, seconds_before: float, report: Report) -> None:
        self.points: list[EpochPoint] = []
        self.seconds_to_target: float | None = None
        self._target, self._report = cell.target, report
        self._seconds = self._seconds_before = seconds_before

    def add(self, phase: str, *points: Point) -> None:
        """Append epochs of a phase, the first of which is number 1 of it."""
        for point in points:
            if point.epoch == 1:
                self._seconds_before = self._seconds
            self._seconds = self._seconds_before + point.seconds
            value = point.val_score
            if value is not None and value >= self._target and self.seconds_to_target is None:
                self.seconds_to_target = self._seconds
            self.points.append(
                EpochPoint(
                    phase=phase,
                    epoch=len(self.points) + 1,
                    train_loss=point.train_loss,
                    val_score=value,
                )
            )
            self._report(self.points[-1], point.images_per_second)


# ---- the phases -----------------------------------------------------------------------------


def head_course(cell: Cell, heads: TrainedHeads) -> Course:
    """The head-only phase of this cell's seed. Raises Diverged."""
    course = heads.courses[cell.seed]
    if isinstance(course, Diverged):
        raise course
    return course


def trained_head(cell: Cell, shared: Shared, work: Work, course: Course, clock: Clock) -> Trained:
    """The head alone, which features are enough to score; fp32, as it was trained."""
    assert work.features is not None, "a head is trained on features"
    assert work.heads is not None, "a head was trained"
    assert course.kept.values is not None, "heads trained together are kept one by one"
    place, images, features = shared.placement(cell), work.images.value, work.features.value
    with clock.part("build"):
        head = build.head(shared.outline(cell), derived_seed(cell.seed, "head"))
        head.load_state_dict(course.kept.values)
        head.to(place.device)
    execution = place.execution.model_copy(
        update={"captured": work.heads.value.captured, "resident": images.resident}
    )
    return Trained(
        head,
        place.in_fp32(),
        feature_exam(features.val_N, images.val.labels_N),
        feature_exam(features.test_N, images.test.labels_N),
        execution,
    )


def started_step(
    cell: Cell, shared: Shared, work: Work, courses: Sequence[Course], clock: Clock
) -> Step:
    """The step of the live phase, before its first run: captured already, or made now."""
    with clock.part("build"):
        network = start_of(cell, work.backbone.value if work.backbone else None)
        for course in courses:
            assert course.kept.values is not None, "heads trained together are kept one by one"
            network.head.load_state_dict(course.kept.values)
        if work.step is None:
            return shared.new_step(cell, shared.placement(cell).place(network))
        step, plan = work.step.value, live_phase(cell.kind, cell.recipe, network.stages)
        step.start_from(network.state_dict(), plan.rules, cell.recipe.lr)
        return step


def start_of(cell: Cell, state: State | None) -> Network:
    """The network before its first step: backbone values as given, or drawn from the seed."""
    return build.build(
        cell.architecture,
        len(cell.data.classes),
        cell.image_size,
        state=state,
        backbone_seed=derived_seed(cell.seed, "backbone"),
        head_seed=derived_seed(cell.seed, "head"),
    )


def live(cell: Cell, shared: Shared, work: Work, step: Step) -> Trained:
    """The whole network, scored on images."""
    images, preprocessing = work.images.value, shared.preprocessing(cell)
    execution = step.placement.execution.model_copy(
        update={
            "captured": step.captured,
            "compiled": step.compiled,
            "resident": images.resident,
        }
    )
    return Trained(
        step.network,
        step.placement,
        image_exam(images.val, preprocessing),
        image_exam(images.test, preprocessing),
        execution,
    )


def live_course(
    cell: Cell, shared: Shared, step: Step, trained: Trained, curve: Curve, clock: Clock
) -> Course:
    """Train on images to the end."""
    plan = live_phase(cell.kind, cell.recipe, shared.outline(cell).stages)
    train, preprocessing = shared.images(cell).value.train, shared.preprocessing(cell)
    crops = shuffled_crops(train, preprocessing) if cell.recipe.precise_bn else None
    scoring = Scoring(trained.val, crops)
    return learn(cell, plan, step, scoring, clock, lambda point: curve.add(plan.name, point))


# ---- what came out --------------------------------------------------------------------------


def quality_of(trained: Trained, course: Course, clock: Clock) -> Quality:
    """Scores of the network that counts. Test is read here, once."""
    with clock.part("eval"):
        test = trained.test
        num_test = len(test.labels_N)
        test_logits_NK = logits(trained.module, test.batch, num_test, trained.placement)
        return Quality(
            val=score(course.kept.val_logits_NK, trained.val.labels_N),
            test=score(test_logits_NK, test.labels_N),
        )


def phase_of(course: Course, total_parameters: int) -> Phase:
    """One phase, as it was run."""
    return Phase(
        name=course.plan.name,
        epochs=course.plan.epochs,
        trainable_parameters=course.trainable_parameters,
        trainable_share=course.trainable_parameters / total_parameters,
        steps=course.steps * course.plan.epochs,
        frozen_cached=course.plan.head_only,
    )


def throughput(course: Course) -> Throughput | None:
    """Median and quartiles of the epochs' rates but the first; None where no image was seen."""
    rates = [point.images_per_second for point in course.points if point.epoch > 1]
    if course.plan.head_only or not rates:
        return None
    lower, median, upper = np.quantile(rates, [0.25, 0.5, 0.75])
    return Throughput(
        median=float(median),
        lower_quartile=float(lower),
        upper_quartile=float(upper),
        num_epochs=len(rates),
    )
