"""The sides of `versus`, each ready to run, and what they predicted in one form."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench import predictions
from bench.measure import meters
from bench.measure.cpu import cpu_favours_bf16, gpu_has_bf16
from bench.measure.device import Device
from bench.training.run_cell import Outcome
from tests.benchmarks import engine, tutorial
from tests.benchmarks.frameworks import FRAMEWORKS
from tests.benchmarks.pairs import timed
from tests.benchmarks.tutorial import Scores, Task

Outcomes = Sequence[Outcome] | Sequence[Scores]
"""What a side comes to, seed by seed: bench, or an opponent."""

Run = Callable[[Task], list[Scores]]


class Opponent(NamedTuple):
    """One opponent, and the task in the form that suits it best."""

    run: Run
    task: Task


def run_bench(table: Mapping[str, Any], device: Device) -> list[Outcome]:
    """bench, without anything in its cache."""
    engine.empty_cache()
    return engine.run(engine.suite_of(table, device), device)


def run_of(name: str, device: Device) -> Run:
    """One opponent, imported. Raises ModuleNotFoundError where it is not installed."""
    if name == "tutorial":
        return partial(with_defaults, run=tutorial.run, autotune=False)
    index = device.index or 0
    bf16 = gpu_has_bf16(index) if device.type == "cuda" else cpu_favours_bf16()
    framework = FRAMEWORKS[name]
    framework.load()
    return partial(with_defaults, run=lambda task: framework.run(task, bf16), autotune=True)


def with_defaults(task: Task, *, run: Run, autotune: bool) -> list[Scores]:
    """Run under torch's and the heap's own settings, where a worker of bench has others.

    Frameworks run with cuDNN's autotuning, as they advise.
    """
    meters.set_heap_policy(meters.DEFAULT_HEAP)
    try:
        with cudnn(tf32=True, benchmark=autotune):
            return run(task)
    finally:
        meters.set_heap_policy(meters.KEPT_HEAP)


@contextmanager
def cudnn(*, tf32: bool, benchmark: bool) -> Iterator[None]:
    """cuDNN's settings for the time of the block."""
    flags = torch.backends.cudnn
    before = flags.allow_tf32, flags.benchmark
    flags.allow_tf32, flags.benchmark = tf32, benchmark
    try:
        yield
    finally:
        flags.allow_tf32, flags.benchmark = before


def at_its_best(run: Run, task: Task, workers: Sequence[int], device: Device) -> Opponent:
    """The opponent with the number of workers with which one epoch of one seed costs least."""
    costs = {}
    for number in workers:
        short = task._replace(epochs=1, starts=task.starts[:1], workers=number)
        costs[number] = timed(partial(run, short), device).cost.judged(device)
    return Opponent(run, task._replace(workers=min(costs, key=lambda number: costs[number])))


# ---- what came out --------------------------------------------------------------------------


class Difference(NamedTuple):
    """Accuracy of bench less that of an opponent, on the same images."""

    bench: float
    opponent: float
    standard_error: float
    num_images: int
    num_seeds: int

    @property
    def same(self) -> bool:
        """Whether the two lie within two standard errors of each other."""
        return abs(self.bench - self.opponent) <= 2 * self.standard_error

    def sentence(self, name: str) -> str:
        """The difference for a person."""
        verdict = "within" if self.same else "NOT within"
        return (
            f"accuracy, val and test: bench {self.bench:.3f}, {name} {self.opponent:.3f}, "
            f"{verdict} two standard errors ({self.standard_error:.3f}; {self.num_images} images, "
            f"{self.num_seeds} seeds)"
        )


def difference(bench: Outcomes, opponent: Outcomes) -> Difference:
    """Paired by image; the standard error is the larger of that over images and over seeds."""
    ours_SN, theirs_SN = correct(bench).astype(float), correct(opponent).astype(float)
    gap_SN = ours_SN - theirs_SN
    num_seeds, num_images = gap_SN.shape
    errors = [gap_SN.mean(0).std(ddof=1) / num_images**0.5] if num_images > 1 else [0.0]
    if num_seeds > 1:
        errors.append(gap_SN.mean(1).std(ddof=1) / num_seeds**0.5)
    return Difference(
        float(ours_SN.mean()), float(theirs_SN.mean()), float(max(errors)), num_images, num_seeds
    )


def correct(outcomes: Outcomes) -> NDArray[np.bool_]:
    """Whether each image of val, then of test, was told right by each seed: [seeds, images]."""
    return np.stack([np.concatenate(_parts(outcome)) for outcome in outcomes])


def _parts(outcome: Outcome | Scores) -> list[NDArray[np.bool_]]:
    if isinstance(outcome, Scores):
        return [np.equal(part.predicted, part.labels) for part in outcome]
    quality = outcome.quality
    return [predictions.unpack(part.predictions).correct_N for part in (quality.val, quality.test)]
