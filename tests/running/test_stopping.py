"""Killed at any moment, the same command goes on, and the scores are those of a quiet run."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from bench.record import Failure
from tests import command
from tests.command import LONG, SUITE, Place, quick, tiny

pytestmark = pytest.mark.slow


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return command.place(tmp_path)


def test_after_kill_9_no_process_is_left_and_the_next_run_ends_with_the_scores_of_a_quiet_one(
    here: Place,
) -> None:
    suite, folder = here.suite(SUITE), here.folder / "out"
    quiet = quick(here, "run", suite, "--out", "quiet")
    assert quiet.returncode == 0, quiet.stderr
    with command.running(here, "run", suite, "--out", folder) as process:
        command.wait_for(lambda: any((folder / "cells").glob("*/record.json")))
        below = command.descendants(process)
        process.kill()
    _, alive = psutil.wait_procs(below, timeout=5)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    first = {path: path.read_bytes() for path in (folder / "cells").glob("*/record.json")}

    again = quick(here, "run", suite, "--out", folder)
    assert again.returncode == 0, again.stderr
    assert command.scores(folder) == command.scores(here.folder / "quiet")
    assert {path: path.read_bytes() for path in first} == first, "a good cell ran again"


def test_a_worker_that_is_killed_costs_one_cell(here: Place) -> None:
    folder = here.folder / "out"
    text = LONG.replace(
        "epochs = 5000}]", 'epochs = 5000}, {name = "last", kind = "partial", epochs = 1}]'
    )
    with command.running(here, "run", here.suite(text), "--out", folder) as process:
        command.wait_for_cell(folder, 2)
        command.worker_of(process).kill()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (3, ""), out
    ok, lost, last = command.records(folder)
    assert (ok.status, last.status) == ("ok", "ok")
    assert isinstance(lost, Failure)
    assert (lost.status, lost.kind) == ("failed", "crash")
    assert lost.reason.startswith("its process was killed by SIGKILL")
    assert 0 < lost.seconds < 60
    assert "no winner" not in out


GROUP = tiny(["partial", '{name = "heads", kind = "feature_extraction", epochs = 1000}'], seeds=3)
"""The heads train first, for a fraction of a second: long enough to be killed."""

AGAIN = (
    "mobilenet_v3_small · heads: its process was killed by SIGKILL; its 3 seeds run once more, "
    "one at a time"
)


def new_worker(process: subprocess.Popen[str], before: psutil.Process) -> psutil.Process:
    """The worker that follows another, once it runs."""

    def others() -> list[psutil.Process]:
        below = command.descendants(process)
        return [one for one in below if one.ppid() != process.pid and one != before]

    command.wait_for(lambda: bool(others()))
    return others()[0]


def test_seeds_whose_worker_is_killed_run_once_more_alone_and_the_others_go_on(
    here: Place,
) -> None:
    folder = here.folder / "out"
    with command.running(here, "run", here.suite(GROUP), "--out", folder) as process:
        command.wait_for_cell(folder, 1)
        command.worker_of(process).kill()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, ""), out
    assert out.splitlines().count(AGAIN) == 1
    assert [record.status for record in command.records(folder)] == ["ok"] * 6


def test_a_seed_that_dies_alone_as_well_has_failed_and_costs_no_other(here: Place) -> None:
    folder = here.folder / "out"
    with command.running(here, "run", here.suite(GROUP), "--out", folder) as process:
        command.wait_for_cell(folder, 1)
        together = command.worker_of(process)
        together.kill()
        new_worker(process, together).kill()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (3, ""), out
    assert out.splitlines().count(AGAIN) == 1
    by_name = {(r.cell.strategy, r.cell.seed): r for r in command.records(folder)}
    lost = by_name.pop(("heads", 0))
    assert (lost.status, lost.kind) == ("failed", "crash")
    assert [record.status for record in by_name.values()] == ["ok"] * 5


@pytest.mark.parametrize("to_all", [False, True], ids=["to it", "to all its processes"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_record_of_the_cell_it_interrupted(
    here: Place, number: int, to_all: bool
) -> None:
    folder = here.folder / "out"
    with command.running(here, "run", here.suite(LONG), "--out", folder) as process:
        command.wait_for_cell(folder, 2)
        time.sleep(0.5)  # the signal is not to cut the message in two that says so
        below = command.descendants(process)
        for number_of in [*(one.pid for one in below if to_all), process.pid]:
            os.kill(number_of, number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    again = f"python -m bench run {here.folder / 'tiny.toml'} --out {folder}"
    assert err == f"stopped; go on with: {again}\n"
    _, alive = psutil.wait_procs(below, timeout=5)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    ok, stopped = command.records(folder)
    assert (ok.status, stopped.status, stopped.kind) == ("ok", "interrupted", "stopped")
    run = command.run_of(folder)
    assert run.status == "interrupted"
    assert run.wall_seconds > 0
