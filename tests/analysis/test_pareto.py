"""The front against a plain search over all pairs, and against what cannot be on or off it."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analysis import pareto
from bench.analysis.paired import Outcomes
from bench.analysis.pareto import COSTS, front, undominated
from bench.analysis.rows import Row, Score
from bench.analysis.stats import Interval, spread
from tests.analysis import suites

MEBIBYTE = 2**20


def row(name: str, scores: Sequence[float], costs: Sequence[float | None]) -> Row:
    """A complete row of these costs, in the order of COSTS."""
    seconds, memory, parameters, latency = costs
    return Row(
        architecture=name, strategy="partial", statuses=("ok",) * len(scores),
        val=Score(spread(scores), Interval(0, 1), 400), test=None,
        train_seconds=None if seconds is None else spread([seconds]), wall_seconds=None,
        peak_memory_bytes=None if memory is None else int(memory),
        total_parameters=None if parameters is None else int(parameters),
        trainable_share=None, forward_macs=None, latency_seconds=latency, features_reused=False,
    )  # fmt: skip


Table = NDArray[np.float64]


def made(hits_RSN: NDArray[np.bool_], costs_RV: Table) -> tuple[list[Row], Outcomes]:
    """Rows by val, best first."""
    order = np.argsort(-hits_RSN.mean(axis=(1, 2)), kind="stable")
    rows = [
        row(str(i), hits_RSN[i].mean(axis=1).tolist(), list(map(float, costs_RV[i]))) for i in order
    ]
    return rows, suites.outcomes(hits_RSN[order])


def names(rows: Sequence[Row]) -> set[str]:
    return {one.architecture for one in rows}


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


def dominates(one: Row, other: Row, ahead: float, error: float, limit: float) -> bool:
    """The definition, one pair at a time; `ahead` is the val score of `one` over the other's."""
    told = abs(ahead) > limit * error and abs(ahead) >= 0.005 - 1e-9
    better, worse = told and ahead > 0, told and ahead < 0
    for cost in COSTS:
        mine, yours = pareto.costs([one, other])[:, COSTS.index(cost)]
        better |= beyond_noise(yours, mine, cost)
        worse |= beyond_noise(mine, yours, cost)
    return better and not worse


@pytest.mark.parametrize("seed", range(25))
def test_a_row_is_off_the_front_where_one_on_it_dominates_it_and_only_there(
    seed: int,
) -> None:
    hits_RSN, costs_RV = random_suite(seed)
    rows, found = made(hits_RSN, costs_RV)
    kept = names(front(rows, found, 2.5, 0.005))
    shares = {str(i): hits_RSN[i, 0].astype(float) for i in range(len(rows))}

    def beats(one: Row, other: Row) -> bool:
        by_image = shares[one.architecture] - shares[other.architecture]
        error = by_image.std(ddof=1) / np.sqrt(len(by_image))
        return dominates(one, other, float(by_image.mean()), float(error), 2.5)

    off = [one for one in rows if one.architecture not in kept]
    on = [one for one in rows if one.architecture in kept]
    assert on
    assert off, "else this tests nothing"
    for one in off:
        assert any(beats(other, one) for other in on), one.architecture
    for one in on:
        assert not any(beats(other, one) for other in on), one.architecture


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
    rows = [
        row("abcd"[i], [1 - count / 1000], costs)
        for i, (costs, count) in enumerate(zip(changes, wrong, strict=True))
    ]
    return names(front(rows, suites.outcomes(hits_RSN), 2.0, 0.005))


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
    rows = [row("ab"[i], [hits_RSN[i].mean()], costs[i]) for i in range(2)]
    assert names(front(rows, suites.outcomes(hits_RSN), 2.0, 0.005)) == {"b"}
    assert names(front(rows, suites.outcomes(hits_RSN), 2.0, 0.003)) == {"a", "b"}


def test_few_seeds_must_be_further_apart_where_whole_trainings_are_lucky() -> None:
    counts = np.array([[700, 760, 805], [610, 655, 720]])  # t = 2.1 with 4 degrees of freedom
    hits_RSN = np.arange(1000) < counts[:, :, None]
    rows = [row("ab"[i], list(counts[i] / 1000), [10.0, M, 5, 1.0]) for i in range(2)]
    assert names(front(rows, suites.outcomes(hits_RSN), 2.0, 0.005)) == {"a", "b"}
    assert names(front(rows, suites.outcomes(hits_RSN), 1.5, 0.005)) == {"a"}


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
    rows, found = made(*random_suite(99, rows=40))
    whole = front(rows, found, 2.5, 0.005)
    monkeypatch.setattr(pareto, "BLOCK", 7)
    assert front(rows, found, 2.5, 0.005) == whole
