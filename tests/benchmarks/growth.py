"""How bench's time grows when a suite grows: by a seed, a head, a strategy, an epoch, images.

    python -m tests.benchmarks.growth
    python -m tests.benchmarks.growth --law seed strategy --images 300

Two suites of each law take turns in one process, each from files on disk to the last score, with
nothing in bench's cache, after one run of both to warm up. Inference latency is not measured.

law        the suites differ by                     figure
seed       --more seeds of feature_extraction       cost of one more seed, as a share of the suite
                                                    with one
head       --more feature_extractions at other      the same for one more head
           rates
strategy   feature_extraction beside two_phase      the same for one more strategy; and how often
                                                    the frozen backbone looked at each image in the
                                                    suite with both
epoch      --more epochs of fine_tuning             cost of one more epoch over that of its bare
                                                    training steps (see overhead); val is scored
                                                    five times in both suites
images     twice as many images, fine_tuning        cost of the larger over that of the smaller:
                                                    2 but for fixed costs
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench.measure.meters import Clock
from bench.suite import Suite
from bench.training.features import Features
from bench.training.shared import Key, Piece
from tests.benchmarks import engine, photographs
from tests.benchmarks.findings import Figure, Findings, Goal, Place, arguments, placed, show
from tests.benchmarks.overhead import Bench, raw_of
from tests.benchmarks.pairs import timed
from tests.benchmarks.synthetic import Size, write_weights

T = TypeVar("T")
SCORINGS = 5  # with so many epochs or more, val is scored five times
"""See bench.strategies."""


class Counting(engine.Worker):
    """A worker's pieces; keeps every set of features that a frozen backbone made."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.features: list[Features] = []

    def once(self, key: Key, make: Callable[[Clock], T]) -> Piece[T]:
        """As in every run."""
        piece = super().once(key, make)
        features = piece.value
        if isinstance(features, Features) and not any(features is one for one in self.features):
            self.features.append(features)
        return piece


class Law(NamedTuple):
    """Two suites, by what they say beyond the common table."""

    small: dict[str, Any]
    large: dict[str, Any]
    figure: Callable[[float, float], float]  # of the costs of the two
    what: str
    goal: Goal | None = None


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = arguments(__doc__, rounds=5)
    add = parser.add_argument
    add("--law", nargs="+", choices=LAWS, default=list(LAWS))
    add("--architecture", default="resnet18", metavar="NAME")
    add("--images", type=int, default=300, help="JPEG files in all: 60/20/20")
    add("--classes", type=int, default=5)
    add("--picture", type=int, nargs=2, default=(500, 375), metavar=("WIDTH", "HEIGHT"))
    add("--size", type=int, default=224, help="of the network's input, in pixels")
    add("--batch", type=int, default=32)
    add("--epochs", type=int, default=10)
    add("--more", type=int, default=4, help="seeds, heads or epochs that the larger suite adds")
    return parser.parse_args(words)


def share_of_one(asked: argparse.Namespace, small: float, large: float) -> float:
    """Cost of one of what was added, over the cost of the smaller suite."""
    more: int = asked.more
    return (large - small) / more / small


def seed_law(asked: argparse.Namespace, folder: Path, place: Place) -> Law:
    """More seeds of one frozen-feature strategy."""
    strategies = {"strategies": ["feature_extraction"]}
    return Law(
        {**strategies, "seeds": [0]},
        {**strategies, "seeds": list(range(1 + asked.more))},
        partial(share_of_one, asked),
        "an extra seed of feature_extraction / the first",
        Goal("at most", 0.02),
    )


def head_law(asked: argparse.Namespace, folder: Path, place: Place) -> Law:
    """More rates of one frozen-feature strategy."""
    first: list[object] = ["feature_extraction"]
    others: list[object] = [
        {"name": f"head {number}", "kind": "feature_extraction", "lr": 0.01 / (number + 2)}
        for number in range(asked.more)
    ]
    return Law(
        {"strategies": first},
        {"strategies": first + others},
        partial(share_of_one, asked),
        "an extra head / the suite with one",
    )


def strategy_law(asked: argparse.Namespace, folder: Path, place: Place) -> Law:
    """A second strategy on the same features."""
    return Law(
        {"strategies": ["two_phase"]},
        {"strategies": ["two_phase", "feature_extraction"]},
        lambda small, large: (large - small) / small,
        "feature_extraction beside two_phase / two_phase",
    )


def epoch_law(asked: argparse.Namespace, folder: Path, place: Place) -> Law:
    """More epochs of training everything."""
    train = round(photographs.SHARES["train"] * asked.images)
    parts = (train, asked.classes, asked.classes)
    size = Size(asked.architecture, asked.size, *parts, asked.classes, asked.batch, 1, True)
    bench = Bench(size, write_weights(asked.architecture, asked.size, folder), place.device)
    raw = raw_of(bench.cell, bench.worker, bench.step)
    steps = max(1, train // asked.batch)
    raw.seconds(place.device, steps=steps, images=0)

    def figure(small: float, large: float) -> float:
        bare = raw.seconds(place.device, steps=steps, images=0)
        more: int = asked.more
        return (large - small) / more / bare

    return Law(
        {"strategies": ["fine_tuning"], "recipe": {"epochs": SCORINGS}},
        {"strategies": ["fine_tuning"], "recipe": {"epochs": SCORINGS + asked.more}},
        figure,
        "an extra epoch of fine_tuning / its bare steps",
        Goal("at most", 1.05),
    )


def images_law(asked: argparse.Namespace, folder: Path, place: Place) -> Law:
    """Twice the images."""
    double = write_images(asked, folder / "double", 2 * asked.images)
    return Law(
        {"strategies": ["fine_tuning"]},
        {"strategies": ["fine_tuning"], "dataset": {"source": str(double)}},
        lambda small, large: large / small,
        "twice the images / once",
        Goal("at most", 2.0),
    )


LAWS: dict[str, Callable[[argparse.Namespace, Path, Place], Law]] = {
    "seed": seed_law,
    "head": head_law,
    "strategy": strategy_law,
    "epoch": epoch_law,
    "images": images_law,
}


def write_images(asked: argparse.Namespace, folder: Path, number: int) -> Path:
    """Photographs in class folders."""
    width, height = asked.picture
    return photographs.write(folder, number, num_classes=asked.classes, width=width, height=height)


def table_of(
    asked: argparse.Namespace, images: Path, weights: Path, said: dict[str, Any]
) -> dict[str, Any]:
    """A suite: the common table, and what this one says beyond it."""
    recipe = {"image_size": asked.size, "epochs": asked.epochs, "batch_size": asked.batch}
    return {
        "name": "growth",
        "architectures": [asked.architecture],
        "weights": [f"{weights}/"],
        "dataset": {"source": str(images)},
        **said,
        "recipe": {**recipe, **said.get("recipe", {})},
    }


class Played(NamedTuple):
    """One turn of one suite."""

    seconds: float
    backbone_passes: int  # how often the frozen backbone looked at each image


def play(table: dict[str, Any], place: Place) -> Played:
    """One run of a suite from its files."""
    engine.empty_cache()
    suite = engine.suite_of(table, place.device)
    turn = timed(lambda: run(suite, place), place.device)
    return Played(turn.cost.judged(place.device), len(turn.value.features))


def run(suite: Suite, place: Place) -> Counting:
    """Every cell of a suite; the worker that ran them."""
    context, asked = engine.assemble(suite, place.device)
    shared = Counting(engine.decoded(context, asked), asked)
    engine.finish(asked, shared)
    return shared


def measure(name: str, asked: argparse.Namespace, place: Place, folder: Path) -> list[Figure]:
    """The figures of one law."""
    folder.mkdir()
    images, weights = write_images(asked, folder / "images", asked.images), folder / "weights"
    weights.mkdir()
    write_weights(asked.architecture, asked.size, weights)
    law = LAWS[name](asked, folder, place)
    small, large = (table_of(asked, images, weights, said) for said in (law.small, law.large))
    values, passes = [], []
    for number in range(asked.pairs + 1):
        first, second = play(small, place), play(large, place)
        if number > 0:  # the first warms up
            values.append(law.figure(first.seconds, second.seconds))
            passes.append(float(second.backbone_passes))
    found = [Figure(f"{name}: {law.what}", values, goal=law.goal)]
    if name == "strategy":
        what = "strategy: looks of the frozen backbone at an image, both together"
        found.append(Figure(what, passes, "", Goal("at most", 1)))
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Measure and show."""
    asked = parse(words)
    with (
        placed(asked) as place,
        engine.own_cache(),
        tempfile.TemporaryDirectory(prefix="growth-") as folder,
    ):
        figures = [
            figure
            for name in asked.law
            for figure in measure(name, asked, place, Path(folder) / name)
        ]
    show(Findings("growth", vars(asked), place, figures, [], {}), asked.json)


if __name__ == "__main__":
    main()
