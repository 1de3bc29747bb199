"""The history of a suite for reading: a headline, what changed when, a row for each cell."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.analysis.history import CellHistory, Change, History, News, Series, Setup, news
from bench.analysis.judge import ACCURACY, MEASURES, MEMORY, SECONDS
from bench.analysis.stats import LEAST_VALUES
from bench.errors import first
from bench.report import units
from bench.report.comparison import TITLES, changed, level, listed, measure_columns
from bench.report.tables import Column, Table


class Reading(NamedTuple):
    unfinished: int = 0
    unreadable: Sequence[str] = ()  # why, one for each
    copies: int = 0
    damaged: Sequence[str] = ()  # records that do not count, and why


NAMED = 3  # cells or reasons that are named one by one


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
    newest = changes[0]
    amount = f"{'up to ' if len(newest.changes) > 1 else ''}{of_change(newest.changes[0])}"
    what = f"{TITLES[newest.metric]} {amount} on {day(runs[newest.run].started_at)}"
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


def differing(one: News) -> str:
    fields = tuple(dict.fromkeys(field for change in one.changes for field in change.fields))
    facts = listed(fields) if fields else "nothing recorded of machine or software changed"
    machine = one.changes[0].machine
    if machine is None:
        return facts
    apart = units.percent(abs(machine))
    word = "slower" if machine > 0 else "quicker"
    how = "as quick as before" if apart == "0.0" else f"{apart} % {word}"
    return f"{facts}; the machine itself was {how}"


TITLE = {ACCURACY: "Test", SECONDS: "Train", MEMORY: "Memory"}


def table(cells: Sequence[CellHistory], found: History) -> Table:
    columns = (
        Column("cell", "Cell"),
        Column("ok", "Ok", align="right"),
        *measure_columns(TITLE),
        Column("runs", "Runs", align="right"),
        Column("newest_change", "Newest change"),
    )
    rows = []
    for cell in cells:
        newest = cell.rows[max(cell.rows)]
        statuses = list(newest.statuses.values())
        seeds = f"{statuses.count('ok')}/{len(statuses)}"
        values = map(newest.value, MEASURES)
        rows.append((cell.name, seeds, *values, len(cell.rows), newest_change(cell, found)))
    title = "Newest values, means and medians over seeds; the newest changes first"
    return Table("cells", title, columns, tuple(rows))


def newest_change(cell: CellHistory, found: History) -> str:
    """`train +12.0 % 2026-11-10`; empty without one."""
    if not cell.changes:
        return ""
    one = cell.changes[0]
    return f"{TITLE[one.metric].lower()} {of_change(one)} {day(found.runs[one.run].started_at)}"


def remarks(found: History, reading: Reading) -> list[str]:
    return [*_of_runs(found), *_of_reading(reading), *_of_conditions(found)]


def _of_runs(found: History) -> Iterator[str]:
    if len(found.runs) == 1:
        yield f"changes of level need at least {LEAST_VALUES} runs"
    else:
        joined = [series.dots for cell in found.cells for series in cell.series if series.key]
        longest = max((sum(not dot.apart for dot in dots) for dots in joined), default=0)
        if longest < LEAST_VALUES:
            yield (
                f"too short for changes of level: they need at least {LEAST_VALUES} runs of one "
                f"task, machine and software, and the longest series has {longest}"
            )
    newest = len(found.runs) - 1
    cells = found.cells
    if failed := [
        f"{one.name} ({one.failures[newest]})" for one in cells if newest in one.failures
    ]:
        yield f"not ok in the newest run: {first(failed, NAMED)}"
    if gone := [one.name for one in cells if newest not in one.rows]:
        yield f"not asked for by the newest run: {first(gone, NAMED)}"


def _of_reading(reading: Reading) -> Iterator[str]:
    if reading.unreadable:
        count = units.plural(len(reading.unreadable), "run")
        why = first(reading.unreadable, NAMED, ";")
        yield f"{count} left out, could not be read: {why}"
    if reading.unfinished:
        yield f"{units.plural(reading.unfinished, 'run')} left out, did not finish"
    yield from reading.damaged[:NAMED]
    if (more := len(reading.damaged) - NAMED) > 0:
        yield f"and {more:,} more damaged records"
    if reading.copies:
        yield f"{units.plural(reading.copies, 'folder')} left out, the same run as another"


def _of_conditions(found: History) -> Iterator[str]:
    if count := sum(run.unstable is not None for run in found.runs):
        yield f"{units.plural(count, 'run')} unstable: times take no part in changes of level"
    if len(found.setups) > 1:
        yield (
            f"{len(found.setups)} kinds of machine and software: times and memory are joined only "
            "within each, scores where the arithmetic is the same"
        )
    if loose := {
        dot.run for cell in found.cells for s in cell.series if not s.key for dot in s.dots
    }:
        yield (
            f"in {units.plural(len(loose), 'run')} a fact of the conditions is unknown, or the "
            "seeds of a cell ran under different ones: these values are joined to no others"
        )


def machine(setup: Setup) -> str:
    """`NVIDIA H200`, or `AMD EPYC, 2 cores`."""
    facts = {path.removeprefix("machine."): value for path, value in setup.facts.items()}
    if facts.get("device") == "cuda":
        return str(facts.get("gpu_name") or "unknown GPU")
    cores = units.plural(facts["usable_cores"], "core")
    return f"{facts.get('cpu_model') or 'unknown CPU'}, {cores}"


NAMES = {"torch": "torch", "torchvision": "torchvision", "cuda": "CUDA", "driver_branch": "driver"}


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
    values = [
        {"run": dot.run, "value": dot.value, "setup": dot.setup, "left_out": dot.apart or None}
        for dot in series.dots
    ]
    changes = [
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
    ]
    return {
        "metric": series.metric,
        "task": series.task,
        "seeds": series.seeds,
        "joined": series.key is not None,
        "values": values,
        "changes": changes,
    }
