"""Train times of two runs under different conditions: what can be told, though nothing is judged.

No single factor makes times comparable between machines (of 1,396 architectures on two GPUs, 47 %
are more than 7 % off the best one), but ranks survive, and a cell that is off by a factor of two
is worth a look.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from bench.analysis.conditions import Side, performance_differences
from bench.analysis.digest import Digest, conditions_of, images_per_second_of, task_of
from bench.analysis.matching import matched
from bench.analysis.verdict import Elsewhere, Rates
from bench.record import Calibration

FAR = math.log(2)
"""Residuals between machines reach so far by nature."""


def elsewhere(
    names: Sequence[str],
    baseline: Sequence[float],
    candidate: Sequence[float],
    fields: Sequence[str],
) -> Elsewhere | None:
    """The common ratio of the seconds, how the ranks agree, and who is off; None without cells."""
    if not names:
        return None
    apart_P = np.log(candidate) - np.log(baseline)
    common = float(np.median(apart_P))
    return Elsewhere(
        ratio=math.exp(common),
        kendall=float(stats.kendalltau(baseline, candidate).statistic) if len(names) > 2 else None,
        apart=tuple(
            f"{name} ×{math.exp(apart):.3g}"
            for name, apart in zip(names, apart_P, strict=True)
            if abs(apart - common) >= FAR
        ),
        fields=tuple(fields),
    )


# ---- against the roofline -------------------------------------------------------------------


class Work(NamedTuple):
    """What an image is trained on: the layers to be counted, and the arithmetic."""

    architecture: str
    image_size: int
    precision: str


Floor = Callable[[Work, Calibration], float | None]
"""Seconds that training on one image must take by what a calibration reached."""


def rates(baseline: Digest, candidate: Digest, floor: Floor) -> tuple[Rates, ...]:
    """Of cells that ran under other conditions, where images/s are known on both sides."""
    found = []
    for pair in matched(baseline, candidate).pairs:
        before, after = (images_per_second_of(side.row) for side in pair)
        if before is not None and after is not None and performance_differences(*pair):
            shares = share(pair.before, before, floor), share(pair.after, after, floor)
            found.append(Rates(" · ".join(pair.names), (before, after), _known(*shares)))
    return tuple(found)


def share(side: Side, images_per_second: float, floor: Floor) -> float | None:
    """Of the roofline that a row reached; None where it is unknown."""
    facts = {**task_of(*side), **conditions_of(*side)}
    known = facts.keys() - {*side.row.mixed}
    if side.run.calibration is None or not known.issuperset(WORK):
        return None
    seconds = floor(Work(*(facts[path] for path in WORK)), side.run.calibration)
    return None if seconds is None else images_per_second * seconds


WORK = ("cell.architecture", "cell.image_size", "execution.precision")
"""What `Work` is made of: facts of every record."""


def _known(before: float | None, after: float | None) -> tuple[float, float] | None:
    return None if before is None or after is None else (before, after)
