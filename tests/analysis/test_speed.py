"""Changes of time on simulated suites whose truth is known, and what is to blame for a common one.

The noise is that of measured suites: 1 % from repeat to repeat, 1 % from run to run for each cell,
and a drift of the machine from run to run that all cells share.
"""

import math
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis.paired import Floats
from bench.analysis.speed import Times, judge, nearest_median, shift, slowdown
from bench.record import Calibration

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
        times = Times(past_HP[-1], candidate_P, past_HP, floors_P, num_past - 1)
        drifted = float(np.median(candidate_P - past_HP[-1])) + draw.normal(0, 0.01)
        timings, common = judge(times, drifted if calibrated else 0.0)
        assert common is not None
        words = [one.word for one in timings]
        first += words[0] == "regressed"
        others += "regressed" in words[1:] or common.blame == "code"
    return Found(first / num_suites, others / num_suites)


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
        timings, _ = judge(Times(baseline_P, candidate_P, past_HP, np.full(CELLS, 0.05)), 0.0)
        assert {one.word for one in timings} == {"not_judged"}
        assert timings[0].reason == "not judged (0 of 5 runs)"


@pytest.mark.parametrize("num_past", [5, 12])
@pytest.mark.parametrize("drift", [0.0, 0.02, 0.05])
def test_one_cell_that_is_a_tenth_slower_is_found_and_no_other(num_past: int, drift: float) -> None:
    told = found(0.10, drift, num_past)
    assert told.first >= 0.95
    assert told.others <= 0.02


# ---- by hand --------------------------------------------------------------------------------


def times(candidate: float = 0.0, num_past: int = 6, cells: int = 6) -> Times:
    draw = np.random.default_rng(0)
    past_HP = draw.normal(0, 0.01, (num_past, cells))
    candidate_P = draw.normal(0, 0.01, cells)
    candidate_P[0] += candidate
    baseline_P = past_HP[-1] if num_past else draw.normal(0, 0.01, cells)
    return Times(baseline_P, candidate_P, past_HP, np.full(cells, 0.05))


def test_four_past_runs_judge_nothing() -> None:
    timings, common = judge(times(1.0, num_past=4), None)
    assert {one.word for one in timings} == {"not_judged"}
    assert timings[0].reason == "not judged (4 of 5 runs)"
    assert common is not None
    assert common.blame == "none"
    assert {one.word for one in judge(times(1.0, num_past=0), None)[0]} == {"not_judged"}


def test_a_cell_that_the_past_does_not_know_is_not_judged_and_the_others_are() -> None:
    made = times(0.3)
    past_HP: Floats = made.past_HP.copy()
    past_HP[:3, 1] = np.nan
    timings, _ = judge(made._replace(past_HP=past_HP), None)
    assert [one.word for one in timings] == ["regressed", "not_judged", *["pass"] * 4]


def test_a_single_cell_is_judged_by_itself() -> None:
    assert judge(times(0.3, cells=1), None)[0][0].word == "regressed"
    assert judge(times(-0.3, cells=1), None)[0][0].word == "improved"


@pytest.mark.parametrize("cells", [1, 2])
def test_what_the_machine_lost_is_not_laid_on_one_or_two_cells(cells: int) -> None:
    made = times(0.0, cells=cells)
    slower = made._replace(candidate_P=made.candidate_P + 0.2)
    timings, common = judge(slower, 0.19)
    assert {one.word for one in timings} == {"inconclusive"}
    assert timings[0].reason == "the machine itself was slower: run it again"
    assert common is not None
    assert common.blame == "machine"
    # What they lost beyond it is theirs, and so is all where the machine was as quick as before.
    for calibration in (0.08, 0.0, None):
        timings, common = judge(slower, calibration)
        assert {one.word for one in timings} == {"regressed"}
        assert common is not None
        assert common.blame == "neither"


def test_a_floor_of_its_own_lets_a_change_pass() -> None:
    made = times(0.1)
    floors_P = made.floors_P.copy()
    floors_P[0] = 0.2
    assert judge(made, None)[0][0].word == "regressed"
    assert judge(made._replace(floors_P=floors_P), None)[0][0].word == "pass"


def test_what_the_baseline_took_too_is_no_regression() -> None:
    made = times(0.2)
    baseline_P = made.baseline_P.copy()
    baseline_P[0] += 0.2
    assert judge(made._replace(baseline_P=baseline_P), None)[0][0].word != "regressed"


def test_what_all_cells_have_in_common_is_taken_off() -> None:
    made = times(0.0)
    timings, common = judge(made._replace(candidate_P=made.candidate_P + 0.3), 0.3)
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
        (one, *_), _ = judge(made._replace(baseline_P=baseline), None)
        assert one.change == pytest.approx(math.expm1(change), abs=0.04)
        assert one.beyond == pytest.approx(math.expm1(0.25), abs=0.04)
    assert judge(times(1.0, num_past=4), None)[0][0].beyond is None


def test_what_all_lost_is_held_to_the_median_of_the_cells_floors() -> None:
    made = times(0.0)
    slower = made._replace(candidate_P=made.candidate_P + 0.1)
    common = judge(slower, 0.0)[1]
    assert common is not None
    assert common.blame == "code"
    common = judge(slower._replace(floors_P=np.full(6, 0.25)), 0.0)[1]
    assert common is not None
    assert common.blame == "none"


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([3.0, 1.0, 2.0], 2.0),
        ([1.0, 2.0, 3.0, 9.0], 2.0),  # every value from 2 to 3 is a median
        ([-9.0, -3.0, -2.0, 5.0], -2.0),
        ([-1.0, -0.5, 0.5, 1.0], 0.0),
    ],
)
def test_of_all_medians_the_one_nearest_to_zero(values: list[float], middle: float) -> None:
    assert nearest_median(np.array(values)) == middle


def changed(*shares: float, calibration: float | None = 0.0) -> tuple[list[str], str]:
    """The words where the cells' times change so, and what is to blame for the common part."""
    made = times(0.0, num_past=8)
    timings, common = judge(
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
    made = Times(past_HP[-1], candidate_P, past_HP, np.full(6, 0.05), 10)
    timings, common = judge(made, 0.0)
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
    made = Times(past_HP[place], candidate_P, past_HP, np.full(6, 0.05), place)
    one = judge(made, 0.0)[0][0]
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
