"""What a piece of work costs: time by part, memory peaks, energy, inference latency.

CUDA runs behind the host, so every reading waits for the device first. A meter starts and reads
within one process and belongs to one thread.
"""

import ctypes
import gc
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from bench.measure import gpu
from bench.measure.device import Device
from bench.record import Energy, Latency, Memory, Seconds

PartOfCell = Literal["data", "build", "warmup", "train", "eval"]
PARTS: tuple[PartOfCell, ...] = get_args(PartOfCell)
TICK = 1e-9  # seconds; a coarse clock may see no time pass


def synchronize(device: Device) -> None:
    """Wait until the device has done what it was given; nothing to wait for on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device.index)


def seconds_of(work: Callable[[], object], device: Device) -> float:
    """Seconds of one run, the device awaited before and after."""
    synchronize(device)
    before = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - before


class Clock:
    """Splits time into the parts of a cell: `with clock.part("train"): ...`.

    A part entered inside another pauses it: time belongs to the innermost. Time outside every
    part is not counted. `at_boundary` is called at each start and end of a part, inside the time
    of the part that it closes (`MemoryMeter.sample` fits).
    """

    def __init__(self, device: Device, at_boundary: Callable[[], None] | None = None) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self._device = device
        self._at_boundary = at_boundary
        self._open: list[PartOfCell] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: PartOfCell) -> Iterator[None]:
        self._close_interval()
        self._open.append(name)
        try:
            yield
        finally:
            self._close_interval()
            self._open.pop()

    def _close_interval(self) -> None:
        synchronize(self._device)
        if self._at_boundary is not None:
            self._at_boundary()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


PROCESS = Path("/proc/self")
LOWER_PEAK = "5"  # what clear_refs takes to mean: the peak is now the present size
SLACK_BYTES = 4 * 2**20  # the kernel counts pages per core and adds them up late


class Resident(NamedTuple):
    """Resident size of this process and its peak so far, in bytes; None where not on Linux."""

    present: int | None
    peak: int | None


def resident() -> Resident:
    status = PROCESS / "status"
    text = status.read_text() if sys.platform == "linux" and status.exists() else ""
    kib = dict(re.findall(r"^(VmRSS|VmHWM):\s*(\d+) kB$", text, re.MULTILINE))
    present, peak = (int(kib[name]) * 1024 if name in kib else None for name in ("VmRSS", "VmHWM"))
    return Resident(present, peak)


def above(start: Resident, end: Resident) -> int | None:
    """Bytes by which the peak between the two lies above the resident size at `start`.

    None where the peak at `start` could not be lowered to the present size (some sandboxes
    refuse) and was not passed since: the true peak may then be anything below it.
    """
    if start.present is None or start.peak is None or end.peak is None:
        return None
    if start.peak - start.present > SLACK_BYTES and end.peak <= start.peak:
        return None
    return max(0, end.peak - start.present)


# Options of mallopt, as in malloc.h: how many blocks may be mapped by themselves, the bytes from
# which they are, and the unused bytes at the heap's end from which it is given back.
MMAP_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD = -4, -3, -1

KEPT_HEAP = {MMAP_MAX: 0, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 2**31 - 1}
"""Freed memory stays with the process. Else the kernel maps and clears the pages of every large
tensor anew: resnet18 at 224 px on two Xeon cores runs forward at 169 images/s instead of 259, and
trains at 52 instead of 64."""

DEFAULT_HEAP = {MMAP_MAX: 65_536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}
"""What glibc's own thresholds, which follow the sizes that are freed, come to under torch."""


def set_heap_policy(policy: Mapping[int, int]) -> None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "gnu_get_libc_version"):
        for option, value in policy.items():
            libc.mallopt(option, value)


def trim_heap() -> None:
    """Hand freed heap back to the system: work that reuses it would look as if it took none."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "malloc_trim"):  # glibc has it, musl does not
        libc.malloc_trim(0)


class MemoryMeter:
    """Peaks between `start` and `read`.

    On a GPU: torch's allocated peak above what lay there at `start`, its reserved peak, and the
    largest of the device-wide readings at `start`, `sample` and `read`. NVML keeps no peak; torch's
    allocator holds on to what it once took, so readings at the ends of the parts miss little. On
    the host, with any device: peak resident size above the one at `start`; Linux only.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._gpu = gpu.handle(device.index)
        self._device_bytes: list[int] = []
        self._allocated = 0
        self._rss = resident()

    def start(self) -> None:
        """Give back what earlier work left behind, then begin anew at the present use."""
        gc.collect()
        if self._device.type == "cuda":
            synchronize(self._device)
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device.index)
            self._allocated = torch.cuda.memory_allocated(self._device.index)
        trim_heap()
        with suppress(OSError):  # where it is refused, `above` notices
            (PROCESS / "clear_refs").write_text(LOWER_PEAK)
        self._rss = resident()
        self._device_bytes = []
        self.sample()

    def sample(self) -> None:
        used = gpu.used_bytes(self._gpu)
        if used is not None:
            self._device_bytes.append(used)

    def read(self) -> Memory:
        """Peaks since `start`, in bytes; null where unknown."""
        synchronize(self._device)
        self.sample()
        on_gpu, index = self._device.type == "cuda", self._device.index
        peak = torch.cuda.max_memory_allocated(index) - self._allocated if on_gpu else None
        return Memory(
            gpu_allocated_bytes=peak,
            gpu_reserved_bytes=torch.cuda.max_memory_reserved(index) if on_gpu else None,
            gpu_device_bytes=max(self._device_bytes, default=None),
            cpu_rss_above_start_bytes=above(self._rss, resident()),
        )

    def held(self) -> int:
        """Bytes of the GPU that the work since `start` goes on holding; 0 on a CPU."""
        if self._device.type != "cuda":
            return 0
        gc.collect()
        return torch.cuda.memory_allocated(self._device.index) - self._allocated


class Spent(NamedTuple):
    seconds: Mapping[str, float]  # by part; a part left out took no time
    memory: Memory  # the GPU's allocated peak is above what lay there before
    joules: float | None
    held_bytes: int = 0  # of the GPU, by what the work made


class Combined(NamedTuple):
    attributed: Seconds
    marginal: Seconds
    shared_by: int  # of the longest shared piece; 1: nothing was shared
    memory: Memory
    energy: Energy


def combine(own: Spent, shared: Sequence[tuple[Spent, int]]) -> Combined:
    """Cost of a cell from its own work and pieces that (number of cells, itself too) shared.

    The pieces come in the order in which the cell makes them where it runs alone. Attributed is as
    if it did: times and energy added in full, memory the larger, field by field over the known
    values; while a piece is made, the GPU holds those before it, and no other cell's.
    Marginal divides each shared piece by its sharers. Energy of which one term is unknown is
    unknown.
    """
    assert all(sharers >= 1 for _, sharers in shared), "a shared piece has at least one user"
    longest = max(shared, key=lambda piece: sum(piece[0].seconds.values()), default=(own, 1))
    in_full, divided = [(own, 1)], [(own, 1)]
    in_full += [(piece, 1) for piece, _ in shared]
    divided += shared
    return Combined(
        attributed=_seconds(in_full),
        marginal=_seconds(divided),
        shared_by=longest[1],
        memory=_peaks([*(piece for piece, _ in shared), own]),
        energy=Energy(attributed_joules=_joules(in_full), marginal_joules=_joules(divided)),
    )


def _seconds(pieces: Sequence[tuple[Spent, int]]) -> Seconds:
    """Sum by part of each piece divided by its number; `wall` is the sum of the parts."""
    parts = {
        part: math.fsum(piece.seconds.get(part, 0.0) / number for piece, number in pieces)
        for part in PARTS
    }
    return Seconds(wall=math.fsum(parts.values()), **parts)


def _joules(pieces: Sequence[tuple[Spent, int]]) -> float | None:
    known = [piece.joules / number for piece, number in pieces if piece.joules is not None]
    return math.fsum(known) if len(known) == len(pieces) else None


def _peaks(works: Sequence[Spent]) -> Memory:
    """The largest known value of each field; a GPU also holds what the works before it left."""
    known: dict[str, list[int]] = {name: [] for name in Memory.model_fields}
    held = 0
    for work in works:
        for name, value in work.memory:
            if value is not None:
                known[name].append(value + held if name == "gpu_allocated_bytes" else value)
        held += work.held_bytes
    return Memory(**{name: max(values, default=None) for name, values in known.items()})


def latency(
    forward: Callable[[Tensor], Tensor],
    example_NCHW: Tensor,
    batch_BCHW: Tensor,
    device: Device,
    *,
    budget_seconds: float = 3.0,
) -> Latency:
    """Time of one image (`example_NCHW`, N = 1), and images/s of a batch, on `device`.

    `forward` brings precision and layout with it and runs in inference mode; both inputs lie on
    the device. On a slow device only the first images of the batch are run, as many as fit into
    `budget_seconds`; `batch_size` says how many. Four calls on one image are made in any case.
    """
    started = time.perf_counter()
    with torch.inference_mode():
        third = started + budget_seconds / 3
        singles = _single_calls(forward, example_NCHW, device, until=third)
        p50, p95 = np.quantile(singles, [0.50, 0.95], method="inverted_cdf").tolist()
        left = started + budget_seconds - time.perf_counter()
        # Three calls are to fit: two to warm up and one to count. Larger batches are faster per
        # image than single ones, so the guess errs on the safe side.
        fitting = min(len(batch_BCHW), max(1, int(left / (3 * max(p50, TICK)))))
        images_per_second = _images_per_second(
            forward, batch_BCHW[:fitting], device, until=started + budget_seconds
        )
    return Latency(
        batch1_p50_seconds=p50,
        batch1_p95_seconds=p95,
        num_calls=len(singles),
        batch_size=fitting,
        images_per_second=images_per_second,
    )


def _single_calls(
    forward: Callable[[Tensor], Tensor], example_NCHW: Tensor, device: Device, *, until: float
) -> list[float]:
    """Seconds of each call, with the device awaited: at least 1, at most 200, after warm-up."""
    warmup, most = 5, 200
    seconds: list[float] = []
    while len(seconds) < warmup + most:
        seconds.append(seconds_of(lambda: forward(example_NCHW), device))
        if len(seconds) > 1 and time.perf_counter() + seconds[-1] > until:
            break
    return seconds[min(warmup, len(seconds) - 1) :]


def _images_per_second(
    forward: Callable[[Tensor], Tensor], batch_BCHW: Tensor, device: Device, *, until: float
) -> float:
    """Images per second of calls in a row, awaited only at the end, as evaluation runs them."""

    def run(calls: int) -> None:
        for _ in range(calls):
            forward(batch_BCHW)

    run(1)
    one = max(seconds_of(lambda: run(1), device), TICK)
    calls = min(50, int((until - time.perf_counter()) / one))
    if calls < 1:
        return len(batch_BCHW) / one
    return calls * len(batch_BCHW) / seconds_of(lambda: run(calls), device)
