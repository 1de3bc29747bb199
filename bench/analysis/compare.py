"""Did anything get worse from one run of a suite to another? A verdict for each metric.

What is not of one task is refused with the fields that differ; what ran under other conditions is
compared as far as that means something. With several candidates a metric is worse only where it is
worse in each of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench import metrics
from bench.analysis import costs
from bench.analysis.accuracy import judge_accuracy
from bench.analysis.baseline import PastRun, past_of
from bench.analysis.costs import OtherConditions, Roofline, Shift
from bench.analysis.judge import ACCURACY, CELL, MEASURES, MEMORY, SECONDS, SIZE, Verdict, Word
from bench.analysis.pairs import (
    Pair,
    by_seed,
    condition_differences,
    count_verdict,
    is_mixed,
    matched,
)
from bench.analysis.table import Facts, Snapshot
from bench.errors import first
from bench.identity import differences


class Comparison(NamedTuple):
    verdicts: tuple[Verdict, ...]
    shift: Shift | None
    elsewhere: OtherConditions | None
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
    whole = {one.word for one in found.verdicts if one.metric in (CELL, SIZE)}
    measured = [one for one in found.verdicts if one.metric in MEASURES]
    judged = {one.word for one in measured}
    blame = found.shift.blame if found.shift else "none"
    has: dict[Outcome, bool] = {
        "regressed": blame == "code" or "regressed" in judged,
        "failed": "failed" in whole,
        "missing": "missing" in whole,
        "refused": "not_comparable" in whole or any(map(is_unsettled, measured)),
        "unstable": found.unstable is not None or blame in ("machine", "unclear"),
        "nothing_judged": judged.isdisjoint({"pass", "improved", "regressed"}),
        "inconclusive": "inconclusive" in judged,
    }
    return {outcome for outcome, is_so in has.items() if is_so}


def compare(
    baseline: Snapshot,
    candidate: Snapshot,
    past: Iterable[PastRun],
    before: str | None = None,
    roofline: Roofline | None = None,
) -> Comparison:
    """The candidate against the baseline, costs with the help of past runs of any suite.

    Past are runs that began before the candidate, or before another time. The thresholds are the
    candidate's. Raises ValueError where a run is damaged.
    """
    match = matched(baseline, candidate)
    standing = [cell_verdict(pair) for pair in match.pairs]
    sound = [pair for pair, one in zip(match.pairs, standing, strict=True) if one.word == "pass"]
    counts = [count_verdict(pair) for pair in sound]
    alike = [pair for pair, one in zip(sound, counts, strict=True) if one.word == "pass"]
    known = past_of(baseline, past, before or candidate.header.started_at)
    unstable = unsteady(
        {"the baseline is unstable": baseline, "the candidate is unstable": candidate}
    )
    times, here, away = costs.by_conditions(alike, SECONDS)
    shift = None
    if unstable:
        untimed = Verdict("not_judged", unstable)
        times += [pair.told(untimed, SECONDS) for pair in here]
    else:
        machine = costs.slowdown(baseline.header.calibration, candidate.header.calibration)
        judged, shift = costs.verdicts(here, known, SECONDS, machine)
        times += judged
    peaks, here, _ = costs.by_conditions(alike, MEMORY)
    return Comparison(
        verdicts=(
            *map(without_seeds, match.pairs, standing),
            *(other_task(pair) for pair in match.other_task),
            *(Verdict("missing", GONE).of(one.names, CELL) for one in match.missing),
            *(Verdict("new").of(one.names, CELL) for one in match.new),
            *counts,
            *accuracy_verdicts(alike, baseline, candidate),
            *times,
            *peaks,
            *costs.verdicts(here, known, MEMORY)[0],
        ),
        shift=shift,
        elsewhere=None if unstable else costs.elsewhere(away, match.pairs, roofline),
        num_past=known.relevant(alike),
        unstable=unstable,
        notes=(*notes(baseline, candidate), *_older(alike)),
    )


GONE = "no longer asked for"


def unsteady(runs: Mapping[str, Snapshot]) -> str | None:
    """Why the machine was not steady, each run by its name; None where it was."""
    unstable = {name: run.header.unstable for name, run in runs.items()}
    return "; ".join(f"{name}: {why}" for name, why in unstable.items() if why) or None


def accuracy_verdicts(
    pairs: Sequence[Pair], baseline: Snapshot, candidate: Snapshot
) -> list[Verdict]:
    if not pairs:
        return []
    same_metric = baseline.header.metric == candidate.header.metric
    if not same_metric or not np.array_equal(baseline.labels_N, candidate.labels_N):
        made = Verdict("not_comparable", "scored on other test images, or by another metric")
        return [made.of(pair.names, ACCURACY) for pair in pairs]
    settings = candidate.header.compare
    least = max(MEASURES[ACCURACY].floor, candidate.header.margin)
    floors = [settings.floor(ACCURACY, pair.names, least) for pair in pairs]
    fields = [condition_differences(pair, {"numerics"}) for pair in pairs]
    found = judge_accuracy(
        [pair.before.scored for pair in pairs],
        [pair.after.scored for pair in pairs],
        np.array(floors),
        np.array(list(map(bool, fields))),
        metrics.METRICS[candidate.header.metric].weights(candidate.labels_N),
        settings,
    )
    return [
        pair.told(one._replace(fields=differing, floor=floor), ACCURACY)
        for pair, one, differing, floor in zip(pairs, found, fields, floors, strict=True)
    ]


BROKEN = ("failed", "diverged", "timeout")
"""Bad ends of what was ok before; what was stopped is only missing."""


def cell_verdict(pair: Pair) -> Verdict:
    before, after = pair
    broken = {seed: status for seed, status in after.statuses.items() if status in BROKEN}
    lost = {s: status for s, status in after.statuses.items() if status not in ("ok", *BROKEN)}
    newly = {s: status for s, status in broken.items() if before.statuses.get(s, "ok") == "ok"}
    unknown = {s: status for s, status in broken.items() if before.statuses.get(s) not in BROKEN}
    word: Word = "not_comparable" if unknown else "not_judged"
    if newly and before.ok:
        word, reason = "failed", by_seed(newly)
    elif lost:  # even if the baseline has no result either: it is not known to fail
        word, reason = "missing", by_seed(lost)
    elif not before.ok and after.ok and not broken:
        word, reason = "improved", "has results now"
    elif not before.ok:
        reason = "no result in the baseline"
    elif not after.ok:
        reason = "no result in either run for the same seeds"
    elif unknown:
        reason = f"{by_seed(unknown)}, and without a result in the baseline"
    else:
        word, reason = "pass", ""
    return Verdict(word, reason).of(pair.names, CELL)


def without_seeds(pair: Pair, one: Verdict) -> Verdict:
    """The verdict; one that passes is not complete if seeds are no longer asked for.

    The seeds that are left are compared all the same.
    """
    gone = sorted({*pair.before.seeds} - pair.after.statuses.keys())
    if one.word != "pass" or not gone:
        return one
    return one._replace(word="missing", reason=f"{GONE}: seed {', '.join(map(str, gone))}")


def other_task(pair: Pair) -> Verdict:
    fields = tuple(map(str, differences(pair.before.task, pair.after.task)))
    return Verdict("not_comparable", "another task", fields=fields).of(pair.names, CELL)


def notes(baseline: Snapshot, candidate: Snapshot) -> list[str]:
    runs = {"baseline": baseline, "candidate": candidate}
    before, after = baseline.header, candidate.header
    found = [
        f"the {name} did not finish ({run.header.status})"
        for name, run in runs.items()
        if run.header.status != "finished"
    ]
    if before.suite_name != after.suite_name:
        found.append(f"suites of other names: {before.suite_name} and {after.suite_name}")
    found += [
        f"the {name} ran under mixed conditions: its costs are not compared"
        for name, run in runs.items()
        if is_mixed(run)
    ]
    found += idle_thresholds(candidate)
    if changed := also_changed(before.information, after.information):
        found.append(f"also changed: {changed}")
    return found


def _older(pairs: Iterable[Pair]) -> list[str]:
    """On facts that costs depend on and only the candidate knows, on one kind of device."""
    lacking: dict[str, None] = {}
    for pair in pairs:
        before, after = pair.before.conditions, pair.after.conditions
        if before.get("machine.device") == after.get("machine.device"):
            known = sorted(path for path, value in after.items() if value is not None)
            lacking |= dict.fromkeys(path for path in known if before.get(path) is None)
    told = (
        f"the baseline does not record {', '.join(lacking)}, on which costs depend: run its suite "
        "again with today's bench, and accept that run"
    )
    return [told] if lacking else []


def idle_thresholds(candidate: Snapshot) -> list[str]:
    """Patterns that fit nothing in the candidate, a sentence each: misspelt, they do nothing."""
    idle = candidate.header.compare.idle(candidate.rows)
    return [f"thresholds: no cell is called {pattern}" for pattern in idle]


def also_changed(before: Facts, after: Facts) -> str:
    """The first few facts that are another: the code, which machine of its kind, and the rest.

    What only one side knows of is left out: an older file has fewer facts.
    """

    found = [one for one in differences(before, after) if one.on_both_sides]
    found.sort(key=lambda d: (not d.path.startswith("bench."), d.path != "machine.id", d.path))
    return first(list(map(str, found)), 3, ";")


def together(each: Mapping[str, Comparison]) -> Comparison:
    if len(each) == 1:
        return next(iter(each.values()))
    by_metric: dict[tuple[str, str, str], dict[str, Verdict]] = {}
    for name, found in each.items():
        for one in found.verdicts:
            by_metric.setdefault((*one.names, one.metric), {})[name] = one
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


def _combined(verdicts: Mapping[str, Verdict], names: Iterable[str]) -> Verdict:
    """Worse only where each candidate shows it; else the mildest, and what is worse in some only
    is inconclusive.
    """
    found = list(verdicts.values())
    told = {name: (one.word, one.change) for name, one in verdicts.items()}
    showed = tuple((name, *told.get(name, (None, None))) for name in names)
    if len({word for _, word, _ in showed}) == 1:
        mildest = min(found, key=lambda one: abs(one.change or 0.0))
        return mildest._replace(showed=showed)
    if refused := [v for v in found if v.metric in (CELL, SIZE) and v.word == "not_comparable"]:
        return refused[0]._replace(showed=showed)
    if worse := [one for one in found if one.word in WORSE]:
        return worse[0]._replace(word="inconclusive", reason="not in each candidate", showed=showed)
    order = ["pass", "inconclusive", "improved", "new", "not_judged", "not_comparable"]
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
    others = (one for one in known if one.blame != "code")
    return next(others, min(known, key=lambda one: one.change))
