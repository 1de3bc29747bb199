"""Histories made of runs an hour apart: see tests/analysis/sides.py for what each measured."""

from collections.abc import Sequence
from functools import cache

from bench.analysis.history import History, history
from bench.analysis.table import Snapshot
from tests.analysis import sides

NEWER = sides.with_machine(torch="2.16.0")
BUSIER = sides.with_machine(cpu_model="Intel Xeon")


@cache
def point(
    number: int, change: sides.Change | None = None, cells: tuple[int, ...] | range = (0,)
) -> Snapshot:
    """The run of this hour, a change laid on some cells."""
    return sides.headed(sides.tabled(number, change, cells), information={"machine.driver": "1"})


def told(runs: Sequence[Snapshot]) -> History:
    return history({f"r{number}": run for number, run in enumerate(runs)})


def slowed(factor: float, count: int = 12, at: int = 6, **header: object) -> list[Snapshot]:
    """Runs whose first cell takes so much longer from one of them on."""
    late = sides.slower(factor)
    found = [point(number, late if number >= at else None) for number in range(count)]
    return found[:at] + [sides.headed(one, **header) for one in found[at:]]
