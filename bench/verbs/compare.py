"""`bench compare`: whether anything got worse from one run to another."""

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.errors import FolderError, InputError
from bench.terminal import out, print_as_it_is, say_table, status
from bench.verbs import options

if TYPE_CHECKING:
    from bench.analysis.compare import Comparison
    from bench.record import Calibration
    from bench.report.comparison import Sides

SIDE = "Run folder, or file of `bench baseline accept`."
ALL = ": --all shows them"
"""Where the rows of a comparison are that are not shown."""


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
    history: options.PastRuns = None,
    form: Annotated[
        Literal["table", "markdown", "json", "junit"],
        typer.Option("--format", help="Output format."),
    ] = "table",
    place: Annotated[
        Path | None, typer.Option("--out", help="Write the comparison to this file.")
    ] = None,
    fail_on: options.FailOn = None,
    everything: options.Everything = False,
) -> None:
    """Compare runs with a baseline: accuracy, time and memory.

    Exit code 4: something is worse. 3: not one task, not everything there, unsteady, or nothing
    judged. 2: a side or the folder of past runs does not exist.
    """
    from bench.analysis.compare import outcomes
    from bench.analysis.judge import in_order
    from bench.folder import write_text
    from bench.report import comparison, junit
    from bench.verbs.runs import folder_of_past, gc_paused

    failing = options.failing_outcomes(fail_on, "inconclusive")
    given = [baseline, *candidates]
    for one, other in combinations(given, 2):
        if os.path.realpath(one) == os.path.realpath(other):
            raise InputError(f"{one} and {other} are the same: name two")
    if place and form == "table":
        raise InputError("--out needs --format markdown, json or junit")
    options.check_file(place, given)
    results = folder_of_past(history)
    with gc_paused(), status(out, "reading the records"):
        found, sides = compared(given, results)
    forms = {"markdown": comparison.markdown, "json": comparison.as_json, "junit": junit.junit}
    if place:
        write_text(place, forms[form](found, sides))
    if form in forms and not place:
        print_as_it_is(forms[form](found, sides))
    else:
        shown = in_order(found.verdicts) if everything else comparison.matters(found)
        most = None if everything else comparison.MOST_ROWS
        headline = comparison.headline(found, sides)
        say_table(headline, comparison.table(shown), comparison.remarks(found), most, ALL)
    raise typer.Exit(options.exit_code(outcomes(found), failing))


def compared(paths: Sequence[Path], results: Path) -> "tuple[Comparison, Sides]":
    """The comparison of candidates with the first, and how the sides are called.

    Raises InputError or FolderError.
    """
    from bench.analysis.baseline import are_one_run
    from bench.analysis.compare import compare as compare_
    from bench.analysis.compare import together
    from bench.report.comparison import Sides
    from bench.verbs.runs import names, past_below, read_side

    before, *after = sides = [read_side(path) for path in paths]
    for (one, side), (other, its) in combinations(zip(paths, sides, strict=True), 2):
        if are_one_run(side.run, its.run):
            raise InputError(f"{one} and {other} are the same run: name two")
    past = past_below(results, after[0].run.header.suite_name)
    costs = [*before.past, *past.costs, *(run for side in after for run in side.past)]
    first = min(side.run.header.started_at for side in after)  # candidates judge no other candidate
    baseline, *called = names(paths)
    try:
        each = {
            name: compare_(before.run, side.run, costs, first, roofline)
            for name, side in zip(called, after, strict=True)
        }
    except ValueError as error:
        raise FolderError(f"{' and '.join(map(str, paths))}: {error}") from error
    found = together(each)
    notes = [*found.notes, *(note for side in sides for note in side.notes)]
    if past.unreadable:
        notes.append(f"past runs below {results} that could not be read: {len(past.unreadable)}")
    return found._replace(notes=tuple(notes)), Sides(baseline, " and ".join(called))


def roofline(
    architecture: str, image_size: int, precision: str, calibration: "Calibration"
) -> float | None:
    from bench.models.roofline import image_seconds  # torch: only where something is counted

    return image_seconds(architecture, image_size, precision, calibration)
