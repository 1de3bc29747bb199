"""The history of one cell: score, train time and peak memory over the runs, with their levels."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup

from bench.analysis.histories import CellHistory, Change, Dot, Histories, Series
from bench.analysis.verdict import ACCURACY, MEMORY, SECONDS
from bench.report import histories as texts
from bench.report.charts import axes, lettering, palette, scales, svg
from bench.report.charts.axes import Frame
from bench.report.charts.chart import Chart, Drawing, Sheet
from bench.report.charts.chart import chart as finished
from bench.report.charts.lettering import SMALL
from bench.report.charts.scales import Linear, Tick
from bench.report.charts.svg import Box, Label, element, group, joined, line, path

SHOWN = 200
"""Runs that a chart has room for: the newest."""

TOP, HIGH, GAP, FOOT = 34.0, 78.0, 34.0, 24.0
"""Heights above the first panel, of a panel, between panels, and below the last."""

RADIUS = 2.75


class Measure(NamedTuple):
    """How a metric is drawn: its heading, what a unit of the axis is, its least height."""

    metric: str
    title: str
    unit: float
    least: float  # height of the axis: in units for scores, else as a share of the values


MEASURES = (
    Measure(ACCURACY, "test score (%)", 0.01, 4.0),
    Measure(SECONDS, "train time (s)", 1.0, 0.2),
    Measure(MEMORY, "peak memory (MiB)", 2.0**20, 0.2),
)


def chart(cell: CellHistory, found: Histories, number: int) -> Chart:
    """The panels of one cell, those of its metrics that have a value."""
    last = len(found.runs) - 1
    first = max(0, last - SHOWN + 1)
    drawn = [m for m in MEASURES if any(_dots(series, first) for series in cell.of(m.metric))]
    return finished(
        f"history-{number}",
        lettering.printable(cell.name),
        "",
        _described(cell, found),
        lambda sheet: _draw(sheet, cell, found, drawn, range(first, last + 1)),
    )


def _described(cell: CellHistory, found: Histories) -> str:
    told = [
        f"{texts.TITLES[one.metric]} {texts.changed(one)} on "
        f"{texts.day(found.runs[one.run].started_at)}"
        for one in cell.changes
    ]
    return f"{len(cell.rows)} runs; {'; '.join(told) or 'no change of level'}."


def _dots(series: Series, first: int) -> list[Dot]:
    return [dot for dot in series.dots if dot.run >= first]


def colour(setup: int) -> str:
    """Class of a kind of machine."""
    return f"a{setup % palette.NUM_COLOURS}"


def letter(setup: int) -> str:
    """A, B, ... Z, then AA, AB, ...: how the page calls a kind of machine."""
    high, low = divmod(setup, 26)
    return (letter(high - 1) if high else "") + chr(ord("A") + low)


# ---- drawing --------------------------------------------------------------------------------


def _draw(
    sheet: Sheet,
    cell: CellHistory,
    found: Histories,
    measures: Sequence[Measure],
    runs: range,
) -> Drawing:
    limits = {m.metric: _limits(cell, m, runs.start) for m in measures}
    ticks = {m.metric: scales.linear_ticks(*limits[m.metric], 3) for m in measures}
    left = max((axes.margin(found_) for found_ in ticks.values()), default=20.0)
    marks: list[Markup] = []
    frames: dict[str, Frame] = {}
    for place, measure in enumerate(measures):
        top = TOP + place * (HIGH + GAP)
        box = Box(left, top, sheet.width - 46, top + HIGH)
        across = Linear(runs.start - 0.5, max(runs[-1], runs.start + 1) + 0.5, box.left, box.right)
        low, high = limits[measure.metric]
        frames[measure.metric] = Frame(box, across, Linear(low, high, box.bottom, box.top))
        marks.append(axes.left(frames[measure.metric], ticks[measure.metric], measure.title, 10))
    if not frames:
        return Drawing(20, [Label(4, 14, "No value in the runs that are drawn.", "muted").svg])
    below = frames[measures[-1].metric]
    marks += _beginnings(cell, found, list(frames.values()), runs)
    marks.append(axes.bottom(below, _dates(found, runs, 3 if sheet.narrow else 6)))
    for measure in measures:
        marks += _panel(frames[measure.metric], cell, measure, found, runs)
    marks += _failures(cell, found, frames[measures[0].metric], runs)
    return Drawing(below.box.bottom + FOOT, marks)


def _limits(cell: CellHistory, measure: Measure, first: int) -> tuple[float, float]:
    values = [
        dot.value / measure.unit
        for series in cell.of(measure.metric)
        for dot in _dots(series, first)
    ]
    low, high = min(values), max(values)
    if measure.metric == ACCURACY:
        return scales.percent_limits(low, high)
    span = max(1.15 * (high - low), measure.least * (high + low) / 2)
    return max(0.0, (low + high - span) / 2), (low + high + span) / 2


def _dates(found: Histories, runs: range, count: int) -> list[Tick]:
    """Dates below a few runs; times of day where all ran on one day."""
    times = [found.runs[run].started_at for run in runs]
    one_day = len({texts.day(time) for time in times}) == 1
    written = [time[11:16] if one_day else texts.day(time) for time in times]
    step = max(1, (len(runs) - 1) // max(1, count - 1))
    chosen = range(0, len(runs), step)
    ticks = {written[i]: Tick(runs[i], written[i], rank=int(i > 0)) for i in reversed(chosen)}
    return list(ticks.values())[::-1]


def _panel(
    frame: Frame, cell: CellHistory, measure: Measure, found: Histories, runs: range
) -> Iterator[Markup]:
    end: Dot | None = None
    labels: list[Box] = []
    for series in cell.of(measure.metric):
        dots = _dots(series, runs.start)
        yield _joining_line(frame, series, dots, measure, found)
        yield from _marks(frame, dots, measure, found)
        for change in reversed(series.changes):
            if change.run >= runs.start:
                yield _step(frame, series, change, measure, runs.start, labels)
        end = max(filter(None, [end, *dots[-1:]]), key=lambda dot: dot.run, default=None)
    if end is not None:
        x, y = frame.box.right + 5, _y(frame, end.value, measure)
        text = texts.level(measure.metric, end.value)
        y = min(max(y, frame.box.top + 4), frame.box.bottom - 4)
        yield Label(x, svg.middle(y, SMALL), text, "bold", size=SMALL).svg


def _y(frame: Frame, value: float, measure: Measure) -> float:
    return frame.y(value / measure.unit)


def _joining_line(
    frame: Frame, series: Series, dots: Sequence[Dot], measure: Measure, found: Histories
) -> Markup:
    counted = [dot for dot in dots if not dot.apart]
    if series.key is None or len(counted) < 2:
        return svg.NOTHING
    setups = {found.setup_of[dot.under] for dot in counted}
    class_ = colour(setups.pop()) if len(setups) == 1 else "any"
    places = [(frame.x(dot.run), _y(frame, dot.value, measure)) for dot in counted]
    return path(places, f"lead faint {class_}")


def _marks(
    frame: Frame, dots: Sequence[Dot], measure: Measure, found: Histories
) -> Iterator[Markup]:
    """A dot for each value, one path for all of a colour; hollow where it counts for nothing."""
    by_setup: dict[int, list[Dot]] = {}
    for dot in dots:
        if dot.apart:
            yield _hollow(frame, dot, measure, found)
        else:
            by_setup.setdefault(found.setup_of[dot.under], []).append(dot)
    for setup, group_ in by_setup.items():
        places = (
            f"M{svg.number(frame.x(dot.run))} {svg.number(_y(frame, dot.value, measure))}h0"
            for dot in group_
        )
        yield element("path", d="".join(places), class_=f"dots {colour(setup)}")


def _hollow(frame: Frame, dot: Dot, measure: Measure, found: Histories) -> Markup:
    x, y = frame.x(dot.run), _y(frame, dot.value, measure)
    setup = colour(found.setup_of[dot.under])
    run = found.runs[dot.run]
    value = f"{texts.level(measure.metric, dot.value)} {texts.UNITS[measure.metric]}"
    return group(
        element("circle", cx=x, cy=y, r=RADIUS, class_=f"hollow {setup}"),
        title=lettering.printable(f"{texts.day(run.started_at)} {run.name}: {value}; {dot.apart}"),
    )


# ---- levels ---------------------------------------------------------------------------------


def _step(
    frame: Frame,
    series: Series,
    change: Change,
    measure: Measure,
    first: int,
    labels: list[Box],
) -> Markup:
    """Both levels of a change, the riser between them, and by how much; labels do not overlap."""
    start, end = _extent(series, change)
    x = (frame.x(change.before) + frame.x(change.run)) / 2
    x = max(x, frame.box.left)
    y_before, y_after = (
        _y(frame, value, measure) for value in (change.step.before, change.step.after)
    )
    corners = [
        (frame.x(max(start, first)), y_before),
        (x, y_before),
        (x, y_after),
        (frame.x(end), y_after),
    ]
    text = texts.changed(change)
    half = lettering.width(text, SMALL, bold=True) / 2
    at = min(max(x, frame.box.left + half), frame.box.right - half)
    label = Label(at, frame.box.top - 2, text, "bold halo", "middle", SMALL)
    room = not any(label.box.overlaps(other) for other in labels)
    labels += [label.box] if room else []
    return joined([path(corners, "stairs"), *([label.svg] if room else [])])


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
    first_runs = _firsts(cell, found)
    top, bottom = frames[0].box.top - 20, frames[-1].box.bottom
    taken = -1e9
    for run, marked in groupby(first_runs, key=lambda one: one[0]):
        if run < runs.start:
            continue
        names = [(name, told) for _, name, told in marked]
        x = frames[0].x(run - 0.5)
        text = ", ".join(dict.fromkeys(name for name, _ in names))
        label = Label(x + 3, top + 8, text, "muted", size=SMALL)
        shown = [label.svg] if label.box.left > taken else []
        taken = label.box.right + 4 if shown else taken
        why = lettering.printable("; ".join(dict.fromkeys(told for _, told in names)))
        yield group(line((x, top), (x, bottom), "phase"), *shown, title=why)


def _firsts(cell: CellHistory, found: Histories) -> list[tuple[int, str, str]]:
    """Run, short name and description of whatever is new, from the second on of each kind."""
    setups: dict[int, tuple[int, str, str]] = {}
    tasks: dict[tuple[str, tuple[int, ...]], tuple[int, str, str]] = {}
    for run, row in cell.rows.items():
        if row.under and (setup := found.setup_of[row.under]) not in setups:
            told = f"{letter(setup)}: {', '.join(found.setups[setup].fields)}"
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
