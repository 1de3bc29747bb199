"""Intervals against scipy, spreads against numpy and by hand."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binomtest

from bench.analysis import stats
from bench.analysis.stats import Spread, holm, seed_variances, spread


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


# ---- Holm -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_closed_test_of_bonferronis(seed: int) -> None:
    draw = np.random.default_rng(seed)
    p_values = draw.integers(1, 30, 6) / draw.choice([30, 400])
    for place, found in enumerate(holm(p_values)):
        # A hypothesis falls where every intersection that holds it falls.
        sets = [s for k in range(1, 7) for s in combinations(range(6), k) if place in s]
        expected = max(min(1.0, len(s) * min(p_values[i] for i in s)) for s in sets)
        assert found == pytest.approx(expected)


def test_holm_of_one_and_of_none() -> None:
    assert holm(np.array([0.03])).tolist() == [0.03]
    assert holm(np.array([])).tolist() == []


# ---- seeds --------------------------------------------------------------------------------


def test_variances_that_differ_no_more_than_by_chance_are_pooled() -> None:
    # Two, two and one degrees of freedom.
    seeds = ([0.90, 0.92, 0.94], [0.71, 0.70, 0.73], [0.5, 0.53])
    found = seed_variances([spread(one) for one in seeds])
    common = sum(float(np.var(one)) * len(one) for one in seeds) / 5
    assert [one.of_mean for one in found] == pytest.approx([common / 3, common / 3, common / 2])
    assert [one.degrees_of_freedom for one in found] == [5, 5, 5]


def test_a_row_with_one_seed_takes_the_common_variance_for_its_one_seed() -> None:
    rows = [spread([0.90, 0.94]), spread([0.6])]
    found = seed_variances(rows)
    assert found[1].of_mean == pytest.approx(0.0008)
    assert found[0].of_mean == pytest.approx(0.0004)


def test_with_one_seed_everywhere_nothing_is_known() -> None:
    assert seed_variances([spread([0.9]), spread([0.8])]) == [(None, None), (None, None)]
    assert seed_variances([]) == []


def test_rows_whose_seeds_all_agree_have_no_variance() -> None:
    found = seed_variances([spread([0.9, 0.9]), spread([0.8, 0.8])])
    assert [one.of_mean for one in found] == [0, 0]


def test_a_wild_row_keeps_more_of_its_own_variance_and_a_calm_one_less_of_the_wild_ones() -> None:
    calm = [Spread(0.9, 0.002, 0, 1, 5) for _ in range(20)]
    found = seed_variances([*calm, Spread(0.5, 0.05, 0, 1, 5)])
    common = (20 * 0.002**2 + 0.05**2) / 21
    of_mean = [one.of_mean or 0.0 for one in found]
    assert 0.002**2 / 5 < of_mean[0] < common / 5 < of_mean[-1] < 0.05**2 / 5


@pytest.mark.parametrize(("prior", "seeds"), [(6.0, 3), (12.0, 5)])
def test_shrunk_variances_are_nearer_the_truth_than_a_rows_own_and_than_the_pooled(
    prior: float, seeds: int
) -> None:
    draw = np.random.default_rng(1)
    truth = 1e-5 * prior / draw.chisquare(prior, 4000)
    own = truth * draw.chisquare(seeds - 1, 4000) / (seeds - 1)
    rows = [Spread(0.9, float(np.sqrt(one)), 0, 1, seeds) for one in own]
    told = seed_variances(rows)
    found = seeds * np.array([one.of_mean for one in told], dtype=float)

    def error(guess: object) -> float:
        return float(np.abs(np.log(np.asarray(guess, dtype=float) / truth)).mean())

    best = (prior * 1e-5 + (seeds - 1) * own) / (prior + seeds - 1)
    assert error(found) < 0.9 * min(error(own), error(np.full(4000, own.mean())))
    assert error(found) < 1.1 * error(best), "nearly as good as if the prior were known"
    # A scaled inverse chi-square of f degrees of freedom has a mean of f / (f - 2) times its scale.
    freedom = told[0].degrees_of_freedom
    assert freedom is not None
    assert found.mean() * freedom / (freedom - 2) == pytest.approx(own.mean(), rel=1e-6)


def test_there_are_never_more_degrees_of_freedom_than_seeds_to_tell() -> None:
    draw = np.random.default_rng(2)
    for _ in range(50):
        rows = [spread(draw.normal(0.9, 0.01, 3).tolist()) for _ in range(4)]
        assert all(0 < (one.degrees_of_freedom or 0) <= 8 for one in seed_variances(rows))
