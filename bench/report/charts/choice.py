"""Figures of the choice: the scores of every architecture and strategy, and what they cost."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from bench.analysis.choice import Row, Summary, comparable_cost
from bench.analysis.pareto import COSTS
from bench.analysis.table import RunTable
from bench.report import units
from bench.report.charts import canvas, shown
from bench.report.charts.canvas import Box, Place, fill, middle, text_width
from bench.report.charts.figure import AXIS, HEAT, INK, MUTED, PAPER, SMALL, TEXT, Chart, told
from bench.report.charts.shown import JOINT, look, metric, named, sentences, shortfall, unique
from bench.report.text import printable


class Grid(NamedTuple):
    """Rows by architecture and strategy, with the colours of the architectures."""

    rows: Mapping[tuple[str, str], Row]
    colours: Mapping[str, str]
    strategies: Sequence[str]
    note: str

    def left(self, width: float) -> float:
        """Where the names of the architectures end."""
        return min(canvas.longest(self.colours), 0.3 * width) + 26

    def names(self, figure: Figure, left: float, top: float, step: float) -> None:
        for i, (name, colour) in enumerate(self.colours.items()):
            y = top + step * (i + 0.5)
            canvas.dot(figure, (6, y), colour)
            canvas.name(figure, 15, middle(y), name, left - 22, fontsize=TEXT)

    def columns(self, room: float, narrowest: float) -> int:
        """Strategies beside each other, so that all blocks are of like width."""
        blocks = -(-len(self.strategies) // max(1, int(room // narrowest)))
        return -(-len(self.strategies) // blocks)


def _grid(summary: Summary, num_architectures: int, num_strategies: int) -> Grid:
    rows, note = shown.best_names(summary, num_architectures, num_strategies)
    colours = look(summary).colours
    return Grid(
        {(row.architecture, row.strategy): row for row in rows},
        {name: colours[name] for name in unique(row.architecture for row in rows)},
        unique(row.strategy for row in rows),
        note,
    )


ROW = 30.0
NARROWEST, WIDEST = 33.0, 92.0  # widths of a cell: at least a number, at most a word


def heat_map(table: RunTable, summary: Summary) -> Chart | None:
    """The val score of each architecture under each strategy; None where no row is complete."""
    run, grid = table.run, _grid(summary, 40, 24)
    rows = grid.rows.values()
    known = [100 * row.val.seeds.mean for row in rows if row.complete and row.val]
    if not known:
        return None
    return Chart(
        "heat-map",
        f"{metric(summary, 'val').capitalize()} by architecture and strategy, in percent",
        sentences(
            f"Val score, {shown.seeds(units.seeds(run.suite))}, of {run.data.num_val:,} images.",
            "◤ best of its row, ◥ best of its column. Framed: recommended; underlined: tied with "
            "the best.",
            "No colour: not every seed is ok." if any(not row.complete for row in rows) else "",
            grid.note,
        ),
        "; ".join(f"{named(row)}: {_val(row)}" for row in rows) + ".",
        lambda width: _heat_map(width, summary, grid, (min(known), max(known))),
    )


def _val(row: Row) -> str:
    return units.percent(row.val.seeds.mean) if row.complete and row.val else shortfall(row)


def _heat_map(width: float, summary: Summary, grid: Grid, limits: Place) -> Figure:
    figure, left, bottom = canvas.blank(width), grid.left(width), 0.0
    room, high = width - left - 2, len(grid.colours)
    columns = grid.columns(room, NARROWEST)
    for start in range(0, len(grid.strategies), columns):
        block = grid.strategies[start : start + columns]
        wide = min(WIDEST, room / len(block))
        top = canvas.column_names(figure, block, left, wide, bottom) + 6
        grid.names(figure, left, top, ROW)
        bottom = top + ROW * high
        box = Box(left, top, left + wide * len(block), bottom)
        ax = canvas.table(figure, box, high, len(block))
        for i, architecture in enumerate(grid.colours):
            for j, strategy in enumerate(block):
                _cell(ax, (j, i), wide, grid.rows.get((architecture, strategy)), summary, limits)
        bottom += 16
    _colour_scale(figure, left, bottom, limits)
    return canvas.resize(figure, bottom + 30)


def _cell(
    ax: Axes, at: tuple[int, int], wide: float, row: Row | None, summary: Summary, limits: Place
) -> None:
    words = units.UNKNOWN if row is None else _val(row)
    tip = words if row is None else f"{named(row)}: {words}"
    x, y = at
    looks: dict[str, Any] = {"ha": "center", "va": "center_baseline"}
    if row is None or not row.complete or row.val is None:
        fill(ax, at, 0.03, tip, facecolor=PAPER, edgecolor=AXIS, linestyle=(0, (3, 3)))
        fits = text_width(words, SMALL) <= wide - 6
        told(ax.text(x, y, words if fits else "–", color=MUTED, **looks), tip)
        return
    ground, ink = canvas.heat(100 * row.val.seeds.mean, *limits)
    fill(ax, at, 0.03, tip, facecolor=ground)
    told(ax.text(x, y, words, color=ink, fontsize=SMALL if wide < 40 else TEXT, **looks), tip)
    for best, side in (
        (summary.best_by_architecture[row.architecture], -1),
        (summary.best_by_strategy[row.strategy], 1),
    ):
        if row == best:
            corner, top, along = x + 0.47 * side, y - 0.47, -side * 7 / wide
            flag = [(corner, top), (corner + along, top), (corner, top + 7 / ROW)]
            ax.add_artist(Polygon(flag, facecolor=ink))
    if row in summary.tied:
        half = text_width(words, TEXT) / wide / 2
        ax.plot([x - half, x + half], [y + 0.25] * 2, color=ink, linewidth=1)
    if row == summary.recommended:
        for hair, colour, thick in ((0.06, PAPER, 1.75), (0.0, INK, 2.5)):  # on dark cells as well
            fill(ax, at, hair, tip, fill=False, edgecolor=colour, linewidth=thick, zorder=4,
                 clip_on=False)  # fmt: skip


def _colour_scale(figure: Figure, left: float, top: float, limits: Place) -> None:
    low, high = (f"{value:.1f}" for value in limits)
    if low == high:
        return
    start = left + text_width(low, SMALL) + 6
    end = start + 20 * len(HEAT)
    ax = canvas.table(figure, Box(start, top, end, top + 10), 1, len(HEAT))
    for k, colour in enumerate(HEAT):
        fill(ax, (k, 0), 0, facecolor=colour)
    canvas.line(figure, [(start, top + 10.5), (end, top + 10.5)], color=AXIS)
    canvas.write(figure, left, top + 9, low, color=MUTED)
    canvas.write(figure, end + 6, top + 9, high, color=MUTED)


NUMBERS = 38.0  # room for a number at the right of a panel


def accuracy(table: RunTable, summary: Summary) -> Chart | None:
    """The test score of each row with its seeds and its interval; None where nothing is ok."""
    grid = _grid(summary, 24, 12)
    scores = 100 * table.cells["test_score"].astype(float)
    values = {names: scores[[*row.ok]].tolist() for names, row in grid.rows.items()}
    if not any(values.values()):
        return None
    several = table.run.suite.seed_counts != {1}
    best = "winner" if summary.winner else "best"
    return Chart(
        "accuracy",
        f"{metric(summary, 'test').capitalize()} by architecture and strategy, in percent",
        sentences(
            "Bars and numbers: means over seeds; dots: seeds." if several else "",
            f"Thin lines: 95 % Wilson intervals{' of the means' if several else ''} over "
            f"{table.run.data.num_test:,} test images.",
            f"Bold: {best} on val." if summary.leader else "",
            "Hollow: not every seed is ok." if several and summary.disqualified else "",
            grid.note,
        ),
        "; ".join(_test(row) for row in grid.rows.values()) + ".",
        lambda width: _accuracy(width, summary, grid, values),
    )


def _test(row: Row) -> str:
    if not row.complete or row.test is None:
        return f"{named(row)}: {shortfall(row)}"
    return (
        f"{named(row)}: {units.percent(row.test.seeds.mean)} % on test, "
        f"{units.between(*row.test.interval)}"
    )


def _accuracy(
    width: float, summary: Summary, grid: Grid, values: Mapping[tuple[str, str], Sequence[float]]
) -> Figure:
    figure, left, num_rows = canvas.blank(width), grid.left(width), len(grid.colours)
    columns = grid.columns(width - left, 150)
    wide, high = min(260.0, (width - left) / columns), 20.0 * num_rows
    ends = [100 * e for r in grid.rows.values() if r.complete and r.test for e in r.test.interval]
    limits = canvas.percent_limits([*ends, *(v for found in values.values() for v in found)])
    for j, strategy in enumerate(grid.strategies):
        x, top = left + wide * (j % columns), 24 + (high + 48) * (j // columns)
        canvas.name(figure, x, top - 8, strategy, wide - 14, fontweight="bold")
        box = Box(x, top, x + wide - NUMBERS - 14, top + high)
        ax = canvas.axes(figure, box, limits, (num_rows - 0.5, -0.5))
        ax.set_yticks([])
        ax.xaxis.set_major_locator(canvas.ticks(4))
        if x == left:
            grid.names(figure, left, top, 20)
        for i, (architecture, colour) in enumerate(grid.colours.items()):
            if row := grid.rows.get((architecture, strategy)):
                found = values[architecture, strategy]
                _interval(ax, i, row, colour, found, bold=row == summary.leader)
    return canvas.resize(figure, top + high + 32)


def _interval(
    ax: Axes, y: int, row: Row, colour: str, values: Sequence[float], *, bold: bool
) -> None:
    words, note = _test(row), shortfall(row)
    if row.complete and row.test is not None:
        mean, note = 100 * row.test.seeds.mean, units.percent(row.test.seeds.mean)
        canvas.plot(ax, [100 * end for end in row.test.interval], [y, y], words, color=colour)
        canvas.plot(ax, [mean, mean], [y - 0.25, y + 0.25], words, color=colour, linewidth=2.5)
    if len(row.statuses) > 1:  # below the interval, which would hide them
        looks = canvas.look(colour, size=0.5, hollow=not row.complete)
        ax.plot(values, [y + 0.32] * len(values), **looks)
    drawn = ax.annotate(
        note, (1, y), (NUMBERS, 0), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", va="center_baseline",
        color=INK if row.complete else MUTED, fontweight="bold" if bold else "normal",
    )  # fmt: skip
    told(drawn, words)


TOP = 46.0  # height above the axes: their title, and room for labels of the best rows
MANY = 14  # up to so many points each gets a label where there is room; beyond, those that matter
MARKS = {"train_seconds": canvas.mark_times, "peak_memory_bytes": canvas.mark_bytes}


def against_train_time(table: RunTable, summary: Summary) -> Chart | None:
    return _against(table, summary, "train_seconds", "train time of one cell alone")


def against_memory(table: RunTable, summary: Summary) -> Chart | None:
    on_gpu = table.run.machine.device == "cuda"
    what = "GPU memory allocated by torch" if on_gpu else "resident memory above the cell's start"
    return _against(table, summary, "peak_memory_bytes", f"peak {what}")


class Point(NamedTuple):
    """A row as it is drawn: cost, val score in percent, and the ranges of both."""

    row: Row
    cost: float
    score: float
    costs: Place
    scores: Place
    words: str


def _against(table: RunTable, summary: Summary, cost: str, axis: str) -> Chart | None:
    """Val scores against a cost of COSTS; None where no complete row has it."""
    rows, note = shown.best_rows(summary, 400)
    found = {row: _point(row, cost) for row in rows}
    points = [point for point in found.values() if point is not None]
    if not points:
        return None
    best = "; ".join(point.words for point in front(points))
    title = COSTS[cost].title
    return Chart(
        f"accuracy-vs-{title.removeprefix('peak ').replace(' ', '-')}",
        f"{metric(summary, 'val').capitalize()} against {title}",
        sentences(
            "Marks are means over seeds, thin lines the range over seeds."
            if table.run.suite.seed_counts != {1}
            else "One seed: thin lines are 95 % Wilson intervals over the val images.",
            "Step line: the best mean for at most that cost; up and to the left is better, and a "
            "step smaller than the thin lines is noise.",
            "Thick ring: recommended; thin rings: tied with the best.",
            shown.machine(table, summary),
            note,
            shown.without_costs([row for row, point in found.items() if point is None]),
        ),
        f"{units.plural(len(points), 'point')}. The step line, by cost: {best}.",
        lambda width: _against_figure(width, summary, points, cost, axis),
    )


def _point(row: Row, cost: str) -> Point | None:
    mean = comparable_cost(row, cost)
    if not row.complete or row.val is None or not mean:
        return None
    times, val = row.train_seconds, row.val.seeds
    by_seed = cost == "train_seconds" and times is not None and times.minimum > 0
    costs = (times.minimum, times.maximum) if by_seed and times else (mean, mean)
    low, high = (val.minimum, val.maximum) if val.n > 1 else row.val.interval
    words = f"{named(row)}: {100 * val.mean:.1f} % on val, {units.amount(cost, mean)}"
    return Point(row, mean, 100 * val.mean, costs, (100 * low, 100 * high), words)


def front(points: Sequence[Point]) -> list[Point]:
    """Points that no other beats at the same cost or less, by cost."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.score)):
        if not best or point.score > best[-1].score:
            best.append(point)
    return best


def _against_figure(
    width: float, summary: Summary, points: Sequence[Point], cost: str, axis: str
) -> Figure:
    bottom = 330.0 if width < 500 else 380.0
    figure = canvas.blank(width, bottom)
    costs = canvas.log_limits([value for p in points for value in p.costs])
    scores = canvas.percent_limits([value for p in points for value in p.scores])
    ax = canvas.axes(figure, Box(32, TOP, width - 14, bottom), costs, scores, log=True)
    canvas.write(figure, 4, TOP - 32, f"{metric(summary, 'val')} (%)", color=MUTED)
    ax.yaxis.set_major_locator(canvas.ticks(6))
    ax.set_xlabel(f"{axis}, log scale")
    MARKS[cost](ax)
    ends = [*((p.cost, p.score) for p in front(points)), (costs[1], front(points)[-1].score)]
    ax.step(*zip(*ends, strict=True), where="post", color=INK, linewidth=1.25, alpha=0.75)
    colours, shapes = look(summary)
    for point in points:
        colour = colours[point.row.architecture]
        canvas.plot(ax, [point.cost] * 2, point.scores, color=colour, zorder=2.1)
        if point.costs[0] < point.costs[1]:
            canvas.plot(ax, point.costs, [point.score] * 2, color=colour, zorder=2.1)
    for row, x, y, *_, words in points:
        if _ringed(row, summary):
            thick = 1.75 if row == summary.recommended else 1.0
            ax.plot(x, y, "o", markersize=18, markerfacecolor="none", markeredgecolor=INK,
                    markeredgewidth=thick, clip_on=False, zorder=2.2)  # fmt: skip
        looks = canvas.look(colours[row.architecture], shapes[row.strategy])
        canvas.plot(ax, x, y, words, zorder=2.3, **looks)
    numbered = _label(figure, ax, points, summary)
    bottom = _numbers(figure, numbered, summary, bottom + 44)
    if numbered or len(points) > MANY:
        bottom = _key(figure, look(summary), bottom + 16)
    return canvas.resize(figure, bottom)


def _ringed(row: Row, summary: Summary) -> bool:
    return row == summary.recommended or row in summary.tied


def _label(figure: Figure, ax: Axes, points: Sequence[Point], summary: Summary) -> list[Point]:
    """Write labels where there is room, those that matter first.

    Returns the points that matter and got a number, because their label has no room.
    """
    matter = [p for p in points if p.row in (summary.recommended, summary.leader)]
    matter += [p for p in reversed(front(points)) if p not in matter]
    others = [p for p in points if p not in matter] if len(points) <= MANY else []
    wide, high = figure.bbox.size
    taken = [Box(0, 0, 0.6 * wide, 18), *_obstacles(ax, points, summary)]
    inside = Box(32, 4, wide - 2, high)
    numbered: list[Point] = []
    for point in [*matter, *others]:
        at, lines = canvas.pixel(ax, point.cost, point.score), _lines(point.row, summary)
        distances = canvas.FAR if point in matter else canvas.NEAR
        label = canvas.place(at, lines, taken, inside, distances)
        if label is None and point in matter:
            numbered.append(point)
            lines = [(str(len(numbered)), {"fontweight": "bold"})]
            label = canvas.place(at, lines, taken, inside, canvas.FAR)
        if label is not None:
            taken.append(label.box)
            canvas.annotate(figure, at, label, lines)
    return numbered


def _lines(row: Row, summary: Summary) -> list[tuple[str, dict[str, Any]]]:
    bold = {"fontweight": "bold"} if row == summary.recommended else {}
    name = canvas.shorten(printable(row.architecture), 150, SMALL, bold=bool(bold))
    strategy = canvas.shorten(printable(row.strategy), 150, SMALL)
    lines = [(name, {**bold, "full": named(row)}), (strategy, {"color": MUTED})]
    roles = _roles(row, summary)
    return [*lines, (roles, {})] if roles else lines


def _roles(row: Row, summary: Summary) -> str:
    best = "winner" if row == summary.winner else "best on val"
    roles = {best: row == summary.leader, "recommended": row == summary.recommended}
    return ", ".join(role for role, holds in roles.items() if holds)


def _obstacles(ax: Axes, points: Sequence[Point], summary: Summary) -> list[Box]:
    """What no label may cover: marks, their ranges, and the step line."""

    def box(x: Place, y: Place, across: float = 1, down: float = 1) -> Box:
        left, bottom = canvas.pixel(ax, x[0], y[0])
        right, top = canvas.pixel(ax, x[1], y[1])
        return Box(left - across, top - down, right + across, bottom + down)

    boxes = []
    for row, x, y, costs, scores, _ in points:
        around = 10 if _ringed(row, summary) else 5
        boxes.append(box((x, x), (y, y), around, around))
        boxes += [box((x, x), scores, down=0), box(costs, (y, y), across=0)]
    steps = [(p.cost, p.score) for p in front(points)]
    for (x1, y1), (x2, y2) in pairwise([*steps, (ax.get_xlim()[1], steps[-1][1])]):
        boxes += [box((x1, x2), (y1, y1)), box((x2, x2), (y1, y2))]
    return boxes


def _numbers(figure: Figure, numbered: Sequence[Point], summary: Summary, top: float) -> float:
    for i, (row, *_) in enumerate(numbered):
        y = top + 16 * i + 8
        canvas.write(figure, 6, y, str(i + 1), fontweight="bold")
        names = [row.architecture, row.strategy, *filter(None, [_roles(row, summary)])]
        words = canvas.joined(names, JOINT, figure.bbox.width - 32, SMALL)
        canvas.write(figure, 22, y, words, full=named(row))
    return top + 16 * len(numbered) + (4 if numbered else 0)


def _key(figure: Figure, style: shown.Look, top: float) -> float:
    """Colours and shapes with their names, on as many lines as they need; where they end."""
    width, y = figure.bbox.width, top
    for entries in (
        [(name, colour, 0) for name, colour in style.colours.items()],
        [(name, MUTED, shape) for name, shape in style.shapes.items()],
    ):
        x = 6.0
        for name, colour, shape in entries:
            room = min(24 + text_width(printable(name), SMALL), width / 2)
            if x > 6 and x + room > width:
                x, y = 6.0, y + 18
            canvas.dot(figure, (x, y), colour, shape=shape, size=0.9)
            canvas.name(figure, x + 9, middle(y, SMALL), name, room - 20)
            x += room
        y += 20
    return y
