"""What the recommended row gets wrong on test: which classes, and for what it takes them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.analysis.choice import Row
from bench.analysis.stats import Interval, Spread, spread, wilson
from bench.record import Failure, Result, Scores


class Recall(NamedTuple):
    """One class: the share of its test images that were recognised, a mean over seeds."""

    label: str
    num_images: int
    share: float | None  # None for a class without images
    interval: Interval | None  # Wilson's; each image counts once, however many seeds saw it
    mistaken_for: str | None  # the class that most of the others were taken for
    mistaken_share: float | None


def tested(records: Sequence[Result | Failure], row: Row | None) -> list[Scores]:
    """The test scores of a row, one for each seed that is ok; empty without a row."""
    if row is None:
        return []
    by_id = {one.cell_id: one for one in records if isinstance(one, Result)}
    return [by_id[cell_id].quality.test for cell_id in row.ok]


def calibration_error(scores: Sequence[Scores]) -> Spread:
    """Expected calibration error over seeds, 0 to 1."""
    return spread([one.ece for one in scores])


def recalls(labels: Sequence[str], scores: Sequence[Scores]) -> list[Recall]:
    if not scores:
        return []
    counts_KK = np.array([one.confusion for one in scores], dtype=np.float64).mean(axis=0)
    found = [_recall(labels, k, counts_KK) for k in range(len(labels))]
    return sorted(found, key=lambda one: (one.share is None, one.share))


def _recall(labels: Sequence[str], k: int, counts_KK: NDArray[np.float64]) -> Recall:
    total = float(counts_KK[k].sum())
    if not total:
        return Recall(labels[k], 0, None, None, None, None)
    share = float(counts_KK[k, k]) / total
    others_K = np.where(np.arange(len(counts_KK)) == k, 0.0, counts_KK[k])
    worst = int(others_K.argmax())
    wrong = float(others_K[worst])
    return Recall(
        labels[k],
        round(total),
        share,
        wilson(min(share, 1.0), round(total)),
        labels[worst] if wrong else None,
        wrong / total if wrong else None,
    )
