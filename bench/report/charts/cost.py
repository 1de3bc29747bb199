"""Figures of the choice: val scores against what they cost."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.choice import Row, Summary, comparable_cost
from bench.analysis.table import RunTable
from bench.report import units
from bench.report.charts import canvas, lettering
from bench.report.charts.canvas import Box, Words, middle
from bench.report.charts.figure import INK, MUTED, Chart, told
from bench.report.charts.lettering import SMALL
from bench.report.charts.shown import (
    JOINT,
    Look,
    best_rows,
    look,
    machine,
    metric,
    named,
    sentences,
    without_costs,
)
from bench.report.text import printable

TOP = 46.0
"""Height above the axes: their title, and room for labels of the best rows."""

MOST = 400
"""Points that are drawn at most."""

MANY = 14
"""Up to so many points each gets a label where there is room; beyond, those that matter."""


class Cost(NamedTuple):
    field: str
    id: str
    title: str
    axis: str
    mark: Callable[[Axes], None]
    words: Callable[[float], str]


def against_train_time(table: RunTable, summary: Summary) -> Chart | None:
    cost = Cost(
        "train_seconds", "accuracy-vs-train-time", "train time",
        "train time of one cell alone, log scale", canvas.mark_times, units.duration,
    )  # fmt: skip
    return _against(table, summary, cost)


def against_memory(table: RunTable, summary: Summary) -> Chart | None:
    on_gpu = table.run.machine.device == "cuda"
    what = "GPU memory allocated by torch" if on_gpu else "resident memory above the cell's start"
    cost = Cost(
        "peak_memory_bytes", "accuracy-vs-memory", "peak memory",
        f"peak {what}, log scale", canvas.mark_bytes,
        lambda value: f"{units.mebibytes(value)} MiB",
    )  # fmt: skip
    return _against(table, summary, cost)


class Point(NamedTuple):
    """A row as it is drawn: cost, val score in percent, and the ranges of both."""

    row: Row
    cost: float
    score: float
    costs: tuple[float, float]
    scores: tuple[float, float]


def _against(table: RunTable, summary: Summary, cost: Cost) -> Chart | None:
    shown = best_rows(summary, MOST)
    found = {row: _point(row, cost.field) for row in shown.rows}
    points = [point for point in found.values() if point is not None]
    if not points:
        return None
    best = "; ".join(_told(point, cost) for point in front(points))
    return Chart(
        cost.id,
        f"{metric(summary, 'val').capitalize()} against {cost.title}",
        sentences(
            "Marks are means over seeds, thin lines the range over seeds."
            if len(table.run.suite.seeds) > 1
            else "One seed: thin lines are 95 % Wilson intervals over the val images.",
            "Step line: the best mean for at most that cost; up and to the left is better, and a "
            "step smaller than the thin lines is noise.",
            "Thick ring: recommended; thin rings: tied with the best.",
            machine(table, summary),
            shown.note,
            without_costs([row for row, point in found.items() if point is None]),
        ),
        f"{units.plural(len(points), 'point')}. The step line, by cost: {best}.",
        lambda width: _against_figure(width, summary, points, cost),
    )


def _told(point: Point, cost: Cost) -> str:
    return f"{named(point.row)}: {point.score:.1f} % on val, {cost.words(point.cost)}"


def _point(row: Row, field: str) -> Point | None:
    cost = comparable_cost(row, field)
    if not row.complete or row.val is None or cost is None or cost <= 0:
        return None
    times, val = row.train_seconds, row.val.seeds
    costs = (times.minimum, times.maximum) if field == "train_seconds" and times else (cost, cost)
    low, high = (val.minimum, val.maximum) if val.n > 1 else row.val.interval
    return Point(row, cost, 100 * val.mean, costs, (100 * low, 100 * high))


def front(points: Sequence[Point]) -> list[Point]:
    """Points that no other beats at the same cost or less, by cost."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.score)):
        if not best or point.score > best[-1].score:
            best.append(point)
    return best


def _against_figure(width: float, summary: Summary, points: Sequence[Point], cost: Cost) -> Figure:
    bottom = 330.0 if width < 500 else 380.0
    figure = canvas.blank(width, bottom)
    costs = canvas.log_limits([value for p in points for value in p.costs if value > 0])
    scores = canvas.percent_limits([value for p in points for value in p.scores])
    ax = canvas.axes(figure, Box(32, TOP, width - 14, bottom), costs, scores, log=True)
    canvas.write(figure, 4, TOP - 32, f"{metric(summary, 'val')} (%)", color=MUTED)
    ax.yaxis.set_major_locator(canvas.ticks(6))
    ax.set_xlabel(cost.axis)
    cost.mark(ax)
    steps = front(points)
    ends = [(p.cost, p.score) for p in steps] + [(costs[1], steps[-1].score)]
    ax.step(*zip(*ends, strict=True), where="post", color=INK, linewidth=1.25, alpha=0.75)
    colours, shapes = look(summary)
    for point in points:
        colour = colours[point.row.architecture]
        ax.plot([point.cost] * 2, point.scores, color=colour, linewidth=1.25, zorder=2.1)
        if 0 < point.costs[0] < point.costs[1]:
            ax.plot(point.costs, [point.score] * 2, color=colour, linewidth=1.25, zorder=2.1)
    for point in points:
        _mark(ax, point, colours, shapes, summary, _told(point, cost))
    numbered, unlabelled = _label(figure, ax, points, summary)
    bottom = _numbers(figure, numbered, summary, bottom + 44)
    if unlabelled:
        bottom = _key(figure, look(summary), bottom + 16)
    return canvas.resize(figure, bottom)


def _mark(
    ax: Axes, point: Point, colours: Mapping[str, str], shapes: Mapping[str, int],
    summary: Summary, words: str,
) -> None:  # fmt: skip
    row = point.row
    if ringed(row, summary):
        thick = 1.75 if row == summary.recommended else 1.0
        ax.plot(point.cost, point.score, "o", markersize=18, markerfacecolor="none",
                markeredgecolor=INK, markeredgewidth=thick, clip_on=False, zorder=2.2)  # fmt: skip
    looks = canvas.look(colours[row.architecture], shapes[row.strategy])
    (drawn,) = ax.plot(point.cost, point.score, zorder=2.3, **looks)
    told(drawn, words)


def ringed(row: Row, summary: Summary) -> bool:
    return row == summary.recommended or row in summary.tied


def _label(
    figure: Figure, ax: Axes, points: Sequence[Point], summary: Summary
) -> tuple[list[Point], bool]:
    """Write labels where there is room, those that matter first.

    Returns the points with a number, because their label has no room, and whether any has neither.
    """
    at = {p: canvas.pixel(ax, p.cost, p.score) for p in points}
    matter = [p for p in points if p.row in (summary.recommended, summary.leader)]
    matter += [p for p in reversed(front(points)) if p not in matter]
    others = [p for p in points if p not in matter] if len(points) <= MANY else []
    wide, high = 72 * figure.get_figwidth(), 72 * figure.get_figheight()
    taken = [Box(0, 0, 0.6 * wide, 18), *_obstacles(ax, points, summary)]
    inside = Box(32, 4, wide - 2, high)
    numbered: list[Point] = []
    for point in [*matter, *others]:
        important = point in matter
        lines = _lines(point.row, summary)
        distances = canvas.FAR if important else canvas.NEAR
        note = canvas.place(at[point], lines, taken, inside, distances)
        if note is None and important:
            numbered.append(point)
            lines = [Words(str(len(numbered)), {"fontweight": "bold"})]
            note = canvas.place(at[point], lines, taken, inside, canvas.FAR)
        if note is not None:
            taken.append(note.box)
            canvas.annotate(figure, at[point], note, lines)
    named_all = len(points) <= MANY and not numbered
    return numbered, not named_all


def _lines(row: Row, summary: Summary) -> list[Words]:
    bold = row == summary.recommended
    name = lettering.shorten(printable(row.architecture), 150, SMALL, bold=bold)
    lines = [
        Words(name, {"fontweight": "bold", "full": named(row)} if bold else {"full": named(row)}),
        Words(lettering.shorten(printable(row.strategy), 150, SMALL), {"color": MUTED}),
    ]
    roles = _roles(row, summary)
    return [*lines, Words(roles)] if roles else lines


def _roles(row: Row, summary: Summary) -> str:
    best = "winner" if row == summary.winner else "best on val"
    found = [best] if row == summary.leader else []
    return ", ".join([*found, *(["recommended"] if row == summary.recommended else [])])


def _obstacles(ax: Axes, points: Sequence[Point], summary: Summary) -> list[Box]:
    boxes = []
    for p in points:
        x, y = canvas.pixel(ax, p.cost, p.score)
        boxes.append(Box(x, y, x, y).grown(10 if ringed(p.row, summary) else 5))
        tall = [canvas.pixel(ax, p.cost, score)[1] for score in p.scores]
        boxes.append(Box(x - 1, min(tall), x + 1, max(tall)))
        if p.costs[0] > 0:
            first, last = (canvas.pixel(ax, cost, p.score)[0] for cost in p.costs)
            boxes.append(Box(first, y - 1, last, y + 1))
    steps = [canvas.pixel(ax, p.cost, p.score) for p in front(points)]
    for (x1, y1), (x2, y2) in pairwise(
        [*steps, (canvas.pixel(ax, ax.get_xlim()[1], 1)[0], steps[-1][1])]
    ):
        boxes += [Box(x1, y1, x2, y1).grown(1), Box(x2, y2, x2, y1).grown(1)]
    return boxes


def _numbers(figure: Figure, numbered: Sequence[Point], summary: Summary, top: float) -> float:
    for i, (row, *_) in enumerate(numbered):
        y = top + 16 * i + 8
        canvas.write(figure, 6, y, str(i + 1), fontweight="bold")
        names = [row.architecture, row.strategy, *filter(None, [_roles(row, summary)])]
        room = 72 * figure.get_figwidth() - 24
        canvas.write(figure, 22, y, lettering.joined(names, JOINT, room, SMALL), full=named(row))
    return top + 16 * len(numbered) + (4 if numbered else 0)


def _key(figure: Figure, style: Look, top: float) -> float:
    width, y = 72 * figure.get_figwidth(), top
    for entries in (
        [(name, colour, 0) for name, colour in style.colours.items()],
        [(name, MUTED, shape) for name, shape in style.shapes.items()],
    ):
        rooms = [min(24 + lettering.width(printable(e[0]), SMALL), width / 2) for e in entries]
        found = canvas.places(rooms, (6, y), width, 18)
        for (name, colour, shape), room, (x, y) in zip(entries, rooms, found, strict=True):
            canvas.dot(figure, (x, y), colour, shape=shape, size=0.9)
            canvas.name(figure, x + 9, middle(y, SMALL), name, room - 20)
        y += 20
    return y
