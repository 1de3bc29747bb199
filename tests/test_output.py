"""Output that goes away: what takes hours goes on in silence, and nothing ends in a traceback."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import command
from tests.command import LONG, ROOT, SUITE, Place

HEAD = [sys.executable, "-B", "-m", "bench"]


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return command.place(tmp_path)


def in_shell(here: Place, line: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, in which BENCH is the command; its standard error is read."""
    variables = {"HOME": str(here.folder / "home"), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", line.replace("BENCH", " ".join(HEAD))],
        cwd=here.folder,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "BENCH run tiny.toml --out out > /dev/full",
        "BENCH run tiny.toml --out out >&-",
        "BENCH run tiny.toml --out out <&- >&- 2>&-",
        "BENCH run tiny.toml --out out > /dev/full 2> /dev/full",
        "set -o pipefail; BENCH run tiny.toml --out out | head -n 1",
    ],
)
def test_a_run_that_nobody_hears_goes_on(here: Place, line: str) -> None:
    here.suite(SUITE)
    done = in_shell(here, line)
    assert (done.returncode, done.stderr) == (0, "")
    folder = here.folder / "out"
    assert command.run_of(folder).status == "finished"
    assert [record.status for record in command.records(folder)] == ["ok", "ok"]
    assert (folder / "report.html").stat().st_size > 10_000


def test_a_list_that_no_disk_takes_is_an_error_in_words(here: Place) -> None:
    done = in_shell(here, "BENCH list architectures > /dev/full")
    assert done.returncode == 6
    assert done.stderr == (
        "error[E-FOLDER] the output cannot be written: No space left on device\n"
    )


@pytest.mark.parametrize(
    ("line", "code"), [("BENCH list architectures >&-", 0), ("BENCH list nothing 2>&-", 2)]
)
def test_a_closed_output_is_no_error(here: Place, line: str, code: int) -> None:
    done = in_shell(here, line)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_list_whose_reader_has_left_ends_in_silence(here: Place) -> None:
    done = in_shell(here, "set -o pipefail; BENCH list architectures | true")
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.slow
@pytest.mark.parametrize("nohup", [False, True])
def test_a_terminal_that_closes_stops_the_run_unless_it_was_told_to_go_on(
    here: Place, nohup: bool
) -> None:
    folder = here.folder / "out"
    suite = here.suite(SUITE if nohup else LONG)
    ours, theirs = pty.openpty()
    start = "import os, sys, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    start += "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); " if nohup else ""
    start += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    words = ["-B", "-m", "bench", "run", str(suite), "--out", str(folder)]
    environment = {**os.environ, "HOME": str(here.folder / "home"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", start, *words],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=here.folder, env=environment,
    )  # fmt: skip
    os.close(theirs)
    try:
        command.wait_for(lambda: (folder / "run.json").exists())
        os.close(ours)
        assert process.wait(timeout=120) == (0 if nohup else 128 + signal.SIGHUP)
    finally:
        process.kill()
    assert command.run_of(folder).status == ("finished" if nohup else "interrupted")
    if nohup:
        assert (folder / "report.html").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_modules_load_ends_in_silence(number: int) -> None:
    code = f"""
import os, runpy, sys

class Sent:
    def find_spec(self, name, path, target=None):
        if name == "bench.verbs.run":
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Sent())
sys.argv = ["bench", "list", "strategies"]
runpy.run_module("bench", run_name="__main__")
"""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")
