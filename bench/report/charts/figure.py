"""A figure as files and inside a page: one drawing by matplotlib, as PNG and SVG and inline SVG.

Inside a page text is text in the page's font, and every colour of COLOURS becomes a CSS variable,
so that a figure follows the page from light to dark and to paper. An artist says what it stands
for through `told`; the browser shows that where the pointer rests.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast
from xml.etree.ElementTree import Element

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Affine2DBase, Bbox, ScaledTranslation, Transform

from bench.report.charts import lettering
from bench.report.charts.lettering import FAMILY, LINE, SMALL

DESK, PHONE = 720.0, 350.0
"""Widths of a figure in pixels: in a wide column and on a phone, where text keeps its size."""

# Light, dark. A light colour is the name of its variable while matplotlib draws: no two are alike.
COLOURS: Mapping[str, tuple[str, str]] = {
    "chart-paper": ("#ffffff", "#14181d"),
    "chart-ink": ("#1c2127", "#e6e9ec"),
    "chart-muted": ("#59626c", "#a3adb8"),
    "chart-grid": ("#e6e9ec", "#2a3037"),
    "chart-axis": ("#8a929b", "#6f7984"),
    # Architectures: six after Okabe and Ito, six after Tol's muted set.
    "a0": ("#056faf", "#2882c0"),
    "a1": ("#c75817", "#d55e01"),
    "a2": ("#289566", "#15a872"),
    "a3": ("#ba7aa8", "#cb7ea8"),
    "a4": ("#2997d5", "#58b4e9"),
    "a5": ("#cc7c0c", "#e5a00b"),
    "a6": ("#332288", "#7172d7"),
    "a7": ("#882255", "#c55688"),
    "a8": ("#90933d", "#999933"),
    "a9": ("#30363d", "#e6e9ec"),
    "a10": ("#4c9d85", "#5fad8c"),
    "a11": ("#aa4499", "#bb59a6"),
    # Steps of a heat map from few to many, and the ink on them.
    "h0": ("#f1f6fb", "#18222c"),
    "h1": ("#d3e4f2", "#193347"),
    "h2": ("#abcde6", "#1b4767"),
    "h3": ("#79afd6", "#1f608d"),
    "h4": ("#2d74ad", "#5ba3d9"),
    "h5": ("#165a92", "#8cc2ea"),
    "h6": ("#08396a", "#c6e2f7"),
    "on-low": ("#1c2128", "#f2f5f8"),
    "on-middle": ("#11161b", "#ffffff"),
    "on-high": ("#fffffe", "#0b1116"),
    # Parts of a cell's time, and the ink on them.
    "t0": ("#8a6d3b", "#c9a86a"),
    "t1": ("#7d6b91", "#b3a0cb"),
    "t2": ("#a65a5a", "#dd9090"),
    "t3": ("#44688c", "#86add4"),
    "t4": ("#4f7a63", "#8fbfa4"),
    "on-time": ("#fffffd", "#11161c"),
}
LIGHT = {name: light for name, (light, _) in COLOURS.items()}
PAPER, INK, MUTED = LIGHT["chart-paper"], LIGHT["chart-ink"], LIGHT["chart-muted"]
GRID, AXIS = LIGHT["chart-grid"], LIGHT["chart-axis"]
SERIES = tuple(LIGHT[f"a{i}"] for i in range(12))
HEAT = tuple(LIGHT[f"h{i}"] for i in range(7))
ON_HEAT = tuple(LIGHT[f"on-{i}"] for i in (*["low"] * 3, "middle", *["high"] * 3))
STAGES = tuple(LIGHT[f"t{i}"] for i in range(5))
ON_STAGE = LIGHT["on-time"]

MARKERS = (
    *(("o", 9.0), ("s", 8.0), ("^", 9.5), ("D", 7.5), ("v", 9.5), ("P", 9.5)),
    *(("X", 9.0), ("<", 9.5), (">", 9.5), ("p", 9.5), ("*", 12.5), ("h", 9.5)),
)
"""Markers of strategies, sized so that all look alike in weight; they repeat beyond twelve."""

STYLE: dict[Any, Any] = {
    "font.family": FAMILY,
    "font.size": SMALL,
    "figure.dpi": 72,  # a point is a pixel of the page
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",  # otherwise the ids of an SVG differ each time
    "text.parse_math": False,  # a class named "$x$" is a name, not a formula
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": AXIS,
    "axes.linewidth": 1.0,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": SMALL,
    "axes.titlecolor": MUTED,
    "axes.labelsize": SMALL,
    "axes.labelcolor": MUTED,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-6, 12),
    "axes.unicode_minus": False,
    "xaxis.labellocation": "right",
    "grid.color": GRID,
    "grid.linewidth": 1.0,
    "lines.solid_capstyle": "butt",
    "xtick.bottom": False,
    "ytick.left": False,
    **{f"{axis}tick.{key}": value for axis in "xy" for key, value in (
        ("labelsize", SMALL), ("labelcolor", MUTED), ("major.size", 0), ("major.pad", 6),
    )},
}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """A figure with its heading, how to read it, and its numbers in words for a screen reader."""

    id: str  # and the stem of its files
    title: str
    note: str
    description: str
    draw: Callable[[float], Figure]  # at a width in pixels

    @cached_property
    def desk(self) -> Element:
        return _drawn(self, DESK)

    @property
    def svg(self) -> Markup:
        return inline(self)


def told(artist: Artist, *words: str) -> None:
    """Show the words where the pointer rests on the artist; on a collection, one for each mark."""
    if any(words):
        artist.set_gid(TOLD + BETWEEN.join(words))


TOLD, BETWEEN = "told:", "\u241e"


# ---- in a page ------------------------------------------------------------------------------


def inline(chart: Chart) -> Markup:
    pictures = []
    for name, drawing in (("desk", chart.desk), ("phone", _drawn(chart, PHONE))):
        root = _labelled(drawing, chart, f"{chart.id}-{name}")
        root.set("class", name)
        for attribute in ("width", "height"):
            del root.attrib[attribute]
        pictures.append(_with_variables(ElementTree.tostring(root, encoding="unicode")))
    return Markup('<div class="chart">{}</div>').format(Markup("".join(pictures)))


def _drawn(chart: Chart, width: float) -> Element:
    """The figure at a width as SVG, without a ground."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a browser has its own fonts
        figure = chart.draw(width)
        figure.patch.set_visible(False)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
        return _tidied(ElementTree.fromstring(file.getvalue()))[0]


def _with_variables(svg: str) -> str:
    names = {light: name for name, light in LIGHT.items()}
    svg = re.sub(r"font-family: [^;\"]+;? ?", "", svg)
    return re.sub(
        r"#[0-9a-f]{6}\b",
        lambda found: f"var(--{names[found[0]]}, {found[0]})" if found[0] in names else found[0],
        svg,
    )


def style() -> str:
    light = "".join(f"--{name}: {colours[0]}; " for name, colours in COLOURS.items())
    dark = "".join(f"--{name}: {colours[1]}; " for name, colours in COLOURS.items())
    return (
        f":root {{ {light}}}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n{RULES}"
    )


RULES = """\
.chart { container-type: inline-size; }
.chart svg { display: block; width: 100%; height: auto; max-width: 840px; }
.chart svg * { stroke-linejoin: round; stroke-linecap: butt; }
.chart .phone { display: none; max-width: 480px; }
@container (max-width: 650px) {
  .chart .desk { display: none; }
  .chart .phone { display: block; }
}
.chart text { fill: var(--chart-ink); unicode-bidi: isolate; font-variant-numeric: tabular-nums; }
"""


def key(colour: str, shape: int = 0) -> Markup:
    """A mark for a line of text or a row of a table."""
    marker, size = MARKERS[shape % len(MARKERS)]
    style = MarkerStyle(marker)
    scaled = style.get_transform() + Affine2D().scale(size, -size)
    corners = np.asarray(style.get_path().transformed(scaled).to_polygons()[0])
    return Markup(
        '<svg class="key" viewBox="-7 -7 14 14" aria-hidden="true">'
        '<path style="fill: {}" d="M{}Z"/></svg>'
    ).format(_with_variables(colour), "L".join(f"{x:.2f} {y:.2f}" for x, y in corners))


# ---- as files -------------------------------------------------------------------------------


def paths(stem: Path) -> tuple[Path, Path]:
    return stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")


def save(chart: Chart, stem: Path, basis: str = "") -> None:
    """Write the figure under its title, above its note and what its numbers come from (`basis`)."""
    png, svg = paths(stem)
    with mpl.rc_context(STYLE):
        figure = chart.draw(DESK)
        wide, high = 72 * figure.get_figwidth(), 72 * figure.get_figheight()
        lines = _captions(chart, basis, wide, high)
        top, bottom = lines[0].y - 14 * LINE - 2, lines[-1].y + 8
        root = _captioned(chart, lines, (-MARGIN, top, wide + 2 * MARGIN, bottom - top))
        svg.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
        for line in lines:
            figure.text(0, line.y, line.words, transform=pixels(figure), fontsize=line.size,
                        fontweight=line.weight, color=line.colour, va="baseline")  # fmt: skip
        for each in figure.findobj(Text):
            assert isinstance(each, Text)
            each.set_text(lettering.drawable(each.get_text()))
            each.set_fontfamily(lettering.families([each.get_text()]))
        sides = (-MARGIN, high - bottom, wide + MARGIN, high - top)
        box = Bbox.from_extents(*(side / 72 for side in sides))
        options: Any = {"bbox_inches": box, "facecolor": PAPER}
        figure.savefig(png, dpi=144, pil_kwargs={"compress_level": 4}, **options)


MARGIN = 12.0


class Line(NamedTuple):
    y: float
    words: str
    size: float
    weight: int
    colour: str


def _captions(chart: Chart, basis: str, wide: float, high: float) -> list[Line]:
    title = lettering.wrap(chart.title, wide / 1.15, 14, " ")  # bold letters are wider
    above = [-14 - 14 * LINE * i for i in reversed(range(len(title)))]
    lines = [Line(y, words, 14, 700, INK) for y, words in zip(above, title, strict=True)]
    y = high + 4
    for part in filter(None, (chart.note, basis)):
        for words in lettering.wrap(part, wide, SMALL, " "):
            y += SMALL * 1.35
            lines.append(Line(y, words, SMALL, 400, MUTED))
        y += 4
    return lines


def _captioned(chart: Chart, lines: Sequence[Line], view: tuple[float, ...]) -> Element:
    root = _labelled(chart.desk, chart, chart.id)
    left, top, wide, high = (f"{side:.2f}" for side in view)
    root.attrib |= {"viewBox": f"{left} {top} {wide} {high}", "width": wide, "height": high}
    ground = {"x": left, "y": top, "width": wide, "height": high, "style": f"fill: {PAPER}"}
    root.insert(2, _element("rect", "", **ground))
    root.insert(2, _element("style", "* { stroke-linejoin: round } text { white-space: pre }"))
    for line in lines:
        font = f"font-size: {line.size:g}px; font-family: '{FAMILY}'; font-weight: {line.weight}"
        looks = {"y": f"{line.y:.2f}", "style": f"{font}; fill: {line.colour}"}
        root.append(_element("text", line.words, **looks))
    return root


def pixels(figure: Figure) -> Transform:
    """Pixels from the upper left corner of the figure, downwards, whatever its height."""
    corner = ScaledTranslation(0, 1, cast(Affine2DBase, figure.transFigure))
    return Affine2D().scale(1 / 72, -1 / 72) + figure.dpi_scale_trans + corner


# ---- SVG ------------------------------------------------------------------------------------

SVG = "http://www.w3.org/2000/svg"
HREF = "{http://www.w3.org/1999/xlink}href"
DROPPED = {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}
ElementTree.register_namespace("", SVG)


def _tidied(element: Element) -> list[Element]:
    """The element with its words, short numbers and no needless group around it."""
    children = [kept for child in element if child.tag not in DROPPED for kept in _tidied(child)]
    element[:] = children
    element.tail = None
    if not (element.text or "").strip():
        element.text = None
    name = element.get("id", "")
    if name.startswith(TOLD):
        del element.attrib["id"]
        _tell(element, name.removeprefix(TOLD).split(BETWEEN))
    if HREF in element.attrib:
        element.set("href", element.attrib.pop(HREF))
    for key, value in element.attrib.items():
        if key in ("d", "x", "y", "transform", "style"):
            element.set(key, _short(value))
    if "rotate(0 " in element.get("transform", ""):
        del element.attrib["transform"]
    if element.tag in (f"{{{SVG}}}g", f"{{{SVG}}}defs"):
        if name and not name.startswith(TOLD) and element.tag.endswith("g"):
            del element.attrib["id"]  # matplotlib numbers its groups
        if not children and name == name.removeprefix(TOLD):
            return []
        if not element.attrib and element.find(f"{{{SVG}}}title") is None:
            return children if element.tag.endswith("}g") else [element]
    return [element]


def _tell(group: Element, words: list[str]) -> None:
    if len(words) == 1:
        group.insert(0, _element("title", words[0]))
        return
    marks = [mark for mark in group.iter() if mark.tag in (f"{{{SVG}}}use", f"{{{SVG}}}path")]
    for mark, word in zip([mark for mark in marks if "id" not in mark.attrib], words, strict=True):
        mark.insert(0, _element("title", word))


def _short(value: str) -> str:
    value = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}", " ".join(value.split()))
    return re.sub(r"-?(\d+\.\d*?)0+\b", _trimmed, value)


def _trimmed(found: re.Match[str]) -> str:
    number = found[0].rstrip("0").rstrip(".")
    return "0" if number == "-0" else number


def _labelled(root: Element, chart: Chart, prefix: str) -> Element:
    """A copy of the drawing as one image for a screen reader; its ids begin with `prefix`."""
    root = deepcopy(root)
    new = {
        name: f"{prefix}-{i}"
        for i, name in enumerate(e.attrib["id"] for e in root.iter() if "id" in e.attrib)
    }
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, new[value])
            elif key == "href" or "url(#" in value:
                element.set(key, re.sub(r"#([^)]+)", lambda found: f"#{new[found[1]]}", value))
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    root.insert(0, _element("desc", chart.description, id=f"{prefix}-desc"))
    root.insert(0, _element("title", chart.title, id=f"{prefix}-title"))
    return root


def _element(name: str, words: str, **attributes: str) -> Element:
    element = Element(f"{{{SVG}}}{name}", attributes)
    element.text = words
    return element
