"""Who wins, who is tied and what is refused, on runs small enough to count by hand."""

import random
import zlib
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pytest

from bench.analysis.choice import (
    Budget,
    Row,
    Summary,
    best_within,
    cheapest_within,
    comparable_cost,
    status_counts,
)
from bench.analysis.pareto import COSTS
from bench.analysis.table import peak_memory_bytes
from bench.record import Failure, Result
from bench.suite import TieBreak
from tests import records
from tests.records import answered, cell, failure, result, run, summarised

# Of 400 val images. Records get the first so many right: they differ on as many images as in count.
# BEST and NEAR: 2 images, sqrt(2) standard errors. FAR: 80.
BEST, NEAR, FAR = 380, 378, 300
WIDE = 0.03
"""A margin within which 400 images show two rows to be that differ on two of them."""


def chosen(found: Summary) -> tuple[str, list[str], str]:
    """Names of the leader, of those tied with it, and of the recommendation."""
    assert found.leader is not None
    assert found.recommended is not None
    assert found.tied[0] is found.leader
    assert found.winner is (None if len(found.tied) > 1 else found.leader)
    return found.leader.name, [row.name for row in found.tied[1:]], found.recommended.name


def three() -> Summary:
    """Three networks of one strategy: the best, one near it and one far below."""
    return summarised(run(["slow", "quick", "poor"], ["fine_tuning"], [0, 1], margin=WIDE), THREE)


THREE = [
    result(cell(name, "fine_tuning", seed), val=right, train_seconds=seconds)
    for name, right, seconds in (("slow", BEST, 30.0), ("quick", NEAR, 20.0), ("poor", FAR, 1.0))
    for seed in (0, 1)
]


def test_the_tie_break_recommends_the_quickest_of_those_shown_to_be_as_good_as_the_leader() -> None:
    assert chosen(three()) == (
        "slow · fine_tuning",
        ["quick · fine_tuning"],
        "quick · fine_tuning",
    )


def test_where_nothing_is_shown_to_be_as_good_as_the_leader_it_is_recommended() -> None:
    names, leads = ["slow", "quick", "poor"], "slow · fine_tuning"
    narrow = summarised(run(names, ["fine_tuning"], [0, 1]), THREE)
    one_seed = summarised(run(names, ["fine_tuning"], margin=WIDE), THREE[::2])
    for told in (narrow, one_seed):
        assert chosen(told) == (leads, ["quick · fine_tuning"], leads)
        assert told.near == (told.leader,)


SIX = [0, 0, 1, 1, 2, 2]


def test_on_few_images_a_cheap_network_at_chance_is_not_recommended_for_being_tied() -> None:
    good = answered(cell("resnet50", "partial", 0), [True] * 6, SIX)
    cheap = answered(cell("resnet18", "partial", 0), [label == 0 for label in SIX], SIX)
    other = answered(cell("vit_b_16", "partial", 0), [True] * 5 + [False], SIX)
    names = ["resnet50", "resnet18", "vit_b_16"]
    told = summarised(run(names, ["partial"], tie_break=["total_parameters"]), [good, cheap, other])
    leads = "resnet50 · partial"
    assert chosen(told) == (leads, ["vit_b_16 · partial", "resnet18 · partial"], leads)
    assert told.chosen == good.cell_id
    assert told.guessing.val == pytest.approx(1 / 3)
    assert [row.name for row in told.above_guessing] == [leads, "vit_b_16 · partial"]


def test_what_may_be_guessing_is_never_recommended_though_it_leads() -> None:
    labels = [0] * 40 + [1] * 2
    found = [
        answered(cell("rare", "partial", 0), [True] * 41 + [False], labels),
        answered(cell("common", "partial", 0), [label == 0 for label in labels], labels),
    ]
    told = summarised(run(["rare", "common"], ["partial"]), found)
    assert told.leader is not None
    assert told.leader.name == "rare · partial"
    assert (told.recommended, told.winner, told.chosen) == (None, None, None)
    assert told.kept == found[0].cell_id, "for whoever asks for it by name"
    assert told.guessing.val == pytest.approx(40 / 42)
    balanced = run(["rare", "common"], ["partial"], metric="balanced_accuracy")
    assert summarised(balanced, found).guessing.val == pytest.approx(0.5)


def test_on_one_image_of_each_class_nothing_is_recommended_however_right_it_is() -> None:
    found = [
        answered(cell("all", "partial", 0), [True, True], [0, 1]),
        answered(cell("none", "partial", 0), [False, False], [0, 1]),
    ]
    told = summarised(run(["all", "none"], ["partial"]), found)
    assert (told.recommended, told.winner, told.above_guessing) == (None, None, ())


def test_rows_that_answer_the_same_for_every_image_are_equal_and_none_is_recommended() -> None:
    labels = [0] * 30 + [9] * 30  # wrong ones are called 0 too
    found = [
        answered(cell(name, "partial", seed), [label == 0 for label in labels], labels)
        for name in ("a", "b")
        for seed in (0, 1)
    ]
    told = summarised(run(["a", "b"], ["partial"], [0, 1]), found)
    assert (told.recommended, told.winner, told.above_guessing) == (None, None, ())
    assert len(told.tied) == 2
    assert [(one.p_adjusted, one.behind.mean) for one in told.comparisons] == [(1, 0)]


def test_the_interval_counts_each_val_image_once_however_many_seeds_scored_it() -> None:
    asked = run(["a"], ["partial"], seeds=[0, 1, 2])
    rows = summarised(
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
    told = summarised(asked, found)
    assert chosen(told) == ("other · partial", [], "other · partial")
    assert [row.name for row in told.disqualified] == ["best · partial"]
    assert told.disqualified[0].statuses == ("ok", status)
    assert [row.name for row in told.ranked] == ["other · partial", "best · partial"]
    assert told.best_by_architecture["best"] is None
    assert told.best_by_strategy["partial"] is told.winner


def test_permuting_test_scores_changes_no_choice() -> None:
    strategies = list(records.STRATEGIES)
    asked = run(list(records.ARCHITECTURES), strategies, seeds=[0, 1], margin=0.05)
    found = records.drawn(asked, strategies)
    before = summarised(asked, found)
    shuffled = [one.quality.test for one in found]
    random.Random(3).shuffle(shuffled)
    after = summarised(
        asked,
        [
            one.model_copy(update={"quality": one.quality.model_copy(update={"test": test})})
            for one, test in zip(found, shuffled, strict=True)
        ],
    )

    def names(rows: dict[str, Row | None]) -> list[str | None]:
        return [row.name if row else None for row in rows.values()]

    assert chosen(after) == chosen(before)
    assert len(before.tied) > 2
    assert names(dict(after.best_by_strategy)) == names(dict(before.best_by_strategy))
    assert names(dict(after.best_by_architecture)) == names(dict(before.best_by_architecture))
    assert [row.name for row in after.ranked] == [row.name for row in before.ranked]
    assert [row.test for row in after.rows] != [row.test for row in before.rows]


def test_the_order_of_the_records_changes_nothing() -> None:
    asked = run(["resnet18", "vit_b_16"], ["partial", "fine_tuning"], seeds=[0, 1])
    found: list[Result | Failure] = [*records.drawn(asked, ["partial", "fine_tuning"])]
    found[2:4] = [failure(found[2].cell), failure(found[3].cell)]
    assert summarised(asked, found[::-1]) == summarised(asked, found)


def test_equal_val_scores_are_settled_by_the_tie_break_not_by_the_order_of_the_suite() -> None:
    asked = run(["a", "b"], ["partial"])
    told = summarised(
        asked,
        [
            result(cell("a", "partial", 0), val=BEST, test=990, train_seconds=9.0),
            result(cell("b", "partial", 0), val=BEST, test=900, train_seconds=8.0),
        ],
    )
    assert chosen(told) == ("b · partial", ["a · partial"], "b · partial")


def test_a_cost_that_is_unknown_comes_last_in_the_tie_break() -> None:
    asked = run(["a", "b"], ["partial"], [0, 1], tie_break=["peak_memory_bytes"], margin=WIDE)
    told = summarised(
        asked,
        [
            result(cell(name, "partial", seed), val=right, peak_memory_bytes=peak)
            for name, right, peak in (("a", BEST, None), ("b", NEAR, 10**12))
            for seed in (0, 1)
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
    assert chosen(summarised(asked, found))[0::2] == ("a · two_phase", "a · two_phase")
    found[1] = records.reused(found[1])
    told = summarised(asked, found)
    assert chosen(told)[0::2] == ("b · two_phase", "b · two_phase")
    assert {row.architecture: row.odd_costs for row in told.rows} == {"a": "reused", "b": None}


def test_a_suite_may_prefer_every_cost_of_the_table() -> None:
    assert tuple(COSTS) == get_args(TieBreak)


def test_reused_features_change_no_cost_but_those_of_the_work_that_was_not_done() -> None:
    found = [result(cell("a", "two_phase", 0)), result(cell("b", "two_phase", 0))]
    found[0] = records.reused(found[0])
    reused, whole = summarised(run(["a", "b"], ["two_phase"]), found).rows
    for cost in COSTS:
        known = comparable_cost(whole, cost)
        assert known is not None
        assert comparable_cost(reused, cost) == (
            None if cost in ("train_seconds", "peak_memory_bytes") else known
        )
    assert reused.train_seconds == whole.train_seconds, "it is shown, and marked"


def test_the_second_tie_break_settles_what_the_first_leaves_equal() -> None:
    asked = run(
        ["resnet18", "mobilenet_v3_small"],
        ["partial"],
        [0, 1],
        tie_break=["peak_memory_bytes", "total_parameters"],
        margin=WIDE,
    )
    told = summarised(
        asked,
        [
            result(cell(name, "partial", seed), val=right, train_seconds=seconds)
            for name, right, seconds in (("resnet18", BEST, 1.0), ("mobilenet_v3_small", NEAR, 9.0))
            for seed in (0, 1)
        ],
    )
    assert chosen(told)[2] == "mobilenet_v3_small · partial"


def test_without_a_complete_row_nothing_wins() -> None:
    asked = run(["a", "b"], ["partial"])
    told = summarised(asked, [failure(cell("a", "partial", 0))])
    assert (told.leader, told.winner, told.recommended, told.cheapest) == (None,) * 4
    assert (told.tied, told.comparisons, told.front) == ((), (), ())
    assert (told.chosen, told.visible_difference, told.mixed_machines) == (None, None, False)
    assert len(told.failures) == 1
    assert told.missing == (("b", "partial", 0),)
    assert [row.statuses for row in told.rows] == [("diverged",), ("missing",)]
    assert all(row.val is None and row.peak_memory_bytes is None for row in told.rows)


def test_missing_cells_are_named_even_where_their_readable_ids_are_alike() -> None:
    labels = ["A b", "a-b"]
    asked = run(labels, ["partial"], seeds=[0])
    told = summarised(asked, [result(cell("A b", "partial", 0))])
    assert told.missing == (("a-b", "partial", 0),)
    long = "x" * 70
    asked = run([long], ["partial"], seeds=[0, 1, 2])
    told = summarised(asked, [result(cell(long, "partial", 1))])
    assert [seed for _, _, seed in told.missing] == [0, 2]


def test_a_record_of_another_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="no cell of this run"):
        summarised(run(["a"], ["partial"]), [result(cell("b", "partial", 0))])


def test_the_metric_of_the_suite_chooses() -> None:
    # Nine of ten images are of class 0: one network knows that class alone, one all the others.
    labels = [1 + i // 10 % 9 if i % 10 == 0 else 0 for i in range(400)]
    found = [
        answered(cell("common", "partial", 0), [label == 0 for label in labels], labels),
        answered(cell("rare", "partial", 0), [i % 10 < 8 for i in range(400)], labels),
    ]
    names = ["common", "rare"]
    leader = summarised(run(names, ["partial"]), found).leader
    assert leader is not None
    assert leader.name == "common · partial"
    balanced = run(names, ["partial"], metric="balanced_accuracy")
    assert chosen(summarised(balanced, found))[0] == "rare · partial"


def test_peak_memory_is_the_gpus_on_a_gpu_and_unknown_if_one_seed_is_unknown() -> None:
    one = result(cell("a", "partial", 0), peak_memory_bytes=7, machine=records.GPU)
    assert one.memory.gpu_allocated_bytes == 7
    assert peak_memory_bytes(one.memory, one.machine) == 7
    asked = run(["a"], ["partial"], seeds=[0, 1])
    peaks: list[tuple[int | None, int | None, int | None]] = [(5, 7, 7), (5, None, None)]
    for first, second, expected in peaks:
        pair = [
            result(cell("a", "partial", seed), peak_memory_bytes=peak)
            for seed, peak in enumerate((first, second))
        ]
        assert summarised(asked, pair).rows[0].peak_memory_bytes == expected


def test_status_counts_say_what_is_not_ok() -> None:
    asked = run(["a"], ["partial"], seeds=[0, 1, 2])
    found: list[Result | Failure] = [
        result(cell("a", "partial", 0)),
        failure(cell("a", "partial", 1)),
    ]
    assert status_counts(summarised(asked, found).rows[0]) == "1/3 (1 diverged, 1 missing)"


# ---- who is tied, and how it is told --------------------------------------------------------


def noisy(name: str, skill: float, seeds: Sequence[int] = (0,), images: int = 400) -> list[Result]:
    """Records of a network that is right with this chance, on images as hard for all."""
    hard_N = np.random.default_rng(0).uniform(-0.05, 0.05, images)
    draws = [np.random.default_rng([zlib.crc32(name.encode()), seed]) for seed in seeds]
    return [
        answered(cell(name, "partial", seed), draw.random(images) < skill + hard_N)
        for seed, draw in zip(seeds, draws, strict=True)
    ]


def test_each_complete_row_is_compared_with_the_leader() -> None:
    skills = {"a": 0.9, "b": 0.6, "c": 0.89, "d": 0.3}
    asked = run(list(skills), ["partial"], seeds=[0, 1])
    found = [one for name, skill in skills.items() for one in noisy(name, skill, [0, 1])]
    told = summarised(asked, found)
    assert told.leader is not None
    assert told.margin == 0.005, "of a suite without the key"
    by_val = [row.name for row in told.ranked]
    assert by_val[2:] == ["b · partial", "d · partial"]
    assert [one.row.name for one in told.comparisons] == by_val[1:]
    assert [one.tied for one in told.comparisons] == [True, False, False]
    assert [one.settling is None for one in told.comparisons] == [False, True, True]
    for one in told.comparisons:
        assert told.leader.val is not None
        assert one.row.val is not None
        difference = told.leader.val.seeds.mean - one.row.val.seeds.mean
        assert one.behind.mean == pytest.approx(difference)
        assert one.behind.se_seeds is not None
        assert one.behind.num_seeds == (2, 2)
        assert one.p_value <= one.p_adjusted
        assert one.tied == (one.p_adjusted >= 0.05)
    assert told.winner is None
    assert told.visible_difference is not None
    assert 0.02 < told.visible_difference < 0.2


def test_the_winner_is_the_leader_where_nothing_is_tied_with_it() -> None:
    told = summarised(run(["a", "b"], ["partial"]), [*noisy("a", 0.9), *noisy("b", 0.5)])
    assert told.winner is told.leader is told.recommended is told.tied[0]
    assert told.winner is not None
    assert [row.name for row in told.front] == ["a · partial"], "b costs the same and is worse"


def test_the_chosen_cell_is_the_recommended_rows_best_seed_the_first_of_equal_ones() -> None:
    asked = run(["a", "b"], ["partial"], seeds=[0, 1, 2], margin=WIDE)
    scores = {"a": (380, 380, 379), "b": (378, 379, 379)}
    found = [
        result(cell(name, "partial", seed), val, 1000 - val, {"a": 9.0, "b": 1.0}[name])
        for name, vals in scores.items()
        for seed, val in enumerate(vals)
    ]
    told = summarised(asked, found)
    assert told.recommended is not None
    assert told.recommended.name == "b · partial"
    assert told.chosen == found[4].cell_id


def test_one_seed_leaves_the_seeds_unknown_and_says_so() -> None:
    told = summarised(run(["a", "b"], ["partial"]), [*noisy("a", 0.9), *noisy("b", 0.87)])
    (one,) = told.comparisons
    assert one.behind.se_seeds is None
    assert one.behind.se == one.behind.se_items > 0
    assert one.behind.num_seeds == (1, 1)
    assert one.settling is not None
    assert one.settling.more_seeds is None


def test_one_row_wins_alone_and_is_compared_with_nothing() -> None:
    told = summarised(run(["a"], ["partial"]), noisy("a", 0.9))
    assert chosen(told) == ("a · partial", [], "a · partial")
    assert (told.comparisons, told.visible_difference) == ((), None)
    assert told.front == told.tied == told.rows


@pytest.mark.parametrize("right", [400, 390])
def test_rows_that_are_right_on_the_same_images_are_tied_whatever_the_score(right: int) -> None:
    names = ["a", "b", "c"]
    found = [
        result(cell(name, "partial", seed), right, 900, seconds)
        for name, seconds in zip(names, (3.0, 1.0, 2.0), strict=True)
        for seed in (0, 1)
    ]
    told = summarised(run(names, ["partial"], seeds=[0, 1]), found)
    assert chosen(told)[2] == "b · partial"
    assert len(told.tied) == 3
    assert told.near == (told.leader, *told.tied[1:])
    assert told.visible_difference is None, "nothing varies"
    for one in told.comparisons:
        assert (one.behind.mean, one.behind.se, one.p_value, one.p_adjusted) == (0, 0, 1, 1)


def test_a_diverged_seed_takes_the_best_row_out_of_the_tied_set_and_the_comparisons() -> None:
    found: list[Result | Failure] = [*noisy("a", 0.99, [0]), *noisy("b", 0.8, [0, 1])]
    found += [failure(cell("a", "partial", 1)), *noisy("c", 0.79, [0, 1])]
    told = summarised(run(["a", "b", "c"], ["partial"], seeds=[0, 1]), found)
    assert "a" not in {row.architecture for row in (*told.tied, *told.front)}
    assert {one.row.architecture for one in told.comparisons} < {"b", "c"}
    assert [row.architecture for row in told.disqualified] == ["a"]


def test_a_margin_of_the_suite_makes_ties_of_certain_differences() -> None:
    found = [result(cell("a", "partial", 0), 380), result(cell("b", "partial", 0), 360)]
    assert len(summarised(run(["a", "b"], ["partial"]), found).tied) == 1
    assert len(summarised(run(["a", "b"], ["partial"], margin=0.051), found).tied) == 2


# ---- what is refused ------------------------------------------------------------------------


def test_a_cell_with_two_records_is_refused() -> None:
    one = result(cell("a", "partial", 0))
    with pytest.raises(ValueError, match=r"a-partial-s0-.* has 2 records"):
        summarised(run(["a", "b"], ["partial"]), [one, one])


def test_records_of_two_tasks_are_refused_by_what_differs() -> None:
    asked = run(["a", "b"], ["partial"])
    other = result(cell("b", "partial", 0))
    data = other.cell.data.model_copy(update={"split_sha256": "e" * 64})
    other = other.model_copy(update={"cell": other.cell.model_copy(update={"data": data})})
    with pytest.raises(
        ValueError, match=r"not of the same task as .*: data\.split_sha256: d+… and e+…"
    ):
        summarised(asked, [result(cell("a", "partial", 0)), other])


def test_rows_scored_on_another_number_of_images_are_refused() -> None:
    asked = run(["a", "b"], ["partial"])
    with pytest.raises(ValueError, match=r"other val images .*\(400 and 300\)"):
        summarised(asked, [result(cell("a", "partial", 0), 400), *noisy("b", 0.5, images=300)])


# ---- several machines -----------------------------------------------------------------------


def test_costs_are_of_the_machine_of_most_cells_and_scores_of_all() -> None:
    asked = run(["a", "b", "c"], ["partial"], seeds=[0, 1])
    found = [
        result(cell("a", "partial", 0), 380, 900, 10.0, 100),
        result(cell("a", "partial", 1), 370, 900, 1.0, 900, records.GPU),
        result(cell("b", "partial", 0), 380, 900, 20.0, 200),
        result(cell("b", "partial", 1), 370, 900, 30.0, 300),
        result(cell("c", "partial", 0), 380, 900, 0.5, 1, records.GPU),
        result(cell("c", "partial", 1), 370, 900, 0.5, 1, records.GPU),
    ]
    found[5] = records.executed(found[5], threads=7)
    told = summarised(asked, found)
    assert told.mixed_machines
    a, b, c = told.rows
    assert all(row.val is not None and row.val.seeds.n == 2 for row in told.rows)
    assert a.train_seconds == (10.0, None, 10.0, 10.0, 1)
    assert a.peak_memory_bytes == 100
    assert b.train_seconds is not None
    assert b.train_seconds[:1] == (25.0,)
    assert (c.train_seconds, c.peak_memory_bytes, c.latency_seconds) == (None, None, None)
    assert c.total_parameters == a.total_parameters
    assert told.recommended is a, "an unknown cost comes last"


def test_threads_and_what_speed_depends_on_tell_machines_apart_and_versions_of_python_do_not() -> (
    None
):
    one = result(cell("a", "partial", 0))
    asked = run(["a"], ["partial"], seeds=[0, 1])

    def mixed(other: Result) -> bool:
        return summarised(asked, [one, other]).mixed_machines

    second = result(cell("a", "partial", 1))
    assert not mixed(second)
    assert mixed(records.executed(second, threads=1))

    def on(**changed: object) -> Result:
        return second.model_copy(update={"machine": second.machine.model_copy(update=changed)})

    assert mixed(on(cpu_model="another"))
    assert mixed(on(torch="2.16.0"))
    assert not mixed(on(python="3.12.1", os="another"))


def test_an_architecture_has_the_latency_of_the_machine_of_most_cells() -> None:
    asked = run(["resnet18"], ["fine_tuning", "partial", "two_phase"])
    found = [
        result(cell("resnet18", strategy, 0))
        for strategy in ("fine_tuning", "partial", "two_phase")
    ]
    found[0] = records.executed(found[0], threads=8)
    assert [row.latency_seconds for row in summarised(asked, found).rows] == [None, 0.006, 0.006]


# ---- what one can afford ------------------------------------------------------------------

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
    return summarised(asked, [*found, failure(cell("half", "partial", 1))])


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
    told = summarised(asked, [one])
    assert best_within(told, Budget(max_memory_bytes=1e12)) is None
    assert best_within(told, Budget(max_seconds=60)) is told.rows[0]
    told = summarised(asked, [records.reused(one)])
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
    told = summarised(run(["a"], ["partial"]), [failure(cell("a", "partial", 0))])
    assert best_within(told, Budget()) is None
    assert cheapest_within(told, 1.0) is None
