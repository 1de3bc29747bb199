"""Made-up suites with a known truth, as hits and not as records: quick enough for thousands."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.analysis.paired import Hits, with_seeds


def hits(hits_RSN: NDArray[np.bool_]) -> Hits:
    """The hits of rows whose seeds got these images right; the leader is the first."""
    return with_seeds(
        hits_RSN.sum(axis=1, dtype=np.uint8),
        np.ones(hits_RSN.shape[2]),
        [list(map(float, scores_S)) for scores_S in hits_RSN.mean(axis=2)],
    )


def drawn(
    draw: np.random.Generator,
    skills: Sequence[float],
    num_images: int,
    num_seeds: int,
    luck: float | Sequence[float] = 0.0,
    churn: float = 0.08,
) -> tuple[Hits, NDArray[np.intp]]:
    """A suite of rows that are on average right on 88 % of images plus their skill.

    Images are easy or hard for all rows alike: two seeds disagree on a share `churn` of them. A
    whole training is lucky by `luck`, a standard deviation, of all rows or of each. Returns the
    hits in order of the scores, and each place's row.
    """
    spread = churn / 2 / (0.88 * 0.12)
    total = spread / (1 - spread)
    easy_N = draw.beta(0.88 * total, 0.12 * total, size=num_images)
    # A better row gains where images are neither hopeless nor sure.
    gain_N = easy_N * (1 - easy_N) / (easy_N * (1 - easy_N)).mean()
    lucks_R = np.broadcast_to(luck, len(skills))
    lucky_RS = draw.normal(0, lucks_R[:, None], (len(skills), num_seeds))
    means_RS = np.array(skills)[:, None] + lucky_RS
    chances_RSN = easy_N + means_RS[:, :, None] * gain_N
    hits_RSN = draw.random(chances_RSN.shape, dtype=np.float32) < chances_RSN
    order_R = np.argsort(-hits_RSN.mean(axis=(1, 2)), kind="stable")
    return hits(hits_RSN[order_R]), order_R
