"""The terminal: its two consoles, and what every verb prints on them."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.errors import Stopped

CONTROL = (*range(0x20), 0x7F, *range(0x80, 0xA0))
BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
UNSEEN: dict[int, None] = dict.fromkeys((*CONTROL, *BIDI))


def plain(text: str) -> str:
    """The text without what could move the cursor or reverse the writing."""
    return text.translate(UNSEEN)


class Screen(Console):
    """A console; when its reader has left (`| head`), the command stops as by a signal."""

    def on_broken_pipe(self) -> None:
        """Let what is still buffered go nowhere. Raises Stopped."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        raise Stopped(signal.SIGPIPE)


PIPE_COLUMNS = 160
"""Width of tables in a pipe or a file, where no terminal sets one."""


def screen() -> Screen:
    if sys.stdout.isatty():
        return Screen(highlight=False)
    width = None if "COLUMNS" in os.environ else PIPE_COLUMNS
    return Screen(highlight=False, soft_wrap=True, width=width)


out = screen()
err = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def say(text: str, style: str = "") -> None:
    out.print(Text(plain(text), style=style))


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
