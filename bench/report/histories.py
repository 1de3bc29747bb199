"""The history of a suite for reading: a headline, what changed when, a row for each cell."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.histories import WATCHED, CellHistory, Change, Histories, Series
from bench.analysis.news import News, news
from bench.analysis.setups import Setup
from bench.analysis.steps import LEAST_VALUES
from bench.analysis.verdict import ACCURACY, MEMORY, SECONDS
from bench.report import units
from bench.report.formats import Table
from bench.report.verdicts import TITLES, listed, points, signed


class Reading(NamedTuple):
    """What was not shown of the runs below a folder."""

    unfinished: int = 0
    unreadable: Sequence[str] = ()  # why, one for each
    copies: int = 0


NAMED = 3
"""Cells or reasons that are named one by one."""


def headline(found: Histories) -> str:
    """What became of the suite, in a sentence."""
    runs = found.runs
    if len(runs) == 1:
        return f"{found.suite_name} has one finished run: there is no history yet."
    changes = news(found)
    days = day(runs[0].started_at), day(runs[-1].started_at)
    when = f"on {days[0]}" if days[0] == days[1] else f"from {days[0]} to {days[1]}"
    told = f"{found.suite_name}: {units.plural(len(runs), 'run')} {when}, "
    if not changes:
        return f"{told}no change of level."
    first = changes[0]
    what = f"{TITLES[first.metric]} {_largest(first)} on {day(runs[first.run].started_at)}"
    if len(changes) == 1:
        return f"{told}one change of level: {what}."
    return f"{told}{len(changes)} changes of level, the newest of {what}."


def _largest(one: News) -> str:
    amount = changed(one.changes[0])
    return amount if len(one.changes) == 1 else f"up to {amount}"


def day(time: str) -> str:
    """The date of a time that was written by anybody."""
    return time[:10] if re.match(r"\d{4}-\d\d-\d\d", time, re.ASCII) else "an unknown day"


def clock(time: str) -> str:
    """The time of day, likewise; the date where it has none."""
    found = re.search(r"T(\d\d:\d\d)", time, re.ASCII)
    return found[1] if found else day(time)


def changed(change: Change) -> str:
    """Points of a score, percent of time and memory."""
    return points(change.amount) if change.metric == ACCURACY else signed(change.amount)


def level(metric: str, value: float | None) -> str:
    """A value without its unit, which stands in a heading: %, s or MiB."""
    match metric:
        case "accuracy":
            return units.percent(value)
        case "train_seconds":
            return units.three_digits(value)
        case _:
            return units.mebibytes(value)


UNITS = {ACCURACY: "%", SECONDS: "s", MEMORY: "MiB"}


# ---- what changed ---------------------------------------------------------------------------


def told(found: Histories, one: News) -> tuple[str, str]:
    """A change in two lines: when, of what and by how much; and what else changed there."""
    runs = found.runs
    return (
        f"{day(runs[one.run].started_at)}  {TITLES[one.metric]} of {cells_of(one)}",
        f"from {runs[one.before].name} to {runs[one.run].name}: {differing(one)}",
    )


def cells_of(one: News) -> str:
    """`resnet18 · partial +12.0 % (10.1 → 11.3 s)`, or how many cells with the largest change."""
    named = [f"{change.name} {changed(change)} ({levels(change)})" for change in one.changes]
    if len(named) <= NAMED:
        return ", ".join(named)
    return f"{len(named)} of {one.num_cells} cells, most of all {named[0]}"


def levels(change: Change) -> str:
    """Both levels, with the number of runs on each."""
    step, metric = change.step, change.metric
    before, after = level(metric, step.before), level(metric, step.after)
    runs = f"medians of {step.num_before} and {step.num_after} runs"
    return f"{before} → {after} {UNITS[metric]}, {runs}"


SAME = 0.0005
"""A smaller share reads as 0.0 %."""


def differing(one: News) -> str:
    """What else is not the same in the two runs."""
    fields = tuple(dict.fromkeys(field for change in one.changes for field in change.fields))
    facts = listed(fields) if fields else "nothing recorded of machine or software changed"
    machine = one.changes[0].machine
    if machine is None:
        return facts
    if abs(machine) < SAME:
        return f"{facts}; the machine itself was as quick as before"
    word = "slower" if machine > 0 else "quicker"
    return f"{facts}; the machine itself was {units.percent(abs(machine))} % {word}"


# ---- the table ------------------------------------------------------------------------------


def table(cells: Sequence[CellHistory], found: Histories) -> Table:
    """A row for each cell: the newest values, and its newest change."""
    header = ("Cell", "Ok", "Test %", "Train s", "Peak MiB", "Runs", "Newest change")
    return Table(header, tuple(_row(cell, found) for cell in cells), "lrrrrrl")


def _row(cell: CellHistory, found: Histories) -> tuple[str, ...]:
    run = max(cell.rows)
    newest = cell.rows[run]
    dots = [cell.latest(watched.name) for watched in WATCHED]
    latest = [
        level(watched.name, dot.value if dot and dot.run == run else None)
        for watched, dot in zip(WATCHED, dots, strict=True)
    ]
    seeds = f"{newest.statuses.count('ok')}/{len(newest.statuses)}"
    return (cell.name, seeds, *latest, str(len(cell.rows)), newest_change(cell, found))


def newest_change(cell: CellHistory, found: Histories) -> str:
    """`time +12.0 % 2026-11-10`; empty without one."""
    if not cell.changes:
        return ""
    one = cell.changes[0]
    return f"{SHORT[one.metric]} {changed(one)} {day(found.runs[one.run].started_at)}"


SHORT = {ACCURACY: "test", SECONDS: "train", MEMORY: "memory"}


# ---- what must be known beside it -----------------------------------------------------------


def remarks(found: Histories, reading: Reading) -> list[str]:
    """What limits this, a sentence each."""
    return [
        *_of_length(found),
        *_of_newest(found),
        *_of_reading(reading),
        *_of_unstable(found),
        *_of_machines(found),
    ]


def _of_reading(reading: Reading) -> list[str]:
    lines = []
    if reading.unreadable:
        more = f"; and {len(reading.unreadable) - NAMED} more"
        named = "; ".join(reading.unreadable[:NAMED])
        count = units.plural(len(reading.unreadable), "run")
        tail = more if len(reading.unreadable) > NAMED else ""
        lines.append(
            f"{count} could not be read and {_is(reading.unreadable)} left out: {named}{tail}"
        )
    if reading.unfinished:
        lines.append(f"{units.plural(reading.unfinished, 'run')} did not finish, left out")
    if reading.copies:
        folders = units.plural(reading.copies, "folder")
        lines.append(f"{folders} left out: the same run as another")
    return lines


def _is(things: Sequence[object]) -> str:
    return "is" if len(things) == 1 else "are"


def _of_length(found: Histories) -> list[str]:
    if len(found.runs) == 1:
        return ["changes of level need at least " + units.plural(LEAST_VALUES, "run")]
    joined = [series for cell in found.cells for series in cell.series if series.key]
    longest = max((counted(series) for series in joined), default=0)
    if longest >= LEAST_VALUES:
        return []
    return [
        f"too short for changes of level: at least {LEAST_VALUES} runs of one task, machine and "
        f"software are needed, the longest series has {longest}"
    ]


def counted(series: Series) -> int:
    """Values that take part in the steps."""
    return sum(not dot.apart for dot in series.dots)


def _of_machines(found: Histories) -> list[str]:
    lines = []
    if len(found.setups) > 1:
        lines.append(
            f"{len(found.setups)} kinds of machine and software: times and memory are joined "
            "within each only, scores where the arithmetic is the same"
        )
    loose = {dot.run for cell in found.cells for s in cell.series if not s.key for dot in s.dots}
    if loose:
        lines.append(
            f"in {units.plural(len(loose), 'run')} a fact of the conditions is unknown, or seeds "
            "of a cell ran under different ones: their values are joined with nothing"
        )
    return lines


def _of_unstable(found: Histories) -> list[str]:
    count = sum(run.unstable is not None for run in found.runs)
    what = units.plural(count, "run")
    return [f"{what} unstable: times take no part in changes of level"] * bool(count)


def _of_newest(found: Histories) -> list[str]:
    newest = len(found.runs) - 1
    failed = [
        f"{cell.name} ({cell.failures[newest]})" for cell in found.cells if newest in cell.failures
    ]
    gone = [cell.name for cell in found.cells if newest not in cell.rows]
    lines = []
    if failed:
        lines.append(f"not ok in the newest run: {_some(failed)}")
    if gone:
        lines.append(f"not asked for by the newest run: {_some(gone)}")
    return lines


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


# ---- machines and versions ------------------------------------------------------------------


def machine(setup: Setup) -> str:
    """`NVIDIA H200`, or `AMD EPYC, 2 cores`."""
    facts = setup.facts
    if facts.get("device") == "cuda":
        return str(facts.get("gpu_name") or "unknown GPU")
    cores = units.plural(facts["usable_cores"], "core")
    return f"{facts.get('cpu_model') or 'unknown CPU'}, {cores}"


def versions(setup: Setup) -> str:
    """`torch 2.15.0, CUDA 12.8, driver 570`."""
    names = {
        "torch": "torch",
        "torchvision": "torchvision",
        "cuda": "CUDA",
        "driver_branch": "driver",
    }
    known = {name: setup.facts.get(key) for key, name in names.items()}
    return ", ".join(f"{name} {value}" for name, value in known.items() if value)
