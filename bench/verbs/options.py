"""Options that several verbs have, and how their values are read and checked."""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from bench.errors import Exit, InputError, unknown

if TYPE_CHECKING:
    from bench.analysis.compare import Outcome

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

RESULTS = "results"
"""Default folder of runs; it may not exist yet."""


# ---- amounts as people type them: 60, 2min, 800MiB, 12M, 20ms -------------------------------

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

    def parse(text: str | float) -> float:
        found = re.fullmatch(
            r"(\d+(?:\.\d*)?|\.\d+)(?:e([+-]?\d{1,2}))?\s*([a-zµ%]*)", _normal(text)
        )
        if found is None or found[3] not in units or not float(found[1]):
            raise typer.BadParameter(f'"{text}" – expected an amount above 0, such as {example}')
        return float(f"{found[1]}e{found[2] or 0}") * units[found[3]]

    return parse


def _normal(given: str | float) -> str:
    """The text to parse; typer hands a parser its own default as well."""
    return str(given).strip().lower().replace(",", "").replace("_", "")


# ---- where --out may write ------------------------------------------------------------------

RECORDS = ("run.json", "record.json", "split.csv")
"""Files of a run folder that cannot be made again."""


def check_file(place: Path | None, given: Sequence[Path] = ()) -> None:
    """Raise InputError where a file cannot be meant: a folder, records, or what is read."""
    if place is None:
        return
    if place.is_dir():
        raise InputError([f"--out: {place} is a folder; name a file"])
    if place.name in RECORDS or os.path.realpath(place) in map(os.path.realpath, given):
        raise InputError([f"--out: {place} would be overwritten; name another file"])


# ---- --fail-on: which outcomes of a comparison are an error ---------------------------------

CODES: "dict[Outcome, Exit]" = {
    "regressed": Exit.REGRESSION,
    "failed": Exit.REGRESSION,
    "missing": Exit.NOT_ALL_OK,
    "refused": Exit.NOT_ALL_OK,
    "unstable": Exit.NOT_ALL_OK,
    "nothing_judged": Exit.NOT_ALL_OK,
    "inconclusive": Exit.NOT_ALL_OK,
}


def failing_outcomes(fail_on: str | None) -> "set[Outcome]":
    """The outcomes that --fail-on names, or its default. Raises InputError."""
    from bench.analysis.compare import Outcome

    if fail_on is None:
        return {outcome for outcome in CODES if outcome != "inconclusive"}
    given = [name.strip() for name in fail_on.split(",") if name.strip()]
    wrong = [name for name in given if name not in get_args(Outcome)]
    if wrong or not given:
        accepted = list(get_args(Outcome))
        problems = [f"--fail-on {name}: {unknown(name, accepted)}" for name in wrong]
        raise InputError(problems or [f"--fail-on: names none of {', '.join(accepted)}"])
    # Comparing nothing is never success.
    return {"nothing_judged", *(outcome for outcome in CODES if outcome in given)}


def exit_code(has: "Collection[Outcome]", failing: "set[Outcome]") -> Exit:
    """The worst code of the outcomes that are there and count as failing."""
    return max((CODES[name] for name in failing.intersection(has)), default=Exit.OK)
