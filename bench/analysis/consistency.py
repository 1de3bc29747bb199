"""Whether the records of a run fit it and each other."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import identity
from bench.predictions import unpack
from bench.record import Cell, Part, Record, Result, Run, Scores


class Contradiction(ValueError):
    """A record that does not fit its run or the other records."""

    def __init__(self, cell_id: str, problem: str) -> None:
        self.cell_id, self.problem = cell_id, problem
        super().__init__(f"{cell_id}: {problem}")


def score_of(scores: Scores, metric: str) -> float:
    return float(getattr(scores, metric))


def check_cells(run: Run, records: Sequence[Record]) -> None:
    """Raise ValueError if a record belongs to no cell of the run, or a cell has two."""
    recorded = Counter(record.cell_id for record in records)
    for cell_id, times in recorded.most_common(1):
        if times > 1:
            raise Contradiction(cell_id, f"has {times} records: a cell has one")
    if unknown := recorded.keys() - set(run.cells):
        count = "1 record belongs" if len(unknown) == 1 else f"{len(unknown):,} records belong"
        raise ValueError(
            f"{count} to no cell of this run, such as {min(unknown)}: "
            "move what is not of this run out of cells/"
        )


def check_one_task(records: Iterable[Record]) -> None:
    """Raise Contradiction, with every field that differs, where records are of several tasks."""
    # Fields of a cell that are the same in a whole run; among seeds, all but the seed are.
    in_all, among_seeds = ("data", "metric"), [name for name in Cell.model_fields if name != "seed"]
    first: Record | None = None
    rows: dict[tuple[str, str], Record] = {}
    for record in records:
        first = first or record
        of_row = rows.setdefault((record.cell.architecture_label, record.cell.strategy), record)
        for other, fields in ((first, in_all), (of_row, among_seeds)):
            one, two = other.cell, record.cell
            if all(getattr(one, name) == getattr(two, name) for name in fields):
                continue
            # Only now, for it is slow: what is information, like a name of the data, may differ.
            found = identity.differences(identity.cell_identity(one), identity.cell_identity(two))
            if told := [str(field) for field in found if field.path.split(".")[1] in fields]:
                text = f"is not of the same task as {other.cell_id}: {'; '.join(told)}"
                raise Contradiction(record.cell_id, text)


class Images(NamedTuple):
    labels_N: NDArray[np.int64]
    right: dict[str, NDArray[np.bool_]]


def images(ok: Sequence[Result], part: Part) -> Images:
    """Raise Contradiction where cells saw different images."""
    labels_N: NDArray[np.int64] = np.zeros(0, np.int64)
    right: dict[str, NDArray[np.bool_]] = {}
    for one in ok:
        found = unpack(getattr(one.quality, part).predictions)
        labels_N = labels_N if right else found.labels_N
        if not np.array_equal(found.labels_N, labels_N):
            counts = f"{len(labels_N):,} and {len(found.labels_N):,}"
            how = "true classes differ" if len(found.labels_N) == len(labels_N) else counts
            text = f"was scored on other {part} images than {ok[0].cell_id} ({how})"
            raise Contradiction(one.cell_id, text)
        right[one.cell_id] = found.correct_N
    return Images(labels_N, right)
