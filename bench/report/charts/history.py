"""The history of one cell: score, train time and peak memory over the runs, with their levels."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from markupsafe import Markup

from bench.analysis.histories import CellHistory, Change, Dot, Histories, Series
from bench.analysis.setups import Setup
from bench.report import histories as texts
from bench.report.charts import axes, lettering, palette, scales, svg
from bench.report.charts.axes import Frame
from bench.report.charts.chart import Chart, Drawing, Sheet
from bench.report.charts.chart import chart as finished
from bench.report.charts.lettering import SMALL
from bench.report.charts.panels import Line, Panel, panels
from bench.report.charts.scales import Linear, Tick
from bench.report.charts.svg import Box, Label, element, group, joined, line, path
from bench.report.verdicts import TITLES

SHOWN = 200
"""Runs that a chart has room for: the newest."""

TOP, HIGH, GAP, FOOT = 36.0, 78.0, 34.0, 24.0
"""Heights above the first panel, of a panel, between panels, and below the last."""

LEFT = 36.0
"""Room for half of a date."""

RIGHT = 62.0
"""Room for the newest value."""

LIFT = 10.0
"""Distance of a panel's heading from it."""

RADIUS = 2.75


def chart(cell: CellHistory, found: Histories, number: int) -> Chart:
    """The panels of one cell, those of its metrics that have a value."""
    last = len(found.runs) - 1
    first = max(0, last - SHOWN + 1)
    drawn = panels(cell, first)
    return finished(
        f"history-{number}",
        lettering.printable(cell.name),
        "",
        _described(cell, found),
        lambda sheet: _draw(sheet, cell, found, drawn, range(first, last + 1)),
    )


def _described(cell: CellHistory, found: Histories) -> str:
    told = [
        f"{TITLES[one.metric]} {texts.changed(one)} on {texts.day(found.runs[one.run].started_at)}"
        for one in cell.changes
    ]
    return f"{len(cell.rows)} runs; {'; '.join(told) or 'no change of level'}."


def colour(setup: int) -> str:
    """Class of a kind of machine."""
    return f"a{setup % palette.NUM_COLOURS}"


def letter(setup: int) -> str:
    """A, B, ... Z, then AA, AB, ...: how the page calls a kind of machine."""
    high, low = divmod(setup, 26)
    return (letter(high - 1) if high else "") + chr(ord("A") + low)


def differing(setup: Setup) -> str:
    """`other than A in torch: 2.15.0 → 2.16.0`; empty for the first."""
    if setup.nearest is None:
        return ""
    return f"other than {letter(setup.nearest)} in {'; '.join(setup.fields)}"


# ---- drawing --------------------------------------------------------------------------------


def _draw(
    sheet: Sheet, cell: CellHistory, found: Histories, drawn: Sequence[Panel], runs: range
) -> Drawing:
    if not drawn:
        return Drawing(20, [Label(4, 14, "No value in the runs that are drawn.", "muted").svg])
    ticks = [scales.linear_ticks(*panel.limits, 4) for panel in drawn]
    frames = _frames(sheet, drawn, max(LEFT, *map(axes.margin, ticks)), runs)
    marks = [*_beginnings(cell, found, frames, runs)]
    for frame, panel, marked in zip(frames, drawn, ticks, strict=True):
        marks.append(axes.left(frame, marked, panel.title, LIFT))
        if panel is drawn[-1]:
            marks.append(axes.bottom(frame, _dates(found, runs, 3 if sheet.narrow else 6)))
        marks += _panel(frame, panel, found, runs)
    marks += _failures(cell, found, frames[0], runs)
    return Drawing(frames[-1].box.bottom + FOOT, marks)


def _frames(sheet: Sheet, drawn: Sequence[Panel], left: float, runs: range) -> list[Frame]:
    """An area for each panel, one below the other, all runs at the same places."""
    found = []
    for place, panel in enumerate(drawn):
        top = TOP + place * (HIGH + GAP)
        box = Box(left, top, sheet.width - RIGHT, top + HIGH)
        across = Linear(runs.start - 0.5, max(runs[-1], runs.start + 1) + 0.5, box.left, box.right)
        found.append(Frame(box, across, Linear(*panel.limits, box.bottom, box.top)))
    return found


def _dates(found: Histories, runs: range, count: int) -> list[Tick]:
    """Dates below a few runs; times of day where all ran on one day."""
    times = [found.runs[run].started_at for run in runs]
    one_day = len({texts.day(time) for time in times}) == 1
    written = [texts.clock(time) if one_day else texts.day(time) for time in times]
    step = max(1, (len(runs) - 1) // max(1, count - 1))
    chosen = range(0, len(runs), step)
    ticks = {written[i]: Tick(runs[i], written[i], rank=int(i > 0)) for i in reversed(chosen)}
    return list(ticks.values())[::-1]


def _panel(frame: Frame, panel: Panel, found: Histories, runs: range) -> Iterator[Markup]:
    labels = [Label(0, frame.box.top - LIFT, panel.title, size=SMALL).box]
    for line_ in panel.lines:
        yield _joining(frame, line_, found)
        yield from _marks(frame, line_, found)
        for change in reversed(line_.series.changes):
            if change.run >= runs.start:
                yield _step(frame, line_, change, runs.start, labels)
    newest = max(panel.lines, key=lambda one: one.dots[-1].run)
    end = newest.dots[-1].value
    y = min(max(frame.y(end / newest.unit), frame.box.top + 4), frame.box.bottom - 4)
    text = texts.level(panel.measure.metric, end)
    text += f" {panel.measure.words}" if panel.relative else ""
    yield Label(frame.box.right + 5, svg.middle(y, SMALL), text, "bold", size=SMALL).svg


def _joining(frame: Frame, line_: Line, found: Histories) -> Markup:
    """A line through the values that count."""
    counted = [dot for dot in line_.dots if not dot.apart]
    if line_.series.key is None or len(counted) < 2:
        return svg.NOTHING
    setups = {found.setup_of[dot.under] for dot in counted}
    class_ = colour(setups.pop()) if len(setups) == 1 else "any"
    places = [(frame.x(dot.run), frame.y(dot.value / line_.unit)) for dot in counted]
    return path(places, f"lead faint {class_}")


def _marks(frame: Frame, line_: Line, found: Histories) -> Iterator[Markup]:
    """A dot for each value, one path for all of a colour; hollow where it counts for nothing."""
    by_setup: dict[int, list[str]] = {}
    for dot in line_.dots:
        x, y = frame.x(dot.run), frame.y(dot.value / line_.unit)
        setup = found.setup_of[dot.under]
        if dot.apart:
            circle = element("circle", cx=x, cy=y, r=RADIUS, class_=f"hollow {colour(setup)}")
            yield group(circle, title=_told(dot, line_.series.metric, found))
        else:
            by_setup.setdefault(setup, []).append(f"M{svg.number(x)} {svg.number(y)}h0")
    dense = frame.x(1) - frame.x(0) < 2 * RADIUS
    for setup, steps in by_setup.items():
        class_ = f"dots {colour(setup)}" + (" dense" if dense else "")
        yield element("path", d="".join(steps), class_=class_)


def _told(dot: Dot, metric: str, found: Histories) -> str:
    run = found.runs[dot.run]
    value = f"{texts.level(metric, dot.value)} {texts.UNITS[metric]}"
    return lettering.printable(f"{texts.day(run.started_at)} {run.name}: {value}; {dot.apart}")


# ---- levels ---------------------------------------------------------------------------------


def _step(frame: Frame, line_: Line, change: Change, first: int, labels: list[Box]) -> Markup:
    """Both levels of a change, the riser between them, and by how much."""
    start, end = _extent(line_.series, change)
    x = max((frame.x(change.before) + frame.x(change.run)) / 2, frame.box.left)
    before, after = (frame.y(v / line_.unit) for v in (change.step.before, change.step.after))
    corners = [(frame.x(max(start, first)), before), (x, before), (x, after), (frame.x(end), after)]
    label = _amount(frame, change, x, labels)
    return joined([path(corners, "stairs"), label])


def _amount(frame: Frame, change: Change, x: float, labels: list[Box]) -> Markup:
    """By how much, on the line of the heading and right of it; nothing where there is no room."""
    text = texts.changed(change)
    half = lettering.width(text, SMALL, bold=True) / 2
    at = min(max(x, labels[0].right + half + 10), frame.box.right - half)
    label = Label(at, frame.box.top - LIFT, text, "bold", "middle", SMALL)
    if any(label.box.overlaps(other) for other in labels):
        return svg.NOTHING
    labels.append(label.box)
    return label.svg


def _extent(series: Series, change: Change) -> tuple[int, int]:
    """The first run of the level before and the last of the level after."""
    counted = [dot.run for dot in series.dots if not dot.apart]
    place = counted.index(change.run)
    return (
        counted[place - change.step.num_before],
        counted[place + change.step.num_after - 1],
    )


# ---- what else happened ---------------------------------------------------------------------


def _beginnings(
    cell: CellHistory, found: Histories, frames: Sequence[Frame], runs: range
) -> Iterator[Markup]:
    """A dashed line with a letter where another machine or software, or another task, begins."""
    taken = -1e9
    for run, marked in groupby(_firsts(cell, found), key=lambda one: one[0]):
        if run < runs.start:
            continue
        names = [(name, told) for _, name, told in marked]
        x = frames[0].x(run - 0.5)
        text = ", ".join(dict.fromkeys(name for name, _ in names))
        label = Label(x, 10, text, "muted", "middle", SMALL)
        shown = [label.svg] if label.box.left > taken else []
        taken = label.box.right + 4 if shown else taken
        why = lettering.printable("; ".join(dict.fromkeys(told for _, told in names)))
        lines = [line((x, f.box.top), (x, f.box.bottom), "phase") for f in frames]
        yield group(*lines, *shown, title=why)


def _firsts(cell: CellHistory, found: Histories) -> list[tuple[int, str, str]]:
    """Run, short name and description of whatever is new, from the second on of each kind."""
    setups: dict[int, tuple[int, str, str]] = {}
    tasks: dict[tuple[str, tuple[int, ...]], tuple[int, str, str]] = {}
    for run, row in cell.rows.items():
        if row.under and (setup := found.setup_of[row.under]) not in setups:
            told = f"{letter(setup)}: {differing(found.setups[setup])}"
            setups[setup] = (run, letter(setup), told)
        if row.task and (row.task, row.seeds) not in tasks:
            tasks[row.task, row.seeds] = (run, f"task {len(tasks) + 1}", "another task or seeds")
    news = [*list(setups.values())[1:], *list(tasks.values())[1:]]
    return sorted(news, key=lambda one: one[0])


def _failures(cell: CellHistory, found: Histories, frame: Frame, runs: range) -> Iterator[Markup]:
    """A cross at the foot of the first panel for each run in which a seed is not ok."""
    for run, what in cell.failures.items():
        if run in runs:
            name = found.runs[run]
            yield group(
                palette.mark(6, frame.x(run), frame.box.bottom - 5, 3.5, "cross"),
                title=lettering.printable(f"{texts.day(name.started_at)} {name.name}: {what}"),
            )
