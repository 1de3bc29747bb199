"""What the machine can do at this moment: a few fixed probes, the same at both ends of a run.

The probes take turns, so that a short disturbance hits all of them a little, and of each the lower
quartile of its times counts: what lasts changes it, a hiccup does not. How large matrices and
copies are is found by time and recorded; the other end of a run takes the same sizes. The
convolution and the loop are the same everywhere.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from bench.errors import first_line
from bench.measure.device import Device
from bench.measure.meters import seconds_of
from bench.record import Calibration

SECONDS: Mapping[str, float] = {"cpu": 0.75, "cuda": 2.4}
"""Of a calibration, by type of device: the search for sizes and the warm-up are part of it."""

LONGEST: Mapping[str, float] = {"cpu": 1.0, "cuda": 3.0}
"""Seconds after which a slow device gets one turn of each probe instead of `TURNS`."""

TURNS = 3
"""Of each probe at least, where there is time for them."""

TURN_SHARE = 1 / 8
"""Of the time of a probe, that one turn of it takes; also the longest that one run may be."""

SIDES = (256, 1024, 4096, 16384)
COPIES = (1 << 26, 1 << 29)
"""Sizes far apart, so that a machine takes the same ones on good days and on bad ones."""

Step = Callable[[], object]


class Probe(NamedTuple):
    make: Callable[[torch.device, int], Step]
    sizes: Sequence[int]
    amount: Callable[[int], int]  # of work by size: operations, or bytes


def calibrate(
    device: Device, sizes: Mapping[str, int] | None = None
) -> tuple[Calibration, tuple[str, ...]]:
    """Run every probe; also why some failed. `sizes` are an earlier one's; None: to be found now.

    A probe that fails, as on a GPU whose memory is taken, is null. Threads and TF32 are as the
    process has set them.
    """
    started = time.perf_counter()
    turn = SECONDS[device.type] / (len(PROBES) + 2) * TURN_SHARE
    steps, found, problems = ready(device, sizes or {}, turn)
    times = in_turns(
        steps, device, turn, started + SECONDS[device.type], started + LONGEST[device.type]
    )
    seconds = {n: float(np.quantile(own, 0.25, method="lower")) for n, own in times.items()}
    rates = {
        name: probe.amount(found[name]) / seconds[name] if name in seconds else None
        for name, probe in PROBES.items()
    }
    calibration = Calibration(
        matmul_fp32_flops=rates["matmul_fp32"],
        matmul_bf16_flops=rates["matmul_bf16"],
        copy_bytes_per_second=rates["copy"],
        upload_bytes_per_second=rates["upload"],
        conv_seconds=seconds.get("conv"),
        loop_seconds=seconds.get("loop"),
        seconds=time.perf_counter() - started,
        sizes=found,
    )
    return calibration, problems


def ready(
    device: Device, sizes: Mapping[str, int], longest: float
) -> tuple[dict[str, Step], dict[str, int], tuple[str, ...]]:
    """Every probe that the device can run, at the given size or the largest within so long.

    By name: probes that have run once, and the sizes of those that have one; and what failed.
    """
    place = torch.device(str(device))
    steps: dict[str, Step] = {}
    found: dict[str, int] = {}
    problems = []

    def sized(name: str, probe: Probe) -> Step:
        if name in sizes:
            size, step = sizes[name], probe.make(place, sizes[name])
        else:
            size, step = largest_within(probe, device, longest)
        found[name] = size
        return step

    makers: dict[str, Callable[[], Step]] = {
        **{name: partial(sized, name, probe) for name, probe in PROBES.items()},
        "conv": partial(conv, place),
        "loop": lambda: loop,
    }
    if device.type == "cpu":
        del makers["upload"]
    for name, make in makers.items():
        try:
            step = make()
            seconds_of(step, device)
            steps[name] = step
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            problems.append(f"{name}: {first_line(error)}")
    return steps, found, tuple(problems)


def in_turns(
    steps: Mapping[str, Step], device: Device, turn: float, until: float, latest: float
) -> dict[str, list[float]]:
    """Seconds of every run of each step, turn after turn until that time is there.

    There are `TURNS` all the same; from the latest time on, only the first.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    if not steps:
        return times
    for turns, (name, step) in ((n, one) for n in count() for one in steps.items()):
        now = time.perf_counter()
        if now >= until and turns >= (TURNS if now < latest else 1):
            break
        times[name].append(seconds_of(step, device))
        while time.perf_counter() + times[name][-1] < now + turn:
            times[name].append(seconds_of(step, device))
    return times


def largest_within(probe: Probe, device: Device, seconds: float) -> tuple[int, Step]:
    """The size whose step, as the one before foretells, takes at most so long; and that step."""
    place, (size, *larger) = torch.device(str(device)), probe.sizes
    step = probe.make(place, size)
    seconds_of(step, device)  # loads what it needs
    for wanted in larger:
        if quickest(step, device) * probe.amount(wanted) / probe.amount(size) > seconds:
            break
        size, step = wanted, probe.make(place, wanted)
    return size, step


def quickest(step: Step, device: Device) -> float:
    """The shortest of several runs: neither an interruption nor a cold start changes a size."""
    times = [seconds_of(step, device) for _ in range(3)]
    while sum(times) < 0.01:
        times.append(seconds_of(step, device))
    return min(times)


def matmul(place: torch.device, side: int, dtype: torch.dtype) -> Step:
    left, right = (torch.rand(side, side, device=place).to(dtype) for _ in range(2))
    product = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=product)


def copy(place: torch.device, size: int) -> Step:
    source = torch.ones(size, dtype=torch.uint8, device=place)
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


def upload(place: torch.device, size: int) -> Step:
    """Copy `size` bytes from pinned host memory to the device."""
    source = torch.ones(size, dtype=torch.uint8).pin_memory()
    target = torch.zeros(size, dtype=torch.uint8, device=place)
    return lambda: target.copy_(source, non_blocking=True)


def conv(place: torch.device) -> Step:
    """A 3x3 convolution of 64 channels over 8 maps of 56 x 56, forward and backward, in fp32."""
    inputs = torch.rand(8, 64, 56, 56, device=place).to(memory_format=torch.channels_last)
    weight = torch.rand(64, 64, 3, 3, device=place).to(memory_format=torch.channels_last)
    inputs.requires_grad_()
    weight.requires_grad_()
    gradient = torch.ones(8, 64, 56, 56, device=place).to(memory_format=torch.channels_last)

    def step() -> object:
        outputs = functional.conv2d(inputs, weight, padding=1)
        return torch.autograd.grad(outputs, (inputs, weight), gradient)

    return step


def loop() -> int:
    """A sum in plain Python, which knows one core and no other unit."""
    total = 0
    for number in range(200_000):
        total += number & 7
    return total


PROBES: Mapping[str, Probe] = {
    "matmul_fp32": Probe(partial(matmul, dtype=torch.float32), SIDES, lambda side: 2 * side**3),
    "matmul_bf16": Probe(partial(matmul, dtype=torch.bfloat16), SIDES, lambda side: 2 * side**3),
    "copy": Probe(copy, COPIES, lambda size: 2 * size),  # read and written
    "upload": Probe(upload, COPIES[:1], int),
}
