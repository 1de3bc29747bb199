"""What the cells of one worker share: each piece made once, and remembered with its cost.

Decoded images, the frozen backbone and its features do not depend on the seed, and serve every
strategy that needs the same ones; the heads of all seeds train together; a captured step serves
every cell of its shape. A worker has one architecture, so keys hold only what its cells may differ
in.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch

from bench.cache import Tell, silent
from bench.measure.device import Device
from bench.measure.gpu import EnergyMeter
from bench.measure.meters import Clock, MemoryMeter, Spent
from bench.models import build
from bench.models.build import Network
from bench.record import Cell, Memory, Preprocessing
from bench.strategies import STRATEGIES
from bench.training.context import Context
from bench.training.placement import Placement, placement

T = TypeVar("T")
Key = tuple[Hashable, ...]
"""The name of a piece, then what tells it from others of that name."""

UNCOUNTED = Memory(**dict.fromkeys(Memory.model_fields))
"""The memory of work that no cell is charged for."""


class Piece(NamedTuple, Generic[T]):
    """A shared piece of work: the value, its cost, and how many cells of this worker use it."""

    value: T
    spent: Spent
    sharers: int

    def charged(self, **changed: Any) -> "Piece[T]":
        """The same with other costs."""
        return self._replace(spent=self.spent._replace(**changed))


class Meters:
    def __init__(self, device: Device) -> None:
        self._memory = MemoryMeter(device)
        self._energy = EnergyMeter(device.index)
        self.clock = Clock(device, at_boundary=self._memory.sample)
        self._memory.start()
        self._energy.start()

    def spent(self) -> Spent:
        seconds, memory = dict(self.clock.seconds), self._memory.read()  # which waits for the GPU
        return Spent(seconds, memory, self._energy.read(), self._memory.held())


class Shared:
    """The memory of one worker. `cells` are all cells that it will run.

    `tell` receives what the user should know, such as a cache that could not be used: in the same
    words from every worker where it concerns the images, else with the architecture's name. Each
    batch goes in so many passes.
    """

    def __init__(
        self, context: Context, cells: Sequence[Cell], tell: Tell = silent, passes: int = 1
    ) -> None:
        self.context, self.cells, self.tell, self._passes = context, cells, tell, passes
        self._sharers = Counter(key for cell in cells for key in keys_of(cell) if key)
        self._waiting = self._sharers.copy()
        self._pieces: dict[Key, Piece[Any]] = {}
        self._facts: dict[Key, Any] = {}

    def once(self, key: Key, make: Callable[[Clock], T]) -> Piece[T]:
        if key not in self._pieces:
            meters = Meters(self.context.device)
            value = make(meters.clock)
            self._pieces[key] = Piece(value, meters.spent(), self._sharers[key])
        return self._pieces[key]

    def made(self, key: Key | None) -> Any:
        piece = None if key is None else self._pieces.get(key)
        return None if piece is None else piece.value

    def users(self, key: Key) -> list[Cell]:
        return [cell for cell in self.cells if key in keys_of(cell)]

    def release(self, cell: Cell) -> None:
        """Drop the pieces that no later cell uses: they would count in its peak memory."""
        for key in filter(None, keys_of(cell)):
            self._waiting[key] -= 1
            if self._waiting[key] == 0:
                self._pieces.pop(key, None)

    def fact(self, key: Key, find: Callable[[], T]) -> T:
        """A fact about the architecture, found once; charged to no cell."""
        if key not in self._facts:
            self._facts[key] = find()
        found: T = self._facts[key]
        return found

    @property
    def captures(self) -> bool:
        return self.context.device.type == "cuda"

    def placement(self, cell: Cell) -> Placement:
        device = torch.device(str(self.context.device))
        place = placement(cell.architecture, cell.recipe, cell.image_size, device)
        return place if self._passes == 1 else place.in_passes(self._passes)

    def pipeline(self, cell: Cell) -> Preprocessing:
        member = self.context.pipelines[cell.architecture_label]
        return build.preprocessing(cell.architecture, member, cell.image_size)

    def outline(self, cell: Cell) -> Network:
        shape = (cell.architecture, len(cell.data.classes), cell.image_size)
        return self.fact(("outline", cell.image_size), lambda: build.outline(*shape))


class Keys(NamedTuple):
    """The keys of the pieces that a cell uses; None for those that it does without."""

    images: Key
    squares: Key | None
    backbone: Key | None
    warmup: Key
    step: Key | None
    features: Key | None
    heads: Key | None


def keys_of(cell: Cell) -> Keys:
    """What tells each of the cell's pieces from others of its name."""
    recipe, size, precision = cell.recipe, cell.image_size, cell.recipe.precision
    strategy = STRATEGIES[cell.kind]
    is_live, starts_frozen = strategy.live, strategy.starts_frozen
    views = (recipe.views, recipe.flip) if recipe.views > 1 else (1,)
    augmented = (recipe.augment, recipe.flip if recipe.augment == "standard" else None)
    trained = "all" if strategy.whole else (cell.kind, recipe.stages)
    recorded = (recipe.batch_size, *augmented, trained, recipe.label_smoothing, recipe.weight_decay)
    return Keys(
        images=("images", size),
        squares=("squares", size) if augments(cell) else None,
        backbone=None if cell.weights.source == "scratch" else backbone_key(cell),
        warmup=("warmup", size, precision, is_live),
        # What is recorded into a captured step; values and rates are not.
        step=("step", size, precision, *recorded) if is_live else None,
        features=("features", size, precision, *views) if starts_frozen else None,
        # Heads that train together differ by the seed alone.
        heads=("heads", cell.model_copy(update={"seed": 0})) if starts_frozen else None,
    )


def backbone_key(cell: Cell) -> Key:
    """Position embeddings depend on the size, and estimated statistics on both."""
    return ("backbone", cell.image_size, cell.recipe.precision)


def augments(cell: Cell) -> bool:
    """Whether the cell looks at augmented train images: live, or as cached views."""
    strategy = STRATEGIES[cell.kind]
    live = strategy.live and cell.recipe.augment == "standard"
    return live or (strategy.starts_frozen and cell.recipe.views > 1)
