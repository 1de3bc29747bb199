"""Where the next run should lie, by the runs before it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.paired import Floats, holm
from bench.analysis.seeds import seed_variances
from bench.analysis.stats import spread

NEEDED = 5
"""Past runs without which nothing is predicted."""


class Prediction(NamedTuple):
    """Of one new value for each of P rows, by its past; NaN where that is too short."""

    means_P: Floats
    errors_P: Floats  # of a new value about the mean, the mean's own error included
    freedoms_P: Floats

    def tails(self, values_P: Floats) -> tuple[Floats, Floats]:
        """One-sided p of values that are so high, and of values that are so low."""
        with np.errstate(divide="ignore", invalid="ignore"):
            apart_P = values_P - self.means_P
            t_P = np.where(apart_P == 0, 0.0, apart_P / self.errors_P)
        return special.stdtr(self.freedoms_P, -t_P), special.stdtr(self.freedoms_P, t_P)

    def limits(self, alpha: float) -> Floats:
        """How far above its mean a new value lies by chance with this probability."""
        return np.asarray(special.stdtrit(self.freedoms_P, 1 - alpha) * self.errors_P)


def predicted(past_HP: Floats) -> Prediction:
    """The prediction from H past runs, NaN where a row is not in one.

    The error is Student's, for one new value; the variance of each row is shrunk towards that of
    all rows, as seeds' are (see `bench.analysis.seeds`): few runs hardly tell it.
    """
    counts_P = (~np.isnan(past_HP)).sum(axis=0)
    rows_K = np.flatnonzero(counts_P >= NEEDED)
    means_P, errors_P, freedoms_P = (np.full(len(counts_P), np.nan) for _ in range(3))
    spreads = [spread(_known(past_HP[:, row])) for row in rows_K]
    for row, seen, variance in zip(rows_K, spreads, seed_variances(spreads), strict=True):
        of_mean, freedom = variance.of_mean, variance.degrees_of_freedom
        if of_mean is None or freedom is None:
            continue
        means_P[row], freedoms_P[row] = seen.mean, freedom
        errors_P[row] = np.sqrt(of_mean * (seen.n + 1))
    return Prediction(means_P, errors_P, freedoms_P)


def _known(values_H: Floats) -> Sequence[float]:
    known: Sequence[float] = values_H[~np.isnan(values_H)].tolist()
    return known


def is_long(past_HP: Floats) -> NDArray[np.bool_]:
    """Rows whose past is long enough, [P]."""
    return np.asarray((~np.isnan(past_HP)).sum(axis=0) >= NEEDED)


def adjusted(p_values: Floats) -> Floats:
    """Holm's adjustment over those that were judged; NaN stays."""
    known = ~np.isnan(p_values)
    found = np.full(len(p_values), np.nan)
    found[known] = holm(p_values[known].tolist())
    return found
