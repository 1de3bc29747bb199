"""A table, declared once: its columns, and rows of raw values.

To be read (Markdown, LaTeX, terminal, HTML in `parts.html`) each column formats its values; CSV
has them unrounded. Unknown is a dash in the one and an empty field in the other, never 0.
"""

import csv
import io
from collections.abc import Callable, Container, Iterable
from typing import Literal, NamedTuple

from rich.cells import cell_len
from tabulate import tabulate

from bench.report import text, units

Value = str | int | float | bool | None


def as_text(value: Value) -> str:
    return units.UNKNOWN if value is None else str(value)


class Column(NamedTuple):
    """One column. Without a title it is for computing only, and stands in the CSV alone."""

    name: str
    title: str = ""
    unit: str = ""
    format: Callable[..., str] = as_text  # of the value, and of those that `also` names
    also: tuple[str, ...] = ()
    align: Literal["left", "right"] = "left"
    below: bool = False  # on a page: in small, below the column before
    note: str = ""  # what the values are, a sentence

    @property
    def heading(self) -> str:
        """`Train s`."""
        return f"{self.title} {self.unit}".rstrip()


class Table(NamedTuple):
    """`name` is its file in tables/, `title` says what is in it."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]

    @property
    def shown(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.title)

    @property
    def stacks(self) -> list[list[tuple[int, Column]]]:
        """The shown columns by place, each with what a page has below it."""
        stacks: list[list[tuple[int, Column]]] = []
        for place, column in enumerate(self.shown):
            if not column.below:
                stacks.append([])
            stacks[-1].append((place, column))
        return stacks

    def texts(self, most: int | None = None) -> list[list[str]]:
        names = [column.name for column in self.columns]
        return [
            [
                column.format(value, *(row[names.index(name)] for name in column.also))
                for column, value in zip(self.columns, row, strict=True)
                if column.title
            ]
            for row in self.rows[:most]
        ]

    def without(self, names: Container[str]) -> "Table":
        """The table with these columns in the CSV alone."""
        columns = (one._replace(title="") if one.name in names else one for one in self.columns)
        return self._replace(columns=tuple(columns))

    def without_silent(self) -> "Table":
        values = zip(self.shown, zip(*self.texts(), strict=True), strict=False)
        silent = [one.name for one, said in values if not set(said) - {"", units.UNKNOWN}]
        return self.without(silent)


def as_markdown(table: Table, most: int | None = None) -> str:
    """A pipe table of the first rows, aligned so that it reads in a terminal too."""

    def shown(value: str) -> str:
        safe = text.markdown(value)
        return safe + "\x00" * (cell_len(safe) - len(safe))  # a Chinese letter is two columns wide

    return _tabulated(table, "pipe", shown, most).replace("\x00", "")


def as_latex(table: Table) -> str:
    """A booktabs tabular that sets every name as it is written."""
    made = _tabulated(table, "latex_booktabs", lambda value: text.printable(text.plain(value)))
    return text.latex(made)


def _tabulated(
    table: Table, form: str, shown: Callable[[str], str], most: int | None = None
) -> str:
    rows = [[shown(value) for value in row] for row in table.texts(most)]
    return tabulate(
        rows,
        headers=[shown(column.heading) for column in table.shown],
        tablefmt=form,
        disable_numparse=True,
        colalign=[column.align for column in table.shown] if rows else None,
    )


def as_csv(table: Table) -> str:
    return csv_text([column.name for column in table.columns], table.rows)


def csv_text(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Comma-separated values in UTF-8; None is an empty field."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([text.csv(value) if isinstance(value, str) else value for value in row])
    return lines.getvalue()
