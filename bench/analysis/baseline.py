"""An accepted run as one file that a review can read: what later runs are compared with."""

import json
from collections.abc import Iterable
from typing import Any

from bench.analysis.digest import (
    SIZES,
    Digest,
    Facts,
    PastRun,
    conditions_of,
    past_key,
    task_of,
)
from bench.analysis.point import distinct, past_run_of
from bench.identity import digest, slug
from bench.record import Value

BASELINE_VERSION = 3
"""Shape of the file; a newer one is refused.

2: images per second; past runs by their seeds too. 3: tasks without the sizes that images pass
through, which follow from that of the cell.
"""

KEPT = 30
"""Past runs that a baseline carries along."""


class Baseline(Value):
    """The run, why it was accepted, and what runs before it and itself took."""

    schema_version: int = BASELINE_VERSION
    accepted_at: str
    reason: str
    machine: str  # in words
    run: Digest
    history: tuple[PastRun, ...]


def accepted(run: Digest, past: Iterable[PastRun], reason: str, machine: str, now: str) -> Baseline:
    """The baseline that a run becomes. Raises ValueError, in words, where it may not."""
    if problem := unacceptable(run):
        raise ValueError(problem)
    own = past_run_of(run)
    keys = {past_key(run, row) for row in run.rows}
    related = [
        one.model_copy(update={"rows": {k: v for k, v in one.rows.items() if k in keys}})
        for one in distinct((*past, *([own] if own else [])))
        if one.started_at <= run.started_at and not keys.isdisjoint(one.rows)
    ]
    return Baseline(
        accepted_at=now, reason=reason, machine=machine, run=run, history=tuple(related[-KEPT:])
    )


def unacceptable(run: Digest) -> str | None:
    """Why nothing can be compared with a run, or None."""
    if run.status != "finished":
        return f"it did not finish ({run.status})"
    if not any(row.ok for row in run.rows):
        return "no cell of it is ok"
    if run.unstable:
        return f"it is unstable: {run.unstable}"
    if any(row.mixed for row in run.rows):
        return "its seeds ran under mixed conditions"
    return None


THREADS = "execution.threads"


def file_name(run: Digest, machine: str) -> str:
    """The same for each run of a suite on a machine of this kind with this software and threads."""
    row = next(row for row in run.rows if row.ok)
    facts = {k: v for k, v in conditions_of(run, row).items() if k.startswith("machine.")}
    if THREADS in run.conditions:  # else they are of a cell, not of the run
        facts[THREADS] = run.conditions[THREADS]
    return f"{slug(run.suite_name)}-{slug(machine, 30)}-{digest(facts, 8)}.json"


# ---- as text --------------------------------------------------------------------------------


def text_of(baseline: Baseline) -> str:
    """The file: keys in order, a past run on each line, and a checksum over all."""
    content = baseline.model_dump(mode="json")
    history = [json.dumps(one, sort_keys=True) for one in content.pop("history")]
    content["sum"] = digest(baseline.model_dump(mode="json"), 16)
    head = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).removesuffix("\n}")
    lines = ",\n".join(f"  {line}" for line in history)
    return f'{head},\n "history": [\n{lines}\n ]\n}}\n'


def parsed(text: str) -> Baseline:
    """The baseline of a file. Raises ValueError, in words, where it is not one as written."""
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise ValueError(  # noqa: TRY004 - a file that is wrong, not an argument
            "is no baseline: it has no schema_version"
        )
    if "accepted_at" not in content:
        raise ValueError("is no baseline; name a run folder, or a file of `bench baseline accept`")
    if content["schema_version"] > BASELINE_VERSION:
        raise ValueError(
            f"was written by a newer bench (baseline schema {content['schema_version']}, this one "
            f"knows {BASELINE_VERSION}); update bench to read it"
        )
    written = content.pop("sum", None)
    try:
        baseline = Baseline.model_validate(content)
    except ValueError as error:
        lines = str(error).splitlines()
        raise ValueError(f"is damaged: {' '.join(lines[1:3]) or lines[0]}") from error
    if written != digest(content, 16):  # of what is there: an older file has fewer fields
        raise ValueError("was changed by hand after it was written; accept the run again")
    if baseline.schema_version >= SIZELESS:
        return baseline
    return baseline.model_copy(update={"run": without_sizes(baseline.run)})


SIZELESS = 3
"""The version from which on tasks are without sizes."""


def without_sizes(run: Digest) -> Digest:
    """A digest of an older file with the tasks that today's would have."""

    def left(task: Facts) -> Facts:
        sizes = {f"preprocessing.{name}" for name in SIZES}
        return {path: value for path, value in task.items() if path not in sizes}

    rows = [
        row.model_copy(
            update={
                "task": left(row.task),
                "key": digest(left(task_of(run, row))) if row.key else "",
            }
        )
        for row in run.rows
    ]
    return run.model_copy(update={"task": left(run.task), "rows": tuple(rows)})
