"""Axes: round values, as many as have room, and a grid that stays behind the marks."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from bench.report.charts import lettering
from bench.report.charts.lettering import SMALL
from bench.report.charts.scales import Linear, Log, Tick
from bench.report.charts.svg import Box, Label, joined, line, middle

Scale = Linear | Log


class Frame(NamedTuple):
    """The area of the marks and the scales of its two sides."""

    box: Box
    x: Scale
    y: Scale


def bottom(frame: Frame, ticks: Sequence[Tick], title: str = "") -> Markup:
    """The axis below: number and grid line where there is room, else a notch; title at the end."""
    box = frame.box
    found = _labelled(frame, ticks)
    labels = list(found.values())
    tops = {tick: box.top if tick in found else box.bottom - 4 for tick in ticks}
    grid = [
        line((frame.x(tick.value), top), (frame.x(tick.value), box.bottom), "grid")
        for tick, top in tops.items()
    ]
    base = line((box.left, box.bottom), (box.right, box.bottom), "axis")
    named = Label(box.right, box.bottom + 32, title, "muted", "end", SMALL)
    texts = [label.svg for label in labels] + ([named.svg] if title else [])
    return joined([*grid, base, *texts])


def _labelled(frame: Frame, ticks: Sequence[Tick]) -> dict[Tick, Label]:
    """Labels of the ticks by rank, each where it keeps its distance from those before it."""
    labels: dict[Tick, Label] = {}
    for tick in sorted(ticks, key=lambda tick: tick.rank):
        y = frame.box.bottom + 15
        label = Label(frame.x(tick.value), y, tick.text, "muted", "middle", SMALL)
        beyond = label.box.right - (frame.box.right + 10)
        label = label._replace(x=label.x - max(0.0, beyond))
        wide = label.box._replace(left=label.box.left - 8, right=label.box.right + 8)
        if not any(wide.overlaps(other.box) for other in labels.values()):
            labels[tick] = label
    return labels


def top(frame: Frame, ticks: Sequence[Tick], title: str) -> Markup:
    """The axis above: a grid line and a number per tick, the title over them."""
    box = frame.box
    parts = [Label(box.left, box.top - 26, title, "muted", "start", SMALL).svg]
    for tick in ticks:
        x = frame.x(tick.value)
        parts.append(line((x, box.top - 4), (x, box.bottom), "grid"))
        parts.append(Label(x, box.top - 8, tick.text, "muted", "middle", SMALL).svg)
    return joined(parts)


def left(frame: Frame, ticks: Sequence[Tick], title: str, lift: float = 10) -> Markup:
    """The axis at the left: a grid line and a number per tick, the title above the area."""
    box = frame.box
    parts = []
    for tick in ticks:
        y = frame.y(tick.value)
        parts.append(line((box.left, y), (box.right, y), "grid"))
        parts.append(Label(box.left - 6, middle(y, SMALL), tick.text, "muted", "end", SMALL).svg)
    parts.append(
        Label(box.left - margin(ticks) + 2, box.top - lift, title, "muted", size=SMALL).svg
    )
    return joined(parts)


def margin(ticks: Sequence[Tick]) -> float:
    """Width that the numbers of a left axis need."""
    return 8 + max((lettering.width(tick.text, SMALL) for tick in ticks), default=0.0)
