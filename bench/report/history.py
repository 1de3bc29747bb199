"""The history of a suite for reading: a headline, what changed when, a row for each cell."""

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from bench.analysis.history import CellHistory, Change, History, News, Series, Setup, news
from bench.analysis.judge import ACCURACY, MEASURES, MEMORY, SECONDS
from bench.analysis.stats import LEAST_VALUES
from bench.report import units
from bench.report.comparison import TITLES, changed, level, listed
from bench.report.tables import Column, Table, Value


class Reading(NamedTuple):
    unfinished: int = 0
    unreadable: Sequence[str] = ()  # why, one for each
    copies: int = 0


NAMED = 3
"""Cells or reasons that are named one by one."""


def headline(found: History) -> str:
    runs = found.runs
    if len(runs) == 1:
        return f"{found.suite_name} has one finished run: there is no history yet."
    changes = news(found)
    days = list(dict.fromkeys(day(run.started_at) for run in (runs[0], runs[-1])))
    when = f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[1]}"
    told = f"{found.suite_name}: {units.plural(len(runs), 'run')} {when}, "
    if not changes:
        return f"{told}no change of level."
    first = changes[0]
    amount = f"{'up to ' if len(first.changes) > 1 else ''}{of_change(first.changes[0])}"
    what = f"{TITLES[first.metric]} {amount} on {day(runs[first.run].started_at)}"
    if len(changes) == 1:
        return f"{told}one change of level: {what}."
    return f"{told}{len(changes)} changes of level, the newest of {what}."


def day(time: str) -> str:
    """The date of a time that was written by anybody."""
    return time[:10] if re.match(r"\d{4}-\d\d-\d\d", time, re.ASCII) else "an unknown day"


def clock(time: str) -> str:
    """The time of day, likewise; the date where it has none."""
    found = re.search(r"T(\d\d:\d\d)", time, re.ASCII)
    return found[1] if found else day(time)


def of_change(change: Change) -> str:
    return changed(change.amount, change.metric)


# ---- what changed ---------------------------------------------------------------------------


def told(found: History, one: News) -> tuple[str, str]:
    """A change in two lines: when, of what and by how much; and what else changed there."""
    runs = found.runs
    return (
        f"{day(runs[one.run].started_at)}  {TITLES[one.metric]} of {cells_of(one)}",
        f"from {runs[one.before].name} to {runs[one.run].name}: {differing(one)}",
    )


def cells_of(one: News) -> str:
    """`resnet18 · partial +12.0 % (10.1 → 11.3 s)`, or how many cells with the largest change."""
    named = [f"{change.name} {of_change(change)} ({levels(change)})" for change in one.changes]
    if len(named) <= NAMED:
        return ", ".join(named)
    return f"{len(named)} of {one.num_cells} cells, most of all {named[0]}"


def levels(change: Change) -> str:
    step = change.step
    before, after = (level(value, change.metric) for value in (step.before, step.after))
    runs = f"medians of {step.num_before} and {step.num_after} runs"
    return f"{before} → {after} {MEASURES[change.metric].unit}, {runs}"


SAME = 0.0005
"""A smaller share reads as 0.0 %."""


def differing(one: News) -> str:
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


def table(cells: Sequence[CellHistory], found: History) -> Table:
    metrics = [
        Column(one.name, TITLE[one.name], one.unit, partial(level, metric=one.name), align="right")
        for one in MEASURES.values()
    ]
    columns = (
        Column("cell", "Cell"),
        Column("ok", "Ok", align="right"),
        *metrics,
        Column("runs", "Runs", align="right"),
        Column("newest_change", "Newest change"),
    )
    title = "Newest values, means and medians over seeds; the newest changes first"
    return Table("cells", title, columns, tuple(_row(cell, found) for cell in cells))


TITLE = {ACCURACY: "Test", SECONDS: "Train", MEMORY: "Peak"}


def _row(cell: CellHistory, found: History) -> tuple[Value, ...]:
    run = max(cell.rows)
    statuses = list(cell.rows[run].statuses.values())
    newest = [cell.rows[run].value(metric) for metric in MEASURES]
    seeds = f"{statuses.count('ok')}/{len(statuses)}"
    return (cell.name, seeds, *newest, len(cell.rows), newest_change(cell, found))


def newest_change(cell: CellHistory, found: History) -> str:
    """`train +12.0 % 2026-11-10`; empty without one."""
    if not cell.changes:
        return ""
    one = cell.changes[0]
    name = {ACCURACY: "test", SECONDS: "train", MEMORY: "memory"}[one.metric]
    return f"{name} {of_change(one)} {day(found.runs[one.run].started_at)}"


# ---- what must be known beside it -----------------------------------------------------------


def remarks(found: History, reading: Reading) -> list[str]:
    newest = [*_of_length(found), *_of_newest(found)]
    return [*newest, *_of_reading(reading), *_of_conditions(found)]


def _of_length(found: History) -> list[str]:
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
    return sum(not dot.apart for dot in series.dots)


def _of_newest(found: History) -> list[str]:
    newest = len(found.runs) - 1
    failed = [
        f"{cell.name} ({cell.failures[newest]})" for cell in found.cells if newest in cell.failures
    ]
    gone = [cell.name for cell in found.cells if newest not in cell.rows]
    lines = [f"not ok in the newest run: {units.first(failed, NAMED)}"] if failed else []
    return lines + (
        [f"not asked for by the newest run: {units.first(gone, NAMED)}"] if gone else []
    )


def _of_reading(reading: Reading) -> list[str]:
    lines = []
    if reading.unreadable:
        count = units.plural(len(reading.unreadable), "run")
        why = units.first(reading.unreadable, NAMED, ";")
        lines.append(f"{count} left out, could not be read: {why}")
    if reading.unfinished:
        lines.append(f"{units.plural(reading.unfinished, 'run')} left out, did not finish")
    if reading.copies:
        folders = units.plural(reading.copies, "folder")
        lines.append(f"{folders} left out, the same run as another")
    return lines


def _of_conditions(found: History) -> list[str]:
    lines = []
    if count := sum(run.unstable is not None for run in found.runs):
        what = units.plural(count, "run")
        lines.append(f"{what} unstable: times take no part in changes of level")
    if len(found.setups) > 1:
        lines.append(
            f"{len(found.setups)} kinds of machine and software: times and memory are joined "
            "within each only, scores where the arithmetic is the same"
        )
    loose = {dot.run for cell in found.cells for s in cell.series if not s.key for dot in s.dots}
    if loose:
        lines.append(
            f"in {units.plural(len(loose), 'run')} a fact of the conditions is unknown, or seeds "
            "of a cell ran under different ones: their values are not connected to any others"
        )
    return lines


# ---- machines and versions ------------------------------------------------------------------


def machine(setup: Setup) -> str:
    """`NVIDIA H200`, or `AMD EPYC, 2 cores`."""
    facts = {path.removeprefix("machine."): value for path, value in setup.facts.items()}
    if facts.get("device") == "cuda":
        return str(facts.get("gpu_name") or "unknown GPU")
    cores = units.plural(facts["usable_cores"], "core")
    return f"{facts.get('cpu_model') or 'unknown CPU'}, {cores}"


NAMES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "cuda": "CUDA",
    "driver_branch": "driver",
}


def versions(setup: Setup) -> str:
    """`torch 2.15.0, CUDA 12.8, driver 570`."""
    known = {name: setup.facts.get(f"machine.{key}") for key, name in NAMES.items()}
    return ", ".join(f"{name} {value}" for name, value in known.items() if value)


def letter(setup: int) -> str:
    """A, B, ... Z, AA, ..."""
    high, low = divmod(setup, 26)
    return (letter(high - 1) if high else "") + chr(ord("A") + low)


def other_than(setup: Setup) -> str:
    """In what a setup differs from the nearest before it; empty for the first."""
    if setup.nearest is None:
        return ""
    return f"other than {letter(setup.nearest)} in {'; '.join(setup.fields)}"


# ---- for a program --------------------------------------------------------------------------


def as_json(found: History, reading: Reading) -> str:
    content = {
        "suite": found.suite_name,
        "runs": [run._asdict() for run in found.runs],
        **reading._asdict(),
        "setups": [setup._asdict() for setup in found.setups],
        "cells": [
            {
                "architecture": cell.architecture,
                "strategy": cell.strategy,
                "failures": cell.failures,
                "series": [_series(series) for series in cell.series],
            }
            for cell in found.cells
        ],
        "remarks": remarks(found, reading),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _series(series: Series) -> dict[str, object]:
    return {
        "metric": series.metric,
        "task": series.task,
        "seeds": series.seeds,
        "joined": series.key is not None,
        "values": [
            {
                "run": dot.run,
                "value": dot.value,
                "setup": dot.setup,
                "left_out": dot.apart or None,
            }
            for dot in series.dots
        ],
        "changes": [
            {
                "run": one.run,
                "before": one.before,
                "change": one.amount,
                "level_before": one.step.before,
                "level_after": one.step.after,
                "runs_before": one.step.num_before,
                "runs_after": one.step.num_after,
                "fields": one.fields,
                "machine": one.machine,
            }
            for one in series.changes
        ],
    }
