"""The shared test against scipy, and which past values are of the baseline's level."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.baseline import on_level
from bench.analysis.costs import beyond
from bench.analysis.judge import Estimate, judge, nearest_median
from bench.analysis.stats import Floats, holm


def predicted(past_HP: Floats, values_P: Floats | list[float]) -> Estimate:
    return beyond(past_HP, np.asarray(values_P))


# ---- significance ---------------------------------------------------------------------------


def changes(*changes: float, error: float = 0.01, freedom: float = 20) -> Estimate:
    count = len(changes)
    return Estimate(np.array(changes), np.full(count, error), np.full(count, freedom))


def test_a_change_counts_that_is_sure_and_no_less_than_its_floor() -> None:
    found = changes(0.10, -0.10, 0.04, -0.04, 0.0, math.nan)
    findings = judge(found, np.full(6, 0.05), 0.05)
    assert findings.words == ["regressed", "improved", "pass", "pass", "pass", "not_judged"]
    unsure = judge(changes(0.10, -0.10, error=0.1), np.full(2, 0.05), 0.05)
    assert unsure.words == ["inconclusive", "pass"]


def test_a_second_yardstick_must_show_the_change_too() -> None:
    found = judge(changes(0.10, 0.10, -0.10), np.full(3, 0.05), 0.05, np.array([0.06, 0.0, 0.0]))
    assert found.words == ["regressed", "pass", "pass"]


def test_without_any_error_every_change_is_sure() -> None:
    assert judge(changes(0.05, 0.0, -0.05, error=0), np.full(3, 0.05), 0.05).words == [
        "regressed", "pass", "improved",
    ]  # fmt: skip


def test_further_tests_count_for_what_became_worse() -> None:
    alone, more = (
        judge(changes(0.10, 0.0), np.full(2, 0.05), 0.05, further_p=others)
        for others in ((), (1e-9, 0.5))
    )
    assert more.worse_P[0] == pytest.approx(1.5 * alone.worse_P[0])
    assert more.better_P[0] == alone.better_P[0]
    assert more.further_p == pytest.approx([4e-9, 1.0])


def test_of_one_row_the_prediction_is_students() -> None:
    past_H = np.random.default_rng(0).normal(3, 0.1, 9)
    found = predicted(past_H[:, None], [3.2])
    (high,), (low,) = found.tails()
    t = (3.2 - past_H.mean()) / (past_H.std(ddof=1) * np.sqrt(1 + 1 / 9))
    assert high == pytest.approx(stats.t.sf(t, 8))
    assert low == pytest.approx(stats.t.cdf(t, 8))
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
        beyond.append(predicted(past_HP, draw.normal(0, scale_P)).tails()[0] < 0.05)
    assert 0.03 <= np.mean(beyond) <= 0.07


def test_a_short_past_predicts_nothing() -> None:
    past_HP = np.random.default_rng(0).normal(0, 1, (6, 3))
    past_HP[:2, 1] = np.nan
    found = predicted(past_HP, np.zeros(3))
    assert np.isnan(found.changes_P).tolist() == [False, True, False]
    assert np.isnan(found.tails()[0]).tolist() == [False, True, False]
    assert np.isnan(predicted(np.empty((0, 3)), np.zeros(3)).changes_P).all()


def test_holm_is_over_what_was_judged() -> None:
    found = holm(np.array([0.01, np.nan, 0.03]))
    assert found[[0, 2]] == pytest.approx([0.02, 0.03])
    assert np.isnan(found[1])


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


# ---- the baseline's level --------------------------------------------------------------------

FLOOR = 0.05


def kept(values: list[float], place: int | None) -> list[int]:
    """Places of the values that stay."""
    found = on_level(np.array(values)[:, None], place, np.array([FLOOR]))
    return np.flatnonzero(~np.isnan(found[:, 0])).tolist()


OLD, NEW = [1.0, 1.01, 0.99, 1.0, 1.01], [0.8, 0.81, 0.79, 0.8]


@pytest.mark.parametrize(
    ("values", "place", "stay"),
    [
        (OLD, 4, [0, 1, 2, 3, 4]),
        ([*OLD, 0.8], 5, [5]),  # just accepted
        ([*OLD, *NEW], 5, [5, 6, 7, 8]),  # and runs since
        ([*OLD, *NEW], 6, [5, 6, 7, 8]),  # accepted one run later
        ([*OLD, *NEW], 8, [5, 6, 7, 8]),  # after it had lasted
        ([*OLD, *NEW], 4, [0, 1, 2, 3, 4]),  # never accepted
        ([*OLD, 1.3, *OLD], 10, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]),  # a bad night
        ([*OLD, 1.3, 0.8], 6, [6]),  # a bad night before another level
        ([*OLD, *NEW, 1.0], 9, [0, 1, 2, 3, 4, 9]),  # taken back
        ([*OLD, *NEW, 1.3], 9, [9]),
        ([*OLD, 0.8, 1.1, 1.1, 1.1, 1.1], 5, [5]),  # accepted, then bad nights
        ([*OLD, 0.8, 0.82, 1.1, 0.79], 5, [5, 6, 8]),
        ([*OLD, 1.3, 1.5, 1.9, 1.0, 1.0], 9, [0, 1, 2, 3, 4, 8, 9]),  # bad nights are no level
        ([*OLD, math.nan, 1.0], 6, [0, 1, 2, 3, 4, 6]),
        ([*OLD, 1.04], 5, [0, 1, 2, 3, 4, 5]),  # within the floor
        ([1.0, 1.2, 0.99], 2, [0, 1, 2]),  # two tell of no level
        ([1.0, 2.0, 0.8], 2, [0, 2]),  # but what is very far is of another
        ([1.0, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5], 6, [4, 5, 6]),  # a new level, just accepted
        ([1.0, 0.69, 0.7, 0.7, 0.7, 0.7], 1, [1, 2, 3, 4, 5]),  # the first run was before
        ([*OLD, *NEW], None, list(range(9))),
    ],
)
def test_what_stays(values: list[float], place: int | None, stay: list[int]) -> None:
    assert kept(values, place) == stay


def drawn(scatter: float) -> Floats:
    found: Floats = np.random.default_rng(0).normal(0, scatter, (30, 400))
    return found


@pytest.mark.parametrize("scatter", [0.01, 0.05, 0.2])
def test_however_one_level_scatters_hardly_a_value_is_taken_for_another(scatter: float) -> None:
    found = on_level(drawn(scatter), 29, np.full(400, FLOOR))
    assert np.isnan(found).mean() < 0.01
    assert np.isnan(found).any(axis=0).mean() < 0.12
