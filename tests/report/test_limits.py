"""What fits a budget is named with what it costs; what does not fit is never called unknown."""

import pytest

from bench.analysis.budget import Budget
from bench.analysis.summary import Summary, summarise
from bench.record import Failure, Result
from bench.report.limits import Limits, answers
from tests import records
from tests.records import cell, failure, result, run


def three() -> Summary:
    """Dear with 95 %, fair with 94 %, and cheap with 80 % and an unknown memory."""
    asked = run(["dear", "fair", "cheap", "lost"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("dear", "partial", 0), val=380, test=930, train_seconds=90.0),
        result(cell("fair", "partial", 0), val=376, test=940, train_seconds=20.0),
        result(cell("cheap", "partial", 0), val=320, train_seconds=2.0, peak_memory_bytes=None),
        failure(cell("lost", "partial", 0)),
    ]
    return summarise(asked, found)


def test_nothing_asked_is_nothing_answered() -> None:
    assert answers(three(), Limits()) == []


def test_the_best_that_fits_is_named_with_its_scores_and_the_costs_that_were_asked_for() -> None:
    (text,) = answers(three(), Limits(Budget(max_seconds=30.0, max_parameters=12e6)))
    assert text == (
        "With at most 30 s of training and 12 M parameters, the highest mean val top-1 accuracy is "
        "that of fair · partial: val 94.0 %, test 94.0 %, 20.0 s of training, 11.2 M parameters. "
        "2 of 3 complete rows fit."
    )


def test_an_unknown_cost_does_not_fit_and_that_is_said() -> None:
    (text,) = answers(three(), Limits(Budget(max_memory_bytes=2.0**30)))
    assert "With at most 1,024 MiB of memory" in text
    assert "that of dear · partial" in text
    assert text.endswith("2 of 3 complete rows fit; of 1 a cost is unknown, which does not fit.")


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (
            Budget(max_seconds=1.0, max_latency_seconds=0.001),
            "With at most 1 s of training and 1 ms of latency, no complete row fits; the least of "
            "any is 2.00 s of training and 6.00 ms of latency.",
        ),
        (
            Budget(max_memory_bytes=2.0**20),
            "With at most 1 MiB of memory, no complete row fits; the least of any is 200 MiB of "
            "memory.",
        ),
    ],
)
def test_where_nothing_fits_the_least_there_is_shows_by_how_far(budget: Budget, text: str) -> None:
    assert answers(three(), Limits(budget)) == [text]


@pytest.mark.parametrize(
    ("share", "begins"),
    [
        (
            0.01,
            "Within 1 point of the best, the lowest train time, then peak memory is that of "
            "fair · partial: val 94.0 %, test 94.0 %, 20.0 s of training, 200 MiB of memory; the "
            "best, dear · partial: val 95.0 %",
        ),
        (
            0.005,
            "Within 0.5 points of the best, the lowest train time, then peak memory is that of the "
            "best itself, dear · partial.",
        ),
        (
            0.2,
            "Within 20 points of the best, the lowest train time, then known peak memory is that",
        ),
    ],
)
def test_the_cheapest_within_so_many_points(share: float, begins: str) -> None:
    (text,) = answers(three(), Limits(within=share))
    assert text.startswith(begins)


def test_costs_that_are_unknown_of_some_are_counted() -> None:
    (text,) = answers(three(), Limits(within=0.2))
    assert text.endswith("; peak memory unknown for 1 of 3.")


def test_without_a_complete_row_nothing_is_named() -> None:
    asked = run(["a"], ["partial"])
    summary = summarise(asked, [failure(cell("a", "partial", 0))])
    texts = answers(summary, Limits(Budget(max_seconds=5.0), 0.01))
    assert texts == [
        "With at most 5 s of training, no complete row fits.",
        "Within 1 point of the best, nothing can be named: no row is complete.",
    ]


def test_costs_that_an_earlier_run_lowered_fit_no_budget() -> None:
    asked = run(["a"], ["partial"])
    summary = summarise(asked, [records.reused(result(cell("a", "partial", 0), train_seconds=1.0))])
    (text,) = answers(summary, Limits(Budget(max_seconds=60.0)))
    assert text.endswith("no complete row fits; the least of any is train time unknown.")


def test_names_cannot_turn_the_sentence_round() -> None:
    asked = run(["\u202ea\n"], ["partial"])
    summary = summarise(asked, [result(cell("\u202ea\n", "partial", 0))])
    (text,) = answers(summary, Limits(Budget(max_seconds=60.0)))
    assert "that of a · partial" in text.replace("  ", " ")
    assert text.isprintable()
