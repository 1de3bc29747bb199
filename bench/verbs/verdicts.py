"""Verdicts on the terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bench.terminal import plain
from bench.verbs.consoles import out

if TYPE_CHECKING:
    from bench.report import formats

WORDY = ("Cell", "Why")
"""Columns that may be broken where the terminal is narrow."""


def say(headline: str, verdicts: "formats.Table", remarks: Iterable[str]) -> None:
    """The headline, the table, and what must be known beside it."""
    out.print(Text(plain(headline), style="bold"))
    if verdicts.rows:
        out.print(table(verdicts))
    for line in remarks:
        out.print(Text(plain(line)))


def table(verdicts: "formats.Table") -> Table:
    """The table with its numbers whole, and no name cut off: it could be that of another cell."""
    from bench import views
    from bench.report import formats

    sides = zip(verdicts.header, verdicts.align, strict=True)
    made = views.table(*verdicts.header, numbers=[name for name, side in sides if side == "r"])
    for column, name in zip(made.columns, verdicts.header, strict=True):
        column.overflow, column.no_wrap = "fold", name not in WORDY
    for row in verdicts.rows:
        views.add(made, *map(formats.text_of, row))
    return made
