"""An accepted run as one file that a review can read: what later runs are compared with."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.analysis.costs import PastRun, distinct, past_run
from bench.analysis.pairs import sides_of
from bench.analysis.snapshot import from_digest, from_snapshot, snapshot
from bench.analysis.table import Snapshot
from bench.identity import digest, slug

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
    """Why nothing can be compared with a run, or None."""
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
