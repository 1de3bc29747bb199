"""What the recommended row gets wrong on test: which classes, and for what it takes them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.analysis.rows import Row, results
from bench.analysis.stats import Interval, Spread, spread, wilson
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run, Scores
from bench.report import units
from bench.report.formats import Table


class Recall(NamedTuple):
    """One class: the share of its test images that were recognised, a mean over seeds."""

    label: str
    num_images: int
    share: float | None  # None for a class without images
    interval: Interval | None  # Wilson's; each image counts once, however many seeds saw it
    mistaken_for: str | None  # the class that most of the others were taken for
    mistaken_share: float


def tested(records: Sequence[Result | Failure], row: Row | None) -> list[Scores]:
    """The test scores of a row, one for each seed that is ok; empty without a row."""
    if row is None:
        return []
    names = (row.architecture, row.strategy)
    return [
        one.quality.test
        for one in results(records)
        if (one.cell.architecture_label, one.cell.strategy) == names
    ]


def confusion(records: Sequence[Result | Failure], row: Row) -> NDArray[np.float64]:
    """Test confusion of a row, a mean over its seeds: [true class, predicted class]."""
    mine = [scores.confusion for scores in tested(records, row)]
    return np.asarray(np.mean(np.array(mine, dtype=np.float64), axis=0))


def calibration_error(records: Sequence[Result | Failure], row: Row) -> Spread:
    """Expected calibration error of a row on test over its seeds, 0 to 1."""
    return spread([scores.ece for scores in tested(records, row)])


def recalls(run: Run, records: Sequence[Result | Failure], summary: Summary) -> list[Recall]:
    """Every class of the recommended row, the worst first; empty where there is no such row."""
    if summary.recommended is None:
        return []
    counts_KK = confusion(records, summary.recommended)
    found = [_recall(label, k, counts_KK, run) for k, label in enumerate(run.data.classes)]
    return sorted(found, key=lambda one: (one.share is None, one.share))


def _recall(label: str, k: int, counts_KK: NDArray[np.float64], run: Run) -> Recall:
    total = float(counts_KK[k].sum())
    if not total:
        return Recall(label, 0, None, None, None, 0.0)
    share = float(counts_KK[k, k]) / total
    others_K = np.where(np.arange(len(counts_KK)) == k, 0.0, counts_KK[k])
    worst = int(others_K.argmax())
    mistaken = run.data.classes[worst] if others_K[worst] else None
    interval = wilson(min(share, 1.0), round(total))
    return Recall(label, round(total), share, interval, mistaken, float(others_K[worst]) / total)


def table(found: Sequence[Recall]) -> Table:
    """The classes for reading."""
    header = ("Class", "Images", "Recall %", "95 %", "Most often taken for", "in %")
    rows = tuple(
        (
            *(one.label, f"{one.num_images:,}", units.percent(one.share)),
            *(units.interval(one.interval), one.mistaken_for or units.UNKNOWN),
            units.percent(one.mistaken_share) if one.mistaken_for is not None else units.UNKNOWN,
        )
        for one in found
    )
    return Table(header, rows, "lrrrlr")


def numbers(found: Sequence[Recall]) -> Table:
    """The same for computing."""
    header = (
        *("class", "num_images", "recall", "wilson_low", "wilson_high"),
        *("most_often_taken_for", "taken_for_share"),
    )
    rows = tuple(
        (
            *(one.label, one.num_images, one.share),
            *(one.interval or (None, None)),
            *(one.mistaken_for, one.mistaken_share if one.mistaken_for is not None else None),
        )
        for one in found
    )
    return Table(header, rows, "lrrrrlr")
