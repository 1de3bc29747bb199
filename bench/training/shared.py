"""Work that the cells of one worker have in common, done once and remembered with its cost.

Decoded images, the frozen backbone and its features do not depend on the seed, and serve every
strategy that asks for the same ones. Each piece knows how many cells of the worker use it.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from bench.data.images import Images, decode, decode_with_squares
from bench.data.sources import open_image
from bench.measure.device import Device
from bench.measure.hardware import usable_cores
from bench.measure.meters import Clock, EnergyMeter, MemoryMeter, Spent, latency
from bench.models import build, weights
from bench.models.build import Network
from bench.schema import Cell, Latency, Memory, Preprocessing
from bench.training.context import Context
from bench.training.feeds import AugmentedImages, eval_batch, shuffled_crops
from bench.training.fit import training_loss
from bench.training.freezing import batch_norms
from bench.training.inference import EVAL_BATCH, estimate_statistics, outputs
from bench.training.placement import Placement, placement
from bench.training.strategies import STARTS_FROZEN

T = TypeVar("T")
State = Mapping[str, Tensor]


class Parts(NamedTuple):
    """The decoded images of one split, on the device."""

    train: Images
    val: Images
    test: Images


class Features(NamedTuple):
    """What the frozen backbone makes of each image, float32, on the device."""

    train_VN: Tensor  # [views, images, ...]
    val_N: Tensor
    test_N: Tensor


class Piece(NamedTuple, Generic[T]):
    """Something shared, what it cost, and how many cells of this worker use it."""

    value: T
    spent: Spent
    sharers: int


class Meters:
    """Clock, memory and energy over one piece of work, started together."""

    def __init__(self, device: Device) -> None:
        self._memory = MemoryMeter(device)
        self._energy = EnergyMeter(device)
        self.clock = Clock(device, at_boundary=self._memory.sample)
        self._memory.start()
        self._energy.start()

    def spent(self) -> Spent:
        """What was spent since the start."""
        return Spent(dict(self.clock.seconds), self._memory.read(), self._energy.read())


class Shared:
    """The pieces of one worker. `cells` are all cells that it will run."""

    def __init__(self, context: Context, cells: Sequence[Cell]) -> None:
        self.context = context
        self._sharers = Counter(key for cell in cells for key in keys_of(cell))
        self._waiting = self._sharers.copy()
        self._pieces: dict[Hashable, Piece[Any]] = {}
        self._latencies: dict[Hashable, Latency] = {}
        self._macs: dict[Hashable, int] = {}

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
        if key not in self._pieces:
            # The first image loads libraries, which no cell is to pay for: scikit-learn, which
            # holds the digits, takes 110 MiB and a second.
            open_image(dataset, dataset.items[self.context.split.train[0]])
        return self._once(key, lambda clock: self._decode(cell, clock))

    def backbone(self, cell: Cell) -> Piece[State]:
        """Values of the given backbone; random ones with batch-norm statistics from train."""
        parts = self.images(cell).value
        return self._once(backbone_key(cell), lambda clock: self._backbone(cell, parts, clock))

    def warmup(self, cell: Cell) -> Piece[None]:
        """First steps on a network that is thrown away: kernels are loaded, libraries set up.

        Its memory is not counted: a cell that trains less than everything would be charged for it.
        """
        parts = self.images(cell).value
        piece = self._once(warmup_key(cell), lambda clock: self._warm_up(cell, parts, clock))
        return piece._replace(spent=piece.spent._replace(memory=UNCOUNTED))

    def features(self, cell: Cell) -> Piece[Features]:
        """Features of every image, from the given backbone frozen."""
        parts, state = self.images(cell).value, self.backbone(cell).value
        return self._once(
            features_key(cell), lambda clock: self._features(cell, parts, state, clock)
        )

    def release(self, cell: Cell) -> None:
        """Let go of the pieces that no later cell uses: they would lie in its peak memory."""
        for key in keys_of(cell):
            self._waiting[key] -= 1
            if self._waiting[key] == 0:
                self._pieces.pop(key, None)

    def forward_macs(self, cell: Cell) -> int:
        """Multiply-accumulates of one image's forward pass."""
        key = (cell.architecture, cell.image_size)
        if key not in self._macs:
            self._macs[key] = build.forward_macs(
                cell.architecture, len(cell.data.classes), cell.image_size
            )
        return self._macs[key]

    def latency(self, cell: Cell, network: nn.Module) -> Latency:
        """Inference latency and throughput, measured on the first network that comes by."""
        place = self.placement(cell)
        key = (cell.architecture, cell.image_size, place.execution.precision)
        if key not in self._latencies:
            self._latencies[key] = self._measure_latency(cell, network, place)
        return self._latencies[key]

    # ---- how each piece is made -------------------------------------------------------------

    def _once(self, key: Hashable, make: Callable[[Clock], T]) -> Piece[T]:
        if key not in self._pieces:
            meters = Meters(self.context.device)
            value = make(meters.clock)
            self._pieces[key] = Piece(value, meters.spent(), self._sharers[key])
        return self._pieces[key]

    def _decode(self, cell: Cell, clock: Clock) -> Parts:
        dataset, split = self.context.dataset, self.context.split
        preprocessing, threads = self.preprocessing(cell), usable_cores()
        device = torch.device(str(self.context.device))
        with clock.part("data"):
            train = decode_with_squares(dataset, split.train, preprocessing, threads=threads)
            val = decode(dataset, split.val, preprocessing, threads=threads)
            test = decode(dataset, split.test, preprocessing, threads=threads)
            return Parts(train.to(device), val.to(device), test.to(device))

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
            backbone = self._network(cell, state).backbone
            place.place(backbone)
        with clock.part("train"):
            batches = [eval_batch(parts.train, preprocessing)]
            if cell.recipe.views > 1:
                feed = AugmentedImages(parts.train, preprocessing, cell.recipe.flip)
                generator = torch.Generator().manual_seed(0)
                batches = [feed.epoch(generator) for _ in range(cell.recipe.views)]
            train_VN = torch.stack(
                [outputs(backbone, batch, cell.data.num_train, place) for batch in batches]
            )
        with clock.part("eval"):
            val_N, test_N = (
                outputs(backbone, eval_batch(images, preprocessing), len(images.labels_N), place)
                for images in (parts.val, parts.test)
            )
        return Features(train_VN, val_N, test_N)

    def _warm_up(self, cell: Cell, parts: Parts, clock: Clock) -> None:
        place, train = self.placement(cell), parts.train
        with clock.part("warmup"):
            network = self._network(cell, None)
            place.place(network)
            batch = eval_batch(train, self.preprocessing(cell))
            outputs(network, batch, min(EVAL_BATCH, cell.data.num_train), place)
            if cell.kind != "feature_extraction":
                size = min(cell.recipe.batch_size, cell.data.num_train)
                indices_B = torch.arange(size, device=place.device)
                network.train()
                loss = training_loss(network, batch, train.labels_N, indices_B, 0.0, place)
                loss.backward()  # type: ignore[no-untyped-call]

    def _network(self, cell: Cell, state: State | None) -> Network:
        return build.build(
            cell.architecture,
            len(cell.data.classes),
            cell.image_size,
            state=state,
            backbone_seed=cell.weights.init_seed or 0,
            head_seed=0,
        )

    def _measure_latency(self, cell: Cell, network: nn.Module, place: Placement) -> Latency:
        images = self.images(cell).value.val
        size = min(EVAL_BATCH, len(images.labels_N))
        indices_B = torch.arange(size, device=place.device)
        batch_BCHW = place.lay_out(eval_batch(images, self.preprocessing(cell))(indices_B))
        network.eval()

        def forward(images_BCHW: Tensor) -> Tensor:
            with place.autocast():
                logits_BK: Tensor = network(images_BCHW)
                return logits_BK

        return latency(forward, batch_BCHW[:1], batch_BCHW, self.context.device)


UNCOUNTED = Memory(
    gpu_allocated_bytes=None,
    gpu_reserved_bytes=None,
    gpu_device_bytes=None,
    cpu_rss_above_start_bytes=None,
)


def keys_of(cell: Cell) -> list[Hashable]:
    """The pieces that a cell uses."""
    keys = [images_key(cell), warmup_key(cell)]
    if cell.weights.source != "scratch":
        keys.append(backbone_key(cell))
    if cell.kind in STARTS_FROZEN:
        keys.append(features_key(cell))
    return keys


def images_key(cell: Cell) -> Hashable:
    """Decoded images differ by size only: a worker has one architecture and one pipeline."""
    return ("images", cell.image_size)


def warmup_key(cell: Cell) -> Hashable:
    """Warm-ups differ by the shapes of the steps, and by whether the network is trained."""
    recipe = cell.recipe
    trained = cell.kind != "feature_extraction"
    return ("warmup", cell.image_size, recipe.precision, trained and recipe.batch_size)


def backbone_key(cell: Cell) -> Hashable:
    """Backbones differ by size (position embeddings, statistics) and arithmetic."""
    return ("backbone", cell.image_size, cell.recipe.precision)


def features_key(cell: Cell) -> Hashable:
    """Features differ by the views of train as well."""
    recipe = cell.recipe
    augmented = (recipe.views, recipe.flip) if recipe.views > 1 else (1,)
    return ("features", cell.image_size, recipe.precision, *augmented)
