"""Whole cells: what they train, what is scored, and that they can be had again."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from bench import predictions
from bench.data.sources import scan_digits
from bench.data.split import Split
from bench.record import Cell, EpochPoint, Scores
from bench.strategies import STRATEGIES, PhasePlan, Rule
from bench.suite import Kind
from bench.training import features, placement
from bench.training.evaluate import Diverged, metric_of
from bench.training.phase import Checkpoint, Course, Point
from bench.training.run_cell import Outcome, run_cell, throughput
from bench.training.shared import Shared
from tests.training import cells

pytestmark = pytest.mark.slow

SMALL = "mobilenet_v3_small"

# Published parameters of torchvision's networks with 1,000 classes, less their heads, and heads of
# ten classes: features x 10 + 10.
RESNET18 = 11_689_512 - 513_000
VIT_AT_32 = 86_567_656 - 769_000 - (197 - 5) * 768  # positions: 14 x 14 patches, here 2 x 2
EFFICIENTNET_B0 = 5_288_548 - 1_281_000
LAYER4 = (
    (256 * 512 * 9 + 512 * 512 * 9 + 256 * 512 + 3 * 2 * 512)  # first block, with its shortcut
    + (2 * 512 * 512 * 9 + 2 * 2 * 512)  # second block
)


@pytest.mark.parametrize(
    ("kind", "architecture", "trainable", "total"),
    [
        ("feature_extraction", "resnet18", 5_130, 11_181_642),
        ("partial", "resnet18", 8_393_728 + 5_130, 11_181_642),
        ("from_scratch", "resnet18", 11_181_642, 11_181_642),
        ("feature_extraction", "vit_b_16", 7_690, VIT_AT_32 + 7_690),
        ("feature_extraction", "efficientnet_b0", 12_810, 4_020_358),
    ],
)
def test_the_trainable_share_is_the_one_counted_by_hand(
    kind: Kind, architecture: str, trainable: int, total: int
) -> None:
    assert (RESNET18 + 5_130, EFFICIENTNET_B0 + 12_810) == (11_181_642, 4_020_358)
    assert LAYER4 == 8_393_728
    cost = cells.run(cells.cell(kind, architecture, epochs=1)).cost
    assert (cost.trainable_parameters, cost.total_parameters) == (trainable, total)
    assert cost.trainable_share == trainable / total


def test_two_phase_records_the_share_of_each_phase_and_counts_epochs_through_both() -> None:
    outcome = cells.run(cells.cell("two_phase", epochs=5, head_epochs=2))
    head, rest = outcome.cost.phases
    assert (head.name, head.epochs, head.steps, head.frozen_cached) == ("head", 2, 4, True)
    assert (rest.name, rest.epochs, rest.steps, rest.frozen_cached) == ("all", 3, 6, False)
    assert (head.trainable_parameters, rest.trainable_parameters) == (5_130, 11_181_642)
    assert head.trainable_share == 5_130 / 11_181_642
    assert outcome.cost.trainable_share == rest.trainable_share == 1
    assert outcome.cost.trainable_parameters == 11_181_642
    names = [(point.phase, point.epoch) for point in outcome.curve]
    assert names == [("head", 1), ("head", 2), ("all", 3), ("all", 4), ("all", 5)]
    # 40 passes each (20 val images, 20 for statistics) beside 3 * 3 * 20 of training on images.
    assert [p.val_score is not None for p in outcome.curve] == [True, True, False, False, True]


def test_an_epoch_that_is_not_scored_has_no_val_score() -> None:
    curve = cells.run(cells.cell("feature_extraction", SMALL, epochs=8)).curve
    assert [p.epoch for p in curve if p.val_score is not None] == [2, 4, 5, 7, 8]


@pytest.fixture(scope="module")
def every_kind() -> dict[str, tuple[Cell, Outcome]]:
    """Each kind alone in its own worker."""
    made = [cells.cell(kind, SMALL) for kind in STRATEGIES]
    return {one.kind: (one, cells.run(one)) for one in made}


def confidences(outcome: Outcome) -> list[float]:
    return list(predictions.unpack(outcome.quality.test.predictions).confidences_N)


def test_a_cell_comes_out_the_same_last_in_its_worker_as_alone(
    every_kind: dict[str, tuple[Cell, Outcome]],
) -> None:
    shared = cells.worker([one for one, _ in every_kind.values()])
    for one, alone in reversed(every_kind.values()):
        torch.rand(5)  # whatever ran before may have drawn
        together = cells.run(one, shared)
        assert together.quality == alone.quality
        assert together.curve == alone.curve


def test_another_seed_comes_out_otherwise(every_kind: dict[str, tuple[Cell, Outcome]]) -> None:
    for kind in ("feature_extraction", "from_scratch"):
        one, outcome = every_kind[kind]
        other = cells.run(one.model_copy(update={"seed": 1}))
        assert confidences(other) != confidences(outcome)


def test_val_and_test_are_scored_on_their_own_images(
    every_kind: dict[str, tuple[Cell, Outcome]],
) -> None:
    for _, outcome in every_kind.values():
        val, test = outcome.quality.val, outcome.quality.test
        assert (val.num_images, test.num_images) == (20, 30)
        for scores, per_class in ((val, 2), (test, 3)):
            labels_N = predictions.unpack(scores.predictions).labels_N
            assert np.array_equal(labels_N, np.repeat(np.arange(10), per_class))


def test_the_last_point_of_the_curve_is_the_val_score_of_the_record(
    every_kind: dict[str, tuple[Cell, Outcome]],
) -> None:
    for _, outcome in every_kind.values():
        assert outcome.curve[-1].val_score == outcome.quality.val.top1


def test_throughput_is_of_epochs_on_images_after_the_first(
    every_kind: dict[str, tuple[Cell, Outcome]],
) -> None:
    counted = {
        kind: outcome.cost.images_per_second.num_epochs if outcome.cost.images_per_second else None
        for kind, (_, outcome) in every_kind.items()
    }
    assert counted == {
        "feature_extraction": None, "two_phase": None, "partial": 1, "fine_tuning": 1,
        "from_scratch": 1,
    }  # fmt: skip


def test_quartiles_of_the_rates() -> None:
    rates = [900.0, 5.0, 1.0, 4.0, 2.0, 3.0]  # the first epoch warms up
    points = tuple(Point(i, 0.0, None, 1.0, rate) for i, rate in enumerate(rates, start=1))
    held = Checkpoint(0.0, np.zeros((1, 1), dtype=np.float32), {})
    found = throughput(Course(PhasePlan("all", 6, (Rule("", 1.0),)), points, held, 1, 1))
    assert found is not None
    assert (found.lower_quartile, found.median, found.upper_quartile) == (2.0, 3.0, 4.0)
    assert found.num_epochs == 5


def scored(outcome: Outcome) -> list[float]:
    return [p.val_score for p in outcome.curve if p.val_score is not None]


def falling(kind: Kind, split: Split) -> tuple[Cell, list[float]]:
    """A cell whose rate is so high that val is lower at its end than before, and its curve."""
    for seed in range(20):
        changed = {"epochs": 5, "lr": 0.3, "precise_bn": False}  # so that four epochs are scored
        one = cells.cell(kind, SMALL, seed=seed, split=split, **changed)
        curve = scored(cells.run(one, cells.worker([one], split)))
        if curve[-1] < max(curve):
            return one, curve
    raise AssertionError("no curve falls")


@pytest.mark.parametrize("kind", ["feature_extraction", "from_scratch"])
def test_best_scores_the_best_scored_epoch_and_last_the_last(kind: Kind) -> None:
    # Val and test are the same images, so that the same values give the same scores.
    few = cells.few(scan_digits("digits"), 2, 2, 0)
    twice = Split(few.train, few.val, few.val, few.sha256)
    last, curve = falling(kind, twice)
    best = last.model_copy(update={"recipe": last.recipe.model_copy(update={"checkpoint": "best"})})
    ran = {
        one.recipe.checkpoint: cells.run(one, cells.worker([one], twice)) for one in (last, best)
    }
    assert scored(ran["best"]) == curve
    assert ran["last"].quality.val.top1 == curve[-1]
    assert ran["best"].quality.val.top1 == max(curve)
    assert all(outcome.quality.test == outcome.quality.val for outcome in ran.values())


def lopsided() -> Split:
    """Four val images of class 0, one of every other."""
    dataset = scan_digits("digits")
    few = cells.few(dataset, 2, 4, 1)
    val = few.val[:4] + few.val[4::4]
    return Split(few.train, val, few.test, few.sha256)


def test_the_curve_is_of_the_metric_that_the_suite_chose() -> None:
    split = lopsided()
    one = cells.cell("feature_extraction", SMALL, metric="balanced_accuracy", split=split, epochs=4)
    outcome = cells.run(one, cells.worker([one], split))
    val = outcome.quality.val
    assert outcome.curve[-1].val_score == val.balanced_accuracy
    assert val.balanced_accuracy != val.top1


def test_best_is_chosen_by_the_metric_of_the_suite() -> None:
    logits_NK = np.log(np.array([[3, 1], [3, 1], [3, 1], [3, 1]], dtype=np.float32))
    labels_N = np.array([0, 0, 0, 1])
    assert metric_of(logits_NK, labels_N, "top1") == 3 / 4
    assert metric_of(logits_NK, labels_N, "balanced_accuracy") == 1 / 2


def test_time_to_a_target_counts_shared_training_and_stops_at_the_first_scoring_above() -> None:
    easy = cells.cell("two_phase", SMALL, target=0.0, epochs=6, head_epochs=1)
    never = cells.cell("two_phase", SMALL, target=1.0)
    shared = cells.worker([easy, never])
    cost = cells.run(easy, shared).cost
    frozen = cells.features_of(easy, shared).spent.seconds["train"]
    assert cost.seconds_to_target is not None
    # The head's only epoch is over in a fraction of what five epochs on images take.
    assert frozen < cost.seconds_to_target < (frozen + cost.attributed.train) / 2
    assert cells.run(never, shared).cost.seconds_to_target is None


def test_wall_is_the_sum_of_the_parts_and_every_part_that_ran_took_time(
    every_kind: dict[str, tuple[Cell, Outcome]],
) -> None:
    for _, outcome in every_kind.values():
        seconds = outcome.cost.attributed
        assert min(seconds.data, seconds.build, seconds.train, seconds.eval) > 0
        parts = (seconds.data, seconds.build, seconds.warmup, seconds.train, seconds.eval)
        assert seconds.wall == pytest.approx(math.fsum(parts))


def nll(scores: Scores) -> float:
    return scores.nll


@pytest.mark.parametrize(
    ("kind", "most"),
    [("fine_tuning", 8), ("partial", 4), ("two_phase", 8), ("feature_extraction", 8)],
)
def test_no_forward_pass_takes_more_images_than_training_has_room_for(
    monkeypatch: pytest.MonkeyPatch, kind: Kind, most: int
) -> None:
    monkeypatch.setattr(features, "STATISTICS_BATCH", 4)  # the same for cells of any batch size
    monkeypatch.setattr(placement, "SMALL_PIXELS", 0)
    seen: set[int] = set()

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d):
            seen.add(len(inputs[0]))

    hook = register_module_forward_pre_hook(note)
    try:
        cells.run(cells.cell(kind, "mobilenet_v3_small", batch_size=4, epochs=2))
    finally:
        hook.remove()
    assert max(seen) == most  # of 20, 20 and 30 images


def test_estimated_statistics_decide_what_a_short_training_from_scratch_is_worth() -> None:
    with_them, without = (
        nll(cells.run(cells.cell("from_scratch", SMALL, precise_bn=choice)).quality.val)
        for choice in (True, False)
    )
    assert with_them != without


def test_a_report_is_made_of_every_epoch_as_it_ends() -> None:
    seen: list[tuple[EpochPoint, float]] = []
    one = cells.cell("two_phase", SMALL, epochs=3, head_epochs=1)

    def report(point: EpochPoint, images_per_second: float) -> None:
        seen.append((point, images_per_second))

    outcome = run_cell(one, cells.worker([one]), report)
    assert tuple(point for point, _ in seen) == outcome.curve
    assert all(rate > 0 for _, rate in seen)


def test_a_cell_that_diverges_says_in_which_phase_and_spoils_no_other() -> None:
    wild = cells.cell("partial", SMALL, lr=1e38, weight_decay=0.0)
    calm = cells.cell("partial", SMALL)
    shared = cells.worker([wild, calm])
    with pytest.raises(Diverged, match=r"phase partial|logits"):
        cells.run(wild, shared)
    assert cells.run(calm, shared).quality == cells.run(calm).quality


def test_arithmetic_and_layout_are_recorded_as_they_were() -> None:
    execution = cells.run(cells.cell("feature_extraction", SMALL, precision="bf16")).execution
    assert (execution.precision, execution.channels_last) == ("bf16", True)


def test_latency_and_arithmetic_are_measured_once_for_an_architecture() -> None:
    pair = [cells.cell("feature_extraction", SMALL, seed=seed, epochs=1) for seed in (0, 1)]
    shared = Shared(cells.context(SMALL), pair)
    first, second = (cells.run(one, shared).cost for one in pair)
    assert first.latency is not None
    assert first.latency is second.latency
    assert first.latency.batch_size <= 20  # fewer where a machine is too busy for all of val
    assert first.forward_macs == second.forward_macs
    # torchvision publishes 0.057 GFLOPS at 224 px; at 32 px a 49th, less what does not shrink.
    assert first.forward_macs is not None
    assert 0.057e9 / 49 < first.forward_macs < 2.5 * 0.057e9 / 49
