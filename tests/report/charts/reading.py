"""Reading a chart as somebody who looks at it would: where its texts and marks are."""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import matplotlib as mpl
from PIL import ImageFont

from bench.report.charts.chart import Chart

SVG = "{http://www.w3.org/2000/svg}"
SHEETS = ("desk", "phone")


class Box(NamedTuple):
    """Left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float

    def overlaps(self, other: "Box") -> bool:
        across = self.x0 < other.x1 and other.x0 < self.x1
        return across and self.y0 < other.y1 and other.y0 < self.y1


class Text(NamedTuple):
    """What is written, and the middle of where."""

    words: str
    box: Box
    classes: set[str]

    @property
    def x(self) -> float:
        return (self.box.x0 + self.box.x1) / 2

    @property
    def y(self) -> float:
        return (self.box.y0 + self.box.y1) / 2


@cache
def font(bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib brings it, large enough for thousandths."""
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf", 1000)


def true_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of a text by the font itself."""
    return float(font(bold).getlength(text)) * size / 1000


def drawing(chart: Chart, sheet: str = "desk") -> Element:
    """One of the two drawings."""
    root = ElementTree.fromstring(chart.svg)
    return next(svg for svg in root.iter(f"{SVG}svg") if svg.get("class") == sheet)


def view(svg: Element) -> Box:
    """The area that is shown."""
    x, y, width, height = map(float, (svg.get("viewBox") or "").split())
    return Box(x, y, x + width, y + height)


def words(element: Element) -> str:
    """The text of an element, without its title."""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def title(element: Element) -> str:
    """What the pointer would show."""
    child = element.find(f"{SVG}title")
    return "" if child is None else child.text or ""


def classes(element: Element) -> set[str]:
    return set((element.get("class") or "").split())


def texts(svg: Element) -> list[Text]:
    """Every text with the box that it fills in the widest font."""
    return [Text(words(e), _box(e), classes(e)) for e in svg.iter(f"{SVG}text") if words(e).strip()]


def _box(e: Element) -> Box:
    size = float(e.get("font-size") or 12)
    wide = true_width(words(e), size, bold="bold" in classes(e))
    x, y = float(e.get("x") or 0), float(e.get("y") or 0)
    left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[e.get("text-anchor") or "start"]
    # Digits and capitals reach 0.73 of the size above the baseline, letters 0.24 below.
    box = Box(left, y - 0.73 * size, left + wide, y + 0.2 * size)
    if "rotate(-90" in (e.get("transform") or ""):
        return Box(x + box.y0 - y, y - (box.x1 - x), x + box.y1 - y, y - (box.x0 - x))
    return box


def marks(svg: Element, class_: str) -> Iterator[tuple[float, float, Element]]:
    """Middle of every shape of a class."""
    for e in svg.iter():
        if class_ not in classes(e):
            continue
        if e.tag == f"{SVG}circle":
            yield float(e.get("cx") or 0), float(e.get("cy") or 0), e
        elif e.tag == f"{SVG}path":
            corners = points(e)
            xs, ys = zip(*corners, strict=True)
            yield sum(xs) / len(xs), sum(ys) / len(ys), e


def points(path: Element) -> list[tuple[float, float]]:
    """Corners of a path."""
    numbers = re.findall(r"-?\d+(?:\.\d+)?", path.get("d") or "")
    return list(zip(map(float, numbers[::2]), map(float, numbers[1::2]), strict=True))


def lines(svg: Element, class_: str) -> list[Box]:
    """Ends of the straight lines of a class."""
    found = (e for e in svg.iter(f"{SVG}line") if class_ in classes(e))
    return [Box(*(float(e.get(key) or 0) for key in ("x1", "y1", "x2", "y2"))) for e in found]


def rectangles(svg: Element, pattern: str) -> list[Box]:
    """Rectangles with a class that matches."""
    found = (e for e in svg.iter(f"{SVG}rect") if any(re.fullmatch(pattern, c) for c in classes(e)))
    return [
        Box(x, y, x + float(e.get("width") or 0), y + float(e.get("height") or 0))
        for e in found
        for x, y in [(float(e.get("x") or 0), float(e.get("y") or 0))]
    ]


class Axis(NamedTuple):
    """Two labelled places of an axis: enough to read any other value off it."""

    place: float
    value: float
    other_place: float
    other_value: float

    def linear(self, at: float) -> float:
        share = (at - self.place) / (self.other_place - self.place)
        return self.value + share * (self.other_value - self.value)

    def log(self, at: float) -> float:
        share = (at - self.place) / (self.other_place - self.place)
        return float(self.value * (self.other_value / self.value) ** share)


UNITS = {
    "ms": 1e-3,
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}


def value(text: str) -> float:
    """`20 s` as 20, `1 min` as 60, `64 MiB` in bytes, `90` as 90."""
    number, _, unit = text.replace(",", "").partition(" ")
    return float(number) * UNITS.get(unit, 1)


def left_axis(svg: Element, top: float = -math.inf, bottom: float = math.inf) -> Axis:
    """The axis at the left by its lowest and highest number, between two heights."""
    numbers = [
        t for t in texts(svg)
        if re.fullmatch(r"[\d.,]+", t.words) and "muted" in t.classes and top < t.y < bottom
    ]  # fmt: skip
    edge = min(t.box.x1 for t in numbers)
    column = sorted((t for t in numbers if abs(t.box.x1 - edge) < 0.5), key=lambda t: t.y)
    grid = [line.y0 for line in lines(svg, "grid") if line.y0 == line.y1]
    # A number belongs to the grid line nearest to its middle.
    first, last = (min(grid, key=lambda y: abs(y - t.y)) for t in (column[0], column[-1]))
    return Axis(first, value(column[0].words), last, value(column[-1].words))


def bottom_axis(svg: Element) -> Axis:
    """The axis below, by two of its labels that stand on grid lines."""
    places = {line.x0 for line in lines(svg, "grid") if abs(line.x0 - line.x1) < 0.01}
    labels = [
        t for t in texts(svg)
        if re.fullmatch(r"[\d.,]+( [a-zA-Z]+)?", t.words) and "muted" in t.classes
        and any(abs(t.x - place) < 0.06 for place in places)
    ]  # fmt: skip
    first, last = min(labels, key=lambda t: t.x), max(labels, key=lambda t: t.x)
    return Axis(first.x, value(first.words), last.x, value(last.words))
