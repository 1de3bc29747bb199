"""Damage is found in each part and column, and nothing else is taken for it."""

import pytest

from bench import predictions
from bench.analysis.intact import damage, damaged
from bench.record import Predictions, Result
from tests.records import cell, failure, result

INTACT = result(cell("a", "partial", 0))


def changed(part: str, packed: Predictions) -> Result:
    scores = getattr(INTACT.quality, part).model_copy(update={"predictions": packed})
    quality = INTACT.quality.model_copy(update={part: scores})
    return INTACT.model_copy(update={"quality": quality})


def test_intact_records_and_failures_are_not_damaged() -> None:
    assert damaged([INTACT, failure(cell("b", "partial", 0))]) == {}


@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize("column", ["labels", "classes", "confidences"])
def test_a_column_that_is_cut_short_is_named(part: str, column: str) -> None:
    packed = getattr(INTACT.quality, part).predictions
    cut = packed.model_copy(update={column: packed.classes[:8]})
    assert damage(changed(part, cut)).startswith(f"quality.{part}.predictions.{column}: ")


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_class_that_the_data_does_not_have_is_damage(part: str) -> None:
    one = changed(part, predictions.pack([0, 9], [10, 9], [0.5, 0.5]))
    assert damaged([INTACT, one]) == {
        INTACT.cell_id: f"quality.{part}.predictions.classes: class 10 of 10"
    }
    assert damage(changed(part, predictions.pack([0, 9], [9, 9], [0.5, 0.5]))) == ""
