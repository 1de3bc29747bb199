"""Runs of two codes that took turns, judged: a verdict for each cell and metric.

Cells, counts and accuracy are judged as `bench.analysis.compare` judges two runs, by the soundest
run of each side: the same code gives the same answers, and where it does not, that is said. Train
time, and memory on a CPU, where it scatters, are judged over the pairs of runs: see
`bench.analysis.turns`; memory on a GPU by its floor alone. Both sides ran on one machine; what the
new code made of it (precision, threads, layout) is part of what it is judged by, and told.

A run whose machine changed while it was timed is unsteady, and its pair is left out if enough
others remain: the calibration knows nothing of the cells' times, so leaving out by it favours
neither side. Otherwise all pairs stay, for an interval over pairs is as wide as the machine made
it; the result is marked, and what it could not see is inconclusive.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.analysis import peaks, speed, turns
from bench.analysis.compare import compare, idle_thresholds
from bench.analysis.conditions import short
from bench.analysis.digest import Digest, RowDigest, conditions_of, cost_of
from bench.analysis.matching import cell_verdict, count_verdict, matched
from bench.analysis.paired import Floats
from bench.analysis.turns import Turn
from bench.analysis.verdict import CELL, MEMORY, SECONDS, Comparison, Mean, Verdict
from bench.suite import CompareTable, Judged

ALL_CELLS = "all cells"
"""Stands for a cell in the verdict on what all have in common."""


class Sided(NamedTuple):
    """The runs of both sides, in the order in which they ran; as many of each."""

    old: Sequence[Digest]
    new: Sequence[Digest]

    def only(self, places: Sequence[int]) -> "Sided":
        """The pairs of these places."""
        return Sided([self.old[place] for place in places], [self.new[place] for place in places])


class Alternation(NamedTuple):
    """The result."""

    comparison: Comparison
    num_pairs: int
    judged: tuple[int, ...]  # places of the pairs by which costs were judged
    unsteady: Mapping[int, str]  # why, by the place of the pair
    parted: bool  # whether times are without what all cells have in common

    @property
    def marked(self) -> bool:
        """Whether unsteady pairs had to stay."""
        return any(place in self.unsteady for place in self.judged)


def alternation(sides: Sided) -> Alternation:
    """The new code against the old one; one pair at least. Raises ValueError for damaged digests.

    The thresholds are the suite's.
    """
    old, new = soundest(sides.old), soundest(sides.new)
    found = compare(old, new, ())
    shaky = unsteady(sides)
    judged = steady(len(sides.old), shaky)
    cells = [(v.architecture, v.strategy) for v in found.verdicts if v.metric == SECONDS]
    counted = sides.only(judged)
    costs, is_parted = second_verdicts(costs_of(counted, cells, SECONDS))
    costs += memory_verdicts(costs_of(counted, cells, MEMORY), new.device)
    told = [one for one in found.verdicts if one.metric not in (SECONDS, MEMORY)]
    return Alternation(
        Comparison(
            verdicts=(*with_broken(told, old, sides.new), *costs),
            shift=None,
            elsewhere=None,
            num_past=0,
            num_needed=0,
            unstable=None,
            notes=tuple(notes(sides, old, new)),
        ),
        num_pairs=len(sides.old),
        judged=tuple(judged),
        unsteady=shaky,
        parted=is_parted,
    )


def soundest(runs: Sequence[Digest]) -> Digest:
    """The first of those with the most results."""
    return max(runs, key=lambda run: sum(len(row.ok) for row in run.rows))


def one_task(old: Digest, new: Digest) -> bool:
    """Whether runs of both are worth going on with: of one task, with the same networks."""
    match = matched(old, new)
    return not match.other_task and all(count_verdict(pair).word == "pass" for pair in match.pairs)


def same_task(one: Digest, other: Digest) -> bool:
    """Whether two runs of one suite were asked for the same: its images could have changed."""
    return not matched(one, other).other_task


# ---- which pairs count ----------------------------------------------------------------------


def unsteady(sides: Sided) -> dict[int, str]:
    """Why the machine was not the same throughout, by the place of the pair."""
    found = {}
    for place, runs in enumerate(zip(sides.old, sides.new, strict=True)):
        named = zip(("old", "new"), runs, strict=True)
        reasons = [f"{name}: {run.unstable}" for name, run in named if run.unstable]
        if reasons:
            found[place] = "; ".join(reasons)
    return found


def steady(num_pairs: int, shaky: Mapping[int, str]) -> list[int]:
    """Places of the pairs that count: the steady ones, or all where these are too few."""
    found = [place for place in range(num_pairs) if place not in shaky]
    return found if len(found) >= turns.LEAST_PAIRS else list(range(num_pairs))


# ---- cells ----------------------------------------------------------------------------------


def with_broken(verdicts: Sequence[Verdict], old: Digest, news: Sequence[Digest]) -> list[Verdict]:
    """The verdicts; a cell that has results in some runs of the new code but not in all is told."""
    broken: dict[tuple[str, str], Verdict] = {}
    for number, new in enumerate(news, start=1):
        for pair in matched(old, new).pairs:
            one = cell_verdict(pair)
            if one.word in ("failed", "missing"):
                told = one._replace(reason=f"{one.reason}, in run {number} of {len(news)}")
                broken.setdefault(pair.names, told)
    return [
        broken.get((one.architecture, one.strategy), one)
        if (one.metric, one.word) == (CELL, "pass")
        else one
        for one in verdicts
    ]


def notes(sides: Sided, old: Digest, new: Digest) -> list[str]:
    """What must be known of the runs beside their verdicts."""
    found = idle_thresholds(CompareTable.model_validate(new.compare), new)
    for name, runs in zip(("old", "new"), sides, strict=True):
        if count := answers_differ(runs):
            cells = f"{count} cell{'' if count == 1 else 's'}"
            found.append(f"{name}: {cells} gave other answers when run again")
        if any(row.mixed for run in runs for row in run.rows):
            found.append(f"{name}: seeds of a cell ran in different ways")
    broken = sum(len(row.seeds) - len(row.ok) for run in sides.old for row in run.rows)
    found += [f"old: cells without a result, over all runs: {broken}"] if broken else []
    ways = {
        f"{path.removeprefix('execution.')}: {before[path]} and {after[path]}": None
        for pair in matched(old, new).pairs
        if pair.before.row.ok and pair.after.row.ok
        for before, after in [(conditions_of(*pair.before), conditions_of(*pair.after))]
        for path in sorted(before.keys() & after.keys())
        if path.startswith("execution.")
        if None not in (before[path], after[path]) and before[path] != after[path]
    }
    return found + [f"the new code runs cells in another way: {way}" for way in ways]


def answers_differ(runs: Sequence[Digest]) -> int:
    """Cells, each seed by itself, of which two runs of one code have other test images right."""
    given: dict[tuple[str, str, int], set[str | None]] = {}
    for run in runs:
        for row in run.rows:
            for seed in row.ok:
                cell = row.architecture, row.strategy, seed.seed
                given.setdefault(cell, set()).add(seed.right)
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
    for pair, runs in enumerate(zip(*sides, strict=True)):
        old, new = (_by_name(run) for run in runs)
        for place, names in enumerate(cells):
            if names in old and names in new and _same_seeds(old[names], new[names]):
                old_HP[pair, place] = cost_of(old[names], metric) or np.nan
                new_HP[pair, place] = cost_of(new[names], metric) or np.nan
    settings = CompareTable.model_validate(sides.new[0].compare)
    floors = [
        settings.floor(metric, names, _floor(metric, _middle(old_HP[:, place]), sides.new[0]))
        for place, names in enumerate(cells)
    ]
    return Costs(metric, cells, old_HP, new_HP, np.array(floors), machine_changes(sides))


def _floor(metric: Judged, usual: float | None, run: Digest) -> float:
    """The least relative change that counts, by what the old code usually takes."""
    if metric == SECONDS:
        return speed.FLOOR
    timed_choice = bool(run.conditions.get("execution.cudnn_benchmark"))
    return peaks.floor_bytes(usual, run.device, timed_choice, None) / usual if usual else 0.0


def _by_name(run: Digest) -> dict[tuple[str, str], RowDigest]:
    return {(row.architecture, row.strategy): row for row in run.rows}


def _same_seeds(old: RowDigest, new: RowDigest) -> bool:
    return {one.seed for one in old.ok} == {one.seed for one in new.ok}


def machine_changes(sides: Sided) -> tuple[str, ...]:
    """Facts of the machine that are known, and not the same in all runs.

    What is known to one side only is what one code looks at and the other does not.
    """
    found: dict[str, list[str]] = {}
    for run in (*sides.old, *sides.new):
        for row in run.rows:
            for path, value in conditions_of(run, row).items():
                if path.startswith("machine.") and value is not None:
                    values = found.setdefault(path, [])
                    values += [short(value)] if short(value) not in values else []
    return tuple(
        f"{path}: {' and '.join(values)}" for path, values in found.items() if len(values) > 1
    )


def second_verdicts(costs: Costs) -> tuple[list[Verdict], bool]:
    """Train times, and whether what all cells have in common is a verdict of its own."""
    if costs.refused:
        return _refusals(costs), False
    split = turns.parted(costs.ratios_HP)
    verdicts = _verdicts(costs, turns.judge_cells(split, costs.floors_P))
    if split.common_H is None:
        return verdicts, False
    common = turns.judge_common(split.common_H, costs.floors_P)
    return [_verdict((ALL_CELLS, ""), SECONDS, common), *verdicts], True


def memory_verdicts(costs: Costs, device: str) -> list[Verdict]:
    """Peaks: nothing makes those of all cells drift together; a GPU's are the same each time."""
    if costs.refused:
        return _refusals(costs)
    if device == "cpu":
        return _verdicts(costs, turns.judge(costs.ratios_HP, costs.floors_P, turns.ALPHA))
    return [_repeatable(costs, place) for place in range(len(costs.cells))]


def _repeatable(costs: Costs, place: int) -> Verdict:
    """The peak of a cell that is the same every time."""
    old, new = (_middle(side_HP[:, place]) for side_HP in (costs.old_HP, costs.new_HP))
    if not old or not new:
        reason = "unknown, or not of the same seeds"
        return Verdict(*costs.cells[place], MEMORY, "not_judged", reason, old, new)
    floor, none = costs.floors_P[place] * old, np.empty((0, 1))
    made = peaks.Peaks(np.array([old]), np.array([new]), none, np.array([floor]))
    (one,) = peaks.judge(made, "cuda")
    return Verdict(
        *costs.cells[place], MEMORY, one.word, one.reason, old, new, one.change, visible=one.visible
    )


def _refusals(costs: Costs) -> list[Verdict]:
    reason = "the machine changed between the runs"
    return [
        Verdict(*names, costs.metric, "not_comparable", reason, fields=costs.refused)
        for names in costs.cells
    ]


def _verdicts(costs: Costs, found: Sequence[Turn]) -> list[Verdict]:
    return [
        _verdict(names, costs.metric, turn)._replace(
            baseline=_middle(costs.old_HP[:, place]), candidate=_middle(costs.new_HP[:, place])
        )
        for place, (names, turn) in enumerate(zip(costs.cells, found, strict=True))
    ]


def _verdict(names: tuple[str, str], metric: Judged, turn: Turn) -> Verdict:
    return Verdict(
        *names,
        metric,
        turn.word,
        turn.reason,
        change=turn.change,
        p_adjusted=turn.p_adjusted,
        visible=turn.visible,
        mean=Mean(turn.interval, turn.num_pairs) if turn.interval else None,
    )


def _middle(values_H: Floats) -> float | None:
    """The median of what is known."""
    known = values_H[~np.isnan(values_H)].tolist()
    return median(known) if known else None
