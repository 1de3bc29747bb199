"""Spreads, intervals of proportions, how much scores vary from seed to seed, and changes of level.

`steps` finds where the level of a series changed: the piecewise constant line that its noise allows
for. It is for reading a history, never for a verdict. The cost of a line is its squared distance
from the values plus a penalty for each step (Potts's functional; Auger & Lawrence 1989,
doi:10.1007/BF02458835: optimal partitioning). The penalty is made for runs that resemble the one
before (first-order correlation of a half): white noise alone would ask for a third of it.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Shares that are equal on paper differ by less."""


class Interval(NamedTuple):
    low: float
    high: float


def wilson(proportion: float, num_images: int, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion of `num_images` independent images.

    Also for a mean over seeds, which is why scipy's, for whole counts, will not do: seeds share
    their images, so they do not add to `num_images`; ignoring them errs on the wide side.
    Raises ValueError for a proportion outside 0..1 or no images.
    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    if not 0 <= proportion <= 1:
        raise ValueError(f"proportion: expected a number from 0 to 1, got {proportion}")
    if num_images < 1:
        raise ValueError(f"num_images: expected at least 1, got {num_images}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    shrink = 1 / (1 + z**2 / num_images)
    centre = shrink * (proportion + z**2 / (2 * num_images))
    variance = proportion * (1 - proportion) / num_images + z**2 / (4 * num_images**2)
    half = shrink * z * math.sqrt(variance)
    # At 0 and 1 the formula is exact, but its rounding is not.
    return Interval(
        low=max(0.0, min(centre - half, proportion)), high=min(1.0, max(centre + half, proportion))
    )


class Spread(NamedTuple):
    """Values over seeds. `sd` is the sample's (n - 1); None (unknown) for one value."""

    mean: float
    sd: float | None
    minimum: float
    maximum: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError if there are no values."""
    if not values:
        raise ValueError("spread of no values")
    return Spread(
        mean=fmean(values),
        sd=stdev(values) if len(values) > 1 else None,
        minimum=min(values),
        maximum=max(values),
        n=len(values),
    )


def tails(changes: Floats, errors: Floats, freedoms: Floats) -> Floats:
    """One-sided p of changes so far up, by Student's t; no change has 0.5, whatever its error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(changes == 0, 0.0, changes / errors)
    return np.asarray(special.stdtr(freedoms, -t))


def holm(p_values: Floats) -> Floats:
    """Adjusted p values, which control the chance of any false alarm; NaN stays, and is none.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    order, adjusted = np.argsort(p_values, kind="stable"), np.empty(len(p_values))
    left = np.count_nonzero(~np.isnan(p_values)) - np.arange(len(p_values))  # NaN comes last
    adjusted[order] = np.minimum(np.maximum.accumulate(left * p_values[order]), 1.0)
    return adjusted


class SeedVariance(NamedTuple):
    """Variance of a row's mean score; both None where no row has a second seed."""

    of_mean: float | None
    degrees_of_freedom: float | None


def seed_variances(rows: Sequence[Spread]) -> list[SeedVariance]:
    """The variance of each row's mean, shrunk towards the common variance.

    Rows differ in how much their seeds vary, and two or three seeds hardly show it. If the true
    variances follow a scaled inverse chi-square with `prior` degrees of freedom, the best estimate
    weighs each row's own variance by its degrees of freedom and the common one by the prior's
    (moderated variances: Smyth 2004, doi:10.2202/1544-6115.1027). The prior matches the first two
    moments of the observed variances; where they vary no more than equal variances would, all rows
    take the common one, as does a row with one seed.
    """
    seen = [(row.sd**2, row.n - 1) for row in rows if row.sd is not None]
    total = sum(freedom for _, freedom in seen)
    if not total:
        return [SeedVariance(None, None) for _ in rows]
    common = sum(variance * freedom for variance, freedom in seen) / total
    prior = _prior(seen, common, total)
    found = []
    for row in rows:
        if math.isinf(prior) or row.sd is None:
            found.append(SeedVariance(common / row.n, min(prior, total)))
            continue
        own = row.n - 1
        # The mean of the prior is `common`: its scale is smaller by (prior - 2) / prior.
        variance = ((prior - 2) * common + own * row.sd**2) / (prior + own)
        found.append(SeedVariance(variance / row.n, min(prior + own, total)))
    return found


def _prior(seen: Sequence[tuple[float, int]], common: float, total: int) -> float:
    """Degrees of freedom of the common variance; infinite where all rows share it."""
    if common == 0:
        return math.inf
    # A sample variance with d degrees of freedom has a mean square 1 + 2 / d times the true one.
    squares = sum(freedom * variance**2 / (1 + 2 / freedom) for variance, freedom in seen) / total
    excess = squares / common**2 - 1
    return 4 + 2 / excess if excess > 0 else math.inf


LEAST_RUNS = 3
"""Runs at one level, before and after a step: fewer may be one bad day."""

LEAST_VALUES = 2 * LEAST_RUNS + 1
"""Values without which there is no step: of fewer, a step spoils half of the differences."""

STRICTNESS = 2.0
"""Penalty of a step, in long-run variances times the logarithm of the number of runs."""

INFLATION = 4.0
"""Long-run variance of noise correlated by a half (3 times its own), by what `noise` sees of it."""

TAMED_BEYOND = 3.0
"""Noise, from the median of five runs, beyond which a value is drawn in: it was that run alone."""

NORMAL_MEDIAN = 0.6745
"""Median of the absolute value of a standard normal."""

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
    spreads = [np.median(np.abs(values_N[lag:] - values_N[:-lag])) for lag in (1, 2)]
    return float(max(spreads)) / (NORMAL_MEDIAN * 2**0.5)


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
        spans = list(pairwise([*starts, len(values_N)]))
        levels = [float(np.median(values_N[start:end])) for start, end in spans]
        found = [
            Step(here[0], before, after, there[1] - there[0], here[1] - here[0])
            for (there, here), (before, after) in zip(
                pairwise(spans), pairwise(levels), strict=True
            )
        ]
        changes = [
            abs(after / before - 1 if relative else after - before)
            for before, after in pairwise(levels)
        ]
        if not changes or min(changes) >= least:
            return found
        starts = [start for start in starts if start != found[changes.index(min(changes))].place]
