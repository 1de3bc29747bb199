"""Labels are moved apart as little as possible, and notes cover nothing."""

import random

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from bench.report.charts import labels
from bench.report.charts.labels import FAR, NEAR, Note
from bench.report.charts.svg import Box


def test_labels_are_moved_as_little_as_least_squares_allow() -> None:
    draw = random.Random(2)
    for _ in range(100):
        wanted = [draw.uniform(0, 100) for _ in range(draw.randint(1, 12))]
        # With room on both sides this is an isotonic regression of the wanted starts.
        order = np.argsort(wanted)
        starts = np.array(wanted)[order] - 13 * np.arange(len(wanted))
        fitted = IsotonicRegression().fit_transform(np.arange(len(wanted)), starts)
        expected = np.empty(len(wanted))
        expected[order] = fitted + 13 * np.arange(len(wanted))
        assert labels.spread_out(wanted, 13, -1000, 1000) == pytest.approx(expected)


def test_labels_keep_their_gap_and_their_order_inside_the_limits() -> None:
    places = labels.spread_out([90, 91, 99, 2], 10, 0, 100)
    assert places[3] < places[0] < places[1] < places[2]
    assert np.diff(sorted(places)).min() >= 10 - 1e-9
    assert min(places) >= 0
    assert max(places) <= 100
    assert labels.spread_out([5.0], 10, 0, 100) == [5.0]
    assert labels.spread_out([], 10, 0, 100) == []


def test_a_note_covers_nothing_that_is_taken() -> None:
    draw = random.Random(3)
    inside, found = Box(0, 0, 400, 300), 0
    for _ in range(100):
        taken = []
        for _ in range(25):
            x, y = draw.uniform(0, 390), draw.uniform(0, 290)
            taken.append(Box(x, y, x + 10, y + 10))
        note = Note(
            (draw.uniform(50, 350), draw.uniform(50, 250)), (("resnet18", ""), ("partial", ""))
        )
        placed = labels.place(note, taken, inside, FAR)
        if placed is None:
            continue
        found += 1
        assert placed.box.inside(inside)
        assert not any(placed.box.overlaps(box) for box in taken)
        for label in placed.labels:
            assert label.box.left >= placed.box.left - 1e-9
            assert label.box.right <= placed.box.right + 1e-9
    assert found > 50


def test_where_there_is_no_room_there_is_no_note() -> None:
    note = Note((50, 50), (("a long name of a network", ""),))
    assert labels.place(note, [], Box(0, 0, 100, 100), FAR) is None
    assert labels.place(note, [Box(0, 0, 400, 400)], Box(0, 0, 400, 400), FAR) is None


def test_a_note_beside_its_point_needs_no_line_to_it() -> None:
    placed = labels.place(Note((50, 50), (("1", ""),)), [], Box(0, 0, 100, 100), NEAR)
    assert placed is not None
    assert placed.leader is None
    near = Box(30, 30, 70, 70)
    further = labels.place(Note((50, 50), (("1", ""),)), [near], Box(0, 0, 100, 100), FAR)
    assert further is not None
    assert further.leader is not None
