"""Intervals against scipy, spreads against numpy and by hand."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from bench.analysis import stats


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 9), (950, 1000)]
)
def test_wilson_agrees_with_scipy(successes: int, n: int, confidence: float) -> None:
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    found = stats.wilson(successes / n, n, confidence)
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)


def test_the_interval_of_a_perfect_score_reaches_exactly_one_and_of_none_exactly_zero() -> None:
    for n in range(1, 400):
        assert stats.wilson(1.0, n).high == 1.0
        assert stats.wilson(0.0, n).low == 0.0


def test_intervals_that_touch_overlap() -> None:
    assert stats.Interval(0.1, 0.2).overlaps(stats.Interval(0.2, 0.3))
    assert stats.Interval(0.2, 0.3).overlaps(stats.Interval(0.1, 0.2))
    assert stats.Interval(0.0, 1.0).overlaps(stats.Interval(0.4, 0.5))
    assert not stats.Interval(0.1, 0.2).overlaps(stats.Interval(0.21, 0.3))
    assert not stats.Interval(0.21, 0.3).overlaps(stats.Interval(0.1, 0.2))


@pytest.mark.parametrize(("proportion", "n"), [(-0.01, 5), (1.01, 5), (math.nan, 5), (0.5, 0)])
def test_no_interval_of_what_is_no_proportion(proportion: float, n: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        stats.wilson(proportion, n)


def test_spread_has_the_samples_standard_deviation() -> None:
    values = [0.91, 0.95, 0.90, 0.97]
    found = stats.spread(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    assert found[2:] == (0.90, 0.97, 4)


def test_one_value_has_an_unknown_spread_not_zero() -> None:
    assert stats.spread([0.5]) == (0.5, None, 0.5, 0.5, 1)


def test_there_is_no_spread_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        stats.spread([])
