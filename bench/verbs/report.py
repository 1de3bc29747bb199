"""`bench report`: everything that is derived from the records of one run, or of several."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import InputError
from bench.terminal import out, say, status
from bench.verbs import options

if TYPE_CHECKING:
    from bench.report.context import Report

Folders = Annotated[
    list[Path], typer.Argument(metavar="RUN", help="Run folders, such as results/capstone/...")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for the report; needed where several runs become one."),
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(
        parser=options.amount(options.SECONDS, "60 or 5min"),
        metavar="TIME",
        help="Name the best cell that trains within this time.",
    ),
]
MaxMemory = Annotated[
    float | None,
    typer.Option(
        parser=options.amount(options.BYTES, "2GiB or 800MiB"),
        metavar="SIZE",
        help="... whose peak memory is at most this; a bare number is in GiB.",
    ),
]
MaxParams = Annotated[
    float | None,
    typer.Option(
        parser=options.amount(options.COUNT, "12M or 800k"),
        metavar="COUNT",
        help="... with at most this many parameters.",
    ),
]
MaxLatency = Annotated[
    float | None,
    typer.Option(
        parser=options.amount(options.LATENCY, "20ms or 0.1s"),
        metavar="TIME",
        help="... that takes at most this long for one image.",
    ),
]
Within = Annotated[
    float | None,
    typer.Option(
        parser=options.amount(options.POINTS, "1 or 0.5"),
        metavar="POINTS",
        help="Name the cheapest whose val score is at most this many points below the best.",
    ),
]


def report(
    folders: Folders,
    folder: Out = None,
    max_seconds: MaxSeconds = None,
    max_memory: MaxMemory = None,
    max_params: MaxParams = None,
    max_latency: MaxLatency = None,
    within: Within = None,
) -> None:
    """Rebuild the report, tables and plots of a run.

    Several runs of one suite, with other seeds or on other machines, become one report in --out.
    """
    from bench.analysis.choice import Budget
    from bench.folder import locked
    from bench.report import sentences, text, writer
    from bench.report.facts import Limits, answers
    from bench.verbs.load_runs import gather, uncollected

    place = place_of(folders, folder)
    limits = Limits(Budget(max_seconds, max_memory, max_params, max_latency), within)
    with uncollected():
        with status(out, "reading the records"):
            made = gather(folders)._replace(limits=limits)
        with locked(place), status(out, "writing the report"):
            writer.write(place, made)
    found, summary = made.table, made.summary
    said = [sentences.headline(found, summary), sentences.one_seed(found.run, summary)]
    for line in filter(None, (*said, *answers(summary, made.limits), *files(place))):
        say(text.plain(line))


def write_report(folder: Path) -> "Report":
    from bench.report import writer
    from bench.verbs.load_runs import gather

    with status(out, "writing the report"):
        made = gather([folder])
        writer.write(folder, made)
    return made


def files(folder: Path) -> list[str]:
    return [f"report: {folder / 'report.html'}", f"  {folder / 'report.md'}"]


def place_of(folders: Sequence[Path], asked: Path | None) -> Path:
    """Where the report goes. Raises InputError or FolderError; makes nothing."""
    from bench.folder import check_report_folder

    known: dict[Path, Path] = {}
    for one in folders:
        if twice := known.get(one.resolve()):
            raise InputError([f"{twice} and {one} are the same run: name it once"])
        known[one.resolve()] = one
    if asked is None:
        if len(folders) > 1:
            raise InputError(["several runs need a folder for their report: name it with --out"])
        return folders[0]
    if asked.resolve() not in known or len(folders) > 1:
        check_report_folder(asked)
    return asked
