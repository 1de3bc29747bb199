"""What --confirm does to false alarms and to real regressions, on simulated suites.

A suite of three architectures under three strategies. Noise is 1 % from repeat to repeat and 1 %
from run to run for each cell, and a drift of 5 % that all cells of a run share; of short cells it
is more, where the case says so. Now and then a cell of a run has bad luck and takes 15 % more.
"""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pytest

from bench.analysis import confirm
from bench.analysis.bits import pack_bits
from bench.analysis.compare import compare
from bench.analysis.digest import Digest, RowDigest, SeedDigest
from bench.analysis.point import past_run_of
from bench.analysis.verdict import SECONDS, Comparison
from bench.predictions import pack_column
from bench.record import Calibration

NAMES = [(architecture, strategy) for architecture in "abc" for strategy in "xyz"]
SECONDS_OF = {"a": 1.0, "b": 2.0, "c": 8.0, "x": 0.2, "y": 1.0, "z": 2.0}
SLOW = "b", "y"


class Noise(NamedTuple):
    """Of simulated runs."""

    drift: float = 0.05
    luck: float = 0.0  # share of cells that take 15 % more
    short: float = 0.0  # further seconds of noise, which short cells feel most


def digest(number: int, draw: np.random.Generator, noise: Noise, slower: float = 0.0) -> Digest:
    """A run in which one cell is slower by so much."""
    common = draw.normal(0, noise.drift)
    rows = []
    for architecture, strategy in NAMES:
        usual = SECONDS_OF[architecture] * SECONDS_OF[strategy]
        error = 0.01 + noise.short / usual
        own = common + draw.normal(0, error) + 0.14 * (draw.random() < noise.luck)
        own += math.log1p(slower) * ((architecture, strategy) == SLOW)
        seeds = tuple(
            SeedDigest(
                seed=seed, status="ok", score=1.0, right=RIGHT,
                train_seconds=usual * math.exp(own + draw.normal(0, error)),
                peak_memory_bytes=10**8,
            )
            for seed in range(3)
        )  # fmt: skip
        key = f"{architecture}-{strategy}"
        rows.append(
            RowDigest(
                architecture=architecture, strategy=strategy, key=key, task={"name": key},
                conditions={}, counts={}, seeds=seeds,
            )
        )  # fmt: skip
    start = f"2026-11-{number:02}T00:00:00Z"
    return Digest(
        suite_name="s", started_at=start, finished_at=start, status="finished", device="cpu",
        metric="top1", margin=0.005, compare={}, labels=LABELS, num_images=8, task={},
        conditions={"machine.torch": "2"}, rows=tuple(rows), unstable=None,
        calibration=calibration(math.exp(common + draw.normal(0, 0.01))),
    )  # fmt: skip


LABELS, RIGHT = pack_column(np.zeros(8, np.uint16)), pack_bits(np.ones(8, np.bool_))


def calibration(seconds: float) -> Calibration:
    return Calibration(
        matmul_fp32_flops=None, matmul_bf16_flops=None, copy_bytes_per_second=None,
        upload_bytes_per_second=None, conv_seconds=None, loop_seconds=seconds, seconds=1.0,
    )  # fmt: skip


class Rates(NamedTuple):
    """Shares of suites."""

    alarms: float  # a cell is said to be slower that is not, or all of them are
    confirmed_alarms: float
    power: float  # the slow cell is found
    confirmed_power: float
    ran_again: float  # of the cells, where anything did


def rates(noise: Noise, slower: float = 0.0, num_suites: int = 100) -> Rates:
    draw = np.random.default_rng(3)
    first: list[tuple[bool, bool]] = []
    last: list[tuple[bool, bool]] = []
    ran = []
    for _ in range(num_suites):
        past = [digest(number, draw, noise) for number in range(1, 9)]
        candidate, again = (digest(number, draw, noise, slower) for number in (20, 21))
        known = [one for one in map(past_run_of, past) if one is not None]
        found = compare(past[-1], candidate, known)
        first.append(told(found))
        if doubted := confirm.doubts(found, "cpu"):
            second = part(again, confirm.again(doubted, found, candidate))
            ran.append(len(second.rows) / len(NAMES))
            found = confirm.confirmed(found, doubted, compare(past[-1], second, known), "again")
        last.append(told(found))
    (alarms, power), (confirmed_alarms, confirmed_power) = np.array([first, last]).mean(axis=1)
    return Rates(
        alarms, confirmed_alarms, power, confirmed_power, float(np.mean(ran)) if ran else 0.0
    )


def told(found: Comparison) -> tuple[bool, bool]:
    """Whether there is a false alarm, and whether the slow cell is named."""
    names = {
        (one.architecture, one.strategy)
        for one in found.verdicts
        if (one.metric, one.word) == (SECONDS, "regressed")
    }
    common = found.shift is not None and found.shift.blame == "code"
    return common or bool(names - {SLOW}), SLOW in names


def part(run: Digest, architectures: Collection[str]) -> Digest:
    return run.model_copy(
        update={"rows": tuple(row for row in run.rows if row.architecture in architectures)}
    )


@pytest.mark.parametrize("noise", [Noise(luck=0.03), Noise(short=0.01)])
def test_bad_luck_in_one_run_is_no_regression_any_longer(noise: Noise) -> None:
    found = rates(noise)
    assert found.alarms >= 0.05
    assert found.confirmed_alarms <= 0.02
    assert found.ran_again <= 0.9


@pytest.mark.parametrize("noise", [Noise(), Noise(drift=0.0), Noise(luck=0.03)])
def test_of_the_cells_that_are_a_tenth_slower_and_found_hardly_one_is_lost(noise: Noise) -> None:
    found = rates(noise, slower=0.10)
    assert found.confirmed_power >= 0.95 * found.power
    assert found.confirmed_alarms <= 0.02
    if not noise.luck:
        assert found.confirmed_power >= 0.95
