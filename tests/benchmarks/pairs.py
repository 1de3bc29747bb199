"""Ways to do one thing, run by turns in one process, and what each turn cost.

Neighbours, clock rates and heat change from minute to minute and meet both sides alike when they
take turns, so only what is made of the costs of one round is ever judged.
"""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from typing import Generic, NamedTuple, TypeVar

import psutil

from bench.measure.device import Device
from bench.measure.meters import synchronize

T = TypeVar("T")


class Cost(NamedTuple):
    """What one turn took."""

    cpu_seconds: float  # of this process and all below it
    wall_seconds: float

    def judged(self, device: Device) -> float:
        """The seconds that count: CPU time on a CPU, where neighbours steal wall time."""
        return self.cpu_seconds if device.type == "cpu" else self.wall_seconds


class Turn(NamedTuple, Generic[T]):
    """One run of one side."""

    value: T
    cost: Cost


def timed(work: Callable[[], T], device: Device) -> Turn[T]:
    """One run, with the device awaited before the clocks start and before they stop."""
    synchronize(device)
    cpu, wall = cpu_seconds(), time.perf_counter()
    value = work()
    synchronize(device)
    return Turn(value, Cost(cpu_seconds() - cpu, time.perf_counter() - wall))


def alternate(
    sides: Mapping[str, Callable[[], T]], rounds: int, device: Device
) -> dict[str, list[Turn[T]]]:
    """A B A B ...: every side once in each round. Warming up is the caller's."""
    turns: dict[str, list[Turn[T]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            turns[name].append(timed(work, device))
    return turns


def cpu_seconds() -> float:
    """CPU time so far of this process, of its living descendants and of all that they reaped.

    A loader's workers are reaped by us, workers of a fork server by that server.
    """
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:  # it ended just now; its parent has its time
            continue
        living += times.user + times.system + times.children_user + times.children_system
    return time.process_time() + reaped.ru_utime + reaped.ru_stime + living


class Spread(NamedTuple):
    """Median and quartiles of n values."""

    median: float
    lower_quartile: float
    upper_quartile: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Quartiles by linear interpolation between the values; one value is all three."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return Spread(median(values), lower, upper, len(values))
