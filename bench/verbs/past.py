"""Runs and baselines, read from where they lie: the sides of a comparison, and past runs."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.analysis.baseline import Baseline, PastRun, parsed, past_run
from bench.analysis.snapshot import past
from bench.analysis.table import Snapshot
from bench.errors import FolderError, InputError
from bench.folder import damaged_records
from bench.report import units
from bench.verbs.options import RESULTS

ALTERNATION = "ab.json"
"""Marks a folder of `bench ab`: its runs are no part of the past."""

# ---- one side -------------------------------------------------------------------------------


class Side(NamedTuple):
    run: Snapshot
    past: tuple[PastRun, ...] = ()
    notes: tuple[str, ...] = ()


def read_side(path: Path) -> Side:
    """A run folder or a baseline file. Raises InputError where there is none, or FolderError."""
    try:
        is_run = path.is_dir() and (path / "run.json").exists()
    except OSError as error:
        raise FolderError(f"{path}: cannot be read: {error.strerror}") from error
    if is_run:
        run = read_folder(path)
        return Side(run, notes=tuple(_damaged(path, run)))
    if path.is_file():
        baseline = read_baseline(path)
        return Side(baseline.run, baseline.history, tuple(_outdated(path, baseline)))
    what = "holds no run" if path.is_dir() else "is not there"
    raise InputError(f"{path}: {what}; name a run folder or a baseline file")


def read_folder(folder: Path) -> Snapshot:
    """The run of a folder. Raises FolderError where its records are not of it, or damaged."""
    try:
        return past(folder)
    except OSError as error:
        raise FolderError(f"{error.filename or folder}: {error.strerror or error}") from error


def _damaged(folder: Path, run: Snapshot) -> Iterator[str]:
    """Records that cannot be read, whose cells seem to have none."""
    cells = zip(run.columns["cell_id"], run.columns["status"], strict=True)
    if found := damaged_records(folder, [name for name, status in cells if status == "missing"]):
        names = units.first(found, NAMED)
        yield f"{folder.name}: damaged records, which count as missing: {names}"


NAMED = 3
"""Damaged records that are named one by one."""


def read_baseline(path: Path) -> Baseline:
    """A baseline file. Raises FolderError where it is none that this bench can read."""
    try:
        return parsed(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FolderError(f"{path}: {error}") from error


SAME_KEYS = 3
"""The version of baseline files from which on past runs go by the same keys as today."""


def _outdated(path: Path, baseline: Baseline) -> Iterator[str]:
    if baseline.schema_version < SAME_KEYS and len(baseline.history) > 1:
        yield f"{path.name}: its past runs are of an older bench and do not count; accept it again"


# ---- the runs below a folder ----------------------------------------------------------------


class Past(NamedTuple):
    runs: dict[str, Snapshot]  # finished, by their folder, from the oldest to the newest
    unfinished: int
    unreadable: list[str]  # why, one for each; also of those that do not tell their suite
    copies: int  # of runs that are there
    suites: list[str]  # names of all suites that have a run

    @property
    def costs(self) -> list[PastRun]:
        return [one for one in map(past_run, self.runs.values()) if one]


class Head(NamedTuple):
    path: Path  # of the run folder
    suite_name: str
    status: str
    sha256: str  # of all of it


Tell = Callable[[str], None]


def folder_of_past(named: Path | None) -> Path:
    """The folder of past runs. Raises InputError where one was named that is not there."""
    if named is not None and not named.is_dir():
        raise InputError(f"{named}: is not a folder; name the folder of runs with --history")
    return named or Path(RESULTS)


def past_below(results: Path, suite_name: str, tell: Tell = lambda text: None) -> Past:
    """Runs of a suite, one or two levels below a folder; `tell` hears how far the reading is."""
    unreadable: list[str] = []
    heads = list(_readable(folders(results), unreadable))
    ours = [head for head in heads if head.suite_name == suite_name]
    finished: dict[str, list[Head]] = {}
    for head in ours:
        if head.status == "finished":
            finished.setdefault(head.sha256, []).append(head)
    unfinished = sum(head.status != "finished" for head in ours)
    runs = _runs(results, list(finished.values()), unreadable, tell)
    order = sorted(runs, key=lambda name: (runs[name].header.started_at, name))
    return Past(
        runs={name: runs[name] for name in order},
        unfinished=unfinished,
        # The page may be passed on: it holds no path of this machine.
        unreadable=[why.replace(f"{results}/", "") for why in unreadable],
        copies=len(ours) - unfinished - len(finished),
        suites=sorted({head.suite_name for head in heads}),
    )


def folders(results: Path) -> Iterator[Path]:
    """Run folders below a folder, without those of `bench ab`."""
    for pattern in ("*/run.json", "*/*/run.json"):
        for path in sorted(results.glob(pattern)):
            if not (path.parents[1] / ALTERNATION).exists():
                yield path.parent


def _readable(paths: Iterable[Path], unreadable: list[str]) -> Iterator[Head]:
    for path in paths:
        try:
            yield _head(path)
        except (OSError, ValueError) as error:
            unreadable.append(f"{path / 'run.json'}: {_first_line(error)}")


def _head(path: Path) -> Head:
    """The suite and the status of a run folder. Raises OSError or ValueError."""
    content = (path / "run.json").read_bytes()
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError("is not JSON") from error
    match found:
        case {"suite_name": str(suite_name), "status": str(status)}:
            return Head(path, suite_name, status, hashlib.sha256(content).hexdigest())
    raise ValueError("was not written by bench")


def _runs(
    results: Path, copies: Sequence[Sequence[Head]], unreadable: list[str], tell: Tell
) -> dict[str, Snapshot]:
    found = {}
    for number, heads in enumerate(copies, start=1):
        tell(f"reading the runs: {number:,} of {len(copies):,}")
        problems = []
        for one in heads:
            try:
                run = read_folder(one.path)
                if run.header.finished_at is None:
                    raise FolderError(f"{one.path}: finished at an unknown time")
                found[one.path.relative_to(results).as_posix()] = run
                break
            except FolderError as error:
                problems.append(_first_line(error))
        else:
            unreadable += problems
    return found


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
