"""The figure of a cell's history: what is joined, hollow, marked, and where the values lie."""

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.history import History
from bench.analysis.table import Snapshot
from bench.report.charts import history
from bench.report.charts.figure import DESK, MUTED, PAPER, SERIES, Chart
from bench.report.history import letter
from tests.analysis import sides
from tests.analysis.timelines import BUSIER, NEWER, point, slowed, told
from tests.report.charts import reading
from tests.report.charts.reading import WIDTHS


def drawn(found: History) -> Chart:
    """The figure of the cell that changes are laid on."""
    (cell,) = (cell for cell in found.cells if cell.name == "resnet18 · fine_tuning")
    return history.chart(cell, found, 0)


def of(points: Sequence[Snapshot], width: float = DESK) -> Figure:
    return reading.figure(drawn(told(points)), width)


def joins(figure: Figure) -> list[list[float]]:
    """The runs of each line that joins values."""
    lines = [line for ax in figure.axes for line in ax.get_lines() if not line.get_gid()]
    return [reading.data(line)[0].tolist() for line in lines]


def steps(figure: Figure) -> list[tuple[list[float], list[float]]]:
    """The lines of the changes."""
    found = [line for words, line in reading.told(figure, Line2D) if words.startswith("train time")]
    return [(x.tolist(), y.tolist()) for x, y in map(reading.data, found)]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_value_is_a_dot_that_says_it_and_every_series_a_line(width: float) -> None:
    figure = of([point(number) for number in range(5)], width)
    dots = reading.collections(figure)
    assert [len(words) for words, _ in dots] == [5, 5, 5]
    assert all("%" in words for words in dots[0][0])
    assert joins(figure) == [[0, 1, 2, 3, 4]] * 3


def test_machines_are_not_joined_but_their_scores_are() -> None:
    figure = of([point(n, BUSIER if n % 2 else None) for n in range(6)])
    assert [len(runs) for runs in joins(figure)] == [6, 3, 3, 3, 3]
    colours = [line.get_color() for ax in figure.axes for line in ax.get_lines()]
    assert colours == [MUTED, SERIES[0], SERIES[1], SERIES[0], SERIES[1]]


def test_versions_are_joined_in_nothing_and_their_beginning_is_marked() -> None:
    figure = of([point(n, NEWER if n > 2 else None, range(6)) for n in range(6)])
    assert [len(runs) for runs in joins(figure)] == [3] * 6
    ((words, lines),) = reading.told(figure, LineCollection)
    assert isinstance(lines, LineCollection)
    places = {float(x) for segment in lines.get_segments() for x, _ in np.asarray(segment)}
    assert places == {2.5}
    assert len(lines.get_segments()) == 3  # one in each panel
    assert "B: other than A in machine.torch: 2.15.0 and 2.16.0" in words
    assert "B" in reading.words(figure)


def test_unstable_times_and_failed_seeds_are_hollow() -> None:
    points = [point(n) for n in range(4)]
    points[1] = sides.headed(points[1], unstable="too hot")
    points[2] = point(2, sides.broken("diverged"))
    figure = of(points)
    paper = np.array([int(PAPER[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    hollow = [
        words
        for said, dots in reading.collections(figure)
        for words, face in zip(said, np.asarray(dots.get_facecolor()), strict=True)
        if np.allclose(face[:3], paper)
    ]
    assert len(hollow) == 1 + 3
    assert any("too hot" in words for words in hollow)
    assert [len(runs) for runs in joins(figure)] == [3, 2, 3]
    crosses = [w for w, line in reading.told(figure, Line2D) if reading.data(line)[0].size == 1]
    assert len(crosses) == 1
    assert "diverged" in crosses[0]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_change_has_its_levels_and_its_amount(width: float) -> None:
    figure = of(slowed(1.3), width)
    (((x0, x1, x2, x3), (y0, y1, y2, y3)),) = steps(figure)
    assert x0 < x1 == x2 < x3
    assert y0 == y1 > y2 == y3  # pixels: more is higher
    assert [words for words in reading.words(figure) if words.startswith("+")] != []


@pytest.mark.parametrize("width", WIDTHS)
def test_all_texts_are_inside_and_none_lies_on_another(width: float) -> None:
    points = [point(n, NEWER if n > 8 else sides.slower(1 + n / 9), range(6)) for n in range(14)]
    assert reading.collisions(of(points, width)) == []


def test_a_long_history_shows_the_newest_runs() -> None:
    made = [point(n) for n in range(3)]
    many = [
        sides.headed(made[n % 3], started_at=f"{2000 + n}-01-01T00:00:00Z")
        for n in range(history.SHOWN + 50)
    ]
    figure = of(many)
    assert [len(words) for words, _ in reading.collections(figure)] == [history.SHOWN] * 3
    assert reading.collisions(figure) == []


def test_kinds_are_lettered_beyond_the_alphabet() -> None:
    letters = [letter(n) for n in (0, 25, 26, 27, 701, 702)]
    assert letters == ["A", "Z", "AA", "AB", "ZZ", "AAA"]


def test_a_cell_without_values_says_so() -> None:
    figure = of([point(n, lambda one: None) for n in range(2)])
    assert reading.words(figure) == ["No value in the runs that are drawn."]
