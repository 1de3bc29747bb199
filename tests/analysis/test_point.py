"""A run as a point of the history: what it keeps is what the digest and the records say."""

import pytest

from bench.analysis import digest
from bench.analysis.point import Point, past_run, past_run_of, point_of
from bench.record import Result
from tests import records
from tests.analysis import sides


def point(number: int = 0, change: sides.Change | None = None, **run: object) -> Point:
    found = point_of(sides.digested(number, change, cells=[1, 4], **run))
    assert found is not None
    return found


def reused(one: Result) -> Result:
    return records.reused(one) if one.cell.seed == 1 else one


@pytest.mark.parametrize(
    "change",
    [
        *(None, sides.slower(2), sides.broken("diverged"), sides.gone, reused),
        sides.with_machine(torch="2.16.0"),
        lambda one: sides.with_machine(torch="2")(one) if one.cell.seed == 1 else one,  # mixed
        lambda one: records.failure(one.cell),
    ],
)
def test_comparisons_take_of_a_point_what_the_digest_has(change: sides.Change | None) -> None:
    run = sides.digested(3, change, cells=[1, 4])
    made = point_of(run)
    assert made is not None
    again = Point.model_validate_json(made.model_dump_json())
    found = past_run(again)
    assert found == past_run_of(run)
    assert found is not None
    assert (found.started_at, found.finished_at) == (run.started_at, run.finished_at)
    costs = ("train_seconds", "peak_memory_bytes")
    assert {key: row.model_dump() for key, row in found.rows.items()} == {
        digest.past_key(run, row): {name: digest.cost_of(row, name) for name in costs}
        for row in run.rows
        if row.ok and not row.mixed
    }


def test_an_unstable_run_has_peaks_but_no_times_to_judge_by() -> None:
    run = sides.digested(3).model_copy(update={"unstable": "too hot"})
    made = point_of(run)
    assert made is not None
    assert made.unstable == "too hot"
    rows = past_run(made).rows.values()
    assert {row.train_seconds for row in rows} == {None}
    assert all(row.peak_memory_bytes for row in rows)


def test_a_run_that_did_not_finish_is_no_point() -> None:
    assert point_of(sides.digested(status="interrupted", finished_at=None)) is None


def test_scores_are_means_and_costs_those_of_a_comparison() -> None:
    row = point().rows[0]
    assert (row.architecture, row.strategy) == ("resnet18", "fine_tuning")
    assert row.score == pytest.approx((0.930 + 0.933 + 0.936) / 3)
    trained = [
        one.cost.attributed.train
        for one in sides.measured()
        if isinstance(one, Result) and one.cell.architecture == "resnet18"
        if one.cell.strategy == "fine_tuning"
    ]
    assert row.train_seconds == sorted(trained)[1]
    assert (row.seeds, row.statuses) == ((0, 1, 2), ("ok", "ok", "ok"))


def test_seeds_that_are_not_ok_are_kept_by_what_became_of_them() -> None:
    rows = point(change=sides.broken("diverged")).rows
    assert [row.statuses[1] for row in rows] == ["ok", "diverged", "ok", "ok", "diverged", "ok"]
    assert [row.complete for row in rows] == [True, False, True, True, False, True]


def test_what_no_key_depends_on_is_that_of_the_digest() -> None:
    assert point().information == sides.digested().information
    assert point().information["bench.version"] == "0.1.0"
