"""Runs of two codes in turn, made of records: six cells of two architectures, three seeds."""

from functools import cache
from statistics import median

import numpy as np
import pytest

from bench.analysis.alternation import ALL_CELLS, Alternation, Sided, alternation, one_task
from bench.analysis.digest import Digest
from bench.analysis.verdict import Verdict, outcomes
from bench.record import Result
from tests import records
from tests.analysis import sides
from tests.analysis.sides import Change, digested

PAIRS = 5
SLOW = "vit_b_16", "feature_extraction"  # the cell at place 4


@cache
def unchanged(first: int) -> tuple[Digest, ...]:
    return tuple(digested(number) for number in range(first, first + PAIRS))


def old_runs() -> list[Digest]:
    return list(unchanged(0))


def new_runs(change: Change | None = None, cells: tuple[int, ...] = (4,)) -> list[Digest]:
    if change is None:
        return list(unchanged(20))
    return [digested(number, change, cells) for number in range(20, 20 + PAIRS)]


def judged(news: list[Digest], olds: list[Digest] | None = None) -> Alternation:
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
    assert outcomes(found.comparison) == set()
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
    assert one.baseline == median(
        median(seed.train_seconds or 0 for seed in run.rows[4].seeds) for run in olds
    )
    assert one.mean is not None
    assert one.mean.num_pairs == 5
    low, high = one.mean.interval
    assert 0.1 < low < (one.change or 0) < high < 0.3
    assert one.reason == ""
    assert outcomes(found.comparison) == {"regressed"}


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

    def runs(first: int, more: int, captured: bool) -> list[Digest]:
        def change(one: Result) -> Result:
            is_slow = (one.cell.architecture, one.cell.strategy) == SLOW
            return on_gpu(one, more if is_slow else 0, captured)

        machine = records.GPU
        return [digested(n, change, machine=machine) for n in range(first, first + 5)]

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
    news[2] = digested(22, sides.broken("diverged"), (4,))
    found = judged(news)
    assert not_passed(found) == [(*SLOW, "cell", "failed")]
    assert of(found, "cell").reason == "seed 1 diverged, in run 3 of 5"
    mean = of(found, "train_seconds").mean
    assert mean is not None
    assert mean.num_pairs == 4
    assert outcomes(found.comparison) == {"failed"}
    assert outcomes(judged(new_runs(sides.broken("failed"))).comparison) == {"failed"}


def test_results_that_only_the_old_code_lacks_are_told() -> None:
    olds = old_runs()
    olds[1] = digested(1, sides.broken("timeout"), (4,))
    found = judged(new_runs(), olds)
    assert "old: cells without a result, over all runs: 1" in found.comparison.notes
    assert not_passed(found) == []


def test_answers_that_change_when_run_again_are_told() -> None:
    def other(one: Result) -> Result:  # as many right, but others
        right_N = np.roll(np.arange(1000) < 930 + 3 * one.cell.seed, 7)
        test = records.answers(np.arange(1000) % 10, right_N)
        return one.model_copy(update={"quality": one.quality.model_copy(update={"test": test})})

    olds = old_runs()
    olds[3] = digested(3, other, (4,))
    notes = judged(new_runs(), olds).comparison.notes
    assert notes == ("old: 3 cells gave other answers when run again",)
    assert judged(new_runs()).comparison.notes == ()


# ---- one task, one machine ------------------------------------------------------------------


def test_another_task_is_refused_with_its_fields() -> None:
    news = new_runs(sides.with_cell(image_size=64), tuple(range(6)))
    assert one_task(old_runs()[0], new_runs()[0])
    assert not one_task(old_runs()[0], news[0])
    found = alternation(Sided(old_runs()[:1], news[:1]))
    assert outcomes(found.comparison) == {"refused", "nothing_judged"}
    assert {one.fields for one in found.comparison.verdicts} == {("image_size: 48 and 64",)}


def test_what_the_new_code_makes_of_the_machine_is_judged_and_told() -> None:
    def captured(one: Result) -> Result:
        return records.executed(sides.slower(1.2)(one), captured=True)  # type: ignore[arg-type]

    found = judged(new_runs(captured))
    assert ("vit_b_16", "feature_extraction", "train_seconds", "regressed") in not_passed(found)
    assert found.comparison.notes == (
        "the new code runs cells in another way: captured: False and True",
    )


def test_a_threshold_that_fits_no_cell_is_said() -> None:
    thresholds = [{"metric": "accuracy", "cells": cells, "floor": 0.3} for cells in ("a/*", "v*")]
    update = {"compare": {"thresholds": thresholds}}
    news = [run.model_copy(update=update) for run in new_runs()]
    assert judged(news).comparison.notes == ("thresholds: no cell is called a/*",)


def test_a_fact_of_the_machine_that_one_code_does_not_look_at_forbids_nothing() -> None:
    news = new_runs(sides.with_machine(torch_build=None), tuple(range(6)))
    assert of(judged(news), "train_seconds").word == "pass"


def test_times_of_two_machines_are_not_compared() -> None:
    news = new_runs()
    news[4] = digested(24, sides.with_machine(cpu_model="other"), tuple(range(6)))
    found = judged(news)
    for metric in ("train_seconds", "peak_memory_bytes"):
        one = of(found, metric)
        assert (one.word, one.reason) == (
            "not_comparable",
            "the machine changed between the runs",
        )
        assert one.fields == ("machine.cpu_model: AMD EPYC and other",)


# ---- which pairs count ----------------------------------------------------------------------


def unsteady(run: Digest) -> Digest:
    return run.model_copy(update={"unstable": "the machine's speed changed"})


def test_an_unsteady_pair_is_left_out_where_three_others_remain() -> None:
    olds, news = old_runs(), new_runs(sides.slower(1.2))
    news[1] = unsteady(digested(21, sides.slower(3.0), (4,)))
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
    news = [run.model_copy(update={"compare": table}) for run in new_runs(sides.slower(1.2))]
    assert not_passed(judged(news)) == []
