"""Tables of the report on the terminal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bench import terminal
from bench.terminal import out, plain

if TYPE_CHECKING:
    from bench.report import formats

WORDY = ("Cell", "Why", "Newest change")
"""Columns that may be broken where the terminal is narrow."""

ASIDE = {"Visible": "visible from ", "Why": ""}
"""Columns that become lines below the table where it is too wide, and the words before them."""

UNBOUNDED = 10_000


def say(headline: str, content: "formats.Table", remarks: Iterable[str]) -> None:
    """The headline, the table, and what must be known beside it."""
    out.print(Text(plain(headline), style="bold"))
    if content.rows:
        made = table(content)
        slim = without(content, ASIDE)
        if unbroken(made) <= out.width:
            out.print(made)
        elif unbroken(table(slim)) - spared(slim) <= out.width:
            out.print(table(slim))
            remarks = [*asides(content, ASIDE), *remarks]
        else:  # not even with names broken between words
            remarks = [*asides(content, whole(content)), *remarks]
    for line in remarks:
        out.print(Text(plain(line)))


def unbroken(made: Table) -> int:
    """The width of a table in which nothing is broken."""
    return Measurement.get(out, out.options.update(max_width=UNBOUNDED), made).maximum


def spared(content: "formats.Table") -> int:
    """How much narrower the names of the first column are, broken between words."""
    from bench.report import formats

    names = [content.header[0], *(formats.text_of(row[0]) for row in content.rows)]
    words = [word for name in names for word in name.split()]
    return max(map(cell_len, names)) - max(map(cell_len, words))


def table(content: "formats.Table") -> Table:
    """The table with its numbers whole, and no name cut off: it could be that of another cell."""
    from bench.report import formats

    sides = zip(content.header, content.align, strict=True)
    made = terminal.table(*content.header, numbers=[name for name, side in sides if side == "r"])
    for column, name in zip(made.columns, content.header, strict=True):
        column.overflow, column.no_wrap = "fold", name not in WORDY
    for row in content.rows:
        terminal.add(made, *map(formats.text_of, row))
    return made


def without(content: "formats.Table", names: Iterable[str]) -> "formats.Table":
    """The table without some of its columns."""
    gone = set(names)
    places = [place for place, name in enumerate(content.header) if name not in gone]
    return content._replace(
        header=tuple(content.header[place] for place in places),
        rows=tuple(tuple(row[place] for place in places) for row in content.rows),
        align="".join(content.align[place] for place in places),
    )


def whole(content: "formats.Table") -> Mapping[str, str]:
    """All columns but the first two, and the words before them."""
    words = {name: f"{name.lower()} " for name in content.header[2:]} | ASIDE
    return {name: "" if name == "Verdict" else words[name] for name in content.header[2:]}


def asides(content: "formats.Table", beside: Mapping[str, str]) -> Iterator[str]:
    """What some columns say of each row, by its first two: a cell and a metric."""
    from bench.report import formats, units

    for row in content.rows:
        texts = dict(zip(content.header, map(formats.text_of, row), strict=True))
        told = [
            f"{before}{texts[name]}"
            for name, before in beside.items()
            if texts.get(name, "") not in ("", units.UNKNOWN)
        ]
        if told:
            yield f"{', '.join(list(texts.values())[:2])}: {'; '.join(told)}"
