"""Heads trained together on cached features, against each one alone through its frozen network."""

import math
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.measure.device import Device
from bench.measure.meters import Clock
from bench.record import Cell
from bench.strategies import HEAD_ONLY, PhasePlan
from bench.training.evaluate import Diverged
from bench.training.feeds import Feed
from bench.training.heads import FeatureExam, Heads, Seeded, train_heads
from bench.training.network import derived_seed, start_of
from bench.training.phase import Course, fit
from bench.training.run_cell import pieces_of
from bench.training.step import Step
from tests.training import cells

VAL = FeatureExam(torch.rand(6, 4), np.arange(6))


def clock() -> Clock:
    return Clock(Device("cpu", None))


def linear(seed: int, *, drop: float = 0.0) -> Seeded:
    """A head of four features and six classes."""
    torch.manual_seed(seed)
    parts = OrderedDict[str, nn.Module](dropout=nn.Dropout(drop), layer=nn.Linear(4, 6))
    generators = (torch.Generator().manual_seed(seed + place) for place in (0, 100))
    return Seeded(nn.Sequential(parts), *generators)


def trained(
    seeds: list[Seeded], features_VN: torch.Tensor, epochs: int = 3, **changed: Any
) -> list[Course | Diverged]:
    """Courses of heads on these features of six classes."""
    labels_N = torch.arange(features_VN.shape[1]) % 6
    recipe = cells.recipe(batch_size=4, **changed)
    heads = Heads(seeds, features_VN, labels_N, recipe)
    return train_heads(heads, PhasePlan("head", epochs, HEAD_ONLY), recipe, VAL, "top1", clock())


def values(course: Course | Diverged) -> dict[str, torch.Tensor]:
    assert isinstance(course, Course)
    return dict(course.checkpoint.values)


def seen_through_the_network(one: Cell) -> nn.Module:
    """The head after the plain way: every batch of images through the whole frozen network."""
    shared = cells.worker([one])
    network = start_of(one, cells.backbone_of(one, shared).value)
    for module in network.head.children():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    cells.place().place(network)
    feed = Feed(pieces_of(one, shared).images.value.train, shared.pipeline(one))
    step = Step(network, feed, HEAD_ONLY, one.recipe, cells.place())
    order = torch.Generator().manual_seed(derived_seed(one.seed, "batches"))
    list(fit(step, PhasePlan("head", 3, HEAD_ONLY), one.recipe.warmup_epochs, order))
    return network.head


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["resnet18", "squeezenet1_1"])
def test_heads_trained_together_are_those_of_their_seeds_through_the_frozen_network(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [cells.cell("feature_extraction", architecture, seed=s, epochs=3) for s in (0, 1, 2)]
    shared = cells.worker(asked)
    for module in shared.outline(asked[0]).head.children():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # dropped units cannot be the same in two ways of training
    courses = cells.heads_of(asked[0], shared).value.courses
    for one in asked:
        expected = seen_through_the_network(one)
        start = start_of(one, cells.backbone_of(one, shared).value).head.state_dict()
        for name, value in values(courses[one.seed]).items():
            # Features come from batches of another size, so float32 sums run in another order.
            torch.testing.assert_close(
                value, expected.state_dict()[name], rtol=1e-3, atol=1e-5, check_stride=False
            )
            assert not value.equal(start[name])


def test_a_seed_learns_alone_what_it_learns_in_company() -> None:
    features_VN = torch.rand(2, 12, 4)
    together = trained([linear(s, drop=0.5) for s in (3, 4, 5)], features_VN)
    for seed, course in zip((3, 4, 5), together, strict=True):
        (alone,) = trained([linear(seed, drop=0.5)], features_VN)
        for name, value in values(alone).items():
            # One product of three matrices may add in another order than one of one.
            torch.testing.assert_close(value, values(course)[name], rtol=1e-4, atol=1e-6)


def test_logits_are_those_of_each_head_by_itself() -> None:
    seeds, features_N = [linear(s) for s in (0, 1)], torch.rand(5, 4)
    heads = Heads(seeds, torch.rand(1, 6, 4), torch.arange(6), cells.recipe())
    for seed, logits_NK in zip(seeds, heads.logits(features_N), strict=True):
        expected = seed.head.eval()(features_N).detach()
        torch.testing.assert_close(torch.from_numpy(logits_NK), expected)


def test_dropped_units_are_left_out_and_the_others_scaled_up() -> None:
    # With one feature of 1 and a drop of 0.75, the layer sees 0 or 4: gradients of the weight are
    # four times those of the bias, or none.
    torch.manual_seed(0)
    parts = OrderedDict[str, nn.Module](dropout=nn.Dropout(0.75), layer=nn.Linear(1, 6))
    start = Seeded(nn.Sequential(parts), torch.Generator(), torch.Generator())
    heads = Heads([start], torch.ones(1, 4000, 1), torch.zeros(4000, dtype=torch.int64),
                  cells.recipe(batch_size=4000))  # fmt: skip
    heads.run(heads.begin_epoch(), 0.0)
    kept = heads._kept_SBPD
    assert set(kept.flatten().tolist()) == {0.0, 1.0}
    assert 900 < kept.sum() < 1100  # a quarter of 4,000, within 3.6 standard deviations
    with torch.no_grad():
        rows = torch.ones(1, 4000, 1, 1)
        assert set(heads._dropped(rows).flatten().tolist()) == {0.0, 4.0}


def test_one_of_several_views_is_drawn_for_each_seed_image_and_epoch() -> None:
    heads = Heads([linear(0), linear(1)], torch.rand(3, 6, 4), torch.arange(6), cells.recipe())
    views = []
    for _ in range(40):
        heads.begin_epoch()
        views.append(heads._view_SN.clone())
    found = torch.stack(views)
    assert {len(set(column.tolist())) for column in found.flatten(1).T} == {3}
    assert not found[:, 0].equal(found[:, 1])


def test_a_head_that_diverges_does_not_disturb_the_others() -> None:
    sick = linear(4)
    with torch.no_grad():
        sick.head.get_parameter("layer.bias").fill_(math.nan)
    features_VN = torch.rand(1, 12, 4)
    first, second, third = trained([linear(3), sick, linear(5)], features_VN)
    assert isinstance(second, Diverged)
    assert "training loss is nan in epoch 1 of phase head" in str(second)
    healthy = trained([linear(3), linear(4), linear(5)], features_VN)
    for course, expected in ((first, healthy[0]), (third, healthy[2])):
        for name, value in values(course).items():
            assert value.equal(values(expected)[name])


def test_the_best_head_is_kept_for_each_seed_where_that_is_asked_for() -> None:
    features_VN = torch.rand(1, 12, 4)
    seeds = range(8)
    courses = trained([linear(s) for s in seeds], features_VN, epochs=5, lr=0.5, checkpoint="best")
    differing = 0
    for course in courses:
        assert isinstance(course, Course)
        scores = [p.val_score for p in course.points if p.val_score is not None]
        assert course.checkpoint.val_score == max(scores)
        logits_NK = VAL.features_N @ values(course)["layer.weight"].T + values(course)["layer.bias"]
        np.testing.assert_allclose(course.checkpoint.val_logits_NK, logits_NK, rtol=1e-4, atol=1e-5)
        differing += scores[-1] != max(scores)
    assert differing, "no curve falls: the test shows nothing"


def test_a_head_has_as_many_parameters_as_counted_by_hand() -> None:
    (course,) = trained([linear(0)], torch.rand(1, 12, 4))
    assert isinstance(course, Course)
    assert course.trainable_parameters == 4 * 6 + 6
    assert course.steps == 3
