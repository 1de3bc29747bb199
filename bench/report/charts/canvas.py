"""Axes and text placed in pixels, widths of text, and labels that cover nothing.

Pixels count from the upper left corner of a figure, downwards, so that its height may be settled
last. Widths are those of DejaVu Sans, which comes with matplotlib and is wider than the fonts of
most screens: what fits by it fits everywhere.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D, Affine2DBase, ScaledTranslation, Transform
from scipy.optimize import isotonic_regression

from bench.report.charts.figure import (
    FAMILY,
    HEAT,
    MARKERS,
    MUTED,
    ON_HEAT,
    PAPER,
    SMALL,
    TEXT,
    told,
)
from bench.report.text import CLOSE, OPEN, printable

Place = tuple[float, float]

LINE = 1.2  # distance between two baselines, in text sizes


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def inside(self, other: "Box") -> bool:
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


def blank(width: float, height: float = 100.0) -> Figure:
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def only_words(width: float, words: str) -> Figure:
    figure = blank(width, 30)
    write(figure, 4, 18, words, color=MUTED)
    return figure


def resize(figure: Figure, height: float) -> Figure:
    """The figure at another height, everything at its distance from the upper edge."""
    ratio = figure.bbox.height / height
    figure.set_size_inches(figure.get_figwidth(), height / 72)
    for ax in figure.axes:
        left, low, wide, high = ax.get_position().bounds
        ax.set_position((left, 1 - (1 - low) * ratio, wide, high * ratio))
    return figure


def axes(figure: Figure, box: Box, x: Place, y: Place, *, log: bool = False) -> Axes:
    """Axes with a grid in a box, between these limits."""
    wide, high = figure.bbox.size
    left, top, right, bottom = box
    ax = figure.add_axes(
        (left / wide, 1 - bottom / high, (right - left) / wide, (bottom - top) / high)
    )
    ax.set_xscale("log" if log else "linear")
    ax.set_xlim(*x)
    ax.set_ylim(*y)
    return ax


def pixels(figure: Figure) -> Transform:
    """Pixels from the upper left corner of the figure, downwards, whatever its height."""
    corner = ScaledTranslation(0, 1, cast(Affine2DBase, figure.transFigure))
    return Affine2D().scale(1 / 72, -1 / 72) + figure.dpi_scale_trans + corner


def pixel(ax: Axes, x: float, y: float) -> Place:
    across, up = ax.transData.transform((x, y))
    return float(across), float(ax.figure.bbox.height - up)  # at 72 dpi


def ticks(count: int, *, whole: bool = False) -> MaxNLocator:
    return MaxNLocator(nbins=count, steps=[1, 2, 2.5, 5, 10], integer=whole, min_n_ticks=1)


def percent_limits(values: Sequence[float]) -> Place:
    """Limits of an axis in percent around values, never narrower than 4 nor beyond 0..100."""
    low, high = min(values), max(values)
    around = max(0.06 * (high - low), (4 - (high - low)) / 2, 0.5)
    low, high = max(0.0, low - around), min(100.0, high + around)
    return (low, high) if high - low >= 4 else (max(0.0, min(low, 96.0)), min(100.0, low + 4))


def log_limits(values: Sequence[float]) -> Place:
    """Limits of a log axis around positive values, never narrower than a factor of eight."""
    low, high = min(values) / 1.35, max(values) * 1.35
    widen = max(1.0, math.sqrt(8 * low / high))
    return low / widen, high * widen


def line(figure: Figure, points: Sequence[Place], words: str = "", **looks: Any) -> None:
    x, y = zip(*points, strict=True)
    drawn = Line2D(x, y, transform=pixels(figure), **({"linewidth": 1.0} | looks))
    told(drawn, words)
    figure.add_artist(drawn)


def dot(
    figure: Figure, at: Place, colour: str, *, shape: int = 0, size: float = 1.0, words: str = ""
) -> None:
    line(figure, [at], words, **look(colour, shape, size))


def plot(ax: Axes, x: Any, y: Any, words: str = "", **looks: Any) -> None:
    """A line or marks at these data, thin unless the looks say otherwise."""
    (drawn,) = ax.plot(x, y, **({"linewidth": 1.25} | looks))
    told(drawn, words)


def look(colour: str, shape: int = 0, size: float = 1.0, *, hollow: bool = False) -> dict[str, Any]:
    marker, standard = MARKERS[shape % len(MARKERS)]
    fill, edge = (PAPER, colour) if hollow else (colour, PAPER)
    return {
        "linestyle": "none", "marker": marker, "markersize": size * standard,
        "markerfacecolor": fill, "markeredgecolor": edge,
        "markeredgewidth": 1.25 if hollow else size, "clip_on": False,
    }  # fmt: skip


def write(
    figure: Figure, x: float, y: float, words: str, *, full: str = "", halo: bool = False,
    **looks: Any,
) -> None:  # fmt: skip
    """Text with its baseline at y; `full` is told, `halo` keeps lines behind it away."""
    ground: Any = {"facecolor": PAPER, "edgecolor": "none", "pad": 1, "alpha": 0.8}
    place: Any = {"transform": pixels(figure), "rotation_mode": "anchor"}
    drawn = figure.text(x, y, words, bbox=ground if halo else None, **place, **looks)
    told(drawn, full if full != words else "")


def name(figure: Figure, x: float, y: float, words: str, room: float, **looks: Any) -> None:
    full = printable(words)
    size, bold = looks.get("fontsize", SMALL), looks.get("fontweight") == "bold"
    write(figure, x, y, shorten(full, room, size, bold=bold), full=full, **looks)


def middle(y: float, size: float = TEXT) -> float:
    """The baseline of text whose small letters and digits are centred on y."""
    return y + 0.36 * size


def table(figure: Figure, box: Box, num_rows: int, num_columns: int) -> Axes:
    """Axes where a cell is a unit, the first row on top."""
    ax = axes(figure, box, (-0.5, num_columns - 0.5), (num_rows - 0.5, -0.5))
    ax.set_axis_off()
    return ax


def fill(ax: Axes, at: tuple[int, int], hair: float, words: str = "", **looks: Any) -> None:
    """Fill a cell but for a hair of paper around it, as a share of its sides."""
    (x, y), side = at, 1 - 2 * hair
    drawn = Rectangle((x - side / 2, y - side / 2), side, side, **looks)
    told(drawn, words)
    ax.add_artist(drawn)


def heat(value: float, low: float, high: float) -> tuple[str, str]:
    """The colour of a value between these limits, and of the ink on it."""
    share = (value - low) / (high - low) if high > low else 0.5
    step = min(len(HEAT) - 1, max(0, int(len(HEAT) * share)))
    return HEAT[step], ON_HEAT[step]


def column_names(
    figure: Figure, names: Sequence[str], left: float, wide: float, top: float
) -> float:
    """Names above their columns, broken into lines where that fits, else turned; where they end."""
    wrapped = [wrap(printable(name), wide - 6, SMALL) for name in names]
    middles = [left + wide * (j + 0.5) for j in range(len(names))]
    if all(len(lines) <= 3 and "…" not in "".join(lines) for lines in wrapped):
        bottom = top + SMALL * LINE * max(map(len, wrapped))
        for x, lines in zip(middles, wrapped, strict=True):
            for i, words in enumerate(reversed(lines)):
                write(figure, x, bottom - SMALL * LINE * i - 3, words, ha="center")
        return bottom
    bottom = top + min(110.0, longest(names, SMALL)) + 4
    for x, words in zip(middles, names, strict=True):
        name(figure, x + 4, bottom, words, 110, rotation=90)
    return bottom


def text_width(text: str, size: float = TEXT, *, bold: bool = False) -> float:
    """Width of one line of text, in the unit of `size`."""
    return size * sum(_advance(letter, bold) for letter in text)


@cache
def _advance(letter: str, bold: bool) -> float:
    weight = "bold" if bold else "normal"
    font = get_font(findfont(FontProperties(family=FAMILY, weight=weight)))
    if font.get_char_index(ord(letter)):
        glyph = font.load_char(ord(letter), LoadFlags.NO_SCALE)
        return float(glyph.horiAdvance / font.units_per_EM)
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0.0
    # Wide letters fill their square; 1.1 is nearly the widest letter of DejaVu.
    return 1.0 if unicodedata.east_asian_width(letter) in "WF" else 1.1


def longest(names: Iterable[str], size: float = TEXT) -> float:
    return max(text_width(printable(name), size) for name in names)


def shorten(name: str, room: float, size: float = TEXT, *, bold: bool = False) -> str:
    """The name, cut in the middle where it does not fit: names often differ at one end only."""
    room += 1e-6  # the room may be the name's own width, summed in another order
    if text_width(name, size, bold=bold) <= room:
        return name
    room -= text_width("…", size, bold=bold)
    head = _fitting(name, 0.6 * room, size, bold)
    rest = name[len(head) :][::-1]
    tail = _fitting(rest, room - text_width(head, size, bold=bold), size, bold)[::-1]
    return f"{head.rstrip()}…{tail.lstrip()}"


def _fitting(name: str, room: float, size: float, bold: bool) -> str:
    for kept, letter in enumerate(name):
        room -= size * _advance(letter, bold)
        if room < 0:
            return name[:kept]
    return name


def joined(
    names: Sequence[str], joint: str, room: float, size: float = TEXT, *, bold: bool = False
) -> str:
    """The names on one line: what the short ones leave of the room, the long ones share."""
    parts = [printable(name) for name in names]
    widths = [text_width(part, size, bold=bold) for part in parts]
    left = room - text_width(joint, size, bold=bold) * (len(parts) - 1)
    shortest_first = sorted(range(len(parts)), key=lambda i: widths[i])
    for place, i in enumerate(shortest_first):
        share = left / (len(parts) - place)
        parts[i] = shorten(parts[i], share, size, bold=bold)
        left -= min(widths[i], share)
    return joint.join(map(isolated, parts))


def wrap(text: str, room: float, size: float = TEXT, breaks: str = "_ -") -> list[str]:
    """The text on as few lines as it needs, broken after any of `breaks`."""
    lines = [""]
    for piece in re.split(f"(?<=[{breaks}])", text):
        if not lines[-1] or text_width((lines[-1] + piece).rstrip(), size) <= room:
            lines[-1] += piece
        else:
            lines.append(piece)
    return [shorten(line.rstrip(), room, size) for line in lines]


def compact(count: int) -> str:
    """A count in at most four letters: `812`, `1.2k`, `34k`, `5.6M`."""
    for unit, symbol in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * unit:
            value = count / unit
            return f"{value:.1f}{symbol}" if value < 9.95 else f"{value:.0f}{symbol}"
    return str(count)


def isolated(name: str) -> str:
    """A name that keeps its direction: two Hebrew names around an arrow would change places."""
    turned = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)
    return f"{OPEN}{name}{CLOSE}" if turned else name


DECADES = tuple(step * 10**power for power in range(6) for step in (1, 2, 5))
SIXTIES = (1, 2, 5, 10, 20, 30)
TIMES = (
    *(("µs", 1e-6, DECADES[:9]), ("ms", 1e-3, DECADES[:9]), ("s", 1.0, SIXTIES)),
    *(("min", 60.0, SIXTIES), ("h", 3600.0, (1, 2, 5, 10, 20, 48)), ("d", 86400.0, DECADES[2:])),
)
"""Units of time, in seconds, and how many of each are round values."""

# By first digit, which values go where there is no room for all: the highest first.
RANKS = {"1": 0, "3": 1, "4": 1, "5": 1, "2": 2}


def mark_times(ax: Axes) -> None:
    _mark(ax, [(n * unit, f"{n:,} {symbol}", RANKS[str(n)[0]])
               for symbol, unit, counts in TIMES for n in counts])  # fmt: skip


def mark_bytes(ax: Axes) -> None:
    found = []
    for power in range(60):
        unit = power // 10
        words = f"{2 ** (power - 10 * unit)} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[unit]}"
        found.append((2.0**power, words, 1 + power % 2 if power % 10 else 0))
    _mark(ax, found)


def _mark(ax: Axes, values: Sequence[tuple[float, str, int]]) -> None:
    """Mark as many of the values as have room, those of the lowest rank first."""
    low, high = ax.get_xlim()
    taken: list[Place] = []
    words = {}
    for value, shown, _ in sorted(values, key=lambda one: one[2]):
        x, half = pixel(ax, value, ax.get_ylim()[0])[0], text_width(shown, SMALL) / 2 + 4
        free = not any(x - half < right and left < x + half for left, right in taken)
        if low <= value <= high and free:
            taken.append((x - half, x + half))
            words[value] = shown
    ax.set_xticks([*words], [*words.values()])
    ax.minorticks_off()


def spread_out(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least `gap` apart, in the order of the wanted ones and as near to them as can be.

    They stay within low..high where there is room. As near as can be: by least squares.
    """
    order = np.argsort(wanted, kind="stable")
    moved = gap * np.arange(len(wanted))
    starts = isotonic_regression(np.asarray(wanted)[order] - moved).x
    found = np.empty(len(wanted))
    found[order] = np.maximum(low, np.minimum(starts, high - gap * (len(wanted) - 1))) + moved
    return [float(place) for place in found]


Lines = Sequence[tuple[str, Mapping[str, Any]]]
"""The lines of a label, each with how it looks."""


class Label(NamedTuple):
    """Where lines stand beside their point; `leader`: the end of a line to it, if it is far."""

    box: Box
    x: float
    ha: str
    leader: Place | None


# Directions from a point to its label as they are tried: first away from what a front bounds.
SIDES = ((-0.8, -0.8), (-1, 0), (0, -1), (0.8, 0.8), (1, 0), (0, 1), (0.8, -0.8), (-0.8, 0.8))
NEAR, FAR = (10.0,), (10.0, 22.0, 36.0, 52.0)  # distances, in the order in which they are tried


def place(
    at: Place, lines: Lines, taken: Sequence[Box], inside: Box, distances: Sequence[float]
) -> Label | None:
    high = SMALL * LINE * len(lines)
    wide = max(text_width(words, SMALL, bold="fontweight" in looks) for words, looks in lines)
    for distance, (right, down) in product(distances, SIDES):
        x, y = at[0] + distance * right, at[1] + distance * down
        left, top = x - wide * (1 - np.sign(right)) / 2, y - high * (1 - np.sign(down)) / 2
        box = Box(left, top, left + wide, top + high)
        leader = (x, y) if distance > NEAR[0] else None
        free = box.inside(inside) and not any(box.overlaps(other) for other in taken)
        if free and (leader is None or not _crosses(at, leader, taken)):
            return Label(box, x, {-1: "right", 0: "center", 1: "left"}[np.sign(right)], leader)
    return None


def _crosses(start: Place, end: Place, taken: Iterable[Box]) -> bool:
    """Whether a leader passes over a box other than those in which it starts."""
    samples = np.linspace(start, end, 13)[1:-1]
    others = [box for box in taken if not Box(*start, *start).inside(box)]
    return any(b.left < x < b.right and b.top < y < b.bottom for b in others for x, y in samples)


def annotate(figure: Figure, at: Place, label: Label, lines: Lines) -> None:
    if label.leader:
        line(figure, [at, label.leader], color=MUTED, linewidth=0.75)
    for i, (words, looks) in enumerate(lines):
        y = label.box.top + SMALL * (0.95 + LINE * i)
        write(figure, label.x, y, words, ha=label.ha, halo=True, **looks)
