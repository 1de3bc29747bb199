"""What a piece of work costs: time by part, memory peaks, energy, inference latency.

CUDA runs behind the host, so every reading waits for the device first. A meter starts and reads
within one process and belongs to one thread.
"""

import gc
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from bench.measure import gpu, memory
from bench.measure.device import Device
from bench.record import Energy, Latency, Memory, Seconds

PartOfCell = Literal["data", "build", "warmup", "train", "eval"]
PARTS: tuple[PartOfCell, ...] = get_args(PartOfCell)
TICK = 1e-9  # seconds; a coarse clock may see no time pass


def synchronize(device: Device) -> None:
    """Wait until the device has done what it was given; nothing to wait for on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device.index)


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


class MemoryMeter:
    """Peaks between `start` and `read`.

    On a GPU: torch's allocated peak above what lay there at `start`, its reserved peak, and the
    largest of the device-wide readings at `start`, `sample` and `read`. NVML keeps no peak; torch's
    allocator holds on to what it once took, so readings at the ends of the parts miss little. On
    the host, with any device: peak resident size above the one at `start`; Linux only.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._gpu = None if device.index is None else gpu.handle(device.index)
        self._device_bytes: list[int] = []
        self._allocated = 0
        self._rss = memory.resident()

    def start(self) -> None:
        """Give back what earlier work left behind, then begin anew at the present use."""
        gc.collect()
        if self._device.type == "cuda":
            synchronize(self._device)
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device.index)
            self._allocated = torch.cuda.memory_allocated(self._device.index)
        memory.trim_heap()
        memory.lower_peak()
        self._rss = memory.resident()
        self._device_bytes = []
        self.sample()

    def sample(self) -> None:
        used = None if self._gpu is None else gpu.used_bytes(self._gpu)
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
            cpu_rss_above_start_bytes=memory.above(self._rss, memory.resident()),
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
    peaks = _on_top([*(piece for piece, _ in shared), own])
    return Combined(
        attributed=_seconds(in_full),
        marginal=_seconds(divided),
        shared_by=longest[1],
        memory=Memory(**{name: _largest(peaks, name) for name in Memory.model_fields}),
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
    terms = [None if piece.joules is None else piece.joules / n for piece, n in pieces]
    known = [term for term in terms if term is not None]
    return math.fsum(known) if len(known) == len(terms) else None


def _on_top(works: Sequence[Spent]) -> list[Memory]:
    held = itertools.accumulate((work.held_bytes for work in works), initial=0)
    return [_raised(work.memory, base) for work, base in zip(works, held, strict=False)]


def _raised(memory: Memory, base: int) -> Memory:
    peak = memory.gpu_allocated_bytes
    whole = None if peak is None else base + peak
    return memory.model_copy(update={"gpu_allocated_bytes": whole})


def _largest(peaks: Sequence[Memory], field: str) -> int | None:
    known = (getattr(peak, field) for peak in peaks)
    return max((value for value in known if value is not None), default=None)


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
        p50, p95 = nearest_rank(singles, 0.50), nearest_rank(singles, 0.95)
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


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The smallest value with at least `share` of all values at or below it; share in (0, 1]."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _single_calls(
    forward: Callable[[Tensor], Tensor], example_NCHW: Tensor, device: Device, *, until: float
) -> list[float]:
    """Seconds of each call, with the device awaited: at least 1, at most 200, after warm-up."""
    warmup, most = 5, 200
    seconds: list[float] = []
    while len(seconds) < warmup + most:
        synchronize(device)
        before = time.perf_counter()
        forward(example_NCHW)
        synchronize(device)
        after = time.perf_counter()
        seconds.append(after - before)
        if len(seconds) > 1 and after + seconds[-1] > until:
            break
    return seconds[min(warmup, len(seconds) - 1) :]


def _images_per_second(
    forward: Callable[[Tensor], Tensor], batch_BCHW: Tensor, device: Device, *, until: float
) -> float:
    """Images per second of calls in a row, awaited only at the end, as evaluation runs them."""
    most = 50
    forward(batch_BCHW)
    synchronize(device)
    before = time.perf_counter()
    forward(batch_BCHW)
    synchronize(device)
    one = max(time.perf_counter() - before, TICK)
    calls = max(0, min(most, int((until - time.perf_counter()) / one)))
    if calls == 0:
        return len(batch_BCHW) / one
    before = time.perf_counter()
    for _ in range(calls):
        forward(batch_BCHW)
    synchronize(device)
    return calls * len(batch_BCHW) / (time.perf_counter() - before)
