"""Which past runs are of the baseline's level: by these a candidate is judged.

Runs from before a change that was accepted, and runs since that went wrong, lie elsewhere. Among
them the scatter would be that of the change, and a second bad run would look like the first.
"""

import math

import numpy as np
from scipy import special

from bench.analysis.bounds import NEEDED
from bench.analysis.paired import Floats

ALPHA = 0.001
"""Of a value of the level itself, to be taken for one of another; on either side."""

LASTING = 3
"""Values in a row, near each other, that open a level of their own, before the baseline."""

FAR, VERY_FAR = 3, 6
"""Floors from the baseline beyond which a later, or an earlier value has no part in a young level.

Earlier values are all that a young baseline's scatter is known by.
"""


def on_level(past_HP: Floats, place: int | None, floors_P: Floats) -> Floats:
    """H past runs in the order of time, with NaN for what is not of the baseline's level.

    The baseline is the run at `place`; where it is None, it is not in the past, and all are kept.
    A value is of another level that is off the mean of those before by the floor, and beyond what
    these scatter. How few values scatter is hardly known: a later value that is far from the
    baseline, and an earlier one that is very far, has no part in a young level; what is nearer has.
    """
    if place is None:
        return past_HP
    limits = special.stdtrit(np.arange(len(past_HP) + 1) - 1.0, 1 - ALPHA)
    found = np.full_like(past_HP, np.nan)
    for row, floor in enumerate(floors_P):
        kept = _kept(past_HP[:, row].tolist(), place, float(floor), limits.tolist())
        found[kept, row] = past_HP[kept, row]
    return found


def too_few(kept_H: Floats, past_H: Floats) -> str:
    """Why a cell is not judged, by what is left of its past on the baseline's level."""
    count, others = (int((~np.isnan(one)).sum()) for one in (kept_H, past_H))
    away = f"; {others - count} others are of another level" if others - count > 1 else ""
    return f"not judged ({count} of {NEEDED} runs{away})"


def _kept(values: list[float], place: int, floor: float, limits: list[float]) -> list[int]:
    """Places of the values of the baseline's level."""
    levels, aside = [_Level(floor, limits)], list[int]()
    for row, value in enumerate(values):
        if math.isnan(value):
            continue
        if row == place:
            levels += [one for one in levels if not one.is_beyond(value)][-1:]
            if not levels[-1].is_beyond(value):
                levels[-1] = _near(levels[-1], values, value, VERY_FAR * floor)
        is_far = row > place and abs(value - values[place]) >= FAR * floor
        if not levels[-1].is_beyond(value) and not (is_far and levels[-1].is_young):
            levels[-1].add(row, value)
            aside = []
            continue
        aside.append(row)
        near = [other for other in aside if abs(values[other] - value) < floor]
        if row == place or (row < place and len(near) >= LASTING):
            levels.append(_Level(floor, limits))
            for other in near:
                levels[-1].add(other, values[other])
            aside = []
    return levels[-1].places


def _near(level: "_Level", values: list[float], value: float, reach: float) -> "_Level":
    """The level, if it is young without what is so far from a value."""
    if not level.is_young:
        return level
    found = level.anew()
    for place in level.places:
        if abs(values[place] - value) < reach:
            found.add(place, values[place])
    return found


class _Level:
    """Values about a mean, by their places (Welford 1962, doi:10.1080/00401706.1962.10490022)."""

    def __init__(self, floor: float, limits: list[float]) -> None:
        self.places: list[int] = []
        self._floor, self._limits = floor, limits
        self._mean = self._squares = 0.0

    def anew(self) -> "_Level":
        """An empty one of the same kind."""
        return _Level(self._floor, self._limits)

    def add(self, place: int, value: float) -> None:
        """One more value."""
        self.places.append(place)
        apart = value - self._mean
        self._mean += apart / len(self.places)
        self._squares += apart * (value - self._mean)

    @property
    def is_young(self) -> bool:
        """Whether its scatter is hardly known."""
        return len(self.places) < NEEDED

    def is_beyond(self, value: float) -> bool:
        """Whether a value is of another level; two values tell of none."""
        count = len(self.places)
        if count < LASTING:
            return False
        scatter = math.sqrt(self._squares / (count - 1) * (1 + 1 / count))
        return abs(value - self._mean) >= max(self._floor, self._limits[count] * scatter)
