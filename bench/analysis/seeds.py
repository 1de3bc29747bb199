"""How much a score varies from seed to seed, where each row has few seeds to tell it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.stats import Spread


class SeedVariance(NamedTuple):
    """Of one row's mean score over its seeds; both None where no row has a second seed."""

    of_mean: float | None
    degrees_of_freedom: float | None


def seed_variances(rows: Sequence[Spread]) -> list[SeedVariance]:
    """The variance of each row's mean, its own shrunk towards that of all rows.

    Rows differ in how much their seeds vary, and two or three seeds hardly show it. If the true
    variances follow a scaled inverse chi-square with `prior` degrees of freedom, the best guess
    weighs each row's own variance by its degrees of freedom and the common one by the prior's
    (moderated variances: Smyth 2004, doi:10.2202/1544-6115.1027). The prior is found by matching
    the first two moments of the variances seen; where they vary no more than equal variances
    would, the common one serves all rows. A row with one seed takes the common one.
    """
    seen = [(row.sd**2, row.n - 1) for row in rows if row.sd is not None]
    total = sum(freedom for _, freedom in seen)
    if not total:
        return [SeedVariance(None, None) for _ in rows]
    common = sum(variance * freedom for variance, freedom in seen) / total
    prior = _prior(seen, common, total)
    return [_moderated(row, common, prior, total) for row in rows]


def _prior(seen: Sequence[tuple[float, int]], common: float, total: int) -> float:
    """Degrees of freedom of the common variance; infinite where all rows have the same."""
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
