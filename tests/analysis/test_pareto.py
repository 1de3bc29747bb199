"""The front against a plain search over all pairs, and against what cannot be on or off it."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis import paired
from bench.analysis.paired import Hits
from bench.analysis.pareto import COSTS, front, known_or_infinite, undominated
from tests.analysis import suites

MEBIBYTE = 2**20


Table = NDArray[np.float64]


Costs = list[list[float | None]]


def made(hits_RSN: NDArray[np.bool_], costs_RV: Table) -> tuple[Costs, Hits]:
    """Costs and hits of rows by val, best first."""
    order = np.argsort(-hits_RSN.mean(axis=(1, 2)), kind="stable")
    return costs_RV[order].tolist(), suites.hits(hits_RSN[order])


def names(places: Sequence[int]) -> set[str]:
    return {"abcd"[place] for place in places}


def random_suite(seed: int, rows: int = 12) -> tuple[NDArray[np.bool_], Table]:
    draw = np.random.default_rng(seed)
    easy_N = draw.beta(4, 1, 300)
    hits_RSN = draw.random((rows, 1, 300)) < easy_N + draw.normal(0, 0.06, (rows, 1, 1))
    scale = np.array([10.0, 300 * MEBIBYTE, 1e7, 0.01])
    return hits_RSN, np.round(draw.uniform(0.8, 1.25, (rows, 4)), 2) * scale


def beyond_noise(one: float, other: float, cost: str) -> bool:
    """Whether a cost is truly above another."""
    if cost == "peak_memory_bytes":
        return one - other > max(0.02 * other, 16 * MEBIBYTE)
    return one / other > (1 if cost == "total_parameters" else 1.05)


def dominates(one: Table, other: Table, ahead: float, error: float, limit: float) -> bool:
    """The definition, one pair at a time; `ahead` is the val score of `one` over the other's."""
    told = abs(ahead) > limit * error and abs(ahead) >= 0.005 - 1e-9
    better, worse = told and ahead > 0, told and ahead < 0
    for cost, mine, yours in zip(COSTS, one, other, strict=True):
        better |= beyond_noise(yours, mine, cost)
        worse |= beyond_noise(mine, yours, cost)
    return better and not worse


@pytest.mark.parametrize("seed", range(25))
def test_a_row_is_off_the_front_where_one_on_it_dominates_it_and_only_there(
    seed: int,
) -> None:
    hits_RSN, costs_RV = random_suite(seed)
    costs, found = made(hits_RSN, costs_RV)
    on = front(costs, found, 2.5, 0.005)

    def beats(one: int, other: int) -> bool:
        by_image = found.hits_RN[one].astype(float) - found.hits_RN[other]
        error = float(by_image.std(ddof=1) / np.sqrt(len(by_image)))
        mine, yours = known_or_infinite([costs[one], costs[other]])
        return dominates(mine, yours, float(by_image.mean()), error, 2.5)

    off = sorted({*range(len(costs))} - {*on})
    assert on
    assert off, "else this tests nothing"
    for one in off:
        assert any(beats(other, one) for other in on), one
    for one in on:
        assert not any(beats(other, one) for other in on), one


@pytest.mark.parametrize("seed", range(10))
def test_the_plain_front_is_what_a_search_over_all_pairs_leaves(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 4, (60, 5)).astype(float)
    values[draw.random((60, 5)) < 0.1] = np.inf
    means, costs = -np.where(np.isinf(values[:, 0]), 9, values[:, 0]), values[:, 1:]
    values[:, 0] = -means
    expected = [
        not any((other <= one).all() and (other < one).any() for other in values) for one in values
    ]
    assert undominated(means, costs).tolist() == expected


def four(changes: Sequence[Sequence[float | None]], wrong: Sequence[int]) -> set[str]:
    """Names on the front of rows that get so many of 1,000 images wrong, each its own."""
    hits_RSN = np.ones((len(wrong), 1, 1000), dtype=bool)
    start = 0
    for index, count in enumerate(wrong):
        hits_RSN[index, 0, start : start + count] = False
        start += count
    return names(front(changes, suites.hits(hits_RSN), 2.0, 0.005))


M = 100.0 * MEBIBYTE


def test_a_hair_less_time_keeps_no_row_on_the_front_that_is_far_behind() -> None:
    assert four([(10.0, M, 5, 1.0), (9.7, M, 5, 1.0)], [0, 60]) == {"a"}
    assert four([(10.0, M, 5, 1.0), (9.0, M, 5, 1.0)], [0, 60]) == {"a", "b"}


def test_a_hair_more_accuracy_keeps_no_row_on_the_front_that_costs_far_more() -> None:
    assert four([(90.0, M, 5, 1.0), (10.0, M, 5, 1.0)], [0, 3]) == {"b"}
    assert four([(90.0, M, 5, 1.0), (10.0, M, 5, 1.0)], [0, 60]) == {"a", "b"}


def test_a_certain_difference_within_the_margin_is_none() -> None:
    hits_RSN = np.ones((2, 1, 20_000), dtype=bool)
    hits_RSN[1, 0, :80] = False
    costs: list[Sequence[float | None]] = [(90.0, M, 5, 1.0), (10.0, M, 5, 1.0)]
    assert names(front(costs, suites.hits(hits_RSN), 2.0, 0.005)) == {"b"}
    assert names(front(costs, suites.hits(hits_RSN), 2.0, 0.003)) == {"a", "b"}


def test_few_seeds_must_be_further_apart_where_whole_trainings_are_lucky() -> None:
    counts = np.array([[700, 760, 805], [610, 655, 720]])  # t = 2.1 with 4 degrees of freedom
    hits_RSN = np.arange(1000) < counts[:, :, None]
    costs = [[10.0, M, 5, 1.0]] * 2
    assert names(front(costs, suites.hits(hits_RSN), 2.0, 0.005)) == {"a", "b"}
    assert names(front(costs, suites.hits(hits_RSN), 1.5, 0.005)) == {"a"}


def test_rows_alike_in_everything_are_all_on_the_front() -> None:
    assert four([(10.0, M, 5, 1.0)] * 3, [0, 0, 0]) == {"a", "b", "c"}


def test_a_row_with_an_unknown_cost_is_on_the_front_and_leaves_no_other_out() -> None:
    known = (10.0, M, 5, 1.0)
    assert four([(10.0, None, 5, 1.0), known], [3, 3]) == {"a", "b"}
    assert four([(90.0, None, 5, 1.0), known], [60, 3]) == {"a", "b"}
    assert four([(1.0, None, 5, 1.0), known], [3, 60]) == {"a", "b"}
    assert four([(1.0, None, 5, 1.0), known, (90.0, M, 5, 1.0)], [3, 60, 60]) == {"a", "b"}


def test_a_cost_that_no_row_has_does_not_count() -> None:
    assert four([(10.0, None, 5, 1.0), (90.0, None, 5, 1.0)], [3, 3]) == {"a"}


def test_memory_differs_from_sixteen_mebibytes_on() -> None:
    assert four([(10.0, M, 5, 1.0), (10.0, M + 15 * MEBIBYTE, 5, 1.0)], [0, 0]) == {"a", "b"}
    assert four([(10.0, M, 5, 1.0), (10.0, M + 17 * MEBIBYTE, 5, 1.0)], [0, 0]) == {"a"}


def test_in_a_circle_of_near_equals_somebody_stays() -> None:
    # a beats b in time, b beats c in latency, c beats a in memory; else they are within noise.
    rows: list[Sequence[float | None]] = [
        (1.00, M + 20 * MEBIBYTE, 5, 1.03),
        (1.06, M + 10 * MEBIBYTE, 5, 1.00),
        (1.03, M, 5, 1.06),
    ]
    assert four(rows[:2], [0, 0]) == {"a"}
    assert four(rows[1:], [0, 0]) == {"a"}
    assert four([rows[2], rows[0]], [0, 0]) == {"a"}
    kept = four(rows, [0, 0, 0])
    assert kept
    assert kept < {"a", "b", "c"}


def test_rows_in_several_blocks_give_the_same_front(monkeypatch: pytest.MonkeyPatch) -> None:
    costs, found = made(*random_suite(99, rows=40))
    whole = front(costs, found, 2.5, 0.005)
    monkeypatch.setattr(paired, "BLOCK", 7)
    assert front(costs, found, 2.5, 0.005) == whole
