"""What pretraining is worth, counted by hand."""

import math
from collections.abc import Sequence

import pytest

from bench.analysis.choice import summarise
from bench.analysis.pretraining import Gain, gains
from bench.analysis.table import table
from bench.record import Failure, Result, Run
from tests.records import cell, failure, result, run

WAYS = ["partial", "fine_tuning", "from_scratch"]


def gains_of(asked: Run, found: Sequence[Result | Failure]) -> list[Gain]:
    made = table(asked, found)
    return gains(made, summarise(made))


def test_the_best_on_val_of_each_kind_are_compared_on_test() -> None:
    # Of 1000 test images the first 900 and the first 840 are right: 60 differ.
    asked = run(["a"], WAYS, source="imagenet")
    found = [
        result(cell("a", "partial", 0, "imagenet"), val=390, test=900),
        result(cell("a", "fine_tuning", 0, "imagenet"), val=380, test=950),
        result(cell("a", "from_scratch", 0), val=350, test=840),
    ]
    (gain,) = gains_of(asked, found)
    assert (gain.pretrained.strategy, gain.scratch.strategy) == ("partial", "from_scratch")
    assert gain.ahead.mean == pytest.approx(0.06)
    assert gain.ahead.se == pytest.approx(math.sqrt(0.06 * 0.94 / 999))
    assert (gain.images, gain.ahead.num_images) == (60, 1000)


def test_a_loss_is_below_zero_and_seeds_count_as_their_mean() -> None:
    asked = run(
        ["a"], ["partial", "from_scratch"], source="imagenet", own_seeds={"partial": [0, 1]}
    )
    found = [
        result(cell("a", "partial", 0, "imagenet"), test=800),
        result(cell("a", "partial", 1, "imagenet"), test=810),
        result(cell("a", "from_scratch", 0), test=840),
    ]
    (gain,) = gains_of(asked, found)
    assert gain.ahead.mean == pytest.approx(-0.035)
    assert gain.images == pytest.approx(-35)


@pytest.mark.parametrize("source", ["random", "failed"])
def test_nothing_is_said_without_both_kinds(source: str) -> None:
    weights = "random" if source == "random" else "imagenet"
    asked = run(["a"], ["partial", "from_scratch"], source=weights)
    scratch = cell("a", "from_scratch", 0)
    found: list[Result | Failure] = [
        result(cell("a", "partial", 0, weights)),
        failure(scratch) if source == "failed" else result(scratch),
    ]
    assert gains_of(asked, found) == []
