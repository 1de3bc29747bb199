"""`bench history`: what became of a suite from run to run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from bench.errors import InputError
from bench.terminal import out, plain, status
from bench.verbs.options import check_file

if TYPE_CHECKING:
    from bench.analysis.history import History
    from bench.report.history import Reading
    from bench.verbs.past import Past


def history(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Suite file, or a suite's name.")],
    folder: Annotated[
        Path, typer.Option("--history", metavar="DIR", help="Folder of the runs.")
    ] = Path("results"),
    place: Annotated[
        Path | None,
        typer.Option("--out", help="File for the page; else DIR/SUITE/history.html."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON; write a page with --out only.")
    ] = False,
) -> None:
    """Show the scores, times and memory of all runs of a suite.

    And when they changed.
    """
    from bench.analysis.history import history as history_of
    from bench.folder import write_text
    from bench.identity import slug
    from bench.report import history as texts
    from bench.report import history_page as page
    from bench.verbs.load_runs import names, uncollected

    check_file(place)
    name = suite_name(suite)
    with uncollected():
        found = read(folder, name)
        called = names([folder / run for run in found.runs])
        made = history_of(dict(zip(called, found.runs.values(), strict=True)))
        reading = texts.Reading(found.unfinished, found.unreadable, found.copies)
        if as_json:
            out.print(Text(texts.as_json(made, reading)), soft_wrap=True, end="")
        else:
            show(made, reading)
            place = place or folder / slug(name) / "history.html"
        if place:
            write_text(place, page.document(made, reading))
    if not as_json:
        out.print(Text(plain(f"page: {place}")))


def suite_name(suite: str) -> str:
    """The name that a suite file gives, or what was given. Raises SuiteError."""
    from bench.suite_file import read_suite

    path = Path(suite)
    if path.suffix != ".toml" and not path.is_file():
        return suite
    return next(iter(read_suite(path).profiles.values())).name


def read(folder: Path, name: str) -> "Past":
    """The runs of a suite, at least one. Raises InputError or FolderError."""
    from bench.errors import FolderError, unknown
    from bench.verbs.past import past_below

    if not folder.is_dir():
        raise InputError([f"{folder}: is not a folder; name the folder of runs with --history"])
    with status(out, "looking for runs") as tell:
        found = past_below(folder, name, tell)
    if found.runs:
        return found
    if found.suites and name not in found.suites:
        problem = unknown(name, found.suites[:MOST_SUITES])
        raise InputError([f"{folder}: no run of {name}: {problem}", *found.unreadable[:3]])
    began = f"no run of {name} has finished ({found.unfinished} began)"
    if found.unreadable:
        what = began if found.unfinished else f"no run of {name} can be read"
        raise FolderError(f"{folder}: {what}: {'; '.join(found.unreadable[:3])}")
    if found.suites:
        raise InputError([f"{folder}: {began}"])
    raise InputError([f"{folder}: holds no runs; `bench run SUITE` makes one"])


MOST_SUITES = 20
"""Names that are listed where one is unknown."""

MOST_NEWS, MOST_CELLS = 12, 40
"""Lines that a terminal shows; the page has more."""


def show(found: "History", reading: "Reading") -> None:
    from bench.analysis.history import news
    from bench.report import history as texts
    from bench.verbs.tables import lines, say

    changes = news(found)
    shown = [": ".join(texts.told(found, one)) for one in changes[:MOST_NEWS]]
    if len(changes) > MOST_NEWS:
        shown.append(f"and {len(changes) - MOST_NEWS} older changes: see the page")
    out.print(Text(plain(texts.headline(found)), style="bold"))
    lines(shown)
    say("", texts.table(found.cells, found), texts.remarks(found, reading), MOST_CELLS)
