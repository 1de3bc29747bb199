"""What the recommended row made of the test images: all its seeds, which none of the choice saw."""

from collections.abc import Sequence

from bench.analysis.rows import results
from bench.analysis.summary import Summary
from bench.schema import Failure, Result, Scores


def scores(records: Sequence[Result | Failure], summary: Summary) -> list[Scores]:
    """Test scores of each seed of the recommended row; empty where no row is recommended."""
    row = summary.recommended
    if row is None:
        return []
    return [
        result.quality.test
        for result in results(records)
        if (result.cell.architecture_label, result.cell.strategy)
        == (row.architecture, row.strategy)
    ]
