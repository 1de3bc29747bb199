"""`bench ab`: whether one code of bench is worse than another, where there is no history."""

import shutil
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from bench.errors import InputError, SideFailed
from bench.terminal import clock_text, err, out, plain
from bench.verbs.options import Device, Everything, Offline, OwnImages, exit_code, failing_outcomes

if TYPE_CHECKING:
    from bench.analysis.ab import Alternation, Sided
    from bench.analysis.table import Snapshot
    from bench.verbs.checkouts import Done, Plan, Turn


class Told(StrEnum):
    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"


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
    device: Device = "auto",
    dataset: OwnImages = None,
    offline: Offline = False,
    form: Annotated[Told, typer.Option("--format", help="Output format.")] = Told.TABLE,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="LIST",
            help="Outcomes that make it fail, with commas between them: regressed, failed, "
            "missing, refused, unstable, inconclusive. By default all but the last two.",
        ),
    ] = None,
    everything: Everything = False,
) -> None:
    """Compare two checkouts of bench by runs of a suite in turn.

    The order is old new new old ...

    Exit code 4: the new code is worse. 3: not one task, not everything there, or nothing judged.
    """
    from bench.verbs import checkouts

    failing = failing_outcomes(fail_on)
    if fail_on is None:
        failing -= {"unstable"}  # it widens the intervals; what they hide is inconclusive
    if not suite.is_file():
        raise InputError([f"{suite}: is not there; name a suite file with --suite"])
    place = folder or new_folder(suite)
    checkouts.check_folder(place)
    options = ["--device", device, *(["--dataset", dataset] if dataset else [])]
    options += ["--offline"] if offline else []
    with tempfile.TemporaryDirectory(prefix="bench-ab-") as copies:
        sides = {
            name: checkouts.check_out(given, Path(copies, name))
            for name, given in (("old", old), ("new", new))
        }
        plan = checkouts.Plan(place, sides, suite, tuple(options), pairs)
        found = judged(plan, out if form is Told.TABLE else err)
    tell(found, plan, form, everything=everything)
    raise typer.Exit(exit_code(found.outcomes, failing))


def new_folder(suite: Path) -> Path:
    """A fresh name, too deep below the results for its runs to count as past ones."""
    from bench.folder import new_folder

    fresh = new_folder(Path("results"), suite.stem)
    return fresh.with_name(f"ab-{fresh.name}")


# ---- the runs -------------------------------------------------------------------------------


def judged(plan: "Plan", say: Console) -> "Alternation":
    """Run what is not there yet, and judge. Raises typer.Exit where a side fails."""
    from bench.analysis.ab import alternation
    from bench.errors import FolderError, Stopped
    from bench.folder import locked
    from bench.verbs import checkouts

    for name, side in plan.sides.items():
        checkouts.check_runs(side, checkouts.environment(side, checkouts.cache(plan, name)))
    first_lines(plan, say)
    with locked(plan.folder):
        checkouts.begin(plan)
        try:
            sides = run_all(plan, say)
        except Stopped:
            err.print(Text(plain(f"stopped; the same command with --out {plan.folder} goes on")))
            raise
        shutil.rmtree(plan.folder / "cache", ignore_errors=True)
    try:
        return alternation(sides)
    except ValueError as error:
        raise FolderError(f"{plan.folder}: {error}") from error


def first_lines(plan: "Plan", say: Console) -> None:
    say.print(Text(plain(f"bench ab {plan.suite} · {plan.num_pairs} pairs of runs"), style="bold"))
    for name, side in plan.sides.items():
        say.print(Text(plain(f"{name}: {side.name}")))
    if len({side.sha256 for side in plan.sides.values()}) == 1:
        say.print(Text("both are the same code: whatever differs is noise"))
    say.print(Text(plain(f"runs: {plan.folder}")))


def run_all(plan: "Plan", say: Console) -> "Sided":
    from bench.analysis.ab import Sided, one_task, same_task
    from bench.verbs import checkouts

    progress = Progress(plan.num_pairs * 2, say)
    sides = Sided([], [])
    with progress:
        for done in checkouts.take(plan, progress.begin):
            run = checkouts.read_run(plan, done.turn)
            getattr(sides, done.turn.side).append(run)
            progress.end(done, run)
            if done.number == 2 and not one_task(sides.old[0], sides.new[0]):
                say.print(Text("the two sides differ in what they train: no further runs"))
                break
            if not same_task(sides.old[0], run) and done.number > 2:
                what = f"{done.turn.name} trained something different from the earlier runs"
                raise SideFailed([what, "did the images change? name a new folder with --out"])
    return sides


class Progress:
    def __init__(self, total: int, say: Console) -> None:
        self._total, self._say = total, say
        self._seconds: list[float] = []
        self._is_open = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_open:
            self._say.print()

    def begin(self, turn: "Turn", number: int) -> None:
        """The first half of a line. Nothing moves while cells are timed, on no terminal."""
        self._say.print(Text(self._head(turn, number)), end="")
        self._is_open = True

    def end(self, done: "Done", run: "Snapshot") -> None:
        statuses = list(run.columns["status"])
        ok = f"{statuses.count('ok')} of {len(statuses)} cells ok"
        if done.seconds is None:
            self._say.print(Text(f"{self._head(done.turn, done.number)}{ok}, done before"))
            return
        self._seconds.append(done.seconds)
        left = (self._total - done.number) * sum(self._seconds) / len(self._seconds)
        told = [ok, clock_text(done.seconds)]
        told += ["unsteady"] if run.header.unstable else []
        told += [f"about {clock_text(left)} left"] if left else []
        self._say.print(Text(", ".join(told)))
        self._is_open = False

    def _head(self, turn: "Turn", number: int) -> str:
        return f"[{number:>{len(str(self._total))}}/{self._total}] {turn.name}  "


# ---- how it ends ----------------------------------------------------------------------------


def tell(found: "Alternation", plan: "Plan", form: Told, *, everything: bool) -> None:
    """Print it, and leave it beside the runs. Raises FolderError."""
    from bench.analysis.judge import in_order
    from bench.folder import write_text
    from bench.report import comparison
    from bench.verbs.tables import ALL, say

    sides = comparison.Sides(*(plan.sides[name].name for name in ("old", "new")))
    texts = {
        Told.MARKDOWN: comparison.ab_markdown(found, sides),
        Told.JSON: comparison.ab_json(found, sides),
    }
    for name, text in zip(("comparison.md", "comparison.json"), texts.values(), strict=True):
        write_text(plan.folder / name, text)
    if form in texts:
        out.print(Text(texts[form]), soft_wrap=True, end="")
        return
    verdicts = found.comparison.verdicts
    shown = comparison.table(
        in_order(verdicts) if everything else comparison.ab_matters(found), comparison.CODES
    )
    most = None if everything else comparison.MOST_ROWS
    say(comparison.ab_headline(found, sides), shown, comparison.ab_remarks(found), most, ALL)
