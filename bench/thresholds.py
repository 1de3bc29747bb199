"""What `bench compare` takes for a regression: the [compare] table of a suite.

It is read from the candidate's run.json, as it stood when that ran. No part of a cell's identity:
runs of the same cells may be judged by different thresholds.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field

from bench.validation import Table

Judged = Literal["accuracy", "train_seconds", "peak_memory_bytes"]
"""The metrics that are judged by more than equality."""


class Threshold(Table):
    """The least change that counts, for the cells of a pattern and one metric.

    `floor` is a share: of accuracy absolute (0.01 is a point), of time and memory relative.
    """

    metric: Judged
    cells: str = Field("*", min_length=1)
    floor: float = Field(gt=0, lt=1)

    def fits(self, names: Sequence[str]) -> bool:
        """Whether it is meant for the cell of these names."""
        return fnmatchcase("/".join(names), self.cells)


class CompareTable(Table):
    """Shares, like `margin`: 0.03 is three points."""

    visible_drop: float = Field(0.03, gt=0, le=1)
    equivalence: float = Field(0.01, gt=0, lt=1)
    thresholds: list[Threshold] = Field([])

    def floor(self, metric: Judged, names: Sequence[str], default: float) -> float:
        """The floor of a cell given by its names; of several patterns that fit, the last one's."""
        fitting = (one.floor for one in self.thresholds if one.metric == metric and one.fits(names))
        return next(reversed(list(fitting)), default)

    def idle(self, cells: Iterable[Sequence[str]]) -> list[str]:
        """Patterns that fit none of these cells, each given by its names."""
        known = list(cells)
        idle = (one.cells for one in self.thresholds if not any(map(one.fits, known)))
        return list(dict.fromkeys(idle))
