"""How much of bench's time is the work that cannot be avoided: raw work / bench, at four levels.

    python -m tests.benchmarks.overhead --level step epoch
    python -m tests.benchmarks.overhead --level cell --images 8400 --size 64     # 50,400 visits
    python -m tests.benchmarks.overhead --level suite --images 5000 --epochs 2

Numerator and denominator take turns, in one process, after one warm-up run of both. The numerator
is the bare work of ceiling.py on resident, normalised batches by the same network in the same
arithmetic: training steps of the cell's batch, forward passes of the batch that bench scores with.

level   numerator                                  denominator
step    the steps of all epochs                    `fit` on resident images: order, gather,
                                                   augmentation, schedule, loss
epoch   the same, and a forward pass of val for    `learn`: fit, and val scored after those epochs,
        every scored epoch                         with the metric; no batch-norm statistics
cell    the same, a forward pass of test, and of   `run_cell` with images loaded: build, warm-up or
        the images that batch-norm statistics      capture, batch-norm statistics, scores; without
        are estimated from at every scoring        measuring latency, as in its record
suite   every file decoded and resized once by     `bench run` on a folder of JPEGs with an empty
        all threads; one forward pass of every     cache, called in this process with its fork
        image for the frozen backbone; and the     server up: scan, hash, decode, store, load, start
        work of the fine-tuning cell as above      of workers, a cell of feature_extraction and one
                                                   of fine_tuning, latency, records, report

"cell, statistics as overhead" leaves the statistics' passes out of the numerator. Steps, epochs and
cells are of fine_tuning. --augment none trains on the plain crops, for the share of augmentation.
"""

import argparse
import io
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from bench import cli
from bench.architectures import ARCHITECTURES
from bench.data.decoded import resize_of
from bench.data.pictures import resized
from bench.measure.cpu import usable_cores
from bench.measure.device import Device
from bench.measure.meters import Clock
from bench.models.build import Network, outline
from bench.record import Cell, Preprocessing
from bench.strategies import PRECISE_BN_IMAGES, live_phase, live_scored_epochs
from bench.training.evaluate import batch_norms, image_exam
from bench.training.feeds import steps_per_epoch
from bench.training.network import derived_seed
from bench.training.phase import fit, learn
from bench.training.run_cell import pieces_of, run_cell, started_step
from bench.training.step import Step
from tests.benchmarks import engine, photographs, synthetic
from tests.benchmarks.ceiling import ROTATION, Ceiling, raw_forwards, raw_steps
from tests.benchmarks.commands import toml
from tests.benchmarks.findings import Figure, Findings, Goal, Place, arguments, placed, show
from tests.benchmarks.pairs import timed
from tests.benchmarks.synthetic import Size, Worker, write_weights

LEVELS = ("step", "epoch", "cell", "suite")


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = arguments(__doc__, rounds=5)
    add = parser.add_argument
    names = sorted(name for name, row in ARCHITECTURES.items() if not row.auxiliary)
    add("--level", nargs="+", choices=LEVELS, default=["step", "epoch", "cell"])
    add("--architecture", choices=names, default="resnet18", metavar="NAME")
    add("--images", type=int, default=300, help="images in all: 60/20/20")
    add("--classes", type=int, default=5)
    add("--picture", type=int, nargs=2, default=(500, 375), metavar=("WIDTH", "HEIGHT"))
    add("--size", type=int, default=224, help="of the network's input, in pixels")
    add("--batch", type=int, default=32)
    add("--epochs", type=int, default=10)
    add("--augment", choices=("standard", "none"), default="standard")
    return parser.parse_args(words)


def size_of(asked: argparse.Namespace) -> Size:
    """The synthetic images, from the options."""
    parts = photographs.counts(asked.images, asked.classes)
    return Size(
        architecture=asked.architecture,
        image_size=asked.size,
        num_train=parts["train"],
        num_val=parts["val"],
        num_test=parts["test"],
        num_classes=asked.classes,
        batch=asked.batch,
        epochs=asked.epochs,
        augment=asked.augment == "standard",
    )


# ---- the irreducible work -------------------------------------------------------------------


class Raw(NamedTuple):
    """The bare work of one network: training steps, and forward passes."""

    steps: Ceiling
    forwards: Ceiling
    eval_batch: int

    def seconds(self, device: Device, *, steps: int, images: int) -> float:
        """Of so many steps, and of forward passes of so many images."""
        total = 0.0
        for ceiling, batches in ((self.steps, steps), (self.forwards, images / self.eval_batch)):
            if batches > 0:
                whole = -(-batches // 1)
                cost = timed(partial(ceiling.run, int(whole)), device).cost.judged(device)
                total += cost * batches / ceiling.batches_run(int(whole))
        return total


def raw_of(cell: Cell, worker: Worker, step: Step) -> Raw:
    """The bare work of the network that a step trains."""
    network, place = step.network, step.placement
    assert isinstance(network, Network), "a live phase trains a whole network"
    eval_batch = min(place.eval_batch, cell.data.num_val)
    train = synthetic.batches_of(cell, worker, ROTATION, step.batch_size)
    scored = synthetic.batches_of(cell, worker, ROTATION, eval_batch)
    rules = live_phase(cell.kind, cell.recipe, worker.outline(cell).stages).rules
    return Raw(
        raw_steps(network, rules, cell.recipe, train, place),
        raw_forwards(network, scored, place),
        eval_batch,
    )


class Counts(NamedTuple):
    """How much bare work a fine-tuning cell holds."""

    steps: int
    val: int  # images, over all scored epochs
    statistics: int  # images, over all scored epochs
    test: int


def counts_of(cell: Cell) -> Counts:
    """The bare work of a cell, as its recipe asks."""
    data, epochs = cell.data, cell.recipe.epochs
    scorings = len(live_scored_epochs(epochs, cell.recipe, data))
    network = outline(cell.architecture, len(data.classes), cell.image_size)
    estimates = cell.recipe.precise_bn and batch_norms(network)
    return Counts(
        steps=epochs * steps_per_epoch(data.num_train, cell.recipe.batch_size),
        val=scorings * data.num_val,
        statistics=scorings * min(PRECISE_BN_IMAGES, data.num_train) if estimates else 0,
        test=data.num_test,
    )


# ---- levels with images in memory -----------------------------------------------------------


class Bench:
    """A worker on synthetic images and a fine-tuning cell of it, for bench's side of a round."""

    def __init__(self, size: Size, weights: Path, device: Device) -> None:
        self.device, self._size, self._weights = device, size, weights
        self.cell = synthetic.cell_of(size, "fine_tuning", weights)
        self._parts = synthetic.parts_of(size, device)
        self.worker = self.new_worker()
        pieces = pieces_of(self.cell, self.worker)
        self.step = started_step(self.cell, self.worker, pieces, [], Clock(device))

    def new_worker(self) -> Worker:
        """A worker that has made nothing yet."""
        return Worker(self._parts, [self.cell], self._weights, self.device)

    def step_level(self) -> float:
        """Seconds of `fit`."""
        plan = live_phase("fine_tuning", self.cell.recipe, self.worker.outline(self.cell).stages)
        generator = torch.Generator().manual_seed(derived_seed(0, "batches"))
        epochs = fit(self.step, plan, self.cell.recipe.warmup_epochs, generator)
        return timed(lambda: list(epochs), self.device).cost.judged(self.device)

    def epoch_level(self) -> float:
        """Seconds of `learn`, without batch-norm statistics."""
        plan = live_phase("fine_tuning", self.cell.recipe, self.worker.outline(self.cell).stages)
        val = image_exam(self._parts.val, self.worker.pipeline(self.cell))

        def run() -> object:
            clock = Clock(self.device)
            return learn(self.cell, plan, self.step, val, None, clock, engine.unheard)

        return timed(run, self.device).cost.judged(self.device)

    def cell_level(self) -> float:
        """Seconds of `run_cell` in a new worker."""
        worker = self.new_worker()
        turn = timed(lambda: run_cell(self.cell, worker, engine.unheard), self.device)
        return turn.cost.judged(self.device)


GOALS = {"step": 0.97, "epoch": 0.95}


def goal_of(level: str, visits: int) -> Goal | None:
    """The goal of a level at a number of image visits; None for sizes that have none."""
    if level == "cell":
        value = 0.9 if visits >= 50_000 else 0.6 if visits >= 3_000 else None
    elif level == "suite":
        value = 0.85 if visits >= 5_000 else None
    else:
        value = GOALS[level]
    return None if value is None else Goal("at least", value)


def in_memory(asked: argparse.Namespace, place: Place, folder: Path) -> list[Figure]:
    """The levels step, epoch and cell."""
    device, size = place.device, size_of(asked)
    weights = write_weights(asked.architecture, asked.size, folder)
    bench = Bench(size, weights, device)
    raw, counts = raw_of(bench.cell, bench.worker, bench.step), counts_of(bench.cell)
    sides: dict[str, tuple[Callable[[], float], int, int]] = {
        "step": (bench.step_level, 0, 0),
        "epoch": (bench.epoch_level, counts.val, 0),
        "cell": (bench.cell_level, counts.val + counts.test, counts.statistics),
    }
    found = []
    for level in [level for level in LEVELS if level in asked.level and level in sides]:
        run, images, statistics = sides[level]
        ratios, strict = [], []
        for number in range(asked.pairs + 1):
            bare = raw.seconds(device, steps=counts.steps, images=images)
            further = raw.seconds(device, steps=0, images=statistics)
            seconds = run()
            if number > 0:  # the first warms up
                ratios.append((bare + further) / seconds)
                strict.append(bare / seconds)
        visits = counts.steps * bench.step.batch_size
        found.append(Figure(f"{level}: raw / bench", ratios, goal=goal_of(level, visits)))
        if statistics:
            found.append(Figure(f"{level}, statistics as overhead", strict))
    return found


# ---- the whole command ----------------------------------------------------------------------


def decode(paths: Sequence[Path], pipeline: Preprocessing) -> None:
    """Every file decoded and resized once, by all threads, and dropped."""

    def one(path: Path) -> None:
        with Image.open(path) as picture:
            resized(picture.convert("RGB"), resize_of(pipeline))

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(one, paths))


def run_command(suite: Path, folder: Path, device: Device) -> None:
    """`bench run` in this process, without anything in its cache. Raises RuntimeError."""
    engine.empty_cache()
    with tempfile.TemporaryDirectory(dir=folder) as out, redirect_stdout(io.StringIO()):
        try:
            cli.main(["run", str(suite), "--device", str(device), "--offline", "--out", out])
        except SystemExit as end:
            if end.code != 0:
                raise RuntimeError(f"bench run ended with exit code {end.code}") from None


def whole_suite(asked: argparse.Namespace, place: Place, folder: Path) -> list[Figure]:
    """The level suite."""
    device, (width, height) = place.device, asked.picture
    images = photographs.write(
        folder / "images", asked.images, num_classes=asked.classes, width=width, height=height
    )
    paths = sorted(images.rglob("*.jpg"))
    (folder / "weights").mkdir()
    weights = write_weights(asked.architecture, asked.size, folder / "weights")
    suite = folder / "suite.toml"
    table = {
        "name": "overhead",
        "architectures": [asked.architecture],
        "strategies": ["feature_extraction", "fine_tuning"],
        "weights": [f"{folder / 'weights'}/"],
        "dataset": {"source": str(images)},
        "recipe": {
            "image_size": asked.size,
            "epochs": asked.epochs,
            "batch_size": asked.batch,
            "augment": asked.augment,
        },
    }
    suite.write_text(toml(table), encoding="utf-8")
    bench = Bench(size_of(asked), weights, device)
    raw, counts = raw_of(bench.cell, bench.worker, bench.step), counts_of(bench.cell)
    scored = counts.val + counts.statistics + counts.test
    pipeline = bench.worker.pipeline(bench.cell)
    ratios, seconds, wall = [], [], []
    for number in range(asked.pairs + 1):
        bare = raw.seconds(device, steps=counts.steps, images=scored + len(paths))
        bare += timed(lambda: decode(paths, pipeline), device).cost.judged(device)
        cost = timed(lambda: run_command(suite, folder, device), device).cost
        if number > 0:  # the first warms up
            ratios.append(bare / cost.judged(device))
            seconds.append(cost.judged(device))
            wall.append(cost.wall_seconds)
    goal = goal_of("suite", len(paths))
    return [
        Figure("suite: raw / bench", ratios, goal=goal),
        Figure("suite: bench run", seconds, "s"),
        Figure("suite: bench run, by the clock on the wall", wall, "s"),
    ]


def main(words: Sequence[str] | None = None) -> None:
    """Measure and show."""
    asked = parse(words)
    figures: list[Figure] = []
    with (
        placed(asked) as place,
        engine.own_cache(),
        tempfile.TemporaryDirectory(prefix="overhead-") as folder,
    ):
        if set(asked.level) - {"suite"}:
            figures += in_memory(asked, place, Path(folder))
        if "suite" in asked.level:
            figures += whole_suite(asked, place, Path(folder))
    counts = counts_of(synthetic.cell_of(size_of(asked), "fine_tuning", None))
    notes = [f"image visits of a cell: {counts.steps * asked.batch:,} trained on"]
    show(Findings("overhead", vars(asked), place, figures, notes, {}), asked.json)


if __name__ == "__main__":
    main()
