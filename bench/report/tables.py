"""A table, declared once: its columns, and rows of raw values.

For reading (Markdown, HTML, LaTeX, the terminal) each column formats its values; CSV has them
unrounded. Unknown is a dash in the one and an empty field in the other, never 0.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup
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

    def texts(self, most: int | None = None) -> list[list[str]]:
        place = {column.name: index for index, column in enumerate(self.columns)}
        wanted = [
            (column.format, [index, *(place[name] for name in column.also)])
            for index, column in enumerate(self.columns)
            if column.title
        ]
        return [
            [form(*(row[index] for index in places)) for form, places in wanted]
            for row in self.rows[:most]
        ]

    def only(self, keep: Callable[[Column], bool]) -> "Table":
        columns = (one if keep(one) else one._replace(title="") for one in self.columns)
        return self._replace(columns=tuple(columns))

    def without_silent(self) -> "Table":
        said = zip(*self.texts(), strict=True)
        heard = {
            column.name
            for column, values in zip(self.shown, said, strict=False)
            if set(values) - {"", units.UNKNOWN}
        }
        return self.only(lambda column: column.name in heard)


# ---- formats --------------------------------------------------------------------------------


def as_markdown(table: Table, most: int | None = None) -> str:
    """A pipe table of the first rows, aligned so that it reads in a terminal too."""
    rows = [[_padded(text.markdown(value)) for value in row] for row in table.texts(most)]
    made = tabulate(
        rows,
        headers=[_padded(text.markdown(column.heading)) for column in table.shown],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=[column.align for column in table.shown] if rows else None,
    )
    return made.replace(PAD, "")


PAD = "\x00"


def _padded(value: str) -> str:
    """A value whose length is its width: a Chinese letter is two columns wide."""
    return value + PAD * (cell_len(value) - len(value))


def as_latex(table: Table) -> str:
    """A booktabs tabular that sets every name as it is written."""
    body = tabulate(
        [[text.printable(text.plain(value)) for value in row] for row in table.texts()],
        headers=[text.printable(column.heading) for column in table.shown],
        tablefmt="latex_booktabs",
        disable_numparse=True,
        colalign=[column.align for column in table.shown] if table.rows else None,
    )
    return text.latex(body)


def as_csv(table: Table) -> str:
    return csv_text([column.name for column in table.columns], table.rows)


def csv_text(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Comma-separated values in UTF-8; None is an empty field."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([text.csv(value) if isinstance(value, str) else value for value in row])
    return lines.getvalue()


def as_html(
    table: Table,
    most: int | None = None,
    rest: str = "",
    *,
    classes: Sequence[str] = (),
    keys: Sequence[Markup] = (),
) -> Markup:
    """A scrolling region with the first rows; `rest` says where the others are.

    `classes` are of the rows, `keys` pictures before the names in their first cells.
    """
    rows = table.texts(most)
    body = Markup("\n").join(
        Markup("<tr{}>{}</tr>").format(
            Markup(' class="{}"').format(classes[place]) if classes else "",
            _cells(table.shown, row, keys[place] if keys else Markup()),
        )
        for place, row in enumerate(rows)
    )
    caption = table.title
    if len(table.rows) > len(rows):
        caption += f": the first {len(rows)} of {len(table.rows):,}{rest and f', {rest}'}"
    return REGION.format(
        id=f"{table.name}-caption",
        tall=" tall" if len(rows) > 40 else "",
        kind="main" if len(table.shown) > 6 else "",  # names stay while it scrolls
        caption=text.html(caption),
        head=_head(table.shown),
        body=body,
    )


REGION = Markup(
    '<div class="scroll{tall}" role="region" aria-labelledby="{id}" tabindex="0">\n'
    '<table class="{kind}">\n<caption id="{id}"><span>{caption}</span></caption>\n'
    "<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
)
SMALL = Markup("<small>{}</small>")


def _head(columns: Sequence[Column]) -> Markup:
    cells = Markup()
    for column, _, below in _stacked(columns, [""] * len(columns)):
        unit = ", ".join(filter(None, [column.unit, *(one.title.lower() for one, _ in below)]))
        small = Markup(" ") + SMALL.format(unit) if unit else ""
        cells += HEAD.format(_side(column), text.html(column.title), small)
    return cells


def _cells(columns: Sequence[Column], row: Sequence[str], key: Markup) -> Markup:
    cells = Markup()
    for column, value, below in _stacked(columns, row):
        small = (SMALL.format(text.html(under)) for _, under in below if under)
        inner = text.html(value) + Markup().join(small)
        if cells:
            cells += CELL.format(_side(column), inner)
        elif key:
            cells += KEYED.format(key, inner)
        else:
            cells += FIRST.format(inner)
    return cells


HEAD = Markup('<th scope="col"{}>{}{}</th>')
FIRST = Markup('<th scope="row">{}</th>')
KEYED = Markup('<th scope="row" class="named">{}<span>{}</span></th>')
CELL = Markup("<td{}>{}</td>")


def _side(column: Column) -> Markup:
    return Markup(' class="number"') if column.align == "right" else Markup()


def _stacked(
    columns: Sequence[Column], row: Sequence[str]
) -> list[tuple[Column, str, list[tuple[Column, str]]]]:
    stacks: list[tuple[Column, str, list[tuple[Column, str]]]] = []
    for column, value in zip(columns, row, strict=True):
        if column.below:
            stacks[-1][2].append((column, value))
        else:
            stacks.append((column, value, []))
    return stacks
