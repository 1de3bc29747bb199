"""What `bench compare` compares: run folders and baseline files, and the runs of the past."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.analysis.baseline import BASELINE_VERSION, Baseline, parsed
from bench.analysis.digest import Digest, PastRun, digest_of
from bench.analysis.point import past_run
from bench.errors import FolderError, InputError
from bench.folder import damaged_records, read_records, read_run
from bench.verbs.options import RESULTS
from bench.verbs.past import past
from bench.verbs.soundness import sound


class Read(NamedTuple):
    """One side: a run, and the past runs that a baseline file brings along."""

    path: Path
    run: Digest
    past: tuple[PastRun, ...] = ()
    notes: tuple[str, ...] = ()


def read(path: Path) -> Read:
    """A run folder or a baseline file. Raises InputError where there is none, or FolderError."""
    try:
        is_run = path.is_dir() and (path / "run.json").exists()
    except OSError as error:
        raise FolderError(f"{path}: cannot be read: {error.strerror}") from error
    if is_run:
        return of_folder(path)
    if path.is_file():
        baseline = read_baseline(path)
        return Read(path, baseline.run, baseline.history, tuple(notes(path, baseline)))
    what = "holds no run" if path.is_dir() else "is not there"
    raise InputError([f"{path}: {what}; name a run folder or a baseline file"])


def notes(path: Path, baseline: Baseline) -> Iterator[str]:
    """What must be known of a baseline file."""
    if baseline.schema_version < BASELINE_VERSION and len(baseline.history) > 1:
        yield f"{path.name}: its past runs are of an older bench and do not count; accept it again"


def read_folder(folder: Path) -> Digest:
    """The run of a folder. Raises FolderError where its records are not of it, or damaged."""
    return of_folder(folder).run


def of_folder(folder: Path) -> Read:
    """The run of a folder, and what must be known of it. Raises FolderError likewise."""
    with sound(folder), readable(folder):
        run, records = read_run(folder), read_records(folder)
        without = set(run.cells) - {record.cell_id for record in records}
        notes_ = damaged(folder, [cell_id for cell_id in run.cells if cell_id in without])
        return Read(folder, digest_of(run, records), notes=tuple(notes_))


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Turn what comes of files that may not be read into a FolderError."""
    try:
        yield
    except OSError as error:
        raise FolderError(f"{error.filename or folder}: {error.strerror or error}") from error


def damaged(folder: Path, without: Sequence[str]) -> Iterator[str]:
    """That records of a run cannot be read: of these cells there are none, it seems."""
    if found := damaged_records(folder, without):
        names = ", ".join(found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        yield f"{folder.name}: damaged records, which count as missing: {names}{more}"


NAMED = 3
"""Damaged records that are named one by one."""


def read_baseline(path: Path) -> Baseline:
    """A baseline file. Raises FolderError where it is none that this bench can read."""
    try:
        return parsed(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FolderError(f"{path}: {error}") from error


# ---- the past -------------------------------------------------------------------------------


def folder_of_past(named: Path | None) -> Path:
    """The folder of past runs. Raises InputError where one was named that is not there."""
    if named is not None and not named.is_dir():
        raise InputError([f"{named}: is no folder; name that of the runs with --history"])
    return named or Path(RESULTS)


class History(NamedTuple):
    """Past runs of a suite by which a comparison judges, and how many could not be read."""

    runs: list[PastRun]
    unreadable: int


def history(results: Path, suite_name: str) -> History:
    """Finished runs of a suite below a folder, one or two levels deep."""
    found = past(results, suite_name)
    return History([past_run(kept.point) for kept in found.runs], len(found.unreadable))
