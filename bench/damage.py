"""What is wrong in a record that can be read: where it contradicts itself, it is damaged."""

from math import fsum, isclose

import numpy as np

from bench.metrics import METRICS, confusion_matrix
from bench.predictions import unpack
from bench.record import Failure, Result, Scores, Seconds


def damage_in(record: Result | Failure) -> str | None:
    """The first contradiction, in words; None where there is none."""
    if isinstance(record, Failure):
        return None
    num_classes = len(record.cell.data.classes)
    for part in ("val", "test"):
        if problem := _in_scores(getattr(record.quality, part), num_classes):
            return f"quality.{part}.{problem}"
    spent = record.cost.attributed
    found = fsum(getattr(spent, part) for part in Seconds.model_fields if part != "wall")
    if not isclose(found, spent.wall, rel_tol=1e-6):
        return f"its wall time is {spent.wall:.4f} s, but its parts give {found:.4f} s"
    return None


def _in_scores(scores: Scores, num_classes: int) -> str | None:
    try:
        seen = unpack(scores.predictions)
    except ValueError as error:
        return str(error)
    for column, ids_N in {"labels": seen.labels_N, "classes": seen.predicted_N}.items():
        if (largest := ids_N.max(initial=0)) >= num_classes:
            return f"predictions.{column}: damaged (class {largest} of {num_classes})"
    for name, metric in METRICS.items():
        score, found = getattr(scores, name), metric.score(seen.labels_N, seen.predicted_N)
        if not isclose(score, found, abs_tol=1e-6):
            return f"{name}: is {score:.4f}, but its predictions give {found:.4f}"
    counts_KK = confusion_matrix(seen.labels_N, seen.predicted_N, num_classes)
    if not np.array_equal(counts_KK, scores.confusion):
        return "confusion: is not that of its predictions"
    return None
