"""Changes of level: the optimum by trying all, and error rates on noise that is made up."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

from bench.analysis.stats import LEAST_VALUES, Floats, Step, segments, steps

NUM_POINTS = 80


def noisy(seed: int, correlation: float, sd: float, count: int, num: int = NUM_POINTS) -> Floats:
    """Series of first-order autoregressive noise with this standard deviation, [count, num]."""
    draw = np.random.default_rng(seed).normal(size=(count, num))
    found = draw.copy()
    for t in range(1, num):
        fresh = np.sqrt(1 - correlation**2) * draw[:, t]
        found[:, t] = correlation * found[:, t - 1] + fresh
    return sd * found


def seconds(logarithms: Floats) -> list[float]:
    found: list[float] = (10 * np.exp(logarithms)).tolist()
    return found


def alarms(series: Floats) -> float:
    """Share of series with a step."""
    return float(np.mean([bool(steps(seconds(one), 0.05, relative=True)) for one in series]))


# ---- the optimum ----------------------------------------------------------------------------


def partitions(num: int, shortest: int) -> Iterator[list[int]]:
    """All ways to begin segments of at least so many values."""
    for choice in range(2 ** (num - 1)):
        starts = [0, *(i for i in range(1, num) if choice >> (i - 1) & 1)]
        if all(end - start >= shortest for start, end in pairwise([*starts, num])):
            yield starts


def cost(values: Sequence[float], starts: Sequence[int], penalty: float) -> float:
    spans = pairwise([*starts, len(values)])
    errors = [np.sum((np.array(values[a:b]) - np.mean(values[a:b])) ** 2) for a, b in spans]
    return float(sum(errors)) + penalty * (len(starts) - 1)


@pytest.mark.parametrize("shortest", [1, 3])
@pytest.mark.parametrize("penalty", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_segments_are_the_cheapest_of_all(seed: int, penalty: float, shortest: int) -> None:
    draw = np.random.default_rng(seed)
    levels = np.repeat(draw.normal(0, 2, size=3), (3, 4, 3))
    values = levels + draw.normal(size=10)
    found = segments(values, penalty, shortest)
    best = min(cost(values.tolist(), each, penalty) for each in partitions(10, shortest))
    assert cost(values.tolist(), found, penalty) == pytest.approx(best, abs=1e-9)
    assert found in list(partitions(10, shortest))


# ---- error rates ----------------------------------------------------------------------------


@pytest.mark.parametrize("sd", [0.02, 0.1])
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_noise_alone_is_seldom_taken_for_a_step(correlation: float, sd: float) -> None:
    # With 300 series, 5 % is 15; at a true rate of 3.5 % more than 5 % are seen in 1 of 14 seeds.
    assert alarms(noisy(5, correlation, sd, 300)) <= 0.05


def test_noise_in_a_short_history_is_seldom_taken_for_a_step() -> None:
    assert alarms(noisy(6, 0.5, 0.1, 300, num=20)) <= 0.05


def test_a_tenth_more_is_seen_within_three_runs() -> None:
    series = noisy(7, 0.0, 0.02, 300, num=43)
    series[:, 40:] += np.log(1.1)
    seen = [
        any(abs(step.place - 40) <= 1 for step in steps(seconds(one), 0.05, relative=True))
        for one in series
    ]
    assert np.mean(seen) >= 0.8


def test_single_bad_runs_are_no_level() -> None:
    series = noisy(8, 0.0, 0.02, 100)
    series[:, 30] += 0.7
    series[:, [55, 56]] += 0.4
    series[:, [78, 79]] += 0.4
    assert alarms(series) <= 0.05


# ---- what is said of a step -----------------------------------------------------------------


def test_a_step_has_both_levels_and_their_runs() -> None:
    values = [10.0, 10.1, 9.9, 10.0, 12.0, 12.1, 11.9]
    (step,) = steps(values, 0.05, relative=True)
    assert step == Step(place=4, before=10.0, after=12.0, num_before=4, num_after=3)


def test_a_step_down_and_one_up_again_are_two() -> None:
    values = [100.0] * 6 + [80.0] * 6 + [100.0] * 6
    found = steps(values, 0.05, relative=True)
    assert [(step.place, step.after) for step in found] == [(6, 80.0), (12, 100.0)]


@pytest.mark.parametrize(
    ("before", "after", "least", "relative", "count"),
    [
        (100.0, 104.9, 0.05, True, 0),
        (100.0, 105.1, 0.05, True, 1),
        (100.0, 95.1, 0.05, True, 0),
        (100.0, 94.9, 0.05, True, 1),
        (0.9, 0.896, 0.005, False, 0),
        (0.9, 0.894, 0.005, False, 1),
    ],
)
def test_a_step_must_be_large_enough_to_be_told(
    before: float, after: float, least: float, relative: bool, count: int
) -> None:
    assert len(steps([before] * 8 + [after] * 8, least, relative)) == count


def test_values_that_never_vary_have_no_step() -> None:
    assert steps([0.0] * 30, 0.005, relative=False) == []


@pytest.mark.parametrize("num", range(LEAST_VALUES))
def test_a_series_too_short_for_two_levels_has_no_step(num: int) -> None:
    assert steps([10.0] * (num // 2) + [20.0] * (num - num // 2), 0.05, relative=True) == []


def test_the_shortest_series_that_can_have_a_step_has_it() -> None:
    assert len(steps([10.0] * 3 + [20.0] * 4, 0.05, relative=True)) == 1
    assert len(steps([10.0] * 4 + [20.0] * 3, 0.05, relative=True)) == 1
