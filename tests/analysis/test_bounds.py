"""Predictions from the past against scipy, and what the past does not tell."""

import numpy as np
import pytest
from scipy import stats

from bench.analysis.bounds import adjusted, predicted


def test_of_one_row_the_prediction_is_students() -> None:
    past_H = np.random.default_rng(0).normal(3, 0.1, 9)
    found = predicted(past_H[:, None])
    high, low = found.tails(np.array([3.2]))
    t = (3.2 - past_H.mean()) / (past_H.std(ddof=1) * np.sqrt(1 + 1 / 9))
    assert high[0] == pytest.approx(stats.t.sf(t, 8))
    assert low[0] == pytest.approx(stats.t.cdf(t, 8))
    limit = stats.t.ppf(0.99, 8) * past_H.std(ddof=1) * np.sqrt(1 + 1 / 9)
    assert found.limits(0.01)[0] == pytest.approx(limit)


@pytest.mark.parametrize("num_past", [5, 12])
def test_of_many_rows_new_values_are_beyond_the_bound_as_often_as_they_should(
    num_past: int,
) -> None:
    draw = np.random.default_rng(num_past)
    scale_P = np.geomspace(0.5, 2, 40)  # rows that differ in their noise
    beyond = []
    for _ in range(100):
        past_HP = draw.normal(0, scale_P, (num_past, 40))
        beyond.append(predicted(past_HP).tails(draw.normal(0, scale_P))[0] < 0.05)
    assert 0.03 <= np.mean(beyond) <= 0.07


def test_a_short_past_predicts_nothing() -> None:
    past_HP = np.random.default_rng(0).normal(0, 1, (6, 3))
    past_HP[:2, 1] = np.nan
    found = predicted(past_HP)
    assert np.isnan(found.means_P).tolist() == [False, True, False]
    assert np.isnan(found.tails(np.zeros(3))[0]).tolist() == [False, True, False]
    assert np.isnan(predicted(np.empty((0, 3))).means_P).all()


def test_holm_is_over_what_was_judged() -> None:
    found = adjusted(np.array([0.01, np.nan, 0.03]))
    assert found[[0, 2]] == pytest.approx([0.02, 0.03])
    assert np.isnan(found[1])
