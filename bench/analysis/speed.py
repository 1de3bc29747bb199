"""Whether cells became slower, beyond what runs of the same code differ on the same machine.

Repeats inside one run tell nothing of that: the machine has good and bad days. So the unit is the
run: of each cell the median over its seeds, on a log scale. What a run has in common over its
cells, their median, is taken off; what is left of each cell is held against a prediction bound
from past runs, Holm's adjustment over the suite. A change counts that is significant and no less
than the floor, against the past and against the baseline itself.

The common part alone tells nothing of the code, so it is judged against the calibration of the
machine: both slower is the machine, only the cells slower is the code. Where the code made most
cells quicker, only the machine's part is taken off: those that stayed as they were are no slower.
One or two cells have no part in common, but what the machine itself lost is not laid on them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis.bounds import adjusted, is_long, predicted
from bench.analysis.level import on_level, too_few
from bench.analysis.paired import Floats
from bench.analysis.power import Z_POWER
from bench.analysis.stability import change_of
from bench.analysis.verdict import Shift, Word
from bench.record import Calibration

ALPHA = 0.05

FLOOR = 0.05
"""Smallest relative change of time that counts (as Perfherder's second condition)."""

QUICKER = 0.02
"""Of machines with a good day, to be taken for code that made most cells quicker."""

FEW_CELLS = 3
"""With fewer cells the median is hardly more than the cell itself, and nothing is taken off."""


class Timing(NamedTuple):
    """The judgement of one cell; changes are relative, after the common part."""

    word: Word
    change: float
    p_adjusted: float | None
    visible: float | None
    reason: str
    beyond: float | None = None  # from the past runs


class Times(NamedTuple):
    """Logarithms of the seconds of P cells: two runs, and H past ones with NaN for the unknown."""

    baseline_P: Floats
    candidate_P: Floats
    past_HP: Floats
    floors_P: Floats  # relative
    place: int | None = None  # of the baseline among the past runs


def judge(times: Times, calibration: float | None) -> tuple[list[Timing], Shift | None]:
    """A judgement for each cell, and of what they have in common.

    `calibration` is how much slower the machine itself was, as a logarithm; None if unknown.
    """
    count = len(times.candidate_P)
    if not count:
        return [], None
    reference_P = _middle(times.past_HP, times.baseline_P)
    past_H = _common(times.past_HP - reference_P)
    candidate = float(_common((times.candidate_P - reference_P)[None])[0])
    baseline = float(_common((times.baseline_P - reference_P)[None])[0])
    floors_P = np.log1p(times.floors_P)
    floor_of_all = float(np.median(floors_P))
    apart_HP = times.past_HP - past_H[:, None]
    own_HP = on_level(apart_HP, times.place, floors_P)
    prediction = predicted(own_HP)
    suite = predicted(on_level(past_H[:, None], times.place, np.array([floor_of_all])))
    (slow,), (quick,) = suite.tails(np.array([candidate]))
    common = nearest_median(times.candidate_P - times.baseline_P)
    machine, taken = calibration or 0.0, candidate
    # Where the past tells nothing of what all have in common, the calibration alone does.
    if not quick >= QUICKER and machine - common >= floor_of_all:
        taken = baseline + machine
    own_P = times.candidate_P - taken
    slower_P, quicker_P = prediction.tails(own_P)
    judged_P = is_long(own_HP)
    worse_P = adjusted(np.append(slower_P, slow))
    better_P = adjusted(quicker_P)
    visible_P = prediction.limits(ALPHA / (judged_P.sum() + 1))
    changes_P = own_P - (times.baseline_P - baseline)
    timings = []
    for place in range(count):
        floor = float(floors_P[place])
        error = prediction.errors_P[place]
        beyond = float(own_P[place] - prediction.means_P[place])
        found = _Cell(
            float(changes_P[place]), beyond, float(worse_P[place]), float(better_P[place])
        )
        if judged_P[place]:
            visible = max(visible_P[place], floor) + Z_POWER * error
            told = _timing(found, floor, float(visible))
            timings.append(told if count >= FEW_CELLS else _excused(told, found, floor, machine))
        else:
            timings.append(_not_judged(found, too_few(own_HP[:, place], apart_HP[:, place])))
    enough = bool(judged_P.any()) and count >= FEW_CELLS
    p = float(worse_P[-1]) if enough and not np.isnan(slow) else None
    blamed = shift(common, floor_of_all, calibration, p)
    if any(one.reason == DRIFTED for one in timings):
        blamed = blamed._replace(blame="machine", reason=DRIFTED)
    return timings, blamed._replace(taken_off=taken == candidate)


class _Cell(NamedTuple):
    change: float  # against the baseline
    beyond: float  # against the past
    worse: float
    better: float


def _timing(found: _Cell, floor: float, visible: float) -> Timing:
    least, most = min(found.change, found.beyond), max(found.change, found.beyond)
    p = found.worse if found.beyond > 0 else found.better
    change, beyond = math.expm1(found.change), math.expm1(found.beyond)
    made = Timing("pass", change, p, math.expm1(visible), "", beyond)
    if found.worse < ALPHA and least >= floor:
        return made._replace(word="regressed")
    if found.better < ALPHA and most <= -floor:
        return made._replace(word="improved")
    if least >= floor:
        return made._replace(word="inconclusive", reason="within the noise of the past runs")
    return made


DRIFTED = "the machine itself was slower: run it again"


def _excused(told: Timing, found: _Cell, floor: float, machine: float) -> Timing:
    """The judgement of one of few cells, where it lost no more than the machine did."""
    lost = min(found.change, found.beyond)
    if lost >= floor and machine >= floor and lost - machine < floor:
        return told._replace(word="inconclusive", reason=DRIFTED)
    return told


def _not_judged(found: _Cell, reason: str) -> Timing:
    return Timing("not_judged", math.expm1(found.change), None, None, reason)


def _middle(past_HP: Floats, fallback_P: Floats) -> Floats:
    """The median of each cell over the past; of one without a past, the baseline."""
    known_P = ~np.isnan(past_HP).all(axis=0)
    middle_P = fallback_P.copy()
    if len(past_HP):
        middle_P[known_P] = np.nanmedian(past_HP[:, known_P], axis=0)
    return middle_P


def _common(apart_HP: Floats) -> Floats:
    """What the cells of each run have in common, [H]; NaN for a run with too few of them.

    Of one or two cells it would be their own deviation, and nothing would be left of that.
    """
    if not apart_HP.size or apart_HP.shape[1] < FEW_CELLS:
        return np.zeros(len(apart_HP))
    enough_H = (~np.isnan(apart_HP)).sum(axis=1) >= FEW_CELLS
    common_H = np.full(len(apart_HP), np.nan)
    common_H[enough_H] = [nearest_median(row[~np.isnan(row)]) for row in apart_HP[enough_H]]
    return common_H


def nearest_median(values_P: Floats) -> float:
    """The median; of an even number, the one of all medians that is nearest to zero.

    So that where half of the cells changed, those are the ones that did.
    """
    ordered_P, half = np.sort(values_P), len(values_P) // 2
    low, high = ordered_P[(len(values_P) - 1) // 2], ordered_P[half]
    return float(np.clip(0.0, low, high))


# ---- what all cells have in common ----------------------------------------------------------


def shift(
    common: float, floor: float, calibration: float | None, p_adjusted: float | None
) -> Shift:
    """What is to blame for a common change; changes and the floor are logarithms.

    p is of the past runs, None where they are too few.
    """
    change = math.expm1(common)
    own = None if calibration is None else math.expm1(calibration)
    if common < floor:
        return Shift(change, own, "none", "")
    if p_adjusted is None:
        return Shift(change, own, "neither", "not judged: too few past runs or cells")
    machine_slower = calibration is not None and calibration >= floor
    unexplained = calibration is None or common - calibration >= floor
    if machine_slower and not unexplained:
        return Shift(change, own, "machine", DRIFTED)
    if p_adjusted >= ALPHA:
        return Shift(change, own, "neither", "past runs were as slow now and then")
    if calibration is None:
        return Shift(change, own, "unclear", "the machine was not calibrated in both runs")
    if unexplained and not machine_slower:
        return Shift(change, own, "code", "the machine was as quick as before")
    return Shift(change, own, "unclear", "code and machine cannot be told apart: run it again")


def slowdown(before: Calibration | None, after: Calibration | None) -> float | None:
    """How much slower the machine became, as a logarithm: the median probe."""
    if before is None or after is None:
        return None
    found = change_of(before, after)
    return None if found is None else -math.log1p(found)


def logarithms(values: Sequence[float | None]) -> Floats:
    """NaN for what is unknown or no time."""
    return np.array([math.log(value) if value and value > 0 else math.nan for value in values])
