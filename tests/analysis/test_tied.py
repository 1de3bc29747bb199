"""The limit of the tied set against the studentised range, and who is in the set by hand."""

import numpy as np
import pytest
from scipy import stats

from bench.analysis import paired
from bench.analysis.paired import (
    Contrasts,
    contrasts,
    largest_distances,
    limit,
    simultaneous,
)
from tests.analysis import suites


@pytest.mark.parametrize("rows", [2, 3, 12, 60])
def test_of_independent_rows_it_is_the_studentised_range(rows: int) -> None:
    expected = stats.studentized_range.ppf(0.95, rows, np.inf) / np.sqrt(2)
    found = np.quantile(largest_distances(np.eye(rows) * 1e-5), 0.95)
    assert found == pytest.approx(expected, rel=0.02)


def test_what_all_rows_share_changes_nothing() -> None:
    independent, shared = np.eye(8), np.eye(8) + 5.0
    one, other = (np.quantile(largest_distances(m), 0.95) for m in (independent, shared))
    assert one == pytest.approx(other, rel=0.02)


def test_rows_that_are_the_same_count_as_one() -> None:
    group = np.array(np.kron(np.eye(2), np.ones((5, 5))), dtype=np.float64)
    found = np.quantile(largest_distances(group), 0.95)
    assert found == pytest.approx(stats.norm.ppf(0.975), rel=0.03)
    assert (largest_distances(np.ones((4, 4))) == 0).all()
    assert (largest_distances(np.zeros((4, 4))) == 0).all()


def test_correlated_rows_are_compared_as_a_plain_simulation_does() -> None:
    draw = np.random.default_rng(5)
    mixing = draw.normal(size=(6, 3))
    covariance = mixing @ mixing.T + 0.2 * np.eye(6)
    means = draw.multivariate_normal(np.zeros(6), covariance, size=40_000)
    largest = np.zeros(40_000)
    for i in range(6):
        for j in range(i):
            distance = means[:, i] - means[:, j]
            largest = np.maximum(largest, np.abs(distance) / distance.std())
    found = np.quantile(largest_distances(covariance), 0.95)
    assert found == pytest.approx(np.quantile(largest, 0.95), rel=0.02)


def test_the_luck_of_the_seeds_is_each_rows_own() -> None:
    hits_RN = np.repeat(np.random.default_rng(4).random((1, 500)) < 0.8, 12, axis=0)
    found = suites.outcomes(np.repeat(hits_RN[:, None], 3, axis=1))
    every = np.ones(12, dtype=bool)
    assert limit(found, every) == 0, "all alike in every seed"
    lucky = found._replace(seed_variances_R=np.full(12, 1e-4))
    expected = stats.studentized_range.ppf(0.95, 12, np.inf) / np.sqrt(2)
    assert limit(lucky, every) == pytest.approx(expected, rel=0.02)


def test_the_bound_for_many_rows_is_above_what_is_simulated_but_not_by_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, _ = suites.drawn(np.random.default_rng(6), [0.0] * 40, 500, 2)
    every = np.ones(40, dtype=bool)
    simulated = limit(found, every)
    monkeypatch.setattr(paired, "SIMULATED", 39)
    assert simulated < limit(found, every) < 1.1 * simulated


def test_a_row_is_left_out_where_it_is_beyond_both_the_limit_and_the_margin() -> None:
    draw = np.random.default_rng(7)
    found, _ = suites.drawn(draw, [0.0, -0.005, -0.1], 5000, 3)
    behind = contrasts(found)
    told = simultaneous(found, behind, 0.0)
    assert told.rows_R.tolist() == (behind.z_R <= told.last_limit).tolist()
    assert told.rows_R.tolist()[::2] == [True, False]
    assert simultaneous(found, behind, 0.2).rows_R.all(), "within the margin all are tied"


def certain(behind: Contrasts, distance: float) -> Contrasts:
    """The second row behind by so much, with next to no error."""
    return behind._replace(means_R=np.array([0.0, distance]), items_R=np.array([0.0, 1e-6]))


def test_a_difference_of_exactly_the_margin_counts_and_one_below_does_not() -> None:
    found, _ = suites.drawn(np.random.default_rng(8), [0.0, -0.01], 400, 1)
    behind = contrasts(found)
    # Both are 0.005 on paper; in floating point one is more, the other less.
    assert 0.94 - 0.935 < 0.005 < 0.95 - 0.945
    assert not simultaneous(found, certain(behind, 0.95 - 0.945), 0.005).rows_R[1]
    assert not simultaneous(found, certain(behind, 0.94 - 0.935), 0.005).rows_R[1]
    assert simultaneous(found, certain(behind, 0.0049), 0.005).rows_R[1]


def test_once_rows_have_fallen_behind_the_rest_are_held_to_a_lower_limit() -> None:
    found, _ = suites.drawn(np.random.default_rng(9), [0.0] * 3 + [-0.2] * 30, 2000, 3)
    told = simultaneous(found, contrasts(found), 0.005)
    assert told.rows_R.sum() <= 3
    assert told.last_limit < 2.6 < 3.4 < told.first_limit


def test_the_same_suite_has_the_same_limit_again_and_a_lone_row_is_tied_with_itself() -> None:
    found, _ = suites.drawn(np.random.default_rng(10), [0.0] * 5, 300, 2)
    every = np.ones(5, dtype=bool)
    assert limit(found, every) == limit(found, every)
    alone, _ = suites.drawn(np.random.default_rng(10), [0.0], 300, 2)
    assert simultaneous(alone, contrasts(alone), 0.005).rows_R.tolist() == [True]
