"""Histories made of runs an hour apart: see tests/analysis/sides.py for what each measured."""

from collections.abc import Sequence
from functools import cache

from bench.analysis.histories import Histories, histories
from bench.analysis.point import Point, point_of
from tests.analysis import sides

NEWER = sides.with_machine(torch="2.16.0")
BUSIER = sides.with_machine(cpu_model="Intel Xeon")


@cache
def point(
    number: int, change: sides.Change | None = None, cells: tuple[int, ...] | range = (0,)
) -> Point:
    """The point of the run of this hour, a change laid on some cells."""
    run = sides.digested(number, change, cells)
    found = point_of(run.model_copy(update={"information": {"machine.driver": "1"}}))
    assert found is not None
    return found


def told(points: Sequence[Point]) -> Histories:
    return histories([f"r{number}" for number in range(len(points))], points)


def slowed(factor: float, count: int = 12, at: int = 6, **changes: object) -> list[Point]:
    """Points whose first cell takes so much longer from one of them on."""
    late = sides.slower(factor)
    found = [point(number, late if number >= at else None) for number in range(count)]
    return found[:at] + [one.model_copy(update=changes) for one in found[at:]]
