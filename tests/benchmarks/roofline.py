"""How near bench's training step comes to what the device could do: images/s and the roofline.

    python -m tests.benchmarks.roofline                     # six architectures, batch 128, 224 px
    python -m tests.benchmarks.roofline --architecture vit_b_16 --batch 16 --size 224

Both ceilings are measured in the same rounds: a square matrix product on random numbers (on a GPU
8192, bf16) and a copy of device memory (on a GPU 8 GB read and written). The roofline of a network
is the sum over its layers of the longer of computing and moving, by the practical model of
bench/models/roofline.py. Images/s are those of bench's own step on resident images: gather,
augmentation, forward, backward and update, captured on a GPU; compiled as well with --compile.

On a CPU the product runs in the arithmetic of the cell, and no figure has a goal.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from bench.architectures import ARCHITECTURES
from bench.measure.device import Device
from bench.models.roofline import NUM_BYTES, Ceilings, Layer, layers_of, train_seconds
from bench.strategies import live_phase
from bench.training.step import Step
from tests.benchmarks.findings import Figure, Findings, Goal, Place, arguments, placed, show
from tests.benchmarks.overhead import Bench
from tests.benchmarks.pairs import Cost, timed
from tests.benchmarks.synthetic import Size, write_weights

GOALS = {
    "resnet18": 21_000,
    "resnet50": 6_000,
    "efficientnet_b0": 11_000,
    "efficientnet_b4": 4_500,
    "vit_b_16": 2_900,
    "mobilenet_v3_small": 54_000,
}
"""Training images/s at batch 128 and 224 px on one H200."""


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The options; on a CPU smaller batches, products and copies suffice."""
    parser = arguments(__doc__, rounds=5)
    add = parser.add_argument
    names = sorted(name for name, row in ARCHITECTURES.items() if not row.auxiliary)
    add("--architecture", nargs="+", choices=names, default=list(GOALS), metavar="NAME")
    add("--size", type=int, default=224, help="of the networks' inputs, in pixels")
    add("--batch", type=int, default=128)
    add("--classes", type=int, default=10)
    add("--steps", type=int, default=20, help="of each round")
    add("--side", type=int, help="of the matrices; default: 8192 on a GPU, 2048 on a CPU")
    add("--copy-mb", type=int, help="read and written; default: 8000 on a GPU, 512 on a CPU")
    add("--compile", action="store_true", help="fuse the step's kernels with torch.compile")
    return parser.parse_args(words)


class Rates(NamedTuple):
    """What a step and the device did in one round."""

    images_per_second: float  # by the clock on the wall
    ceilings: Ceilings  # by the clock that counts, see pairs.py
    share: float  # of the roofline


def measure_ceilings(asked: argparse.Namespace, device: Device, precision: str) -> Ceilings:
    """What the device reaches now."""
    on_gpu = device.type == "cuda"
    side = asked.side or (8192 if on_gpu else 2048)
    numbers = (asked.copy_mb or (8000 if on_gpu else 512)) * 1_000_000 // (2 * 4)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(side, side, device=str(device)).to(dtype) for _ in range(2))
    source = torch.rand(numbers, device=str(device))
    target = torch.empty_like(source)
    product = cost_of(lambda: torch.mm(a, b), device, runs=10).judged(device)
    copy = cost_of(lambda: target.copy_(source), device, runs=10).judged(device)
    return Ceilings(2 * side**3 / product, 2 * 4 * numbers / copy)


def cost_of(work: Callable[[], object], device: Device, *, runs: int) -> Cost:
    """Of one run among several."""
    cpu, wall = timed(lambda: [work() for _ in range(runs)], device).cost
    return Cost(cpu / runs, wall / runs)


def steps_of(asked: argparse.Namespace, name: str, weights: Path, device: Device) -> Step:
    """bench's own step of a fine-tuning cell on resident images, captured on a GPU."""
    images = 4 * asked.batch
    parts = (images, asked.classes, asked.classes)
    size = Size(name, asked.size, *parts, asked.classes, asked.batch, 1, True)
    bench = Bench(size, weights, device)
    if asked.compile:
        values = {n: value.clone() for n, value in bench.step.network.state_dict().items()}
        rules = live_phase("fine_tuning", bench.cell.recipe, ()).rules
        bench.step.compile()
        bench.step.start_from(values, rules, bench.cell.recipe.lr)
    return bench.step


def round_of(
    step: Step, layers: Sequence[Layer], asked: argparse.Namespace, device: Device
) -> Rates:
    """One round: both ceilings, then steps in a row."""
    precision = step.placement.execution.precision
    ceilings = measure_ceilings(asked, device, precision)
    order_N = torch.arange(len(step.feed.labels_N), device=str(device))
    batches = torch.split(order_N, step.batch_size)
    numbers = iter(range(asked.steps))
    step.begin_epoch(torch.Generator().manual_seed(0))
    cost = cost_of(lambda: step.run(batches[next(numbers) % 4], 1e-3), device, runs=asked.steps)
    roof = train_seconds(layers, ceilings, NUM_BYTES[precision]) * step.batch_size
    return Rates(step.batch_size / cost.wall_seconds, ceilings, roof / cost.judged(device))


def measure(asked: argparse.Namespace, place: Place, name: str, folder: Path) -> list[Figure]:
    """The figures of one architecture."""
    step = steps_of(asked, name, write_weights(name, asked.size, folder), place.device)
    layers = layers_of(name, asked.size)
    if layers is None:
        raise SystemExit(f"{name}: its layers cannot all be counted; leave it out")
    rounds = [round_of(step, layers, asked, place.device) for _ in range(asked.pairs + 1)][1:]
    goal = None
    if place.device.type == "cuda" and (asked.batch, asked.size) == (128, 224) and name in GOALS:
        goal = Goal("at least", GOALS[name])
    how = "compiled" if step.compiled else "captured" if step.captured else "step by step"
    what = f"{name} ({step.placement.execution.precision}, {how})"
    flop = [each.ceilings.flop_per_second / 1e12 for each in rounds]
    moved = [each.ceilings.bytes_per_second / 1e9 for each in rounds]
    return [
        Figure(what, [each.images_per_second for each in rounds], "images/s", goal),
        Figure(f"{name}: share of the roofline", [each.share for each in rounds], ""),
        Figure(f"{name}: matrix product", flop, "TFLOP/s"),
        Figure(f"{name}: copy", moved, "GB/s"),
    ]


def main(words: Sequence[str] | None = None) -> None:
    """Measure and show."""
    asked = parse(words)
    with placed(asked) as place, tempfile.TemporaryDirectory(prefix="roofline-") as folder:
        figures = [
            figure
            for name in asked.architecture
            for figure in measure(asked, place, name, Path(folder))
        ]
    notes = []
    if place.device.type == "cpu":
        notes.append(
            "ceilings and shares are per second of CPU time, images/s by the clock on the wall"
        )
    show(Findings("roofline", vars(asked), place, figures, notes, {}), asked.json)


if __name__ == "__main__":
    main()
