"""Means with their spread, and proportions with their interval: no number stands alone."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.record import Metric


class Interval(NamedTuple):
    """Both ends, each part of the interval."""

    low: float
    high: float

    def overlaps(self, other: "Interval") -> bool:
        """Whether the two share a point."""
        return self.low <= other.high and other.low <= self.high


def wilson(proportion: float, num_images: int, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion seen on `num_images` independent images.

    Meant for a mean over seeds too: the seeds were scored on the same images, so they add
    nothing to `num_images`, and leaving them out errs on the wide side.
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
    # At 0 and 1 the formula is exact but its floats are not: the proportion is always inside.
    return Interval(
        low=max(0.0, min(centre - half, proportion)), high=min(1.0, max(centre + half, proportion))
    )


class Spread(NamedTuple):
    """Values over seeds. `sd` is the sample's (n - 1); null for one value, where it is unknown."""

    mean: float
    sd: float | None
    minimum: float
    maximum: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and range; ValueError if there are no values."""
    if not values:
        raise ValueError("spread of no values")
    return Spread(
        mean=fmean(values),
        sd=stdev(values) if len(values) > 1 else None,
        minimum=min(values),
        maximum=max(values),
        n=len(values),
    )


def weights(labels_N: NDArray[np.integer], metric: Metric) -> NDArray[np.float64]:
    """What each image counts for in the score, relative to the mean, [N].

    For balanced accuracy classes count alike: the fewer images a class has, the more each counts.
    """
    if metric == "top1":
        return np.ones(len(labels_N))
    classes_N, sizes_K = np.unique(labels_N, return_inverse=True, return_counts=True)[1:]
    return np.asarray(len(labels_N) / len(sizes_K) / sizes_K[classes_N])
