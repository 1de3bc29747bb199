"""Costs are drawn of one machine only: that of most ok cells."""

from collections import Counter
from collections.abc import Sequence

from bench.analysis.rows import machine_of, results
from bench.schema import Failure, Result


def reference(records: Sequence[Result | Failure]) -> list[Result]:
    """The ok records that ran on the machine of most ok records."""
    ok = results(records)
    machines = Counter(map(machine_of, ok))
    chosen = max(machines, key=lambda machine: machines[machine], default=None)
    return [result for result in ok if machine_of(result) == chosen]
