"""Val score against a cost: what another percent has to be paid with, and where it ends."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from markupsafe import Markup

from bench.analysis.rows import Row, comparable_cost
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report import units
from bench.report.charts import axes, key, labels, legible, lettering, palette, scales, wording
from bench.report.charts.axes import Frame
from bench.report.charts.chart import Chart, Drawing, Sheet
from bench.report.charts.chart import chart as finished
from bench.report.charts.lettering import SMALL
from bench.report.charts.svg import Box, Label, element, group, joined, line, path

CostName = Literal["train_seconds", "peak_memory_bytes"]
RADIUS = 5.0
TOP = 46.0
"""Height above the axes: the title of the left one, and room for labels of the best rows."""
MOST = 400
"""Points that are drawn at most."""
RINGS = "Thick ring: recommended; thin rings: tied with the best."
MANY = 14
"""Up to so many points each gets a label where there is room; beyond, those that matter."""


class CostKind(NamedTuple):
    """How a cost is named and marked on its axis."""

    id: str
    title: str
    axis: Callable[[Run], str]
    ticks: Callable[[float, float], list[scales.Tick]]
    text: Callable[[float], str]


def _memory_axis(run: Run) -> str:
    on_gpu = run.machine.device == "cuda"
    what = "GPU memory allocated by torch" if on_gpu else "resident memory above the cell's start"
    return f"peak {what}, log scale"


KINDS: Mapping[CostName, CostKind] = {
    "train_seconds": CostKind(
        "accuracy-train-time",
        "train time",
        lambda run: "train time of one cell alone, log scale",
        scales.time_ticks,
        units.duration,
    ),
    "peak_memory_bytes": CostKind(
        "accuracy-memory",
        "peak memory",
        _memory_axis,
        scales.memory_ticks,
        lambda value: f"{units.mebibytes(value)} MiB",
    ),
}


class Point(NamedTuple):
    """A row as it is drawn: cost, val score in percent, and the ranges of both."""

    row: Row
    cost: float
    score: float
    costs: tuple[float, float]
    scores: tuple[float, float]

    @property
    def told(self) -> str:
        """The numbers, for the pointer."""
        return f"{wording.named(self.row)}: {self.score:.1f} % on val"


def chart(
    run: Run, records: Sequence[Result | Failure], summary: Summary, cost: CostName
) -> Chart | None:
    """A point per complete row, and the best for each cost as a step line; None without points."""
    kind = KINDS[cost]
    shown = legible.best_rows(summary, MOST)
    found = {row: _point(row, cost) for row in shown.rows}
    points = [point for point in found.values() if point is not None]
    if not points:
        return None
    steps = stairs(points)
    best = "; ".join(f"{p.told}, {kind.text(p.cost)}" for p in steps)
    return finished(
        kind.id,
        f"{wording.metric(summary, 'val').capitalize()} against {kind.title}",
        wording.sentences(
            wording.spread(run),
            "Step line: the best mean to be had for at most that cost; up and to the left is "
            "better, and a step smaller than the thin lines is no finding.",
            RINGS,
            wording.machine(run, records, summary),
            shown.note,
            wording.without_costs([row for row, point in found.items() if point is None]),
        ),
        f"{units.plural(len(points), 'point')}. The step line, by cost: {best}.",
        lambda sheet: _draw(sheet, run, summary, points, kind),
    )


def _point(row: Row, name: CostName) -> Point | None:
    cost = comparable_cost(row, name)
    if not row.complete or row.val is None or cost is None or cost <= 0:
        return None
    times = row.train_seconds
    costs = (times.minimum, times.maximum) if name == "train_seconds" and times else (cost, cost)
    seeds = row.val.seeds
    scores = (seeds.minimum, seeds.maximum) if seeds.n > 1 else row.val.interval
    low, high = scores
    return Point(row, cost, 100 * seeds.mean, costs, (100 * low, 100 * high))


def stairs(points: Sequence[Point]) -> list[Point]:
    """Points that no other beats at the same cost or less, by cost."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.score)):
        if not best or point.score > best[-1].score:
            best.append(point)
    return best


def _draw(
    sheet: Sheet, run: Run, summary: Summary, points: Sequence[Point], kind: CostKind
) -> Drawing:
    look = palette.look(summary)
    frame, ticks = _frame(sheet, points)
    x_ticks = kind.ticks(*scales.log_limits(_costs(points)))
    texts = _texts(frame, points, summary)
    marks = [
        axes.left(frame, ticks, f"{wording.metric(summary, 'val')} (%)", TOP - 14),
        axes.bottom(frame, x_ticks, kind.axis(run)),
        path(_walk(frame, stairs(points)), "stairs"),
        *(_whiskers(frame, point, look) for point in points),
        *(_mark(frame, point, look, summary) for point in points),
        *texts.marks,
    ]
    bottom = frame.box.bottom + 44
    if texts.numbered:
        listed = _list(texts.numbered, summary, sheet.width, bottom)
        marks.append(listed.marks)
        bottom = listed.bottom
    if len(texts.numbered) + texts.labelled < len(points):
        legend = key.both(look, sheet.width, bottom + 16)
        marks.append(legend.marks)
        bottom = legend.bottom
    return Drawing(bottom, marks)


def _frame(sheet: Sheet, points: Sequence[Point]) -> tuple[Frame, list[scales.Tick]]:
    low, high = scales.percent_limits(
        min(min(p.scores) for p in points), max(max(p.scores) for p in points)
    )
    ticks = scales.linear_ticks(low, high, 6)
    height = 330.0 if sheet.narrow else 380.0
    box = Box(axes.margin(ticks), TOP, sheet.width - 14, height)
    across = scales.Log(*scales.log_limits(_costs(points)), box.left, box.right)
    return Frame(box, across, scales.Linear(low, high, box.bottom, box.top)), ticks


def _costs(points: Sequence[Point]) -> list[float]:
    return [value for point in points for value in point.costs if value > 0]


def _walk(frame: Frame, steps: Sequence[Point]) -> list[tuple[float, float]]:
    """Corners of the step line: across at the score paid for, up at the next cost."""
    places = [(frame.x(p.cost), frame.y(p.score)) for p in steps]
    corners = [(after[0], before[1]) for before, after in pairwise(places)]
    walk = [places[0], *(step for pair in zip(corners, places[1:], strict=True) for step in pair)]
    return [*walk, (frame.box.right, walk[-1][1])]


def _whiskers(frame: Frame, point: Point, look: palette.Look) -> Markup:
    x, y = frame.x(point.cost), frame.y(point.score)
    class_ = f"range {look.colours[point.row.architecture]}"
    low, high = (frame.y(value) for value in point.scores)
    upright = line((x, low), (x, high), class_)
    if point.costs[0] <= 0 or point.costs[0] == point.costs[1]:
        return upright
    first, last = (frame.x(value) for value in point.costs)
    return joined([upright, line((first, y), (last, y), class_)])


def _mark(frame: Frame, point: Point, look: palette.Look, summary: Summary) -> Markup:
    row = point.row
    x, y = frame.x(point.cost), frame.y(point.score)
    shape = palette.mark(
        look.shapes[row.strategy], x, y, RADIUS, f"mark {look.colours[row.architecture]}"
    )
    rings = [element("circle", cx=x, cy=y, r=RADIUS + 4, class_=c) for c in ring(row, summary)]
    return group(*rings, shape, title=point.told)


def ring(row: Row, summary: Summary) -> list[str]:
    """Class of the ring around a row that the choice came down to, if it did."""
    if row == summary.recommended:
        return ["ring"]
    return ["ring thin"] if row in summary.tied else []


class Texts(NamedTuple):
    """What is written beside the points, and the points of which only a number is."""

    marks: Sequence[Markup]
    labelled: int
    numbered: Sequence[Point]


def _texts(frame: Frame, points: Sequence[Point], summary: Summary) -> Texts:
    """Labels where there is room, those that matter first; a number where a label has none."""
    steps = stairs(points)
    matter = [p for p in points if p.row in (summary.recommended, summary.leader)]
    matter += [p for p in reversed(steps) if p not in matter]
    others = [p for p in points if p not in matter] if len(points) <= MANY else []
    title = Box(0, 0, 0.6 * frame.box.right, 18)
    taken = [title, *_marked_boxes(frame, points, summary)]
    inside = frame.box._replace(top=4, right=frame.box.right + 12)
    marks: list[Markup] = []
    numbered: list[Point] = []
    labelled = 0
    for point in [*matter, *others]:
        distances = labels.FAR if point in matter else labels.NEAR
        note = _note(frame, point, summary)
        placed = labels.place(note, taken, inside, distances)
        if placed is None and point in matter:
            numbered.append(point)
            note = labels.Note(note.at, ((str(len(numbered)), "halo bold"),))
            placed = labels.place(note, taken, inside, labels.FAR)
        if placed is not None:
            taken.append(placed.box)
            marks += [line(note.at, placed.leader, "leader")] if placed.leader else []
            marks += [label.svg for label in placed.labels]
            labelled += point not in numbered
    return Texts(marks, labelled, numbered)


def _list(numbered: Sequence[Point], summary: Summary, width: float, top: float) -> key.Key:
    """The names behind the numbers, a line each."""
    parts = []
    for i, point in enumerate(numbered):
        y = top + 16 * i + 8
        parts.append(Label(6, y, str(i + 1), "bold", size=SMALL).svg)
        row, roles = point.row, _roles(point.row, summary)
        names = [row.architecture, row.strategy, *([roles] if roles else [])]
        text = lettering.joined(names, wording.JOINT, width - 24, SMALL)
        parts.append(Label(22, y, text, size=SMALL, full=wording.named(row)).svg)
    return key.Key(joined(parts), top + 16 * len(numbered) + 4)


def _note(frame: Frame, point: Point, summary: Summary) -> labels.Note:
    row = point.row
    bold = "halo bold" if row == summary.recommended else "halo"
    lines = [
        (lettering.shorten(lettering.printable(row.architecture), 150, SMALL, bold=True), bold),
        (lettering.shorten(lettering.printable(row.strategy), 150, SMALL), "halo muted"),
        *([(roles, "halo")] if (roles := _roles(row, summary)) else []),
    ]
    return labels.Note((frame.x(point.cost), frame.y(point.score)), tuple(lines))


def _roles(row: Row, summary: Summary) -> str:
    """What the choice on val made of a row."""
    best = "winner" if row == summary.winner else "best on val"
    found = [best] if row == summary.leader else []
    found += ["recommended"] if row == summary.recommended else []
    return ", ".join(found)


def _marked_boxes(frame: Frame, points: Sequence[Point], summary: Summary) -> list[Box]:
    """What labels keep clear of: the marks, their ranges and the step line."""
    boxes = []
    for p in points:
        x, y = frame.x(p.cost), frame.y(p.score)
        radius = RADIUS + (5 if ring(p.row, summary) else 0)
        boxes.append(Box(x - radius, y - radius, x + radius, y + radius))
        boxes.append(Box(x - 1, frame.y(max(p.scores)), x + 1, frame.y(min(p.scores))))
        if p.costs[0] > 0:
            boxes.append(Box(frame.x(p.costs[0]), y - 1, frame.x(p.costs[1]), y + 1))
    for (x1, y1), (x2, y2) in pairwise(_walk(frame, stairs(points))):
        boxes.append(Box(min(x1, x2) - 1, min(y1, y2) - 1, max(x1, x2) + 1, max(y1, y2) + 1))
    return boxes
