"""Options that several verbs have, how their values are read and checked, and exit codes."""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from bench.errors import Exit, InputError, unknown

if TYPE_CHECKING:
    from bench.analysis.compare import Outcome

RESULTS = "results"
"""Default folder of runs; it may not exist yet."""

CellId = Annotated[
    str | None,
    typer.Option("--cell", help="Cell id, as in results.csv; by default the chosen one."),
]
OwnWeights = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder of your own weights that an older run started from."),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Use only weights that are on this machine.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
OwnImages = Annotated[
    str | None,
    typer.Option("--dataset", help="Folder of your own images, in place of the suite's [dataset]."),
]
Everything = Annotated[bool, typer.Option("--all", help="Print what passed as well.")]
PastRuns = Annotated[
    Path | None,
    typer.Option(
        "--history", help="Folder of past runs, by which times are judged.", show_default=RESULTS
    ),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="LIST",
        help="Outcomes that make it fail, with commas between them: regressed, failed, missing, "
        "refused, unstable, inconclusive. By default all but inconclusive and, for ab, unstable.",
    ),
]


# Amounts as people type them: 60, 2min, 800MiB, 12M, 20ms.
SECONDS = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
BYTES = {
    **{"": 2.0**30, "b": 1.0},  # a bare number is in GiB
    **{"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30, "tib": 2.0**40},
    **{"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
}
COUNT = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}
LATENCY = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}  # no bare number: too easily mistaken
POINTS = {"": 0.01, "%": 0.01}


def amount(units: Mapping[str, float], example: str) -> Callable[[str], float]:
    """A parser for typer; it raises BadParameter with an example of what would be accepted."""

    def parse(given: str | float) -> float:  # typer hands it its own default as well
        text = str(given).strip().lower().replace(",", "").replace("_", "")
        found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(?:e([+-]?\d{1,2}))?\s*([a-zµ%]*)", text)
        if found is None or found[3] not in units or not float(found[1]):
            raise typer.BadParameter(f'"{given}" – expected an amount above 0, such as {example}')
        return float(f"{found[1]}e{found[2] or 0}") * units[found[3]]

    return parse


def limit(metavar: str, text: str, units: Mapping[str, float], example: str) -> Any:
    """An option that takes an amount in one of the units."""
    return typer.Option(parser=amount(units, example), metavar=metavar, help=text)


def check_file(place: Path | None, given: Sequence[Path] = ()) -> None:
    """Raise InputError where a file cannot be meant: a folder, records, or what is read."""
    if place is None:
        return
    if place.is_dir():
        raise InputError([f"--out: {place} is a folder; name a file"])
    records = ("run.json", "record.json", "split.csv")  # cannot be made again
    if place.name in records or os.path.realpath(place) in map(os.path.realpath, given):
        raise InputError([f"--out: {place} would be overwritten; name another file"])


WORSE: "set[Outcome]" = {"regressed", "failed"}
"""Outcomes that say that something is worse; others only that it was not shown to be as good."""


def failing_outcomes(fail_on: str | None, *passing: "Outcome") -> "set[Outcome]":
    """The outcomes that --fail-on names, by default all but `passing`. Raises InputError."""
    from bench.analysis.compare import Outcome

    accepted = get_args(Outcome)
    if fail_on is None:
        return {*accepted} - {*passing}
    given = [name.strip() for name in fail_on.split(",") if name.strip()]
    if problems := [
        f"--fail-on {one}: {unknown(one, accepted)}" for one in given if one not in accepted
    ]:
        raise InputError(problems)
    if not given:
        raise InputError(f"--fail-on: names none of {', '.join(accepted)}")
    return {"nothing_judged", *(one for one in accepted if one in given)}  # never a success


def exit_code(has: "Collection[Outcome]", failing: "set[Outcome]") -> Exit:
    """The worst code of the outcomes that are there and count as failing."""
    found = failing.intersection(has)
    if found & WORSE:
        return Exit.REGRESSION
    return Exit.NOT_ALL_OK if found else Exit.OK
