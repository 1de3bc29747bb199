"""Confusion, recall and reliability of the recommended row, counted by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.stats import binomtest

from bench import predictions
from bench.record import Result, Run, Scores
from bench.report.charts import quality
from bench.report.charts.figure import DESK, GRID, HEAT, PHONE, Chart
from bench.report.text import plain
from tests import records
from tests.records import cell, result
from tests.report.charts import made, reading


def run_of(*seeds: Scores, classes: Sequence[str]) -> tuple[Run, list[Result]]:
    """A run of one row, with these test scores by seed."""
    run = records.run(["resnet18"], ["partial"], range(len(seeds)))
    run = run.model_copy(update={"data": records.data(classes)})
    found = [result(cell("resnet18", "partial", seed)) for seed in range(len(seeds))]
    return run, [made.with_test(one, s, classes) for one, s in zip(found, seeds, strict=True)]


ANIMALS = ("cat", "dog", "fox")
FIRST = made.tested([0] * 10 + [1] * 20, [0] * 8 + [1] * 2 + [1] * 19 + [2], 3)
SECOND = made.tested([0] * 10 + [1] * 20, [0] * 9 + [1] * 1 + [1] * 20, 3)
MAKE = {
    "confusion": quality.confusion,
    "recall": quality.recall,
    "reliability": quality.reliability,
}


def drawn(name: str, *seeds: Scores, classes: Sequence[str] = ANIMALS) -> Chart:
    run, found = run_of(*seeds, classes=classes)
    chart = MAKE[name](*made.read(run, found))
    assert chart is not None
    return chart


def listed(figure: Figure) -> list[tuple[str, str]]:
    """Name and count of each mark of a list."""
    found = {words: None for words, _ in reading.told(figure) if " %, " in words}
    return [(reading.subject(words), words.rpartition(", ")[2]) for words in found]


# ---- confusion ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", reading.WIDTHS)
def test_counts_are_summed_over_seeds_and_stand_in_their_cells(width: float) -> None:
    figure = reading.figure(drawn("confusion", FIRST, SECOND), width)
    boxes = reading.boxes(figure)
    said = dict(w.split(": ") for w, _ in reading.told(figure, Rectangle))
    expected = {"cat → cat": 17, "cat → dog": 3, "dog → dog": 39, "dog → fox": 1}
    assert {pair: int(count) for pair, count in said.items() if count != "0"} == expected
    assert {"17", "3", "39", "1"} <= set(reading.words(figure))
    for pair in expected:
        true, predicted = (ANIMALS.index(name) for name in pair.split(" → "))
        box = boxes[pair]
        assert box.get_x() + box.get_width() / 2 == pytest.approx(predicted)
        assert box.get_y() + box.get_height() / 2 == pytest.approx(true)


def test_colour_is_the_share_of_the_true_class_and_right_answers_have_none() -> None:
    boxes = reading.boxes(reading.figure(drawn("confusion", FIRST, SECOND)))
    assert reading.filled(boxes["cat → dog"]) == HEAT[6]  # 3 of 20, the highest share
    assert reading.filled(boxes["dog → fox"]) == HEAT[1]  # 1 of 40 is a sixth of it
    assert reading.filled(boxes["cat → cat"]) == GRID
    assert np.asarray(boxes["cat → fox"].get_facecolor())[3] == 0


def test_many_classes_give_the_most_confused_pairs_in_order() -> None:
    classes = tuple(f"c{i}" for i in range(30))
    labels = [0] * 10 + [1] * 4 + [2] * 8
    guesses = [5] * 2 + [0] * 8 + [3] * 3 + [1] + [7] * 2 + [2] * 6
    chart = drawn("confusion", made.tested(labels, guesses, 30), classes=classes)
    expected = [("c1 → c3", "3 of 4"), ("c2 → c7", "2 of 8"), ("c0 → c5", "2 of 10")]
    assert listed(reading.figure(chart)) == expected
    assert "Most confused pairs" in chart.title


def test_the_interval_of_a_pair_counts_each_image_once() -> None:
    classes = tuple(f"c{i}" for i in range(30))
    scores = made.tested([0] * 20, [0] * 16 + [3] * 4, 30)
    figure = reading.figure(drawn("confusion", scores, scores, classes=classes))
    expected = binomtest(4, 20).proportion_ci(method="wilson")
    ((x, _),) = reading.lines(figure, "c0 → c3")
    assert x == pytest.approx([100 * expected.low, 100 * expected.high], abs=0.01)


def test_a_phone_shows_pairs_where_a_matrix_would_have_no_room_for_numbers() -> None:
    classes = tuple(f"class {i}" for i in range(20))
    chart = drawn("confusion", made.guesses(20, 500, 1), classes=classes)
    assert len(reading.boxes(reading.figure(chart, DESK))) == 400
    assert reading.boxes(reading.figure(chart, PHONE)) == {}
    assert len(listed(reading.figure(chart, PHONE))) == quality.PAIRS


def test_nothing_confused_is_said() -> None:
    classes = tuple(f"c{i}" for i in range(30))
    chart = drawn("confusion", made.tested([0, 1], [0, 1], 30), classes=classes)
    assert reading.words(reading.figure(chart)) == [quality.NOTHING]


# ---- recall ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", reading.WIDTHS)
def test_classes_are_sorted_and_stand_at_their_mean_recall(width: float) -> None:
    chart = drawn("recall", FIRST, SECOND)
    figure = reading.figure(chart, width)
    # cat: 8 and 9 of 10; dog: 19 and 20 of 20; fox has no images.
    assert listed(figure) == [("cat", "n = 10"), ("dog", "n = 20")]
    points = reading.points(figure)
    assert [points[name][0] for name in ("cat", "dog")] == pytest.approx([85, 97.5])
    for name, share, n in (("cat", 0.85, 10), ("dog", 0.975, 20)):
        # Counts that are no whole numbers have no test in scipy: Wilson's formula by its root.
        ((ends, _),) = reading.lines(figure, name)
        for end in (value / 100 for value in ends):
            assert abs(share - end) / np.sqrt(end * (1 - end) / n) == pytest.approx(1.96, abs=0.01)
    assert "Without test images: fox." in chart.note
    assert any(words in ("mean 91.2", "mean 91.3") for words in reading.words(figure))  # 91.25


def test_of_very_many_classes_the_lowest_are_drawn_and_the_rest_counted() -> None:
    classes = tuple(f"c{i}" for i in range(100))
    labels = [k for k in range(100) for _ in range(200)]
    guesses = [k if i < 100 + k else (k + 1) % 100 for k in range(100) for i in range(200)]
    chart = drawn("recall", made.tested(labels, guesses, 100), classes=classes)
    assert [name for name, _ in listed(reading.figure(chart))] == [f"c{i}" for i in range(40)]
    assert "60 classes" in plain(chart.note)


# ---- reliability ----------------------------------------------------------------------------


def confident(confidences: list[float], right: list[bool], ece: float) -> Scores:
    labels = [0] * len(right)
    guesses = [0 if r else 1 for r in right]
    return made.tested(labels, guesses, 2).model_copy(
        update={"predictions": predictions.pack(labels, guesses, confidences), "ece": ece}
    )


@pytest.mark.parametrize("width", reading.WIDTHS)
def test_a_bin_stands_at_its_mean_confidence_and_accuracy(width: float) -> None:
    # Fifteenths: 0.95 and 0.99 fall in the last, 0.62 and 0.65 in the tenth.
    one = confident([0.95, 0.99, 0.62, 0.65], [True, True, True, False], 0.1)
    two = confident([0.95, 0.99, 0.62, 0.65], [True, False, False, False], 0.3)
    chart = drawn("reliability", one, two, classes=("a", "b"))
    figure = reading.figure(chart, width)
    assert list(reading.points(figure).values()) == [
        pytest.approx((63.5, 25), abs=0.01), pytest.approx((97, 75), abs=0.01),
    ]  # fmt: skip
    heights = [
        b.get_height() for _, b in reading.told(figure, Rectangle) if isinstance(b, Rectangle)
    ]
    assert heights == [1, 1]
    assert reading.words(figure).count("4") == 2
    assert "ECE 0.200 (0.100 to 0.300 over seeds)" in chart.note
    assert "ECE 0.200" in reading.words(figure)


def test_an_interval_counts_each_image_once() -> None:
    scores = confident([0.9] * 20, [True] * 16 + [False] * 4, 0.1)
    chart = drawn("reliability", scores, scores, scores, classes=("a", "b"))
    figure = reading.figure(chart)
    (about,) = reading.points(figure)
    ((_, y),) = reading.lines(figure, about)
    expected = binomtest(16, 20).proportion_ci(method="wilson")
    assert y == pytest.approx([100 * expected.low, 100 * expected.high], abs=0.01)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    # 65535 is 15 times 4369: the edges can be packed exactly.
    edges = predictions.pack([0] * 15, [0] * 15, [m / 15 for m in range(1, 16)])
    bins = quality.bins_of([predictions.unpack(edges)])
    assert [(b.place, b.size) for b in bins] == [(m, 1) for m in range(15)]


def test_the_bins_give_the_ece_of_their_definition() -> None:
    scores = made.guesses(5, 3000, 4)
    draw = np.random.default_rng(0)
    unpacked = predictions.unpack(scores.predictions)._replace(
        confidences_N=draw.uniform(size=3000)
    )
    bins = quality.bins_of([unpacked])
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
