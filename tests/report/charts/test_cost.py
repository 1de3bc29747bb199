"""Points stand at their numbers, steps at the best for a cost, and what has no place is named."""

from collections.abc import Callable

import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import binomtest

from bench.analysis.choice import Summary
from bench.analysis.table import RunTable
from bench.record import Failure, Result, Run
from bench.report.charts import choice
from bench.report.charts.figure import DESK, INK, Chart
from bench.report.text import plain
from tests import records
from tests.records import cell, failure, result
from tests.report.charts import made, reading
from tests.report.charts.made import ALL, STRATEGIES, Records

Make = Callable[[RunTable, Summary], Chart | None]


def chart(run: Run, found: Records, make: Make = choice.against_train_time) -> Chart:
    drawn = make(*made.read(run, found))
    assert drawn is not None
    return drawn


def plain_lines(figure: Figure) -> list[tuple[list[float], list[float]]]:
    """The ranges of the points and the step line."""
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() == "None"]
    return [(x.tolist(), y.tolist()) for x, y in map(reading.data, lines)]


def rings(figure: Figure) -> list[Line2D]:
    return [line for line in figure.axes[0].get_lines() if line.get_markersize() == 18]


def by_name(found: Records) -> dict[str, list[Result]]:
    cells: dict[str, list[Result]] = {}
    for one in found:
        assert isinstance(one, Result)
        cells.setdefault(f"{one.cell.architecture_label} · {one.cell.strategy}", []).append(one)
    return cells


@pytest.mark.parametrize("width", reading.WIDTHS)
def test_each_row_is_one_point_at_its_means(width: float) -> None:
    run, found = made.whole(ALL, STRATEGIES, [0, 1])
    points = reading.points(reading.figure(chart(run, found), width))
    assert points.keys() == by_name(found).keys()
    for name, (x, y) in points.items():
        first, second = by_name(found)[name]
        assert x == pytest.approx((first.cost.attributed.train + second.cost.attributed.train) / 2)
        assert y == pytest.approx(50 * (first.quality.val.top1 + second.quality.val.top1))


def test_memory_is_the_largest_over_seeds() -> None:
    run, found = made.whole(ALL[:3], STRATEGIES[:2], [0, 1])
    figure = reading.figure(chart(run, found, choice.against_memory))
    for name, (x, _) in reading.points(figure).items():
        assert x == max(one.memory.cpu_rss_above_start_bytes or 0 for one in by_name(found)[name])
    assert any(words.endswith(" MiB") for words in reading.words(figure))


def test_the_lines_of_a_point_are_its_range_over_seeds() -> None:
    run = records.run(["a"], ["partial"], [0, 1, 2])
    found = [
        result(cell("a", "partial", seed), val=val, train_seconds=seconds)
        for seed, (val, seconds) in enumerate([(360, 10.0), (380, 14.0), (370, 12.0)])
    ]
    lines = plain_lines(reading.figure(chart(run, found)))
    assert [y for x, y in lines if x == [12, 12]] == [pytest.approx([90, 95])]
    assert [y for x, y in lines if x == [10, 14]] == [pytest.approx([92.5, 92.5])]


def test_with_one_seed_the_line_is_wilson_s_interval_and_the_note_says_so() -> None:
    run = records.run(["a"], ["partial"], [0])
    drawn = chart(run, [result(cell("a", "partial", 0), val=380)])
    expected = binomtest(380, 400).proportion_ci(method="wilson")
    upright = [100 * expected.low, 100 * expected.high]
    assert any(y == pytest.approx(upright) for _, y in plain_lines(reading.figure(drawn)))
    assert "Wilson" in drawn.note


def test_the_step_line_passes_through_the_rows_that_nothing_beats() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0])
    numbers = {
        name: (one.cost.attributed.train, 100 * one.quality.val.top1)
        for name, (one,) in by_name(found).items()
    }
    best = sorted(
        (c, v)
        for c, v in numbers.values()
        if not any(x <= c and y >= v and (x, y) != (c, v) for x, y in numbers.values())
    )
    assert len(best) > 2
    x, y = plain_lines(reading.figure(chart(run, found)))[0]
    assert x[:-1] == pytest.approx([cost for cost, _ in best])
    assert y[:-1] == pytest.approx([score for _, score in best])
    assert y[-1] == y[-2]  # until the end of the axis the score stays


@pytest.mark.parametrize("width", reading.WIDTHS)
def test_rows_of_the_choice_are_ringed_and_named(width: float) -> None:
    run, found = made.whole(ALL, STRATEGIES, [0, 1, 2])
    summary = made.read(run, found)[1]
    figure = reading.figure(chart(run, found), width)
    assert any("recommended" in words for words in reading.words(figure))
    assert len(rings(figure)) == len(summary.tied)
    (thick,) = (ring for ring in rings(figure) if ring.get_markeredgewidth() > 1)
    x, y = reading.data(thick)
    assert summary.recommended is not None
    assert (x[0], y[0]) == reading.points(figure)[summary.recommended.name]


def test_what_has_no_place_is_named_with_its_reason() -> None:
    run = records.run(["good", "reused", "unknown", "zero", "lost"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("good", "partial", 0)),
        records.reused(result(cell("reused", "partial", 0))),
        result(cell("unknown", "partial", 0), peak_memory_bytes=None),
        result(cell("zero", "partial", 0), peak_memory_bytes=0),
        failure(cell("lost", "partial", 0)),
    ]
    drawn = chart(run, found, choice.against_memory)
    assert reading.points(reading.figure(drawn)).keys() == {"good · partial"}
    reasons = dict(part.split(": ")[:2] for part in plain(drawn.note).split("Not drawn, ")[1:])
    assert [names.split(".")[0] for names in reasons.values()] == [
        *("lost · partial", "reused · partial", "unknown · partial, zero · partial")
    ]
    assert choice.against_memory(*made.read(run, found[1:])) is None


def test_points_without_a_label_have_a_key() -> None:
    few, many = made.whole(ALL[:2], STRATEGIES[:1], [0]), made.whole(ALL, STRATEGIES, [0])
    for (run, found), expected in ((few, 0), (many, len(ALL) + len(STRATEGIES))):
        figure = reading.figure(chart(run, found))
        marks = [
            a for a in figure.get_children() if isinstance(a, Line2D) and a.get_marker() != "None"
        ]
        assert len(marks) == expected


def test_a_cost_is_read_with_its_machine() -> None:
    for machine, axis, device in (
        (records.CPU, "resident memory above the cell's start", "AMD EPYC, 2 cores"),
        (records.GPU, "GPU memory allocated by torch", "NVIDIA H200"),
    ):
        run = records.run(ALL[:2], ["partial"], machine=machine)
        drawn = chart(run, records.drawn(run, ["partial"]), choice.against_memory)
        assert axis in " ".join(reading.words(reading.figure(drawn)))
        assert device in drawn.note


def test_costs_of_another_machine_are_in_no_range() -> None:
    run = records.run(["a"], ["partial"], seeds=[0, 1, 2])
    found = [
        *(result(cell("a", "partial", seed), train_seconds=10.0 + seed) for seed in (0, 1)),
        result(cell("a", "partial", 2), train_seconds=500.0, machine=records.GPU),
    ]
    figure = reading.figure(chart(run, found))
    assert reading.points(figure)["a · partial"][0] == pytest.approx(10.5)
    assert max(x for xs, _ in plain_lines(figure)[1:] for x in xs) == 11.0
    assert "other machines" in chart(run, found).note
    assert {line.get_color() for line in figure.axes[0].get_lines()} > {INK}
    assert figure.get_figwidth() == pytest.approx(DESK / 72)
