"""Bars are as long as the seconds they stand for."""

from itertools import pairwise

import pytest

from bench.analysis.summary import summarise
from bench.record import Failure, Result, Run, Seconds
from bench.report.charts import time_spent
from bench.report.charts.chart import Chart
from tests import records
from tests.records import cell, failure, result
from tests.report.charts import made, reading
from tests.report.charts.made import Records

STAGES = ("data", "build", "warmup", "train", "eval")


def chart(run: Run, found: Records) -> Chart:
    drawn = time_spent.chart(run, found, summarise(run, found))
    assert drawn is not None
    return drawn


def timed(one: Result, *stages: float) -> Result:
    """The record of a cell that spent these seconds on data, build, warmup, train and eval."""
    parts = dict(zip(STAGES, stages, strict=True))
    attributed = Seconds(wall=sum(stages), **parts)
    return one.model_copy(update={"cost": one.cost.model_copy(update={"attributed": attributed})})


def bars(drawn: Chart, sheet: str = "desk") -> dict[str, list[reading.Box]]:
    """The parts of each bar, by the row that the pointer shows."""
    return {
        reading.title(group).partition(":")[0]: reading.rectangles(group, r"t\d")
        for group in reading.drawing(drawn, sheet).iter(f"{reading.SVG}g")
    }


@pytest.mark.parametrize("sheet", reading.SHEETS)
def test_parts_are_as_long_as_their_mean_seconds_and_follow_each_other(sheet: str) -> None:
    run = records.run(["a", "b"], ["partial"], [0, 1])
    found = [
        timed(result(cell("a", "partial", 0)), 10, 20, 30, 40, 50),
        timed(result(cell("a", "partial", 1)), 20, 30, 40, 50, 60),
        timed(result(cell("b", "partial", 0)), 40, 40, 40, 40, 140),
        timed(result(cell("b", "partial", 1)), 40, 40, 40, 40, 140),
    ]
    drawn = bars(chart(run, found), sheet)
    assert list(drawn) == ["b · partial", "a · partial"]  # the longest first
    # Every part ends 0.7 units early, to leave a hair of paper before the next.
    widths = {name: [b.x1 - b.x0 + 0.7 for b in parts] for name, parts in drawn.items()}
    unit = sum(widths["b · partial"]) / 300
    assert [w / unit for w in widths["b · partial"]] == pytest.approx([40] * 4 + [140], abs=0.1)
    assert [w / unit for w in widths["a · partial"]] == pytest.approx([15, 25, 35, 45, 55], abs=0.1)
    for parts in drawn.values():
        for before, after in pairwise(parts):
            assert after.x0 == pytest.approx(before.x1 + 0.7, abs=0.02)


def test_the_total_stands_at_the_end_and_a_line_shows_its_range() -> None:
    run = records.run(["a"], ["partial"], [0, 1])
    found = [
        timed(result(cell("a", "partial", 0)), 0, 0, 0, 90, 0),
        timed(result(cell("a", "partial", 1)), 0, 0, 0, 110, 0),
    ]
    svg = reading.drawing(chart(run, found))
    (bar,) = reading.rectangles(svg, "t3")[1:]  # the first is in the heading
    (spread,) = reading.lines(svg, "whisker")
    unit = (bar.x1 + 0.7 - bar.x0) / 100
    assert [(x - bar.x0) / unit for x in (spread.x0, spread.x1)] == pytest.approx(
        [90, 110], abs=0.1
    )
    (total,) = (t for t in reading.texts(svg) if "muted" in t.classes)
    assert total.words == "1 min 40 s"
    assert total.box.x0 > spread.x1


def test_a_part_without_time_is_not_drawn() -> None:
    run = records.run(["a"], ["partial"])
    drawn = bars(chart(run, [timed(result(cell("a", "partial", 0)), 1, 0, 0, 3, 0)]))
    assert len(drawn["a · partial"]) == 2


def test_numbers_stand_inside_their_parts() -> None:
    run, found = made.whole(list(records.ARCHITECTURES), list(records.STRATEGIES), [0])
    for sheet in reading.SHEETS:
        for group in reading.drawing(chart(run, found), sheet).iter(f"{reading.SVG}g"):
            parts = reading.rectangles(group, r"t\d")
            for text in (t for t in reading.texts(group) if "on-time" in t.classes):
                assert any(b.x0 < text.box.x0 < text.box.x1 < b.x1 for b in parts)


def test_reused_features_failures_and_no_time_at_all_are_named_not_drawn() -> None:
    run = records.run(["good", "reused", "lost", "none"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("good", "partial", 0)),
        records.reused(result(cell("reused", "partial", 0))),
        failure(cell("lost", "partial", 0)),
        timed(result(cell("none", "partial", 0)), 0, 0, 0, 0, 0),
    ]
    drawn = chart(run, found)
    assert bars(drawn).keys() == {"good · partial"}
    for name in ("reused", "lost", "none"):
        assert f"{name} · partial" in drawn.note
    assert time_spent.chart(run, found[1:], summarise(run, found[1:])) is None


def test_only_the_machine_of_most_cells_is_drawn() -> None:
    run = records.run(["a", "b"], ["partial"], [0, 1])
    found = [
        timed(result(cell("a", "partial", 0)), 0, 0, 0, 100, 0),
        timed(result(cell("a", "partial", 1), machine=records.GPU), 0, 0, 0, 2, 0),
        *(timed(result(cell("b", "partial", seed)), 0, 0, 0, 50, 0) for seed in (0, 1)),
    ]
    drawn = chart(run, found)
    first, second = (parts[0] for parts in bars(drawn).values())
    assert (first.x1 - first.x0) / (second.x1 - second.x0) == pytest.approx(2, abs=0.02)
    assert "AMD EPYC" in drawn.note
    assert "Cells of other machines are left out." in drawn.note
