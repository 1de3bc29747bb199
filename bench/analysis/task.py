"""Records that belong together: one set of images, one metric, and one task in each row."""

from collections.abc import Iterable, Sequence

from bench.identity import cell_identity
from bench.record import Cell, Failure, Result

SHARED = ("data", "metric")
"""Fields of a cell that are the same in a whole run; in a row, all but the seed are."""

IN_A_ROW = tuple(name for name in Cell.model_fields if name != "seed")


def check_one_task(rows: Iterable[Sequence[Result | Failure | None]]) -> None:
    """Raises ValueError, with every field that differs, where records cannot stand in one table."""
    first: Result | Failure | None = None
    for row in rows:
        records = [record for record in row if record is not None]
        for record in records:
            first = first or record
            _check(first, record, SHARED)
            _check(records[0], record, IN_A_ROW)


def _check(one: Result | Failure, other: Result | Failure, fields: Sequence[str]) -> None:
    if all(getattr(one.cell, name) == getattr(other.cell, name) for name in fields):
        return
    # Only now, for it is slow: what merely informs, like a name of the data, may differ.
    task, others = cell_identity(one.cell), cell_identity(other.cell)
    differing = [
        f"{path.removeprefix('cell.')} is {_short(task.get(path))} and {_short(others.get(path))}"
        for path in sorted((task.keys() | others.keys()) - {"protocol"})
        if task.get(path) != others.get(path) and path.split(".")[1] in fields
    ]
    if differing:
        raise ValueError(
            f"{one.cell_id} and {other.cell_id} are not of one task: {'; '.join(differing)}"
        )


def _short(value: object) -> str:
    text = "the default" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
