"""The rows worth a choice: no other is as good in everything and truly better in something.

What is measured is noisy, so a row falls off the front only where another is, beyond noise, better
in something and worse in nothing. A hair's breadth keeps no row on the front and throws none off.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.analysis.paired import BLOCK, Floats, Outcomes
from bench.analysis.power import on_t_scale
from bench.analysis.rows import ROUNDING, Row, comparable_cost

Mask = NDArray[np.bool_]

COSTS = ("train_seconds", "peak_memory_bytes", "total_parameters", "latency_seconds")

NOISE = np.array([0.05, 0.02, 0.0, 0.05])
"""Relative noise of each cost between two measurements of the same."""

LEAST = np.array([0.0, 16 * 2**20, 0.0, 0.0])
"""A difference below this is noise whatever the cost, in the cost's unit."""


def front(rows: Sequence[Row], found: Outcomes, limit: float, margin: float) -> tuple[Row, ...]:
    """The noise-aware Pareto front of complete rows, which come by val, in their order.

    Val scores differ beyond noise where they are `limit` standard errors apart, and no less than
    `margin`. Of a row with an unknown cost it cannot be said that another is worse in nothing, nor
    that it is: it is on the front and leaves no other out. A cost that no row has does not count.
    "Beyond noise" is not transitive, so a row is left out only for one that is on the front.
    """
    freedoms = np.nan_to_num(found.freedoms_R, nan=1.0).min(keepdims=True)
    limits = (limit, float(on_t_scale(limit, freedoms)[0]))
    costs_RV = costs(rows)
    known_R = np.isfinite(costs_RV).all(axis=1)
    places_K = np.flatnonzero(known_R)
    candidates_S = places_K[undominated(found.means_R[known_R], costs_RV[known_R])]
    dominated_SR = np.zeros((len(candidates_S), len(rows)), dtype=np.bool_)
    for start in range(0, len(candidates_S), BLOCK):
        some_S = candidates_S[start : start + BLOCK]
        for other in range(0, len(rows), BLOCK):
            block = np.arange(other, min(other + BLOCK, len(rows)))
            dominated_SR[start : start + BLOCK, block] = _dominates(
                some_S, block, costs_RV, found, limits, margin
            )
    dominated_SR[:, ~known_R] = False
    return tuple(rows[row] for row in _kept(dominated_SR, candidates_S, found.means_R))


def costs(rows: Sequence[Row]) -> Floats:
    """Costs of the rows, [R, V]; infinite where unknown, zero where none of them has that cost."""
    known = [[comparable_cost(row, name) for name in COSTS] for row in rows]
    costs_RV = np.array([[np.inf if cost is None else cost for cost in row] for row in known])
    costs_RV[:, np.isinf(costs_RV).all(axis=0)] = 0.0
    return costs_RV


def undominated(means_R: Floats, costs_RV: Floats) -> Mask:
    """The plain Pareto front: no other row is at least as good in all and better in one."""
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
    """Which costs of S rows are above those of R rows beyond noise, [S, R, V]."""
    noise_RV = np.maximum(less_RV * (1 + NOISE), less_RV + LEAST)
    return np.asarray(more_SV[:, None] > noise_RV)


def _dominates(
    some_S: NDArray[np.intp],
    others_R: NDArray[np.intp],
    costs_RV: Floats,
    found: Outcomes,
    limits: tuple[float, float],  # in standard errors: where images, and where seeds dominate
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
    found: Outcomes,
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
