"""What is told of cells on two machines: images/s and the share of each machine's roofline."""

import pytest

from bench.analysis.digest import Digest
from bench.analysis.elsewhere import Work, rates
from bench.analysis.verdict import Rates
from bench.record import Calibration, Result
from tests.analysis import sides

SLOW, FAST = 1e12, 4e12
CELL = "resnet18 · fine_tuning"


def run(number: int, flops: float, change: sides.Change) -> Digest:
    """A run whose one cell trained like that, on a machine that reached so much."""
    return sides.digested(number, change, cells=[0], sittings=(sides.sitting(flops),))


def floor(work: Work, calibration: Calibration) -> float | None:
    """An image of resnet18 in fp32 takes 1 GFLOP, and nothing is known of others."""
    known = work.architecture == "resnet18" and work.precision == "fp32"
    return 1e9 / (calibration.matmul_fp32_flops or 0) if known else None


def test_shares_are_of_what_each_machine_reaches() -> None:
    found = rates(
        run(0, SLOW, sides.trained(100)),
        run(1, FAST, sides.trained(200, gpu_name="another")),
        floor,
    )
    # Medians of 100, 200, 300 and of 200, 400, 600; the roofline is 1,000 and 4,000 images/s.
    (one,) = found
    assert one[:2] == (CELL, (200, 400))
    assert one.shares == pytest.approx((0.2, 0.1))


def test_what_is_unknown_on_one_side_has_no_share() -> None:
    before = run(0, SLOW, sides.trained(100))
    uncounted = run(1, FAST, sides.trained(200, precision="bf16", gpu_name="another"))
    assert rates(before, uncounted, floor) == (Rates(CELL, (200, 400)),)
    other = run(1, FAST, sides.trained(200, gpu_name="another"))
    uncalibrated = other.model_copy(update={"calibration": None})
    assert rates(before, uncalibrated, floor) == (Rates(CELL, (200, 400)),)


def one_seed_fails(one: Result) -> sides.Record | None:
    moved = sides.trained(200, gpu_name="another")(one)
    return sides.broken("failed")(moved) if isinstance(moved, Result) else moved


@pytest.mark.parametrize(
    "change",
    [sides.trained(200), sides.trained(200, share=0.1, gpu_name="another"), one_seed_fails],
    ids=["same conditions", "part of the network", "a failed seed"],
)
def test_only_whole_networks_under_other_conditions_are_told(change: sides.Change) -> None:
    assert rates(run(0, SLOW, sides.trained(100)), run(1, FAST, change), floor) == ()
