"""Who wins and who is not told apart, on runs small enough to count by hand."""

import random
from typing import Any

import pytest

from bench.analysis import summary
from bench.analysis.summary import Row, Summary, summarise
from bench.schema import Failure, Result
from tests import records
from tests.records import cell, failure, result, run

# 400 val images: intervals around 380, 376 and 300 right, as scipy gives them to three places.
BEST, NEAR, FAR = 380, 376, 300  # 0.924-0.967, 0.912-0.959, 0.705-0.790


def chosen(found: Summary) -> tuple[str, list[str], str]:
    """Names of the winner, of those not told apart, and of the recommendation."""
    assert found.winner is not None
    assert found.recommended is not None
    return found.winner.name, [row.name for row in found.not_told_apart], found.recommended.name


def three() -> Summary:
    """Three networks of one strategy: the best, one near it and one far below."""
    asked = run(["slow", "quick", "poor"], ["fine_tuning"])
    return summarise(
        asked,
        [
            result(cell("slow", "fine_tuning", 0), val=BEST, train_seconds=30.0),
            result(cell("quick", "fine_tuning", 0), val=NEAR, train_seconds=20.0),
            result(cell("poor", "fine_tuning", 0), val=FAR, train_seconds=1.0),
        ],
    )


def test_the_tie_break_recommends_the_quickest_of_those_not_told_apart_from_the_winner() -> None:
    assert chosen(three()) == (
        "slow · fine_tuning",
        ["quick · fine_tuning"],
        "quick · fine_tuning",
    )


def test_the_interval_counts_each_val_image_once_however_many_seeds_scored_it() -> None:
    asked = run(["a"], ["partial"], seeds=[0, 1, 2])
    rows = summarise(
        asked,
        [result(cell("a", "partial", s), val=v) for s, v in enumerate((376, 380, 384))],
    ).rows
    assert rows[0].val is not None
    assert rows[0].val.num_images == 400
    assert rows[0].val.interval == pytest.approx((0.9241, 0.9674), abs=1e-4)
    assert rows[0].val.seeds[:2] == pytest.approx((0.95, 0.01))
    assert rows[0].val.seeds[2:] == (0.94, 0.96, 3)


@pytest.mark.parametrize("status", ["diverged", "failed", "timeout", "interrupted", "missing"])
def test_a_row_with_a_seed_that_is_not_ok_cannot_win_and_is_named(status: str) -> None:
    asked = run(["best", "other"], ["partial"], seeds=[0, 1])
    found: list[Result | Failure] = [
        result(cell("best", "partial", 0), val=399),
        *(result(cell("other", "partial", seed), val=300) for seed in (0, 1)),
    ]
    if status != "missing":
        found.append(failure(cell("best", "partial", 1), status))
    told = summarise(asked, found)
    assert chosen(told) == ("other · partial", [], "other · partial")
    assert [row.name for row in told.disqualified] == ["best · partial"]
    assert told.disqualified[0].statuses == ("ok", status)
    assert [row.name for row in told.ranked] == ["other · partial", "best · partial"]
    assert told.best_by_architecture["best"] is None
    assert told.best_by_strategy["partial"] is told.winner


def test_permuting_test_scores_changes_no_choice() -> None:
    strategies = list(records.STRATEGIES)
    asked = run(list(records.ARCHITECTURES), strategies, seeds=[0, 1])
    found = records.drawn(asked, strategies)
    before = summarise(asked, found)
    shuffled = [one.quality.test for one in found]
    random.Random(3).shuffle(shuffled)
    after = summarise(
        asked,
        [
            one.model_copy(update={"quality": one.quality.model_copy(update={"test": test})})
            for one, test in zip(found, shuffled, strict=True)
        ],
    )

    def names(rows: dict[str, Row | None]) -> list[str | None]:
        return [row.name if row else None for row in rows.values()]

    assert chosen(after) == chosen(before)
    assert len(before.not_told_apart) > 1
    assert names(dict(after.best_by_strategy)) == names(dict(before.best_by_strategy))
    assert names(dict(after.best_by_architecture)) == names(dict(before.best_by_architecture))
    assert [row.name for row in after.ranked] == [row.name for row in before.ranked]
    assert [row.test for row in after.rows] != [row.test for row in before.rows]


def test_the_order_of_the_records_changes_nothing() -> None:
    asked = run(["resnet18", "vit_b_16"], ["partial", "fine_tuning"], seeds=[0, 1])
    found: list[Result | Failure] = [*records.drawn(asked, ["partial", "fine_tuning"])]
    found[2:4] = [failure(found[2].cell), failure(found[3].cell)]
    assert summarise(asked, found[::-1]) == summarise(asked, found)


def test_equal_val_scores_are_settled_by_the_tie_break_not_by_the_order_of_the_suite() -> None:
    asked = run(["a", "b"], ["partial"])
    told = summarise(
        asked,
        [
            result(cell("a", "partial", 0), val=BEST, test=990, train_seconds=9.0),
            result(cell("b", "partial", 0), val=BEST, test=900, train_seconds=8.0),
        ],
    )
    assert chosen(told) == ("b · partial", ["a · partial"], "b · partial")


def test_a_cost_that_is_unknown_comes_last_in_the_tie_break() -> None:
    asked = run(["a", "b"], ["partial"], tie_break=["peak_memory_bytes"])
    told = summarise(
        asked,
        [
            result(cell("a", "partial", 0), val=BEST, peak_memory_bytes=None),
            result(cell("b", "partial", 0), val=NEAR, peak_memory_bytes=10**12),
        ],
    )
    assert chosen(told) == ("a · partial", ["b · partial"], "b · partial")


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
@pytest.mark.parametrize("cost", ["train_seconds", "peak_memory_bytes"])
def test_what_reused_features_made_cheap_never_beats_or_equals_a_known_cost(
    cost: str, order: list[str]
) -> None:
    # Both have the same val score, so that the tie-break decides on winner and recommendation.
    asked = run(order, ["two_phase"], seeds=[0, 1], tie_break=[cost])
    costs: dict[str, dict[str, Any]] = {"a": {cost: 1}, "b": {cost: 10**9}}
    found = [
        result(cell(name, "two_phase", seed), val=BEST, **costs[name])
        for name in costs
        for seed in (0, 1)
    ]
    assert chosen(summarise(asked, found))[0::2] == ("a · two_phase", "a · two_phase")
    found[1] = records.reused(found[1])
    told = summarise(asked, found)
    assert chosen(told)[0::2] == ("b · two_phase", "b · two_phase")
    assert {row.architecture: row.features_reused for row in told.rows} == {"a": True, "b": False}


def test_reused_features_change_no_cost_but_those_of_the_work_that_was_not_done() -> None:
    found = [result(cell("a", "two_phase", 0)), result(cell("b", "two_phase", 0))]
    found[0] = records.reused(found[0])
    reused, whole = summarise(run(["a", "b"], ["two_phase"]), found).rows
    for cost in summary.TIE_BREAKS:
        known = summary.comparable_cost(whole, cost)
        assert known is not None
        assert summary.comparable_cost(reused, cost) == (
            None if cost in ("train_seconds", "peak_memory_bytes") else known
        )
    assert reused.train_seconds == whole.train_seconds, "it is shown, and marked"


def test_the_second_tie_break_settles_what_the_first_leaves_equal() -> None:
    asked = run(
        ["resnet18", "mobilenet_v3_small"],
        ["partial"],
        tie_break=["peak_memory_bytes", "total_parameters"],
    )
    told = summarise(
        asked,
        [
            result(cell("resnet18", "partial", 0), val=BEST, train_seconds=1.0),
            result(cell("mobilenet_v3_small", "partial", 0), val=NEAR, train_seconds=9.0),
        ],
    )
    assert chosen(told)[2] == "mobilenet_v3_small · partial"


def test_an_unknown_tie_break_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"'speed'.*latency_seconds"):
        summarise(run(["a"], ["partial"], tie_break=["speed"]), [])


def test_without_a_complete_row_nothing_wins() -> None:
    asked = run(["a", "b"], ["partial"])
    told = summarise(asked, [failure(cell("a", "partial", 0))])
    assert (told.winner, told.recommended, told.not_told_apart) == (None, None, ())
    assert len(told.failures) == 1
    assert [(m.architecture, m.strategy, m.seed) for m in told.missing] == [("b", "partial", 0)]
    assert [row.statuses for row in told.rows] == [("diverged",), ("missing",)]
    assert all(row.val is None and row.peak_memory_bytes is None for row in told.rows)


def test_missing_cells_are_named_even_where_their_readable_ids_are_alike() -> None:
    labels = ["A b", "a-b"]
    asked = run(labels, ["partial"], seeds=[0])
    told = summarise(asked, [result(cell("A b", "partial", 0))])
    assert [m.architecture for m in told.missing] == ["a-b"]
    long = "x" * 70
    asked = run([long], ["partial"], seeds=[0, 1, 2])
    told = summarise(asked, [result(cell(long, "partial", 1))])
    assert [m.seed for m in told.missing] == [0, 2]


def test_a_record_of_another_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="no cell of this run"):
        summarise(run(["a"], ["partial"]), [result(cell("b", "partial", 0))])


def test_the_metric_of_the_suite_chooses() -> None:
    def unequal(name: str, top1: int, balanced: float) -> Result:
        one = result(cell(name, "partial", 0), val=top1)
        val = one.quality.val.model_copy(update={"balanced_accuracy": balanced})
        return one.model_copy(update={"quality": one.quality.model_copy(update={"val": val})})

    found = [unequal("common", 390, 0.5), unequal("rare", 350, 0.8)]
    names = ["common", "rare"]
    assert chosen(summarise(run(names, ["partial"]), found))[0] == "common · partial"
    balanced = run(names, ["partial"], metric="balanced_accuracy")
    assert chosen(summarise(balanced, found))[0] == "rare · partial"


def test_peak_memory_is_the_gpus_on_a_gpu_and_unknown_if_one_seed_is_unknown() -> None:
    one = result(cell("a", "partial", 0), peak_memory_bytes=7, machine=records.GPU)
    assert one.memory.gpu_allocated_bytes == 7
    assert summary.peak_memory_bytes(one.memory, one.machine) == 7
    asked = run(["a"], ["partial"], seeds=[0, 1])
    peaks: list[tuple[int | None, int | None, int | None]] = [(5, 7, 7), (5, None, None)]
    for first, second, expected in peaks:
        pair = [
            result(cell("a", "partial", seed), peak_memory_bytes=peak)
            for seed, peak in enumerate((first, second))
        ]
        assert summarise(asked, pair).rows[0].peak_memory_bytes == expected


def test_status_counts_say_what_is_not_ok() -> None:
    asked = run(["a"], ["partial"], seeds=[0, 1, 2])
    found: list[Result | Failure] = [
        result(cell("a", "partial", 0)),
        failure(cell("a", "partial", 1)),
    ]
    assert summary.status_counts(summarise(asked, found).rows[0]) == "1/3 (1 diverged, 1 missing)"
