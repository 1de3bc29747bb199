"""Scores: every number in its place, the best of each row and column marked."""

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from scipy.stats import binomtest

from bench.record import Failure, Result, Run
from bench.report.charts import choice
from bench.report.charts.figure import DESK, HEAT, INK, PHONE, SERIES
from tests import records
from tests.records import cell, failure, result
from tests.report.charts import made, reading
from tests.report.charts.made import ALL, STRATEGIES, Records


def heat_map(run: Run, found: Records, width: float = DESK) -> Figure:
    chart = choice.heat_map(*made.read(run, found))
    assert chart is not None
    return reading.figure(chart, width)


def accuracy(run: Run, found: Records, width: float = DESK) -> Figure:
    chart = choice.accuracy(*made.read(run, found))
    assert chart is not None
    return reading.figure(chart, width)


def scores_of(figure: Figure) -> dict[str, float]:
    """The number of each cell with a colour."""
    said = [words.partition(": ") for words, _ in reading.told(figure)]
    return {name: float(value) for name, _, value in said if value.replace(".", "").isdigit()}


# ---- heat map -------------------------------------------------------------------------------


def test_every_number_and_its_colour_belong_to_a_row_and_a_column() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0, 1])
    figure = heat_map(run, found)
    written = reading.words(figure)
    for name, value in scores_of(figure).items():
        architecture, strategy = name.split(" · ")
        mine = [
            one.quality.val.top1
            for one in found
            if (one.cell.architecture_label, one.cell.strategy) == (architecture, strategy)
        ]
        assert value == pytest.approx(100 * sum(mine) / 2, abs=0.0501)
        assert f"{value:.1f}" in written
        box = reading.boxes(figure)[name]
        middle = (box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2)
        assert middle == pytest.approx((STRATEGIES.index(strategy), ALL.index(architecture)))
    assert len(scores_of(figure)) == len(ALL) * len(STRATEGIES)


def test_colour_follows_the_score() -> None:
    figure = heat_map(*made.whole(ALL, STRATEGIES, [0]))
    scores = scores_of(figure)
    fills = [(name, reading.filled(box)) for name, box in boxes_of(figure)]
    steps = [(scores[name], HEAT.index(fill)) for name, fill in fills if fill in HEAT]
    assert [step for _, step in sorted(steps)] == sorted(step for _, step in steps)
    assert {0, 6} <= {step for _, step in steps}


def boxes_of(figure: Figure) -> list[tuple[str, Rectangle]]:
    found = reading.told(figure, Rectangle)
    return [(reading.subject(words), box) for words, box in found if isinstance(box, Rectangle)]


def test_the_best_of_each_row_and_column_carries_its_mark() -> None:
    run, found = made.whole(["a", "b"], ["x", "y"], [0])
    scores = {("a", "x"): 300, ("a", "y"): 320, ("b", "x"): 310, ("b", "y"): 305}
    found = [result(r.cell, val=scores[r.cell.architecture_label, r.cell.strategy]) for r in found]
    corners = [np.asarray(flag.get_xy())[0] for flag in heat_map(run, found).findobj(Polygon)]
    marked = {("row" if x % 1 > 0.5 else "column", round(x), round(y)) for x, y in corners}
    # Column and row of the cell: a · y and b · x are the best of both.
    assert marked == {("row", 1, 0), ("column", 1, 0), ("row", 0, 1), ("column", 0, 1)}


def test_the_recommended_cell_is_framed_and_the_tied_are_underlined() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0, 1, 2])
    summary = made.read(run, found)[1]
    figure = heat_map(run, found)
    assert sum(len(ax.get_lines()) for ax in figure.axes) == len(summary.tied)
    frames = {name for name, box in boxes_of(figure) if reading.filled(box) == "none"}
    assert summary.recommended is not None
    assert frames == {summary.recommended.name}


def test_a_cell_without_all_seeds_has_a_reason_and_no_colour() -> None:
    run = records.run(["good", "lost", "bad", "half"], ["partial"], [0, 1])
    found: list[Result | Failure] = [
        *(result(cell("good", "partial", seed)) for seed in (0, 1)),
        *(failure(cell("bad", "partial", seed)) for seed in (0, 1)),
        result(cell("half", "partial", 0)),
    ]
    for figure in (heat_map(run, found), accuracy(run, found)):
        assert {"missing", "diverged", "1/2 ok"} <= set(reading.words(figure))
    fills = [reading.filled(box) for box in reading.boxes(heat_map(run, found)).values()]
    assert sum(fill in HEAT for fill in fills) <= 1


def test_more_strategies_than_fit_beside_each_other_make_a_second_block() -> None:
    run, found = made.whole(ALL[:2], [f"strategy_{i}" for i in range(16)], [0])
    for width, blocks in ((DESK, 1), (PHONE, 2)):
        figure = heat_map(run, found, width)
        tables = [ax for ax in figure.axes if ax.get_ylim() == (1.5, -0.5)]
        assert len(tables) >= blocks
        assert len(scores_of(figure)) == 32
        assert min(ax.bbox.width / (ax.get_xlim()[1] + 0.5) for ax in tables[:blocks]) > 25


def test_of_many_rows_the_recommended_is_drawn_whatever_its_score() -> None:
    names = [f"n{i:02}" for i in range(42)]
    run = records.run(names, ["s"], [0, 1], margin=0.1)
    found = [
        result(cell(name, "s", seed), val=330 + i // 4, train_seconds=1.0 if i < 1 else 50.0)
        for i, name in enumerate(names)
        for seed in (0, 1)
    ]
    summary = made.read(run, found)[1]
    assert summary.recommended is not None
    assert summary.recommended.architecture == "n00"
    written = set(reading.words(heat_map(run, found)))
    assert {"n00", "n41", "n04"} <= written
    assert len(written & {"n01", "n02", "n03"}) == 1


# ---- test scores ----------------------------------------------------------------------------


def seeds_of(figure: Figure) -> list[Sequence[float]]:
    """The dots of each row without a tip."""
    lines = [line for ax in figure.axes for line in ax.get_lines() if not line.get_gid()]
    return [reading.data(line)[0].tolist() for line in lines]


@pytest.mark.parametrize("width", reading.WIDTHS)
def test_a_row_shows_its_seeds_its_mean_and_wilson_s_interval(width: float) -> None:
    run = records.run(["a"], ["partial"], [0, 1])
    found = [
        result(cell("a", "partial", seed), test=score) for seed, score in enumerate((800, 900))
    ]
    figure = accuracy(run, found, width)
    (interval, mean) = reading.lines(figure, "a · partial")
    expected = binomtest(850, 1000).proportion_ci(method="wilson")
    assert interval[0] == pytest.approx([100 * expected.low, 100 * expected.high], abs=0.01)
    assert mean[0] == pytest.approx([85, 85])
    assert seeds_of(figure) == [pytest.approx([80, 90])]
    assert "85.0" in reading.words(figure)


def test_one_seed_has_no_dot_of_its_own_and_colours_are_those_of_the_architectures() -> None:
    figure = accuracy(*made.whole(ALL[:2], STRATEGIES[:1], [0]))
    assert seeds_of(figure) == []
    lines = [line for ax in figure.axes for line in ax.get_lines()]
    assert {line.get_color() for line in lines} == set(SERIES[:2])


def test_the_leader_on_val_is_bold() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0])
    leader = made.read(run, found)[1].leader
    bold = [
        words
        for words, text in reading.told(accuracy(run, found))
        if getattr(text, "get_fontweight", str)() == "bold"
    ]
    assert leader is not None
    assert [reading.subject(words) for words in bold] == [leader.name]
    assert INK in {t.get_color() for t in reading.visible_texts(accuracy(run, found))}
