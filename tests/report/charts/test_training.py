"""Curves pass through the epochs' numbers; bars are as long as the seconds they stand for."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.record import EpochPoint, Failure, Result, Run, Seconds
from bench.report.charts import training
from bench.report.charts.figure import DESK, STAGES, Chart
from bench.report.text import plain
from tests import records
from tests.records import cell, failure, result
from tests.report.charts import made, reading
from tests.report.charts.made import ALL, STRATEGIES, Records


def curves(run: Run, found: Records) -> Chart:
    chart = training.learning_curves(*made.read(run, found))
    assert chart is not None
    return chart


def learnt(one: Result, *points: tuple[float, float | None]) -> Result:
    """The record with a curve of these train losses and val scores."""
    curve = tuple(
        EpochPoint(phase="all", epoch=i, train_loss=loss, val_score=score)
        for i, (loss, score) in enumerate(points, 1)
    )
    return one.model_copy(update={"curve": curve})


def lines(figure: Figure, what: str) -> list[tuple[list[float], list[float]]]:
    """The curves whose words end so."""
    found = [a for words, a in reading.told(figure) if words.endswith(what)]
    return [(x.tolist(), y.tolist()) for x, y in map(reading.data, found)]


def test_lines_are_means_and_bands_are_ranges() -> None:
    run = records.run(["a"], ["partial"], [0, 1])
    found = [
        learnt(result(cell("a", "partial", 0)), (2.0, 0.50), (1.0, 0.70), (0.5, 0.80)),
        learnt(result(cell("a", "partial", 1)), (1.0, 0.60), (0.6, 0.80), (0.3, 0.90)),
    ]
    figure = reading.figure(curves(run, found))
    ((x, scores),) = lines(figure, "val score")
    ((_, losses),) = lines(figure, "train loss")
    assert x == [1, 2, 3]
    assert scores == pytest.approx([55, 75, 85])
    assert losses == pytest.approx([1.5, 0.8, 0.4])
    bands = [np.asarray(c.get_paths()[0].vertices) for ax in figure.axes for c in ax.collections]
    corners = {(x, round(y, 6)) for band in bands for x, y in band.tolist()}
    assert {(1, 50), (1, 60), (3, 80), (3, 90), (1, 1.0), (1, 2.0)} <= corners


def test_every_row_is_a_line_in_the_panel_of_its_strategy_with_its_name() -> None:
    chart = curves(*made.whole(ALL[:3], STRATEGIES[:2], [0]))
    for width in reading.WIDTHS:
        figure = reading.figure(chart, width)
        written = reading.words(figure)
        assert len(lines(figure, "val score")) == len(lines(figure, "train loss")) == 6
        assert [written.count(strategy) for strategy in STRATEGIES[:2]] == [1, 1]
        assert written.count("resnet18") == 2


def test_an_epoch_that_a_seed_lacks_has_no_mean_and_unknown_is_no_zero() -> None:
    run = records.run(["a"], ["partial"], [0, 1])
    found = [
        learnt(result(cell("a", "partial", 0)), (2.0, None), (1.0, 0.7), (0.5, 0.8)),
        learnt(result(cell("a", "partial", 1)), (1.0, None), (0.6, 0.8)),
    ]
    figure = reading.figure(curves(run, found))
    ((x, _),) = lines(figure, "train loss")
    assert x == [1, 2]
    assert lines(figure, "val score") == []  # one epoch is a point, with its range
    never = [learnt(result(cell("a", "partial", s)), (2.0, None), (1.0, None)) for s in (0, 1)]
    figure = reading.figure(curves(run, never))
    assert len(lines(figure, "train loss")) == 1
    assert not any("val" in words for words in reading.words(figure))


def test_a_new_phase_is_marked_between_its_epochs_and_named() -> None:
    run, found = made.whole(["resnet18"], ["two_phase"], [0])
    figure = reading.figure(curves(run, found))
    dashed = [line for ax in figure.axes for line in ax.get_lines() if line.get_linestyle() == "--"]
    assert [reading.data(line)[0].tolist() for line in dashed] == [[5.5, 5.5]] * 2
    assert {"head", "all"} <= set(reading.words(figure))
    assert "Dashed" in curves(run, found).note


def test_rows_without_an_ok_cell_are_named() -> None:
    run = records.run(["good", "bad"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("good", "partial", 0)),
        failure(cell("bad", "partial", 0)),
    ]
    assert "bad · partial" in curves(run, found).note
    assert "good · partial" not in curves(run, found).note


# ---- time spent -----------------------------------------------------------------------------


def spent(run: Run, found: Records) -> Chart:
    chart = training.time_spent(*made.read(run, found))
    assert chart is not None
    return chart


def timed(one: Result, *parts: float) -> Result:
    """The record of a cell that spent these seconds on data, build, warmup, train and eval."""
    named = dict(zip(training.PARTS, parts, strict=True))
    attributed = Seconds(wall=sum(parts), **named)
    return one.model_copy(update={"cost": one.cost.model_copy(update={"attributed": attributed})})


def bars(drawn: Chart, width: float = DESK) -> dict[str, list[Rectangle]]:
    """The parts of each bar, in order."""
    found: dict[str, list[Rectangle]] = {}
    for words, box in reading.told(reading.figure(drawn, width), Rectangle):
        assert isinstance(box, Rectangle)
        found.setdefault(reading.subject(words), []).append(box)
    return found


@pytest.mark.parametrize("width", reading.WIDTHS)
def test_parts_are_as_long_as_their_mean_seconds_and_follow_each_other(width: float) -> None:
    run = records.run(["a", "b"], ["partial"], [0, 1])
    found = [
        timed(result(cell("a", "partial", 0)), 10, 20, 30, 40, 50),
        timed(result(cell("a", "partial", 1)), 20, 30, 40, 50, 60),
        timed(result(cell("b", "partial", 0)), 40, 40, 40, 40, 140),
        timed(result(cell("b", "partial", 1)), 40, 40, 40, 40, 140),
    ]
    drawn = bars(spent(run, found), width)
    assert list(drawn) == ["b · partial", "a · partial"]  # the longest first
    starts = [box.get_x() for box in drawn["a · partial"]]
    assert starts == pytest.approx([0, 15, 40, 75, 120])
    for boxes in drawn.values():
        assert [reading.filled(box) for box in boxes] == list(STAGES)
        for before, after in pairwise(boxes):
            gap = after.get_x() - before.get_x() - before.get_width()
            assert 0 < gap < 2  # a hair


def test_the_total_is_written_and_a_line_shows_its_range() -> None:
    run = records.run(["a"], ["partial"], [0, 1])
    found = [
        timed(result(cell("a", "partial", 0)), 0, 0, 0, 90, 0),
        timed(result(cell("a", "partial", 1)), 0, 0, 0, 110, 0),
    ]
    figure = reading.figure(spent(run, found))
    (spread,) = figure.axes[0].get_lines()
    assert reading.data(spread)[0].tolist() == [90, 110]
    assert "1 min 40 s" in reading.words(figure)
    assert len(bars(spent(run, found))["a · partial"]) == 1  # a part without time is not drawn


def test_reused_features_failures_and_no_time_at_all_are_named_not_drawn() -> None:
    run = records.run(["good", "reused", "lost", "none"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("good", "partial", 0)),
        records.reused(result(cell("reused", "partial", 0))),
        failure(cell("lost", "partial", 0)),
        timed(result(cell("none", "partial", 0)), 0, 0, 0, 0, 0),
    ]
    drawn = spent(run, found)
    assert bars(drawn).keys() == {"good · partial"}
    for name in ("reused", "lost", "none"):
        assert f"{name} · partial" in plain(drawn.note)
    assert training.time_spent(*made.read(run, found[1:])) is None


def test_only_the_machine_of_most_cells_is_drawn() -> None:
    run = records.run(["a", "b"], ["partial"], [0, 1])
    found = [
        timed(result(cell("a", "partial", 0)), 0, 0, 0, 100, 0),
        timed(result(cell("a", "partial", 1), machine=records.GPU), 0, 0, 0, 2, 0),
        *(timed(result(cell("b", "partial", seed)), 0, 0, 0, 50, 0) for seed in (0, 1)),
    ]
    drawn = spent(run, found)
    first, second = (boxes[0].get_width() for boxes in bars(drawn).values())
    assert first / second == pytest.approx(2, abs=0.02)
    assert "AMD EPYC" in drawn.note
    assert "other machines" in drawn.note
