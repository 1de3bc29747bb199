"""Old names, kept until the rooms that import them read `bench.analysis.table` and `choice`."""

from collections.abc import Sequence

from bench.analysis import choice
from bench.analysis.choice import Comparison as Comparison
from bench.analysis.choice import Summary as Summary
from bench.analysis.table import table
from bench.record import Failure, Result, Run


def summarise(run: Run, records: Sequence[Result | Failure]) -> Summary:
    return choice.summarise(table(run, records))
