"""One cell, from its first image to its last score."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.decoded import resize_of
from bench.data.images import Images, Pixels
from bench.data.sources import load_libraries
from bench.measure.meters import Clock, Spent, combine, latency
from bench.models import build
from bench.models.build import forward_macs
from bench.record import (
    Cell,
    Cost,
    Energy,
    EpochPoint,
    Execution,
    Latency,
    Memory,
    Phase,
    Quality,
    Throughput,
)
from bench.strategies import STRATEGIES, live_phase
from bench.training import features as kept
from bench.training import feeds
from bench.training.evaluate import Exam, host, image_exam, logits, score
from bench.training.features import Features, computed, given_backbone
from bench.training.heads import TrainedHeads, trained_heads
from bench.training.network import State, derived_seed, seedless, start_of
from bench.training.phase import Course, Point, learn
from bench.training.placement import Placement, eval_batch_size
from bench.training.shared import (
    UNCOUNTED,
    Key,
    Meters,
    Piece,
    Shared,
    augments,
    backbone_key,
    keys_of,
)
from bench.training.step import Step, captured_step, step_of, warm_up

Report = Callable[[EpochPoint, float], None]
"""Told of every epoch: its point of the learning curve, and its images per second."""

Keep = Callable[[Quality, nn.Module], None]
"""Given the scores and what was trained, the network or the head alone, at no cost to the cell;
the next cell may train it further."""


class Outcome(NamedTuple):
    quality: Quality
    curve: tuple[EpochPoint, ...]
    cost: Cost
    memory: Memory
    energy: Energy
    execution: Execution


class Trained(NamedTuple):
    module: nn.Module
    placement: Placement
    val: Exam
    test: Exam
    execution: Execution


def run_cell(cell: Cell, shared: Shared, report: Report, keep: Keep | None = None) -> Outcome:
    """Train and score one cell. Raises Diverged, and whatever torch raises."""
    pieces = pieces_of(cell, shared)
    meters = Meters(shared.context.device)
    curve: list[EpochPoint] = []
    courses: list[Course] = []

    def note(phase: str, point: Point) -> None:
        number, loss, value = len(curve) + 1, point.train_loss, point.val_score
        curve.append(EpochPoint(phase=phase, epoch=number, train_loss=loss, val_score=value))
        report(curve[-1], point.images_per_second)

    if pieces.heads is not None:
        courses.append(pieces.heads.value.of(cell.seed))
        for point in courses[0].points:
            note(courses[0].plan.name, point)
    if STRATEGIES[cell.kind].live:
        trained = trained_network(cell, shared, pieces, courses, note, meters.clock)
    else:
        trained = trained_head(cell, shared, pieces, courses[0], meters.clock)
    with meters.clock.part("eval"):  # of the network that counts; test is read here, once
        test_logits_NK = logits(trained.module, trained.test, trained.placement)
        quality = Quality(
            val=score(courses[-1].checkpoint.val_logits_NK, trained.val.labels_N),
            test=score(test_logits_NK, trained.test.labels_N),
        )
    combined = combine(meters.spent(), pieces.spent)
    total_parameters = sum(p.numel() for p in shared.outline(cell).parameters())
    phases = [phase_of(course, total_parameters) for course in courses]
    before = pieces.features.spent.seconds["train"] if pieces.features else 0.0
    cost = Cost(
        attributed=combined.attributed,
        marginal=combined.marginal,
        shared_by=combined.shared_by,
        images_per_second=throughput(courses[-1]),
        latency=latency_of(cell, shared, pieces.images.value.val),
        total_parameters=total_parameters,
        trainable_parameters=phases[-1].trainable_parameters,
        trainable_share=phases[-1].trainable_share,
        phases=tuple(phases),
        forward_macs=forward_macs(cell.architecture, len(cell.data.classes), cell.image_size),
        seconds_to_target=seconds_to_target(courses, cell.target, before),
        images=pieces.images.value.how,
        features=None if pieces.features is None else pieces.features.value.how,
    )
    if keep is not None:
        keep(quality, trained.module)
    return Outcome(quality, tuple(curve), cost, combined.memory, combined.energy, trained.execution)


class Pieces(NamedTuple):
    images: Piece[feeds.Parts]
    feed: feeds.Feed  # train, as the phase on images sees it
    squares: Piece[Pixels] | None  # where train is augmented
    backbone: Piece[State] | None
    warmup: Piece[None]
    step: Piece[Step] | None  # where the live phase is captured
    features: Piece[Features] | None
    heads: Piece[TrainedHeads] | None

    @property
    def spent(self) -> list[tuple[Spent, int]]:
        decoding = [
            (Spent({"data": share.seconds}, UNCOUNTED, share.joules), share.sharers)
            for share in self.images.value.shares
        ]
        made = [field for field in self if isinstance(field, Piece)]
        return [(piece.spent, piece.sharers) for piece in made] + decoding


def pieces_of(cell: Cell, shared: Shared) -> Pieces:
    """Everything that the cell shares, in the order in which it is made.

    The order keeps peaks low: features would take room while a step is captured.
    """
    context, once, keys = shared.context, shared.once, keys_of(cell)
    pipeline, place = shared.pipeline(cell), shared.placement(cell)

    if resize_of(pipeline) not in context.images:
        load_libraries(context.dataset)
    augmented = any(map(augments, shared.users(keys.images)))
    load = partial(feeds.load_images, context, pipeline, shared.tell, augmented=augmented)
    images = once(keys.images, load)

    squares, parts = None, images.value
    if keys.squares is not None:
        squares = once(keys.squares, partial(feeds.load_squares, context, parts))
        parts = parts._replace(train=replace(parts.train, squares_NCHW=squares.value))
    feed = feeds.image_feed(parts.train, pipeline, cell.recipe)

    backbone = None
    if keys.backbone is not None:
        file = context.files[cell.architecture_label]
        crops = feeds.shuffled_crops(parts.train, pipeline)
        give = partial(given_backbone, cell, file, crops, place)
        backbone = once(keys.backbone, give).charged(held_bytes=0)  # it lies on the host

    # Networks for trial runs, whose values do not matter, take the backbone if it is there.
    state = shared.made(backbone_key(cell))
    warm = partial(warm_up, cell, state, feeds.eval_batch(parts.train, pipeline), feed, place)
    # Without its memory: a cell that trains less than everything would be charged for it, and the
    # first cell of a worker for what libraries take once.
    warmup = once(keys.warmup, warm).charged(memory=UNCOUNTED, held_bytes=0)

    step = None
    if keys.step is not None and shared.captures and parts.resident:
        num_cells = len(shared.users(keys.step))
        step = once(keys.step, partial(captured_step, cell, state, feed, place, num_cells))

    features, heads = None, None
    if backbone is not None and keys.features is not None and keys.heads is not None:
        compute = partial(computed, cell, backbone.value, parts, pipeline, place)
        features = features_of(cell, shared, keys.features, compute)
        seeds, outline = [one.seed for one in shared.users(keys.heads)], shared.outline(cell)
        captures = shared.captures and features.value.val_N.device == place.device
        fit = partial(trained_heads, cell, seeds, outline, parts, features.value, captures)
        heads = once(keys.heads, fit)
    return Pieces(images, feed, squares, backbone, warmup, step, features, heads)


def features_of(
    cell: Cell, shared: Shared, key: Key, compute: Callable[[Clock], Features]
) -> Piece[Features]:
    if shared.made(key) is not None or not shared.context.reuse_features:
        return shared.once(key, compute)
    place = shared.placement(cell)
    name = kept.key(cell, shared.pipeline(cell), place)

    def found(clock: Clock) -> Features:
        with clock.part("data"):
            earlier = kept.load(name, place.device)
        return earlier or compute(clock)

    piece = shared.once(key, found)
    if piece.value.how == "computed":
        label = cell.architecture_label  # no cell of this run pays for keeping them
        kept.save(name, piece.value, lambda text: shared.tell(f"{label}: {text}"))
    return piece


def latency_of(cell: Cell, shared: Shared, val: Images) -> Latency:
    """Latency and throughput of inference, which do not depend on the values of a network."""
    place, device = shared.placement(cell), shared.context.device

    def measure() -> Latency:
        network = place.place(seedless(cell, shared.made(backbone_key(cell)))).eval()
        most = eval_batch_size(place.device, cell.image_size) // place.execution.passes
        size = min(max(1, most), len(val.labels_N))
        indices_B = torch.arange(size, device=place.device)
        batch_BCHW = place.lay_out(feeds.eval_batch(val, shared.pipeline(cell))(indices_B))

        def forward(images_BCHW: Tensor) -> Tensor:
            with place.autocast():
                logits_BK: Tensor = network(images_BCHW)
                return logits_BK

        return latency(forward, batch_BCHW[:1], batch_BCHW, device)

    return shared.fact(("latency", cell.image_size, place.execution.precision), measure)


def trained_head(
    cell: Cell, shared: Shared, pieces: Pieces, course: Course, clock: Clock
) -> Trained:
    """The head alone, which features are enough to score; fp32, as it was trained."""
    assert pieces.features is not None, "a head is trained on features"
    assert pieces.heads is not None, "a head was trained"
    images, features = pieces.images.value, pieces.features.value
    of_backbone = shared.placement(cell)
    place = of_backbone.in_fp32()._replace(device=features.val_N.device)
    with clock.part("build"):
        head = build.head(shared.outline(cell), derived_seed(cell.seed, "head"))
        head.load_state_dict(course.checkpoint.values)
        head.to(place.device)
    resident = images.resident and place.device == of_backbone.device
    execution = of_backbone.execution.model_copy(
        update={"captured": pieces.heads.value.captured, "resident": resident}
    )
    return Trained(
        head,
        place,
        Exam(features.val_N.__getitem__, host(images.val.labels_N)),
        Exam(features.test_N.__getitem__, host(images.test.labels_N)),
        execution,
    )


def trained_network(
    cell: Cell,
    shared: Shared,
    pieces: Pieces,
    courses: list[Course],
    note: Callable[[str, Point], None],
    clock: Clock,
) -> Trained:
    """The network after its phase on images, whose course joins those of the phases before."""
    step = started_step(cell, shared, pieces, courses, clock)
    images, pipeline = pieces.images.value, shared.pipeline(cell)
    val, test = image_exam(images.val, pipeline), image_exam(images.test, pipeline)
    plan = live_phase(cell.kind, cell.recipe, shared.outline(cell).stages)
    crops = feeds.shuffled_crops(images.train, pipeline) if cell.recipe.precise_bn else None
    courses.append(learn(cell, plan, step, val, crops, clock, partial(note, plan.name)))
    execution = step.placement.execution.model_copy(
        update={"captured": step.captured, "compiled": step.compiled, "resident": images.resident}
    )
    return Trained(step.network, step.placement, val, test, execution)


def started_step(
    cell: Cell, shared: Shared, pieces: Pieces, courses: Sequence[Course], clock: Clock
) -> Step:
    """The step of the phase on images before its first run: captured already, or made now."""
    with clock.part("build"):
        network = start_of(cell, pieces.backbone.value if pieces.backbone else None)
        for course in courses:
            network.head.load_state_dict(course.checkpoint.values)
        if pieces.step is None:
            place = shared.placement(cell)
            return step_of(cell, place.place(network), pieces.feed, place)
        step, plan = pieces.step.value, live_phase(cell.kind, cell.recipe, network.stages)
        step.start_from(network.state_dict(), plan.rules, cell.recipe.lr)
        return step


def seconds_to_target(
    courses: Sequence[Course], target: float, seconds_before: float
) -> float | None:
    """Of training until val first reached the target; None if it never did."""
    for course in courses:
        for point in course.points:
            if point.val_score is not None and point.val_score >= target:
                return seconds_before + point.seconds
        seconds_before += course.points[-1].seconds
    return None


def phase_of(course: Course, total_parameters: int) -> Phase:
    return Phase(
        name=course.plan.name,
        epochs=course.plan.epochs,
        trainable_parameters=course.trainable_parameters,
        trainable_share=course.trainable_parameters / total_parameters,
        steps=course.steps * course.plan.epochs,
        frozen_cached=course.plan.head_only,
    )


def throughput(course: Course) -> Throughput | None:
    """Median and quartiles of the epochs' rates but the first; None where only heads trained."""
    rates = [point.images_per_second for point in course.points if point.epoch > 1]
    if course.plan.head_only or not rates:
        return None
    lower, median, upper = np.quantile(rates, [0.25, 0.5, 0.75]).tolist()
    return Throughput(
        median=median, lower_quartile=lower, upper_quartile=upper, num_epochs=len(rates)
    )
