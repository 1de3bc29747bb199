"""What the training of one phase leaves behind: its learning curve, and the network that counts.

Dimensions: N images, K classes.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.strategies import PhasePlan

Logits = NDArray[np.float32]


class Point(NamedTuple):
    """One epoch of a phase."""

    epoch: int  # 1, 2, ... within the phase
    train_loss: float
    val_score: float | None  # of the suite's metric, where val was scored
    seconds: float  # of training since the phase began
    images_per_second: float


class Kept(NamedTuple):
    """A scored network: its val score and logits, and its values where later epochs change it."""

    val_score: float
    val_logits_NK: Logits
    values: Mapping[str, Tensor] | None


class Course(NamedTuple):
    """One phase, trained to its end."""

    plan: PhasePlan
    points: tuple[Point, ...]
    kept: Kept  # the network that counts
    steps: int
    trainable_parameters: int  # as the optimiser held them


def is_better(score: float, kept: Kept | None, checkpoint: Literal["last", "best"]) -> bool:
    """Whether a network just scored replaces the one kept: always, unless the best is asked for."""
    return kept is None or checkpoint == "last" or score > kept.val_score
