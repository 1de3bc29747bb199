"""Curves pass through the epochs' numbers, one panel per strategy."""

import pytest

from bench.analysis.summary import summarise
from bench.record import EpochPoint, Failure, Result, Run
from bench.report.charts import learning_curves
from bench.report.charts.chart import Chart
from tests import records
from tests.records import cell, failure, result
from tests.report.charts import made, reading
from tests.report.charts.made import Records

ALL, STRATEGIES = list(records.ARCHITECTURES), list(records.STRATEGIES)


def chart(run: Run, found: Records) -> Chart:
    drawn = learning_curves.chart(run, found, summarise(run, found))
    assert drawn is not None
    return drawn


def learnt(one: Result, *points: tuple[float, float | None]) -> Result:
    """The record with a curve of these train losses and val scores."""
    curve = tuple(
        EpochPoint(phase="all", epoch=i, train_loss=loss, val_score=score)
        for i, (loss, score) in enumerate(points, 1)
    )
    return one.model_copy(update={"curve": curve})


def curves(drawn: Chart, class_: str = "curve") -> list[list[tuple[float, float]]]:
    svg = reading.drawing(drawn)
    return [
        reading.points(e) for e in svg.iter(f"{reading.SVG}path") if class_ in reading.classes(e)
    ]


def test_lines_are_means_and_bands_are_ranges() -> None:
    run = records.run(["a"], ["partial"], [0, 1])
    found = [
        learnt(result(cell("a", "partial", 0)), (2.0, 0.50), (1.0, 0.70), (0.5, 0.80)),
        learnt(result(cell("a", "partial", 1)), (1.0, 0.60), (0.6, 0.80), (0.3, 0.90)),
    ]
    drawn = chart(run, found)
    svg = reading.drawing(drawn)
    losses, scores = curves(drawn)
    titles = {t.words: t.y for t in reading.texts(svg)}
    split = titles["train loss (nats)"]
    above, below = reading.left_axis(svg, bottom=split), reading.left_axis(svg, top=split)
    assert [above.linear(y) for _, y in scores] == pytest.approx([55, 75, 85], abs=0.02)
    assert [below.linear(y) for _, y in losses] == pytest.approx([1.5, 0.8, 0.4], abs=0.002)
    across = reading.bottom_axis(svg)
    assert [across.linear(x) for x, _ in scores] == pytest.approx([1, 2, 3], abs=0.02)
    _, band = curves(drawn, "band")
    assert [above.linear(y) for _, y in band] == pytest.approx([60, 80, 90, 80, 70, 50], abs=0.02)


def test_every_row_is_a_line_in_the_panel_of_its_strategy_with_its_name() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0])
    drawn = chart(run, found)
    assert len(curves(drawn)) == 2 * len(ALL) * len(STRATEGIES)
    for sheet in reading.SHEETS:
        shown = [t.words for t in reading.texts(reading.drawing(drawn, sheet))]
        assert [shown.count(strategy) for strategy in STRATEGIES] == [1] * len(STRATEGIES)
        assert shown.count("resnet18") == len(STRATEGIES)


def test_an_epoch_that_a_seed_lacks_has_no_mean_and_unknown_is_no_zero() -> None:
    run = records.run(["a"], ["partial"], [0, 1])
    found = [
        learnt(result(cell("a", "partial", 0)), (2.0, None), (1.0, 0.7), (0.5, 0.8)),
        learnt(result(cell("a", "partial", 1)), (1.0, None), (0.6, 0.8)),
    ]
    drawn = chart(run, found)
    (losses,) = curves(drawn)
    assert len(losses) == 2
    # One epoch with a val score is a point, with its range.
    svg = reading.drawing(drawn)
    assert len(reading.lines(svg, "range")) == 1
    never = [
        learnt(result(cell("a", "partial", seed)), (2.0, None), (1.0, None)) for seed in (0, 1)
    ]
    drawn = chart(run, never)
    assert len(curves(drawn)) == 1
    assert not any("val" in t.words for t in reading.texts(reading.drawing(drawn)))


def test_one_epoch_is_a_point() -> None:
    run = records.run(["a"], ["partial"])
    drawn = chart(run, [learnt(result(cell("a", "partial", 0)), (2.0, 0.5))])
    assert curves(drawn) == []
    assert len(list(reading.marks(reading.drawing(drawn), "mark"))) >= 2


def test_a_new_phase_is_marked_between_its_epochs_and_named() -> None:
    run, found = made.whole(["resnet18"], ["two_phase"], [0])
    svg = reading.drawing(chart(run, found))
    (phase,) = reading.lines(svg, "phase")
    assert phase.x0 == phase.x1
    assert reading.bottom_axis(svg).linear(phase.x0) == pytest.approx(5.5, abs=0.02)
    assert {"head", "all"} <= {t.words for t in reading.texts(svg)}
    assert "Dashed" in chart(run, found).note


def test_rows_without_an_ok_cell_are_named() -> None:
    run = records.run(["good", "bad"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("good", "partial", 0)),
        failure(cell("bad", "partial", 0)),
    ]
    drawn = chart(run, found)
    assert "bad · partial" in drawn.note
    assert len(curves(drawn)) == 2
