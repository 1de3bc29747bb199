"""Machines with their software, told apart by what the keys depend on, in the order they came."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.analysis.digest import Facts
from bench.analysis.point import Point
from bench.identity import digest


class Setup(NamedTuple):
    """A kind of machine with its software, of which at least one fact is another elsewhere."""

    facts: Facts  # without "machine."
    runs: tuple[int, ...]
    fields: tuple[str, ...]  # in which it differs from the one that was new before it


def setups_of(points: Sequence[Point]) -> tuple[tuple[Setup, ...], dict[str, int]]:
    """Kinds of machines with their software as they came, and which one each condition is of."""
    facts: list[Facts] = []
    places: dict[str, int] = {}
    number_of: dict[str, int] = {}
    runs: dict[int, list[int]] = {}
    for run, point in enumerate(points):
        for under, all_ in point.conditions.items():
            if under not in number_of:
                machine = _machine(all_)
                number_of[under] = places.setdefault(digest(machine), len(facts))
                facts += [machine] if number_of[under] == len(facts) else []
            of_setup = runs.setdefault(number_of[under], [])
            if run not in of_setup[-1:]:
                of_setup.append(run)
    setups = [
        Setup(one, tuple(runs[number]), differences(facts[number - 1], one) if number else ())
        for number, one in enumerate(facts)
    ]
    return tuple(setups), number_of


def _machine(facts: Facts) -> Facts:
    return {
        path.removeprefix("machine."): value
        for path, value in facts.items()
        if path.startswith("machine.")
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """`driver: 570.1 → 575.2` for each fact that is another."""
    return tuple(
        f"{path.removeprefix('machine.')}: {_told(before, path)} → {_told(after, path)}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def _told(facts: Mapping[str, Any], path: str) -> str:
    value = facts.get(path)
    if value is None:
        return "unknown"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
