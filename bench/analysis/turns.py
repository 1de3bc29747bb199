"""Whether one code is slower than another, by runs of both that took turns in one sitting.

Where there is no history, each pair of neighbouring runs is its own yardstick: of each cell the
logarithm of new / old, and over the pairs its mean with Student's interval, the variance of each
cell shrunk towards that of all (see `bench.analysis.seeds`): few pairs hardly tell it.

The machine drifts from run to run for all cells alike. What the cells of a pair have in common is
therefore taken off each of them, and judged as a row of its own, with the drift as its noise;
where it is surely quicker, it stays in each: see `judge_cells`.
That part is code here: the runs took turns, so a machine that drifts makes it uncertain and not
slower. What is common to the pairs is the median cell; of an even number every value between the
two in the middle is a median, and the one nearest to no change is taken, so that of two changed
cells in four the two that changed are named.

Simulated with 1 % of noise within a run and 1 % for each cell and run (tests/analysis/test_turns):
five pairs of 6 or 24 cells raise a false alarm in less than 2 of 100 sittings and find one cell
that is 10 % slower in all, even where the machine drifts by 5 % from run to run. What drift hides
is a change of all cells: 10 % are found in 99 of 100 where it is 2 %, in 57 where it is 5 % (three
pairs: in 70 and 24; seven: in all and 80).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from bench.analysis.bounds import adjusted
from bench.analysis.paired import Floats
from bench.analysis.power import Z_POWER
from bench.analysis.seeds import seed_variances
from bench.analysis.speed import FEW_CELLS, nearest_median
from bench.analysis.stats import Interval, spread
from bench.analysis.verdict import Word

ALPHA = 0.02
"""Of the cells, and of the common part.

The floor spares false alarms only where the noise is below it: with 5 to 10 % of noise for each
cell and run, and 5 % of drift, 5 to 7 of 100 sittings raise one.
"""

LEAST_PAIRS = 3
"""Two pairs tell next to nothing of their own scatter."""

UNSEEN = 0.15
"""Where a change so far above the floor could have gone unseen, a small one seen is no pass."""

NOISE = "within the noise"
WITH_COMMON = "with what all have in common"


class Turn(NamedTuple):
    """The judgement of one cell; changes are relative, over `num_pairs` pairs."""

    word: Word
    change: float | None
    interval: Interval | None  # 95 %, of this cell alone
    p_adjusted: float | None
    visible: float | None
    num_pairs: int
    reason: str


class Parted(NamedTuple):
    """Logarithms of new / old in H pairs, taken apart."""

    own_HP: Floats
    common_H: Floats | None  # None where too few pairs or cells are there to tell it


def parted(ratios_HP: Floats) -> Parted:
    """What is of each cell, and what is of all; NaN is unknown.

    Pairs with too few cells to tell what these have in common are left out. The common part of a
    pair is what moves its cells away from their means over the pairs.
    """
    is_known_HP = ~np.isnan(ratios_HP)
    enough_H = is_known_HP.sum(axis=1) >= FEW_CELLS
    within_HP = ratios_HP[enough_H]
    within_HP = within_HP[:, ~np.isnan(within_HP).all(axis=0)]
    if len(within_HP) < LEAST_PAIRS or within_HP.shape[1] < FEW_CELLS:
        return Parted(ratios_HP, None)
    drift_H = np.nanmedian(within_HP - np.nanmean(within_HP, axis=0), axis=1)
    level = nearest_median(np.nanmean(within_HP - drift_H[:, None], axis=0))
    common_H = drift_H + level
    return Parted(ratios_HP[enough_H] - common_H[:, None], common_H)


def judge_cells(split: Parted, floors_P: Floats) -> list[Turn]:
    """A judgement for each cell; floors are relative changes.

    Where the new code is surely quicker in what all have in common, nothing is taken off: cells
    that stayed as they were are no slower for that. Among few cells of much noise the common part
    is as uncertain as they are. So a cell that is slower than the others by the floor, but not
    surely so, counts where it is surely slower together with what all have in common; it is told
    so then.
    """
    if split.common_H is None:
        return _judge_each(split.own_HP, floors_P)
    wholes = _judge_each(split.own_HP + split.common_H[:, None], floors_P)
    if judge_common(split.common_H, floors_P).word == "improved":
        return [
            whole._replace(reason="; ".join(filter(None, (whole.reason, WITH_COMMON))))
            for whole in wholes
        ]
    return [
        whole._replace(reason=WITH_COMMON)
        if own.reason == NOISE and whole.word == "regressed"
        else own
        for own, whole in zip(judge(split.own_HP, floors_P, ALPHA), wholes, strict=True)
    ]


def _judge_each(ratios_HP: Floats, floors_P: Floats) -> list[Turn]:
    """Each cell by its own variance, for the drift is in all: one tells nothing of another's."""
    count = len(floors_P)
    found = [
        judge(ratios_HP[:, [place]], floors_P[[place]], ALPHA / count)[0] for place in range(count)
    ]
    return [
        one if one.p_adjusted is None else one._replace(p_adjusted=min(1, count * one.p_adjusted))
        for one in found
    ]


def judge_common(common_H: Floats, floors_P: Floats) -> Turn:
    """A judgement of what all cells have in common, by their median floor."""
    return judge(common_H[:, None], np.array([np.median(floors_P)]), ALPHA)[0]


def judge(ratios_HP: Floats, floors_P: Floats, alpha: float) -> list[Turn]:
    """A judgement for each cell: Holm's adjustment over all; floors are relative changes.

    A change counts that is significant and no less than the floor.
    """
    found = _estimated(ratios_HP)
    with np.errstate(divide="ignore", invalid="ignore"):
        t_P = np.where(found.means_P == 0, 0.0, found.means_P / found.errors_P)
    worse_P = adjusted(special.stdtr(found.freedoms_P, -t_P))
    better_P = adjusted(special.stdtr(found.freedoms_P, t_P))
    num_judged = max(1, int((~np.isnan(found.errors_P)).sum()))
    limits_P = special.stdtrit(found.freedoms_P, 1 - alpha / num_judged) * found.errors_P
    turns = []
    for place, floor in enumerate(np.log1p(floors_P)):
        if found.counts_P[place] < LEAST_PAIRS:
            turns.append(_not_judged(int(found.counts_P[place])))
            continue
        visible = max(limits_P[place], floor) + Z_POWER * found.errors_P[place]
        p_values = float(worse_P[place]), float(better_P[place])
        turns.append(_judged(found, place, p_values, float(floor), float(visible), alpha))
    return turns


class _Estimated(NamedTuple):
    means_P: Floats
    errors_P: Floats  # of the means
    freedoms_P: Floats
    counts_P: Floats  # of pairs


def _estimated(ratios_HP: Floats) -> _Estimated:
    counts_P = (~np.isnan(ratios_HP)).sum(axis=0)
    means_P, errors_P, freedoms_P = (np.full(len(counts_P), np.nan) for _ in range(3))
    rows = np.flatnonzero(counts_P >= LEAST_PAIRS)
    columns = (ratios_HP[:, row] for row in rows)
    spreads = [spread(column[~np.isnan(column)].tolist()) for column in columns]
    for row, seen, variance in zip(rows, spreads, seed_variances(spreads), strict=True):
        assert variance.of_mean is not None
        assert variance.degrees_of_freedom is not None
        means_P[row], freedoms_P[row] = seen.mean, variance.degrees_of_freedom
        errors_P[row] = math.sqrt(variance.of_mean)
    return _Estimated(means_P, errors_P, freedoms_P, counts_P)


def _judged(
    found: _Estimated,
    place: int,
    p_values: tuple[float, float],
    floor: float,
    visible: float,
    alpha: float,
) -> Turn:
    mean, (worse, better) = float(found.means_P[place]), p_values
    half = float(special.stdtrit(found.freedoms_P[place], 0.975) * found.errors_P[place])
    made = Turn(
        word="pass",
        change=math.expm1(mean),
        interval=Interval(math.expm1(mean - half), math.expm1(mean + half)),
        p_adjusted=worse if mean > 0 else better,
        visible=math.expm1(visible),
        num_pairs=int(found.counts_P[place]),
        reason="",
    )
    if worse < alpha and mean >= floor:
        return made._replace(word="regressed")
    if better < alpha and mean <= -floor:
        return made._replace(word="improved")
    if mean >= floor:
        return made._replace(word="inconclusive", reason=NOISE)
    if visible - floor > math.log1p(UNSEEN):
        return made._replace(word="inconclusive", reason="too noisy to tell")
    return made


def _not_judged(num_pairs: int) -> Turn:
    reason = f"not judged ({num_pairs} of {LEAST_PAIRS} pairs)"
    return Turn("not_judged", None, None, None, None, num_pairs, reason)
