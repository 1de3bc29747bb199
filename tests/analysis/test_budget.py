"""The best that one can afford, and the cheapest that is nearly as good, on rows made by hand."""

from typing import Any

import pytest

from bench.analysis.choice import Budget, Summary, best_within, cheapest_within
from bench.analysis.summary import summarise
from bench.record import Failure, Result
from tests import records
from tests.records import cell, failure, result, run

GOOD, FAIR, POOR = 379, 376, 300  # of 400


def summary(**suite: Any) -> Summary:
    """Three networks, the better the dearer; and one that is not complete and costs nothing."""
    names = {"good": (GOOD, 30.0, 300), "fair": (FAIR, 20.0, 200), "poor": (POOR, 1.0, 100)}
    asked = run([*names, "half"], ["partial"], seeds=[0, 1], **suite)
    found: list[Result | Failure] = [
        result(cell(name, "partial", seed), val, 900, seconds, memory)
        for name, (val, seconds, memory) in names.items()
        for seed in (0, 1)
    ]
    found.append(result(cell("half", "partial", 0), 399, 900, 0.1, 1))
    return summarise(asked, [*found, failure(cell("half", "partial", 1))])


def best(budget: Budget) -> str | None:
    row = best_within(summary(), budget)
    return None if row is None else row.architecture


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(), "good"),
        (Budget(max_seconds=30.0), "good"),
        (Budget(max_seconds=29.9), "fair"),
        (Budget(max_memory_bytes=199), "poor"),
        (Budget(max_seconds=25, max_memory_bytes=150), "poor"),
        (Budget(max_seconds=0.5), None),
        (Budget(max_parameters=11_181_642), "good"),
        (Budget(max_parameters=11_181_641), None),
        (Budget(max_latency_seconds=0.006), "good"),
        (Budget(max_latency_seconds=0.0059), None),
        (Budget(max_seconds=0.0), None),
    ],
)
def test_the_best_val_score_within_the_budget(budget: Budget, expected: str | None) -> None:
    assert best(budget) == expected


def test_what_is_unknown_does_not_fit_unless_nothing_is_asked_of_it() -> None:
    asked = run(["a"], ["two_phase"])
    one = result(cell("a", "two_phase", 0), peak_memory_bytes=None)
    told = summarise(asked, [one])
    assert best_within(told, Budget(max_memory_bytes=1e12)) is None
    assert best_within(told, Budget(max_seconds=60)) is told.rows[0]
    told = summarise(asked, [records.reused(one)])
    assert best_within(told, Budget(max_seconds=60)) is None, "part of it was not spent"


def test_the_cheapest_within_a_share_of_the_leaders_score() -> None:
    told = summary()
    assert FAIR / 400 < GOOD / 400 - 0.0075, "in floating point, though equal on paper"
    expected = {0.0: "good", 0.007: "good", 0.0075: "fair", 0.19: "fair", 0.2: "poor", 1.0: "poor"}
    for share, name in expected.items():
        row = cheapest_within(told, share)
        assert row is not None
        assert row.architecture == name, share


def test_the_tie_break_says_what_is_cheap() -> None:
    told = summary(tie_break=["total_parameters", "peak_memory_bytes"])
    row = cheapest_within(told, 0.01)
    assert row is not None
    assert row.architecture == "fair"


def test_the_summarys_own_cheapest_keeps_to_the_margin_of_the_suite() -> None:
    narrow, wide = summary(), summary(margin=0.01)
    assert narrow.cheapest is narrow.leader
    assert wide.cheapest is not None
    assert wide.cheapest.architecture == "fair"


def test_without_a_complete_row_nothing_fits() -> None:
    told = summarise(run(["a"], ["partial"]), [failure(cell("a", "partial", 0))])
    assert best_within(told, Budget()) is None
    assert cheapest_within(told, 1.0) is None
