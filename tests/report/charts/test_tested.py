"""Confusion, recall and reliability of the recommended row, counted by hand."""

import re

import numpy as np
import pytest
from scipy.stats import binomtest

from bench import predictions
from bench.analysis.summary import summarise
from bench.record import Result, Run, Scores
from bench.report.charts import confusion, recall, reliability
from bench.report.charts.chart import Chart
from tests import records
from tests.records import cell, result
from tests.report.charts import made, reading


def run_of(*seeds: Scores, classes: tuple[str, ...]) -> tuple[Run, list[Result]]:
    """A run of one row, with these test scores by seed."""
    run = records.run(["resnet18"], ["partial"], range(len(seeds)))
    run = run.model_copy(update={"data": records.data(classes)})
    found = [result(cell("resnet18", "partial", seed)) for seed in range(len(seeds))]
    return run, [made.with_test(one, s) for one, s in zip(found, seeds, strict=True)]


ANIMALS = ("cat", "dog", "fox")
FIRST = made.tested([0] * 10 + [1] * 20, [0] * 8 + [1] * 2 + [1] * 19 + [2], 3)
SECOND = made.tested([0] * 10 + [1] * 20, [0] * 9 + [1] * 1 + [1] * 20, 3)


def drawn(name: str, *seeds: Scores, classes: tuple[str, ...] = ANIMALS) -> Chart:
    run, found = run_of(*seeds, classes=classes)
    module = {"confusion": confusion, "recall": recall, "reliability": reliability}[name]
    chart: Chart | None = module.chart(run, found, summarise(run, found))
    assert chart is not None
    return chart


# ---- confusion ------------------------------------------------------------------------------


@pytest.mark.parametrize("sheet", reading.SHEETS)
def test_counts_are_summed_over_seeds_and_stand_in_their_cells(sheet: str) -> None:
    svg = reading.drawing(drawn("confusion", FIRST, SECOND), sheet)
    texts = reading.texts(svg)
    names = [t for t in texts if t.words in ANIMALS]
    rows = {t.words: t.y for t in names if t.y > max(n.y for n in names) - 100 and t.x < 60}
    columns = {t.words: t.x for t in names if t.x > 60}
    assert rows.keys() == columns.keys() == set(ANIMALS)
    shown = {
        (row, column): t.words
        for t in texts
        if t.words.isdigit()
        for row in ANIMALS
        for column in ANIMALS
        if abs(t.y - rows[row]) < 3 and abs(t.x - columns[column]) < 3
    }
    assert shown == {
        ("cat", "cat"): "17", ("cat", "dog"): "3", ("dog", "dog"): "39", ("dog", "fox"): "1",
    }  # fmt: skip


def test_colour_is_the_share_of_the_true_class_and_right_answers_have_none() -> None:
    svg = reading.drawing(drawn("confusion", FIRST, SECOND))
    steps = {
        reading.title(group).partition(":")[0]: reading.classes(rect)
        for group in svg.iter(f"{reading.SVG}g")
        for rect in group.iter(f"{reading.SVG}rect")
    }
    assert steps["cat → dog"] == {"h6"}  # 3 of 20, the highest share
    assert steps["dog → fox"] == {"h1"}  # 1 of 40 is a sixth of it
    assert steps["cat → cat"] == {"quiet"}
    assert steps["cat → fox"] == {"empty"}


def listed(svg_chart: Chart, sheet: str = "desk") -> list[tuple[str, str]]:
    """Name and count of each row of a list."""
    return [
        (reading.title(group).partition(":")[0], reading.title(group).rpartition(", ")[2])
        for group in reading.drawing(svg_chart, sheet).iter(f"{reading.SVG}g")
    ]


def test_many_classes_give_the_most_confused_pairs_in_order() -> None:
    classes = tuple(f"c{i}" for i in range(30))
    labels = [0] * 10 + [1] * 4 + [2] * 8
    guesses = [5] * 2 + [0] * 8 + [3] * 3 + [1] + [7] * 2 + [2] * 6
    chart = drawn("confusion", made.tested(labels, guesses, 30), classes=classes)
    assert listed(chart) == [("c1 → c3", "3 of 4"), ("c2 → c7", "2 of 8"), ("c0 → c5", "2 of 10")]
    assert chart.title == "Most confused pairs on test"


def test_the_interval_of_a_pair_counts_each_image_once() -> None:
    classes = tuple(f"c{i}" for i in range(30))
    scores = made.tested([0] * 20, [0] * 16 + [3] * 4, 30)
    svg = reading.drawing(drawn("confusion", scores, scores, classes=classes))
    ticks = [t for t in reading.texts(svg) if re.fullmatch(r"\d+", t.words)]
    axis = reading.Axis(ticks[0].x, float(ticks[0].words), ticks[-1].x, float(ticks[-1].words))
    (line,) = reading.lines(svg, "range")
    expected = binomtest(4, 20).proportion_ci(method="wilson")
    assert axis.linear(line.x0) == pytest.approx(100 * expected.low, abs=0.05)
    assert axis.linear(line.x1) == pytest.approx(100 * expected.high, abs=0.05)


def test_a_phone_shows_pairs_where_a_matrix_would_have_no_room_for_numbers() -> None:
    classes = tuple(f"class {i}" for i in range(20))
    chart = drawn("confusion", made.guesses(20, 500, 1), classes=classes)
    assert len(reading.rectangles(reading.drawing(chart), "empty|quiet|h.")) == 400
    assert reading.rectangles(reading.drawing(chart, "phone"), "empty|quiet|h.") == []
    assert len(listed(chart, "phone")) == confusion.PAIRS


def test_nothing_confused_is_said() -> None:
    classes = tuple(f"c{i}" for i in range(30))
    chart = drawn("confusion", made.tested([0, 1], [0, 1], 30), classes=classes)
    assert "No image was taken for another class." in str(chart.svg)


# ---- recall ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sheet", reading.SHEETS)
def test_classes_are_sorted_and_stand_at_their_mean_recall(sheet: str) -> None:
    chart = drawn("recall", FIRST, SECOND)
    svg = reading.drawing(chart, sheet)
    # cat: 8 and 9 of 10; dog: 19 and 20 of 20; fox has no images.
    assert listed(chart, sheet) == [("cat", "n = 10"), ("dog", "n = 20")]
    ticks = [t for t in reading.texts(svg) if re.fullmatch(r"\d+", t.words)]
    axis = reading.Axis(ticks[0].x, float(ticks[0].words), ticks[-1].x, float(ticks[-1].words))
    shown = [axis.linear(x) for x, _, _ in reading.marks(svg, "mark")]
    assert shown == pytest.approx([85, 97.5], abs=0.05)
    for line, share, n in zip(reading.lines(svg, "range"), (0.85, 0.975), (10, 20), strict=True):
        # Counts that are no whole numbers have no test in scipy: Wilson's formula by its root.
        low, high = axis.linear(line.x0) / 100, axis.linear(line.x1) / 100
        for end in (low, high):
            assert abs(share - end) / np.sqrt(end * (1 - end) / n) == pytest.approx(1.96, abs=0.01)
    assert "Without test images: fox." in chart.note
    assert any(re.fullmatch(r"mean 91\.[23]", t.words) for t in reading.texts(svg))  # 91.25


def test_whole_counts_have_the_interval_of_scipy() -> None:
    chart = drawn("recall", FIRST)
    svg = reading.drawing(chart)
    ticks = [t for t in reading.texts(svg) if re.fullmatch(r"\d+", t.words)]
    axis = reading.Axis(ticks[0].x, float(ticks[0].words), ticks[-1].x, float(ticks[-1].words))
    line = reading.lines(svg, "range")[0]
    expected = binomtest(8, 10).proportion_ci(method="wilson")
    assert axis.linear(line.x0) == pytest.approx(100 * expected.low, abs=0.05)
    assert axis.linear(line.x1) == pytest.approx(100 * expected.high, abs=0.05)


def test_of_very_many_classes_the_lowest_are_drawn_and_the_rest_counted() -> None:
    classes = tuple(f"c{i}" for i in range(100))
    labels = [k for k in range(100) for _ in range(200)]
    guesses = [k if i < 100 + k else (k + 1) % 100 for k in range(100) for i in range(200)]
    chart = drawn("recall", made.tested(labels, guesses, 100), classes=classes)
    assert [name for name, _ in listed(chart)] == [f"c{i}" for i in range(40)]
    assert "60 classes with a higher recall are not drawn." in chart.note


# ---- reliability ----------------------------------------------------------------------------


def confident(confidences: list[float], right: list[bool], ece: float) -> Scores:
    labels = [0] * len(right)
    guesses = [0 if r else 1 for r in right]
    return made.tested(labels, guesses, 2).model_copy(
        update={"predictions": predictions.pack(labels, guesses, confidences), "ece": ece}
    )


@pytest.mark.parametrize("sheet", reading.SHEETS)
def test_a_bin_stands_at_its_mean_confidence_and_accuracy(sheet: str) -> None:
    # Fifteenths: 0.95 and 0.99 fall in the last, 0.62 and 0.65 in the tenth.
    one = confident([0.95, 0.99, 0.62, 0.65], [True, True, True, False], 0.1)
    two = confident([0.95, 0.99, 0.62, 0.65], [True, False, False, False], 0.3)
    chart = drawn("reliability", one, two, classes=("a", "b"))
    svg = reading.drawing(chart, sheet)
    up = reading.left_axis(svg)
    across = reading.bottom_axis(svg)
    shown = [(across.linear(x), up.linear(y)) for x, y, _ in reading.marks(svg, "mark")]
    assert shown == [
        pytest.approx((63.5, 25), abs=0.02), pytest.approx((97, 75), abs=0.02),
    ]  # fmt: skip
    bars = reading.rectangles(svg, "bar")
    assert [b.y1 - b.y0 for b in bars] == pytest.approx([56, 56])
    assert [t.words for t in reading.texts(svg)].count("4") == 2
    assert "ECE 0.200 (0.100 to 0.300 over seeds)" in chart.note
    assert {t.words for t in reading.texts(svg)} >= {"ECE 0.200"}


def test_an_interval_counts_each_image_once() -> None:
    scores = confident([0.9] * 20, [True] * 16 + [False] * 4, 0.1)
    svg = reading.drawing(drawn("reliability", scores, scores, scores, classes=("a", "b")))
    up = reading.left_axis(svg)
    (line,) = reading.lines(svg, "range")
    expected = binomtest(16, 20).proportion_ci(method="wilson")
    assert up.linear(line.y0) == pytest.approx(100 * expected.low, abs=0.02)
    assert up.linear(line.y1) == pytest.approx(100 * expected.high, abs=0.02)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    # 65535 is 15 times 4369: the edges can be packed exactly.
    edges = predictions.pack([0] * 15, [0] * 15, [m / 15 for m in range(1, 16)])
    bins = reliability.bins_of([predictions.unpack(edges)])
    assert [(b.place, b.size) for b in bins] == [(m, 1) for m in range(15)]


def test_the_bins_give_the_ece_of_their_definition() -> None:
    scores = made.guesses(5, 3000, 4)
    draw = np.random.default_rng(0)
    unpacked = predictions.unpack(scores.predictions)._replace(
        confidences_N=draw.uniform(size=3000)
    )
    bins = reliability.bins_of([unpacked])
    # Guo et al. 2017, eq. 3, bin by bin.
    expected = 0.0
    for m in range(15):
        low, high = m / 15, (m + 1) / 15
        inside = (unpacked.confidences_N > low) & (unpacked.confidences_N <= high)
        gap = unpacked.correct_N[inside].mean() - unpacked.confidences_N[inside].mean()
        expected += inside.sum() / 3000 * abs(gap)
    assert sum(b.size for b in bins) == 3000
    ece = sum(b.size / 3000 * abs(b.accuracy - b.confidence) for b in bins)
    assert ece == pytest.approx(expected)
