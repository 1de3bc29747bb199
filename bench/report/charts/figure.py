"""A figure inside a page: drawn by matplotlib in two widths, as inline SVG.

Text is text in the page's font, and every colour of COLOURS becomes a CSS variable, so that a
figure follows the page from light to dark and to paper. An artist says what it stands for through
`told`; the browser shows that where the pointer rests.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import Affine2D

DESK, PHONE = 720.0, 350.0
"""Widths of a figure in pixels: in a wide column and on a phone, where text keeps its size."""

FAMILY, TEXT, SMALL = "DejaVu Sans", 12.0, 11.0

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
    "figure.frameon": False,
    "svg.fonttype": "none",
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
        ("labelcolor", MUTED), ("major.size", 0), ("major.pad", 6),
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

    @property
    def svg(self) -> Markup:
        """The figure in both widths, of which a page shows the one that fits."""
        pictures = []
        for name, width in (("desk", DESK), ("phone", PHONE)):
            with mpl.rc_context(STYLE):
                root = as_svg(self, self.draw(width), f"{self.id}-{name}")
            root.set("class", name)
            del root.attrib["width"], root.attrib["height"]
            pictures.append(_with_variables(ElementTree.tostring(root, encoding="unicode")))
        return Markup('<div class="chart">{}</div>').format(Markup("".join(pictures)))


def told(artist: Artist, *words: str) -> None:
    """Show the words where the pointer rests on the artist; on a collection, one for each mark."""
    if any(words):
        artist.set_gid(TOLD + BETWEEN.join(words))


TOLD, BETWEEN = "told:", "\u241e"


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


SVG = "http://www.w3.org/2000/svg"
HREF = "{http://www.w3.org/1999/xlink}href"
DROPPED = {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}
ElementTree.register_namespace("", SVG)


def as_svg(chart: Chart, figure: Figure, name: str, **options: Any) -> Element:
    """The figure as one image for a screen reader; `name` keeps its ids apart from any other's."""
    file = io.StringIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": name}):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a browser has its own fonts
        figure.savefig(file, format="svg", metadata={"Date": None}, **options)
    (root,) = _tidied(ElementTree.fromstring(file.getvalue()))
    size = {side: root.attrib[side].removesuffix("pt") for side in ("width", "height")}  # pixels
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc", **size}
    root.insert(0, element("title", chart.title, id=f"{name}-title"))
    root.insert(1, element("desc", chart.description, id=f"{name}-desc"))
    return root


def element(tag: str, words: str, **attributes: str) -> Element:
    made = Element(f"{{{SVG}}}{tag}", attributes)
    made.text = words
    return made


def _tidied(node: Element) -> list[Element]:
    """The element with what it is told to say, short numbers and no needless group around it."""
    node[:] = [kept for child in node if child.tag not in DROPPED for kept in _tidied(child)]
    node.tail = None
    if not (node.text or "").strip():
        node.text = None
    if HREF in node.attrib:
        node.set("href", node.attrib.pop(HREF))
    for key in node.attrib.keys() & {"d", "x", "y", "transform", "style"}:
        node.set(key, _short(node.attrib[key]))
    if node.get("transform", "").startswith("rotate(-0 "):
        del node.attrib["transform"]
    if node.tag == f"{{{SVG}}}defs":
        return [node] if len(node) else []
    if node.tag != f"{{{SVG}}}g":
        return [node]
    said = node.attrib.pop("id", "")  # matplotlib numbers its groups
    if said.startswith(TOLD) and len(node):
        _tell(node, said.removeprefix(TOLD).split(BETWEEN))
        return [node]
    return [node] if node.attrib and len(node) else list(node)


def _tell(group: Element, words: list[str]) -> None:
    if len(words) == 1:
        group.insert(0, element("title", words[0]))
        return
    marks = [mark for mark in group.iter() if mark.tag in (f"{{{SVG}}}use", f"{{{SVG}}}path")]
    for mark, word in zip([mark for mark in marks if "id" not in mark.attrib], words, strict=True):
        mark.insert(0, element("title", word))


def _short(value: str) -> str:
    """Numbers of at most two decimals, and no negative zero."""
    return re.sub(
        r"-?\d+\.\d+", lambda found: f"{round(float(found[0]), 2) + 0:g}", " ".join(value.split())
    )
