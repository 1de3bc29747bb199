"""What runs are compared with: past runs, and an accepted run as a file that a review can read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bench.analysis.judge import MEMORY, SECONDS
from bench.analysis.pairs import Pair, sides_of
from bench.analysis.snapshot import from_digest, from_snapshot, snapshot
from bench.analysis.stats import Floats
from bench.analysis.table import Snapshot
from bench.identity import digest, slug
from bench.record import Value

# ---- past runs -------------------------------------------------------------------------------


class PastRun(Value):
    """What a finished run cost: by `Side.past_key`, then by metric."""

    started_at: str
    finished_at: str
    rows: dict[str, dict[str, float | None]]


def past_run(run: Snapshot) -> PastRun | None:
    """The costs by which later runs are judged; no times of an unsteady machine.

    None where the run has not finished.
    """
    head = run.header
    if head.status != "finished" or head.finished_at is None:
        return None
    sides = [side for side in sides_of(run) if side.ok and not side.mixed]
    rows = {
        side.past_key: {
            SECONDS: None if head.unstable else side.value(SECONDS),
            MEMORY: side.value(MEMORY),
        }
        for side in sides
    }
    return PastRun(started_at=head.started_at, finished_at=head.finished_at, rows=rows)


def distinct(runs: Iterable[PastRun]) -> list[PastRun]:
    """Each run once, in order of time: a baseline's own may lie in the folder of runs as well.

    Two are the same that began in the same second and took the same for a cell: a run that was
    started again ends at another time. The one that knows most of its cells stays.
    """
    found: dict[str, list[PastRun]] = {}
    for run in sorted(runs, key=lambda run: -len(run.rows)):
        others = found.setdefault(run.started_at, [])
        if not any(is_same(run, other) for other in others):
            others.append(run)
    return [run for start in sorted(found) for run in found[start]]


def is_same(one: PastRun, other: PastRun) -> bool:
    return one.started_at == other.started_at and any(
        other.rows.get(key) == row for key, row in one.rows.items() if any(row.values())
    )


class Past(NamedTuple):
    """The runs before a candidate, in order of time."""

    runs: Sequence[PastRun]
    own: PastRun | None  # of the baseline; None where it has not finished

    def costs(self, pairs: Sequence[Pair], metric: str) -> tuple[Floats, int | None]:
        """What H runs took for P cells, NaN where unknown, and which of them is the baseline.

        Only runs with any of the cells: of the same task, seeds and conditions.
        """
        keys = [pair.after.past_key for pair in pairs]
        rows: list[list[float]] = []
        place = None
        for run in self.runs:
            costs = [run.rows.get(key, {}).get(metric) for key in keys]
            if any(costs):
                place = len(rows) if self.own and is_same(run, self.own) else place
                rows.append([cost or np.nan for cost in costs])
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(keys)), place

    def relevant(self, pairs: Sequence[Pair]) -> int:
        """Runs with one of the cells under the candidate's conditions."""
        keys = {pair.after.past_key for pair in pairs}
        return sum(not keys.isdisjoint(run.rows) for run in self.runs)


def past_of(baseline: Snapshot, runs: Iterable[PastRun], before: str) -> Past:
    """The past runs that began before this time, the baseline's own among them, each once."""
    own = past_run(baseline)
    found = distinct((*runs, *([own] if own else [])))
    return Past([run for run in found if run.started_at < before], own)


# ---- the baseline ---------------------------------------------------------------------------

BASELINE_VERSION = 4
"""Shape of the file; a newer one is refused.

2: images per second; past runs by their seeds too. 3: tasks without the sizes that images pass
through, which follow from that of the cell. 4: the run as a snapshot of its table.
"""

KEPT = 30
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
    """The baseline that a run becomes. Raises ValueError, in words, where it may not."""
    if problem := unacceptable(run):
        raise ValueError(problem)
    own = past_run(run)
    keys = {side.past_key for side in sides_of(run)}
    related = [
        one.model_copy(update={"rows": {k: v for k, v in one.rows.items() if k in keys}})
        for one in distinct((*past, *([own] if own else [])))
        if one.started_at <= run.header.started_at and not keys.isdisjoint(one.rows)
    ]
    return Baseline(now, reason, machine, run, tuple(related[-KEPT:]))


def unacceptable(run: Snapshot) -> str | None:
    if run.header.status != "finished":
        return f"it did not finish ({run.header.status})"
    if "ok" not in run.columns["status"]:
        return "no cell of it is ok"
    if run.header.unstable:
        return f"it is unstable: {run.header.unstable}"
    if any(side.mixed for side in sides_of(run)):
        return "its seeds ran under mixed conditions"
    return None


THREADS = "execution.threads"


def file_name(run: Snapshot, machine: str) -> str:
    """The same for each run of a suite on a machine of this kind with this software and threads."""
    ok = [side for side in sides_of(run) if side.ok]
    facts = {k: v for k, v in ok[0].conditions.items() if k.startswith("machine.")}
    threads = {side.conditions.get(THREADS) for side in ok}
    if len(threads) == 1:  # else they are of a cell, not of the run
        facts[THREADS] = threads.pop()
    return f"{slug(run.header.suite_name)}-{slug(machine, 30)}-{digest(facts, 8)}.json"


# ---- as text --------------------------------------------------------------------------------


def text_of(baseline: Baseline) -> str:
    """The file: keys in order, a column or a past run on each line, and a checksum over all."""
    content = {
        "schema_version": BASELINE_VERSION,
        "accepted_at": baseline.accepted_at,
        "reason": baseline.reason,
        "machine": baseline.machine,
        "run": snapshot(baseline.run),
        "history": [run.model_dump(mode="json") for run in baseline.history],
    }
    return f"{_lines({**content, 'sum': digest(content, 16)})}\n"


def _lines(value: object, depth: int = 0) -> str:
    """JSON of sorted keys with a line for each key, and for each item of a list of objects."""
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(value, Mapping) and depth < DEEPEST:
        lines = [f"{inner}{_json(key)}: {_lines(value[key], depth + 1)}" for key in sorted(value)]
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        lines = [f"{inner}{_json(one)}" for one in value]
        return "[\n" + ",\n".join(lines) + f"\n{outer}]"
    else:
        return _json(value)
    return "{\n" + ",\n".join(lines) + f"\n{outer}}}" if lines else "{}"


DEEPEST = 3
"""Objects below this depth stand on one line."""


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def parsed(text: str) -> Baseline:
    """The baseline of a file. Raises ValueError, in words, where it is not one as written."""
    try:
        content: Any = json.loads(text)
    except ValueError as error:
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
    try:
        baseline = _made(content)
    except (ValueError, TypeError) as error:
        lines = str(error).splitlines()
        raise ValueError(f"is damaged: {' '.join(lines[1:3]) or lines[0]}") from error
    if written != digest(content, 16):  # of what is there: an older file has fewer fields
        raise ValueError("was changed by hand after it was written; accept the run again")
    return baseline


def _made(content: Mapping[str, Any]) -> Baseline:
    read_run = from_digest if content["schema_version"] < BASELINE_VERSION else from_snapshot
    run = read_run(content.get("run", {}))
    history = tuple(PastRun.model_validate(one) for one in content.get("history", ()))
    return Baseline(**{**content, "run": run, "history": history})
