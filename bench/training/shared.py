"""Work that the cells of one worker have in common, done once and remembered with its cost.

Decoded images, the frozen backbone and its features do not depend on the seed, and serve every
strategy that asks for the same ones; heads of all seeds are trained together; a step that was
captured serves all cells of its shape. Each piece knows how many cells of the worker use it.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from bench.cache import Tell, silent
from bench.data.decoded import resize_of
from bench.data.images import Images, Pixels
from bench.data.sources import load_libraries
from bench.measure.meters import Clock, latency
from bench.models import build, weights
from bench.models.build import Network
from bench.models.fold import folded
from bench.record import Cell, Latency, Preprocessing
from bench.strategies import live_phase, phases
from bench.training import kept
from bench.training.context import Context
from bench.training.course import Course
from bench.training.feeds import AugmentedImages, Batch, eval_batch, shuffled_crops
from bench.training.fit import Diverged, steps_per_epoch
from bench.training.freezing import batch_norms
from bench.training.heads import FeatureExam, Heads, Seeded, train_heads
from bench.training.inference import EVAL_BATCH, estimate_statistics, outputs
from bench.training.kept import Features
from bench.training.loading import load, load_squares
from bench.training.piece import UNCOUNTED, Meters, Piece
from bench.training.placement import Placement, placement, worth_compiling
from bench.training.seeds import derived_seed
from bench.training.sharing import (
    augments,
    backbone_key,
    features_key,
    heads_key,
    images_key,
    keys_of,
    squares_key,
    step_key,
    warmup_key,
)
from bench.training.stage import Parts, host, image_feed
from bench.training.step import Step

WARMUP_IMAGES = 8
"""Enough to load the kernels; a whole batch would take a CPU as long as a real one."""

T = TypeVar("T")
State = Mapping[str, Tensor]


class TrainedHeads(NamedTuple):
    """The heads of one strategy after its head-only phase, by seed."""

    courses: Mapping[int, Course | Diverged]
    captured: bool


class Shared:
    """The pieces of one worker. `cells` are all cells that it will run.

    `tell` hears what a person should know, such as a cache that could not be used; of the images
    in the same words from every worker, of all else with the name of its architecture.
    """

    def __init__(self, context: Context, cells: Sequence[Cell], tell: Tell = silent) -> None:
        self.context = context
        self._cells, self._tell = cells, tell
        self._sharers = Counter(key for cell in cells for key in keys_of(cell))
        self._waiting = self._sharers.copy()
        self._pieces: dict[Hashable, Piece[Any]] = {}
        self._facts: dict[Hashable, Any] = {}

    def _tell_of(self, text: str) -> None:
        self._tell(f"{self._cells[0].architecture_label}: {text}")

    def placement(self, cell: Cell) -> Placement:
        """Where and in which arithmetic the cell runs."""
        device = torch.device(str(self.context.device))
        return placement(cell.architecture, cell.recipe, cell.image_size, device)

    def preprocessing(self, cell: Cell) -> Preprocessing:
        """The eval pipeline of the cell."""
        member = self.context.pipelines[cell.architecture_label]
        return build.preprocessing(cell.architecture, member, cell.image_size)

    def images(self, cell: Cell) -> Piece[Parts]:
        """The split, decoded at the cell's size."""
        key, dataset = images_key(cell), self.context.dataset
        cached = resize_of(self.preprocessing(cell)) in self.context.images
        if key not in self._pieces and not cached:
            load_libraries(dataset)
        return self._once(key, lambda clock: self._decode(cell, clock))

    def squares(self, cell: Cell) -> Piece[Pixels] | None:
        """What the cell augments train from; None where it does not."""
        if not augments(cell):
            return None
        parts = self.images(cell).value

        def make(clock: Clock) -> Pixels:
            with clock.part("data"):
                return load_squares(self.context, parts)

        return self._once(squares_key(cell), make)

    def train(self, cell: Cell) -> Images:
        """Train as the cell looks at it."""
        train, squares = self.images(cell).value.train, self.squares(cell)
        return train if squares is None else replace(train, squares_NCHW=squares.value)

    def backbone(self, cell: Cell) -> Piece[State]:
        """Values of the given backbone; random ones with batch-norm statistics from train."""
        parts = self.images(cell).value
        piece = self._once(backbone_key(cell), lambda clock: self._backbone(cell, parts, clock))
        return piece._replace(spent=piece.spent._replace(held_bytes=0))  # it lies on the host

    def warmup(self, cell: Cell) -> Piece[None]:
        """First steps on a network that is thrown away: kernels are loaded, libraries set up.

        Its memory is not counted: a cell that trains less than everything would be charged for it,
        and the first cell of a worker for what libraries take once.
        """
        self.train(cell)  # made of pieces of their own, which the warm-up is not to pay for
        piece = self._once(warmup_key(cell), lambda clock: self._warm_up(cell, clock))
        return piece._replace(spent=piece.spent._replace(memory=UNCOUNTED, held_bytes=0))

    def features(self, cell: Cell) -> Piece[Features]:
        """Features of every image, from the given backbone frozen, or kept by an earlier run."""
        parts, state, key = self.images(cell).value, self.backbone(cell).value, features_key(cell)
        self.train(cell)  # before the clock of the features starts
        if key in self._pieces or not self.context.reuse_features:
            return self._once(key, lambda clock: self._features(cell, parts, state, clock))
        place = self.placement(cell)
        name = kept.key(cell, self.preprocessing(cell), place)

        def make(clock: Clock) -> Features:
            with clock.part("data"):
                found = kept.load(name, place.device)
            return found or self._features(cell, parts, state, clock)

        piece = self._once(key, make)
        if piece.value.how == "computed":
            kept.save(name, piece.value, self._tell_of)  # for later runs: no cell of this one pays
        return piece

    def has_heads(self, cell: Cell) -> bool:
        """Whether the heads of all seeds are trained: what fails from now on is the cell's own."""
        return heads_key(cell) in self._pieces

    def heads(self, cell: Cell) -> Piece[TrainedHeads]:
        """The heads of all seeds of the cell's strategy, through its head-only phase."""
        parts, features = self.images(cell).value, self.features(cell).value
        return self._once(
            heads_key(cell), lambda clock: self._train_heads(cell, parts, features, clock)
        )

    def captured_step(self, cell: Cell) -> Piece[Step] | None:
        """The step of the cell's live phase, captured; None where steps are not: on a CPU.

        Nor are steps captured on images that come from the host.
        """
        parts = self.images(cell).value
        if self.placement(cell).device.type != "cuda" or not parts.resident:
            return None
        self.train(cell)  # before the clock of the step starts
        return self._once(step_key(cell), lambda clock: self._capture(cell, clock))

    def new_step(self, cell: Cell, network: Network) -> Step:
        """A step of the cell's live phase that trains this network, placed already."""
        recipe = cell.recipe
        feed = image_feed(self.train(cell), self.preprocessing(cell), recipe)
        rules = live_phase(cell.kind, recipe, network.stages).rules
        return Step(network, feed, rules, recipe, self.placement(cell))

    def release(self, cell: Cell) -> None:
        """Let go of the pieces that no later cell uses: they would lie in its peak memory."""
        for key in keys_of(cell):
            self._waiting[key] -= 1
            if self._waiting[key] == 0:
                self._pieces.pop(key, None)

    def outline(self, cell: Cell) -> Network:
        """The cell's network without values, for its names and shapes."""
        return self._noted(
            ("outline", cell.image_size),
            lambda: build.outline(cell.architecture, len(cell.data.classes), cell.image_size),
        )

    def forward_macs(self, cell: Cell) -> int:
        """Multiply-accumulates of one image's forward pass."""
        return self._noted(
            ("macs", cell.image_size),
            lambda: build.forward_macs(cell.architecture, len(cell.data.classes), cell.image_size),
        )

    def latency(self, cell: Cell) -> Latency:
        """Inference latency and throughput, which do not depend on the values of a network."""
        precision = self.placement(cell).execution.precision
        return self._noted(
            ("latency", cell.image_size, precision), lambda: self._measure_latency(cell)
        )

    def _noted(self, key: Hashable, find: Callable[[], T]) -> T:
        """A fact about the architecture, found once; nobody pays for it."""
        if key not in self._facts:
            self._facts[key] = find()
        found: T = self._facts[key]
        return found

    # ---- how each piece is made -------------------------------------------------------------

    def _once(self, key: Hashable, make: Callable[[Clock], T]) -> Piece[T]:
        if key not in self._pieces:
            meters = Meters(self.context.device)
            value = make(meters.clock)
            self._pieces[key] = Piece(value, meters.spent(), self._sharers[key])
        return self._pieces[key]

    def _decode(self, cell: Cell, clock: Clock) -> Parts:
        users = [one for one in self._cells if images_key(one) == images_key(cell)]
        with clock.part("data"):
            augmented = any(map(augments, users))
            pipeline = self.preprocessing(cell)
            return load(self.context, pipeline, augmented=augmented, tell=self._tell)

    def _backbone(self, cell: Cell, parts: Parts, clock: Clock) -> State:
        with clock.part("build"):
            file = self.context.files[cell.architecture_label]
            state = weights.load_state(cell.weights, file)
            if state is not None:
                return state
            network, place = self._network(cell, None), self.placement(cell)
            place.place(network)
            crops = shuffled_crops(parts.train, self.preprocessing(cell))
            norms = batch_norms(network)
            estimate_statistics(network, norms, crops, cell.data.num_train, place)
            return {name: value.cpu() for name, value in network.backbone.state_dict().items()}

    def _features(self, cell: Cell, parts: Parts, state: State, clock: Clock) -> Features:
        place, preprocessing = self.placement(cell), self.preprocessing(cell)
        with clock.part("build"):
            backbone = place.place(folded(self._network(cell, state).backbone))
        with clock.part("train"):
            batches: list[Batch] = [eval_batch(parts.train, preprocessing)]
            if cell.recipe.views > 1:
                feed = AugmentedImages(self.train(cell), preprocessing, cell.recipe.flip)
                generator = torch.Generator().manual_seed(0)
                draws = [feed.draw(generator).to(place.device) for _ in range(cell.recipe.views)]
                batches = [partial(feed.batch, drawn=drawn) for drawn in draws]
            views = [outputs(backbone, batch, cell.data.num_train, place) for batch in batches]
            train_VN = torch.stack(views) if len(views) > 1 else views[0][None]  # without a copy
        with clock.part("eval"):
            val_N, test_N = (
                outputs(backbone, eval_batch(images, preprocessing), len(images.labels_N), place)
                for images in (parts.val, parts.test)
            )
        return Features(train_VN, val_N, test_N, "computed")

    def _train_heads(
        self, cell: Cell, parts: Parts, features: Features, clock: Clock
    ) -> TrainedHeads:
        seeds = [one.seed for one in self._cells if heads_key(cell) in keys_of(one)]
        plan, place = phases(cell.kind, cell.recipe, ())[0], self.placement(cell)
        with clock.part("build"):
            like = self.outline(cell)
            starts = [
                Seeded(
                    build.head(like, derived_seed(seed, "head")),
                    torch.Generator().manual_seed(derived_seed(seed, "batches")),
                    torch.Generator(place.device).manual_seed(derived_seed(seed, "dropout")),
                )
                for seed in seeds
            ]
            heads = Heads(starts, features.train_VN, parts.train.labels_N, cell.recipe)
        if place.device.type == "cuda":
            with clock.part("warmup"):
                heads.capture()
        val = FeatureExam(features.val_N, host(parts.val.labels_N))
        courses = train_heads(heads, plan, cell.recipe, val, cell.metric, clock)
        return TrainedHeads(dict(zip(seeds, courses, strict=True)), heads.captured)

    def _capture(self, cell: Cell, clock: Clock) -> Step:
        recipe = cell.recipe
        with clock.part("warmup"):
            network = self.placement(cell).place(self._throwaway(cell))
            step = self.new_step(cell, network)
            step.capture()
            epochs = live_phase(cell.kind, recipe, network.stages).epochs
            steps = epochs * steps_per_epoch(cell.data.num_train, step.batch_size)
            cells = self._sharers[step_key(cell)]
            if worth_compiling(step.placement.device, step.seconds() * steps * cells):
                step.compile()
        return step

    def _warm_up(self, cell: Cell, clock: Clock) -> None:
        place, parts = self.placement(cell), self.images(cell).value
        with clock.part("warmup"):
            network = place.place(self._throwaway(cell))
            batch = eval_batch(parts.train, self.preprocessing(cell))
            outputs(network, batch, min(WARMUP_IMAGES, cell.data.num_train), place)
            if cell.kind != "feature_extraction":
                recipe = cell.recipe.model_copy(update={"batch_size": WARMUP_IMAGES})
                step = self.new_step(cell.model_copy(update={"recipe": recipe}), network)
                step.begin_epoch(torch.Generator())
                step.run(torch.arange(step.batch_size, device=place.device), 0.0)

    def _network(self, cell: Cell, state: State | None) -> Network:
        return build.build(
            cell.architecture,
            len(cell.data.classes),
            cell.image_size,
            state=state,
            backbone_seed=cell.weights.init_seed or 0,
            head_seed=0,
        )

    def _throwaway(self, cell: Cell) -> Network:
        """A network whose values do not matter: the backbone's, where they are here already."""
        piece = self._pieces.get(backbone_key(cell))
        return self._network(cell, piece.value if piece else None)

    def _measure_latency(self, cell: Cell) -> Latency:
        place, images = self.placement(cell), self.images(cell).value.val
        network = place.place(self._throwaway(cell)).eval()
        size = min(EVAL_BATCH[place.device.type], len(images.labels_N))
        indices_B = torch.arange(size, device=place.device)
        batch_BCHW = place.lay_out(eval_batch(images, self.preprocessing(cell))(indices_B))

        def forward(images_BCHW: Tensor) -> Tensor:
            with place.autocast():
                logits_BK: Tensor = network(images_BCHW)
                return logits_BK

        return latency(forward, batch_BCHW[:1], batch_BCHW, self.context.device)
