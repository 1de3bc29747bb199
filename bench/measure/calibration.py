"""What the machine can do at this moment: a few fixed probes, the same at both ends of a run.

A probe is run for its share of the time, and the median of its runs counts. How large matrices and
copies are is found by time and recorded; a later calibration that is to be compared takes the same
sizes. The convolution and the loop are the same everywhere.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import NamedTuple

import torch
from torch.nn import functional

from bench.measure.device import Device
from bench.measure.meters import synchronize
from bench.schema import Calibration

SECONDS: Mapping[str, float] = {"cpu": 0.65, "cuda": 2.4}
"""Of all probes together, by type of device, warm-up and the search for a size included."""

RUNS = 3
"""Of a probe at least, however long they take."""

SHARE_OF_RUN = 1 / 8
"""Of the time of a probe, that one run may take at most."""

SMALLEST_SIDE, LARGEST_SIDE = 256, 8192
SMALLEST_COPY, LARGEST_COPY = 1 << 22, 1 << 30
LOOP_STEPS = 200_000

Step = Callable[[], object]


class Calibrated(NamedTuple):
    """A calibration, and why probes of it are null that need not be."""

    calibration: Calibration
    problems: tuple[str, ...]


class Probe(NamedTuple):
    """Work of a size that can be grown, and how much more of it a doubling brings."""

    make: Callable[[torch.device, int], Step]
    smallest: int
    largest: int
    growth: int


def calibrate(device: Device, sizes: Mapping[str, int] | None = None) -> Calibrated:
    """Run every probe. `sizes` are those of an earlier calibration; None: to be found now.

    A probe that fails, as on a GPU whose memory is taken, is null. Threads and TF32 are as the
    process has set them.
    """
    started = time.perf_counter()
    place, share = torch.device(str(device)), SECONDS[device.type] / _num_probes(device)
    found: dict[str, int] = {}
    seconds: dict[str, float] = {}
    problems = []

    def attempt(name: str, make: Callable[[], Step]) -> None:
        until = time.perf_counter() + share
        try:
            seconds[name] = typical_seconds(make(), device, until)
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            problems.append(f"{name}: {str(error).splitlines()[0]}")

    def at_its_size(name: str, probe: Probe) -> Step:
        if sizes is not None and name in sizes:
            found[name], step = sizes[name], probe.make(place, sizes[name])
        else:
            found[name], step = largest_within(probe, device, share * SHARE_OF_RUN)
        return step

    for name, probe in PROBES.items():
        if name != "upload" or device.type == "cuda":
            attempt(name, partial(at_its_size, name, probe))
    attempt("conv", partial(conv, place))
    attempt("loop", lambda: loop)
    return Calibrated(
        Calibration(
            matmul_fp32_flops=_rate("matmul_fp32", matmul_flops, found, seconds),
            matmul_bf16_flops=_rate("matmul_bf16", matmul_flops, found, seconds),
            copy_bytes_per_second=_rate("copy", read_and_written, found, seconds),
            upload_bytes_per_second=_rate("upload", int, found, seconds),
            conv_seconds=seconds.get("conv"),
            loop_seconds=seconds.get("loop"),
            seconds=time.perf_counter() - started,
            sizes=found,
        ),
        tuple(problems),
    )


def _num_probes(device: Device) -> int:
    return len(PROBES) + 2 - (device.type == "cpu")


def _rate(
    name: str,
    amount: Callable[[int], int],
    sizes: Mapping[str, int],
    seconds: Mapping[str, float],
) -> float | None:
    return amount(sizes[name]) / seconds[name] if name in seconds else None


def typical_seconds(step: Step, device: Device, until: float) -> float:
    """Median time of a step, run until that time is there, after one that does not count."""
    timed(step, device)
    times = [timed(step, device) for _ in range(RUNS)]
    while time.perf_counter() < until:
        times.append(timed(step, device))
    return median(times)


def timed(step: Step, device: Device) -> float:
    """Seconds of one run, to its end on the device."""
    synchronize(device)
    before = time.perf_counter()
    step()
    synchronize(device)
    return time.perf_counter() - before


# ---- sizes ----------------------------------------------------------------------------------


def largest_within(probe: Probe, device: Device, seconds: float) -> tuple[int, Step]:
    """The size whose step, as its smaller ones foretell, takes at most so long; and that step."""
    place, size = torch.device(str(device)), probe.smallest
    step = probe.make(place, size)
    timed(step, device)  # loads what it needs
    while size < probe.largest and quickest(step, device) * probe.growth <= seconds:
        size *= 2
        step = probe.make(place, size)
    return size, step


def quickest(step: Step, device: Device) -> float:
    """The shortest of a few runs: an interruption is to change no size."""
    return min(timed(step, device) for _ in range(RUNS))


# ---- the probes -----------------------------------------------------------------------------


def matmul_flops(side: int) -> int:
    """Floating-point operations of the product of two square matrices."""
    return 2 * side**3


def read_and_written(size: int) -> int:
    """Bytes that pass through memory when so many are copied in it."""
    return 2 * size


def matmul(place: torch.device, side: int, dtype: torch.dtype) -> Step:
    """The product of two square matrices."""
    left, right = (torch.rand(side, side, device=place).to(dtype) for _ in range(2))
    product = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=product)


def copy(place: torch.device, size: int) -> Step:
    """A copy of so many bytes within the memory of the device."""
    source = torch.ones(size, dtype=torch.uint8, device=place)
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


def upload(place: torch.device, size: int) -> Step:
    """A copy of so many bytes from pinned memory of the host to the device."""
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
    for number in range(LOOP_STEPS):
        total += number & 7
    return total


PROBES: Mapping[str, Probe] = {
    "matmul_fp32": Probe(
        lambda place, side: matmul(place, side, torch.float32), SMALLEST_SIDE, LARGEST_SIDE, 8
    ),
    "matmul_bf16": Probe(
        lambda place, side: matmul(place, side, torch.bfloat16), SMALLEST_SIDE, LARGEST_SIDE, 8
    ),
    "copy": Probe(copy, SMALLEST_COPY, LARGEST_COPY, 2),
    "upload": Probe(upload, SMALLEST_COPY, LARGEST_COPY, 2),
}
