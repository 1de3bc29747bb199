"""Transfer strategies as data: which parameters train in which phase, and how fast.

A strategy is one row of `STRATEGIES`. A phase is an ordered list of rules over parameter names;
the first rule whose prefix covers a name sets that parameter's learning-rate scale, and a scale
of zero freezes it. A name that no rule covers is an error, so a misspelt prefix cannot quietly
freeze a backbone.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.record import Data, Recipe

Stages = Sequence[Sequence[str]]
"""Prefixes of each backbone stage, from input to output; none are needed by the first phase of a
strategy that starts frozen."""

PRECISE_BN_IMAGES = 512
"""Training images from which batch-norm statistics are re-estimated."""

SCORINGS = 5
"""The most points of a learning curve."""

TRAINING_TO_SCORING = 5
"""Training is at least so many times the work of the points of its curve but the last."""

FORWARDS = 3
"""Forward passes that one training pass is worth: the backward pass takes two."""


class Rule(NamedTuple):
    """Learning-rate scale for every parameter under one dotted prefix."""

    prefix: str  # "backbone.layer4" covers "backbone.layer4.0.conv1.weight"; "" covers all
    lr_scale: float  # multiplies the recipe's learning rate; 0 freezes

    def covers(self, name: str) -> bool:
        """Whether the parameter is under the prefix."""
        return not self.prefix or f"{name}.".startswith(f"{self.prefix}.")


class PhasePlan(NamedTuple):
    """One phase of `epochs` with a fresh optimiser and schedule, under `rules`."""

    name: str
    epochs: int
    rules: tuple[Rule, ...]

    @property
    def head_only(self) -> bool:
        """Whether the whole backbone is frozen, so that it needs to run only once per image."""
        return self.rules == HEAD_ONLY


HEAD_ONLY = (Rule("head", 1.0), Rule("backbone", 0.0))


def _head_alone(recipe: Recipe, _: Stages) -> list[PhasePlan]:
    return [PhasePlan("head", recipe.epochs, HEAD_ONLY)]


def _everything(recipe: Recipe, _: Stages) -> list[PhasePlan]:
    rules = (Rule("head", 1.0), Rule("backbone", recipe.backbone_lr_scale))
    return [PhasePlan("all", recipe.epochs, rules)]


def _head_then_everything(recipe: Recipe, _: Stages) -> list[PhasePlan]:
    head_epochs = head_epochs_of(recipe.epochs, recipe.head_epochs)
    scale = recipe.backbone_lr_scale
    scaled = (Rule("head", scale), Rule("backbone", scale))
    return [
        PhasePlan("head", head_epochs, HEAD_ONLY),
        PhasePlan("all", recipe.epochs - head_epochs, scaled),
    ]


def _last_stages_and_head(recipe: Recipe, stages: Stages) -> list[PhasePlan]:
    count = recipe.stages or 1
    if count > len(stages):
        raise ValueError(f"stages is {count}, but this architecture has {len(stages)}")
    trained = [prefix for stage in stages[len(stages) - count :] for prefix in stage]
    scale = recipe.backbone_lr_scale
    rules = (Rule("head", 1.0), *(Rule(p, scale) for p in trained), Rule("backbone", 0.0))
    return [PhasePlan("partial", recipe.epochs, rules)]


class Rates(NamedTuple):
    """Peak learning rates of AdamW."""

    lr: float  # of the head
    backbone_lr_scale: float  # of the backbone, times lr; two_phase: of its whole second phase


class Strategy(NamedTuple):
    """One strategy and its default rates; suites/README.md describes how they were found."""

    summary: str
    rates: Rates  # of networks whose norms are all batch norms
    rates_without_batch_norm: Rates
    uses_weights: bool  # False: the backbone is drawn anew for each seed
    phases: Callable[[Recipe, Stages], list[PhasePlan]]
    options: tuple[str, ...] = ("backbone_lr_scale",)  # of OPTIONS, those that it takes
    starts_frozen: bool = False  # the first phase trains only the head, on cached features
    live: bool = True  # a phase trains on images
    whole: bool = True  # that phase trains every parameter: such strategies share captured steps


OPTIONS = ("backbone_lr_scale", "stages", "head_epochs")
"""Recipe keys that not every strategy takes."""

STRATEGIES: Mapping[str, Strategy] = {
    "feature_extraction": Strategy(
        "train the head on a frozen backbone",
        *(Rates(3e-3, 0.0), Rates(3e-3, 0.0), True, _head_alone),
        options=(),
        starts_frozen=True,
        live=False,
    ),
    "fine_tuning": Strategy(
        "train everything",
        *(Rates(3e-3, 1.0), Rates(1e-3, 0.3), True, _everything),
    ),
    "two_phase": Strategy(
        "train the head, then everything",
        *(Rates(3e-3, 1.0), Rates(3e-3, 0.1), True, _head_then_everything),
        options=("backbone_lr_scale", "head_epochs"),
        starts_frozen=True,
    ),
    "partial": Strategy(
        "train the last stage and the head",
        *(Rates(3e-3, 1.0), Rates(1e-3, 0.3), True, _last_stages_and_head),
        options=("backbone_lr_scale", "stages"),
        whole=False,
    ),
    "from_scratch": Strategy(
        "train everything from random values",
        *(Rates(3e-3, 1.0), Rates(1e-3, 1.0), False, _everything),
    ),
}


def phases(kind: str, recipe: Recipe, stages: Stages) -> list[PhasePlan]:
    """The phases of a strategy in order; their epochs add up to those of the recipe.

    Raises ValueError if the recipe asks for more stages or head epochs than there are.
    """
    return STRATEGIES[kind].phases(recipe, stages)


def live_phase(kind: str, recipe: Recipe, stages: Stages) -> PhasePlan:
    """The phase that trains more than the head; feature_extraction has none."""
    (live,) = (plan for plan in phases(kind, recipe, stages) if not plan.head_only)
    return live


def head_epochs_of(epochs: int, head_epochs: int | None) -> int:
    """Epochs of two_phase's head-only phase: as given, or half of all, rounded down.

    Raises ValueError if one of the two phases would be empty.
    """
    chosen = epochs // 2 if head_epochs is None else head_epochs
    if not 1 <= chosen < epochs:
        raise ValueError(
            f"two_phase needs an epoch in each phase, but {chosen} of {epochs} train the head"
        )
    return chosen


def lr_scales(names: Iterable[str], rules: Sequence[Rule]) -> dict[str, float]:
    """Learning-rate scale of each parameter. Raises ValueError if no rule covers one of them."""
    scales = {}
    for name in names:
        scale = next((rule.lr_scale for rule in rules if rule.covers(name)), None)
        if scale is None:
            raise ValueError(f"no rule covers parameter {name!r} (rules: {rules})")
        scales[name] = scale
    return scales


def scored_epochs(epochs: int, most: int = SCORINGS) -> frozenset[int]:
    """Epochs after which val is scored: at most `most`, evenly spaced, the last included."""
    points = min(most, epochs)
    return frozenset(math.ceil(epochs * point / points) for point in range(1, points + 1))


def live_scored_epochs(epochs: int, recipe: Recipe, data: Data) -> frozenset[int]:
    """The same of a phase that trains on images, where scoring takes forward passes.

    On small data the points before the last are so few that all of them together take at most a
    fifth of the work of training.
    """
    trained = FORWARDS * epochs * data.num_train
    earlier = trained // (TRAINING_TO_SCORING * scoring_passes(recipe, data))
    return scored_epochs(epochs, min(SCORINGS, earlier + 1))


def scoring_passes(recipe: Recipe, data: Data) -> int:
    """Forward passes of one scoring of val: its images, and those of batch-norm statistics."""
    statistics = min(data.num_train, PRECISE_BN_IMAGES) if recipe.precise_bn else 0
    return data.num_val + statistics
