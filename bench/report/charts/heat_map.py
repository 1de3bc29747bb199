"""Val score of every architecture under every strategy, as a table that is also a picture."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from bench.analysis.rows import Row, status_counts
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report import units
from bench.report.charts import legible, lettering, palette, svg, wording
from bench.report.charts.chart import Chart, Drawing, Sheet
from bench.report.charts.chart import chart as finished
from bench.report.charts.lettering import SMALL, TEXT
from bench.report.charts.svg import Box, Label, group, joined, line, path, rectangle

ROW = 30.0
NARROWEST, WIDEST = 33.0, 92.0
"""Widths of a cell in user units: at least one number, at most a word."""


class Grid(NamedTuple):
    """One block of the table: strategies beside each other, with the left edge of each."""

    strategies: Sequence[str]
    left: float
    cell: float
    top: float  # of the first row of cells


def chart(run: Run, records: Sequence[Result | Failure], summary: Summary) -> Chart | None:
    """A cell per row of the summary; None where no cell has a score."""
    shown = legible.best_names(summary, 40, 24)
    rows = {(row.architecture, row.strategy): row for row in shown.rows}
    known = [100 * row.val.seeds.mean for row in rows.values() if row.complete and row.val]
    if not known:
        return None
    return finished(
        "heat-map",
        f"{wording.metric(summary, 'val').capitalize()} by architecture and strategy, in percent",
        wording.sentences(
            f"Val score, {wording.seeds(len(run.suite.seeds))}, of {run.data.num_val:,} images.",
            "◤ best of its row, ◥ best of its column. Framed: recommended; underlined: tied with "
            "the best.",
            "No colour: not every seed is ok." if any(not r.complete for r in shown.rows) else "",
            shown.note,
        ),
        "; ".join(f"{wording.named(row)}: {_text(row)}" for row in rows.values()) + ".",
        lambda sheet: _draw(sheet, summary, rows, (min(known), max(known))),
    )


def _text(row: Row | None) -> str:
    if row is None:
        return units.UNKNOWN
    if row.complete and row.val is not None:
        return units.percent(row.val.seeds.mean)
    statuses = set(row.statuses)
    return statuses.pop() if len(statuses) == 1 else status_counts(row).split(" ")[0] + " ok"


def _draw(
    sheet: Sheet,
    summary: Summary,
    rows: Mapping[tuple[str, str], Row],
    limits: tuple[float, float],
) -> Drawing:
    architectures = list(dict.fromkeys(architecture for architecture, _ in rows))
    strategies = list(dict.fromkeys(strategy for _, strategy in rows))
    longest = max(lettering.width(lettering.printable(name)) for name in architectures)
    left = min(longest, 0.3 * sheet.width) + 26
    columns = max(1, int((sheet.width - left - 2) // NARROWEST))
    # Blocks of like width read better than a full one and a rest.
    columns = -(-len(strategies) // -(-len(strategies) // columns))
    blocks = [strategies[i : i + columns] for i in range(0, len(strategies), columns)]
    marks, bottom = [], 0.0
    for block in blocks:
        cell = min(WIDEST, (sheet.width - left - 2) / len(block))
        heads = _heads(block, left, cell, bottom)
        grid = Grid(block, left, cell, heads.bottom + 6)
        marks += [heads.marks, *_names(grid, architectures, summary)]
        marks += [
            _cell(grid, at, rows.get((architecture, strategy)), summary, limits)
            for i, architecture in enumerate(architectures)
            for j, strategy in enumerate(block)
            for at in [(i, j)]
        ]
        marks += _frame(grid, architectures, summary)
        bottom = grid.top + ROW * len(architectures) + 16
    marks.append(_scale(left, bottom, limits))
    return Drawing(bottom + 30, marks)


class Heads(NamedTuple):
    """Names of the columns, and where they end."""

    marks: Markup
    bottom: float


def _heads(names: Sequence[str], left: float, cell: float, top: float) -> Heads:
    """Names above their columns: broken into lines where that fits, turned where it does not."""
    wrapped = [lettering.wrap(lettering.printable(name), cell - 6, SMALL) for name in names]
    if cell >= 60 and all(len(lines) <= 3 and "…" not in "".join(lines) for lines in wrapped):
        return _upright(names, wrapped, left, cell, top)
    room = 110.0
    high = min(room, max(lettering.width(lettering.printable(n), SMALL) for n in names))
    marks = [
        svg.name(left + cell * (j + 0.5) + 4, top + high + 4, n, room, size=SMALL, turned=-90).svg
        for j, n in enumerate(names)
    ]
    return Heads(joined(marks), top + high + 4)


def _upright(
    names: Sequence[str], wrapped: Sequence[list[str]], left: float, cell: float, top: float
) -> Heads:
    step = SMALL * lettering.LINE
    bottom = top + step * max(map(len, wrapped))
    marks = [
        Label(
            left + cell * (j + 0.5), bottom - step * (len(lines) - 1 - i) - 3,
            text, "", "middle", SMALL, lettering.printable(name),
        ).svg
        for j, (name, lines) in enumerate(zip(names, wrapped, strict=True))
        for i, text in enumerate(lines)
    ]  # fmt: skip
    return Heads(joined(marks), bottom)


def _names(grid: Grid, architectures: Sequence[str], summary: Summary) -> list[Markup]:
    """Architectures at the left, each with its colour."""
    look = palette.look(summary)
    marks = []
    for i, name in enumerate(architectures):
        y = grid.top + ROW * (i + 0.5)
        marks.append(palette.mark(0, 6, y, 4.5, f"mark {look.colours[name]}"))
        marks.append(svg.name(15, svg.middle(y), name, grid.left - 22).svg)
    return marks


def _cell(
    grid: Grid,
    at: tuple[int, int],
    row: Row | None,
    summary: Summary,
    limits: tuple[float, float],
) -> Markup:
    i, j = at
    left, top = grid.left + grid.cell * j, grid.top + ROW * i
    box = Box(left + 1, top + 1, left + grid.cell - 1, top + ROW - 1)
    x, y = (box.left + box.right) / 2, svg.middle((box.top + box.bottom) / 2)
    text = _text(row)
    if row is None or not row.complete or row.val is None:
        small = Label(x, y, text, "muted", "middle", SMALL)
        fits = lettering.width(text, SMALL) <= grid.cell - 6
        shown = small if fits else small._replace(text="–", full=text)
        return group(rectangle(box, "gap"), shown.svg, title=_told(row, text))
    step = palette.heat(100 * row.val.seeds.mean, *limits)
    marks = [
        rectangle(box, f"h{step}"),
        Label(x, y, text, f"on{step}", "middle", SMALL if grid.cell < 40 else TEXT).svg,
    ]
    if row == summary.best_by_architecture[row.architecture]:
        marks.append(_flag((box.left, box.top), 1, f"on{step}"))
    if row == summary.best_by_strategy[row.strategy]:
        marks.append(_flag((box.right, box.top), -1, f"on{step}"))
    if row in summary.tied:
        half = lettering.width(text) / 2
        marks.append(line((x - half, y + 3), (x + half, y + 3), f"on{step}-line"))
    return group(*marks, title=_told(row, text))


def _frame(grid: Grid, architectures: Sequence[str], summary: Summary) -> list[Markup]:
    """The frame of the recommended row; a light line inside it keeps it apart from dark cells."""
    row = summary.recommended
    if row is None or row.architecture not in architectures or row.strategy not in grid.strategies:
        return []
    left = grid.left + grid.cell * grid.strategies.index(row.strategy)
    top = grid.top + ROW * architectures.index(row.architecture)
    outer = Box(left, top, left + grid.cell, top + ROW)
    inner = Box(left + 2, top + 2, left + grid.cell - 2, top + ROW - 2)
    return [rectangle(inner, "ring inner"), rectangle(outer, "ring frame")]


def _flag(corner: tuple[float, float], right: int, class_: str) -> Markup:
    x, y = corner
    return path([corner, (x + 7 * right, y), (x, y + 7)], class_, end="Z")


def _told(row: Row | None, text: str) -> str:
    return text if row is None else f"{wording.named(row)}: {text}"


def _scale(left: float, top: float, limits: tuple[float, float]) -> Markup:
    """The colours from the lowest to the highest score."""
    low, high = (f"{value:.1f}" for value in limits)
    if limits[0] == limits[1]:
        return Markup("")
    start = left + lettering.width(low, SMALL) + 6
    boxes = [
        Box(start + 20 * k, top, start + 20 * (k + 1), top + 10) for k in range(palette.HEAT_STEPS)
    ]
    ends = (
        Label(left, top + 9, low, "muted", size=SMALL),
        Label(boxes[-1].right + 6, top + 9, high, "muted", size=SMALL),
    )
    base = line((start, top + 10.5), (boxes[-1].right, top + 10.5), "axis")
    return joined(
        [
            *(rectangle(box, f"h{k}") for k, box in enumerate(boxes)),
            base,
            *(end.svg for end in ends),
        ]
    )
