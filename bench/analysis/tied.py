"""Which rows cannot be told apart from the best: a simultaneous comparison of all of them.

The best observed of many equal rows is ahead by luck, and the more rows, the more luck. So a row
is behind only where its distance from the leader is more than the largest distance between any
two rows would be if all were equal, in 95 of 100 suites: max-T, in the manner of multiple
comparisons with the best (Hsu 1984, Annals of Statistics 12, 1136-1144) but with the leader chosen
by the same data. What has fallen behind is left out and the rest are compared anew (step-down:
Romano and Wolf 2005, Journal of the American Statistical Association 100, 94-108).

How often that errs is simulated in tests/analysis/test_error_rates.py.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.paired import Contrasts, Floats, Outcomes
from bench.analysis.rows import ROUNDING

ALPHA = 0.05
"""Of so many suites, at most, one of the truly best rows is missing from the tied set."""

DRAWS = 4000
SIMULATED = 150
"""Most rows whose largest distance is simulated; of more, Bonferroni's bound serves."""


class Tied(NamedTuple):
    """The rows that are not told apart from the leader, which is one of them, as a mask [R].

    The two limits are in standard errors, on the normal scale: for all rows, and for those that
    were left at last, which is what a row close to the leader had to pass.
    """

    rows_R: NDArray[np.bool_]
    first_limit: float
    last_limit: float


def simultaneous(found: Outcomes, behind: Contrasts, margin: float) -> Tied:
    """The tied set around the leader.

    Rows within `margin` are tied even where the difference is significant: it is of no use.
    """
    near_R = behind.means_R < margin - ROUNDING
    rows_R = np.ones(len(near_R), dtype=np.bool_)
    first = last = limit(found, rows_R)
    while True:
        left_R = rows_R & (near_R | (behind.z_R <= last))
        if (left_R == rows_R).all():
            return Tied(rows_R, first, last)
        rows_R = left_R
        if rows_R.sum() > 1:
            last = limit(found, rows_R)


def limit(found: Outcomes, rows_R: NDArray[np.bool_]) -> float:
    """The distance of which equal rows would have none so large in 95 of 100 suites."""
    count = int(rows_R.sum())
    if count < 2:
        return -float(special.ndtri(ALPHA / 2))
    if count > SIMULATED:
        return -float(special.ndtri(ALPHA / (count * (count - 1))))
    rows_K = np.flatnonzero(rows_R)
    deviations_KN = found.deviations(rows_K)
    covariance_KK = deviations_KN @ deviations_KN.T
    covariance_KK += np.diag(np.nan_to_num(found.seed_variances_R[rows_K]))
    return float(np.quantile(largest_distances(covariance_KK), 1 - ALPHA, method="higher"))


def largest_distances(covariance_KK: Floats, draws: int = DRAWS) -> Floats:
    """Of so many draws of correlated normal means, the largest standardised distance, [draws]."""
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
