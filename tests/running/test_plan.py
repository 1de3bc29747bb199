"""How much a run will look at, counted by hand."""

from collections.abc import Sequence
from itertools import product

import pytest

from bench.identity import cell_id
from bench.record import Cell
from bench.running import plan
from bench.running.plan import NetworkSize, Speed, Visits
from tests import records

# records.data(): 300 train, 400 val, 1,000 test; records.cell(): 10 epochs, 5 of them head-only.


def changed(cell: Cell, **recipe: object) -> Cell:
    return cell.model_copy(update={"recipe": cell.recipe.model_copy(update=recipe)})


def visits(*cells: Cell) -> list[Visits]:
    return plan.visits(cells)


def test_a_frozen_backbone_looks_at_every_image_once() -> None:
    (seen,) = visits(records.cell("resnet18", "feature_extraction", 0))
    assert seen == Visits(trained=0, forwarded=300 + 400 + 1000)


def test_views_multiply_the_training_images_only() -> None:
    cell = changed(records.cell("resnet18", "feature_extraction", 0), views=3)
    assert visits(cell) == [Visits(0, 3 * 300 + 400 + 1000)]


def test_features_are_counted_for_the_first_cell_that_needs_them() -> None:
    cells = [records.cell("resnet18", "feature_extraction", seed) for seed in (0, 1)]
    other = records.cell("resnet50", "feature_extraction", 0)
    assert [seen.forwarded for seen in visits(*cells, other)] == [1700, 0, 1700]


def test_features_are_counted_for_the_cell_that_runs_first_not_for_the_first_of_the_suite() -> None:
    frozen = records.cell("resnet18", "feature_extraction", 0)
    (alone,) = visits(frozen)
    both = visits(frozen, records.cell("resnet18", "two_phase", 0))
    assert both[0].forwarded == alone.forwarded - 1700


def test_training_counts_every_epoch_and_its_scorings() -> None:
    (live,) = visits(changed(records.cell("resnet18", "fine_tuning", 0), precise_bn=False))
    assert live.trained == 10 * 300
    scorings = (live.forwarded - 1000) / 400
    assert scorings == int(scorings)
    assert 1 <= scorings <= 10


def test_precise_statistics_add_the_training_images_to_every_scoring() -> None:
    # 3 * 10 * 300 of training allow 1800 before the last scoring: four of 400, two of 700.
    cell = records.cell("resnet18", "fine_tuning", 0)
    found = [visits(changed(cell, precise_bn=on))[0].forwarded for on in (False, True)]
    assert found == [5 * 400 + 1000, 3 * 700 + 1000]


def test_two_phase_trains_the_second_half_after_looking_once() -> None:
    (seen,) = visits(records.cell("resnet18", "two_phase", 0))
    assert seen.trained == 5 * 300
    assert seen.forwarded > 1700


def test_partial_is_half_a_step() -> None:
    assert visits(records.cell("resnet18", "partial", 0))[0].trained == 10 * 300 * 0.5


def test_work_is_passes_over_images_and_updates_of_parameters() -> None:
    cell = changed(records.cell("resnet18", "fine_tuning", 0), precise_bn=False)
    (seen,) = visits(cell)
    passes, updates = (5 * 3000 + seen.forwarded) * 7, 480 * 11 * 3000 / 32
    assert plan.work([cell], {("resnet18", 48): NetworkSize(7, 11)}) == [passes + updates]


def test_a_network_bound_by_memory_takes_longer_for_as_much_arithmetic() -> None:
    names = ("resnet18", "timm:mobilenetv4_conv_small.e2400_r224_in1k", "mobilenet_v3_small")
    one = records.cell("resnet18", "from_scratch", 0)
    cells = [one.model_copy(update={"architecture": name}) for name in names]
    dense, *sparse = plan.work(
        cells, {(cell.architecture, 48): NetworkSize(1, 0) for cell in cells}
    )
    assert sparse == [sparse[0]] * 2
    assert 4 < sparse[0] / dense < 7


def test_each_architecture_has_one_worker_in_the_order_of_the_suite() -> None:
    asked = list(product(("vgg16", "resnet18"), ("partial", "fine_tuning"), (1, 0)))
    cells = [records.cell(*names) for names in asked]
    plans = plan.workers(cells)
    labels = [{cell.architecture_label for cell in one} for one in plans]
    assert labels == [{"vgg16"}, {"resnet18"}]
    assert sorted(map(cell_id, cells)) == sorted(cell_id(cell) for one in plans for cell in one)


def names_in_order(cells: Sequence[Cell]) -> list[tuple[str, int]]:
    (one,) = plan.workers(cells)
    return [(cell.strategy, cell.seed) for cell in one]


def test_cells_that_share_work_run_side_by_side_and_seeds_together() -> None:
    by_seed = product((1, 0), reversed(records.STRATEGIES))
    cells = [records.cell("resnet18", strategy, seed) for seed, strategy in by_seed]
    order = ("from_scratch", "fine_tuning", "two_phase", "feature_extraction", "partial")
    assert names_in_order(cells) == [(strategy, seed) for strategy in order for seed in (1, 0)]


def test_strategies_of_one_kind_keep_their_order_unless_their_images_differ() -> None:
    cells = [records.cell("resnet18", name, 0) for name in ("gentle", "coarse", "bold")]
    cells[1] = cells[1].model_copy(update={"image_size": 32})
    assert [name for name, _ in names_in_order(cells)] == ["coarse", "gentle", "bold"]


def test_a_group_is_the_seeds_of_a_strategy_that_begins_with_the_head_alone() -> None:
    names = product(("resnet18", "vgg16"), ("two_phase", "feature_extraction", "partial"), (0, 1))
    cells = {name: records.cell(*name) for name in names}
    everyone = list(cells.values())
    for strategy in ("two_phase", "feature_extraction"):
        seeds = [cells["resnet18", strategy, seed] for seed in (0, 1)]
        assert plan.group(everyone, seeds[1]) == seeds
    alone = cells["vgg16", "partial", 0]
    assert plan.group(everyone, alone) == [alone]


def test_predicted_time_adds_visits_at_their_measured_speed() -> None:
    cell = records.cell("resnet18", "feature_extraction", 0)
    still, moving = (
        plan.seconds([cell], {("resnet18", 48): Speed(train=9.0, forward=forward)})
        for forward in (0.0, 0.01)
    )
    assert moving - still == pytest.approx(1700 * 0.01)


def test_kept_weights_take_the_best_seed_of_each_row_and_one_file_while_it_is_replaced() -> None:
    names = product(("resnet18", "vgg16"), ("partial", "fine_tuning"), (0, 1, 2))
    cells = [records.cell(*name) for name in names]
    sizes = [10] * 3 + [100] * 3 + [20] * 3 + [700] * 3
    assert plan.weights_bytes(cells, sizes, "none") == 0
    assert plan.weights_bytes(cells, sizes, "all") == 3 * (10 + 100 + 20 + 700)
    assert plan.weights_bytes(cells, sizes, "winner") == 10 + 100 + 20 + 700 + 700
    assert plan.weights_bytes(cells[::3], sizes[::3], "winner") == 10 + 100 + 20 + 700
    assert plan.weights_bytes([], [], "winner") == 0


def test_thumbnails_are_at_most_those_of_every_cell_and_of_every_test_image() -> None:
    cells = [records.cell("resnet18", "partial", seed) for seed in range(100)]
    by_count = [plan.disk_bytes(cells[:count]) for count in (0, 1, 2, 99, 100)]
    record = by_count[4] - by_count[3]  # when every test image has its thumbnail already
    assert by_count[2] - by_count[1] - record == 24 * plan.THUMBNAIL_BYTES
    assert by_count[4] - by_count[0] == 100 * record + 1000 * plan.THUMBNAIL_BYTES
