"""`bench report`: everything that is derived from the records of one run, or of several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import InputError
from bench.terminal import out, say, status
from bench.verbs.options import BYTES, COUNT, LATENCY, POINTS, SECONDS, limit


def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders, such as results/capstone/...")
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the report; needed where several runs become one."),
    ] = None,
    max_seconds: Annotated[
        float | None,
        limit("TIME", "Name the best cell that trains within this time.", SECONDS, "60 or 5min"),
    ] = None,
    max_memory: Annotated[
        float | None,
        limit(
            "SIZE",
            "... whose peak memory is at most this; a bare number is in GiB.",
            BYTES,
            "2GiB or 800MiB",
        ),
    ] = None,
    max_params: Annotated[
        float | None, limit("COUNT", "... with at most this many parameters.", COUNT, "12M or 800k")
    ] = None,
    max_latency: Annotated[
        float | None,
        limit("TIME", "... that takes at most this long for one image.", LATENCY, "20ms or 0.1s"),
    ] = None,
    within: Annotated[
        float | None,
        limit(
            "POINTS",
            "Name the cheapest whose val score is at most this many points below the best.",
            POINTS,
            "1 or 0.5",
        ),
    ] = None,
) -> None:
    """Rebuild the report, tables and plots of a run.

    Several runs of one suite, with other seeds or on other machines, become one report in --out.
    """
    from bench import views
    from bench.analysis.choice import Budget
    from bench.folder import locked
    from bench.report import text, writer
    from bench.report.facts import Limits, answers
    from bench.verbs.runs import gather, gc_paused

    place = place_of(folders, folder)
    limits = Limits(Budget(max_seconds, max_memory, max_params, max_latency), within)
    with gc_paused():
        with status(out, "reading the records"):
            made = gather(folders)._replace(limits=limits)
        with locked(place), status(out, "writing the report"):
            writer.write(place, made)
    found = [*views.chosen(made.table, made.summary), *answers(made.summary, limits)]
    for line in (*map(text.plain, found), *views.report_files(place)):
        say(line)


def place_of(folders: Sequence[Path], asked: Path | None) -> Path:
    """Where the report goes. Raises InputError or FolderError; makes nothing."""
    from bench.folder import check_report_folder

    known: dict[Path, Path] = {}
    for one in folders:
        if twice := known.get(one.resolve()):
            raise InputError(f"{twice} and {one} are the same run: name it once")
        known[one.resolve()] = one
    if asked is None:
        if len(folders) > 1:
            raise InputError("several runs need a folder for their report: name it with --out")
        return folders[0]
    if asked.resolve() not in known or len(folders) > 1:
        check_report_folder(asked)
    return asked
