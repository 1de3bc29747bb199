"""The terminal: its two consoles, and what every verb prints on them.

Tables of reports are as wide as the terminal, and nothing is cut off.
"""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.errors import FolderError, Stopped

if TYPE_CHECKING:
    from bench.report.tables import Table as ReportTable

CONTROL = (*range(0x20), 0x7F, *range(0x80, 0xA0))
BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
UNSEEN: dict[int, None] = dict.fromkeys((*CONTROL, *BIDI))


def plain(text: str) -> str:
    """The text without what could move the cursor or reverse the writing."""
    return text.translate(UNSEEN)


class Output(io.FileIO):
    """Standard output that may end: its reader leaves, its disk is full, its terminal closes."""

    def __init__(self, number: int, *, must_be_heard: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self.must_be_heard = must_be_heard

    def write(self, data: Any) -> int:
        """What cannot be written goes nowhere, and so does all that follows.

        Where it must be heard, raises Stopped if nobody reads it (`| head`), else FolderError.
        """
        try:
            return super().write(data) or 0
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if not self.must_be_heard:
                return len(data)
            if error.errno == errno.EPIPE:
                raise Stopped(signal.SIGPIPE) from None
            raise FolderError(f"the output cannot be written: {error.strerror}") from None


def open_outputs(*, must_be_heard: bool) -> None:
    """Let standard output and error be such, also where the command began without them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would be in its place
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = _stream(sys.stdout, Output(1, must_be_heard=must_be_heard))
    sys.stderr = _stream(sys.stderr, Output(2, must_be_heard=False))


def _stream(before: TextIO | None, output: Output) -> TextIO:
    encoding = before.encoding if before else "utf-8"
    buffered = io.BufferedWriter(output)
    # `?` for what the encoding of the locale lacks.
    return io.TextIOWrapper(buffered, encoding, "replace", line_buffering=True)


def is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def screen() -> Console:
    if is_terminal(sys.stdout):
        return Console(highlight=False)
    width = None if "COLUMNS" in os.environ else 160  # of tables in a pipe or a file
    return Console(highlight=False, soft_wrap=True, width=width)


out = screen()
err = Console(stderr=True, highlight=False, soft_wrap=not is_terminal(sys.stderr))


def say(text: str, style: str = "", console: Console = out) -> None:
    console.print(Text(plain(text), style=style))


def print_as_it_is(text: str) -> None:
    """Print a document for programs: no line is broken, and nothing is added."""
    out.print(Text(text), soft_wrap=True, end="")


def complain(code: str, place: str, problems: Sequence[str]) -> None:
    err.print(Text(f"error[{code}] {plain(place)}", style="bold red"))
    for problem in problems:
        err.print(Indented(plain(problem)))


def can_redraw(console: Console) -> bool:
    """Whether what was written can be taken back: not in a log, a pipe, CI or a dumb terminal."""
    return console.is_terminal and not console.is_dumb_terminal and "CI" not in os.environ


@contextmanager
def status(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Say what is being waited for, on a terminal that can take it back; nothing elsewhere.

    Yields a function that says something else instead.
    """
    if not can_redraw(console):
        yield lambda text: None
        return
    with console.status(Text(text)) as shown:
        yield lambda text: shown.update(Text(plain(text)))


def clock_text(seconds: float) -> str:
    """A duration as people write it: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def table(*columns: str, numbers: Iterable[str] = ()) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    made.show_header = any(columns)
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left")
    return made


def add(made: Table, *cells: str) -> None:
    made.add_row(*(Text(plain(cell)) for cell in cells))


class Indented(NamedTuple):
    """A line two spaces in, which stays so where it is broken."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Where lines are not broken, padding would cut them off at the width of the console.
        whole = Text(f"  {self.text}")
        yield whole if options.no_wrap else Padding.indent(Text(self.text), 2)


def prose(lines: Iterable[str]) -> list[RenderableType]:
    return [
        Indented(plain(line.strip())) if line.startswith("  ") else Text(plain(line))
        for line in lines
    ]


WORDY = ("cell", "newest_change")
"""Columns whose texts may be broken between words."""

DROPPED = ((), ("visible",), ("visible", "why"), ("visible", "why", "baseline", "candidate"))
"""Columns that go where the table is too wide, ever more; `why` stands below it then."""


def say_table(
    headline: str,
    content: "ReportTable",
    remarks: Iterable[str],
    most: int | None = None,
    rest: str = "",
) -> None:
    """A headline, the first rows, and what to know beside them; `rest` says where others are."""
    if headline:
        say(headline, "bold")
    if content.rows:
        names = [column.name for column in content.shown]
        rows = [dict(zip(names, texts, strict=True)) for texts in content.texts(most)]
        fitting, shown = fitted(content, most)
        if fitting is None:
            bullets(map(in_a_line, rows))
        else:
            out.print(fitting)
        if "why" not in shown:
            bullets(reasons(rows))
        if most is not None and len(content.rows) > most:
            out.print(Text(f"and {len(content.rows) - most:,} more rows{rest}"))
    bullets(remarks)


def bullets(texts: Iterable[str]) -> None:
    for text in texts:
        if out.soft_wrap:
            say(f"- {text}")
            continue
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row(Text("-"), Text(plain(text)))
        out.print(grid)


def fitted(content: "ReportTable", most: int | None) -> tuple[Table | None, Collection[str]]:
    """The table with the columns that fit, and their names; None where not even words fit."""
    for gone in DROPPED:
        fitting = content.without(gone)
        made = rich_table(fitting, most)
        if least_width(made, fitting, most) <= out.width:
            return made, [column.name for column in fitting.shown]
    return None, ()


def rich_table(content: "ReportTable", most: int | None = None) -> Table:
    """The table with its numbers whole, and no name cut off: it could be that of another cell."""
    numbers = [column.heading for column in content.shown if column.align == "right"]
    made = table(*(column.heading for column in content.shown), numbers=numbers)
    for column, shown in zip(made.columns, content.shown, strict=True):
        column.overflow, column.no_wrap = "fold", shown.name not in WORDY
    for row in content.texts(most):
        add(made, *row)
    return made


def least_width(made: Table, content: "ReportTable", most: int | None) -> int:
    """The least width in which only wordy columns are broken, and between words."""
    width = Measurement.get(out, out.options.update(max_width=10_000), made).maximum
    for place, column in enumerate(content.shown):
        if column.name in WORDY:
            texts = [column.heading, *(row[place] for row in content.texts(most))]
            words = [word for text in texts for word in text.split()]
            width -= max(map(cell_len, texts)) - max(map(cell_len, words))
    return width


def in_a_line(row: Mapping[str, str]) -> str:
    """A row for terminals so narrow that no table fits: its first two values, then the others."""
    head, rest = list(row.values())[:2], list(row.items())[2:]
    told = [f"{name.replace('_', ' ')} {text}" for name, text in rest if text and name != "why"]
    return f"{', '.join(head)}: {'; '.join(told)}"


def reasons(rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Why rows were not judged, where the table has no room for it: each reason once."""
    together: dict[str, list[str]] = {}
    for row in rows:
        if why := row.get("why"):
            together.setdefault(why, []).append(f"{row['cell']}, {row['metric']}")
    for why, named in together.items():
        yield f"{named[0] if len(named) == 1 else f'{len(named)} rows'}: {why}"
