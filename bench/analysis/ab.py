"""Is new code worse than old code, by runs of both that took turns in one sitting?

Cells, counts and accuracy are judged as `compare` judges two runs. Time, and memory on a CPU, are
judged over pairs of neighbouring runs: of each cell the logarithm of new / old, its mean over the
pairs, and Student's interval. Memory on a GPU is judged by its floor alone.

The machine drifts from run to run for all cells alike. So what the cells of a pair have in common
(their median) is taken off each of them and judged as a row of its own, with the drift as its
noise; where it is surely quicker, it stays in each: see `judge_cells`. The common part is blamed on
the code: the runs took turns, so a machine that drifts makes it uncertain and not slower.

Simulated with 1 % of noise within a run and 1 % for each cell and run (tests/analysis/test_ab.py):
five pairs of 6 or 24 cells raise a false alarm in less than 2 of 100 sittings and find one cell
that is 10 % slower in all, even where the machine drifts by 5 % from run to run. What drift hides
is a change of all cells: 10 % are found in 99 of 100 where it is 2 %, in 57 where it is 5 % (three
pairs: in 70 and 24; seven: in all and 80).

A pair in which the machine was unsteady is left out if enough others remain: the calibration knows
nothing of the cells' times, so leaving out by it favours neither side. Otherwise all pairs stay,
the intervals are as wide as the machine made them, and the result is marked.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from scipy import special

from bench.analysis.compare import (
    Comparison,
    Outcome,
    cell_verdict,
    compare,
    count_verdict,
    idle_thresholds,
    is_mixed,
    outcomes,
)
from bench.analysis.costs import floor_of, judge_repeatable
from bench.analysis.judge import (
    CELL,
    FEW_CELLS,
    MEMORY,
    SECONDS,
    Verdict,
    estimate,
    judge,
    nearest_median,
)
from bench.analysis.pairs import Pair, matched, sides_of
from bench.analysis.stats import Floats, Interval
from bench.analysis.table import Snapshot
from bench.identity import differences, shown
from bench.suite import Judged

# Dimensions: H pairs of runs, P cells.

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
ALL_CELLS = "all cells"
"""Stands for a cell in the verdict on what all have in common."""


class Sided(NamedTuple):
    """The runs of both sides, in the order in which they ran; as many of each."""

    old: Sequence[Snapshot]
    new: Sequence[Snapshot]


class Alternation(NamedTuple):
    comparison: Comparison
    num_pairs: int
    judged: tuple[int, ...]  # places of the pairs by which costs were judged
    unsteady: Mapping[int, str]  # why, by the place of the pair
    parted: bool  # whether times are without what all cells have in common

    @property
    def marked(self) -> bool:
        return any(place in self.unsteady for place in self.judged)

    @property
    def outcomes(self) -> set[Outcome]:
        return outcomes(self.comparison) | ({"unstable"} if self.marked else set())


def alternation(sides: Sided) -> Alternation:
    """The new code against the old one; one pair at least. Raises ValueError for damaged runs.

    The thresholds are the suite's.
    """
    old, new = soundest(sides.old), soundest(sides.new)
    found = compare(old, new, ())
    shaky = unsteady(sides)
    judged = steady(len(sides.old), shaky)
    cells = [v.cell for v in found.verdicts if v.metric == SECONDS]
    counted = Sided([sides.old[at] for at in judged], [sides.new[at] for at in judged])
    costs, is_parted = time_verdicts(costs_of(counted, cells, SECONDS))
    costs += memory_verdicts(costs_of(counted, cells, MEMORY), new.header.device)
    told = [one for one in found.verdicts if one.metric not in (SECONDS, MEMORY)]
    return Alternation(
        Comparison(
            verdicts=(*with_broken(told, old, sides.new), *costs),
            shift=None,
            elsewhere=None,
            num_past=0,
            unstable=None,
            notes=tuple(notes(sides, old, new)),
        ),
        num_pairs=len(sides.old),
        judged=tuple(judged),
        unsteady=shaky,
        parted=is_parted,
    )


def soundest(runs: Sequence[Snapshot]) -> Snapshot:
    return max(runs, key=lambda run: list(run.columns["status"]).count("ok"))


def one_task(old: Snapshot, new: Snapshot) -> bool:
    """Whether runs of both are worth going on with: of one task, with the same networks."""
    match = matched(old, new)
    return not match.other_task and all(count_verdict(pair).word == "pass" for pair in match.pairs)


def same_task(one: Snapshot, other: Snapshot) -> bool:
    """Whether two runs of one suite were asked for the same: its images could have changed."""
    return not matched(one, other).other_task


def unsteady(sides: Sided) -> dict[int, str]:
    """Why the machine was not the same throughout, by the place of the pair."""
    found = {}
    for place, (old, new) in enumerate(zip(sides.old, sides.new, strict=True)):
        named = {"old": old.header.unstable, "new": new.header.unstable}
        if reasons := [f"{name}: {why}" for name, why in named.items() if why]:
            found[place] = "; ".join(reasons)
    return found


def steady(num_pairs: int, shaky: Mapping[int, str]) -> list[int]:
    found = [place for place in range(num_pairs) if place not in shaky]
    return found if len(found) >= LEAST_PAIRS else list(range(num_pairs))


# ---- cells ----------------------------------------------------------------------------------


def with_broken(
    verdicts: Sequence[Verdict], old: Snapshot, news: Sequence[Snapshot]
) -> list[Verdict]:
    """The verdicts; a cell that has results in some runs of the new code but not in all is told."""
    broken: dict[tuple[str, str], Verdict] = {}
    for number, new in enumerate(news, start=1):
        for pair in matched(old, new).pairs:
            one = cell_verdict(pair)
            if one.word in ("failed", "missing"):
                told = one._replace(reason=f"{one.reason}, in run {number} of {len(news)}")
                broken.setdefault(pair.cell, told)
    return [
        broken.get(one.cell, one) if (one.metric, one.word) == (CELL, "pass") else one
        for one in verdicts
    ]


def notes(sides: Sided, old: Snapshot, new: Snapshot) -> list[str]:
    """What must be known of the runs beside their verdicts."""
    found = idle_thresholds(new.header.compare, new)
    for name, runs in (("old", sides.old), ("new", sides.new)):
        if count := answers_differ(runs):
            cells = f"{count} cell{'' if count == 1 else 's'}"
            found.append(f"{name}: {cells} gave other answers when run again")
        if any(map(is_mixed, runs)):
            found.append(f"{name}: seeds of a cell ran in different ways")
    statuses = [status for run in sides.old for status in run.columns["status"]]
    if broken := len(statuses) - statuses.count("ok"):
        found.append(f"old: cells without a result, over all runs: {broken}")
    pairs = matched(old, new).pairs
    ways = dict.fromkeys(way for pair in pairs for way in other_ways(pair))
    return found + [f"the new code runs cells differently: {way}" for way in ways]


def other_ways(pair: Pair) -> list[str]:
    return [
        str(one).removeprefix("execution.")
        for one in differences(pair.before.conditions, pair.after.conditions)
        if one.path.startswith("execution.")
        if one.on_both_sides and None not in (one.before, one.after)
    ]


def answers_differ(runs: Sequence[Snapshot]) -> int:
    """Cells, each seed by itself, of which two runs of one code have other test images right."""
    given: dict[tuple[str, str, int], set[bytes]] = {}
    for run in runs:
        for side in sides_of(run):
            if side.ok:
                scored = side.scored
                for seed, right_N in zip(scored.seeds, scored.right_SN, strict=True):
                    given.setdefault((*side.cell, seed), set()).add(right_N.tobytes())
    return sum(len(answers) > 1 for answers in given.values())


# ---- costs ----------------------------------------------------------------------------------


class Costs(NamedTuple):
    """One metric of P cells in the H pairs that count; NaN where not of the same seeds."""

    metric: Judged
    cells: Sequence[tuple[str, str]]
    old_HP: Floats
    new_HP: Floats
    floors_P: Floats  # relative
    refused: tuple[str, ...]  # facts of the machine that changed between the runs

    @property
    def ratios_HP(self) -> Floats:
        """Logarithms of new / old."""
        return np.log(self.new_HP / self.old_HP)


def costs_of(sides: Sided, cells: Sequence[tuple[str, str]], metric: Judged) -> Costs:
    """The costs of these cells, with the floors that the suite or the metric sets."""
    shape = len(sides.old), len(cells)
    old_HP, new_HP = np.full(shape, np.nan), np.full(shape, np.nan)
    for at, runs in enumerate(zip(*sides, strict=True)):
        old, new = ({side.cell: side for side in sides_of(run)} for run in runs)
        for place, cell in enumerate(cells):
            if cell in old and cell in new and old[cell].seeds == new[cell].seeds:
                old_HP[at, place] = old[cell].value(metric) or np.nan
                new_HP[at, place] = new[cell].value(metric) or np.nan
    first = {side.cell: side for side in sides_of(sides.new[0])}
    settings = sides.new[0].header.compare
    floors = [
        settings.floor(metric, cell, floor_of(metric, _middle(old_HP[:, at]), first[cell]))
        for at, cell in enumerate(cells)
    ]
    return Costs(metric, cells, old_HP, new_HP, np.array(floors), machine_changes(sides))


def machine_changes(sides: Sided) -> tuple[str, ...]:
    """Facts of the machine that are known, and not the same in all runs.

    What is known to one side only is what one code looks at and the other does not.
    """
    found: dict[str, dict[str, None]] = {}
    for run in (*sides.old, *sides.new):
        for side in sides_of(run):
            for path, value in side.conditions.items():
                if path.startswith("machine.") and value is not None:
                    found.setdefault(path, {})[shown(value)] = None
    return tuple(
        f"{path}: {' and '.join(values)}" for path, values in found.items() if len(values) > 1
    )


def time_verdicts(costs: Costs) -> tuple[list[Verdict], bool]:
    if costs.refused:
        return _refusals(costs), False
    split = parted(costs.ratios_HP)
    verdicts = _named(costs, judge_cells(split, costs.floors_P))
    if split.common_H is None:
        return verdicts, False
    common = judge_common(split.common_H, costs.floors_P).of((ALL_CELLS, ""), SECONDS)
    return [common, *verdicts], True


def memory_verdicts(costs: Costs, device: str) -> list[Verdict]:
    """Peaks: nothing makes those of all cells drift together; a GPU's are the same each time."""
    if costs.refused:
        return _refusals(costs)
    if device == "cpu":
        return _named(costs, judge_pairs(costs.ratios_HP, costs.floors_P, ALPHA))
    old_P, new_P = (
        np.array([_middle(values_H) for values_H in side_HP.T], dtype=np.float64)
        for side_HP in (costs.old_HP, costs.new_HP)
    )
    made = judge_repeatable(old_P, new_P, costs.floors_P)
    unknown = Verdict("not_judged", "unknown, or not of the same seeds")
    return _named(costs, [unknown if one.word == "not_judged" else one for one in made])


def _refusals(costs: Costs) -> list[Verdict]:
    reason = "the machine changed between the runs"
    made = Verdict("not_comparable", reason, fields=costs.refused)
    return [made.of(cell, costs.metric) for cell in costs.cells]


def _named(costs: Costs, found: Sequence[Verdict]) -> list[Verdict]:
    return [
        one._replace(
            baseline=_middle(costs.old_HP[:, place]),
            candidate=_middle(costs.new_HP[:, place]),
            floor=float(costs.floors_P[place]),
        ).of(cell, costs.metric)
        for place, (cell, one) in enumerate(zip(costs.cells, found, strict=True))
    ]


def _middle(values_H: Floats) -> float | None:
    known = values_H[~np.isnan(values_H)].tolist()
    return median(known) if known else None


# ---- pairs of runs --------------------------------------------------------------------------


class Parted(NamedTuple):
    """Logarithms of new / old in H pairs, taken apart."""

    own_HP: Floats
    common_H: Floats | None  # None where too few pairs or cells are there to tell it


def parted(ratios_HP: Floats) -> Parted:
    """What is of each cell, and what is of all; NaN is unknown.

    Pairs with too few cells to tell what these have in common are left out. The common part of a
    pair is what moves its cells away from their means over the pairs.
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


def judge_cells(split: Parted, floors_P: Floats) -> list[Verdict]:
    """A verdict for each cell; floors are relative changes.

    Where the new code is surely quicker in what all have in common, nothing is taken off: cells
    that stayed as they were are no slower for that. Among few cells of much noise the common part
    is as uncertain as they are. So a cell that is slower than the others by the floor, but not
    surely so, counts where it is surely slower together with what all have in common.
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
        for own, whole in zip(judge_pairs(split.own_HP, floors_P, ALPHA), wholes, strict=True)
    ]


def _judge_each(ratios_HP: Floats, floors_P: Floats) -> list[Verdict]:
    """Each cell by its own variance, for the drift is in all: one tells nothing of another's."""
    count = len(floors_P)
    found = [
        judge_pairs(ratios_HP[:, [place]], floors_P[[place]], ALPHA / count)[0]
        for place in range(count)
    ]
    return [
        one if one.p_adjusted is None else one._replace(p_adjusted=min(1, count * one.p_adjusted))
        for one in found
    ]


def judge_common(common_H: Floats, floors_P: Floats) -> Verdict:
    """A verdict on what all cells have in common, by their median floor."""
    return judge_pairs(common_H[:, None], np.array([np.median(floors_P)]), ALPHA)[0]


def judge_pairs(ratios_HP: Floats, floors_P: Floats, alpha: float) -> list[Verdict]:
    """A verdict for each cell over the pairs that know it; floors are relative changes."""
    change, floors_P = estimate(ratios_HP, LEAST_PAIRS), np.log1p(floors_P)
    findings = judge(change, floors_P, alpha)
    halves_P = special.stdtrit(change.freedoms_P, 0.975) * change.errors_P
    verdicts = []
    for place, word in enumerate(findings.words):
        num_pairs = int((~np.isnan(ratios_HP[:, place])).sum())
        if word == "not_judged":
            reason = f"not judged ({num_pairs} of {LEAST_PAIRS} pairs)"
            verdicts.append(Verdict(word, reason, num_pairs=num_pairs))
            continue
        mean, half = float(change.changes_P[place]), float(halves_P[place])
        visible = float(findings.visible_P[place])
        made = Verdict(word, NOISE if word == "inconclusive" else "", math.expm1(mean))
        if word == "pass" and visible - floors_P[place] > math.log1p(UNSEEN):
            made = made._replace(word="inconclusive", reason="too noisy to tell")
        verdicts.append(
            made._replace(
                p_adjusted=findings.p_adjusted(place, mean),
                visible=math.expm1(visible),
                interval=Interval(math.expm1(mean - half), math.expm1(mean + half)),
                num_pairs=num_pairs,
            )
        )
    return verdicts
