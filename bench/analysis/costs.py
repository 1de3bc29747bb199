"""What cells cost: time and memory are judged by past runs under the same conditions.

Repeats inside one run do not tell how much a machine varies from day to day, so the unit is the
run. Of train times, on a log scale, the part that all combinations of a run share (their median) is
taken off; what is left of each is held against what past runs predict. The shared part alone says
nothing about the code, so it is held against the machine's own calibration: both slower is the
machine, only the combinations slower is the code. Where the code made most of them quicker, only
the machine's part is taken off, so that those that stayed as they were do not look slower. One or
two share nothing that could be told, but what the machine itself lost is not blamed on them.

On a GPU a peak of memory is the same every time. On a CPU it depends on what else the process and
the machine did (measured: 224 to 310 MiB for one combination), so past runs judge it. Under other
conditions nothing is judged, only told.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis import judge
from bench.analysis.baseline import NEEDED, Past, on_level, too_few
from bench.analysis.judge import MEASURES, MEMORY, MIB, SECONDS, Estimate, Verdict
from bench.analysis.pairs import Combination, Pair, condition_differences
from bench.analysis.stability import change_of
from bench.analysis.stats import Floats
from bench.record import Calibration
from bench.suite import Judged

ALPHA = MEASURES[SECONDS].alpha

QUICKER = 0.02
"""How rarely a good day of the machine may pass for code that made most combinations quicker."""

NOISE = "within the noise of the past runs"
DRIFTED = "the machine itself was slower: run it again"


class Shift(NamedTuple):
    """Of all combinations in common, and what is to blame."""

    change: float  # relative, candidate to baseline, of the median one
    calibration: float | None  # the machine's own, likewise; None where it was not measured
    blame: Literal[
        "code",
        "machine",
        "unclear",  # one of these two, or both
        "neither",  # within the noise, or not judged
        "none",  # no change that counts
    ]
    reason: str
    taken_off: bool = True  # the changes of each are without it


def by_conditions(
    pairs: Sequence[Pair], metric: str
) -> tuple[list[Verdict], list[Pair], list[Pair]]:
    """Verdicts on what cannot be judged; pairs under one set of conditions; under others."""
    told, here, away = list[Verdict](), list[Pair](), list[Pair]()
    for pair in pairs:
        before, after = pair
        made = Verdict("not_comparable")
        if not (before.value(metric) and after.value(metric)):
            why = "unknown, with features of an earlier run, or of heads from several sittings"
            made = Verdict("not_judged", why)
        elif before.seeds != after.seeds:
            told_seeds = " and ".join(", ".join(map(str, one.seeds)) for one in pair)
            made = made._replace(reason="not of the same seeds", fields=(f"seeds: {told_seeds}",))
        elif fields := condition_differences(pair):
            away.append(pair)
            made = made._replace(reason="under other conditions", fields=fields)
        else:
            here.append(pair)
            continue
        told.append(pair.told(made, metric))
    return told, here, away


MEMORY_FLOORS = {"cuda": (0.02, 16 * MIB), "cpu": (0.10, 32 * MIB)}
"""The least change of memory that a comparison counts, relative and in bytes; the larger holds.

On a CPU this is half of a leak of 64 MiB, which must be found; past runs tell the scatter.
"""

TIMED_CHOICE = 0.10
"""The relative floor where cuDNN chooses its algorithms, and their workspace, by timing them."""


def memory_floor(baseline: float, device: str, timed_choice: bool) -> float:
    """The least change of a peak that counts, in bytes."""
    share, least = MEMORY_FLOORS[device]
    return max((TIMED_CHOICE if timed_choice else share) * baseline, least)


def floor_of(metric: Judged, usual: float | None, after: Combination) -> float:
    """The least relative change that counts: that of the suite, else that of the metric."""
    if metric == SECONDS or not usual:
        floor = MEASURES[SECONDS].floor
    else:
        timed_choice = bool(after.conditions.get("execution.cudnn_benchmark"))
        floor = memory_floor(usual, after.run.header.device, timed_choice) / usual
    return after.run.header.compare.floor(metric, after.names, floor)


class Costs(NamedTuple):
    """What P combinations took in two runs, and in H past ones, NaN where unknown."""

    baseline_P: Floats
    candidate_P: Floats
    past_HP: Floats
    floors_P: Floats  # relative
    place: int | None = None  # of the baseline among the past runs


def verdicts(
    pairs: Sequence[Pair], past: Past, metric: Judged, machine: float | None = None
) -> tuple[list[Verdict], Shift | None]:
    """On pairs under the same conditions, and of train times what all have in common."""
    before_P, after_P = _values(pairs, metric)
    past_HP, place = past.costs(pairs, metric)
    floors_P = np.array([floor_of(metric, pair.before.value(metric), pair.after) for pair in pairs])
    shift = None
    if metric == SECONDS:
        logs = Costs(np.log(before_P), np.log(after_P), np.log(past_HP), floors_P, place)
        found, shift = judge_times(logs, machine)
    elif pairs and pairs[0].after.run.header.device == "cuda":
        found = judge_repeatable(before_P, after_P, floors_P)
    else:
        found = judge_peaks(Costs(before_P, after_P, past_HP, floors_P, place))
    each = zip(found, pairs, floors_P.tolist(), strict=True)
    return [pair.told(one._replace(floor=floor), metric) for one, pair, floor in each], shift


def _values(pairs: Sequence[Pair], metric: str) -> tuple[Floats, Floats]:
    before, after = ([pair[side].value(metric) for pair in pairs] for side in (0, 1))
    return np.array(before, dtype=np.float64), np.array(after, dtype=np.float64)


def judge_times(logs: Costs, machine: float | None) -> tuple[list[Verdict], Shift | None]:
    """A verdict for each combination, and on what they have in common; seconds as logarithms.

    `machine` is how much slower the machine itself was, as a logarithm; None if unknown.
    """
    count = len(logs.candidate_P)
    if not count:
        return [], None
    floors_P = np.log1p(logs.floors_P)
    floor_of_all = float(np.median(floors_P))
    usual_P = pd.DataFrame(logs.past_HP).median().fillna(pd.Series(logs.baseline_P)).to_numpy()
    past_H, (baseline,), (candidate,) = (
        _common(np.atleast_2d(one) - usual_P)
        for one in (logs.past_HP, logs.baseline_P, logs.candidate_P)
    )
    kept_H = on_level(past_H[:, None], logs.place, np.array([floor_of_all]))
    (slow,), (quick,) = beyond(kept_H, np.array([candidate])).tails()
    common = judge.nearest_median(logs.candidate_P - logs.baseline_P)
    taken = float(candidate)
    # Where the past tells nothing of what all have in common, the calibration alone does.
    if not quick >= QUICKER and (machine or 0.0) - common >= floor_of_all:
        taken = float(baseline) + (machine or 0.0)
    own_HP, own_P = logs.past_HP - past_H[:, None], logs.candidate_P - taken
    kept_HP = on_level(own_HP, logs.place, floors_P)
    since_P = own_P - (logs.baseline_P - baseline)
    findings = judge.judge(beyond(kept_HP, own_P), floors_P, ALPHA, since_P, [slow])
    changes = [math.expm1(since) for since in since_P]
    verdicts = _by_past(findings, changes, kept_HP, own_HP)
    is_known = any(one.word != "not_judged" for one in verdicts)
    is_enough = is_known and count >= judge.FEW_CELLS and not np.isnan(slow)
    p = float(findings.further_p[0]) if is_enough else None
    blamed = shift(common, floor_of_all, machine, p)
    if count < judge.FEW_CELLS and machine:  # they lost no more than the machine did
        lost_P = np.minimum(findings.of.changes_P, since_P)
        drifted_P = (lost_P >= floors_P) & (machine >= floors_P) & (lost_P - machine < floors_P)
        for place in np.flatnonzero(drifted_P):
            verdicts[place] = verdicts[place]._replace(word="inconclusive", reason=DRIFTED)
            blamed = blamed._replace(blame="machine", reason=DRIFTED)
    return verdicts, blamed._replace(taken_off=taken == float(candidate))


def beyond(past_HP: Floats, values_P: Floats) -> Estimate:
    """How far new values are from the means of the past ones."""
    past = judge.estimate(past_HP, NEEDED, of_new=True)
    return past._replace(changes_P=values_P - past.changes_P)


def _by_past(
    findings: judge.Findings,
    changes: Iterable[float],
    kept_HP: Floats,
    past_HP: Floats,
    baseline_P: Floats | None = None,
) -> list[Verdict]:
    """The verdicts, with the changes since the baseline beside those since the past runs."""
    return [
        one._replace(
            change=change,
            beyond=one.change,
            reason=too_few(kept_H, past_H) if one.word == "not_judged" else one.reason,
        )
        for one, change, kept_H, past_H in zip(
            findings.verdicts(NOISE, baseline_P), changes, kept_HP.T, past_HP.T, strict=True
        )
    ]


def _common(apart_HP: Floats) -> Floats:
    """What the combinations of each run have in common, [H]; NaN for a run with too few of them.

    Of one or two it would be their own deviation, and nothing would be left of that.
    """
    if not apart_HP.size or apart_HP.shape[1] < judge.FEW_CELLS:
        return np.zeros(len(apart_HP))
    enough_H = (~np.isnan(apart_HP)).sum(axis=1) >= judge.FEW_CELLS
    common_H = np.full(len(apart_HP), np.nan)
    common_H[enough_H] = [judge.nearest_median(row[~np.isnan(row)]) for row in apart_HP[enough_H]]
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
    found = change_of(before, after) if before and after else None
    return None if found is None else -math.log1p(found)


def judge_peaks(costs: Costs) -> list[Verdict]:
    """Of a CPU, in bytes: by the past and the baseline."""
    baseline_P, candidate_P, past_HP, floors_P, place = costs
    floors_P = floors_P * baseline_P
    kept_HP = on_level(past_HP, place, floors_P)
    change, since_P = beyond(kept_HP, candidate_P), candidate_P - baseline_P
    findings = judge.judge(change, floors_P, MEASURES[MEMORY].alpha, since_P)
    changes = (candidate_P / baseline_P - 1).tolist()
    return _by_past(findings, changes, kept_HP, past_HP, baseline_P)


def judge_repeatable(baseline_P: Floats, candidate_P: Floats, floors_P: Floats) -> list[Verdict]:
    """Of a GPU: the same every time, so that any change by the (relative) floor is one."""
    changes_P = candidate_P / baseline_P - 1
    sure = Estimate(changes_P, np.zeros_like(changes_P), np.ones_like(changes_P))
    words = judge.judge(sure, floors_P, MEASURES[MEMORY].alpha).words
    each = zip(words, changes_P.tolist(), floors_P.tolist(), strict=True)
    return [Verdict(word, change=change, visible=floor) for word, change, floor in each]


APART = math.log(2)
"""Combinations naturally differ by up to this much between machines."""


class Rates(NamedTuple):
    """Training images/s under two sets of conditions, and the share of the roofline.

    The roofline is what each run's own calibration would allow; 1 is all of it.
    """

    name: str
    images_per_second: tuple[float, float]
    shares: tuple[float, float] | None = None  # None: unknown on a side


class OtherConditions(NamedTuple):
    """Train times under other conditions: told, never judged.

    No single factor makes times comparable between machines (of 1,396 architectures on two GPUs,
    47 % are more than 7 % off the best one), but ranks survive, and what is off by a factor of two
    is worth a look.
    """

    ratio: float  # candidate to baseline, the median
    kendall: float | None  # rank correlation; None for fewer than three
    apart: tuple[str, ...]  # what is off the common ratio by a factor of two or more
    fields: tuple[str, ...]  # that differ
    rates: tuple[Rates, ...] = ()  # of those that train their whole network


WORK = ("cell.architecture", "cell.image_size", "execution.precision")
"""Facts of every record on which the arithmetic of an image depends."""

Roofline = Callable[[str, int, str, Calibration], float | None]
"""Seconds that training on one image of `WORK` must take by what a calibration reached."""


def elsewhere(
    away: Sequence[Pair], pairs: Sequence[Pair], roofline: Roofline | None
) -> OtherConditions | None:
    """Of pairs under other conditions whose times are known, None without any; rates of all."""
    from scipy import stats  # slow to import

    if not away:
        return None
    before_P, after_P = _values(away, SECONDS)
    apart_P = np.log(after_P) - np.log(before_P)
    common = float(np.median(apart_P))
    fields = dict.fromkeys(field for pair in away for field in condition_differences(pair))
    return OtherConditions(
        ratio=math.exp(common),
        kendall=float(stats.kendalltau(before_P, after_P).statistic) if len(away) > 2 else None,
        apart=tuple(
            f"{pair.after.name} ×{math.exp(apart):.3g}"
            for pair, apart in zip(away, apart_P, strict=True)
            if abs(apart - common) >= APART
        ),
        fields=tuple(fields),
        rates=rates(pairs, roofline) if roofline else (),
    )


def rates(pairs: Iterable[Pair], roofline: Roofline) -> tuple[Rates, ...]:
    """Of pairs under other conditions, where images/s are known on both sides."""
    found = []
    for pair in pairs:
        before, after = (one.images_per_second for one in pair)
        if before is not None and after is not None and condition_differences(pair):
            one = _share(pair.before, before, roofline)
            other = _share(pair.after, after, roofline)
            shares = None if one is None or other is None else (one, other)
            found.append(Rates(pair.after.name, (before, after), shares))
    return tuple(found)


def _share(one: Combination, rate: float, roofline: Roofline) -> float | None:
    """Of the roofline that was reached; None where it is unknown."""
    facts, calibration = {**one.task, **one.conditions}, one.run.header.calibration
    if calibration is None or not (facts.keys() - {*one.mixed}).issuperset(WORK):
        return None
    architecture, image_size, precision = (facts[path] for path in WORK)
    seconds = roofline(architecture, image_size, precision, calibration)
    return None if seconds is None else rate * seconds
