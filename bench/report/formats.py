"""A table as Markdown, CSV and LaTeX, safe for any name that a user may give."""

import csv
import io
import re
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len
from tabulate import tabulate

from bench.report import units

Value = str | int | float | bool | None


class Table(NamedTuple):
    """A header, and rows of the same length."""

    header: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    align: str  # a letter per column: l for text, r for numbers


def markdown(table: Table) -> str:
    """A pipe table, aligned so that it reads in a terminal too."""
    lines = [
        [escape_markdown(text_of(value)) for value in row] for row in (table.header, *table.rows)
    ]
    widths = [max(3, *map(cell_len, column)) for column in zip(*lines, strict=True)]
    rule = [
        "-" * (width - 1) + (":" if side == "r" else "-")
        for width, side in zip(widths, table.align, strict=True)
    ]
    return "\n".join(
        "| " + " | ".join(map(_padded, line, widths, table.align)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _padded(text: str, width: int, side: str) -> str:
    space = " " * (width - cell_len(text))  # a Chinese letter is two columns wide
    return space + text if side == "r" else text + space


def latex(table: Table) -> str:
    """A booktabs tabular that sets every name as it is written."""
    sides = {"l": "left", "r": "right"}
    body = tabulate(
        [[one_line(text_of(value)) for value in row] for row in table.rows],
        headers=[one_line(name) for name in table.header],
        tablefmt="latex_booktabs",
        disable_numparse=True,
        colalign=[sides[side] for side in table.align] if table.rows else None,
    )
    # What tabulate leaves: a bar is set as a dash, and after the end of a row a bracket or a star
    # would be an argument of the line break.
    for special, safe in (("|", r"\textbar{}"), ("[", "{[}"), ("*", "{*}")):
        body = body.replace(special, safe)
    body = re.sub(LIGATURES, r"\1{}", body)
    needs = ["% needs \\usepackage{booktabs}"]
    if re.search(f"[^\x00-\u024f{PUNCTUATION}]", body):
        needs.append("% needs lualatex or xelatex, and a font with these letters")
    return "\n".join([*needs, body])


LIGATURES = "(-(?=-)|'(?=')|`(?=`)|,(?=,)|[?!](?=`))"
"""What LaTeX would set together with its next as a dash, a quote or an upside-down mark."""

PUNCTUATION = "–—…·±×†"
"""Beyond Latin letters, what pdflatex sets by itself."""


def csv_text(table: Table) -> str:
    """Comma-separated values, UTF-8, unrounded; text that a spreadsheet would run is quoted."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerows([_csv_value(value) for value in row] for row in (table.header, *table.rows))
    return lines.getvalue()


def text_of(value: Value) -> str:
    """A value for reading."""
    return units.UNKNOWN if value is None else str(value)


def one_line(text: str) -> str:
    """Text without line breaks and controls, which would end a row early or turn it round."""
    if text.isprintable():  # as most are, and there are many
        return text.strip()
    return re.sub(f"{BREAKS}+", " ", re.sub(TURNS, "", text)).strip()


BREAKS = "[\x00-\x1f\x7f-\x9f\u2028\u2029]"
TURNS = "[\u202a-\u202e\u2066-\u2069]"
"""Overrides and isolates: they would show what follows them from right to left."""


INTERPRETED = r"(:(?!\d\d:)(?=[\w+-]+:)|@(?=\w)|\b[wW]{3}(?=\.))"
"""What GitHub takes for a picture (but no time of day), a person or a link.

A non-joiner, which is not seen, keeps it from that.
"""


@lru_cache(maxsize=10_000)
def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, also inside a table and at the start of a line."""
    special = r"([\\`*|>\[\]$]|<(?! )|~(?=~)|(?<=~)~|&(?=#?\w+;))"
    escaped = re.sub(special, r"\\\1", one_line(text))
    escaped = re.sub(r"^([#+-])(?=[\s#])", r"\\\1", escaped)
    escaped = re.sub(r"^(\d+)([.)])(?=\s)", r"\1\\\2", escaped)  # no item of a list
    escaped = re.sub(INTERPRETED, "\\1\u200c", escaped)
    # Between letters an underscore is only an underscore.
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", escaped)


def _csv_value(value: Value) -> Value:
    # Spreadsheets run such text as a formula (OWASP, "CSV injection").
    if isinstance(value, str) and value and not value[0].isalnum():
        return f"'{value}" if re.match(r"[\t\r]|\s*[=+\-@＝＋－＠]", value) else value
    return value
