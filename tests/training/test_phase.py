"""The training loop against one written out by hand, and the rules of its batches and rates."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.data.images import Images
from bench.record import Recipe
from bench.strategies import HEAD_ONLY, PhasePlan, Rule
from bench.training.evaluate import Diverged
from bench.training.feeds import Feed, batches_of, steps_per_epoch
from bench.training.phase import Epoch, fit, warmup_cosine
from bench.training.step import Step
from tests.training import cells


def tiny() -> nn.Sequential:
    """A backbone of one convolution and one norm, and a head of ten classes."""
    torch.manual_seed(1)
    backbone = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 6, 3, padding=1),
            norm=nn.BatchNorm2d(6),
            relu=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(2),
            flat=nn.Flatten(),
        )
    )
    return nn.Sequential(OrderedDict(backbone=backbone, head=nn.Linear(24, 10)))


def step_of(network: nn.Module, images: Images, rules: Sequence[Rule], recipe: Recipe) -> Step:
    """A step on plain images."""
    return Step(network, Feed(images, cells.UNIT), rules, recipe, cells.place())


EVERYTHING = (Rule("head", 1.0), Rule("backbone", 0.1))
DECAYED = ("backbone.conv.weight", "head.weight")


def rate(step: int) -> float:
    """Six epochs of four steps, of which the first one and a half warm up."""
    warm, total = 6, 24
    if step < warm:
        return (step + 1) / 7
    return (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2


def trained_by_hand(network: nn.Sequential, images: Images, num_steps: int) -> list[float]:
    """AdamW as in algorithm 2 of Loshchilov & Hutter 2019; the losses of all steps."""
    inputs_NCHW, labels_N = cells.crops_of(images).float() / 255, images.labels_N
    generator = torch.Generator().manual_seed(5)
    first = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    second = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    losses = []
    network.train()
    for step in range(num_steps):
        if step % 4 == 0:
            order_N = torch.randperm(len(labels_N), generator=generator)
        chosen_B = order_N[8 * (step % 4) : 8 * (step % 4) + 8]
        probabilities_BK = functional.softmax(network(inputs_NCHW[chosen_B]), dim=1)
        targets_BK = 0.9 * functional.one_hot(labels_N[chosen_B], 10) + 0.1 / 10
        loss = -(targets_BK * probabilities_BK.log()).sum(1).mean()
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.item())
        with torch.no_grad():
            for name, p in network.named_parameters():
                assert p.grad is not None
                lr = 0.01 * rate(step) * (1.0 if name.startswith("head.") else 0.1)
                first[name] = 0.9 * first[name] + 0.1 * p.grad
                second[name] = 0.999 * second[name] + 0.001 * p.grad**2
                mean = first[name] / (1 - 0.9 ** (step + 1))
                square = second[name] / (1 - 0.999 ** (step + 1))
                if name in DECAYED:
                    p.mul_(1 - lr * 0.2)
                p.sub_(lr * mean / (square.sqrt() + 1e-8))
    return losses


def test_training_is_that_of_a_loop_written_by_hand() -> None:
    images = cells.pictures(35, 8)
    ours, by_hand = tiny(), tiny()
    recipe = cells.recipe(lr=0.01, weight_decay=0.2, warmup_epochs=1.5)
    cells.place().place(ours)
    step, plan = step_of(ours, images, EVERYTHING, recipe), PhasePlan("all", 6, EVERYTHING)
    epochs = list(fit(step, plan, 1.5, torch.Generator().manual_seed(5)))
    losses = trained_by_hand(by_hand, images, 24)
    means = [sum(losses[4 * i : 4 * i + 4]) / 4 for i in range(6)]
    assert [epoch.train_loss for epoch in epochs] == pytest.approx(means, rel=1e-4)
    # The convolution's bias before a norm has no gradient but rounding, which Adam scales up.
    bias = "backbone.conv.bias"
    expected = by_hand.state_dict()
    for name, value in ours.state_dict().items():
        if name not in (bias, "backbone.norm.running_mean"):
            # float32 sums in another order, over 24 steps of a rate of 0.01
            torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4, msg=name)


def epochs_of(num_images: int, batch_size: int, **changed: float) -> list[Epoch]:
    recipe = cells.recipe(batch_size=batch_size, **changed)
    step = step_of(tiny(), cells.pictures(num_images, 8), EVERYTHING, recipe)
    return list(fit(step, PhasePlan("all", 2, EVERYTHING), 0.5, torch.Generator()))


def test_an_epoch_counts_its_steps_and_the_images_of_full_batches() -> None:
    epochs = epochs_of(35, 8)
    assert [e.images for e in epochs] == [32, 32]


def test_a_step_knows_the_parameters_that_its_optimiser_holds() -> None:
    step = step_of(tiny(), cells.pictures(8, 8), HEAD_ONLY, cells.recipe())
    assert step.trainable_parameters == 24 * 10 + 10


def test_a_loss_that_is_not_finite_ends_the_phase() -> None:
    network = tiny()
    with torch.no_grad():
        network.get_parameter("head.bias").fill_(math.nan)
    step = step_of(network, cells.pictures(8, 8), EVERYTHING, cells.recipe())
    with pytest.raises(Diverged, match="training loss is nan in epoch 1 of phase all"):
        list(fit(step, PhasePlan("all", 3, EVERYTHING), 0.5, torch.Generator()))


def test_a_rate_that_is_far_too_high_diverges() -> None:
    with pytest.raises(Diverged, match=r"training loss is (nan|inf)"):
        epochs_of(32, 8, lr=1e38, weight_decay=0.0)


@pytest.mark.parametrize(
    ("num_images", "batch_size", "steps"), [(7, 8, 1), (8, 8, 1), (15, 8, 1), (16, 8, 2), (1, 8, 1)]
)
def test_batches_are_full_and_hold_no_image_twice(
    num_images: int, batch_size: int, steps: int
) -> None:
    found = list(batches_of(torch.randperm(num_images), batch_size))
    seen = torch.cat(found).tolist()
    assert len(found) == steps == steps_per_epoch(num_images, batch_size)
    assert {len(batch) for batch in found} == {min(num_images, batch_size)}
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(num_images))


class Watched(Feed):
    """Notes the batches that it is asked for."""

    seen: ClassVar[list[int]] = []

    def batch(self, indices_B: Tensor, drawn: Tensor) -> Tensor:
        self.seen.extend(indices_B.tolist())
        return super().batch(indices_B, drawn)


def test_every_epoch_has_its_own_order_and_leaves_out_others() -> None:
    recipe, feed = cells.recipe(batch_size=4), Watched(cells.pictures(21, 8), cells.UNIT)
    step = Step(tiny(), feed, EVERYTHING, recipe, cells.place())
    list(fit(step, PhasePlan("all", 10, EVERYTHING), 0.5, torch.Generator().manual_seed(0)))
    orders = [feed.seen[20 * epoch : 20 * epoch + 20] for epoch in range(10)]
    assert len({tuple(order) for order in orders}) == 10
    assert all(len(set(order)) == 20 for order in orders)
    assert len({(set(range(21)) - set(order)).pop() for order in orders}) > 3


def test_batches_of_several_orders_are_taken_from_each() -> None:
    orders_SN = torch.tensor([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    found = [batch.tolist() for batch in batches_of(orders_SN, 2)]
    assert found == [[[0, 1], [4, 3]], [[2, 3], [2, 1]]]


def test_rates_rise_in_a_line_and_fall_along_a_cosine() -> None:
    scale = warmup_cosine(3, 7)
    expected = [1 / 4, 2 / 4, 3 / 4, 1, (1 + math.sqrt(0.5)) / 2, 1 / 2, (1 - math.sqrt(0.5)) / 2]
    assert [scale(step) for step in range(7)] == pytest.approx(expected)
    assert scale(7) == pytest.approx(0)


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    assert warmup_cosine(0, 4)(0) == 1


def test_warm_up_takes_half_of_a_short_phase_at_most() -> None:
    network = tiny()
    recipe = cells.recipe(batch_size=8, warmup_epochs=50.0, lr=0.01, weight_decay=0.0)
    step = step_of(network, cells.pictures(64, 8), EVERYTHING, recipe)
    before = network.get_parameter("head.bias").detach().clone()
    plan = PhasePlan("all", 1, EVERYTHING)
    list(fit(step, plan, recipe.warmup_epochs, torch.Generator().manual_seed(0)))
    moved = (network.get_parameter("head.bias").detach() - before).abs().max().item()
    # Adam moves a parameter by about its rate: the rates of 8 steps add up to 4 peaks if half of
    # them warm up, and to 0.72 if all do.
    assert moved > 0.02
