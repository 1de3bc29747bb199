"""Learning curves: a panel per strategy, val score above train loss, a line per architecture."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from markupsafe import Markup

from bench.analysis.rows import Row, results
from bench.analysis.summary import Summary
from bench.record import EpochPoint, Failure, Result, Run
from bench.report.charts import axes, labels, legible, lettering, palette, scales, svg, wording
from bench.report.charts.axes import Frame
from bench.report.charts.chart import Chart, Drawing, Sheet
from bench.report.charts.chart import chart as finished
from bench.report.charts.lettering import SMALL
from bench.report.charts.scales import Linear
from bench.report.charts.svg import Box, group, joined, line, path

HEAD, GAP, FOOT = 46.0, 30.0, 50.0
"""Heights above the scores, between scores and losses, and below the losses of a panel."""
SCORES, LOSSES = 150.0, 76.0


class Step(NamedTuple):
    """One epoch of a row: mean and range over its seeds."""

    epoch: int
    mean: float
    low: float
    high: float


class Curves(NamedTuple):
    """What one row learnt; scores in percent, losses in nats."""

    architecture: str
    scores: Sequence[Step]
    losses: Sequence[Step]


class Panel(NamedTuple):
    """The curves of one strategy, and the first epoch of each phase where there are several."""

    strategy: str
    curves: Sequence[Curves]
    phases: Mapping[str, int]


class Limits(NamedTuple):
    """What all panels share, so that they can be compared."""

    epochs: int
    scores: tuple[float, float] | None
    losses: tuple[float, float]


def chart(run: Run, records: Sequence[Result | Failure], summary: Summary) -> Chart | None:
    """Small multiples of the ok cells; None where no cell has a curve."""
    shown = legible.best_names(summary, 12, 12)
    panels = panels_of(results(records), shown.rows)
    if not panels:
        return None
    drawn = {(panel.strategy, curves.architecture) for panel in panels for curves in panel.curves}
    missing = [row for row in shown.rows if (row.strategy, row.architecture) not in drawn]
    several = len(run.suite.seeds) > 1
    return finished(
        "learning-curves",
        "Learning curves by strategy",
        wording.sentences(
            "Lines: mean over the seeds that are ok; bands: their range." if several
            else "One seed: one line per cell.",
            "All panels share their axes. Above: val score; below: train loss.",
            "Dashed: a new phase begins." if any(len(p.phases) > 1 for p in panels) else "",
            shown.note,
            wording.not_drawn(missing, "no cell is ok"),
        ),
        "; ".join(_told(panel) for panel in panels) + ".",
        lambda sheet: _draw(sheet, summary, panels, limits_of(panels)),
    )  # fmt: skip


# ---- from records to curves -----------------------------------------------------------------


def panels_of(found: Sequence[Result], rows: Sequence[Row]) -> list[Panel]:
    """One panel per strategy with a curve, in the order of the suite."""
    cells: dict[tuple[str, str], list[Result]] = {}
    for result in found:
        cells.setdefault((result.cell.strategy, result.cell.architecture_label), []).append(result)
    panels = []
    for strategy in dict.fromkeys(row.strategy for row in rows):
        names = [row.architecture for row in rows if row.strategy == strategy]
        mine = {name: cells[strategy, name] for name in names if (strategy, name) in cells}
        curves = [_curves(name, ok) for name, ok in mine.items()]
        known = [each for each in curves if each.losses]
        if known:
            panels.append(Panel(strategy, known, _phases(mine)))
    return panels


def _curves(architecture: str, cells: Sequence[Result]) -> Curves:
    curves = [result.curve for result in cells]
    return Curves(architecture, _steps(curves, _percent), _steps(curves, lambda p: p.train_loss))


def _percent(point: EpochPoint) -> float | None:
    return None if point.val_score is None else 100 * point.val_score


def _steps(
    curves: Sequence[Sequence[EpochPoint]], value: Callable[[EpochPoint], float | None]
) -> list[Step]:
    """Epochs that every seed has a value of: a mean over fewer would be another quantity."""
    by_epoch: dict[int, list[float]] = {}
    for point in (point for curve in curves for point in curve):
        if (known := value(point)) is not None:
            by_epoch.setdefault(point.epoch, []).append(known)
    return [
        Step(epoch, fmean(values), min(values), max(values))
        for epoch, values in sorted(by_epoch.items())
        if len(values) == len(curves)
    ]


def _phases(cells: Mapping[str, Sequence[Result]]) -> dict[str, int]:
    longest = max((r.curve for rows in cells.values() for r in rows), key=len)
    begins = {point.phase: point.epoch for point in reversed(longest)}
    return dict(sorted(begins.items(), key=lambda item: item[1]))


def limits_of(panels: Sequence[Panel]) -> Limits:
    """Limits that hold every range of every panel."""
    curves = [each for panel in panels for each in panel.curves]
    scores = [value for each in curves for s in each.scores for value in (s.low, s.high)]
    losses = [value for each in curves for s in each.losses for value in (s.low, s.high)]
    highest = max(losses)
    return Limits(
        max(each.losses[-1].epoch for each in curves),
        scales.percent_limits(min(scores), max(scores)) if scores else None,
        (min(0.0, *losses), highest if highest > 0 else 1.0),
    )


def _told(panel: Panel) -> str:
    ends = (
        f"{lettering.printable(each.architecture)} ends at "
        + (
            f"{each.scores[-1].mean:.1f} % on val"
            if each.scores
            else f"loss {each.losses[-1].mean:.3g}"
        )
        for each in panel.curves
    )
    return f"{lettering.printable(panel.strategy)}: {', '.join(ends)}"


# ---- drawing --------------------------------------------------------------------------------


def _draw(sheet: Sheet, summary: Summary, panels: Sequence[Panel], limits: Limits) -> Drawing:
    columns = 1 if sheet.narrow or len(panels) == 1 else 2
    width = min(480.0, (sheet.width - 16 * (columns - 1)) / columns)
    # Labels at the ends of the lines need a line of text each.
    high = max(SCORES, 14.0 * max(len(panel.curves) for panel in panels))
    high = high if limits.scores else 0.0
    step = HEAD + high + GAP + LOSSES + FOOT
    marks = []
    for i, panel in enumerate(panels):
        left, top = (width + 16) * (i % columns), step * (i // columns)
        area = Box(left, top + HEAD, left + width, top + HEAD + high)
        marks.append(_panel(area, panel, summary, limits))
    return Drawing(step * -(-len(panels) // columns), marks)


def _panel(area: Box, panel: Panel, summary: Summary, limits: Limits) -> Markup:
    look = palette.look(summary)
    names = [lettering.printable(each.architecture) for each in panel.curves]
    room = min(0.36 * (area.right - area.left), max(lettering.width(n, SMALL) for n in names))
    above, below = _frames(area, limits, room)
    heading = svg.name(
        area.left, area.top - 30, panel.strategy, area.right - area.left, class_="bold"
    )
    parts = [
        heading.svg,
        axes.left(below, scales.linear_ticks(*limits.losses, 3), "train loss (nats)"),
        axes.bottom(below, scales.whole_ticks(1, limits.epochs, 5), "epoch"),
        *(_line(below, each.losses, look.colours[each.architecture]) for each in panel.curves),
    ]
    if limits.scores is not None:
        scored = scales.linear_ticks(*limits.scores, 5)
        parts.append(axes.left(above, scored, f"{wording.metric(summary, 'val')} (%)"))
        parts += [_line(above, c.scores, look.colours[c.architecture]) for c in panel.curves]
    parts += _phase_marks(panel, above, below)
    ends = [(c, c.losses if limits.scores is None else c.scores) for c in panel.curves]
    parts += _names(above, [(c, steps[-1]) for c, steps in ends if steps], look, room)
    return group(*parts)


def _frames(area: Box, limits: Limits, room: float) -> tuple[Frame, Frame]:
    """Scores and losses; the same one twice where val was never scored while training."""
    ticks = scales.linear_ticks(*limits.losses, 3)
    ticks += scales.linear_ticks(*limits.scores, 5) if limits.scores else []
    left, right = area.left + axes.margin(ticks), area.right - room - 24
    x = Linear(1, max(2, limits.epochs), left, right)
    losses = Box(left, area.bottom + GAP, right, area.bottom + GAP + LOSSES)
    below = Frame(losses, x, Linear(*limits.losses, losses.bottom, losses.top))
    if limits.scores is None:
        return below, below
    scores = Box(left, area.top, right, area.bottom)
    return Frame(scores, x, Linear(*limits.scores, area.bottom, area.top)), below


def _line(frame: Frame, steps: Sequence[Step], colour: str) -> Markup:
    if not steps:
        return svg.NOTHING
    mean = [(frame.x(s.epoch), frame.y(s.mean)) for s in steps]
    if len(steps) == 1:
        (x, y), only = mean[0], steps[0]
        spread = line((x, frame.y(only.low)), (x, frame.y(only.high)), f"range {colour}")
        return joined([spread, palette.mark(0, x, y, 3.5, f"mark {colour}")])
    around = [(frame.x(s.epoch), frame.y(s.high)) for s in steps]
    around += [(frame.x(s.epoch), frame.y(s.low)) for s in reversed(steps)]
    wide = any(s.low < s.high for s in steps)
    band = path(around, f"band {colour}", end="Z") if wide else svg.NOTHING
    return joined([band, path(mean, f"curve {colour}")])


def _names(
    frame: Frame, ends: Sequence[tuple[Curves, Step]], look: palette.Look, room: float
) -> list[Markup]:
    """Names at the ends of the lines, moved apart, each with a line that leads to its own."""
    box = frame.box
    places = labels.spread_out([frame.y(s.mean) for _, s in ends], 13.5, box.top, box.bottom)
    marks = []
    for (curves, end), y in zip(ends, places, strict=True):
        colour = look.colours[curves.architecture]
        start = (frame.x(end.epoch), frame.y(end.mean))
        corners = [start, (box.right + 3, start[1]), (box.right + 13, y), (box.right + 17, y)]
        marks.append(path(corners, f"lead {colour}"))
        marks.append(palette.mark(0, *start, 2.5, f"mark {colour}"))
        text = svg.name(
            box.right + 20, svg.middle(y, SMALL), curves.architecture, room + 2, size=SMALL
        )
        marks.append(text.svg)
    return marks


def _phase_marks(panel: Panel, above: Frame, below: Frame) -> list[Markup]:
    """A dashed line where a phase begins, and the names of the phases over it."""
    if len(panel.phases) < 2:
        return []
    marks = []
    begins = list(panel.phases.items())
    for i, (phase, epoch) in enumerate(begins):
        start = above.x(epoch - 0.5) if i else above.box.left
        after = above.x(begins[i + 1][1] - 0.5) if i + 1 < len(begins) else above.box.right + 60
        if i:
            marks.append(line((start, above.box.top - 4), (start, below.box.bottom), "phase"))
        room = after - start - 6
        if room > 20:
            low = above.box.bottom - 5
            text = svg.name(start + 4, low, phase, room, size=SMALL, class_="muted halo")
            marks.append(text.svg)
    return marks
