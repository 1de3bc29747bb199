"""What verbs read from run folders and baseline files, and what stays in a folder in the end."""

import gc
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from bench.analysis.baseline import Baseline, PastRun, parsed, past_run
from bench.analysis.choice import summarise
from bench.analysis.merge import NamedRun, merge
from bench.analysis.snapshot import past
from bench.analysis.table import Snapshot, read, table
from bench.data.dataset import shortened
from bench.data.decoded import Making, thumbnails
from bench.errors import FolderError, InputError, NotOneTask, first, first_line, meant
from bench.folder import (
    damaged_records,
    read_inside,
    read_records,
    read_run,
    read_thumbnails,
    remove_weights_but,
    weights_path,
    write_thumbnails,
)
from bench.predictions import confident_mistakes
from bench.record import Record, Result, Run
from bench.report.context import Report
from bench.report.sentences import sources
from bench.running.plan import Images
from bench.serving.messages import Trained
from bench.verbs.options import RESULTS


@contextmanager
def gc_paused() -> Iterator[None]:
    """No garbage collection: over millions of values of records it takes long and frees nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def names(folders: Sequence[Path]) -> list[str]:
    """Each folder by as few of its last names as tell it from the others; no absolute path."""
    parts = [folder.resolve().parts for folder in folders]
    lengths = range(1, max(map(len, parts)) + 1)
    told = (["/".join(one[-length:]) for one in parts] for length in lengths)
    return next(found for found in told if len(set(found)) == len(parts))


def gather(folders: Sequence[Path]) -> Report:
    """The records of run folders, as one run, and what they say.

    Raises FolderError where a folder holds no run or what does not belong to it, NotOneTask where
    the runs are not of one task.
    """
    called = zip(names(folders), folders, strict=True)
    parts = [NamedRun(name, read(folder)) for name, folder in called]
    try:
        merged = merge(parts)
    except NotOneTask:
        raise
    except ValueError as error:  # records that fit their own run, but not another's
        raise FolderError(f"{' and '.join(map(str, folders))}: {error}") from error
    thumbnails = [read_thumbnails(one) for one in folders]
    damages = (
        damage_notes(folder, missing(one.table)) for folder, one in zip(folders, parts, strict=True)
    )
    return Report(
        table=merged.table,
        summary=summarise(merged.table),
        notes=(*sources(parts, merged), *chain.from_iterable(damages)),
        repeated=merged.repeated,
        thumbnails={index: jpeg for found in thumbnails[::-1] for index, jpeg in found.items()},
    )


MOST_NAMED = 5  # cells that could be asked for


def trained_cell(
    folder: Path, cell_id: str | None, weights: Path | None, *, offline: bool
) -> Trained:
    """The network of a cell, by default of the one that the run chose.

    Raises FolderError where there is no run, InputError where it has no such network.
    """
    run, records = read_run(folder), read_records(folder)
    record = ok_record(folder, run, records, cell_id)
    path = weights_path(folder, record.cell_id)
    if not path.is_file():
        kept = [one for one in run.cells if weights_path(folder, one).is_file()]
        raise InputError(
            [
                f"{folder}: the weights of {record.cell_id} were not kept (the suite has "
                f'keep_weights = "{run.suite.keep_weights}")',
                f"kept are those of: {first(kept, MOST_NAMED) or 'none'}",
                'set keep_weights = "winner" or "all" in the suite, and run it into a new folder',
            ]
        )
    # A backbone of one's own may lie where run.json shows; its hash decides whether it is the one.
    shown = run.source.used
    of_run = (Path(os.path.expandvars(shown)).expanduser(),) if "/" in shown else ()
    backbones = of_run if weights is None else (weights,)
    pipeline = run.preprocessing[record.cell.architecture_label]
    return Trained(record, pipeline, path, backbones, offline)


def ok_record(folder: Path, run: Run, records: Sequence[Record], cell_id: str | None) -> Result:
    """The record of the cell. Raises InputError where there is none, or it is not ok."""
    ok = {record.cell_id: record for record in records if isinstance(record, Result)}
    named = f"ok are: {first(list(ok), MOST_NAMED) or 'none'}"
    if cell_id is None and (cell_id := (summary := summarise(read(folder))).chosen) is None:
        why = "no architecture under any strategy has an ok record for every seed"
        if summary.kept:
            why = "no architecture under any strategy is surely better than guessing"
            named = f"the best on val is {summary.kept}"
        raise InputError([f"{folder}: no cell was chosen: {why}", f"name one with --cell; {named}"])
    if cell_id in ok:
        return ok[cell_id]
    if failed := next((record for record in records if record.cell_id == cell_id), None):
        why = f"is {failed.status} ({failed.kind}): {failed.reason}"
    elif cell_id in run.cells:
        why = "has no record yet, or a damaged one"
    else:
        why = f"no cell of this run{meant(cell_id, run.cells)}"
    raise InputError([f"--cell {cell_id}: {why}", named])


class Side(NamedTuple):
    run: Snapshot
    past: tuple[PastRun, ...] = ()
    notes: tuple[str, ...] = ()


SAME_KEYS = 3
"""The version of baseline files from which on past runs go by the same keys as today."""


def read_side(path: Path) -> Side:
    """A run folder or a baseline file. Raises InputError where there is none, or FolderError."""
    try:
        is_run = path.is_dir() and (path / "run.json").exists()
    except OSError as error:
        raise FolderError(f"{path}: cannot be read: {error.strerror}") from error
    if is_run:
        run = read_folder(path)
        named = first([*damaged_records(path, missing(run))], 3)
        note = f"{path.name}: damaged records, which count as missing: {named}"
        return Side(run, notes=(note,) if named else ())
    if path.is_file():
        baseline = read_baseline(path)
        is_outdated = baseline.schema_version < SAME_KEYS and len(baseline.history) > 1
        note = f"{path.name}: its past runs are of an older bench and do not count; accept it again"
        return Side(baseline.run, baseline.history, (note,) if is_outdated else ())
    what = "holds no run" if path.is_dir() else "is not there"
    raise InputError(f"{path}: {what}; name a run folder or a baseline file")


def read_folder(folder: Path) -> Snapshot:
    """The run of a folder. Raises FolderError where its records are not of it, or damaged."""
    try:
        return past(folder)
    except OSError as error:
        raise FolderError(f"{error.filename or folder}: {error.strerror or error}") from error


def read_baseline(path: Path) -> Baseline:
    """A baseline file. Raises FolderError where it is none that this bench can read."""
    try:
        return parsed(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FolderError(f"{path}: {error}") from error


ALTERNATION = "ab.json"
"""Marks a folder of `bench ab`: its runs are no part of the past."""


class Past(NamedTuple):
    runs: dict[str, Snapshot]  # finished, by their folder, from the oldest to the newest
    unfinished: int
    unreadable: list[str]  # why, one for each; also of those that do not tell their suite
    copies: int  # of runs that are there
    damaged: list[str]  # records that do not count, and why
    suites: list[str]  # names of all suites that have a run

    @property
    def costs(self) -> list[PastRun]:
        return [one for one in map(past_run, self.runs.values()) if one]


def folder_of_past(named: Path | None) -> Path:
    """The folder of past runs. Raises InputError where one was named that is not there."""
    if named is not None and not named.is_dir():
        raise InputError(f"{named}: is not a folder; name the folder of runs with --history")
    return named or Path(RESULTS)


def past_below(
    results: Path, suite_name: str, tell: Callable[[str], None] = lambda text: None
) -> Past:
    """Runs of a suite, one or two levels below a folder; `tell` hears how far the reading is."""
    suites, unfinished, unreadable = set[str](), 0, list[str]()
    finished: dict[str, list[Path]] = {}  # by the content of run.json: the same run, copied
    paths = (path for depth in ("*", "*/*") for path in sorted(results.glob(f"{depth}/run.json")))
    for folder in (path.parent for path in paths):
        if (folder.parent / ALTERNATION).exists():
            continue
        try:
            name, status, sha256 = run_head(folder)
        except (OSError, ValueError) as error:
            unreadable.append(f"{folder / 'run.json'}: {first_line(error)}")
            continue
        suites.add(name)
        if name == suite_name and status == "finished":
            finished.setdefault(sha256, []).append(folder)
        elif name == suite_name:
            unfinished += 1
    runs: dict[str, Snapshot] = {}
    damage: list[str] = []
    for number, copies in enumerate(finished.values(), start=1):
        tell(f"reading the runs: {number:,} of {len(finished):,}")
        problems, whole = [], dict[Path, Snapshot]()
        for folder in copies:
            try:
                run = read_folder(folder)
                if run.header.finished_at is None:
                    raise FolderError(f"{folder}: finished at an unknown time")
                whole[folder] = run
            except FolderError as error:
                problems.append(first_line(error))
        if not whole:
            unreadable += problems
            continue
        folder = min(whole, key=lambda one: len(missing(whole[one])))
        runs[folder.relative_to(results).as_posix()] = whole[folder]
        damage += damage_notes(folder, missing(whole[folder]))
    return Past(
        runs=dict(sorted(runs.items(), key=lambda item: (item[1].header.started_at, item[0]))),
        unfinished=unfinished,
        # The page may be passed on: it holds no path of this machine.
        unreadable=[why.replace(f"{results}/", "") for why in unreadable],
        copies=sum(map(len, finished.values())) - len(finished),
        damaged=damage,
        suites=sorted(suites),
    )


def run_head(folder: Path) -> tuple[str, str, str]:
    """The suite and the status of a run, and the SHA-256 of its run.json.

    Raises OSError or ValueError.
    """
    content = read_inside(folder, "run.json")
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError("is not JSON") from error
    match found:
        case {"suite_name": str(suite_name), "status": str(status)}:
            return suite_name, status, hashlib.sha256(content).hexdigest()
    raise ValueError("was not written by bench")


def finish(folder: Path, run: Run, images: Images, made: Making) -> list[str]:
    """Settle what stays in a locked run folder; lines to say. Raises FolderError.

    A cell whose record is damaged counts as one that is not ok.
    """
    records = read_records(folder)
    return [
        *damage_notes(folder, set(run.cells) - {record.cell_id for record in records}),
        *picture(folder, records, images, made),
        *settle_weights(folder, run, records),
    ]


def damage_notes(folder: Path, cell_ids: Iterable[str]) -> list[str]:
    """A line for each damaged record of cells that count as missing. Raises FolderError."""
    return [
        f"the record of {cell_id} is damaged and does not count: {problem}"
        for cell_id, problem in damaged_records(folder, sorted(cell_ids)).items()
    ]


def missing(run: Snapshot) -> list[str]:
    """The cells without a record that counts."""
    cells = zip(run.columns["cell_id"], run.columns["status"], strict=True)
    return [name for name, status in cells if status == "missing"]


def picture(folder: Path, records: Iterable[Record], images: Images, made: Making) -> list[str]:
    """Thumbnails of the test images that cells were most sure of and wrong about."""
    ok = (record for record in records if isinstance(record, Result))
    mistakes = (confident_mistakes(record.quality.test.predictions) for record in ok)
    indices = sorted({index for of_cell in mistakes for index in of_cell})
    items = {index: images.split.test[index] for index in indices}
    jpegs, problems = thumbnails(images.dataset, list(items.values()), made.folders)
    write_thumbnails(folder, {i: jpegs[item] for i, item in items.items() if item in jpegs})
    return shortened([f"no thumbnail: {problem}" for problem in problems], limit=3)


def settle_weights(folder: Path, run: Run, records: Sequence[Record]) -> list[str]:
    wanted = lasting(run, records)
    remove_weights_but(folder, wanted)
    there = {cell_id for cell_id in wanted if weights_path(folder, cell_id).exists()}
    if is_settled(run, records):
        lacking = wanted - there
        return [f"the trained weights of {named(lacking)} were not kept"] if lacking else []
    if there and run.suite.keep_weights in ("winner", "best"):
        return [f"the trained weights of {named(there)} stay until every cell is ok"]
    return []


def named(cell_ids: Collection[str]) -> str:
    return ", ".join(sorted(cell_ids)) if len(cell_ids) < 3 else f"{len(cell_ids)} cells"


def lasting(run: Run, records: Sequence[Record]) -> set[str]:
    """The cells whose weights stay: all that are ok, the best of each architecture, or of all.

    While a cell is not ok, the same command tries it again, and another may be chosen then.
    """
    match run.suite.keep_weights:
        case "none":
            return set()
        case "winner" if is_settled(run, records):
            kept = summarise(table(run, records)).kept
            return set() if kept is None else {kept}
        case "best" if is_settled(run, records):
            return set(best_of_each(records).values())
        case _:
            return {record.cell_id for record in records if record.status == "ok"}


def best_of_each(records: Sequence[Record]) -> dict[str, str]:
    """The cell with the best val score of each architecture, by its label; of equals the first."""
    ok = [record for record in reversed(records) if isinstance(record, Result)]
    ok.sort(key=lambda record: getattr(record.quality.val, record.cell.metric))
    return {record.cell.architecture_label: record.cell_id for record in ok}


def is_settled(run: Run, records: Sequence[Record]) -> bool:
    """Whether every cell of the run is ok, so that the same command would train nothing."""
    return {record.cell_id for record in records if record.status == "ok"} >= set(run.cells)
