"""Meters against real sleeps, real allocations and sums made by hand."""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.measure import meters
from bench.measure.device import Device
from bench.measure.gpu import EnergyMeter
from bench.measure.meters import (
    SLACK_BYTES,
    Clock,
    MemoryMeter,
    Resident,
    Spent,
    above,
    combine,
    latency,
)
from bench.record import Memory, Seconds

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
needs_peak = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="this kernel cannot lower a peak"
)

CPU = Device("cpu", None)
GPU = Device("cuda", 0)
MB = 1_000_000
NO_MEMORY = Memory(
    gpu_allocated_bytes=None,
    gpu_reserved_bytes=None,
    gpu_device_bytes=None,
    cpu_rss_above_start_bytes=None,
)


# ---- clock ----------------------------------------------------------------------------------


def test_time_belongs_to_the_innermost_part_and_is_counted_once() -> None:
    clock = Clock(CPU)
    before = time.perf_counter()
    with clock.part("train"):
        time.sleep(0.04)
        with clock.part("eval"):
            time.sleep(0.06)
        time.sleep(0.04)
    elapsed = time.perf_counter() - before
    assert clock.seconds["train"] >= 0.08
    assert clock.seconds["eval"] >= 0.06
    counted = sum(clock.seconds.values())
    assert counted <= elapsed
    assert elapsed - counted < 0.005  # the clock's own calls, with room for a busy machine
    assert {clock.seconds[part] for part in ("data", "build", "warmup")} == {0.0}


def test_a_part_entered_twice_adds_up_and_time_between_parts_is_nobodys() -> None:
    clock = Clock(CPU)
    for _ in range(2):
        with clock.part("data"):
            time.sleep(0.02)
        time.sleep(0.1)
    assert 0.04 <= clock.seconds["data"] < 0.14
    assert sum(clock.seconds.values()) == clock.seconds["data"]


def test_a_part_that_raises_is_counted_and_the_outer_one_goes_on() -> None:
    clock = Clock(CPU)
    with clock.part("train"):
        with contextlib.suppress(KeyError), clock.part("warmup"):
            time.sleep(0.02)
            raise KeyError
        time.sleep(0.03)
    assert clock.seconds["warmup"] >= 0.02
    assert clock.seconds["train"] >= 0.03


def test_every_boundary_of_a_part_is_announced() -> None:
    calls: list[None] = []
    clock = Clock(CPU, at_boundary=lambda: calls.append(None))
    with clock.part("train"), clock.part("eval"):
        assert len(calls) == 2
    assert len(calls) == 4


# ---- memory ---------------------------------------------------------------------------------


@needs_peak
def test_the_peak_is_what_was_allocated_even_if_it_was_freed_again() -> None:
    meter = MemoryMeter(CPU)
    meter.start()
    held = torch.ones(200 * MB // 4)
    del held
    peak = meter.read().cpu_rss_above_start_bytes
    assert peak is not None
    # The kernel adds up the pages of each core late: up to 1 MB for each that took part.
    assert 190 * MB < peak < 300 * MB


@pytest.mark.slow
@needs_peak
def test_a_new_start_forgets_the_earlier_peak_and_what_is_still_held() -> None:
    meter = MemoryMeter(CPU)
    meter.start()
    held = torch.ones(200 * MB // 4)
    meter.start()
    peak = meter.read().cpu_rss_above_start_bytes
    assert peak is not None
    assert peak < 20 * MB
    assert held.numel() == 50 * MB


@needs_peak
@pytest.mark.skipif(sys.platform != "linux", reason="the heap of glibc")
def test_heap_that_earlier_work_freed_is_charged_to_who_uses_it_again() -> None:
    def fill() -> list[bytearray]:
        return [bytearray(60_000) for _ in range(1000)]  # below the size that bypasses the heap

    meter = MemoryMeter(CPU)
    earlier = fill()
    pin = bytearray(60_000)  # on top of the heap, so that freeing alone returns nothing
    del earlier
    meter.start()
    again = fill()
    peak = meter.read().cpu_rss_above_start_bytes
    assert peak is not None
    assert peak > 50 * MB
    assert len(again) == 1000
    assert len(pin) == 60_000


def test_gpu_peaks_are_unknown_on_a_cpu() -> None:
    meter = MemoryMeter(CPU)
    meter.start()
    meter.sample()
    found = meter.read()
    assert found.gpu_allocated_bytes is found.gpu_reserved_bytes is found.gpu_device_bytes is None


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (Resident(100, 100), Resident(120, 170), 70),
        (Resident(100, 100 + SLACK_BYTES), Resident(90, 100 + SLACK_BYTES), SLACK_BYTES),
        # The old peak stands too high and hides the new one, until the new one passes it.
        (Resident(100, 100 + 2 * SLACK_BYTES), Resident(90, 100 + 2 * SLACK_BYTES), None),
        (
            Resident(100, 100 + 2 * SLACK_BYTES),
            Resident(90, 3 * SLACK_BYTES),
            3 * SLACK_BYTES - 100,
        ),
        (Resident(None, None), Resident(1, 2), None),
        (Resident(1, 2), Resident(None, None), None),
    ],
)
def test_a_peak_is_told_only_where_it_is_known(
    start: Resident, end: Resident, expected: int | None
) -> None:
    assert above(start, end) == expected


def test_a_refused_reset_leaves_the_peak_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = "VmPeak:\t 900000 kB\nVmHWM:\t  500000 kB\nVmRSS:\t  200000 kB\n"
    (tmp_path / "status").write_text(status)
    (tmp_path / "clear_refs").mkdir()  # writing to a folder is refused, to root as well
    monkeypatch.setattr(meters, "PROCESS", tmp_path)
    meter = MemoryMeter(CPU)
    meter.start()
    expected = Resident(200_000 * 1024, 500_000 * 1024) if sys.platform == "linux" else (None, None)
    assert meters.resident() == expected
    assert meter.read().cpu_rss_above_start_bytes is None


def test_energy_on_a_cpu_is_unknown_and_not_zero() -> None:
    meter = EnergyMeter(CPU.index)
    meter.start()
    assert meter.read() is None


# ---- sharing --------------------------------------------------------------------------------


def spent(joules: float | None = None, rss: int | None = None, **seconds: float) -> Spent:
    memory = NO_MEMORY.model_copy(update={"cpu_rss_above_start_bytes": rss})
    return Spent(seconds, memory, joules)


def test_attributed_pays_shared_work_in_full_and_marginal_its_part() -> None:
    own = spent(joules=100, rss=7, train=10, eval=2)
    decoding = spent(joules=60, rss=9, data=6)
    group = spent(joules=50, rss=8, train=30, build=5)

    cost = combine(own, [(decoding, 3), (group, 5)])

    assert cost.attributed == Seconds(wall=53, data=6, build=5, warmup=0, train=40, eval=2)
    assert cost.marginal == Seconds(wall=21, data=2, build=1, warmup=0, train=16, eval=2)
    assert (cost.energy.attributed_joules, cost.energy.marginal_joules) == (210, 130)
    assert cost.memory.cpu_rss_above_start_bytes == 9
    assert cost.shared_by == 5  # of the group: 35 s against 6 s


def test_without_sharing_both_costs_are_the_cells_own() -> None:
    cost = combine(spent(joules=3, train=1.5, warmup=0.5), [])
    assert cost.attributed == cost.marginal
    assert (cost.attributed.wall, cost.shared_by) == (2, 1)
    assert cost.energy.attributed_joules == cost.energy.marginal_joules == 3


def test_marginal_costs_of_all_sharers_add_up_to_what_was_spent() -> None:
    piece = spent(joules=7, data=1.0, train=8.0)
    owns = [spent(joules=1, train=0.5 * i) for i in range(1, 4)]
    costs = [combine(own, [(piece, 3)]) for own in owns]
    assert sum(cost.marginal.wall for cost in costs) == pytest.approx(9 + 0.5 * (1 + 2 + 3))
    joules = [cost.energy.marginal_joules for cost in costs]
    assert sum(j for j in joules if j is not None) == pytest.approx(7 + 3)


def test_energy_with_an_unknown_term_is_unknown_and_memory_is_the_largest_known() -> None:
    cost = combine(spent(joules=None, rss=4), [(spent(joules=5, rss=None), 2)])
    assert cost.energy.attributed_joules is cost.energy.marginal_joules is None
    assert cost.memory.cpu_rss_above_start_bytes == 4
    assert cost.memory.gpu_allocated_bytes is None


def on_gpu(peak: int, held: int = 0) -> Spent:
    memory = NO_MEMORY.model_copy(update={"gpu_allocated_bytes": peak})
    return Spent({}, memory, None, held)


def allocated(own: Spent, *shared: Spent) -> int | None:
    return combine(own, [(piece, 2) for piece in shared]).memory.gpu_allocated_bytes


def test_a_gpus_peak_is_of_one_work_and_what_the_pieces_before_it_hold() -> None:
    images, step, features = on_gpu(12, held=10), on_gpu(400, held=180), on_gpu(90, held=5)
    assert allocated(on_gpu(30), images, step, features) == 10 + 400
    assert allocated(on_gpu(250), images, step, features) == 10 + 180 + 5 + 250
    # Another cell's step lay there while the features were made: that is not this cell's.
    assert allocated(on_gpu(30), images, features) == 10 + 90
    assert allocated(on_gpu(30)) == 30


def test_a_peak_that_is_not_counted_leaves_what_its_work_holds_to_the_next() -> None:
    unknown = Spent({}, NO_MEMORY, None, held_bytes=50)
    assert allocated(on_gpu(30), unknown) == 80
    assert allocated(unknown, unknown) is None


# ---- latency --------------------------------------------------------------------------------


class Sleeper:
    """A network that takes a known time per image, and notes the batches it saw."""

    def __init__(self, seconds_per_image: float) -> None:
        self.seconds_per_image = seconds_per_image
        self.batch_sizes: list[int] = []

    def __call__(self, images_NCHW: Tensor) -> Tensor:
        assert torch.is_inference_mode_enabled()
        self.batch_sizes.append(len(images_NCHW))
        time.sleep(self.seconds_per_image * len(images_NCHW))
        return images_NCHW


IMAGES_NCHW = torch.zeros(64, 3, 2, 2)


def test_latency_is_the_time_of_one_image_and_throughput_that_of_the_batch() -> None:
    forward = Sleeper(0.002)
    found = latency(forward, IMAGES_NCHW[:1], IMAGES_NCHW[:8], CPU, budget_seconds=0.6)
    assert 0.002 <= found.batch1_p50_seconds <= found.batch1_p95_seconds
    assert found.batch1_p50_seconds < 0.01  # a sleep on a busy machine overshoots
    assert found.batch_size == 8
    assert 100 < found.images_per_second <= 500
    assert forward.batch_sizes.count(1) == found.num_calls + 5  # five to warm up


def test_a_slow_network_runs_as_much_of_the_batch_as_the_budget_allows() -> None:
    forward = Sleeper(0.03)
    before = time.perf_counter()
    found = latency(forward, IMAGES_NCHW[:1], IMAGES_NCHW, CPU, budget_seconds=0.9)
    elapsed = time.perf_counter() - before
    # 0.6 s are left for three calls: 0.2 s each, at 0.03 s an image.
    assert 1 < found.batch_size <= 6
    assert max(forward.batch_sizes) == found.batch_size
    assert elapsed < 1.2


def test_a_network_slower_than_the_budget_is_called_four_times_on_one_image() -> None:
    forward = Sleeper(0.05)
    found = latency(forward, IMAGES_NCHW[:1], IMAGES_NCHW, CPU, budget_seconds=0.01)
    assert forward.batch_sizes == [1, 1, 1, 1]
    assert (found.num_calls, found.batch_size) == (1, 1)


# ---- on a GPU -------------------------------------------------------------------------------

KEEP_BUSY: Callable[[int], None] = torch.cuda._sleep  # for a number of cycles


@pytest.mark.cuda
@needs_cuda
def test_gpu_peaks_hold_what_was_allocated_and_a_new_start_forgets_it() -> None:
    meter = MemoryMeter(GPU)
    meter.start()
    held = torch.empty(100 * MB, dtype=torch.uint8, device="cuda:0")
    del held
    found = meter.read()
    assert meter.held() == 0
    assert found.gpu_allocated_bytes is not None
    assert found.gpu_reserved_bytes is not None
    assert 100 * MB <= found.gpu_allocated_bytes <= found.gpu_reserved_bytes
    assert found.gpu_device_bytes is None or found.gpu_device_bytes >= found.gpu_reserved_bytes
    meter.start()
    again = meter.read()
    assert again.gpu_allocated_bytes is not None
    assert again.gpu_allocated_bytes < 100 * MB
    assert again.gpu_reserved_bytes is not None
    assert again.gpu_reserved_bytes < 100 * MB


@pytest.mark.cuda
@needs_cuda
def test_gpu_peaks_are_above_what_lay_there_and_what_stays_is_held() -> None:
    meter = MemoryMeter(GPU)
    earlier = torch.empty(100 * MB, dtype=torch.uint8, device="cuda:0")
    meter.start()
    kept = torch.empty(30 * MB, dtype=torch.uint8, device="cuda:0")
    passing = torch.empty(20 * MB, dtype=torch.uint8, device="cuda:0")
    del passing
    assert 50 * MB <= (meter.read().gpu_allocated_bytes or 0) < 60 * MB
    assert 30 * MB <= meter.held() < 35 * MB
    assert len(earlier) + len(kept) == 130 * MB


@pytest.mark.cuda
@needs_cuda
def test_a_part_waits_for_the_gpu() -> None:
    torch.ones(8, device="cuda:0").add(1)  # the context is nobody's part
    clock = Clock(GPU)
    with clock.part("train"):
        KEEP_BUSY(200_000_000)  # 0.1 s at 2 GHz; the call itself returns at once
    with clock.part("eval"):
        pass
    assert clock.seconds["train"] > 0.02
    assert clock.seconds["eval"] < 0.02


@pytest.mark.cuda
@needs_cuda
def test_energy_grows_while_the_gpu_works() -> None:
    meter = EnergyMeter(GPU.index)
    meter.start()
    KEEP_BUSY(1_000_000_000)
    torch.cuda.synchronize()
    joules = meter.read()
    assert joules is None or joules > 0


@pytest.mark.cuda
@needs_cuda
def test_latency_on_a_gpu_counts_the_whole_batch() -> None:
    images_NCHW = torch.rand(64, 3, 32, 32, device="cuda:0")
    network = torch.nn.Conv2d(3, 8, 3).to("cuda:0")
    found = latency(network, images_NCHW[:1], images_NCHW, GPU, budget_seconds=1.0)
    assert found.batch_size == 64
    assert found.images_per_second > 1 / found.batch1_p95_seconds
