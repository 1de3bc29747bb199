"""Runs that took turns, simulated with a truth that is known, and small ones by hand.

The noise is that of measured suites: 1 % from repeat to repeat, 1 % from run to run for each cell,
and a drift of the machine from run to run that all cells share.
"""

import math
from collections.abc import Collection
from functools import cache
from statistics import median
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from bench.analysis.ab import (
    ALL_CELLS,
    ALPHA,
    Alternation,
    Sided,
    alternation,
    judge_common,
    judge_each,
    judge_pairs,
    one_task,
    parted,
)
from bench.analysis.judge import Verdict
from bench.analysis.stats import Floats
from bench.analysis.table import Snapshot
from bench.record import Result
from tests import records
from tests.analysis import sides
from tests.analysis.sides import Change, tabled

SEEDS = 3


def runs(draw: np.random.Generator, count: int, cells: int, drift: float) -> Floats:
    """Logarithms of the median seconds of each cell, [count, cells]."""
    within = draw.normal(0, 0.01, (count, cells, SEEDS))
    cell = draw.normal(0, 0.01, (count, cells, 1))
    common = draw.normal(0, drift, (count, 1, 1))
    return np.asarray(np.median(within + cell + common, axis=2))


class Found(NamedTuple):
    """Shares of simulated sittings."""

    named: float  # all cells that are slower are said to be
    others: float  # any other cell is said to be slower, or to be quicker
    common: float  # all cells together are said to be slower


def found(
    cells: int,
    drift: float,
    slower: Collection[int] = (),
    common: float = 0.0,
    pairs: int = 5,
    sittings: int = 150,
) -> Found:
    """With these cells a tenth slower, and all cells by `common`."""
    draw = np.random.default_rng(cells)
    change_P = math.log1p(common) + math.log1p(0.10) * np.isin(np.arange(cells), list(slower))
    named, others, together = 0, 0, 0
    for _ in range(sittings):
        old_HP, new_HP = (runs(draw, pairs, cells, drift) for _ in range(2))
        split = parted(new_HP + change_P - old_HP)
        words = [one.word for one in judge_each(split, np.full(cells, 0.05))]
        named += all(words[place] == "regressed" for place in slower)
        rest = [word for place, word in enumerate(words) if place not in slower]
        others += "regressed" in rest or (bool(slower) and "improved" in rest)
        if split.common_H is not None:
            together += judge_common(split.common_H, np.full(cells, 0.05)).word == "regressed"
    return Found(named / sittings, others / sittings, together / sittings)


@pytest.mark.slow
@pytest.mark.parametrize("cells", [1, 2, 6, 24])
@pytest.mark.parametrize("drift", [0.0, 0.02, 0.05])
def test_the_same_code_raises_hardly_an_alarm(cells: int, drift: float) -> None:
    told = found(cells, drift, sittings=300)
    assert told.others + told.common <= 0.02


@pytest.mark.slow
@pytest.mark.parametrize("cells", [3, 6, 24])
@pytest.mark.parametrize("drift", [0.0, 0.02, 0.05])
def test_one_cell_that_is_a_tenth_slower_is_found_and_no_other(cells: int, drift: float) -> None:
    told = found(cells, drift, slower=[0])
    assert told.named >= 0.95
    assert told.others <= 0.02


@pytest.mark.slow
def test_of_four_cells_the_two_that_changed_are_named() -> None:
    told = found(4, 0.02, slower=[0, 1])
    assert told.named >= 0.95
    assert told.others + told.common <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("drift", "power"), [(0.0, 0.95), (0.02, 0.95), (0.05, 0.5)])
def test_a_tenth_on_all_cells_is_found_as_far_as_the_drift_allows(
    drift: float, power: float
) -> None:
    told = found(6, drift, common=0.10)
    assert told.common >= power
    assert told.others == 0


# ---- by hand --------------------------------------------------------------------------------


def test_a_single_cell_is_judged_by_students_t() -> None:
    ratios_HP = np.array([[0.10], [0.13], [0.08], [0.12]])
    (one,) = judge_pairs(ratios_HP, np.array([0.05]), ALPHA)
    oracle = stats.ttest_1samp(ratios_HP[:, 0], 0, alternative="greater")
    low, high = stats.ttest_1samp(ratios_HP[:, 0], 0).confidence_interval(0.95)
    assert one.word == "regressed"
    assert one.num_pairs == 4
    assert one.p_adjusted == pytest.approx(oracle.pvalue)
    assert one.change == pytest.approx(math.expm1(0.1075))
    assert one.interval == pytest.approx((math.expm1(low), math.expm1(high)))


def test_holm_counts_the_cells_that_were_judged() -> None:
    ratios_HP = np.array([[0.10, 0.01, np.nan], [0.13, -0.02, np.nan], [0.08, 0.01, 0.5]])
    first, second, third = judge_pairs(ratios_HP, np.full(3, 0.05), ALPHA)
    # Both cells vary as equal variances would: one common variance with 4 degrees of freedom.
    variance = (np.var(ratios_HP[:, 0], ddof=1) + np.var(ratios_HP[:, 1], ddof=1)) / 2
    t = np.mean(ratios_HP[:, 0]) / math.sqrt(variance / 3)
    assert first.p_adjusted == pytest.approx(2 * stats.t.sf(t, 4))
    assert (first.word, second.word) == ("regressed", "pass")
    assert (third.word, third.reason) == ("not_judged", "not judged (1 of 3 pairs)")
    assert third.change is None


@pytest.mark.parametrize(
    ("ratios", "word", "reason"),
    [
        ([-0.20, -0.22, -0.19], "improved", ""),
        ([0.04, 0.041, 0.039], "pass", ""),  # certain, but below the floor
        ([0.01, 0.30, 0.02], "inconclusive", "within the noise"),
        ([0.20, -0.25, 0.01], "inconclusive", "too noisy to tell"),
        ([0.0, 0.0, 0.0], "pass", ""),
        ([0.2, 0.2, 0.2], "regressed", ""),  # without any noise
    ],
)
def test_what_is_said_of_one_cell(ratios: list[float], word: str, reason: str) -> None:
    (one,) = judge_pairs(np.array(ratios)[:, None], np.array([0.05]), ALPHA)
    assert (one.word, one.reason) == (word, reason)


def test_a_floor_of_its_own_lets_a_change_pass() -> None:
    ratios_HP = np.array([[0.10], [0.11], [0.10]])
    assert judge_pairs(ratios_HP, np.array([0.05]), ALPHA)[0].word == "regressed"
    assert judge_pairs(ratios_HP, np.array([0.15]), ALPHA)[0].word == "pass"


def test_two_cells_that_drift_alike_lend_each_other_no_certainty() -> None:
    drift_H = np.array([0.10, 0.18, 0.05])
    pair, _ = judge_each(parted(np.stack([drift_H, drift_H], axis=1)), np.full(2, 0.05))
    assert pair.p_adjusted == pytest.approx(
        2 * stats.ttest_1samp(drift_H, 0, alternative="greater").pvalue
    )
    assert pair.word == "inconclusive"


def test_a_cell_that_is_surely_slower_is_named_where_the_common_part_is_uncertain() -> None:
    # Measured on two busy cores: a busy loop of 15 % in the last cell.
    ratios_HP = np.array(
        [
            [0.037, 0.023, 0.163, 0.064],
            [-0.185, 0.219, 0.135, 0.159],
            [0.144, -0.140, 0.184, 0.117],
            [0.134, 0.582, -0.150, 0.159],
            [0.116, -0.108, 0.122, 0.219],
        ]
    )
    *others, slow = judge_each(parted(ratios_HP), np.full(4, 0.05))
    assert {one.word for one in others} == {"inconclusive"}
    assert (slow.word, slow.reason) == (
        "regressed",
        "with what all have in common",
    )
    assert slow.change == pytest.approx(math.expm1(0.1436))
    assert slow.p_adjusted == pytest.approx(
        4 * stats.ttest_1samp(ratios_HP[:, 3], 0, alternative="greater").pvalue
    )


def test_what_is_common_is_taken_off_and_kept() -> None:
    own_P = np.array([0.0, 0.0, 0.3])
    common_H = np.array([0.1, -0.2, 0.05, 0.0])
    split = parted(own_P + common_H[:, None])
    assert split.common_H is not None
    assert split.common_H == pytest.approx(common_H)
    assert split.own_HP == pytest.approx(np.tile(own_P, (4, 1)))


def test_two_cells_have_nothing_in_common_that_could_be_told() -> None:
    ratios_HP = np.array([[0.1, 0.2], [0.1, 0.2], [0.3, 0.1]])
    split = parted(ratios_HP)
    assert split.common_H is None
    assert np.array_equal(split.own_HP, ratios_HP)


def test_cells_and_pairs_without_a_time_disturb_no_other() -> None:
    nan = np.nan
    ratios_HP = np.array(
        [[0.1, 0.1, 0.4, nan], [nan] * 4, [0.0, 0.0, 0.3, nan], [nan, 0.2, 0.5, 0.2]]
    )
    split = parted(ratios_HP)
    assert split.common_H == pytest.approx([0.1, 0.0, 0.2])
    expected = [[0, 0, 0.3, nan], [0, 0, 0.3, nan], [nan, 0, 0.3, 0]]
    assert split.own_HP == pytest.approx(np.array(expected), nan_ok=True)
    assert parted(np.full((3, 4), nan)).common_H is None
    assert parted(np.zeros((2, 4))).common_H is None  # two pairs judge nothing


def test_cells_that_stayed_as_they_were_are_no_slower_where_most_became_quicker() -> None:
    draw = np.random.default_rng(0)
    ratios_HP = draw.normal(0, 0.01, (5, 6))
    ratios_HP[:, :4] -= 0.2
    found = judge_each(parted(ratios_HP), np.full(6, 0.05))
    assert [one.word for one in found] == ["improved"] * 4 + ["pass"] * 2
    assert found[0].change == pytest.approx(math.expm1(-0.2), abs=0.02)
    slower = judge_each(parted(-ratios_HP), np.full(6, 0.05))
    assert "regressed" not in {one.word for one in slower[4:]}


def test_what_all_have_in_common_is_held_to_the_cells_own_floor() -> None:
    common_H = np.random.default_rng(0).normal(0.08, 0.005, 5)
    assert judge_common(common_H, np.full(6, 0.05)).word == "regressed"
    assert judge_common(common_H, np.full(6, 0.25)).word == "pass"


# ---- whole runs: six cells of two architectures, three seeds --------------------------------

PAIRS = 5
SLOW = "vit_b_16", "feature_extraction"  # the cell at place 4


@cache
def unchanged(first: int) -> tuple[Snapshot, ...]:
    return tuple(tabled(number) for number in range(first, first + PAIRS))


def old_runs() -> list[Snapshot]:
    return list(unchanged(0))


def new_runs(change: Change | None = None, cells: tuple[int, ...] = (4,)) -> list[Snapshot]:
    if change is None:
        return list(unchanged(20))
    return [tabled(number, change, cells) for number in range(20, 20 + PAIRS)]


def judged(news: list[Snapshot], olds: list[Snapshot] | None = None) -> Alternation:
    return alternation(Sided(olds or old_runs(), news))


def not_passed(found: Alternation) -> list[tuple[str, str, str, str]]:
    return [
        (one.architecture, one.strategy, one.metric, one.word)
        for one in found.comparison.verdicts
        if one.word != "pass"
    ]


def of(found: Alternation, metric: str, names: tuple[str, str] = SLOW) -> Verdict:
    (one,) = (
        one
        for one in found.comparison.verdicts
        if one.metric == metric and (one.architecture, one.strategy) == names
    )
    return one


def test_the_same_code_passes_in_all_that_is_judged() -> None:
    found = judged(new_runs())
    assert not_passed(found) == []
    assert found.outcomes == set()
    words = [one.metric for one in found.comparison.verdicts]
    assert {metric: words.count(metric) for metric in words} == {
        "cell": 6, "counts": 6, "accuracy": 6, "train_seconds": 7, "peak_memory_bytes": 6,
    }  # fmt: skip


def test_a_slower_cell_is_named_by_its_change_and_medians() -> None:
    olds, news = old_runs(), new_runs(sides.slower(1.2))
    found = judged(news, olds)
    assert not_passed(found) == [(*SLOW, "train_seconds", "regressed")]
    one = of(found, "train_seconds")
    assert one.change == pytest.approx(0.2, abs=0.02)
    taken = [median(run.columns["train_seconds"][12:15]) for run in olds]
    assert one.baseline == median(taken)
    assert one.num_pairs == 5
    assert one.interval is not None
    low, high = one.interval
    assert 0.1 < low < (one.change or 0) < high < 0.3
    assert one.reason == ""
    assert found.outcomes == {"regressed"}


def test_what_slows_all_cells_is_the_codes_fault() -> None:
    found = judged(new_runs(sides.slower(1.2), tuple(range(6))))
    assert not_passed(found) == [(ALL_CELLS, "", "train_seconds", "regressed")]
    assert of(found, "train_seconds", (ALL_CELLS, "")).name == ALL_CELLS
    assert of(found, "train_seconds", (ALL_CELLS, "")).change == pytest.approx(0.2, abs=0.02)


def test_a_leak_is_found_on_a_cpu_from_the_pairs_alone() -> None:
    found = judged(new_runs(sides.more_memory(64)))
    assert not_passed(found) == [(*SLOW, "peak_memory_bytes", "regressed")]
    less = judged(new_runs(sides.more_memory(24)))  # below the floor of 32 MiB
    assert not_passed(less) == []


@pytest.mark.parametrize(("mebibytes", "word"), [(64, "regressed"), (8, "pass")])
def test_on_a_gpu_a_leak_is_found_though_the_new_code_runs_cells_in_another_way(
    mebibytes: int, word: str
) -> None:
    def on_gpu(one: Result, more: int, captured: bool) -> Result:
        memory = one.memory.model_copy(
            update={"gpu_allocated_bytes": (200 + more) * 2**20, "cpu_rss_above_start_bytes": None}
        )
        execution = one.execution.model_copy(update={"captured": captured})
        made = one.model_copy(update={"memory": memory, "execution": execution})
        moved = sides.with_machine(**records.GPU.model_dump())(made)
        assert isinstance(moved, Result)
        return moved

    def runs(first: int, more: int, captured: bool) -> list[Snapshot]:
        def change(one: Result) -> Result:
            is_slow = (one.cell.architecture, one.cell.strategy) == SLOW
            return on_gpu(one, more if is_slow else 0, captured)

        machine = records.GPU
        return [tabled(n, change, machine=machine) for n in range(first, first + 5)]

    found = judged(runs(20, mebibytes, True), runs(0, 0, False))
    assert of(found, "peak_memory_bytes").word == word
    assert [one for one in not_passed(found) if one[2] == "peak_memory_bytes"] == (
        [(*SLOW, "peak_memory_bytes", "regressed")] if word == "regressed" else []
    )


def test_accuracy_is_judged_image_by_image() -> None:
    found = judged(new_runs(sides.right(890)))
    assert not_passed(found) == [(*SLOW, "accuracy", "regressed")]


def test_a_cell_that_fails_in_one_run_of_five_is_told() -> None:
    news = new_runs()
    news[2] = tabled(22, sides.broken("diverged"), (4,))
    found = judged(news)
    assert not_passed(found) == [(*SLOW, "cell", "failed")]
    assert of(found, "cell").reason == "seed 1 diverged, in run 3 of 5"
    assert of(found, "train_seconds").num_pairs == 4
    assert found.outcomes == {"failed"}
    assert judged(new_runs(sides.broken("failed"))).outcomes == {"failed"}


def test_results_that_only_the_old_code_lacks_are_told() -> None:
    olds = old_runs()
    olds[1] = tabled(1, sides.broken("timeout"), (4,))
    found = judged(new_runs(), olds)
    assert "old: cells without a result, over all runs: 1" in found.comparison.notes
    assert not_passed(found) == []


def test_answers_that_change_when_run_again_are_told() -> None:
    def other(one: Result) -> Result:  # as many right, but others
        right_N = np.roll(np.arange(1000) < 930 + 3 * one.cell.seed, 7)
        test = records.answers(np.arange(1000) % 10, right_N)
        return one.model_copy(update={"quality": one.quality.model_copy(update={"test": test})})

    olds = old_runs()
    olds[3] = tabled(3, other, (4,))
    notes = judged(new_runs(), olds).comparison.notes
    assert notes == ("old: 3 cells gave other answers when run again",)
    assert judged(new_runs()).comparison.notes == ()


# ---- one task, one machine ------------------------------------------------------------------


def test_another_task_is_refused_with_its_fields() -> None:
    news = new_runs(sides.with_cell(image_size=64), tuple(range(6)))
    assert one_task(old_runs()[0], new_runs()[0])
    assert not one_task(old_runs()[0], news[0])
    found = alternation(Sided(old_runs()[:1], news[:1]))
    assert found.outcomes == {"refused", "nothing_judged"}
    assert {one.fields for one in found.comparison.verdicts} == {("image_size: 48 and 64",)}


def test_what_the_new_code_makes_of_the_machine_is_judged_and_told() -> None:
    def captured(one: Result) -> Result:
        return records.executed(sides.slower(1.2)(one), captured=True)  # type: ignore[arg-type]

    found = judged(new_runs(captured))
    assert ("vit_b_16", "feature_extraction", "train_seconds", "regressed") in not_passed(found)
    assert found.comparison.notes == (
        "the new code runs cells differently: captured: False and True",
    )


def test_a_threshold_that_fits_no_cell_is_said() -> None:
    thresholds = [{"metric": "accuracy", "cells": cells, "floor": 0.3} for cells in ("a/*", "v*")]
    news = [sides.headed(run, compare={"thresholds": thresholds}) for run in new_runs()]
    assert judged(news).comparison.notes == ("thresholds: no cell is called a/*",)


def test_a_fact_of_the_machine_that_one_code_does_not_look_at_forbids_nothing() -> None:
    news = new_runs(sides.with_machine(torch_build=None), tuple(range(6)))
    assert of(judged(news), "train_seconds").word == "pass"


def test_times_of_two_machines_are_not_compared() -> None:
    news = new_runs()
    news[4] = tabled(24, sides.with_machine(cpu_model="other"), tuple(range(6)))
    found = judged(news)
    for metric in ("train_seconds", "peak_memory_bytes"):
        one = of(found, metric)
        assert (one.word, one.reason) == (
            "not_comparable",
            "the machine changed between the runs",
        )
        assert one.fields == ("machine.cpu_model: AMD EPYC and other",)


# ---- which pairs count ----------------------------------------------------------------------


def unsteady(run: Snapshot) -> Snapshot:
    return sides.headed(run, unstable="the machine's speed changed")


def test_an_unsteady_pair_is_left_out_where_three_others_remain() -> None:
    olds, news = old_runs(), new_runs(sides.slower(1.2))
    news[1] = unsteady(tabled(21, sides.slower(3.0), (4,)))
    found = judged(news, olds)
    assert found.judged == (0, 2, 3, 4)
    assert found.unsteady == {1: "new: the machine's speed changed"}
    assert not found.marked
    assert of(found, "train_seconds").change == pytest.approx(0.2, abs=0.02)


def test_unsteady_pairs_stay_and_mark_the_result_where_too_few_others_remain() -> None:
    olds = [*map(unsteady, old_runs()[:3]), *old_runs()[3:]]
    found = judged(new_runs(sides.slower(1.2)), olds)
    assert found.judged == (0, 1, 2, 3, 4)
    assert found.marked
    assert of(found, "train_seconds").word == "regressed"


def test_two_pairs_judge_no_time() -> None:
    found = alternation(Sided(old_runs()[:2], new_runs(sides.slower(2))[:2]))
    assert of(found, "train_seconds").reason == "not judged (2 of 3 pairs)"
    assert of(found, "train_seconds").change is None


def test_the_suites_own_floor_holds() -> None:
    table = {"thresholds": [{"metric": "train_seconds", "cells": "vit_*/f*", "floor": 0.3}]}
    news = [sides.headed(run, compare=table) for run in new_runs(sides.slower(1.2))]
    assert not_passed(judged(news)) == []
