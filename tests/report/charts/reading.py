"""Reading a figure: what its marks stand for, where its texts are, and its SVG."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import combinations
from xml.etree.ElementTree import Element

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axis import XTick, YTick
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from bench.report.charts.figure import BETWEEN, DESK, PHONE, STYLE, TOLD, Chart
from bench.report.text import plain

SVG = "{http://www.w3.org/2000/svg}"
WIDTHS = (DESK, PHONE)


def figure(chart: Chart, width: float = DESK) -> Figure:
    """The figure as it is drawn, laid out."""
    with mpl.rc_context(STYLE):
        drawn = chart.draw(width)
        drawn.draw_without_rendering()
    return drawn


def told(drawn: Figure, kind: type[Artist] = Artist) -> list[tuple[str, Artist]]:
    """What each artist of a kind says it stands for, in the order of drawing."""
    artists = [artist for artist in drawn.findobj(kind) if isinstance(artist, Artist)]
    gids = [(artist.get_gid() or "", artist) for artist in artists]
    return [(plain(gid.removeprefix(TOLD)), a) for gid, a in gids if gid.startswith(TOLD)]


def subject(words: str) -> str:
    """Whom the words of a mark are about."""
    return words.partition(":")[0]


def points(drawn: Figure) -> dict[str, tuple[float, float]]:
    """Where each mark that says its subject is, as data."""
    found = {}
    for words, artist in told(drawn, Line2D):
        assert isinstance(artist, Line2D)
        x, y = data(artist)
        if artist.get_marker() not in ("None", "", None) and len(x) == 1:
            found[subject(words)] = (float(x[0]), float(y[0]))
    return found


def data(line: Artist) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y of a line."""
    assert isinstance(line, Line2D)
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def lines(drawn: Figure, about: str) -> list[tuple[list[float], list[float]]]:
    """x and y of the lines without marks that say this subject."""
    found = [a for words, a in told(drawn, Line2D) if subject(words) == about]
    pairs = [data(line) for line in found]
    return [(x.tolist(), y.tolist()) for x, y in pairs if len(x) > 1]


def boxes(drawn: Figure) -> dict[str, Rectangle]:
    """The last rectangle of each subject."""
    found = told(drawn, Rectangle)
    return {subject(words): box for words, box in found if isinstance(box, Rectangle)}


def filled(box: Rectangle) -> str:
    """The colour of a rectangle."""
    return to_hex(box.get_facecolor()) if box.get_fill() else "none"


def collections(drawn: Figure) -> list[tuple[list[str], PathCollection]]:
    """Scattered marks, with what each says."""
    found = told(drawn, PathCollection)
    return [(w.split(BETWEEN), c) for w, c in found if isinstance(c, PathCollection)]


# ---- texts ----------------------------------------------------------------------------------


def visible_texts(artist: Artist) -> Iterator[Text]:
    """Every text that is drawn; ticks beyond the ends of an axis are not."""
    if not artist.get_visible():
        return
    if isinstance(artist, XTick | YTick):
        assert artist.axes is not None
        axis = artist.axes.xaxis if isinstance(artist, XTick) else artist.axes.yaxis
        low, high = sorted(axis.get_view_interval())
        if not artist.axes.axison or not low <= artist.get_loc() <= high:
            return
    if isinstance(artist, Text) and artist.get_text().strip():
        yield artist
    for child in artist.get_children():
        yield from visible_texts(child)


def words(drawn: Figure) -> list[str]:
    """What is written."""
    return [plain(text.get_text()) for text in visible_texts(drawn)]


def box_of(text: Text) -> Bbox:
    """Where the letters are: a line is higher than what most letters fill."""
    box = Text.get_window_extent(text)
    thin = min(2.0, box.height / 5, box.width / 5)
    return box.padded(-thin)


def collisions(drawn: Figure) -> list[str]:
    """Texts that cover each other, or leave the page."""
    texts = [(text.get_text(), box_of(text)) for text in visible_texts(drawn)]
    page = drawn.bbox.padded(2)
    found = [f"{text!r} leaves" for text, box in texts if page.count_contains(box.corners()) < 4]
    return found + [
        f"{one!r} on {other!r}"
        for (one, box), (other, second) in combinations(texts, 2)
        if box.overlaps(second)
    ]


# ---- SVG ------------------------------------------------------------------------------------


def drawings(chart: Chart) -> dict[str, Element]:
    """Both drawings of a page, by class."""
    root = ElementTree.fromstring(chart.svg)
    return {svg.get("class") or "": svg for svg in root.iter(f"{SVG}svg")}


def titles(svg: Element) -> list[str]:
    """What the pointer shows, without the title of the whole."""
    return [plain(one.text or "") for one in svg.iter(f"{SVG}title")][1:]
