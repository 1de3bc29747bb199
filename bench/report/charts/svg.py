"""Elements of a drawing as text: every value and every string is escaped here, and only here."""

from collections.abc import Iterable
from typing import NamedTuple

from markupsafe import Markup, escape

from bench.report.charts import lettering
from bench.report.charts.lettering import TEXT

Attribute = str | float | None
NOTHING = Markup()


class Box(NamedTuple):
    """A rectangle with its sides along the axes; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share more than an edge."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def inside(self, other: "Box") -> bool:
        """Whether no part of it lies outside the other."""
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


def element(name: str, *inside: str, **attributes: Attribute) -> Markup:
    """One element; `class_` is written class, `text_anchor` text-anchor, None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if not inside:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{''.join(map(escape, inside))}</{name}>")


def _value(value: str | float) -> str:
    return str(escape(value)) if isinstance(value, str) else number(value)


def number(value: float) -> str:
    """A coordinate to a hundredth, without needless digits."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def group(*inside: str, title: str = "", class_: str | None = None) -> Markup:
    """Marks that belong together, with the text that shows when the pointer rests on them."""
    told = (element("title", title),) if title else ()
    return element("g", *told, *inside, class_=class_)


def joined(parts: Iterable[str]) -> Markup:
    """Elements one after the other."""
    return Markup("").join(parts)


def line(start: tuple[float, float], end: tuple[float, float], class_: str) -> Markup:
    """A straight line."""
    (x1, y1), (x2, y2) = start, end
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rectangle(box: Box, class_: str, *inside: str) -> Markup:
    """A filled rectangle."""
    size = {"width": box.right - box.left, "height": box.bottom - box.top}
    return element("rect", *inside, x=box.left, y=box.top, **size, class_=class_)


def path(points: Iterable[tuple[float, float]], class_: str, *, end: str = "") -> Markup:
    """A line through points; `end="Z"` closes it."""
    steps = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return element("path", d=f"M{steps}{end}", class_=class_)


class Label(NamedTuple):
    """One line of text, its baseline at y; `full` is the whole of what was cut short."""

    x: float
    y: float
    text: str
    class_: str = ""
    anchor: str = "start"
    size: float = TEXT
    full: str = ""
    turned: float = 0.0  # degrees, clockwise, around (x, y)

    @property
    def box(self) -> Box:
        """Where the ink may be, if it is not turned."""
        wide = lettering.width(self.text, self.size, bold="bold" in self.class_)
        left = self.x - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor]
        return Box(left, self.y - 0.8 * self.size, left + wide, self.y + 0.25 * self.size)

    @property
    def svg(self) -> Markup:
        """The element."""
        told = (element("title", self.full),) if self.full not in ("", self.text) else ()
        at = f"{number(self.x)} {number(self.y)}"
        return element(
            "text", *told, self.text,
            x=self.x, y=self.y, class_=self.class_ or None,
            text_anchor=None if self.anchor == "start" else self.anchor,
            font_size=None if self.size == TEXT else self.size,
            transform=f"rotate({number(self.turned)} {at})" if self.turned else None,
        )  # fmt: skip


def name(x: float, y: float, text: str, room: float, **looks: str | float) -> Label:
    """A label that shows a user's name, shortened to the room there is."""
    full = lettering.printable(text)
    size, class_ = float(looks.pop("size", TEXT)), str(looks.pop("class_", ""))
    short = lettering.shorten(full, room, size, bold="bold" in class_)
    anchor = str(looks.pop("anchor", "start"))
    return Label(x, y, short, class_, anchor, size, full, **{k: float(v) for k, v in looks.items()})


def middle(y: float, size: float = TEXT) -> float:
    """The baseline of text whose small letters and digits are centred on y."""
    return y + 0.36 * size
