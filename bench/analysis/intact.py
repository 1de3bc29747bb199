"""Records whose packed predictions cannot be read, found before anything is computed of them."""

from collections.abc import Iterable

from bench.predictions import unpack
from bench.record import Failure, Predictions, Result


def damaged(records: Iterable[Result | Failure]) -> dict[str, str]:
    """By cell id, what is damaged in the predictions of ok records; empty where nothing is."""
    ok = (record for record in records if isinstance(record, Result))
    return {record.cell_id: problem for record in ok if (problem := damage(record))}


def damage(record: Result) -> str:
    """What is damaged in the val or test predictions of a record; empty where nothing is."""
    num_classes = len(record.cell.data.classes)
    parts = {"val": record.quality.val, "test": record.quality.test}
    for part, scores in parts.items():
        if problem := _problem(scores.predictions, num_classes):
            return f"quality.{part}.{problem}"
    return ""


def _problem(packed: Predictions, num_classes: int) -> str:
    try:
        found = unpack(packed)
    except ValueError as error:
        return str(error)
    columns = {"labels": found.labels_N, "classes": found.predicted_N}
    for name, ids_N in columns.items():
        if ids_N.max(initial=0) >= num_classes:
            return f"predictions.{name}: class {ids_N.max()} of {num_classes}"
    return ""
