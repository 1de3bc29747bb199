"""`bench run`: train and compare every combination of a suite."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from bench.errors import Exit
from bench.terminal import plain, status, telling
from bench.verbs.consoles import err, out
from bench.verbs.options import Device, Offline, OwnImages
from bench.verbs.report import write_report

if TYPE_CHECKING:
    from rich.console import Console

    from bench.data.decoded import Making
    from bench.running.findings import Hardware
    from bench.running.sitting import Assignment
    from bench.suite_file import SuiteFile


def run(
    suite: Annotated[Path, typer.Argument(help="Suite file, such as suites/capstone.toml.")],
    device: Device = "auto",
    dataset: OwnImages = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Run folder; an unfinished run in it goes on."),
    ] = None,
    offline: Offline = False,
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
    from bench.suite_file import read_suite

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
    out.print(views.plan(assignment, seconds, sitting.weights_bytes(assignment)))


def train(
    file: "SuiteFile",
    hardware: "Hardware",
    asked: Path | None,
    *,
    offline: bool,
    reuse_features: bool,
) -> None:
    """Find everything out, run what has no good record yet, write the report. Exits."""
    from bench import views
    from bench.errors import Stopped
    from bench.folder import locked, new_folder, read_run
    from bench.running import sitting
    from bench.verbs.finish import finish

    suite = file.profiles[hardware.device.profile]
    folder = new_folder(Path("results"), suite.name) if asked is None else asked
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
    made = decode(assignment, out)
    with locked(folder):
        try:
            train_in(folder, assignment, made, out)
        except Stopped:
            err.print(Text(f"stopped; the same command with --out {folder} goes on from here"))
            raise
        with status(out, "gathering thumbnails"):
            notes = finish(folder, read_run(folder), images, made)
        for note in notes:
            out.print(Text(plain(note)))
        finished, records = write_report(folder)
    out.print(views.end(folder, finished, records))
    all_ok = all(record.status == "ok" for record in records)
    raise typer.Exit(Exit.OK if all_ok else Exit.NOT_ALL_OK)


def decode(assignment: "Assignment", console: "Console") -> "Making":
    """Every image decoded into the cache, with a line for whatever is worth one."""
    from bench.running import sitting

    total = len(assignment.images.dataset.items)
    with telling(console, "decoding the images") as show:

        def hear(told: str | int) -> None:
            if isinstance(told, int):
                show(f"decoding the images: {told:,} of {total:,}")
            else:
                console.print(Text(plain(told)))

        made = sitting.decode_images(assignment, hear)
    for note in made.notes:
        console.print(Text(plain(note)))
    return made


def train_in(folder: Path, assignment: "Assignment", made: "Making", console: "Console") -> None:
    """Run the cells that have no good record in a locked folder."""
    from bench import terminal, views
    from bench.running import plan, sitting

    started = sitting.begin(assignment, sitting.earlier_run(folder))
    todo = sitting.todo(folder, assignment)
    console.print(views.start(assignment, started, todo))
    work = terminal.work_of(todo.done, todo.left, plan.work(todo.left, assignment.macs))
    with terminal.display(console, work) as display:
        sitting.train(folder, started, assignment, made, todo.left, display)
