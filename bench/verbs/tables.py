"""Tables of reports on the terminal: as wide as it is, and nothing is cut off."""

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from bench import terminal
from bench.terminal import out, plain

if TYPE_CHECKING:
    from bench.report.tables import Table

WORDY = ("cell", "newest_change")
"""Columns whose texts may be broken between words."""

DROPPED = ((), ("visible",), ("visible", "why"), ("visible", "why", "baseline", "candidate"))
"""Columns that go where the table is too wide, ever more; `why` stands below it then."""

UNBOUNDED = 10_000

ALL = ": --all shows them"
"""Where the rows of a comparison are that are not shown."""


def say(
    headline: str,
    content: "Table",
    remarks: Iterable[str],
    most: int | None = None,
    rest: str = "",
) -> None:
    if headline:
        out.print(Text(plain(headline), style="bold"))
    if content.rows:
        fitting = fitted(content, most)
        if fitting:
            out.print(terminal_table(fitting, most))
        else:
            lines(listed(content, most))
        if not fitting or "why" not in names(fitting):
            lines(asides(content, most))
        if most is not None and len(content.rows) > most:
            out.print(Text(f"and {len(content.rows) - most:,} more rows{rest}"))
    lines(remarks)


def lines(texts: Iterable[str]) -> None:
    for text in texts:
        if out.soft_wrap:
            out.print(Text(f"- {plain(text)}"))
            continue
        grid = RichTable.grid(padding=(0, 1, 0, 0))
        grid.add_row(Text("-"), Text(plain(text)))
        out.print(grid)


def names(content: "Table") -> list[str]:
    return [column.name for column in content.shown]


def fitted(content: "Table", most: int | None) -> "Table | None":
    """The table without the columns that do not fit; None where not even words fit."""
    for gone in DROPPED:
        found = without(content, gone)
        if narrowest(found, most) <= out.width:
            return found
    return None


def without(content: "Table", gone: Collection[str]) -> "Table":
    return content.only(lambda column: bool(column.title) and column.name not in gone)


def narrowest(content: "Table", most: int | None) -> int:
    """The least width in which only wordy columns are broken, and between words."""
    wide = out.options.update(max_width=UNBOUNDED)
    width = Measurement.get(out, wide, terminal_table(content, most)).maximum
    for place, column in enumerate(content.shown):
        if column.name in WORDY:
            texts = [column.heading, *(row[place] for row in content.texts(most))]
            words = [word for text in texts for word in text.split()]
            width -= max(map(cell_len, texts)) - max(map(cell_len, words))
    return width


def terminal_table(content: "Table", most: int | None = None) -> RichTable:
    """The table with its numbers whole, and no name cut off: it could be that of another cell."""
    numbers = [column.heading for column in content.shown if column.align == "right"]
    made = terminal.table(*(column.heading for column in content.shown), numbers=numbers)
    for column, shown in zip(made.columns, content.shown, strict=True):
        column.overflow, column.no_wrap = "fold", shown.name not in WORDY
    for row in content.texts(most):
        terminal.add(made, *row)
    return made


def listed(content: "Table", most: int | None) -> Iterator[str]:
    """Each row in a line, for terminals so narrow that no table fits."""
    for texts in content.texts(most):
        row = dict(zip(names(content), texts, strict=True))
        head = [row.pop(name) for name in names(content)[:2]]
        row.pop("why", None)
        told = [f"{name.replace('_', ' ')} {text}" for name, text in row.items() if text]
        yield f"{', '.join(head)}: {'; '.join(told)}"


def asides(content: "Table", most: int | None) -> Iterator[str]:
    if "why" not in names(content):
        return
    together: dict[str, list[str]] = {}
    for texts in content.texts(most):
        row = dict(zip(names(content), texts, strict=True))
        together.setdefault(row["why"], []).append(f"{row['cell']}, {row['metric']}")
    for why, rows in together.items():
        if why:
            yield f"{rows[0] if len(rows) == 1 else f'{len(rows)} rows'}: {why}"
