"""Which past runs are of the baseline's level: by these a candidate is judged.

Runs from before a change that was accepted, and runs since that went wrong, lie elsewhere. Among
them the scatter would be that of the change, and a second bad run would look like the first.
"""

import math

import numpy as np
from scipy import special

from bench.analysis.paired import Floats

ALPHA = 0.001
"""Of a value of the level itself, to be taken for one of another; on either side."""

LASTING = 3
"""Values in a row that open a level of their own, before the baseline."""


def on_level(past_HP: Floats, place: int | None, floors_P: Floats) -> Floats:
    """H past runs in the order of time, with NaN for what is not of the baseline's level.

    The baseline is the run at `place`; where it is None, or not in the past, all are kept. A value
    is of another level that is off the mean of those before by the floor, and beyond what these
    scatter.
    """
    if place is None:
        return past_HP
    limits = special.stdtrit(np.arange(len(past_HP) + 1) - 1.0, 1 - ALPHA)
    found = np.full_like(past_HP, np.nan)
    for row, floor in enumerate(floors_P):
        kept = _kept(past_HP[:, row].tolist(), place, float(floor), limits.tolist())
        found[kept, row] = past_HP[kept, row]
    return found


def _kept(values: list[float], place: int, floor: float, limits: list[float]) -> list[int]:
    """Places of the values of the baseline's level."""
    level = _Level()
    kept: list[int] = []
    aside: list[int] = []
    for row, value in enumerate(values):
        if math.isnan(value):
            continue
        if not level.is_beyond(value, floor, limits):
            level.add(value)
            kept.append(row)
            aside = []
            continue
        aside.append(row)
        if row == place or (row < place and len(aside) >= LASTING):
            kept = [other for other in aside if abs(values[other] - value) < floor]
            level, aside = _Level(), []
            for other in kept:
                level.add(values[other])
    return kept


class _Level:
    """A running mean and scatter (Welford 1962, doi:10.1080/00401706.1962.10490022)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.count += 1
        apart = value - self.mean
        self.mean += apart / self.count
        self.squares += apart * (value - self.mean)

    def is_beyond(self, value: float, floor: float, limits: list[float]) -> bool:
        """Whether a value is of another level; two values tell of none."""
        if self.count < LASTING:
            return False
        scatter = math.sqrt(self.squares / (self.count - 1) * (1 + 1 / self.count))
        return abs(value - self.mean) >= max(floor, limits[self.count] * scatter)
