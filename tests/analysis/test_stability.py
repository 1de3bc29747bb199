"""When the times of a run are called unstable, from calibrations made by hand."""

import pytest

from bench.analysis.stability import change_of, changes, reasons, unstable
from bench.record import Calibration, Readings, Run, Sitting
from tests import records

START = Calibration(
    matmul_fp32_flops=2e12, matmul_bf16_flops=8e12, copy_bytes_per_second=4e10,
    upload_bytes_per_second=None, conv_seconds=0.010, loop_seconds=0.020, seconds=0.8,
    sizes={"matmul_fp32": 2048, "matmul_bf16": 4096, "copy": 1 << 26},
)  # fmt: skip


def calibration(**changed: object) -> Calibration:
    return START.model_copy(update=changed)


def run(*sittings: Sitting) -> Run:
    return records.run(["resnet18"], ["partial"]).model_copy(update={"sittings": sittings})


def told(end: Calibration | None, **more: object) -> str | None:
    return unstable(run(Sitting(start=START, end=end).model_copy(update=more)))


SLOWER = {  # by a tenth, all of them
    "matmul_fp32_flops": 1.8e12, "matmul_bf16_flops": 7.2e12, "copy_bytes_per_second": 3.6e10,
    "conv_seconds": 0.010 / 0.9, "loop_seconds": 0.020 / 0.9,
}  # fmt: skip


RATES = {  # probes of which more is quicker
    name: START.model_dump()[name]
    for name in ("matmul_fp32_flops", "matmul_bf16_flops", "copy_bytes_per_second")
}


def some(*names: str) -> dict[str, float]:
    """These probes a tenth slower, the others as before."""
    return {name: SLOWER[name] for name in names}


@pytest.mark.parametrize(
    "changed",
    [
        {name: START.model_dump()[name] * 0.96 for name in SLOWER},  # 1 / 0.96 = 1.042
        some("matmul_fp32_flops", "loop_seconds"),  # two of five: their noise, not the machine
        {**some("loop_seconds"), "conv_seconds": 0.5},
        {"seconds": 3.0},  # what it took is no reading
        {"matmul_bf16_flops": None},  # not to be compared
    ],
)
def test_up_to_five_percent_of_the_median_probe_is_no_news(
    changed: dict[str, float | None],
) -> None:
    assert told(calibration(**changed)) is None


def test_more_is_told_as_the_change_of_speed_and_of_every_probe() -> None:
    end = calibration(**{**SLOWER, "copy_bytes_per_second": 4e10, "conv_seconds": 0.0125})
    assert told(end) == (
        "the machine's speed changed by -10 % between start and end (fp32 matmul -10 %, "
        "bf16 matmul -10 %, memory copy +0 %, convolution -20 %, Python loop -10 %)"
    )


def test_of_an_even_number_of_probes_the_middle_two_count() -> None:
    end = calibration(matmul_bf16_flops=None, **some("matmul_fp32_flops", "conv_seconds"))
    assert told(end) is not None  # sqrt(1 / 0.9) = 1.054
    end = calibration(matmul_bf16_flops=None, matmul_fp32_flops=1.83e12, conv_seconds=0.01093)
    assert told(end) is None  # sqrt(1 / 0.915) = 1.045


def test_a_gpu_is_not_judged_by_the_loop_of_its_host() -> None:
    gpu = calibration(upload_bytes_per_second=1e10)
    names = ("matmul_fp32_flops", "matmul_bf16_flops", "conv_seconds")
    slow = gpu.model_copy(update=some(*names))  # three of five; with the loop, three of six
    assert unstable(run(Sitting(start=gpu, end=slow))) is not None
    assert (
        unstable(run(Sitting(start=gpu, end=gpu.model_copy(update=some("loop_seconds"))))) is None
    )


def test_the_bound_is_the_same_in_both_directions() -> None:
    before = START.model_dump()
    for factor, is_told in ((1.051, True), (1.049, False)):
        end = calibration(**{name: before[name] * factor for name in SLOWER})
        assert (unstable(run(Sitting(start=START, end=end))) is not None) == is_told
        assert (unstable(run(Sitting(start=end, end=START))) is not None) == is_told


def test_rates_of_other_sizes_are_other_rates() -> None:
    sizes = {**START.sizes, "matmul_fp32": 256}
    end = calibration(matmul_fp32_flops=1e12, loop_seconds=0.025, sizes=sizes)
    assert changes(START, end) == {
        "bf16 matmul": 0, "memory copy": 0, "convolution": 0, "Python loop": pytest.approx(-0.2),
    }  # fmt: skip
    # A GPU is not judged by its host where little else is left.
    gpu = calibration(upload_bytes_per_second=1e10, sizes={**START.sizes, "upload": 1 << 27})
    other = gpu.model_copy(update={"sizes": {}, "loop_seconds": 0.04})
    assert change_of(gpu, other) == 0


def test_a_run_that_was_never_calibrated_or_was_killed_is_not_known_to_be_unstable() -> None:
    assert unstable(run()) is None
    assert told(None) is None
    assert unstable(run(Sitting(start=None))) is None


def test_the_sittings_of_a_resumed_run_are_judged_by_their_ends_and_side_by_side() -> None:
    slow, steady = calibration(**SLOWER), Sitting(start=START, end=START)
    killed = Sitting(start=START)
    assert unstable(run(killed, steady, steady)) is None
    assert unstable(run(steady, Sitting(start=None), Sitting(start=slow, end=slow))) == (
        "the machine's speed was -10 % in sitting 3 against 1"
    )
    thirds = [calibration(**{k: v * f for k, v in RATES.items()}) for f in (1, 0.96, 1.04)]
    assert unstable(run(*(Sitting(start=one, end=one) for one in thirds))) == (
        "the machine's speed was +8 % in sitting 3 against 2"
    )
    found = unstable(run(steady, Sitting(start=START, end=slow)))
    assert found is not None
    assert found.startswith("in sitting 2, the machine's speed changed")


@pytest.mark.parametrize(
    ("held", "slowed"),
    [
        (None, False),
        ((), False),
        (("power limit", "clocks set by an administrator"), False),
        (("power limit", "too hot (hardware)"), True),
    ],
)
def test_heat_counts_and_a_limit_that_somebody_chose_does_not(
    held: tuple[str, ...] | None, slowed: bool
) -> None:
    found = told(START, after=Readings(throttled=held))
    assert (found == "the GPU's clocks were held down (too hot (hardware))") == slowed
    assert (found is None) == (not slowed)


@pytest.mark.parametrize(("others", "shared"), [(None, []), (0, []), (2, ["2 other processes"])])
def test_a_gpu_that_others_use_is_shared(others: int | None, shared: list[str]) -> None:
    sitting = Sitting(start=START, end=START, foreign_gpu_processes=others)
    assert [text.rpartition("with ")[2] for text in reasons(sitting)] == shared
