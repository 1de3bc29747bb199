"""Old names, kept until the rooms that import them read `bench.analysis.table` and `choice`."""

from collections.abc import Iterable, Sequence

from bench.analysis import consistency
from bench.record import Failure, Result


def check_one_task(rows: Iterable[Sequence[Result | Failure | None]]) -> None:
    consistency.check_one_task(one for row in rows for one in row if one is not None)
