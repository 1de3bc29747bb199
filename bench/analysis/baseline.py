"""What runs are compared with: past runs of the baseline's level, and an accepted run as a file."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from bench.analysis.judge import MEMORY, SECONDS
from bench.analysis.pairs import Pair, combinations, is_mixed
from bench.analysis.snapshot import from_digest, from_snapshot, snapshot
from bench.analysis.stats import Floats
from bench.analysis.table import Snapshot
from bench.identity import digest, slug
from bench.record import Value


class PastRun(Value):
    """What a run cost: by `Combination.past_key`, then by metric."""

    started_at: str
    finished_at: str
    rows: dict[str, dict[str, float | None]]


def past_run(run: Snapshot) -> PastRun | None:
    """The costs by which later runs are judged; None where the run has not finished."""
    return _costs(run) if run.header.status == "finished" and run.header.finished_at else None


def _costs(run: Snapshot) -> PastRun:
    """No times of an unsteady machine."""
    head, rows = run.header, {}
    for one in combinations(run):
        if one.ok and not one.mixed:
            seconds = None if head.unstable else one.value(SECONDS)
            rows[one.past_key] = {SECONDS: seconds, MEMORY: one.value(MEMORY)}
    return PastRun(started_at=head.started_at, finished_at=head.finished_at or "", rows=rows)


def same_run(one: PastRun, other: PastRun) -> bool:
    """Whether both began in the same second and took the same for a combination.

    A run that was started again ends at another time.
    """
    return one.started_at == other.started_at and any(
        other.rows.get(key) == row for key, row in one.rows.items() if any(row.values())
    )


def are_one_run(one: Snapshot, other: Snapshot) -> bool:
    """Whether two sides are the same run: a baseline file, and the folder that it was made of."""
    took, took_too = _costs(one), _costs(other)
    return same_run(took, took_too) and took.rows == took_too.rows


def distinct(runs: Iterable[PastRun | None]) -> list[PastRun]:
    """Each run once, in order of time: a baseline's own may lie in the folder of runs as well.

    The one that knows most of its combinations stays.
    """
    found: dict[str, list[PastRun]] = {}
    for run in sorted(filter(None, runs), key=lambda run: -len(run.rows)):
        others = found.setdefault(run.started_at, [])
        if not any(same_run(run, other) for other in others):
            others.append(run)
    return [run for start in sorted(found) for run in found[start]]


class Past(NamedTuple):
    """The runs before a candidate, in order of time."""

    runs: Sequence[PastRun]
    own: PastRun | None  # of the baseline; None where it has not finished

    def costs(self, pairs: Sequence[Pair], metric: str) -> tuple[Floats, int | None]:
        """What H runs took for P combinations, NaN where unknown, and which is the baseline.

        Only runs with any of them: of the same task, seeds and conditions.
        """
        keys = [pair.after.past_key for pair in pairs]
        rows: list[list[float]] = []
        place = None
        for run in self.runs:
            costs = [run.rows.get(key, {}).get(metric) for key in keys]
            if any(costs):
                place = len(rows) if self.own and same_run(run, self.own) else place
                rows.append([cost or np.nan for cost in costs])
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(keys)), place

    def relevant(self, pairs: Sequence[Pair]) -> int:
        """Runs with one of the combinations under the candidate's conditions."""
        keys = {pair.after.past_key for pair in pairs}
        return sum(not keys.isdisjoint(run.rows) for run in self.runs)


def past_of(baseline: Snapshot, runs: Iterable[PastRun], before: str) -> Past:
    """The past runs that began before this time, the baseline's own among them, each once."""
    own = past_run(baseline)
    return Past([run for run in distinct((*runs, own)) if run.started_at < before], own)


NEEDED = 5
"""Past runs without which nothing is predicted."""

STRAY = 0.001
"""Two-sided false-positive rate for excluding a run of the same level."""

LASTING = 3
"""Values in a row, near each other, that start a level of their own, before the baseline."""

FAR, VERY_FAR = 3, 6
"""Floors from the baseline beyond which a later, or an earlier value is not of a young level.

Earlier values are all that tells the scatter of a young baseline.
"""


def on_level(past_HP: Floats, place: int | None, floors_P: Floats) -> Floats:
    """The past runs comparable to the baseline: H values in order of time, NaN for the others.

    Runs before an accepted change, and runs that went wrong since, would hide the next change. The
    baseline is the run at `place`; all values stay where it is None, for it is not in the past. A
    value is of another level if it differs from the mean of those before by the floor, and by more
    than they scatter. (`stats.steps` asks another question: where did the level change, seen
    from the end? It needs three runs on each side, and may not leave out single bad ones.)
    """
    if place is None:
        return past_HP
    found = np.full_like(past_HP, np.nan)
    for row, floor in enumerate(floors_P):
        kept = _kept(past_HP[:, row].tolist(), place, float(floor))
        found[kept, row] = past_HP[kept, row]
    return found


def too_few(kept_H: Floats, past_H: Floats) -> str:
    count, others = (int((~np.isnan(one)).sum()) for one in (kept_H, past_H))
    away = f"; {others - count} others are of another level" if others - count > 1 else ""
    return f"not judged ({count} of {NEEDED} runs{away})"


def _kept(values: list[float], place: int, floor: float) -> list[int]:
    """Places of the values of the baseline's level."""
    levels, aside = [dict[int, float]()], list[int]()  # a level: its values by place
    for row, value in enumerate(values):
        if math.isnan(value):
            continue
        if row == place:
            levels += [one for one in levels if not _is_beyond(one, value, floor)][-1:]
            if not _is_beyond(levels[-1], value, floor) and len(levels[-1]) < NEEDED:
                known = levels[-1].items()
                levels[-1] = {at: one for at, one in known if abs(one - value) < VERY_FAR * floor}
        is_far = row > place and abs(value - values[place]) >= FAR * floor
        is_young = len(levels[-1]) < NEEDED
        if not _is_beyond(levels[-1], value, floor) and not (is_far and is_young):
            levels[-1][row] = value
            aside = []
            continue
        aside.append(row)
        near = {at: values[at] for at in aside if abs(values[at] - value) < floor}
        if row == place or (row < place and len(near) >= LASTING):
            levels.append(near)
            aside = []
    return list(levels[-1])


def _is_beyond(level: Mapping[int, float], value: float, floor: float) -> bool:
    """Whether a value is of another level; two values tell of none."""
    count = len(level)
    if count < LASTING:
        return False
    mean = fmean(level.values())
    squares = sum((one - mean) ** 2 for one in level.values())
    scatter = math.sqrt(squares / (count - 1) * (1 + 1 / count))
    return abs(value - mean) >= max(floor, _limit(count) * scatter)


@cache
def _limit(count: int) -> float:
    """Standard deviations that one more value of the same level hardly ever exceeds."""
    return float(special.stdtrit(count - 1.0, 1 - STRAY))


BASELINE_VERSION = 4
"""Shape of the file; a newer one is refused.

2: images per second; past runs by their seeds too. 3: tasks without the sizes that images pass
through, which follow from that of the cell. 4: the run as a snapshot of its table.
"""

MOST_PAST_RUNS = 30
"""Past runs that a baseline carries along."""


@dataclass(frozen=True)
class Baseline:
    """The run, why it was accepted, and what runs before it and itself took."""

    accepted_at: str
    reason: str
    machine: str  # in words
    run: Snapshot
    history: tuple[PastRun, ...]
    schema_version: int = BASELINE_VERSION


def accepted(
    run: Snapshot, past: Iterable[PastRun], reason: str, machine: str, now: str
) -> Baseline:
    """The baseline that a run becomes, unless it is `unacceptable`."""
    keys = {one.past_key for one in combinations(run)}
    related = [
        one.model_copy(update={"rows": {k: v for k, v in one.rows.items() if k in keys}})
        for one in distinct((*past, past_run(run)))
        if one.started_at <= run.header.started_at and not keys.isdisjoint(one.rows)
    ]
    return Baseline(now, reason, machine, run, tuple(related[-MOST_PAST_RUNS:]))


def unacceptable(run: Snapshot) -> str | None:
    if run.header.status != "finished":
        return f"it did not finish ({run.header.status})"
    if "ok" not in run.columns["status"]:
        return "no cell of it is ok"
    if run.header.unstable:
        return f"it is unstable: {run.header.unstable}"
    if is_mixed(run):
        return "its seeds ran under mixed conditions"
    return None


def file_name(run: Snapshot, machine: str) -> str:
    """The same for each run of a suite on a machine of this kind with this software and threads."""
    ok = [one for one in combinations(run) if one.ok]
    facts = {k: v for k, v in ok[0].conditions.items() if k.startswith("machine.")}
    threads = {one.conditions.get("execution.threads") for one in ok}
    if len(threads) == 1:  # else they are of a cell, not of the run
        facts["execution.threads"] = threads.pop()
    return f"{slug(run.header.suite_name)}-{slug(machine, 30)}-{digest(facts, 8)}.json"


def text_of(baseline: Baseline) -> str:
    """The file: keys in order, a column or a past run on each line, and a checksum over all."""
    content = {
        **vars(baseline),
        "schema_version": BASELINE_VERSION,
        "run": snapshot(baseline.run),
        "history": [run.model_dump(mode="json") for run in baseline.history],
    }
    return f"{_lines({**content, 'sum': digest(content, 16)})}\n"


def _lines(value: object, depth: int = 0) -> str:
    """JSON of sorted keys with a line for each key, and for each item of a list of objects."""
    if isinstance(value, Mapping) and value and depth < 3:  # deeper ones stand on one line
        lines = [f"{_json(key)}: {_lines(value[key], depth + 1)}" for key in sorted(value)]
        first, last = "{}"
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        lines = list(map(_json, value))
        first, last = "[]"
    else:
        return _json(value)
    outer = "\n" + " " * depth
    return first + outer + " " + f",{outer} ".join(lines) + outer + last


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def parsed(text: str) -> Baseline:
    """The baseline of a file. Raises ValueError, in words, where it is not one as written."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise ValueError(  # noqa: TRY004 - a file that is wrong, not an argument
            "is not a baseline: it has no schema_version"
        )
    if "accepted_at" not in content:
        raise ValueError(
            "is not a baseline; name a run folder, or a file of `bench baseline accept`"
        )
    if content["schema_version"] > BASELINE_VERSION:
        raise ValueError(
            f"was written by a newer bench (baseline schema {content['schema_version']}, this one "
            f"knows {BASELINE_VERSION}); update bench to read it"
        )
    written = content.pop("sum", None)
    read_run = from_digest if content["schema_version"] < BASELINE_VERSION else from_snapshot
    try:
        run = read_run(content.get("run", {}))
        history = tuple(PastRun.model_validate(one) for one in content.get("history", ()))
        baseline = Baseline(**{**content, "run": run, "history": history})
    except (ValueError, TypeError) as error:
        lines = str(error).splitlines()
        raise ValueError(f"is damaged: {' '.join(lines[1:3]) or lines[0]}") from error
    if written != digest(content, 16):  # of what is there: an older file has fewer fields
        raise ValueError("was changed by hand after it was written; accept the run again")
    return baseline
