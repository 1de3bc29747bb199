"""Where the seconds of each row went, as if its cells had run alone."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from markupsafe import Markup

from bench.analysis.machines import reference
from bench.analysis.rows import Row, results
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report import units
from bench.report.charts import legible, lettering, palette, scales, svg, wording
from bench.report.charts.chart import Chart, Drawing, Sheet
from bench.report.charts.chart import chart as finished
from bench.report.charts.lettering import SMALL
from bench.report.charts.svg import Box, Label, group, joined, line, rectangle

STAGES = ("data", "build", "warmup", "train", "eval")
"""Fields of schema.Seconds that add up to the wall time, in the order in which they happen."""

MOST = 100
"""Bars that are drawn at most."""


class Bar(NamedTuple):
    """Mean seconds of a row by stage, and the range of its wall time over seeds."""

    row: Row
    seconds: Mapping[str, float]
    walls: tuple[float, float]

    @property
    def total(self) -> float:
        """Mean wall time."""
        return sum(self.seconds.values())


def chart(run: Run, records: Sequence[Result | Failure], summary: Summary) -> Chart | None:
    """A bar per complete row, the longest first; None where no row has known times."""
    shown = legible.best_rows(summary, MOST)
    bars = bars_of(records, shown.rows)
    if not bars:
        return None
    drawn = {bar.row for bar in bars}
    whiskers = (
        "Thin lines: range over seeds. " if any(b.walls[0] < b.walls[1] for b in bars) else ""
    )
    return finished(
        "time-spent",
        "Where the seconds went",
        wording.sentences(
            f"Wall time of one cell as if it ran alone, {wording.seeds(len(run.suite.seeds))}. "
            f"{whiskers}data: decode and cache; warmup: capture and compile.",
            wording.machine(run, records, summary),
            shown.note,
            wording.without_costs([row for row in shown.rows if row not in drawn]),
        ),
        "; ".join(f"{wording.named(bar.row)}: {_parts(bar)}" for bar in bars) + ".",
        lambda sheet: _draw(sheet, summary, bars),
    )


def bars_of(records: Sequence[Result | Failure], rows: Sequence[Row]) -> list[Bar]:
    """Bars of the complete rows without reused features, by total, on the reference machine."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in reference(results(records)):
        found.setdefault((result.cell.architecture_label, result.cell.strategy), []).append(result)
    bars = []
    for row in rows:
        mine = [r.cost.attributed for r in found.get((row.architecture, row.strategy), [])]
        if mine and row.complete and not row.features_reused:
            means = {stage: fmean(getattr(each, stage) for each in mine) for stage in STAGES}
            walls = [each.wall for each in mine]
            bars.append(Bar(row, means, (min(walls), max(walls))))
    known = [bar for bar in bars if bar.total > 0]
    return sorted(known, key=lambda bar: -bar.total)


def _parts(bar: Bar) -> str:
    parts = (f"{stage} {units.duration(seconds)}" for stage, seconds in bar.seconds.items())
    return f"{units.duration(bar.total)} ({', '.join(parts)})"


def _draw(sheet: Sheet, summary: Summary, bars: Sequence[Bar]) -> Drawing:
    names = [
        lettering.width(wording.named(bar.row), bold=bar.row == summary.recommended) for bar in bars
    ]
    room = sheet.width - 20 if sheet.narrow else 0.34 * sheet.width
    left = 2.0 if sheet.narrow else min(room, max(names)) + 26
    totals = max(lettering.width(units.duration(bar.total), SMALL) for bar in bars)
    longest = max(max(bar.total, bar.walls[1]) for bar in bars)
    scale = scales.Linear(0, longest, left, sheet.width - totals - 10)
    step, text_above = (38.0, 17.0) if sheet.narrow else (22.0, 0.0)
    marks = [_heads(left)]
    for i, bar in enumerate(bars):
        y = HEADS + step * i
        marks.append(_name(bar, y + 9, room, summary, sheet))
        marks.append(_bar(bar, y + text_above, scale))
    return Drawing(HEADS + step * len(bars) + 4, marks)


HEADS = 24.0
"""Height of the names of the stages, above the bars."""


def _name(bar: Bar, y: float, room: float, summary: Summary, sheet: Sheet) -> Markup:
    colour = palette.look(summary).colours[bar.row.architecture]
    dot = palette.mark(0, 6, y, 4.5, f"mark {colour}")
    class_ = "bold" if bar.row == summary.recommended else ""
    names = (bar.row.architecture, bar.row.strategy)
    text = lettering.joined(names, wording.JOINT, room, bold=bool(class_))
    return joined([dot, Label(15, svg.middle(y), text, class_, full=wording.named(bar.row)).svg])


def _bar(bar: Bar, top: float, scale: scales.Linear) -> Markup:
    marks, start = [], 0.0
    for i, seconds in enumerate(bar.seconds.values()):
        box = Box(scale(start), top + 1, scale(start + seconds), top + 17)
        start += seconds
        if seconds <= 0:
            continue
        # A hair of paper between the parts tells them apart without their colours.
        thin = box._replace(right=max(box.left + 0.3, box.right - 0.7))
        marks.append(rectangle(thin, f"t{i}"))
        text = units.duration(seconds)
        if lettering.width(text, SMALL) + 8 <= box.right - box.left:
            x, y = (box.left + box.right) / 2, svg.middle(top + 9, SMALL)
            marks.append(Label(x, y, text, "on-time", "middle", SMALL).svg)
    end = scale(max(bar.total, bar.walls[1]))
    if bar.walls[0] < bar.walls[1]:
        marks.append(line((scale(bar.walls[0]), top + 18.5), (end, top + 18.5), "whisker"))
    y = svg.middle(top + 9, SMALL)
    marks.append(Label(end + 5, y, units.duration(bar.total), "muted", size=SMALL).svg)
    return group(*marks, title=f"{wording.named(bar.row)}: {_parts(bar)}")


def _heads(left: float) -> Markup:
    """Names of the stages above the bars, in their order."""
    marks, x = [], left
    for i, stage in enumerate(STAGES):
        marks.append(rectangle(Box(x, 4, x + 9, 13), f"t{i}"))
        label = Label(x + 13, 12.5, stage, size=SMALL)
        marks.append(label.svg)
        x = label.box.right + 14
    return joined(marks)
