"""Differences of rows that were scored on the same val images, image by image.

Two things make a difference uncertain: which images happened to be drawn, and which seeds. The
images pair, so that what is hard for all rows cancels out; the seeds do not. The larger of the two
standard errors counts: either one alone raises false alarms where the other dominates.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.rows import score_of
from bench.analysis.seeds import seed_variances
from bench.analysis.stats import spread, weights
from bench.predictions import unpack_column
from bench.record import Metric, Result

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
        # Not a matrix product: it rounds rows by their place, and like rows must stay alike.
        centres_K = (shares_KN * self.weights_N).sum(axis=1) / self.num_images
        scale = np.sqrt(self.num_images * max(self.num_images - 1, 1))
        return np.asarray((shares_KN - centres_K[:, None]) * (self.weights_N / scale))


class Contrasts(NamedTuple):
    """One row minus another, often the leader minus each: arrays of what `Difference` holds."""

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
    """The outcomes of rows given by their ok records, the leader's first.

    Raises ValueError where the records were not scored on the same val images in one order, or
    their predictions are damaged.
    """
    first = rows[0][0]
    labels_N = _column(first, "labels")
    counts = [len(results) for results in rows]
    hits_RN = np.zeros((len(rows), len(labels_N)), np.min_scalar_type(max(counts)))
    for row, results in enumerate(rows):
        for result in results:
            _check_images(first, result, labels_N)
            hits_RN[row] += _column(result, "classes") == labels_N
    scores = [[score_of(one.quality.val, metric) for one in results] for results in rows]
    return with_seeds(hits_RN, weights(labels_N, metric), scores)


def with_seeds(
    hits_RN: NDArray[np.unsignedinteger], weights_N: Floats, scores: Sequence[Sequence[float]]
) -> Outcomes:
    """The outcomes by the scores of each row's seeds."""
    spreads = [spread(of_row) for of_row in scores]
    seeds = seed_variances(spreads)
    return Outcomes(
        hits_RN=hits_RN,
        weights_N=weights_N,
        num_seeds_R=np.array([one.n for one in spreads], dtype=np.float64),
        means_R=np.array([one.mean for one in spreads]),
        seed_variances_R=np.array([one.of_mean for one in seeds], dtype=np.float64),
        freedoms_R=np.array([one.degrees_of_freedom for one in seeds], dtype=np.float64),
    )


def _column(result: Result, name: Literal["labels", "classes"]) -> NDArray[np.integer]:
    packed = result.quality.val.predictions
    try:
        return unpack_column(name, getattr(packed, name), packed.num_images)
    except ValueError as error:
        raise ValueError(f"{result.cell_id}: {error}") from error


def _check_images(first: Result, other: Result, labels_N: NDArray[np.integer]) -> None:
    one, two = first.quality.val.predictions, other.quality.val.predictions
    if one.num_images != two.num_images:
        how = f"{one.num_images:,} and {two.num_images:,}"
    # Another version of zlib may write the same labels as another text.
    elif one.labels != two.labels and (_column(other, "labels") != labels_N).any():
        how = "true classes differ"
    else:
        return
    raise ValueError(
        f"{first.cell_id} and {other.cell_id} were scored on different val images ({how}): "
        "only records of one task can be compared"
    )


def contrasts(found: Outcomes) -> Contrasts:
    """The leader, which is the first row, minus each row, itself included."""
    rows_R = np.arange(len(found.hits_RN))
    return between(found, np.zeros_like(rows_R), rows_R)


def between(found: Outcomes, first_P: NDArray[np.intp], second_P: NDArray[np.intp]) -> Contrasts:
    """The first row of each pair minus the second: arrays [P] over the pairs."""
    items_P = np.empty(len(first_P))
    for start in range(0, len(items_P), BLOCK):
        block = slice(start, start + BLOCK)
        apart_KN = found.deviations(first_P[block]) - found.deviations(second_P[block])
        items_P[block] = np.linalg.norm(apart_KN, axis=1)
    seeds_P = np.sqrt(found.seed_variances_R[first_P] + found.seed_variances_R[second_P])
    by_seeds_P = np.nan_to_num(seeds_P) > items_P
    freedoms_P = _seed_freedoms(found, first_P, second_P)
    return Contrasts(
        means_R=found.means_R[first_P] - found.means_R[second_P],
        items_R=items_P,
        seeds_R=seeds_P,
        freedoms_R=np.where(by_seeds_P, freedoms_P, found.num_images - 1.0),
    )


def _seed_freedoms(
    found: Outcomes, first_P: NDArray[np.intp], second_P: NDArray[np.intp]
) -> Floats:
    """Degrees of freedom of the sum of two rows' seed variances, [P].

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28. There are never more than all rows have.
    """
    variances_R, freedoms_R = found.seed_variances_R, found.freedoms_R
    squares_R = variances_R**2 / freedoms_R
    with np.errstate(divide="ignore", invalid="ignore"):
        sums_P = variances_R[first_P] + variances_R[second_P]
        welch_P = sums_P**2 / (squares_R[first_P] + squares_R[second_P])
    return np.asarray(np.minimum(welch_P, (found.num_seeds_R - 1).sum()))


def difference(found: Outcomes, behind: Contrasts, row: int) -> Difference:
    """One entry of the contrasts."""
    items, seeds = float(behind.items_R[row]), float(behind.seeds_R[row])
    known = not np.isnan(seeds)
    return Difference(
        mean=float(behind.means_R[row]),
        se=max(items, seeds) if known else items,
        se_items=items,
        se_seeds=seeds if known else None,
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
