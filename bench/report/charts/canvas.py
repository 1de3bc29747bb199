"""Axes and text placed in pixels, round values on log axes, and labels that cover nothing.

Pixels count from the upper left corner of a figure, downwards, so that its height may be settled
last.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bench.report.charts import lettering
from bench.report.charts.figure import INK, MARKERS, MUTED, PAPER, pixels, told
from bench.report.charts.lettering import LINE, SMALL, TEXT
from bench.report.text import printable

Place = tuple[float, float]


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

    def grown(self, by: float) -> "Box":
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)


# ---- figures and axes -----------------------------------------------------------------------


def blank(width: float, height: float) -> Figure:
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def resize(figure: Figure, height: float) -> Figure:
    """The figure at another height, everything at its distance from the upper edge."""
    ratio = 72 * figure.get_figheight() / height
    figure.set_size_inches(figure.get_figwidth(), height / 72)
    for ax in figure.axes:
        left, low, wide, high = ax.get_position().bounds
        ax.set_position((left, 1 - (1 - low) * ratio, wide, high * ratio))
    return figure


def axes(figure: Figure, box: Box, x: Place, y: Place, *, log: bool = False) -> Axes:
    """Axes in a box between these limits, with a grid but no more than `nbins` ticks."""
    ax = figure.add_axes(_share(figure, box))
    ax.set_xscale("log" if log else "linear")
    ax.set_xlim(*x)
    ax.set_ylim(*y)
    return ax


def _share(figure: Figure, box: Box) -> tuple[float, float, float, float]:
    wide, high = 72 * figure.get_figwidth(), 72 * figure.get_figheight()
    left, top, right, bottom = box
    return left / wide, 1 - bottom / high, (right - left) / wide, (bottom - top) / high


def pixel(ax: Axes, x: float, y: float) -> Place:
    figure = ax.get_figure(root=True)
    assert figure is not None
    across, up = ax.transData.transform((x, y))
    return float(across), float(72 * figure.get_figheight() - up)


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


# ---- marks and text -------------------------------------------------------------------------


def line(
    figure: Figure, points: Sequence[Place], colour: str, width: float = 1.0, **looks: Any
) -> None:
    x, y = zip(*points, strict=True)
    drawn = Line2D(x, y, color=colour, linewidth=width, transform=pixels(figure), **looks)
    figure.add_artist(drawn)


def dot(
    figure: Figure, at: Place, colour: str, *, shape: int = 0, size: float = 1.0, words: str = ""
) -> None:
    drawn = Line2D(
        [at[0]], [at[1]], linestyle="none", transform=pixels(figure), **look(colour, shape, size)
    )
    told(drawn, words)
    figure.add_artist(drawn)


def look(colour: str, shape: int = 0, size: float = 1.0, *, hollow: bool = False) -> dict[str, Any]:
    marker, standard = MARKERS[shape % len(MARKERS)]
    fill, edge = (PAPER, colour) if hollow else (colour, PAPER)
    return {
        "marker": marker, "markersize": size * standard, "markerfacecolor": fill,
        "markeredgecolor": edge, "markeredgewidth": 1.25 if hollow else size, "clip_on": False,
    }  # fmt: skip


def write(figure: Figure, x: float, y: float, words: str, **looks: Any) -> None:
    """Text with its baseline at y; `full` is told, `halo` keeps lines behind it away."""
    full, halo = looks.pop("full", ""), looks.pop("halo", False)
    ground = {"facecolor": PAPER, "edgecolor": "none", "pad": 1, "alpha": 0.8}
    drawn = figure.text(
        x, y, words, transform=pixels(figure), va="baseline", rotation_mode="anchor",
        **{"color": INK, "fontsize": SMALL, **looks}, bbox=ground if halo else None,
    )  # fmt: skip
    told(drawn, full if full != words else "")


def name(figure: Figure, x: float, y: float, words: str, room: float, **looks: Any) -> None:
    full = printable(words)
    size, bold = looks.get("fontsize", SMALL), looks.get("fontweight") == "bold"
    write(figure, x, y, lettering.shorten(full, room, size, bold=bold), full=full, **looks)


def middle(y: float, size: float = TEXT) -> float:
    """The baseline of text whose small letters and digits are centred on y."""
    return y + 0.36 * size


def places(widths: Iterable[float], start: Place, right: float, step: float) -> Iterator[Place]:
    """Places of things one after the other, on as many lines as they need."""
    x, y = start
    for wide in widths:
        if x + wide > right and x > start[0]:
            x, y = start[0], y + step
        yield x, y
        x += wide


# ---- round values on log axes ---------------------------------------------------------------

_STEPS = ((1, 0), (2, 2), (5, 1), (10, 0), (20, 2), (30, 1))
"""Round numbers, and which of them go where there is no room for all: the highest first."""


def mark_times(ax: Axes) -> None:
    ranks = {v * 10.0**d: rank for d in range(-6, 1) for v, rank in _STEPS[:3]}
    ranks |= {10.0: 0, 20.0: 2, 30.0: 1}
    ranks |= {60.0 * v: rank for v, rank in _STEPS}
    ranks |= {3600.0 * v: rank for v, rank in (*_STEPS[:5], (48, 1))}
    ranks |= {86400.0 * v * 10**d: r for d in range(6) for v, r in _STEPS[:3] if v * 10**d > 2}
    _mark(ax, [(value, _time(value), rank) for value, rank in ranks.items()])


def _time(seconds: float) -> str:
    for unit, symbol, least in ((86400, "d", 3), (3600, "h", 1), (60, "min", 1), (1, "s", 1)):
        if seconds >= least * unit:
            return f"{seconds / unit:,g} {symbol}"
    return f"{seconds * 1e3:g} ms" if seconds >= 0.9e-3 else f"{seconds * 1e6:g} µs"


def mark_bytes(ax: Axes) -> None:
    _mark(ax, [(2.0**p, _bytes(p), 1 + p % 2 if p % 10 else 0) for p in range(60)])


def _bytes(power: int) -> str:
    unit = min(power // 10, 5)
    return f"{2 ** (power - 10 * unit):,} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[unit]}"


def _mark(ax: Axes, found: Sequence[tuple[float, str, int]]) -> None:
    low, high = ax.get_xlim()
    inside = [one for one in found if low <= one[0] <= high]
    taken: list[Place] = []
    words = {}
    for value, shown, _ in sorted(inside, key=lambda one: one[2]):
        x, half = pixel(ax, value, ax.get_ylim()[0])[0], lettering.width(shown, SMALL) / 2 + 4
        if not any(x - half < right and left < x + half for left, right in taken):
            taken.append((x - half, x + half))
            words[value] = shown
    ax.set_xticks([*words], [*words.values()])
    ax.minorticks_off()


# ---- labels that cover nothing --------------------------------------------------------------


def spread_out(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least `gap` apart, in the order of the wanted ones and as near to them as can be.

    They stay within low..high where there is room. Least squares: neighbours that would be too
    close form a block around their common mean (pool adjacent violators).
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, int]] = []  # sum of wanted starts, number of labels
    for at, i in enumerate(order):
        total, count = wanted[i] - at * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    starts = [total / count for total, count in blocks for _ in range(count)]
    last = high - (len(wanted) - 1) * gap
    found = [0.0] * len(wanted)
    for at, i in enumerate(order):
        found[i] = max(low, min(starts[at], last)) + at * gap
    return found


class Words(NamedTuple):
    """One line of a label: its text, and how it looks."""

    words: str
    looks: Mapping[str, Any] = MappingProxyType({})

    @property
    def width(self) -> float:
        return lettering.width(self.words, SMALL, bold=self.looks.get("fontweight") == "bold")


class Note(NamedTuple):
    """Where a label stands beside its point; `leader`: the end of a line to it, if it is far."""

    box: Box
    x: float
    ha: str
    leader: Place | None


SIDES = ((-0.8, -0.8), (-1, 0), (0, -1), (0.8, 0.8), (1, 0), (0, 1), (0.8, -0.8), (-0.8, 0.8))
"""Directions from a point to its label as they are tried: first away from what a front bounds."""

NEAR, FAR = (10.0,), (10.0, 22.0, 36.0, 52.0)
"""Distances from a point to its label, in the same order."""


def place(
    at: Place, lines: Sequence[Words], taken: Sequence[Box], inside: Box, distances: Sequence[float]
) -> Note | None:
    for distance, (right, down) in product(distances, SIDES):
        note = _beside(at, lines, distance, right, down)
        free = note.box.inside(inside) and not any(note.box.overlaps(box) for box in taken)
        if free and (note.leader is None or not _crosses(at, note.leader, taken)):
            return note
    return None


def _beside(at: Place, lines: Sequence[Words], distance: float, right: float, down: float) -> Note:
    wide, high = max(one.width for one in lines), SMALL * LINE * len(lines)
    x, y = at[0] + distance * right, at[1] + distance * down
    left, top = x - wide * (0.5 - _sign(right) / 2), y - high * (0.5 - _sign(down) / 2)
    ha = ("right", "center", "left")[1 + _sign(right)]
    return Note(
        Box(left, top, left + wide, top + high), x, ha, (x, y) if distance > NEAR[0] else None
    )


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _crosses(start: Place, end: Place, taken: Iterable[Box]) -> bool:
    """Whether a leader passes over a box other than those in which it starts."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    samples = [(start[0] + dx * t / 12, start[1] + dy * t / 12) for t in range(1, 12)]
    here = Box(*start, *start)
    others = [box for box in taken if not here.inside(box)]
    return any(b.left < x < b.right and b.top < y < b.bottom for b in others for x, y in samples)


def annotate(figure: Figure, at: Place, note: Note, lines: Sequence[Words]) -> None:
    if note.leader:
        line(figure, [at, note.leader], MUTED, 0.75)
    for i, one in enumerate(lines):
        y = note.box.top + SMALL * (0.95 + LINE * i)
        write(figure, note.x, y, one.words, ha=note.ha, halo=True, **one.looks)
