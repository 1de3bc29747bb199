"""The command line: verbs, exit codes, and the only place that speaks to a person.

Nothing here imports torch; what only torch can tell is asked of a child process. Imports stand
inside the verbs, so that --help answers at once.
"""

import io
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from bench.terminal import plain, screen, status, telling

if TYPE_CHECKING:
    from bench.data.stored import Making
    from bench.running.findings import Hardware
    from bench.running.sitting import Assignment
    from bench.schema import Failure, Result, Run
    from bench.suite import SuiteFile

app = typer.Typer(
    name="bench",
    help="Which pretrained architecture should I use for my images, trained how?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = screen()
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """Exit codes of `bench`."""

    OK = 0
    BUG = 1
    INPUT = 2
    NOT_ALL_OK = 3
    FOLDER = 6


class Listed(StrEnum):
    """What `bench list` lists."""

    ARCHITECTURES = "architectures"
    STRATEGIES = "strategies"
    DATASETS = "datasets"


# ---- verbs ----------------------------------------------------------------------------------


@app.command()
def run(
    suite: Annotated[Path, typer.Argument(help="Suite file, such as suites/capstone.toml.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dataset: Annotated[
        str | None,
        typer.Option(help="Folder of your own images, in place of the suite's [dataset]."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Run folder; an unfinished run in it goes on."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use only weights that are on this machine.")
    ] = False,
    reuse_features: Annotated[
        bool,
        typer.Option(
            "--reuse-features",
            help="Keep what frozen backbones make of the images, and use what earlier runs kept; "
            "such cells are marked, their costs compared with nothing.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and write nothing.")
    ] = False,
) -> None:
    """Train and compare every combination of a suite, and write the report."""
    from bench.running import sitting
    from bench.suite import read_suite

    file = read_suite(suite, dataset)
    if folder is not None:
        sitting.earlier_run(folder)
    with status(out, "looking at the device"):
        hardware = sitting.find_hardware(device)
    first_line(file, hardware)
    if dry_run:
        show_plan(file, hardware, offline=offline)
    else:
        train(file, hardware, folder, offline=offline, reuse_features=reuse_features)


@app.command("list")
def list_(
    what: Annotated[Listed, typer.Argument(help="What to list.")] = Listed.ARCHITECTURES,
) -> None:
    """List what a suite may name."""
    from bench import views

    pages = {
        Listed.ARCHITECTURES: views.architectures,
        Listed.STRATEGIES: views.strategies,
        Listed.DATASETS: views.datasets,
    }
    out.print(pages[what]())


@app.command()
def inspect(
    architecture: Annotated[str, typer.Argument(help="A name from `bench list architectures`.")],
) -> None:
    """Print the parts of an architecture: stages, head, weights, transforms, accuracy."""
    from bench.mistakes import unknown
    from bench.models.architectures import ARCHITECTURES

    if architecture not in ARCHITECTURES:
        text = unknown(architecture, list(ARCHITECTURES))
        raise typer.BadParameter(f'architecture "{architecture}" {text}')
    from bench import views
    from bench.running import child

    out.print(views.description(child.call("bench.models.inspect:describe", architecture)))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A run folder, such as results/capstone/...")],
) -> None:
    """Rebuild the report, tables and plots of a run from its records."""
    from bench import store

    store.read_run(folder)  # before a lock could make the folder
    with store.locked(folder):
        write_report(folder)
    out.print(Text(f"report: {folder / 'report.md'}"))


def write_report(folder: Path) -> "tuple[Run, list[Result | Failure]]":
    """Rebuild everything derived from the records, and return those."""
    from bench import store
    from bench.report import derived

    finished, records = store.read_run(folder), store.read_records(folder)
    with status(out, "writing the report"):
        derived.write(folder, finished, records)
    return finished, records


# ---- bodies of `run` ------------------------------------------------------------------------


def first_line(file: "SuiteFile", hardware: "Hardware") -> None:
    """Name the suite, the profile and the device."""
    from bench.report import units

    device = hardware.device
    name = file.profiles[device.profile].name
    machine = units.device(hardware.machine)
    out.print(Text(f"bench {name} · {device.profile.upper()} profile · {machine}", style="bold"))


def show_plan(file: "SuiteFile", hardware: "Hardware", *, offline: bool) -> None:
    """The matrix, with predicted time, downloads and disk."""
    from bench import views
    from bench.running import sitting

    suite = file.profiles[hardware.device.profile]
    with status(out, "looking at the images"):
        images = sitting.open_images(suite)
        decoding_seconds = sitting.check_images(images)
    with status(out, "looking for weights"):
        wanted = sitting.wanted_weights(suite, offline=offline, pinned_source=None)
        prepared = sitting.survey_weights(wanted)
        assignment = sitting.assign(suite, file.place, hardware, images, prepared)
    with status(out, "trying a few steps of each architecture"):
        seconds = sitting.predicted_seconds(assignment, decoding_seconds)
    out.print(views.plan(assignment, seconds))


def train(
    file: "SuiteFile",
    hardware: "Hardware",
    asked: Path | None,
    *,
    offline: bool,
    reuse_features: bool,
) -> None:
    """Find everything out, run what has no good record yet, write the report. Exits."""
    from bench import store, views
    from bench.running import sitting
    from bench.running.local import Stopped

    suite = file.profiles[hardware.device.profile]
    folder = store.new_folder(Path("results"), suite.name) if asked is None else asked
    earlier = sitting.earlier_run(folder)
    with status(out, "looking at the images"):
        images = sitting.open_images(suite)
    pinned = earlier.source.used if earlier else None
    wanted = sitting.wanted_weights(suite, offline=offline, pinned_source=pinned)
    with status(out, "looking for weights"):
        prepared = sitting.fetch_weights(wanted)
        assignment = sitting.assign(suite, file.place, hardware, images, prepared)
        assignment = assignment._replace(reuse_features=reuse_features)
    sitting.begin(assignment, earlier)  # refuses another task before the folder is touched
    made = decode(assignment)
    with store.locked(folder):
        try:
            train_in(folder, assignment, made)
        except Stopped:
            err.print(Text(f"stopped; the same command with --out {folder} goes on from here"))
            raise
        finished, records = write_report(folder)
    out.print(views.end(folder, finished, records))
    all_ok = all(record.status == "ok" for record in records)
    raise typer.Exit(Exit.OK if all_ok else Exit.NOT_ALL_OK)


def decode(assignment: "Assignment") -> "Making":
    """Every image decoded into the cache, with a line for whatever is worth one."""
    from bench.running import sitting

    total = len(assignment.images.dataset.items)
    with telling(out, "decoding the images") as show:

        def hear(told: str | int) -> None:
            if isinstance(told, int):
                show(f"decoding the images: {told:,} of {total:,}")
            else:
                out.print(Text(plain(told)))

        made = sitting.decode_images(assignment, hear)
    for note in made.notes:
        out.print(Text(plain(note)))
    return made


def train_in(folder: Path, assignment: "Assignment", made: "Making") -> None:
    """Run the cells that have no good record in a locked folder."""
    from bench import terminal, views
    from bench.running import plan, sitting

    started = sitting.begin(assignment, sitting.earlier_run(folder))
    todo = sitting.todo(folder, assignment)
    out.print(views.start(assignment, started, todo))
    work = terminal.work_of(todo.done, todo.left, plan.work(todo.left, assignment.macs))
    with terminal.display(out, work) as display:
        sitting.train(folder, started, assignment, made, todo.left, display)


# ---- signals and errors ---------------------------------------------------------------------


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the work in good order: they raise Stopped."""
    from bench.running.local import Stopped

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every way to end has its exit code and no user sees a traceback."""
    from bench.data.dataset import DataError
    from bench.mistakes import SuiteError
    from bench.running.child import Refused
    from bench.running.local import Stopped
    from bench.store import FolderError

    write_any_letter()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with stoppable():
            app(given)
    except SuiteError as error:
        count = f": {len(error.problems)} problems" if len(error.problems) > 1 else ""
        problems = [f"{key}  {text}".strip() for key, text in error.problems]
        complain("E-SUITE", f"{error.place}{count}", problems)
        sys.exit(Exit.INPUT)
    except (DataError, Refused) as error:
        complain("E-INPUT", "nothing was trained", error.problems)
        sys.exit(Exit.INPUT)
    except FolderError as error:
        complain("E-FOLDER", str(error), [])
        sys.exit(Exit.FOLDER)
    except Stopped as stop:
        sys.exit(128 + stop.signal_number)
    except Exception as error:  # a bug: its traceback is saved, never shown
        sys.exit(crash(error))


def write_any_letter() -> None:
    """Print a question mark for what the locale's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def complain(code: str, place: str, problems: Sequence[str]) -> None:
    """Print what is wrong, where, and what to do."""
    err.print(Text(f"error[{code}] {plain(place)}", style="bold red"))
    for problem in problems:
        err.print(Text(f"  {plain(problem)}"))


def crash(error: BaseException) -> Exit:
    """Save the traceback of a bug in bench, and say where."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="bench-crash-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
    text = (str(error).strip().splitlines() or [""])[0]
    err.print(Text(f"error[E-BUG] {type(error).__name__}: {plain(text)}", style="bold red"))
    err.print(Text(f"  this is a bug in bench; please report it with {file.name}"))
    return Exit.BUG
