"""Old names, kept until the rooms that import them read `bench.analysis.table` and `choice`."""

from collections.abc import Iterable

from bench.analysis.table import compared_facts as compared_facts
from bench.analysis.table import machine_of as machine_of
from bench.analysis.table import reference_machine
from bench.record import Result


def reference(ok: Iterable[Result]) -> list[Result]:
    found = list(ok)
    chosen = reference_machine(map(machine_of, found))
    return [result for result in found if machine_of(result) == chosen]
