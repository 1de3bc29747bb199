"""Machines with their software, told apart by what the keys depend on, in the order they came."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.analysis.conditions import short
from bench.analysis.digest import Facts
from bench.analysis.point import Point
from bench.identity import digest


class Setup(NamedTuple):
    """A kind of machine with its software, of which at least one fact is another elsewhere."""

    facts: Facts  # without "machine."
    runs: tuple[int, ...]
    nearest: int | None  # the one before it that differs least; None for the first
    fields: tuple[str, ...]  # in which it differs from that


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
        Setup(facts[n], tuple(runs[n]), *_nearest(facts[:n], facts[n])) for n in places.values()
    ]
    return tuple(setups), number_of


def _nearest(earlier: Sequence[Facts], facts: Facts) -> tuple[int | None, tuple[str, ...]]:
    found = [differences(one, facts) for one in earlier]
    if not found:
        return None, ()
    place = min(reversed(range(len(found))), key=lambda place: len(found[place]))
    return place, found[place]


def _machine(facts: Facts) -> Facts:
    return {
        path.removeprefix("machine."): value
        for path, value in facts.items()
        if path.startswith("machine.")
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """`driver: 570.1 → 575.2` for each fact that is another; a CPU has none of some."""
    return tuple(
        f"{_called(path)}: {_told(before, path)} → {_told(after, path)}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def _called(path: str) -> str:
    return "machine" if path == "machine.id" else path.removeprefix("machine.")


def _told(facts: Mapping[str, Any], path: str) -> str:
    if path not in facts:
        return "none"
    return "unknown" if facts[path] is None else short(facts[path])
