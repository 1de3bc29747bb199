"""The ways to end: exit codes, and what is said of a mistake or a bug."""

import tempfile
import traceback
from collections.abc import Mapping, Sequence
from enum import IntEnum

from rich.text import Text

from bench.terminal import plain
from bench.verbs.consoles import err


class Exit(IntEnum):
    """Exit codes of `bench`."""

    OK = 0
    BUG = 1
    INPUT = 2
    NOT_ALL_OK = 3
    REGRESSION = 4
    FOLDER = 6


class InputError(ValueError):
    """What was asked for cannot be done: line by line what is wrong, and what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(list(problems))
        self.problems = list(problems)


UNDONE: Mapping[str, str] = {
    "run": "nothing was trained",
    "report": "nothing was reported",
    "export": "nothing was exported",
    "predict": "nothing was predicted",
    "compare": "nothing was compared",
    "ab": "nothing was compared",
    "history": "nothing was shown",
    "baseline": "nothing was accepted or shown",
}
"""What did not happen, by verb."""


def complain(code: str, place: str, problems: Sequence[str]) -> None:
    """Print what is wrong, where, and what to do."""
    err.print(Text(f"error[{code}] {plain(place)}", style="bold red"))
    for problem in problems:
        err.print(Text(f"  {plain(problem)}"))


def crash(error: BaseException) -> Exit:
    """Save the traceback of a bug in bench, and say where."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="bench-crash-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
    text = (str(error).strip().splitlines() or [""])[0]
    err.print(Text(f"error[E-BUG] {type(error).__name__}: {plain(text)}", style="bold red"))
    err.print(Text(f"  this is a bug in bench; please report it with {file.name}"))
    return Exit.BUG
