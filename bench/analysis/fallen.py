"""Single seeds that fell far below what the baseline's seeds are worth.

One training of three that goes wrong hides in the mean: it widens the very spread that the mean
is held against. So each seed of the candidate is held against the spread of the baseline, too.
The level is low and the fall must be large, for the test of the mean has its own false alarms.
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from scipy import special

from bench.analysis.bounds import adjusted
from bench.analysis.digest import RowDigest, SeedDigest
from bench.analysis.seeds import seed_variances
from bench.analysis.stats import Spread, spread

ALPHA = 0.005

LUCK = 0.01
"""Standard deviation over whole trainings that is assumed where no cell has a second seed."""


class Fallen(NamedTuple):
    """The worst seed of a row, which fell."""

    told: str
    alone: bool  # the other seeds are nearer to the baseline than to it


def fallen(
    before: Sequence[RowDigest], after: Sequence[RowDigest], num_images: int, least: float
) -> list[Fallen | None]:
    """Of each pair of rows the worst seed; None where it did not fall by `least` and by no chance.

    Holm's adjustment is over all seeds of all rows.
    """
    spreads = [spread([score(seed) for seed in row.ok]) for row in before]
    worst = [min(row.ok, key=score) for row in after]
    tails = np.array(
        [
            min(1.0, len(row.ok) * _tail(seed, seen, error, freedom))
            for row, seed, seen, (error, freedom) in zip(
                after, worst, spreads, _errors(spreads, num_images), strict=True
            )
        ]
    )
    return [
        Fallen(f"seed {seed.seed} fell to {100 * score(seed):.1f} %", is_alone(seed, row, seen))
        if p < ALPHA and seen.mean - score(seed) >= least
        else None
        for seed, row, seen, p in zip(worst, after, spreads, adjusted(tails), strict=True)
    ]


def is_alone(worst: SeedDigest, row: RowDigest, before: Spread) -> bool:
    """Whether the other seeds of its row are nearer to the baseline's mean than to it."""
    others = [score(seed) for seed in row.ok if seed is not worst]
    return bool(others) and before.mean - fmean(others) < fmean(others) - score(worst)


def score(seed: SeedDigest) -> float:
    """Of an ok seed."""
    return float(seed.score or 0)


def _errors(spreads: Sequence[Spread], num_images: int) -> list[tuple[float, float]]:
    """Standard error of one new seed about each mean, and its degrees of freedom."""
    found = []
    for seen, variance in zip(spreads, seed_variances(spreads), strict=True):
        known = variance.of_mean is not None
        one = (variance.of_mean or 0.0) * seen.n if known else LUCK**2
        # Few seeds may happen to agree; the images alone make them differ.
        images = seen.mean * (1 - seen.mean) / num_images
        freedom = variance.degrees_of_freedom if known else None
        found.append((math.sqrt(max(one, images) * (1 + 1 / seen.n)), freedom or 1e9))
    return found


def _tail(seed: SeedDigest, seen: Spread, error: float, freedom: float) -> float:
    fall = seen.mean - score(seed)
    if error == 0:
        return 0.0 if fall > 0 else 1.0
    return float(special.stdtr(freedom, -fall / error))
