"""`bench baseline`: the runs that later ones are compared with, as files to be committed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from bench.errors import InputError
from bench.terminal import out, plain, status
from bench.verbs.options import RESULTS

if TYPE_CHECKING:
    from bench.analysis.digest import Digest, PastRun

baseline = typer.Typer(
    help="Accept a run as what later ones are compared with; list and show these.",
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
        Path | None,
        typer.Option(help="Folder of past runs to carry along.", show_default=RESULTS),
    ] = None,
    reference: Reference = REFERENCE,
) -> None:
    """Make a run the baseline of its suite on its kind of machine."""
    from bench.analysis.baseline import accepted, file_name, text_of, unacceptable
    from bench.folder import read_run, write_text
    from bench.report import units
    from bench.verbs import sides
    from bench.verbs.report import uncollected

    if not reason.strip():
        raise InputError(["--reason: must not be empty"])
    if not (folder / "run.json").exists():
        raise InputError([f"{folder}: holds no run"])
    results = sides.folder_of_past(history)
    with uncollected(), status(out, "reading the records"):
        run = sides.read_folder(folder)
        past = sides.history(results, run.suite_name)
    if problem := unacceptable(run):
        raise InputError([f"{folder}: cannot be a baseline: {problem}"])
    machine = units.device(read_run(folder).machine)
    place = reference / file_name(run, machine)
    kept = history_of(place)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = accepted(run, [*kept, *past.runs], reason.strip(), machine, now)
    write_text(place, text_of(made))
    runs = units.plural(len(made.history), "run")
    out.print(Text(plain(f"baseline: {place} ({len(run.rows)} cells, {runs} of history)")))
    for line in broken(run):
        out.print(Text(plain(line)))


def broken(run: "Digest") -> list[str]:
    """Cells of the baseline that are not ok, by which nothing will be judged."""
    return [
        f"not ok, and so no yardstick: {row.architecture} · {row.strategy}, seed {one.seed} "
        f"({one.status})"
        for row in run.rows
        for one in row.seeds
        if one.status != "ok"
    ]


def history_of(place: Path) -> "tuple[PastRun, ...]":
    """The history of the baseline that is to be replaced, where there is one that can be read."""
    from bench.errors import FolderError
    from bench.verbs import sides

    if not place.exists():
        return ()
    try:
        return sides.read_baseline(place).history
    except FolderError as error:
        out.print(Text(plain(f"{error}; it is replaced, and its history is left out")))
        return ()


@baseline.command("list")
def list_(reference: Reference = REFERENCE) -> None:
    """List the baselines."""
    from rich.console import Group

    from bench import terminal
    from bench.errors import FolderError
    from bench.report import units
    from bench.verbs import sides

    paths = sorted(reference.glob("*.json"))
    if not paths:
        out.print(Text(plain(f"{reference}: no baselines; make one with `bench baseline accept`")))
        return
    for path in paths:
        try:
            found = sides.read_baseline(path)
        except FolderError as error:
            out.print(Text(plain(str(error))), soft_wrap=True)
            continue
        past = units.plural(len(found.history), "past run")
        of = (
            f"{found.run.suite_name} · {found.machine} · accepted {found.accepted_at[:10]} · {past}"
        )
        out.print(Text(plain(str(path))), soft_wrap=True)
        out.print(Group(*terminal.prose((f"  {of}", f"  {found.reason}"))))


@baseline.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A baseline file.")],
) -> None:
    """Print what a baseline holds."""
    from bench import terminal
    from bench.analysis.digest import cost_of
    from bench.report import units
    from bench.verbs import sides

    if not path.is_file():
        what = "is a folder; name a baseline file" if path.is_dir() else "is not there"
        raise InputError([f"{path}: {what}"])
    found = sides.read_baseline(path)
    head = f"{found.run.suite_name} · {found.machine} · accepted {found.accepted_at}"
    for line in (head, f"reason: {found.reason}", f"past runs: {len(found.history)}"):
        out.print(Text(plain(line)))
    numbers = ("seeds ok", "test %", "train s", "memory MiB")
    made = terminal.table("cell", *numbers, numbers=numbers)
    for row in found.run.rows:
        scores = [one.score for one in row.ok if one.score is not None]
        terminal.add(
            made,
            f"{row.architecture} · {row.strategy}",
            f"{len(row.ok)}/{len(row.seeds)}",
            units.percent(sum(scores) / len(scores) if scores else None),
            units.three_digits(cost_of(row, "train_seconds")),
            units.mebibytes(cost_of(row, "peak_memory_bytes")),
        )
    out.print(made)
