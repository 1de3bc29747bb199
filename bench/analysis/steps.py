"""Where the level of a series changed: the piecewise constant line that its noise allows for.

For reading a history, never for a verdict. The cost of a line is its squared distance from the
values plus a penalty for each step (Potts's functional; Auger & Lawrence 1989,
doi:10.1007/BF02458835: optimal partitioning). The penalty is made for runs that resemble the one
before (first-order correlation of a half): white noise alone would ask for a third of it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bench.analysis.stats import Floats

LEAST_RUNS = 3
"""Runs at one level, before and after a step: fewer may be one bad day."""

LEAST_VALUES = 2 * LEAST_RUNS + 1
"""Values without which there is no step: of fewer, a step spoils half of the differences."""

STRICTNESS = 2.0
"""Penalty of a step, in long-run variances times the logarithm of the number of runs."""

INFLATION = 4.0
"""Long-run variance of noise correlated by a half (3 times its own), by what `noise` sees of it."""

LAGS = (1, 2)
TAMED_BEYOND = 3.0
"""Noise, from the median of five runs, beyond which a value is drawn in: it was that run alone."""

LEAST_NOISE = 0.1
"""Of the least step: values that hardly vary have steps all the same."""


class Step(NamedTuple):
    """A change of level at the value of this place (0, 1, ...), the first at the new level."""

    place: int
    before: float  # median of the level that ends
    after: float
    num_before: int  # values on it
    num_after: int


def steps(values: Sequence[float], least: float, relative: bool) -> list[Step]:
    """Changes of level, in order; `least` is a share of the level before where `relative`.

    Relative values are above zero and are looked at as logarithms. Series too short for two levels
    have none.
    """
    values_N = np.asarray(values, dtype=np.float64)
    if len(values_N) < LEAST_VALUES:
        return []
    seen_N = np.log(values_N) if relative else values_N
    sigma = max(noise(seen_N), LEAST_NOISE * least)
    penalty = STRICTNESS * INFLATION * sigma**2 * float(np.log(len(seen_N)))
    starts = segments(tamed(seen_N, sigma), penalty, LEAST_RUNS)
    return _large(values_N, starts, least, relative)


def noise(values_N: Floats) -> float:
    """Standard deviation about the levels, from the differences of runs next to each other.

    A step spoils one or two of these, which their median ignores.
    """
    spreads = [np.median(np.abs(values_N[lag:] - values_N[:-lag])) for lag in LAGS]
    return float(max(spreads)) / (NORMAL_MEDIAN * 2**0.5)


NORMAL_MEDIAN = 0.6745
"""Median of the absolute value of a standard normal."""


def tamed(values_N: Floats, sigma: float) -> Floats:
    """The values, single ones that are far from those around them drawn in."""
    medians = np.median(np.lib.stride_tricks.sliding_window_view(values_N, 5), axis=1)
    around_N = np.pad(medians, 2, mode="edge")
    reach = TAMED_BEYOND * sigma
    return np.asarray(np.clip(values_N, around_N - reach, around_N + reach))


def segments(values_N: Floats, penalty: float, shortest: int) -> list[int]:
    """First places of the segments of the cheapest line, the first of them 0.

    No segment has fewer values than `shortest`; the series has at least so many.
    """
    num = len(values_N)
    centred_N = values_N - values_N.mean()
    sums = np.concatenate([[0.0], np.cumsum(centred_N)])
    squares = np.concatenate([[0.0], np.cumsum(centred_N**2)])
    best = np.full(num + 1, np.inf)
    best[0], begins = -penalty, np.zeros(num + 1, dtype=np.intp)
    for end in range(shortest, num + 1):
        starts = np.arange(end - shortest + 1)
        error = squares[end] - squares[starts] - (sums[end] - sums[starts]) ** 2 / (end - starts)
        costs = best[starts] + error + penalty
        begins[end] = costs.argmin()
        best[end] = costs[begins[end]]
    found = [int(begins[num])]
    while found[-1]:
        found.append(int(begins[found[-1]]))
    return found[::-1]


def _large(values_N: Floats, starts: list[int], least: float, relative: bool) -> list[Step]:
    """The steps of segments, joined at the smallest step until none is below `least`."""
    while True:
        found = _between(values_N, starts)
        sizes = [size(step.before, step.after, relative) for step in found]
        if not sizes or min(sizes) >= least:
            return found
        starts = [start for start in starts if start != found[sizes.index(min(sizes))].place]


def _between(values_N: Floats, starts: list[int]) -> list[Step]:
    spans = list(pairwise([*starts, len(values_N)]))
    levels = [float(np.median(values_N[start:end])) for start, end in spans]
    return [
        Step(here[0], before, after, there[1] - there[0], here[1] - here[0])
        for (there, here), (before, after) in zip(pairwise(spans), pairwise(levels), strict=True)
    ]


def size(before: float, after: float, relative: bool) -> float:
    """How large a change is: a share of the level before, or the difference."""
    return abs(after / before - 1) if relative else abs(after - before)
