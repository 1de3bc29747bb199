"""Plots draw each number once, cover no text with text, and never draw what is missing."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.axis import XTick, YTick
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.analysis.summary import summarise
from bench.record import Failure, Result, Run
from bench.report import canvas, plots
from tests import records
from tests.records import cell, failure, result, run

STEMS = ["accuracy", "accuracy-vs-train-time", "accuracy-vs-memory", "learning-curves"]
ALL = list(records.ARCHITECTURES)
STRATEGIES = list(records.STRATEGIES)


def drawn(asked: Run, found: list[Result | Failure]) -> dict[str, Figure]:
    """Every figure, laid out."""
    figures = plots.draw(asked, found, summarise(asked, found))
    with mpl.rc_context(canvas.STYLE):
        for figure in figures.values():
            figure.draw_without_rendering()
    return figures


def whole(
    architectures: list[str], strategies: list[str], seeds: list[int]
) -> tuple[Run, list[Result | Failure]]:
    """A run with every cell ok."""
    asked = run(architectures, strategies, seeds)
    return asked, [*records.drawn(asked, strategies)]


def visible_texts(artist: Artist) -> Iterator[Text]:
    """Every text that is drawn and not empty; ticks beyond the ends of an axis are not drawn."""
    if isinstance(artist, XTick | YTick):
        assert artist.axes is not None
        axis = artist.axes.xaxis if isinstance(artist, XTick) else artist.axes.yaxis
        low, high = sorted(axis.get_view_interval())
        if not low <= artist.get_loc() <= high:
            return
    if artist.get_visible():
        if isinstance(artist, Text) and artist.get_text().strip():
            yield artist
        for child in artist.get_children():
            yield from visible_texts(child)


def texts(figure: Figure) -> list[str]:
    """What is written in a figure."""
    return [text.get_text() for text in visible_texts(figure)]


@pytest.mark.parametrize(
    ("architectures", "strategies", "seeds"),
    [
        (ALL, STRATEGIES, [0, 1, 2]),
        (["resnet18"], ["feature_extraction"], [0]),
        ([*ALL, *(f"another_network_{i}" for i in range(6))], [*STRATEGIES, "tuned"], [0]),
        (["resnet18", "n" * 80], ["s" * 50, "partial"], [0, 1]),
    ],
)
def test_no_text_covers_another_or_leaves_the_page(
    architectures: list[str], strategies: list[str], seeds: list[int]
) -> None:
    for stem, figure in drawn(*whole(architectures, strategies, seeds)).items():
        boxes = [(text.get_text(), Text.get_window_extent(text)) for text in visible_texts(figure)]
        page = figure.bbox.padded(1)
        for text, box in boxes:
            assert page.count_contains(box.corners()) == 4, (stem, text)
        for (text, box), (other_text, other) in combinations(boxes, 2):
            # A pixel of overlap is the line height, which no letter fills.
            assert not box.padded(-1).overlaps(other.padded(-1)), (stem, text, other_text)


def test_the_column_of_scores_stands_clear_of_the_intervals() -> None:
    figure = drawn(*whole(ALL, STRATEGIES, [0, 1, 2]))["accuracy"]
    for ax in figure.axes:
        assert len(ax.texts) == len(ALL)
        left = min(Text.get_window_extent(text).x0 for text in ax.texts)
        assert max(line.get_window_extent().x1 for line in ax.lines) < left


def test_each_complete_row_is_one_point_at_its_mean() -> None:
    asked, found = whole(ALL, STRATEGIES, [0, 1])
    figure = drawn(asked, found)["accuracy-vs-train-time"]
    points = [xy for c in figure.axes[0].collections for xy in np.asarray(c.get_offsets()).tolist()]
    expected = []
    for row in summarise(asked, found).rows:
        mine = [
            one
            for one in found
            if isinstance(one, Result)
            and (one.cell.architecture_label, one.cell.strategy) == (row.architecture, row.strategy)
        ]
        x = sum(one.cost.attributed.train for one in mine) / 2
        expected.append([x, 100 * sum(one.quality.test.top1 for one in mine) / 2])
    assert np.array(sorted(points)) == pytest.approx(np.array(sorted(expected)))


def test_what_is_missing_or_failed_is_named_and_not_drawn() -> None:
    asked = run(["good", "lost", "bad", "half"], ["partial"], seeds=[0, 1])
    found: list[Result | Failure] = [
        *(result(cell("good", "partial", seed)) for seed in (0, 1)),
        *(failure(cell("bad", "partial", seed)) for seed in (0, 1)),
        result(cell("half", "partial", 0), test=500),
    ]
    figures = drawn(asked, found)
    assert {"missing", "diverged", "1/2 ok"} <= set(texts(figures["accuracy"]))
    for stem in STEMS[1:3]:
        assert len(figures[stem].axes[0].collections) == 1
        note = " ".join(texts(figures[stem])[0:]).replace("\n", " ")
        assert "Not shown" in note
        assert "lost · partial, bad · partial, half · partial" in note
    lines = figures["learning-curves"].axes[0].lines
    assert not any(0 in np.asarray(line.get_ydata()) for line in lines)


def test_memory_that_is_unknown_or_zero_has_no_place_on_a_log_axis() -> None:
    asked = run(["known", "unknown", "zero"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("known", "partial", 0)),
        result(cell("unknown", "partial", 0), peak_memory_bytes=None),
        result(cell("zero", "partial", 0), peak_memory_bytes=0),
    ]
    figure = drawn(asked, found)["accuracy-vs-memory"]
    assert len(figure.axes[0].collections) == 1
    assert any("unknown · partial, zero · partial" in text for text in texts(figure))
    nothing: list[Result | Failure] = [
        result(cell(name, "partial", 0), peak_memory_bytes=None)
        for name in ("known", "unknown", "zero")
    ]
    assert len(drawn(asked, nothing)["accuracy-vs-memory"].axes[0].collections) == 0


def test_reused_features_have_no_place_in_a_plot_of_costs_and_that_is_said() -> None:
    asked = run(["whole", "reused"], ["partial"])
    found = [result(cell(name, "partial", 0)) for name in ("whole", "reused")]
    figures = drawn(asked, [found[0], records.reused(found[1])])
    for stem in STEMS[1:3]:
        assert len(figures[stem].axes[0].collections) == 1
        note = " ".join(texts(figures[stem])).replace("\n", " ")
        assert "earlier run made them cheaper: reused · partial." in note
        assert "for want of" not in note
    assert "reused" in texts(figures["accuracy"])


def test_an_architecture_has_the_same_colour_in_every_plot() -> None:
    asked, found = whole(ALL[:2], STRATEGIES[:2], [0])
    figures = drawn(asked, found)
    colours = canvas.look(summarise(asked, found)).colours
    for architecture, line in zip(ALL, figures["learning-curves"].axes[0].lines, strict=False):
        assert to_hex(line.get_color()) == colours[architecture]
    for stem in STEMS[1:3]:
        faces = {
            to_hex(np.asarray(c.get_facecolor())[0]) for c in figures[stem].axes[0].collections
        }
        assert faces == set(colours.values())


def test_twelve_architectures_have_twelve_colours_and_twelve_strategies_twelve_markers() -> None:
    assert len(set(canvas.COLOURS)) == len(set(canvas.MARKERS)) == 12


def test_the_phase_change_is_marked_between_the_epochs_where_it_happens() -> None:
    figure = drawn(*whole(["resnet18"], ["two_phase"], [0]))["learning-curves"]
    assert {"head", "all"} <= set(texts(figure))
    for ax in figure.axes:
        dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
        assert [np.asarray(line.get_xdata()).tolist() for line in dashed] == [[5.5, 5.5]]


def test_every_plot_names_its_device_and_its_images() -> None:
    for figure in drawn(*whole(["resnet18"], ["partial"], [0, 1])).values():
        note = " ".join(texts(figure)).replace("\n", " ")
        assert "CPU profile · AMD EPYC, 2 cores" in note
        assert "300 train, 400 val, 1,000 test images · 2 seeds" in note


def test_of_many_rows_the_best_and_the_recommended_are_drawn_and_that_is_said() -> None:
    names, strategies = [f"n{i:02}" for i in range(14)], [f"s{i}" for i in range(9)]
    asked = run(names, strategies)
    found: list[Failure | Result] = [
        result(cell(name, strategy, 0), val=330 + i - 5 * j, train_seconds=50.0)
        for i, name in enumerate(names)
        for j, strategy in enumerate(strategies)
    ]
    # The first errs on other images than the best, so that it is tied though its val is lowest.
    found[0] = records.wrong_on_val(result(cell("n00", "s0", 0), train_seconds=1.0), slice(0, 75))
    summary = summarise(asked, found)
    assert summary.recommended is not None
    assert summary.recommended.name == "n00 · s0"
    figures = drawn(asked, found)
    assert {ax.get_title() for ax in figures["accuracy"].axes if ax.get_title()} == {
        *strategies[:8]
    }
    for figure in figures.values():
        written = set(texts(figure))
        assert {"n00", "n03", "n13"} <= written
        assert {"n01", "n02"}.isdisjoint(written)
        assert "12 of 14 architectures and 8 of 9 strategies" in " ".join(written)


def test_costs_of_another_machine_are_in_no_range() -> None:
    asked = run(["a"], ["partial"], seeds=[0, 1, 2])
    found = [
        *(result(cell("a", "partial", seed), train_seconds=10.0 + seed) for seed in (0, 1)),
        result(cell("a", "partial", 2), train_seconds=500.0, machine=records.GPU),
    ]
    figures = drawn(asked, [*found])
    for stem in STEMS[1:3]:
        (points,) = (np.asarray(c.get_offsets()) for c in figures[stem].axes[0].collections)
        assert points.tolist()[0][0] == pytest.approx({STEMS[1]: 10.5, STEMS[2]: 200.0}[stem])
        assert "of the cells on this machine" in " ".join(texts(figures[stem]))
    ends = [x for line in figures[STEMS[1]].axes[0].lines for x in np.asarray(line.get_xdata())]
    assert (min(ends), max(ends)) == (10.0, 11.0)


def test_names_that_no_font_has_are_written_as_code_points_and_nothing_warns(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    names = ["\U0003fffd", "\u202eevil\u2066", "猫", "שלום"]
    asked, found = whole(names, ["partial"], [0])
    figures = drawn(asked, found)
    for stem, figure in figures.items():
        plots.save(figure, tmp_path / stem)
        written = " ".join(texts(figure))
        assert all(name in written for name in (r"\U0003fffd", "evil", "שלום")), written
        assert "\u202e" not in written
    assert [str(one.message) for one in recwarn] == []


def test_without_an_ok_cell_there_is_nothing_to_draw() -> None:
    assert drawn(run(["a"], ["partial"]), [failure(cell("a", "partial", 0))]) == {}


def test_the_same_records_give_the_same_svg_and_hostile_names_stay_names(tmp_path: Path) -> None:
    asked, found = whole(["$x^2$", "_hidden", "<b>--&"], ["a\nb"], [0])
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        figure = drawn(asked, found)["accuracy"]
        plots.save(figure, folder / "accuracy")
        png, svg = plots.paths(folder / "accuracy")
        assert png.read_bytes().startswith(b"\x89PNG")
        written.append(svg.read_bytes())
    assert written[0] == written[1]
    ElementTree.fromstring(written[0])
    for stem in ("accuracy", "learning-curves"):
        figure = drawn(asked, found)[stem]
        assert {"$x^2$", "_hidden", "<b>--&", "a b"} <= set(texts(figure))
        assert not any(text.get_parse_math() for text in visible_texts(figure))
