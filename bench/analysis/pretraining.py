"""What pretraining is worth: an architecture's best pretrained row against its best from scratch.

Val chooses both rows and test measures their difference: there neither looks better than it is.
"""

from typing import NamedTuple

from bench.analysis import paired
from bench.analysis.choice import Row, Summary, best, hits_of
from bench.analysis.table import RunTable


class Gain(NamedTuple):
    pretrained: Row
    scratch: Row
    ahead: paired.Lead  # of the pretrained row, on test
    images: float  # of test that it gets right and the other does not, less the reverse; per seed


def gains(table: RunTable, summary: Summary) -> list[Gain]:
    """By architecture, in the order of the suite; none where one of the two is missing."""
    pretrained, scratch = dict[str, list[Row]](), dict[str, list[Row]]()
    for row in summary.rows:
        source = table.result(row.ok[0]).cell.weights.source if row.complete else "unknown"
        if source == "scratch":
            scratch.setdefault(row.architecture, []).append(row)
        elif source not in ("random", "unknown"):
            pretrained.setdefault(row.architecture, []).append(row)
    return [
        _gain(table, *(_best(rows[architecture], summary) for rows in (pretrained, scratch)))
        for architecture in pretrained
        if architecture in scratch
    ]


def _best(rows: list[Row], summary: Summary) -> Row:
    row = best(rows, summary.tie_break)
    assert row is not None
    return row


def _gain(table: RunTable, pretrained: Row, scratch: Row) -> Gain:
    found = hits_of(table, [pretrained, scratch], "test")
    right_R = found.hits_RN.sum(axis=1) / found.num_seeds_R
    ahead = paired.lead(found, paired.contrasts(found), 1)
    return Gain(pretrained, scratch, ahead, float(right_R[0] - right_R[1]))
