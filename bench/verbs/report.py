"""`bench report`: everything that is derived from the records of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from bench.terminal import status
from bench.verbs.consoles import out

if TYPE_CHECKING:
    from bench.schema import Failure, Result, Run


def report(
    folder: Annotated[Path, typer.Argument(help="A run folder, such as results/capstone/...")],
) -> None:
    """Rebuild the report, tables and plots of a run from its records."""
    from bench import store

    store.read_run(folder)  # before a lock could make the folder
    with store.locked(folder):
        write_report(folder)
    out.print(Text(f"report: {folder / 'report.md'}"))


def write_report(folder: Path) -> "tuple[Run, list[Result | Failure]]":
    """Rebuild everything derived from the records, and return those."""
    from bench import store
    from bench.report import derived

    finished, records = store.read_run(folder), store.read_records(folder)
    with status(out, "writing the report"):
        derived.write(folder, finished, records)
    return finished, records
