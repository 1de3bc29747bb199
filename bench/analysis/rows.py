"""Old names, kept until the rooms that import them read `bench.analysis.table` and `choice`."""

from collections.abc import Iterable

from bench.analysis.choice import TIE_BREAKS as TIE_BREAKS
from bench.analysis.choice import Row as Row
from bench.analysis.choice import Score as Score
from bench.analysis.choice import best as best
from bench.analysis.choice import comparable_cost as comparable_cost
from bench.analysis.choice import preferred as preferred
from bench.analysis.choice import status_counts as status_counts
from bench.analysis.choice import val_mean as val_mean
from bench.analysis.choice import within as within
from bench.analysis.consistency import Missing as Missing
from bench.analysis.consistency import missing_cells as missing_cells
from bench.analysis.consistency import score_of as score_of
from bench.analysis.stats import ROUNDING as ROUNDING
from bench.analysis.table import peak_memory_bytes as peak_memory_bytes
from bench.record import Failure, Result, Run


def results(records: Iterable[Result | Failure]) -> list[Result]:
    return [record for record in records if isinstance(record, Result)]


def in_order(run: Run, records: Iterable[Result | Failure]) -> list[Result | Failure]:
    place = {cell_id: index for index, cell_id in enumerate(run.cells)}
    return sorted(records, key=lambda record: place[record.cell_id])
