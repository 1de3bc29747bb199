"""Which values of a cell are joined, which of them count, and what is said of a change."""

import pytest

from bench.analysis.history import CellHistory, History, news
from bench.analysis.judge import ACCURACY, MEMORY, SECONDS
from bench.analysis.table import Snapshot
from bench.record import Calibration, Result
from tests import records
from tests.analysis import sides
from tests.analysis.timelines import BUSIER, NEWER, point, slowed, told


def first(found: History) -> CellHistory:
    """The cell that changes are laid on."""
    (cell,) = (cell for cell in found.cells if cell.name == "resnet18 · fine_tuning")
    return cell


def runs(found: History, metric: str) -> list[list[int]]:
    return [[dot.run for dot in series.dots] for series in first(found).of(metric)]


# ---- what is joined -------------------------------------------------------------------------


def test_runs_of_one_kind_are_one_series_of_each_metric() -> None:
    found = told([point(number) for number in range(4)])
    assert len(found.cells) == 6
    for metric in (ACCURACY, SECONDS, MEMORY):
        assert runs(found, metric) == [[0, 1, 2, 3]]


def test_another_machine_parts_times_and_memory_but_not_scores() -> None:
    found = told([point(0), point(1, BUSIER), point(2), point(3, BUSIER)])
    assert runs(found, SECONDS) == runs(found, MEMORY) == [[0, 2], [1, 3]]
    assert runs(found, ACCURACY) == [[0, 1, 2, 3]]


def test_another_version_parts_scores_too() -> None:
    found = told([point(0), point(1, NEWER)])
    assert runs(found, ACCURACY) == runs(found, SECONDS) == [[0], [1]]


def test_another_task_parts_everything() -> None:
    found = told([point(0), point(1, sides.with_cell(image_size=64))])
    assert runs(found, ACCURACY) == runs(found, SECONDS) == [[0], [1]]


def test_other_seeds_part_everything() -> None:
    other = sides.only(point(1), lambda a, s, seed: seed < 2)
    assert runs(told([point(0), other]), ACCURACY) == [[0], [1]]


def test_what_is_unknown_is_joined_with_nothing() -> None:
    unknown = sides.with_machine(cpu_model=None)
    found = told([point(number, unknown) for number in range(8)])
    (series,) = first(found).of(SECONDS)
    assert series.key is None
    (scores,) = first(found).of(ACCURACY)
    assert scores.key is not None  # no arithmetic depends on the name of the CPU


def test_seeds_under_different_conditions_are_joined_with_nothing() -> None:
    def mixed(one: Result) -> sides.Record | None:
        return NEWER(one) if one.cell.seed == 1 else one

    cell = first(told([point(0, mixed), point(1, mixed)]))
    assert [series.key for series in cell.series] == [None, None, None]


def test_scores_are_joined_where_seeds_differ_in_nothing_that_the_arithmetic_knows() -> None:
    busier = sides.with_machine(usable_cores=1)

    def mixed(one: Result) -> sides.Record | None:
        return busier(one) if one.cell.seed == 1 else one

    cell = first(told([point(0, mixed), point(1, mixed)]))
    known = {series.metric: series.key is not None for series in cell.series}
    assert known == {ACCURACY: True, SECONDS: False, MEMORY: False}


def test_a_step_between_unknown_conditions_is_none() -> None:
    unknown = sides.with_machine(cpu_model=None)

    def slow(one: Result) -> sides.Record | None:
        slower = sides.slower(2)(one)
        return unknown(slower) if isinstance(slower, Result) else slower

    points = [point(number, slow if number >= 5 else unknown) for number in range(10)]
    assert first(told(points)).changes == ()


# ---- what counts ----------------------------------------------------------------------------


def test_an_unstable_run_has_no_part_in_the_steps_of_time_only() -> None:
    unstable = sides.headed(point(1), unstable="too hot")
    cell = first(told([point(0), unstable]))
    apart = {s.metric: [dot.apart for dot in s.dots] for s in cell.series}
    assert apart == {ACCURACY: ["", ""], SECONDS: ["", "unstable: too hot"], MEMORY: ["", ""]}


def test_where_a_seed_failed_no_value_counts_and_the_failure_is_told() -> None:
    cell = first(told([point(0), point(1, sides.broken("diverged"))]))
    assert {s.metric: s.dots[1].apart for s in cell.series} == dict.fromkeys(
        (ACCURACY, SECONDS, MEMORY), "seed 1 diverged"
    )
    assert cell.failures == {1: "seed 1 diverged"}


def test_a_cell_without_any_result_is_told_as_well() -> None:
    found = told([point(0), point(1, lambda one: records.failure(one.cell, "failed"))])
    assert first(found).failures[1] == "seed 0 failed, seed 1 failed, seed 2 failed"
    assert runs(found, ACCURACY) == [[0]]


# ---- what is said of a change ---------------------------------------------------------------


def test_a_change_is_said_with_its_runs_and_what_else_changed() -> None:
    (change,) = first(told(slowed(1.2, information={"machine.driver": "2"}))).changes
    assert (change.metric, change.before, change.run) == (SECONDS, 5, 6)
    assert change.amount == pytest.approx(0.2, abs=0.02)
    assert change.fields == ("machine.driver: 1 and 2",)
    assert change.machine is None


def test_the_machine_itself_is_said_where_it_was_calibrated() -> None:
    def calibration(seconds: float) -> Calibration:
        return Calibration(
            matmul_fp32_flops=None, matmul_bf16_flops=None, copy_bytes_per_second=None,
            upload_bytes_per_second=None, conv_seconds=seconds, loop_seconds=None, seconds=0.1,
        )  # fmt: skip

    points = slowed(1.2, calibration=calibration(1.1))
    points[:6] = [sides.headed(one, calibration=calibration(1.0)) for one in points[:6]]
    (change,) = first(told(points)).changes
    assert change.machine == pytest.approx(0.1)


def test_a_slower_machine_of_another_kind_is_no_change() -> None:
    def change(one: Result) -> sides.Record | None:
        slow = sides.slower(3)(one)
        return BUSIER(slow) if isinstance(slow, Result) else slow

    points = [point(n, change if n >= 6 else None) for n in range(12)]
    assert first(told(points)).changes == ()


def test_a_drop_of_the_score_is_a_change_in_points() -> None:
    points = [point(n, sides.right(915) if n >= 6 else None) for n in range(12)]
    (change,) = first(told(points)).changes
    assert (change.metric, change.run) == (ACCURACY, 6)
    assert change.amount == pytest.approx(0.916 - 0.933)


def test_more_memory_is_a_change() -> None:
    points = [point(n, sides.more_memory(60) if n >= 6 else None) for n in range(12)]
    (change,) = first(told(points)).changes
    assert (change.metric, change.run) == (MEMORY, 6)
    assert change.amount == pytest.approx(0.3, abs=0.03)


def test_cells_with_news_come_first_and_changes_that_came_together_are_one() -> None:
    late = sides.slower(1.3)
    points = [point(n, late if n >= 6 else None, cells=(3, 5)) for n in range(12)]
    found = told(points)
    places = [(a, s) for a in sides.ROWS[0] for s in sides.ROWS[1]]
    assert [(c.architecture, c.strategy) for c in found.cells[:2]] == [places[3], places[5]]
    (one,) = news(found)
    assert (one.metric, one.run, one.before, one.num_cells) == (SECONDS, 6, 5, 6)
    assert {change.name for change in one.changes} == {" · ".join(places[n]) for n in (3, 5)}


def test_a_cell_that_the_newest_run_does_not_ask_for_comes_last() -> None:
    newest = sides.only(point(1), lambda *cell: cell[:2] != ("resnet18", "fine_tuning"))
    found = told([point(0), newest])
    assert found.cells[-1] is first(found)


# ---- machines and versions ------------------------------------------------------------------


def test_machines_and_versions_are_told_as_they_came() -> None:
    everything = range(6)
    points = [
        point(0),
        point(1, NEWER, everything),
        point(2),
        point(3, BUSIER, everything),
    ]
    setups = told(points).setups
    assert [setup.runs for setup in setups] == [(0, 2), (1,), (3,)]
    assert [setup.fields for setup in setups] == [
        (),
        ("machine.torch: 2.15.0 and 2.16.0",),
        ("machine.cpu_model: AMD EPYC and Intel Xeon",),
    ]
    assert [setup.nearest for setup in setups] == [None, 0, 0]


def test_what_no_key_depends_on_is_told_since_the_last_run_on_such_a_machine() -> None:
    def with_driver(number: int, driver: str, change: sides.Change | None = None) -> Snapshot:
        made = point(number, change, range(6))
        return sides.headed(made, information={"machine.driver": driver})

    points = [
        with_driver(0, "1"),
        with_driver(1, "5", BUSIER),
        with_driver(2, "2"),
        with_driver(3, "5", BUSIER),
    ]
    assert [run.changed for run in told(points).runs] == [(), (), ("machine.driver: 1 and 2",), ()]
