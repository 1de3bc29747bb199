"""Peaks of memory: repeatable on a GPU, scattered on a CPU."""

import numpy as np
import pytest

from bench.analysis.paired import Floats
from bench.analysis.peaks import MIB, Peaks, floor_bytes, judge


@pytest.mark.parametrize(
    ("baseline", "device", "timed", "asked", "floor"),
    [
        (100, "cuda", False, None, 16),
        (2000, "cuda", False, None, 40),
        (2000, "cuda", True, None, 200),
        (100, "cpu", False, None, 32),
        (1000, "cpu", False, None, 100),
        (1000, "cuda", False, 0.3, 300),
    ],
)
def test_the_smallest_change_that_counts(
    baseline: int, device: str, timed: bool, asked: float | None, floor: int
) -> None:
    assert floor_bytes(baseline * MIB, device, timed, asked) == pytest.approx(floor * MIB)


def runs(draw: np.random.Generator, count: int, scatter: float) -> Floats:
    """Peaks of eight cells, [count, 8]."""
    found: Floats = np.linspace(100, 1500, 8) * MIB + draw.normal(0, scatter * MIB, (count, 8))
    return found


def share(leak: float, scatter: float, num_suites: int = 300) -> tuple[float, float]:
    """Shares of suites in which the first cell, and in which any other, is said to take more."""
    draw = np.random.default_rng(4)
    first = others = 0
    for _ in range(num_suites):
        past_HP, after_P = runs(draw, 8, scatter), runs(draw, 1, scatter)[0]
        after_P[0] += leak * MIB
        floors_P = np.array([floor_bytes(b, "cpu", False, None) for b in past_HP[-1]])
        words = [one.word for one in judge(Peaks(past_HP[-1], after_P, past_HP, floors_P), "cpu")]
        first += words[0] == "regressed"
        others += "regressed" in words[1:]
    return first / num_suites, others / num_suites


def test_a_leak_of_64_megabytes_is_found_where_peaks_scatter_by_a_few() -> None:
    first, others = share(61, 5)
    assert first >= 0.95
    assert others <= 0.02


@pytest.mark.parametrize("scatter", [5, 25, 60])
def test_however_peaks_scatter_clean_runs_raise_few_alarms(scatter: float) -> None:
    assert sum(share(0, scatter)) <= 0.05


def test_four_past_runs_judge_no_host_memory() -> None:
    draw = np.random.default_rng(0)
    past_HP = runs(draw, 4, 5)
    found = judge(Peaks(past_HP[-1], past_HP[-1] * 3, past_HP, np.full(8, 32.0 * MIB)), "cpu")
    assert {(one.word, one.reason) for one in found} == {("not_judged", "not judged (4 of 5 runs)")}


def test_a_baseline_that_took_little_by_chance_makes_no_regression() -> None:
    draw = np.random.default_rng(0)
    past_HP = runs(draw, 8, 5)
    low_P, after_P = past_HP[-1] - 60 * MIB, runs(draw, 1, 5)[0]
    found = judge(Peaks(low_P, after_P, past_HP, np.full(8, 32.0 * MIB)), "cpu")
    assert {one.word for one in found} == {"pass"}
    more, told = after_P - past_HP.mean(axis=0), [one.beyond for one in found]
    assert np.allclose(np.array(told, dtype=float) * low_P, more)
    high_P = past_HP[-1] + 60 * MIB
    found = judge(Peaks(high_P, high_P, past_HP, np.full(8, 32.0 * MIB)), "cpu")
    assert {one.word for one in found} == {"pass"}
