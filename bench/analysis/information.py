"""What no key depends on and may yet explain a change: drivers, the system, bench itself."""

from collections.abc import Sequence
from typing import Any

from bench.identity import BUCKETS, leaves
from bench.record import Failure, Result, Run


def information_of(run: Run, records: Sequence[Result | Failure]) -> dict[str, Any]:
    """Such facts of a run, by dotted path; null where unknown."""
    machine = {
        path: value
        for path, value, _ in leaves(run.machine, "machine.")
        if BUCKETS[path] == "information"
    }
    told: dict[str, set[str | None]] = {
        "bench.version": {one.provenance.bench for one in records},
        "bench.commit": {one.provenance.commit for one in records},
    }
    bench = {path: " and ".join(sorted(filter(None, found))) for path, found in told.items()}
    return {**machine, **{path: text or None for path, text in bench.items()}}
