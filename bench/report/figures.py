"""Every figure of a report, declared once: report.html and plots/ show what is listed here."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from bench.analysis.choice import Summary
from bench.analysis.table import RunTable
from bench.record import Run
from bench.report import units
from bench.report.charts import canvas, choice, quality, training
from bench.report.charts.canvas import LINE
from bench.report.charts.figure import (
    DESK,
    FAMILY,
    MUTED,
    PAPER,
    SMALL,
    STYLE,
    Chart,
    as_svg,
    element,
)
from bench.report.text import plain, printable

About = Literal["run", "recommended"]
"""What a figure is of: all rows, or the recommended one."""


class Listed(NamedTuple):
    """A figure: its id, also its stem in plots/; what it is about; what makes it from a run."""

    id: str
    about: About
    make: Callable[[RunTable, Summary], Chart | None]


FIGURES = (
    Listed("accuracy-vs-train-time", "run", choice.against_train_time),
    Listed("accuracy-vs-memory", "run", choice.against_memory),
    Listed("heat-map", "run", choice.heat_map),
    Listed("accuracy", "run", choice.accuracy),
    Listed("learning-curves", "run", training.learning_curves),
    Listed("time-spent", "run", training.time_spent),
    Listed("confusion", "recommended", quality.confusion),
    Listed("recall", "recommended", quality.recall),
    Listed("reliability", "recommended", quality.reliability),
)


def charts(table: RunTable, summary: Summary, about: About | None = None) -> list[Chart]:
    chosen = [one for one in FIGURES if about in (None, one.about)]
    found = (one.make(table, summary) for one in chosen)
    return [chart for chart in found if chart is not None]


def basis(run: Run) -> str:
    data, name = run.data, printable(run.data.name)
    images = f"{data.num_train:,} train, {data.num_val:,} val, {data.num_test:,} test images"
    suite = f"{printable(run.suite_name)}, {printable(units.setting(run))}"
    return f"{suite} · {name}: {images} · {units.seeds(run.suite)}"


def plot_paths(stem: Path) -> tuple[Path, Path]:
    return stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")


def save(chart: Chart, stem: Path, basis: str = "") -> None:
    """Write the figure under its title, above its note and what its numbers come from (`basis`)."""
    png, svg = plot_paths(stem)
    with mpl.rc_context(STYLE):
        figure = chart.draw(DESK)
        options: Any = {"bbox_inches": _captioned(figure, chart, basis), "facecolor": PAPER}
        figure.set_frameon(True)
        root = as_svg(chart, figure, chart.id, **options)
        root.insert(2, element("style", "* { stroke-linejoin: round } text { white-space: pre }"))
        svg.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            text.set_text(drawable(text.get_text()))
            text.set_fontfamily(families(text.get_text()))
        figure.savefig(png, dpi=144, pil_kwargs={"compress_level": 4}, **options)


MARGIN = 12.0


def _captioned(figure: Figure, chart: Chart, basis: str) -> Bbox:
    """Write the title above the figure, note and basis below it; the box of it all, in inches."""
    wide, high = figure.bbox.size
    top = -14.0
    for words in reversed(canvas.wrap(chart.title, wide / 1.15, 14, " ")):  # bold is wider
        canvas.write(figure, 0, top, words, fontsize=14, fontweight=700)
        top -= 14 * LINE
    bottom = high + 4
    for part in filter(None, (chart.note, basis)):
        for words in canvas.wrap(part, wide, SMALL, " "):
            bottom += 1.35 * SMALL
            canvas.write(figure, 0, bottom, words, color=MUTED)
        bottom += 4
    sides = (-MARGIN, high - bottom - 4, wide + MARGIN, high - top + 2)
    return Bbox.from_extents(*(side / 72 for side in sides))


def families(text: str) -> list[str]:
    found = (_family_of(letter) for letter in sorted(set(text)))
    return list(dict.fromkeys([FAMILY, *filter(None, found)]))


def drawable(text: str) -> str:
    r"""The text with `\u732b` for each letter that no font of this machine holds.

    A browser finds its own fonts; in a picture a missing letter would be an empty box.
    """
    return "".join(
        c if c == "\n" or _family_of(c) else c.encode("ascii", "backslashreplace").decode()
        for c in plain(text)
    )


@cache
def _family_of(letter: str) -> str | None:
    """A family of this machine that has the letter, DejaVu before any other."""
    for font in sorted(fontManager.ttflist, key=lambda f: (f.name != FAMILY, f.name)):
        upright = font.style == "normal" and font.weight in (400, "normal", "regular", "book")
        boxes = font.name.startswith("Last Resort")  # it has a box for every letter
        if upright and not boxes:
            face = get_font(font.fname)
            if face.scalable and face.get_char_index(ord(letter)):
                return font.name
    return None
