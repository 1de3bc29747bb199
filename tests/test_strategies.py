"""Phases, rules and scored epochs, counted by hand."""

import pytest

from bench.strategies import (
    HEAD_ONLY,
    STRATEGIES,
    Rule,
    live_scored_epochs,
    lr_scales,
    phases,
    scored_epochs,
)
from tests import records
from tests.training import cells

STAGES = (("backbone.stem",), ("backbone.layer1",), ("backbone.layer2", "backbone.norm"))


@pytest.mark.parametrize(
    ("epochs", "scored"),
    [
        (1, {1}),
        (2, {1, 2}),
        (4, {1, 2, 3, 4}),
        (5, {1, 2, 3, 4, 5}),
        (6, {2, 3, 4, 5, 6}),
        (10, {2, 4, 6, 8, 10}),
        (12, {3, 5, 8, 10, 12}),
        (100, {20, 40, 60, 80, 100}),
    ],
)
def test_val_is_scored_five_times_at_most_and_after_the_last_epoch(
    epochs: int, scored: set[int]
) -> None:
    assert scored_epochs(epochs) == scored


@pytest.mark.parametrize("num_train", [100, 1000, 6000])
@pytest.mark.parametrize("num_val", [50, 500, 5000])
@pytest.mark.parametrize("epochs", [1, 3, 6, 10])
@pytest.mark.parametrize("precise_bn", [True, False])
def test_points_of_a_curve_but_the_last_cost_a_fifth_of_the_training_at_most(
    num_train: int, num_val: int, epochs: int, precise_bn: bool
) -> None:
    cell = records.cell("resnet18", "fine_tuning", 0)
    recipe = cell.recipe.model_copy(update={"precise_bn": precise_bn})
    data = cell.data.model_copy(update={"num_train": num_train, "num_val": num_val})
    scored = live_scored_epochs(epochs, recipe, data)
    passes = num_val + (min(num_train, 512) if precise_bn else 0)
    training = 3 * epochs * num_train
    most = max(n for n in range(5) if n * passes <= training / 5)
    assert max(scored) == epochs
    assert len(scored) == min(epochs, 1 + most)


def test_the_digits_on_a_cpu_are_scored_halfway_and_at_the_end() -> None:
    # 800 passes each (500 val images, 300 for statistics) beside 3 * 6 * 300 of training.
    cell = records.cell("resnet18", "fine_tuning", 0)
    data = cell.data.model_copy(update={"num_val": 500})
    assert live_scored_epochs(6, cell.recipe, data) == {3, 6}


def test_a_prefix_ends_at_a_dot() -> None:
    rules = (Rule("head", 1.0), Rule("header", 0.5))
    assert lr_scales(["head.bias", "header.bias"], rules) == {"head.bias": 1, "header.bias": 0.5}


def test_a_rule_covers_the_parameter_of_exactly_its_name() -> None:
    assert Rule("backbone.class_token", 1.0).covers("backbone.class_token")


def test_the_first_rule_that_covers_a_name_decides() -> None:
    rules = (Rule("a.b", 0.5), Rule("a", 0.0), Rule("", 1.0))
    assert list(lr_scales(["a.b.c", "a.d", "e"], rules).values()) == [0.5, 0.0, 1.0]


def test_an_uncovered_parameter_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match=r"stem\.weight"):
        lr_scales(["head.weight", "stem.weight"], [Rule("head", 1.0)])


def test_partial_trains_the_head_and_as_many_of_the_last_stages_as_asked() -> None:
    names = [
        "backbone.stem.w",
        "backbone.layer1.w",
        "backbone.layer2.w",
        "backbone.norm.w",
        "head.w",
    ]
    for stages, expected in ((1, [0, 0, 0.1, 0.1, 1]), (2, [0, 0.1, 0.1, 0.1, 1])):
        recipe = cells.recipe(stages=stages, backbone_lr_scale=0.1)
        (plan,) = phases("partial", recipe, STAGES)
        assert list(lr_scales(names, plan.rules).values()) == expected


def test_more_stages_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="stages is 4, but this architecture has 3"):
        phases("partial", cells.recipe(stages=4), STAGES)


def test_two_phase_trains_the_head_alone_and_then_everything_slowly() -> None:
    recipe = cells.recipe(epochs=7, head_epochs=None, backbone_lr_scale=0.1)
    head, rest = phases("two_phase", recipe, STAGES)
    assert (head.name, head.epochs, head.rules) == ("head", 3, HEAD_ONLY)
    assert (rest.name, rest.epochs) == ("all", 4)
    assert set(lr_scales(["head.w", "backbone.stem.w"], rest.rules).values()) == {0.1}


@pytest.mark.parametrize(("epochs", "head_epochs"), [(1, None), (4, 4), (4, 0)])
def test_two_phase_needs_an_epoch_in_each_phase(epochs: int, head_epochs: int | None) -> None:
    with pytest.raises(ValueError, match="needs an epoch in each phase"):
        phases("two_phase", cells.recipe(epochs=epochs, head_epochs=head_epochs), STAGES)


@pytest.mark.parametrize("kind", STRATEGIES)
def test_epochs_of_all_phases_add_up_and_head_only_phases_are_those_of_frozen_starts(
    kind: str,
) -> None:
    (known,) = (k for k in STRATEGIES if k == kind)
    plans = phases(known, cells.recipe(epochs=6, backbone_lr_scale=0.3), STAGES)
    assert sum(plan.epochs for plan in plans) == 6
    assert plans[0].head_only == STRATEGIES[known].starts_frozen
    assert not any(plan.head_only for plan in plans[1:])
