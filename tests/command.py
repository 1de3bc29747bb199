"""The command line as a user has it: in a process of its own, with a home of its own.

Such a process imports torch for six seconds. Where its environment, its signals and its end are
not what is tested, `quick` runs the same command in this process, whose children share one server.
"""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, NamedTuple

import psutil
import pytest
from PIL import Image

from bench import cli
from bench.folder import read_records, read_run
from bench.record import Failure, Result, Run

ROOT = Path(__file__).parent.parent
TINY = """
name = "tiny"
architectures = [{architectures}]
strategies = [{strategies}]
{seeds}weights = ["random"]
[recipe]
image_size = 32
epochs = {epochs}
batch_size = 4
precision = "fp32"
"""


def tiny(
    strategies: Sequence[str],
    seeds: int | None = None,
    epochs: int = 1,
    architectures: Sequence[str] = ("mobilenet_v3_small",),
) -> str:
    """A suite for `Place.suite`, as quick as can be; a strategy is a name, or a table in TOML."""
    return TINY.format(
        architectures=", ".join(f'"{name}"' for name in architectures),
        strategies=", ".join(one if one.startswith("{") else f'"{one}"' for one in strategies),
        seeds="" if seeds is None else f"seeds = {list(range(seeds))}\n",
        epochs=epochs,
    )


SUITE = tiny(["feature_extraction", "from_scratch"])
"""Two cells, done in less than a second once torch is there."""

LONG = SUITE.replace('"from_scratch"', '{name = "long", kind = "partial", epochs = 5000}')
"""The same; the second cell, of the kind that runs last, trains until somebody stops it."""


class Place(NamedTuple):
    """A folder with a suite and a folder of pictures."""

    folder: Path

    def suite(self, text: str, name: str = "tiny") -> Path:
        """A suite file on the pictures."""
        path = self.folder / f"{name}.toml"
        table = f'[dataset]\nsource = "{self.folder.as_posix()}/pictures"\n'
        path.write_text(text + table, encoding="utf-8")
        return path


def place(folder: Path, each: int = 10) -> Place:
    """Pictures of two classes, so many of each, that a look at the red channel tells apart."""
    for label, red in (("cat", 30), ("dog", 220)):
        (folder / "pictures" / label).mkdir(parents=True)
        for number in range(each):
            colour = (red, 11 * number % 250, (250 - 20 * number) % 251)
            picture = Image.new("RGB", (40, 40), colour)
            picture.save(folder / "pictures" / label / f"{number}.png")
    (folder / "home").mkdir()
    return Place(folder)


@contextmanager
def running(
    here: Place, *arguments: object, stdout: int | IO[str] = subprocess.PIPE, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """`bench` with these arguments, in the folder of the place; ended with the block."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("CI", "NO_COLOR", "COLUMNS")}
    home = {"HOME": str(here.folder / "home"), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-B", "-m", "bench", *map(str, arguments)],
        cwd=here.folder,
        env={**inherited, **home, **environment},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def bench(here: Place, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`bench` with these arguments, to its end."""
    with running(here, *arguments, stdout=subprocess.PIPE, **environment) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def quick(here: Place, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`bench` with these arguments, in this process; the cache is that of all tests."""
    given = [str(argument) for argument in arguments]
    with (
        chdir(here.folder),
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
        pytest.raises(SystemExit) as ended,
    ):
        cli.main(given)
    return subprocess.CompletedProcess(
        given, int(ended.value.code or 0), out.getvalue(), err.getvalue()
    )


def records(folder: Path) -> list[Result | Failure]:
    """The records of a run folder, in the order of its cells."""
    return read_records(folder)


def run_of(folder: Path) -> Run:
    """run.json."""
    return read_run(folder)


def scores(folder: Path) -> dict[str, object]:
    """Everything that says how good a cell is, by cell id."""
    return {r.cell_id: r.quality for r in records(folder) if isinstance(r, Result)}


def wait_for(met: Callable[[], bool], seconds: float = 120) -> None:
    """Return when the condition is met; fail when it is not in time."""
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def wait_for_cell(folder: Path, number: int) -> None:
    """Return when cell `number` (1, 2, ...) of a run has a log: it has begun."""
    wait_for(lambda: len(list((folder / "cells").glob("*/log.txt"))) >= number)


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process below this one."""
    return psutil.Process(process.pid).children(recursive=True)


def worker_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The worker: forked by a server, which is the child."""
    (worker,) = (child for child in descendants(process) if child.ppid() != process.pid)
    return worker


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, with its time of change and its content."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
