"""What cells cost: time and memory are judged by past runs under the same conditions.

Repeats inside one run do not tell how much a machine varies from day to day, so the unit is the
run. Of train times, on a log scale, the part that all cells of a run share (their median) is taken
off; what is left of each cell is held against what past runs predict. The shared part alone says
nothing about the code, so it is held against the machine's own calibration: both slower is the
machine, only the cells slower is the code. Where the code made most cells quicker, only the
machine's part is taken off, so that cells that stayed as they were do not look slower. One or two
cells share nothing that could be told, but what the machine itself lost is not blamed on them.

On a GPU a peak of memory is the same every time. On a CPU it depends on what else the process and
the machine did (measured: 224 to 310 MiB for one cell), so past runs judge it. Under other
conditions nothing is judged, only told.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench.analysis.baseline import Past
from bench.analysis.judge import (
    FEW_CELLS,
    MEASURES,
    MEMORY,
    NEEDED,
    SECONDS,
    Estimate,
    Verdict,
    estimate,
    is_long,
    judge,
    memory_floor,
    nearest_median,
    on_level,
    too_few,
)
from bench.analysis.pairs import Pair, Side, performance_differences
from bench.analysis.stability import change_of
from bench.analysis.stats import Floats
from bench.record import Calibration
from bench.suite import CompareTable, Judged

ALPHA = MEASURES[SECONDS].alpha

QUICKER = 0.02
"""Of machines with a good day, to be taken for code that made most cells quicker."""

NOISE = "within the noise of the past runs"
DRIFTED = "the machine itself was slower: run it again"


class Shift(NamedTuple):
    """How much slower or quicker all cells alike became, and what is to blame."""

    change: float  # relative, candidate to baseline, of the median cell
    calibration: float | None  # the machine's own, likewise; None where it was not measured
    blame: Literal[
        "code",
        "machine",
        "unclear",  # one of these two, or both
        "neither",  # within the noise, or not judged
        "none",  # no change that counts
    ]
    reason: str
    taken_off: bool = True  # the changes of cells are without it


# ---- verdicts -------------------------------------------------------------------------------


def sorted_out(pairs: Sequence[Pair], metric: str) -> tuple[list[Verdict], list[Pair], list[Pair]]:
    """Verdicts on what cannot be judged; pairs under one set of conditions; under others."""
    told, here, away = list[Verdict](), list[Pair](), list[Pair]()
    for pair in pairs:
        word: Literal["not_judged", "not_comparable"] = "not_comparable"
        costs = [side.value(metric) for side in pair]
        fields: tuple[str, ...] = ()
        if not all(costs):
            word = "not_judged"
            reason = "unknown, with features of an earlier run, or of heads from several sittings"
        elif pair.before.seeds != pair.after.seeds:
            reason, fields = "not of the same seeds", (_seeds(pair),)
        elif fields := performance_differences(pair):
            away.append(pair)
            reason = "under other conditions"
        else:
            here.append(pair)
            continue
        made = Verdict(word, reason, baseline=costs[0], candidate=costs[1], fields=fields)
        told.append(made.of(pair.cell, metric))
    return told, here, away


def _seeds(pair: Pair) -> str:
    told = (", ".join(map(str, side.seeds)) for side in pair)
    return f"seeds: {' and '.join(told)}"


def floors_of(pairs: Sequence[Pair], metric: Judged, settings: CompareTable) -> Floats:
    floors = [floor_of(metric, pair.before.value(metric), pair.after) for pair in pairs]
    each = zip(pairs, floors, strict=True)
    return np.array([settings.floor(metric, pair.cell, floor) for pair, floor in each])


def floor_of(metric: Judged, usual: float | None, side: Side) -> float:
    """The least relative change of a cell that counts where its suite sets none."""
    if metric == SECONDS or not usual:
        return MEASURES[SECONDS].floor
    timed_choice = bool(side.conditions.get("execution.cudnn_benchmark"))
    return memory_floor(usual, side.run.header.device, timed_choice) / usual


def _costs(pairs: Sequence[Pair], metric: str) -> tuple[Floats, Floats]:
    before, after = ([pair[side].value(metric) for pair in pairs] for side in (0, 1))
    return np.array(before, dtype=np.float64), np.array(after, dtype=np.float64)


def time_verdicts(
    pairs: Sequence[Pair], past: Past, settings: CompareTable, machine: float | None
) -> tuple[list[Verdict], Shift | None]:
    """On cells under the same conditions, and what these have in common."""
    before_P, after_P = _costs(pairs, SECONDS)
    past_HP, place = past.costs(pairs, SECONDS)
    floors_P = floors_of(pairs, SECONDS, settings)
    times = Times(np.log(before_P), np.log(after_P), np.log(past_HP), floors_P, place)
    found, shift = judge_times(times, machine)
    return _named(found, pairs, SECONDS, floors_P), shift


def memory_verdicts(
    pairs: Sequence[Pair], past: Past, settings: CompareTable, device: str
) -> list[Verdict]:
    before_P, after_P = _costs(pairs, MEMORY)
    floors_P = floors_of(pairs, MEMORY, settings)
    if device == "cuda":
        found = judge_repeatable(before_P, after_P, floors_P)
    else:
        past_HP, place = past.costs(pairs, MEMORY)
        found = judge_peaks(before_P, after_P, past_HP, floors_P * before_P, place)
    return _named(found, pairs, MEMORY, floors_P)


def _named(
    found: Sequence[Verdict], pairs: Sequence[Pair], metric: str, floors_P: Floats
) -> list[Verdict]:
    return [
        one._replace(
            baseline=pair.before.value(metric), candidate=pair.after.value(metric), floor=floor
        ).of(pair.cell, metric)
        for one, pair, floor in zip(found, pairs, floors_P.tolist(), strict=True)
    ]


# ---- time -----------------------------------------------------------------------------------


class Times(NamedTuple):
    """Logarithms of the seconds of P cells: two runs, and H past ones with NaN for the unknown."""

    baseline_P: Floats
    candidate_P: Floats
    past_HP: Floats
    floors_P: Floats  # relative
    place: int | None = None  # of the baseline among the past runs


def judge_times(times: Times, machine: float | None) -> tuple[list[Verdict], Shift | None]:
    """A verdict for each cell, and on what they have in common.

    `machine` is how much slower the machine itself was, as a logarithm; None if unknown.
    """
    count = len(times.candidate_P)
    if not count:
        return [], None
    floors_P = np.log1p(times.floors_P)
    floor_of_all = float(np.median(floors_P))
    usual_P = _usual(times.past_HP, times.baseline_P)
    past_H, (baseline,), (candidate,) = (
        _common(np.atleast_2d(one) - usual_P)
        for one in (times.past_HP, times.baseline_P, times.candidate_P)
    )
    own_HP = times.past_HP - past_H[:, None]
    kept_HP = on_level(own_HP, times.place, floors_P)
    kept_H = on_level(past_H[:, None], times.place, np.array([floor_of_all]))
    (slow,), (quick,) = beyond(estimate(kept_H, NEEDED, of_new=True), np.array([candidate])).tails()
    common = nearest_median(times.candidate_P - times.baseline_P)
    taken = float(candidate)
    # Where the past tells nothing of what all have in common, the calibration alone does.
    if not quick >= QUICKER and (machine or 0.0) - common >= floor_of_all:
        taken = float(baseline) + (machine or 0.0)
    own_P = times.candidate_P - taken
    since_P = own_P - (times.baseline_P - baseline)
    change = beyond(estimate(kept_HP, NEEDED, of_new=True), own_P)
    findings = judge(change, floors_P, ALPHA, since_P, np.array([slow]))
    verdicts = []
    for place, word in enumerate(findings.words):
        made = Verdict(word, change=math.expm1(since_P[place]))
        if word == "not_judged":
            reason = too_few(kept_HP[:, place], own_HP[:, place])
            verdicts.append(made._replace(reason=reason))
            continue
        past = float(change.changes_P[place])
        made = made._replace(
            reason=NOISE if word == "inconclusive" else "",
            p_adjusted=findings.p_adjusted(place, past),
            visible=math.expm1(findings.visible_P[place]),
            beyond=math.expm1(past),
        )
        lost = min(past, float(since_P[place]))
        is_few = count < FEW_CELLS and _is_drift(lost, float(floors_P[place]), machine or 0.0)
        verdicts.append(made._replace(word="inconclusive", reason=DRIFTED) if is_few else made)
    enough = bool(is_long(kept_HP).any()) and count >= FEW_CELLS
    p = float(findings.besides[0]) if enough and not np.isnan(slow) else None
    blamed = shift(common, floor_of_all, machine, p)
    if any(one.reason == DRIFTED for one in verdicts):
        blamed = blamed._replace(blame="machine", reason=DRIFTED)
    return verdicts, blamed._replace(taken_off=taken == float(candidate))


def beyond(past: Estimate, values_P: Floats) -> Estimate:
    return past._replace(changes_P=values_P - past.changes_P)


def _is_drift(lost: float, floor: float, machine: float) -> bool:
    """Whether one of few cells lost no more than the machine did."""
    return lost >= floor and machine >= floor and lost - machine < floor


def _usual(past_HP: Floats, fallback_P: Floats) -> Floats:
    """The median of each cell over the past; of one without a past, the baseline."""
    known_P = ~np.isnan(past_HP).all(axis=0)
    usual_P = fallback_P.copy()
    if len(past_HP):
        usual_P[known_P] = np.nanmedian(past_HP[:, known_P], axis=0)
    return usual_P


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


# ---- memory ---------------------------------------------------------------------------------


def judge_peaks(
    baseline_P: Floats, candidate_P: Floats, past_HP: Floats, floors_P: Floats, place: int | None
) -> list[Verdict]:
    """Of a CPU, in bytes: by the past and the baseline."""
    kept_HP = on_level(past_HP, place, floors_P)
    change = beyond(estimate(kept_HP, NEEDED, of_new=True), candidate_P)
    findings = judge(change, floors_P, MEASURES[MEMORY].alpha, candidate_P - baseline_P)
    verdicts = []
    for at, (word, before) in enumerate(zip(findings.words, baseline_P.tolist(), strict=True)):
        made = Verdict(word, change=float(candidate_P[at]) / before - 1)
        if word == "not_judged":
            verdicts.append(made._replace(reason=too_few(kept_HP[:, at], past_HP[:, at])))
            continue
        past = float(change.changes_P[at])
        verdicts.append(
            made._replace(
                reason=NOISE if word == "inconclusive" else "",
                p_adjusted=findings.p_adjusted(at, past),
                visible=float(findings.visible_P[at]) / before,
                beyond=past / before,
            )
        )
    return verdicts


def judge_repeatable(baseline_P: Floats, candidate_P: Floats, floors_P: Floats) -> list[Verdict]:
    """Of a GPU: the same every time, so that any change by the (relative) floor is one."""
    changes_P = candidate_P / baseline_P - 1
    sure = Estimate(changes_P, np.zeros_like(changes_P), np.ones_like(changes_P))
    words = judge(sure, floors_P, MEASURES[MEMORY].alpha).words
    each = zip(words, changes_P.tolist(), floors_P.tolist(), strict=True)
    return [Verdict(word, change=change, visible=floor) for word, change, floor in each]


# ---- under other conditions -----------------------------------------------------------------

APART = math.log(2)
"""Cells naturally differ by up to this much between machines."""


class Rates(NamedTuple):
    """Training images/s of a cell under two sets of conditions, and the share of the roofline.

    The roofline is what each run's own calibration would allow; 1 is all of it.
    """

    name: str
    images_per_second: tuple[float, float]
    shares: tuple[float, float] | None = None  # None: unknown on a side


class Elsewhere(NamedTuple):
    """Train times under other conditions: told, never judged.

    No single factor makes times comparable between machines (of 1,396 architectures on two GPUs,
    47 % are more than 7 % off the best one), but ranks survive, and a cell that is off by a factor
    of two is worth a look.
    """

    ratio: float  # candidate to baseline, median over cells
    kendall: float | None  # rank correlation of the cells; None for fewer than three
    apart: tuple[str, ...]  # cells that are off the common ratio by a factor of two or more
    fields: tuple[str, ...]  # that differ
    rates: tuple[Rates, ...] = ()  # of cells that train their whole network


def elsewhere(pairs: Sequence[Pair]) -> Elsewhere | None:
    """Of pairs under other conditions; None without any."""
    from scipy import stats  # slow to import

    if not pairs:
        return None
    before_P, after_P = _costs(pairs, SECONDS)
    apart_P = np.log(after_P) - np.log(before_P)
    common = float(np.median(apart_P))
    fields = dict.fromkeys(field for pair in pairs for field in performance_differences(pair))
    return Elsewhere(
        ratio=math.exp(common),
        kendall=float(stats.kendalltau(before_P, after_P).statistic) if len(pairs) > 2 else None,
        apart=tuple(
            f"{pair.name} ×{math.exp(apart):.3g}"
            for pair, apart in zip(pairs, apart_P, strict=True)
            if abs(apart - common) >= APART
        ),
        fields=tuple(fields),
    )


class Work(NamedTuple):
    """What an image is trained on: the layers to be counted, and the arithmetic."""

    architecture: str
    image_size: int
    precision: str


WORK = ("cell.architecture", "cell.image_size", "execution.precision")
"""What `Work` is made of: facts of every record."""

Floor = Callable[[Work, Calibration], float | None]
"""Seconds that training on one image must take by what a calibration reached."""


def rates(pairs: Iterable[Pair], floor: Floor) -> tuple[Rates, ...]:
    """Of cells that ran under other conditions, where images/s are known on both sides."""
    found = []
    for pair in pairs:
        before, after = (side.images_per_second for side in pair)
        if before is not None and after is not None and performance_differences(pair):
            one, other = (_share(side, floor) for side in pair)
            shares = None if one is None or other is None else (one, other)
            found.append(Rates(pair.name, (before, after), shares))
    return tuple(found)


def _share(side: Side, floor: Floor) -> float | None:
    """Of the roofline that a cell reached; None where it is unknown."""
    facts = {**side.task, **side.conditions}
    calibration, rate = side.run.header.calibration, side.images_per_second
    if calibration is None or rate is None or not (facts.keys() - {*side.mixed}).issuperset(WORK):
        return None
    seconds = floor(Work(*(facts[path] for path in WORK)), calibration)
    return None if seconds is None else rate * seconds
