"""The probes: what they compute, how much of it that is, and how long they take."""

import math
import time
from collections import Counter
from collections.abc import Callable
from itertools import groupby

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.measure import calibration
from bench.measure.calibration import (
    PROBES,
    Step,
    calibrate,
    in_turns,
    largest_within,
)
from bench.measure.device import Device

CPU = Device("cpu", None)
PLACE = torch.device("cpu")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")


def counted(step: Step) -> int:
    """Operations by torch's own counter."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def test_a_product_of_matrices_counts_a_multiplication_and_an_addition_for_each_term() -> None:
    # 64 x 64 results, each a sum of 64 products.
    assert calibration.PROBES["matmul_fp32"].amount(64) == 64 * 64 * (64 + 64) == 524_288
    assert counted(calibration.matmul(PLACE, 64, torch.float32)) == 524_288


def test_the_convolution_is_the_one_that_its_words_say() -> None:
    # 8 maps of 56 x 56 in 64 channels, each a sum over 64 channels x 3 x 3; the backward pass
    # takes as much for the inputs and as much for the weights.
    forward = 2 * (8 * 56 * 56 * 64) * (64 * 3 * 3)
    assert counted(calibration.conv(PLACE)) == 3 * forward == 5_549_064_192


def test_a_copy_copies_and_counts_what_it_reads_and_writes() -> None:
    copied = calibration.copy(PLACE, 1000)()
    assert isinstance(copied, torch.Tensor)
    assert (copied.nbytes, int(copied.sum())) == (1000, 1000)
    assert calibration.PROBES["copy"].amount(1000) == 2000


def test_the_loop_adds_up() -> None:
    assert calibration.loop() == sum(number % 8 for number in range(200_000))


def test_probes_take_turns_until_the_time_is_there() -> None:
    ran: list[str] = []

    def step(name: str, seconds: float) -> None:
        ran.append(name)
        time.sleep(seconds)

    steps = {"quick": lambda: step("quick", 0.001), "slow": lambda: step("slow", 0.03)}
    end = time.perf_counter() + 0.4
    times = in_turns(steps, CPU, 0.01, until=end, latest=end + 1)
    assert {name: len(own) for name, own in times.items()} == Counter(ran)
    turns = [name for name, _ in groupby(ran)]
    assert turns == (["quick", "slow"] * len(turns))[: len(turns)]
    assert 3 < len(times["slow"]) < 14
    assert len(times["quick"]) > len(times["slow"])


def test_a_probe_has_three_turns_though_its_time_is_over_and_one_at_the_latest() -> None:
    steps = {"one": lambda: None, "other": lambda: None}
    late = in_turns(steps, CPU, 0.0, until=0.0, latest=math.inf)
    latest = in_turns(steps, CPU, 0.0, until=0.0, latest=0.0)
    assert [len(own) for own in (*late.values(), *latest.values())] == [3, 3, 1, 1]
    assert in_turns({}, CPU, 0.0, until=math.inf, latest=math.inf) == {}  # on a GPU that is lost


def test_on_a_slow_machine_a_calibration_ends_at_its_latest() -> None:
    steps = {name: lambda: time.sleep(0.05) for name in "abcd"}
    began = time.perf_counter()
    times = in_turns(steps, CPU, 0.01, until=began + 0.2, latest=began + 0.3)
    assert sum(map(len, times.values())) <= 7  # the last begins before the latest time


def sleeper(seconds_of: Callable[[int], float]) -> calibration.Probe:
    """A probe whose step takes so long at a size."""
    return calibration.Probe(
        lambda place, size: lambda: time.sleep(seconds_of(size)), sizes=(1, 4, 16), amount=int
    )


def test_the_size_is_the_largest_that_the_one_before_foretells_to_fit() -> None:
    size, _ = largest_within(sleeper(lambda size: 0.005 * size), CPU, 0.05)
    assert size == 4  # 0.02 s; from there, 16 would be foretold to take 0.08 s
    assert largest_within(sleeper(lambda size: 0.1), CPU, 0.05)[0] == 1
    assert largest_within(sleeper(lambda size: 0.0), CPU, 0.05)[0] == 16


def test_on_a_cpu_every_probe_but_the_upload_tells_something() -> None:
    found, problems = calibrate(CPU)
    assert problems == ()
    assert found.upload_bytes_per_second is None
    told = found.model_dump(exclude={"upload_bytes_per_second", "sizes"})
    assert all(value > 0 for value in told.values())
    assert found.sizes.keys() == PROBES.keys() - {"upload"}


def test_the_other_end_takes_the_same_sizes() -> None:
    sizes = {"matmul_fp32": 300, "matmul_bf16": 200, "copy": 5000}
    assert calibrate(CPU, sizes)[0].sizes == sizes


def test_a_probe_that_fails_is_null_and_says_why() -> None:
    # More bytes than an address space holds: as on a GPU whose memory others have taken.
    sizes = {"matmul_fp32": 64, "matmul_bf16": 64, "copy": 1 << 60}
    found, (problem,) = calibrate(CPU, sizes)
    assert found.copy_bytes_per_second is None
    assert found.matmul_fp32_flops is not None
    assert problem.startswith("copy: ")


@pytest.mark.cuda
@needs_cuda
def test_on_a_gpu_every_probe_tells_something_within_the_time() -> None:
    device = Device("cuda", 0)
    calibrate(device)  # loads the libraries
    found, problems = calibrate(device)
    assert problems == ()
    assert all(value is not None for value in found.model_dump().values())
    assert found.seconds < 3
    assert found.upload_bytes_per_second is not None
    assert found.copy_bytes_per_second is not None
    assert found.upload_bytes_per_second < found.copy_bytes_per_second
