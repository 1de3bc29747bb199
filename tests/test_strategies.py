"""Phases, rules and scored epochs, counted by hand."""

import pytest

from bench.strategies import (
    HEAD_ONLY,
    STRATEGIES,
    Rule,
    lr_scales,
    phases,
    scored_epochs,
)
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
