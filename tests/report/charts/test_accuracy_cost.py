"""Points stand at their numbers, steps at the best for a cost, and what has no place is named."""

import math
import re
from itertools import pairwise

import pytest
from scipy.stats import binomtest

from bench.analysis.summary import summarise
from bench.record import Failure, Result, Run
from bench.report.charts import accuracy_cost
from bench.report.charts.chart import Chart
from tests import records
from tests.records import cell, failure, result
from tests.report.charts import made, reading
from tests.report.charts.made import Records

ALL, STRATEGIES = list(records.ARCHITECTURES), list(records.STRATEGIES)


def chart(run: Run, found: Records, cost: accuracy_cost.CostName = "train_seconds") -> Chart:
    drawn = accuracy_cost.chart(run, found, summarise(run, found), cost)
    assert drawn is not None
    return drawn


def named_points(drawn: Chart, sheet: str) -> dict[str, tuple[float, float]]:
    """The place of each point, by the architecture and strategy that the pointer shows."""
    svg = reading.drawing(drawn, sheet)
    places = {}
    for group in svg.iter(f"{reading.SVG}g"):
        ((x, y, _),) = reading.marks(group, "mark")
        places[reading.title(group).partition(":")[0]] = (x, y)
    return places


def by_name(found: Records) -> dict[str, list[Result]]:
    cells: dict[str, list[Result]] = {}
    for one in found:
        assert isinstance(one, Result)
        cells.setdefault(f"{one.cell.architecture_label} · {one.cell.strategy}", []).append(one)
    return cells


@pytest.mark.parametrize("sheet", reading.SHEETS)
def test_each_row_is_one_point_where_its_axes_say_its_means(sheet: str) -> None:
    run, found = made.whole(ALL, STRATEGIES, [0, 1])
    drawn = chart(run, found)
    svg = reading.drawing(drawn, sheet)
    across, up = reading.bottom_axis(svg), reading.left_axis(svg)
    places = named_points(drawn, sheet)
    assert places.keys() == by_name(found).keys()
    for name, (x, y) in places.items():
        first, second = by_name(found)[name]
        seconds = (first.cost.attributed.train + second.cost.attributed.train) / 2
        score = 100 * (first.quality.val.top1 + second.quality.val.top1) / 2
        # The file holds hundredths of a unit.
        assert across.log(x) == pytest.approx(seconds, rel=0.001)
        assert up.linear(y) == pytest.approx(score, abs=0.01)


def test_memory_is_the_largest_over_seeds() -> None:
    run, found = made.whole(ALL[:3], STRATEGIES[:2], [0, 1])
    drawn = chart(run, found, "peak_memory_bytes")
    across = reading.bottom_axis(reading.drawing(drawn))
    for name, (x, _) in named_points(drawn, "desk").items():
        peaks = [one.memory.cpu_rss_above_start_bytes or 0 for one in by_name(found)[name]]
        assert across.log(x) == pytest.approx(max(peaks), rel=0.001)


def test_the_lines_of_a_point_are_its_range_over_seeds() -> None:
    run = records.run(["a"], ["partial"], [0, 1, 2])
    found = [
        result(cell("a", "partial", seed), val=val, train_seconds=seconds)
        for seed, (val, seconds) in enumerate([(360, 10.0), (380, 14.0), (370, 12.0)])
    ]
    svg = reading.drawing(chart(run, found))
    across, up = reading.bottom_axis(svg), reading.left_axis(svg)
    upright, level = reading.lines(svg, "range")
    assert upright.x0 == upright.x1
    assert [up.linear(y) for y in (upright.y0, upright.y1)] == pytest.approx([90, 95], abs=0.01)
    assert [across.log(x) for x in (level.x0, level.x1)] == pytest.approx([10, 14], rel=0.001)


def test_with_one_seed_the_line_is_wilson_s_interval_and_the_note_says_so() -> None:
    run = records.run(["a"], ["partial"], [0])
    drawn = chart(run, [result(cell("a", "partial", 0), val=380)])
    svg = reading.drawing(drawn)
    (upright,) = reading.lines(svg, "range")
    up = reading.left_axis(svg)
    expected = binomtest(380, 400).proportion_ci(method="wilson")
    assert up.linear(upright.y0) == pytest.approx(100 * expected.low, abs=0.01)
    assert up.linear(upright.y1) == pytest.approx(100 * expected.high, abs=0.01)
    assert "Wilson" in drawn.note


def test_the_step_line_passes_through_the_rows_that_nothing_beats() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0])
    drawn = chart(run, found)
    places = named_points(drawn, "desk")
    numbers = {
        name: (one.cost.attributed.train, -one.quality.val.top1)
        for name, (one,) in by_name(found).items()
    }
    undominated = [
        name
        for name, (cost, loss) in numbers.items()
        if not any(c <= cost and v <= loss and (c, v) != (cost, loss) for c, v in numbers.values())
    ]
    assert len(undominated) > 2
    (stairs,) = (
        e for e in reading.drawing(drawn).iter(f"{reading.SVG}path") if e.get("class") == "stairs"
    )
    corners = reading.points(stairs)
    for name in undominated:
        assert min(math.dist(places[name], corner) for corner in corners) < 0.02
    assert len(corners) == 2 * len(undominated)
    for (x1, y1), (x2, y2) in pairwise(corners):
        assert x1 == x2 or y1 == y2
        assert x1 <= x2
        assert y1 >= y2
    # Until the next cost is paid, the score stays: the line leaves each row to the right.
    assert all(corners[i][1] == corners[i + 1][1] for i in range(0, len(corners), 2))


def test_rows_of_the_step_line_and_of_the_choice_are_named_beside_or_below() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0, 1, 2])
    summary = summarise(run, found)
    assert summary.recommended is not None
    for sheet in reading.SHEETS:
        svg = reading.drawing(chart(run, found), sheet)
        shown = [t.words for t in reading.texts(svg)]
        assert any("recommended" in text for text in shown)
        rings = list(reading.marks(svg, "ring"))
        assert len(rings) == len(summary.tied)
        thick = [(x, y) for x, y, e in rings if reading.classes(e) == {"ring"}]
        assert thick == [named_points(chart(run, found), sheet)[summary.recommended.name]]


def test_what_has_no_place_is_named_with_its_reason() -> None:
    run = records.run(["good", "reused", "unknown", "zero", "lost"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("good", "partial", 0)),
        records.reused(result(cell("reused", "partial", 0))),
        result(cell("unknown", "partial", 0), peak_memory_bytes=None),
        result(cell("zero", "partial", 0), peak_memory_bytes=0),
        failure(cell("lost", "partial", 0)),
    ]
    drawn = chart(run, found, "peak_memory_bytes")
    assert named_points(drawn, "desk").keys() == {"good · partial"}
    assert "not every seed is ok: lost · partial." in drawn.note
    assert "earlier run made them cheaper (†): reused · partial." in drawn.note
    assert "unknown or zero: unknown · partial, zero · partial." in drawn.note
    summary = summarise(run, found[1:])
    assert accuracy_cost.chart(run, found[1:], summary, "peak_memory_bytes") is None


def test_points_without_a_label_have_a_key() -> None:
    few = made.whole(ALL[:2], STRATEGIES[:1], [0])
    many = made.whole(ALL, STRATEGIES, [0])
    for (run, found), expected in ((few, 0), (many, len(ALL) + len(STRATEGIES))):
        svg = reading.drawing(chart(run, found))
        floor = max(line.y1 for line in reading.lines(svg, "axis")) + 20
        key = [e for _, y, e in reading.marks(svg, "mark") if y > floor]
        assert len(key) == expected


def test_a_cost_is_read_with_its_machine_and_its_unit() -> None:
    run, found = made.whole(ALL[:2], STRATEGIES[:2], [0])
    drawn = chart(run, found, "peak_memory_bytes")
    assert "AMD EPYC, 2 cores" in drawn.note
    shown = " ".join(t.words for t in reading.texts(reading.drawing(drawn)))
    assert "resident memory above the cell's start" in shown
    assert re.search(r"\d+ MiB", shown)
    on_gpu = records.run(ALL[:2], ["partial"], machine=records.GPU)
    drawn = chart(on_gpu, records.drawn(on_gpu, ["partial"]), "peak_memory_bytes")
    shown = " ".join(t.words for t in reading.texts(reading.drawing(drawn)))
    assert "GPU memory allocated by torch" in shown
    assert "NVIDIA H200" in drawn.note
