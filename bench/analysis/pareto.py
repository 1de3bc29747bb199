"""The rows worth a choice: no other is as good in everything and truly better in something.

Measurements are noisy, so a row falls off the front only where another is, beyond noise, better in
something and worse in nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.analysis.paired import BLOCK, Hits, on_t_scale
from bench.analysis.stats import ROUNDING, Floats

Mask = NDArray[np.bool_]


class CostColumn(NamedTuple):
    """A cost that a choice looks at: the lower the better."""

    title: str
    unit: str  # in words, after a number
    scale: float  # what one of the unit is
    noise: float  # relative, between two measurements of one cell
    least: float  # any smaller difference is noise
    lowered_by_reuse: bool  # leaves out work where the features of an earlier run were used


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
    num_rows = len(costs)
    freedoms = np.nan_to_num(found.freedoms_R, nan=1.0).min(keepdims=True)
    limits = (limit, float(on_t_scale(limit, freedoms)[0]))
    costs_RV = known_or_infinite(costs)
    known_R = np.isfinite(costs_RV).all(axis=1)
    places_K = np.flatnonzero(known_R)
    candidates_S = places_K[undominated(found.means_R[known_R], costs_RV[known_R])]
    dominated_SR = np.zeros((len(candidates_S), num_rows), dtype=np.bool_)
    for start in range(0, len(candidates_S), BLOCK):
        some_S = candidates_S[start : start + BLOCK]
        for other in range(0, num_rows, BLOCK):
            block = np.arange(other, min(other + BLOCK, num_rows))
            dominated_SR[start : start + BLOCK, block] = _dominates(
                some_S, block, costs_RV, found, limits, margin
            )
    dominated_SR[:, ~known_R] = False
    return _kept(dominated_SR, candidates_S, found.means_R)


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


def above(more_SV: Floats, less_RV: Floats) -> Mask:
    """Which costs of S rows exceed those of R rows beyond noise, [S, R, V]."""
    noise_RV = np.maximum(less_RV * (1 + NOISE), less_RV + LEAST)
    return np.asarray(more_SV[:, None] > noise_RV)


def _dominates(
    some_S: NDArray[np.intp],
    others_R: NDArray[np.intp],
    costs_RV: Floats,
    found: Hits,
    limits: tuple[float, float],  # in standard errors: where images dominate, and where seeds do
    margin: float,
) -> Mask:
    dearer_SR = above(costs_RV[some_S], costs_RV[others_R]).any(axis=2)
    if dearer_SR.all():
        return np.zeros_like(dearer_SR)
    cheaper_SR = above(costs_RV[others_R], costs_RV[some_S]).any(axis=2).T
    ahead_SR = found.means_R[some_S, None] - found.means_R[others_R]
    told_apart_SR = np.abs(ahead_SR) > _noise(some_S, others_R, found, limits)
    told_apart_SR &= np.abs(ahead_SR) >= margin - ROUNDING
    worse_SR = dearer_SR | (told_apart_SR & (ahead_SR < 0))
    better_SR = cheaper_SR | (told_apart_SR & (ahead_SR > 0))
    return np.asarray(better_SR & ~worse_SR)


def _noise(
    some_S: NDArray[np.intp],
    others_R: NDArray[np.intp],
    found: Hits,
    limits: tuple[float, float],
) -> Floats:
    """Distance up to which two val scores are not told apart, [S, R]."""
    one_SN, other_RN = found.deviations(some_S), found.deviations(others_R)
    squares_S, squares_R = (one_SN**2).sum(axis=1), (other_RN**2).sum(axis=1)
    items_SR = squares_S[:, None] + squares_R - 2 * one_SN @ other_RN.T
    seeds_R = np.nan_to_num(found.seed_variances_R)
    seeds_SR = seeds_R[some_S, None] + seeds_R[others_R]
    limit_SR = np.where(seeds_SR > items_SR, limits[1], limits[0])
    return np.asarray(limit_SR * np.sqrt(np.maximum(np.maximum(items_SR, seeds_SR), 0)))


def _kept(dominated_SR: Mask, candidates_S: NDArray[np.intp], means_R: Floats) -> list[int]:
    """Rows that no kept row dominates; in a circle, the better val score is kept first."""
    order = np.lexsort((-means_R, dominated_SR.any(axis=0)))
    kept: list[int] = []
    out_R = np.zeros(len(means_R), dtype=np.bool_)
    place = {int(row): p for p, row in enumerate(candidates_S)}
    for row in map(int, order):
        if not out_R[row]:
            kept.append(row)
            if row in place:
                out_R |= dominated_SR[place[row]]
    return sorted(kept)
