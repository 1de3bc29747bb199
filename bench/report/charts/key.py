"""What colours and shapes mean, for marks that have no room for a label of their own."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from bench.report.charts import lettering, palette, svg
from bench.report.charts.lettering import SMALL
from bench.report.charts.svg import joined


class Key(NamedTuple):
    """Marks with their names, and where they end."""

    marks: Markup
    bottom: float


class Entry(NamedTuple):
    """One mark and its name."""

    shape: int
    class_: str
    name: str


def both(look: palette.Look, width: float, top: float) -> Key:
    """Colours of the architectures, then shapes of the strategies, in lines as wide as given."""
    colours = [Entry(0, f"mark {class_}", name) for name, class_ in look.colours.items()]
    shapes = [Entry(shape, "mark any", name) for name, shape in look.shapes.items()]
    upper = lines(colours, width, top)
    lower = lines(shapes, width, upper.bottom)
    return Key(joined([upper.marks, lower.marks]), lower.bottom)


def lines(entries: Sequence[Entry], width: float, top: float) -> Key:
    """Entries one after the other, on as many lines as they need."""
    parts: list[Markup] = []
    x, y = 6.0, top
    for entry, room in _measured(entries, width):
        if x + room > width and x > 6:
            x, y = 6.0, y + 18
        parts.append(palette.mark(entry.shape, x, y, 4, entry.class_))
        label = svg.name(x + 9, svg.middle(y, SMALL), entry.name, room - 20, size=SMALL)
        parts.append(label.svg)
        x += room
    return Key(joined(parts), y + 20)


def _measured(entries: Iterable[Entry], width: float) -> Iterable[tuple[Entry, float]]:
    for entry in entries:
        wide = lettering.width(lettering.printable(entry.name), SMALL)
        yield entry, min(24 + wide, width - 8)
