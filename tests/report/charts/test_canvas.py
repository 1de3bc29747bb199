"""Labels are moved apart as little as possible, notes cover nothing, and axes have round values."""

import random
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import ImageFont
from sklearn.isotonic import IsotonicRegression

from bench.report.charts import canvas
from bench.report.charts.canvas import FAR, NEAR, Box
from bench.report.charts.figure import SMALL, STYLE
from bench.report.text import plain


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
        assert canvas.spread_out(wanted, 13, -1000, 1000) == pytest.approx(expected)


def test_labels_keep_their_gap_and_their_order_inside_the_limits() -> None:
    places = canvas.spread_out([90, 91, 99, 2], 10, 0, 100)
    assert places[3] < places[0] < places[1] < places[2]
    assert np.diff(sorted(places)).min() >= 10 - 1e-9
    assert min(places) >= 0
    assert max(places) <= 100
    assert canvas.spread_out([5.0], 10, 0, 100) == [5.0]
    assert canvas.spread_out([], 10, 0, 100) == []


def test_a_note_covers_nothing_that_is_taken() -> None:
    draw = random.Random(3)
    inside, found = Box(0, 0, 400, 300), 0
    for _ in range(100):
        corners = [(draw.uniform(0, 390), draw.uniform(0, 290)) for _ in range(25)]
        taken = [Box(x, y, x + 10, y + 10) for x, y in corners]
        at = (draw.uniform(50, 350), draw.uniform(50, 250))
        note = canvas.place(at, [("resnet18", {}), ("partial", {})], taken, inside, FAR)
        if note is not None:
            found += 1
            assert note.box.inside(inside)
            assert not any(note.box.overlaps(box) for box in taken)
    assert found > 50


def test_a_note_is_near_has_a_line_to_its_point_or_is_not_there() -> None:
    at, page = (50.0, 50.0), Box(0, 0, 100, 100)
    near = canvas.place(at, [("1", {})], [], page, NEAR)
    assert near is not None
    assert near.leader is None
    further = canvas.place(at, [("1", {})], [Box(30, 30, 70, 70)], page, FAR)
    assert further is not None
    assert further.leader is not None
    assert canvas.place(at, [("a long name of a network", {})], [], page, FAR) is None
    assert canvas.place(at, [("1", {})], [Box(0, 0, 100, 100)], page, FAR) is None


def test_limits_of_percent_are_never_narrower_than_four_nor_beyond_the_scale() -> None:
    draw = random.Random(4)
    for _ in range(200):
        values = [draw.uniform(0, 100) for _ in range(draw.randint(1, 4))]
        low, high = canvas.percent_limits(values)
        assert 0 <= low <= min(values) <= max(values) <= high <= 100
        assert high - low >= 4 - 1e-9


def log_axes(low: float, high: float, width: float = 640.0) -> Axes:
    figure = canvas.blank(width, 100)
    return canvas.axes(figure, Box(0, 10, width, 80), (low, high), (0, 1), log=True)


def marked(ax: Axes) -> dict[str, float]:
    return dict(zip([t.get_text() for t in ax.get_xticklabels()], ax.get_xticks(), strict=True))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (2e-4, 2e-3, {"500 µs": 5e-4, "1 ms": 1e-3}),
        (0.4, 150, {"1 s": 1, "10 s": 10, "1 min": 60, "2 min": 120}),
        (1000, 60000, {"1 h": 3600, "10 h": 36000}),
        (100000, 2e7, {"5 d": 5 * 86400, "10 d": 864000, "100 d": 8640000}),
    ],
)
def test_times_are_marked_as_people_say_them(
    low: float, high: float, expected: dict[str, float]
) -> None:
    ax = log_axes(low, high)
    canvas.mark_times(ax)
    found = marked(ax)
    assert expected.items() <= found.items()
    assert all(low <= value <= high for value in found.values())


def test_memory_is_marked_in_powers_of_two_and_where_there_is_no_room_by_rank() -> None:
    ax = log_axes(300 * 2**10, 3 * 2**40, 300)
    canvas.mark_bytes(ax)
    found = marked(ax)
    assert {"1 MiB": 2**20, "1 GiB": 2**30, "1 TiB": 2**40}.items() <= found.items()
    places = sorted(
        (canvas.pixel(ax, value, 0)[0], canvas.text_width(words, SMALL))
        for words, value in found.items()
    )
    for (x, wide), (after, other) in pairwise(places):
        assert x + wide / 2 < after - other / 2


# ---- widths of text -------------------------------------------------------------------------


@pytest.mark.parametrize("bold", [False, True])
def test_widths_are_those_of_the_font(bold: bool) -> None:
    path = f"{mpl.get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"
    font = ImageFont.truetype(path, 1000)
    for text in ("mobilenet_v3_small", "größe – ±½…", "Ελληνικά"):
        true = sum(font.getlength(letter) for letter in text) * 12 / 1000
        assert canvas.text_width(text, 12, bold=bold) == pytest.approx(true, abs=0.05)
    assert canvas.text_width("猫") == 12


def test_a_name_is_cut_in_the_middle_to_its_room() -> None:
    name = "a_very_long_name_of_an_architecture_v1"
    for room in (40.0, 90.0, 150.0):
        short = canvas.shorten(name, room)
        assert canvas.text_width(short) <= room
        assert "…" in short
        head, tail = short.split("…")
        assert name.startswith(head)
        assert name.endswith(tail)
    assert canvas.shorten(name, canvas.text_width(name)) == name


def test_names_on_a_line_share_its_room() -> None:
    line = plain(canvas.joined(["שלום", "z" * 90], " · ", 200))
    assert line.startswith("שלום · zzz")
    assert canvas.text_width(line) <= 200


def test_text_is_broken_where_it_may_be() -> None:
    assert canvas.wrap("fine_tuning_slowly", 60, 11) == ["fine_", "tuning_", "slowly"]
    assert canvas.wrap("one two", 500, 11, " ") == ["one two"]
    assert all(canvas.text_width(line) <= 50 for line in canvas.wrap("x" * 40, 50))


def test_counts_have_at_most_four_letters() -> None:
    counts = (7, 812, 999, 1000, 1249, 34_567, 999_999, 5_600_000)
    shown = [canvas.compact(count) for count in counts]
    assert shown == ["7", "812", "999", "1.0k", "1.2k", "35k", "1.0M", "5.6M"]


def test_the_style_is_one_that_matplotlib_knows() -> None:
    with mpl.rc_context(STYLE):
        assert mpl.rcParams["svg.fonttype"] == "none"
