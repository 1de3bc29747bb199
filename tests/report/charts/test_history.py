"""The chart of a cell's history: what is joined, hollow, marked, and where the values lie."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import pytest
from bench.report.charts.chart import Chart

from bench.analysis.histories import Histories
from bench.analysis.point import Point
from bench.report.charts import history
from tests.analysis import sides
from tests.analysis.timelines import BUSIER, NEWER, point, slowed, told
from tests.report.charts import reading
from tests.report.charts.reading import SHEETS


def drawn(found: Histories) -> Chart:
    """The chart of the cell that changes are laid on."""
    (cell,) = (cell for cell in found.cells if cell.name == "resnet18 · fine_tuning")
    return history.chart(cell, found, 0)


def of(points: Sequence[Point], sheet: str = "desk") -> Element:
    return reading.drawing(drawn(told(points)), sheet)


def joins(svg: Element) -> list[int]:
    """Number of points of each line that joins values."""
    return [len(reading.points(p)) for p in svg.iter() if "lead" in reading.classes(p)]


def num_dots(svg: Element) -> int:
    return sum((p.get("d") or "").count("M") for p in svg.iter() if "dots" in reading.classes(p))


@pytest.mark.parametrize("sheet", SHEETS)
def test_every_value_is_a_dot_and_every_series_a_line(sheet: str) -> None:
    svg = of([point(number) for number in range(5)], sheet)
    assert num_dots(svg) == 3 * 5
    assert joins(svg) == [5, 5, 5]


def test_machines_are_not_joined_but_their_scores_are() -> None:
    svg = of([point(n, BUSIER if n % 2 else None) for n in range(6)])
    assert joins(svg) == [6, 3, 3, 3, 3]


def test_versions_are_joined_in_nothing_and_their_beginning_is_marked() -> None:
    svg = of([point(n, NEWER if n > 2 else None, range(6)) for n in range(6)])
    assert joins(svg) == [3] * 6
    mark, *others = reading.lines(svg, "phase")  # one in each panel
    assert len(others) == 2
    assert "B" in [text.words for text in reading.texts(svg)]
    titles = [reading.title(e) for e in svg.iter() if reading.title(e).startswith("B: ")]
    assert titles == ["B: other than A in torch: 2.15.0 → 2.16.0"]
    before, after = [reading.points(p) for p in svg.iter() if "lead" in reading.classes(p)][:2]
    assert before[-1][0] < mark.x0 < after[0][0]


def test_unstable_times_and_failed_seeds_are_hollow() -> None:
    points = [point(n) for n in range(4)]
    points[1] = points[1].model_copy(update={"unstable": "too hot"})
    points[2] = point(2, sides.broken("diverged"))
    svg = of(points)
    assert len(list(reading.marks(svg, "hollow"))) == 1 + 3
    assert joins(svg) == [3, 2, 3]
    told_ = [reading.title(e) for e in svg.iter() if reading.title(e)]
    assert any("too hot" in text for text in told_)
    assert len(list(reading.marks(svg, "cross"))) == 1


@pytest.mark.parametrize("sheet", SHEETS)
def test_a_change_has_its_levels_and_its_amount(sheet: str) -> None:
    svg = of(slowed(1.3), sheet)
    (stairs,) = (reading.points(p) for p in svg.iter() if "stairs" in reading.classes(p))
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = stairs
    assert x0 < x1 == x2 < x3
    assert y0 == y1 > y2 == y3  # more is higher
    assert [t.words for t in reading.texts(svg) if t.words.startswith("+")] != []


@pytest.mark.parametrize("sheet", SHEETS)
def test_all_texts_are_inside_and_none_lies_on_another(sheet: str) -> None:
    svg = of([point(n, NEWER if n > 8 else sides.slower(1 + n / 9), range(6)) for n in range(14)])
    view, texts = reading.view(svg), reading.texts(svg)
    for text in texts:
        assert view.x0 <= text.box.x0, text
        assert text.box.x1 <= view.x1, text
    for i, one in enumerate(texts):
        assert not any(one.box.overlaps(other.box) for other in texts[:i]), one


def test_a_long_history_shows_the_newest_runs() -> None:
    made = [point(n) for n in range(3)]
    many = [
        made[n % 3].model_copy(update={"started_at": f"{2000 + n}-01-01T00:00:00Z"})
        for n in range(history.SHOWN + 50)
    ]
    for sheet in SHEETS:
        svg = of(many, sheet)
        assert num_dots(svg) == 3 * history.SHOWN
        assert all(text.box.x0 >= 0 for text in reading.texts(svg))


def test_kinds_are_lettered_beyond_the_alphabet() -> None:
    assert [history.letter(n) for n in (0, 25, 26, 27, 701, 702)] == [
        "A",
        "Z",
        "AA",
        "AB",
        "ZZ",
        "AAA",
    ]


def test_a_cell_without_values_says_so() -> None:
    svg = of([point(n, lambda one: None) for n in range(2)])
    assert [text.words for text in reading.texts(svg)] == ["No value in the runs that are drawn."]
