"""What `bench compare` compares: run folders and baseline files, and the runs of the past."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from bench import store
from bench.analysis.baseline import Baseline, parsed
from bench.analysis.digest import Digest, PastRun, digest_of, past_run
from bench.store import FolderError
from bench.verbs.exits import InputError


class Read(NamedTuple):
    """One side: a run, and the past runs that a baseline file brings along."""

    path: Path
    run: Digest
    past: tuple[PastRun, ...] = ()


def read(path: Path) -> Read:
    """A run folder or a baseline file. Raises InputError where there is none, or FolderError."""
    if path.is_dir() and (path / "run.json").exists():
        return Read(path, read_folder(path))
    if path.is_file():
        baseline = read_baseline(path)
        return Read(path, baseline.run, baseline.history)
    what = "holds no run" if path.is_dir() else "is not there"
    raise InputError([f"{path}: {what}; name a run folder or a baseline file"])


def read_folder(folder: Path) -> Digest:
    """The run of a folder. Raises FolderError where its records are not of it, or damaged."""
    try:
        return digest_of(store.read_run(folder), store.read_records(folder))
    except FolderError:
        raise
    except ValueError as error:
        raise FolderError(f"{folder}: {error}") from error
    except MALFORMED as error:
        text = f"does not agree with itself ({type(error).__name__}: {error}); was it edited?"
        raise FolderError(f"{folder / 'run.json'}: {text}") from error


MALFORMED = (LookupError, TypeError, StopIteration, AttributeError)
"""What a run.json raises whose suite is not one that bench wrote."""


def read_baseline(path: Path) -> Baseline:
    """A baseline file. Raises FolderError where it is none that this bench can read."""
    try:
        return parsed(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FolderError(f"{path}: {error}") from error


# ---- the past -------------------------------------------------------------------------------

SUMMARY = "past.json"
"""What a finished run took, in a few lines beside its records: it can be deleted at any time."""


class History(NamedTuple):
    """Past runs of a suite, and how many folders of it could not be read."""

    runs: list[PastRun]
    unreadable: int


def history(results: Path, suite_name: str) -> History:
    """Finished runs of a suite below a folder, one or two levels deep."""
    runs, unreadable = [], 0
    for path in folders(results):
        try:
            content = (path / "run.json").read_bytes()
            if not is_past(json.loads(content), suite_name):
                continue
            found = summary(path, content)
        except (OSError, ValueError):
            unreadable += 1
            continue
        runs += [found] if found else []
    return History(runs, unreadable)


def folders(results: Path) -> Iterator[Path]:
    """Run folders below a folder."""
    for pattern in ("*/run.json", "*/*/run.json"):
        yield from (path.parent for path in sorted(results.glob(pattern)))


def is_past(run: Any, suite_name: str) -> bool:
    """Whether what stands in a run.json is a finished run of the suite."""
    return (
        isinstance(run, dict)
        and run.get("suite_name") == suite_name
        and run.get("status") == "finished"
    )


def summary(folder: Path, content: bytes) -> PastRun | None:
    """What the run of a folder took, from the summary beside it if that is of this run.json."""
    stamp = hashlib.sha256(content).hexdigest()
    path = folder / SUMMARY
    with suppress(OSError, ValueError, ValidationError, TypeError, KeyError):
        kept = json.loads(path.read_text("utf-8"))
        if kept["of"] == stamp:
            return None if kept["took"] is None else PastRun.model_validate(kept["took"])
    found = past_run(read_folder(folder))
    took = found.model_dump() if found else None
    with suppress(OSError, ValueError):  # a folder that may only be read is read again next time
        store.write_text(path, json.dumps({"of": stamp, "took": took}))
    return found
