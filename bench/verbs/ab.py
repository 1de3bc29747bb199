"""`bench ab`: whether one code of bench is worse than another, where there is no history."""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from bench.errors import FolderError, InputError, SideFailed, Stopped
from bench.terminal import clock_text, err, out, print_as_it_is, say, say_table
from bench.verbs import options
from bench.verbs.compare import ALL

if TYPE_CHECKING:
    from bench.analysis.ab import Alternation, Sided
    from bench.verbs.checkouts import Plan

SIDE = "Checkout of bench: a folder that holds bench/__main__.py, or a git revision."


def ab(
    old: Annotated[str, typer.Argument(metavar="OLD", help=SIDE)],
    new: Annotated[str, typer.Argument(metavar="NEW", help=SIDE)],
    suite: Annotated[Path, typer.Option(help="Suite file that both sides run.")],
    pairs: Annotated[int, typer.Option(min=3, max=99, help="Runs of each side.")] = 5,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the runs; an unfinished comparison in it goes on."),
    ] = None,
    device: options.Device = "auto",
    dataset: options.OwnImages = None,
    offline: options.Offline = False,
    form: Annotated[
        Literal["table", "markdown", "json"], typer.Option("--format", help="Output format.")
    ] = "table",
    fail_on: options.FailOn = None,
    everything: options.Everything = False,
) -> None:
    """Compare two checkouts of bench by runs of a suite in turn.

    The order is old new new old ...

    Exit code 4: the new code is worse. 3: not one task, not everything there, or nothing judged.
    """
    from bench.folder import new_folder
    from bench.verbs import checkouts

    # An unsteady machine widens the intervals; what they hide is inconclusive.
    failing = options.failing_outcomes(fail_on, "inconclusive", "unstable")
    if not suite.is_file():
        raise InputError(f"{suite}: is not there; name a suite file with --suite")
    if folder is None:
        fresh = new_folder(Path(options.RESULTS), suite.stem)
        folder = fresh.with_name(f"ab-{fresh.name}")  # too deep for its runs to be past ones
    checkouts.check_folder(folder)
    passed = ["--device", device, *(["--dataset", dataset] if dataset else [])]
    passed += ["--offline"] if offline else []
    with tempfile.TemporaryDirectory(prefix="bench-ab-") as copies:
        sides = {
            name: checkouts.check_out(given, Path(copies, name))
            for name, given in (("old", old), ("new", new))
        }
        plan = checkouts.Plan(folder, sides, suite, tuple(passed), pairs)
        found = judged(plan, out if form == "table" else err)
    tell(found, plan, form, everything=everything)
    raise typer.Exit(options.exit_code(found.outcomes, failing))


def judged(plan: "Plan", console: Console) -> "Alternation":
    """Run what is not there yet, and judge. Raises SideFailed where a side fails."""
    from bench.analysis.ab import alternation
    from bench.folder import locked
    from bench.verbs import checkouts

    for name in plan.sides:
        checkouts.check_runs(plan, name)
    tell_here = partial(say, console=console)
    tell_here(f"bench ab {plan.suite} · {plan.num_pairs} pairs of runs", "bold")
    for name, side in plan.sides.items():
        tell_here(f"{name}: {side.name}")
    if len({side.sha256 for side in plan.sides.values()}) == 1:
        tell_here("both are the same code: whatever differs is noise")
    tell_here(f"runs: {plan.folder}")
    with locked(plan.folder):
        checkouts.begin(plan)
        try:
            sides = run_all(plan, console)
        except Stopped:
            say(f"stopped; the same command with --out {plan.folder} goes on", console=err)
            raise
        shutil.rmtree(plan.folder / checkouts.CACHE, ignore_errors=True)
    try:
        return alternation(sides)
    except ValueError as error:
        raise FolderError(f"{plan.folder}: {error}") from error


def run_all(plan: "Plan", console: Console) -> "Sided":
    """Both sides' runs, a line for each, whose first half is there before the run begins.

    Nothing moves meanwhile: cells are timed.
    """
    from bench.analysis.ab import Sided, one_task
    from bench.analysis.pairs import matched
    from bench.verbs import checkouts

    sides, spent, turns = Sided([], []), list[float](), checkouts.order(plan.num_pairs)
    for turn in turns:
        number = f"[{turn.number:>{len(str(len(turns)))}}/{len(turns)}]"
        console.print(Text(f"{number} {turn.name}  "), end="")
        try:
            seconds = checkouts.take(plan, turn)
            run = checkouts.read_run(plan, turn)
        except BaseException:
            console.print()
            raise
        getattr(sides, turn.side).append(run)
        statuses = list(run.columns["status"])
        told = [f"{statuses.count('ok')} of {len(statuses)} cells ok"]
        if seconds is None:
            told.append("done before")
        else:
            spent.append(seconds)
            left = (len(turns) - turn.number) * fmean(spent)
            told.append(clock_text(seconds))
            told += ["unsteady"] if run.header.unstable else []
            told += [f"about {clock_text(left)} left"] if left else []
        console.print(Text(", ".join(told)))
        if turn.number == 2 and not one_task(sides.old[0], sides.new[0]):
            say("the two sides differ in what they train: no further runs", console=console)
            break
        if turn.number > 2 and matched(sides.old[0], run).other_task:
            what = f"{turn.name} trained something different from the earlier runs"
            raise SideFailed([what, "did the images change? name a new folder with --out"])
    return sides


def tell(found: "Alternation", plan: "Plan", form: str, *, everything: bool) -> None:
    """Print it, and leave it beside the runs. Raises FolderError."""
    from bench.analysis.judge import in_order
    from bench.folder import write_text
    from bench.report import comparison

    sides = comparison.Sides(*(plan.sides[name].name for name in ("old", "new")))
    markdown, as_json = comparison.ab_markdown(found, sides), comparison.ab_json(found, sides)
    write_text(plan.folder / "comparison.md", markdown)
    write_text(plan.folder / "comparison.json", as_json)
    if form != "table":
        print_as_it_is(as_json if form == "json" else markdown)
        return
    verdicts = found.comparison.verdicts
    shown = in_order(verdicts) if everything else comparison.ab_matters(found)
    most = None if everything else comparison.MOST_ROWS
    headline, remarks = comparison.ab_headline(found, sides), comparison.ab_remarks(found)
    say_table(headline, comparison.table(shown, comparison.CODES), remarks, most, ALL)
