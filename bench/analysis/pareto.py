"""The rows worth a choice: no other is as good in everything and truly better in something.

Measurements are noisy, so a row falls off the front only where another is, beyond noise, better in
something and worse in nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.analysis.paired import Hits, between, on_t_scale
from bench.analysis.stats import ROUNDING, Floats

Mask = NDArray[np.bool_]


class CostColumn(NamedTuple):
    """A cost that a choice looks at: the lower the better."""

    title: str
    unit: str  # in words, after a number
    scale: float  # what one of the unit is
    noise: float  # relative, between two measurements of one cell
    least: float  # any smaller difference is noise
    of_work: bool  # of the work that cells with odd costs did in another way


COSTS: Mapping[str, CostColumn] = {
    "train_seconds": CostColumn("train time", "s of training", 1.0, 0.05, 0.0, True),
    "peak_memory_bytes": CostColumn(
        "peak memory", "MiB of memory", 2.0**20, 0.02, 16 * 2**20, True
    ),
    "total_parameters": CostColumn("parameters", "M parameters", 1e6, 0.0, 0.0, False),
    "latency_seconds": CostColumn("latency", "ms of latency", 1e-3, 0.05, 0.0, False),
}
"""By its column in a run's table: what a suite may prefer, a budget limits and the front weighs."""

NOISE = np.array([cost.noise for cost in COSTS.values()])
LEAST = np.array([cost.least for cost in COSTS.values()])

Costs = Sequence[Sequence[float | None]]
"""Of each row, in the order of COSTS; None where unknown."""


def front(costs: Costs, found: Hits, limit: float, margin: float) -> list[int]:
    """Places of the rows on the noise-aware Pareto front; rows come by val, best first.

    Val scores differ beyond noise where they are at least `limit` standard errors and `margin`
    apart. A row with an unknown cost is on the front and leaves no other out: it can be neither
    shown to be dominated nor to dominate. A cost that no row has does not count. "Beyond noise" is
    not transitive, so a row is left out only for one that is on the front.
    """
    costs_RV = known_or_infinite(costs)
    known_R = np.isfinite(costs_RV).all(axis=1)
    places_K = np.flatnonzero(known_R)
    dominated = {
        int(row): known_R & _dominated_by(row, costs_RV, found, limit, margin)
        for row in places_K[undominated(found.means_R[known_R], costs_RV[known_R])]
    }
    is_beaten_R = np.logical_or.reduce([np.zeros_like(known_R), *dominated.values()])
    # In a circle, the better val score is kept first.
    kept: list[int] = []
    out_R = np.zeros_like(known_R)
    for row in map(int, np.lexsort((-found.means_R, is_beaten_R))):
        if not out_R[row]:
            kept.append(row)
            out_R |= dominated.get(row, False)
    return sorted(kept)


def known_or_infinite(costs: Costs) -> Floats:
    """Costs [R, V]: infinite where unknown, zero where no row has that cost."""
    costs_RV = np.array([[np.inf if cost is None else cost for cost in row] for row in costs])
    costs_RV[:, np.isinf(costs_RV).all(axis=0)] = 0.0
    return costs_RV


def undominated(means_R: Floats, costs_RV: Floats) -> Mask:
    values_RV = np.column_stack([-means_R, costs_RV])
    on_R = np.zeros(len(values_RV), dtype=np.bool_)
    kept_KV = np.empty_like(values_RV)
    count = 0
    # In lexical order whatever dominates a row comes before it.
    for row in np.lexsort(values_RV.T[::-1]):
        better_K = (kept_KV[:count] <= values_RV[row]).all(axis=1)
        if not (better_K & (kept_KV[:count] < values_RV[row]).any(axis=1)).any():
            on_R[row] = True
            kept_KV[count] = values_RV[row]
            count += 1
    return on_R


def _dominated_by(row: int, costs_RV: Floats, found: Hits, limit: float, margin: float) -> Mask:
    """Rows that this one is, beyond noise, better than in something and worse than in nothing."""
    dominated_R = ~_above(costs_RV[row], costs_RV)
    rows_K = np.flatnonzero(dominated_R)  # no cost of this row is above theirs
    ahead = between(found, np.full_like(rows_K, row), rows_K)
    by_seeds_K = np.nan_to_num(ahead.seeds_R) > ahead.items_R
    fewest = np.nan_to_num(found.freedoms_R, nan=1.0).min(keepdims=True)
    errors_K = np.where(by_seeds_K, on_t_scale(limit, fewest), limit) * ahead.errors_R
    apart_K = np.abs(ahead.means_R)
    told_apart_K = (apart_K > errors_K) & (apart_K >= margin - ROUNDING)
    is_better_K = _above(costs_RV[rows_K], costs_RV[row]) | (told_apart_K & (ahead.means_R > 0))
    dominated_R[rows_K] = is_better_K & ~(told_apart_K & (ahead.means_R < 0))
    return dominated_R


def _above(more_RV: Floats, less_RV: Floats) -> Mask:
    """Whether any cost exceeds the other's beyond noise, [R]."""
    noise_RV = np.maximum(less_RV * (1 + NOISE), less_RV + LEAST)
    return np.asarray((more_RV > noise_RV).any(axis=1))
