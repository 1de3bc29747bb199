"""`bench baseline`: the runs that later ones are compared with, as files to be committed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bench.errors import FolderError, InputError
from bench.terminal import bullets, out, plain, say, say_table, status
from bench.verbs.options import RESULTS

baseline = typer.Typer(
    help="Accept a run as a baseline; list and show baselines.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Reference = Annotated[Path, typer.Option("--reference", help="Folder of the baselines.")]
REFERENCE = Path("results/reference")


@baseline.command()
def accept(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    reason: Annotated[str, typer.Option(help="Why, for those who review it.")],
    history: Annotated[
        Path | None, typer.Option(help="Folder of past runs to carry along.", show_default=RESULTS)
    ] = None,
    reference: Reference = REFERENCE,
) -> None:
    """Make a run the baseline of its suite on its kind of machine."""
    from bench.analysis.baseline import accepted, file_name, text_of, unacceptable
    from bench.folder import read_run, write_text
    from bench.report import units
    from bench.verbs import runs

    if not reason.strip():
        raise InputError("--reason: must not be empty")
    if not (folder / "run.json").exists():
        raise InputError(f"{folder}: holds no run")
    results = runs.folder_of_past(history)
    with runs.gc_paused(), status(out, "reading the records"):
        run = runs.read_folder(folder)
        costs = runs.past_below(results, run.header.suite_name).costs
    if problem := unacceptable(run):
        raise InputError(f"{folder}: cannot be a baseline: {problem}")
    machine = units.device(read_run(folder).machine)
    place = reference / file_name(run, machine)
    if place.exists():
        try:
            costs = [*runs.read_baseline(place).history, *costs]
        except FolderError as error:
            say(f"{error}; it is replaced, and its history is left out")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = accepted(run, costs, reason.strip(), machine, now)
    write_text(place, text_of(made))
    count = units.plural(len(made.history), "run")
    say(f"baseline: {place} ({len(run.columns['cell_id'])} cells, {count} of history)")
    names = run.cells[["architecture", "strategy", "seed", "status"]]
    for architecture, strategy, seed, state in names.itertuples(index=False):
        if state != "ok":
            cell = f"{architecture} · {strategy}, seed {seed}"
            say(f"not ok, so it is no reference: {cell} ({state})")


@baseline.command("list")
def list_(reference: Reference = REFERENCE) -> None:
    """List the baselines."""
    from bench.report import units
    from bench.verbs.runs import read_baseline

    paths = sorted(reference.glob("*.json"))
    if not paths:
        say(f"{reference}: no baselines; make one with `bench baseline accept`")
    for path in paths:
        try:
            found = read_baseline(path)
        except FolderError as error:
            out.print(Text(plain(str(error))), soft_wrap=True)
            continue
        out.print(Text(plain(str(path)), style="bold"), soft_wrap=True)
        past = units.plural(len(found.history), "past run")
        suite = found.run.header.suite_name
        accepted = f"accepted {found.accepted_at[:10]}: {found.reason}"
        bullets([f"{suite} on {found.machine}, {past}", accepted])


@baseline.command()
def show(path: Annotated[Path, typer.Argument(metavar="FILE", help="A baseline file.")]) -> None:
    """Print what a baseline holds."""
    from bench.report import units
    from bench.report.comparison import baseline_table
    from bench.verbs.runs import read_baseline

    if not path.is_file():
        what = "is a folder; name a baseline file" if path.is_dir() else "is not there"
        raise InputError(f"{path}: {what}")
    found = read_baseline(path)
    head = f"{found.run.header.suite_name} on {found.machine}, accepted {found.accepted_at[:10]}"
    past = units.plural(len(found.history), "past run")
    say_table(f"{head}: {found.reason}", baseline_table(found.run), [past])
