"""Differences of rows that were scored on the same val images, image by image.

Two things make a difference uncertain: which images happened to be drawn, and which seeds. The
images pair, so that what is hard for all rows cancels out; the seeds do not. The larger of the two
standard errors counts: either one alone raises false alarms where the other dominates.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.rows import score_of
from bench.analysis.seeds import seed_variances
from bench.analysis.stats import spread
from bench.predictions import unpack_column
from bench.schema import Metric, Result

# Dimensions: R rows, N val images, K some of the rows.
Floats = NDArray[np.float64]

BLOCK = 256
"""Rows whose images are held as floating-point numbers at once."""


class Difference(NamedTuple):
    """Of the mean scores of two rows on the same val images, a minus b, from -1 to 1.

    `se` is the larger of its parts; `se_seeds` is None where no row has a second seed.
    """

    mean: float
    se: float
    se_items: float
    se_seeds: float | None
    num_images: int
    num_seeds: tuple[int, int]


class Outcomes(NamedTuple):
    """What came out for each row on each val image, and what varies with the seed.

    The leader comes first.
    """

    hits_RN: NDArray[np.unsignedinteger]  # seeds that were right
    weights_N: Floats  # of an image in the score; their mean is 1
    num_seeds_R: Floats
    means_R: Floats
    seed_variances_R: Floats  # of the mean; NaN where no row has a second seed
    freedoms_R: Floats  # degrees of freedom of that variance

    @property
    def num_images(self) -> int:
        """N."""
        return len(self.weights_N)

    def deviations(self, rows: slice | NDArray[np.intp]) -> Floats:
        """Each image's part in the error of these rows' means, [K, N].

        Their products add up to the covariances of the means over draws of the images. Images
        are weighted about the weighted mean, as for any ratio of sums.
        """
        shares_KN = self.hits_RN[rows] / self.num_seeds_R[rows, None]
        centres_K = shares_KN @ self.weights_N / self.num_images
        scale = np.sqrt(self.num_images * max(self.num_images - 1, 1))
        return np.asarray((shares_KN - centres_K[:, None]) * (self.weights_N / scale))


class Contrasts(NamedTuple):
    """The leader minus each of the rows: arrays [R] of what `Difference` holds for one."""

    means_R: Floats
    items_R: Floats
    seeds_R: Floats  # NaN where unknown
    freedoms_R: Floats  # of the larger standard error

    @property
    def errors_R(self) -> Floats:
        """Standard errors."""
        return np.fmax(self.items_R, self.seeds_R)

    @property
    def p_values_R(self) -> Floats:
        """Two-sided."""
        return np.asarray(2 * self._tails_R)

    @property
    def z_R(self) -> Floats:
        """The normal deviates, from 0 up, that are as improbable as the t statistics."""
        return np.asarray(-special.ndtri(self._tails_R))

    @property
    def _tails_R(self) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            t_R = np.where(self.means_R == 0, 0.0, np.abs(self.means_R) / self.errors_R)
        # One image, or none with a spread, tells nothing.
        return np.asarray(np.where(self.freedoms_R > 0, special.stdtr(self.freedoms_R, -t_R), 0.5))


def outcomes(rows: Sequence[Sequence[Result]], metric: Metric) -> Outcomes:
    """The outcomes of rows given by their ok records.

    Raises ValueError where the records were not scored on the same val images in one order, or
    their predictions are damaged.
    """
    first = rows[0][0].quality.val.predictions
    labels_N = unpack_column("labels", first.labels, first.num_images)
    counts = [len(results) for results in rows]
    hits_RN = np.zeros((len(rows), len(labels_N)), np.min_scalar_type(max(counts)))
    for row, results in enumerate(rows):
        for result in results:
            found = result.quality.val.predictions
            if found.num_images != first.num_images or found.labels != first.labels:
                raise ValueError(_other_images(rows[0][0], result))
            hits_RN[row] += unpack_column("classes", found.classes, found.num_images) == labels_N
    spreads = [spread([score_of(one.quality.val, metric) for one in results]) for results in rows]
    seeds = seed_variances(spreads)
    return Outcomes(
        hits_RN=hits_RN,
        weights_N=weights(labels_N, metric),
        num_seeds_R=np.array(counts, dtype=np.float64),
        means_R=np.array([one.mean for one in spreads]),
        seed_variances_R=np.array([one.of_mean for one in seeds], dtype=np.float64),
        freedoms_R=np.array([one.degrees_of_freedom for one in seeds], dtype=np.float64),
    )


def weights(labels_N: NDArray[np.integer], metric: Metric) -> Floats:
    """What each image counts for in the score, relative to the mean, [N].

    For balanced accuracy classes count alike: the fewer images a class has, the more each counts.
    """
    if metric == "top1":
        return np.ones(len(labels_N))
    classes_N, sizes_K = np.unique(labels_N, return_inverse=True, return_counts=True)[1:]
    return np.asarray(len(labels_N) / len(sizes_K) / sizes_K[classes_N])


def contrasts(found: Outcomes) -> Contrasts:
    """The first row, which is the leader, minus each row, itself included."""
    own_N = found.deviations(slice(0, 1))[0]
    items_R = np.empty(len(found.hits_RN))
    for start in range(0, len(items_R), BLOCK):
        block = slice(start, start + BLOCK)
        items_R[block] = np.linalg.norm(own_N - found.deviations(block), axis=1)
    seeds_R = np.sqrt(found.seed_variances_R[0] + found.seed_variances_R)
    by_seeds_R = np.nan_to_num(seeds_R) > items_R
    return Contrasts(
        means_R=found.means_R[0] - found.means_R,
        items_R=items_R,
        seeds_R=seeds_R,
        freedoms_R=np.where(
            by_seeds_R, found.freedoms_R[0] + found.freedoms_R, found.num_images - 1.0
        ),
    )


def difference(found: Outcomes, behind: Contrasts, row: int) -> Difference:
    """One entry of the contrasts with the leader."""
    seeds = float(behind.seeds_R[row])
    return Difference(
        mean=float(behind.means_R[row]),
        se=float(behind.errors_R[row]),
        se_items=float(behind.items_R[row]),
        se_seeds=None if np.isnan(seeds) else seeds,
        num_images=found.num_images,
        num_seeds=(int(found.num_seeds_R[0]), int(found.num_seeds_R[row])),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values: at most alpha of them is a false alarm in any of the comparisons.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _other_images(first: Result, other: Result) -> str:
    sizes = [one.quality.val.predictions.num_images for one in (first, other)]
    how = f"{sizes[0]:,} and {sizes[1]:,}" if sizes[0] != sizes[1] else "in another order"
    return (
        f"{first.cell_id} and {other.cell_id} were scored on different val images ({how}): "
        "only records of one task can be compared"
    )
