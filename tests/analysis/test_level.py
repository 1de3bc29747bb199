"""Which past values are of the baseline's level, on series made by hand and drawn."""

import math

import numpy as np
import pytest

from bench.analysis.level import on_level
from bench.analysis.paired import Floats

FLOOR = 0.05


def kept(values: list[float], place: int | None) -> list[int]:
    """Places of the values that stay."""
    found = on_level(np.array(values)[:, None], place, np.array([FLOOR]))
    return np.flatnonzero(~np.isnan(found[:, 0])).tolist()


OLD, NEW = [1.0, 1.01, 0.99, 1.0, 1.01], [0.8, 0.81, 0.79, 0.8]


@pytest.mark.parametrize(
    ("values", "place", "stay"),
    [
        (OLD, 4, [0, 1, 2, 3, 4]),
        ([*OLD, 0.8], 5, [5]),  # just accepted
        ([*OLD, *NEW], 5, [5, 6, 7, 8]),  # and runs since
        ([*OLD, *NEW], 6, [5, 6, 7, 8]),  # accepted one run later
        ([*OLD, *NEW], 8, [5, 6, 7, 8]),  # after it had lasted
        ([*OLD, *NEW], 4, [0, 1, 2, 3, 4]),  # never accepted
        ([*OLD, 1.3, *OLD], 10, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]),  # a bad night
        ([*OLD, 1.3, 0.8], 6, [6]),  # a bad night before another level
        ([*OLD, *NEW, 1.0], 9, [0, 1, 2, 3, 4, 9]),  # taken back
        ([*OLD, *NEW, 1.3], 9, [9]),
        ([*OLD, 0.8, 1.1, 1.1, 1.1, 1.1], 5, [5]),  # accepted, then bad nights
        ([*OLD, 0.8, 0.82, 1.1, 0.79], 5, [5, 6, 8]),
        ([*OLD, 1.3, 1.5, 1.9, 1.0, 1.0], 9, [0, 1, 2, 3, 4, 8, 9]),  # bad nights are no level
        ([*OLD, math.nan, 1.0], 6, [0, 1, 2, 3, 4, 6]),
        ([*OLD, 1.04], 5, [0, 1, 2, 3, 4, 5]),  # within the floor
        ([1.0, 1.2, 0.99], 2, [0, 1, 2]),  # two tell of no level
        ([1.0, 2.0, 0.8], 2, [0, 2]),  # but what is very far is of another
        ([1.0, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5], 6, [4, 5, 6]),  # a new level, just accepted
        ([1.0, 0.69, 0.7, 0.7, 0.7, 0.7], 1, [1, 2, 3, 4, 5]),  # the first run was before
        ([*OLD, *NEW], None, list(range(9))),
    ],
)
def test_what_stays(values: list[float], place: int | None, stay: list[int]) -> None:
    assert kept(values, place) == stay


def drawn(scatter: float) -> Floats:
    found: Floats = np.random.default_rng(0).normal(0, scatter, (30, 400))
    return found


@pytest.mark.parametrize("scatter", [0.01, 0.05, 0.2])
def test_however_one_level_scatters_hardly_a_value_is_taken_for_another(scatter: float) -> None:
    found = on_level(drawn(scatter), 29, np.full(400, FLOOR))
    assert np.isnan(found).mean() < 0.01
    assert np.isnan(found).any(axis=0).mean() < 0.12
