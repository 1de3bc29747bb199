"""What a suite could have seen, and what it would take to see more."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.paired import Contrasts, Floats, Outcomes
from bench.analysis.rows import ROUNDING

POWER = 0.8
"""How often a difference must be found to count as one that can be seen."""

Z_POWER = float(special.ndtri(POWER))

REACH = 1000.0
"""Nobody asks for more than so many times the seeds or images that there are."""


class Settling(NamedTuple):
    """What would tell a tied row from the leader, at the difference seen and 80 % power.

    None where it cannot be had that way: the difference is within the margin, the other source
    of error is too large, it would take more than `REACH` times as much as there is, or, of seeds,
    there is only one, which does not tell what more would bring.
    """

    more_seeds: int | None  # for each row, on the images there are
    val_images: int | None  # in all, with the seeds there are


def visible_difference(
    behind: Contrasts, tied_R: NDArray[np.bool_], limit: float, margin: float
) -> float | None:
    """The smallest true difference from the leader that is found in 80 of 100 suites.

    Median over the rows at which the choice was made: the tied, and the first that is not. Rows
    far behind err on other images, so that their distance is less certain and beside the point.
    None where none of these varies.
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
    """A limit in normal deviates as one of t statistics with these degrees of freedom."""
    return np.asarray(special.stdtrit(np.maximum(freedoms_R, 1), special.ndtr(limit)))


def settling(found: Outcomes, behind: Contrasts, row: int, limit: float, margin: float) -> Settling:
    """What would tell this row from the leader, which is row 0."""
    mean = float(behind.means_R[row])
    if mean <= margin + ROUNDING:
        return Settling(None, None)
    t_limit = float(on_t_scale(limit, behind.freedoms_R[row : row + 1])[0])
    # The difference must be both significant and no less than the margin.
    needed = min(mean / (t_limit + Z_POWER), (mean - margin) / Z_POWER) ** 2
    items = float(behind.items_R[row]) ** 2
    if np.isnan(behind.seeds_R[row]):
        return Settling(None, _within_reach(found.num_images, items / needed))
    seeds = float(behind.seeds_R[row]) ** 2
    chance = chance_variance(found, 0) + chance_variance(found, row)
    num_seeds = int(found.num_seeds_R[[0, row]].min())
    in_all = _within_reach(num_seeds, _more_seeds(items, seeds, chance, needed))
    return Settling(
        more_seeds=None if in_all is None else in_all - num_seeds,
        val_images=_within_reach(found.num_images, _more_images(items, seeds, chance, needed)),
    )


def _within_reach(now: int, factor: float) -> int | None:
    return None if factor > REACH else max(now + 1, math.ceil(now * factor))


def chance_variance(found: Outcomes, row: int) -> float:
    """The part of a mean's variance that comes of single images changing sides between seeds."""
    seeds = found.num_seeds_R[row]
    if seeds < 2:
        return 0.0
    shares_N = found.hits_RN[row] / seeds
    varying_N = shares_N * (1 - shares_N) / (seeds - 1) * found.weights_N**2
    return float(varying_N.mean() / found.num_images)


def _more_seeds(items: float, seeds: float, chance: float, needed: float) -> float:
    """Times the seeds: they leave what the images differ in by nature, and lessen all chance."""
    by_nature = max(0.0, items - chance)
    if by_nature >= needed:
        return math.inf
    return max(chance / (needed - by_nature), seeds / needed)


def _more_images(items: float, seeds: float, chance: float, needed: float) -> float:
    """Times the images: they leave what a whole training is lucky in, and lessen the rest."""
    of_training = max(0.0, seeds - chance)
    if of_training >= needed:
        return math.inf
    return max(items / needed, min(chance, seeds) / (needed - of_training))
