"""`bench run`: train and compare every combination of a suite."""

import shlex
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import Exit, FolderError, Stopped
from bench.terminal import err, out, say, status
from bench.verbs.options import RESULTS, Device, Offline, OwnImages

if TYPE_CHECKING:
    from bench.data.decoded import Making
    from bench.record import Run
    from bench.running.plan import Hardware, Plan, Request


def run(
    suite: Annotated[Path, typer.Argument(help="Suite file, such as suites/capstone.toml.")],
    device: Device = "auto",
    dataset: OwnImages = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Run folder; an unfinished run in it is continued.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the newest stopped run of this suite.")
    ] = False,
    offline: Offline = False,
    reuse_features: Annotated[
        bool,
        typer.Option(
            "--reuse-features",
            help="Keep the features of frozen backbones and use those that earlier runs kept; "
            "such cells are marked, and their costs are not compared.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run; write nothing.")
    ] = False,
) -> None:
    """Train every combination of a suite and write the report."""
    from bench import views
    from bench.folder import check_usable, new_folder
    from bench.running import earlier
    from bench.running.plan import Request
    from bench.suite_file import read_suite

    file = read_suite(suite, dataset)
    if resume:
        folder = earlier.newest_stopped(Path(RESULTS), file.profiles["cpu"].name, folder)
    before = None if folder is None else earlier.earlier_run(folder)
    pinned = before.source.used if before else None
    request = Request(file, device, offline, pinned, reuse_features)
    if dry_run:
        out.print(views.dry_run(found_out("survey", request)))
        return
    if folder is None:
        check_usable(new_folder(Path(RESULTS), "any"))  # before what takes long
    plan: Plan = found_out("prepare", request)
    folder = folder or new_folder(Path(RESULTS), plan.suite.name)
    options = {"--out": folder, "--dataset": dataset, "--device": device}
    switches = {"--offline": offline, "--reuse-features": reuse_features}
    train(plan, folder, before, again(suite, options, switches))


def again(suite: Path, options: Mapping[str, object], switches: Mapping[str, bool]) -> str:
    """The command that goes on with a run."""
    given = ((name, str(value)) for name, value in options.items() if value not in (None, "auto"))
    said = (name for name, is_on in switches.items() if is_on)
    start = ["python", "-m", "bench", "run", str(suite)]
    return shlex.join([*start, *chain.from_iterable(given), *said])


def found_out(function: str, request: "Request") -> Any:
    """The answer of a function of `prepare`, which has torch; its progress is shown."""
    from bench.report import units
    from bench.running import child

    with status(out, "looking at the device") as show:

        def hear(told: "str | Hardware") -> None:
            if isinstance(told, str):
                show(told)
                return
            profile = told.device.profile
            name, machine = request.file.profiles[profile].name, units.device(told.machine)
            say(f"bench {name} · {profile.upper()} profile · {machine}", "bold")

        return child.call(f"bench.running.prepare:{function}", request, listen=hear)


def train(plan: "Plan", folder: Path, earlier: "Run | None", command: str) -> None:
    """Run what has no good record yet and write the report. Exits.

    `command` is the one that goes on with this run.
    """
    from bench import progress, views
    from bench.folder import locked
    from bench.report import writer
    from bench.running import session
    from bench.running.earlier import earlier_run
    from bench.running.plan import work
    from bench.verbs.runs import finish, gather

    begun = session.begin(plan, folder, earlier)  # refuses another task, and touches nothing
    say(f"run folder: {folder}")
    decoded = decode(plan)
    with locked(folder):
        if earlier_run(folder) != earlier:
            raise FolderError(
                f"{folder}: another run used this folder meanwhile; run the command again"
            )
        try:
            todo = session.todo(folder, begun, plan.cells)
            out.print(views.start(plan, todo))
            tally = progress.Tally(todo.done, todo.left, work(todo.left, plan.networks))
            with progress.display(out, tally) as display:
                trained = session.train(folder, todo.run, plan, decoded, todo.left, display)
        except (Stopped, FolderError):
            say(f"stopped; go on with: {command}", console=err)
            raise
        with status(out, "gathering thumbnails"):
            notes = finish(folder, trained, plan.images, decoded)
        for note in notes:
            say(note)
        with status(out, "writing the report"):
            made = gather([folder])
            writer.write(folder, made)
    out.print(views.end(folder, made.table, made.summary, command))
    is_whole = set(made.table.columns["status"]) <= {"ok"}
    raise typer.Exit(Exit.OK if is_whole else Exit.NOT_ALL_OK)


def decode(plan: "Plan") -> "Making":
    """Every image decoded into the cache, if it is not there. Raises DataError."""
    from bench.running import child

    total = len(plan.images.dataset.items)
    asked = (plan.images.dataset, plan.resizes, plan.hardware.device)
    with status(out, "decoding the images") as show:

        def hear(told: str | int) -> None:
            if isinstance(told, int):
                show(f"decoding the images: {told:,} of {total:,}")
            else:
                say(told)

        made: Making = child.call("bench.data.decoded:make", *asked, listen=hear)
    for note in made.notes:
        say(note)
    return made
