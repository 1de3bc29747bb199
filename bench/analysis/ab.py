"""Is new code worse than old code, by runs of both that took turns in one sitting?

Results, counts and accuracy are judged as `compare` judges two runs. Time, and memory on a CPU,
are judged over pairs of neighbouring runs: of each combination the logarithm of new / old, its mean
over the pairs, and Student's interval. Memory on a GPU is judged by its floor alone.

The machine drifts from run to run for all alike. So what the combinations of a pair of runs have in
common (their median) is taken off each of them and judged as a row of its own, with the drift as
its noise; where it is surely quicker, it stays in each: see `judge_each`. The common part is blamed
on the code: the runs took turns, so a machine that drifts makes it uncertain and not slower.

Simulated with 1 % of noise within a run and 1 % for each combination and run
(tests/analysis/test_ab.py): five pairs of 6 or 24 combinations raise a false alarm in less than 2
of 100 sittings and find one that is 10 % slower in all, even where the machine drifts by 5 % from
run to run. What drift hides is a change of all: 10 % are found in 99 of 100 where it is 2 %, in 57
where it is 5 % (three pairs: in 70 and 24; seven: in all and 80).

A pair in which the machine was unsteady is left out if enough others remain: the calibration knows
nothing of what is timed, so leaving out by it favours neither side. Otherwise all pairs stay, the
intervals are as wide as the machine made them, and the result is marked.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.analysis import compare, judge
from bench.analysis.costs import floor_of, judge_repeatable
from bench.analysis.judge import CELL, FEW_CELLS, MEMORY, SECONDS, Verdict, estimate, nearest_median
from bench.analysis.pairs import combinations, count_verdict, is_mixed, matched
from bench.analysis.stats import Floats, Interval
from bench.analysis.table import Snapshot
from bench.identity import differences, shown
from bench.suite import Judged

# Dimensions: H pairs of runs, P combinations of an architecture and a strategy.

ALPHA = 0.02
"""Of all combinations, and of the common part.

The floor spares false alarms only where the noise is below it: with 5 to 10 % of noise for each
combination and run, and 5 % of drift, 5 to 7 of 100 sittings raise one.
"""

LEAST_PAIRS = 3
"""Two pairs tell next to nothing of their own scatter."""

UNSEEN = 0.15
"""Where a change so far above the floor could have gone unseen, a small one seen is no pass."""

NOISE = "within the noise"
WITH_COMMON = "with what all have in common"
ALL_CELLS = "all cells"
"""Stands for an architecture in the verdict on what all have in common."""


class Sided(NamedTuple):
    """The runs of both sides, in the order in which they ran; as many of each."""

    old: Sequence[Snapshot]
    new: Sequence[Snapshot]


class Alternation(NamedTuple):
    comparison: compare.Comparison
    num_pairs: int
    judged: tuple[int, ...]  # places of the pairs by which costs were judged
    unsteady: Mapping[int, str]  # why, by the place of the pair
    parted: bool  # whether times are without what all have in common

    @property
    def marked(self) -> bool:
        return any(place in self.unsteady for place in self.judged)

    @property
    def outcomes(self) -> set[compare.Outcome]:
        return compare.outcomes(self.comparison) | ({"unstable"} if self.marked else set())


def alternation(sides: Sided) -> Alternation:
    """The new code against the old one; one pair at least. Raises ValueError for damaged runs.

    The thresholds are the suite's.
    """
    old, new = with_most_ok_cells(sides.old), with_most_ok_cells(sides.new)
    found = compare.compare(old, new, ())
    unsteady = {
        place: why
        for place, (one, other) in enumerate(zip(*sides, strict=True))
        if (why := compare.unsteady({"old": one, "new": other}))
    }
    steady = [place for place in range(len(sides.old)) if place not in unsteady]
    judged = steady if len(steady) >= LEAST_PAIRS else range(len(sides.old))
    counted = Sided([sides.old[at] for at in judged], [sides.new[at] for at in judged])
    names = [one.names for one in found.verdicts if one.metric == SECONDS]
    times, is_parted = cost_verdicts(counted, names, SECONDS)
    peaks, _ = cost_verdicts(counted, names, MEMORY)
    broken = broken_in_some(old, sides.new)
    told = [
        broken.get(one.names, one) if (one.metric, one.word) == (CELL, "pass") else one
        for one in found.verdicts
        if one.metric not in (SECONDS, MEMORY)
    ]
    return Alternation(
        found._replace(
            verdicts=(*told, *times, *peaks),
            shift=None,
            elsewhere=None,
            num_past=0,
            unstable=None,
            notes=tuple(notes(sides, old, new)),
        ),
        num_pairs=len(sides.old),
        judged=tuple(judged),
        unsteady=unsteady,
        parted=is_parted,
    )


def with_most_ok_cells(runs: Sequence[Snapshot]) -> Snapshot:
    return max(runs, key=lambda run: list(run.columns["status"]).count("ok"))


def one_task(old: Snapshot, new: Snapshot) -> bool:
    """Whether runs of both are worth going on with: of one task, with the same networks."""
    match = matched(old, new)
    return not match.other_task and all(count_verdict(pair).word == "pass" for pair in match.pairs)


def broken_in_some(old: Snapshot, news: Sequence[Snapshot]) -> dict[tuple[str, str], Verdict]:
    """What has results in the old code and not in all runs of the new one, by names."""
    found: dict[tuple[str, str], Verdict] = {}
    for number, new in enumerate(news, start=1):
        for one in map(compare.cell_verdict, matched(old, new).pairs):
            if one.word in ("failed", "missing"):
                told = one._replace(reason=f"{one.reason}, in run {number} of {len(news)}")
                found.setdefault(one.names, told)
    return found


def notes(sides: Sided, old: Snapshot, new: Snapshot) -> list[str]:
    found = compare.idle_thresholds(new)
    for name, runs in sides._asdict().items():
        if count := answers_differ(runs):
            cells = f"{count} cell{'' if count == 1 else 's'}"
            found.append(f"{name}: {cells} gave other answers when run again")
        if any(map(is_mixed, runs)):
            found.append(f"{name}: seeds of a cell ran in different ways")
    statuses = [status for run in sides.old for status in run.columns["status"]]
    if broken := len(statuses) - statuses.count("ok"):
        found.append(f"old: cells without a result, over all runs: {broken}")
    ways = dict.fromkeys(
        str(one).removeprefix("execution.")
        for pair in matched(old, new).pairs
        for one in differences(pair.before.conditions, pair.after.conditions)
        if one.path.startswith("execution.") and one.on_both_sides
        if None not in (one.before, one.after)
    )
    return found + [f"the new code runs cells differently: {way}" for way in ways]


def answers_differ(runs: Sequence[Snapshot]) -> int:
    """Cells of which two runs of one code have other test images right."""
    given: dict[tuple[str, str, int], set[bytes]] = {}
    for one in (one for run in runs for one in combinations(run) if one.ok):
        for seed, right_N in zip(one.scored.seeds, one.scored.right_SN, strict=True):
            given.setdefault((*one.names, seed), set()).add(right_N.tobytes())
    return sum(len(answers) > 1 for answers in given.values())


def cost_verdicts(
    sides: Sided, names: Sequence[tuple[str, str]], metric: Judged
) -> tuple[list[Verdict], bool]:
    """On one metric of these combinations, and whether it is without what all have in common."""
    if changed := machine_changes(sides):
        refused = Verdict("not_comparable", "the machine changed between the runs", fields=changed)
        return [refused.of(one, metric) for one in names], False
    (old_HP, new_HP), floors_P = costs_of(sides, names, metric)
    old, new = ([_middle(values_H) for values_H in side_HP.T] for side_HP in (old_HP, new_HP))
    ratios_HP, common = np.log(new_HP / old_HP), list[Verdict]()
    if metric == SECONDS:
        split = parted(ratios_HP)
        found = judge_each(split, floors_P)
        if split.common_H is not None:
            common = [judge_common(split.common_H, floors_P).of((ALL_CELLS, ""), metric)]
    elif sides.new[0].header.device == "cpu":  # nothing makes all peaks drift together
        found = judge_pairs(ratios_HP, floors_P, ALPHA)
    else:
        unknown = Verdict("not_judged", "unknown, or not of the same seeds")
        made = judge_repeatable(np.array(old, np.float64), np.array(new, np.float64), floors_P)
        found = [unknown if one.word == "not_judged" else one for one in made]
    told = [
        one._replace(baseline=before, candidate=after, floor=floor).of(name, metric)
        for one, before, after, floor, name in zip(
            found, old, new, floors_P.tolist(), names, strict=True
        )
    ]
    return common + told, bool(common)


def costs_of(
    sides: Sided, names: Sequence[tuple[str, str]], metric: Judged
) -> tuple[Floats, Floats]:
    """Of both sides in H pairs of runs, [2, H, P], NaN where not of the same seeds; floors, [P]."""
    costs_SHP = np.full((2, len(sides.old), len(names)), np.nan)
    first = {one.names: one for one in combinations(sides.new[0])}
    for at, runs in enumerate(zip(*sides, strict=True)):
        old, new = ({one.names: one for one in combinations(run)} for run in runs)
        for place, name in enumerate(names):
            if name in old and name in new and old[name].seeds == new[name].seeds:
                both = old[name].value(metric), new[name].value(metric)
                costs_SHP[:, at, place] = [cost or np.nan for cost in both]
    usual = map(_middle, costs_SHP[0].T)
    floors = [floor_of(metric, one, first[name]) for one, name in zip(usual, names, strict=True)]
    return costs_SHP, np.array(floors)


def machine_changes(sides: Sided) -> tuple[str, ...]:
    """Facts of the machine that are known, and not the same in all runs.

    What is known to one side only is what one code looks at and the other does not.
    """
    found: dict[str, dict[str, None]] = {}
    for run in (*sides.old, *sides.new):
        for one in combinations(run):
            for path, value in one.conditions.items():
                if path.startswith("machine.") and value is not None:
                    found.setdefault(path, {})[shown(value)] = None
    return tuple(
        f"{path}: {' and '.join(values)}" for path, values in found.items() if len(values) > 1
    )


def _middle(values_H: Floats) -> float | None:
    known = values_H[~np.isnan(values_H)].tolist()
    return median(known) if known else None


class Parted(NamedTuple):
    own_HP: Floats  # logarithms of new / old in H pairs
    common_H: Floats | None  # None where too few pairs or combinations are there to tell it


def parted(ratios_HP: Floats) -> Parted:
    """What is of each combination, and what is of all; NaN is unknown.

    Pairs with too few to tell what these have in common are left out. The common part of a pair is
    what moves its combinations away from their means over the pairs.
    """
    enough_H = (~np.isnan(ratios_HP)).sum(axis=1) >= FEW_CELLS
    within_HP = ratios_HP[enough_H]
    within_HP = within_HP[:, ~np.isnan(within_HP).all(axis=0)]
    if len(within_HP) < LEAST_PAIRS or within_HP.shape[1] < FEW_CELLS:
        return Parted(ratios_HP, None)
    drift_H = np.nanmedian(within_HP - np.nanmean(within_HP, axis=0), axis=1)
    level = nearest_median(np.nanmean(within_HP - drift_H[:, None], axis=0))
    common_H = drift_H + level
    return Parted(ratios_HP[enough_H] - common_H[:, None], common_H)


def judge_each(split: Parted, floors_P: Floats) -> list[Verdict]:
    """A verdict for each combination; floors are relative changes.

    Where the new code is surely quicker in what all have in common, nothing is taken off: what
    stayed as it was is no slower for that. Among few combinations of much noise the common part is
    as uncertain as they are. So one that is slower than the others by the floor, but not surely so,
    counts where it is surely slower together with what all have in common.
    """
    if split.common_H is None:
        return _judge_alone(split.own_HP, floors_P)
    wholes = _judge_alone(split.own_HP + split.common_H[:, None], floors_P)
    if judge_common(split.common_H, floors_P).word == "improved":
        return [
            one._replace(reason="; ".join(filter(None, (one.reason, WITH_COMMON))))
            for one in wholes
        ]
    return [
        whole._replace(reason=WITH_COMMON)
        if own.reason == NOISE and whole.word == "regressed"
        else own
        for own, whole in zip(judge_pairs(split.own_HP, floors_P, ALPHA), wholes, strict=True)
    ]


def _judge_alone(ratios_HP: Floats, floors_P: Floats) -> list[Verdict]:
    """Each by its own variance, for the drift is in all: one tells nothing of another's."""
    found, count = list[Verdict](), len(floors_P)
    for ratios_H, floor in zip(ratios_HP.T, floors_P, strict=True):
        (one,) = judge_pairs(ratios_H[:, None], np.array([floor]), ALPHA / count)
        p = one.p_adjusted
        found.append(one if p is None else one._replace(p_adjusted=min(1, count * p)))
    return found


def judge_common(common_H: Floats, floors_P: Floats) -> Verdict:
    return judge_pairs(common_H[:, None], np.array([np.median(floors_P)]), ALPHA)[0]


def judge_pairs(ratios_HP: Floats, floors_P: Floats, alpha: float) -> list[Verdict]:
    """A verdict for each over the pairs of runs that know it; floors are relative changes."""
    change, floors_P = estimate(ratios_HP, LEAST_PAIRS), np.log1p(floors_P)
    findings = judge.judge(change, floors_P, alpha)
    halves_P = change.limits(0.025)
    unseen_P = findings.visible_P - floors_P > math.log1p(UNSEEN)
    verdicts = []
    for place, made in enumerate(findings.verdicts(NOISE)):
        num_pairs = int((~np.isnan(ratios_HP[:, place])).sum())
        if made.word == "not_judged":
            reason = f"not judged ({num_pairs} of {LEAST_PAIRS} pairs)"
            verdicts.append(made._replace(reason=reason, num_pairs=num_pairs))
            continue
        mean, half = float(change.changes_P[place]), float(halves_P[place])
        interval = Interval(math.expm1(mean - half), math.expm1(mean + half))
        one = made._replace(num_pairs=num_pairs, interval=interval)
        if one.word == "pass" and unseen_P[place]:
            one = one._replace(word="inconclusive", reason="too noisy to tell")
        verdicts.append(one)
    return verdicts
