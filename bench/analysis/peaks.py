"""Whether cells take more memory.

On a GPU the peak of what was allocated is the same every time, within one performance key: a
change beyond a small floor is a finding. On a CPU the peak of a process depends on what else the
process and the machine had been doing (measured: 224 to 310 MiB for one and the same cell), so it
is held against what past runs of the same suite took, and without these it is not judged.
"""

from typing import NamedTuple

import numpy as np

from bench.analysis.bounds import adjusted, is_long, predicted
from bench.analysis.level import on_level, too_few
from bench.analysis.paired import Floats
from bench.analysis.power import Z_POWER
from bench.analysis.verdict import Word

ALPHA = 0.05
MIB = 2**20

FLOORS = {"cuda": (0.02, 16 * MIB), "cpu": (0.10, 32 * MIB)}
"""By device the smallest change that counts, relative and in bytes; the larger one holds.

On a CPU half of a leak of 64 MiB, which is to be found; the scatter is left to the past runs.
"""

TIMED_CHOICE = 0.10
"""The relative floor where cuDNN chooses its algorithms, and their workspace, by timing them."""


class Peak(NamedTuple):
    """The judgement of one cell; the change is relative."""

    word: Word
    change: float
    p_adjusted: float | None
    visible: float | None
    reason: str
    beyond: float | None = None  # from the past runs, as a share of the baseline


class Peaks(NamedTuple):
    """Bytes of P cells: two runs, and H past ones with NaN for the unknown."""

    baseline_P: Floats
    candidate_P: Floats
    past_HP: Floats
    floors_P: Floats  # bytes
    place: int | None = None  # of the baseline among the past runs


def floor_bytes(baseline: float, device: str, timed_choice: bool, asked: float | None) -> float:
    """The smallest change that counts; `asked` is a relative floor of the suite's own."""
    share, least = FLOORS[device]
    if asked is not None:
        return asked * baseline
    return max((TIMED_CHOICE if timed_choice else share) * baseline, least)


def judge(peaks: Peaks, device: str) -> list[Peak]:
    """A judgement for each cell."""
    if not len(peaks.candidate_P):
        return []
    return _repeatable(peaks) if device == "cuda" else _by_the_past(peaks)


def _repeatable(peaks: Peaks) -> list[Peak]:
    return [
        Peak(
            "regressed" if after - before > floor else _lower(before - after > floor),
            after / before - 1,
            None,
            floor / before,
            "",
        )
        for before, after, floor in zip(
            peaks.baseline_P, peaks.candidate_P, peaks.floors_P, strict=True
        )
    ]


def _lower(is_lower: bool) -> Word:
    return "improved" if is_lower else "pass"


def _by_the_past(peaks: Peaks) -> list[Peak]:
    past_HP = on_level(peaks.past_HP, peaks.place, peaks.floors_P)
    prediction = predicted(past_HP)
    higher_P, lower_P = (adjusted(tail_P) for tail_P in prediction.tails(peaks.candidate_P))
    long_P = is_long(past_HP)
    visible_P = prediction.limits(ALPHA / max(1, long_P.sum()))
    visible_P = np.fmax(visible_P, peaks.floors_P) + Z_POWER * prediction.errors_P
    found = []
    for place, (before, after) in enumerate(zip(peaks.baseline_P, peaks.candidate_P, strict=True)):
        change, floor = after / before - 1, peaks.floors_P[place]
        if not long_P[place]:
            reason = too_few(past_HP[:, place], peaks.past_HP[:, place])
            found.append(Peak("not_judged", change, None, None, reason))
            continue
        beyond = (after - before, after - prediction.means_P[place])
        p = float(higher_P[place] if beyond[1] > 0 else lower_P[place])
        word, reason = _word(min(beyond), max(beyond), floor, p < ALPHA)
        visible = float(visible_P[place]) / before
        found.append(Peak(word, change, p, visible, reason, float(beyond[1]) / before))
    return found


def _word(least: float, most: float, floor: float, significant: bool) -> tuple[Word, str]:
    if least >= floor:
        noisy: tuple[Word, str] = ("inconclusive", "within the noise of the past runs")
        return ("regressed", "") if significant else noisy
    return ("improved", "") if most <= -floor and significant else ("pass", "")
