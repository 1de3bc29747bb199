"""Tables of the report on the terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bench.terminal import plain
from bench.verbs.consoles import out

if TYPE_CHECKING:
    from bench.report import formats

WORDY = ("Cell", "Why", "Newest change")
"""Columns that may be broken where the terminal is narrow."""


def say(headline: str, content: "formats.Table", remarks: Iterable[str]) -> None:
    """The headline, the table, and what must be known beside it."""
    out.print(Text(plain(headline), style="bold"))
    if content.rows:
        out.print(table(content))
    for line in remarks:
        out.print(Text(plain(line)))


def table(content: "formats.Table") -> Table:
    """The table with its numbers whole, and no name cut off: it could be that of another cell."""
    from bench import views
    from bench.report import formats

    sides = zip(content.header, content.align, strict=True)
    made = views.table(*content.header, numbers=[name for name, side in sides if side == "r"])
    for column, name in zip(made.columns, content.header, strict=True):
        column.overflow, column.no_wrap = "fold", name not in WORDY
    for row in content.rows:
        views.add(made, *map(formats.text_of, row))
    return made
