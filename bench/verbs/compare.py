"""`bench compare`: whether anything got worse from one run to another."""

import os
from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from bench.errors import FolderError, InputError
from bench.terminal import out, status
from bench.verbs.options import RESULTS, Everything, check_file, exit_code, failing_outcomes

if TYPE_CHECKING:
    from bench.analysis.compare import Comparison
    from bench.analysis.costs import Rates
    from bench.analysis.table import Snapshot
    from bench.report.comparison import Sides

SIDE = "Run folder, or file of `bench baseline accept`."


class Form(StrEnum):
    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    JUNIT = "junit"


FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="LIST",
        help="Outcomes that make it fail, with commas between them: regressed, failed, missing, "
        "refused, unstable, inconclusive. By default all but inconclusive.",
    ),
]


def compare(
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE", help=SIDE)],
    candidates: Annotated[
        list[Path],
        typer.Argument(
            metavar="CANDIDATE",
            help="Run folder or baseline file. With several, a metric is worse only if it is "
            "worse in every one.",
        ),
    ],
    history: Annotated[
        Path | None,
        typer.Option(help="Folder of past runs, by which times are judged.", show_default=RESULTS),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="Output format.")] = Form.TABLE,
    place: Annotated[
        Path | None, typer.Option("--out", help="Write the comparison to this file.")
    ] = None,
    fail_on: FailOn = None,
    everything: Everything = False,
) -> None:
    """Compare runs with a baseline: accuracy, time and memory.

    Exit code 4: something is worse. 3: not one task, not everything there, unsteady, or nothing
    judged. 2: a side or the folder of past runs does not exist.
    """
    from bench.analysis.compare import outcomes
    from bench.verbs.load_runs import uncollected
    from bench.verbs.past import folder_of_past

    failing = failing_outcomes(fail_on)
    given = [baseline, *candidates]
    for one, other in combinations(given, 2):
        if os.path.realpath(one) == os.path.realpath(other):
            raise InputError(f"{one} and {other} are the same: name two")
    if place and form is Form.TABLE:
        raise InputError("--out needs --format markdown, json or junit")
    check_file(place, given)
    results = folder_of_past(history)
    with uncollected(), status(out, "reading the records"):
        found, sides = compared(baseline, candidates, results)
    tell(found, sides, form, place, everything=everything)
    raise typer.Exit(exit_code(outcomes(found), failing))


def compared(
    baseline: Path, candidates: Sequence[Path], results: Path
) -> "tuple[Comparison, Sides]":
    """The comparison of what lies there, and how the sides are called.

    Raises InputError or FolderError.
    """
    from bench.analysis.compare import compare as compare_
    from bench.analysis.compare import together
    from bench.analysis.pairs import same_run
    from bench.report.comparison import Sides
    from bench.verbs.load_runs import names
    from bench.verbs.past import past_below, read_side

    paths = [baseline, *candidates]
    before, *after = map(read_side, paths)
    runs = [before.run, *(side.run for side in after)]
    for one, other in combinations(range(len(runs)), 2):
        if same_run(runs[one], runs[other]):
            raise InputError(f"{paths[one]} and {paths[other]} are the same run: name two")
    past = past_below(results, runs[1].header.suite_name)
    costs = [*before.past, *past.costs, *(run for side in after for run in side.past)]
    first = min(run.header.started_at for run in runs[1:])  # candidates judge no other candidate
    called = names(paths)
    try:
        each = {
            name: with_rates(compare_(before.run, run, costs, first), before.run, run)
            for name, run in zip(called[1:], runs[1:], strict=True)
        }
    except ValueError as error:
        raise FolderError(f"{' and '.join(map(str, paths))}: {error}") from error
    found = together(each)
    lost = len(past.unreadable)
    unread = [f"past runs below {results} that could not be read: {lost}"] if lost else []
    noted = [note for side in (before, *after) for note in side.notes]
    sides = Sides(called[0], " and ".join(called[1:]))
    return found._replace(notes=(*found.notes, *noted, *unread)), sides


def with_rates(found: "Comparison", baseline: "Snapshot", candidate: "Snapshot") -> "Comparison":
    from bench.analysis import costs
    from bench.analysis.pairs import matched
    from bench.record import Calibration

    if found.elsewhere is None:
        return found

    def floor(work: costs.Work, calibration: Calibration) -> float | None:
        from bench.models.roofline import image_seconds  # torch: only where there is work

        return image_seconds(*work, calibration)

    rates: tuple[Rates, ...] = costs.rates(matched(baseline, candidate).pairs, floor)
    return found._replace(elsewhere=found.elsewhere._replace(rates=rates))


# ---- how it is told -------------------------------------------------------------------------


def tell(
    found: "Comparison", sides: "Sides", form: Form, place: Path | None, *, everything: bool
) -> None:
    """Print it, and write it where that was asked for. Raises FolderError."""
    from bench.analysis.judge import in_order
    from bench.folder import write_text
    from bench.report import comparison, junit
    from bench.verbs.tables import ALL, say

    forms = {
        Form.MARKDOWN: comparison.markdown,
        Form.JSON: comparison.as_json,
        Form.JUNIT: junit.junit,
    }
    text = forms[form](found, sides) if form in forms else ""
    if place:
        write_text(place, text)
    if text and not place:
        out.print(Text(text), soft_wrap=True, end="")
        return
    shown = in_order(found.verdicts) if everything else comparison.matters(found)
    most = None if everything else comparison.MOST_ROWS
    headline = comparison.headline(found, sides)
    say(headline, comparison.table(shown), comparison.remarks(found), most, ALL)
