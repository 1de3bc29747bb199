"""Costs compare on one machine only: that of most ok cells, the reference machine."""

from collections import Counter
from collections.abc import Iterable

from bench.identity import BUCKETS
from bench.record import Machine, Result

COMPARED = tuple(
    path.removeprefix("machine.")
    for path, bucket in BUCKETS.items()
    if path.startswith("machine.") and bucket != "information"
)
"""Facts of a machine that its costs depend on."""


def compared_facts(machine: Machine) -> tuple[object, ...]:
    """What of a machine its costs depend on."""
    return tuple(getattr(machine, name) for name in COMPARED)


def machine_of(result: Result) -> tuple[object, ...]:
    """What two cells must share for their costs to compare: the machine, and the threads."""
    # Where a fact is unknown, a machine is like no other: only its own name tells it.
    own = result.machine.id if result.keys.performance is None else None
    return (*compared_facts(result.machine), own, result.execution.threads)


def reference(ok: Iterable[Result]) -> list[Result]:
    """The results on the machine of most of them, in their order.

    Of machines with equally many it is always the same one, whatever the order of the results.
    """
    found = list(ok)
    counts = Counter(map(machine_of, found))
    chosen = min(counts, key=lambda machine: (-counts[machine], repr(machine)), default=None)
    return [result for result in found if machine_of(result) == chosen]
