"""A step trains what its rules say and nothing else; used again, it is as good as a new one."""

import hashlib
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from bench.architectures import FEATURED, nearest_size
from bench.data.images import Images
from bench.models import libraries
from bench.models.build import Network, build, outline
from bench.models.libraries import exact
from bench.record import Recipe
from bench.strategies import HEAD_ONLY, PhasePlan, Rule, live_phase, lr_scales, phases
from bench.suite import Kind
from bench.training.evaluate import batch_norms, estimate_statistics, trained_norms
from bench.training.feeds import AugmentedFeed, eval_batch
from bench.training.network import start_of
from bench.training.phase import fit
from bench.training.step import Step, freeze, param_groups, set_train_mode
from tests.models.test_from_timm import TEN
from tests.training import cells

PIPELINE = cells.UNIT.model_copy(update={"crop_size": 32})


def images() -> Images:
    return cells.pictures(24, 40)


def start(seed: int) -> Network:
    return start_of(cells.cell("from_scratch", "mobilenet_v3_small", seed=seed), None)


def step_on(network: Network, plan: PhasePlan, recipe: Recipe) -> Step:
    feed = AugmentedFeed(images(), PIPELINE, flip=True)
    return Step(cells.place().place(network), feed, plan.rules, recipe, cells.place())


def trained(step: Step, plan: PhasePlan) -> dict[str, Tensor]:
    """The values after a phase, its dropout and batches drawn from fixed seeds."""
    torch.manual_seed(3)
    list(fit(step, plan, 0.5, torch.Generator().manual_seed(4)))
    return {name: value.clone() for name, value in step.network.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("fine_tuning", "fine_tuning"),
        ("two_phase", "from_scratch"),
        ("from_scratch", "two_phase"),
        ("partial", "partial"),
    ],
)
def test_a_step_that_starts_from_other_values_trains_them_as_a_new_one_would(
    first: Kind, then: Kind
) -> None:
    made = cells.cell(first, "mobilenet_v3_small", epochs=4, lr=3e-3).recipe
    wanted = cells.cell(then, "mobilenet_v3_small", epochs=4, lr=1e-3).recipe
    stages = start(0).stages
    plans: list[PhasePlan] = [
        live_phase(first, made, stages), live_phase(then, wanted, stages)
    ]  # fmt: skip
    used = step_on(start(0), plans[0], made)
    trained(used, plans[0])
    used.start_from(start(1).state_dict(), plans[1].rules, wanted.lr)
    again = trained(used, plans[1])
    fresh = trained(step_on(start(1), plans[1], wanted), plans[1])
    assert all(value.equal(fresh[name]) for name, value in again.items())
    moved = {name for name, value in start(1).state_dict().items() if not value.equal(again[name])}
    assert moved, "nothing was trained"


@pytest.mark.slow
def test_what_a_step_reads_and_writes_stays_where_it_is() -> None:
    recipe = cells.cell("fine_tuning", "mobilenet_v3_small").recipe
    plan = live_phase("fine_tuning", recipe, start(0).stages)
    step = step_on(start(0), plan, recipe)
    trained(step, plan)  # the optimiser makes its moments in the first step
    where: Callable[[], list[int]] = lambda: [  # noqa: E731
        *(value.data_ptr() for value in step.network.state_dict().values()),
        *(t.data_ptr() for s in step._optimiser.state.values() for t in s.values()),
        *(t.data_ptr() for t in (step._indices_B, step._drawn, step._loss_sum, *step._rates)),
    ]
    before = where()
    trained(step, plan)
    step.start_from(start(1).state_dict(), plan.rules, 0.1)
    assert where() == before


class Plain(nn.Module):
    """Without norms and dropout, so that an image is trained alike whatever stands beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.GELU(), nn.Flatten())
        self.head = nn.Linear(8 * 14 * 14, 10)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        head: Tensor = self.head(self.backbone(images_BCHW))
        return head


def plain_in_passes(passes: int) -> tuple[dict[str, Tensor], list[float]]:
    """The values after a few steps on batches of 7, and the loss of each epoch."""
    torch.manual_seed(0)
    network = Plain()
    feed = AugmentedFeed(images(), PIPELINE, flip=True)
    recipe = cells.recipe(batch_size=7, lr=1e-2)
    step = Step(network, feed, (Rule("", 1.0),), recipe, cells.place().in_passes(passes))
    plan = PhasePlan("all", 3, (Rule("", 1.0),))
    epochs = list(fit(step, plan, 0.5, torch.Generator().manual_seed(4)))
    return dict(network.state_dict()), [epoch.train_loss for epoch in epochs]


@pytest.mark.parametrize("passes", [2, 3, 7])
def test_a_batch_in_passes_is_one_step_of_the_whole_batch(passes: int) -> None:
    whole, losses = plain_in_passes(1)
    divided, divided_losses = plain_in_passes(passes)
    assert divided_losses == pytest.approx(losses, rel=1e-5)
    for name, value in whole.items():
        torch.testing.assert_close(divided[name], value, rtol=1e-3, atol=2e-5)


# ---- what learns ----------------------------------------------------------------------------

ODD = ("squeezenet1_1", "googlenet", "densenet121")
"""A head that is a convolution, auxiliary heads, and dropout as a function."""


def digests(network: nn.Module) -> dict[str, str]:
    """A hash of the bytes of each parameter and buffer: a copy of all would double the memory."""
    return {
        name: hashlib.sha256(value.contiguous().numpy().data).hexdigest()
        for name, value in network.state_dict().items()
    }


def two_steps(network: Network, plan: PhasePlan, size: int) -> None:
    """Train on noise that differs from step to step."""
    images = cells.pictures(8, size + 8)
    feed = AugmentedFeed(images, cells.UNIT.model_copy(update={"crop_size": size}), flip=True)
    recipe = cells.recipe(batch_size=4, lr=1e-2, warmup_epochs=0.0)
    torch.manual_seed(0)
    step = Step(network, feed, plan.rules, recipe, cells.place())
    list(fit(step, plan, recipe.warmup_epochs, torch.Generator().manual_seed(0)))


def under(network: nn.Module, prefixes: Sequence[str]) -> set[str]:
    """Names of all parameters and buffers below any of the prefixes."""
    dotted = tuple(f"{prefix}." for prefix in prefixes)
    return {name for name in network.state_dict() if f"{name}.".startswith(dotted)}


def healthy(architecture: str, size: int) -> Network:
    """A drawn network whose batch norms fit its images, so that no gradient vanishes."""
    network = build(exact(architecture), 10, size, state=None, backbone_seed=0, head_seed=0)
    cells.place().place(network)
    crops = eval_batch(cells.pictures(8, size), cells.UNIT)
    estimate_statistics(network, batch_norms(network), crops, 8, 8, cells.place())
    return network


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [*FEATURED, *ODD, *(f"timm:{name}" for name in TEN)])
def test_each_strategy_moves_all_that_it_trains_and_not_a_bit_of_the_rest(
    architecture: str,
) -> None:
    size = 64 if "swin" in architecture else 32  # at 32, Swin's last windows are one token
    network = healthy(architecture, size)
    (partial,) = phases("partial", cells.recipe(epochs=1, stages=1), network.stages)
    (everywhere,) = phases("fine_tuning", cells.recipe(epochs=1), network.stages)
    trained = {
        PhasePlan("head", 1, HEAD_ONLY): under(network, ["head"]),
        partial: under(network, ["head", *network.stages[-1]]),
        everywhere: set(network.state_dict()),
    }
    before = digests(network)
    for plan, expected in trained.items():
        two_steps(network, plan, size)
        after = digests(network)
        assert {name for name in after if after[name] != before[name]} == expected
        before = after


@pytest.mark.slow
def test_a_cell_with_a_frozen_phase_leaves_the_backbone_that_cells_share_as_it_was() -> None:
    shared_cells = [cells.cell("feature_extraction"), cells.cell("two_phase")]
    shared = cells.worker(shared_cells)
    before = {k: v.clone() for k, v in cells.backbone_of(shared_cells[0], shared).value.items()}
    features = cells.features_of(shared_cells[0], shared).value.train_VN.clone()
    for one in shared_cells:
        cells.run(one, shared)
    after = cells.backbone_of(shared_cells[0], shared).value
    assert all(value.equal(before[name]) for name, value in after.items())
    assert cells.features_of(shared_cells[0], shared).value.train_VN.equal(features)


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
    [
        *("resnet18", "vit_b_16", "swin_t", "swin_v2_t", "convnext_tiny", "maxvit_t"),
        *("squeezenet1_1", *(f"timm:{name}" for name in TEN)),
    ],
)
def test_weights_of_layers_decay_and_nothing_else_does(architecture: str) -> None:
    row = libraries.architecture(exact(architecture))
    network = outline(row.name, 10, nearest_size(row, 32))
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
