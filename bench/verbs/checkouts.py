"""The code of both sides of `bench ab`, and their runs, one after another.

Both sides run from copies of their own, so that nothing changes under a run that is under way, and
neither side has compiled files or a path that the other lacks.

The runs stand in the order old new, new old, old new, ...: a machine that becomes steadily slower
favours neither side. No run is thrown away for warming up: the first pair decodes the images into a
cache of each side, and no train time holds any of that.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.analysis.table import Snapshot
from bench.errors import Exit, FolderError, InputError, SideFailed
from bench.folder import check_usable, disk_errors, locked, write_text
from bench.running.child import exit_text, no_interrupt
from bench.verbs.runs import ALTERNATION, read_folder

ENTRY = Path("bench", "__main__.py")
"""What makes a folder a checkout."""

ASKED = "import bench; print(bench.__file__)"


class Checkout(NamedTuple):
    asked: str  # as the user named it
    folder: Path
    commit: str | None  # of a revision
    sha256: str  # of the package

    @property
    def name(self) -> str:
        return f"{self.asked} ({self.commit[:10] if self.commit else f'code {self.sha256[:8]}'})"


def check_out(asked: str, folder: Path) -> Checkout:
    """A copy of the code in an empty folder. Raises InputError, or FolderError."""
    if not asked:
        raise InputError(["OLD and NEW: name a checkout or a git revision each; one is empty"])
    with disk_errors(folder):
        if (Path(asked) / ENTRY).is_file():
            copy_package(Path(asked), folder)
            commit = None
        else:
            commit = commit_of(asked)
            unpack(asked, commit, folder)
        return Checkout(asked, folder, commit, digest(folder))


def copy_package(source: Path, folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".#*")  # editors' locks are links
    shutil.copytree(source / "bench", folder / "bench", ignore=ignored)


def commit_of(asked: str) -> str:
    """The commit of a revision. Raises InputError."""
    if Path(asked).exists():
        raise InputError([f"{asked}: holds no {ENTRY}; name a checkout or a git revision"])
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{asked}^{{commit}}")
    if found is None:
        raise InputError(
            [f"{asked}: is neither a folder nor a revision of the repository in this folder"]
        )
    return found.decode().strip()


def unpack(asked: str, commit: str, folder: Path) -> None:
    """The package as it was committed. Raises InputError."""
    top = (git("rev-parse", "--show-toplevel") or b".").decode().strip()
    packed = git("-C", top, "archive", "--format=zip", commit, "--", "bench")
    if packed is None:
        raise InputError([f"{asked}: holds no {ENTRY}"])
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
    if not (folder / ENTRY).is_file():
        raise InputError([f"{asked}: holds no {ENTRY}"])


def git(*arguments: str) -> bytes | None:
    """What git prints; None where it refuses. Raises InputError where there is no git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except OSError as error:
        raise InputError(["git is needed for a revision, and is not installed"]) from error
    return done.stdout if done.returncode == 0 else None


def digest(folder: Path) -> str:
    """SHA-256 over the names and contents of the package's files."""
    found = hashlib.sha256()
    for path in sorted((folder / "bench").rglob("*")):
        if path.is_file():
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


# ---- running Python on it -------------------------------------------------------------------


def command(*arguments: str) -> list[str]:
    """This Python, without the current folder on its path."""
    return [sys.executable, "-P", *arguments]


def environment(checkout: Checkout, cache: Path) -> dict[str, str]:
    """Ours, where Python finds the code before any other, and with a cache of its own."""
    paths = filter(None, (str(checkout.folder), os.environ.get("PYTHONPATH")))
    own = {"PYTHONPATH": os.pathsep.join(paths), "BENCH_CACHE": str(cache.absolute())}
    return {**os.environ, **own}


def check_runs(checkout: Checkout, environment: Mapping[str, str]) -> None:
    """Raise InputError where Python, asked for bench, takes another than that of the checkout."""
    done = subprocess.run(
        command("-c", ASKED), env=environment, capture_output=True, text=True, check=False
    )
    told = done.stdout.strip()
    own = (checkout.folder / "bench" / "__init__.py").resolve()
    if done.returncode or Path(told).resolve() != own:
        found = f"runs the code in {Path(told).parent}" if told else last_line(done.stderr)
        raise InputError([f"{checkout.asked}: Python {found} instead; nothing was compared"])


def last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "said nothing")


# ---- runs in turn ---------------------------------------------------------------------------

PLAN, SUITE = ALTERNATION, "suite.toml"
"""What the runs of a folder are of, and the suite as it was when they began."""

PATIENCE_SECONDS = 30.0
"""A run that is asked to stop writes the record of the cell that it leaves."""

LAST_LINES = 5


class Plan(NamedTuple):
    folder: Path
    sides: dict[str, Checkout]  # "old" and "new"
    suite: Path
    options: tuple[str, ...]  # of `bench run`, beside --out
    num_pairs: int


class Turn(NamedTuple):
    side: str
    pair: int

    @property
    def name(self) -> str:
        return f"{self.side}-{self.pair}"


class Done(NamedTuple):
    turn: Turn
    number: int
    seconds: float | None  # None where it was finished before


def order(num_pairs: int) -> list[Turn]:
    sides = ("old", "new")
    return [
        Turn(side, pair)
        for pair in range(1, num_pairs + 1)
        for side in (sides if pair % 2 else reversed(sides))
    ]


# ---- the folder -----------------------------------------------------------------------------


def begin(plan: Plan) -> None:
    """Note what the runs of a locked folder are of. Raises FolderError where it has others."""
    path = plan.folder / PLAN
    facts = facts_of(plan)
    if path.exists():
        earlier = read_plan(path)
        changed = [name for name, fact in facts.items() if earlier.get(name) != fact]
        if changed:
            raise FolderError(
                f"{plan.folder}: compares something else ({', '.join(changed)} changed); "
                "name another folder with --out"
            )
    else:
        write_text(plan.folder / SUITE, plan.suite.read_text("utf-8"))
        write_text(path, json.dumps(facts, indent=1) + "\n")


def check_folder(folder: Path) -> None:
    """Raise FolderError where a comparison could be neither begun nor continued."""
    if folder.is_dir() and not (folder / PLAN).exists() and set(os.listdir(folder)) - {".lock"}:
        raise FolderError(f"{folder}: holds other files; name an empty or new folder with --out")
    check_usable(folder / "old-1")


def facts_of(plan: Plan) -> dict[str, Any]:
    code = {f"the {name} code": side.sha256 for name, side in plan.sides.items()}
    suite = hashlib.sha256(plan.suite.read_bytes()).hexdigest()
    return {**code, "the suite": suite, "options": list(plan.options)}


def read_plan(path: Path) -> dict[str, Any]:
    """The plan of a folder. Raises FolderError."""
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return dict(found)
    except (OSError, ValueError, TypeError) as error:
        raise FolderError(f"{path}: cannot be read; name another folder with --out") from error


def is_finished(folder: Path) -> bool:
    """Whether a run came to its end there, whichever bench wrote it."""
    try:
        return bool(json.loads((folder / "run.json").read_text("utf-8"))["status"] == "finished")
    except (OSError, ValueError, LookupError, TypeError):
        return False


# ---- running --------------------------------------------------------------------------------


def take(plan: Plan, told: Callable[[Turn, int], None]) -> Iterator[Done]:
    """Every run in its turn; `told` hears of one before it begins.

    A run that was cut short begins anew: its cells would be of two times, and stand for one.
    Raises SideFailed, InputError, FolderError, and Stopped after stopping the run.
    """
    for number, turn in enumerate(order(plan.num_pairs), start=1):
        folder = plan.folder / turn.name
        if is_finished(folder):
            yield Done(turn, number, None)
            continue
        told(turn, number)
        with disk_errors(plan.folder):
            if folder.exists():
                with locked(folder):  # by a run that outlived its comparison, perhaps
                    shutil.rmtree(folder)
            before = time.monotonic()
            run(plan, turn)
        yield Done(turn, number, time.monotonic() - before)


def read_run(plan: Plan, turn: Turn) -> Snapshot:
    """A finished run. Raises SideFailed where this bench cannot read it."""
    try:
        return read_folder(plan.folder / turn.name)
    except FolderError as error:
        who = f"{turn.name}, the code of {plan.sides[turn.side].asked}, wrote"
        raise SideFailed([f"{who} what this bench cannot read", str(error)]) from error


def run(plan: Plan, turn: Turn) -> None:
    checkout, folder = plan.sides[turn.side], plan.folder / turn.name
    variables = environment(checkout, cache(plan, turn.side))
    arguments = ("run", str(plan.folder / SUITE), *plan.options, "--out", str(folder))
    log = plan.folder / f"{turn.name}.log"
    with log.open("w", encoding="utf-8") as file:
        code = finished(command("-m", "bench", *arguments), variables, file.fileno())
    if not is_finished(folder):
        lines = log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:]
        complain(turn, checkout, code, [*lines, f"all of it is in {log}"])


def finished(command: Sequence[str], environment: dict[str, str], file: int) -> int:
    """The exit code of a command. What stops this process stops it too, by one signal."""
    with no_interrupt():
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def complain(turn: Turn, checkout: Checkout, code: int, lines: Sequence[str]) -> None:
    """Raise what the exit code of a run that did not finish means."""
    who = f"{turn.name}, the code of {checkout.asked}"
    if code == Exit.INPUT:
        raise InputError([f"{who}, refuses the suite:", *lines])
    if code == Exit.FOLDER:
        raise FolderError(f"{who}: {' '.join(lines)}")
    raise SideFailed([f"{who}, did not finish: {exit_text(code)}", *lines])


def cache(plan: Plan, side: str) -> Path:
    return plan.folder / "cache" / side
