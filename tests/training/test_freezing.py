"""What a strategy leaves alone stays bit for bit as it was, and what it trains moves."""

import hashlib
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from bench.architectures import ARCHITECTURES, FEATURED, nearest_size
from bench.models.build import Network, build, outline
from bench.strategies import HEAD_ONLY, PhasePlan, Rule, lr_scales, phases
from bench.training.feeds import AugmentedImages, eval_batch
from bench.training.fit import fit
from bench.training.freezing import (
    batch_norms,
    freeze,
    param_groups,
    set_train_mode,
    trained_norms,
)
from bench.training.inference import estimate_statistics
from bench.training.step import Step
from tests.training import cells

ODD = ("squeezenet1_1", "googlenet", "densenet121")
"""A head that is a convolution, auxiliary heads, and dropout as a function."""


def digests(network: nn.Module) -> dict[str, str]:
    """A hash of the bytes of each parameter and buffer: a copy of all would double the memory."""
    return {
        name: hashlib.sha256(value.contiguous().numpy().data).hexdigest()
        for name, value in network.state_dict().items()
    }


def two_steps(network: Network, plan: PhasePlan) -> None:
    """Train on noise that differs from step to step."""
    images = cells.pictures(8, 40)
    feed = AugmentedImages(images, cells.UNIT.model_copy(update={"crop_size": 32}), flip=True)
    recipe = cells.recipe(batch_size=4, lr=1e-2, warmup_epochs=0.0)
    torch.manual_seed(0)
    step = Step(network, feed, plan.rules, recipe, cells.place())
    list(fit(step, plan, recipe.warmup_epochs, torch.Generator().manual_seed(0)))


def under(network: nn.Module, prefixes: Sequence[str]) -> set[str]:
    """Names of all parameters and buffers below any of the prefixes."""
    dotted = tuple(f"{prefix}." for prefix in prefixes)
    return {name for name in network.state_dict() if f"{name}.".startswith(dotted)}


def healthy(architecture: str) -> Network:
    """A drawn network whose batch norms fit its images, so that no gradient vanishes."""
    network = build(architecture, 10, 32, state=None, backbone_seed=0, head_seed=0)
    cells.place().place(network)
    crops = eval_batch(cells.pictures(8, 32), cells.UNIT)
    estimate_statistics(network, batch_norms(network), crops, 8, cells.place())
    return network


@pytest.mark.parametrize("architecture", [*FEATURED, *ODD])
def test_each_strategy_moves_all_that_it_trains_and_not_a_bit_of_the_rest(
    architecture: str,
) -> None:
    network = healthy(architecture)
    (partial,) = phases("partial", cells.recipe(epochs=1, stages=1), network.stages)
    (everywhere,) = phases("fine_tuning", cells.recipe(epochs=1), network.stages)
    trained = {
        PhasePlan("head", 1, HEAD_ONLY): under(network, ["head"]),
        partial: under(network, ["head", *network.stages[-1]]),
        everywhere: set(network.state_dict()),
    }
    before = digests(network)
    for plan, expected in trained.items():
        two_steps(network, plan)
        after = digests(network)
        assert {name for name in after if after[name] != before[name]} == expected
        before = after


def test_a_cell_with_a_frozen_phase_leaves_the_backbone_that_cells_share_as_it_was() -> None:
    shared_cells = [cells.cell("feature_extraction"), cells.cell("two_phase")]
    shared = cells.worker(shared_cells)
    before = {k: v.clone() for k, v in shared.backbone(shared_cells[0]).value.items()}
    features = shared.features(shared_cells[0]).value.train_VN.clone()
    for one in shared_cells:
        cells.run(one, shared)
    after = shared.backbone(shared_cells[0]).value
    assert all(value.equal(before[name]) for name, value in after.items())
    assert shared.features(shared_cells[0]).value.train_VN.equal(features)


def in_train_mode(network: nn.Module, rules: tuple[Rule, ...]) -> set[str]:
    """Names of the leaves that are in training mode under the rules."""
    freeze(network, lr_scales((name for name, _ in network.named_parameters()), rules))
    set_train_mode(network)
    return {name for name, module in network.named_modules() if module.training}


def test_frozen_dropout_and_stochastic_depth_are_off_while_the_head_trains() -> None:
    network = outline("efficientnet_b0", 10, 32)
    network.train()
    assert in_train_mode(network, HEAD_ONLY) == {"head", "head.dropout", "head.layer"}


def test_partial_turns_on_stochastic_depth_in_the_stage_that_trains_alone() -> None:
    network = outline("convnext_tiny", 10, 32)
    (plan,) = phases("partial", cells.recipe(stages=1), network.stages)
    training = in_train_mode(network, plan.rules)
    drops = {n for n, module in network.named_modules() if isinstance(module, StochasticDepth)}
    last = {n for n in drops if n.startswith(("backbone.features.6.", "backbone.features.7."))}
    assert len(last) == 3
    assert training & drops == last


def test_dropout_between_layers_that_train_is_on_and_between_frozen_ones_off() -> None:
    network = outline("vgg16", 10, 32)
    assert "backbone.classifier.2" not in in_train_mode(network, HEAD_ONLY)
    (plan,) = phases("partial", cells.recipe(stages=1), network.stages)
    assert "backbone.classifier.2" in in_train_mode(network, plan.rules)


def test_a_phase_that_trains_everything_turns_everything_on_again() -> None:
    network = outline("resnet18", 10, 32)
    in_train_mode(network, HEAD_ONLY)
    assert in_train_mode(network, (Rule("", 1.0),)) == {n for n, _ in network.named_modules()}


def test_only_norms_that_train_are_estimated_again() -> None:
    network = outline("resnet18", 10, 32)
    (plan,) = phases("partial", cells.recipe(stages=1), network.stages)
    in_train_mode(network, plan.rules)
    assert len(trained_norms(network)) == 5  # two blocks of two, and the shortcut's
    in_train_mode(network, HEAD_ONLY)
    assert trained_norms(network) == []


def undecayed(network: nn.Module) -> set[str]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = param_groups(network, dict.fromkeys(names.values(), 1.0), lr=1.0, weight_decay=0.1)
    assert sum(len(group["params"]) for group in groups) == len(names)
    return {names[id(p)] for g in groups if g["weight_decay"] == 0.0 for p in g["params"]}


@pytest.mark.parametrize(
    "architecture",
    ["resnet18", "vit_b_16", "swin_t", "swin_v2_t", "convnext_tiny", "maxvit_t", "squeezenet1_1"],
)
def test_weights_of_layers_decay_and_nothing_else_does(architecture: str) -> None:
    size = nearest_size(ARCHITECTURES[architecture], 32)
    network = outline(architecture, 10, size)
    layers = (nn.Linear, nn.Conv2d, nn.MultiheadAttention)
    weights = {
        f"{path}.{name}"
        for path, module in network.named_modules()
        if isinstance(module, layers)
        for name, _ in module.named_parameters(recurse=False)
        if name.endswith("weight")
    }
    assert undecayed(network) == {n for n, _ in network.named_parameters()} - weights


def test_class_token_and_positions_of_a_transformer_are_spared() -> None:
    spared = undecayed(outline("vit_b_16", 10, 32))
    assert {"backbone.class_token", "backbone.encoder.pos_embedding"} < spared


def test_groups_hold_each_rate_once_and_leave_frozen_parameters_out() -> None:
    model = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("stem", "body", "head")})
    scales = lr_scales(
        (name for name, _ in model.named_parameters()),
        [Rule("head", 1.0), Rule("body", 0.5), Rule("stem", 0.0)],
    )
    groups = param_groups(model, scales, lr=0.2, weight_decay=0.3)
    assert [(g["lr"], g["weight_decay"], len(g["params"])) for g in groups] == [
        (0.1, 0.3, 1), (0.1, 0.0, 1), (0.2, 0.3, 1), (0.2, 0.0, 1),
    ]  # fmt: skip


def test_freezing_forgets_the_gradients_of_an_earlier_phase() -> None:
    model = nn.Linear(2, 2)
    model(torch.ones(1, 2)).sum().backward()
    freeze(model, {"weight": 0.0, "bias": 1.0})
    gradients: list[Tensor | None] = [model.weight.grad, model.bias.grad]
    assert gradients == [None, None]
    assert [model.weight.requires_grad, model.bias.requires_grad] == [False, True]
