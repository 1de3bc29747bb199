"""Changes of time on simulated suites whose truth is known, and what is to blame for a common one.

The noise is that of measured suites: 1 % from repeat to repeat, 1 % from run to run for each cell,
and a drift of the machine from run to run that all cells share.
"""

import math
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis.costs import (
    Costs,
    Rates,
    judge_peaks,
    judge_repeatable,
    judge_times,
    memory_floor,
    rates,
    shift,
    slowdown,
)
from bench.analysis.judge import MIB
from bench.analysis.pairs import matched
from bench.analysis.stats import Floats
from bench.analysis.table import Snapshot
from bench.record import Calibration, Result
from tests.analysis import sides

CELLS, SEEDS = 24, 3


def runs(draw: np.random.Generator, count: int, drift: float) -> NDArray[np.float64]:
    """Logarithms of the median seconds of each cell, [count, CELLS]."""
    level_P = np.linspace(0, 5, CELLS)
    within = draw.normal(0, 0.01, (count, CELLS, SEEDS))
    cell = draw.normal(0, 0.01, (count, CELLS, 1))
    common = draw.normal(0, drift, (count, 1, 1))
    return np.asarray(np.median(level_P[:, None] + within + cell + common, axis=2))


class Found(NamedTuple):
    """Shares of suites."""

    first: float  # the first cell is said to be slower
    others: float  # any other is, or all of them together


def found(
    slower: float, drift: float, num_past: int = 12, num_suites: int = 300, calibrated: bool = False
) -> Found:
    """Of suites whose first cell is slower by so much; the machine may tell its own drift."""
    draw = np.random.default_rng(num_past)
    first, others = 0, 0
    for _ in range(num_suites):
        past_HP = runs(draw, num_past, drift)
        candidate_P = runs(draw, 1, drift)[0]
        candidate_P[0] += math.log1p(slower)
        floors_P = np.full(CELLS, 0.05)
        times = Costs(past_HP[-1], candidate_P, past_HP, floors_P, num_past - 1)
        drifted = float(np.median(candidate_P - past_HP[-1])) + draw.normal(0, 0.01)
        timings, common = judge_times(times, drifted if calibrated else 0.0)
        assert common is not None
        words = [one.word for one in timings]
        first += words[0] == "regressed"
        others += "regressed" in words[1:] or common.blame == "code"
    return Found(first / num_suites, others / num_suites)


@pytest.mark.slow
@pytest.mark.parametrize("num_past", [5, 12])
@pytest.mark.parametrize("drift", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("calibrated", [False, True])
def test_a_clean_suite_raises_hardly_an_alarm(
    num_past: int, drift: float, calibrated: bool
) -> None:
    told = found(0.0, drift, num_past, calibrated=calibrated)
    assert told.first + told.others <= 0.02


@pytest.mark.parametrize("num_known", [1, 2])
def test_a_suite_that_has_grown_is_not_judged_by_runs_of_a_cell_or_two(num_known: int) -> None:
    """What these few have in common is their own noise, and none would be left of it."""
    draw = np.random.default_rng(num_known)
    for _ in range(20):
        past_HP = runs(draw, 8, 0.05)
        past_HP[:, num_known:] = math.nan
        baseline_P, candidate_P = runs(draw, 2, 0.05)
        timings, _ = judge_times(Costs(baseline_P, candidate_P, past_HP, np.full(CELLS, 0.05)), 0.0)
        assert {one.word for one in timings} == {"not_judged"}
        assert timings[0].reason == "not judged (0 of 5 runs)"


@pytest.mark.slow
@pytest.mark.parametrize("num_past", [5, 12])
@pytest.mark.parametrize("drift", [0.0, 0.02, 0.05])
def test_one_cell_that_is_a_tenth_slower_is_found_and_no_other(num_past: int, drift: float) -> None:
    told = found(0.10, drift, num_past)
    assert told.first >= 0.95
    assert told.others <= 0.02


# ---- several candidates ---------------------------------------------------------------------


def in_each(slower: float, luck: float, num_suites: int = 200) -> tuple[Found, Found]:
    """Shares of suites by one candidate, and by two that must agree; bad luck takes 15 %."""
    draw = np.random.default_rng(3)
    first, both = np.zeros((2, 2))
    for _ in range(num_suites):
        past_HP = runs(draw, 8, 0.05)
        found = []
        for candidate_P in runs(draw, 2, 0.05):
            candidate_P += 0.14 * (draw.random(CELLS) < luck)
            candidate_P[0] += math.log1p(slower)
            made = Costs(past_HP[-1], candidate_P, past_HP, np.full(CELLS, 0.05), 7)
            found.append(np.array([one.word == "regressed" for one in judge_times(made, 0.0)[0]]))
        for share, words in ((first, found[0]), (both, found[0] & found[1])):
            share += words[0], words[1:].any()
    return Found(*first / num_suites), Found(*both / num_suites)


@pytest.mark.slow
def test_bad_luck_in_one_of_two_candidates_is_no_regression() -> None:
    one, both = in_each(0.0, luck=0.01)
    assert one.first + one.others >= 0.05
    assert both.first + both.others <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize("luck", [0.0, 0.01])
def test_of_the_cells_that_are_a_tenth_slower_hardly_one_is_lost_in_two(luck: float) -> None:
    one, both = in_each(0.10, luck)
    assert both.first >= 0.95 * one.first
    assert both.first >= 0.95
    assert both.others <= 0.02


# ---- by hand --------------------------------------------------------------------------------


def times(candidate: float = 0.0, num_past: int = 6, cells: int = 6) -> Costs:
    draw = np.random.default_rng(0)
    past_HP = draw.normal(0, 0.01, (num_past, cells))
    candidate_P = draw.normal(0, 0.01, cells)
    candidate_P[0] += candidate
    baseline_P = past_HP[-1] if num_past else draw.normal(0, 0.01, cells)
    return Costs(baseline_P, candidate_P, past_HP, np.full(cells, 0.05))


def test_four_past_runs_judge_nothing() -> None:
    timings, common = judge_times(times(1.0, num_past=4), None)
    assert {one.word for one in timings} == {"not_judged"}
    assert timings[0].reason == "not judged (4 of 5 runs)"
    assert common is not None
    assert common.blame == "none"
    assert {one.word for one in judge_times(times(1.0, num_past=0), None)[0]} == {"not_judged"}


def test_a_cell_that_the_past_does_not_know_is_not_judged_and_the_others_are() -> None:
    made = times(0.3)
    past_HP: Floats = made.past_HP.copy()
    past_HP[:3, 1] = np.nan
    timings, _ = judge_times(made._replace(past_HP=past_HP), None)
    assert [one.word for one in timings] == ["regressed", "not_judged", *["pass"] * 4]


def test_a_single_cell_is_judged_by_itself() -> None:
    assert judge_times(times(0.3, cells=1), None)[0][0].word == "regressed"
    assert judge_times(times(-0.3, cells=1), None)[0][0].word == "improved"


@pytest.mark.parametrize("cells", [1, 2])
def test_what_the_machine_lost_is_not_laid_on_one_or_two_cells(cells: int) -> None:
    made = times(0.0, cells=cells)
    slower = made._replace(candidate_P=made.candidate_P + 0.2)
    timings, common = judge_times(slower, 0.19)
    assert {one.word for one in timings} == {"inconclusive"}
    assert timings[0].reason == "the machine itself was slower: run it again"
    assert common is not None
    assert common.blame == "machine"
    # What they lost beyond it is theirs, and so is all where the machine was as quick as before.
    for calibration in (0.08, 0.0, None):
        timings, common = judge_times(slower, calibration)
        assert {one.word for one in timings} == {"regressed"}
        assert common is not None
        assert common.blame == "neither"


def test_a_floor_of_its_own_lets_a_change_pass() -> None:
    made = times(0.1)
    floors_P = made.floors_P.copy()
    floors_P[0] = 0.2
    assert judge_times(made, None)[0][0].word == "regressed"
    assert judge_times(made._replace(floors_P=floors_P), None)[0][0].word == "pass"


def test_what_the_baseline_took_too_is_no_regression() -> None:
    made = times(0.2)
    baseline_P = made.baseline_P.copy()
    baseline_P[0] += 0.2
    assert judge_times(made._replace(baseline_P=baseline_P), None)[0][0].word != "regressed"


def test_what_all_cells_have_in_common_is_taken_off() -> None:
    made = times(0.0)
    timings, common = judge_times(made._replace(candidate_P=made.candidate_P + 0.3), 0.3)
    assert {one.word for one in timings} == {"pass"}
    assert common is not None
    assert common.blame == "machine"
    assert common.change == pytest.approx(math.expm1(0.3), abs=0.03)


@pytest.mark.parametrize(
    ("common", "calibration", "p", "blame"),
    [
        (0.02, 0.0, 0.001, "none"),
        (-0.3, 0.0, 0.001, "none"),
        (0.2, 0.01, 0.001, "code"),
        (0.2, 0.01, 0.2, "neither"),  # as slow as past runs were
        (0.2, 0.19, 0.001, "machine"),
        (0.2, 0.1, 0.001, "unclear"),  # both
        (0.2, 0.1, 0.2, "neither"),
        (0.2, None, 0.001, "unclear"),
        (0.2, 0.01, None, "neither"),
    ],
)
def test_who_is_to_blame(
    common: float, calibration: float | None, p: float | None, blame: str
) -> None:
    assert shift(common, math.log(1.05), calibration, p).blame == blame


def test_a_machine_is_slower_where_rates_fall_and_seconds_rise() -> None:
    fast = Calibration(
        matmul_fp32_flops=2e12, matmul_bf16_flops=None, copy_bytes_per_second=2e10,
        upload_bytes_per_second=None, conv_seconds=0.01, loop_seconds=0.1, seconds=1.0,
    )  # fmt: skip
    slow = fast.model_copy(
        update={"matmul_fp32_flops": 1e12, "conv_seconds": 0.02, "copy_bytes_per_second": 1e10}
    )
    assert slowdown(fast, slow) == pytest.approx(math.log(2))
    assert slowdown(slow, fast) == pytest.approx(-math.log(2))
    assert slowdown(None, slow) is None


def test_a_change_is_told_from_the_baseline_and_from_the_past() -> None:
    made = times(0.25)
    baseline_P = made.baseline_P.copy()
    baseline_P[0] += 0.2
    for baseline, change in ((made.baseline_P, 0.25), (baseline_P, 0.05)):
        (one, *_), _ = judge_times(made._replace(baseline_P=baseline), None)
        assert one.change == pytest.approx(math.expm1(change), abs=0.04)
        assert one.beyond == pytest.approx(math.expm1(0.25), abs=0.04)
    assert judge_times(times(1.0, num_past=4), None)[0][0].beyond is None


def test_what_all_lost_is_held_to_the_median_of_the_cells_floors() -> None:
    made = times(0.0)
    slower = made._replace(candidate_P=made.candidate_P + 0.1)
    common = judge_times(slower, 0.0)[1]
    assert common is not None
    assert common.blame == "code"
    common = judge_times(slower._replace(floors_P=np.full(6, 0.25)), 0.0)[1]
    assert common is not None
    assert common.blame == "none"


def changed(*shares: float, calibration: float | None = 0.0) -> tuple[list[str], str]:
    """The words where the cells' times change so, and what is to blame for the common part."""
    made = times(0.0, num_past=8)
    timings, common = judge_times(
        made._replace(candidate_P=made.candidate_P + np.log1p(shares)), calibration
    )
    assert common is not None
    return [one.word for one in timings], common.blame


def test_where_half_of_the_cells_changed_it_is_those() -> None:
    assert changed(-0.2, -0.2, -0.2, 0, 0, 0)[0] == ["improved"] * 3 + ["pass"] * 3
    assert changed(0.09, 0.09, 0.09, 0, 0, 0)[0] == ["regressed"] * 3 + ["pass"] * 3


def test_where_most_cells_became_quicker_the_others_are_no_slower() -> None:
    assert changed(*[-0.2] * 4, 0, 0)[0] == ["improved"] * 4 + ["pass"] * 2
    # One of the others is slower all the same.
    assert changed(*[-0.2] * 4, 0, 0.15)[0] == ["improved"] * 4 + ["pass", "regressed"]
    # A slower machine is taken off the others too, though cells came out quicker.
    made = changed(*[-0.1] * 4, 0.1, 0.1, calibration=0.095)[0]
    assert made == ["improved"] * 4 + ["pass"] * 2
    # A quicker machine is taken off: what did not gain by it is slower.
    assert changed(*[-0.2] * 4, 0, 0, calibration=-0.22)[0] == ["pass"] * 4 + ["regressed"] * 2


def after_all_became(level: float, *shares: float) -> tuple[list[str], str]:
    """As `changed`, after an accepted change of all cells to this level."""
    draw = np.random.default_rng(4)
    past_HP = draw.normal(0, 0.01, (11, 6))
    past_HP[-1] += math.log(level)
    candidate_P = draw.normal(0, 0.01, 6) + math.log(level) + np.log1p(shares)
    made = Costs(past_HP[-1], candidate_P, past_HP, np.full(6, 0.05), 10)
    timings, common = judge_times(made, 0.0)
    assert common is not None
    return [one.word for one in timings], common.blame


def test_one_run_on_a_new_level_of_all_cells_blames_nothing() -> None:
    assert after_all_became(0.8, *[0.08] * 6)[1] == "neither"
    assert "regressed" not in after_all_became(0.8, *[-0.2] * 4, 0, 0)[0]


def past_and(*levels: float, place: int, candidate: float) -> str:
    """The word for the first of six cells, whose runs took so long one after the other."""
    draw = np.random.default_rng(3)
    past_HP = draw.normal(0, 0.01, (len(levels), 6))
    past_HP[:, 0] += np.log(levels)
    candidate_P = draw.normal(0, 0.01, 6)
    candidate_P[0] += math.log(candidate)
    made = Costs(past_HP[place], candidate_P, past_HP, np.full(6, 0.05), place)
    one = judge_times(made, 0.0)[0][0]
    return one.reason or one.word


def test_an_accepted_change_begins_a_past_of_its_own() -> None:
    before = [10.0] * 20
    reason = "not judged (1 of 5 runs; 20 others are of another level)"
    assert past_and(*before, 8, place=20, candidate=9.5) == reason
    assert past_and(*before, *[8] * 5, place=20, candidate=9.5) == "regressed"
    assert past_and(*before, *[8] * 5, place=24, candidate=9.5) == "regressed"
    assert past_and(*before, *[8] * 5, place=20, candidate=8) == "pass"
    assert past_and(*before, *[12] * 5, place=20, candidate=12) == "pass"


def test_a_regressed_run_is_no_yardstick_for_the_next_one() -> None:
    for bad_ones in range(4):
        found = past_and(*[10] * 6, *[12] * bad_ones, place=5, candidate=12)
        assert found == "regressed"


# ---- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baseline", "device", "timed", "floor"),
    [
        (100, "cuda", False, 16),
        (2000, "cuda", False, 40),
        (2000, "cuda", True, 200),
        (100, "cpu", False, 32),
        (1000, "cpu", False, 100),
    ],
)
def test_the_smallest_change_that_counts(
    baseline: int, device: str, timed: bool, floor: int
) -> None:
    assert memory_floor(baseline * MIB, device, timed) == pytest.approx(floor * MIB)


def peaks(draw: np.random.Generator, count: int, scatter: float) -> Floats:
    """Peaks of eight cells, [count, 8]."""
    found: Floats = np.linspace(100, 1500, 8) * MIB + draw.normal(0, scatter * MIB, (count, 8))
    return found


def leaks(leak: float, scatter: float, num_suites: int = 300) -> tuple[float, float]:
    """Shares of suites in which the first cell, and in which any other, is said to take more."""
    draw = np.random.default_rng(4)
    first = others = 0
    for _ in range(num_suites):
        past_HP, after_P = peaks(draw, 8, scatter), peaks(draw, 1, scatter)[0]
        after_P[0] += leak * MIB
        floors_P = np.array([memory_floor(b, "cpu", False) / b for b in past_HP[-1]])
        words = [one.word for one in judge_peaks(Costs(past_HP[-1], after_P, past_HP, floors_P))]
        first += words[0] == "regressed"
        others += "regressed" in words[1:]
    return first / num_suites, others / num_suites


def test_a_leak_of_64_megabytes_is_found_where_peaks_scatter_by_a_few() -> None:
    first, others = leaks(61, 5)
    assert first >= 0.95
    assert others <= 0.02


@pytest.mark.parametrize("scatter", [5, 25, 60])
def test_however_peaks_scatter_clean_runs_raise_few_alarms(scatter: float) -> None:
    assert sum(leaks(0, scatter)) <= 0.05


def test_four_past_runs_judge_no_host_memory() -> None:
    draw = np.random.default_rng(0)
    past_HP = peaks(draw, 4, 5)
    found = judge_peaks(Costs(past_HP[-1], past_HP[-1] * 3, past_HP, 32 * MIB / past_HP[-1]))
    assert {(one.word, one.reason) for one in found} == {("not_judged", "not judged (4 of 5 runs)")}


def test_a_baseline_that_took_little_by_chance_makes_no_regression() -> None:
    draw = np.random.default_rng(0)
    past_HP = peaks(draw, 8, 5)
    low_P, after_P = past_HP[-1] - 60 * MIB, peaks(draw, 1, 5)[0]
    found = judge_peaks(Costs(low_P, after_P, past_HP, 32 * MIB / low_P))
    assert {one.word for one in found} == {"pass"}
    more, told = after_P - past_HP.mean(axis=0), [one.beyond for one in found]
    assert np.allclose(np.array(told, dtype=float) * low_P, more)
    high_P = past_HP[-1] + 60 * MIB
    found = judge_peaks(Costs(high_P, high_P, past_HP, 32 * MIB / high_P))
    assert {one.word for one in found} == {"pass"}


def test_on_a_gpu_any_change_by_the_floor_is_one() -> None:
    found = judge_repeatable(np.full(3, 400.0), np.array([420.0, 401.0, 380.0]), np.full(3, 0.04))
    assert [one.word for one in found] == ["regressed", "pass", "improved"]
    assert found[0].change == pytest.approx(0.05)


# ---- under other conditions -----------------------------------------------------------------

SLOW, FAST = 1e12, 4e12
CELL = "resnet18 · fine_tuning"


def on_machine(number: int, flops: float, change: sides.Change) -> Snapshot:
    """A run whose one cell trained like that, on a machine that reached so much."""
    return sides.tabled(number, change, cells=[0], sittings=(sides.sitting(flops),))


def roofline(
    architecture: str, size: int, precision: str, calibration: Calibration
) -> float | None:
    """An image of resnet18 in fp32 takes 1 GFLOP, and nothing is known of others."""
    known = architecture == "resnet18" and precision == "fp32"
    return 1e9 / (calibration.matmul_fp32_flops or 0) if known else None


def reached(before: Snapshot, after: Snapshot) -> tuple[Rates, ...]:
    return rates(matched(before, after).pairs, roofline)


def test_shares_are_of_what_each_machine_reaches() -> None:
    found = reached(
        on_machine(0, SLOW, sides.trained(100)),
        on_machine(1, FAST, sides.trained(200, gpu_name="another")),
    )
    # Medians of 100, 200, 300 and of 200, 400, 600; the roofline is 1,000 and 4,000 images/s.
    (one,) = found
    assert one[:2] == (CELL, (200, 400))
    assert one.shares == pytest.approx((0.2, 0.1))


def test_what_is_unknown_on_one_side_has_no_share() -> None:
    before = on_machine(0, SLOW, sides.trained(100))
    uncounted = on_machine(1, FAST, sides.trained(200, precision="bf16", gpu_name="another"))
    assert reached(before, uncounted) == (Rates(CELL, (200, 400)),)
    other = on_machine(1, FAST, sides.trained(200, gpu_name="another"))
    uncalibrated = sides.headed(other, calibration=None)
    assert reached(before, uncalibrated) == (Rates(CELL, (200, 400)),)


def one_seed_fails(one: Result) -> sides.Record | None:
    moved = sides.trained(200, gpu_name="another")(one)
    return sides.broken("failed")(moved) if isinstance(moved, Result) else moved


@pytest.mark.parametrize(
    "change",
    [sides.trained(200), sides.trained(200, share=0.1, gpu_name="another"), one_seed_fails],
    ids=["same conditions", "part of the network", "a failed seed"],
)
def test_only_whole_networks_under_other_conditions_are_told(change: sides.Change) -> None:
    assert reached(on_machine(0, SLOW, sides.trained(100)), on_machine(1, FAST, change)) == ()
