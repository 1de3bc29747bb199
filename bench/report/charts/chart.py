"""A chart as the page takes it: one drawing for a wide column and one for a phone.

The page's style shows one of the two (style.css), so that text keeps its size on both.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from bench.report.charts import lettering
from bench.report.charts.lettering import TEXT
from bench.report.charts.svg import Label, element


class Chart(NamedTuple):
    """A drawing, its heading, and how to read it in plain text."""

    id: str
    title: str
    svg: Markup
    note: str


class Sheet(NamedTuple):
    """What is drawn on; the width in user units, about one pixel each."""

    name: str
    width: float

    @property
    def narrow(self) -> bool:
        """Whether labels need a line of their own."""
        return self.width < 500


SHEETS = (Sheet("desk", 720.0), Sheet("phone", 350.0))


class Drawing(NamedTuple):
    """What was drawn, and how high it is."""

    height: float
    marks: Sequence[Markup]


def chart(
    id_: str, title: str, note: str, description: str, draw: Callable[[Sheet], Drawing]
) -> Chart:
    """Both drawings in one element, each told to a screen reader by title and description."""
    pictures = [_picture(f"{id_}-{s.name}", s, title, description, draw(s)) for s in SHEETS]
    return Chart(id_, title, element("div", *pictures, class_="chart"), note)


def _picture(id_: str, sheet: Sheet, title: str, description: str, drawing: Drawing) -> Markup:
    return element(
        "svg",
        element("title", title, id=f"{id_}-title"),
        element("desc", description, id=f"{id_}-desc"),
        *drawing.marks,
        xmlns="http://www.w3.org/2000/svg",
        class_=sheet.name,
        viewBox=f"0 0 {sheet.width:g} {drawing.height:.0f}",
        role="img",
        aria_labelledby=f"{id_}-title {id_}-desc",
        font_size=TEXT,
    )


def plain(id_: str, title: str, sentence: str) -> Chart:
    """A chart of which there is nothing to draw but one sentence."""

    def draw(sheet: Sheet) -> Drawing:
        lines = lettering.wrap(sentence, sheet.width - 8)
        marks = [Label(4, 20 + 16 * i, line, "muted").svg for i, line in enumerate(lines)]
        return Drawing(28 + 16 * len(lines), marks)

    return chart(id_, title, "", sentence, draw)
