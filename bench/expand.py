"""The cells of a suite, with every choice made.

What the suite does not decide (the data, the weights, the image sizes of the weights) is passed in.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from bench.architectures import ARCHITECTURES, size_problem
from bench.errors import Problem
from bench.record import Cell, Data, Recipe, Weights
from bench.strategies import OPTIONS, STRATEGIES, head_epochs_of
from bench.suite import RECIPE_DEFAULTS, Kind, Suite


class Inputs(NamedTuple):
    """What the suite does not say; it is found out before anything is planned."""

    data: Data
    photographs: bool
    weights: Mapping[str, Weights]  # by architecture label
    native_size: Mapping[str, int]  # image size of the weights, by label
    batch_norm: Mapping[str, bool]  # whether every norm of the network is one, by label


def cells(suite: Suite, inputs: Inputs) -> list[Cell]:
    """Every cell of the suite in file order: by architecture, then strategy, then seed."""
    scratch = Weights(source="scratch", name="scratch")
    found = []
    for entry, strategy in product(suite.architectures, suite.strategies):
        said, uses_weights = suite.said_for(strategy), STRATEGIES[strategy.kind].uses_weights
        cell = Cell(
            architecture=entry.name,
            architecture_label=entry.label,
            weights=inputs.weights[entry.label] if uses_weights else scratch,
            strategy=strategy.name,
            kind=strategy.kind,
            recipe=recipe(
                strategy.kind,
                said,
                photographs=inputs.photographs,
                batch_norm=inputs.batch_norm[entry.label],
            ),
            image_size=said.get("image_size", inputs.native_size[entry.label]),
            data=inputs.data,
            seed=suite.seeds_for(strategy)[0],
            metric=suite.metric,
            target=suite.target,
        )
        found += [cell.model_copy(update={"seed": seed}) for seed in suite.seeds_for(strategy)]
    return found


def needs_weights(suite: Suite) -> bool:
    """Whether any strategy starts from given weights."""
    return any(STRATEGIES[entry.kind].uses_weights for entry in suite.strategies)


def size_problems(found: Sequence[Cell]) -> list[Problem]:
    """Image sizes of the weights that a network of the table does not accept."""
    sizes = dict.fromkeys((cell.architecture, cell.image_size) for cell in found)
    texts = (size_problem(name, size) for name, size in sizes if name in ARCHITECTURES)
    return [Problem("recipe.image_size", text) for text in texts if text]


def recipe(kind: Kind, said: Mapping[str, Any], *, photographs: bool, batch_norm: bool) -> Recipe:
    """The recipe with every choice made: what was said, then the strategy's rates, then defaults.

    Photographs may be mirrored, digits may not.
    """
    strategy = STRATEGIES[kind]
    rates = strategy.rates if batch_norm else strategy.rates_without_batch_norm
    values = {
        **RECIPE_DEFAULTS,
        **rates._asdict(),
        "flip": photographs,
        **said,
    }
    values.pop("image_size", None)
    for key in OPTIONS:
        if key not in strategy.options:
            values[key] = rates.backbone_lr_scale if key == "backbone_lr_scale" else None
    if "head_epochs" in strategy.options:
        values["head_epochs"] = head_epochs_of(values["epochs"], values.get("head_epochs"))
    if not strategy.live and values["views"] == 1:
        values |= {"augment": "none", "flip": False}  # it sees the eval crop alone
    return Recipe.model_validate(values)
