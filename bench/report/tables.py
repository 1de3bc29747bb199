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
    """A value as it is."""
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
        """The columns for reading."""
        return tuple(column for column in self.columns if column.title)

    def texts(self, most: int | None = None) -> list[list[str]]:
        """The first rows for reading, of the shown columns."""
        place = {column.name: index for index, column in enumerate(self.columns)}
        wanted = [
            (column.format, [place[name] for name in (column.name, *column.also)])
            for column in self.shown
        ]
        return [
            [form(*(row[index] for index in places)) for form, places in wanted]
            for row in self.rows[:most]
        ]

    def notes(self) -> str:
        """What the columns hold, in one paragraph."""
        return " ".join(column.note for column in self.columns if column.note)

    def only(self, keep: Callable[[Column], bool]) -> "Table":
        """The table with some of its columns for reading; the others stay for computing."""
        columns = (one if keep(one) else one._replace(title="") for one in self.columns)
        return self._replace(columns=tuple(columns))

    def without_silent(self) -> "Table":
        """The table without the columns that say nothing in any row."""
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
    """Every column, unrounded."""
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
    *,
    rest: str = "",
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
        kind="main" if classes else "",
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
NUMBER = Markup(' class="number"')


def _head(columns: Sequence[Column]) -> Markup:
    cells = Markup()
    for column, below in _stacked(columns):
        unit = ", ".join(filter(None, [column.unit, *(one.title.lower() for one in below)]))
        small = Markup(" ") + SMALL.format(unit) if unit else ""
        number = NUMBER if column.align == "right" else ""
        cells += Markup('<th scope="col"{}>{}{}</th>').format(number, column.title, small)
    return cells


def _cells(columns: Sequence[Column], row: Sequence[str], key: Markup) -> Markup:
    shown = {column.name: text.html(value) for column, value in zip(columns, row, strict=True)}
    cells = Markup()
    for column, below in _stacked(columns):
        inner = shown[column.name] + Markup().join(
            SMALL.format(shown[one.name]) for one in below if shown[one.name]
        )
        if not cells:
            named = Markup("{}<span>{}</span>").format(key, inner) if key else inner
            cells += Markup('<th scope="row"{}>{}</th>').format(
                Markup(' class="named"') if key else "", named
            )
        else:
            number = NUMBER if column.align == "right" else ""
            cells += Markup("<td{}>{}</td>").format(number, inner)
    return cells


def _stacked(columns: Sequence[Column]) -> list[tuple[Column, list[Column]]]:
    """Each column of a page with those that stand in small below it."""
    stacks: list[tuple[Column, list[Column]]] = []
    for column in columns:
        if column.below:
            stacks[-1][1].append(column)
        else:
            stacks.append((column, []))
    return stacks
