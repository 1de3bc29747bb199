"""Spreads of means, intervals of proportions, and how much scores vary from seed to seed."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Shares that are equal on paper differ by less."""


class Interval(NamedTuple):
    low: float
    high: float

    def overlaps(self, other: "Interval") -> bool:
        return self.low <= other.high and other.low <= self.high


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


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, which control the chance of any false alarm among the comparisons.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


# ---- seeds ----------------------------------------------------------------------------------


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
    return [_moderated(row, common, prior, total) for row in rows]


def _prior(seen: Sequence[tuple[float, int]], common: float, total: int) -> float:
    """Degrees of freedom of the common variance; infinite where all rows share it."""
    if common == 0:
        return math.inf
    # A sample variance with d degrees of freedom has a mean square 1 + 2 / d times the true one.
    squares = sum(freedom * variance**2 / (1 + 2 / freedom) for variance, freedom in seen) / total
    excess = squares / common**2 - 1
    return 4 + 2 / excess if excess > 0 else math.inf


def _moderated(row: Spread, common: float, prior: float, total: int) -> SeedVariance:
    if math.isinf(prior) or row.sd is None:
        return SeedVariance(common / row.n, min(prior, total))
    own = row.n - 1
    # The mean of the prior is `common`: its scale is smaller by (prior - 2) / prior.
    variance = ((prior - 2) * common + own * row.sd**2) / (prior + own)
    return SeedVariance(variance / row.n, min(prior + own, total))
