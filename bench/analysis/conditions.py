"""In what two rows differ: their tasks, their arithmetic, and what their costs depend on."""

import re
from typing import Any, NamedTuple

from bench.analysis.digest import Digest, Facts, RowDigest, conditions_of, task_of
from bench.identity import BUCKETS


class Side(NamedTuple):
    """A row in its run."""

    run: Digest
    row: RowDigest


def task_differences(before: Side, after: Side) -> tuple[str, ...]:
    """Fields of the task, and counts that come with it; a default is not written down."""
    one, other = task_of(*before), task_of(*after)
    fields = [
        f"{path.removeprefix('cell.')}: {short(one.get(path, DEFAULT))} and "
        f"{short(other.get(path, DEFAULT))}"
        for path in sorted(one.keys() | other.keys())
        if one.get(path) != other.get(path)
    ]
    return tuple(fields)


DEFAULT = "the default"


def count_differences(before: Side, after: Side) -> tuple[str, ...]:
    """Parameters and MACs that are not the same, where both are known."""
    ours, theirs = before.row.counts, after.row.counts
    return tuple(
        f"{name}: {ours[name]:,} and {theirs[name]:,}"
        for name in ours.keys() & theirs.keys()
        if None not in (ours[name], theirs[name]) and ours[name] != theirs[name]
    )


def numerics_differences(before: Side, after: Side) -> tuple[str, ...]:
    """Fields of the arithmetic."""
    return tuple(text for path, text in _differences(before, after) if path in NUMERICS)


def performance_differences(before: Side, after: Side) -> tuple[str, ...]:
    """Fields of the arithmetic and of the machine."""
    return tuple(text for _, text in _differences(before, after))


NUMERICS = {path for path, bucket in BUCKETS.items() if bucket == "numerics"}


def _differences(before: Side, after: Side) -> list[tuple[str, str]]:
    one, other = conditions_of(*before), conditions_of(*after)
    paths = sorted(one.keys() | other.keys(), key=lambda path: (path != "machine.device", path))
    found = [
        (path, f"{path}: {_known(one, path)} and {_known(other, path)}")
        for path in paths
        # Unknown never equals unknown.
        if one.get(path) is None or one.get(path) != other.get(path)
    ]
    mixed = {*before.row.mixed, *after.row.mixed}
    return found + [(path, f"{path}: not the same for all seeds") for path in sorted(mixed)]


def untold(before: Side, after: Side) -> list[str]:
    """Facts that costs depend on and that only the latter side knows, on one kind of device."""
    one, other = conditions_of(*before), conditions_of(*after)
    if one.get("machine.device") != other.get("machine.device"):
        return []
    return sorted(path for path in other if one.get(path) is None and other[path] is not None)


def _known(facts: Facts, path: str) -> str:
    value = facts.get(path, "not recorded")
    return "unknown" if value is None else short(value)


def short(value: Any) -> str:
    """A value for reading: a commit by its first digits, whatever else is long cut off."""
    text = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28}\b", r"\1", str(value))
    return text if len(text) <= 40 else f"{text[:39]}…"
