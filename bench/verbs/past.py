"""The runs of a suite below a folder, each read once and then kept in the folder's index."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bench import analysis, index
from bench.analysis.digest import digest_of
from bench.analysis.point import MEANING, Point, point_of
from bench.folder import read_records, read_run
from bench.verbs.soundness import sound

ALTERNATION = "ab.json"
"""Marks a folder of `bench ab`: its runs are no part of the past."""


class Kept(NamedTuple):
    """A finished run, and its folder below that of all runs."""

    name: str
    point: Point


class Past(NamedTuple):
    """What lies below a folder of the runs of a suite."""

    runs: list[Kept]  # finished, from the oldest to the newest
    unfinished: int
    unreadable: list[str]  # why, one for each; also of those that do not tell their suite
    copies: int  # of runs that are there
    suites: list[str]  # names of all suites that have a run


class Head(NamedTuple):
    """What stands at the top of a run.json."""

    path: Path  # of the run folder
    content: bytes
    suite_name: str
    status: str

    @property
    def stamp(self) -> str:
        """Tells this state of the run from any other.

        A hash and not size and time: these are the same after a quick rewrite, or a copy that
        keeps times, and reading the file costs a tenth of a millisecond.
        """
        return hashlib.sha256(self.content).hexdigest()


Tell = Callable[[str], None]


def past(results: Path, suite_name: str, tell: Tell = lambda text: None) -> Past:
    """Runs of a suite, one or two levels below a folder; `tell` hears how far the reading is."""
    unreadable: list[str] = []
    heads = list(_readable(folders(results), unreadable))
    ours = [head for head in heads if head.suite_name == suite_name]
    finished: dict[str, list[Head]] = {}
    for head_ in ours:
        if head_.status == "finished":
            finished.setdefault(head_.stamp, []).append(head_)
    unfinished = sum(head.status != "finished" for head in ours)
    runs = _points(results, list(finished.values()), unreadable, tell)
    return Past(
        runs=sorted(runs, key=lambda run: (run.point.started_at, run.name)),
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
            yield head(path)
        except (OSError, ValueError) as error:
            unreadable.append(f"{path / 'run.json'}: {_first_line(error)}")


def head(path: Path) -> Head:
    """The suite and the status of a run folder. Raises OSError or ValueError."""
    content = (path / "run.json").read_bytes()
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError("is not JSON") from error
    match found:
        case {"suite_name": str(suite_name), "status": str(status)}:
            return Head(path, content, suite_name, status)
    raise ValueError("was not written by bench")


def _points(
    results: Path, copies: Sequence[Sequence[Head]], unreadable: list[str], tell: Tell
) -> list[Kept]:
    """Each run once, by the first of its copies that can be read."""
    if not copies:
        return []
    found = []
    with index.opened(results, meaning()) as kept:
        for number, heads in enumerate(copies, start=1):
            tell(f"reading the runs: {number:,} of {len(copies):,}")
            problems = []
            for one in heads:
                try:
                    found.append(Kept(name(results, one.path), _point(kept, results, one)))
                    break
                except (OSError, ValueError) as error:
                    problems.append(_first_line(error))
            else:
                unreadable += problems
        kept.forget(lambda name_: is_gone(results / name_ / "run.json"))
    return found


def meaning() -> str:
    """Of what is kept: other code of the analysis may make other points of the same run."""
    code = hashlib.sha256()
    for path in sorted(Path(analysis.__path__[0]).glob("*.py")):
        code.update(path.read_bytes())
    return f"{MEANING} {code.hexdigest()}"


def is_gone(path: Path) -> bool:
    """Whether a file is surely not there any more."""
    try:
        return not path.exists()
    except OSError:  # a folder that this user may not enter
        return False


def name(results: Path, path: Path) -> str:
    """A run folder as the index and the page call it."""
    return path.relative_to(results).as_posix()


def _point(kept: index.Index, results: Path, head_: Head) -> Point:
    """The point of a finished run, from the index where that has this state of run.json.

    Whatever `bench run` changes in a folder, it writes run.json after it.
    """
    name_, stamp = name(results, head_.path), head_.stamp
    if text := kept.get(name_, stamp):
        with suppress(ValueError):
            return Point.model_validate_json(text)
    with sound(head_.path):
        run, records = read_run(head_.path), read_records(head_.path)
        point = point_of(digest_of(run, records))
        if point is None:
            raise ValueError("finished at an unknown time")
    kept.put(name_, stamp, point.model_dump_json())
    return point


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
