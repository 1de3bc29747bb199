"""`bench history`: what became of a suite from run to run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import FolderError, InputError, unknown
from bench.terminal import bullets, out, print_as_it_is, say, say_table, status
from bench.verbs.options import RESULTS, check_file

if TYPE_CHECKING:
    from bench.verbs.runs import Past

MOST_NEWS, MOST_CELLS = 12, 40
"""Lines that a terminal shows; the page has more."""


def history(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Suite file, or a suite's name.")],
    folder: Annotated[
        Path, typer.Option("--history", metavar="DIR", help="Folder of the runs.")
    ] = Path(RESULTS),
    place: Annotated[
        Path | None, typer.Option("--out", help="File for the page; else DIR/SUITE/history.html.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON; write a page with --out only.")
    ] = False,
) -> None:
    """Show the scores, times and memory of all runs of a suite.

    And when they changed.
    """
    from bench.analysis.history import history as history_of
    from bench.analysis.history import news
    from bench.folder import write_text
    from bench.identity import slug
    from bench.report import history as texts
    from bench.report.writer import history_page
    from bench.verbs.runs import gc_paused, names

    check_file(place)
    name = suite_name(suite)
    with gc_paused():
        past = past_of(folder, name)
        called = names([folder / run for run in past.runs])
        found = history_of(dict(zip(called, past.runs.values(), strict=True)))
        reading = texts.Reading(past.unfinished, past.unreadable, past.copies, past.damaged)
        if as_json:
            print_as_it_is(texts.as_json(found, reading))
        else:
            changes = news(found)
            shown = [": ".join(texts.told(found, one)) for one in changes[:MOST_NEWS]]
            if len(changes) > MOST_NEWS:
                shown.append(f"and {len(changes) - MOST_NEWS} older changes: see the page")
            say(texts.headline(found), "bold")
            bullets(shown)
            remarks = texts.remarks(found, reading)
            say_table("", texts.table(found.cells, found), remarks, MOST_CELLS)
            place = place or folder / slug(name) / "history.html"
        if place:
            write_text(place, history_page(found, reading))
    if not as_json:
        say(f"page: {place}")


def suite_name(suite: str) -> str:
    """The name that a suite file gives, or what was given. Raises SuiteError."""
    from bench.suite_file import read_suite

    path = Path(suite)
    if path.suffix != ".toml" and not path.is_file():
        return suite
    return next(iter(read_suite(path).profiles.values())).name


def past_of(folder: Path, name: str) -> "Past":
    """The runs of a suite, at least one. Raises InputError or FolderError."""
    from bench.verbs.runs import folder_of_past, past_below

    with status(out, "looking for runs") as tell:
        found = past_below(folder_of_past(folder), name, tell)
    if found.runs:
        return found
    if found.suites and name not in found.suites:
        problem = unknown(name, found.suites[:20])
        raise InputError([f"{folder}: no run of {name}: {problem}", *found.unreadable[:3]])
    began = f"no run of {name} has finished ({found.unfinished} began)"
    if found.unreadable:
        what = began if found.unfinished else f"no run of {name} can be read"
        raise FolderError(f"{folder}: {what}: {'; '.join(found.unreadable[:3])}")
    if found.suites:
        raise InputError(f"{folder}: {began}")
    raise InputError(f"{folder}: holds no runs; `bench run SUITE` makes one")
