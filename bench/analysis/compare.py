"""Did anything get worse from one run of a suite to another? A verdict for each cell and metric.

What is not of one task is refused with the fields that differ; what ran under other conditions is
compared as far as that means something. With several candidates a metric is worse only where it is
worse in each of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench import metrics
from bench.analysis import costs
from bench.analysis.accuracy import Rules, judge_accuracy
from bench.analysis.baseline import PastRun, past_of
from bench.analysis.costs import Elsewhere, Shift
from bench.analysis.judge import (
    ACCURACY,
    CELL,
    COUNTS,
    MEASURES,
    MEMORY,
    SECONDS,
    Verdict,
    Word,
)
from bench.analysis.pairs import (
    Pair,
    Side,
    count_differences,
    matched,
    numerics_differences,
    sides_of,
    task_differences,
    untold,
)
from bench.analysis.table import Facts, Snapshot
from bench.errors import first
from bench.identity import Difference, differences
from bench.suite import CompareTable

NAMED = 3
"""Facts that changed, to be named one by one."""


class Comparison(NamedTuple):
    verdicts: tuple[Verdict, ...]
    shift: Shift | None
    elsewhere: Elsewhere | None
    num_past: int  # runs of the same suite, tasks and machine
    unstable: str | None  # why times were not judged
    notes: tuple[str, ...] = ()
    each: Mapping[str, "Comparison"] = {}  # by candidate, where there are several

    def count(self, *words: Word) -> int:
        return sum(one.word in words for one in self.verdicts)


Outcome = Literal[
    "regressed", "failed", "missing", "refused", "unstable", "nothing_judged", "inconclusive"
]
"""What an exit code may tell."""


def outcomes(found: Comparison) -> set[Outcome]:
    """What the comparison has of each; comparing nothing is never success."""
    cells = [one for one in found.verdicts if one.metric in (CELL, COUNTS)]
    judged = [one for one in found.verdicts if one.metric in MEASURES]
    blame = found.shift.blame if found.shift else "none"
    has: dict[Outcome, bool] = {
        "regressed": blame == "code" or _any(judged, "regressed"),
        "failed": _any(cells, "failed"),
        "missing": _any(cells, "missing"),
        "refused": _any(cells, "not_comparable") or any(map(is_unsettled, judged)),
        "unstable": found.unstable is not None or blame in ("machine", "unclear"),
        "nothing_judged": not _any(judged, "pass", "improved", "regressed"),
        "inconclusive": _any(judged, "inconclusive"),
    }
    return {outcome for outcome, is_so in has.items() if is_so}


def _any(verdicts: Iterable[Verdict], *words: Word) -> bool:
    return any(one.word in words for one in verdicts)


# ---- two runs -------------------------------------------------------------------------------


def compare(
    baseline: Snapshot, candidate: Snapshot, past: Iterable[PastRun], before: str | None = None
) -> Comparison:
    """The candidate against the baseline, costs with the help of past runs of any suite.

    Past are runs that began before the candidate, or before another time. The thresholds are the
    candidate's. Raises ValueError where a run is damaged.
    """
    match = matched(baseline, candidate)
    cells = [cell_verdict(pair) for pair in match.pairs]
    sound = [pair for pair, one in zip(match.pairs, cells, strict=True) if one.word == "pass"]
    counts = [count_verdict(pair) for pair in sound]
    alike = [pair for pair, one in zip(sound, counts, strict=True) if one.word == "pass"]
    settings = candidate.header.compare
    known = past_of(baseline, past, before or candidate.header.started_at)
    unstable = unsteady({"baseline": baseline, "candidate": candidate})
    times, here, away = costs.sorted_out(alike, SECONDS)
    shift = None
    if unstable:
        times += [_untimed(pair, unstable) for pair in here]
    else:
        machine = costs.slowdown(baseline.header.calibration, candidate.header.calibration)
        judged, shift = costs.time_verdicts(here, known, settings, machine)
        times += judged
    peaks, here, _ = costs.sorted_out(alike, MEMORY)
    return Comparison(
        verdicts=(
            *map(without_seeds, match.pairs, cells),
            *(other_task(pair) for pair in match.other_task),
            *(_alone(side, "missing", "no longer asked for") for side in match.missing),
            *(_alone(side, "new") for side in match.new),
            *counts,
            *accuracy_verdicts(alike, baseline, candidate, settings),
            *times,
            *peaks,
            *costs.memory_verdicts(here, known, settings, candidate.header.device),
        ),
        shift=shift,
        elsewhere=None if unstable else costs.elsewhere(away),
        num_past=known.relevant(alike),
        unstable=unstable,
        notes=(*notes(baseline, candidate, settings), *_older(alike)),
    )


def _untimed(pair: Pair, why: str) -> Verdict:
    before, after = (side.value(SECONDS) for side in pair)
    return Verdict("not_judged", why, baseline=before, candidate=after).of(pair.cell, SECONDS)


def unsteady(runs: Mapping[str, Snapshot]) -> str | None:
    found = [
        f"the {name} is unstable: {run.header.unstable}"
        for name, run in runs.items()
        if run.header.unstable
    ]
    return "; ".join(found) or None


def accuracy_verdicts(
    pairs: Sequence[Pair], baseline: Snapshot, candidate: Snapshot, settings: CompareTable
) -> list[Verdict]:
    if not pairs:
        return []
    same_metric = baseline.header.metric == candidate.header.metric
    if not same_metric or not np.array_equal(baseline.labels_N, candidate.labels_N):
        reason = "scored on other test images, or by another metric"
        return [Verdict("not_comparable", reason).of(pair.cell, ACCURACY) for pair in pairs]
    least = max(MEASURES[ACCURACY].floor, candidate.header.margin)
    floors = [settings.floor(ACCURACY, pair.cell, least) for pair in pairs]
    fields = [numerics_differences(pair) for pair in pairs]
    found = judge_accuracy(
        [pair.before.scored for pair in pairs],
        [pair.after.scored for pair in pairs],
        np.array(floors),
        [bool(one) for one in fields],
        Rules(
            metrics.METRICS[candidate.header.metric].weights(candidate.labels_N),
            settings.visible_drop,
            settings.equivalence,
        ),
    )
    return [
        one._replace(
            baseline=pair.before.value(ACCURACY),
            candidate=pair.after.value(ACCURACY),
            fields=differing,
            floor=floor,
        ).of(pair.cell, ACCURACY)
        for pair, one, differing, floor in zip(pairs, found, fields, floors, strict=True)
    ]


# ---- cells ----------------------------------------------------------------------------------

BROKEN = ("failed", "diverged", "timeout")
"""Bad ends of a cell that was ok before; one that was stopped is only missing."""


def cell_verdict(pair: Pair) -> Verdict:
    return _standing(pair.before, pair.after).of(pair.cell, CELL)


def _standing(before: Side, after: Side) -> Verdict:
    broken = {seed: status for seed, status in after.statuses.items() if status in BROKEN}
    lost = {s: status for s, status in after.statuses.items() if status not in ("ok", *BROKEN)}
    newly = {s: status for s, status in broken.items() if before.statuses.get(s, "ok") == "ok"}
    if newly and before.ok:
        return Verdict("failed", _seeds(newly))
    # Even if the baseline has no result either: a cell that did not run is not known to fail.
    if lost:
        return Verdict("missing", _seeds(lost))
    if not before.ok and after.ok and not broken:
        return Verdict("improved", "has results now")
    unknown = {s: status for s, status in broken.items() if before.statuses.get(s) not in BROKEN}
    word: Word = "not_comparable" if unknown else "not_judged"
    if not before.ok:
        return Verdict(word, "no result in the baseline")
    if not after.ok:
        return Verdict(word, "no result in either run for the same seeds")
    if unknown:
        return Verdict(word, f"{_seeds(unknown)}, and without a result in the baseline")
    return Verdict("pass")


def _seeds(statuses: Mapping[int, str]) -> str:
    return ", ".join(f"seed {seed} {status}" for seed, status in statuses.items())


def without_seeds(pair: Pair, one: Verdict) -> Verdict:
    """The verdict on a cell; one that passes is not complete if seeds are no longer asked for.

    The seeds that are left are compared all the same.
    """
    gone = sorted({*pair.before.seeds} - pair.after.statuses.keys())
    if one.word != "pass" or not gone:
        return one
    reason = f"no longer asked for: seed {', '.join(map(str, gone))}"
    return one._replace(word="missing", reason=reason)


def count_verdict(pair: Pair) -> Verdict:
    fields = count_differences(pair)
    made = (
        Verdict("not_comparable", "another network", fields=fields) if fields else Verdict("pass")
    )
    return made.of(pair.cell, COUNTS)


def other_task(pair: Pair) -> Verdict:
    made = Verdict("not_comparable", "another task", fields=task_differences(pair))
    return made.of(pair.cell, CELL)


def _alone(side: Side, word: Word, reason: str = "") -> Verdict:
    return Verdict(word, reason).of(side.cell, CELL)


# ---- what must be known ---------------------------------------------------------------------


def notes(baseline: Snapshot, candidate: Snapshot, settings: CompareTable) -> tuple[str, ...]:
    runs = {"baseline": baseline, "candidate": candidate}
    before, after = baseline.header, candidate.header
    found = [
        f"the {name} did not finish ({run.header.status})"
        for name, run in runs.items()
        if run.header.status != "finished"
    ]
    if before.suite_name != after.suite_name:
        found.append(f"suites of other names: {before.suite_name} and {after.suite_name}")
    mixed = [name for name, run in runs.items() if is_mixed(run)]
    found += [
        f"the {name} ran under mixed conditions: its costs are not compared" for name in mixed
    ]
    found += idle_thresholds(settings, candidate)
    if changed := also_changed(before.information, after.information):
        found.append(f"also changed: {changed}")
    return tuple(found)


def is_mixed(run: Snapshot) -> bool:
    return any(side.mixed for side in sides_of(run))


def _older(pairs: Sequence[Pair]) -> list[str]:
    lacking = dict.fromkeys(path for pair in pairs for path in untold(pair))
    if not lacking:
        return []
    return [
        f"the baseline does not record {', '.join(lacking)}, on which costs depend: run its suite "
        "again with today's bench, and accept that run"
    ]


def idle_thresholds(settings: CompareTable, candidate: Snapshot) -> list[str]:
    """Patterns that fit no cell of the candidate, a sentence each: misspelt, they do nothing."""
    return [f"thresholds: no cell is called {pattern}" for pattern in settings.idle(candidate.rows)]


def also_changed(before: Facts, after: Facts) -> str:
    """The first few facts that are another: the code, which machine of its kind, and the rest.

    What only one side knows of is left out: an older file has fewer facts.
    """
    found = [one for one in differences(before, after) if one.on_both_sides]
    return first([str(one) for one in sorted(found, key=_newsworthy)], NAMED, ";")


def _newsworthy(one: Difference) -> tuple[bool, bool, str]:
    return not one.path.startswith("bench."), one.path != "machine.id", one.path


# ---- several candidates ---------------------------------------------------------------------


def together(each: Mapping[str, Comparison]) -> Comparison:
    """One comparison of several candidates with the same baseline, by their names."""
    if len(each) == 1:
        return next(iter(each.values()))
    by_metric: dict[tuple[str, str, str], dict[str, Verdict]] = {}
    for name, found in each.items():
        for one in found.verdicts:
            by_metric.setdefault((*one.cell, one.metric), {})[name] = one
    unstable = [f"{name}: {one.unstable}" for name, one in each.items() if one.unstable]
    told = dict.fromkeys(note for found in each.values() for note in found.notes)
    return Comparison(
        verdicts=tuple(_combined(verdicts, each) for verdicts in by_metric.values()),
        shift=_combined_shift([one.shift for one in each.values()]),
        elsewhere=next((one.elsewhere for one in each.values() if one.elsewhere), None),
        num_past=min(one.num_past for one in each.values()),
        unstable="; ".join(unstable) or None,
        notes=tuple(told),
        each=each,
    )


WORSE: tuple[Word, ...] = ("regressed", "failed", "missing")
MILDEST: tuple[Word, ...] = ("pass", "inconclusive", "improved", "new", "not_judged")


def _combined(verdicts: Mapping[str, Verdict], names: Iterable[str]) -> Verdict:
    """Worse only where each candidate shows it; else the mildest, and what is worse in some only
    is inconclusive.
    """
    showed = tuple(
        (name, verdicts[name].word, verdicts[name].change)
        if name in verdicts
        else (name, None, None)
        for name in names
    )
    found = list(verdicts.values())
    mildest = min(found, key=lambda one: abs(one.change or 0.0))
    words = {word for _, word, _ in showed}
    if len(words) == 1:
        return mildest._replace(showed=showed)
    if refused := [v for v in found if v.metric in (CELL, COUNTS) and v.word == "not_comparable"]:
        return refused[0]._replace(showed=showed)
    if worse := [one for one in found if one.word in WORSE]:
        return worse[0]._replace(word="inconclusive", reason="not in each candidate", showed=showed)
    order = [*MILDEST, "not_comparable"]
    return min(found, key=lambda one: order.index(one.word))._replace(showed=showed)


def is_unsettled(one: Verdict) -> bool:
    """Whether a candidate is worse and another could not tell: not confirmed, and not cleared."""
    words = {word for _, word, _ in one.showed}
    untold = {None, "not_judged", "not_comparable"} & words
    return one.word == "inconclusive" and bool(untold and words.intersection(WORSE))


def _combined_shift(shifts: Sequence[Shift | None]) -> Shift | None:
    known = [one for one in shifts if one is not None]
    if len(known) < len(shifts):
        return None
    if all(one.blame == "code" for one in known):
        return min(known, key=lambda one: one.change)
    return next(one for one in known if one.blame != "code")
