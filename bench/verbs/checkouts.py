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
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.analysis.table import Snapshot
from bench.errors import Exit, FolderError, InputError, SideFailed
from bench.folder import check_usable, disk_errors, locked, write_text
from bench.identity import differences
from bench.running.child import exit_text, unheard
from bench.verbs.runs import ALTERNATION, read_folder

ENTRY = Path("bench", "__main__.py")
"""What makes a folder a checkout."""


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
            commit = unpack(asked, folder)
        return Checkout(asked, folder, commit, digest(folder))


def copy_package(source: Path, folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".#*")  # editors' locks are links
    shutil.copytree(source / "bench", folder / "bench", ignore=ignored)


def unpack(asked: str, folder: Path) -> str:
    """The package of a revision as it was committed; returns the commit. Raises InputError."""
    if Path(asked).exists():
        raise InputError([f"{asked}: holds no {ENTRY}; name a checkout or a git revision"])
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{asked}^{{commit}}")
    if found is None:
        raise InputError(
            [f"{asked}: is neither a folder nor a revision of the repository in this folder"]
        )
    commit = found.decode().strip()
    top = (git("rev-parse", "--show-toplevel") or b".").decode().strip()
    if packed := git("-C", top, "archive", "--format=zip", commit, "--", "bench"):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(folder)
    if not (folder / ENTRY).is_file():
        raise InputError([f"{asked}: holds no {ENTRY}"])
    return commit


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


PLAN, SUITE, CACHE = ALTERNATION, "suite.toml", "cache"
"""What the runs of a folder are of, the suite as it was, and the folder of each side's cache."""


class Plan(NamedTuple):
    folder: Path
    sides: dict[str, Checkout]  # "old" and "new"
    suite: Path
    options: tuple[str, ...]  # of `bench run`, beside --out
    num_pairs: int


class Turn(NamedTuple):
    number: int  # from 1
    side: str
    pair: int

    @property
    def name(self) -> str:
        return f"{self.side}-{self.pair}"


def order(num_pairs: int) -> list[Turn]:
    turns: list[Turn] = []
    for pair in range(1, num_pairs + 1):
        first, second = ("old", "new") if pair % 2 else ("new", "old")
        turns += [Turn(2 * pair - 1, first, pair), Turn(2 * pair, second, pair)]
    return turns


def command(*arguments: str) -> list[str]:
    """This Python, without the current folder on its path."""
    return [sys.executable, "-P", *arguments]


def environment(plan: Plan, side: str) -> dict[str, str]:
    """Ours, where Python finds the code before any other, and with a cache of its own."""
    paths = filter(None, (str(plan.sides[side].folder), os.environ.get("PYTHONPATH")))
    cache = plan.folder.absolute() / CACHE / side
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "BENCH_CACHE": str(cache)}


def check_runs(plan: Plan, side: str) -> None:
    """Raise InputError where Python, asked for bench, takes another than that of the checkout."""
    asking = command("-c", "import bench; print(bench.__file__)")
    variables, checkout = environment(plan, side), plan.sides[side]
    done = subprocess.run(asking, env=variables, capture_output=True, text=True, check=False)
    told = done.stdout.strip()
    own = (checkout.folder / "bench" / "__init__.py").resolve()
    if done.returncode or Path(told).resolve() != own:
        words = [line for line in done.stderr.splitlines() if line.strip()] or ["said nothing"]
        found = f"runs the code in {Path(told).parent}" if told else words[-1]
        raise InputError([f"{checkout.asked}: Python {found} instead; nothing was compared"])


def begin(plan: Plan) -> None:
    """Note what the runs of a locked folder are of. Raises FolderError where it has others."""
    path = plan.folder / PLAN
    facts = {
        **{f"the {name} code": side.sha256 for name, side in plan.sides.items()},
        "the suite": hashlib.sha256(plan.suite.read_bytes()).hexdigest(),
        "options": list(plan.options),
    }
    if not path.exists():
        write_text(plan.folder / SUITE, plan.suite.read_text("utf-8"))
        write_text(path, json.dumps(facts, indent=1) + "\n")
        return
    try:
        earlier = dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise FolderError(f"{path}: cannot be read; name another folder with --out") from error
    if changed := [one.path for one in differences(earlier, facts)]:
        raise FolderError(
            f"{plan.folder}: compares something else ({', '.join(changed)} changed); "
            "name another folder with --out"
        )


def check_folder(folder: Path) -> None:
    """Raise FolderError where a comparison could be neither begun nor continued."""
    if folder.is_dir() and not (folder / PLAN).exists() and set(os.listdir(folder)) - {".lock"}:
        raise FolderError(f"{folder}: holds other files; name an empty or new folder with --out")
    check_usable(folder / "old-1")


def is_finished(folder: Path) -> bool:
    """Whether a run came to its end there, whichever bench wrote it."""
    try:
        return bool(json.loads((folder / "run.json").read_text("utf-8"))["status"] == "finished")
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def take(plan: Plan, turn: Turn) -> float | None:
    """The seconds of a run; None where it was finished before.

    One that was cut short begins anew: its cells would be of two times, and stand for one.
    Raises SideFailed, InputError, FolderError, and Stopped after stopping the run.
    """
    folder = plan.folder / turn.name
    if is_finished(folder):
        return None
    with disk_errors(plan.folder):
        if folder.exists():
            with locked(folder):  # by a run that outlived its comparison, perhaps
                shutil.rmtree(folder)
        before = time.monotonic()
        run(plan, turn)
    return time.monotonic() - before


def read_run(plan: Plan, turn: Turn) -> Snapshot:
    """A finished run. Raises SideFailed where this bench cannot read it."""
    try:
        return read_folder(plan.folder / turn.name)
    except FolderError as error:
        who = f"{turn.name}, the code of {plan.sides[turn.side].asked}, wrote"
        raise SideFailed([f"{who} what this bench cannot read", str(error)]) from error


def run(plan: Plan, turn: Turn) -> None:
    checkout, folder = plan.sides[turn.side], plan.folder / turn.name
    arguments = ("run", str(plan.folder / SUITE), *plan.options, "--out", str(folder))
    log = plan.folder / f"{turn.name}.log"
    with log.open("w", encoding="utf-8") as file:
        code = finished(plan, turn.side, arguments, file.fileno())
    if is_finished(folder):
        return
    lines = log.read_text("utf-8", "replace").splitlines()[-5:]
    lines.append(f"all of it is in {log}")
    who = f"{turn.name}, the code of {checkout.asked}"
    if code == Exit.INPUT:
        raise InputError([f"{who}, refuses the suite:", *lines])
    if code == Exit.FOLDER:
        raise FolderError(f"{who}: {' '.join(lines)}")
    raise SideFailed([f"{who}, did not finish: {exit_text(code)}", *lines])


def finished(plan: Plan, side: str, arguments: Sequence[str], file: int) -> int:
    """The exit code of bench. What stops this process stops it too, by one signal."""
    bench, variables = command("-m", "bench", *arguments), environment(plan, side)
    with unheard(signal.SIGINT):
        process = subprocess.Popen(
            bench, env=variables, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(30.0)  # it writes the record of the cell that it leaves
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
