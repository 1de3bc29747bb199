"""Train times of two runs under different conditions: what can be told, though nothing is judged.

No single factor makes times comparable between machines (of 1,396 architectures on two GPUs, 47 %
are more than 7 % off the best one), but ranks survive, and a cell that is off by a factor of two
is worth a look.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from bench.analysis.verdict import Elsewhere

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
