"""`bench compare`: whether anything got worse from one run to another."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from bench.errors import InputError
from bench.terminal import out, status
from bench.verbs.endings import asked, exit_code
from bench.verbs.options import RESULTS, Everything, check_file
from bench.verbs.report import names, uncollected

if TYPE_CHECKING:
    from bench.analysis.verdict import Comparison
    from bench.report.verdicts import Sides

SIDE = "Run folder, or file of `bench baseline accept`."


class Form(StrEnum):
    """How a comparison is told."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    JUNIT = "junit"


FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="LIST",
        help="Instead of all but inconclusive: regressed, failed, missing, refused, unstable, "
        "inconclusive, with commas between them.",
    ),
]


def compare(
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE", help=SIDE)],
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help=SIDE)],
    history: Annotated[
        Path | None,
        typer.Option(help="Folder of past runs, by which times are judged.", show_default=RESULTS),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="How it is told.")] = Form.TABLE,
    place: Annotated[
        Path | None, typer.Option("--out", help="File for it; the table is printed all the same.")
    ] = None,
    fail_on: FailOn = None,
    everything: Everything = False,
) -> None:
    """Compare a run with a baseline: accuracy, time and memory of every cell.

    Exit code 4: something is worse. 3: not one task, not everything there, unsteady, or nothing
    judged. 2: a side or the folder of past runs does not exist.
    """
    from bench.analysis.matching import same_run
    from bench.analysis.verdict import outcomes
    from bench.report.verdicts import Sides
    from bench.verbs.comparing import compared, read
    from bench.verbs.sides import folder_of_past

    failing = asked(fail_on)
    if os.path.realpath(baseline) == os.path.realpath(candidate):
        raise InputError([f"{baseline} and {candidate} are the same: name two"])
    if place and form is Form.TABLE:
        raise InputError(["--out needs --format markdown, json or junit"])
    check_file(place, (baseline, candidate))
    results = folder_of_past(history)
    with uncollected(), status(out, "reading the records"):
        given = read(baseline, candidate, results)
        if same_run(given.baseline, given.candidate):
            raise InputError([f"{baseline} and {candidate} are the same run: name two"])
        found = compared(given)
    sides = Sides(*names([baseline, candidate]))
    tell(found, sides, form, place, everything=everything)
    raise typer.Exit(exit_code(outcomes(found), failing))


# ---- how it is told -------------------------------------------------------------------------


def tell(
    found: "Comparison", sides: "Sides", form: Form, place: Path | None, *, everything: bool
) -> None:
    """Print it, and write it where that was asked for. Raises FolderError."""
    from bench.folder import write_text

    text = "" if form is Form.TABLE else text_of(found, sides, form)
    if place:
        write_text(place, text)
    if place or form is Form.TABLE:
        show(found, sides, everything=everything)
    else:
        out.print(Text(text), soft_wrap=True, end="")


def text_of(found: "Comparison", sides: "Sides", form: Form) -> str:
    """The comparison as a file."""
    from bench.report import junit, verdicts

    forms = {
        Form.MARKDOWN: verdicts.markdown,
        Form.JSON: verdicts.as_json,
        Form.JUNIT: junit.junit,
    }
    return forms[form](found, sides)


def show(found: "Comparison", sides: "Sides", *, everything: bool) -> None:
    """The headline, the table, and what must be known beside it."""
    from bench.analysis.verdict import in_order
    from bench.report import verdicts
    from bench.verbs.tables import say

    told = in_order(found.verdicts) if everything else verdicts.news(found)
    say(verdicts.headline(found, sides), verdicts.table(told), verdicts.remarks(found))
