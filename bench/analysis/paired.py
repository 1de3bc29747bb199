"""Which rows are truly behind the best: differences on the same val images, image by image.

Two things make a difference uncertain: which images happened to be drawn, and which seeds. Images
pair, so what is hard for all rows cancels out; seeds do not. The larger of the two standard errors
counts: either one alone raises false alarms where the other dominates.

The best of many equal rows is ahead by luck, and the more rows, the more luck. So a row is behind
only where its distance from the leader exceeds the largest distance that any two of so many equal
rows would have in 95 of 100 suites: max-T, like multiple comparisons with the best (Hsu 1984,
Annals of Statistics 12, 1136-1144), but with a leader chosen by the same data. Rows that are behind
are left out and the rest are compared again (step-down: Romano and Wolf 2005, Journal of the
American Statistical Association 100, 94-108). tests/analysis/test_error_rates.py simulates how
often this errs.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.stats import ROUNDING, Floats, holm, seed_variances, spread, tails

# Dimensions: R rows, N val images, K some of the rows, P pairs of rows.

BLOCK = 256
"""Rows whose images are held as floating-point numbers at once."""


class Lead(NamedTuple):
    """Mean score of the leader minus that of another row, on the same val images: -1 to 1."""

    mean: float
    se: float  # standard error: the larger of the next two
    se_items: float
    se_seeds: float | None  # None where no row has a second seed
    num_images: int
    num_seeds: tuple[int, int]


class Hits(NamedTuple):
    """What each row got right, and how much it varies with the seed. The leader comes first."""

    hits_RN: NDArray[np.unsignedinteger]  # seeds that were right
    weights_N: Floats  # of an image in the score; their mean is 1
    num_seeds_R: Floats
    means_R: Floats
    seed_variances_R: Floats  # of the mean; NaN where no row has a second seed
    freedoms_R: Floats  # degrees of freedom of that variance

    @property
    def num_images(self) -> int:
        return len(self.weights_N)

    def deviations(self, rows: slice | NDArray[np.intp]) -> Floats:
        """Each image's part in the error of these rows' means, [K, N].

        Their products sum to the covariances of the means over draws of the images. Weights are
        about the weighted mean, as for any ratio of sums.
        """
        shares_KN = self.hits_RN[rows] / self.num_seeds_R[rows, None]
        # No matrix product: its rounding depends on the place, and equal rows must stay equal.
        centres_K = (shares_KN * self.weights_N).sum(axis=1) / self.num_images
        scale = np.sqrt(self.num_images * max(self.num_images - 1, 1))
        return np.asarray((shares_KN - centres_K[:, None]) * (self.weights_N / scale))


class Contrasts(NamedTuple):
    """Differences of many pairs of rows, often the leader minus each: see `Lead`."""

    means_R: Floats
    items_R: Floats
    seeds_R: Floats  # NaN where unknown
    freedoms_R: Floats  # of the larger standard error

    @property
    def errors_R(self) -> Floats:
        return np.fmax(self.items_R, self.seeds_R)

    @property
    def p_values_R(self) -> Floats:
        return 2 * self._tails_R

    @property
    def z_R(self) -> Floats:
        """Normal deviates, from 0 up, as improbable as the t statistics."""
        return np.asarray(-special.ndtri(self._tails_R))

    @property
    def _tails_R(self) -> Floats:
        # One image, or images that never vary, tell nothing.
        tails_R = tails(np.abs(self.means_R), self.errors_R, self.freedoms_R)
        return np.asarray(np.where(self.freedoms_R > 0, tails_R, 0.5))


def with_seeds(
    hits_RN: NDArray[np.unsignedinteger], weights_N: Floats, scores: Sequence[Sequence[float]]
) -> Hits:
    spreads = [spread(of_row) for of_row in scores]
    seeds = seed_variances(spreads)
    return Hits(
        hits_RN=hits_RN,
        weights_N=weights_N,
        num_seeds_R=np.array([one.n for one in spreads], dtype=np.float64),
        means_R=np.array([one.mean for one in spreads]),
        seed_variances_R=np.array([one.of_mean for one in seeds], dtype=np.float64),
        freedoms_R=np.array([one.degrees_of_freedom for one in seeds], dtype=np.float64),
    )


def contrasts(found: Hits) -> Contrasts:
    """The leader minus each row, itself included."""
    rows_R = np.arange(len(found.hits_RN))
    return between(found, np.zeros_like(rows_R), rows_R)


def between(found: Hits, first_P: NDArray[np.intp], second_P: NDArray[np.intp]) -> Contrasts:
    """The first row of each pair minus the second: arrays [P] over the pairs."""
    items_P = np.empty(len(first_P))
    for start in range(0, len(items_P), BLOCK):
        block = slice(start, start + BLOCK)
        apart_KN = found.deviations(first_P[block]) - found.deviations(second_P[block])
        items_P[block] = np.linalg.norm(apart_KN, axis=1)
    variances_P = found.seed_variances_R[first_P] + found.seed_variances_R[second_P]
    seeds_P = np.sqrt(variances_P)
    by_seeds_P = np.nan_to_num(seeds_P) > items_P
    # Welch 1947, doi:10.1093/biomet/34.1-2.28; at most the degrees of freedom of all rows.
    squares_R = found.seed_variances_R**2 / found.freedoms_R
    with np.errstate(divide="ignore", invalid="ignore"):
        welch_P = variances_P**2 / (squares_R[first_P] + squares_R[second_P])
    freedoms_P = np.minimum(welch_P, (found.num_seeds_R - 1).sum())
    return Contrasts(
        means_R=found.means_R[first_P] - found.means_R[second_P],
        items_R=items_P,
        seeds_R=seeds_P,
        freedoms_R=np.where(by_seeds_P, freedoms_P, found.num_images - 1.0),
    )


def lead(found: Hits, behind: Contrasts, row: int) -> Lead:
    seeds = float(behind.seeds_R[row])
    return Lead(
        mean=float(behind.means_R[row]),
        se=float(behind.errors_R[row]),
        se_items=float(behind.items_R[row]),
        se_seeds=None if np.isnan(seeds) else seeds,
        num_images=found.num_images,
        num_seeds=(int(found.num_seeds_R[0]), int(found.num_seeds_R[row])),
    )


ALPHA = 0.05
"""In at most this share of suites, the tied set lacks one of the truly best rows."""

DRAWS = 4000
SIMULATED = 150
"""The largest distance of more rows than this is bounded (Bonferroni), not simulated."""


class Tied(NamedTuple):
    """Rows that cannot be told from the leader, itself included. The limit is a normal deviate."""

    rows_R: NDArray[np.bool_]
    limit: float  # for those left at the end: what a row close to the leader must exceed
    p_R: Floats  # adjusted for all rows; below ALPHA only where a row is not tied, or within margin


def simultaneous(found: Hits, behind: Contrasts, margin: float) -> Tied:
    """The tied set. Rows within `margin` are tied even where the difference is significant."""
    near_R = behind.means_R < margin - ROUNDING
    rows_R = np.ones(len(near_R), dtype=np.bool_)
    p_R = np.zeros(len(near_R))
    while True:
        apart = farthest(found, rows_R)
        least = p_R[~rows_R].max(initial=0.0)  # nearer rows are no surer to be behind
        p_R = np.where(rows_R, np.fmax(least, apart.p(behind.z_R)), p_R)
        left_R = rows_R & (near_R | (behind.z_R <= apart.limit))
        if (left_R == rows_R).all() or left_R.sum() == 1:
            return Tied(left_R, apart.limit, p_R)
        rows_R = left_R


def shown_near(
    found: Hits, behind: Contrasts, tied_R: NDArray[np.bool_], margin: float
) -> NDArray[np.bool_]:
    """The tied rows that are surely less than `margin` behind the leader.

    One-sided t tests, with Bonferroni's adjustment over the tied. Nothing is shown where no row has
    a second seed.
    """
    errors_R = np.maximum(_with_few_images(found, behind), behind.seeds_R)
    others = max(1, int(tied_R.sum()) - 1)
    p_R = tails(margin - behind.means_R, errors_R, behind.freedoms_R)
    return np.asarray(tied_R & (p_R < ALPHA / others))


def _with_few_images(found: Hits, behind: Contrasts) -> Floats:
    """Standard errors over images as if two more had been seen, one for either row.

    Few images on which two rows agree do not show that they always will: Agresti & Min 2005,
    doi:10.1002/sim.1781.
    """
    more = np.mean(found.weights_N**2) / (found.num_images + 2) ** 2
    return np.asarray(np.sqrt(behind.items_R**2 + more))


def better_than_guessing(found: Hits, guess: float) -> NDArray[np.bool_]:
    """The rows whose score is surely above `guess`, that of one answer for all images.

    Both must say so: a binomial test of the images, each counted once however many seeds scored it,
    and a t test over seeds where they are known. Holm's adjustment is over all rows.
    """
    num_images = found.num_images / np.mean(found.weights_N**2)  # Kish's effective sample size
    hits_R = np.clip(found.means_R * num_images, ROUNDING, num_images)
    by_images_R = special.betainc(hits_R, num_images - hits_R + 1, guess)
    errors_R = np.sqrt(found.seed_variances_R)
    by_seeds_R = tails(found.means_R - guess, errors_R, found.freedoms_R)
    return np.asarray(holm(np.fmax(by_images_R, by_seeds_R)) < ALPHA)


class Farthest(NamedTuple):
    """How far apart those two of some rows come to lie by chance that lie farthest apart."""

    num_pairs: int
    draws_B: Floats | None  # normal deviates; None: bounded by the number of pairs

    @property
    def limit(self) -> float:
        if self.draws_B is None:
            return -float(special.ndtri(ALPHA / 2 / self.num_pairs))
        return float(np.quantile(self.draws_B, 1 - ALPHA, method="higher"))

    def p(self, z_R: Floats) -> Floats:
        """How often chance alone goes so far; of draws at least once, the one that was seen."""
        if self.draws_B is None:
            return np.asarray(np.minimum(1.0, 2 * self.num_pairs * special.ndtr(-z_R)))
        num_draws = len(self.draws_B)
        beyond_R = num_draws - np.searchsorted(np.sort(self.draws_B), z_R)
        return np.asarray((1 + beyond_R) / (1 + num_draws))


def farthest(found: Hits, rows_R: NDArray[np.bool_]) -> Farthest:
    count = int(rows_R.sum())
    num_pairs = max(1, count * (count - 1) // 2)
    if not 2 <= count <= SIMULATED:
        return Farthest(num_pairs, None)
    rows_K = np.flatnonzero(rows_R)
    deviations_KN = found.deviations(rows_K)
    covariance_KK = deviations_KN @ deviations_KN.T
    covariance_KK += np.diag(np.nan_to_num(found.seed_variances_R[rows_K]))
    return Farthest(num_pairs, largest_distances(covariance_KK))


def largest_distances(covariance_KK: Floats, draws: int = DRAWS) -> Floats:
    """The largest standardised distance in each draw of correlated normal means, [draws]."""
    count = len(covariance_KK)
    # Rows with the same predictions make the matrix singular.
    jitter = 1e-10 * covariance_KK.trace() / count + np.finfo(np.float64).tiny
    root_KK = np.linalg.cholesky(covariance_KK + jitter * np.eye(count))
    means_KB = root_KK @ np.random.default_rng(0).standard_normal((count, draws))
    variances_K = covariance_KK.diagonal()
    squares_KK = variances_K[:, None] + variances_K - 2 * covariance_KK
    same_KK = squares_KK <= 1e-9 * variances_K.max()
    inverse_KK = np.where(same_KK, 0.0, 1 / np.sqrt(np.where(same_KK, 1.0, squares_KK)))
    largest_B = np.zeros(draws)
    for row in range(count - 1):
        distances = np.abs(means_KB[row] - means_KB[row + 1 :]) * inverse_KK[row, row + 1 :, None]
        np.maximum(largest_B, distances.max(axis=0), out=largest_B)
    return largest_B


POWER = 0.8
"""A difference is visible if it would be found in this share of suites."""

Z_POWER = float(special.ndtri(POWER))

REACH = 1000.0
"""More than so many times the seeds or images that there are is out of reach."""


class Settling(NamedTuple):
    """What would tell a tied row from the leader, if the difference seen is the true one.

    Or, of a row within the margin, what would show that it is. None where that would not help: the
    difference is the margin, the other source of error is too large, or more than `REACH` times as
    much is needed. With one seed, `more_seeds` is unknown.
    """

    more_seeds: int | None  # for each row, on the same images
    val_images: int | None  # in all, with the same seeds


def visible_difference(
    behind: Contrasts, tied_R: NDArray[np.bool_], limit: float, margin: float
) -> float | None:
    """The smallest true difference from the leader that is found in 80 of 100 suites.

    Median over the tied rows and the first that is not: rows far behind err on other images, so
    their distance is less certain and beside the point. None where none of these varies.
    """
    errors_R = behind.errors_R
    near_R = tied_R | (np.cumsum(~tied_R) == 1)
    compared_R = near_R & (errors_R > 0) & (behind.freedoms_R > 0)  # not the leader with itself
    if not compared_R.any():
        return None
    limits_R = on_t_scale(limit, behind.freedoms_R)
    needed_R = np.maximum((limits_R + Z_POWER) * errors_R, margin + Z_POWER * errors_R)
    return float(np.median(needed_R[compared_R]))


def on_t_scale(limit: float, freedoms_R: Floats) -> Floats:
    """A normal deviate as the t statistic that is as improbable."""
    return np.asarray(special.stdtrit(np.maximum(freedoms_R, 1), special.ndtr(limit)))


def settling(found: Hits, behind: Contrasts, row: int, limit: float, margin: float) -> Settling:
    mean = float(behind.means_R[row])
    if abs(mean - margin) <= ROUNDING:
        return Settling(None, None)
    t_limit = float(on_t_scale(limit, behind.freedoms_R[row : row + 1])[0])
    # The difference must be both significant and no less than the margin; or surely less than it.
    apart = min(mean / (t_limit + Z_POWER), (mean - margin) / Z_POWER)
    needed = (apart if mean > margin else (margin - mean) / (t_limit + Z_POWER)) ** 2
    items, seeds = float(behind.items_R[row]) ** 2, float(behind.seeds_R[row]) ** 2
    if np.isnan(seeds):
        return Settling(None, _within_reach(found.num_images, items / needed))
    chance = chance_variance(found, 0) + chance_variance(found, row)
    num_seeds = int(found.num_seeds_R[[0, row]].min())
    # More seeds reduce all chance, and leave what is different by nature between the images; more
    # images reduce all but the luck of a whole training.
    left = needed - max(0.0, items - chance), needed - max(0.0, seeds - chance)
    more_seeds = max(chance / left[0], seeds / needed) if left[0] > 0 else math.inf
    more_images = max(items / needed, min(chance, seeds) / left[1]) if left[1] > 0 else math.inf
    in_all = _within_reach(num_seeds, more_seeds)
    return Settling(
        more_seeds=None if in_all is None else in_all - num_seeds,
        val_images=_within_reach(found.num_images, more_images),
    )


def _within_reach(now: int, factor: float) -> int | None:
    return None if factor > REACH else max(now + 1, math.ceil(now * factor))


def chance_variance(found: Hits, row: int) -> float:
    """The part of a mean's variance that comes from images that change with the seed."""
    seeds = found.num_seeds_R[row]
    if seeds < 2:
        return 0.0
    shares_N = found.hits_RN[row] / seeds
    varying_N = shares_N * (1 - shares_N) / (seeds - 1) * found.weights_N**2
    return float(varying_N.mean() / found.num_images)
