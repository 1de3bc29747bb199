"""`bench compare`: whether anything got worse from one run to another."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, get_args

import typer
from rich.text import Text

from bench.terminal import status
from bench.verbs.consoles import out
from bench.verbs.exits import Exit, InputError
from bench.verbs.options import Offline
from bench.verbs.report import names, uncollected

if TYPE_CHECKING:
    from bench.analysis.digest import Digest, PastRun
    from bench.analysis.verdict import Comparison, Outcome
    from bench.report.verdicts import Sides
    from bench.verbs.confirm import Asked

SIDE = "Run folder, or file of `bench baseline accept`."


class Form(StrEnum):
    """How a comparison is told."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    JUNIT = "junit"


def compare(
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE", help=SIDE)],
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help=SIDE)],
    history: Annotated[
        Path, typer.Option(help="Folder of past runs, by which times are judged.")
    ] = Path("results"),
    form: Annotated[Form, typer.Option("--format", help="How it is told.")] = Form.TABLE,
    place: Annotated[
        Path | None, typer.Option("--out", help="File for it; the table is printed all the same.")
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="LIST",
            help="Instead of all but inconclusive: regressed, failed, missing, refused, unstable, "
            "unconfirmed, inconclusive, with commas between them.",
        ),
    ] = None,
    confirm: Annotated[
        Path | None,
        typer.Option(
            metavar="SUITE",
            help="Run what became slower or larger once more, by this suite file, and believe only "
            "what is seen again.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="With --confirm: auto, cpu, cuda or cuda:N.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="With --confirm: folder of images, as the run had it.")
    ] = None,
    offline: Offline = False,
    everything: Annotated[bool, typer.Option("--all", help="Print what passed as well.")] = False,
) -> None:
    """Compare a run with a baseline: accuracy, time and memory of every cell.

    Exit code 4: something is worse. 3: not one task, not everything there, unsteady, not to be
    confirmed, or nothing judged. 2: a side does not exist, or is not what --confirm can run again.
    """
    from bench.report.verdicts import Sides
    from bench.store import FolderError

    failing = asked(fail_on)
    if baseline.resolve() == candidate.resolve():
        raise InputError([f"{baseline} and {candidate} are the same: name two"])
    check_place(place, form)
    again = asked_again(candidate, confirm, device, dataset, offline=offline)
    with uncollected(), status(out, "reading the records"):
        given = read(baseline, candidate, history)
        found = compared(given)
    sides = Sides(*names([baseline, candidate]))
    try:
        found = confirmed(found, given, again) if again else found
    except (InputError, FolderError):
        tell(found, sides, form, place, everything=everything)
        raise
    tell(found, sides, form, place, everything=everything)
    raise typer.Exit(exit_code(found, failing))


def check_place(place: Path | None, form: Form) -> None:
    """Raise InputError where --out cannot be meant."""
    if place and form is Form.TABLE:
        raise InputError(["--out needs --format markdown, json or junit"])
    if place and place.is_dir():
        raise InputError([f"--out: {place} is a folder; name a file"])


class Given(NamedTuple):
    """What is compared, and where it was read."""

    baseline: "Digest"
    candidate: "Digest"
    past: "list[PastRun]"
    places: tuple[Path, Path]
    notes: tuple[str, ...]


def read(baseline: Path, candidate: Path, results: Path) -> Given:
    """What lies there. Raises InputError or FolderError."""
    from bench.verbs import sides

    before, after = sides.read(baseline), sides.read(candidate)
    past = sides.history(results, after.run.suite_name)
    note = f"past runs below {results} that could not be read: {past.unreadable}"
    return Given(
        before.run,
        after.run,
        [*before.past, *after.past, *past.runs],
        (baseline, candidate),
        (note,) if past.unreadable else (),
    )


def compared(given: Given) -> "Comparison":
    """The comparison of it. Raises FolderError where a side is damaged."""
    from bench.analysis.compare import compare as compare_
    from bench.store import FolderError

    try:
        found = compare_(given.baseline, given.candidate, given.past)
    except ValueError as error:
        raise FolderError(f"{' and '.join(map(str, given.places))}: {error}") from error
    return found._replace(notes=(*found.notes, *given.notes))


# ---- a second run ---------------------------------------------------------------------------


def asked_again(
    candidate: Path, suite: Path | None, device: str | None, dataset: str | None, *, offline: bool
) -> "Asked | None":
    """How a second run is to be made, if it is asked for. Raises InputError or SuiteError."""
    from bench.suite import read_suite
    from bench.verbs.confirm import Asked

    given = {"--device": device, "--dataset": dataset, "--offline": offline}
    if suite is None:
        if alone := [name for name, value in given.items() if value]:
            raise InputError([f"{', '.join(alone)}: only with --confirm SUITE"])
        return None
    if candidate.is_file():
        raise InputError([f"--confirm: {candidate} is no run folder, and cannot run again"])
    return Asked(read_suite(suite, dataset), device or "auto", offline)


def confirmed(found: "Comparison", given: Given, how: "Asked") -> "Comparison":
    """The comparison after a second run of what is flagged. Raises InputError or FolderError."""
    from bench.analysis import confirm
    from bench.verbs import sides
    from bench.verbs.confirm import second_run

    doubted = confirm.doubts(found, given.candidate.device)
    if not doubted:
        note = "nothing to confirm: nothing is flagged that a second run could show otherwise"
        return found._replace(notes=(*found.notes, note))
    candidate = given.candidate

    def shown(folder: Path) -> "Comparison":
        other = given._replace(
            candidate=confirm.second_side(candidate, sides.read_folder(folder)),
            past=confirm.past_of(candidate, given.past),
            places=(given.places[0], folder),
        )
        return confirm.confirmed(found, doubted, compared(other), folder.name)

    labels = confirm.again(doubted, found, candidate)
    return shown(second_run(given.places[1], labels, how, lambda f: confirm.is_told(shown(f))))


# ---- how it ends ----------------------------------------------------------------------------

CODES: "dict[Outcome, Exit]" = {
    "regressed": Exit.REGRESSION,
    "failed": Exit.REGRESSION,
    "missing": Exit.NOT_ALL_OK,
    "refused": Exit.NOT_ALL_OK,
    "unstable": Exit.NOT_ALL_OK,
    "unconfirmed": Exit.NOT_ALL_OK,
    "nothing_judged": Exit.NOT_ALL_OK,
    "inconclusive": Exit.NOT_ALL_OK,
}


def asked(fail_on: str | None) -> "set[Outcome]":
    """What does not end well. Raises InputError."""
    from bench.analysis.verdict import Outcome
    from bench.mistakes import unknown

    if fail_on is None:
        return {outcome for outcome in CODES if outcome != "inconclusive"}
    given = [name.strip() for name in fail_on.split(",") if name.strip()]
    wrong = [name for name in given if name not in get_args(Outcome)]
    if wrong or not given:
        raise InputError([f"--fail-on: {unknown(', '.join(wrong), list(get_args(Outcome)))}"])
    # Comparing nothing is never success.
    return {"nothing_judged", *(outcome for outcome in CODES if outcome in given)}


def exit_code(found: "Comparison", failing: "set[Outcome]") -> Exit:
    """The worst of what is there and does not end well."""
    from bench.analysis.verdict import outcomes

    return max((CODES[name] for name in outcomes(found) & failing), default=Exit.OK)


# ---- how it is told -------------------------------------------------------------------------


def tell(
    found: "Comparison", sides: "Sides", form: Form, place: Path | None, *, everything: bool
) -> None:
    """Print it, and write it where that was asked for. Raises FolderError."""
    from bench import store

    text = "" if form is Form.TABLE else text_of(found, sides, form)
    if place:
        store.write_text(place, text)
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
