"""Runs that took turns, simulated with a truth that is known, and small ones by hand.

The noise is that of measured suites: 1 % from repeat to repeat, 1 % from run to run for each cell,
and a drift of the machine from run to run that all cells share.
"""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from bench.analysis.paired import Floats
from bench.analysis.turns import (
    ALPHA,
    judge,
    judge_cells,
    judge_common,
    parted,
)

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
        words = [one.word for one in judge_cells(split, np.full(cells, 0.05))]
        named += all(words[place] == "regressed" for place in slower)
        rest = [word for place, word in enumerate(words) if place not in slower]
        others += "regressed" in rest or (bool(slower) and "improved" in rest)
        if split.common_H is not None:
            together += judge_common(split.common_H, np.full(cells, 0.05)).word == "regressed"
    return Found(named / sittings, others / sittings, together / sittings)


@pytest.mark.parametrize("cells", [1, 2, 6, 24])
@pytest.mark.parametrize("drift", [0.0, 0.02, 0.05])
def test_the_same_code_raises_hardly_an_alarm(cells: int, drift: float) -> None:
    told = found(cells, drift, sittings=300)
    assert told.others + told.common <= 0.02


@pytest.mark.parametrize("cells", [3, 6, 24])
@pytest.mark.parametrize("drift", [0.0, 0.02, 0.05])
def test_one_cell_that_is_a_tenth_slower_is_found_and_no_other(cells: int, drift: float) -> None:
    told = found(cells, drift, slower=[0])
    assert told.named >= 0.95
    assert told.others <= 0.02


def test_of_four_cells_the_two_that_changed_are_named() -> None:
    told = found(4, 0.02, slower=[0, 1])
    assert told.named >= 0.95
    assert told.others + told.common <= 0.05


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
    (one,) = judge(ratios_HP, np.array([0.05]), ALPHA)
    oracle = stats.ttest_1samp(ratios_HP[:, 0], 0, alternative="greater")
    low, high = stats.ttest_1samp(ratios_HP[:, 0], 0).confidence_interval(0.95)
    assert one.word == "regressed"
    assert one.num_pairs == 4
    assert one.p_adjusted == pytest.approx(oracle.pvalue)
    assert one.change == pytest.approx(math.expm1(0.1075))
    assert one.interval == pytest.approx((math.expm1(low), math.expm1(high)))


def test_holm_counts_the_cells_that_were_judged() -> None:
    ratios_HP = np.array([[0.10, 0.01, np.nan], [0.13, -0.02, np.nan], [0.08, 0.01, 0.5]])
    first, second, third = judge(ratios_HP, np.full(3, 0.05), ALPHA)
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
    (one,) = judge(np.array(ratios)[:, None], np.array([0.05]), ALPHA)
    assert (one.word, one.reason) == (word, reason)


def test_a_floor_of_its_own_lets_a_change_pass() -> None:
    ratios_HP = np.array([[0.10], [0.11], [0.10]])
    assert judge(ratios_HP, np.array([0.05]), ALPHA)[0].word == "regressed"
    assert judge(ratios_HP, np.array([0.15]), ALPHA)[0].word == "pass"


def test_two_cells_that_drift_alike_lend_each_other_no_certainty() -> None:
    drift_H = np.array([0.10, 0.18, 0.05])
    pair, _ = judge_cells(parted(np.stack([drift_H, drift_H], axis=1)), np.full(2, 0.05))
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
    *others, slow = judge_cells(parted(ratios_HP), np.full(4, 0.05))
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
    found = judge_cells(parted(ratios_HP), np.full(6, 0.05))
    assert [one.word for one in found] == ["improved"] * 4 + ["pass"] * 2
    assert found[0].change == pytest.approx(math.expm1(-0.2), abs=0.02)
    slower = judge_cells(parted(-ratios_HP), np.full(6, 0.05))
    assert "regressed" not in {one.word for one in slower[4:]}


def test_what_all_have_in_common_is_held_to_the_cells_own_floor() -> None:
    common_H = np.random.default_rng(0).normal(0.08, 0.005, 5)
    assert judge_common(common_H, np.full(6, 0.05)).word == "regressed"
    assert judge_common(common_H, np.full(6, 0.25)).word == "pass"
