"""The heat map is the table: every number in its place, the best of each row and column marked."""

import re

import pytest

from bench.analysis.summary import summarise
from bench.record import Failure, Result, Run
from bench.report.charts import heat_map
from bench.report.charts.chart import Chart
from tests import records
from tests.records import cell, failure, result
from tests.report.charts import made, reading
from tests.report.charts.made import Records

ALL, STRATEGIES = list(records.ARCHITECTURES), list(records.STRATEGIES)


def chart(run: Run, found: Records) -> Chart:
    drawn = heat_map.chart(run, found, summarise(run, found))
    assert drawn is not None
    return drawn


def table(drawn: Chart, sheet: str = "desk") -> dict[tuple[str, str], reading.Text]:
    """The text of each cell by its row and column, found by where it stands."""
    svg = reading.drawing(drawn, sheet)
    texts = reading.texts(svg)
    cells = [t for t in texts if any(c.startswith("on") for c in t.classes)]
    rows = {t.words: t for t in texts if t.box.x0 < 20}
    found = {}
    for text in cells:
        (row,) = (name for name, t in rows.items() if abs(t.y - text.y) < 5)
        found[row, f"{text.x:.0f}"] = text
    return found


def test_every_number_stands_in_its_row_and_column() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0, 1])
    cells = table(chart(run, found))
    columns = sorted({x for _, x in cells}, key=float)
    assert len(columns) == len(STRATEGIES)
    for architecture in ALL:
        for strategy, x in zip(STRATEGIES, columns, strict=True):
            mine = [
                one.quality.val.top1
                for one in found
                if (one.cell.architecture_label, one.cell.strategy) == (architecture, strategy)
            ]
            assert cells[architecture, x].words == f"{100 * sum(mine) / 2:.1f}"


def test_colour_follows_the_score() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0])
    shown = [
        (float(text.words), int(step))
        for text in table(chart(run, found)).values()
        for step in re.findall(r"on(\d)", " ".join(text.classes))
    ]
    steps = [step for _, step in sorted(shown)]
    assert steps == sorted(steps)
    assert {0, 6} <= set(steps)


def test_the_best_of_each_row_and_column_carries_its_mark() -> None:
    run, found = made.whole(["a", "b"], ["x", "y"], [0])
    scores = {("a", "x"): 300, ("a", "y"): 320, ("b", "x"): 310, ("b", "y"): 305}
    found = [
        result(one.cell, val=scores[one.cell.architecture_label, one.cell.strategy])
        for one in found
    ]
    svg = reading.drawing(chart(run, found))
    marked: dict[str, list[str]] = {}
    for group in svg.iter(f"{reading.SVG}g"):
        (box,) = reading.rectangles(group, r"h\d")
        for path in group.iter(f"{reading.SVG}path"):
            corner = reading.points(path)[0]
            assert corner[1] == pytest.approx(box.y0)
            side = "row" if corner[0] == pytest.approx(box.x0) else "column"
            marked.setdefault(side, []).append(reading.title(group).partition(":")[0])
    assert marked == {"row": ["a · y", "b · x"], "column": ["a · y", "b · x"]}


def test_the_recommended_cell_is_framed_and_the_tied_are_underlined() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0, 1, 2])
    summary = summarise(run, found)
    drawn = chart(run, found)
    svg = reading.drawing(drawn)
    underlined = {
        reading.title(group).partition(":")[0]
        for group in svg.iter(f"{reading.SVG}g")
        if list(group.iter(f"{reading.SVG}line"))
    }
    assert underlined == {row.name for row in summary.tied}
    (frame,) = reading.rectangles(svg, "frame")
    assert summary.recommended is not None
    assert summary.recommended.val is not None
    (inside,) = (
        t for t in table(drawn).values() if frame.x0 < t.x < frame.x1 and frame.y0 < t.y < frame.y1
    )
    (cell_box,) = (
        b
        for b in reading.rectangles(svg, r"h\d")
        if b.x0 < inside.x < b.x1 and b.y0 < inside.y < b.y1
    )
    outside = (cell_box.x0 - 1, cell_box.y0 - 1, cell_box.x1 + 1, cell_box.y1 + 1)
    assert frame == pytest.approx(outside, abs=0.02)
    assert inside.words == f"{100 * summary.recommended.val.seeds.mean:.1f}"


def test_a_cell_without_all_seeds_has_a_reason_and_no_colour() -> None:
    run = records.run(["good", "lost", "bad", "half"], ["partial"], [0, 1])
    found: list[Result | Failure] = [
        *(result(cell("good", "partial", seed)) for seed in (0, 1)),
        *(failure(cell("bad", "partial", seed)) for seed in (0, 1)),
        result(cell("half", "partial", 0)),
    ]
    drawn = chart(run, found)
    svg = reading.drawing(drawn)
    assert {"missing", "diverged", "1/2 ok"} <= {t.words for t in reading.texts(svg)}
    assert len(table(drawn)) == 1
    assert len(reading.rectangles(svg, "gap")) == 3
    assert "No colour: not every seed is ok." in drawn.note


def test_more_strategies_than_fit_beside_each_other_make_a_second_block() -> None:
    strategies = [f"strategy_{i}" for i in range(16)]
    run, found = made.whole(ALL[:2], strategies, [0])
    for sheet in reading.SHEETS:
        svg = reading.drawing(chart(run, found), sheet)
        boxes = reading.rectangles(svg, r"h\d")
        cells = [b for b in boxes if b.y1 - b.y0 > 20]
        assert len(cells) == 32
        assert min(b.x1 - b.x0 for b in cells) > 25
    rows = {b.y0 for b in reading.rectangles(reading.drawing(chart(run, found), "phone"), r"h\d")}
    assert len(rows) > 4


def test_one_score_has_no_scale() -> None:
    run, found = made.whole(["a"], ["x"], [0])
    svg = reading.drawing(chart(run, found))
    assert len(reading.rectangles(svg, r"h\d")) == 1
